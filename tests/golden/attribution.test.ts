/**
 * Estimates by gradients beside the exact grids, on the demo world's indirect objects: “… and … . … gave a lantern to”, patched from the run with the other giver.
 * The bar for z by layer × head and for what attention and MLPs write is a correlation of 0.8; resid_pre is reported. And what integrated gradients promise: a
 * layer's cells sum to what patching the whole layer does.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { indirectObjects } from '../../tools/world';
import type { Grid } from '../../workers/api';
import type { EngineSweep } from '../../workers/contract-sweep';
import { openBench, type Bench } from '../support/engine';
import { demoModel } from './demo';

const PROMPTS = 3;
let bench: Bench;
/** Each prompt with its own names: a request of its own. */
let asked: Pick<EngineSweep, 'pairs' | 'metric'>[];
beforeAll(async () => {
  bench = await openBench(await demoModel());
  const ids = async (text: string): Promise<number[]> => (await bench.files.tokenize(bench.record.id, text, true)).ids;
  const last = async (word: string): Promise<number> => (await ids(word)).at(-1) ?? 0;
  asked = [];
  for (const { prompt, corrupted, right, wrong } of indirectObjects(PROMPTS, 2))
    asked.push({
      pairs: [{ clean: await ids(prompt), corrupted: await ids(corrupted) }],
      metric: { kind: 'logit-diff', position: -1, tokens: [await last(right), await last(wrong)] },
    });
});
afterAll(async () => bench.engine.unload(bench.record.id));

type Method = Parameters<Bench['engine']['attribution']>[0]['method'];
type What = Pick<EngineSweep, 'over' | 'grid'>;
const rest = { edits: [], direction: 'denoise' as const };
const exact = (what: What, each: (typeof asked)[number]): Promise<Grid> =>
  bench.engine.sweep({ ...each, ...what, ...rest, skip: true }, 'exact');
const estimated = (what: What, each: (typeof asked)[number], method: Method = 'attribution'): Promise<Grid> =>
  bench.engine.attribution({ ...each, ...what, ...rest, method, steps: 8 }, 'estimate');

function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const both = Array.from(a, (x, i) => [x, b[i] ?? NaN] as const).filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const mean = (of: (pair: readonly [number, number]) => number): number => both.reduce((sum, pair) => sum + of(pair), 0) / both.length;
  const [ma, mb] = [mean(([x]) => x), mean(([, y]) => y)];
  const cov = mean(([x, y]) => (x - ma) * (y - mb));
  return cov / Math.sqrt(mean(([x]) => (x - ma) ** 2) * mean(([, y]) => (y - mb) ** 2));
}

const values = (grids: readonly Grid[]): number[] => grids.flatMap(({ value }) => [...value.data]);

test.each([
  ['z', 'layer-head', 0.8],
  ['attn_out', 'layer-position', 0.8],
  ['mlp_out', 'layer-position', 0.8],
  ['resid_pre', 'layer-position', 0],
] as const)('attribution of %s by %s', async (over, grid, bar) => {
  const [right, guess]: [Grid[], Grid[]] = [[], []];
  for (const each of asked) {
    right.push(await exact({ over, grid }, each));
    guess.push(await estimated({ over, grid }, each));
  }
  guess.forEach((each, i) => {
    expect(each.axes).toEqual(right[i]?.axes);
    expect(each.clean).toBeCloseTo(right[i]?.clean ?? NaN, 3);
    expect(each.corrupted).toBeCloseTo(right[i]?.corrupted ?? NaN, 3);
  });
  const r = correlation(values(right), values(guess));
  console.log(`${over}, ${grid}: r = ${r.toFixed(3)} over ${values(right).length} cells of ${asked.length} prompts`);
  expect(r).toBeGreaterThan(bar);
});

test.each(['q', 'k'] as const)('AtP* of %s is nearer than the gradient', async (over) => {
  const what: What = { over, grid: 'layer-head' };
  const [first] = asked;
  if (!first) throw new Error('no prompts');
  const right = await exact(what, first);
  const [plain, star] = [await estimated(what, first), await estimated(what, first, 'atp-star')];
  const [r, corrected] = [plain, star].map((grid) => correlation(right.value.data, grid.value.data));
  console.log(`${over}: r = ${r?.toFixed(3)} by gradients, ${corrected?.toFixed(3)} by AtP*`);
  expect(corrected).toBeGreaterThan(0.95);
  expect(corrected).toBeGreaterThan(r ?? NaN);
});

test('integrated gradients of a layer’s whole stream sum to what patching it does: all', async () => {
  const [first] = asked;
  if (!first) throw new Error('no prompts');
  const { value } = await estimated({ over: 'resid_pre', grid: 'layer-position' }, first, 'integrated');
  const [layers = 0, positions = 0] = value.shape;
  const sums = Array.from({ length: layers }, (_, l) => value.data.subarray(l * positions, (l + 1) * positions).reduce((a, b) => a + b, 0));
  console.log(`integrated: ${sums.map((sum) => sum.toFixed(3)).join(' ')}`);
  for (const sum of sums) expect(Math.abs(sum - 1)).toBeLessThan(0.03);
});
