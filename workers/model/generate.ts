/**
 * Generation: token, position and choice stay on the GPU; one command buffer a token, at most two tokens ahead of the last
 * one taken. A position is computed once, with the dials in force then; what the dials were is kept for every position, so
 * that a text can be replayed, rewound, or restored after the device was lost.
 */
import { LabError } from '../errors';
import type { EngineGenerate, EngineStep, Ending } from '../contract';
import { Pool, Program } from '../gpu/commands';
import type { Variants } from '../kernels/linear';
import { capacityOf, compileFor, decodeOps, headOps, resultBytes, ROOM, stepOf, watchBytes, watchesOf } from './decode';
import { Dials, dialWords, sameDials, type DialChange, type Snapshot } from './dials';
import type { CompiledEdits } from './edits';
import { plan, type CacheShape } from './plan';
import { rowWords, type Row } from './rows';
import { checkIds, withDictionaries, type Runtime } from './runtime';
import { allocate } from './scratch';
import { rowOf, sampledStreams, streamsOf, type Stream } from './streams';

/** Tokens that may be computed beyond the last one taken. */
const AHEAD = 2;
/** A prompt of so few rows is read by the decoding kernels where kernels are costly to build (see `stretches`). */
const SHORT = 16;

/** A token under way: where its result will be, and the dials it was computed with. */
interface Flight {
  position: number;
  slot: GPUBuffer;
  bytes: Promise<ArrayBuffer>;
  dials: Snapshot;
  reread: boolean;
}

