/**
 * A survey against encoding every sequence and sorting: counts, sums, the strongest, histograms, what is active together. Left and gone on with, kept and
 * taken up by another engine, or read at once: the same. And a latent of hook_z is the sum of its heads, and of the positions that they attended to.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Dashboard, SurveyRequest } from '../../workers/api';
import { Engine } from '../../workers/engine';
import { shaders } from '../../workers/gpu/shaders';
import { noLocks } from '../../workers/library/locks';
import { openTensors } from '../../workers/library/tensors';
import { openBench, run, VARIANTS, type Bench } from '../support/engine';
import { textLab, type TextLab } from '../support/lab';
import { refusal } from '../unit/refusal';
import { EVALUATIONS, loadEvaluation, type EvaluationName } from './eval-fixtures';
import { loadFixture } from './fixture';

const CONTEXT = 11;

let bench: Bench;
let lab: TextLab;
let texts: string[];
const dictionaries = new Map<EvaluationName, string>();
beforeAll(async () => {
  const fixture = await loadFixture('gpt2-odd');
  bench = await openBench(fixture.files);
  lab = textLab(bench);
  for (const name of EVALUATIONS) {
    const opened = await bench.files.open((await loadEvaluation(name)).files, name);
    dictionaries.set(name, opened.dictionaries[0]?.id ?? '');
  }
  // Texts of which no two are alike, out of what the tokeniser knows.
  const { pieces, special } = await bench.files.vocabulary(bench.record.id);
  const words = pieces.filter((_, id) => !special.includes(id));
  let state = 1;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  texts = Array.from({ length: 14 }, () =>
    Array.from({ length: 4 + Math.floor(60 * next()) }, () => words[Math.floor(next() * words.length)]).join(''),
  );
});

const idOf = (name: EvaluationName): string => dictionaries.get(name) ?? '';

interface Brute {
  sequences: number[][];
  /** Active latents of every token that counts, by place. */
  rows: { place: number; sequence: number; position: number; pairs: [number, number][] }[];
}
async function brute(dictionary: string, given: readonly string[], context: number): Promise<Brute> {
  const { special, bos } = await bench.files.vocabulary(bench.record.id);
  const record = await bench.files.dictionary(dictionary);
  await bench.engine.attach(record, 'attach');
  const head = record.spec.contract.prependBos && bos !== undefined ? [bos] : [];
  const sequences: number[][] = [];
  const rows: Brute['rows'] = [];
  let place = 0;
  for (const each of given) {
    const { ids } = await bench.files.tokenize(bench.record.id, each, false);
    for (let at = 0; at < ids.length; at += context - head.length) {
      const sequence = [...head, ...ids.slice(at, at + context - head.length)];
      const { rows: found, truncated } = await bench.engine.encode({ dictionary, ids: sequence, edits: [] }, 'encode');
      expect(truncated).toBe(false);
      sequence.forEach((token, position) => {
        if (!special.includes(token))
          rows.push({ place: place + position, sequence: sequences.length, position, pairs: found[position] ?? [] });
      });
      place += sequence.length;
      sequences.push(sequence);
    }
  }
  return { sequences, rows };
}

/** Sequences of fewer rows than a batch's first kernel serves are read alone by `encode` and beside others by a survey: equal to rounding. */
const near = (a: number, b: number): void => expect(Math.abs(a - b)).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(b)));

