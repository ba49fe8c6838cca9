/**
 * The independent oracle: another runtime, another kernel library, another language, on the same weights. Its graph is written from the
 * equations (bench/onnx-graph.ts) and shares no code with the engine. Also keeps the bench honest: what it times is first shown to agree.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promptOf, SMALL, weightsOf } from '../../bench/model';
import { argmax } from '../../bench/numbers';
import { onnxModel } from '../../bench/onnx-graph';
import { OnnxGpt2 } from '../../bench/onnxruntime';
import { greedy, logitsOf, openEngine } from '../../bench/ours';
import type { Engine } from '../../workers/engine';
import { steps, VARIANTS } from '../support/engine';
import { compareRows, describeComparison } from './compare';

const TOLERANCE = 1e-4;
const weights = weightsOf(SMALL);
let onnx: OnnxGpt2;
beforeAll(async () => {
  onnx = await OnnxGpt2.open('wasm', SMALL, onnxModel(SMALL, weights));
});
afterAll(() => onnx.close());

describe.each(VARIANTS)('%s', (variants) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine(SMALL, weights, { gpu: navigator.gpu as GPU | undefined, variants });
  });
  // Every variant at one length; all lengths where kernels build fast on a CPU.
  const lengths = variants === VARIANTS[0] ? [1, 7, SMALL.context] : [33];

  test.each(lengths)('logits at every position of %i tokens', async (length) => {
    const ids = promptOf(SMALL, length);
    const found = compareRows(await logitsOf(engine, ids, 'all'), await onnx.all(ids), SMALL.vocab, TOLERANCE);
    expect(found.within, describeComparison('logits', found)).toBe(true);
  });
});

test('greedy tokens, each read from the cache', async () => {
  const engine = await openEngine(SMALL, weights, { gpu: navigator.gpu as GPU | undefined, variants: VARIANTS[0] });
  const ids = promptOf(SMALL, 9);
  const ours = (await steps(engine, greedy(ids, 16))).map((step) => step.steered.id);
  const theirs: number[] = [];
  for await (const token of onnx.generate(ids)) if (theirs.push(token) === ours.length) break;
  expect(ours).toEqual(theirs);
  // Not a model that says one thing whatever it is told.
  expect(new Set(ours).size).toBeGreaterThan(3);
  expect(argmax(await onnx.prefill(ids))).toBe(ours[0]);
});
