/**
 * What stands on gradients and sweeps beyond single grids of hooks: dictionaries' edits on the way back, estimates of every kind beside the exact grids, latents as cells. One
 * device for all, and two models of which one is linear behind its last patterns, so that estimates there have nothing to be wrong about.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { openBench, type Opened } from '../support/engine';
import { attribute } from './causal/attribute';
import { estimates, linear } from './causal/estimates';
import { gradients } from './causal/gradients';
import { sweeps } from './causal/sweeps';
import { loadFixture, type FixtureName } from './fixture';

function having(name: FixtureName, tests: (opened: () => Opened) => void): void {
  let found: Opened | undefined;
  beforeAll(async () => {
    const fixture = await loadFixture(name);
    found = { fixture, bench: await openBench(fixture.files) };
  });
  afterAll(async () => found?.bench.engine.unload(found.bench.record.id));
  tests(() => {
    if (!found) throw new Error(`${name} was not opened`);
    return found;
  });
}

describe('gpt2-odd', () =>
  having('gpt2-odd', (opened) => {
    describe('gradients', () => gradients(opened));
    describe('estimates', () => estimates(opened));
    describe('attribution by latents', () => attribute(opened));
    describe('sweeps', () => sweeps(opened));
  }));
describe('toy-attn', () => having('toy-attn', (opened) => describe('estimates', () => linear(opened))));
