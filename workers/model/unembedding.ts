/** A column of W_U, read back from the GPU: the direction that raises one token's logit. */
import { LabError } from '../errors';
import { pad4 } from './layout';
import { matrixOf } from './matrices';
import type { Runtime } from './runtime';
import { fromBf16, fromF16 } from './weights';

export async function unembeddingColumn(model: Runtime, token: number): Promise<Float32Array> {
  const { gpu, spec, planner, weights } = model;
  if (!Number.isInteger(token) || token < 0 || token >= spec.vocabOut)
    throw new LabError(
      'token-range',
      `${token} is no token that this model’s head names; ids go from 0 to ${spec.vocabOut - 1}.`,
      'Tokenise the text with this model’s tokeniser.',
    );
  const matrix = matrixOf(planner.weights, spec.tied ? 'embed' : 'unembed');
  const piece = matrix.pieces.find((each) => token >= each.row0 && token < each.row0 + each.rows);
  if (!piece) throw new LabError('internal', 'The unembedding has no such row.', 'Please report this.');
  const bytes = pad4(matrix.k * (matrix.dtype === 'f32' ? 4 : 2));
  const buffer = gpu.buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, 'unembedding');
  try {
    gpu.submit([
      gpu.scoped(() => {
        const encoder = gpu.device.createCommandEncoder();
        encoder.copyBufferToBuffer(weights.get(piece.buffer), (token - piece.row0) * bytes, buffer, 0, bytes);
        gpu.counters.copies++;
        return encoder.finish();
      }),
    ]);
    const data = await gpu.read(buffer, bytes);
    const all =
      matrix.dtype === 'f32'
        ? new Float32Array(data)
        : Float32Array.from(new Uint16Array(data), matrix.dtype === 'bf16' ? fromBf16 : fromF16);
    return all.slice(0, spec.dModel);
  } finally {
    gpu.free(buffer);
  }
}
