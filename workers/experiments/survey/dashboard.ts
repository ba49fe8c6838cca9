/**
 * One latent on a survey's text. What the survey counted is exact; what it drew is read through the model once more, for the activations around each
 * example and for what else is active there. A position drawn from a bar of the histogram stands for (positions of the bar / drawn from it) of them
 * (Horvitz and Thompson 1952), so that with weights w over the drawn positions S of latent i
 *
 *   share of a fifth of (0, max]     Σ_{S, value in it} w / Σ_S w
 *   together = P(j active | i)       Σ_{S, j active} w / Σ_S w            lift = together / density of j
 * which are exact where every position was drawn. Fifths of equal width are Neuronpedia's.
 */
import type { EngineDashboard, EngineExample } from '../../contract';
import { LabError } from '../../errors';
import type { LoadedDictionary } from '../../dictionary/load';
import { LIST_HEADER } from '../../kernels/dictionary';
import type { Runtime } from '../../model/runtime';
import { headShares, headTaps, headWeights, sourceShares, type HeadWeights } from './heads';
import { readLists, Room, type SequenceLists } from './lists';
import type { Pass } from './pass';
import { scatter, type LatentTally, type Seen } from './tally';

export interface DashboardCall {
  model: Runtime;
  dictionary: LoadedDictionary;
  pass: Pass;
  counts: (token: number) => boolean;
  latent: number;
  /** Of a bin at most; the first has all of the strongest. */
  examples: number;
  progress?: ((done: number, of: number) => void) | undefined;
  stop?: () => void;
}

/** Others that are told. */
const COACTIVE = 20;
const FIFTHS = 5;
/** Rows read together: few enough that a cancel is prompt. */
const ROWS = 512;

interface Drawn extends Seen {
  weight: number;
}
interface Bin {
  from: number;
  to: number;
  share: number;
  places: number[];
}
/** A sequence that is read again: whole where an example of it is shown, else as far as its last drawn position. */
interface Again {
  sequence: number;
  start: number;
  ids: number[];
  /** Places that are shown, and is one of the strongest among them? */
  shown: Seen[];
  strongest: boolean;
  drawn: Drawn[];
}

export async function dashboard(call: DashboardCall): Promise<EngineDashboard> {
  const { model, dictionary, pass, latent } = call;
  const { latents } = dictionary.spec;
  if (!Number.isInteger(latent) || latent < 0 || latent >= latents)
    throw new LabError('latent-range', `This dictionary has no latent ${latent}; it has ${latents}.`, 'Latents count from 0.');
  const found = pass.tally.of(latent);
  const drawn = drawnOf(found);
  const bins = binsOf(found, drawn, call.examples);
  const [first] = bins;
  const top = new Set(first?.places ?? []);
  const weights = found.count > 0 ? await headWeights(model, dictionary, latent) : undefined;
  const together = new Float64Array(latents);
  const examples = new Map<number, EngineExample>();
  await readAgain(call, againOf(pass, found, bins, drawn), weights, (again, lists) => {
    for (const { place, weight } of again.drawn) addRow(together, lists, place - again.start, weight);
    for (const seen of again.shown) examples.set(seen.place, exampleOf(call, again, seen, lists, weights, top.has(seen.place)));
  });
  const shown = bins.map(({ places, ...rest }) => ({ ...rest, examples: places.flatMap((place) => examples.get(place) ?? []) }));
  const { positions } = pass.tally;
  return {
    density: positions ? found.count / positions : 0,
    count: found.count,
    mean: found.count ? found.sum / found.count : 0,
    max: found.max,
    histogram: histogramOf(found),
    bins: shown,
    coactive: coactiveOf(together, drawn, pass.tally.density(), latent),
    sampled: drawn.length,
    ...(weights && { heads: { mean: meanHeads(shown[0]?.examples ?? [], weights.heads), bias: weights.bias } }),
  };
}

const drawnOf = ({ bars }: LatentTally): Drawn[] =>
  bars.flatMap(({ count, sample }) => sample.map((seen) => ({ ...seen, weight: count / sample.length })));

/** Bars from the first to the last that holds anything. */
function histogramOf({ bars }: LatentTally): EngineDashboard['histogram'] {
  const filled = bars.flatMap(({ count }, i) => (count > 0 ? [i] : []));
  const [first = 0] = filled;
  return bars.slice(first, (filled.at(-1) ?? -1) + 1).map(({ from, to, count }) => ({ from, to, count }));
}

function binsOf({ count, max, top }: LatentTally, drawn: readonly Drawn[], examples: number): Bin[] {
  if (count === 0) return [];
  const total = drawn.reduce((sum, { weight }) => sum + weight, 0);
  const bins: Bin[] = [{ from: top.at(-1)?.value ?? 0, to: max, share: top.length / count, places: top.map(({ place }) => place) }];
  for (let fifth = FIFTHS; fifth > 0; fifth--) {
    const [from, to] = [((fifth - 1) * max) / FIFTHS, (fifth * max) / FIFTHS];
    const inside = drawn.filter(({ value }) => value > from && value <= to);
    if (inside.length === 0) continue;
    // As likely as they stand for many: the smallest of hash / weight.
    const order = inside.sort((a, b) => scatter(a.place) / a.weight - scatter(b.place) / b.weight).slice(0, examples);
    const places = order.sort((a, b) => b.value - a.value || a.place - b.place).map(({ place }) => place);
    bins.push({ from, to, share: inside.reduce((sum, { weight }) => sum + weight, 0) / total, places });
  }
  return bins;
}

