/**
 * The float64 twin and the formats' own libraries agree: the same latents are active, and activations and reconstructions are the same numbers.
 * The references are float32 roundings of float64 values (at most 6e-8 off), hence the bound of 1e-6 a row.
 */
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { SHAPES, tensorNames } from '../../../workers/dictionary/spec';
import type { Tensor } from '../../../workers/api';
import { compareRows, describeComparison } from '../../golden/compare';
import { DICTIONARIES, expected, loadDictionary } from '../../golden/dictionary-fixtures';
import { at } from '../../reference/array';
import { decode, encode, errorTerm, reconstruct, tensor, type Dictionary } from '../../reference/dictionary';
import { latentEdits, splice } from '../../reference/dictionary-edits';
import { foldDecoderNorms, foldScale } from '../../reference/dictionary-fold';
import { scores, type Scores } from '../../reference/dictionary-scores';
import { canonical } from './dictionaries/formats';

const ROOT = new URL('../../golden/fixtures/', import.meta.url);
const TOLERANCE = 1e-6;

const active = (x: ArrayLike<number>): number[] => Array.from(x).flatMap((value, i) => (value === 0 ? [] : [i]));

function expectRows(name: string, actual: ArrayLike<number>, wanted: ArrayLike<number>, width: number, tolerance = TOLERANCE) {
  const found = compareRows(actual, wanted, width, tolerance);
  expect(found.within, describeComparison(name, found)).toBe(true);
}

function expectTensor(name: string, actual: ArrayLike<number>, { data, shape }: Tensor) {
  expectRows(name, actual, data, at(shape, 1));
}

function expectActivations(name: string, actual: ArrayLike<number>, wanted: Tensor) {
  expect(active(actual), name).toEqual(active(wanted.data));
  expectTensor(name, actual, wanted);
}

/** The dictionary as it is once a person has said what scale it was trained at. */
const scaledBy = ({ spec, tensors }: Dictionary, scale: number): Dictionary => ({
  spec: { ...spec, contract: { ...spec.contract, normalisation: 'scale', scale } },
  tensors,
});

test('every fixture that is there is listed', async () => {
  const folders = await readdir(new URL('dictionaries', ROOT));
  expect([...DICTIONARIES].sort()).toEqual(folders.sort());
});

describe.each(DICTIONARIES)('%s', async (name) => {
  const fixture = await loadDictionary(name, async (path) => new Uint8Array(await readFile(new URL(path, ROOT))));
  const dictionary = await canonical(fixture);
  const { spec } = dictionary;
  const x = expected(fixture, 'x').data;
  const activations = encode(dictionary, x);

  test('its tensors have their canonical shapes', () => {
    for (const each of tensorNames(spec)) expect(() => tensor(dictionary, each), each).not.toThrow();
    expect(Object.keys(SHAPES)).toEqual(expect.arrayContaining(Object.keys(dictionary.tensors)));
  });

  test('activations', () => {
    expectActivations('activations', activations, expected(fixture, 'activations'));
  });

  test('reconstruction', () => {
    expectTensor('reconstruction', decode(dictionary, activations, x), expected(fixture, 'reconstruction'));
  });

  test('with its error it is what stood there; edits at strength 0 are nothing', () => {
    // What stands at a transcoder's hookOut: any rows of that width.
    const y = spec.hookIn === spec.hookOut ? x : expected(fixture, 'reconstruction').data.map((value, i) => value + Math.sin(i));
    const clean = reconstruct(dictionary, x);
    const again = errorTerm(dictionary, x, y).map((error, i) => at(clean, i) + error);
    expectRows('f(x) + error', again, y, spec.dOut, 1e-12);
    expect([...splice(dictionary, { keepError: true, strength: 1 }, x, y)]).toEqual([...y]);
    expect([...splice(dictionary, { keepError: false, strength: 0 }, x, y)]).toEqual([...y]);
    expectRows('spliced', splice(dictionary, { keepError: false, strength: 1 }, x, y), clean, spec.dOut, 1e-9);
    const off = latentEdits(dictionary, [{ latent: 3, op: 'set', value: 9, strength: 0 }], x, y);
    expectRows('an edit at strength 0', off, y, spec.dOut, 1e-12);
  });

  if (fixture.expected.has('folded_activations'))
    test('folded decoder norms', () => {
      const folded = foldDecoderNorms(dictionary);
      expectActivations('folded activations', encode(folded, x), expected(fixture, 'folded_activations'));
      expectTensor('folded reconstruction', reconstruct(folded, x), expected(fixture, 'reconstruction'));
    });

  const { edits, scores: theirs, scaledBy: scale } = fixture.about;
  if (edits)
    test('its library’s edits, with the error term kept', () => {
      expectTensor('edited', latentEdits(dictionary, edits, x), expected(fixture, 'edited'));
    });

  if (theirs)
    // dictionary_learning counts in float32 whatever it is given.
    test('its library’s scores', () => {
      const ours = scores({ activations, latents: spec.latents, target: x, output: reconstruct(dictionary, x), dOut: spec.dOut });
      for (const [score, value] of Object.entries(theirs)) expect(ours[score as keyof Scores] / value, score).toBeCloseTo(1, 6);
    });

  if (scale !== undefined)
    test('at its dataset’s scale, before and after folding it', () => {
      const scaled = scaledBy(dictionary, scale);
      for (const each of [scaled, foldScale(scaled)]) {
        expectActivations('scaled activations', encode(each, x), expected(fixture, 'scaled_activations'));
        expectTensor('scaled reconstruction', reconstruct(each, x), expected(fixture, 'scaled_reconstruction'));
      }
    });
});
