/**
 * Latents found by the token that they promote, by where they fire, and by direction, held to the formulas in float64 over every latent; and the number
 * of a search held to the number on the latent's own page.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../../workers/engine';
import { shaders } from '../../workers/gpu/shaders';
import { at } from '../reference/array';
import { encode } from '../reference/dictionary';
import { record as recorded } from '../reference/forward';
import { cosines, logitWeights, logitWeightsOf } from '../reference/latent-weights';
import { VARIANTS } from '../support/engine';
import { randomDictionary } from '../support/random-dictionary';
import { CONFIGS, randomModel } from '../support/random-model';

const IDS = [1, 17, 42, 8, 60, 3, 3, 29, 11];
const OTHER = [5, 9, 42, 8, 31];
const WHOLE = 1000;
/** f32 against float64, over the largest of what is compared. */
const TOLERANCE = 1e-5;

const readers = new Map<string, { read(file: number, offset: number, into: Uint8Array): void | Promise<void>; close(): void }>();
let engine: Engine;
beforeAll(async () => {
  engine = new Engine({
    gpu: () => navigator.gpu as GPU | undefined,
    shaders,
    openTensors: ({ name }) => Promise.resolve(readers.get(name) ?? Promise.reject(new Error(`no ${name}`))),
  });
  await engine.start({ variants: VARIANTS[0] });
});

