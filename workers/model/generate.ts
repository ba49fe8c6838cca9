/**
 * Generation: token, position and choice stay on the GPU; one command buffer a token, at most two tokens ahead of the last
 * one taken. A position is computed once, with the dials in force then; what the dials were is kept for every position, so
 * that a text can be replayed, rewound, or restored after the device was lost.
 */
import { LabError } from '../errors';
import type { EngineChoice, EngineGenerate, EngineStep, Ending } from '../contract';
import { Pool, Program, type Op } from '../gpu/commands';
import { HEADER, resultWords, sample } from '../kernels/distribution';
import { compileEdits, strengthOf, valueOf, type CompiledEdits, type PlacedEdit } from './edits';
import { plan, unembed, type CacheShape } from './plan';
import { rowWords, type Row } from './rows';
import { checkIds, type Runtime } from './runtime';
import { readHook } from './run';
import { allocate } from './scratch';
import { sourceOf } from './sources';
import { rowOf, sampledStreams, streamsOf, type Stream } from './streams';

/** First candidates that come with every step. */
export const TOP = 10;
/** Tokens that may be computed beyond the last one taken. */
const AHEAD = 2;
/** The cache is allocated once: at least so many tokens beyond the prompt, so that a text can go on. */
const ROOM = 256;

interface Dial {
  value: number | undefined;
  strength: number;
  enabled: boolean;
}
type Snapshot = { value?: number; strength: number }[];

/** A token under way: where its result will be, and the dials it was computed with. */
interface Flight {
  position: number;
  slot: GPUBuffer;
  bytes: Promise<ArrayBuffer>;
  dials: Snapshot;
  reread: boolean;
}

export function capacityOf(model: Runtime, request: Pick<EngineGenerate, 'ids' | 'tokens'>): number {
  return Math.min(model.context, request.ids.length + Math.max(request.tokens, ROOM));
}

/** The operations of one decoded token. */
export function decodeOps(model: Runtime, streams: readonly Stream[], cache: CacheShape, edits: CompiledEdits): Op[] {
  const { planner, spec } = model;
  const { ops, stream } = plan(planner, { rows: streams.length, cache, keys: cache.cap, sites: edits.sites, taps: [] });
  return [...ops, ...headOps(model, streams, stream.buffer, stream.normed, spec.vocab)];
}

function headOps(model: Runtime, streams: readonly Stream[], x: string, normed: boolean, vocab: number): Op[] {
  const { planner } = model;
  const shadow = streams.find((each) => each.kind === 'shadow');
  return [
    ...unembed(planner, { x, row0: 0, rows: streams.length, normed }),
    sample({
      sampled: sampledStreams(streams),
      rows: streams.length,
      n: vocab,
      stride: planner.layout.vocab,
      k: Math.min(TOP, vocab),
      ...(shadow ? { shadow: { row: shadow.row, of: 0 } } : {}),
    }),
  ];
}

/** Compiles a request's edits for positions up to the cache's capacity. */
export async function compileFor(model: Runtime, request: EngineGenerate, capacity: number): Promise<CompiledEdits> {
  const placed: PlacedEdit[] = [];
  for (const edit of request.edits) {
    // Negative positions count from promptLength; a replace from another prompt covers that prompt's positions.
    const target = { promptLength: request.promptLength, length: capacity, end: request.promptLength };
    const source = await sourceOf(model.planner.hooks, edit, target, (ids, hook) => readHook(model, ids, hook));
    placed.push({ edit, sequence: 0, ...target, ...(source ? { source } : {}) });
  }
  return compileEdits(model.planner.hooks, placed, capacity, model.special, model.spec.vocab);
}

export class Generation {
  private readonly streams: Stream[];
  private readonly dials: Dial[];
  /** Tokens of each sampling stream: the prompt, then what was taken. */
  private readonly texts: number[][];
  /** Dials with which each position of the steered stream was computed. */
  private readonly history: Snapshot[] = [];
  private pool: Pool | undefined;
  private decode: Program | undefined;
  private head: Program | undefined;
  private slots: GPUBuffer[] = [];
  private compiled: CompiledEdits | undefined;
  private flights: Flight[] = [];
  private limit: number;
  private ended: Ending | undefined;
  private markReread = false;
  private capacity: number;

  private constructor(
    private model: Runtime,
    private readonly request: EngineGenerate,
  ) {
    this.streams = streamsOf(request);
    this.dials = request.edits.map((edit) => ({ value: valueOf(edit), strength: edit.strength, enabled: edit.enabled }));
    this.texts = Array.from({ length: sampledStreams(this.streams) }, () => [...request.ids]);
    this.capacity = capacityOf(model, request);
    this.limit = request.ids.length + request.tokens;
  }

