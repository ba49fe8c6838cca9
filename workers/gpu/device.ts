/**
 * The device and everything that must be counted: buffers alive, bytes moved, dispatches, pipelines. Every creation and
 * submission goes through an error scope here, so that out of memory or a validation error is an error a person sees and
 * never wrong text. Knows nothing of transformers; runs in a worker, a window or Node with Dawn (the GPU object is given).
 */
import { LabError } from '../errors';
import { expand, type Defines, type Library } from './wgsl';

export interface Counters {
  dispatches: number;
  copies: number;
  submits: number;
  pipelines: number;
  bytesWritten: number;
  bytesRead: number;
  buffers: number;
}

export interface DeviceOptions {
  /** The smallest limits that WebGPU promises, whatever the adapter has. */
  defaultLimits?: boolean;
  /** Timestamp queries slow some drivers: only a profiling device asks for them. */
  profile?: boolean;
}

const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxStorageBuffersPerShaderStage',
] as const;

export interface Kernel {
  pipeline: GPUComputePipeline;
  key: string;
}

export class Gpu {
  readonly counters: Counters = { dispatches: 0, copies: 0, submits: 0, pipelines: 0, bytesWritten: 0, bytesRead: 0, buffers: 0 };
  bytesInUse = 0;
  bytesHigh = 0;
  private readonly kernels = new Map<string, Promise<Kernel>>();
  private readonly sizes = new WeakMap<GPUBuffer, number>();
  private pending: Promise<LabError | undefined>[] = [];
  /** Set once the device is gone; every later call rejects with it. */
  lostError: LabError | undefined;

  private constructor(
    readonly adapter: GPUAdapter,
    readonly device: GPUDevice,
    readonly library: Library,
  ) {}

