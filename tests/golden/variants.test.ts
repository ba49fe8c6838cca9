/** Which kernels run: pins are read or refused, a kept choice is checked, and a measurement names a kernel of each kind. */
import { expect, test } from 'vitest';
import { Gpu } from '../../workers/gpu/device';
import { shaders } from '../../workers/gpu/shaders';
import { noLocks } from '../../workers/library/locks';
import { openTensors } from '../../workers/library/tensors';
import { freeModel, loadModel } from '../../workers/model/runtime';
import { asVariants, CANDIDATES, firstGuess, measure, parsePins, PLAIN, tuningKey } from '../../workers/model/variants';
import { openBench } from '../support/engine';
import { refusal } from '../unit/refusal';
import { loadFixture } from './fixture';

test('pins are read; what is none is refused with what there is', async () => {
  expect(parsePins(undefined)).toEqual({});
  expect(parsePins('matvec:workgroup,attention:serial')).toEqual({ matvec: 'workgroup', attention: 'serial' });
  for (const bad of ['matvec:fast', 'softmax:serial', 'matvec']) {
    const error = await refusal(() => parsePins(bad));
    expect(error.code).toBe('option-unsupported');
    expect(error.hint).toContain('matvec:register|workgroup|subgroup');
  }
});

test('a kept choice counts only while it is one', () => {
  expect(asVariants(PLAIN)).toEqual(PLAIN);
  for (const stale of [undefined, null, 'register', {}, { ...PLAIN, matvec: 'quantum' }]) expect(asVariants(stale)).toBeUndefined();
});

test('a measurement chooses one of each kind, and leaves pins alone', async () => {
  const bench = await openBench((await loadFixture('gpt2-scaled')).files);
  const gpu = await Gpu.open(navigator.gpu, shaders);
  const reader = await openTensors(bench.record, noLocks);
  const model = await loadModel({ gpu, record: bench.record, reader, use: { weights: 'stored' }, special: [], variants: firstGuess(gpu) });
  const { chosen, milliseconds } = await measure(model, { attention: 'workgroup' }, 1);
  expect(asVariants(chosen)).toEqual(chosen);
  expect(chosen.attention).toBe('workgroup');
  expect(Object.keys(milliseconds).sort()).toEqual(
    [
      ...CANDIDATES.matmul.map((name) => `matmul:${name}`),
      ...CANDIDATES.matvec.filter((name) => name !== 'subgroup' || gpu.device.features.has('subgroups')).map((name) => `matvec:${name}`),
    ].sort(),
  );
  for (const time of Object.values(milliseconds)) expect(time).toBeGreaterThan(0);
  expect(tuningKey(gpu)).toContain(gpu.adapter.info.architecture);
  freeModel(model);
  reader.close();
});
