/**
 * The wrong-convention warning, on dictionaries that were really trained: silent on each as it was trained, and naming the convention where one is
 * planted wrong. What is found of the right ones is what `evaluate` finds.
 */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { ContractCheck } from '../../workers/api';
import type { DictionaryRecord } from '../../workers/contract';
import type { Contract, DictionarySpec } from '../../workers/dictionary/spec';
import { isDoubtful } from '../../workers/dictionary/verdict';
import { Engine } from '../../workers/engine';
import { Files } from '../../workers/files';
import { shaders } from '../../workers/gpu/shaders';
import { Library } from '../../workers/library/library';
import { noLocks } from '../../workers/library/locks';
import { openTensors } from '../../workers/library/tensors';
import { contractTexts } from '../../src/lab/contract-texts';
import { VARIANTS } from '../support/engine';
import type { ReadDictionary } from '../support/read-dictionary';
import { awkwardModel, loadTrained, TRAINED, type TrainedName } from './trained';

// A software renderer reads some hundred positions for each of these, perhaps beside other work.
vi.setConfig({ testTimeout: 360_000 });

const readers = new Map<string, ReadDictionary['reader']>();
const records = new Map<string, DictionaryRecord>();
let engine: Engine;
let ids: { model: string; bos: number | undefined; special: readonly number[] };
let files: Files;

beforeAll(async () => {
  const still = { usage: 0, quota: 0 };
  files = new Files(new Library({ locks: noLocks, estimate: () => Promise.resolve(still), persisted: () => Promise.resolve(false) }));
  const opened = await files.open(await awkwardModel(), 'open');
  const record = await files.record(opened.models[0]?.id ?? '');
  engine = new Engine({
    gpu: () => navigator.gpu as GPU | undefined,
    shaders,
    openTensors: (each) => Promise.resolve(readers.get(each.name) ?? openTensors(each, noLocks)),
  });
  await engine.start({ variants: VARIANTS[0] });
  const { bos, special } = await files.vocabulary(record.id);
  await engine.use(record, { weights: 'stored' }, special, 'use');
  ids = { model: record.id, bos, special };
  for (const name of TRAINED) {
    const { record: each, reader } = await loadTrained(name);
    readers.set(each.name, reader);
    records.set(name, each);
  }
});

/** As the page asks, on its own passages. */
const textsFor = (prependBos: boolean): ReturnType<typeof contractTexts> =>
  contractTexts({
    given: undefined,
    demo: true,
    most: 256,
    bos: ids.bos,
    prependBos,
    tokenize: async (text) => (await files.tokenize(ids.model, text, false)).ids,
  });

async function check(
  name: TrainedName,
  change: Partial<Contract> = {},
  promised: DictionaryRecord['promised'] = {},
  place: Partial<DictionarySpec> = {},
): Promise<ContractCheck> {
  const record = records.get(name);
  if (!record) throw new Error(`no ${name}`);
  const contract = { ...record.spec.contract, ...change };
  await engine.attach({ ...record, spec: { ...record.spec, ...place, contract } }, 'attach');
  const { texts, others } = await textsFor(contract.prependBos);
  return engine.checkContract({ dictionary: name, texts, others, special: ids.special, promised }, 'check');
}

test.each(TRAINED)('%s, read as it was trained, is not accused', async (name) => {
  const record = records.get(name);
  if (!record) throw new Error(`no ${name}`);
  const found = await check(name);
  expect(found).toMatchObject({ ok: true });
  expect(found.warning).toBeUndefined();
  expect(found.likely).toBeUndefined();
  expect(found.positions).toBeGreaterThanOrEqual(256);
  // Nor where its files promise something: what was measured is the same.
  expect(record.promised).not.toEqual({});
  expect(isDoubtful(record.spec, record.promised, found)).toBe(false);
});

test.each(['relu-centred', 'topk-transcoder'] as const)('%s: what is found is what evaluate finds', async (name) => {
  const found = await check(name);
  const { texts } = await textsFor(true);
  const { scores } = await engine.evaluate({ dictionary: name, texts, special: ids.special }, 'evaluate');
  expect(found.fvu / (scores['fvu'] ?? NaN)).toBeCloseTo(1, 4);
  expect(found.l0).toBeCloseTo(scores['l0'] ?? NaN, 2);
  expect(found.positions).toBe(scores['positions']);
});

test('what reads another place is told where it belongs, and is offered no convention', async () => {
  const hook = 'blocks.3.hook_attn_out';
  const found = await check('jumprelu-whole', {}, {}, { hookIn: hook, hookOut: hook });
  expect(found.ok).toBe(false);
  expect(found.likely?.[0]).toMatchObject({ field: 'hook', value: 'blocks.3.hook_resid_post', change: {} });
});

test('what no convention explains is said to be unexplained', async () => {
  const record = records.get('jumprelu-whole');
  if (!record) throw new Error('no dictionary');
  // Of another model: its latents are turned about.
  const other = { ...record, id: 'other', name: 'other' };
  const reader = readers.get('jumprelu-whole');
  const W_enc = record.tensors.find(({ name }) => name === 'W_enc');
  if (!reader || !W_enc) throw new Error('no encoder');
  readers.set('other', {
    close: () => undefined,
    read: (file, offset, into) => {
      void reader.read(file, offset, into);
      if (offset < W_enc.offset || offset >= W_enc.offset + W_enc.bytes) return;
      const numbers = new Float32Array(into.buffer, into.byteOffset, into.length / 4);
      for (let start = 0; start < numbers.length; start += 128) numbers.subarray(start, start + 128).reverse();
    },
  });
  await engine.attach(other, 'attach');
  const { texts, others } = await textsFor(true);
  const found = await engine.checkContract({ dictionary: 'other', texts, others, special: ids.special, promised: {} }, 'check');
  expect(found.ok).toBe(false);
  expect(found.likely).toBeUndefined();
  expect(found.warning).toContain('No single convention explains it');
});

/** A dictionary, what is planted, and the convention that is to be named first. */
const PLANTED: readonly [name: TrainedName, change: Partial<Contract>, named: Partial<Contract>][] = [
  ['relu-raw', { normalisation: 'layer_norm' }, { normalisation: 'none' }],
  ['relu-raw', { normalisation: 'scale', scale: 0.06 }, { normalisation: 'none' }],
  ['relu-scaled', { normalisation: 'none', scale: 1 }, { normalisation: 'scale' }],
  ['relu-scaled', { scale: 0.5 }, {}],
  ['relu-centred', { residual: 'raw' }, { residual: 'centred' }],
  ['topk-layernorm', { normalisation: 'none' }, { normalisation: 'layer_norm' }],
  ['topk-rescaled', { rescaleByDecoderNorm: false }, { rescaleByDecoderNorm: true }],
  ['jumprelu-whole', { subtractBDec: true }, { subtractBDec: false }],
  ['topk-transcoder', { normGain: false }, { normGain: true }],
  ['relu-raw', { prependBos: false }, { prependBos: true }],
  ['jumprelu-whole', { prependBos: false }, { prependBos: true }],
  ['relu-centred', { residual: 'raw', subtractBDec: false }, { residual: 'centred' }],
];

describe('planted', () => {
  test.each(PLANTED)('%s read with %o', async (name, change, named) => {
    const found = await check(name, change);
    expect(found.ok).toBe(false);
    expect(found.likely?.[0]?.change).toMatchObject(named);
  });
});