  static async open(gpu: GPU | undefined, library: Library, options: DeviceOptions = {}): Promise<Gpu> {
    if (!gpu)
      throw new LabError(
        'webgpu-missing',
        'This browser does not offer WebGPU.',
        'Use a current Chrome, Edge, Safari or Firefox with WebGPU switched on.',
      );
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter)
      throw new LabError(
        'adapter-missing',
        'WebGPU is there, but it found no graphics adapter it may use.',
        'Switch on hardware acceleration in the browser’s settings, or update the graphics driver.',
      );
    const requiredLimits: Record<string, number> = {};
    if (!options.defaultLimits) for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
    const requiredFeatures: GPUFeatureName[] = [];
    if (adapter.features.has('subgroups') && !options.defaultLimits) requiredFeatures.push('subgroups');
    if (options.profile && adapter.features.has('timestamp-query')) requiredFeatures.push('timestamp-query');
    const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
    const self = new Gpu(adapter, device, library);
    device.addEventListener('uncapturederror', (event) => self.pending.push(Promise.resolve(wrap(event.error))));
    void device.lost.then((info) => {
      self.lostError = new LabError(
        'gpu-lost',
        `The graphics device was lost (${info.message || info.reason}).`,
        'Loupe asks for it again by itself. If it keeps happening, close other tabs that use the GPU or choose a smaller model.',
      );
    });
    return self;
  }

  get limits(): GPUSupportedLimits {
    return this.device.limits;
  }

  /** Runs GPU calls inside error scopes; `check` awaits what they found. */
  scoped<T>(work: () => T): T {
    if (this.lostError) throw this.lostError;
    const { device } = this;
    device.pushErrorScope('internal');
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    try {
      return work();
    } finally {
      for (let i = 0; i < 3; i++)
        this.pending.push(
          device.popErrorScope().then(
            (error) => (error ? wrap(error) : undefined),
            () => this.lostError,
          ),
        );
    }
  }

  /** Rejects with the first error of everything scoped so far. */
  async check(): Promise<void> {
    const pending = this.pending;
    this.pending = [];
    const found = (await Promise.all(pending)).find((error) => error !== undefined);
    if (this.lostError) throw this.lostError;
    if (found) throw found;
  }

  buffer(bytes: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer {
    const size = Math.max(16, Math.ceil(bytes / 4) * 4);
    const most =
      usage & GPUBufferUsage.STORAGE
        ? Math.min(this.limits.maxBufferSize, this.limits.maxStorageBufferBindingSize)
        : this.limits.maxBufferSize;
    if (size > most)
      throw new LabError(
        'gpu-out-of-memory',
        `“${label}” needs ${mb(size)}, and this device allows ${mb(most)} in one buffer.`,
        'Use a shorter text, fewer taps, or a smaller model.',
      );
    const buffer = this.scoped(() => this.device.createBuffer({ size, usage, label }));
    this.sizes.set(buffer, size);
    this.counters.buffers++;
    this.bytesInUse += size;
    this.bytesHigh = Math.max(this.bytesHigh, this.bytesInUse);
    return buffer;
  }

  free(buffer: GPUBuffer): void {
    const size = this.sizes.get(buffer);
    if (size === undefined) return;
    this.sizes.delete(buffer);
    this.counters.buffers--;
    this.bytesInUse -= size;
    buffer.destroy();
  }

  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.scoped(() => this.device.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength));
    this.counters.bytesWritten += data.byteLength;
  }

  /** A compiled kernel, built once for each source, set of defines and constants. */
  kernel(file: string, defines: Defines, constants: Readonly<Record<string, number>>): Promise<Kernel> {
    const key = JSON.stringify([file, defines, constants]);
    let found = this.kernels.get(key);
    if (!found) {
      found = this.compile(file, defines, constants, key);
      this.kernels.set(key, found);
      found.catch(() => this.kernels.delete(key));
    }
    return found;
  }

  private throwIfLost(): void {
    if (this.lostError) throw this.lostError;
  }

  private async compile(file: string, defines: Defines, constants: Readonly<Record<string, number>>, key: string): Promise<Kernel> {
    const code = expand(this.library(file), defines, this.library);
    this.counters.pipelines++;
    const module = this.shaderModule(code, key);
    try {
      const pipeline = await this.device.createComputePipelineAsync({
        label: key,
        layout: 'auto',
        compute: { module, entryPoint: 'main', constants: { ...constants } },
      });
      return { pipeline, key };
    } catch (thrown) {
      this.throwIfLost();
      const info = await module.getCompilationInfo();
      const detail = info.messages.map((each) => `${each.lineNum}: ${each.message}`).join('\n');
      throw new LabError(
        'gpu-validation',
        `The kernel “${file}” does not build on this device. ${detail || String(thrown)}`,
        'Please report this with the text above and the name of the graphics card.',
      );
    }
  }

  /** In a scope of its own: a module's fault is told by the pipeline, and must not wait here for someone else's check. */
  private shaderModule(code: string, label: string): GPUShaderModule {
    this.throwIfLost();
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ code, label });
    void this.device.popErrorScope().catch(() => undefined);
    return module;
  }

  submit(commands: GPUCommandBuffer[]): void {
    this.scoped(() => this.device.queue.submit(commands));
    this.counters.submits++;
  }

  /** Maps a buffer that was copied into, and hands over a copy of its bytes. */
  async read(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    try {
      await buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    } catch (thrown) {
      await this.check();
      throw this.lostError ?? new LabError('gpu-validation', `A result could not be read back: ${String(thrown)}`, 'Please report this.');
    }
    const copy = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    this.counters.bytesRead += bytes;
    return copy;
  }
}

const mb = (bytes: number): string => `${(bytes / 1048576).toFixed(0)} MiB`;

function wrap(error: GPUError): LabError {
  // The constructor's name, not instanceof: Dawn in Node keeps its classes to itself.
  const out = error.constructor.name === 'GPUOutOfMemoryError';
  return out
    ? new LabError(
        'gpu-out-of-memory',
        `The graphics device is out of memory. ${error.message}`,
        'Use a shorter text, a smaller model or 16-bit weights, or close other tabs that use the GPU.',
      )
    : new LabError(
        'gpu-validation',
        `The graphics device refused a command. ${error.message}`,
        'Please report this with the text above and the name of the graphics card.',
      );
}
