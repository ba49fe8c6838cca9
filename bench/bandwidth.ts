/** The copy bandwidth of a device: what a share of bandwidth is a share of. Bytes read and bytes written both count. */
import type { Gpu } from '../workers/gpu/device';

export async function copyBandwidth(gpu: Gpu): Promise<{ bytesPerSecond: number; bytes: number }> {
  const slow = isSoftware(gpu);
  const bytes = Math.min(slow ? 64 * 2 ** 20 : 512 * 2 ** 20, Math.floor(gpu.limits.maxBufferSize / 4) * 4);
  const repetitions = slow ? 2 : 50;
  const from = gpu.buffer(bytes, GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST, 'bandwidth.from');
  const to = gpu.buffer(bytes, GPUBufferUsage.COPY_DST, 'bandwidth.to');
  try {
    let best = Infinity;
    for (let round = 0; round < 4; round++) {
      const encoder = gpu.device.createCommandEncoder();
      for (let i = 0; i < repetitions; i++) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
      const commands = encoder.finish();
      await gpu.device.queue.onSubmittedWorkDone();
      const start = performance.now();
      gpu.submit([commands]);
      await gpu.device.queue.onSubmittedWorkDone();
      // The first round pays for memory that was never touched.
      if (round > 0) best = Math.min(best, (performance.now() - start) / repetitions / 1e3);
    }
    await gpu.check();
    return { bytesPerSecond: (2 * bytes) / best, bytes };
  } finally {
    gpu.free(from);
    gpu.free(to);
  }
}

/** Is this a GPU made of software, whose speeds say nothing of a real one? */
export const isSoftware = (gpu: Gpu): boolean =>
  /swiftshader|llvmpipe|lavapipe/i.test(`${gpu.adapter.info.architecture} ${gpu.adapter.info.description}`) ||
  gpu.adapter.info.isFallbackAdapter === true;
