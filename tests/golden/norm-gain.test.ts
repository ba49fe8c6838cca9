/**
 * Dictionaries that read what leaves a norm, gain and bias included, where the hook is before the gain (Contract.normGain): the same as the float64 twin
 * given gain·normalised + bias, whether the model keeps its gains or has them folded into the weights that follow.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Hook } from '../../workers/api';
import type { EngineEdit } from '../../workers/contract';
import { Engine } from '../../workers/engine';
import { shaders } from '../../workers/gpu/shaders';
import { isTranscoder } from '../../workers/dictionary/spec';
import { at } from '../reference/array';
import { encode, errorTerm, reconstruct } from '../reference/dictionary';
import { latentEdits } from '../reference/dictionary-edits';
import { forward, record as recorded } from '../reference/forward';
import { gain } from '../reference/norm';
import { logSoftmax } from '../reference/softmax';
import { run, VARIANTS } from '../support/engine';
import { randomDictionary, type RandomDictionary } from '../support/random-dictionary';
import { CONFIGS, randomModel } from '../support/random-model';
import { compareRows, describeComparison } from './compare';

const GOLDEN = 5e-5;
const IDS = [1, 17, 42, 8, 60, 3, 3, 29, 11];

const readers = new Map<string, RandomDictionary['reader']>();
let engine: Engine;
beforeAll(async () => {
  engine = new Engine({
    gpu: () => navigator.gpu as GPU | undefined,
    shaders,
    openTensors: ({ name }) => Promise.resolve(readers.get(name) ?? Promise.reject(new Error(`no ${name}`))),
  });
  await engine.start({ variants: VARIANTS[0] });
});

function close(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, width: number): void {
  const found = compareRows(actual, expected, width, GOLDEN);
  expect(found.within, describeComparison(what, found)).toBe(true);
}

const IN: Hook = 'blocks.1.ln2.hook_normalized';
const OUT: Hook = 'blocks.1.hook_mlp_out';
const contract = { normGain: true } as const;

// LayerNorm with a bias; RMS; RMS whose files hold the gain less one, with a norm behind the branch as well.
describe.each(['GPT-2', 'Llama', 'Gemma 2'])('%s', (family) => {
  const model = randomModel(CONFIGS[family] ?? {});
  const { spec, weights } = model;
  const dIn = spec.dModel;
  const made = {
    skip: randomDictionary({ activation: 'relu', dIn, latents: 66, hookIn: IN, hookOut: OUT, skip: true, contract, seed: 1 }),
    half: randomDictionary({ activation: 'jumprelu', dIn, latents: 70, hookIn: IN, hookOut: OUT, dtype: 'F16', contract, seed: 2 }),
    topk: randomDictionary({ activation: 'topk', k: 6, dIn, latents: 60, hookIn: IN, hookOut: OUT, skip: true, contract, seed: 3 }),
    gated: randomDictionary({ activation: 'gated', dIn, latents: 50, hookIn: IN, hookOut: OUT, contract, seed: 4 }),
  };
  const clean = recorded(spec, weights, IDS);
  const valuesAt = (hook: Hook): Float64Array => clean.get(hook)?.data ?? new Float64Array(0);
  const norm = weights.layers[1]?.ln2 ?? { weight: new Float64Array(0) };
  const x = gain(valuesAt(IN), norm.weight, norm.bias);
  const y = valuesAt(OUT);

  test('the norm has a gain that matters', () => {
    expect(compareRows(x, valuesAt(IN), dIn, 0.1).within).toBe(false);
    expect(norm.bias !== undefined).toBe(family === 'GPT-2');
    for (const { record } of Object.values(made)) expect(isTranscoder(record.spec)).toBe(true);
  });

  describe.each([{}, { fold: true }])('%o', (options) => {
    beforeAll(async () => {
      readers.set(model.record.name, model.reader);
      await engine.use(model.record, { weights: 'stored', ...options }, [], 'use');
      for (const { record, reader } of Object.values(made)) {
        readers.set(record.name, reader);
        await engine.attach(record, 'attach');
      }
    });

    test.each(Object.keys(made))('%s', async (name) => {
      const { record, twin } = made[name as keyof typeof made];
      const { id, spec: own } = record;
      const found = await engine.encode({ dictionary: id, ids: [...IDS], edits: [] }, 'encode');
      const expected = encode(twin, x);
      const dense = new Float64Array(expected.length);
      found.rows.forEach((row, r) => row.forEach(([m, value]) => (dense[r * own.latents + m] = value)));
      expect([...dense.keys()].filter((i) => at(dense, i) > 0)).toEqual([...expected.keys()].filter((i) => at(expected, i) > 0));
      close('activations', dense, expected, own.latents);
      const error = errorTerm(twin, x, y);
      const length = (v: Float64Array, r: number): number => Math.hypot(...v.subarray(r * own.dOut, (r + 1) * own.dOut));
      IDS.forEach((_, r) => expect(at(found.errorNorm, r) / length(error, r)).toBeCloseTo(1, 4));

      const live = expected.findIndex((value) => value > 0) % own.latents;
      const change = { latent: live, op: 'scale', value: -3, strength: 1 } as const;
      const rest = { at: OUT, dictionary: id, where: 'all', skipSpecial: false, enabled: true } as const;
      const edits: [string, EngineEdit, Float64Array][] = [
        ['spliced', { ...rest, kind: 'splice', keepError: false, strength: 1 }, reconstruct(twin, x)],
        ['a latent', { ...rest, kind: 'latent', ...change }, latentEdits(twin, [change], x, y)],
      ];
      for (const [what, edit, into] of edits) {
        const [result] = await engine.batch([run(IDS, { edits: [edit] })], 'job');
        const wanted = forward(spec, weights, IDS, (hook) => (hook === OUT ? into : undefined));
        close(what, logProbs(result?.logits?.data ?? []), logProbs(wanted), spec.vocabOut);
      }
    });
  });

  /** What processing leaves alone: logits may move as a whole. */
  function logProbs(logits: ArrayLike<number>): Float64Array {
    const width = spec.vocabOut;
    const all = Float64Array.from(logits);
    const rows = Array.from({ length: all.length / width }, (_, r) => [...logSoftmax(all.subarray(r * width, (r + 1) * width))]);
    return Float64Array.from(rows.flat());
  }
});
