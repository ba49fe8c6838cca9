/**
 * The engine as the page's client sees it (contract.ts: EngineApi): one device, one model in use, runs in turn, generations
 * beside them. Independent of workers and Comlink, so that tests and Node with Dawn use the same object.
 */
import type {
  Attribution,
  Composition,
  ContractCheck,
  DeviceInfo,
  DictionaryInfo,
  FoundLatents,
  Grid,
  HeadScores,
  Planned,
  SparseRows,
  Tensor,
} from './api';
import type {
  DictionaryRecord,
  EngineApi,
  EngineAttribute,
  EngineContrast,
  EngineDashboard,
  EngineEncode,
  EngineLatent,
  EngineEvent,
  EngineGenerate,
  EngineHeadCircuit,
  EngineHeadCircuitCall,
  EngineHeadScores,
  EngineLens,
  EngineLensResult,
  EnginePromotes,
  EngineRun,
  EngineRunResult,
  EngineSimilar,
  EngineStep,
  EngineSurvey,
  EngineSurveyCall,
  Ending,
  ModelRecord,
  OnProgress,
  TokenChunk,
  UseOptions,
} from './contract';
import type { EngineAttribution, EngineGradient } from './contract-gradient';
import { asLabError, LabError, throwIfAborted } from './errors';
import type { ModelInfo } from './api';
import { Gpu } from './gpu/device';
import type { Library } from './gpu/wgsl';
import { Attached, normAt, type OpenTensors } from './engine-dictionaries';
import { neuronsInfo } from './dictionary/neurons';
import { Queue } from './engine-queue';
import type { Surveys } from './engine-surveys';
import { encode } from './experiments/encode';
import { later } from './later';
import { capacityOf, compileFor, decodeOps, resultCopy, watchesOf } from './model/decode';
import { Generation } from './model/generate';
import { printed, resultOf, sequenceOf } from './engine-requests';
import { logitLens } from './model/lens';
import { loss } from './model/loss';
import { planBatch, runBatch } from './model/run';
import { askedFor, anyOf, checkPrecision, processingWords, RAW_WORDS } from './model/processing';
import { checkIds, freeModel, loadModel, type Runtime } from './model/runtime';
import { streamsOf } from './model/streams';
import { unembeddingColumn } from './model/unembedding';
import { asVariants, firstGuess, isSoftware, measure, parsePins, PLAIN, selfTest, tuningKey } from './model/variants';
import type { Variants } from './kernels/linear';

export interface EngineParts {
  gpu: () => GPU | undefined;
  shaders: Library;
  openTensors: OpenTensors;
  /** Where measured choices are kept. */
  tuning?: { get(key: string): Promise<unknown>; set(key: string, value: unknown): Promise<void> };
}

interface InUse {
  record: ModelRecord;
  options: UseOptions;
  special: readonly number[];
}

const noModel = (): LabError =>
  new LabError('no-model', 'No model is in use.', 'Drop a model folder onto the page, or choose one from the shelf.');

/** Rows of a batch computed together at most; a longer list of requests is done in turns. */
const BATCH_ROWS = 2048;
/** Kernels that are right agree to rounding: DESIGN §8's bound for a kernel against its reference. */
const SELF_TEST = 5e-5;

export class Engine implements EngineApi {
  private gpu: Gpu | undefined;
  private model: Runtime | undefined;
  private inUse: InUse | undefined;
  private variants: Variants | undefined;
  private options: { limits?: 'default'; variants?: string } = {};
  private events: ((event: EngineEvent) => void) | undefined;
  private readonly queue = new Queue();
  private readonly attached: Attached;
  /** What is asked of dictionaries once there are any: not needed to start. */
  private readonly asking = later(() => import('./engine-asking'));
  private readonly reading = later(() => import('./engine-reading'));
  private readonly surveying = later(async () => {
    const { dashboard, sequencesOf, Surveys } = await import('./engine-surveys');
    return { dashboard, sequencesOf, surveys: new Surveys() };
  });
  private readonly backward = later(() => import('./engine-gradient'));
  private readonly sweeping = later(async () => {
    const { Sweeps } = await import('./engine-sweeps');
    return new Sweeps({ turn: (work) => this.steady(() => work(this.need())), dictionary: (id) => this.attached.get(id) });
  });
  private readonly jobs = new Map<string, AbortController>();
  private readonly generations = new Map<string, Generation>();
  private count = 0;
  private recovery: Promise<void> | undefined;
  /** A recovery began and has not come to its end: the model or a generation may be missing, though the device is there. */
  private halfway = false;

