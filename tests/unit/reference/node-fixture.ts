/** The golden fixtures, read from disk for tests that run in Node, with the twin's spec and weights beside them. */
import { readFile } from 'node:fs/promises';
import { familyOf } from '../../../workers/model/families';
import type { ModelSpec } from '../../../workers/model/spec';
import type { Tensor } from '../../../workers/api';
import { loadFixture, type Fixture, type FixtureName } from '../../golden/fixture';
import { readSafetensors } from '../../golden/safetensors';
import { canonicalWeights, type Weights } from '../../reference/weights';

const ROOT = new URL('../../golden/fixtures/', import.meta.url);

export interface Twin {
  fixture: Fixture;
  spec: ModelSpec;
  weights: Weights;
}

export async function twin(name: FixtureName): Promise<Twin> {
  const fixture = await loadFixture(name, async (path) => new Uint8Array(await readFile(new URL(path, ROOT))));
  const tensors = new Map<string, Tensor>();
  for (const { path, file } of fixture.files)
    if (path.endsWith('.safetensors'))
      for (const [key, tensor] of readSafetensors(new Uint8Array(await file.arrayBuffer()))) tensors.set(key, tensor);
  const family = familyOf(fixture.config);
  const spec = family.spec(fixture.config);
  return { fixture, spec, weights: canonicalWeights(spec, family, tensors) };
}
