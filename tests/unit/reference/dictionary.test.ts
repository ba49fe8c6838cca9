/** The dictionaries' twin where an answer is known by hand: two latents in two dimensions, ties, identities, and each score's own formula. */
import { describe, expect, test } from 'vitest';
import type { Contract, DictionarySpec } from '../../../workers/dictionary/spec';
import { decode, encode, errorTerm, normalise, preActivations, reconstruct, type Dictionary } from '../../reference/dictionary';
import { latentEdits, splice, type LatentEdit } from '../../reference/dictionary-edits';
import { foldDecoderNorms, foldScale } from '../../reference/dictionary-fold';
import { scores } from '../../reference/dictionary-scores';

const CONTRACT: Contract = {
  residual: 'raw',
  normalisation: 'none',
  scale: 1,
  subtractBDec: false,
  rescaleByDecoderNorm: false,
  reshape: 'none',
  prependBos: true,
};
const HOOK = 'blocks.0.hook_resid_post';

type Changes = Partial<Omit<DictionarySpec, 'contract'>> & { contract?: Partial<Contract>; tensors?: Record<string, number[]> };

/** Latents read x₀ + 1, x₁ and x₀ + x₁ − 2; they write (3, 4), (0, 1) and (1, 0); b_dec is (10, 20). */
function dictionary({ contract, tensors, ...spec }: Changes = {}): Dictionary {
  return {
    spec: {
      kind: 'by hand',
      activation: 'relu',
      hookIn: HOOK,
      hookOut: HOOK,
      dIn: 2,
      dOut: 2,
      latents: 3,
      skip: false,
      ...spec,
      contract: { ...CONTRACT, ...contract },
    },
    tensors: { W_enc: [1, 0, 0, 1, 1, 1], b_enc: [1, 0, -2], W_dec: [3, 4, 0, 1, 1, 0], b_dec: [10, 20], ...tensors },
  };
}
const numbers = (x: ArrayLike<number>): number[] => Array.from(x, (value) => value + 0);

