/** A safetensors file as loose tensors: its header checked in full, its bytes read from the File where they lie. */
import { LabError } from '../errors';
import type { LooseDtype, LooseFile } from './loose';
import { readPiece } from './read';
import { listed } from './reasons';
import { readHeader } from './safetensors';

const DTYPES: readonly string[] = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'] satisfies LooseDtype[];
const isLoose = (dtype: string): dtype is LooseDtype => DTYPES.includes(dtype);

export async function readLooseSafetensors(file: File, name: string): Promise<LooseFile> {
  const { tensors, metadata } = await readHeader(file, name);
  const strange = tensors.filter(({ dtype }) => !isLoose(dtype));
  if (strange.length > 0)
    throw new LabError(
      'dtype-unsupported',
      `${name} holds tensors of types that Loupe does not read: ${listed(strange.map((each) => `${each.name} ${each.dtype}`))}.`,
      'Save it with F32, F16 or BF16 weights.',
    );
  return {
    tensors: tensors.flatMap(({ name: key, dtype, shape, offset, bytes }) =>
      isLoose(dtype) ? [{ name: key, dtype, shape, bytes, read: () => readPiece(file, offset, offset + bytes, name) }] : [],
    ),
    plain: metadata,
  };
}
