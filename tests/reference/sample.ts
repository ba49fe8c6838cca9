/**
 * The sampler's choice in float64, with the kernel's own noise: argmax over the kept tokens of (x − max)/temperature + g,
 * g = −log(−log u) (Gumbel 1954), u from O'Neill's PCG hash (2014) of seed, position and token. Kept: the top k, ties with
 * the k-th among them; of those, the smallest set of the most probable, ties kept, that reaches top p of what is left.
 */
import { at } from './array';
import { topK } from './softmax';

export interface Sampling {
  temperature: number;
  topK: number;
  topP: number;
  seed: number;
}

export function pcg(v: number): number {
  const s = (Math.imul(v, 747796405) + 2891336453) >>> 0;
  const w = Math.imul((s >>> ((s >>> 28) + 4)) ^ s, 277803737) >>> 0;
  return ((w >>> 22) ^ w) >>> 0;
}

/** In (0, 1): the middle of one of 2²³ equal parts. */
export function uniform(seed: number, position: number, token: number): number {
  const word = pcg((token + pcg((position + pcg(seed >>> 0)) >>> 0)) >>> 0);
  return ((word >>> 9) + 0.5) / 2 ** 23;
}

/** −log(−log(1 − v)): the chance of a large g is that of a small v, where floating point is fine-grained. */
export const gumbel = (v: number): number => -Math.log(-Math.log1p(-v));

/** The kept tokens, and how near the sum came to deciding otherwise: |mass − goal| over the whole, at the closest call. */
export function kept(x: ArrayLike<number>, { temperature, topK: k, topP: p }: Sampling): { tokens: number[]; slack: number } {
  const order = topK(x, x.length);
  const least = k > 0 && k < x.length ? at(x, at(order, k - 1)) : -Infinity;
  const left = order.filter((token) => at(x, token) >= least);
  if (p >= 1) return { tokens: left, slack: Infinity };
  const high = at(x, at(order, 0));
  const weight = left.map((token) => Math.exp((at(x, token) - high) / temperature));
  const all = weight.reduce((sum, each) => sum + each, 0);
  let mass = 0;
  let slack = Infinity;
  for (let i = 0; i < left.length; i++) {
    mass += at(weight, i);
    if (i + 1 < left.length && at(x, at(left, i + 1)) === at(x, at(left, i))) continue;
    slack = Math.min(slack, Math.abs(mass / all - p));
    if (mass >= p * all) return { tokens: left.slice(0, i + 1), slack };
  }
  return { tokens: left, slack };
}

/** The token at `position`, and how far the runner-up was behind. */
export function sample(x: ArrayLike<number>, settings: Sampling, position: number): { token: number; margin: number; slack: number } {
  const order = topK(x, 1);
  const high = at(x, at(order, 0));
  if (settings.temperature === 0) return { token: at(order, 0), margin: Infinity, slack: Infinity };
  const { tokens, slack } = kept(x, settings);
  let token = -1;
  let best = -Infinity;
  let margin = Infinity;
  for (const each of tokens) {
    const score = (at(x, each) - high) / settings.temperature + gumbel(uniform(settings.seed, position, each));
    if (score > best || (score === best && each < token)) {
      margin = score - best;
      best = score;
      token = each;
    } else margin = Math.min(margin, best - score);
  }
  return { token, margin, slack };
}
