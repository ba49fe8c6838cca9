/**
 * The lab's readers against dictionaries that the formats' own libraries wrote: the files as they are shared, dropped as they are, come to the spec and
 * to the numbers that those libraries compute. References are float32 roundings of float64 values, hence the bound of 1e-6 a row; matrices are kept in
 * the type that they came in, so a half-precision one is held to the same.
 */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../../../../workers/api';
import { SHAPES, tensorNames } from '../../../../workers/dictionary/spec';
import { Files } from '../../../../workers/files';
import { changedContract } from '../../../../workers/import-dictionary';
import { compareRows, describeComparison } from '../../../golden/compare';
import { DICTIONARIES, expected, loadDictionary } from '../../../golden/dictionary-fixtures';
import { at } from '../../../reference/array';
import { encode, reconstruct } from '../../../reference/dictionary';
import { foldDecoderNorms } from '../../../reference/dictionary-fold';
import { comparable, readDictionary, twinOf } from '../../../support/read-dictionary';
import { shelf } from '../../library/memory-bytes';

const ROOT = new URL('../../../golden/fixtures/', import.meta.url);
const TOLERANCE = 1e-6;

const active = (x: ArrayLike<number>): number[] => Array.from(x).flatMap((value, i) => (value === 0 ? [] : [i]));

function expectTensor(name: string, actual: ArrayLike<number>, { data, shape }: Tensor): void {
  const found = compareRows(actual, data, at(shape, 1), TOLERANCE);
  expect(found.within, describeComparison(name, found)).toBe(true);
}

describe.each(DICTIONARIES)('%s', async (name) => {
  const fixture = await loadDictionary(name, async (path) => new Uint8Array(await readFile(new URL(path, ROOT))));
  const { about, files } = fixture;
  const x = expected(fixture, 'x').data;

  test('the spec is what its library goes by', async () => {
    const { record } = await readDictionary(files);
    expect(comparable(record.spec, about)).toEqual(comparable(about.spec, about));
    expect(record.spec.kind).not.toBe('');
    expect(record.tensors.map((each) => [each.name, each.shape])).toEqual(
      tensorNames(record.spec).map((each) => [each, SHAPES[each]?.(record.spec)]),
    );
  });

  test('the numbers are its library’s', async () => {
    const { twin } = await readDictionary(files);
    const activations = encode(twin, x);
    expect(active(activations)).toEqual(active(expected(fixture, 'activations').data));
    expectTensor('activations', activations, expected(fixture, 'activations'));
    expectTensor('reconstruction', reconstruct(twin, x), expected(fixture, 'reconstruction'));
    if (!fixture.expected.has('folded_activations')) return;
    expectTensor('folded', encode(foldDecoderNorms(twin), x), expected(fixture, 'folded_activations'));
  });

  const { scaledBy } = about;
  if (scaledBy !== undefined)
    test('at its dataset’s scale, once a person has said it', async () => {
      const { record, twin } = await readDictionary(files);
      const contract = changedContract(record, { normalisation: 'scale', scale: scaledBy });
      const scaled = { ...twin, spec: { ...twin.spec, contract } };
      expectTensor('activations', encode(scaled, x), expected(fixture, 'scaled_activations'));
      expectTensor('reconstruction', reconstruct(scaled, x), expected(fixture, 'scaled_reconstruction'));
    });

  test('kept on the shelf it is the same', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    const { dictionaries, ignored } = await api.open(files, 'job');
    expect([dictionaries.length, ignored]).toEqual([1, []]);
    const record = await api.dictionary(dictionaries[0]?.id ?? '');
    const kept = bytes.files.get(record.files[0]?.path ?? '') ?? new Uint8Array(0);
    const read = await readDictionary(files);
    expect({ ...record, id: '', files: [], addedAt: 0, stored: 'memory' }).toEqual({ ...read.record, id: '' });
    expect(twinOf(record.spec, record.tensors, kept)).toEqual(read.twin);
  });
});

test('what no file says, a folder’s name does: Gemma Scope’s params alone', async () => {
  const fixture = await loadDictionary('gemma-scope-mlp', async (path) => new Uint8Array(await readFile(new URL(path, ROOT))));
  const [params] = fixture.files;
  const file = params?.file ?? new File([], '');
  await expect(readDictionary([{ path: 'layer_4/width_0k/average_l0_17/params.npz', file }])).rejects.toMatchObject({
    code: 'dictionary-hook',
  });
  const named = await readDictionary([{ path: 'blocks.4.hook_mlp_out/params.npz', file }]);
  const whole = await readDictionary(fixture.files);
  expect([named.record.spec, named.twin.tensors]).toEqual([whole.record.spec, whole.twin.tensors]);
});
