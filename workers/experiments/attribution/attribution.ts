/**
 * A patching grid estimated from gradients, instead of a run for every cell. Of a base run (the corrupted one to denoise, the clean one to noise) and the activations a'
 * that would be put in the place of its own a, a cell's metric is estimated as
 *
 *   m(base) + Σ (a' − a)·g        over the numbers of the cell
 *   attribution   g = ∂m/∂a in the base run: one backward pass for the whole grid (Nanda 2023, “Attribution patching”; Syed et al. 2023)
 *   integrated    g = the mean of ∂m/∂a over `steps` runs in which that layer's whole hook (every position and head) lies at a + α(a' − a), α = (i + ½)/steps, everything
 *                 before it as in the base run (Sundararajan et al. 2017, along activations; Hanna et al. 2024 do so along the embeddings). A layer's cells sum to
 *                 what patching that whole hook does, as steps grow
 *   atp-star      attribution, but queries and keys through the softmax (atp-star.ts)
 * What is put there is as in the exact sweep: the other run's; zeros; the mean of the base runs over every position of every pair; or the next pair's base run.
 */
import type { Grid, Tensor } from '../../api';

import type { EngineEdit } from '../../contract';
import { LabError } from '../../errors';
import { gradients, type GradientHands, type GradientSequence } from '../../model/backward/gradient';
import { metricGradient } from '../../model/backward/metric-gradient';
import { gathered, type PairValues } from '../../model/causal/gathered';
import { checkGrid, gridOf, overHook, type Cell, type Over } from '../../model/causal/grid';
import { metricFor, metricPosition } from '../../model/causal/metric';
import { checkPairs } from '../../model/causal/pairs';
import { runBatch } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import { attentionScale, rotaryDims, windowOf } from '../../model/spec';
import type { Estimate } from './call';
import { keyEffect, queryEffect, type HeadInputs, type Shape } from './atp-star';
import { along, meanOf, overCell, rowsOf, tensorOf, zeroOf, type Rows } from './rows';

export interface AttributionCall {
  model: Runtime;
  request: Estimate & { over: Over };
  progress?: ((done: number, of: number) => void) | undefined;
  stop?: (() => void) | undefined;
  hands?: GradientHands;
}

/** A pair's two runs, the base run's gradients, and its other side's values. */
interface Ran {
  clean: number;
  corrupted: number;
  taps: Record<string, Tensor>;
  gradients: Record<string, Tensor>;
  other: Record<string, Tensor>;
  /** As a sequence of a batch, edits to come. */
  sequence: GradientSequence;
}

/** Rows computed together at most, where steps are. */
const ROWS = 512;

export async function attribution({ model, request, progress, stop, hands = {} }: AttributionCall): Promise<Grid> {
  const start = performance.now();
  const { spec } = model;
  const { over, grid, pairs, method } = request;
  checkGrid(spec, over, grid);
  if (grid === 'latent') throw new LabError('sweep-grid', 'Only a dictionary has latents.', 'Give over: { dictionary }.');
  checkPairs(
    pairs.map(({ clean, corrupted }) => ({ clean: clean.ids, corrupted: corrupted.ids })),
    grid !== 'layer-head' || request.ablate === 'resample',
  );
  const corrected = method === 'atp-star' && (over === 'q' || over === 'k');
  if (corrected) checkCorrected(request);
  const hooks = Array.from({ length: spec.layers }, (_, layer) => overHook(over, layer));
  const extra = corrected ? hooks.flatMap((_, layer) => [...inputsAt(model, layer), `blocks.${layer}.attn.hook_pattern`]) : [];
  const turns = pairs.length * (1 + (method === 'integrated' ? spec.layers : 0));
  let done = 0;
  const turned = (): void => {
    progress?.(++done, turns);
    stop?.();
  };
  const ran: Ran[] = [];
  for (let i = 0; i < pairs.length; i++) {
    ran.push(await runPair(model, request, i, hooks, extra, hands));
    turned();
  }
  const base = ran.map(({ taps }) => hooks.map((hook) => rowsOf(taps[hook], hook)));
  const other = putThere(request, base, ran, hooks);
  const values: PairValues[] = [];
  let rows = 0;
  for (const [i, each] of ran.entries()) {
    const { length } = each.sequence.ids;
    rows += 2 * length * spec.layers;
    const slopes: Rows[] = [];
    for (const [layer, hook] of hooks.entries()) {
      const there = other[i]?.[layer];
      if (method !== 'integrated' || !there) slopes.push(rowsOf(each.gradients[hook], hook));
      else {
        const shape = each.gradients[hook]?.shape ?? [];
        slopes.push(await meanGradient(model, each.sequence, hook, tensorOf(there, shape, hook), request.steps, hands, stop));
        rows += request.steps * length * spec.layers;
        turned();
      }
    }
    const { cells } = gridOf(spec, over, grid, length);
    const from = request.direction === 'denoise' ? each.corrupted : each.clean;
    const raw: number[] = [];
    for (const cell of cells) {
      const [a, b, g] = [base[i]?.[cell.layer], other[i]?.[cell.layer], slopes[cell.layer]];
      if (!a || !b || !g) continue;
      const effect = corrected
        ? corrections(model, each, over === 'q' ? 'q' : 'k', cell)
        : overCell(cell, a, (p, u) => along(g.at(p, u), b.at(p, u), a.at(p, u), cell.source));
      raw[cell.index] = from + effect;
    }
    values.push({ raw, clean: each.clean, corrupted: each.corrupted });
  }
  const tokens = pairs[0]?.clean.ids.length ?? 0;
  const cells = pairs.reduce((sum, { clean }) => sum + gridOf(spec, over, grid, clean.ids.length).cells.length * clean.ids.length, 0);
  return {
    ...gathered(gridOf(spec, over, grid, tokens), values, request.metric.kind),
    milliseconds: performance.now() - start,
    rowsComputed: rows,
    rowsNaive: cells * spec.layers,
    rowsSkipped: 0,
  };
}