describe('encode and decode', () => {
  test('relu', () => {
    const relu = dictionary();
    expect(numbers(preActivations(relu, [2, -1, -3, 5]))).toEqual([3, -1, -1, -2, 5, 0]);
    expect(numbers(encode(relu, [2, -1, -3, 5]))).toEqual([3, 0, 0, 0, 5, 0]);
    expect(numbers(reconstruct(relu, [2, -1, -3, 5]))).toEqual([19, 32, 10, 25]);
    expect(numbers(errorTerm(relu, [2, -1]))).toEqual([-17, -33]);
  });
  test('b_dec is taken off before encoding where the contract says so', () => {
    expect(numbers(encode(dictionary({ contract: { subtractBDec: true } }), [12, 21]))).toEqual([3, 1, 1]);
  });
  test('jumprelu: strictly above, and nothing negative whatever the threshold', () => {
    const jump = dictionary({ activation: 'jumprelu', tensors: { threshold: [3, -4, 0.5] } });
    expect(numbers(encode(jump, [2, -1]))).toEqual([0, 0, 0]);
    expect(numbers(encode(jump, [2.5, 0.25]))).toEqual([3.5, 0.25, 0.75]);
  });
  test('top k: the largest first, then relu; ties go to the lowest index', () => {
    const top = (k: number, x: number[]) => numbers(encode(dictionary({ activation: 'topk', k }), x));
    expect(top(2, [2, 3])).toEqual([3, 3, 0]);
    expect(top(1, [2, 3])).toEqual([3, 0, 0]);
    expect(top(2, [-3, 5])).toEqual([0, 5, 0]);
    // The second place goes to a negative, which is silent.
    expect(top(2, [-4, 1])).toEqual([0, 1, 0]);
  });
  test('rescaled top k: by ‖W_dec‖ = 5, 1, 1 before choosing, divided again before decoding', () => {
    const rescaled = dictionary({ activation: 'topk', k: 1, contract: { rescaleByDecoderNorm: true } });
    expect(numbers(encode(rescaled, [1, 4]))).toEqual([10, 0, 0]);
    expect(numbers(reconstruct(rescaled, [1, 4]))).toEqual([16, 28]);
    expect(numbers(encode(dictionary({ activation: 'topk', k: 1 }), [1, 4]))).toEqual([0, 4, 0]);
  });
  test('gated: the gate decides, the magnitude speaks', () => {
    const tensors = { b_gate: [0, -1, 0], b_mag: [1, 0, -9], r_mag: [Math.LN2, 0, 0] };
    // x W_enc = 2, 1, 3: the second gate is shut at exactly 0, the third magnitude is below it.
    expect(numbers(encode(dictionary({ activation: 'gated', tensors }), [2, 1]))).toEqual([5, 0, 0]);
  });
  test('LayerNorm of 1, 3: deviation √2 with N − 1, eps inside the division alone', () => {
    const normed = dictionary({ contract: { normalisation: 'layer_norm' } });
    const inner = 1 / (Math.SQRT2 + 1e-5);
    expect(numbers(normalise(normed, [1, 3]))).toEqual([-inner, inner]);
    expect(numbers(decode(normed, [0, 0, 0], [1, 3]))).toEqual([10 * Math.SQRT2 + 2, 20 * Math.SQRT2 + 2]);
    const elsewhere = dictionary({ contract: { normalisation: 'layer_norm' }, hookOut: 'blocks.0.hook_mlp_out' });
    expect(numbers(encode(elsewhere, [1, 3]))).toEqual(numbers(encode(normed, [1, 3])));
    expect(numbers(decode(elsewhere, [0, 0, 0], [1, 3]))).toEqual([10, 20]);
  });
  test('a scale, and its way back', () => {
    const scaled = dictionary({ contract: { normalisation: 'scale', scale: 0.5 } });
    expect(numbers(encode(scaled, [4, -2]))).toEqual([3, 0, 0]);
    expect(numbers(reconstruct(scaled, [4, -2]))).toEqual([38, 64]);
  });
  test('a skip reads x as it came, and a transcoder may be wider than what it reads', () => {
    const wide = dictionary({
      hookOut: 'blocks.0.hook_mlp_out',
      dOut: 3,
      skip: true,
      contract: { normalisation: 'scale', scale: 2 },
      tensors: { W_dec: [1, 0, 0, 0, 1, 0, 0, 0, 1], b_dec: [2, 2, 2], W_skip: [1, 0, 0, 1, 100, 10] },
    });
    expect(numbers(reconstruct(wide, [1, -3]))).toEqual([1.5 + 1 + 1, 1 - 3, 1 + 100 - 30]);
  });
  test('tensors that do not fit are told', () => {
    expect(() => encode(dictionary({ tensors: { b_enc: [1, 0] } }), [1, 2])).toThrow('b_enc: 2 values for 3');
    expect(() => encode(dictionary({ activation: 'jumprelu' }), [1, 2])).toThrow('threshold: no values for 3');
    expect(() => encode(dictionary({ activation: 'topk' }), [1, 2])).toThrow('without k');
    expect(() => encode(dictionary(), [1, 2, 3])).toThrow('not rows of 2');
    expect(() => decode(dictionary(), [0, 0, 0], [1, 2, 3, 4])).toThrow('other rows');
  });
});

