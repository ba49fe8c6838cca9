/** Next-token loss, in nats a position: −log p(the token that came), taken in float64 from the GPU's maximum and sum. */
import type { EngineEdit } from '../contract';
import { LabError } from '../errors';
import { runBatch } from './run';
import type { Runtime } from './runtime';

export async function loss(model: Runtime, ids: readonly number[], edits: readonly EngineEdit[]): Promise<Float32Array> {
  if (ids.length < 2) throw new LabError('prompt-empty', 'A loss needs two tokens: one to read and one that came.', 'Give a longer text.');
  const positions = ids.slice(0, -1).map((_, i) => i);
  const [result] = await runBatch(model, [
    { ids, promptLength: ids.length, edits, taps: [], logits: [], distribution: { positions, top: 0, targets: ids.slice(1) } },
  ]);
  // A token that the head cannot name has no probability at all.
  return Float32Array.from(result?.distribution ?? [], (row, i) =>
    (ids[i + 1] ?? 0) < model.spec.vocabOut ? -row.targetLogProb : Infinity,
  );
}
