/** A dictionary loaded under one contract and read under another is what the float64 twin makes of it under that other. */
import { describe, expect, it } from 'vitest';
import { encoderRows, fvu, scaleTo, undone, type Reading } from '../../../workers/dictionary/conventions';
import type { Contract } from '../../../workers/dictionary/spec';
import { at, dot } from '../../reference/array';
import { encode, preActivations, reconstruct, tensor, type Dictionary } from '../../reference/dictionary';
import { noise } from '../../support/numbers';
import { randomDictionary } from '../../support/random-dictionary';

const D = 12;
const ROWS = 5;
const HOOK = 'blocks.1.hook_resid_post';
const BASE: Contract = {
  residual: 'raw',
  normalisation: 'none',
  scale: 1,
  subtractBDec: true,
  rescaleByDecoderNorm: false,
  reshape: 'none',
  prependBos: false,
};
const CONTRACTS: Partial<Contract>[] = [
  {},
  { subtractBDec: false },
  { residual: 'centred' },
  { residual: 'centred', normalisation: 'scale', scale: 0.3, subtractBDec: false },
  { normalisation: 'scale', scale: 2.5 },
  { normalisation: 'layer_norm' },
  { normalisation: 'layer_norm', subtractBDec: false },
];
const x = Float64Array.from({ length: ROWS * D }, (_, i) => 3 * noise(i, 4) + 1.5);
const { twin } = randomDictionary({ activation: 'relu', dIn: D, latents: 20, hookIn: HOOK, hookOut: HOOK, seed: 9 });
const under = (contract: Partial<Contract>): Dictionary => ({ ...twin, spec: { ...twin.spec, contract: { ...BASE, ...contract } } });
const bDec = tensor(twin, 'b_dec');

/** What the loaded encoder makes of rows: its constant parts are those of the loaded contract. */
function products(z: ArrayLike<number>, loaded: Contract, norm?: { gain: number[]; bias: number[] }): number[] {
  const [encoder, bias] = [tensor(twin, 'W_enc'), tensor(twin, 'b_enc')];
  return Array.from({ length: ROWS * 20 }, (_, i) => {
    const [row, m] = [Math.floor(i / 20), i % 20];
    let sum = at(bias, m) - (loaded.subtractBDec ? dot(encoder, m * D, bDec, 0, D) : 0);
    for (let d = 0; d < D; d++) {
      const w = at(encoder, m * D + d);
      sum += w * (loaded.normGain && norm ? at(norm.gain, d) * at(z, row * D + d) + at(norm.bias, d) : at(z, row * D + d));
    }
    return sum;
  });
}

const close = (actual: ArrayLike<number>, expected: ArrayLike<number>): void => {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) expect(Math.abs(at(actual, i) - at(expected, i))).toBeLessThan(1e-4);
};

describe.each(CONTRACTS)('loaded with %o', (first) => {
  it.each(CONTRACTS)('read with %o', (second) => {
    const [loaded, wanted] = [under(first), under(second)];
    const reading: Reading = { spec: twin.spec, loaded: loaded.spec.contract, wanted: wanted.spec.contract, x, bDec };
    close(products(encoderRows(reading), loaded.spec.contract), preActivations(wanted, x));
    // Decoded without its normalisation, then undone.
    const plain: Dictionary = { ...twin, spec: { ...twin.spec, contract: { ...BASE, subtractBDec: false } } };
    const activations = encode(wanted, x);
    const decoder = tensor(plain, 'W_dec');
    const decoded = Float64Array.from({ length: ROWS * D }, (_, i) => {
      let sum = at(bDec, i % D);
      for (let m = 0; m < 20; m++) sum += at(activations, Math.floor(i / D) * 20 + m) * at(decoder, m * D + (i % D));
      return sum;
    });
    close(undone(reading, decoded), reconstruct(wanted, x));
  });
});

it('a gain on, off, and both', () => {
  const gain = Array.from({ length: D }, (_, i) => 0.5 + 0.2 * i);
  const bias = Array.from({ length: D }, (_, i) => noise(i, 8));
  const gained = x.map((each, i) => each * at(gain, i % D) + at(bias, i % D));
  for (const a of [true, false])
    for (const b of [true, false]) {
      const [loaded, wanted] = [a, b].map((normGain) => ({ ...BASE, subtractBDec: false, normGain })) as [Contract, Contract];
      const z = encoderRows({ spec: twin.spec, loaded, wanted, x, bDec, norm: { gain, bias } });
      close(products(z, loaded, { gain, bias }), preActivations(under({ subtractBDec: false }), b ? gained : x));
    }
});

it('fvu and the scale are what they are called', () => {
  const mean = Array.from({ length: D }, (_, i) => Array.from({ length: ROWS }, (_, r) => at(x, r * D + i)).reduce((a, b) => a + b) / ROWS);
  expect(fvu(x, x, D)).toBe(0);
  expect(
    fvu(
      x,
      x.map((_, i) => at(mean, i % D)),
      D,
    ),
  ).toBeCloseTo(1, 12);
  const lengths = (rows: ArrayLike<number>): number =>
    Array.from({ length: ROWS }, (_, r) => Math.hypot(...Array.from({ length: D }, (_, i) => at(rows, r * D + i)))).reduce(
      (a, b) => a + b,
    ) / ROWS;
  const s = scaleTo(x, D, false);
  expect(lengths(x.map((each) => s * each)) / Math.sqrt(D)).toBeCloseTo(1, 5);
});