  constructor(private readonly parts: EngineParts) {
    this.attached = new Attached(parts.openTensors);
  }

  async start(options: { limits?: 'default'; variants?: string }, events?: (event: EngineEvent) => void): Promise<DeviceInfo> {
    this.options = options;
    this.events = events;
    parsePins(options.variants);
    await this.openDevice();
    return this.device();
  }

  private async openDevice(): Promise<Gpu> {
    const gpu = await Gpu.open(this.parts.gpu(), this.parts.shaders, { defaultLimits: this.options.limits === 'default' });
    this.gpu = gpu;
    // A device that comes back keeps the kernels of before: the session's numbers stay what they were.
    this.variants ??= {
      ...firstGuess(gpu),
      ...asVariants(await this.parts.tuning?.get(tuningKey(gpu))),
      ...parsePins(this.options.variants),
    };
    void gpu.device.lost.then((info) => {
      if (this.gpu !== gpu) return;
      this.events?.({ kind: 'lost', reason: info.message || info.reason });
      this.queue.run(() => this.recover()).catch(() => undefined);
    });
    return gpu;
  }

  private needGpu(): Gpu {
    if (!this.gpu) throw new LabError('adapter-missing', 'The graphics device is not open.', 'Reload the page.');
    return this.gpu;
  }
  private need(): Runtime {
    if (!this.model) throw noModel();
    return this.model;
  }
  private needInUse(): InUse {
    if (!this.inUse) throw noModel();
    return this.inUse;
  }

  async device(): Promise<DeviceInfo> {
    const gpu = this.needGpu();
    const { info } = gpu.adapter;
    const limits: Record<string, number> = {};
    for (const name of [
      'maxBufferSize',
      'maxStorageBufferBindingSize',
      'maxComputeWorkgroupStorageSize',
      'maxComputeInvocationsPerWorkgroup',
      'maxStorageBuffersPerShaderStage',
    ] as const)
      limits[name] = gpu.limits[name];
    const variants = this.model?.planner.variants ?? this.variants ?? firstGuess(gpu);
    return Promise.resolve({
      adapter: [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' · ') || 'unnamed adapter',
      features: [...gpu.device.features].sort(),
      limits,
      bytesInUse: gpu.bytesInUse,
      bytesHigh: gpu.bytesHigh,
      variants: { ...variants },
      counters: { ...gpu.counters },
    });
  }

  use(record: ModelRecord, options: UseOptions, special: readonly number[], job: string, progress?: OnProgress): Promise<ModelInfo> {
    return this.job(job, (signal) =>
      this.queue.run(async () => {
        throwIfAborted(signal);
        checkPrecision(options.weights, askedFor(options));
        if (this.gpu?.lostError) await this.recover();
        this.drop();
        await this.load({ record, options, special }, signal, progress);
        return this.info();
      }),
    );
  }

  private info(): ModelInfo {
    const { record, options } = this.needInUse();
    const { processing, spec, context } = this.need();
    const stored = record.info.weights;
    const weights = anyOf(processing) ? 'f32' : options.weights === 'stored' ? stored : options.weights;
    const badge = record.info.badge
      .replace(stored, weights === stored ? stored : `${stored} run as ${weights}`)
      .replace(RAW_WORDS, processingWords(spec, processing));
    return { ...record.info, context, weights, badge, processing };
  }

  private async load(inUse: InUse, signal?: AbortSignal, progress?: OnProgress): Promise<void> {
    const gpu = this.needGpu();
    const reader = await this.parts.openTensors(inUse.record);
    try {
      const model = await loadModel({
        gpu,
        record: inUse.record,
        reader,
        use: inUse.options,
        special: inUse.special,
        variants: this.variants ?? firstGuess(gpu),
        progress,
        ...(signal ? { signal } : {}),
      });
      this.model = model;
      this.inUse = inUse;
      this.attached.serve(model);
    } finally {
      reader.close();
    }
  }

