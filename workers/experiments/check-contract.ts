/**
 * Is a dictionary read as it was trained? What stands at its hooks is tapped once, and the dictionary reconstructs it under its contract; where the
 * result is doubtful (dictionary/verdict.ts), also under each single other convention, at neighbouring places, and, where nothing of that helps,
 * under pairs. The products run on the GPU with the weights that are there; what differs is done to the rows (dictionary/conventions.ts).
 */
import type { ContractCheck } from '../api';
import { encoderRows, fvu, PLAIN, scaleTo, skipRows, undone, type NormAt, type Reading } from '../dictionary/conventions';
import { roomOf, wordOf, type LoadedDictionary } from '../dictionary/load';
import { DictionaryOps, Needs } from '../dictionary/ops';
import { isTranscoder, type Contract } from '../dictionary/spec';
import { explains, isDoubtful, verdict, type Alternative, type Measured, type Promised } from '../dictionary/verdict';
import { LabError } from '../errors';
import { Program, type Op } from '../gpu/commands';
import { listWords, type Lying } from '../kernels/dictionary';
import { linear } from '../kernels/linear';
import { Readback } from '../model/readback';
import { runBatch } from '../model/run';
import type { Runtime } from '../model/runtime';

export interface ContractCall {
  /** One list of ids a text, with a BOS or without, as the contract says. */
  texts: readonly (readonly number[])[];
  /** The same the other way; empty where the model has no BOS. */
  others: readonly (readonly number[])[];
  special: readonly number[];
  promised: Promised;
  norm?: NormAt | undefined;
}

/** Pairs that are tried, at most. */
const PAIRS = 10;
/** Rows of a first look. */
const FEW = 96;

/** A hook's rows at the positions that count, [rows, width]. */
type Tapped = ReadonlyMap<string, Float32Array>;