async function runPair(
  model: Runtime,
  request: Estimate,
  index: number,
  hooks: readonly string[],
  extra: readonly string[],
  hands: GradientHands,
): Promise<Ran> {
  const pair = request.pairs[index];
  if (!pair) throw new LabError('internal', 'There is no such pair.', 'Please report this.');
  const metric = metricFor(request.metric, pair);
  const position = metricPosition(metric.position, pair.clean.ids.length);
  const [baseSide, otherSide] = request.direction === 'denoise' ? [pair.corrupted, pair.clean] : [pair.clean, pair.corrupted];
  const inputs = extra.filter((hook) => !hook.endsWith('hook_pattern'));
  const run = ({ ids, edits }: typeof baseSide, taps: readonly string[]) => ({
    ids,
    promptLength: ids.length,
    edits,
    taps,
    logits: [position],
  });
  const [far, clean] = await runBatch(model, [run(otherSide, [...hooks, ...inputs]), run(pair.clean, [])], [], hands);
  if (!far || !clean) throw new LabError('internal', 'A pair of runs gave nothing.', 'Please report this.');
  const sequence: GradientSequence = {
    ids: baseSide.ids,
    promptLength: baseSide.ids.length,
    edits: baseSide.edits,
    metric: { ...metric, position },
    reference: clean.logits,
  };
  const patterns = extra.filter((hook) => hook.endsWith('hook_pattern'));
  const [near] = await gradients(model, [sequence], [...hooks, ...patterns], [...hooks, ...inputs], hands);
  if (!near) throw new LabError('internal', 'A gradient gave no result.', 'Please report this.');
  const away = metricGradient(metric, far.logits, { reference: clean.logits }).value;
  const [first, second] = request.direction === 'denoise' ? [away, near.value] : [near.value, away];
  return { clean: first, corrupted: second, taps: near.taps, gradients: near.gradients, other: far.taps, sequence };
}

/** By pair and layer: what is put in the place of the base run's own. */
function putThere(request: Estimate, base: readonly (readonly Rows[])[], ran: readonly Ran[], hooks: readonly string[]): Rows[][] {
  const { ablate } = request;
  if (ablate === 'zero') return base.map((pair) => pair.map(zeroOf));
  if (ablate === 'mean') {
    const means = hooks.map((_, layer) => meanOf(base.flatMap((pair) => pair[layer] ?? [])));
    return base.map((pair) => pair.map((rows, layer) => ({ ...(means[layer] ?? rows), positions: rows.positions })));
  }
  if (ablate === 'resample' && base.length > 1) return base.map((_, i) => [...(base[(i + 1) % base.length] ?? [])]);
  return ran.map(({ other }) => hooks.map((hook) => rowsOf(other[hook], hook)));
}

/** The mean gradient at a hook along the way from the base run's values to `to`, all of the hook at once. */
async function meanGradient(
  model: Runtime,
  base: GradientSequence,
  hook: string,
  to: Tensor,
  steps: number,
  hands: GradientHands,
  stop: (() => void) | undefined,
): Promise<Rows> {
  let sum: Float64Array | undefined;
  let shape: number[] = [];
  const most = Math.max(1, Math.floor(ROWS / base.ids.length));
  for (let first = 0; first < steps; first += most) {
    stop?.();
    const some = Array.from({ length: Math.min(most, steps - first) }, (_, i): GradientSequence => {
      // Strength α of a replacement is x + α(to − x).
      const way: EngineEdit = {
        at: hook,
        where: 'all',
        skipSpecial: false,
        enabled: true,
        strength: (first + i + 0.5) / steps,
        kind: 'replace',
        value: to,
      };
      return { ...base, edits: [...base.edits, way] };
    });
    for (const { gradients: found } of await gradients(model, some, [hook], [], hands)) {
      const tensor = found[hook];
      if (!tensor) continue;
      shape = tensor.shape;
      sum ??= new Float64Array(tensor.data.length);
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (tensor.data[i] ?? 0) / steps;
    }
  }
  return rowsOf(sum && { shape, data: Float32Array.from(sum) }, hook);
}

/** The queries and keys that are multiplied: turned where there is a rotation. */
function inputsAt({ spec }: Runtime, layer: number): [q: string, k: string] {
  const turned = rotaryDims(spec) > 0 ? 'rot_' : '';
  return [`blocks.${layer}.attn.hook_${turned}q`, `blocks.${layer}.attn.hook_${turned}k`];
}

function checkCorrected({ ablate, pairs }: Estimate): void {
  const edited = pairs.some(({ clean, corrupted }) =>
    [...clean.edits, ...corrupted.edits].some(({ at }) => at.endsWith('hook_attn_scores') || at.endsWith('hook_pattern')),
  );
  if (ablate === undefined && !edited) return;
  throw new LabError(
    'option-unsupported',
    edited
      ? 'atp-star computes patterns again, and edits at scores or patterns are in force.'
      : `atp-star takes queries and keys from the pair’s other run, not from ablate: '${ablate}'.`,
    "Ask for method: 'attribution'.",
  );
}

function corrections(model: Runtime, { taps, other, gradients: slopes }: Ran, which: 'q' | 'k', cell: Cell): number {
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
