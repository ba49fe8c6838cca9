/** What processing does to each family: what applies, the spec that results, the steps, and the badge's words. */
import { describe, expect, test } from 'vitest';
import type { Processing } from '../../../workers/api';
import { familyOf } from '../../../workers/model/families';
import { weightTable } from '../../../workers/model/matrices';
import {
  applicable,
  askedFor,
  checkPrecision,
  processedSpec,
  processingSteps,
  processingWords,
  RAW_WORDS,
} from '../../../workers/model/processing';
import { CONFIGS } from '../../support/random-model';

const NONE: Processing = { foldLn: false, foldValueBiases: false, centerWritingWeights: false, centerUnembed: false };
const ALL: Processing = { foldLn: true, foldValueBiases: true, centerWritingWeights: true, centerUnembed: true };
const specOf = (name: string) => {
  const config = CONFIGS[name] ?? {};
  return familyOf(config).spec(config);
};

test('fold and center move two switches each, and a switch of one’s own overrules them', () => {
  expect(askedFor({})).toEqual(NONE);
  expect(askedFor({ fold: true })).toEqual({ ...NONE, foldLn: true, foldValueBiases: true });
  expect(askedFor({ center: true })).toEqual({ ...NONE, centerWritingWeights: true, centerUnembed: true });
  expect(askedFor({ fold: true, foldValueBiases: false })).toEqual({ ...NONE, foldLn: true });
  expect(askedFor({ fold: true, center: true, centerUnembed: false })).toEqual({ ...ALL, centerUnembed: false });
  expect(askedFor({ centerUnembed: true })).toEqual({ ...NONE, centerUnembed: true });
});

test('f16 and processing exclude each other', () => {
  expect(() => checkPrecision('f16', ALL)).toThrow(expect.objectContaining({ code: 'option-unsupported' }) as Error);
  for (const weights of ['stored', 'f32']) expect(() => checkPrecision(weights, ALL)).not.toThrow();
  expect(() => checkPrecision('f16', NONE)).not.toThrow();
});

const LN = 'LN folded · value biases folded · writing weights centred · unembedding centred';
const RMS = 'RMSNorm folded · writing weights not centred · unembedding centred';
const EXPECTED: Record<string, { left?: Partial<Processing>; words: string; bias: string; tied: boolean }> = {
  'GPT-2': { words: LN, bias: 'qkv out mlpIn mlpOut unembed', tied: true },
  'GPT-Neo': { words: LN, bias: 'qkv out mlpIn mlpOut unembed', tied: true },
  'GPT-NeoX': { words: LN, bias: 'qkv out mlpIn mlpOut unembed', tied: false },
  'GPT-NeoX without attention biases': { words: LN, bias: 'qkv out mlpIn mlpOut unembed', tied: true },
  'Phi-2': { words: LN, bias: 'qkv out mlpIn mlpOut unembed', tied: false },
  Llama: { left: { foldValueBiases: false, centerWritingWeights: false }, words: RMS, bias: '', tied: true },
  'Qwen 2': {
    left: { centerWritingWeights: false },
    words: RMS.replace('folded', 'folded · value biases folded'),
    bias: 'qkv out',
    tied: false,
  },
  'Qwen 3': { left: { foldValueBiases: false, centerWritingWeights: false }, words: RMS, bias: '', tied: false },
  'Gemma 2': {
    left: { foldValueBiases: false, centerWritingWeights: false, centerUnembed: false },
    words: 'RMSNorm folded · not centred',
    bias: '',
    tied: true,
  },
  'toy with LayerNorm': { words: LN, bias: 'qkv out mlpIn mlpOut unembed', tied: false },
  'toy without norms': {
    left: { foldLn: false, centerWritingWeights: false },
    words: 'value biases folded · writing weights not centred · unembedding centred',
    bias: 'qkv out unembed',
    tied: false,
  },
  'Gemma 3': { left: { foldValueBiases: false, centerWritingWeights: false }, words: RMS, bias: '', tied: true },
};

