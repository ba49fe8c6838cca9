/** Plans as data: what an unhooked token costs, what a look or an edit adds at each hook, and rows that enter late. */
import { describe, expect, test } from 'vitest';
import type { Dispatch, Op } from '../../../workers/gpu/commands';
import type { Site } from '../../../workers/kernels/rowwise';
import { hooksOf } from '../../../workers/model/hooks';
import { layoutOf } from '../../../workers/model/layout';
import { weightTable } from '../../../workers/model/matrices';
import { unembed } from '../../../workers/model/head';
import { plan, type PlanInput, type Planner, type Tap } from '../../../workers/model/plan';
import type { ModelSpec } from '../../../workers/model/spec';
import { GPT2_SMALL, SMALL_LLAMA, SPECS, type ModelName } from '../../support/specs';

const DEFAULT_BINDING = 128 << 20;
const plannerOf = (spec: ModelSpec, limit = 2 ** 31, matvec: 'register' | 'workgroup' = 'register'): Planner => {
  const layout = layoutOf(spec);
  const variants = { matvec, matmul: 'register', attention: 'serial' } as const;
  return { spec, layout, weights: weightTable(spec, () => 'f32', limit), hooks: hooksOf(spec, layout), variants };
};
const inputOf = (rows: number, rest: Partial<PlanInput> = {}): PlanInput => ({
  rows,
  cache: { slots: 1, cap: 64, kept: true },
  keys: 64,
  sites: new Map(),
  taps: [],
  ...rest,
});
const dispatches = (ops: readonly Op[]): Dispatch[] => ops.filter((op): op is Dispatch => op.op === 'dispatch');
const edited = (hook: string): ReadonlyMap<string, Site> => new Map([[hook, { first: 20, count: 1 }]]);
const tapped = (hook: string, rows = 1): Tap[] => [{ hook, row0: 0, rows, to: 'read.0', offset: 0 }];
const word = (op: Op): string => (op.op === 'copy' ? `copy ${op.from}` : op.file);

describe('a decoded token of GPT-2 small', () => {
  test.each([
    ['with large bindings', 2 ** 31, 1],
    ['under the default limits, the embedding in two buffers', DEFAULT_BINDING, 2],
  ])('%s: at most 64 dispatches, logits included', (_, limit, pieces) => {
    for (const matvec of ['register', 'workgroup'] as const) {
      const planner = plannerOf(GPT2_SMALL, limit, matvec);
      expect(planner.weights.matrices.get('embed')?.pieces.length).toBe(pieces);
      const { ops, stream } = plan(planner, inputOf(1));
      const all = [...ops, ...unembed(planner, { x: stream.buffer, row0: 0, rows: 1, normed: stream.normed })];
      expect(dispatches(all).length).toBe(all.length);
      // Embedding; five a layer; the logits, one a piece.
      expect(all.length).toBe(1 + 5 * 12 + pieces);
      expect(all.length + 1, 'with the sampler').toBeLessThanOrEqual(64);
    }
  });
  test('nothing of the open kernels is in it', () => {
    const { ops } = plan(plannerOf(GPT2_SMALL), inputOf(1));
    expect(new Set(ops.map(word))).toEqual(new Set(['embed', 'linear-register', 'attention-serial']));
  });
  test('a prompt pays two norms a layer more', () => {
    const { ops } = plan(plannerOf(GPT2_SMALL), inputOf(16));
    expect(ops.length).toBe(1 + 7 * 12);
  });
  test('the same input gives the same plan', () => {
    const planner = plannerOf(GPT2_SMALL);
    expect(plan(planner, inputOf(1))).toEqual(plan(planner, inputOf(1)));
  });
});

