/** A fixture's float64 twin: its spec and its weights as tests/reference wants them. */
import type { Tensor } from '../../workers/api';
import { familyOf } from '../../workers/model/families';
import type { ModelSpec } from '../../workers/model/spec';
import { canonicalWeights, type Weights } from '../reference/weights';
import type { Fixture } from './fixture';
import { readSafetensors } from './safetensors';

/** Every tensor of a fixture's files. */
export async function tensorsOf(fixture: Fixture): Promise<ReadonlyMap<string, Tensor>> {
  const tensors = new Map<string, Tensor>();
  for (const { path, file } of fixture.files)
    if (path.endsWith('.safetensors'))
      for (const [key, tensor] of readSafetensors(new Uint8Array(await file.arrayBuffer()))) tensors.set(key, tensor);
  return tensors;
}

export const specOf = ({ config }: Fixture): ModelSpec => familyOf(config).spec(config);

/** A layer that has others before it, where there are any. */
export const deepLayer = (fixture: Fixture): number => Math.min(1, specOf(fixture).layers - 1);

export async function twinOf(fixture: Fixture): Promise<{ spec: ModelSpec; weights: Weights }> {
  const family = familyOf(fixture.config);
  const spec = specOf(fixture);
  return { spec, weights: canonicalWeights(spec, family, await tensorsOf(fixture)) };
}
