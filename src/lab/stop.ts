/**
 * Does the text end the stream? Stop strings are looked for in decoded text, because a stop string may span tokens and a
 * token may span it. Only text that the newest token could have completed is searched.
 */
export class StopStrings {
  #longest: number;
  #seen = 0;

  constructor(private readonly strings: readonly string[]) {
    this.#longest = Math.max(0, ...strings.map((text) => text.length));
  }

  get any(): boolean {
    return this.#longest > 0;
  }

  /** `text`: everything generated so far. */
  hit(text: string): boolean {
    // Decoding may change the last few characters (an unfinished character), so the search starts a little earlier.
    const from = Math.max(0, Math.min(this.#seen, text.length) - this.#longest - 4);
    this.#seen = text.length;
    const fresh = text.slice(from);
    return this.strings.some((stop) => stop !== '' && fresh.includes(stop));
  }

  /** After a rewind everything is searched anew. */
  reset(): void {
    this.#seen = 0;
  }
}