/** What a hook adds to a plan of one row: dispatches for an edit, and for a tap (beside its copy). */
const COST: Record<string, [edit: number, tap: number]> = {
  hook_embed: [1, 1],
  hook_pos_embed: [1, 1],
  hook_resid_pre: [1, 0],
  'ln1.hook_scale': [1, 1],
  'ln1.hook_normalized': [1, 1],
  'attn.hook_q': [1, 1],
  'attn.hook_k': [1, 1],
  'attn.hook_v': [1, 1],
  'attn.hook_rot_q': [1, 1],
  'attn.hook_rot_k': [1, 1],
  'attn.hook_attn_scores': [0, 0],
  'attn.hook_pattern': [0, 0],
  'attn.hook_z': [1, 0],
  hook_attn_out: [1, 1],
  hook_resid_mid: [1, 0],
  'ln2.hook_scale': [1, 1],
  'ln2.hook_normalized': [1, 1],
  'mlp.hook_pre': [1, 1],
  'mlp.hook_pre_linear': [1, 1],
  'mlp.hook_post': [1, 0],
  hook_mlp_out: [1, 1],
  hook_resid_post: [1, 0],
  // The norm in the unembedding is replaced by the open one.
  'ln_final.hook_scale': [1, 1],
  'ln_final.hook_normalized': [1, 1],
};

describe.each([
  ['GPT-2', GPT2_SMALL],
  ['Llama', SMALL_LLAMA],
])('%s: what a look costs', (_, spec) => {
  const planner = plannerOf(spec);
  const all = (input: PlanInput): Op[] => {
    const { ops, stream } = plan(planner, input);
    return [...ops, ...unembed(planner, { x: stream.buffer, row0: 0, rows: 1, normed: stream.normed })];
  };
  const plain = all(inputOf(1));
  const short = (name: string): string => name.replace(/^blocks\.\d+\./, '');
  const costOf = (name: string): [number, number] => {
    // Rotary models have no table of positions to open.
    if (short(name) === 'hook_embed' && spec.positions.kind === 'rotary') return [1, 0];
    const found = COST[short(name)];
    if (!found) throw new Error(`no cost stated for ${name}`);
    return found;
  };

  test('at every hook of a middle layer and outside the layers', () => {
    const names = [...planner.hooks.keys()].filter((name) => !name.startsWith('blocks.') || name.startsWith('blocks.5.'));
    expect(names.length).toBeGreaterThan(20);
    const measured = names.map((name) => {
      const edit = dispatches(all(inputOf(1, { sites: edited(name) }))).length - plain.length;
      const tap = all(inputOf(1, { taps: tapped(name) }));
      expect(tap.length - dispatches(tap).length, `${name}: one copy`).toBe(1);
      return [name, edit, dispatches(tap).length - plain.length];
    });
    expect(measured).toEqual(names.map((name) => [name, ...costOf(name)]));
  });

  test('only the sublayer that is looked at is open: every other layer keeps its dispatches', () => {
    for (const name of [...planner.hooks.keys()].filter((each) => each.startsWith('blocks.5.')))
      for (const input of [inputOf(1, { sites: edited(name) }), inputOf(1, { taps: tapped(name) })]) {
        const others = (ops: readonly Op[]): Op[] => ops.filter((op) => !op.hook?.startsWith('blocks.5.'));
        expect(others(all(input)), name).toEqual(others(plain));
      }
  });

  test('only the attention or the MLP of that layer', () => {
    const half = (ops: readonly Op[], which: RegExp): Op[] => ops.filter((op) => which.test(op.hook ?? ''));
    const attention = /^blocks\.5\.(attn|ln1|hook_attn_out)/;
    const mlp = /^blocks\.5\.(mlp|ln2|hook_mlp_out)/;
    for (const name of planner.hooks.keys()) {
      if (attention.test(name)) expect(half(all(inputOf(1, { sites: edited(name) })), mlp), name).toEqual(half(plain, mlp));
      if (mlp.test(name)) expect(half(all(inputOf(1, { taps: tapped(name) })), attention), name).toEqual(half(plain, attention));
    }
  });

  test('an edit and a tap at one hook open it once; the tap reads what the edit left', () => {
    for (const name of [...planner.hooks.keys()].filter((each) => each.startsWith('blocks.5.'))) {
      const ops = all(inputOf(1, { sites: edited(name), taps: tapped(name) }));
      expect(dispatches(ops).length - plain.length, name).toBe(costOf(name)[0]);
      const copy = ops.findIndex((op) => op.op === 'copy');
      const reader = ops.findIndex((op) => op.op === 'dispatch' && op.bind.some((bind) => bind?.buffer === 'edits'));
      // Rotation, open attention and the open norm bind the edits whether there are any or not, but only where they are open.
      expect(reader, name).toBeGreaterThanOrEqual(0);
      expect(reader, name).toBeLessThan(copy);
    }
  });
});

