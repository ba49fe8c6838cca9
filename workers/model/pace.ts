/**
 * How fast this device works, measured as it works, and programs run in submissions short enough that a cancel is heard at once and no driver's watchdog bites.
 * What an operation costs is told from its plan: two floating-point operations for each weight and row of a projection, and the bytes that it moves.
 */
import type { Op, Program } from '../gpu/commands';
import type { Gpu } from '../gpu/device';

/** Milliseconds that a submission is meant to take; what is measured varies about it, and 100 must not be passed. */
const PIECE_MS = 40;
/** A byte moved costs about as much as so many operations, on a CPU that plays a GPU and on GPUs alike. */
const BYTE = 3;
/** What is known of a device that has not been measured, a millisecond. */
const UNKNOWN = { software: 4e6, hardware: 2e8 };
/** From one submission to the next the estimate grows at most so much: a first one may have been short by chance. */
const GROWTH = 4;

export function costOf(op: Op): number {
  if (op.op === 'copy') return BYTE * op.bytes;
  const product = op.kernel === 'matvec' || op.kernel === 'matmul';
  const [rows = 0, , , , outputs = 0] = op.params;
  return BYTE * op.bytes + (product ? 8 * rows * outputs * (op.constants['K4'] ?? 0) : 0);
}

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

  /** One submission after the other, each awaited; `stop` is asked before each, and throws to end it there. */
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
  let count = 0;
  for (let from = 0; from < ops.length; count++) from = pace.pieces(ops, from);
  return count;
}