describe.each(EVALUATIONS)('%s', (name) => {
  let expected: Brute;
  const of = (latent: number) =>
    expected.rows.flatMap(({ pairs, ...where }) => pairs.flatMap(([other, value]) => (other === latent ? [{ ...where, value }] : [])));

  beforeAll(async () => {
    expected = await brute(idOf(name), texts, CONTEXT);
  });

  test('counts what encoding every sequence counts', async () => {
    const told: number[] = [];
    const survey = await lab.survey({ dictionary: idOf(name), text: texts, context: CONTEXT }, { progress: (done) => told.push(done) });
    expect(survey).toMatchObject({ tokens: expected.rows.length, of: expected.rows.length, finished: true, context: CONTEXT, skipped: 0 });
    expect(survey.sequences).toBe(expected.sequences.length);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told.at(-1)).toBe(expected.rows.length);
    const { latents } = (await bench.files.dictionary(idOf(name))).spec;
    expect(survey.density).toHaveLength(latents);
    for (let latent = 0; latent < latents; latent++) {
      near(survey.density[latent] ?? NaN, of(latent).length / expected.rows.length);
      near(survey.max[latent] ?? NaN, Math.max(0, ...of(latent).map(({ value }) => value)));
    }
    const all = expected.rows.flatMap(({ pairs }) => pairs);
    near(survey.l0, all.length / expected.rows.length);
    near(survey.l1, all.reduce((sum, [, value]) => sum + value, 0) / expected.rows.length);
    expect((await lab.surveys(idOf(name))).map(({ id }) => id)).toEqual([survey.id]);
  });

  test('a latent’s dashboard is what sorting gives', async () => {
    const { latents } = (await bench.files.dictionary(idOf(name))).spec;
    let live = 0;
    for (let latent = 0; latent < latents; latent += 9) {
      const seen = of(latent);
      const found = await lab.dashboard({ dictionary: idOf(name), latent, examples: 6 });
      expect([found.count, found.latent]).toEqual([seen.length, latent]);
      if (seen.length === 0) {
        expect([found.bins, found.coactive, found.sampled]).toEqual([[], [], 0]);
        continue;
      }
      live++;
      near(found.mean, seen.reduce((sum, { value }) => sum + value, 0) / seen.length);
      expect(found.histogram.reduce((sum, { count }) => sum + count, 0)).toBe(seen.length);
      const [top, ...fifths] = found.bins;
      const strongest = [...seen].sort((a, b) => b.value - a.value || a.place - b.place).slice(0, 24);
      expect(top?.examples).toHaveLength(strongest.length);
      top?.examples.forEach((example, i) => near(example.value, strongest[i]?.value ?? NaN));
      for (const { examples, from, to } of fifths) {
        expect(examples.length).toBeLessThanOrEqual(6);
        for (const { value } of examples) expect(value > from && value <= to).toBe(true);
      }
      expect(fifths.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 6);
      for (const { sequence, position, value, tokens, values } of found.bins.flatMap(({ examples }) => examples)) {
        expect(tokens.map(({ id }) => id)).toEqual(expected.sequences[sequence]);
        near(values[position] ?? NaN, value);
        for (const [at, each] of values.entries())
          near(each, seen.find((row) => row.sequence === sequence && row.position === at)?.value ?? 0);
      }
      if (found.sampled === seen.length) exact(found, latent, seen);
    }
    expect(live).toBeGreaterThan(3);
  });

  /** Where every position was drawn, what is told of others is no estimate. */
  function exact({ coactive, bins, max }: Dashboard, latent: number, seen: ReturnType<typeof of>): void {
    const places = new Set(seen.map(({ place }) => place));
    const rows = expected.rows.filter(({ place }) => places.has(place));
    for (const { latent: other, together, lift } of coactive) {
      expect(other).not.toBe(latent);
      const share = rows.filter(({ pairs }) => pairs.some(([each]) => each === other)).length / rows.length;
      near(together, share);
      near(lift, share / (of(other).length / expected.rows.length));
    }
    for (const { from, to, share } of bins.slice(1)) {
      const inside = seen.filter(({ value }) => value > from && value <= to && value <= max * (1 + 1e-5)).length;
      expect(Math.abs(share - inside / seen.length)).toBeLessThanOrEqual(1.5 / seen.length);
    }
  }
});

test('shares and others are exact where every position was drawn', async () => {
  const few = texts.slice(0, 1);
  const dictionary = idOf('topk-mlp-out');
  const survey = await lab.survey({ dictionary, text: few, context: CONTEXT });
  const { rows } = await brute(dictionary, few, CONTEXT);
  let checked = 0;
  for (let latent = 0; latent < survey.density.length; latent += 5) {
    const mine = rows.filter(({ pairs }) => pairs.some(([each]) => each === latent));
    const { sampled, count, coactive } = await lab.dashboard({ dictionary, latent, text: survey.text });
    if (count === 0 || sampled !== count) continue;
    checked++;
    const others = new Map<number, number>();
    for (const { pairs } of mine) for (const [other] of pairs) others.set(other, (others.get(other) ?? 0) + 1);
    const told = new Map(coactive.map((each) => [each.latent, each.together]));
    const over = (other: number): number => (others.get(other) ?? 0) / count - (survey.density[other] ?? 0);
    const expected = [...others.keys()]
      .filter((other) => other !== latent && over(other) > 1e-6)
      .sort((a, b) => over(b) - over(a) || a - b);
    expect(told.size).toBe(Math.min(20, expected.length));
    for (const [other, together] of told) near(together, (others.get(other) ?? NaN) / count);
  }
  expect(checked).toBeGreaterThan(3);
});

