/** The row table: one token of one sequence a row, eight words each (shaders/lib/row.wgsl). */
export const ROW_WORDS = 8;

export interface Row {
  token: number;
  position: number;
  slot: number;
  prefixSlot: number;
  prefixLength: number;
  sequence: number;
  /** The row whose sampled token this row takes next. */
  follow: number;
}

export const NOBODY = 0xffffffff;

export function rowWords(rows: readonly Row[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(rows.length * ROW_WORDS);
  rows.forEach((row, i) =>
    words.set([row.token, row.position, row.slot, row.prefixSlot, row.prefixLength, row.sequence, 0, row.follow], i * ROW_WORDS),
  );
  return words;
}
