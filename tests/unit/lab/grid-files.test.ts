/** Grids as rows and columns, and as files: head × destination × source and latents too. */
import { describe, expect, it } from 'vitest';
import type { Grid, Lab } from '../../../workers/api';
import { gridCsv, gridSvg, gridTensors } from '../../../src/lab/export/grid';
import { headsBySize, viewOf } from '../../../src/lab/grid-view';
import { PatchAnswer, type Asked } from '../../../src/lab/patch-answer.svelte';
import type { Request } from '../../../src/lab/patch-question';
import { attentionLines } from '../../../src/lab/script-causal';

const gridOf = (axes: [string, string[]][], value: number[], spread = false): Grid => {
  const shape = axes.map(([, labels]) => labels.length);
  const tensor = { shape, data: Float32Array.from(value) };
  return {
    axes: axes.map(([name, labels]) => ({ name, labels })),
    ...{ value: tensor, raw: tensor, clean: 2, corrupted: -1, milliseconds: 1, rowsComputed: 1, rowsNaive: 2, rowsSkipped: 0 },
    ...(spread ? { spread: tensor } : {}),
  };
};
const tokens = [' a', ' b'].map((piece, id) => ({ id, piece }));
const answerOf = (grid: Grid, request: object, more: Partial<Asked> = {}): PatchAnswer =>
  new PatchAnswer(
    {} as Lab,
    {
      request: { clean: [0, 1], corrupted: [0, 2], direction: 'denoise', metric: { kind: 'kl' }, ...request } as unknown as Request,
      ...{ clean: tokens, corrupted: tokens, said: 'KL', model: 'Model', ...more },
    },
    grid,
    undefined,
  );

const n = Number.NaN;
const dest = gridOf(
  [
    ['head', ['0.0', '0.1']],
    ['destination', ['0  a', '1  b']],
    ['source', ['0  a', '1  b']],
  ],
  [0.1, n, 0.2, 0.3, 0.4, n, -0.75, 0.5],
);

describe('head × from × to', () => {
  const answer = answerOf(dest, { over: 'pattern', grid: 'head-dest-src' });

  it('is one head’s map at a time, the one with the largest effect first', () => {
    expect(headsBySize(dest, (i) => dest.value.data[i] ?? 0).map(({ label }) => label)).toEqual(['0.1', '0.0']);
    const view = viewOf(dest, 'head-dest-src', 1);
    expect(view.flat(1, 0)).toBe(6);
    expect(view.place(6)).toEqual({ row: 1, column: 0 });
    expect(view.place(2), 'of another head').toBeUndefined();
  });

  it('is saved whole as numbers, and the head in sight as a figure', () => {
    const lines = gridCsv(answer, dest).trim().split('\r\n');
    expect(lines[0]).toBe('head,destination,source,destination token,source token,value,metric');
    expect(lines).toHaveLength(1 + 8);
    expect(lines[7]).toMatch(/^0\.1,1 {2}b,0 {2}a, b, a,-0\.75,-0\.75$/);
    const bytes = gridTensors(answer, dest);
    const header = JSON.parse(
      new TextDecoder().decode(bytes.subarray(8, 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)))),
    ) as {
      value: { shape: number[] };
      __metadata__: { request: string };
    };
    expect(header.value.shape).toEqual([2, 2, 2]);
    expect(JSON.parse(header.__metadata__.request)).toMatchObject({ grid: 'head-dest-src' });
    const svg = gridSvg(answer, dest, {
      view: viewOf(dest, 'head-dest-src', 1),
      columns: ['a', 'b'],
      span: 1,
      what: 'recovered',
      of: 'head 0.1',
    });
    expect(svg).toContain('head 0.1');
    // Top row first: its only cell, then the second row's two.
    expect([...svg.matchAll(/>(-?\d\.\d\d)</g)].map(([, x]) => x).slice(0, 3)).toEqual(['0.40', '-0.75', '0.50']);
  });
});

describe('other grids', () => {
  it('of latents list the largest first, with their labels; a spread is a column', () => {
    const grid = gridOf([['latent', ['7', '3', '9']]], [0.1, -0.8, 0.2], true);
    const answer = answerOf(
      grid,
      { over: { dictionary: 'd' }, grid: 'latent' },
      { label: (latent) => (latent === 3 ? 'fog, "thick"' : undefined) },
    );
    const view = viewOf(grid, 'latent', 0, [1, 2, 0]);
    expect(view.rows).toEqual(['3', '9', '7']);
    expect(view.place(0)).toEqual({ row: 2, column: 0 });
    expect(gridCsv(answer, grid).split('\r\n').slice(0, 3)).toEqual([
      'latent,label,value,metric,spread',
      expect.stringMatching(/^7,,0\.1/),
      expect.stringMatching(/^3,"fog, ""thick""",-0\.8/),
    ]);
    expect(gridSvg(answer, grid, { view, columns: view.columns, span: 1, what: 'recovered', of: '' })).toContain(
      'fog, &quot;thick&quot; · 3',
    );
  });

  it('of layers and positions stand as they did, the last layer on top in a figure', () => {
    const grid = gridOf(
      [
        ['layer', ['0', '1']],
        ['position', ['0', '1']],
      ],
      [0.1, 0.2, 0.3, 0.4],
    );
    const svg = gridSvg(answerOf(grid, { over: 'resid_pre', grid: 'layer-position' }), grid, {
      ...{ view: viewOf(grid, 'layer-position'), columns: ['a', 'b'], span: 1, what: 'recovered', of: '' },
    });
    expect([...svg.matchAll(/>(\d\.\d\d)</g)].map(([, x]) => x).slice(0, 4)).toEqual(['0.30', '0.40', '0.10', '0.20']);
    expect(svg).toContain('Residual (before) · denoise');
  });
});

it('what Attention shows is run again by its script, the chosen head’s rows told apart', async () => {
  const asked: unknown[] = [];
  const tables: unknown[] = [];
  const data = Float32Array.from({ length: 8 }, (_, i) => i);
  const lab = {
    run: (request: { taps: [string] }) =>
      Promise.resolve((asked.push(request), { taps: { [request.taps[0]]: { shape: [2, 2, 2], data } } })),
    headScores: (request: unknown) => Promise.resolve(asked.push(request)),
    headCircuit: (request: unknown) => Promise.resolve(asked.push(request)),
  };
  const run = {
    prompt: [1, 2],
    promptLength: 2,
    edits: [{ kind: 'replace' as const, at: 'blocks.0.attn.hook_z', head: 1, value: 'zero' as const, where: [1] }],
  };
  const lines = attentionLines({ run, layer: 3, head: 1, scored: true, circuit: 'ov' });
  const script = new Function('lab', 'console', `return (async () => {${lines.join('\n')}})()`) as (
    lab: unknown,
    console: unknown,
  ) => Promise<void>;
  await script(lab, { log: () => undefined, table: (table: unknown) => tables.push(table) });
  expect(asked).toEqual([
    { ...run, taps: ['blocks.3.attn.hook_pattern'], logits: 'none' },
    { edits: [] },
    { layer: 3, head: 1, circuit: 'ov' },
  ]);
  expect(tables).toEqual([[Float32Array.of(4, 5), Float32Array.of(6, 7)]]);
});
