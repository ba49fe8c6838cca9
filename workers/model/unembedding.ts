/**
 * A column of W_U as the file has it: the direction that raises one token's logit. Read from the file, because the matrix on the
 * GPU may be rounded, folded or centred.
 */
import type { ModelRecord } from '../contract';
import { LabError } from '../errors';
import { familyOf } from './families';
import { readFloats, type TensorReader } from '../gpu/stored';

export async function unembeddingColumn(record: ModelRecord, reader: TensorReader, token: number): Promise<Float32Array> {
  const family = familyOf(record.config);
  const spec = family.spec(record.config);
  if (!Number.isInteger(token) || token < 0 || token >= spec.vocabOut)
    throw new LabError(
      'token-range',
      `${token} is no token that this model’s head names; ids go from 0 to ${spec.vocabOut - 1}.`,
      'Tokenise the text with this model’s tokeniser.',
    );
  const matrix = spec.tied ? 'embed' : 'unembed';
  const rule = family.tensors(spec).find(({ place }) => 'matrix' in place && place.matrix === matrix);
  const tensor = record.tensors.find(({ name }) => name === rule?.name);
  if (!rule || !tensor) throw new LabError('internal', 'The kept model has no head.', 'Please report this.');
  if (!rule.transposed) return readFloats(reader, tensor, token * spec.dModel, spec.dModel);
  // [d_model, vocabulary]: one number a row.
  const column = new Float32Array(spec.dModel);
  for (let i = 0; i < spec.dModel; i++) column.set(await readFloats(reader, tensor, i * spec.vocabOut + token, 1), i);
  return column;
}
