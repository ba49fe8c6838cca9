/**
 * A text on its way to a tokeniser. A document can be larger than memory and a tokeniser wants a string, so documents are handed on in passages, cut
 * where a line ends, else before a space, else between characters. Each passage is tokenised by itself; where they are cut depends on the document alone,
 * so that a reading taken up again at a place gives what an uninterrupted one would have given.
 */

/** Where reading stands: `at` counts what the format counts (bytes, lines by their first byte, rows, items), `within` how far into it. */
export interface Place {
  at: number;
  within: number;
  /** Documents left out on the way, because they hold no text. */
  skipped: number;
}
export const START: Place = { at: 0, within: 0, skipped: 0 };

export interface Passage {
  text: string;
  /** Where the next one begins. */
  next: Place;
}

/** What can be read from any place on. */
export interface TextSource {
  passages(from: Place): AsyncIterable<Passage>;
  /** Where the file tells it. */
  documents?: number;
  /** The `at` that follows the last passage: how far a reading is, is told by it. */
  end: number;
}

/** Most characters of a passage. */
export const PASSAGE = 32768;

/** Where a passage that begins at `from` ends. */
export function passageEnd(text: string, from: number, most = PASSAGE): number {
  const limit = from + most;
  if (limit >= text.length) return text.length;
  const line = text.lastIndexOf('\n', limit - 1) + 1;
  if (line > from + most / 2) return line;
  const space = text.lastIndexOf(' ', limit);
  if (space > from + most / 2) return space;
  const code = text.charCodeAt(limit);
  // The second half of a character outside the basic plane.
  return code >= 0xdc00 && code <= 0xdfff ? limit - 1 : limit;
}

/** The passages of document `at`, from `within` on. */
export function* passagesOf(text: string, { at, within, skipped }: Place): Generator<Passage> {
  while (within < text.length) {
    const end = passageEnd(text, within);
    const next = end < text.length ? { at, within: end, skipped } : { at: at + 1, within: 0, skipped };
    yield { text: text.slice(within, end), next };
    within = end;
  }
}

/** The text of a document: itself, or its field `text`, or its first field that is a text. */
export function textOf(document: unknown): string | undefined {
  if (typeof document === 'string') return document;
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return undefined;
  const fields = document as Record<string, unknown>;
  const found = [fields['text'], ...Object.values(fields)].find((each) => typeof each === 'string');
  return typeof found === 'string' ? found : undefined;
}

/** Documents in memory, one after the other. */
export function listSource(documents: readonly unknown[]): TextSource {
  return {
    documents: documents.length,
    end: documents.length,
    async *passages(from) {
      let { skipped } = from;
      for (let at = from.at; at < documents.length; at++) {
        const text = textOf(documents[at]);
        if (text === undefined) skipped++;
        else yield* passagesOf(text, { at, within: at === from.at ? from.within : 0, skipped });
      }
    },
  };
}
