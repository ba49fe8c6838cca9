/**
 * How each published figure is measured here, through `window.lab` alone: what a script would write. Each run gives its rows' numbers in the order of figures.ts.
 * Averages are TransformerLens's: recovery is the ratio of the mean differences over the prompts, not the mean of ratios.
 */
import type { Lab, Metric, SweepRequest } from '../../../workers/api';
import { throwIfAborted } from '../../../workers/errors';
import { CHICKEN, EIGHT, END, MILK, MILK_MARY, SECOND_NAME, type IndirectObject } from './prompts';
import type { RunName } from './figures';

export interface Measuring {
  lab: Lab;
  signal: AbortSignal;
  progress(done: number, of: number): void;
}
type Run = (call: Measuring) => Promise<number[]>;

const difference = ({ correct, wrong }: IndirectObject): Metric => ({ kind: 'logit-diff', correct, wrong });
const mean = (all: readonly number[]): number => all.reduce((sum, each) => sum + each, 0) / all.length;

/** One after the other, with progress and a stop between them. */
async function each<T, U>({ signal, progress }: Measuring, all: readonly T[], work: (one: T) => Promise<U>): Promise<U[]> {
  const out: U[] = [];
  for (const one of all) {
    throwIfAborted(signal);
    progress(out.length, all.length);
    out.push(await work(one));
  }
  progress(all.length, all.length);
  return out;
}

const loss: Run = async ({ lab }) => {
  const nats = await lab.loss({ prompt: 'Hello world!', bos: true });
  return [mean([...nats])];
};

async function lastLogits(lab: Lab, prompt: string, edits?: Parameters<Lab['run']>[0]['edits']): Promise<Float32Array> {
  const { logits } = await lab.run({ prompt, bos: true, logits: 'last', ...(edits ? { edits } : {}) });
  return logits?.data ?? new Float32Array(0);
}
async function tokens(lab: Lab, names: readonly string[]): Promise<number[]> {
  return Promise.all(names.map(async (name) => (await lab.token(name)).id));
}
async function differenceOf(
  lab: Lab,
  { clean, correct, wrong }: IndirectObject,
  edits?: Parameters<Lab['run']>[0]['edits'],
): Promise<number> {
  const [right = -1, other = -1] = await tokens(lab, [correct, wrong]);
  const logits = await lastLogits(lab, clean, edits);
  return (logits[right] ?? NaN) - (logits[other] ?? NaN);
}

function softmaxAt(logits: Float32Array, at: number): number {
  const high = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, x) => total + Math.exp(x - high), 0);
  return Math.exp((logits[at] ?? NaN) - high) / sum;
}

/** A grid of the eight prompts, each with its own two names, clean activations into the corrupted run: recovery cell by cell, the mean differences' ratio. */
async function recovery(
  { lab, signal, progress }: Measuring,
  over: SweepRequest['over'],
  grid: SweepRequest['grid'],
): Promise<(...at: number[]) => number> {
  const [first, ...rest] = EIGHT.map((one) => ({ clean: one.clean, corrupted: one.corrupted, metric: difference(one) }));
  if (!first) return () => NaN;
  const { raw, clean, corrupted } = await lab.sweep(
    { ...first, pairs: rest, bos: true, direction: 'denoise', over, grid },
    { signal, progress },
  );
  return (...at) => {
    const index = at.reduce((sum, i, axis) => sum * (raw.shape[axis] ?? 1) + i, 0);
    return ((raw.data[index] ?? NaN) - corrupted) / (clean - corrupted);
  };
}

/** By name, the mean of each part over the eight prompts. */
async function attributed(call: Measuring, by: 'layer' | 'head'): Promise<Map<string, number>> {
  const all = await each(call, EIGHT, (one) => call.lab.attribute({ prompt: one.clean, bos: true, metric: difference(one), by }));
  const sums = new Map<string, number>();
  for (const { parts } of all) for (const { name, value } of parts) sums.set(name, (sums.get(name) ?? 0) + value / all.length);
  return sums;
}

