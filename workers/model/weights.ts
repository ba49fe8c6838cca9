/**
 * A kept model's tensors into GPU buffers, in pieces: file → staging buffer → repack kernel. Nothing is held whole in
 * memory. Matrices keep their stored type (or the one asked for); norm gains and biases are one f32 buffer.
 */
import { LabError, throwIfAborted } from '../errors';
import type { ModelRecord, OnProgress, StoredTensor, UseOptions } from '../contract';
import type { Gpu } from '../gpu/device';
import { Program, type Pool } from '../gpu/commands';
import { BYTES, readFloats, TYPES, type TensorReader } from '../gpu/stored';
import { repack, type Repack } from '../kernels/repack';
import type { Family, TensorRule } from './family';
import { pad4, type Layout } from './layout';
import { weightTable, type Dtype, type Matrix, type WeightTable } from './matrices';
import { placementOf, rowOf, type Placement } from './place';
import type { ModelSpec } from './spec';

const PIECE = 8 << 20;

interface Job {
  rule: TensorRule;
  tensor: StoredTensor;
  to: Placement;
}

export interface LoadCall {
  gpu: Gpu;
  pool: Pool;
  family: Family;
  /** The model as stored, which says what the files hold, */
  stored: ModelSpec;
  /** and as it will run: room is made for biases and a head that processing brings about (left 0). */
  spec: ModelSpec;
  layout: Layout;
  record: ModelRecord;
  reader: TensorReader;
  weights: UseOptions['weights'];
  signal?: AbortSignal;
  progress?: OnProgress | undefined;
}

/** The table, and the vectors' words as they were stored: what processing folds away can still be asked for. */
export async function loadWeights(call: LoadCall): Promise<{ table: WeightTable; stored: Float32Array }> {
  const { gpu, pool, family, stored, spec, record } = call;
  const byName = new Map(record.tensors.map((each) => [each.name, each]));
  const jobs = family.tensors(stored).flatMap((rule): Job[] => {
    const tensor = byName.get(rule.name);
    if (!tensor && rule.optional) return [];
    if (!tensor)
      throw new LabError(
        'tensor-missing',
        `The kept model has no tensor “${rule.name}”.`,
        'Remove the model from the shelf and drop it again.',
      );
    return [{ rule, tensor, to: placementOf(rule.place, spec) }];
  });
  const table = weightTable(
    spec,
    (name) => dtypeOf(name, jobs, call.weights),
    Math.min(gpu.limits.maxStorageBufferBindingSize, gpu.limits.maxBufferSize),
  );
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  for (const matrix of table.matrices.values())
    for (const piece of matrix.pieces) pool.need(piece.buffer, piece.rows * matrix.k * (matrix.dtype === 'f32' ? 4 : 2), usage);
  const vectors = new Float32Array(table.vectorWords);
  // A norm whose gain the file leaves out has none: 1.
  for (const [name, at] of table.vectors) if (/ln\w*\.w$/.test(name)) vectors.fill(1, at, at + spec.dModel);
  const staging = new Staging(gpu, pool);
  const of = jobs.reduce((sum, job) => sum + job.tensor.bytes, 0);
  const start = performance.now();
  let done = 0;
  let last = 0;
  const step = async (bytes: number): Promise<void> => {
    throwIfAborted(call.signal);
    done += bytes;
    if (done - last > 4 * PIECE || done === of) {
      last = done;
      // Bounds what the queue holds, and surfaces an out-of-memory early.
      await gpu.device.queue.onSubmittedWorkDone();
      await gpu.check();
      const rate = done / (performance.now() - start);
      call.progress?.({ stage: 'Loading onto the GPU', done, of, secondsLeft: (of - done) / rate / 1000 });
    }
  };
  try {
    for (const job of jobs) {
      const { to } = job;
      if (to.vector) await loadVector(call, job, vectors, table, step);
      else if (to.name === 'pos') await loadPositions(call, job, step);
      else {
        const matrix = table.matrices.get(to.name);
        if (matrix) await loadMatrix(call, job, matrix, staging, step);
      }
    }
    pool.need('vecs', vectors.byteLength, usage);
    gpu.write(pool.get('vecs'), 0, vectors);
    await gpu.device.queue.onSubmittedWorkDone();
    await gpu.check();
  } finally {
    staging.free();
  }
  return { table, stored: vectors };
}

/** One staging buffer beside the weights' pool. */
class Staging {
  readonly buffer: GPUBuffer;
  constructor(
    private readonly gpu: Gpu,
    readonly pool: Pool,
  ) {
    this.buffer = gpu.buffer(PIECE + 1024, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, 'staging');
    pool.set('staging', this.buffer);
  }
  free(): void {
    this.gpu.free(this.buffer);
  }
}

