/** Checkpoints and arrays as PyTorch and NumPy wrote them (tests/golden/make_torch_files.py), and archives made here to be broken. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { zipSync, type Zippable } from 'fflate';
import type { LooseTensor } from '../../workers/formats/loose';

const ROOT = fileURLToPath(new URL('../golden/fixtures/torch/', import.meta.url));

interface Described {
  dtype: string;
  shape: number[];
  bytes: string;
}
const json = (name: string): unknown => JSON.parse(readFileSync(ROOT + name, 'utf8'));
export const EXPECTED = json('expected.json') as Record<string, Record<string, Described>>;
export const HOSTILE = Object.entries(json('hostile.json') as Record<string, { code: string; pickle: string }>).map(
  ([name, { code, pickle }]) => ({ name, code, pickle: Uint8Array.from(Buffer.from(pickle, 'base64')) }),
);

export const fixtureBytes = (name: string): Uint8Array<ArrayBuffer> => Uint8Array.from(readFileSync(ROOT + name));
export const fixture = (name: string): File => new File([fixtureBytes(name)], name.split('/').pop() ?? name);

/** Tensors with their numbers, in the form of expected.json. */
export async function described(tensors: readonly LooseTensor[]): Promise<Record<string, Described>> {
  const entries = tensors.map(async (tensor): Promise<[string, Described]> => {
    const bytes = await tensor.read();
    if (bytes.length !== tensor.bytes) throw new Error(`${tensor.name}: ${bytes.length} bytes came, ${tensor.bytes} were told`);
    return [tensor.name, { dtype: tensor.dtype, shape: [...tensor.shape], bytes: Buffer.from(bytes).toString('base64') }];
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** An archive of these entries, stored or deflated. */
export const zipped = (entries: Zippable, level: 0 | 6 = 0): Uint8Array<ArrayBuffer> => Uint8Array.from(zipSync(entries, { level }));

/** A checkpoint of this pickle and one storage, “0”, of 24 bytes. */
export const checkpoint = (pickle: Uint8Array, more: Zippable = {}): File =>
  new File([zipped({ 'x/data.pkl': pickle, 'x/data/0': new Uint8Array(24), ...more })], 'x.pt');
