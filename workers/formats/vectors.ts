/**
 * Vectors in a safetensors file: F32 tensors of one axis, each described by a JSON text under its own name in `__metadata__`: what it is called, the hook it
 * belongs to, and how it is best used. What does not say where it acts is refused: a direction at the wrong layer is silently wrong.
 */
import type { VectorInfo } from '../api';
import { LabError } from '../errors';
import { isObject } from './json';
import { readPiece } from './read';
import { readHeader } from './safetensors';

export interface ReadVector {
  info: Omit<VectorInfo, 'id' | 'norm'>;
  data: Float32Array<ArrayBuffer>;
}

export async function readVectors(file: File, name = file.name): Promise<ReadVector[]> {
  const { tensors, metadata } = await readHeader(file, name);
  if (tensors.length === 0) throw garbage(name, 'holds no tensor');
  return Promise.all(
    tensors.map(async ({ name: key, dtype, shape, offset, bytes }) => {
      if (dtype !== 'F32' || shape.length !== 1) throw garbage(name, `: “${key}” is ${dtype} [${shape.join(', ')}], not F32 with one axis`);
      const info = described(name, key, metadata[key]);
      const data = new Float32Array((await readPiece(file, offset, offset + bytes, name)).buffer);
      return { info, data };
    }),
  );
}

function described(file: string, key: string, json: string | undefined): ReadVector['info'] {
  let value: unknown;
  try {
    value = JSON.parse(json ?? '');
  } catch {
    throw garbage(file, `does not describe “${key}”`);
  }
  if (!isObject(value) || typeof value['at'] !== 'string') throw garbage(file, `does not say at which hook “${key}” acts`);
  const { name, at, scale, kind, keep, about } = value;
  return {
    name: typeof name === 'string' && name !== '' ? name : key,
    at,
    ...(typeof scale === 'number' && Number.isFinite(scale) ? { scale } : {}),
    ...(kind === 'add' || kind === 'project' ? { kind } : {}),
    ...(typeof keep === 'number' && Number.isFinite(keep) ? { keep } : {}),
    ...(typeof about === 'string' ? { about } : {}),
  };
}

const garbage = (file: string, what: string): LabError =>
  new LabError(
    'vector-garbage',
    `${file} ${what}.`.replace(' :', ':'),
    'Save each vector as F32 with one axis, described in the file’s metadata.',
  );