export async function checkContract(
  model: Runtime,
  dictionary: LoadedDictionary,
  { texts, others, special, promised, norm }: ContractCall,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<ContractCheck> {
  const { spec } = dictionary;
  const { contract } = spec;
  const reader = await Reader.of(model, dictionary, norm);
  const rows = await tap(model, texts, special, [spec.hookIn, spec.hookOut]);
  const target = rowsAt(rows, spec.hookOut);
  const positions = target.length / spec.dOut;
  if (positions < 2) throw new LabError('prompt-empty', 'There was nothing to check on.', 'Give texts of several tokens beside the BOS.');
  const x = rowsAt(rows, spec.hookIn);
  progress?.(0, 1);
  const now = { ...(await reader.measure(contract, x, target)), positions };
  if (!isDoubtful(spec, promised, now)) {
    progress?.(1, 1);
    return verdict(spec, promised, now, []);
  }

  const near = neighbours(model, dictionary);
  const singles = alternatives(dictionary, x, norm !== undefined);
  const of = 1 + singles.length + near.length + (others.length ? 1 : 0);
  let done = 0;
  const step = (): void => {
    stop?.();
    progress?.(Math.min(++done, of), of);
  };
  // A first look at some of the rows; what explains something there is measured on all.
  const few = some(positions);
  const [fewX, fewY] = [picked(x, few, spec.dIn), picked(target, few, spec.dOut)];
  const before = await reader.measure(contract, fewX, fewY);
  const found: Alternative[] = [];
  const look = async (each: Change): Promise<void> => {
    step();
    const wanted = { ...contract, ...each.change };
    if (explains(spec, promised, before, await reader.measure(wanted, fewX, fewY)))
      found.push({ ...each, ...(await reader.measure(wanted, x, target)) });
  };
  for (const each of singles) await look(each);
  if (others.length) {
    step();
    // The first tokens of the texts are what it is about: all of them count.
    const again = await tap(model, others, special, [spec.hookIn, spec.hookOut]);
    const measured = await reader.measure(contract, rowsAt(again, spec.hookIn), rowsAt(again, spec.hookOut));
    const value = !contract.prependBos;
    found.push({ field: 'prependBos', value, change: { prependBos: value }, ...measured });
  }
  const elsewhere = near.length ? await tap(model, texts, special, near) : new Map<string, Float32Array>();
  for (const hook of near) {
    step();
    const there = rowsAt(elsewhere, hook);
    const bare = { ...contract, normGain: false };
    const to = isTranscoder(spec) ? target : there;
    const first = await reader.measure(bare, picked(there, few, spec.dIn), picked(to, few, spec.dOut));
    if (explains(spec, promised, before, first))
      found.push({ field: 'hook', value: hook, change: {}, ...(await reader.measure(bare, there, to)) });
  }
  if (!verdict(spec, promised, now, found).likely) for (const each of pairs(singles)) await look(each);
  return verdict(spec, promised, now, found);
}

const rowsAt = (tapped: Tapped, hook: string): Float32Array => tapped.get(hook) ?? new Float32Array(0);

/** At most FEW of `rows`, spread over all. */
const some = (rows: number): number[] =>
  Array.from({ length: Math.min(FEW, rows) }, (_, i) => Math.floor((i * rows) / Math.min(FEW, rows)));

function picked(x: Float32Array, rows: readonly number[], width: number): Float32Array {
  const out = new Float32Array(rows.length * width);
  rows.forEach((row, i) => out.set(x.subarray(row * width, (row + 1) * width), i * width));
  return out;
}

async function tap(
  model: Runtime,
  texts: readonly (readonly number[])[],
  special: readonly number[],
  hooks: readonly string[],
): Promise<Tapped> {
  const left = new Set(special);
  const runs = await runBatch(
    model,
    texts.map((ids) => ({ ids, promptLength: ids.length, edits: [], taps: [...new Set(hooks)], logits: [] })),
  );
  return new Map(
    hooks.map((hook) => {
      const kept = runs.flatMap(({ taps }, i) => {
        const ids = texts[i] ?? [];
        const data = taps[hook]?.data ?? new Float32Array(0);
        const width = data.length / ids.length;
        return ids.flatMap((id, r) => (left.has(id) ? [] : [data.subarray(r * width, (r + 1) * width)]));
      });
      const width = kept[0]?.length ?? 0;
      const all = new Float32Array(kept.length * width);
      kept.forEach((row, r) => all.set(row, r * width));
      return [hook, all];
    }),
  );
}

type Change = Pick<Alternative, 'field' | 'value' | 'change'>;

/** Every single convention that is another, where it means anything. */
function alternatives({ spec }: LoadedDictionary, x: Float32Array, gain: boolean): Change[] {
  const { contract, activation, dIn } = spec;
  const { residual, normalisation, subtractBDec, rescaleByDecoderNorm, normGain } = contract;
  const out: Change[] = [];
  const one = <F extends keyof Contract>(field: F, value: NonNullable<Contract[F]>, rest: Partial<Contract> = {}): void => {
    out.push({ field, value, change: { [field]: value, ...rest } });
  };
  const scale = scaleTo(x, dIn, residual === 'centred');
  // Normalising a row takes its mean off anyway.
  if (normalisation !== 'layer_norm') one('residual', residual === 'raw' ? 'centred' : 'raw');
  if (normalisation !== 'none') one('normalisation', 'none', { scale: 1 });
  if (normalisation !== 'layer_norm') one('normalisation', 'layer_norm', { scale: 1 });
  if (normalisation === 'scale') one('scale', scale);
  else one('normalisation', 'scale', { scale });
  if (!isTranscoder(spec)) one('subtractBDec', !subtractBDec);
  // Without a threshold or a choice of the largest, what is multiplied before and divided after is the same.
  if (activation === 'topk' || activation === 'jumprelu') one('rescaleByDecoderNorm', !rescaleByDecoderNorm);
  if (gain) one('normGain', normGain !== true);
  return out;
}

/** Two at once, of different fields. */
function pairs(singles: readonly Change[]): Change[] {
  const out: Change[] = [];
  for (const [i, a] of singles.entries())
    for (const b of singles.slice(i + 1))
      if (a.field !== b.field && !('scale' in a.change && 'scale' in b.change)) out.push({ ...a, change: { ...a.change, ...b.change } });
  return out.slice(0, PAIRS);
}

/** Places that a dictionary may be mistaken for: as wide, in the same layer or the next. */
function neighbours(model: Runtime, { spec }: LoadedDictionary): string[] {
  const [, layer, name] = /^blocks\.(\d+)\.(.+)$/.exec(spec.hookIn) ?? [];
  if (layer === undefined || name === undefined) return [];
  const l = Number(layer);
  const stream = [`blocks.${l - 1}.hook_resid_pre`, `blocks.${l}.hook_resid_pre`, `blocks.${l}.hook_resid_mid`];
  const later = [`blocks.${l}.hook_resid_post`, `blocks.${l + 1}.hook_resid_post`];
  const branches = [`blocks.${l}.hook_attn_out`, `blocks.${l}.hook_mlp_out`];
  // What a layer leaves is what the next one finds.
  const same = (hook: string): string =>
    hook.replace(/^blocks\.(\d+)\.hook_resid_post$/, (_, at: string) => `blocks.${Number(at) + 1}.hook_resid_pre`);
  const { hooks } = model.planner;
  const candidates = isTranscoder(spec) ? [...stream.slice(1), `blocks.${l}.ln2.hook_normalized`] : [...stream, ...later, ...branches];
  return candidates.filter((hook) => {
    const geometry = hooks.get(hook)?.geometry;
    return geometry && !geometry.keys && geometry.units * geometry.width === spec.dIn && same(hook) !== same(spec.hookIn);
  });
}

/** The loaded weights under any contract. */
class Reader {
  private constructor(
    private readonly model: Runtime,
    private readonly d: LoadedDictionary,
    private readonly norm: NormAt | undefined,
    private readonly params: Float32Array<ArrayBuffer>,
    private readonly bDec: Float32Array,
  ) {}

  static async of(model: Runtime, d: LoadedDictionary, norm: NormAt | undefined): Promise<Reader> {
    const places = [
      { buffer: d.params, words: 4 * d.spec.latents },
      { buffer: d.bias, words: d.output.words },
    ];
    const [params, bias] = await compute(model, [], places);
    return new Reader(model, d, norm, params ?? new Float32Array(0), unlaid(bias ?? new Float32Array(0), d.output));
  }

  /** Rows x [n, dIn] against y [n, dOut]. */
  async measure(wanted: Contract, x: Float32Array, y: Float32Array): Promise<Measured> {
    const { model, d, bDec, norm } = this;
    const { spec } = d;
    const rows = x.length / spec.dIn;
    const reading: Reading = { spec, loaded: spec.contract, wanted, x, bDec, norm };
    const { gpu, scratch: pool, planner } = model;
    const put = (name: string, data: Float32Array<ArrayBuffer>): void => gpu.write(pool.need(name, data.byteLength), 0, data);
    const needs = new Needs();
    const ops = new DictionaryOps(planner.variants, needs);
    const params = this.params.map((each, i) => {
      const norm = d.decoderNorms[(i - 3) / 4] ?? 0;
      return i % 4 === 3 ? (wanted.rescaleByDecoderNorm && norm > 0 ? norm : 1) : each;
    });
    put('contract.params', params);
    put('contract.x', laid(encoderRows(reading), d.input));
    const bare: LoadedDictionary = {
      ...d,
      spec: { ...spec, skip: false, contract: PLAIN },
      skip: undefined,
      params: 'contract.params',
    };
    const room = roomOf(d);
    const lists = listWords(room);
    const at = { hook: 'contract', buffer: 'contract.x', rows };
    pool.need('contract.lists', 4 * rows * lists);
    const list: Op[] = ops.measureRead(bare, at, 'contract', room, { to: 'contract.lists', offset: 0 });
    if (d.skip) {
      put('contract.skip.x', laid(skipRows(reading), d.input));
      pool.need('contract.skip', 4 * rows * d.output.words);
      const call = { name: 'contract.skip', x: 'contract.skip.x', rows, weights: d.skip, epilogue: { kind: 'plain' } } as const;
      list.push(...linear({ ...call, y: 'contract.skip', yStride: d.output.words, variants: planner.variants }));
    }
    for (const [name, bytes] of needs.sizes) pool.need(name, bytes);
    const [found = new Float32Array(0), decoded, skipped] = await compute(model, list, [
      { buffer: 'contract.lists', words: rows * lists },
      { buffer: 'sae.y.contract', words: rows * d.output.words },
      ...(d.skip ? [{ buffer: 'contract.skip', words: rows * d.output.words }] : []),
    ]);
    const words = new Uint32Array(found.buffer);
    let active = 0;
    for (let r = 0; r < rows; r++) active += words[r * lists] ?? 0;
    const plain = unlaid(decoded ?? new Float32Array(0), d.output);
    return { fvu: fvu(y, undone(reading, plain, skipped && unlaid(skipped, d.output)), spec.dOut), l0: active / rows };
  }
}

/** Rows of numbers as they lie in a hook's buffer, zeros between. */
function laid(x: Float32Array, to: Lying): Float32Array<ArrayBuffer> {
  const rows = x.length / to.d;
  const out = new Float32Array(rows * to.words);
  for (let r = 0; r < rows; r++) for (let i = 0; i < to.d; i++) out[r * to.words + wordOf(to, i)] = x[r * to.d + i] ?? 0;
  return out;
}

function unlaid(words: Float32Array, from: Lying): Float32Array {
  const rows = words.length / from.words;
  const out = new Float32Array(rows * from.d);
  for (let r = 0; r < rows; r++) for (let i = 0; i < from.d; i++) out[r * from.d + i] = words[r * from.words + wordOf(from, i)] ?? 0;
  return out;
}

/** Runs the operations, then reads buffers from their beginning. */
async function compute(
  model: Runtime,
  ops: readonly Op[],
  places: readonly { buffer: string; words: number }[],
): Promise<Float32Array<ArrayBuffer>[]> {
  const { gpu, scratch: pool } = model;
  const readback = new Readback(gpu.limits.maxBufferSize);
  const copies = places.map(({ buffer, words }, i): Op => {
    const { to, offset } = readback.reserve(String(i), 4 * words);
    return { op: 'copy', from: buffer, fromOffset: 0, to, toOffset: offset, bytes: 4 * words };
  });
  let program: Program | undefined;
  try {
    readback.allocate(gpu, pool);
    program = await Program.prepare(gpu, [...ops, ...copies], pool);
    program.run();
    await gpu.check();
    const bytes = await readback.read(gpu);
    return places.map((_, i) => new Float32Array(bytes(String(i))));
  } finally {
    program?.free();
    readback.free(gpu);
  }
}
