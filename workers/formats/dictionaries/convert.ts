/**
 * A draft's tensors as the bytes of one safetensors file, in order, piece by piece: in memory are one source tensor and one piece. Its size is
 * known before anything is read. Numbers that are not finite are refused: one of them makes every reconstruction that it touches one too.
 */
import type { StoredDtype, StoredTensor } from '../../contract';
import { LabError, throwIfAborted } from '../../errors';
import type { LooseTensor } from '../loose';
import { PIECE } from '../read';
import { elements } from '../safetensors';
import type { CanonicalTensor, DictionaryDraft } from './draft';
import { alone, BYTES, notFinite, toF32 } from './numbers';

const SIZE: Readonly<Record<StoredDtype, number>> = { F32: 4, F16: 2, BF16: 2 };
const sizeOf = ({ shape, dtype }: CanonicalTensor): number => elements(shape) * SIZE[dtype];

export interface Layout {
  header: Uint8Array<ArrayBuffer>;
  tensors: StoredTensor[];
  bytes: number;
}

/** The file's header, padded so that the data starts at a multiple of eight, and where each tensor will lie. */
export function layoutOf({ tensors, spec }: Pick<DictionaryDraft, 'tensors' | 'spec'>): Layout {
  let at = 0;
  const entries = tensors.map((tensor) => {
    const from = at;
    at += sizeOf(tensor);
    return { tensor, from };
  });
  const described = Object.fromEntries(
    entries.map(({ tensor: { name, dtype, shape }, from }, i) => [
      name,
      { dtype, shape, data_offsets: [from, entries[i + 1]?.from ?? at] },
    ]),
  );
  const json = JSON.stringify({ __metadata__: { format: 'loupe-dictionary', kind: spec.kind, hook: spec.hookIn }, ...described });
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return {
    header,
    tensors: entries.map(({ tensor, from }) => ({
      name: tensor.name,
      file: 0,
      dtype: tensor.dtype,
      shape: [...tensor.shape],
      offset: header.length + from,
      bytes: sizeOf(tensor),
    })),
    bytes: header.length + at,
  };
}

/** The whole file. */
export async function* canonicalBytes(
  draft: Pick<DictionaryDraft, 'name' | 'tensors' | 'spec'>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  yield layoutOf(draft).header;
  for (const tensor of draft.tensors) yield* tensorBytes(tensor, draft.name, signal);
}

async function* tensorBytes(tensor: CanonicalTensor, where: string, signal?: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  throwIfAborted(signal);
  const { name, dtype, shape } = tensor;
  const [rows = 1, columns = 1] = shape;
  const each = Math.max(1, Math.floor(PIECE / (columns * SIZE[dtype])));
  const factors = await factorsOf(tensor);
  const source = await sourceOf(tensor, where);
  for (let row = 0; row < rows; row += each) {
    throwIfAborted(signal);
    const piece = source(row, Math.min(rows, row + each));
    if (factors && piece instanceof Float32Array)
      for (let i = 0; i < piece.length; i++) piece[i] = (piece[i] ?? 0) * (factors[row + Math.floor(i / columns)] ?? 1);
    const fault = faultIn(piece, name, dtype);
    if (fault >= 0)
      throw new LabError(
        'tensor-not-finite',
        `${where}: ${name} holds something that is no finite number, in row ${row + Math.floor(fault / columns)}.`,
        'The file is damaged, or its training failed. Download it again, or use another dictionary.',
      );
    yield new Uint8Array(piece.buffer);
  }
}

/** A threshold may be infinite (such a latent never fires); anything else must be a number. */
function faultIn(piece: Words, name: string, dtype: StoredDtype): number {
  if (name === 'threshold' && piece instanceof Float32Array) return piece.findIndex(Number.isNaN);
  return notFinite(piece instanceof Uint16Array ? piece : new Uint32Array(piece.buffer), dtype);
}

type Words =
  Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
/** Rows [from, to) of the canonical tensor, on a buffer of their own. */
type Rows = (from: number, to: number) => Words;

async function sourceOf({ source, shape, dtype, transpose, exp, scale }: CanonicalTensor, where: string): Promise<Rows> {
  const [rows = 1, columns = 1] = shape;
  if ('fill' in source) return (from, to) => new Float32Array((to - from) * columns).fill(source.fill);
  const words = wordsOf(await readWhole(source, where), BYTES[source.dtype]);
  const change = exp || scale !== undefined ? (x: number) => (exp ? Math.exp(x) : x) * (scale ?? 1) : undefined;
  return (from, to) => {
    const piece = transpose ? turned(words, rows, columns, from, to) : words.slice(from * columns, to * columns);
    if (source.dtype === dtype && !change) return dtype === 'F32' ? new Float32Array(piece.buffer) : piece;
    const values = toF32(new Uint8Array(piece.buffer), source.dtype);
    if (change) for (let i = 0; i < values.length; i++) values[i] = change(values[i] ?? 0);
    return values;
  };
}

async function readWhole(source: LooseTensor, where: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await source.read();
  if (bytes.byteLength === source.bytes && source.bytes === elements(source.shape) * BYTES[source.dtype]) return bytes;
  throw new LabError(
    'file-truncated',
    `${where}: “${source.name}” should have ${elements(source.shape) * BYTES[source.dtype]} bytes, ${bytes.byteLength} came.`,
    'Copy or download the file again.',
  );
}

/** Elements by their width alone: to move them it does not matter what they mean. */
function wordsOf(bytes: Uint8Array<ArrayBuffer>, width: number): Words {
  const buffer = alone(bytes);
  if (width === 8) return new Float64Array(buffer);
  return width === 4 ? new Uint32Array(buffer) : width === 2 ? new Uint16Array(buffer) : new Uint8Array(buffer);
}
function emptyLike(words: Words, length: number): Words {
  if (words instanceof Float64Array) return new Float64Array(length);
  return words instanceof Uint32Array
    ? new Uint32Array(length)
    : words instanceof Uint16Array
      ? new Uint16Array(length)
      : new Uint8Array(length);
}

/** Rows of the transpose of [columns, rows]. The source is walked in order, the piece in strides: it is the smaller of the two. */
function turned(words: Words, rows: number, columns: number, from: number, to: number): Words {
  const piece = emptyLike(words, (to - from) * columns);
  for (let column = 0; column < columns; column++) {
    const start = column * rows;
    for (let row = from, at = column; row < to; row++, at += columns) piece[at] = words[start + row] ?? 0;
  }
  return piece;
}

/** What each row is multiplied by. */
async function factorsOf({ rows, overNorms, shape }: CanonicalTensor): Promise<Float32Array | undefined> {
  if (rows) return toF32(await rows.read(), rows.dtype);
  if (!overNorms) return undefined;
  const { of, transposed } = overNorms;
  const bytes = await of.read();
  const [count = 0] = shape;
  const width = elements(of.shape) / count;
  const squares = new Float64Array(count);
  // In stretches, or a matrix would be there twice.
  const stretch = 1 << 20;
  for (let from = 0; from < elements(of.shape); from += stretch) {
    const values = toF32(bytes.slice(from * BYTES[of.dtype], (from + stretch) * BYTES[of.dtype]), of.dtype);
    for (let i = 0; i < values.length; i++) {
      const row = transposed ? (from + i) % count : Math.floor((from + i) / width);
      squares[row] = (squares[row] ?? 0) + (values[i] ?? 0) ** 2;
    }
  }
  return Float32Array.from(squares, (sum) => 1 / Math.sqrt(sum));
}
