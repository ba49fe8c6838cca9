/**
 * Carries out processing.ts's steps on weights that lie on the GPU: matrices by kernels where they are, vectors on the host in
 * float64. Matrices are f32 here.
 */
import { throwIfAborted } from '../errors';
import type { OnProgress } from '../contract';
import { Program, type Op, type Pool } from '../gpu/commands';
import type { Gpu } from '../gpu/device';
import { centerColumns, chunksOf, foldRows, foldValues } from '../kernels/fold';
import type { Layout } from './layout';
import { matrixOf, type Matrix, type WeightTable } from './matrices';
import type { Step } from './processing';
import type { ModelSpec } from './spec';

export interface ProcessCall {
  gpu: Gpu;
  pool: Pool;
  /** The processed spec, and its table. */
  spec: ModelSpec;
  layout: Layout;
  table: WeightTable;
  steps: readonly Step[];
  signal?: AbortSignal;
  progress?: OnProgress | undefined;
}

/** Kernels between two looks at cancel. */
const AT_ONCE = 32;
const bytesOf = (ops: readonly Op[]): number => ops.reduce((sum, { bytes }) => sum + bytes, 0);

export async function processWeights(call: ProcessCall): Promise<void> {
  const { gpu, pool, layout, table, steps } = call;
  const columns = steps.flatMap((step) => (step.do === 'center-columns' ? [matrixOf(table, step.matrix)] : []));
  const words = Math.max(0, ...columns.map((matrix) => chunksOf(matrix) * matrix.k));
  const sums = words > 0 ? gpu.buffer(4 * words, GPUBufferUsage.STORAGE, 'sums') : undefined;
  if (sums) pool.set('sums', sums);
  try {
    const ops = steps.flatMap((step) => opsOf(step, call));
    const of = bytesOf(ops);
    for (let from = 0; from < ops.length; from += AT_ONCE) {
      throwIfAborted(call.signal);
      call.progress?.({ stage: 'Folding and centring', done: bytesOf(ops.slice(0, from)), of });
      const program = await Program.prepare(gpu, ops.slice(from, from + AT_ONCE), pool);
      try {
        program.run();
        await gpu.device.queue.onSubmittedWorkDone();
        await gpu.check();
      } finally {
        program.free();
      }
    }
    const vectors = await readVectors(gpu, pool, table.vectorWords);
    for (const step of steps) changeVectors(step, vectors, call);
    gpu.write(pool.get('vecs'), 0, vectors);
    await gpu.check();
  } finally {
    if (sums) gpu.free(sums);
  }

  function opsOf(step: Step, { spec }: ProcessCall): Op[] {
    const at = (name: string): number => vectorOf(table, name);
    switch (step.do) {
      case 'untie':
        return copies(matrixOf(table, 'embed'), matrixOf(table, 'unembed'));
      case 'fold-norm': {
        const { norm, layerNorm } = step;
        return foldRows({
          weights: matrixOf(table, step.matrix),
          width: spec.dModel,
          norm: { gain: at(`${norm}.w`), bias: layerNorm ? at(`${step.matrix}.b`) : undefined },
          center: layerNorm,
        });
      }
      case 'fold-values': {
        const b = `blocks.${step.layer}.attn`;
        const { heads, kvHeads, dHead } = spec;
        const shape = { heads, kvHeads, dHead, dHeadPadded: layout.dHead };
        return foldValues({
          ...shape,
          weights: matrixOf(table, `${b}.out`),
          value: valuesAt(table, spec, step.layer),
          bias: at(`${b}.out.b`),
        });
      }
      case 'center-rows':
        return foldRows({ weights: tableOf(step.matrix, call), width: spec.dModel, center: true });
      case 'center-columns':
        return centerColumns(matrixOf(table, step.matrix));
      default:
        return [];
    }
  }
}

/** Rows of the same matrix are split alike, so each piece has its counterpart. */
function copies(from: Matrix, to: Matrix): Op[] {
  return to.pieces.map((piece, i): Op => {
    const source = from.pieces[i];
    if (source?.row0 !== piece.row0 || source.rows < piece.rows) throw new Error('the head is split otherwise than the embedding');
    return { op: 'copy', from: source.buffer, fromOffset: 0, to: piece.buffer, toOffset: 0, bytes: 4 * piece.rows * to.k };
  });
}

/** The position table is a matrix in one piece, outside the table of matrices. */
function tableOf(name: 'embed' | 'pos', { table, spec, layout }: ProcessCall): Matrix {
  if (name === 'embed') return matrixOf(table, name);
  const rows = spec.context;
  return { name, n: rows, k: layout.dModel, dtype: 'f32', pieces: [{ buffer: 'w.pos', row0: 0, rows }] };
}

function vectorOf(table: WeightTable, name: string): number {
  const at = table.vectors.get(name);
  if (at === undefined) throw new Error(`no vector “${name}”`);
  return at;
}
const valuesAt = (table: WeightTable, spec: ModelSpec, layer: number): number =>
  vectorOf(table, `blocks.${layer}.attn.qkv.b`) + (spec.heads + spec.kvHeads) * spec.dHead;

async function readVectors(gpu: Gpu, pool: Pool, words: number): Promise<Float32Array<ArrayBuffer>> {
  const bytes = 4 * words;
  const back = gpu.buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, 'vectors');
  try {
    gpu.submit([
      gpu.scoped(() => {
        const encoder = gpu.device.createCommandEncoder();
        encoder.copyBufferToBuffer(pool.get('vecs'), 0, back, 0, bytes);
        gpu.counters.copies++;
        return encoder.finish();
      }),
    ]);
    return new Float32Array(await gpu.read(back, bytes));
  } finally {
    gpu.free(back);
  }
}

function changeVectors(step: Step, vectors: Float32Array, { table, spec }: ProcessCall): void {
  switch (step.do) {
    case 'reset-norm': {
      const at = vectorOf(table, `${step.norm}.w`);
      vectors.fill(1, at, at + spec.dModel);
      const shift = table.vectors.get(`${step.norm}.b`);
      if (shift !== undefined) vectors.fill(0, shift, shift + spec.dModel);
      break;
    }
    case 'clear-values': {
      const at = valuesAt(table, spec, step.layer);
      vectors.fill(0, at, at + spec.kvHeads * spec.dHead);
      break;
    }
    case 'center-vector': {
      const at = vectorOf(table, step.vector);
      const length = step.vector === 'unembed.b' ? spec.vocabOut : spec.dModel;
      const values = vectors.subarray(at, at + length);
      const mean = values.reduce((sum, value) => sum + value, 0) / length;
      values.forEach((value, i) => (values[i] = value - mean));
      break;
    }
    default:
  }
}
