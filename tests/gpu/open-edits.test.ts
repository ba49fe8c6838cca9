/** Edits inside the open kernels: each takes effect at its own hook, before what the kernel computes from it, and nowhere else. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EngineEdit } from '../../workers/contract';
import { openAttention } from '../../workers/kernels/attention';
import { act, add, norm, NO_SITE, rope, type Site } from '../../workers/kernels/rowwise';
import { compileEdits } from '../../workers/model/edits';
import { hooksOf } from '../../workers/model/hooks';
import { layoutOf, pad4 } from '../../workers/model/layout';
import { ropeTable } from '../../workers/model/runtime';
import type { ModelSpec } from '../../workers/model/spec';
import { activate } from '../reference/activation';
import { at } from '../reference/array';
import { attentionMix, attentionPattern, attentionScores } from '../reference/attention';
import { editHook, type EditContext } from '../reference/edits';
import { centre, divideRows, gain as gained, norm as normOf, normScale } from '../reference/norm';
import { plainRotary, rope as turn } from '../reference/rope';
import { Rig } from '../support/kernel';
import { numbers, packed, spaced } from '../support/numbers';
import { editOf, SMALL } from '../support/small-model';

const TIGHT = 2e-6;
const ROWS = 6;
const SPEC: ModelSpec = {
  ...SMALL,
  kvHeads: 1,
  dHead: 6,
  positions: { kind: 'rotary', dims: 4, tables: [plainRotary(4, 10000)], tableOf: [0, 0] },
  mlp: { gated: true, act: 'silu' },
};
const ROT = 4;
const LAYOUT = layoutOf(SPEC);
const HOOKS = hooksOf(SPEC, LAYOUT);
const CONTEXT: EditContext = {
  ids: [1, 2, 3, 4, 5, 6],
  promptLength: 3,
  special: new Set(),
  unedited: () => {
    throw new Error('no source is read');
  },
};

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

/** Uploads rows and edits; gives each hook's site. */
function begin(edits: EngineEdit[]): (hook: string) => Site {
  rig.clear();
  const target = { promptLength: 3, length: ROWS, end: ROWS };
  const compiled = compileEdits(
    HOOKS,
    edits.map((edit) => ({ edit, sequence: 0, ...target })),
    ROWS,
    [],
    50,
  );
  rig.put('edits', compiled.words);
  rig.rows(CONTEXT.ids.map((token, position) => ({ token, position })));
  return (hook) => compiled.sites.get(hook) ?? NO_SITE;
}
const twin = (edits: EngineEdit[], hook: string, x: ArrayLike<number>, shape: number[]): Float64Array => {
  const given = Float64Array.from(x);
  return editHook(edits, CONTEXT)(hook as EngineEdit['at'], given, shape) ?? given;
};
const steer = (hook: string, width: number, seed: number, where: EngineEdit['where'] = 'prompt'): EngineEdit =>
  editOf(hook, { kind: 'add', vector: numbers(width, seed), scale: 1.5 }, { where });
const dim = (hook: string, width: number, seed: number): EngineEdit =>
  editOf(hook, { kind: 'project', vector: numbers(width, seed), keep: 0.25 }, { where: 'generated' });

