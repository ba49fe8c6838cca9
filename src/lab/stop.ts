/**
 * Did the newest token complete a stop string? They are looked for in decoded text, because a stop string may span tokens and
 * a token may span it. Only a match that ends in new text counts, so that a stream may be continued past one.
 */
export function completesStop(before: string, after: string, stops: readonly string[]): boolean {
  // An unfinished character at the end is not yet text: it will be decoded anew.
  const settled = before.replace(/\uFFFD+$/, '').length;
  return stops.some((stop) => stop !== '' && after.includes(stop, Math.max(0, settled - stop.length + 1)));
}
