/**
 * Noise on the embeddings of some tokens, for causal tracing (Meng et al. 2022): Gaussian, of so many standard deviations of the embedding table's entries, as they
 * stand in hook_embed (Gemma's multiplied by √d_model). What is drawn depends on seed, draw, position and place alone.
 */
import type { EngineEdit } from '../../contract';
import type { EngineNoise } from '../../contract-sweep';
import { metricPosition } from './metric';
import { matrixOf } from '../matrices';
import type { Runtime } from '../runtime';
import { eachStretch } from '../weight-words';

/** Of all the entries of the embedding table, in float64. */
export async function embeddingDeviation(model: Runtime, stop?: () => void): Promise<number> {
  const matrix = matrixOf(model.planner.weights, 'embed');
  const { dModel, embedScale, vocab } = model.spec;
  let [sum, square] = [0, 0];
  await eachStretch(
    model,
    matrix,
    // Padding is zero and adds nothing.
    (_, numbers) => {
      for (const each of numbers) {
        sum += each;
        square += each * each;
      }
    },
    stop,
  );
  const count = vocab * dModel;
  return embedScale * Math.sqrt(square / count - (sum / count) ** 2);
}

/** A draw is a list of edits, one a position. */
export function drawn({ positions, scale, seed, draws }: EngineNoise, deviation: number, tokens: number, dModel: number): EngineEdit[][] {
  const places = positions.map((position) => metricPosition(position, tokens, 'The noise'));
  return Array.from({ length: draws }, (_, draw) =>
    places.map((position): EngineEdit => {
      const next = gaussians(scatter(scatter(scatter(seed >>> 0) ^ draw) ^ position));
      const vector = Float32Array.from({ length: dModel }, () => scale * deviation * next());
      return { kind: 'add', at: 'hook_embed', where: [position], skipSpecial: false, strength: 1, enabled: true, vector, scale: 1 };
    }),
  );
}

/** Murmur3's finaliser. */
function scatter(x: number): number {
  let h = x + 0x9e3779b9;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Box and Muller's pairs from a counter. */
function gaussians(seed: number): () => number {
  let counter = seed;
  const uniform = (): number => (scatter(counter++ >>> 0) + 0.5) / 2 ** 32;
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