describe('latent edits', () => {
  const full = { strength: 1 } as const;
  // At (2, −1) latent 0 is 3 and the others are silent.
  const edit = (edits: LatentEdit[], y?: number[]) => numbers(latentEdits(dictionary(), edits, [2, -1], y));
  test('set, add and scale move the stream along what the latent writes, and nothing else', () => {
    expect(edit([{ latent: 0, op: 'set', value: 1, ...full }])).toEqual([2 - 6, -1 - 8]);
    expect(edit([{ latent: 0, op: 'scale', value: 0, ...full }])).toEqual([2 - 9, -1 - 12]);
    expect(edit([{ latent: 1, op: 'add', value: 2, ...full }])).toEqual([2, 1]);
    // A silent latent has nothing to scale, and a set wakes it.
    expect(edit([{ latent: 1, op: 'scale', value: 7, ...full }])).toEqual([2, -1]);
    expect(edit([{ latent: 1, op: 'set', value: -7, ...full }])).toEqual([2, -8]);
  });
  test('strength is how far to go: the whole edit’s half, and nothing at 0', () => {
    expect(edit([{ latent: 0, op: 'set', value: 1, strength: 0.5 }])).toEqual([2 - 3, -1 - 4]);
    expect(edit([{ latent: 0, op: 'set', value: 1, strength: 0 }])).toEqual([2, -1]);
  });
  test('several share the clean encoding: they add up, and those of one latent follow each other', () => {
    const [first, second] = [
      { latent: 0, op: 'set', value: 0, ...full },
      { latent: 2, op: 'add', value: 4, strength: 0.5 },
    ] as const;
    // Were the second to encode what the first left, latent 0 would be clean again and latent 1 still silent.
    expect(edit([first, second])).toEqual([2 - 9 + 2, -1 - 12]);
    expect(edit([second, first])).toEqual(edit([first, second]));
    expect(
      edit([
        { latent: 0, op: 'set', value: 2, ...full },
        { latent: 0, op: 'scale', value: 3, ...full },
      ]),
    ).toEqual([2 + 9, -1 + 12]);
  });
  test('a transcoder edits what stands at its own output', () => {
    expect(edit([{ latent: 0, op: 'set', value: 1, ...full }], [100, 200])).toEqual([94, 192]);
  });
  test('in the units of a rescaled latent, and through a scale', () => {
    const rescaled = dictionary({ activation: 'topk', k: 1, contract: { rescaleByDecoderNorm: true } });
    expect(numbers(latentEdits(rescaled, [{ latent: 0, op: 'add', value: 5, ...full }], [1, 4]))).toEqual([4, 8]);
    const scaled = dictionary({ contract: { normalisation: 'scale', scale: 0.5 } });
    expect(numbers(latentEdits(scaled, [{ latent: 0, op: 'add', value: 1, ...full }], [4, -2]))).toEqual([10, 6]);
  });
  test('a latent that is not there is told', () => {
    expect(() => edit([{ latent: 3, op: 'set', value: 1, ...full }])).toThrow('latent 3 of 3');
  });
});

describe('splice', () => {
  test('with its error the identity, without it the reconstruction, and part of the way', () => {
    const [x, y] = [
      [2, -1],
      [100, 200],
    ];
    expect(numbers(splice(dictionary(), { keepError: true, strength: 1 }, x))).toEqual(x);
    expect(numbers(splice(dictionary(), { keepError: false, strength: 1 }, x))).toEqual([19, 32]);
    expect(numbers(splice(dictionary(), { keepError: false, strength: 0.5 }, x))).toEqual([10.5, 15.5]);
    expect(numbers(splice(dictionary(), { keepError: false, strength: 0 }, x))).toEqual(x);
    expect(numbers(splice(dictionary(), { keepError: false, strength: 0.5 }, x, y))).toEqual([59.5, 116]);
  });
});