function dtypeOf(name: string, jobs: readonly Job[], asked: UseOptions['weights']): Dtype {
  if (asked !== 'stored') return asked;
  const found = new Set(jobs.filter((job) => !job.to.vector && job.to.name === name).map((job) => TYPES[job.tensor.dtype]));
  const [only] = found;
  return found.size === 1 && only ? only : 'f32';
}

async function loadMatrix(
  call: LoadCall,
  job: Job,
  matrix: Matrix,
  staging: Staging,
  step: (bytes: number) => Promise<void>,
): Promise<void> {
  const { gpu, reader, spec, layout } = call;
  const { rule, tensor, to } = job;
  const size = BYTES[tensor.dtype];
  const transposed = rule.transposed === true;
  const { slices, outs, ins } = shapeOf(rule);
  // z's heads are padded one by one; every other input as a whole.
  const headed = 'matrix' in rule.place && rule.place.matrix === 'attn.out';
  const inBlock = headed ? spec.dHead : ins;
  const outBlock = headed ? layout.dHead : matrix.k;
  const unit = headed ? inBlock : 4;
  const along = transposed
    ? Math.max(unit, Math.floor(PIECE / (outs * size) / unit) * unit)
    : Math.max(1, Math.floor(PIECE / (ins * size)));
  const total = transposed ? ins : outs;
  const lineBytes = (transposed ? outs : ins) * size;
  if (along * lineBytes > PIECE + 1024)
    throw new LabError('tensor-shape', `“${tensor.name}” has rows too long to stream.`, 'This checkpoint is larger than Loupe can load.');
  for (let slice = 0; slice < slices; slice++)
    for (let from = 0; from < total; from += along) {
      const many = Math.min(along, total - from);
      const bytes = new Uint8Array(Math.ceil((many * lineBytes) / 4) * 4);
      await reader.read(tensor.file, tensor.offset + (slice * total + from) * lineBytes, bytes.subarray(0, many * lineBytes));
      gpu.write(staging.buffer, 0, bytes);
      const common: Omit<Repack, 'piece'> = {
        from: TYPES[tensor.dtype],
        to: matrix.dtype,
        rows: transposed ? outs : many,
        o0: transposed ? 0 : from,
        so: transposed ? 1 : ins,
        i0: transposed ? from : 0,
        si: transposed ? outs : 1,
        inEnd: transposed ? from + many : ins,
        inBlock,
        outBlock,
        j0: transposed ? (headed ? ((from / inBlock) * outBlock) / 4 : from / 4) : 0,
        cols4: transposed ? (headed ? ((many / inBlock) * outBlock) / 4 : Math.ceil(many / 4)) : matrix.k / 4,
        width4: matrix.k / 4,
        base: to.base + slice * outs,
        map: to.map,
      };
      const program = await Program.prepare(
        gpu,
        matrix.pieces.map((piece) => repack({ ...common, piece })),
        staging.pool,
      );
      program.run();
      program.free();
      await step(many * lineBytes);
    }
}

/** A tensor as matrices of [outs, ins], one after the other; a transposed one may have its inputs on two axes (heads, and within a head). */
function shapeOf({ shape, transposed, stacked }: TensorRule): { slices: number; outs: number; ins: number } {
  const size = shape.reduce((a, b) => a * b, 1);
  const slices = stacked ? (shape[0] ?? 1) : 1;
  const outs = transposed ? (shape.at(-1) ?? 1) : (shape[0] ?? 1);
  return { slices, outs, ins: size / slices / outs };
}

async function loadVector(
  call: LoadCall,
  job: Job,
  vectors: Float32Array,
  table: WeightTable,
  step: (bytes: number) => Promise<void>,
): Promise<void> {
  const at = table.vectors.get(job.to.name);
  if (at === undefined) return;
  const values = await readFloats(
    call.reader,
    job.tensor,
    0,
    job.tensor.shape.reduce((a, b) => a * b, 1),
  );
  const plus = job.rule.plus ?? 0;
  values.forEach((value, o) => (vectors[at + job.to.base + rowOf(job.to.map, o)] = value + plus));
  await step(job.tensor.bytes);
}

async function loadPositions(call: LoadCall, job: Job, step: (bytes: number) => Promise<void>): Promise<void> {
  const { gpu, pool, layout } = call;
  const [rows = 0, d = 0] = job.rule.shape;
  const width = pad4(d);
  const buffer = pool.need('w.pos', rows * width * 4, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
  const most = Math.max(1, Math.floor(PIECE / (4 * layout.dModel)));
  for (let from = 0; from < rows; from += most) {
    const many = Math.min(most, rows - from);
    const values = await readFloats(call.reader, job.tensor, from * d, many * d);
    const padded = new Float32Array(many * width);
    for (let r = 0; r < many; r++) padded.set(values.subarray(r * d, (r + 1) * d), r * width);
    gpu.write(buffer, from * width * 4, padded);
    await step(many * d * BYTES[job.tensor.dtype]);
  }
}
