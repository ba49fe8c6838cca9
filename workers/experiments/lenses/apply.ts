/**
 * A lens that was trained or averaged, at a layer: every row of the stream through the layer's affine map, then ln_final and W_U as the logit lens reads them.
 *
 *   tuned     h + A·h + b     (Belrose et al. 2023)        jacobian     J·h, J the mean of ∂h_final/∂h over positions of a text
 */
import type { LensMap, LensRecord } from '../../contract-reading';
import { LabError } from '../../errors';
import { readFloats, type TensorReader } from '../../gpu/stored';
import { product } from '../../model/products';
import type { Runtime } from '../../model/runtime';

/** A lens must be one of this model's kind before it is read at all. */
export function checkLens({ spec }: Pick<Runtime, 'spec'>, lens: Pick<LensRecord, 'name' | 'layers' | 'dModel'>): void {
  if (lens.layers !== spec.layers || lens.dModel !== spec.dModel)
    throw new LabError(
      'lens-misfit',
      `“${lens.name}” is for a model of ${lens.layers} layers and width ${lens.dModel}; this one has ${spec.layers} and ${spec.dModel}.`,
      'Use it with the model it was made for.',
    );
}

export async function readMap(record: LensRecord, reader: TensorReader, hook: string): Promise<LensMap> {
  const tensor = async (part: 'weight' | 'bias', count: number): Promise<Float32Array> => {
    const found = record.tensors.find(({ name }) => name === `${hook}.${part}`);
    if (!found) throw new LabError('tensor-missing', `The kept lens has no tensor “${hook}.${part}”.`, 'Remove it and drop it again.');
    return readFloats(reader, found, 0, count);
  };
  return { weight: await tensor('weight', record.dModel ** 2), bias: await tensor('bias', record.dModel) };
}

/** Rows [positions][d_model] as the unembedding is to read them. */
export async function mapped(
  model: Runtime,
  kind: LensRecord['kind'],
  { weight, bias }: LensMap,
  rows: Float32Array,
): Promise<Float32Array> {
  const { dModel } = model.spec;
  const out = await product(model, rows, weight, dModel);
  return out.map((each, i) => each + (bias[i % dModel] ?? 0) + (kind === 'tuned' ? (rows[i] ?? 0) : 0));
}
