/**
 * A plan's operations as data, and their execution. A Dispatch names its buffers by role ("resid", "w.blocks.0.attn.qkv#0");
 * a Pool resolves the names. So plans are pure, can be printed, and are encoded again each token from cached bind groups.
 */
import type { Gpu, Kernel } from './device';
import type { Defines } from './wgsl';

/** A buffer by its role. */
export interface Bind {
  buffer: string;
}

export interface Dispatch {
  op: 'dispatch';
  /** What a person calls it: linear, attention, norm … */
  kernel: string;
  variant: string;
  file: string;
  defines: Defines;
  constants: Record<string, number>;
  /** In the order of the shader's bindings (null: one that this form of the shader does not have); the parameters come last as a uniform. */
  bind: (Bind | null)[];
  /** Words of the uniform: u32, or f32 by `f32bits`. */
  params: number[];
  groups: [number, number, number];
  hook?: string;
  /** Bytes that must move at least: weights and activations read and written once. */
  bytes: number;
  /** Floating-point operations, of kernels whose time goes there and not into what moves. */
  flops?: number;
  /** It may be done in parts along x: word `param` of the uniform tells the output that the first group has, each group `outputs` of them. */
  parts?: { param: number; outputs: number };
}

export interface Copy {
  op: 'copy';
  from: string;
  fromOffset: number;
  to: string;
  toOffset: number;
  bytes: number;
  hook?: string;
}

export type Op = Dispatch | Copy;

/** Who runs a program in submissions of its own length: what is too long for one is cut before it is prepared. */
export interface Runner {
  cut(ops: readonly Op[]): Op[];
  run(program: Program, ops: readonly Op[]): Promise<void>;
}

const scratch = new DataView(new ArrayBuffer(4));
export function f32bits(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** Named buffers. Scratch grows and is kept; `set` adds buffers that belong to someone else. */
export class Pool {
  private readonly own = new Map<string, { buffer: GPUBuffer; bytes: number }>();
  private readonly others = new Map<string, GPUBuffer>();

  constructor(
    private readonly gpu: Gpu,
    private readonly parent?: Pool,
  ) {}

  set(name: string, buffer: GPUBuffer): void {
    this.others.set(name, buffer);
  }

  need(
    name: string,
    bytes: number,
    usage: GPUBufferUsageFlags = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  ): GPUBuffer {
    const found = this.own.get(name);
    if (found && found.bytes >= bytes) return found.buffer;
    if (found) this.gpu.free(found.buffer);
    const buffer = this.gpu.buffer(bytes, usage, name);
    this.own.set(name, { buffer, bytes });
    return buffer;
  }

  get(name: string): GPUBuffer {
    const found = this.own.get(name)?.buffer ?? this.others.get(name) ?? this.parent?.find(name);
    if (!found) throw new Error(`no buffer “${name}”`);
    return found;
  }

  private find(name: string): GPUBuffer | undefined {
    return this.own.get(name)?.buffer ?? this.others.get(name) ?? this.parent?.find(name);
  }

  /** Frees every buffer of its own whose name begins so. */
  drop(prefix: string): void {
    for (const [name, { buffer }] of this.own) {
      if (!name.startsWith(prefix)) continue;
      this.gpu.free(buffer);
      this.own.delete(name);
    }
  }

  free(): void {
    for (const { buffer } of this.own.values()) this.gpu.free(buffer);
    this.own.clear();
    this.others.clear();
  }
}

interface Ready {
  kernel: Kernel;
  group: GPUBindGroup;
}

/** A plan bound to buffers: pipelines compiled, parameters uploaded, bind groups made. Encode it as often as wanted. */
export class Program {
  private constructor(
    private readonly gpu: Gpu,
    private readonly ops: readonly Op[],
    private readonly ready: ReadonlyMap<Dispatch, Ready>,
    private readonly pool: Pool,
    private readonly uniform: GPUBuffer | undefined,
  ) {}

  static async prepare(gpu: Gpu, ops: readonly Op[], pool: Pool): Promise<Program> {
    const dispatches = ops.filter((each): each is Dispatch => each.op === 'dispatch');
    const slot = Math.max(256, gpu.limits.minUniformBufferOffsetAlignment);
    const words = new Uint32Array((dispatches.length * slot) / 4);
    dispatches.forEach((each, i) => words.set(each.params, (i * slot) / 4));
    const kernels = await Promise.all(dispatches.map((each) => gpu.kernel(each.file, each.defines, each.constants)));
    const uniform = dispatches.length
      ? gpu.buffer(words.byteLength, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, 'params')
      : undefined;
    try {
      if (uniform) gpu.write(uniform, 0, words);
      const ready = new Map<Dispatch, Ready>();
      gpu.scoped(() => {
        dispatches.forEach((each, i) => {
          const kernel = kernels[i];
          if (!kernel || !uniform) return;
          const entries: GPUBindGroupEntry[] = [];
          each.bind.forEach((bind, binding) => {
            if (bind) entries.push({ binding, resource: { buffer: pool.get(bind.buffer) } });
          });
          if (each.params.length)
            entries.push({ binding: each.bind.length, resource: { buffer: uniform, offset: i * slot, size: paramBytes(each) } });
          ready.set(each, { kernel, group: gpu.device.createBindGroup({ layout: kernel.pipeline.getBindGroupLayout(0), entries }) });
        });
      });
      await gpu.check();
      return new Program(gpu, ops, ready, pool, uniform);
    } catch (thrown) {
      if (uniform) gpu.free(uniform);
      throw thrown;
    }
  }

  /** Encodes ops [from, to): one compute pass for each stretch without copies. */
  encode(encoder: GPUCommandEncoder, from = 0, to = this.ops.length): void {
    let pass: GPUComputePassEncoder | undefined;
    let bound: GPUComputePipeline | undefined;
    const { counters } = this.gpu;
    for (let i = from; i < to; i++) {
      const op = this.ops[i];
      if (!op) continue;
      if (op.op === 'copy') {
        pass?.end();
        pass = undefined;
        encoder.copyBufferToBuffer(this.pool.get(op.from), op.fromOffset, this.pool.get(op.to), op.toOffset, op.bytes);
        counters.copies++;
        continue;
      }
      const ready = this.ready.get(op);
      if (!ready) continue;
      if (!pass) {
        pass = encoder.beginComputePass();
        bound = undefined;
      }
      if (bound !== ready.kernel.pipeline) pass.setPipeline((bound = ready.kernel.pipeline));
      pass.setBindGroup(0, ready.group);
      pass.dispatchWorkgroups(...op.groups);
      counters.dispatches++;
    }
    pass?.end();
  }

  /** Submits the whole plan in pieces of at most `piece` operations, so that no submission runs long. */
  run(piece = 64): void {
    for (let from = 0; from < this.ops.length; from += piece) this.submit(from, Math.min(this.ops.length, from + piece));
  }

  /** Ops [from, to) as one submission. */
  submit(from: number, to: number): void {
    this.gpu.submit([
      this.gpu.scoped(() => {
        const encoder = this.gpu.device.createCommandEncoder();
        this.encode(encoder, from, to);
        return encoder.finish();
      }),
    ]);
  }

  free(): void {
    if (this.uniform) this.gpu.free(this.uniform);
  }
}

const paramBytes = (each: Dispatch): number => Math.ceil((each.params.length * 4) / 16) * 16;
