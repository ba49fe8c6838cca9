/**
 * NumPy's arrays: `.npy`, and `.npz`, a ZIP of them. The header is a Python dict, read here by a reader that knows that one dict; an array of
 * Python objects would be a pickle to run, and is refused. Layout: numpy/lib/format.py (versions 1, 2 and 3).
 */
import { LabError } from '../errors';
import type { LooseDtype, LooseFile, LooseTensor } from './loose';
import { readPiece } from './read';
import { DTYPE_BYTES } from './safetensors';
import { columnMajor, count, gather } from './strides';
import { readZip } from './zip';
import { allocate, openEntry, type OpenEntry } from './zip-entry';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** NumPy itself refuses to read more than 10,000 characters. */
const HEADER_MOST = 0xffff;
const AXES_MOST = 64;
const AGAIN = 'Download or save the file again: np.savez(…), arrays of numbers only.';

const DTYPES: ReadonlyMap<string, LooseDtype> = new Map([
  ['f8', 'F64'],
  ['f4', 'F32'],
  ['f2', 'F16'],
  ['i8', 'I64'],
  ['i4', 'I32'],
  ['i2', 'I16'],
  ['i1', 'I8'],
  ['u1', 'U8'],
  ['b1', 'BOOL'],
]);

type Source = Pick<OpenEntry, 'bytes' | 'read'>;

/** One array, named after its file. */
export async function readNpy(file: File, name = file.name): Promise<LooseFile> {
  const source: Source = { bytes: file.size, read: (from, to) => readPiece(file, from, to, name) };
  return { tensors: [await readArray(source, (name.split('/').pop() ?? name).replace(/\.npy$/, ''), name)], plain: {} };
}

/** Every array of an archive under its name, stored or deflated; their headers are read, their numbers are not. */
export async function readNpz(file: File, name = file.name): Promise<LooseFile> {
  const zip = await readZip(file, name);
  const tensors: LooseTensor[] = [];
  for (const entry of zip.entries.values()) {
    if (!entry.name.endsWith('.npy')) continue;
    tensors.push(await readArray(await openEntry(zip, entry), entry.name.slice(0, -'.npy'.length), `${name}: “${entry.name}”`));
  }
  if (tensors.length === 0) throw new LabError('npy-garbage', `${name} is an archive without a single .npy array.`, AGAIN);
  return { tensors, plain: {} };
}

async function readArray(source: Source, name: string, where: string): Promise<LooseTensor> {
  const garbage = (what: string): LabError => new LabError('npy-garbage', `${where} ${what}.`, AGAIN);
  const first = await source.read(0, Math.min(12, source.bytes));
  const view = new DataView(first.buffer);
  const version = first[6] ?? 0;
  if (first.length < 12 || !MAGIC.every((byte, i) => first[i] === byte) || version < 1 || version > 3)
    throw garbage('does not begin as a NumPy array does');
  const [start, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  if (length > HEADER_MOST || start + length > source.bytes) throw garbage(`announces a header of ${length} bytes`);
  const header = parseDict(new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(await source.read(start, start + length)));
  if (!header || header.shape.length > AXES_MOST) throw garbage('has no header that describes an array of numbers');
  const dtype = dtypeOf(header.descr);
  const size = dtype && DTYPE_BYTES.get(dtype);
  if (!dtype || size === undefined)
    throw new LabError('dtype-unsupported', `${where} holds numbers of the type “${header.descr}”.`, 'Save it as float32 or float16.');
  const { shape, fortran } = header;
  const data = start + length;
  const bytes = count(shape) * size;
  if (data + bytes > source.bytes)
    throw new LabError('file-truncated', `${where} should have ${bytes} bytes of numbers and has ${source.bytes - data}.`, AGAIN);
  if (data + bytes < source.bytes) throw garbage(`has ${source.bytes - data - bytes} bytes too many for its shape [${shape.join(', ')}]`);
  const read = async (): Promise<Uint8Array<ArrayBuffer>> => {
    const lying = await source.read(data, data + bytes);
    if (!fortran || shape.length < 2) return lying;
    const out = allocate(bytes, where);
    gather(lying, size, shape, columnMajor(shape), out);
    return out;
  };
  return { name, dtype, shape, bytes, read };
}

/** Little-endian, or of one byte. */
const dtypeOf = (descr: string): LooseDtype | undefined => (/^<|^\|.1$/.test(descr) ? DTYPES.get(descr.slice(1)) : undefined);

interface Described {
  descr: string;
  fortran: boolean;
  shape: number[];
}

/** `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, in any order, and nothing else. Python 2 wrote numbers as 2L. */
export function parseDict(text: string): Described | undefined {
  const found = new Map<string, string>();
  const pair = /\s*'(descr|fortran_order|shape)'\s*:\s*('[^'\\]*'|True|False|\([\d\sL,]*\)|\[[^{}]*\])\s*(,|(?=\}))/y;
  const open = /\s*\{/y;
  if (!open.test(text)) return undefined;
  for (pair.lastIndex = open.lastIndex; ;) {
    const at = pair.lastIndex;
    const match = pair.exec(text);
    if (!match) {
      if (!/^\s*\}\s*$/.test(text.slice(at))) return undefined;
      break;
    }
    const [, key = '', value = ''] = match;
    if (found.has(key)) return undefined;
    found.set(key, value);
  }
  const [descr = '', order = '', shape = ''] = ['descr', 'fortran_order', 'shape'].map((key) => found.get(key));
  // A list is a record of several types: described, but nothing that anyone reads as a tensor.
  const type = /^'(.*)'$/.exec(descr)?.[1] ?? (descr.startsWith('[') ? descr : undefined);
  const axes = /^\(\s*(?:(\d+L?(?:\s*,\s*\d+L?)*)\s*(,)?)?\s*\)$/.exec(shape);
  if (type === undefined || !/^(True|False)$/.test(order) || !axes) return undefined;
  const numbers = (axes[1] ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [Number.parseInt(part, 10)]));
  // (3) is a number in Python, (3,) a shape.
  if ((numbers.length === 1 && axes[2] === undefined) || !numbers.every(Number.isSafeInteger)) return undefined;
  return { descr: type, fortran: order === 'True', shape: numbers };
}
