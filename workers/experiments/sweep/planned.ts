/** What a sweep would take, told by its tokens alone before anything runs. Where no-ops are skipped, cells before a pair's first difference are not computed. */
import type { EngineSweep } from '../../contract-sweep';
import type { AnyDictionary } from '../../dictionary/neurons';
import { gridOf, latentGrid, type Cell, type Over } from '../../model/causal/grid';
import { MOST_LATENTS } from '../../model/causal/largest';
import { firstDifference } from '../../model/causal/pairs';
import { metricPosition } from '../../model/causal/metric';
import type { Layout } from '../../model/layout';
import type { ModelSpec } from '../../model/spec';
import type { Laid } from './cells';
import { baselineRows, chunksOf, rowLayers, type Limits, type Shape } from './chunks';
import { latentLayer } from './latents';

export interface RowsPlanned {
  cells: number;
  rowsComputed: number;
  rowsNaive: number;
  chunks: { shape: Shape; laid: Laid[] }[];
  shapes: Shape[];
}

export function rowsPlanned(
  { spec, layout }: { spec: ModelSpec; layout: Layout },
  request: EngineSweep,
  swept: { over: Over } | { dictionary: AnyDictionary },
  limits: Limits,
): RowsPlanned {
  const out: RowsPlanned = { cells: 0, rowsComputed: 0, rowsNaive: 0, chunks: [], shapes: [] };
  const { noise } = request;
  const pairs = noise ? request.pairs.flatMap((pair) => Array.from({ length: noise.draws }, () => pair)) : request.pairs;
  for (const pair of pairs) {
    const tokens = pair.clean.length;
    const shape: Shape = { spec, layout, tokens, open: 'over' in swept && swept.over === 'pattern' };
    const last = metricPosition(request.metric.position, tokens);
    const first = (): number => {
      if (noise) return Math.min(...noise.positions.map((position) => metricPosition(position, tokens, 'The noise')));
      return request.ablate ? 0 : firstDifference(pair);
    };
    const least = request.skip ? first() : 0;
    const cells = cellsOf(spec, request, swept, tokens);
    const laid = cells.flatMap((cell): Laid[] => {
      const from = Math.max(cell.position ?? 0, cell.position === undefined ? least : 0);
      if (request.skip && (from > last || (cell.position ?? least) < least)) return [];
      return [{ cell, layer: cell.layer, from: Math.min(from, last) }];
    });
    out.cells += cells.length;
    out.rowsNaive += cells.length * spec.layers * tokens;
    out.rowsComputed += baselineRows(shape) + laid.reduce((sum, each) => sum + rowLayers(shape, each), 0);
    out.shapes.push(shape);
    for (const chunk of chunksOf(shape, laid, limits)) out.chunks.push({ shape, laid: chunk });
  }
  return out;
}

function cellsOf(
  spec: ModelSpec,
  { grid, latents }: EngineSweep,
  swept: { over: Over } | { dictionary: AnyDictionary },
  tokens: number,
): Cell[] {
  if ('over' in swept && grid !== 'latent') return gridOf(spec, swept.over, grid, tokens).cells;
  if ('over' in swept) return [];
  const d = swept.dictionary;
  // How many there are is known once the pair was run.
  const named = latents ?? Array.from({ length: Math.min(MOST_LATENTS, d.spec.latents) }, (_, i) => i);
  return latentGrid(latentLayer(d), named).cells;
}
