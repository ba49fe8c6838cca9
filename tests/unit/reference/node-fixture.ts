/** The golden fixtures, read from disk for tests that run in Node, with the twin's spec and weights beside them. */
import { readFile } from 'node:fs/promises';
import type { ModelSpec } from '../../../workers/model/spec';
import { loadFixture, type Fixture, type FixtureName } from '../../golden/fixture';
import { twinOf } from '../../golden/twin';
import type { Weights } from '../../reference/weights';

const ROOT = new URL('../../golden/fixtures/', import.meta.url);

export interface Twin {
  fixture: Fixture;
  spec: ModelSpec;
  weights: Weights;
}

export const nodeFixture = (name: FixtureName): Promise<Fixture> =>
  loadFixture(name, async (path) => new Uint8Array(await readFile(new URL(path, ROOT))));

export async function twin(name: FixtureName): Promise<Twin> {
  const fixture = await nodeFixture(name);
  return { fixture, ...(await twinOf(fixture)) };
}
