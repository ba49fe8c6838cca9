/** Lenses out of files: the two published layouts as their authors' code saves them (tests/golden/make_lenses.py), the lab's own, and what is refused, by which code. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { OpenedFile } from '../../../workers/contract';
import type { LensDraft } from '../../../workers/contract-reading';
import { findLenses, lensFile, type FoundLens } from '../../../workers/formats/lenses';
import { LOOSE_READERS } from '../../../workers/formats/loose-readers';
import { refusal } from '../refusal';
import { f32, opened, rawFile } from '../safetensors-writer';
import { READERS, wrapped } from './dictionaries/dropped';

const ROOT = fileURLToPath(new URL('../../golden/fixtures/lenses/', import.meta.url));
const bytes = (name: string): Uint8Array<ArrayBuffer> => Uint8Array.from(readFileSync(ROOT + name));
const [CONFIG, PARAMS] = [bytes('tuned/config.json'), bytes('tuned/params.pt')];
const config = (change: object = {}): OpenedFile =>
  opened('tuned/config.json', { ...(JSON.parse(new TextDecoder().decode(CONFIG)) as object), ...change });
/** What make_lenses.py puts at (row, column) of a layer's matrix. */
const numbers = (layer: number): number[] => Array.from({ length: 9 }, (_, i) => layer + Math.floor(i / 3) / 10 + (i % 3) / 100);

async function only(files: readonly OpenedFile[], readers = READERS): Promise<FoundLens> {
  const { lenses, others } = await findLenses(files, readers);
  expect([lenses.length, others.length]).toEqual([1, 0]);
  const found = await lenses[0]?.read();
  if (!found) throw new Error('no lens');
  return found;
}
const close = (found: ArrayLike<number> | undefined, expected: readonly number[], digits = 6): void => {
  expect(found?.length).toBe(expected.length);
  expected.forEach((value, i) => expect(found?.[i]).toBeCloseTo(value, digits));
};

describe('as published', () => {
  test('tuned-lens’s folder: what enters each block', async () => {
    const { draft, base, maps } = await only([config(), opened('tuned/params.pt', PARAMS)], LOOSE_READERS);
    expect(draft).toEqual({
      name: 'tuned',
      kind: 'tuned',
      model: '',
      layers: 2,
      dModel: 3,
      hooks: ['blocks.0.hook_resid_pre', 'blocks.1.hook_resid_pre'],
    });
    expect(base).toBe('tiny/gpt2-odd');
    maps.forEach(({ weight, bias }, layer) => {
      close(weight, numbers(layer));
      close(
        bias,
        [0, 0.1, 0.2].map((row) => layer + row),
      );
    });
    expect(maps).toHaveLength(2);
  });

  test('a Jacobian lens: fp16 by layer, whatever their order, and layers left out', async () => {
    const { draft, base, maps } = await only([opened('jacobian_lens.pt', bytes('jacobian_lens.pt'))], LOOSE_READERS);
    expect(draft).toMatchObject({ name: 'jacobian_lens', kind: 'jacobian', dModel: 3 });
    expect(draft.hooks).toEqual(['blocks.0.hook_resid_post', 'blocks.2.hook_resid_post']);
    expect(base).toBeUndefined();
    [0, 2].forEach((layer, i) => {
      close(maps[i]?.weight, numbers(layer), 2);
      close(maps[i]?.bias, [0, 0, 0]);
    });
  });

  test('biases may be left out', async () => {
    const params = wrapped('tuned/params.pt', [f32('0.weight', [3, 3]), f32('1.weight', [3, 3])]);
    const { maps } = await only([config({ bias: false }), params]);
    maps.forEach(({ bias }) => close(bias, [0, 0, 0]));
  });
});