describe('left and gone on with', () => {
  const request = (): SurveyRequest => ({ dictionary: idOf('standard-resid'), text: [...texts, 'and one more'], context: CONTEXT });
  const everything = async (from: TextLab): Promise<unknown> => {
    const [survey] = await from.surveys(idOf('standard-resid'));
    const latents = [0, 5, 9, 14];
    const boards = [];
    for (const latent of latents) boards.push(await from.dashboard({ dictionary: idOf('standard-resid'), latent }));
    return [survey, boards];
  };

  test('it is the one that was never left; after a reload too; and more tokens go on from there', async () => {
    await lab.survey({ ...request(), again: true });
    const whole = await everything(lab);
    await bench.files.remove((await lab.surveys(idOf('standard-resid')))[0]?.id ?? '');
    const stop = new AbortController();
    let stopped = 0;
    const error = await refusal(() =>
      lab.survey(
        { ...request(), again: true },
        {
          signal: stop.signal,
          progress: (done) => {
            if (done > 0 && !stop.signal.aborted) {
              stopped = done;
              stop.abort();
            }
          },
        },
      ),
    );
    expect(error.code).toBe('cancelled');
    const [left] = await lab.surveys(idOf('standard-resid'));
    expect(left).toMatchObject({ tokens: stopped, finished: false });
    // Another engine, which knows nothing but what was kept.
    const engine = new Engine({ gpu: () => navigator.gpu as GPU | undefined, shaders, openTensors: (each) => openTensors(each, noLocks) });
    await engine.start({ variants: VARIANTS[0] });
    const vocabulary = await bench.files.vocabulary(bench.record.id);
    await engine.use(bench.record, { weights: 'stored' }, vocabulary.special, 'use');
    const later = textLab({ ...bench, engine });
    const some = await later.survey({ ...request(), tokens: stopped + 1 });
    expect(some.tokens).toBeGreaterThan(stopped);
    expect(some.finished).toBe(true);
    await later.survey(request());
    expect(await everything(later)).toEqual(whole);
    await engine.unload(bench.record.id);
  });

  test('asked for again, what is there is given without reading', async () => {
    const before = (await bench.engine.device()).counters.dispatches;
    const survey = await lab.survey(request());
    expect((await bench.engine.device()).counters.dispatches).toBe(before);
    expect(survey.finished).toBe(true);
  });

  test('under another contract it starts anew, and what was kept goes', async () => {
    const dictionary = idOf('standard-resid');
    const [before] = await lab.surveys(dictionary);
    const { spec } = await bench.files.dictionary(dictionary);
    await bench.files.overrideContract(dictionary, { residual: spec.contract.residual === 'raw' ? 'centred' : 'raw' });
    expect(await lab.surveys(dictionary)).toEqual([]);
    expect((await refusal(() => lab.dashboard({ dictionary, latent: 0 }))).code).toBe('survey-missing');
    const after = await lab.survey(request());
    expect(after.id).not.toBe(before?.id);
    expect(after.finished).toBe(true);
    await bench.files.overrideContract(dictionary, { residual: spec.contract.residual });
    expect((await lab.surveys(dictionary)).some(({ id }) => id === before?.id)).toBe(false);
  });
});

test('a latent of hook_z is its heads, and what they attended to', async () => {
  const dictionary = idOf('jumprelu-z');
  const record = await bench.files.dictionary(dictionary);
  const { hookIn, latents } = record.spec;
  const survey = await lab.survey({ dictionary, text: texts, context: CONTEXT });
  const heads = bench.record.info.heads;
  let checked = 0;
  for (let latent = 0; latent < latents; latent += 11) {
    const { bins, heads: all, count } = await lab.dashboard({ dictionary, latent, text: survey.text });
    if (count === 0) continue;
    const [top] = bins;
    expect(all?.mean).toHaveLength(heads);
    top?.examples.forEach(({ heads: shares = [], sources = [], value, position }) => {
      // JumpReLU: where it is active, the activation is the pre-activation.
      const sum = shares.reduce((a, b) => a + b, 0);
      near(sum + (all?.bias ?? NaN), value);
      expect(sources).toHaveLength(position + 1);
      near(
        sources.reduce((a, b) => a + b, 0),
        sum,
      );
      checked++;
    });
    all?.mean.forEach((mean, h) => {
      const examples = top?.examples ?? [];
      near(mean, examples.reduce((sum, each) => sum + (each.heads?.[h] ?? NaN), 0) / examples.length);
    });
  }
  expect(checked).toBeGreaterThan(10);
  expect(hookIn).toMatch(/hook_z$/);
});

test('layers above the dictionary are not computed', async () => {
  const { layers } = bench.record.info;
  const hook = `blocks.0.hook_resid_pre`;
  const planned = async (logits: 'none' | 'last') =>
    (await bench.engine.explainRun(run([1, 2, 3], { taps: [hook], logits }))).map((each) => each.hook);
  expect(layers).toBeGreaterThan(1);
  expect((await planned('none')).some((each) => each?.startsWith('blocks.0.attn'))).toBe(false);
  expect((await planned('last')).some((each) => each?.startsWith(`blocks.${layers - 1}.`))).toBe(true);
});