describe.each(Object.keys(CONFIGS))('%s, everything asked for', (name) => {
  const spec = specOf(name);
  const { left = {}, words, bias, tied } = EXPECTED[name] ?? { words: '', bias: '', tied: false };
  const done = applicable(spec, ALL);

  test('what applies, and what the badge says', () => {
    expect(done).toEqual({ ...ALL, ...left });
    expect(processingWords(spec, done)).toBe(words);
    expect(processingWords(processedSpec(spec, done), done)).toBe(words);
  });

  test('the processed spec: a head of its own, biases that came to be, nothing else', () => {
    expect(spec.tied).toBe(tied);
    const after = processedSpec(spec, done);
    expect(after.tied).toBe(false);
    const has = Object.entries(after.bias).flatMap(([key, present]) => (present ? [key] : []));
    expect(has.join(' ')).toBe(bias);
    expect({ ...after, bias: spec.bias, tied }).toEqual(spec);
    // Once processed, nothing more comes to be.
    expect(processedSpec(after, applicable(after, done))).toEqual(after);
  });

  test('every step names what the processed model has', () => {
    const { matrices, vectors } = weightTable(processedSpec(spec, done), () => 'f32', 1 << 20);
    for (const step of processingSteps(spec, done)) {
      if ('matrix' in step && step.matrix !== 'pos') expect(matrices.has(step.matrix), step.matrix).toBe(true);
      if ('norm' in step) expect(vectors.has(`${step.norm}.w`), step.norm).toBe(true);
      if ('vector' in step) expect(vectors.has(step.vector), step.vector).toBe(true);
      if (step.do === 'fold-norm') expect(vectors.has(`${step.matrix}.b`) || !step.layerNorm, step.matrix).toBe(true);
    }
  });

  test('nothing asked for: nothing done', () => {
    expect(processedSpec(spec, NONE)).toEqual(spec);
    expect(processingSteps(spec, NONE)).toEqual([]);
    expect(processingWords(spec, NONE)).toBe(RAW_WORDS);
  });
});

test('a norm is reset after all that read it, and what is written is centred after its bias has taken in the values', () => {
  const steps = processingSteps(specOf('Phi-2'), ALL);
  const index = (what: string) => steps.findIndex((step) => JSON.stringify(step).includes(what));
  const [qkv, mlp, reset] = [index('blocks.0.attn.qkv'), index('blocks.0.mlp.in'), index('"reset-norm"')];
  expect(reset).toBeGreaterThan(Math.max(qkv, mlp));
  expect(index('"center-vector","vector":"blocks.0.attn.out.b"')).toBeGreaterThan(index('"fold-values","layer":0'));
});

test('in part: the words say what was and what was not', () => {
  const gpt2 = specOf('GPT-2');
  const words = (some: Partial<Processing>) => processingWords(gpt2, applicable(gpt2, { ...NONE, ...some }));
  expect(words({ foldLn: true })).toBe('LN folded · value biases not folded · not centred');
  expect(words({ foldValueBiases: true })).toBe('norms not folded · value biases folded · not centred');
  expect(words({ centerUnembed: true })).toBe('not folded · writing weights not centred · unembedding centred');
  expect(words({ centerWritingWeights: true })).toBe('not folded · writing weights centred · unembedding not centred');
  expect(processedSpec(gpt2, { ...NONE, foldValueBiases: true })).toEqual(gpt2);
});

test('a LayerNorm gives the values a bias to fold', () => {
  const spec = specOf('GPT-NeoX without attention biases');
  expect(applicable(spec, { ...NONE, foldValueBiases: true })).toEqual(NONE);
  expect(applicable(spec, { ...NONE, foldLn: true, foldValueBiases: true })).toEqual({ ...NONE, foldLn: true, foldValueBiases: true });
});