test.each([
  ['layer', false],
  ['rms', false],
  ['layer', true],
  ['rms', true],
] as const)('norm %s, added %s: an edited scale divides; an edited normalised row is scaled and shifted', async (kind, residual) => {
  const { dModel: d } = SPEC;
  const [scale, normalized] = ['blocks.0.ln1.hook_scale', 'blocks.0.ln1.hook_normalized'];
  const edits = [steer(scale, 1, 1, [0, 4]), steer(normalized, d, 2), dim(normalized, d, 3)];
  const site = begin(edits);
  const stride = LAYOUT.dModel;
  const x = numbers(ROWS * d, 4, 3).map((value) => value + 1);
  const [weight, bias] = [numbers(d, 5), numbers(d, 6)];
  const vecs = new Float32Array(2 * stride);
  vecs.set(weight);
  vecs.set(bias, stride);
  rig.put('x', spaced(x, d, stride));
  rig.put('vecs', vecs);
  const before = numbers(ROWS * stride, 7, 5);
  rig.put('out', before);
  rig.blank('n', ROWS * stride, 77);
  rig.blank('s', ROWS, 77);
  const open = { scale: 's', normalized: 'n', scaleSite: site(scale), normalizedSite: site(normalized) };
  await rig.run(norm({ rows: ROWS, hook: normalized, kind, x: 'x', out: 'out', d, stride, gain: 0, eps: 1e-5, residual, open }));
  const centred = centre(x, d, kind);
  const rightScale = twin(edits, scale, normScale(centred, d, 1e-5), [ROWS, 1]);
  const rightNormalized = twin(edits, normalized, divideRows(centred, d, rightScale), [ROWS, d]);
  rig.expectRows('norm, edited scale', kind, await rig.floats('s'), rightScale, 1, TIGHT);
  rig.expectRows('norm, edited rows', kind, packed(await rig.floats('n'), d, stride), rightNormalized, d, TIGHT);
  const out = await rig.floats('out');
  const old = packed(before, d, stride);
  const right = gained(rightNormalized, weight, kind === 'layer' ? bias : undefined).map((value, i) => value + (residual ? at(old, i) : 0));
  rig.expectRows('norm, edited', kind, packed(out, d, stride), right, d, TIGHT);
  // What lies behind a row is made zero, or kept where the norm is added.
  for (let i = 0; i < out.length; i++) if (i % stride >= d) expect(out[i]).toBe(residual ? before[i] : 0);
});

test.each([
  [true, false],
  [true, true],
  [false, false],
  [false, true],
])('act, gated %s, serial %s: edits before the activation', async (gated, serial) => {
  const { dMlp: width } = SPEC;
  const [pre, up] = ['blocks.1.mlp.hook_pre', 'blocks.1.mlp.hook_pre_linear'];
  const edits = [steer(pre, width, 1), dim(pre, width, 2), ...(gated ? [steer(up, width, 3, [1, -1])] : [])];
  const site = begin(edits);
  const stride = LAYOUT.dMlp;
  const x = numbers(2 * ROWS * width, 4, 3);
  rig.put('pre', spaced(x, width, stride));
  rig.blank('post', ROWS * stride, 77);
  const sites = { site: site(pre), linearSite: site(up) };
  await rig.run(
    act({ rows: ROWS, hook: pre, pre: 'pre', post: 'post', act: 'silu', gated, width, stride, second: ROWS * stride, serial, ...sites }),
  );
  const rightPre = twin(edits, pre, x.subarray(0, ROWS * width), [ROWS, width]);
  const rightUp = twin(edits, up, x.subarray(ROWS * width), [ROWS, width]);
  const found = packed(await rig.floats('pre'), width, stride);
  rig.expectRows('act, edited', 'pre', found, [...rightPre, ...rightUp], width, TIGHT);
  const right = rightPre.map((value, i) => activate('silu', value) * (gated ? at(rightUp, i) : 1));
  rig.expectRows('act, edited', 'post', packed(await rig.floats('post'), width, stride), right, width, TIGHT);
});

test.each([false, true])('add, serial %s: the part is edited, then summed', async (serial) => {
  const { dModel: d } = SPEC;
  const hook = 'blocks.1.hook_attn_out';
  const edits = [steer(hook, d, 1), dim(hook, d, 2)];
  const site = begin(edits);
  const stride = LAYOUT.dModel;
  const [part, resid] = [numbers(ROWS * d, 3), numbers(ROWS * d, 4, 10)];
  rig.put('part', spaced(part, d, stride));
  rig.put('resid', spaced(resid, d, stride));
  await rig.run(add({ rows: ROWS, hook, part: 'part', resid: 'resid', width: d, stride, site: site(hook), serial }));
  const right = twin(edits, hook, part, [ROWS, d]);
  rig.expectRows('add, edited', 'part', packed(await rig.floats('part'), d, stride), right, d, TIGHT);
  const sums = right.map((value, i) => value + at(resid, i));
  rig.expectRows('add, edited', 'resid', packed(await rig.floats('resid'), d, stride), sums, d, TIGHT);
});