const WITHOUT_NINE = [{ kind: 'replace', at: 'blocks.9.attn.hook_z', head: 9, value: 'zero' }] as const;

export const RUNS: Readonly<Record<RunName, Run>> = {
  'hello-gpt2': loss,
  'hello-pythia': loss,
  'hello-neo': loss,
  chicken: async ({ lab }) => {
    const { id } = await lab.token(' road');
    const { rank } = await lab.lens({ prompt: CHICKEN, kind: 'logit', top: 1, track: id });
    return (rank ?? []).map((layer) => layer.at(-1) ?? NaN);
  },
  'ioi-logits': async ({ lab }) => {
    const ids = await tokens(lab, [' Mary', ' the', ' John']);
    const logits = await lastLogits(lab, MILK);
    return [...ids.map((id) => logits[id] ?? NaN), softmaxAt(logits, ids[0] ?? -1)];
  },
  'ioi-differences': async (call) => {
    const all = await each(call, EIGHT, (one) => differenceOf(call.lab, one));
    return [...all, mean(all)];
  },
  'main-pair': async ({ lab }) => {
    const names = { corrupted: '', correct: ' John', wrong: ' Mary' };
    return [await differenceOf(lab, { ...names, clean: MILK_MARY }), await differenceOf(lab, { ...names, clean: MILK })];
  },
  'resid-patching': async (call) => {
    const stream = await recovery(call, 'resid_pre', 'layer-position');
    const attention = await recovery(call, 'attn_out', 'layer-position');
    const mlp = await recovery(call, 'mlp_out', 'layer-position');
    return [
      ...[0, 4, 8].map((layer) => stream(layer, SECOND_NAME)),
      ...[8, 9, 10].map((layer) => stream(layer, END)),
      ...[8, 11].map((layer) => attention(layer, END)),
      mlp(0, SECOND_NAME),
    ];
  },
  'head-patching': async (call) => {
    const z = await recovery(call, 'z', 'layer-head');
    const v = await recovery(call, 'v', 'layer-head');
    const pattern = await recovery(call, 'pattern', 'layer-head');
    return [
      ...[z(10, 7), z(5, 5), z(8, 6), z(11, 10), z(8, 10), z(9, 9), z(7, 9)],
      ...[v(8, 6), v(8, 10), v(7, 9)],
      ...[pattern(10, 7), pattern(5, 5), pattern(11, 10), pattern(9, 9)],
    ];
  },
  'head-scores': async ({ lab, signal }) => {
    const { induction, previous, duplicate } = await lab.headScores({}, { signal });
    const at = ({ shape, data }: typeof induction, layer: number, head: number) => data[layer * (shape[1] ?? 1) + head] ?? NaN;
    return [
      ...[at(induction, 5, 1), at(induction, 6, 9), at(induction, 5, 5), at(induction, 7, 10), at(induction, 7, 2)],
      at(previous, 4, 11),
      ...[at(duplicate, 0, 5), at(duplicate, 3, 0)],
    ];
  },
  'dla-layers': async (call) => {
    const parts = await attributed(call, 'layer');
    const of = (name: string) => parts.get(name) ?? NaN;
    return [...[7, 8, 9, 10, 11].map((layer) => of(`L${layer} attention`)), ...[9, 10, 11].map((layer) => of(`L${layer} MLP`))];
  },
  'dla-heads': async (call) => {
    const parts = await attributed(call, 'head');
    return ['L9H9', 'L10H7', 'L9H6', 'L11H10', 'L10H0', 'L10H10', 'L11H2'].map((name) => parts.get(name) ?? NaN);
  },
  ablation: async (call) => {
    const whole = await each(call, EIGHT, (one) => differenceOf(call.lab, one));
    const without = await each(call, EIGHT, (one) => differenceOf(call.lab, one, [...WITHOUT_NINE]));
    return [mean(whole), mean(without)];
  },
};
