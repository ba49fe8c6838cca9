/**
 * Direct logit attribution by latents against float64: each latent's part is what the reconstruction loses without it, read by the formula as it is written, and all parts sum
 * to the logit difference. At the stream, under a norm that is undone; at what a transcoder writes; at hook_z, through W_O; and of neurons, through W_out.
 */
import { beforeAll, expect, test } from 'vitest';
import type { EngineEdit } from '../../../workers/contract';
import { at } from '../../reference/array';
import { decode, encode, type Dictionary } from '../../reference/dictionary';
import { record as recorded } from '../../reference/forward';
import { add, vector, type Bench, type Opened } from '../../support/engine';
import { randomDictionary } from '../../support/random-dictionary';
import { promptIds } from '../cases';
import { twinOf } from '../twin';
import { attached, DICTIONARIES } from './estimates';

const GOLDEN = 5e-5;
const SUMS = 1e-5;

export function attribute(opened: () => Opened): void {
  let bench: Bench;
  let twin: Awaited<ReturnType<typeof twinOf>>;
  let ids: number[];
  let of: Record<string, string>;
  beforeAll(async () => {
    bench = opened().bench;
    twin = await twinOf(opened().fixture);
    ids = promptIds(opened().fixture.cases, 1);
    of = await attached(bench);
  });

  test.each(['relu', 'transcoder', 'topk', 'neurons'])('%s', async (name) => {
    const { spec, weights } = twin;
    const { dModel } = spec;
    const position = ids.length - 1;
    const [correct, wrong] = [5, 17];
    const clean = recorded(spec, weights, ids);
    const row = (hook: string): Float64Array => {
      const { data, shape } = clean.get(hook as never) ?? { data: new Float64Array(0), shape: [1] };
      const width = data.length / (shape[0] ?? 1);
      return data.slice(position * width, (position + 1) * width);
    };
    /** ((c − mean c)/σ)·(w ⊙ (W_U[a] − W_U[b])) of what is written to the stream. */
    const read = (x: ArrayLike<number>): number => {
      const mean = Array.from(x).reduce((total, each) => total + each, 0) / dModel;
      const scale = at(row('ln_final.hook_scale'), 0);
      let total = 0;
      for (let i = 0; i < dModel; i++) {
        const direction = at(weights.unembed.weight, correct * dModel + i) - at(weights.unembed.weight, wrong * dModel + i);
        total += ((at(x, i) - mean) / scale) * at(weights.lnFinal?.weight ?? [], i) * direction;
      }
      return total;
    };
    const through = ({ weight, inputs }: { weight: ArrayLike<number>; inputs: number }, x: ArrayLike<number>): Float64Array =>
      Float64Array.from({ length: dModel }, (_, o) => Array.from(x).reduce((sum, each, i) => sum + each * at(weight, o * inputs + i), 0));
    const request = { ids, edits: [] as EngineEdit[], position, correct, wrong, top: 1000, by: 'latent' as const };
    const dictionary = of[name] ?? 'neurons:blocks.1';
    const found = await bench.engine.attribute({ ...request, dictionary });

    const expected = new Map<number, number>();
    let [bias, error] = [0, 0];
    const wanted = DICTIONARIES[name];
    if (wanted) {
      const own: Dictionary = randomDictionary(wanted).twin;
      const { hookIn, hookOut, latents } = own.spec;
      const out = spec.layers && hookOut.endsWith('hook_z') ? weights.layers[2]?.out : undefined;
      const readAt = (x: Float64Array): number => read(out ? through(out, x) : x);
      const x = row(hookIn);
      const acts = encode(own, x);
      const nothing = decode(own, new Float64Array(latents), x);
      acts.forEach((a, latent) => {
        if (a === 0) return;
        const alone = new Float64Array(latents);
        alone[latent] = a;
        expected.set(latent, readAt(decode(own, alone, x).map((y, i) => y - at(nothing, i))));
      });
      bias = readAt(nothing);
      const whole = decode(own, acts, x);
      error = readAt(row(hookOut).map((y, i) => y - at(whole, i)));
    } else {
      const post = row('blocks.1.mlp.hook_post');
      const down = weights.layers[1]?.mlp?.down;
      if (!down) throw new Error('no MLP');
      post.forEach((value, neuron) => {
        if (value > 0)
          expected.set(
            neuron,
            read(
              through(
                down,
                post.map((_, i) => (i === neuron ? value : 0)),
              ),
            ),
          );
      });
    }
    const size = Math.max(...found.parts.map(({ value }) => Math.abs(value)));
    const parts = found.parts.filter(({ latent }) => latent !== undefined);
    expect(new Set(parts.map(({ latent }) => latent))).toEqual(new Set(expected.keys()));
    expect(parts.length).toBeGreaterThan(5);
    for (const { latent = -1, value } of parts)
      expect(Math.abs(value - (expected.get(latent) ?? NaN)) / size, `latent ${latent}`).toBeLessThan(GOLDEN);
    const part = (name: string): number => found.parts.find((each) => each.name === name)?.value ?? NaN;
    if (wanted) {
      expect(Math.abs(part('dictionary bias') - bias) / size).toBeLessThan(GOLDEN);
      expect(Math.abs(part('dictionary error') - error) / size).toBeLessThan(GOLDEN);
    }
    // All of it is the logit difference, which GPT-2's head has no bias to add to.
    const total = found.parts.reduce((sum, { value }) => sum + value, 0);
    const logits = opened().fixture.golden.get('1/logits');
    const logit = (token: number): number => logits?.data[position * spec.vocabOut + token] ?? NaN;
    expect(Math.abs(total - found.total) / size).toBeLessThan(SUMS);
    expect(Math.abs(found.total - (logit(correct) - logit(wrong))) / size).toBeLessThan(GOLDEN);

    // A few latents by name, the others together; and under an edit of what is read, still the logit.
    const few = await bench.engine.attribute({ ...request, dictionary, top: 3 });
    expect(few.parts.filter(({ latent }) => latent !== undefined)).toEqual(parts.slice(0, 3));
    const edits = [add('blocks.1.hook_resid_pre', vector(dModel, 4), { scale: 0.5 }), add('blocks.2.hook_resid_post', vector(dModel, 5))];
    const edited = await bench.engine.attribute({ ...request, dictionary, edits });
    const moved = edited.parts.reduce((sum, { value }) => sum + value, 0);
    expect(Math.abs(moved - edited.total) / size).toBeLessThan(SUMS);
    expect(Math.abs(edited.total - found.total)).toBeGreaterThan(1e-2);
  });
}
