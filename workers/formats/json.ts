/** JSON that a person dropped: bytes in, an object or a clear refusal out. */
import { LabError } from '../errors';
import { readAll } from './read';

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A JSON object from UTF-8 bytes (a byte-order mark is skipped); anything else is refused with `code`. */
export function parseObject(bytes: Uint8Array, name: string, code: string, hint: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new LabError(code, `${name} is not readable JSON (${why}).`, hint);
  }
  if (!isObject(value)) throw new LabError(code, `${name} is JSON, but not an object.`, hint);
  return value;
}

/** Largest JSON taken in: real tokenizer.json files reach some 35 MB; more is a mistake that would freeze the tab. */
const MOST = 200e6;

export async function readObject(file: File, name: string, code: string, hint: string): Promise<JsonObject> {
  if (file.size > MOST) throw new LabError(code, `${name} has ${Math.round(file.size / 1e6)} MB, too much for what it should hold.`, hint);
  return parseObject(await readAll(file, name), name, code, hint);
}
