/**
 * Every head on random tokens that are said twice: induction, previous-token and duplicate-token scores (head-scores/stripes.ts). Patterns are
 * large (heads × tokens² a layer and sequence), so as many layers and sequences are tapped at once as a bound allows, and only means are kept.
 */
import type { HeadScores } from '../api-causal';
import type { EngineHeadScores } from '../contract-reading';
import { LabError } from '../errors';
import { runBatch } from '../model/run';
import type { Runtime } from '../model/runtime';
import { KINDS, repeated, stripes } from './head-scores/stripes';

/** Bytes of patterns held at once. */
const PATTERNS = 48 << 20;
const ROWS = 1024;

export async function headScores(
  model: Runtime,
  request: EngineHeadScores,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<HeadScores> {
  const { layers, heads, vocab } = model.spec;
  const { length, repeats, bos, edits } = request;
  const start = bos === undefined ? 0 : 1;
  const tokens = start + 2 * length;
  if (length < 2 || tokens > model.context)
    throw new LabError(
      'request-invalid',
      `Twice ${length} tokens do not fit: this model reads ${model.context}.`,
      `Give a length from 2 to ${Math.floor((model.context - start) / 2)}.`,
    );
  const sequences = repeated({ ...request, vocab });
  const bytes = 4 * heads * tokens * tokens;
  const at = Math.max(1, Math.min(layers, Math.floor(PATTERNS / bytes)));
  const together = Math.max(1, Math.min(repeats, Math.floor(PATTERNS / (bytes * at)), Math.floor(ROWS / tokens)));
  const sums = Object.fromEntries(KINDS.map((kind) => [kind, new Float64Array(layers * heads)]));
  let done = 0;
  for (let first = 0; first < repeats; first += together)
    for (let layer = 0; layer < layers; layer += at) {
      stop?.();
      const taps = Array.from({ length: Math.min(at, layers - layer) }, (_, i) => `blocks.${layer + i}.attn.hook_pattern`);
      const some = sequences.slice(first, first + together);
      const results = await runBatch(
        model,
        some.map((ids) => ({ ids, promptLength: ids.length, edits, taps, logits: [] })),
      );
      for (const result of results)
        taps.forEach((hook, i) => {
          const found = stripes(result.taps[hook]?.data ?? [], heads, start, length);
          for (const kind of KINDS)
            found[kind].forEach((each, head) => {
              const to = sums[kind];
              if (to) to[(layer + i) * heads + head] = (to[(layer + i) * heads + head] ?? 0) + each / repeats;
            });
        });
      progress?.((done += taps.length * some.length), layers * repeats);
    }
  const tensor = (kind: (typeof KINDS)[number]) => ({ shape: [layers, heads], data: Float32Array.from(sums[kind] ?? []) });
  return { induction: tensor('induction'), previous: tensor('previous'), duplicate: tensor('duplicate'), tokens: repeats * length };
}