test.each([false, true])(
  'rope, heads normed %s: q, k, v before norm and rotation, rot_q and rot_k after, all before the cache',
  async (normed) => {
    const { heads, kvHeads, dHead } = SPEC;
    const padded = pad4(dHead);
    const hook = (name: string): string => `blocks.1.attn.hook_${name}`;
    const edits = [
      editOf(hook('q'), { kind: 'add', vector: numbers(dHead, 1), scale: 2 }, { head: 1 }),
      dim(hook('k'), dHead, 2),
      steer(hook('v'), dHead, 3),
      steer(hook('rot_q'), heads * dHead, 4),
      editOf(hook('rot_k'), { kind: 'replace', value: 'zero' }, { where: [2] }),
    ];
    const site = begin(edits);
    const [q, k, v] = [numbers(ROWS * heads * dHead, 5), numbers(ROWS * kvHeads * dHead, 6), numbers(ROWS * kvHeads * dHead, 7)];
    const second = ROWS * kvHeads * padded;
    const raw = new Float32Array(2 * second);
    raw.set(spaced(k, dHead, padded));
    raw.set(spaced(v, dHead, padded), second);
    rig.put('q', spaced(q, dHead, padded));
    rig.put('kvraw', raw);
    rig.blank('kv', 2 * second);
    rig.blank('turned', ROWS * (heads + kvHeads) * padded);
    const table = plainRotary(ROT, 10000);
    rig.put('rope.0', ropeTable(ROWS, table));
    const [gainQ, gainK] = [numbers(dHead, 8), numbers(dHead, 9)];
    const vecs = new Float32Array(2 * padded);
    vecs.set(gainQ);
    vecs.set(gainK, padded);
    rig.put('vecs', vecs);
    const sites = { q: site(hook('q')), k: site(hook('k')), v: site(hook('v')), rotQ: site(hook('rot_q')), rotK: site(hook('rot_k')) };
    const form = { heads, kvHeads, dHead, dHeadPadded: padded, rot: ROT };
    await rig.run(
      rope({
        ...{ rows: ROWS, hook: hook('q'), ...form, table: 'rope.0', kv: 'kv', second, cacheSecond: second, cap: ROWS },
        norm: normed ? { q: 0, k: padded, eps: 1e-2 } : undefined,
        open: { sites },
      }),
    );
    const after = (name: string, x: ArrayLike<number>, many: number): Float64Array => twin(edits, hook(name), x, [ROWS, many, dHead]);
    const turned = (x: Float64Array, many: number, gain: Float32Array): Float64Array =>
      turn(normed ? normOf(x, 'rms', 1e-2, gain).out : x, { heads: many, dHead, dims: ROT, table });
    const rightQ = after('rot_q', turned(after('q', q, heads), heads, gainQ), heads);
    const rightK = after('rot_k', turned(after('k', k, kvHeads), kvHeads, gainK), kvHeads);
    const found = packed(await rig.floats('turned'), dHead, padded);
    rig.expectRows('rope, edited', 'q', found.subarray(0, rightQ.length), rightQ, heads * dHead, TIGHT);
    rig.expectRows('rope, edited', 'k', found.subarray(rightQ.length), rightK, kvHeads * dHead, TIGHT);
    const cache = packed(await rig.floats('kv'), dHead, padded);
    rig.expectRows('rope, edited', 'cache', cache, [...rightK, ...after('v', v, kvHeads)], kvHeads * dHead, TIGHT);
  },
);

