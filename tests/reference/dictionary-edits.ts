/**
 * What an edit of latents does at a dictionary's hookOut, where y stands (x itself unless it is a transcoder):
 *   latent: out = f(edited a) + (y − f(a)), a = encode(x)      splice: y ↦ f(a), or y where the error is kept
 * every one at its strength, x + s·(f(x) − x) (lab.d.ts). Latent edits of one dictionary at one hook share the clean encoding and
 * apply in list order to it, each at its own strength; f is affine in a, so this is each alone, added up, for different latents.
 */
import { at } from './array';
import { decode, encode, errorTerm, reconstruct, rowsOf, type Dictionary } from './dictionary';
import { blend } from './edits';

export interface LatentEdit {
  latent: number;
  /** set: a = value. add: a + value. scale: a·value. The latent's own units; a set or add acts where it was silent too. */
  op: 'set' | 'add' | 'scale';
  value: number;
  strength: number;
}

/** What a latent's activation becomes, at full strength. */
function changed(op: LatentEdit['op'], activation: number, value: number): number {
  if (op === 'set') return value;
  return op === 'add' ? activation + value : activation * value;
}

/** Activations [n, latents] with the edits in force in every row. */
export function editActivations({ spec }: Dictionary, activations: ArrayLike<number>, edits: readonly LatentEdit[]): Float64Array {
  const out = Float64Array.from(activations);
  for (const { latent, op, value, strength } of edits) {
    if (!Number.isInteger(latent) || latent < 0 || latent >= spec.latents) throw new RangeError(`latent ${latent} of ${spec.latents}`);
    for (let row = 0; row < rowsOf(activations, spec.latents); row++) {
      const i = row * spec.latents + latent;
      const before = at(out, i);
      out[i] = before + strength * (changed(op, before, value) - before);
    }
  }
  return out;
}

/** All `latent` edits of one dictionary at its hookOut. */
export function latentEdits(
  dictionary: Dictionary,
  edits: readonly LatentEdit[],
  x: ArrayLike<number>,
  y: ArrayLike<number> = x,
): Float64Array {
  const edited = decode(dictionary, editActivations(dictionary, encode(dictionary, x), edits), x);
  return errorTerm(dictionary, x, y).map((error, i) => at(edited, i) + error);
}

/** The dictionary put in the stream's place, with or without what it misses. */
export function splice(
  dictionary: Dictionary,
  { keepError, strength }: { keepError: boolean; strength: number },
  x: ArrayLike<number>,
  y: ArrayLike<number> = x,
): Float64Array {
  return blend(y, keepError ? y : reconstruct(dictionary, x), strength);
}
