/**
 * Every fixture, opened once: its hooks, its edited runs, its gradients, what generation and batches mean, what is read off its logits. One device
 * for all of that, because a kernel is compiled for each device anew, and on a processor that is where the time goes.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { openBench, RUNS, VARIANTS, type Opened } from '../support/engine';
import { EVERY_FEATURE, loadFixture, type FixtureName } from './fixture';
import { attribution } from './every/attribution';
import { edits } from './every/edits';
import { gradients } from './every/gradients';
import { heads } from './every/heads';
import { hooks } from './every/hooks';
import { meaning } from './every/meaning';
import { readouts } from './every/readouts';

/** LayerNorm, learned positions, biases; and RMS norms of everything, rotation, windows, grouped keys. */
const TWO: readonly FixtureName[] = ['gpt2-odd', 'gemma3-windows'];

describe.each(RUNS)('$name, $variants', (run) => {
  let found: Opened | undefined;
  beforeAll(async () => {
    const fixture = await loadFixture(run.name);
    found = { fixture, bench: await openBench(fixture.files, { variants: run.variants }) };
  });
  afterAll(async () => {
    const bench = found?.bench;
    if (bench) await bench.engine.unload(bench.record.id);
  });
  const opened = (): Opened => {
    if (!found) throw new Error(`${run.name} was not opened`);
    return found;
  };
  describe('hooks', () => hooks(opened, run));
  describe('edits', () => edits(opened, run));
  // The backward pass has one set of kernels.
  if (run.variants === VARIANTS[0]) describe('gradients', () => gradients(opened, run));
  // Batches, generations and readouts are the same code whatever kernels run: of those for GPUs two models are asked.
  if (run.variants === VARIANTS[0] || TWO.includes(run.name)) {
    describe('meaning', () => meaning(opened, run));
    describe('readouts', () => readouts(opened));
  }
  // Its parts come from taps and weights: the other kernels have been asked for them above.
  if (run.variants === VARIANTS[0]) describe('attribution', () => attribution(opened));
  if (run.variants === VARIANTS[0] && EVERY_FEATURE.includes(run.name)) describe('heads', () => heads(opened));
});
