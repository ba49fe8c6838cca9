/**
 * A PyTorch checkpoint as weights: the tensors of its state dict, laid out as one safetensors file that is made of slices of the dropped one. Nothing
 * is copied where a tensor lies row-major and uncompressed, as torch.save writes nearly all of them; a strided view (or one in an archive that was
 * packed again) is made plain in memory. What a training run keeps beside the weights is left out, so that it takes no room on the shelf.
 */
import { LabError } from '../errors';
import type { Dropped } from './drop';
import { listed } from './reasons';
import type { HeaderTensor } from './safetensors';
import { readTorch, type TorchTensor } from './torch-zip';
import { tooLarge } from './zip';

export interface TorchWeights {
  /** Safetensors, though two tensors that share their bytes (a tied head saved twice) lie there once, under the first one's name. */
  file: File;
  tensors: HeaderTensor[];
  /** Keys beside the state dict: optimizer, epoch … */
  aside: string[];
}

/** Under which training scripts save a state dict beside their own state. */
const STATE_DICTS = ['state_dict', 'model_state_dict', 'model', 'module'];
/**
 * Views may overlap or be expanded: all together may come to twice what the storages hold, and to make them plain, sixteen times that may be gone
 * through (columns of one matrix each reach over all of it). Small files may have this much more.
 */
const [SIZES_MOST, WORK_MOST, SLACK] = [2, 16, 64e6];

export async function readTorchWeights({ file, path: where }: Dropped): Promise<TorchWeights> {
  const checkpoint = await readTorch(file, where);
  const { tensors, aside } = stateDict(checkpoint.tensors, Object.keys(checkpoint.plain), where);
  if (tensors.length === 0)
    throw new LabError(
      'torch-garbage',
      `${where} is a PyTorch checkpoint without a tensor.`,
      'Drop the checkpoint that holds the weights.',
    );
  const parts: Part[] = [];
  const known = new Map<string, Part>();
  const homes: { tensor: TorchTensor; part: Part }[] = [];
  for (const tensor of tensors) {
    const place = await tensor.place();
    const key = place === undefined ? undefined : `${place} ${tensor.bytes}`;
    const part = (key !== undefined && known.get(key)) || { tensor, place, at: 0 };
    if (part.tensor === tensor) parts.push(part);
    if (key !== undefined) known.set(key, part);
    homes.push({ tensor, part });
  }
  checkSize(parts, where);
  const header = layOut(parts);
  const bytes: BlobPart[] = [header];
  for (const { tensor, place } of parts) bytes.push(place === undefined ? await tensor.read() : file.slice(place, place + tensor.bytes));
  return {
    file: new File(bytes, file.name),
    tensors: homes.map(({ tensor: { name, dtype, shape, bytes }, part }) => ({
      name,
      dtype,
      shape: [...shape],
      offset: header.length + part.at,
      bytes,
    })),
    aside,
  };
}

interface Part {
  tensor: TorchTensor;
  place: number | undefined;
  /** In the data, from the header's end. */
  at: number;
}

/** A state dict of its own, or the one in a training script's checkpoint. */
function stateDict(all: readonly TorchTensor[], plain: readonly string[], where: string): { tensors: TorchTensor[]; aside: string[] } {
  const inside = (key: string): TorchTensor[] => all.filter(({ path }) => path.length > 1 && path[0] === key);
  const found = STATE_DICTS.filter((key) => inside(key).length > 0);
  const [key] = found;
  if (key === undefined) return { tensors: [...all], aside: [] };
  if (found.length > 1)
    throw new LabError(
      'weights-ambiguous',
      `${where} holds several state dicts: ${listed(found)}.`,
      'Save the one you mean alone: torch.save(checkpoint["state_dict"], …).',
    );
  const outermost = [...all.map(({ path }) => path[0] ?? ''), ...plain.map((name) => name.split('.', 1)[0] ?? '')];
  return {
    tensors: inside(key).map((tensor) => ({ ...tensor, name: tensor.path.slice(1).join('.') })),
    aside: [...new Set(outermost)].filter((other) => other !== key),
  };
}

function checkSize(parts: readonly Part[], where: string): void {
  const storages = new Map(parts.map(({ tensor: { storage } }) => [storage.key, storage.bytes]));
  const held = [...storages.values()].reduce((sum, bytes) => sum + bytes, 0);
  const wanted = parts.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
  const work = parts.reduce((sum, { tensor, place }) => sum + (place === undefined ? tensor.work : 0), 0);
  if (wanted > SIZES_MOST * held + SLACK) throw tooLarge(`${where}: its tensors would unpack ${held} bytes to ${wanted}`);
  if (work > WORK_MOST * held + SLACK) throw tooLarge(`${where}: its tensors reach over ${held} bytes again and again, ${work} in all`);
}

/** Gives every part its place and writes the header, padded so that the data begins at a multiple of 8. */
function layOut(parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const entries: [string, { dtype: string; shape: readonly number[]; data_offsets: [number, number] }][] = [];
  let at = 0;
  for (const part of parts) {
    const { name, dtype, shape, bytes } = part.tensor;
    part.at = at;
    entries.push([name, { dtype, shape, data_offsets: [at, at + bytes] }]);
    at += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return header;
}