// LayerNorm and its mean; RMS and a gated MLP; norms after the branches.
describe.each(['GPT-2', 'Llama', 'Gemma 2'] as const)('%s', (family) => {
  const model = randomModel(CONFIGS[family] ?? {});
  const { dModel: d, dMlp: mlp, heads, dHead, vocabOut } = model.spec;
  const made = {
    post: randomDictionary({ activation: 'jumprelu', dIn: d, latents: 90, hookIn: 'blocks.0.hook_resid_post', seed: 1 }),
    pre: randomDictionary({ activation: 'topk', k: 8, dIn: d, latents: 70, hookIn: 'blocks.1.hook_resid_pre', seed: 2 }),
    z: randomDictionary({
      ...{ activation: 'relu', dIn: heads * dHead, latents: 50, hookIn: 'blocks.1.attn.hook_z', contract: { reshape: 'hook_z' }, seed: 4 },
    }),
    neurons: randomDictionary({ activation: 'relu', dIn: mlp, latents: 60, hookIn: 'blocks.0.mlp.hook_post', seed: 7, dtype: 'BF16' }),
    transcoder: randomDictionary({
      ...{ activation: 'relu', dIn: d, latents: 66, skip: true, seed: 8 },
      ...{ hookIn: 'blocks.1.ln2.hook_normalized', hookOut: 'blocks.1.hook_mlp_out' },
    }),
  };
  const names = Object.keys(made) as (keyof typeof made)[];

  beforeAll(async () => {
    readers.set(model.record.name, model.reader);
    for (const { record, reader } of Object.values(made)) readers.set(record.name, reader);
    await engine.use(model.record, { weights: 'stored' }, [3], 'use');
    for (const { record } of Object.values(made)) await engine.attach(record, 'attach');
  });

  test.each(names)('%s: by the token promoted, every latent in its place, as by brute force', async (name) => {
    const { record, twin } = made[name];
    const { latents } = record.spec;
    const all = Array.from({ length: latents }, (_, latent) => logitWeights(twin, model.spec, model.weights, latent));
    for (const token of [0, 42, 60]) {
      const weights = all.map((each) => at(each, token));
      const scale = Math.max(...weights.map(Math.abs));
      for (const sign of [1, -1] as const) {
        const { latents: found, of } = await engine.promotes({ dictionary: record.id, token, sign, top: WHOLE });
        const wanted = weights.flatMap((weight, latent) => (sign * weight > 0 ? [latent] : []));
        expect(found.map(({ latent }) => latent).sort((a, b) => a - b)).toEqual(wanted);
        expect(of).toBe(wanted.length);
        for (const { latent, score } of found) expect(Math.abs(score - at(weights, latent)) / scale).toBeLessThan(TOLERANCE);
        const scores = found.map(({ score }) => sign * score);
        expect(scores).toEqual([...scores].sort((a, b) => b - a));
        const few = await engine.promotes({ dictionary: record.id, token, sign, top: 3 });
        expect(few).toEqual({ latents: found.slice(0, 3), of, truncated: false });
      }
    }
  });

  test.each(names)('%s: the weight that a search finds is the weight that the latent’s own page shows', async (name) => {
    const { record } = made[name];
    const { latents: found } = await engine.promotes({ dictionary: record.id, token: 42, sign: 1, top: 5 });
    expect(found.length).toBeGreaterThan(0);
    for (const { latent, score } of found) {
      const { promoted } = await engine.latent({ dictionary: record.id, latent, top: WHOLE });
      const shown = promoted.find(({ id }) => id === 42)?.weight ?? NaN;
      const scale = Math.max(...promoted.map(({ weight }) => Math.abs(weight)));
      expect(Math.abs(score - shown) / scale).toBeLessThan(TOLERANCE);
    }
  });

  test('a token that the model does not write is refused', async () => {
    for (const token of [-1, vocabOut, 1.5])
      await expect(engine.promotes({ dictionary: made.post.record.id, token, sign: 1, top: 3 })).rejects.toMatchObject({
        code: 'token-range',
      });
  });

  test('the model’s own neurons, by the token that they promote and by where they fire', async () => {
    const dictionary = 'neurons:blocks.1';
    const hook = 'blocks.1.mlp.hook_post';
    const axis = (neuron: number): Float64Array => Float64Array.from({ length: mlp }, (_, i) => (i === neuron ? 1 : 0));
    const wanted = Array.from({ length: mlp }, (_, neuron) => at(logitWeightsOf(axis(neuron), hook, model.spec, model.weights), 42));
    const scale = Math.max(...wanted.map(Math.abs));
    const both = await Promise.all(([1, -1] as const).map((sign) => engine.promotes({ dictionary, token: 42, sign, top: WHOLE })));
    expect(both.reduce((sum, { of }) => sum + of, 0)).toBe(mlp);
    for (const { latent, score } of both.flatMap(({ latents }) => latents))
      expect(Math.abs(score - at(wanted, latent)) / scale).toBeLessThan(TOLERANCE);
    const post = recorded(model.spec, model.weights, IDS).get(hook as never)?.data ?? new Float64Array(0);
    const value = (row: number, neuron: number): number => at(post, row * mlp + neuron);
    const most = Math.max(...post);
    const [here, not] = [[{ ids: IDS, positions: [4] }], [{ ids: IDS, positions: [2] }]];
    const { latents } = await engine.contrast({ dictionary, here, not, each: 'min', top: WHOLE }, 'job');
    const fires = Array.from({ length: mlp }, (_, n) => n).filter((n) => value(4, n) - Math.max(0, value(2, n)) > 1e-4 * most);
    const sure = latents.filter(({ score }) => score > 1e-4 * most);
    expect(sure.map(({ latent }) => latent).sort((a, b) => a - b)).toEqual(fires);
    expect(fires.length).toBeGreaterThan(0);
    for (const { latent, score } of sure)
      expect(Math.abs(score - (value(4, latent) - Math.max(0, value(2, latent)))) / most).toBeLessThan(5e-5);
    await expect(engine.similar({ dictionary, latent: 1, other: made.post.record.id, top: 3 })).rejects.toMatchObject({
      code: 'places-differ',
    });
  });

  /** Activations [pos][latent] by the twins. */
  const activations = (name: keyof typeof made, ids: number[]): number[][] => {
    const { record, twin } = made[name];
    const x = recorded(model.spec, model.weights, ids).get(record.spec.hookIn as never)?.data ?? new Float64Array(0);
    const a = encode(twin, x);
    return ids.map((_, r) => [...a.subarray(r * record.spec.latents, (r + 1) * record.spec.latents)]);
  };

  test.each(names)('%s: fires here and not there, by smallest and by mean', async (name) => {
    const { record } = made[name];
    const { latents } = record.spec;
    const [one, two] = [activations(name, IDS), activations(name, OTHER)];
    const here = [
      { ids: IDS, positions: [2, 3] },
      { ids: OTHER, positions: [2] },
    ];
    const not = [
      { ids: IDS, positions: [0, 5] },
      { ids: OTHER, positions: [0, 4] },
    ];
    const rows = [one[2], one[3], two[2]];
    const rest = [one[0], one[5], two[0], two[4]];
    const scale = Math.max(...rows.map((row) => Math.max(...(row ?? []))));
    for (const each of ['min', 'mean'] as const) {
      const wanted = Array.from({ length: latents }, (_, m) => {
        const values = rows.map((row) => at(row ?? [], m));
        const firing = each === 'min' ? Math.min(...values) : values.reduce((a, b) => a + b, 0) / values.length;
        const resting = Math.max(...rest.map((row) => at(row ?? [], m)));
        return { latent: m, score: firing - resting, here: firing, not: resting };
      }).filter(({ score }) => score > 1e-4 * scale);
      const found = await engine.contrast({ dictionary: record.id, here, not, each, top: WHOLE }, 'job');
      const sure = found.latents.filter(({ score }) => score > 1e-4 * scale);
      expect(sure.map(({ latent }) => latent).sort((a, b) => a - b)).toEqual(wanted.map(({ latent }) => latent));
      if (each === 'mean') expect(wanted.length, 'a search that finds nothing proves nothing').toBeGreaterThan(0);
      for (const { latent, score, here: firing = NaN, not: resting = NaN } of sure) {
        const twin = wanted.find((other) => other.latent === latent);
        const pairs = [
          [score, twin?.score],
          [firing, twin?.here],
          [resting, twin?.not],
        ] as const;
        for (const [is, should = NaN] of pairs) expect(Math.abs(is - should) / scale).toBeLessThan(5e-5);
      }
      expect(found.latents.map(({ score }) => score)).toEqual(found.latents.map(({ score }) => score).sort((a, b) => b - a));
      expect(found.truncated).toBe(false);
    }
    const alone = await engine.contrast({ dictionary: record.id, here: here.slice(0, 1), not: [], each: 'min', top: 2 }, 'job');
    expect(alone.latents.length).toBeLessThanOrEqual(2);
    expect(alone.latents.every((each) => each.not === 0 && each.score === each.here)).toBe(true);
    expect(alone.of).toBe(
      Array.from({ length: latents }, (_, m) => Math.min(at(one[2] ?? [], m), at(one[3] ?? [], m))).filter((a) => a > 0).length,
    );
  });

  test('positions outside the text are refused; a job that is cancelled stops', async () => {
    const ask = (positions: number[]) =>
      engine.contrast({ dictionary: made.post.record.id, here: [{ ids: IDS, positions }], not: [], each: 'min', top: 3 }, 'job');
    await expect(ask([IDS.length])).rejects.toMatchObject({ code: 'position-range' });
    await expect(ask([-1])).rejects.toMatchObject({ code: 'position-range' });
    const many = Array.from({ length: 8 }, () => ({ ids: IDS, positions: [1] }));
    const stopped = engine.contrast({ dictionary: made.post.record.id, here: many, not: [], each: 'min', top: 3 }, 'stop', (done) => {
      if (done === 2) void engine.cancel('stop');
    });
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
  });

  test('like directions in another dictionary of the place, and in its own', async () => {
    for (const [from, to] of [
      ['post', 'pre'],
      ['pre', 'post'],
      ['z', 'z'],
      ['neurons', 'neurons'],
    ] as const) {
      const [one, two] = [made[from], made[to]];
      const wanted = cosines(one.twin, 7, two.twin);
      const found = await engine.similar({ dictionary: one.record.id, latent: 7, other: two.record.id, top: WHOLE });
      expect(found).toHaveLength(two.record.spec.latents - (from === to ? 1 : 0));
      for (const { latent, cosine } of found) expect(Math.abs(cosine - at(wanted, latent))).toBeLessThan(TOLERANCE);
      expect(found.map(({ cosine }) => cosine)).toEqual(found.map(({ cosine }) => cosine).sort((a, b) => b - a));
    }
    const ask = (from: keyof typeof made, latent: number, to: keyof typeof made) =>
      engine.similar({ dictionary: made[from].record.id, latent, other: made[to].record.id, top: 3 });
    await expect(ask('post', 90, 'pre')).rejects.toMatchObject({ code: 'latent-range' });
    await expect(ask('post', 0, 'transcoder')).rejects.toMatchObject({ code: 'places-differ' });
    const { neighbours } = await engine.latent({ dictionary: made.post.record.id, latent: 7, top: 3 });
    const own = await ask('post', 7, 'post');
    expect(own.map(({ latent }) => latent)).toEqual(neighbours.map(({ latent }) => latent));
  });
});
