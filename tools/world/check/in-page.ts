/**
 * What runs in the page: each function is sent there as it stands, so it names nothing but `window.lab` and what it is given.
 * Only window.lab is used, as a visitor's script would.
 */
import type { Edit, ModelInfo } from '../../../workers/api';
import type { Compared, Continuation, Continued, Told } from './bench';

/** Waits for the bench; opens the files given, or takes what is there. */
export async function ready(files: { name: string; base64: string }[]): Promise<ModelInfo> {
  const { lab } = window;
  await lab.ready;
  if (files.length === 0) {
    const there = lab.model();
    if (!there) throw new Error('lab.ready came and there is no model on the bench.');
    return there;
  }
  const made = files.map(({ name, base64 }) => ({
    path: `lanternwick/${name}`,
    file: new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name),
  }));
  const { models } = await lab.open(made);
  const [model] = models;
  if (!model) throw new Error('The folder holds no model.');
  return lab.use(model.id);
}

export async function recall(asked: Told[]): Promise<{ right: boolean; said: string }[]> {
  const { lab } = window;
  const requests = [];
  for (const { prompt, answer, edits } of asked) {
    const before = (await lab.tokenize(prompt, { bos: true })).ids;
    const whole = (await lab.tokenize(prompt + answer, { bos: true })).ids;
    if (before.some((id, i) => whole[i] !== id)) throw new Error(`“${prompt}” and its answer share a token.`);
    requests.push({ before: before.length, ids: whole, run: { prompt: whole, logits: { top: 1 }, ...(edits ? { edits } : {}) } });
  }
  const results = await lab.batch(requests.map(({ run }) => run));
  const answers = [];
  for (const [i, { before, ids }] of requests.entries()) {
    const likeliest = (results[i]?.top?.ids ?? []).map((row) => row[0] ?? -1).slice(before - 1);
    const after = likeliest.at(-1) ?? -1;
    const goesOn = /^[\p{L}\p{N}]/u.test(await lab.decode([after]));
    const right = !goesOn && ids.slice(before).every((id, k) => likeliest[k] === id);
    answers.push({ right, said: await lab.decode(likeliest) });
  }
  return answers;
}

export async function compare(asked: Compared[]): Promise<{ difference: number; first: boolean }[]> {
  const { lab } = window;
  const ids = new Map<string, number>();
  for (const name of new Set(asked.flatMap(({ right, wrong }) => [right, wrong]))) ids.set(name, (await lab.token(name)).id);
  const results = await lab.batch(asked.map(({ prompt, edits }) => ({ prompt, logits: 'last' as const, ...(edits ? { edits } : {}) })));
  return asked.map(({ right, wrong }, i) => {
    const logits = results[i]?.logits?.data ?? new Float32Array();
    const good = logits[ids.get(right) ?? -1] ?? NaN;
    return { difference: good - (logits[ids.get(wrong) ?? -1] ?? NaN), first: logits.every((logit) => logit <= good) };
  });
}

export async function write(asked: Continued[]): Promise<Continuation[]> {
  const { lab } = window;
  const { bos } = await lab.special();
  const end = bos === undefined ? undefined : (await lab.token(bos)).piece;
  const texts = [];
  for (const { prompt, edits, stop, ...rest } of asked) {
    if (prompt === '' && bos === undefined) throw new Error('The model has no token that begins a text.');
    const generation = lab.generate({
      prompt: prompt === '' ? [bos ?? 0] : prompt,
      ...rest,
      ...(edits ? { edits } : {}),
      ...(stop ? { stop } : {}),
    });
    let tokens = 0;
    for await (const { position } of generation) tokens += Number(position >= 0);
    const [ended, { steered }] = await Promise.all([generation.ended, generation.text()]);
    // The token that ends a text is no part of it.
    texts.push({ text: end !== undefined && steered.endsWith(end) ? steered.slice(0, -end.length) : steered, ended, tokens });
    await generation.close();
  }
  return texts;
}

export async function sums(given: {
  prompts: string[];
  hooks: readonly string[];
  over: 'last' | 'all';
}): Promise<{ sums: number[][]; count: number }[]> {
  const { prompts, hooks, over } = given;
  const results = await window.lab.batch(prompts.map((prompt) => ({ prompt, taps: hooks, logits: 'none' as const })));
  return results.map(({ taps }) => {
    let count = 0;
    const rows = hooks.map((hook) => {
      const { shape, data } = taps[hook] ?? { shape: [0, 0], data: new Float32Array() };
      const [length = 0, width = 0] = shape;
      const sum = new Array<number>(width).fill(0);
      const from = over === 'last' ? length - 1 : 1;
      count = length - from;
      for (let at = from; at < length; at++) for (let i = 0; i < width; i++) sum[i] = (sum[i] ?? 0) + (data[at * width + i] ?? 0);
      return sum;
    });
    return { sums: rows, count };
  });
}

