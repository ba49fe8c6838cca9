/**
 * The twin on a trained model: stories260K against the float64 reference that came with it. The data is not part of the
 * repository; where it is absent the tests are skipped and say so.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { familyOf } from '../../../workers/model/families';
import { compareRows, describeComparison } from '../../golden/compare';
import { readSafetensors } from '../../golden/safetensors';
import { at } from '../../reference/array';
import { forward, record } from '../../reference/forward';
import { topK } from '../../reference/softmax';
import { canonicalWeights } from '../../reference/weights';

interface Golden {
  input_ids: number[];
  last_logits: number[];
  argmax_per_pos: number[];
  /** [layer][position] */
  resid_pre_norm: number[][];
  resid_post_last: number[];
  /** [layer][head][key] */
  attn_last_query: number[][][];
  greedy_257: number[];
}

const FOLDER = new URL('../../../../shared/data/stories260K/', import.meta.url);
const present = existsSync(new URL('model.safetensors', FOLDER));
if (!present) console.warn('stories260K is not in ../shared/data: its tests are skipped');

// Written with six decimals, so half a unit of the sixth is all they can tell.
const DECIMALS = 6e-7;

describe.skipIf(!present)('stories260K', async () => {
  if (!present) return;
  const json = async (file: string) => JSON.parse(await readFile(new URL(file, FOLDER), 'utf8')) as unknown;
  const config = (await json('config.json')) as Record<string, unknown>;
  const golden = (await json('golden.json')) as Golden;
  const family = familyOf(config);
  const spec = family.spec(config);
  const tensors = readSafetensors(new Uint8Array(await readFile(new URL('model.safetensors', FOLDER))));
  const weights = canonicalWeights(spec, family, tensors);
  const argmax = (logits: Float64Array) =>
    Array.from({ length: logits.length / spec.vocab }, (_, t) => topK(logits.subarray(t * spec.vocab, (t + 1) * spec.vocab), 1)[0]);
  const near = (name: string, actual: ArrayLike<number>, expected: readonly number[]) => {
    const scale = Math.max(...expected.map(Math.abs));
    const found = compareRows(actual, expected, expected.length, DECIMALS / scale);
    expect(found.within, describeComparison(name, found)).toBe(true);
  };

  test('logits, argmax, residuals and attention of the prompt', () => {
    const { input_ids: ids } = golden;
    const logits = forward(spec, weights, ids);
    near('last logits', logits.subarray(-spec.vocab), golden.last_logits);
    expect(argmax(logits)).toEqual(golden.argmax_per_pos);
    const seen = record(spec, weights, ids);
    const of = (hook: string) => seen.get(hook)?.data ?? new Float64Array();
    for (let layer = 0; layer < spec.layers; layer++) {
      const stream = of(`blocks.${layer}.hook_resid_pre`);
      const norms = ids.map((_, t) => Math.hypot(...stream.subarray(t * spec.dModel, (t + 1) * spec.dModel)));
      near(`norms before layer ${layer}`, norms, golden.resid_pre_norm[layer] ?? []);
      const pattern = of(`blocks.${layer}.attn.hook_pattern`);
      for (let head = 0; head < spec.heads; head++) {
        const row = ((head + 1) * ids.length - 1) * ids.length;
        near(`attention ${layer}.${head}`, pattern.subarray(row, row + ids.length), golden.attn_last_query[layer]?.[head] ?? []);
      }
    }
    near('last residual', of(`blocks.${spec.layers - 1}.hook_resid_post`).subarray(-spec.dModel), golden.resid_post_last);
  });

  test('all 257 greedy tokens', () => {
    const ids = golden.greedy_257;
    const predicted = argmax(forward(spec, weights, ids.slice(0, -1)));
    // One pass over the whole text: each next token must be the twin's own choice, from the BOS on.
    const wrong = predicted.flatMap((id, t) => (id === at(ids, t + 1) ? [] : [t]));
    expect(wrong).toEqual([]);
  });
});
