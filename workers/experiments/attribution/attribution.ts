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
import type { Grid } from '../../api';
import { LabError } from '../../errors';
import { gathered, type PairValues } from '../../model/causal/gathered';
import { checkGrid, gridOf, overHook, type Over } from '../../model/causal/grid';
import { checkPairs } from '../../model/causal/pairs';
import { checkCorrected, correction, inputsAt, turned } from './atp-star-runs';
import type { Estimate, Hands } from './call';
import { meanGradient } from './integrated';
import { along, meanOf, overCell, rowsOf, tensorOf, zeroOf, type Rows } from './rows';
import { runPair, type Ran } from './runs';

export interface AttributionCall extends Hands {
  request: Estimate & { over: Over };
}

export const isCorrected = ({ method, over }: Pick<Estimate, 'method' | 'over'>): boolean =>
  method === 'atp-star' && (over === 'q' || over === 'k');

/** Hooks whose gradients are asked of the base run, and whose values are of both. */
export function seenOf(
  model: Hands['model'],
  { method, over }: Pick<Estimate, 'method'> & { over: Over },
): { hooks: string[]; at: string[]; taps: string[] } {
  const layers = Array.from({ length: model.spec.layers }, (_, layer) => layer);
  const hooks = layers.map((layer) => overHook(over, layer));
  if (!isCorrected({ method, over })) return { hooks, at: hooks, taps: hooks };
  return {
    hooks,
    at: [...hooks, ...layers.map((layer) => `blocks.${layer}.attn.hook_pattern`)],
    taps: [...hooks, ...layers.flatMap((layer) => inputsAt(model, layer))],
  };
}

export async function attribution({ request, ...hands }: AttributionCall): Promise<Grid> {
  const start = performance.now();
  const { model, progress, stop } = hands;
  const { spec } = model;
  const { over, grid, pairs, method, ablate } = request;
  checkGrid(spec, over, grid, ablate);
  if (grid === 'latent') throw new LabError('sweep-grid', 'Only a dictionary has latents.', 'Give over: { dictionary }.');
  checkPairs(
    pairs.map(({ clean, corrupted }) => ({ clean: clean.ids, corrupted: corrupted.ids })),
    grid !== 'layer-head' || ablate === 'resample',
  );
  const corrected = isCorrected(request);
  if (corrected) checkCorrected(request);
  const { hooks, ...seen } = seenOf(model, request);
  const turns = pairs.length * (1 + (method === 'integrated' ? spec.layers : 0));
  let done = 0;
  const taken = (): void => {
    progress?.(++done, turns);
    stop?.();
  };
  const ran: Ran[] = [];
  for (let i = 0; i < pairs.length; i++) {
    ran.push(await runPair(hands, request, i, seen));
    taken();
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
        const to = tensorOf(there, each.gradients[hook]?.shape ?? [], hook);
        slopes.push(rowsOf(await meanGradient(hands, each.sequence, hook, to, request.steps), hook));
        rows += request.steps * length * spec.layers;
        taken();
      }
    }
    const { cells } = gridOf(spec, over, grid, length);
    const from = request.direction === 'denoise' ? each.corrupted : each.clean;
    // What an ablation puts there has not been turned yet.
    const inputs = corrected ? (ablate === undefined ? each.other : await turned(hands, each, hooks, other[i] ?? [])) : {};
    if (corrected && ablate !== undefined) rows += length * spec.layers;
    const raw: number[] = [];
    for (const cell of cells) {
      const [a, b, g] = [base[i]?.[cell.layer], other[i]?.[cell.layer], slopes[cell.layer]];
      if (!a || !b || !g) continue;
      const effect = corrected
        ? correction(model, each, inputs, over === 'q' ? 'q' : 'k', cell)
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
