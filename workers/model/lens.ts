/**
 * The logit lens: ln_final and W_U read at every layer's residual, its statistics recomputed there (as TransformerLens's
 * accumulated_resid with apply_ln), and how far each layer's distribution is from the last: KL(final ‖ layer), in nats.
 */
import type { EngineLens, EngineLensResult } from '../contract';
import { LabError } from '../errors';
import { readRows } from './read-rows';
import { runBatch } from './run';
import type { Runtime } from './runtime';

export function lensLayers(layers: number): string[] {
  return [...Array.from({ length: layers }, (_, l) => `blocks.${l}.hook_resid_pre`), `blocks.${layers - 1}.hook_resid_post`];
}

/** What stands between a layer and the unembedding, where it is not the logit lens: the hooks it reads, and what it makes of their rows. */
export interface LensChange {
  hooks: readonly string[];
  rows(hook: string, rows: Float32Array): Promise<Float32Array>;
}

export async function logitLens(
  model: Runtime,
  request: EngineLens,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
  change?: LensChange,
): Promise<EngineLensResult> {
  const { spec } = model;
  const { ids } = request;
  if (request.edits.some((edit) => edit.at.startsWith('ln_final.')))
    throw new LabError(
      'option-unsupported',
      'The lens reads every layer through the unedited ln_final; an edit there has no meaning for it.',
      'Leave out edits at ln_final, or read the logits with lab.run.',
    );
  if (request.track !== undefined && request.track >= spec.vocabOut)
    throw new LabError(
      'token-range',
      `${request.track} is no token that this model’s head names; those go from 0 to ${spec.vocabOut - 1}.`,
      'Track a token that can be an answer.',
    );
  const plain = lensLayers(spec.layers);
  const layers = change ? [...new Set([...change.hooks, ...plain.slice(-1)])] : plain;
  // resid_pre of a layer is read before that layer's own edits at resid_pre would be applied twice: taps come after edits,
  // so each entry is the stream as the next block reads it.
  const [run] = await runBatch(model, [{ ids, promptLength: ids.length, edits: request.edits, taps: layers, logits: [] }]);
  const top = Math.min(request.top, spec.vocabOut);
  const sets = layers.map((hook) => ({ hook, rows: run?.taps[hook]?.data ?? new Float32Array(0) }));
  const reference = layers.length - 1;
  // The last entry is the model itself, whatever lens is on.
  if (change)
    for (const set of sets.slice(0, reference)) {
      stop?.();
      set.rows = await change.rows(set.hook, set.rows);
    }
  const { track } = request;
  const read = await readRows(
    model,
    { sets, reference, top, ...(track === undefined ? {} : { targets: ids.map(() => track) }) },
    progress,
    stop,
  );
  return {
    layers,
    ids: read.map((rows) => rows.map((row) => row.top.map(({ id }) => id))),
    probabilities: read.map((rows) => rows.map((row) => row.top.map(({ probability }) => probability))),
    entropy: read.map((rows) => rows.map((row) => Math.max(0, row.entropy))),
    // The last entry is the reference itself; elsewhere rounding may leave a tiny negative number.
    klToFinal: read.map((rows, l) => rows.map((row) => (l === reference ? 0 : Math.max(0, row.kl)))),
    ...(track === undefined
      ? {}
      : {
          rank: read.map((rows) => rows.map((row) => row.targetRank)),
          probability: read.map((rows) => rows.map((row) => Math.exp(row.targetLogProb))),
        }),
  };
}
