/** What AtP*'s correction (atp-star.ts) takes from runs: queries and keys as they are multiplied, of the base run and of what is put there. */
import type { Tensor } from '../../api';
import type { EngineEdit } from '../../contract';
import { LabError } from '../../errors';
import type { Cell } from '../../model/causal/grid';
import { runBatch } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import { attentionScale, rotaryDims, windowOf } from '../../model/spec';
import { keyEffect, queryEffect, type HeadInputs, type Shape } from './atp-star';
import type { Estimate, Hands } from './call';
import { overCell, rowsOf, tensorOf, type Rows } from './rows';
import type { Ran } from './runs';

/** The queries and keys that are multiplied: turned where there is a rotation. */
export function inputsAt({ spec }: Runtime, layer: number): [q: string, k: string] {
  const turned = rotaryDims(spec) > 0 ? 'rot_' : '';
  return [`blocks.${layer}.attn.hook_${turned}q`, `blocks.${layer}.attn.hook_${turned}k`];
}

export function checkCorrected({ pairs }: Estimate): void {
  const edited = pairs.some(({ clean, corrupted }) =>
    [...clean.edits, ...corrupted.edits].some(({ at }) => at.endsWith('hook_attn_scores') || at.endsWith('hook_pattern')),
  );
  if (!edited) return;
  throw new LabError(
    'option-unsupported',
    'atp-star computes patterns again, and edits at scores or patterns are in force.',
    "Ask for method: 'attribution'.",
  );
}

/**
 * What is put in the place of queries or keys, turned: every layer's at once, in a run of the base prompt, since what comes between a query and its score is of its own
 * position and layer.
 */
export async function turned(
  { model, hands, turn }: Hands,
  { sequence }: Ran,
  hooks: readonly string[],
  put: readonly Rows[],
): Promise<Record<string, Tensor>> {
  const edits = hooks.flatMap((at, layer): EngineEdit[] => {
    const rows = put[layer];
    if (!rows) return [];
    const value = tensorOf(rows, [rows.positions, rows.units, rows.width], at);
    return [{ at: at as EngineEdit['at'], kind: 'replace', value, where: 'all', skipSpecial: false, strength: 1, enabled: true }];
  });
  const { ids } = sequence;
  const taps = hooks.flatMap((_, layer) => inputsAt(model, layer));
  const [run] = await turn(() =>
    runBatch(model, [{ ids, promptLength: ids.length, edits: [...sequence.edits, ...edits], taps, logits: [] }], [], hands),
  );
  return run?.taps ?? {};
}

/** A cell's effect, `other` being the turned queries and keys that are put there. */
export function correction(
  model: Runtime,
  { taps, gradients: slopes }: Ran,
  other: Record<string, Tensor>,
  which: 'q' | 'k',
  cell: Cell,
): number {
  const { spec } = model;
  const { layer } = cell;
  const [q, k] = inputsAt(model, layer);
  const inputs = (from: Record<string, Tensor>): HeadInputs => ({ q: rowsOf(from[q], q), k: rowsOf(from[k], k) });
  const [base, far] = [inputs(taps), inputs(other)];
  const pattern = `blocks.${layer}.attn.hook_pattern`;
  const gradient = rowsOf(slopes[pattern], pattern);
  const shape: Shape = { spec, scale: attentionScale(spec, layer), cap: spec.attention.cap, window: windowOf(spec, layer) };
  if (which === 'q') return overCell(cell, base.q, (p, head) => queryEffect(base, far, gradient, shape, p, head));
  const groups = cell.head === undefined ? Array.from({ length: spec.kvHeads }, (_, g) => g) : [cell.head];
  return groups.reduce((sum, group) => sum + keyEffect(base, far, gradient, shape, cell.position, group), 0);
}
