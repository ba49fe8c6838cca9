/**
 * A long pass on a trained model: stories260K over TinyStories, a random dictionary of 768 latents. Cancelled half-way and gone on with; what it kept of some
 * latents is held against encoding every sequence of a stretch of it. LOUPE_SURVEY_TOKENS says how many tokens (1000000: some minutes on a software renderer).
 */
import { expect, test } from 'vitest';
import type { OpenedFile } from '../../workers/contract';
import { openBench } from '../support/engine';
import { textLab } from '../support/lab';
import { numbers } from '../support/numbers';
import { sharedData, whySkipped } from '../support/shared';
import { refusal } from '../unit/refusal';
import { f32, opened, safetensors } from '../unit/safetensors-writer';

declare const __SURVEY_TOKENS__: number;

const FILES = ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
const [WIDTH, LATENTS, CONTEXT] = [64, 768, 128];

async function fetched(path: string): Promise<OpenedFile> {
  const response = await fetch(`${sharedData}${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return { path, file: new File([await response.arrayBuffer()], path.split('/').pop() ?? path) };
}

/** Rows and biases such that some thirty latents are active at a position. */
function dictionary(): OpenedFile[] {
  const matrix = numbers(WIDTH * LATENTS, 5, 1.5 / Math.sqrt(WIDTH));
  return [
    opened('random/cfg.json', {
      ...{ architecture: 'jumprelu', d_in: WIDTH, d_sae: LATENTS, dtype: 'float32', device: 'cpu' },
      ...{ apply_b_dec_to_input: false, normalize_activations: 'layer_norm', reshape_activations: 'none' },
      metadata: { model_name: 'stories260K', hook_name: 'blocks.2.hook_resid_pre', prepend_bos: true, sae_lens_version: '6.18.0' },
    }),
    opened(
      'random/sae_weights.safetensors',
      safetensors([
        f32('W_enc', [WIDTH, LATENTS], (i) => matrix[i] ?? 0),
        f32('W_dec', [LATENTS, WIDTH], (i) => matrix[(i % WIDTH) * LATENTS + Math.floor(i / WIDTH)] ?? 0),
        f32('b_enc', [LATENTS], () => -1),
        f32('b_dec', [WIDTH], () => 0),
        f32('threshold', [LATENTS], () => 0.5),
      ]),
    ),
  ];
}

test.skipIf(sharedData === undefined)(
  `a pass over ${__SURVEY_TOKENS__} tokens (${whySkipped})`,
  async () => {
    const bench = await openBench(await Promise.all(FILES.map((name) => fetched(`stories260K/${name}`))));
    const lab = textLab(bench);
    const drop = [...dictionary(), await fetched('text/tinystories_1000.json'), await fetched('text/tinyshakespeare.txt')];
    const { dictionaries, texts } = await bench.files.open(drop, 'open');
    const id = dictionaries[0]?.id ?? '';
    const text = texts.find(({ format }) => format === (__SURVEY_TOKENS__ > 200_000 ? 'txt' : 'json'))?.id ?? '';
    const request = { dictionary: id, text, tokens: __SURVEY_TOKENS__, context: CONTEXT };
    const stop = new AbortController();
    let aborted = 0;
    const half = (done: number): void => {
      if (done < __SURVEY_TOKENS__ / 2 || stop.signal.aborted) return;
      aborted = performance.now();
      stop.abort();
    };
    const began = performance.now();
    expect((await refusal(() => lab.survey(request, { signal: stop.signal, progress: half }))).code).toBe('cancelled');
    const waited = performance.now() - aborted;
    const survey = await lab.survey(request);
    const seconds = (performance.now() - began) / 1000;
    console.log(
      `${survey.tokens} tokens in ${seconds.toFixed(1)} s: ${(survey.tokens / seconds).toFixed(0)} tokens/s; cancelled after ${waited.toFixed(0)} ms; L0 ${survey.l0.toFixed(1)}, dead ${survey.dead}`,
    );
    expect(survey.finished).toBe(true);
    expect(survey.l0).toBeGreaterThan(5);

    // By brute force: the same sequences from the same reading, each through encode().
    const { special } = await bench.files.vocabulary(bench.record.id);
    const reading = await bench.files.readText({ model: bench.record.id, text, context: CONTEXT, bos: true });
    const strongest = new Map<number, { sequence: number; position: number; value: number }[]>();
    const counts = new Uint32Array(LATENTS);
    let sequence = 0;
    let tokens = 0;
    const STRETCH = 4000;
    while (tokens < STRETCH) {
      const { ids, lengths, ended } = await bench.files.nextTokens(reading, 1);
      let at = 0;
      for (const length of lengths) {
        const each = Array.from(ids.subarray(at, (at += length)));
        const { rows, truncated } = await bench.engine.encode({ dictionary: id, ids: each, edits: [] }, 'encode');
        expect(truncated).toBe(false);
        each.forEach((token, position) => {
          if (special.includes(token)) return;
          tokens++;
          for (const [latent, value] of rows[position] ?? []) {
            counts[latent] = (counts[latent] ?? 0) + 1;
            const list = strongest.get(latent) ?? [];
            list.push({ sequence, position, value });
            strongest.set(latent, list);
          }
        });
        sequence++;
        if (tokens >= STRETCH) break;
      }
      if (ended) break;
    }
    await bench.files.closeText(reading);
    const sampled = Array.from({ length: Math.ceil(LATENTS / 61) }, (_, i) => 61 * i);
    type Place = { sequence: number; position: number; value: number };
    const seenOf = (latent: number): Place[] =>
      [...(strongest.get(latent) ?? [])].sort((a, b) => b.value - a.value || a.sequence - b.sequence || a.position - b.position);
    const topOf = async (latent: number): Promise<Place[]> =>
      ((await lab.dashboard({ dictionary: id, latent })).bins[0]?.examples ?? []).map(({ sequence: s, position, value, values }) => {
        expect(values[position]).toBe(value);
        return { sequence: s, position, value };
      });
    // The long pass: what its strongest have of the stretch is what the stretch has above the weakest of them.
    for (const latent of sampled) {
      const top = await topOf(latent);
      const least = top.length < 24 ? -1 : (top.at(-1)?.value ?? 0);
      expect(top.filter((each) => each.sequence < sequence && each.value > least)).toEqual(
        seenOf(latent).filter(({ value }) => value > least),
      );
    }
    // And a survey of exactly the stretch.
    const stretch = await lab.survey({ ...request, tokens, context: CONTEXT, again: true });
    expect([stretch.tokens, stretch.sequences]).toEqual([tokens, sequence]);
    let checked = 0;
    for (const latent of sampled) {
      const top = await topOf(latent);
      expect((await lab.dashboard({ dictionary: id, latent })).count).toBe(counts[latent]);
      expect(top).toEqual(seenOf(latent).slice(0, 24));
      checked += top.length;
    }
    expect(checked).toBeGreaterThan(100);
  },
  1_800_000,
);
