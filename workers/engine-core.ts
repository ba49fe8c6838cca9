/**
 * What the engine stands on: one device, one model in use, work in turn, a device that is lost and comes back, and the choice of kernels. What can be asked of it is in
 * engine.ts.
 */
import type { DeviceInfo, ModelInfo } from './api';
import type { EngineEvent, ModelRecord, OnProgress, UseOptions } from './contract';
import { asLabError, LabError, throwIfAborted } from './errors';
import { Gpu } from './gpu/device';
import type { Library } from './gpu/wgsl';
import { Attached, type OpenTensors } from './engine-dictionaries';
import { Queue } from './engine-queue';
import type { Generation } from './model/generate';
import { askedFor, anyOf, checkPrecision, processingWords, RAW_WORDS } from './model/processing';
import { freeModel, loadModel, type Runtime } from './model/runtime';
import { asVariants, firstGuess, isSoftware, measure, parsePins, PLAIN, selfTest, tuningKey } from './model/variants';
import type { Variants } from './kernels/linear';

export interface EngineParts {
  gpu: () => GPU | undefined;
  shaders: Library;
  openTensors: OpenTensors;
  /** Where measured choices are kept. */
  tuning?: { get(key: string): Promise<unknown>; set(key: string, value: unknown): Promise<void> };
}

export interface InUse {
  record: ModelRecord;
  options: UseOptions;
  special: readonly number[];
}

const noModel = (): LabError =>
  new LabError('no-model', 'No model is in use.', 'Drop a model folder onto the page, or choose one from the shelf.');

/** Kernels that are right agree to rounding: DESIGN §8's bound for a kernel against its reference. */
const SELF_TEST = 5e-5;

export class EngineCore {
  protected gpu: Gpu | undefined;
  protected model: Runtime | undefined;
  protected inUse: InUse | undefined;
  private variants: Variants | undefined;
  private options: { limits?: 'default'; variants?: string } = {};
  private events: ((event: EngineEvent) => void) | undefined;
  protected readonly queue = new Queue();
  protected readonly attached: Attached;
  private readonly jobs = new Map<string, AbortController>();
  protected readonly generations = new Map<string, Generation>();
  private recovery: Promise<void> | undefined;
  /** A recovery began and has not come to its end: the model or a generation may be missing, though the device is there. */
  private halfway = false;

  constructor(protected readonly parts: EngineParts) {
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

  protected needGpu(): Gpu {
    if (!this.gpu) throw new LabError('adapter-missing', 'The graphics device is not open.', 'Reload the page.');
    return this.gpu;
  }
  protected need(): Runtime {
    if (!this.model) throw noModel();
    return this.model;
  }
  protected needInUse(): InUse {
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

  protected drop(): void {
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

  protected measured = false;
  /**
   * First whether this device's kernels are right: where they disagree with the plain ones, the plain ones take over. Then
   * which are fastest. A software renderer runs the plain ones already and needs neither.
   */
  protected async tune(): Promise<void> {
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

  protected async job<T>(id: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
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
  protected steady<T>(work: () => Promise<T>): Promise<T> {
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

export async function attempt<T>(work: () => T): Promise<T> {
  try {
    return Promise.resolve(work());
  } catch (thrown) {
    throw asLabError(thrown);
  }
}