/** What one layer of a decoded token takes, by what the family asks for. */
const A_LAYER: [model: ModelName, dispatches: number, why: string][] = [
  ['gpt2', 5, 'norm and qkv; attention; its output; norm, MLP in and activation; MLP out'],
  ['TinyStories-33M', 5, 'a window costs nothing'],
  ['pythia-160m', 5, 'side by side or one after the other is the same work'],
  ['Llama-3.2-1B', 5, 'a scaled rotation is a table'],
  ['Mistral-7B-v0.1', 5, 'as Llama'],
  ['Qwen2.5-0.5B', 5, 'as Llama'],
  ['phi-2', 5, 'one norm, computed in both projections'],
  ['Phi-3-mini-4k-instruct', 5, 'as Llama'],
  ['starcoder2-3b', 5, 'as GPT-2'],
  ['Qwen3-0.6B', 6, 'and the norm of each head'],
  ['gemma-2-2b', 7, 'and a norm after each branch'],
  ['gemma-3-1b-pt', 8, 'and both'],
  ['attn-only-2l', 3, 'no MLP'],
];

describe.each(A_LAYER)('%s: %i dispatches a layer (%s)', (model, count) => {
  const spec = SPECS[model];
  const whole = (planner: Planner, input: PlanInput): Op[] => {
    const { ops, stream } = plan(planner, input);
    return [...ops, ...unembed(planner, { x: stream.buffer, row0: 0, rows: 1, normed: stream.normed })];
  };

  test('for a decoded token, with every kind of kernel; the embedding and the logits are one each', () => {
    expect(Object.keys(SPECS)).toHaveLength(A_LAYER.length);
    expect(count).toBeLessThanOrEqual(8);
    for (const matvec of ['register', 'workgroup'] as const) {
      const all = whole(plannerOf(spec, 2 ** 40, matvec), inputOf(1));
      expect(dispatches(all).length).toBe(all.length);
      expect(all.length).toBe(1 + count * spec.layers + 1);
      for (let layer = 0; layer < spec.layers; layer++)
        expect(all.filter((op) => op.hook?.startsWith(`blocks.${layer}.`)).length, `layer ${layer}`).toBe(count);
    }
  });

  test('each layer attends through its own window, with its own scale and cap, and turns by its own table', () => {
    const all = dispatches(plan(plannerOf(spec, 2 ** 40), inputOf(1)).ops);
    const windows = all.filter((op) => op.kernel === 'attention').map((op) => op.params[4]);
    expect(windows).toEqual([...spec.attention.windows]);
    const capped = all.filter((op) => op.kernel === 'attention').map((op) => op.defines['CAP'] !== 0);
    expect(new Set(capped)).toEqual(new Set([spec.attention.cap > 0]));
    if (spec.positions.kind !== 'rotary') return;
    const tables = all.flatMap((op) => op.bind.flatMap((bind) => (bind?.buffer.startsWith('rope.') ? [bind.buffer] : [])));
    expect(tables).toEqual(spec.positions.tableOf.map((table) => `rope.${table}`));
  });

  test('an edit or a look at any hook costs at most one dispatch more; at scores and patterns none', () => {
    const planner = plannerOf(spec, 2 ** 40);
    const plain = dispatches(whole(planner, inputOf(1))).length;
    const layers = [0, Math.floor(spec.layers / 2), spec.layers - 1];
    const names = [...planner.hooks.keys()].filter(
      (name) => !name.startsWith('blocks.') || layers.some((l) => name.startsWith(`blocks.${l}.`)),
    );
    for (const name of names) {
      const edit = dispatches(whole(planner, inputOf(1, { sites: edited(name) }))).length - plain;
      const tap = dispatches(whole(planner, inputOf(1, { taps: tapped(name) }))).length - plain;
      const both = dispatches(whole(planner, inputOf(1, { sites: edited(name), taps: tapped(name) }))).length - plain;
      const short = name.replace(/^blocks\.\d+\./, '');
      // Tapped, the token embedding must be seen before the positions are added: edited as well, that is one more.
      const most = short === 'hook_embed' && spec.positions.kind === 'learned' ? [edit, tap] : [edit, tap, both];
      expect(
        most.every((cost) => cost === 0 || cost === 1),
        `${name}: ${edit}, ${tap}, ${both}`,
      ).toBe(true);
      const free =
        /attn\.hook_(attn_scores|pattern)$/.test(short) ||
        /^ln[12]_post\./.test(short) ||
        (spec.attention.qkNorm && /attn\.hook_(q|k|v|rot_q|rot_k)$/.test(short));
      if (free) expect([edit, tap, both], name).toEqual([0, 0, 0]);
      else expect(edit, name).toBe(1);
    }
  });

  test('all hooks at once: every one is in the plan, edited before it is copied', () => {
    const planner = plannerOf(spec, 2 ** 40);
    const names = [...planner.hooks.keys()];
    const sites = new Map(names.map((name): [string, Site] => [name, { first: 20, count: 1 }]));
    const all = plan(planner, inputOf(1, { sites, taps: names.flatMap((name) => tapped(name)) })).ops;
    const copies = all.flatMap((op) => (op.op === 'copy' ? [op.hook] : []));
    expect([...copies].sort()).toEqual([...names].sort());
  });
});