function againOf({ tokens }: Pass, found: LatentTally, bins: readonly Bin[], drawn: readonly Drawn[]): Again[] {
  const values = new Map([...found.top, ...drawn].map((each) => [each.place, each]));
  const all = new Map<number, Again>();
  const of = (place: number): Again => {
    const { sequence, start, ids } = tokens.at(place);
    const known = all.get(sequence) ?? { sequence, start, ids, shown: [], strongest: false, drawn: [] };
    all.set(sequence, known);
    return known;
  };
  for (const place of new Set(bins.flatMap(({ places }) => places))) {
    const seen = values.get(place);
    if (seen) of(place).shown.push(seen);
  }
  for (const place of bins[0]?.places ?? []) of(place).strongest = true;
  for (const each of drawn) of(each.place).drawn.push(each);
  for (const each of all.values())
    if (each.shown.length === 0) each.ids.length = Math.max(...each.drawn.map(({ place }) => place)) - each.start + 1;
  return [...all.values()];
}

async function readAgain(
  { model, dictionary, counts, progress, stop }: DashboardCall,
  all: readonly Again[],
  weights: HeadWeights | undefined,
  each: (again: Again, lists: SequenceLists) => void,
): Promise<void> {
  const room = new Room(dictionary);
  let done = 0;
  // Patterns are large and open a layer's attention: asked for where they are shown.
  const tapsOf = ({ shown, strongest }: Again): string[] => (weights && shown.length > 0 ? headTaps(weights, strongest) : []);
  const groups = Map.groupBy(all, (again) => tapsOf(again).length);
  for (const group of groups.values())
    for (const some of inBatches(group)) {
      stop?.();
      const sequences = some.map(({ ids }) => ids);
      const lists = await readLists(model, dictionary, sequences, counts, room, some[0] ? tapsOf(some[0]) : []);
      some.forEach((again, i) => {
        const found = lists[i];
        if (found) each(again, found);
      });
      done += some.length;
      progress?.(done, all.length);
    }
}

function inBatches(all: readonly Again[]): Again[][] {
  const batches: Again[][] = [];
  let rows = ROWS;
  for (const again of all) {
    if (rows + again.ids.length > ROWS) {
      batches.push([]);
      rows = 0;
    }
    batches.at(-1)?.push(again);
    rows += again.ids.length;
  }
  return batches;
}

function addRow(into: Float64Array, { words, stride }: SequenceLists, row: number, weight: number): void {
  const listed = words[row * stride + 1] ?? 0;
  for (let j = 0, at = row * stride + LIST_HEADER; j < listed; j++, at += 2) {
    const other = words[at] ?? 0;
    into[other] = (into[other] ?? 0) + weight;
  }
}

/** A latent's activation in a row; 0 where it is not listed. */
function activation({ words, values, stride }: SequenceLists, row: number, latent: number): number {
  const listed = words[row * stride + 1] ?? 0;
  for (let j = 0, at = row * stride + LIST_HEADER; j < listed; j++, at += 2) if (words[at] === latent) return values[at + 1] ?? 0;
  return 0;
}

function exampleOf(
  { latent, counts }: DashboardCall,
  { sequence, start, ids }: Again,
  { place, value }: Seen,
  lists: SequenceLists,
  weights: HeadWeights | undefined,
  top: boolean,
): EngineExample {
  const position = place - start;
  const sources = weights && top ? sourceShares(weights, lists.taps, position) : undefined;
  return {
    sequence,
    position,
    value,
    ids,
    values: ids.map((token, r) => (counts(token) ? activation(lists, r, latent) : 0)),
    ...(weights && { heads: headShares(weights, lists.taps, position) }),
    ...(sources && { sources }),
  };
}

function coactiveOf(together: Float64Array, drawn: readonly Drawn[], density: Float32Array, latent: number): EngineDashboard['coactive'] {
  const total = drawn.reduce((sum, { weight }) => sum + weight, 0);
  const over = (j: number): number => (together[j] ?? 0) / total - (density[j] ?? 0);
  const others = [...together.keys()].filter((j) => j !== latent && over(j) > 0);
  return others
    .sort((a, b) => over(b) - over(a) || a - b)
    .slice(0, COACTIVE)
    .map((j) => ({ latent: j, together: (together[j] ?? 0) / total, lift: (together[j] ?? 0) / total / (density[j] ?? NaN) }));
}

const meanHeads = (examples: readonly EngineExample[], heads: number): number[] =>
  Array.from({ length: heads }, (_, h) => examples.reduce((sum, each) => sum + (each.heads?.[h] ?? 0), 0) / Math.max(1, examples.length));