  async unload(id: string): Promise<void> {
    await this.queue.run(async () => {
      if (this.inUse?.record.id === id) this.drop();
      return Promise.resolve();
    });
  }

  private drop(): void {
    for (const [id, generation] of this.generations) {
      generation.close();
      this.generations.delete(id);
    }
    if (this.model) freeModel(this.model);
    this.model = undefined;
    this.inUse = undefined;
    this.attached.forget();
    this.halfway = false;
  }

  hooks(): Promise<{ name: string; shape: string[] }[]> {
    return attempt(() => [...this.need().planner.hooks.values()].map(({ name, shape }) => ({ name, shape })));
  }

  batch(requests: readonly EngineRun[], job: string, progress?: (done: number, of: number) => void): Promise<EngineRunResult[]> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const model = this.need();
        for (const { ids } of requests) checkIds(model, ids);
        const results: EngineRunResult[] = [];
        for (let at = 0; at < requests.length;) {
          throwIfAborted(signal);
          let to = at;
          let rows = 0;
          while (to < requests.length && (to === at || rows + (requests[to]?.ids.length ?? 0) <= BATCH_ROWS))
            rows += requests[to++]?.ids.length ?? 0;
          const some = requests.slice(at, to);
          const start = performance.now();
          const out = await runBatch(model, some.map(sequenceOf));
          const milliseconds = performance.now() - start;
          some.forEach((request, i) => results.push(resultOf(request, out[i], model.spec.vocabOut, milliseconds)));
          at = to;
          progress?.(at, requests.length);
        }
        return results;
      }),
    );
  }

  explainRun(request: EngineRun): Promise<Planned[]> {
    return this.steady(async () => printed((await planBatch(this.need(), [sequenceOf(request)])).ops));
  }

  explainGenerate(request: EngineGenerate): Promise<Planned[]> {
    return this.steady(async () => {
      const model = this.need();
      checkIds(model, request.ids);
      const capacity = capacityOf(model, request);
      const streams = streamsOf(request);
      const { ops } = decodeOps(
        model,
        streams,
        { slots: streams.length, cap: capacity, kept: true },
        await compileFor(model, request, capacity),
        watchesOf(request),
      );
      return printed([...ops, resultCopy(model, streams)]);
    });
  }

  attach(record: DictionaryRecord, job: string): Promise<void> {
    return this.job(job, (signal) => this.steady(() => this.attached.attach(this.need(), record, signal)));
  }

  async detach(id: string): Promise<void> {
    await this.queue.run(() => Promise.resolve(this.attached.detach(this.model, id)));
  }

  neurons(): Promise<DictionaryInfo[]> {
    return this.steady(() => Promise.resolve(neuronsInfo(this.need().spec, this.needInUse().record)));
  }

  encode(request: EngineEncode, job: string): Promise<SparseRows> {
    return this.job(job, () =>
      this.steady(() => {
        const model = this.need();
        checkIds(model, request.ids);
        return encode(model, this.attached.get(request.dictionary), request);
      }),
    );
  }

  latent({ dictionary, latent, top }: { dictionary: string; latent: number; top: number }): Promise<EngineLatent> {
    return this.steady(async () => (await this.asking()).latentWeights(this.need(), this.attached.get(dictionary), latent, top));
  }

  promotes(request: EnginePromotes): Promise<FoundLatents> {
    return this.steady(async () => (await this.asking()).promotes(this.need(), this.attached.get(request.dictionary), request));
  }

  contrast(request: EngineContrast, job: string, progress?: (done: number, of: number) => void): Promise<FoundLatents> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const model = this.need();
        for (const { ids } of [...request.here, ...request.not]) checkIds(model, ids);
        return (await this.asking()).contrast(model, this.attached.get(request.dictionary), request, progress, () =>
          throwIfAborted(signal),
        );
      }),
    );
  }

  similar(request: EngineSimilar): Promise<{ latent: number; cosine: number }[]> {
    return this.steady(async () =>
      (await this.asking()).similar(this.need(), this.attached.get(request.dictionary), this.attached.get(request.other), request),
    );
  }

  evaluate(
    request: { dictionary: string; texts: number[][]; special: readonly number[] },
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<{ scores: Record<string, number>; density: Float64Array }> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const model = this.need();
        for (const ids of request.texts) checkIds(model, ids);
        return (await this.asking()).evaluate(model, this.attached.get(request.dictionary), request, progress, () =>
          throwIfAborted(signal),
        );
      }),
    );
  }

  checkContract(
    request: Parameters<EngineApi['checkContract']>[0],
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<ContractCheck> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const model = this.need();
        for (const ids of [...request.texts, ...request.others]) checkIds(model, ids);
        const dictionary = this.attached.ofShelf(request.dictionary);
        const call = { ...request, ...normAt(model, dictionary.spec.hookIn) };
        return (await this.asking()).checkContract(model, dictionary, call, progress, () => throwIfAborted(signal));
      }),
    );
  }

  openSurvey(request: EngineSurveyCall): Promise<EngineSurvey> {
    return this.steady(async () => {
      const { surveys } = await this.surveying();
      return surveys.begin(request, this.need().id, this.attached.ofShelf(request.dictionary).spec);
    });
  }
  holdsSurvey(id: string): Promise<boolean> {
    return this.ofSurveys((surveys) => surveys.holds(id));
  }

  survey(
    id: string,
    chunk: Pick<TokenChunk, 'cursor' | 'ids' | 'lengths'>,
    until: number,
    job: string,
    progress?: (tokens: number) => void,
  ): Promise<{ tokens: number }> {
    return this.job(job, async (signal) => {
      const { sequencesOf, surveys } = await this.surveying();
      const sequences = sequencesOf(chunk);
      for (const ids of sequences) checkIds(this.need(), ids);
      for (;;) {
        throwIfAborted(signal);
        // Each batch waits its turn, so that a text that is being written goes on beside a survey.
        const { tokens, more } = await this.steady(async () => {
          const model = this.need();
          const { pass, dictionary, counts } = surveys.running(id, model.id, (each) => this.attached.ofShelf(each).spec);
          const due = pass.tally.positions < until;
          const more = due && (await pass.step(model, this.attached.ofShelf(dictionary), chunk.cursor, sequences, counts));
          return { tokens: pass.tally.positions, more };
        });
        if (!more) return { tokens };
        progress?.(tokens);
      }
    });
  }

  private async ofSurveys<T>(work: (surveys: Surveys) => T): Promise<T> {
    const { surveys } = await this.surveying();
    return attempt(() => work(surveys));
  }
  surveyed(id: string): Promise<EngineSurvey> {
    return this.ofSurveys((surveys) => surveys.told(id));
  }
  packSurvey(id: string): Promise<Blob> {
    return this.ofSurveys((surveys) => surveys.get(id).pass.pack());
  }
  closeSurvey(id: string, keep: boolean): Promise<void> {
    return this.ofSurveys((surveys) => surveys.close(id, keep));
  }

  dashboard(
    { survey, latent, examples }: { survey: string; latent: number; examples: number },
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<EngineDashboard> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const { dashboard, surveys } = await this.surveying();
        const model = this.need();
        const { pass, dictionary, counts } = surveys.running(survey, model.id, (each) => this.attached.ofShelf(each).spec);
        const stop = (): void => throwIfAborted(signal);
        return dashboard({ model, dictionary: this.attached.ofShelf(dictionary), pass, counts, latent, examples, progress, stop });
      }),
    );
  }

  lens(request: EngineLens, job: string, progress?: (done: number, of: number) => void): Promise<EngineLensResult> {
    return this.job(job, (signal) => this.steady(() => logitLens(this.need(), request, progress, () => throwIfAborted(signal))));
  }

  sweep(...[request, job, progress]: Parameters<EngineApi['sweep']>): ReturnType<EngineApi['sweep']> {
    return this.job(job, async (signal) => (await this.sweeping()).sweep(request, signal, progress));
  }
  async planSweep(...[request]: Parameters<EngineApi['planSweep']>): ReturnType<EngineApi['planSweep']> {
    return (await this.sweeping()).planSweep(request);
  }
  async explainSweep(...[request]: Parameters<EngineApi['explainSweep']>): ReturnType<EngineApi['explainSweep']> {
    return (await this.sweeping()).explainSweep(request);
  }
  patchSet(...[request, job]: Parameters<EngineApi['patchSet']>): ReturnType<EngineApi['patchSet']> {
    return this.job(job, async (signal) => (await this.sweeping()).patchSet(request, signal));
  }
  pathPatch(...[request, job, progress]: Parameters<EngineApi['pathPatch']>): ReturnType<EngineApi['pathPatch']> {
    return this.job(job, async (signal) => (await this.sweeping()).pathPatch(request, signal, progress));
  }

  attribute(request: EngineAttribute): Promise<Attribution> {
    return this.steady(async () =>
      (await this.reading()).attribute(
        this.need(),
        request,
        request.dictionary === undefined ? undefined : this.attached.get(request.dictionary),
      ),
    );
  }

  headScores(request: EngineHeadScores, job: string, progress?: (done: number, of: number) => void): Promise<HeadScores> {
    return this.job(job, (signal) =>
      this.steady(async () => (await this.reading()).headScores(this.need(), request, progress, () => throwIfAborted(signal))),
    );
  }
  headCircuit(call: EngineHeadCircuitCall): Promise<EngineHeadCircuit> {
    return this.steady(async () => (await this.reading()).headCircuit(this.need(), call));
  }
  composition(job: string, progress?: (done: number, of: number) => void): Promise<Composition> {
    return this.job(job, (signal) =>
      this.steady(async () => (await this.reading()).composition(this.need(), progress, () => throwIfAborted(signal))),
    );
  }

  loss(request: { ids: number[]; edits: EngineRun['edits'] }): Promise<Float32Array> {
    return this.steady(() => loss(this.need(), request.ids, request.edits));
  }

  gradient(requests: readonly EngineGradient[], at: readonly string[], job: string): Promise<Record<string, Tensor>[]> {
    return this.job(job, () => this.steady(async () => (await this.backward()).gradient(this.need(), requests, at)));
  }

  attribution(request: EngineAttribution, job: string, progress?: (done: number, of: number) => void): Promise<Grid> {
    return this.job(job, (signal) =>
      this.steady(async () =>
        (await this.backward()).estimate(this.need(), this.attached, request, progress, () => throwIfAborted(signal)),
      ),
    );
  }

  unembedding(token: number): Promise<Float32Array> {
    return this.steady(async () => {
      const { record } = this.needInUse();
      const reader = await this.parts.openTensors(record);
      try {
        return await unembeddingColumn(record, reader, token);
      } finally {
        reader.close();
      }
    });
  }

  open(request: EngineGenerate): Promise<string> {
    return this.steady(async () => {
      const id = `g${++this.count}`;
      this.generations.set(id, await Generation.open(this.need(), request));
      return id;
    });
  }

  private generation(id: string): Generation {
    const found = this.generations.get(id);
    if (!found) throw new LabError('generation-gone', 'This generation is over: its model was changed or it was closed.', 'Start another.');
    return found;
  }

  next(id: string): Promise<EngineStep | { ended: Ending }> {
    return this.steady(() => this.generation(id).next());
  }
  dial(id: string, edit: number, change: { value?: number; strength?: number; enabled?: boolean }): void {
    this.generation(id).dial(edit, change);
  }
  reread(id: string): Promise<void> {
    return this.steady(() => this.generation(id).reread());
  }
  rewind(id: string, position: number, tokens: number): Promise<void> {
    return this.steady(() => this.generation(id).rewind(position, tokens));
  }
  async stop(id: string): Promise<void> {
    await this.queue.run(async () => this.generations.get(id)?.stop());
  }
  async close(id: string): Promise<void> {
    await this.queue.run(async () => {
      this.generations.get(id)?.close();
      this.generations.delete(id);
      return Promise.resolve();
    });
    // After a first text, while nothing runs: which kernels suit this device. The next model that is loaded has them.
    if (this.generations.size === 0 && !this.measured) this.queue.run(() => this.tune()).catch(() => undefined);
  }

  private measured = false;
  /**
   * First whether this device's kernels are right: where they disagree with the plain ones, the plain ones take over. Then
   * which are fastest. A software renderer runs the plain ones already and needs neither.
   */
  private async tune(): Promise<void> {
    const { gpu, model } = this;
    const { tuning } = this.parts;
    if (this.measured || !gpu || !model || isSoftware(gpu)) return;
    this.measured = true;
    const error = await selfTest(model);
    if (!(error <= SELF_TEST)) {
      this.variants = PLAIN;
      model.planner.variants = PLAIN;
      await tuning?.set(tuningKey(gpu), PLAIN);
      this.events?.({
        kind: 'failed',
        code: 'kernel-disagrees',
        message: `This device’s fast kernels disagree with the plain ones (${error.toExponential(1)} of the scale), so Loupe has gone over to the plain ones.`,
        hint: 'Generate again: what was written before may be wrong. A newer graphics driver may help. Please report the name of the graphics card.',
      });
      return;
    }
    if (!tuning || asVariants(await tuning.get(tuningKey(gpu)))) return;
    await tuning.set(tuningKey(gpu), (await measure(model, {})).chosen);
  }

  async cancel(job: string): Promise<void> {
    this.jobs.get(job)?.abort();
    return Promise.resolve();
  }

  private async job<T>(id: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.jobs.set(id, controller);
    try {
      return await work(controller.signal);
    } catch (thrown) {
      throw asLabError(thrown);
    } finally {
      this.jobs.delete(id);
    }
  }

  /** In turn; and where the device was lost on the way, once more on the device that comes back. */
  private steady<T>(work: () => Promise<T>): Promise<T> {
    return this.queue.run(async () => {
      // A recovery that failed is tried again by whoever comes next.
      if (this.gpu?.lostError || this.halfway) await this.recover();
      try {
        return await work();
      } catch (thrown) {
        const error = asLabError(thrown);
        if (!(await this.lostWith(error))) {
          // A buffer that failed to come must not be found again by the next run.
          if (error.code.startsWith('gpu-')) this.model?.scratch.free();
          throw error;
        }
        await this.recover();
        try {
          return await work();
        } catch (again) {
          throw asLabError(again);
        }
      }
    });
  }

  /** Was it the device? Its loss may be told a moment after the failure that it caused. */
  private async lostWith(error: LabError): Promise<boolean> {
    const { gpu } = this;
    if (!gpu || !(error.code.startsWith('gpu-') || error.code === 'internal')) return false;
    if (!gpu.lostError) await Promise.race([gpu.device.lost, new Promise((resolve) => setTimeout(resolve, 100))]);
    return gpu.lostError !== undefined;
  }

  /** A new device, the model from the shelf again, every generation's cache as it was. Once for every loss. */
  private recover(): Promise<void> {
    if (this.gpu && !this.gpu.lostError && !this.halfway) return Promise.resolve();
    this.recovery ??= this.rebuild().finally(() => (this.recovery = undefined));
    return this.recovery;
  }

  private async rebuild(): Promise<void> {
    try {
      const { inUse } = this;
      this.halfway = true;
      if (this.model && !this.gpu?.lostError) freeModel(this.model);
      this.model = undefined;
      if (!this.gpu || this.gpu.lostError) await this.openDevice();
      if (inUse) {
        await this.load(inUse);
        await this.attached.restore(this.need());
        for (const generation of this.generations.values()) await generation.restore(this.need());
      }
      this.halfway = false;
      this.events?.({ kind: 'restored' });
    } catch (thrown) {
      const error = asLabError(thrown);
      this.events?.({ kind: 'failed', code: error.code, message: error.message, hint: error.hint });
      throw error;
    }
  }
}

async function attempt<T>(work: () => T): Promise<T> {
  try {
    return Promise.resolve(work());
  } catch (thrown) {
    throw asLabError(thrown);
  }
}
