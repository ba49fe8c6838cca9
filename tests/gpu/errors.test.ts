/** Out of memory and invalid commands are errors that a person sees, never numbers; and the device works on after them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Pool, Program, type Dispatch } from '../../workers/gpu/commands';
import { Gpu } from '../../workers/gpu/device';
import { shaders } from '../../workers/gpu/shaders';
import { add, NO_SITE } from '../../workers/kernels/rowwise';
import { Rig } from '../support/kernel';
import { refusal } from '../unit/refusal';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open({ defaultLimits: true });
});
afterAll(() => rig.close());

const sum = (part: string, resid: string): Dispatch => add({ rows: 1, hook: 'add', part, resid, width: 4, stride: 4, site: NO_SITE });

/** The device still computes, and nothing of an earlier fault is left over. */
async function works(): Promise<void> {
  rig.clear();
  rig.put('a', Float32Array.of(1, 2, 3, 4));
  rig.put('b', Float32Array.of(10, 20, 30, 40));
  await rig.run(sum('a', 'b'));
  expect([...(await rig.floats('b'))]).toEqual([11, 22, 33, 44]);
}

test('a buffer beyond the limit', async () => {
  const error = await refusal(() => rig.reserve('x', 257 << 20));
  expect(error.code).toBe('gpu-out-of-memory');
  expect(error.message).toContain('257 MiB');
  await works();
});

test('a buffer that cannot be bound whole', async () => {
  rig.clear();
  // It is refused before it is made: a kernel could not use it, and the driver would only say so later.
  const error = await refusal(() => rig.reserve('a', (128 << 20) + 256));
  expect(error.code).toBe('gpu-out-of-memory');
  await works();
});

test('a buffer without the usage that a kernel needs', async () => {
  const pool = new Pool(rig.gpu);
  pool.need('a', 16, GPUBufferUsage.COPY_DST);
  pool.need('b', 16);
  const error = await refusal(() => Program.prepare(rig.gpu, [sum('a', 'b')], pool));
  expect(error.code).toBe('gpu-validation');
  pool.free();
  await works();
});

test('more workgroups than a dimension holds', async () => {
  rig.clear();
  rig.blank('a', 4);
  rig.blank('b', 4);
  const error = await refusal(() => rig.run({ ...sum('a', 'b'), groups: [65536, 1, 1] }));
  expect(error.code).toBe('gpu-validation');
  expect(error.message).toContain('refused');
  await works();
});

test('a copy past the end of a buffer', async () => {
  rig.clear();
  rig.blank('a', 4);
  rig.blank('b', 4);
  const error = await refusal(() => rig.run({ op: 'copy', from: 'a', fromOffset: 0, to: 'b', toOffset: 8, bytes: 16 }));
  expect(error.code).toBe('gpu-validation');
  await works();
});

test('a write past the end of a buffer', async () => {
  rig.clear();
  rig.blank('a', 4);
  rig.write('a', 12, new Float32Array(2));
  const error = await refusal(() => rig.gpu.check());
  expect(error.code).toBe('gpu-validation');
  await works();
});

test('a kernel that does not build says where, and leaves no error behind for the next one', async () => {
  const error = await refusal(() => rig.gpu.kernel('act', { ACT: 'nothing_of_the_kind', GATED: 0, EDIT: 0 }, {}));
  expect(error.code).toBe('gpu-validation');
  expect(error.message).toContain('nothing_of_the_kind');
  await works();
});

test('what needs a feature that was not asked for is refused', async () => {
  if (rig.gpu.device.features.has('subgroups')) throw new Error('the smallest device has no features');
  const defines = { DTYPE: 'f32', EPI: 'plain', BIAS: 0, NORM: 0, R: 1, T: 64, SUBGROUPS: 1 };
  const error = await refusal(() => rig.gpu.kernel('linear-workgroup', defines, {}));
  expect(error.code).toBe('gpu-validation');
  await works();
});

test('the first of several faults is the one told; the scopes of good work say nothing', async () => {
  rig.gpu.scoped(() => undefined);
  await rig.gpu.check();
  rig.clear();
  rig.blank('a', 4);
  rig.write('a', 4, new Float32Array(4));
  rig.gpu.scoped(() => rig.gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE }));
  const error = await refusal(() => rig.gpu.check());
  expect(error.message).toMatch(/write/i);
  await works();
});

test('no WebGPU, or no adapter, says so', async () => {
  expect((await refusal(() => Gpu.open(undefined, shaders))).code).toBe('webgpu-missing');
  const blind = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  expect((await refusal(() => Gpu.open(blind, shaders))).code).toBe('adapter-missing');
});

test('a device that is gone refuses everything', async () => {
  const other = await Gpu.open(navigator.gpu as GPU | undefined, shaders);
  other.device.destroy();
  await other.device.lost;
  await Promise.resolve();
  expect((await refusal(() => other.buffer(16, GPUBufferUsage.STORAGE, 'x'))).code).toBe('gpu-lost');
  expect((await refusal(() => other.check())).code).toBe('gpu-lost');
});
