/**
 * Every dictionary that a format's own library wrote, through the lab's reader onto the GPU: what is active, what comes back, how far it is off, and
 * what edits of latents make of a row, against that library's numbers. Active latents are the same ones: fixtures keep clear of decisions by more than
 * f32 is off, but for the one whose latents tie, where the lowest win.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Tensor } from '../../workers/api';
import { loadDictionary, plainly, type LoadCall, type LoadedDictionary } from '../../workers/dictionary/load';
import { isTranscoder, type DictionarySpec } from '../../workers/dictionary/spec';
import type { Lying } from '../../workers/kernels/dictionary';
import { pad4 } from '../../workers/kernels/grid';
import { at } from '../reference/array';
import { foldDecoderNorms } from '../reference/dictionary-fold';
import { edited, expectErrors, expectLists, measure, type Measured } from '../support/dictionary-rig';
import { Rig } from '../support/kernel';
import { numbers } from '../support/numbers';
import { packed, readDictionary, type ReadDictionary } from '../support/read-dictionary';
import { DICTIONARIES, expected, loadDictionary as loadFixture } from './dictionary-fixtures';

const GOLDEN = 5e-5;
/** Heads of fixtures at hook_z, each padded on its own in the hook's buffer. */
const HEADS = 4;

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterEach(() => rig.clear());
afterAll(() => rig.close());

function lyingOf({ contract }: DictionarySpec, d: number): Lying {
  if (contract.reshape !== 'hook_z') return plainly(d);
  const width = d / HEADS;
  return { d, width, stride: pad4(width), words: HEADS * pad4(width) };
}

/** A dictionary that reads what leaves a norm is given a norm, and in the fixture's x its place is before the gain. */
function normOf({ contract, dIn }: DictionarySpec): Required<NonNullable<LoadCall['norm']>> | undefined {
  return contract.normGain ? { gain: numbers(dIn, 31, 0.5).map((value) => value + 1), bias: numbers(dIn, 32, 0.5) } : undefined;
}

function load({ record, reader }: Omit<ReadDictionary, 'twin'>): Promise<LoadedDictionary> {
  const { spec } = record;
  const norm = normOf(spec);
  const [input, output] = [lyingOf(spec, spec.dIn), lyingOf(spec, spec.dOut)];
  return loadDictionary({ gpu: rig.gpu, pool: rig.pool, name: 'd1', record, reader, input, output, ...(norm ? { norm } : {}) });
}

/** The fixture's rows as they stand at the hook. */
function rowsAt(spec: DictionarySpec, x: Float32Array): Float32Array<ArrayBuffer> {
  const norm = normOf(spec);
  return Float32Array.from(x, (value, i) => (norm ? (value - at(norm.bias, i % spec.dIn)) / at(norm.gain, i % spec.dIn) : value));
}

describe.each(DICTIONARIES)('%s', async (name) => {
  const fixture = await loadFixture(name);
  const read = await readDictionary(fixture.files);
  const { spec } = read.record;
  const x = rowsAt(spec, expected(fixture, 'x').data);
  /** What stands where it writes: any rows of that width, for a transcoder. */
  const target = isTranscoder(spec) ? numbers((x.length / spec.dIn) * spec.dOut, 7, 3) : x;

  function expectAll({ pairs, truncated, errors, y }: Measured, activations: Tensor, reconstruction: Tensor): void {
    expect(truncated).not.toContain(true);
    expectLists(rig, pairs, activations.data, spec.latents, GOLDEN);
    rig.expectRows('decode', 'reconstruction', y, reconstruction.data, spec.dOut, GOLDEN);
    const error = target.map((value, i) => value - at(reconstruction.data, i));
    expectErrors(errors, error, target, spec.dOut, GOLDEN);
  }

  test('activations, reconstruction and error', async () => {
    const found = await measure(rig, await load(read), x, { target });
    expectAll(found, expected(fixture, 'activations'), expected(fixture, 'reconstruction'));
  });

  if (fixture.expected.has('folded_activations'))
    test('with decoder norms folded the activations are longer or shorter, the reconstruction is what it was', async () => {
      const found = await measure(rig, await load(packed(foldDecoderNorms(read.twin), read.record)), x, { target });
      expectAll(found, expected(fixture, 'folded_activations'), expected(fixture, 'reconstruction'));
    });

  const { scaledBy: scale, edits } = fixture.about;
  if (scale !== undefined)
    test('at its dataset’s scale', async () => {
      const scaled = { ...spec, contract: { ...spec.contract, normalisation: 'scale', scale } } as const;
      const found = await measure(rig, await load({ ...read, record: { ...read.record, spec: scaled } }), x, { target });
      expectAll(found, expected(fixture, 'scaled_activations'), expected(fixture, 'scaled_reconstruction'));
    });

  if (edits)
    test('edits of latents, the error term kept', async () => {
      const found = await edited(rig, await load(read), x, edits);
      rig.expectRows('edit', 'edited', found, expected(fixture, 'edited').data, spec.dOut, GOLDEN);
    });
});