describe('folds', () => {
  const x = [2, 1, -3, 5, 0.5, 0.25];
  test('decoder norms 5, 1, 1 go into activations and thresholds; reconstructions stay', () => {
    const jump = dictionary({ activation: 'jumprelu', tensors: { threshold: [1.75, 0, 0] } });
    const folded = foldDecoderNorms(jump);
    expect(numbers(folded.tensors['threshold'] ?? [])).toEqual([8.75, 0, 0]);
    expect(numbers(encode(folded, x))).toEqual(numbers(encode(jump, x)).map((value, i) => (i % 3 === 0 ? 5 * value : value)));
    reconstruct(folded, x).forEach((value, i) => expect(value).toBeCloseTo(reconstruct(jump, x)[i] ?? NaN, 12));
  });
  test('a gated dictionary’s r_mag stays, its two biases do not', () => {
    const gated = dictionary({ activation: 'gated', tensors: { b_gate: [0, -0.5, 1], b_mag: [1, 2, 3], r_mag: [0.5, 0, -1] } });
    const folded = foldDecoderNorms(gated);
    expect(folded.tensors['r_mag']).toBe(gated.tensors['r_mag']);
    encode(folded, x).forEach((value, i) => expect(value).toBeCloseTo((i % 3 === 0 ? 5 : 1) * (encode(gated, x)[i] ?? NaN), 12));
    reconstruct(folded, x).forEach((value, i) => expect(value).toBeCloseTo(reconstruct(gated, x)[i] ?? NaN, 12));
  });
  test('a rescaled top k is the same dictionary unrescaled; another top k is refused', () => {
    const rescaled = dictionary({ activation: 'topk', k: 1, contract: { rescaleByDecoderNorm: true } });
    const folded = foldDecoderNorms(rescaled);
    expect(folded.spec.contract.rescaleByDecoderNorm).toBe(false);
    expect(numbers(encode(folded, x))).toEqual(numbers(encode(rescaled, x)));
    expect(() => foldDecoderNorms(dictionary({ activation: 'topk', k: 1 }))).toThrow('would change which latents');
  });
  test('a latent that writes nothing stays finite', () => {
    const silent = foldDecoderNorms(dictionary({ tensors: { W_dec: [3, 4, 0, 0, 1, 0] } }));
    expect(numbers(encode(silent, [2, 1]))).toEqual([15, 1e-8, 1]);
    expect(numbers(reconstruct(silent, [2, 1]))).toEqual([20, 32]);
  });
  test('a scale goes into W_enc, W_dec and b_dec; the threshold and b_enc stay', () => {
    const jump = dictionary({
      activation: 'jumprelu',
      contract: { normalisation: 'scale', scale: 0.5, subtractBDec: true },
      tensors: { threshold: [1.75, 0, 0] },
    });
    const folded = foldScale(jump);
    expect(folded.spec.contract).toMatchObject({ normalisation: 'none', scale: 1 });
    expect(folded.tensors['threshold']).toBe(jump.tensors['threshold']);
    expect(numbers(encode(folded, [30, 50]))).toEqual(numbers(encode(jump, [30, 50])));
    expect(numbers(reconstruct(folded, [30, 50]))).toEqual(numbers(reconstruct(jump, [30, 50])));
    expect(() => foldScale(dictionary())).toThrow('no scale to fold');
  });
});

describe('scores', () => {
  test('each by its own formula: targets (0, 0), (4, 0) read as (1, 0), (4, 2)', () => {
    const found = scores({ activations: [1, 0, -2, 0, 0, 3], latents: 3, target: [0, 0, 4, 0], output: [1, 0, 4, 2], dOut: 2 });
    expect(found).toMatchObject({ l0: 1.5, l1: 3, squaredError: 2.5 });
    // ȳ = (2, 0): spread 4 + 4. Errors (−1, 0), (0, −2) have mean (−½, −1): spread ¼ + 1 + ¼ + 1.
    expect(found.fvu).toBe(5 / 8);
    expect(found.explainedVarianceSaeLens).toBe(3 / 8);
    expect(found.explainedVarianceSaeLensLegacy).toBe((3 / 4 + 0) / 2);
    expect(found.explainedVarianceDictionaryLearning).toBe(1 - 2.5 / 8);
    // The first target has no direction.
    expect(found.cosine).toBeNaN();
  });
  test('an error that is the same in every row is forgiven by dictionary_learning alone', () => {
    const found = scores({ activations: [1, 1], latents: 1, target: [0, 2, 4, 2], output: [1, 2, 5, 2], dOut: 2 });
    expect(found.explainedVarianceDictionaryLearning).toBe(1);
    expect(found.fvu).toBe(2 / 8);
    expect(found.cosine).toBeCloseTo((2 / Math.sqrt(5) + 24 / Math.sqrt(20 * 29)) / 2, 15);
  });
});
