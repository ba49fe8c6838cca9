/**
 * PyTorch's checkpoints since 1.6 (.pt, .pth, .bin): a ZIP of one pickle, which says what there is, and of storages, which hold the numbers. The pickle
 * is read by a machine that runs nothing (pickle.ts); tensors are read where they lie, views of a storage made row-major.
 *
 * Layout (torch/serialization.py, caffe2/serialize/inline_container.h): <any name>/{data.pkl, data/<key>, version?, byteorder?, .data/serialization_id?}.
 */
import { LabError } from '../errors';
import type { LooseFile, LooseTensor } from './loose';
import { unpickle } from './pickle';
import { takeApart } from './plain-tree';
import { readPiece } from './read';
import { DTYPE_BYTES } from './safetensors';
import { gather, isRowMajor, reach } from './strides';
import { torchWorld, type Storage, type TensorView } from './torch-globals';
import { looksZipped, readZip, type Zip, type ZipEntry } from './zip';
import { allocate, openEntry, type OpenEntry } from './zip-entry';

export interface TorchTensor extends LooseTensor {
  /** The keys from the outermost dict inward; `name` is these with dots between. */
  path: readonly string[];
  /** What its storage takes, unpacked. */
  storage: { key: string; bytes: number };
  /** Bytes that `read` goes through. */
  work: number;
  /** Where its bytes lie in the file, if they lie there as `read` would give them. */
  place(): Promise<number | undefined>;
}
export interface TorchFile extends LooseFile {
  tensors: TorchTensor[];
}

/** The pickles of the largest models have a megabyte; a long training log beside the weights may have ten. */
const PICKLE_MOST = 64e6;
/** caffe2::serialize::kMaxSupportedFileFormatVersion */
const VERSION_MOST = 10;
const RESAVE =
  'Load it in PyTorch (1.6 or later) and save it again: torch.save(model.state_dict(), "pytorch_model.bin"), or as safetensors.';

const unsupported = (what: string, hint = RESAVE): LabError => new LabError('torch-unsupported', what, hint);

/**
 * Reads what a checkpoint holds; of the numbers nothing yet.
 * @throws LabError torch-unsupported, torch-garbage, pickle-*, zip-*, offsets-range, dtype-size, dtype-unsupported, tensor-duplicate
 */
export async function readTorch(file: File, name = file.name): Promise<TorchFile> {
  if (!(await looksZipped(file, name))) throw await refuseOld(file, name);
  const zip = await readZip(file, name);
  const [first, another] = [...zip.entries.values()].filter((entry) => /^[^/]+\/data\.pkl$/.test(entry.name));
  if (!first || another)
    throw new LabError('torch-garbage', `${name} is a zip archive, but no PyTorch checkpoint: it has no data.pkl of its own.`, RESAVE);
  const root = first.name.slice(0, -'data.pkl'.length);
  await checkRecords(zip, root, name);
  if (first.bytes > PICKLE_MOST)
    throw new LabError(
      'pickle-too-large',
      `${name}: its data.pkl has ${Math.round(first.bytes / 1e6)} MB, too much to describe weights.`,
      RESAVE,
    );
  const pickle = await (await openEntry(zip, first)).read(0, first.bytes);
  const { tensors, plain } = takeApart(unpickle(pickle, name, torchWorld(name)), name);

  const opened = new Map<ZipEntry, Promise<OpenEntry>>();
  const open = (entry: ZipEntry): Promise<OpenEntry> => {
    const open = opened.get(entry) ?? openEntry(zip, entry);
    opened.set(entry, open);
    return open;
  };
  const names = new Set<string>();
  return {
    plain,
    tensors: tensors.map(({ path, name: tensor, view }) => {
      if (names.has(tensor)) throw new LabError('tensor-duplicate', `${name} holds two tensors called “${tensor}”.`, RESAVE);
      names.add(tensor);
      return { ...locate(view, entryOf(zip, root, view.storage, name), open, `${name}: “${tensor}”`), name: tensor, path };
    }),
  };
}

/** Before 1.6, torch.save wrote a row of pickles (the first one a magic number); before 0.1.10 a tar. */
async function refuseOld(file: File, name: string): Promise<LabError> {
  const head = await readPiece(file, 0, Math.min(512, file.size), name);
  const magic = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  const old = head[0] === 0x80 && magic.every((byte, i) => head[2 + i] === byte);
  const tar = new TextDecoder('latin1').decode(head.subarray(257, 262)) === 'ustar';
  if (old || tar) return unsupported(`${name} is of the form that PyTorch wrote before version 1.6.`);
  return new LabError('torch-garbage', `${name} is no PyTorch checkpoint.`, 'Copy or download the file again.');
}

/** What the small records beside the pickle say: whose archive it is, in what version, in what order of bytes. */
async function checkRecords(zip: Zip, root: string, name: string): Promise<void> {
  if (zip.entries.has(`${root}constants.pkl`)) throw unsupported(`${name} is a TorchScript program, not a checkpoint.`);
  const text = async (record: string): Promise<string | undefined> => {
    const entry = zip.entries.get(root + record);
    if (!entry || entry.bytes > 100) return undefined;
    return new TextDecoder().decode(await (await openEntry(zip, entry)).read(0, entry.bytes)).trim();
  };
  const order = await text('byteorder');
  if (order !== undefined && order !== 'little') throw unsupported(`${name} was written on a big-endian machine (byteorder “${order}”).`);
  const version = await text('version');
  if (version !== undefined && !(Number(version) <= VERSION_MOST))
    throw unsupported(`${name} is of version ${version} of PyTorch's format; Loupe reads up to ${VERSION_MOST}.`);
}

/** A storage's entry, held against what the pickle says of it. An empty storage may have none. */
function entryOf(zip: Zip, root: string, storage: Storage, name: string): ZipEntry | undefined {
  const key = storage.key.slice(0, 80);
  const entry = zip.entries.get(`${root}data/${storage.key}`);
  if (!entry && storage.bytes > 0)
    throw new LabError('tensor-missing', `${name}: storage “${key}” is not in the archive.`, 'Copy or download the file again.');
  if (entry && entry.bytes !== storage.bytes)
    throw new LabError(
      'dtype-size',
      `${name}: storage “${key}” has ${entry.bytes} bytes in the archive and ${storage.bytes} by its description.`,
      'Copy or download the file again; if it stays so, the program that wrote it is at fault.',
    );
  return entry;
}

function locate(
  { dtype, shape, strides, bytes, storage, offset }: TensorView,
  entry: ZipEntry | undefined,
  open: (entry: ZipEntry) => Promise<OpenEntry>,
  where: string,
): Omit<TorchTensor, 'name' | 'path'> {
  const size = DTYPE_BYTES.get(dtype) ?? 1;
  const from = offset * size;
  const to = from + reach(shape, strides) * size;
  const plain = isRowMajor(shape, strides);
  return {
    dtype,
    shape,
    bytes,
    storage: { key: storage.key, bytes: storage.bytes },
    work: entry?.deflated ? to : to - from,
    async place() {
      const start = entry && bytes > 0 && plain ? (await open(entry)).offset : undefined;
      return start === undefined ? undefined : start + from;
    },
    async read() {
      if (!entry || bytes === 0) return new Uint8Array(0);
      const lying = await (await open(entry)).read(from, to);
      if (plain) return lying;
      const out = allocate(bytes, where);
      gather(lying, size, shape, strides, out);
      return out;
    },
  };
}
