/**
 * Direct logit attribution against float64: every part is what that component wrote, read by the formula as it is written (the component centred, divided by the full
 * stream's scale, gained, times W_U), and the parts sum to the logit, with edits too.
 */
import { beforeAll, expect, test } from 'vitest';
import type { Attribution } from '../../../workers/api';
import type { EngineEdit } from '../../../workers/contract';
import type { ModelSpec } from '../../../workers/model/spec';
import { at } from '../../reference/array';
import { record as recorded } from '../../reference/forward';
import { softcap } from '../../reference/softcap';
import type { Gain, Weights } from '../../reference/weights';
import { add, project, run, vector, type Bench, type Opened } from '../../support/engine';
import { promptIds } from '../cases';
import { golden, type Fixture } from '../fixture';
import { deepLayer, twinOf } from '../twin';

const GOLDEN = 5e-5;
const SUMS = 1e-5;

const sum = (parts: readonly { value: number }[]): number => parts.reduce((total, { value }) => total + value, 0);
const scaleOf = ({ parts }: Attribution): number => Math.max(...parts.map(({ value }) => Math.abs(value)));

export function attribution(opened: () => Opened): void {
  let fixture: Fixture;
  let bench: Bench;
  let spec: ModelSpec;
  let weights: Weights;
  let ids: number[];
  beforeAll(async () => {
    ({ fixture, bench } = opened());
    ({ spec, weights } = await twinOf(fixture));
    ids = promptIds(fixture.cases, 1);
  });
  const logit = (data: ArrayLike<number>, position: number, token: number): number => at(data, position * spec.vocabOut + token);

  /** What a component [d_model] adds to the difference of two logits. */
  const read = (x: ArrayLike<number>, scale: number, a: number, b: number): number => {
    const mean = spec.norm.kind === 'layer' ? Array.from(x).reduce((total, each) => total + each, 0) / spec.dModel : 0;
    let total = 0;
    for (let i = 0; i < spec.dModel; i++) {
      const gained = ((at(x, i) - mean) / scale) * (weights.lnFinal ? at(weights.lnFinal.weight, i) : 1);
      total += gained * (at(weights.unembed.weight, a * spec.dModel + i) - at(weights.unembed.weight, b * spec.dModel + i));
    }
    return total;
  };
  /** One head's z, or a bias, as it leaves its branch. */
  const branchOut = (
    out: Weights['layers'][number]['out'],
    post: Gain | undefined,
    own: number,
    z?: Float64Array,
    head = 0,
  ): Float64Array => {
    const { dHead, dModel } = spec;
    const x = Float64Array.from({ length: dModel }, (_, o) => {
      if (!z) return out.bias ? at(out.bias, o) : 0;
      let total = 0;
      for (let i = 0; i < dHead; i++) total += at(z, i) * at(out.weight, o * out.inputs + head * dHead + i);
      return total;
    });
    return post ? x.map((each, i) => (each / own) * at(post.weight, i)) : x;
  };

  test('by layer and by head: each part is the formula’s, and they sum to the logits', async () => {
    const clean = recorded(spec, weights, ids);
    const row = (hook: string, position: number, width = spec.dModel): Float64Array => {
      const found = clean.get(hook);
      if (!found) throw new Error(`no ${hook}`);
      return found.data.slice(position * width, (position + 1) * width);
    };
    for (const position of [ids.length - 1, 1]) {
      const [a, b] = [fixture.cases.prompts[1]?.argmax[position] ?? 0, (ids[0] ?? 0) === 5 ? 6 : 5];
      const request = { ids, edits: [], position, correct: a, wrong: b, top: 50 };
      const scale = spec.norm.kind === 'none' ? 1 : at(row('ln_final.hook_scale', position, 1), 0);
      const [byLayer, byHead] = [
        await bench.engine.attribute({ ...request, by: 'layer' }),
        await bench.engine.attribute({ ...request, by: 'head' }),
      ];
      const ends = new Map<string, number>();
      if (weights.lnFinal?.bias) {
        const { bias } = weights.lnFinal;
        const along = (token: number): number =>
          bias.reduce((total, each, i) => total + each * at(weights.unembed.weight, token * spec.dModel + i), 0);
        ends.set('ln_final bias', along(a) - along(b));
      }
      // A bias that the file may leave out is 0.
      const { bias } = weights.unembed;
      if (spec.bias.unembed) ends.set('unembedding bias', bias ? at(bias, a) - at(bias, b) : 0);
      const start = new Map([['embedding', read(row('hook_embed', position), scale, a, b)]]);
      if (weights.pos) start.set('position embedding', read(row('hook_pos_embed', position), scale, a, b));
      const layers = new Map(start);
      const heads = new Map(start);
      weights.layers.forEach((layer, l) => {
        const own = (norm: string): number => (spec.block.postNorms ? at(row(`blocks.${l}.${norm}.hook_scale`, position, 1), 0) : 1);
        layers.set(`L${l} attention`, read(row(`blocks.${l}.hook_attn_out`, position), scale, a, b));
        const z = row(`blocks.${l}.attn.hook_z`, position, spec.heads * spec.dHead);
        for (let h = 0; h < spec.heads; h++)
          heads.set(
            `L${l}H${h}`,
            read(branchOut(layer.out, layer.ln1Post, own('ln1_post'), z.subarray(h * spec.dHead, (h + 1) * spec.dHead), h), scale, a, b),
          );
        if (spec.bias.out) heads.set(`L${l} attention bias`, read(branchOut(layer.out, layer.ln1Post, own('ln1_post')), scale, a, b));
        if (!layer.mlp) return;
        const whole = read(row(`blocks.${l}.hook_mlp_out`, position), scale, a, b);
        const apart = layer.mlp.down.bias ? read(branchOut(layer.mlp.down, layer.ln2Post, own('ln2_post')), scale, a, b) : 0;
        layers.set(`L${l} MLP`, whole);
        heads.set(`L${l} MLP`, whole - apart);
        if (spec.bias.mlpOut) heads.set(`L${l} MLP bias`, apart);
      });
      for (const [found, expected] of [
        [byLayer, new Map([...layers, ...ends])],
        [byHead, new Map([...heads, ...ends])],
      ] as const) {
        expect(found.parts.map(({ name }) => name)).toEqual([...expected.keys()]);
        const size = scaleOf(found);
        for (const { name, value } of found.parts)
          expect(Math.abs(value - (expected.get(name) ?? NaN)) / size, `${name} at ${position}`).toBeLessThan(GOLDEN);
        expect(Math.abs(sum(found.parts) - found.total) / size).toBeLessThan(SUMS);
        expect(found.position).toBe(position);
        if (spec.norm.kind === 'none') expect(found.scale).toBeNaN();
        else expect(found.scale / scale).toBeCloseTo(1, 4);
      }
      const expected = golden(fixture, '1/logits').data;
      const one = await bench.engine.attribute({ ids, edits: [], position, correct: a, top: 50, by: 'layer' });
      const size = Math.max(scaleOf(one), Math.abs(logit(expected, position, a)));
      // `total` is of the logits before their cap.
      expect(Math.abs(softcap(one.total, spec.logitCap) - logit(expected, position, a)) / size).toBeLessThan(GOLDEN);
      if (spec.logitCap === 0)
        expect(Math.abs(byLayer.total - (logit(expected, position, a) - logit(expected, position, b))) / size).toBeLessThan(2 * GOLDEN);
    }
  });

  test('edits have parts of their own, and the parts still sum to the edited logits', async () => {
    const d = spec.dModel;
    const deep = deepLayer(fixture);
    const head = { head: spec.heads - 1 } as Partial<EngineEdit>;
    const edits: EngineEdit[] = [
      add('hook_embed', vector(d, 1)),
      add('blocks.0.attn.hook_q', vector(spec.dHead, 2)),
      add(`blocks.${deep}.attn.hook_z`, vector(spec.dHead, 3), head),
      project(`blocks.${deep}.hook_attn_out`, vector(d, 4), -0.5),
      ...(spec.dMlp ? [add(`blocks.${deep}.mlp.hook_post`, vector(spec.dMlp, 5)), project(`blocks.0.hook_mlp_out`, vector(d, 6), 0)] : []),
      ...(spec.block.postNorms ? [add(`blocks.${deep}.ln1_post.hook_normalized`, vector(d, 7))] : []),
      add('blocks.0.hook_resid_post', vector(d, 8), { where: [-1] }),
      ...(spec.norm.kind === 'none' ? [] : [add('ln_final.hook_normalized', vector(d, 9), { strength: 0.1 })]),
    ];
    const own = edits.map(({ at: hook }) => hook).filter((hook) => !hook.endsWith('hook_q'));
    const position = ids.length - 1;
    const [edited] = await bench.engine.batch([run(ids, { edits, logits: 'last' })], 'job');
    const a = 3;
    for (const by of ['layer', 'head'] as const) {
      const found = await bench.engine.attribute({ ids, edits, position, correct: a, top: 50, by });
      const size = scaleOf(found);
      expect(Math.abs(sum(found.parts) - found.total) / size, by).toBeLessThan(SUMS);
      expect(Math.abs(softcap(found.total, spec.logitCap) - logit(edited?.logits?.data ?? [], 0, a)) / size, by).toBeLessThan(GOLDEN);
      const told = found.parts.filter(({ name }) => name.startsWith('edits at ')).map(({ name }) => name.slice(9));
      expect(told).toEqual(own);
      // Adding a vector to the stream adds that vector, read.
      const added = found.parts.find(({ name }) => name === 'edits at blocks.0.hook_resid_post');
      const expected = read(vector(d, 8), spec.norm.kind === 'none' ? 1 : found.scale, a, a) + readOne(vector(d, 8), found.scale, a);
      expect(Math.abs((added?.value ?? NaN) - expected) / size).toBeLessThan(GOLDEN);
      expect(found.parts.filter(({ name, value }) => name.startsWith('edits') && Math.abs(value) / size < 1e-4)).toEqual([]);
    }
  });
  const readOne = (x: Float32Array, scale: number, a: number): number => {
    const mean = spec.norm.kind === 'layer' ? x.reduce((total, each) => total + each, 0) / spec.dModel : 0;
    return x.reduce((total, each, i) => {
      const gained = ((each - mean) / (spec.norm.kind === 'none' ? 1 : scale)) * (weights.lnFinal ? at(weights.lnFinal.weight, i) : 1);
      return total + gained * at(weights.unembed.weight, a * spec.dModel + i);
    }, 0);
  };
}
