/**
 * Safetensors: a header that says where each tensor lies, checked in full before any byte is copied.
 *
 * Layout: u64 little-endian N, N bytes of JSON {name: {dtype, shape, data_offsets: [a, b]}, "__metadata__"?}, then the data;
 * offsets count from byte 8+N. As in the format's own reader, tensors must cover the data without overlap and without gap.
 */
import { LabError } from '../errors';
import { isObject, type JsonObject } from './json';
import { listed, throwAll } from './reasons';
import { readPiece } from './read';

export interface HeaderTensor {
  name: string;
  dtype: string;
  shape: number[];
  /** From the start of the file. */
  offset: number;
  bytes: number;
}
export interface Header {
  tensors: HeaderTensor[];
  metadata: Record<string, string>;
}

/** Bytes an element. Only F32, F16 and BF16 can be weights; the others may belong to tensors that nobody needs. */
export const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ...['BOOL', 'U8', 'I8', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0'].map((name) => [name, 1] as const),
  ...['I16', 'U16', 'F16', 'BF16'].map((name) => [name, 2] as const),
  ...['I32', 'U32', 'F32'].map((name) => [name, 4] as const),
  ...['I64', 'U64', 'F64', 'C64'].map((name) => [name, 8] as const),
]);

const MOST = 100_000_000;
const AGAIN = 'Copy or download the file again; if it stays so, the program that wrote it is at fault.';

/** Length of the JSON, from the file's first 8 bytes. */
export function headerLength(bytes: Uint8Array, fileSize: number, name: string): number {
  if (fileSize < 8 || bytes.length < 8)
    throw new LabError('file-truncated', `${name} has ${fileSize} bytes; a safetensors file has at least 8.`, AGAIN);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MOST) && BigInt(fileSize) >= length + 8n)
    throw new LabError('header-too-long', `${name} announces a header of ${length} bytes; the format allows 100 MB.`, AGAIN);
  if (length + 8n > BigInt(fileSize))
    throw new LabError(
      'header-too-long',
      `${name} announces a header of ${length} bytes, longer than the file (${fileSize} bytes).`,
      'The file is cut short, or is no safetensors file. ' + AGAIN,
    );
  return Number(length);
}

/** The header of a file of `fileSize` bytes, from its first bytes (at least 8 + header). Pure; throws only LabErrors. */
export function parseHeader(bytes: Uint8Array, fileSize: number, name = 'The file'): Header {
  const length = headerLength(bytes, fileSize, name);
  if (bytes.length < 8 + length) throw new LabError('file-truncated', `${name} ends inside its header.`, AGAIN);
  const { text, json } = headerJson(bytes.subarray(8, 8 + length), name);
  const twice = duplicates(topLevelKeys(text));
  if (twice.length > 0) throw new LabError('header-garbage', `${name} names a tensor twice: ${listed(twice)}.`, AGAIN);
  const metadata = json['__metadata__'];
  const entries = Object.entries(json).filter(([key]) => key !== '__metadata__');
  const start = 8 + length;
  const reasons: LabError[] = [];
  const tensors = entries.flatMap(([key, value]) => entry(key, value, start, name, reasons) ?? []);
  throwAll(reasons);
  checkLayout(tensors, start, fileSize, name);
  return {
    tensors,
    metadata: isObject(metadata)
      ? Object.fromEntries(Object.entries(metadata).flatMap(([key, value]) => (typeof value === 'string' ? [[key, value]] : [])))
      : {},
  };
}

/** Reads and checks the header of a dropped file. */
export async function readHeader(file: File, name = file.name): Promise<Header> {
  const first = await readPiece(file, 0, Math.min(8, file.size), name);
  const length = headerLength(first, file.size, name);
  return parseHeader(await readPiece(file, 0, 8 + length, name), file.size, name);
}

function headerJson(bytes: Uint8Array, name: string): { text: string; json: JsonObject } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const json: unknown = JSON.parse(text);
    if (isObject(json)) return { text, json };
  } catch {
    // Said below: what the parser calls it tells a person nothing more.
  }
  throw new LabError(
    'header-garbage',
    `${name}: the header is not a JSON object.`,
    'The file is damaged, or is no safetensors file. ' + AGAIN,
  );
}

