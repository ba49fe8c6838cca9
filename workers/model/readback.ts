/** Where a run's results wait to be read: reserved while planning, allocated when run, mapped once. */
import { LabError } from '../errors';
import type { Pool } from '../gpu/commands';
import type { Gpu } from '../gpu/device';

/** Mapping in pieces of about this size is fastest on the devices that were measured. */
const PIECE = 64 << 20;

export class Readback {
  private readonly sizes: number[] = [];
  private readonly places = new Map<string, { buffer: number; offset: number; bytes: number }>();
  private buffers: GPUBuffer[] = [];

  constructor(private readonly most: number) {}

  reserve(key: string, bytes: number): { to: string; offset: number } {
    if (bytes > this.most)
      throw new LabError(
        'gpu-out-of-memory',
        `“${key}” alone is ${(bytes / 1048576).toFixed(0)} MiB, more than this device reads back at once.`,
        'Use a shorter text, or look at fewer hooks.',
      );
    let buffer = this.sizes.length - 1;
    if (buffer < 0 || (this.sizes[buffer] ?? 0) + bytes > Math.max(PIECE, bytes)) buffer = this.sizes.push(0) - 1;
    const offset = this.sizes[buffer] ?? 0;
    this.sizes[buffer] = offset + bytes;
    this.places.set(key, { buffer, offset, bytes });
    return { to: `read.${buffer}`, offset };
  }

  /** Bytes that will come back. */
  get bytes(): number {
    return this.sizes.reduce((a, b) => a + b, 0);
  }

  allocate(gpu: Gpu, pool: Pool): void {
    this.sizes.forEach((bytes, i) => {
      const buffer = gpu.buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, `read.${i}`);
      this.buffers.push(buffer);
      pool.set(`read.${i}`, buffer);
    });
  }

  async read(gpu: Gpu): Promise<(key: string) => ArrayBuffer> {
    const data = await Promise.all(this.buffers.map((buffer, i) => gpu.read(buffer, this.sizes[i] ?? 0)));
    await gpu.check();
    return (key) => {
      const place = this.places.get(key);
      const from = place && data[place.buffer];
      if (!from) throw new LabError('internal', `Nothing was read back for “${key}”.`, 'Please report this.');
      return from.slice(place.offset, place.offset + place.bytes);
    };
  }

  free(gpu: Gpu): void {
    for (const buffer of this.buffers) gpu.free(buffer);
    this.buffers = [];
  }
}
