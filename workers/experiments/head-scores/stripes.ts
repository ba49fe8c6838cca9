/**
 * What a head does with tokens that are said twice, as numbers: the mean attention on a stripe of its pattern (TransformerLens's head_detector and main demo; Olsson et al. 2022). With a
 * sequence [BOS?] t_0 … t_{n−1} t_0 … t_{n−1}, s its first t and q a query's position:
 *
 *   duplicate  pattern[q, q − n]        q in the second half    to the last time this token came
 *   induction  pattern[q, q − n + 1]    q in the second half    to the token after it: the diagonal of offset 1 − n
 *   previous   pattern[q, q − 1]        q > s                   to the token before, never to the BOS
 * TransformerLens's diagonal of offset 1 − n begins a query earlier, at one whose token has not come before; here every query has what the score is named for.
 */
import { LabError } from '../../errors';
import { counter } from '../../model/random';

export const KINDS = ['induction', 'previous', 'duplicate'] as const;
export type Kind = (typeof KINDS)[number];

/** Mean attention on each stripe, by head. `pattern`: [head, query, key] of a sequence of `start` + 2·`length` tokens. */
export function stripes(pattern: ArrayLike<number>, heads: number, start: number, length: number): Record<Kind, Float64Array> {
  const tokens = start + 2 * length;
  const mean = (head: number, from: number, back: number): number => {
    let sum = 0;
    for (let q = from; q < tokens; q++) sum += pattern[(head * tokens + q) * tokens + q - back] ?? 0;
    return sum / (tokens - from);
  };
  const each = (from: number, back: number): Float64Array => Float64Array.from({ length: heads }, (_, head) => mean(head, from, back));
  return {
    induction: each(start + length, length - 1),
    previous: each(start + 1, 1),
    duplicate: each(start + length, length),
  };
}

/** `repeats` sequences of `length` different tokens each, said twice, behind the BOS where there is one. The same seed draws the same. */
export function repeated(call: {
  vocab: number;
  special: readonly number[];
  bos?: number | undefined;
  length: number;
  repeats: number;
  seed: number;
}): number[][] {
  const { vocab, special, bos, length, repeats, seed } = call;
  const left = new Set(special);
  const pool = Array.from({ length: vocab }, (_, id) => id).filter((id) => !left.has(id) && id !== bos);
  if (pool.length < length)
    throw new LabError(
      'request-invalid',
      `${length} different tokens cannot be drawn: this model has ${pool.length} beside its special ones.`,
      'Give a smaller length.',
    );
  const next = counter(seed);
  return Array.from({ length: repeats }, () => {
    // The first `length` of a shuffle.
    for (let i = 0; i < length; i++) {
      const j = i + Math.floor(next() * (pool.length - i));
      [pool[i], pool[j]] = [pool[j] ?? 0, pool[i] ?? 0];
    }
    const once = pool.slice(0, length);
    return [...(bos === undefined ? [] : [bos]), ...once, ...once];
  });
}