/** One header entry; its faults go into `reasons`, one a tensor, the most telling first. */
function entry(key: string, value: unknown, start: number, file: string, reasons: LabError[]): HeaderTensor | undefined {
  const refuse = (code: string, what: string): undefined => {
    reasons.push(new LabError(code, `${file}: tensor “${key}” ${what}.`, AGAIN));
    return undefined;
  };
  if (!isObject(value)) return refuse('header-garbage', 'has no description');
  const { dtype, shape, data_offsets: offsets } = value as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (typeof dtype !== 'string' || !isNumbers(shape) || !isNumbers(offsets) || offsets.length !== 2)
    return refuse('header-garbage', 'lacks a dtype, a shape or its offsets');
  const [a = 0, b = 0] = offsets;
  if (!isSize(a) || !isSize(b) || a > b) return refuse('offsets-range', `lies at [${a}, ${b}], which is no range of bytes`);
  if (!shape.every(isSize)) return refuse('header-garbage', `has the shape [${shape.join(', ')}]`);
  const size = DTYPE_BYTES.get(dtype);
  if (size === undefined) return refuse('dtype-unsupported', `has the unknown dtype “${dtype}”`);
  return { name: key, dtype, shape, offset: start + a, bytes: b - a };
}

/** Ranges against the file, sizes against shapes, neighbours against each other. */
function checkLayout(tensors: readonly HeaderTensor[], start: number, fileSize: number, file: string): void {
  const available = fileSize - start;
  const sorted = [...tensors].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  const overlaps: string[] = [];
  const gaps: string[] = [];
  let end = start;
  for (const tensor of sorted) {
    if (tensor.offset < end && tensor.bytes > 0) overlaps.push(tensor.name);
    if (tensor.offset > end) gaps.push(tensor.name);
    end = Math.max(end, tensor.offset + tensor.bytes);
  }
  const misfits = tensors.filter((tensor) => tensor.bytes !== wanted(tensor));
  if (end > fileSize && overlaps.length === 0 && gaps.length === 0 && misfits.length === 0)
    throw new LabError('file-truncated', `${file} is cut short: it should have ${end} bytes and has ${fileSize}.`, AGAIN);

  const reasons: LabError[] = [];
  const outside = new Set(tensors.filter((tensor) => tensor.offset + tensor.bytes > fileSize));
  for (const tensor of outside) {
    const [a, b] = [tensor.offset - start, tensor.offset - start + tensor.bytes];
    reasons.push(
      new LabError('offsets-range', `${file}: tensor “${tensor.name}” lies at [${a}, ${b}]; the data has ${available} bytes.`, AGAIN),
    );
  }
  for (const tensor of misfits) {
    if (outside.has(tensor)) continue;
    const what = `${tensor.dtype} of shape [${tensor.shape.join(', ')}] takes ${wanted(tensor)} bytes, its offsets span ${tensor.bytes}`;
    reasons.push(new LabError('dtype-size', `${file}: tensor “${tensor.name}”: ${what}.`, AGAIN));
  }
  throwAll(reasons);
  if (overlaps.length > 0)
    throw new LabError(
      'offsets-overlap',
      `${file}: ${listed(overlaps)} ${overlaps.length > 1 ? 'overlap' : 'overlaps'} another tensor.`,
      AGAIN,
    );
  if (gaps.length > 0) throw new LabError('offsets-gap', `${file}: bytes before ${listed(gaps)} belong to no tensor.`, AGAIN);
  if (end < fileSize) throw new LabError('offsets-gap', `${file}: its last ${fileSize - end} bytes belong to no tensor.`, AGAIN);
}

const wanted = (tensor: HeaderTensor): number => elements(tensor.shape) * (DTYPE_BYTES.get(tensor.dtype) ?? NaN);
export const elements = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

const isSize = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
const isNumbers = (value: unknown): value is number[] => Array.isArray(value) && value.every((n) => typeof n === 'number');

function duplicates(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return names.filter((name) => seen.size === seen.add(name).size);
}

/** The keys of an object's text in order, repeated ones included: JSON.parse would silently keep the last. */
function topLevelKeys(text: string): string[] {
  const keys: string[] = [];
  let depth = 0;
  let keyComes = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') {
      const from = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      if (depth === 1 && keyComes) keys.push(String(JSON.parse(text.slice(from, i + 1))));
      keyComes = false;
    } else if (c === '{' || c === '[') {
      depth++;
      keyComes = depth === 1;
    } else if (c === '}' || c === ']') depth--;
    else if (c === ',') keyComes = depth === 1;
  }
  return keys;
}
