/**
 * Our engine beside onnxruntime-web on one model. First the logits must agree; then both are timed in turn (A, B, B, A), so that a machine
 * that slows down slows both, and medians are compared. Each measure is what a person waits for: result in JS memory, choice included.
 */
import type { Engine } from '../workers/engine';
import { compareRows } from '../tests/golden/compare';
import { promptOf, type Shape } from './model';
import { median } from './numbers';
import type { OnnxGpt2 } from './onnxruntime';
import { greedy, logitsOf } from './ours';

export const TOLERANCE = 1e-4;
export type Say = (line: string) => void;

export interface Effort {
  /** Prompts to read, in tokens. */
  lengths: readonly number[];
  rounds: number;
  tokens: number;
}
export interface Measure {
  what: string;
  ours: number;
  theirs: number;
  /** ours / theirs: below 1, we are faster. */
  ratio: number;
  /** Ratio of the fastest samples: what is left when other work on the machine is taken out. */
  fastest: number;
  samples: number;
}

const milliseconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return performance.now() - start;
};

/** Largest error of any row of logits, over the row's largest value. Rejects where it is too large to go on. */
export async function agreement(engine: Engine, onnx: OnnxGpt2, shape: Shape): Promise<number> {
  const ids = promptOf(shape, 16);
  const [ours, theirs] = [await logitsOf(engine, ids, 'all'), await onnx.all(ids)];
  const found = compareRows(ours, theirs, shape.vocab, TOLERANCE);
  if (!found.within)
    throw new Error(`Logits differ from onnxruntime's (${onnx.provider}): ${found.worst} of the row's scale. Nothing is timed.`);
  return found.worst;
}

/**
 * Milliseconds a decoded token takes after the warm-up, on average over a sequence: two tokens are under way at a time, so that a single
 * one may be there at once and the next be waited for twice as long. The last one taken is the last one computed, so that nothing of ours
 * runs into the other's turn.
 */
export async function decodeOurs(engine: Engine, ids: readonly number[], tokens: number): Promise<Decoded> {
  const id = await engine.open(greedy(ids, WARM + tokens));
  const chosen: number[] = [];
  let start = 0;
  try {
    while (chosen.length < WARM + tokens) {
      const step = await engine.next(id);
      if ('ended' in step) throw new Error(`The generation ended early (${step.ended}).`);
      if (chosen.push(step.steered.id) === WARM) start = performance.now();
    }
    return { milliseconds: (performance.now() - start) / tokens, chosen };
  } finally {
    await engine.close(id);
  }
}

async function decodeTheirs(onnx: OnnxGpt2, ids: readonly number[], tokens: number): Promise<Decoded> {
  const chosen: number[] = [];
  let start = 0;
  let end = 0;
  for await (const token of onnx.generate(ids)) {
    end = performance.now();
    if (chosen.push(token) === WARM) start = end;
    if (chosen.length === WARM + tokens) break;
  }
  return { milliseconds: (end - start) / tokens, chosen };
}

interface Decoded {
  milliseconds: number;
  chosen: number[];
}
/** Tokens that are not counted: the first reads the prompt, and two may be under way when the count begins. */
const WARM = 3;

export async function sideBySide(
  engine: Engine,
  onnx: OnnxGpt2,
  shape: Shape,
  { lengths, rounds, tokens }: Effort,
  say: Say,
): Promise<Measure[]> {
  const out: Measure[] = [];
  for (const length of lengths) {
    const ids = promptOf(shape, length);
    const ours = (): Promise<Float32Array> => logitsOf(engine, ids, 'last');
    const theirs = (): Promise<Float32Array> => onnx.prefill(ids);
    await ours();
    await theirs();
    const [a, b]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      a.push(await milliseconds(ours));
      b.push(await milliseconds(theirs));
      b.push(await milliseconds(theirs));
      a.push(await milliseconds(ours));
    }
    out.push(measure(`prefill ${length} tokens`, a, b));
    say(line(out.at(-1)));
  }
  const ids = promptOf(shape, 16);
  const [a, b]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const first = [await decodeOurs(engine, ids, tokens), await decodeTheirs(onnx, ids, tokens)] as const;
    if (round === 0 && first[0].chosen.join() !== first[1].chosen.join())
      throw new Error(`Greedy tokens differ: ours ${first[0].chosen.join()}, theirs ${first[1].chosen.join()}.`);
    b.push(first[1].milliseconds, (await decodeTheirs(onnx, ids, tokens)).milliseconds);
    a.push(first[0].milliseconds, (await decodeOurs(engine, ids, tokens)).milliseconds);
  }
  out.push(measure('decode, a token', a, b));
  say(line(out.at(-1)));
  return out;
}

function measure(what: string, ours: readonly number[], theirs: readonly number[]): Measure {
  const [a, b] = [median(ours), median(theirs)];
  return { what, ours: a, theirs: b, ratio: a / b, fastest: Math.min(...ours) / Math.min(...theirs), samples: ours.length };
}

const line = (each: Measure | undefined): string =>
  each ? `${each.what}: ours ${each.ours.toFixed(1)} ms, theirs ${each.theirs.toFixed(1)} ms, ratio ${each.ratio.toFixed(2)}` : '';
