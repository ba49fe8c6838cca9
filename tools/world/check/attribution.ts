/**
 * How far estimates by gradients can be trusted in this model: attribution patching (Nanda 2023) beside the exact grid, on “… gave a lantern to” with the other giver. The
 * correlation over the cells of all prompts together, and of the prompts one by one, where the middle one is told.
 */
import { indirectObjects } from '../index';
import { mean, type Claim, type Measure } from './claim';
import { estimated } from './in-page';

export function correlation(pairs: readonly (readonly [number, number])[]): number {
  const both = pairs.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const [mx, my] = [mean(both.map(([x]) => x)), mean(both.map(([, y]) => y))];
  const along = (of: (x: number, y: number) => number): number => mean(both.map(([x, y]) => of(x - mx, y - my)));
  return along((x, y) => x * y) / Math.sqrt(along((x) => x * x) * along((_, y) => y * y));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.ceil((sorted.length - 1) / 2)]];
  return ((low ?? NaN) + (high ?? NaN)) / 2;
}

/** The stream as it enters a layer holds everything at once: it is told and has no bar. */
const GRIDS = [
  { over: 'z', grid: 'layer-head', bar: 0.8 },
  { over: 'attn_out', grid: 'layer-position', bar: 0.8 },
  { over: 'mlp_out', grid: 'layer-position', bar: 0.8 },
  { over: 'resid_pre', grid: 'layer-position', bar: undefined },
] as const;

export const attribution: Claim = {
  name: 'attribution',
  async run(benches, smaller) {
    const asked = indirectObjects(Math.ceil(60 / smaller), 2);
    const n = asked.length;
    const measures: Measure[] = [];
    const notes: string[] = [];
    for (const { over, grid, bar } of GRIDS) {
      const found = await benches.each(
        asked.map(({ prompt, corrupted, right, wrong }) => ({ clean: prompt, corrupted, right, wrong, over, grid })),
        estimated,
      );
      const cells = found.map(({ exact, estimate }) => exact.map((value, i) => [value, estimate[i] ?? NaN] as const));
      const [all, one] = [correlation(cells.flat()), median(cells.map(correlation))];
      if (bar !== undefined)
        measures.push({ what: `${over} by ${grid}, r of all cells`, value: all, bar, at: 'least', n, leastN: 50, unit: 'number' });
      const lowest = Math.min(...cells.map(correlation));
      notes.push(
        `${over} by ${grid}: r ${all.toFixed(3)} over ${cells.flat().length} cells; of one prompt ${one.toFixed(3)} in the middle, ${lowest.toFixed(3)} at the least`,
      );
    }
    return { measures, notes };
  },
};
