/**
 * Plans of real models against the least that WebGPU promises: workgroups a dimension, storage buffers a stage, and, byte for byte,
 * that what a copy reads lies inside the buffer that was asked for.
 */
import { expect, test } from 'vitest';
import type { Op, Pool } from '../../../workers/gpu/commands';
import type { Site } from '../../../workers/kernels/rowwise';
import { centerColumns, foldRows, foldValues } from '../../../workers/kernels/fold';
import { geometryOf, hooksOf } from '../../../workers/model/hooks';
import { layoutOf } from '../../../workers/model/layout';
import { weightTable } from '../../../workers/model/matrices';
import { unembed } from '../../../workers/model/head';
import { plan, type PlanInput, type Planner } from '../../../workers/model/plan';
import { applicable, processedSpec } from '../../../workers/model/processing';
import { allocate } from '../../../workers/model/scratch';
import { SPECS, type ModelName } from '../../support/specs';

const BINDING = 128 << 20;
const ALL = { foldLn: true, foldValueBiases: true, centerWritingWeights: true, centerUnembed: true };
const NAMES = Object.keys(SPECS) as ModelName[];

const planners = (name: ModelName): Planner[] =>
  [SPECS[name], processedSpec(SPECS[name], applicable(SPECS[name], ALL))].flatMap((whole) => {
    // Layers are alike but for their windows and tables: six have every kind.
    const spec = { ...whole, layers: Math.min(whole.layers, 6) };
    const layout = layoutOf(spec);
    const base = { spec, layout, weights: weightTable(spec, () => 'f32', BINDING), hooks: hooksOf(spec, layout) };
    return [
      { ...base, variants: { matvec: 'register', matmul: 'register', attention: 'serial' } as const },
      { ...base, variants: { matvec: 'workgroup', matmul: 'tiled', attention: 'workgroup' } as const },
    ];
  });

function within(ops: readonly Op[]): void {
  for (const op of ops) {
    if (op.op === 'copy') continue;
    for (const groups of op.groups) expect(groups, `${op.file} at ${op.hook ?? ''}`).toBeLessThanOrEqual(65535);
    expect(op.bind.filter((bind) => bind !== null).length, op.file).toBeLessThanOrEqual(8);
    // Written and read in one dispatch: what WebGPU refuses.
    const names = op.bind.flatMap((bind) => (bind ? [bind.buffer] : []));
    expect(new Set(names).size, `${op.file}: ${names.join()}`).toBe(names.length);
  }
}

test.each(NAMES)('%s: every grid and every binding', (name) => {
  for (const planner of planners(name)) {
    for (const rows of [1, 4, 5, Math.min(planner.spec.context, 32768)])
      for (const looked of [false, true]) {
        const site: Site = { first: 20, count: 1 };
        const sites = new Map(looked ? [...planner.hooks.keys()].map((hook) => [hook, site] as const) : []);
        const { ops, stream } = plan(planner, { rows, cache: { slots: 1, cap: rows, kept: false }, keys: rows, sites, taps: [] });
        within([...ops, ...unembed(planner, { x: stream.buffer, row0: 0, rows: Math.min(rows, 4096), normed: stream.normed })]);
      }
    const { heads, kvHeads, dHead, dModel } = planner.spec;
    for (const matrix of planner.weights.matrices.values()) {
      within([...foldRows({ weights: matrix, width: dModel, norm: { gain: 0, bias: 0 }, center: true }), ...centerColumns(matrix)]);
      if (matrix.name.endsWith('attn.out'))
        within(foldValues({ weights: matrix, heads, kvHeads, dHead, dHeadPadded: planner.layout.dHead, value: 0, bias: 0 }));
    }
  }
});

test.each(NAMES)('%s: every tap lies inside its buffer, where rows enter late too', (name) => {
  for (const planner of planners(name)) {
    const rows = 9;
    const keys = 12;
    const starts = [
      { layer: 1, row0: 5, rows: 2, storedRow: 0 },
      { layer: 3, row0: 7, rows: 2, storedRow: 2 },
    ];
    const active = (layer: number | undefined): number =>
      starts.reduce((most, start) => (start.layer > (layer ?? -1) ? Math.min(most, start.row0) : most), rows);
    const taps = [...planner.hooks.values()].map((info, i) => {
      const many = info.name.startsWith('ln_final') ? rows : active(info.layer);
      return { hook: info.name, row0: 0, rows: many, to: `read.${i}`, offset: 0 };
    });
    const cache = { slots: 3, cap: keys, kept: false };
    const input: PlanInput = { rows, cache, keys, sites: new Map(), taps, starts };
    const { ops } = plan(planner, input);
    const sizes = new Map<string, number>();
    const pool = { need: (buffer: string, bytes: number) => sizes.set(buffer, bytes) } as unknown as Pool;
    allocate(planner, { rows, keys, cache, logits: rows, results: 0 }, ops, pool);
    const seen = new Map<string, number>();
    for (const op of ops) {
      if (op.op !== 'copy' || op.from === 'stored') continue;
      expect(op.fromOffset + op.bytes, `${op.hook ?? ''} in ${op.from}`).toBeLessThanOrEqual(sizes.get(op.from) ?? 0);
      seen.set(op.to, op.bytes);
    }
    taps.forEach(({ hook, rows: many, to }) => {
      const info = planner.hooks.get(hook);
      expect(seen.get(to), hook).toBe(info && 4 * many * geometryOf(info, keys).rowStride);
    });
  }
});