export class Generation {
  private readonly streams: Stream[];
  private readonly dials: Dials;
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
    this.dials = new Dials(request.edits);
    this.texts = Array.from({ length: sampledStreams(this.streams) }, () => [...request.ids]);
    this.capacity = capacityOf(model, request);
    this.limit = request.ids.length + request.tokens;
  }

  static async open(model: Runtime, request: EngineGenerate): Promise<Generation> {
    checkIds(model, request.ids);
    const { vocab, vocabOut } = model.spec;
    if (vocabOut > vocab)
      throw new LabError(
        'option-unsupported',
        `This model answers with ${vocabOut} tokens and reads ${vocab}: what it writes could not be read back.`,
        'Read its answers with lab.run or the lens.',
      );
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
    const { ops, setup, needs } = decodeOps(model, streams, cache, this.compiled, watchesOf(request));
    for (const [name, bytes] of needs) pool.need(name, bytes);
    allocate(planner, { rows: streams.length, keys: this.capacity, cache, logits: streams.length, results: 0 }, ops, pool);
    pool.need('final', 4 * streams.length * planner.layout.dModel);
    const bytes = resultBytes(model, streams);
    pool.need('result', bytes);
    if (request.watch.length) pool.need('watch', watchBytes(request));
    pool.need('settings', 16);
    pool.need('rows', 32 * streams.length);
    gpu.write(pool.need('edits', this.compiled.words.byteLength), 0, this.compiled.words);
    this.writeDials(this.dials.snapshot());
    const settings = new ArrayBuffer(16);
    new Float32Array(settings).set([request.temperature, 0, request.topP]);
    new Uint32Array(settings)[1] = request.topK;
    new Uint32Array(settings)[3] = request.seed >>> 0;
    gpu.write(pool.get('settings'), 0, new Uint8Array(settings));
    this.slots = Array.from({ length: AHEAD + 1 }, (_, i) =>
      gpu.buffer(bytes + watchBytes(request), GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, `step.${i}`),
    );
    if (setup.length) {
      const once = await Program.prepare(gpu, setup, pool);
      once.run();
      once.free();
    }
    this.decode = await Program.prepare(gpu, ops, pool);
    const finalNormed = ['ln_final.hook_scale', 'ln_final.hook_normalized'].some((hook) => this.compiled?.sites.has(hook));
    this.head = await Program.prepare(gpu, headOps(model, streams, 'final', finalNormed), pool);
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
    if (flight.reread) this.markReread = false;
    this.slots.push(flight.slot);
    const { position, dials, reread } = flight;
    const step = stepOf(
      this.model,
      this.streams,
      bytes,
      { position, dials, ...(reread ? { reread: true as const } : {}) },
      this.request.watch,
    );
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
    const { watch } = this.request;
    const fresh = this.history.length === 0;
    // Where latents are watched, the prompt's last token is read as every later one is: by the program that watches.
    const first = fresh && watch.length === 0;
    if (first) await this.prefill(this.request.ids.length, true);
    else if (fresh) {
      if (position > 1) await this.prefill(position - 1, false);
      this.writeRows(position - 1);
    }
    // Only now: kernels may have been compiled meanwhile, and a dial moved. Nothing waits from here to the submission.
    const dials = this.dials.snapshot();
    this.history[position - 1] = dials;
    const { gpu, pool } = this;
    const slot = this.slots.pop();
    if (!slot || !pool) throw new LabError('internal', 'The generation was closed.', 'Start another.');
    const bytes = resultBytes(this.model, this.streams);
    const watched = watchBytes(this.request);
    // One command buffer a token: the forward pass, the choice, and the copy of its result.
    gpu.submit([
      gpu.scoped(() => {
        const encoder = gpu.device.createCommandEncoder();
        (first ? this.head : this.decode)?.encode(encoder);
        encoder.copyBufferToBuffer(pool.get('result'), 0, slot, 0, bytes);
        gpu.counters.copies++;
        if (watched) {
          encoder.copyBufferToBuffer(pool.get('watch'), 0, slot, bytes, watched);
          gpu.counters.copies++;
        }
        return encoder.finish();
      }),
    ]);
    const read = gpu.read(slot, bytes + watched);
    read.catch(() => undefined); // reported where it is awaited
    this.flights.push({ position, slot, dials, reread: this.markReread && !this.flights.some((each) => each.reread), bytes: read });
  }

  /**
   * Computes positions [0, length) of every stream with today's dials; `choose`: and leaves the last one's stream ready
   * for the head. `range`: one stream only, from a position on. A prompt shared with the baseline is not computed twice.
   */
  private async prefill(length: number, choose: boolean, range?: { from: number; only: number; dials?: Snapshot }): Promise<void> {
    const { model, streams, cache, compiled } = this;
    if (!compiled || !this.pool) return;
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
    const cuts = stretches(rows.length, streams.length, planner.variants);
    const many = Math.max(...cuts.map(([from, to]) => to - from));
    const pool = new Pool(gpu, this.pool);
    const { inserts, setup, needs } = withDictionaries(model, many, compiled);
    const { ops: forward, stream } = plan(planner, { rows: many, cache, keys: length, sites: compiled.sites, taps: [], inserts });
    const ops = [...setup, ...forward];
    try {
      for (const [name, bytes] of needs) pool.need(name, bytes);
      // The cache and the gathered rows belong to the generation; all else here is this prefill's own.
      const lent = (name: string): boolean => name === 'final' || name.startsWith('kv.');
      allocate(planner, { rows: many, keys: length, cache, logits: streams.length, results: 0 }, ops, pool, lent);
      pool.need('rows', rowWords(rows.slice(0, many)).byteLength);
      const program = await Program.prepare(gpu, ops, pool);
      if (choose) this.writeRows(length - 1);
      // Written here, after the last wait: a dial moved meanwhile must not change what was recorded.
      if (range?.dials) this.writeDials(range.dials);
      for (const [from, to] of cuts) {
        gpu.write(pool.get('rows'), 0, rowWords(rows.slice(from, to)));
        program.run();
        if (choose) this.gather(pool.get(stream.buffer), lastRow, from, to);
      }
      program.free();
      if (range?.dials) this.writeDials(this.dials.snapshot());
    } finally {
      pool.free();
    }
  }

  /** Copies each stream's last row, where it is among rows [from, to), to where the head reads it. */
  private gather(buffer: GPUBuffer, lastRow: readonly number[], from: number, to: number): void {
    const { gpu, pool, model } = this;
    const bytes = 4 * model.planner.layout.dModel;
    const here = lastRow.flatMap((row, i) => (row >= from && row < to ? [[row - from, i] as const] : []));
    if (here.length === 0 || !pool) return;
    gpu.submit([
      gpu.scoped(() => {
        const encoder = gpu.device.createCommandEncoder();
        for (const [row, i] of here) encoder.copyBufferToBuffer(buffer, row * bytes, pool.get('final'), i * bytes, bytes);
        gpu.counters.copies += here.length;
        return encoder.finish();
      }),
    ]);
  }

  /** Decoding rows as if the token at `position` had just been read. */
  private writeRows(position: number): void {
    const { pool, streams, texts, request } = this;
    if (!pool) return;
    const rows = streams.map((stream) => rowOf(stream, streams, texts[stream.reads]?.[position] ?? 0, position, request.ids.length));
    this.gpu.write(pool.get('rows'), 0, rowWords(rows));
  }

  /** In force for every token submitted afterwards. */
  private writeDials(dials: Snapshot, only?: number): void {
    const { compiled, pool } = this;
    if (!compiled || !pool) return;
    dials.forEach((dial, i) => {
      const at = compiled.dials[i];
      if (at !== undefined && (only === undefined || i === only)) this.gpu.write(pool.get('edits'), 4 * at, dialWords(dial));
    });
  }

  dial(i: number, change: DialChange): void {
    this.dials.change(i, change);
    this.writeDials(this.dials.snapshot(), i);
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
    const dials = this.dials.snapshot();
    for (let position = 0; position < length; position++) this.history[position] = dials;
    this.history.length = length - 1;
    this.writeRows(length - 1);
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
    this.release();
    this.model = model;
    await this.build();
    const { length } = this;
    if (length === this.request.ids.length) {
      this.history.length = 0;
      return;
    }
    const prompt = this.request.ids.length;
    this.history.length = Math.min(this.history.length, length - 1);
    const dialsAt = (position: number): Snapshot => this.history[Math.max(position, prompt - 1)] ?? this.dials.snapshot();
    for (const stream of this.streams) {
      let from = 0;
      while (from < length - 1) {
        let to = from + 1;
        while (stream.row === 0 && to < length - 1 && sameDials(dialsAt(to), dialsAt(from))) to++;
        if (stream.row !== 0) to = length - 1;
        await this.prefill(to, false, { from, only: stream.row, dials: dialsAt(from) });
        from = to;
      }
    }
    this.writeDials(this.dials.snapshot());
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
}

/**
 * How a prefill's rows are cut. In one piece, but for a short prompt on the plain kernels: a software renderer takes seconds to build those for many
 * rows, and milliseconds to read a few rows with those that decoding needs anyway. A piece has as many rows as a decoded token, which the
 * kernels are built for; the last one reaches back, so that a row or two are computed again, to the same numbers.
 */
export function stretches(rows: number, streams: number, { matvec, matmul }: Variants): [from: number, to: number][] {
  const plain = matvec === 'register' && matmul === 'register';
  if (!plain || rows > SHORT || rows <= streams) return [[0, rows]];
  return Array.from({ length: Math.ceil(rows / streams) }, (_, i) => {
    const from = Math.min(i * streams, rows - streams);
    return [from, from + streams];
  });
}