/** The other prompt's resid_pre written in, one layer and position at a time (lab.sweep): the logit difference of every cell. */
export async function patched(given: {
  clean: string;
  corrupted: string;
  right: string;
  wrong: string;
  positions: 'changed' | 'all';
}): Promise<{ pieces: string[]; positions: number[]; cells: number[][]; clean: number; corrupted: number }> {
  const { lab } = window;
  const { ids, pieces } = await lab.tokenize(given.clean, { bos: true });
  const other = (await lab.tokenize(given.corrupted, { bos: true })).ids;
  // Before the first difference nothing can differ: where it is to be shown, those cells are computed too.
  const every = given.positions === 'all';
  const { raw, clean, corrupted } = await lab.sweep({
    clean: ids,
    corrupted: other,
    metric: { kind: 'logit-diff', correct: given.right, wrong: given.wrong },
    direction: 'denoise',
    over: 'resid_pre',
    grid: 'layer-position',
    skip: !every,
  });
  const from = every ? 0 : ids.findIndex((id, i) => other[i] !== id);
  const positions = ids.map((_, i) => i).filter((i) => i >= from);
  const layers = Array.from({ length: raw.shape[0] ?? 0 }, (_, layer) => layer);
  return {
    pieces,
    positions,
    cells: layers.map((layer) => positions.map((p) => raw.data[layer * ids.length + p] ?? NaN)),
    clean,
    corrupted,
  };
}

/** One grid exactly and by attribution patching: recoveries, cell by cell. */
export async function estimated(given: {
  clean: string;
  corrupted: string;
  right: string;
  wrong: string;
  over: 'z' | 'attn_out' | 'mlp_out' | 'resid_pre';
  grid: 'layer-head' | 'layer-position';
}): Promise<{ exact: number[]; estimate: number[] }> {
  const { clean, corrupted, right, wrong, over, grid } = given;
  const metric = { kind: 'logit-diff' as const, correct: right, wrong };
  const request = { clean, corrupted, metric, direction: 'denoise' as const, over, grid };
  const exact = await window.lab.sweep(request);
  const estimate = await window.lab.sweep({ ...request, method: 'attribution' });
  return { exact: [...exact.value.data], estimate: [...estimate.value.data] };
}

/** What is left of the logit difference when every head's z in turn is zeroed beside those that are already: the mean over the prompts, [layer · heads + head]. */
export async function withoutEach(given: {
  prompts: { prompt: string; right: string; wrong: string }[];
  zeroed: Edit[];
}): Promise<number[]> {
  const pairs = given.prompts.map(({ prompt, right, wrong }) => ({
    clean: prompt,
    corrupted: prompt,
    metric: { kind: 'logit-diff' as const, correct: right, wrong },
  }));
  const [first] = pairs;
  if (!first) throw new Error('no prompts');
  const { raw } = await window.lab.sweep({
    ...first,
    pairs: pairs.slice(1),
    edits: given.zeroed,
    direction: 'noise',
    ablate: 'zero',
    over: 'z',
    grid: 'layer-head',
  });
  return [...raw.data];
}

/** The logit difference of a prompt as it is, and with a set of heads' z zeroed together (lab.patchSet). */
export async function withoutSet(given: {
  prompt: string;
  right: string;
  wrong: string;
  heads: (readonly [layer: number, head: number])[];
}): Promise<{ plain: number; without: number }> {
  const { prompt, right, wrong, heads } = given;
  const { clean, raw } = await window.lab.patchSet({
    clean: prompt,
    corrupted: prompt,
    metric: { kind: 'logit-diff', correct: right, wrong },
    direction: 'noise',
    ablate: 'zero',
    parts: heads.map(([layer, head]) => ({ at: `blocks.${layer}.attn.hook_z` as const, head })),
  });
  return { plain: clean, without: raw };
}

/** The dictionaries on the shelf that fit the model in use, once there are so many: the page brings the demo's when it has come to rest. */
export async function shelved(count: number): Promise<{ id: string; name: string; hook: string; latents: number }[]> {
  for (let tries = 0; tries < 120; tries++) {
    const all = await window.lab.dictionaries();
    if (all.length >= count) return all.map(({ id, name, hookOut, latents }) => ({ id, name, hook: hookOut, latents }));
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error(`The shelf does not hold ${count} dictionaries.`);
}

export const evaluated = (given: { dictionary: string; text: string[] }): Promise<Record<string, number>> => window.lab.evaluate(given);

/** Where the latents asked for are active ([row, latent, value] of every text), and which latents were active at all, special tokens aside. */
export async function encodings(given: {
  dictionary: string;
  latents: number[];
  texts: number[][];
}): Promise<{ active: [number, number, number][][]; seen: number[]; positions: number }> {
  const { lab } = window;
  const special = new Set((await lab.special()).ids);
  const asked = new Set(given.latents);
  const seen = new Set<number>();
  const active: [number, number, number][][] = [];
  let positions = 0;
  for (const prompt of given.texts) {
    const { rows, truncated } = await lab.encode({ dictionary: given.dictionary, prompt });
    if (truncated) throw new Error('More latents were active than an encoding lists.');
    const found: [number, number, number][] = [];
    rows.forEach((row, r) => {
      if (special.has(prompt[r] ?? -1)) return;
      positions++;
      for (const [latent, value] of row) {
        seen.add(latent);
        if (asked.has(latent)) found.push([r, latent, value]);
      }
    });
    active.push(found);
  }
  return { active, seen: [...seen], positions };
}
