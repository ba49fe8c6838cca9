/**
 * One GPU, named buffers, a few dispatches, and what they wrote: kernels run as a plan would run them, without a model.
 * Buffers are exactly as large as asked, so that a kernel that writes past its share spoils something that is looked at.
 */
import { expect } from 'vitest';
import { Pool, Program, type Op } from '../../workers/gpu/commands';
import { Gpu, type DeviceOptions } from '../../workers/gpu/device';
import { shaders } from '../../workers/gpu/shaders';
import type { Variants } from '../../workers/kernels/linear';
import { rowWords, type Row, NOBODY } from '../../workers/model/rows';
import { compareRows, describeComparison } from '../golden/compare';

/** The bound of DESIGN §8 for f32 arithmetic, of each row's largest value; tests ask for less where f32 gives less. */
export const F32 = 5e-5;

export class Rig {
  pool: Pool;
  private sizes = new Map<string, number>();
  private readonly worst = new Map<string, number>();

  private constructor(readonly gpu: Gpu) {
    this.pool = new Pool(gpu);
  }

  static async open(options: DeviceOptions = {}): Promise<Rig> {
    return new Rig(await Gpu.open(navigator.gpu as GPU | undefined, shaders, options));
  }

  /** Frees every buffer; kernels stay compiled. */
  clear(): void {
    this.pool.free();
    this.pool = new Pool(this.gpu);
    this.sizes = new Map();
  }

  /** Says what was measured, and gives the device back. */
  close(): void {
    for (const [kernel, worst] of this.worst) console.log(`${kernel}: worst error ${worst.toExponential(1)} of a row's scale`);
    this.clear();
    this.gpu.device.destroy();
  }

  reserve(name: string, bytes: number): void {
    this.pool.need(name, bytes);
    this.sizes.set(name, bytes);
  }
  write(name: string, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.gpu.write(this.pool.get(name), offset, data);
  }
  put(name: string, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): void {
    this.reserve(name, data.byteLength);
    this.write(name, 0, data);
  }
  blank(name: string, words: number, fill = 0): void {
    this.put(name, new Float32Array(words).fill(fill));
  }
  rows(rows: readonly Partial<Row>[]): void {
    this.put('rows', rowWords(rows.map(rowOf)));
  }

  async run(...ops: Op[]): Promise<void> {
    const program = await Program.prepare(this.gpu, ops, this.pool);
    program.run();
    await this.gpu.check();
    program.free();
  }

  async words(name: string): Promise<Uint32Array<ArrayBuffer>> {
    const bytes = this.sizes.get(name) ?? 0;
    const back = this.gpu.buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, 'read');
    const encoder = this.gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.pool.get(name), 0, back, 0, bytes);
    this.gpu.submit([encoder.finish()]);
    const data = await this.gpu.read(back, bytes);
    await this.gpu.check();
    this.gpu.free(back);
    return new Uint32Array(data);
  }
  async floats(name: string): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array((await this.words(name)).buffer);
  }

  /** Rows of `width` against their reference; the worst error of each kernel is kept, to be told at the end. */
  expectRows(kernel: string, what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, width: number, tolerance = F32): void {
    const found = compareRows(actual, expected, width, tolerance);
    this.worst.set(kernel, Math.max(this.worst.get(kernel) ?? 0, found.worst));
    expect(found.within, describeComparison(`${kernel}, ${what}`, found)).toBe(true);
  }
}

/** A row of sequence 0 at position 0 that nobody follows, unless told otherwise. A row's own slot is its prefix's too. */
export function rowOf(row: Partial<Row>): Row {
  const slot = row.slot ?? 0;
  return { token: 0, position: 0, slot, prefixSlot: slot, prefixLength: 0, sequence: 0, follow: NOBODY, ...row };
}

export const VARIANTS: Record<'register' | 'workgroup' | 'subgroup' | 'tiled', Variants> = {
  register: { matvec: 'register', matmul: 'register', attention: 'serial' },
  workgroup: { matvec: 'workgroup', matmul: 'tiled', attention: 'workgroup' },
  subgroup: { matvec: 'subgroup', matmul: 'tiled', attention: 'workgroup' },
  tiled: { matvec: 'workgroup', matmul: 'tiled', attention: 'workgroup' },
};
export type LinearVariant = keyof typeof VARIANTS;
