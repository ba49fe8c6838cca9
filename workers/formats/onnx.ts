/**
 * What an ONNX file says of itself, read from its skeleton without a runtime: what goes in, what comes out, which operations it is made of. So a file that
 * cannot serve is refused when it is dropped, not minutes later. Weights are skipped, whatever their size.
 *
 * The format is protobuf (onnx.proto3): ModelProto.graph = 7; GraphProto.node = 1, initializer = 5, input = 11, output = 12.
 */
import { LabError } from '../errors';
import { readPiece } from './read';

export interface OnnxSignature {
  inputs: string[];
  outputs: string[];
  operations: string[];
  /** Weights lie in other files. */
  external: boolean;
}

interface Field {
  number: number;
  /** Where a length-delimited field's content lies; of a number, its value. */
  from: number;
  to: number;
  value?: number;
}

const WINDOW = 1 << 20;
/** No name in a real graph is this long. */
const LONGEST = 4096;

/** Throws embedder-garbage where the file is no ONNX graph. */
export async function readSignature(file: Blob, name: string): Promise<OnnxSignature> {
  const reader = new Reader(file, name);
  const inputs: string[] = [];
  const weights = new Set<string>();
  const found: OnnxSignature = { inputs, outputs: [], operations: [], external: false };
  const operations = new Set<string>();
  let graphs = 0;
  for await (const model of reader.fields(0, file.size)) {
    if (model.number !== 7) continue;
    graphs++;
    for await (const part of reader.fields(model.from, model.to)) {
      if (part.number === 1) operations.add(await reader.text(part, 4));
      else if (part.number === 5) {
        weights.add(await reader.text(part, 8));
        found.external ||= (await reader.find(part, 14))?.value === 1;
      } else if (part.number === 11) inputs.push(await reader.text(part, 1));
      else if (part.number === 12) found.outputs.push(await reader.text(part, 1));
    }
  }
  if (graphs !== 1 || found.outputs.length === 0) throw garbage(name);
  // Older exporters list the weights among the inputs.
  return { ...found, inputs: inputs.filter((each) => !weights.has(each)), operations: [...operations].sort() };
}

class Reader {
  #window = new Uint8Array(0);
  #at = 0;
  constructor(
    readonly file: Blob,
    readonly name: string,
  ) {}

  /** The fields of the message in bytes [from, to). */
  async *fields(from: number, to: number): AsyncGenerator<Field> {
    for (let at = from; at < to;) {
      const [key, afterKey] = await this.#varint(at, to);
      const number = Math.floor(key / 8);
      const wire = key % 8;
      if (number === 0) throw garbage(this.name);
      if (wire === 0) {
        const [value, end] = await this.#varint(afterKey, to);
        yield { number, from: afterKey, to: end, value };
        at = end;
        continue;
      }
      const [length, start] = wire === 2 ? await this.#varint(afterKey, to) : [wire === 5 ? 4 : wire === 1 ? 8 : NaN, afterKey];
      const end = start + length;
      if (!(end <= to)) throw garbage(this.name);
      yield { number, from: start, to: end };
      at = end;
    }
  }

  async find(message: Field, number: number): Promise<Field | undefined> {
    if (message.value !== undefined) throw garbage(this.name);
    for await (const field of this.fields(message.from, message.to)) if (field.number === number) return field;
    return undefined;
  }

  async text(message: Field, number: number): Promise<string> {
    const field = await this.find(message, number);
    if (!field) return '';
    if (field.value !== undefined || field.to - field.from > LONGEST) throw garbage(this.name);
    return new TextDecoder().decode(await readPiece(this.file, field.from, field.to, this.name));
  }

  /** Numbers above 2^53 do not occur where one is looked at. */
  async #varint(at: number, end: number): Promise<[value: number, next: number]> {
    let value = 0;
    for (let i = 0; i < 10 && at + i < end; i++) {
      const byte = this.#byte(at + i) ?? (await this.#move(at + i));
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return [value, at + i + 1];
    }
    throw garbage(this.name);
  }

  #byte(at: number): number | undefined {
    return this.#window[at - this.#at];
  }

  async #move(at: number): Promise<number> {
    this.#window = await readPiece(this.file, at, Math.min(at + WINDOW, this.file.size), this.name);
    this.#at = at;
    return this.#window[0] ?? 0;
  }
}

const garbage = (name: string): LabError =>
  new LabError(
    'embedder-garbage',
    `${name} is no ONNX graph, or is damaged.`,
    'Download it again, whole: a text of a few lines is what git leaves where large files were not fetched.',
  );