describe('the lab’s own', () => {
  const draft: LensDraft = { name: 'mine', kind: 'jacobian', model: '', layers: 4, dModel: 3, hooks: ['blocks.1.hook_resid_pre'] };
  const maps = [{ weight: Float32Array.from(numbers(1)), bias: Float32Array.of(7, 8, 9) }];

  test('what was written is read', async () => {
    const { blob, tensors } = lensFile(draft, maps);
    const whole = new Uint8Array(await blob.arrayBuffer());
    const found = await only([opened('my-lens.safetensors', whole)], LOOSE_READERS);
    expect(found.draft).toEqual(draft);
    close(found.maps[0]?.weight, numbers(1));
    close(found.maps[0]?.bias, [7, 8, 9]);
    // The places that the shelf is told are where the numbers lie.
    const [weight, bias] = tensors;
    const at = (offset = 0): number => new DataView(whole.buffer).getFloat32(offset, true);
    expect([at(weight?.offset), at(bias?.offset)]).toEqual([1, 7]);
  });

  test.each([
    ['is no JSON', '{', [f32('blocks.1.hook_resid_pre.weight', [3, 3])]],
    ['has no kind', JSON.stringify({ layers: 4, d_model: 3, hooks: [] }), []],
    ['has no width', JSON.stringify({ kind: 'tuned', layers: 4, hooks: [] }), []],
    ['names a hook that the file lacks', JSON.stringify({ kind: 'tuned', layers: 4, d_model: 3, hooks: ['blocks.1.hook_resid_pre'] }), []],
  ])('refused where what it says of itself %s', async (_what, said, tensors) => {
    let at = 0;
    const entries = tensors.map(({ name, dtype, shape, data }) => [name, { dtype, shape, data_offsets: [at, (at += data.length)] }]);
    const header = JSON.stringify({ __metadata__: { loupe_lens: said }, ...Object.fromEntries(entries) });
    const data = Uint8Array.from(tensors.flatMap((each) => [...each.data]));
    const file = opened('lens.safetensors', rawFile(header, data));
    expect(await refusal(() => only([file], LOOSE_READERS))).toMatchObject({ code: 'lens-garbage' });
  });
});

describe('refused', () => {
  const whole = [0, 1].flatMap((i) => [f32(`${i}.weight`, [3, 3]), f32(`${i}.bias`, [3])]);
  const params = (...tensors: ReturnType<typeof f32>[]): OpenedFile => wrapped('tuned/params.pt', tensors);
  const jacobian = (...tensors: ReturnType<typeof f32>[]): OpenedFile => wrapped('jacobian.pt', tensors);
  test.each([
    ['a translator is missing', [config(), params(...whole.slice(0, 2))]],
    ['a translator is of another width', [config(), params(f32('0.weight', [3, 4]), ...whole.slice(1))]],
    ['a bias is of another width', [config(), params(...whole.slice(0, 3), f32('1.bias', [2]))]],
    [
      'a number is not finite',
      [
        config(),
        params(
          f32('0.weight', [3, 3], (i) => (i === 4 ? NaN : 1)),
          ...whole.slice(1),
        ),
      ],
    ],
    ['config.json does not say how deep', [config({ num_hidden_layers: undefined }), params(...whole)]],
    ['config.json says a width that is none', [config({ d_model: -3 }), params(...whole)]],
    ['Jacobians differ in width', [jacobian(f32('J.0', [3, 3]), f32('J.1', [2, 2]))]],
    ['a Jacobian holds an infinity', [jacobian(f32('J.0', [3, 3], (i) => (i ? 1 : Infinity)))]],
    ['a Jacobian is not square', [jacobian(f32('J.0', [3, 2]))]],
  ])('%s: lens-garbage', async (_what, files) => {
    const found = await refusal(() => only(files));
    expect(found.code).toBe('lens-garbage');
    expect(found.hint).not.toBe('');
  });

  test('a config.json that is no JSON', async () => {
    expect(await refusal(() => findLenses([opened('tuned/config.json', '{'), params(...whole)], READERS))).toMatchObject({
      code: 'lens-garbage',
    });
  });

  test('a params.pt that was cut short is refused as one that is not whole', async () => {
    const cut = opened('tuned/params.pt', PARAMS.slice(0, 900));
    const { code } = await refusal(() => only([config(), cut], LOOSE_READERS));
    expect(code).toBe('file-truncated');
  });

  test('what is not a lens is left for other searches', async () => {
    const files = [
      wrapped('lens/weights.pt', [f32('W', [3])]),
      opened('jacobian_lens.pt', bytes('jacobian_lens.pt').slice(0, 500)),
      opened('lens.safetensors', rawFile(JSON.stringify({ __metadata__: {} }), new Uint8Array(0))),
      opened('model/config.json', { model_type: 'gpt2', d_model: 3 }),
      wrapped('model/params.pt', whole),
    ];
    const { lenses, others } = await findLenses(files, READERS);
    expect(lenses).toEqual([]);
    expect(others).toEqual(files);
  });
});