  static async open(model: Runtime, request: EngineGenerate): Promise<Generation> {
    checkIds(model, request.ids);
    const self = new Generation(model, request);
    try {
      await self.build();
    } catch (thrown) {
      self.close();
      throw thrown;
    }
    return self;
  }

  /** Buffers, programs and edits on the device; the cache still empty. */
  private async build(): Promise<void> {
    const { model, streams, cache, request } = this;
    const { gpu, planner } = model;
    this.compiled = await compileFor(model, request, this.capacity);
    const pool = new Pool(gpu, model.weights);
    this.pool = pool;
    const ops = decodeOps(model, streams, cache, this.compiled);
    allocate(planner, { rows: streams.length, keys: this.capacity, cache, logits: streams.length, results: 0 }, ops, pool);
    pool.need('final', 4 * streams.length * planner.layout.dModel);
    const k = Math.min(TOP, model.spec.vocab);
    const bytes = 4 * streams.length * resultWords(k);
    pool.need('result', bytes);
    pool.need('settings', 16);
    pool.need('rows', 32 * streams.length);
    gpu.write(pool.need('edits', this.compiled.words.byteLength), 0, this.compiled.words);
    this.dials.forEach((_, i) => this.writeDial(i));
    const settings = new ArrayBuffer(16);
    new Float32Array(settings).set([request.temperature, 0, request.topP]);
    new Uint32Array(settings)[1] = request.topK;
    new Uint32Array(settings)[3] = request.seed >>> 0;
    gpu.write(pool.get('settings'), 0, new Uint8Array(settings));
    this.slots = Array.from({ length: AHEAD + 1 }, (_, i) =>
      gpu.buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, `step.${i}`),
    );
    this.decode = await Program.prepare(gpu, ops, pool);
    const finalNormed = this.compiled.sites.has('ln_final.hook_scale') || this.compiled.sites.has('ln_final.hook_normalized');
    this.head = await Program.prepare(gpu, headOps(model, streams, 'final', finalNormed, model.spec.vocab), pool);
  }

  /** The next step, or why there is none. */
  async next(): Promise<EngineStep | { ended: Ending }> {
    if (this.ended) return { ended: this.ended };
    const taken = this.length;
    if (taken >= this.limit) return this.end('length');
    if (taken >= this.capacity) return this.end('context');
    // With `taken` taken, tokens up to AHEAD beyond it may be on their way.
    while (this.flights.length < AHEAD && taken + this.flights.length < Math.min(this.limit, this.capacity))
      await this.launch(taken + this.flights.length);
    const flight = this.flights[0];
    if (!flight) return this.end('length');
    const bytes = await flight.bytes;
    await this.gpu.check();
    this.flights.shift();
    this.slots.push(flight.slot);
    const step = this.stepOf(flight, bytes);
    this.texts.forEach((text, i) => text.push((i === 0 ? step.steered : (step.baseline ?? step.steered)).id));
    if (this.request.eos.includes(step.steered.id)) this.ended = 'eos';
    return step;
  }

  private get cache(): CacheShape {
    return { slots: this.streams.length, cap: this.capacity, kept: true };
  }
  private get gpu(): Runtime['gpu'] {
    return this.model.gpu;
  }
  /** Positions so far: prompt and taken tokens. */
  get length(): number {
    return this.texts[0]?.length ?? 0;
  }

  private async end(why: Ending): Promise<{ ended: Ending }> {
    this.ended = why;
    await this.drain();
    return { ended: why };
  }

  /** Submits the computation of the token at `position`. */
  private async launch(position: number): Promise<void> {
    const dials = this.snapshot();
    const first = this.history.length === 0;
    if (first) await this.prefill(this.request.ids.length, true);
    this.history[position - 1] = dials;
    const { gpu, pool } = this;
    const slot = this.slots.pop();
    if (!slot || !pool) throw new LabError('internal', 'The generation was closed.', 'Start another.');
    const bytes = 4 * this.streams.length * resultWords(Math.min(TOP, this.model.spec.vocab));
    // One command buffer a token: the forward pass, the choice, and the copy of its result.
    gpu.submit([
      gpu.scoped(() => {
        const encoder = gpu.device.createCommandEncoder();
        (first ? this.head : this.decode)?.encode(encoder);
        encoder.copyBufferToBuffer(pool.get('result'), 0, slot, 0, bytes);
        gpu.counters.copies++;
        return encoder.finish();
      }),
    ]);
    const read = gpu.read(slot, bytes);
    read.catch(() => undefined); // reported where it is awaited
    this.flights.push({ position, slot, dials, reread: this.markReread, bytes: read });
    this.markReread = false;
  }

  /**
   * Computes positions [0, length) of every stream with today's dials; `choose`: and leaves the last one's stream ready
   * for the head. `range`: one stream only, from a position on. A prompt shared with the baseline is not computed twice.
   */
  private async prefill(length: number, choose: boolean, range?: { from: number; only: number }): Promise<void> {
    const { model, streams, cache, compiled } = this;
    const decodePool = this.pool;
    if (!compiled || !decodePool) return;
    const { gpu, planner } = model;
    const rows: Row[] = [];
    const lastRow: number[] = [];
    const prompt = this.request.ids.length;
    for (const stream of streams) {
      if (range && stream.row !== range.only) continue;
      const text = this.texts[stream.reads] ?? [];
      const start = range?.from ?? 0;
      const lent = rowOf(stream, streams, 0, 0, prompt).prefixLength;
      // A lent prompt is computed once, by its lender; only the last position's own row is needed to choose.
      for (let position = Math.max(start, lent > 0 ? Math.min(lent, length) - (choose ? 1 : 0) : 0); position < length; position++)
        rows.push(rowOf(stream, streams, text[position] ?? 0, position, prompt));
      lastRow.push(rows.length - 1);
    }
    if (rows.length === 0) return;
    const pool = new Pool(gpu, decodePool);
    const built = plan(planner, { rows: rows.length, cache, keys: length, sites: compiled.sites, taps: [] });
    const ops: Op[] = [...built.ops];
    const width = 4 * planner.layout.dModel;
    if (choose)
      lastRow.forEach((row, i) =>
        ops.push({ op: 'copy', from: built.stream.buffer, fromOffset: row * width, to: 'final', toOffset: i * width, bytes: width }),
      );
    try {
      // The cache and the gathered rows belong to the generation; all else here is this prefill's own.
      allocate(
        planner,
        { rows: rows.length, keys: length, cache, logits: streams.length, results: 0 },
        ops,
        pool,
        (name) => name === 'final' || name.startsWith('kv.'),
      );
      const words = rowWords(rows);
      gpu.write(pool.need('rows', words.byteLength), 0, words);
      const program = await Program.prepare(gpu, ops, pool);
      if (choose) this.writeRows(length - 1);
      program.run();
      program.free();
    } finally {
      pool.free();
    }
  }

  /** Decoding rows as if the token at `position` had just been read. */
  private writeRows(position: number): void {
    const { pool, streams, texts, request } = this;
    if (!pool) return;
    const rows = streams.map((stream) => rowOf(stream, streams, texts[stream.reads]?.[position] ?? 0, position, request.ids.length));
    this.gpu.write(pool.get('rows'), 0, rowWords(rows));
  }

  private snapshot(): Snapshot {
    return this.dials.map((dial) => ({ ...(dial.value === undefined ? {} : { value: dial.value }), strength: strengthOf(dial) }));
  }

  /** Two words to the GPU; in force for every token submitted afterwards. */
  private writeDial(i: number, given?: Snapshot[number]): void {
    const at = this.compiled?.dials[i];
    const dial = this.dials[i];
    if (at === undefined || !dial || !this.pool) return;
    const value = given ? given.value : dial.value;
    const strength = given ? given.strength : strengthOf(dial);
    this.gpu.write(this.pool.get('edits'), 4 * at, new Float32Array([value ?? 0, strength]));
  }

  dial(i: number, change: { value?: number; strength?: number; enabled?: boolean }): void {
    const dial = this.dials[i];
    if (!dial)
      throw new LabError(
        'edit-shape',
        `There is no edit ${i}; this generation has ${this.dials.length}.`,
        'Edits count from 0, in the order given.',
      );
    for (const each of [change.value, change.strength])
      if (each !== undefined && !Number.isFinite(each))
        throw new LabError('edit-shape', `A dial cannot be set to ${each}.`, 'Give a finite number.');
    if (change.value !== undefined) {
      if (dial.value === undefined) throw new LabError('edit-shape', 'This edit has no number of its own.', 'Move its strength instead.');
      dial.value = change.value;
    }
    if (change.strength !== undefined) dial.strength = change.strength;
    if (change.enabled !== undefined) dial.enabled = change.enabled;
    this.writeDial(i);
  }

  /** Lets what is under way finish, and forgets it. */
  private async drain(): Promise<void> {
    const flights = this.flights;
    this.flights = [];
    for (const flight of flights) {
      await flight.bytes.catch(() => undefined);
      this.slots.push(flight.slot);
    }
  }

  /** Every position so far again, with today's dials; tokens that were ahead are dropped and chosen anew. */
  async reread(): Promise<void> {
    await this.drain();
    const { length } = this;
    this.markReread = true;
    if (this.history.length === 0) return;
    if (length > 1) await this.prefill(length - 1, false, { from: 0, only: 0 });
    const dials = this.snapshot();
    for (let position = 0; position < length; position++) this.history[position] = dials;
    this.history.length = length - 1;
    this.writeRows(length - 1);
    if (this.ended === 'eos') this.ended = undefined;
  }

  /** Goes back: the next token computed is the one at `position`; earlier positions stay as they were computed. */
  async rewind(position: number, tokens: number): Promise<void> {
    const prompt = this.request.ids.length;
    if (!Number.isInteger(position) || position < prompt || position > this.length)
      throw new LabError(
        'position-range',
        `A text of ${this.length} tokens, ${prompt} of them given, cannot go back to position ${position}.`,
        `Choose a position from ${prompt} to ${this.length}.`,
      );
    await this.drain();
    for (const text of this.texts) text.length = position;
    this.limit = position + tokens;
    this.ended = undefined;
    if (this.history.length === 0) return;
    this.history.length = position - 1;
    if (this.limit > this.capacity && this.capacity < this.model.context) {
      // More than the cache was made for: a larger one, filled as the first was.
      this.release();
      this.capacity = Math.min(this.model.context, this.limit + ROOM);
      await this.restore(this.model);
    } else this.writeRows(position - 1);
  }

  async stop(): Promise<void> {
    this.ended ??= 'cancelled';
    await this.drain();
  }

  /**
   * On a fresh device: the cache is built again stretch by stretch, each with the dials that were in force, so that the
   * text goes on as if nothing had happened.
   */
  async restore(model: Runtime): Promise<void> {
    this.model = model;
    this.flights = [];
    this.slots = [];
    this.pool = undefined;
    await this.build();
    const { length } = this;
    if (length === this.request.ids.length) {
      this.history.length = 0;
      return;
    }
    const prompt = this.request.ids.length;
    this.history.length = Math.min(this.history.length, length - 1);
    const dialsAt = (position: number): Snapshot => this.history[Math.max(position, prompt - 1)] ?? this.snapshot();
    for (const stream of this.streams) {
      let from = 0;
      while (from < length - 1) {
        let to = from + 1;
        while (stream.row === 0 && to < length - 1 && same(dialsAt(to), dialsAt(from))) to++;
        if (stream.row !== 0) to = length - 1;
        dialsAt(from).forEach((dial, i) => this.writeDial(i, dial));
        await this.prefill(to, false, { from, only: stream.row });
        from = to;
      }
    }
    this.dials.forEach((_, i) => this.writeDial(i));
    this.writeRows(length - 1);
  }

  close(): void {
    this.ended ??= 'cancelled';
    this.release();
  }

  private release(): void {
    this.decode?.free();
    this.head?.free();
    for (const slot of [...this.slots, ...this.flights.map((each) => each.slot)]) this.gpu.free(slot);
    this.slots = [];
    this.flights = [];
    this.pool?.free();
    this.pool = undefined;
  }

  private stepOf(flight: Flight, bytes: ArrayBuffer): EngineStep {
    const k = Math.min(TOP, this.model.spec.vocab);
    const size = resultWords(k);
    const words = new Uint32Array(bytes);
    const floats = new Float32Array(bytes);
    const choice = (row: number): EngineChoice => {
      const at = row * size;
      return {
        id: words[at] ?? 0,
        probability: floats[at + 1] ?? NaN,
        top: Array.from({ length: k }, (_, j) => ({
          id: words[at + HEADER + 2 * j] ?? 0,
          probability: floats[at + HEADER + 2 * j + 1] ?? NaN,
        })),
      };
    };
    const f = (i: number): number => floats[i] ?? NaN;
    const baseline = this.streams.find((each) => each.kind === 'baseline');
    const shadow = this.streams.some((each) => each.kind === 'shadow');
    return {
      position: flight.position,
      steered: choice(0),
      ...(baseline ? { baseline: choice(baseline.row) } : {}),
      // KL(shadow ‖ steered) = Σ p_s((x_s − m_s) − (x − m)) − log Σ_s + log Σ
      ...(shadow ? { kl: Math.max(0, f(2) - Math.log(f(6)) + Math.log(f(4))) } : {}),
      dials: flight.dials,
      ...(flight.reread ? { reread: true as const } : {}),
    };
  }
}

const same = (a: Snapshot, b: Snapshot): boolean => a.every((dial, i) => dial.value === b[i]?.value && dial.strength === b[i]?.strength);
