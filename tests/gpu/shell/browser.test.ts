/** The ground the other tests stand on: this Chromium computes with WebGPU, and hands out the data beside the clone where there is some. */
import { describe, expect, it } from 'vitest';
import { sharedData, whySkipped } from '../../support/shared';

async function device(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error('no WebGPU adapter');
  return adapter.requestDevice();
}

describe('the browser', () => {
  it('computes on WebGPU', async () => {
    const gpu = await device();
    const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
      @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = 2.0 * x[id.x] + 1.0; }`;
    const pipeline = await gpu.createComputePipelineAsync({ layout: 'auto', compute: { module: gpu.createShaderModule({ code }) } });
    const x = gpu.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
    const back = gpu.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    gpu.queue.writeBuffer(x, 0, new Float32Array([0, 1, -2, 0.25]));
    const commands = gpu.createCommandEncoder();
    const pass = commands.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: x } }] }),
    );
    pass.dispatchWorkgroups(1);
    pass.end();
    commands.copyBufferToBuffer(x, 0, back, 0, 16);
    gpu.queue.submit([commands.finish()]);
    await back.mapAsync(GPUMapMode.READ);
    expect([...new Float32Array(back.getMappedRange())]).toEqual([1, 3, -3, 1.5]);
    gpu.destroy();
  });

  it.skipIf(sharedData === undefined)(`reads shared data (${whySkipped})`, async () => {
    const response = await fetch(`${sharedData ?? ''}stories260K/config.json`);
    expect(await response.json()).toMatchObject({ vocab_size: 512 });
  });
});