describe('rows that enter late', () => {
  const planner = plannerOf(GPT2_SMALL);
  const starts = [
    { layer: 3, row0: 2, rows: 4, storedRow: 0 },
    { layer: 7, row0: 6, rows: 1, storedRow: 4 },
  ];
  const { ops } = plan(planner, inputOf(7, { starts }));
  const rowsOf = (hook: string): number | undefined =>
    dispatches(ops).find((op) => op.hook === hook && op.file === 'linear-register')?.params[0];

  test('are not computed before, and are after', () => {
    const rows = Array.from({ length: 12 }, (_, l) => rowsOf(`blocks.${l}.attn.qkv`));
    expect(rows).toEqual([2, 2, 2, 6, 6, 6, 6, 7, 7, 7, 7, 7]);
  });
  test('come in with their stored residuals, before anything of their layer', () => {
    const copies = ops.flatMap((op, i) => (op.op === 'copy' ? [{ op, next: ops[i + 1]?.hook }] : []));
    expect(copies.length).toBe(2);
    const bytes = 4 * 768;
    expect(copies.map(({ op }) => [op.from, op.fromOffset, op.to, op.toOffset, op.bytes])).toEqual([
      ['stored', 0, 'resid', 2 * bytes, 4 * bytes],
      ['stored', 4 * bytes, 'resid', 6 * bytes, bytes],
    ]);
    // Six rows run their norm first, before it two were few enough to fuse.
    expect(copies.map(({ next }) => next)).toEqual(['blocks.3.ln1.hook_normalized', 'blocks.7.ln1.hook_normalized']);
  });
  test('all of them late: nothing runs before the first enters', () => {
    const late = plan(planner, inputOf(3, { starts: [{ layer: 10, row0: 0, rows: 3, storedRow: 0 }] })).ops;
    expect(late[0]?.op).toBe('copy');
    expect(dispatches(late).every((op) => /^blocks\.1[01]\./.test(op.hook ?? ''))).toBe(true);
    expect(dispatches(late).length).toBe(2 * 5);
  });
});
