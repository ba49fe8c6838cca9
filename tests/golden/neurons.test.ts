/**
 * MLP neurons as a dictionary of the model itself, against the float64 twin: what is listed is what a tap of the hook holds, an edit of a latent is that column
 * replaced, and a neuron's tokens, neighbours and cosine are those of the weights.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { EngineEdit } from '../../workers/contract';
import { Engine } from '../../workers/engine';
import { shaders } from '../../workers/gpu/shaders';
import { at } from '../reference/array';
import type { LatentEdit } from '../reference/dictionary-edits';
import { forward, record as recorded } from '../reference/forward';
import { linear } from '../reference/linear';
import { column, cosine, listed, neuronEdits } from '../reference/neurons';
import { generate, run, steps, VARIANTS } from '../support/engine';
import { randomDictionary } from '../support/random-dictionary';
import { CONFIGS, randomModel, type RandomModel } from '../support/random-model';
import { compareRows, describeComparison } from './compare';

const GOLDEN = 5e-5;
const IDS = [1, 17, 42, 8, 60, 3, 3, 29, 11];
const LAYER = 1;
const ID = `neurons:blocks.${LAYER}`;
const HOOK = `blocks.${LAYER}.mlp.hook_post`;

const readers = new Map<string, RandomModel['reader']>();
let engine: Engine;
beforeAll(async () => {
  engine = new Engine({
    gpu: () => navigator.gpu as GPU | undefined,
    shaders,
    openTensors: ({ name }) => Promise.resolve(readers.get(name) ?? Promise.reject(new Error(`no ${name}`))),
  });
  await engine.start({ variants: VARIANTS[0] });
});

function close(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, width: number, tolerance = GOLDEN): void {
  const found = compareRows(actual, expected, width, tolerance);
  expect(found.within, describeComparison(what, found)).toBe(true);
}

const rest = { where: 'all', skipSpecial: false, strength: 1, enabled: true } as const;
const latent = (edit: Partial<LatentEdit> & { latent: number }, more: Partial<EngineEdit> = {}): EngineEdit =>
  ({ ...rest, at: HOOK, kind: 'latent', dictionary: ID, op: 'set', value: 2, ...edit, ...more }) as EngineEdit;

const FAMILIES = ['GPT-2', 'Llama', 'Gemma 2', 'Phi-2', 'toy with LayerNorm'] as const;

describe.each(FAMILIES)('%s', (family) => {
  const config = CONFIGS[family] ?? {};
  const model = randomModel(config);
  const { spec } = model;
  const { dMlp, dModel, vocabOut } = spec;
  const kind = spec.mlp.gated ? 'signed' : 'positive';
  const clean = recorded(spec, model.weights, IDS).get(HOOK as never)?.data ?? new Float64Array(0);
  const rowOf = (values: Float64Array, r: number): Float64Array => values.subarray(r * dMlp, (r + 1) * dMlp);

  beforeAll(async () => {
    readers.set(model.record.name, model.reader);
    await engine.use(model.record, { weights: 'stored' }, [3], 'use');
  });

  test('every layer has them, as a dictionary that is at hand', async () => {
    const all = await engine.neurons();
    expect(all.map(({ id }) => id)).toEqual(Array.from({ length: spec.layers }, (_, l) => `neurons:blocks.${l}`));
    expect(all[LAYER]).toMatchObject({
      name: 'MLP neurons, layer 1',
      kind: 'neurons',
      hookIn: [HOOK],
      hookOut: HOOK,
      dIn: dMlp,
      dOut: dMlp,
      latents: dMlp,
      fits: [model.record.id],
    });
    const { bytesInUse } = await engine.device();
    await engine.encode({ dictionary: ID, ids: IDS, edits: [] }, 'e');
    const after = (await engine.device()).bytesInUse;
    expect(after - bytesInUse, 'scratch alone: rows, lists and errors').toBeLessThan(IDS.length * (16 * dMlp + 8 * 1026) + (1 << 16));
  });

  test('encodes: the active ones, as the hook holds them, and nothing is missed', async () => {
    const found = await engine.encode({ dictionary: ID, ids: [...IDS], edits: [] }, 'encode');
    const tapped = (await engine.batch([run(IDS, { taps: [HOOK] })], 'job'))[0]?.taps[HOOK]?.data ?? new Float32Array(0);
    close('the tap', tapped, clean, dMlp);
    found.rows.forEach((row, r) => {
      const wanted = listed(tapped.subarray(r * dMlp, (r + 1) * dMlp), kind, 1024).pairs;
      expect(row.map(([i]) => i)).toEqual(wanted.map(([i]) => i));
      close(
        `row ${r}`,
        row.map(([, value]) => value),
        wanted.map(([, value]) => value),
        wanted.length,
        1e-6,
      );
      expect(at(found.inputNorm, r) / Math.hypot(...rowOf(clean, r))).toBeCloseTo(1, 4);
    });
    expect(found.rows).toHaveLength(IDS.length);
    expect(found.truncated).toBe(false);
    expect(found.errorNorm).toEqual(IDS.map(() => 0));
    const signs = new Set(found.rows.flat().map(([, value]) => Math.sign(value)));
    expect([...signs].sort()).toEqual(kind === 'signed' ? [-1, 1] : [1]);
  });

  const logits = async (edits: EngineEdit[]): Promise<Float32Array> => {
    const [result] = await engine.batch([run(IDS, { edits })], 'job');
    return result?.logits?.data ?? new Float32Array(0);
  };

  test('a latent edited is that column of the hook, whatever it was; among other edits, at some positions, at a strength', async () => {
    const edits: LatentEdit[] = [
      { latent: 4, op: 'set', value: 3, strength: 1 },
      { latent: 7, op: 'scale', value: -2, strength: 1 },
      { latent: 4, op: 'add', value: 1.5, strength: 0.5 },
      { latent: dMlp - 1, op: 'set', value: -1, strength: 0.25 },
    ];
    const twin = (change: (x: Float64Array) => Float64Array): Float64Array =>
      forward(spec, model.weights, IDS, (name, x) => (name === HOOK ? change(x) : undefined));
    const all = await logits(edits.map((edit) => latent(edit)));
    close(
      'all',
      all,
      twin((x) => neuronEdits(x, dMlp, edits)),
      vocabOut,
    );
    const unedited = await logits([]);
    expect(compareRows(all, unedited, vocabOut, 1e-4).within, 'an edit that does nothing proves nothing').toBe(false);

    const column4 = Float32Array.from({ length: IDS.length * dMlp }, (_, i) => (i % dMlp === 4 ? 3 : at(clean, i)));
    const replaced: EngineEdit = { ...rest, at: HOOK, kind: 'replace', value: { shape: [IDS.length, dMlp], data: column4 } };
    close('as a replacement', await logits([latent({ latent: 4, value: 3 })]), await logits([replaced]), vocabOut);

    const vector = Float32Array.from({ length: dMlp }, (_, i) => Math.sin(i));
    const add: EngineEdit = { ...rest, at: HOOK, kind: 'add', vector, scale: 2 };
    const pushed = (x: Float64Array): Float64Array => x.map((value, i) => value + 2 * at(vector, i % dMlp));
    const [one] = edits.slice(0, 1);
    close(
      'after an add',
      await logits([add, latent({ latent: 4, value: 3 })]),
      twin((x) => neuronEdits(pushed(x), dMlp, one ? [one] : [])),
      vocabOut,
    );
    close(
      'before an add',
      await logits([latent({ latent: 4, value: 3 }), add]),
      twin((x) => pushed(neuronEdits(x, dMlp, one ? [one] : []))),
      vocabOut,
    );
    close(
      'at two positions, not at the special token',
      await logits([latent({ latent: 4, value: 3 }, { where: [2, 5, -1], skipSpecial: true })]),
      twin((x) => x.map((value, i) => ([2, IDS.length - 1].includes(Math.floor(i / dMlp)) && i % dMlp === 4 ? 3 : value))),
      vocabOut,
    );
    const still = await logits([latent({ latent: 4 }, { strength: 0 }), latent({ latent: 5 }, { enabled: false })]);
    close('strength 0', still, unedited, vocabOut, 1e-5);
  });

  test('spliced it is the identity, with its error and without', async () => {
    const splice = (keepError: boolean): EngineEdit => ({ ...rest, at: HOOK, kind: 'splice', dictionary: ID, keepError });
    const unedited = await logits([]);
    for (const keepError of [true, false]) close(String(keepError), await logits([splice(keepError)]), unedited, vocabOut, 1e-5);
  });

  test('evaluated: nothing is lost', async () => {
    const { scores, density } = await engine.evaluate({ dictionary: ID, texts: [IDS, [2, ...IDS.slice(3)]], special: [3] }, 'evaluate');
    expect(scores).toMatchObject({ fvu: 0, mse: 0, truncated: 0 });
    expect(scores['ce_score']).toBeCloseTo(1, 4);
    expect(scores['kl_score']).toBeCloseTo(1, 4);
    expect(density.reduce((sum, each) => sum + each, 0)).toBeCloseTo(scores['l0'] ?? NaN, 4);
  });

  test('live while text is written: those of a run over it, at one dispatch a token; an edit costs one', async () => {
    const edit = latent({ latent: 4, op: 'set', value: 3 });
    const request = generate(IDS.slice(0, 4), { edits: [edit], watch: [ID, 'neurons:blocks.0'], tokens: 6 });
    const all = await steps(engine, request, (step, id) => (step.position === 6 ? engine.dial(id, 0, { value: -3 }) : undefined));
    expect(all).toHaveLength(6);
    const text = [...request.ids, ...all.map((step) => step.steered.id)];
    const whole = await engine.encode({ dictionary: ID, ids: text, edits: [edit] }, 'encode');
    const early = all.filter((step) => step.dials[0]?.value === 3);
    for (const step of early) {
      const dense = (pairs: readonly (readonly [number, number])[]): Float64Array => {
        const out = new Float64Array(dMlp);
        for (const [i, value] of pairs) out[i] = value;
        return out;
      };
      const seen = step.latents?.[ID]?.pairs ?? [];
      expect(seen.find(([i]) => i === 4)?.[1]).toBe(3);
      close(`at ${step.position}`, dense(seen), dense(whole.rows[step.position - 1] ?? []), dMlp, 1e-5);
      expect(step.latents?.['neurons:blocks.0']?.pairs.length).toBeGreaterThan(3);
    }
    const count = async (more: Parameters<typeof generate>[1]): Promise<number> =>
      (await engine.explainGenerate(generate(IDS, more))).filter(({ kernel }) => kernel !== 'copy').length;
    const bare = await count({});
    expect((await count({ watch: [ID] })) - bare).toBe(1);
    expect((await count({ edits: [edit, latent({ latent: 9 })] })) - bare).toBe(1);
  });

  test('what its weights say: tokens by W_out·W_U, neighbours and cosine by brute force', async () => {
    const { weights } = model;
    const { mlp, ln2Post } = weights.layers[LAYER] ?? {};
    if (!mlp) throw new Error('no MLP');
    const neuron = 11;
    const found = await engine.latent({ dictionary: ID, latent: neuron, top: vocabOut });
    const own = column(mlp.down, neuron);
    const after = own.map((value, i) => value * (ln2Post ? at(ln2Post.weight, i) : 1));
    const mean = spec.norm.kind === 'layer' ? after.reduce((sum, each) => sum + each, 0) / dModel : 0;
    const direction = after.map((value, i) => (value - mean) * at(weights.lnFinal?.weight ?? [], i));
    const { weight, inputs, outputs } = weights.unembed;
    const promoted = linear(direction, { weight, inputs, outputs });
    const seen = new Float64Array(vocabOut);
    for (const { id, weight } of found.promoted) seen[id] = weight;
    close('promoted', seen, promoted, vocabOut);
    expect(found.promoted).toHaveLength(vocabOut);
    expect(found.suppressed).toEqual(found.promoted.toReversed());
    const cosines = Float64Array.from({ length: dMlp }, (_, i) => cosine(own, column(mlp.down, i)));
    expect(found.neighbours).toHaveLength(Math.min(vocabOut, dMlp - 1));
    for (const { latent: other, cosine: given } of found.neighbours) expect(Math.abs(given - at(cosines, other))).toBeLessThan(1e-5);
    const order = [...cosines.keys()].filter((i) => i !== neuron).sort((a, b) => at(cosines, b) - at(cosines, a));
    expect(found.neighbours[0]?.latent).toBe(order[0]);
    const read = Float64Array.from({ length: dModel }, (_, i) => at(mlp.up.weight, neuron * dModel + i));
    expect(found.cosine).toBeCloseTo(cosine(read, own), 5);
    expect(found.norm).toBeCloseTo(Math.hypot(...own), 5);
  });

  test('what there is not is refused', async () => {
    const code = (work: Promise<unknown>): Promise<string> => work.then(String, (thrown: unknown) => (thrown as { code: string }).code);
    expect(await code(engine.encode({ dictionary: 'neurons:blocks.9', ids: IDS, edits: [] }, 'e'))).toBe('dictionary-unknown');
    expect(await code(engine.encode({ dictionary: 'neurons:1', ids: IDS, edits: [] }, 'e'))).toBe('dictionary-unknown');
    expect(await code(engine.latent({ dictionary: ID, latent: dMlp, top: 3 }))).toBe('latent-range');
    expect(await code(logits([latent({ latent: dMlp })]))).toBe('latent-range');
    expect(await code(logits([latent({ latent: 1 }, { at: 'blocks.0.mlp.hook_post' })]))).toBe('edit-shape');
    expect(await code(logits([latent({ latent: 1 }, { at: 'blocks.1.hook_resid_post' })]))).toBe('edit-shape');
  });

  test('beside a dictionary of the same hook', async () => {
    const sae = randomDictionary({ activation: 'relu', dIn: dMlp, latents: 40, hookIn: HOOK, seed: 7 });
    readers.set(sae.record.name, sae.reader);
    await engine.attach(sae.record, 'attach');
    const edits = [latent({ latent: 4, value: 3 }), latent({ latent: 2, value: 1 }, { dictionary: sae.record.id } as Partial<EngineEdit>)];
    const alone = await engine.encode({ dictionary: sae.record.id, ids: IDS, edits: edits.slice(0, 1) }, 'e');
    const bare = await engine.encode({ dictionary: sae.record.id, ids: IDS, edits: [] }, 'e');
    expect(alone.rows, 'it reads what the neurons were made').not.toEqual(bare.rows);
    const before = await engine.encode({ dictionary: ID, ids: IDS, edits: edits.slice(0, 1) }, 'e');
    expect(before.rows.every((row) => row.some(([i, value]) => i === 4 && value === 3))).toBe(true);
    await engine.detach(sae.record.id);
  });
});

test('a model without MLPs has none', async () => {
  const model = randomModel(CONFIGS['toy without norms'] ?? {});
  readers.set(model.record.name, model.reader);
  await engine.use(model.record, { weights: 'stored' }, [], 'use');
  expect(await engine.neurons()).toEqual([]);
  await expect(engine.encode({ dictionary: 'neurons:blocks.0', ids: IDS, edits: [] }, 'e')).rejects.toMatchObject({
    code: 'dictionary-unknown',
  });
});
