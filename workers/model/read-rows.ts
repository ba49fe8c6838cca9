/**
 * Rows of the stream as distributions over tokens: through ln_final (its statistics recomputed for each row) and W_U, set beside a reference's
 * rows, position by position. The lens reads layers so, and an evaluation reads edited runs.
 */
import { Program, type Op } from '../gpu/commands';
import { distribution, resultWords } from '../kernels/distribution';
import { unembed } from './head';
import { pad4 } from './layout';
import { Readback } from './readback';
import { NOBODY } from './rows';
import { distributionOf, type Distribution } from './collect';
import type { Runtime } from './runtime';

/** Bytes of logits held at once; twice, for the rows and the reference. */
const LOGITS = 32 << 20;

export interface ReadRows {
  /** Each [positions][d_model]; `hook` names it in plans. */
  sets: readonly { hook: string; rows: Float32Array }[];
  /** The set whose rows the others' divergence is measured against: KL(reference ‖ set). */
  reference: number;
  /** First tokens that come with every row. */
  top: number;
  /** The token whose probability and rank are wanted, of each position. */
  targets?: readonly number[];
}

/** [set][position] */
export async function readRows(
  model: Runtime,
  { sets, reference, top, targets = [] }: ReadRows,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<Distribution[][]> {
  const { planner, spec, gpu, scratch: pool } = model;
  const { layout } = planner;
  const step = resultWords(top);
  const positions = (sets[0]?.rows.length ?? 0) / spec.dModel;
  const perChunk = Math.max(1, Math.min(positions, Math.floor(LOGITS / (4 * layout.vocab))));
  const padded = sets.map(({ rows }) => spread(rows, spec.dModel));
  const out: Distribution[][] = sets.map(() => []);
  const width = 4 * layout.dModel;
  for (let at = 0; at < positions; at += perChunk) {
    stop?.();
    const many = Math.min(perChunk, positions - at);
    pool.need('final', perChunk * width);
    pool.need('fn', perChunk * width);
    pool.need('logits', perChunk * layout.vocab * 4);
    pool.need('reference', perChunk * layout.vocab * 4);
    pool.need('lens', sets.length * many * width);
    pool.need('dist', sets.length * many * step * 4);
    const wanted = Uint32Array.from({ length: sets.length * many }, (_, i) => targets[at + (i % many)] ?? NOBODY);
    gpu.write(pool.need('targets', wanted.byteLength), 0, wanted);
    padded.forEach((all, l) =>
      gpu.write(pool.get('lens'), l * many * width, all.subarray(at * layout.dModel, (at + many) * layout.dModel)),
    );
    const ops: Op[] = [];
    const read = (l: number, into: 'logits' | 'reference'): void => {
      const hook = sets[l]?.hook ?? '';
      ops.push({ op: 'copy', from: 'lens', fromOffset: l * many * width, to: 'final', toOffset: 0, bytes: many * width, hook });
      ops.push(...unembed(planner, { x: 'final', row0: 0, rows: many, normed: false, out: into }));
    };
    read(reference, 'reference');
    sets.forEach(({ hook }, l) => {
      read(l, 'logits');
      const rest = { logits: 'logits', reference: 'reference', n: spec.vocabOut, stride: layout.vocab, k: top, hook };
      ops.push(distribution({ ...rest, rows: many, outRow: l * many }));
    });
    const readback = new Readback(gpu.limits.maxBufferSize);
    const bytes = sets.length * many * step * 4;
    const place = readback.reserve('dist', bytes);
    ops.push({ op: 'copy', from: 'dist', fromOffset: 0, to: place.to, toOffset: place.offset, bytes, hook: 'lens' });
    let program: Program | undefined;
    try {
      readback.allocate(gpu, pool);
      program = await Program.prepare(gpu, ops, pool);
      program.run(6);
      const all = (await readback.read(gpu))('dist');
      out.forEach((rows, l) => {
        for (let p = 0; p < many; p++) rows.push(distributionOf(all, (l * many + p) * step, top));
      });
    } finally {
      program?.free();
      readback.free(gpu);
    }
    progress?.(at + many, positions);
  }
  return out;
}

function spread(data: Float32Array, d: number): Float32Array<ArrayBuffer> {
  const width = pad4(d);
  const rows = data.length / d;
  const all = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) all.set(data.subarray(r * d, (r + 1) * d), r * width);
  return all;
}