/** [query][head][key] to [head][query][key]. */
const swap = (x: ArrayLike<number>, heads: number): Float64Array =>
  Float64Array.from({ length: x.length }, (_, i) => {
    const row = Math.floor(i / ROWS);
    return at(x, ((row % ROWS) * heads + Math.floor(row / ROWS)) * ROWS + (i % ROWS));
  });

test.each(
  [
    { window: 0, cap: 0 },
    { window: 1, cap: 0 },
    { window: 3, cap: 0 },
    { window: 3, cap: 0.8 },
    { window: ROWS, cap: 2 },
    { window: ROWS + 5, cap: 0 },
  ].flatMap((form) => [false, true].map((serial) => ({ ...form, serial }))),
)(
  'attention, window $window, cap $cap, serial $serial: edited scores are normalised; an edited pattern is not again, and is what z mixes',
  async (form) => {
    const { window, cap, serial } = form;
    const { heads, kvHeads, dHead } = SPEC;
    const padded = pad4(dHead);
    const [scores, pattern] = ['blocks.0.attn.hook_attn_scores', 'blocks.0.attn.hook_pattern'];
    const edits = [
      editOf(scores, { kind: 'add', vector: numbers(ROWS, 1), scale: 3 }, { head: 2 }),
      editOf(scores, { kind: 'replace', value: 'zero' }, { head: 1, where: [-2], strength: 0.75 }),
      editOf(pattern, { kind: 'replace', value: 'zero' }, { head: 0, where: [1, -1], strength: 0.5 }),
      editOf(pattern, { kind: 'add', vector: numbers(ROWS, 6), scale: 0.5 }),
    ];
    const site = begin(edits);
    const q = numbers(ROWS * heads * dHead, 2);
    const k = numbers(ROWS * kvHeads * dHead, 3);
    const v = numbers(ROWS * kvHeads * dHead, 4);
    rig.put('q', spaced(q, dHead, padded));
    const cache = new Float32Array(2 * ROWS * kvHeads * padded);
    cache.set(spaced(k, dHead, padded));
    cache.set(spaced(v, dHead, padded), cache.length / 2);
    rig.put('kv', cache);
    // Keys that a query does not see are nobody's: an edit that wrote them would show.
    for (const name of ['scores', 'pattern']) rig.blank(name, heads * ROWS * ROWS, 77);
    rig.blank('z', ROWS * heads * padded);
    const scale = 0.7;
    const call = { rows: ROWS, heads, kvHeads, dHeadPadded: padded, kv: 'kv', second: cache.length / 2, cap: ROWS, scale, hook: pattern };
    const sites = { scores: site(scores), pattern: site(pattern) };
    await rig.run(openAttention({ ...call, q: 'q', keys: ROWS, window, softcap: cap, sites, serial }));
    const shape = [heads, ROWS, ROWS];
    const forms = { queries: ROWS, keys: ROWS, heads, kvHeads, dHead, window, cap };
    const seen = { ...CONTEXT, window: () => window };
    const edited = editHook(edits, seen)(scores, attentionScores(q, k, forms, scale), shape) ?? new Float64Array();
    const right = editHook(edits, seen)(pattern, attentionPattern(edited, ROWS).pattern, shape) ?? new Float64Array();
    const found = { scores: swap(await rig.floats('scores'), heads), pattern: swap(await rig.floats('pattern'), heads) };
    const masked = (i: number): boolean => edited[i] === -Infinity;
    const visible = (x: Float64Array): Float64Array => x.map((value, i) => (masked(i) ? 0 : value));
    rig.expectRows('attention-open, edited', 'scores', visible(found.scores), visible(edited), ROWS, TIGHT);
    rig.expectRows('attention-open, edited', 'pattern', visible(found.pattern), visible(right), ROWS, TIGHT);
    edited.forEach((_, i) => masked(i) && expect([found.scores[i], found.pattern[i]]).toEqual([77, 77]));
    const z = packed(await rig.floats('z'), dHead, padded);
    rig.expectRows('attention-open, edited', 'z', z, attentionMix(right, v, forms), heads * dHead, TIGHT);
  },
);
