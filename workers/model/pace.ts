/**
 * How fast this device works, measured as it works, and programs run in submissions short enough that a cancel is heard at once and no driver's watchdog bites.
 * What an operation costs is told from its plan: its floating-point operations, and the bytes that it moves. A projection that would be too long by itself is cut
 * into parts of its outputs, each of which is the same sum as before.
 */
import type { Dispatch, Op, Program, Runner } from '../gpu/commands';
import type { Gpu } from '../gpu/device';
import { isSoftware } from './variants';

/** Milliseconds that a submission is meant to take; what is measured varies about it, and 100 must not be passed. */
const PIECE_MS = 40;
/** A byte moved costs about as much as so many operations, on a CPU that plays a GPU and on GPUs alike. */
const BYTE = 3;
/** What is taken of a device that has not been measured, a millisecond: less than either kind does, for a first submission may be short but not long. */
const UNKNOWN = { software: 1e6, hardware: 1e8 };
/** From one submission to the next the estimate grows at most so much: a first one may have been short by chance. */
const GROWTH = 4;

export const costOf = (op: Op): number => BYTE * op.bytes + (op.op === 'copy' ? 0 : (op.flops ?? 0));

export class Pace {
  private measured: number | undefined;

  constructor(private readonly software: boolean) {}

  /** Units of cost a millisecond. */
  get rate(): number {
    return this.measured ?? (this.software ? UNKNOWN.software : UNKNOWN.hardware);
  }

  /** What may go into one submission. */
  get piece(): number {
    return this.rate * PIECE_MS;
  }

  private learn(cost: number, milliseconds: number): void {
    const found = cost / Math.max(milliseconds, 0.05);
    const before = this.rate;
    // Slower is believed at once.
    this.measured = found < before ? (found + before) / 2 : Math.min(GROWTH * before, (found + before) / 2);
  }

  /** Where submissions begin and end: ops [from, to). */
  pieces(ops: readonly Op[], from = 0): number {
    let cost = 0;
    let to = from;
    while (to < ops.length) {
      const op = ops[to];
      cost += op ? costOf(op) : 0;
      if (to > from && cost > this.piece) break;
      to++;
    }
    return to;
  }

  /** No operation longer than a submission, as far as operations can be cut. */
  cut(ops: readonly Op[]): Op[] {
    return ops.flatMap((op) => (op.op === 'dispatch' && op.parts && costOf(op) > this.piece ? partsOf(op, costOf(op) / this.piece) : [op]));
  }

  /** For one batch after the other; `stop` is asked before each submission, and throws to end it there. */
  runner(gpu: Gpu, stop: () => void): Runner {
    return { cut: (ops) => this.cut(ops), run: (program, ops) => this.run(gpu, program, ops, stop) };
  }

  /** Submission after submission, each awaited. */
  async run(gpu: Gpu, program: Program, ops: readonly Op[], stop: () => void): Promise<void> {
    for (let from = 0; from < ops.length;) {
      stop();
      const to = this.pieces(ops, from);
      const start = performance.now();
      program.submit(from, to);
      await gpu.device.queue.onSubmittedWorkDone();
      const cost = ops.slice(from, to).reduce((sum, op) => sum + costOf(op), 0);
      this.learn(cost, performance.now() - start);
      from = to;
    }
    stop();
  }
}

/** Submissions that `ops` would take at this pace. */
export function submissionsOf(ops: readonly Op[], pace: Pace): number {
  const cut = pace.cut(ops);
  let count = 0;
  for (let from = 0; from < cut.length; count++) from = pace.pieces(cut, from);
  return count;
}

const paces = new WeakMap<Gpu, Pace>();
/** One for a device, whoever asks: what a sweep has measured an estimate need not learn anew. */
export function paceOf(gpu: Gpu): Pace {
  const found = paces.get(gpu) ?? new Pace(isSoftware(gpu));
  paces.set(gpu, found);
  return found;
}

/** One dispatch as about `count` that come to the same: each has some of its groups along x. */
export function partsOf(op: Dispatch, count: number): Dispatch[] {
  const [x, y, z] = op.groups;
  const { parts } = op;
  const each = Math.max(1, Math.floor(x / count));
  if (!parts || each >= x) return [op];
  return Array.from({ length: Math.ceil(x / each) }, (_, i): Dispatch => {
    const groups = Math.min(each, x - i * each);
    const share = groups / x;
    return {
      ...op,
      params: op.params.with(parts.param, i * each * parts.outputs),
      groups: [groups, y, z],
      bytes: op.bytes * share,
      ...(op.flops === undefined ? {} : { flops: op.flops * share }),
    };
  });
}
