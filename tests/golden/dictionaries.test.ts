/**
 * Dictionaries in runs and in generation, against the float64 twins of model and dictionary: encoding at every place that one can read, edits of
 * latents and splices among other edits, and live latents that are those of a run.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { EngineEdit } from '../../workers/contract';
import { Engine } from '../../workers/engine';
import { shaders } from '../../workers/gpu/shaders';
import { at } from '../reference/array';
import { encode, errorTerm, reconstruct, type Dictionary } from '../reference/dictionary';
import { scores } from '../reference/dictionary-scores';
import { logSoftmax } from '../reference/softmax';
import { latentEdits, splice, type LatentEdit } from '../reference/dictionary-edits';
import { forward, record as recorded, type HookFn } from '../reference/forward';
import { generate, run, steps, VARIANTS } from '../support/engine';
import { randomDictionary, type RandomDictionary } from '../support/random-dictionary';
import { randomModel } from '../support/random-model';
import { compareRows, describeComparison } from './compare';

const GOLDEN = 5e-5;
const GPT2 = { model_type: 'gpt2', n_layer: 2, n_embd: 36, n_head: 3, vocab_size: 61, n_positions: 48, activation_function: 'gelu_new' };
const LLAMA = {
  ...{ model_type: 'llama', hidden_size: 40, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 50 },
  ...{ vocab_size: 61, max_position_embeddings: 48, rms_norm_eps: 1e-5, rope_theta: 10000, hidden_act: 'silu', tie_word_embeddings: false },
};
const IDS = [1, 17, 42, 8, 60, 3, 3, 29, 11];

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

function close(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, width: number, tolerance = GOLDEN): void {
  const found = compareRows(actual, expected, width, tolerance);
  expect(found.within, describeComparison(what, found)).toBe(true);
}

const rest = { where: 'all', skipSpecial: false, strength: 1, enabled: true } as const;
const latent = (d: RandomDictionary, edit: Partial<LatentEdit> & { latent: number }, more: Partial<EngineEdit> = {}): EngineEdit =>
  ({ ...rest, at: d.record.spec.hookOut, kind: 'latent', dictionary: d.record.id, op: 'set', value: 2, ...edit, ...more }) as EngineEdit;
const spliced = (d: RandomDictionary, keepError: boolean, more: Partial<EngineEdit> = {}): EngineEdit =>
  ({ ...rest, at: d.record.spec.hookOut, kind: 'splice', dictionary: d.record.id, keepError, ...more }) as EngineEdit;

describe.each([
  ['gpt2', GPT2, 36, 144],
  ['llama', LLAMA, 40, 50],
] as const)('%s', (_family, config, d, mlp) => {
  const model = randomModel(config);
  const made = {
    post: randomDictionary({ activation: 'jumprelu', dIn: d, latents: 90, hookIn: 'blocks.0.hook_resid_post', seed: 1 }),
    mid: randomDictionary({ activation: 'topk', k: 8, dIn: d, latents: 70, hookIn: 'blocks.1.hook_resid_mid', seed: 2 }),
    gated: randomDictionary({ activation: 'gated', dIn: d, latents: 64, hookIn: 'blocks.1.hook_resid_pre', seed: 3 }),
    z: randomDictionary({
      activation: 'relu',
      dIn: d,
      latents: 50,
      hookIn: 'blocks.1.attn.hook_z',
      contract: { reshape: 'hook_z' },
      seed: 4,
    }),
    mlpOut: randomDictionary({ activation: 'jumprelu', dIn: d, latents: 80, hookIn: 'blocks.0.hook_mlp_out', seed: 5 }),
    attnOut: randomDictionary({
      activation: 'topk',
      k: 5,
      dIn: d,
      latents: 60,
      hookIn: 'blocks.0.hook_attn_out',
      contract: { normalisation: 'layer_norm' },
      seed: 6,
    }),
    neurons: randomDictionary({ activation: 'relu', dIn: mlp, latents: 60, hookIn: 'blocks.0.mlp.hook_post', seed: 7 }),
    transcoder: randomDictionary({
      activation: 'relu',
      dIn: d,
      latents: 66,
      hookIn: 'blocks.1.ln2.hook_normalized',
      hookOut: 'blocks.1.hook_mlp_out',
      skip: true,
      seed: 8,
    }),
    early: randomDictionary({ activation: 'relu', dIn: d, latents: 30, hookIn: 'hook_embed', seed: 9 }),
  };
  const all = Object.entries(made);
  const clean = recorded(model.spec, model.weights, IDS);
  const valuesAt = (hook: string): Float64Array => clean.get(hook as never)?.data ?? new Float64Array(0);

  beforeAll(async () => {
    readers.set(model.record.name, model.reader);
    for (const [, { record, reader }] of all) readers.set(record.name, reader);
    await engine.use(model.record, { weights: 'stored' }, [3], 'use');
    for (const [, { record }] of all) await engine.attach(record, 'attach');
  });

  test.each(all.map(([name]) => name))('%s: encodes what the run has there', async (name) => {
    const { record, twin } = made[name as keyof typeof made];
    const { spec } = record;
    const found = await engine.encode({ dictionary: record.id, ids: [...IDS], edits: [] }, 'encode');
    const [x, y] = [valuesAt(spec.hookIn), valuesAt(spec.hookOut)];
    const expected = encode(twin, x);
    const dense = Float64Array.from({ length: expected.length }, () => 0);
    found.rows.forEach((row, r) => row.forEach(([m, value]) => (dense[r * spec.latents + m] = value)));
    close('activations', dense, expected, spec.latents);
    found.rows.forEach((row, r) => {
      const active = [...expected.subarray(r * spec.latents, (r + 1) * spec.latents).entries()].flatMap(([m, value]) =>
        value > 0 ? [m] : [],
      );
      expect(row.map(([m]) => m).sort((a, b) => a - b)).toEqual(active);
    });
    expect(found.truncated).toBe(false);
    const norm = (v: ArrayLike<number>, r: number): number =>
      Math.hypot(...Array.from({ length: spec.dOut }, (_, i) => at(v, r * spec.dOut + i)));
    const error = errorTerm(twin, x, y);
    IDS.forEach((_, r) => {
      expect(at(found.inputNorm, r) / norm(y, r)).toBeCloseTo(1, 4);
      expect(at(found.errorNorm, r) / norm(error, r)).toBeCloseTo(1, 4);
    });
  });

  /** Logits by the twin, with what `edit` makes of a dictionary's output. */
  function expected(
    d: RandomDictionary,
    edit: (twin: Dictionary, x: Float64Array, y: Float64Array) => ArrayLike<number>,
    others?: HookFn,
  ): Float64Array {
    const { hookIn, hookOut } = d.record.spec;
    let read = new Float64Array(0);
    return forward(model.spec, model.weights, IDS, (name, values, shape) => {
      const before = others?.(name, values, shape) ?? values;
      if (name === hookIn) read = Float64Array.from(before);
      return name === hookOut ? Float64Array.from(edit(d.twin, hookIn === hookOut ? before : read, before)) : before;
    });
  }
  const logits = async (edits: EngineEdit[]): Promise<Float32Array> => {
    const [result] = await engine.batch([run(IDS, { edits })], 'job');
    return result?.logits?.data ?? new Float32Array(0);
  };
  const close61 = (what: string, actual: ArrayLike<number>, wanted: ArrayLike<number>): void =>
    close(what, actual, wanted, model.spec.vocabOut);

  const writing = Object.entries(made).filter(([name]) => name !== 'early');
  test.each(writing.map(([name]) => name))('%s: latents set, added to, scaled, together and at a strength', async (name) => {
    const d = made[name as keyof typeof made];
    // One that is active somewhere, one that may not be, and one twice.
    const activations = encode(d.twin, valuesAt(d.record.spec.hookIn));
    const live = activations.findIndex((value) => value > 0) % d.record.spec.latents;
    const edits: (LatentEdit & { latent: number })[] = [
      { latent: live, op: 'scale', value: -2, strength: 1 },
      { latent: (live + 7) % d.record.spec.latents, op: 'set', value: 3, strength: 0.5 },
      { latent: 3, op: 'add', value: 1.5, strength: 1 },
      { latent: 3, op: 'set', value: 0.25, strength: 0.75 },
    ];
    const found = await logits(edits.map((edit) => latent(d, edit)));
    close61(
      'logits',
      found,
      expected(d, (twin, x, y) => latentEdits(twin, edits, x, y)),
    );
    const unedited = await logits([]);
    expect(compareRows(found, unedited, 61, 1e-4).within, 'an edit that does nothing proves nothing').toBe(false);
  });

  test.each(writing.map(([name]) => name))('%s: spliced, in full and by half; with its error it is the identity', async (name) => {
    const d = made[name as keyof typeof made];
    for (const strength of [1, 0.5])
      close61(
        `strength ${strength}`,
        await logits([spliced(d, false, { strength })]),
        expected(d, (twin, x, y) => splice(twin, { keepError: false, strength }, x, y)),
      );
    const unedited = await logits([]);
    close('with its error', await logits([spliced(d, true)]), unedited, 61, 1e-5);
    expect(await logits([spliced(d, false, { strength: 0 }), latent(d, { latent: 1 }, { strength: 0 })])).toEqual(
      await logits([spliced(d, false, { enabled: false }), latent(d, { latent: 1 }, { enabled: false })]),
    );
    close(
      'at strength 0',
      await logits([spliced(d, false, { strength: 0 }), latent(d, { latent: 1 }, { strength: 0 })]),
      unedited,
      61,
      1e-5,
    );
  });

  test('among other edits of the hook, in list order; at some positions; on two places at once', async () => {
    const d = made.post;
    const hook = d.record.spec.hookOut;
    const vector = Float32Array.from({ length: d.record.spec.dOut }, (_, i) => Math.sin(i));
    const add: EngineEdit = { ...rest, at: hook, kind: 'add', vector, scale: 2 };
    const change: LatentEdit = { latent: 5, op: 'set', value: 4, strength: 1 };
    const pushed: HookFn = (name, x) => (name === hook ? x.map((value, i) => value + 2 * at(vector, i % vector.length)) : undefined);
    close61(
      'add first',
      await logits([add, latent(d, change)]),
      expected(d, (twin, x, y) => latentEdits(twin, [change], x, y), pushed),
    );
    close61(
      'add last',
      await logits([latent(d, change), add]),
      expected(d, (twin, x, y) => [...latentEdits(twin, [change], x, y)].map((value, i) => value + 2 * at(vector, i % vector.length))),
    );
    const width = d.record.spec.dOut;
    close61(
      'at two positions',
      await logits([latent(d, change, { where: [2, -1] })]),
      expected(d, (twin, x, y) => {
        const edited = latentEdits(twin, [change], x, y);
        return [...y].map((value, i) => ([2, IDS.length - 1].includes(Math.floor(i / width)) ? at(edited, i) : value));
      }),
    );
    const [one, two] = [made.gated, made.mid];
    const both = await logits([latent(one, change), latent(two, { latent: 9, op: 'add', value: 2, strength: 1 })]);
    close61(
      'two dictionaries',
      both,
      forward(model.spec, model.weights, IDS, (name, x) => {
        if (name === one.record.spec.hookOut) return latentEdits(one.twin, [change], x);
        return name === two.record.spec.hookOut ? latentEdits(two.twin, [{ latent: 9, op: 'add', value: 2, strength: 1 }], x) : undefined;
      }),
    );
  });

  test('in a batch every sequence has its own edits', async () => {
    const d = made.post;
    const edits = [
      [],
      [latent(d, { latent: 5 })],
      [spliced(d, false)],
      [latent(d, { latent: 6, op: 'scale', value: 0 }), latent(d, { latent: 5 })],
    ];
    const together = await engine.batch(
      edits.map((each) => run(IDS, { edits: each })),
      'job',
    );
    for (const [i, each] of edits.entries()) close(`sequence ${i}`, together[i]?.logits?.data ?? [], await logits(each), 61, 1e-5);
  });

  test('live latents are those of a run over the text, with the dials that were in force', async () => {
    const d = made.post;
    const watch = [d.record.id, made.transcoder.record.id];
    const edit = latent(d, { latent: 5, op: 'set', value: 3 });
    const request = generate(IDS.slice(0, 4), { edits: [edit], watch, tokens: 8 });
    const all = await steps(engine, request, (step, id) => (step.position === 6 ? engine.dial(id, 0, { value: -3 }) : undefined));
    const text = [...request.ids, ...all.map((step) => step.steered.id)];
    expect(all).toHaveLength(8);
    expect(new Set(all.map((step) => step.dials[0]?.value))).toEqual(new Set([3, -3]));
    const [last] = all.slice(-1);
    for (const id of watch) {
      const spec = (id === d.record.id ? d : made.transcoder).record.spec;
      const early = all.filter((step) => step.dials[0]?.value === 3);
      const whole = await engine.encode({ dictionary: id, ids: text.slice(0, early.at(-1)?.position ?? 0), edits: [edit] }, 'encode');
      for (const step of early) {
        const seen = new Float64Array(spec.latents);
        for (const [m, value] of step.latents?.[id]?.pairs ?? []) seen[m] = value;
        const wanted = new Float64Array(spec.latents);
        for (const [m, value] of whole.rows[step.position - 1] ?? []) wanted[m] = value;
        close(`${id} at ${step.position}`, seen, wanted, spec.latents, 1e-5);
      }
      expect(last?.latents?.[id]?.pairs.length).toBeGreaterThan(0);
    }
  });

  test('a latent’s dial that moves in mid-stream acts from the next token on, and a replay with its schedule gives the same text', async () => {
    const d = made.post;
    const first = latent(d, { latent: 5, op: 'set', value: 3 });
    const request = generate(IDS.slice(0, 4), { edits: [first], tokens: 12 });
    const resting = await steps(engine, request);
    const moved = await steps(engine, request, (step, id) => (step.position === 7 ? engine.dial(id, 0, { value: -40 }) : undefined));
    const values = moved.map(({ dials }) => dials[0]?.value);
    const turn = values.indexOf(-40);
    // At most two tokens are ahead of what was seen.
    expect(turn).toBeGreaterThan(3);
    expect(turn).toBeLessThanOrEqual(6);
    expect(values).toEqual(values.map((_, i) => (i < turn ? 3 : -40)));
    const ids = (all: typeof moved): number[] => all.map(({ steered }) => steered.id);
    expect(ids(moved).slice(0, turn)).toEqual(ids(resting).slice(0, turn));
    expect(ids(moved).slice(turn)).not.toEqual(ids(resting).slice(turn));
    // A step’s dials were in force when the token before it was read.
    const text = [...request.ids, ...ids(moved)];
    const from = (moved[turn]?.position ?? 0) - 1;
    const at = (start: number, end: number): number[] => Array.from({ length: end - start }, (_, i) => start + i);
    const schedule = [
      { ...first, where: at(0, from) },
      { ...latent(d, { latent: 5, op: 'set', value: -40 }), where: at(from, text.length) },
    ];
    const [replay] = await engine.batch([run(text, { edits: schedule })], 'replay');
    const width = model.spec.vocabOut;
    for (const { position, steered } of moved) {
      const row = Float64Array.from((replay?.logits?.data ?? new Float32Array(0)).subarray((position - 1) * width, position * width));
      expect(row.indexOf(Math.max(...row)), `the token at ${position}`).toBe(steered.id);
      expect(Math.exp(logSoftmax(row)[steered.id] ?? NaN)).toBeCloseTo(steered.probability, 4);
    }
  });

  test('a watched dictionary costs two dispatches a token, a latent edit two', async () => {
    const count = async (more: Parameters<typeof generate>[1]): Promise<number> =>
      (await engine.explainGenerate(generate(IDS, more))).filter(({ kernel }) => kernel !== 'copy').length;
    const bare = await count({});
    expect((await count({ watch: [made.post.record.id] })) - bare).toBe(2);
    expect((await count({ watch: [made.post.record.id, made.gated.record.id] })) - bare).toBe(4);
    expect((await count({ edits: [latent(made.post, { latent: 1 }), latent(made.post, { latent: 2 })] })) - bare).toBe(2);
  });

  test.each(['post', 'mlpOut', 'transcoder'] as const)('%s: evaluated, the numbers are those of the twins', async (name) => {
    const d = made[name];
    const { spec } = d.record;
    const texts = [IDS, [2, ...IDS.slice(3)], [5, 9]];
    // Token 3 stands for a special one.
    const { scores: found, density } = await engine.evaluate({ dictionary: d.record.id, texts, special: [3] }, 'evaluate');
    const rows: { a: number[]; y: number[]; back: number[] }[] = [];
    const nats = { clean: 0, spliced: 0, zero: 0 };
    const kl = { spliced: 0, zero: 0 };
    let predicted = 0;
    for (const ids of texts) {
      const seen = recorded(model.spec, model.weights, ids);
      const [x, y] = [spec.hookIn, spec.hookOut].map((hook) => seen.get(hook as never)?.data ?? new Float64Array(0)) as [
        Float64Array,
        Float64Array,
      ];
      const [a, back] = [encode(d.twin, x), reconstruct(d.twin, x)];
      const slice = (v: Float64Array, r: number, width: number): number[] => [...v.subarray(r * width, (r + 1) * width)];
      const kept = ids.flatMap((id, r) => (id === 3 ? [] : [r]));
      for (const r of kept) rows.push({ a: slice(a, r, spec.latents), y: slice(y, r, spec.dOut), back: slice(back, r, spec.dOut) });
      const replaced = (values?: ArrayLike<number>): Float64Array =>
        forward(model.spec, model.weights, ids, (hook, there) =>
          hook === spec.hookOut && values ? Float64Array.from(there, (_, i) => values[i] ?? 0) : undefined,
        );
      const width = model.spec.vocabOut;
      // As in SAELens: what is left out keeps its place while the rest is spliced, and is zeros with the rest.
      const partly = y.map((value, i) => (kept.includes(Math.floor(i / spec.dOut)) ? at(back, i) : value));
      const logs = [replaced(), replaced(partly), replaced([])].map((all) =>
        ids.map((_, r) => [...logSoftmax(all.subarray(r * width, (r + 1) * width))]),
      );
      for (const r of kept) {
        const of = (i: number): number[] => logs[i]?.[r] ?? [];
        const divergence = (i: number): number => of(0).reduce((sum, log, t) => sum + Math.exp(log) * (log - (of(i)[t] ?? NaN)), 0);
        kl.spliced += divergence(1);
        kl.zero += divergence(2);
        if (r === ids.length - 1) continue;
        predicted++;
        const next = ids[r + 1] ?? 0;
        nats.clean -= of(0)[next] ?? NaN;
        nats.spliced -= of(1)[next] ?? NaN;
        nats.zero -= of(2)[next] ?? NaN;
      }
    }
    const twin = scores({
      activations: rows.flatMap(({ a }) => a),
      latents: spec.latents,
      target: rows.flatMap(({ y }) => y),
      output: rows.flatMap(({ back }) => back),
      dOut: spec.dOut,
    });
    const expected = {
      ...{ positions: rows.length, l0: twin.l0, l1: twin.l1, fvu: twin.fvu, mse: twin.squaredError, truncated: 0 },
      ...{ ce_clean: nats.clean / predicted, ce_spliced: nats.spliced / predicted, ce_zero: nats.zero / predicted },
      ...{ ce_score: (nats.zero - nats.spliced) / (nats.zero - nats.clean) },
      ...{ kl_spliced: kl.spliced / rows.length, kl_zero: kl.zero / rows.length, kl_score: (kl.zero - kl.spliced) / kl.zero },
      dead: Array.from({ length: spec.latents }, (_, m) => rows.every(({ a }) => a[m] === 0)).filter(Boolean).length / spec.latents,
      dense:
        Array.from({ length: spec.latents }, (_, m) => rows.filter(({ a }) => (a[m] ?? 0) > 0).length / rows.length > 0.1).filter(Boolean)
          .length / spec.latents,
    };
    expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
    for (const [key, value] of Object.entries(expected))
      expect(Math.abs((found[key] ?? NaN) - value) / Math.max(1, Math.abs(value)), key).toBeLessThan(2e-4);
    expect(density.reduce((sum, each) => sum + each, 0)).toBeCloseTo(twin.l0, 4);
  });

  test('what does not fit is refused', async () => {
    await expect(engine.encode({ dictionary: 'nobody', ids: IDS, edits: [] }, 'e')).rejects.toMatchObject({ code: 'dictionary-unknown' });
    await expect(logits([latent(made.post, { latent: 90 })])).rejects.toMatchObject({ code: 'latent-range' });
    await expect(logits([latent(made.post, { latent: 1 }, { at: 'blocks.0.attn.hook_pattern' })])).rejects.toMatchObject({
      code: 'edit-shape',
    });
    const wide = randomDictionary({ activation: 'relu', dIn: d + 1, latents: 8, hookIn: 'blocks.0.hook_resid_post', seed: 30 });
    readers.set(wide.record.name, wide.reader);
    await expect(engine.attach(wide.record, 'a')).rejects.toMatchObject({ code: 'dictionary-misfit' });
  });
});
