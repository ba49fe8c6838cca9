/**
 * What once went wrong, or could in silence: sources of replace edits that do not line up, buffers after failures, a text's end
 * after a re-read, a device that does not come back at the first try.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EngineEdit } from '../../workers/contract';
import type { Tensor } from '../../workers/api';
import { Engine } from '../../workers/engine';
import type { Gpu } from '../../workers/gpu/device';
import { shaders } from '../../workers/gpu/shaders';
import { noLocks } from '../../workers/library/locks';
import { openTensors } from '../../workers/library/tensors';
import { add, generate, openBench, run, steps, vector, type Bench } from '../support/engine';
import { refusal } from '../unit/refusal';
import { promptIds } from './cases';
import { loadFixture, type Fixture } from './fixture';

let fixture: Fixture;
let bench: Bench;
let ids: number[];
let other: number[];
beforeAll(async () => {
  fixture = await loadFixture('gpt2-odd');
  bench = await openBench(fixture.files);
  ids = promptIds(fixture.cases, 1);
  other = promptIds(fixture.cases, 3);
  expect(other.length).toBe(ids.length);
});
afterAll(async () => {
  await bench.engine.unload(bench.record.id);
});

const replace = (at: string, value: Tensor | { ids: number[]; from?: number[] }, rest: Partial<EngineEdit> = {}): EngineEdit =>
  ({ kind: 'replace', at, where: 'all', skipSpecial: false, strength: 1, enabled: true, value, ...rest }) as EngineEdit;
const tapped = async (hook: string): Promise<Tensor> => {
  const [result] = await bench.engine.batch([run(other, { taps: [hook], logits: 'none' })], 'job');
  const found = result?.taps[hook];
  if (!found) throw new Error(`no ${hook}`);
  return found;
};
const logits = async (edits: EngineEdit[]): Promise<Float32Array | undefined> =>
  (await bench.engine.batch([run(ids, { edits })], 'job'))[0]?.logits?.data;

test.each(['attn.hook_z', 'attn.hook_q', 'attn.hook_attn_scores', 'attn.hook_pattern'])(
  'one head of a whole tensor at %s is that head’s',
  async (hook) => {
    const at = `blocks.1.${hook}`;
    const value = await tapped(at);
    const expected = await logits([replace(at, { ids: other }, { head: 1 })]);
    expect(await logits([replace(at, value, { head: 1 })])).toEqual(expected);
    expect(await logits([])).not.toEqual(expected);
  },
);

test('rows for listed positions, in their order; rows that are missing are told', async () => {
  const at = 'blocks.1.hook_resid_pre';
  const whole = await tapped(at);
  const d = bench.record.info.dModel;
  const some: Tensor = {
    shape: [2, d],
    data: new Float32Array([...whole.data.subarray(3 * d, 4 * d), ...whole.data.subarray(5 * d, 6 * d)]),
  };
  expect(await logits([replace(at, some, { where: [3, 5] })])).toEqual(await logits([replace(at, whole, { where: [3, 5] })]));
  expect((await refusal(() => logits([replace(at, some)]))).code).toBe('edit-shape');
  expect((await refusal(() => logits([replace(at, { ids: other, from: [0, 1, 2, 3, 4, 5, 6, 0] })]))).code).toBe('edit-shape');
});

test('another prompt of equal length fits whatever promptLength says', async () => {
  const edits = [replace('blocks.1.hook_resid_mid', { ids: other }, { where: 'prompt' })];
  const found = await steps(bench.engine, generate(ids, { edits, promptLength: 3, tokens: 2 }));
  expect(found.length).toBe(2);
});

test('buffers alive do not grow, over runs, failures and generations', async () => {
  const alive = async (): Promise<number> => (await bench.engine.device()).counters.buffers;
  const request = generate(ids, { tokens: 4, baseline: true, shadow: true });
  const once = async (): Promise<void> => {
    await logits([add('blocks.0.hook_resid_pre', vector(bench.record.info.dModel))]);
    await bench.engine.lens({ ids, top: 2, edits: [] }, 'job');
    await steps(bench.engine, request, (step, id) => (step.position === ids.length + 1 ? bench.engine.reread(id) : undefined));
    await refusal(() => bench.engine.batch([run(ids, { taps: ['blocks.9.hook_z'] })], 'job'));
    await refusal(() => logits([add('blocks.0.hook_resid_pre', vector(3))]));
  };
  await once();
  const before = await alive();
  for (let i = 0; i < 4; i++) await once();
  expect(await alive()).toBe(before);
});

test('a text that ended at EOS has ended, re-read or not', async () => {
  const [greedy] = fixture.cases.greedy.filter((each) => each.prompt === 1);
  const eos = greedy?.ids[2] ?? -1;
  const id = await bench.engine.open(generate(ids, { tokens: 10, eos: [eos] }));
  const taken: number[] = [];
  for (;;) {
    const step = await bench.engine.next(id);
    if ('ended' in step) {
      expect(step.ended).toBe('eos');
      break;
    }
    taken.push(step.steered.id);
  }
  expect(taken.at(-1)).toBe(eos);
  await bench.engine.reread(id);
  expect(await bench.engine.next(id)).toEqual({ ended: 'eos' });
  await bench.engine.close(id);
});

test('a device that is lost, and not there at the first try, comes back at the next', async () => {
  const devices: GPUDevice[] = [];
  let away = false;
  // The browser's own GPU, but its device can be taken and its adapter withheld.
  const gpu = {
    requestAdapter: async (options?: GPURequestAdapterOptions) => {
      if (away) return null;
      const adapter = await navigator.gpu.requestAdapter(options);
      if (!adapter) return null;
      const request = adapter.requestDevice.bind(adapter);
      adapter.requestDevice = async (descriptor) => {
        const device = await request(descriptor);
        devices.push(device);
        return device;
      };
      return adapter;
    },
  } as unknown as GPU;
  const engine = new Engine({ gpu: () => gpu, shaders, openTensors: (record) => openTensors(record, noLocks) });
  await engine.start({});
  await engine.use(bench.record, { weights: 'stored' }, [], 'use');
  const id = await engine.open(generate(ids, { tokens: 6, edits: [add('blocks.0.hook_resid_pre', vector(bench.record.info.dModel))] }));
  await engine.next(id);
  await engine.reread(id);
  const [before] = await engine.batch([run(ids)], 'job');
  away = true;
  devices.at(-1)?.destroy();
  await refusal(() => engine.batch([run(ids)], 'job'));
  away = false;
  const [after] = await engine.batch([run(ids)], 'job');
  expect(after?.logits?.data).toEqual(before?.logits?.data);
  const step = await engine.next(id);
  expect('ended' in step ? undefined : step.reread, 'the re-read is still told').toBe(true);
  expect(devices.length).toBe(2);
  await engine.unload(bench.record.id);
});

test('a device that comes back while the model cannot be read: the next call has the model again', async () => {
  let away = false;
  const engine = new Engine({
    gpu: () => navigator.gpu as GPU | undefined,
    shaders,
    openTensors: (record) => (away ? Promise.reject(new Error('the disk is busy')) : openTensors(record, noLocks)),
  });
  await engine.start({});
  await engine.use(bench.record, { weights: 'stored' }, [], 'use');
  const id = await engine.open(generate(ids, { tokens: 6 }));
  await engine.next(id);
  const [before] = await engine.batch([run(ids)], 'job');
  away = true;
  (engine as unknown as { gpu: Gpu }).gpu.device.destroy();
  await refusal(() => engine.batch([run(ids)], 'job'));
  away = false;
  const [after] = await engine.batch([run(ids)], 'job');
  expect(after?.logits?.data).toEqual(before?.logits?.data);
  expect(await engine.next(id)).toHaveProperty('steered');
  await engine.unload(bench.record.id);
});
