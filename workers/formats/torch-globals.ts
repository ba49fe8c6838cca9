/**
 * The world of a PyTorch checkpoint: every name that its pickle may speak, and what stands for it here. Storages are places in the archive, tensors
 * are views of them (offset, sizes and strides, as torch/_utils.py rebuilds them), types are names. Nothing here does anything but take notes.
 */
import { LabError } from '../errors';
import type { LooseDtype } from './loose';
import { Callable, Dict, forbidden, Foreign, pickleGarbage, Seq, type Value, type World } from './pickle';
import { DTYPE_BYTES } from './safetensors';
import { count, reach } from './strides';
import { tooLarge } from './zip';

/** A type of numbers: torch.float32, torch.FloatStorage. Without a dtype where Loupe has no such numbers; `size` 1 for untyped storages. */
export class TorchType extends Foreign {
  constructor(
    readonly name: string,
    readonly dtype: LooseDtype | undefined,
    readonly isStorage = false,
  ) {
    super();
  }
}
export class Storage extends Foreign {
  constructor(
    /** The archive's entry, below data/. */
    readonly key: string,
    readonly type: TorchType,
    readonly bytes: number,
  ) {
    super();
  }
}
/** Offset and strides in elements; within its storage, as the storage is declared. */
export class TensorView extends Foreign {
  constructor(
    readonly storage: Storage,
    readonly dtype: LooseDtype,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
    readonly bytes: number,
  ) {
    super();
  }
}
class Call extends Callable {
  constructor(override readonly call: (args: readonly Value[]) => Value) {
    super();
  }
}

const DTYPES: Readonly<Record<string, LooseDtype>> = {
  ...{ float32: 'F32', float: 'F32', float16: 'F16', half: 'F16', bfloat16: 'BF16', float64: 'F64', double: 'F64' },
  ...{ int64: 'I64', long: 'I64', int32: 'I32', int: 'I32', int16: 'I16', short: 'I16', int8: 'I8', uint8: 'U8', bool: 'BOOL' },
};
const STORAGES: Readonly<Record<string, LooseDtype>> = {
  ...{
    Float: 'F32',
    Half: 'F16',
    BFloat16: 'BF16',
    Double: 'F64',
    Long: 'I64',
    Int: 'I32',
    Short: 'I16',
    Char: 'I8',
    Byte: 'U8',
    Bool: 'BOOL',
  },
};
/** Known by name, so that the refusal can say what they are; checkpoints of language models have none but by choice. */
const FOREIGN_DTYPES =
  /^(complex(32|64|128)|uint(16|32|64)|float8_\w+|float4_\w+|q(u?int(8|32|4x2|2x4))|Complex(Float|Double)Storage|QU?Int(8|32|4x2|2x4)Storage)$/;

const AXES_MOST = 64;
/** A view may be larger than its storage (expanded: stride 0), but not by so much that it must be a trick. */
const EXPANDED_MOST = 64e6;

const isCount = (value: Value | undefined): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** Everything a checkpoint may name, by `module.name`. `where` is for messages. */
export function torchWorld(where: string): World {
  const garbage = (what: string): LabError => pickleGarbage(where, what);
  const names = new Map<string, Value>();
  for (const [name, dtype] of Object.entries(DTYPES)) names.set(`torch.${name}`, new TorchType(`torch.${name}`, dtype));
  for (const [name, dtype] of Object.entries(STORAGES)) names.set(`torch.${name}Storage`, new TorchType(`${name}Storage`, dtype, true));
  const untyped = new TorchType('UntypedStorage', undefined, true);
  for (const name of ['torch.storage.UntypedStorage', 'torch.UntypedStorage']) names.set(name, untyped);

  const rebuild = new Call(([storage, offset, shape, strides]) => {
    const { type } = asStorage(storage, garbage);
    return view(storage, type, offset, shape, strides, where);
  });
  // For dtypes without a storage type of their own: the seventh argument says what the bytes are.
  const rebuildTyped = new Call(([storage, offset, shape, strides, , , dtype]) => view(storage, dtype, offset, shape, strides, where));
  const parameter = new Call(([data]) => {
    if (!(data instanceof TensorView)) throw garbage('makes a parameter of what is no tensor');
    return data;
  });
  const subclass = new Call(([make, , args]) => {
    const known = [rebuild, rebuildTyped].find((each) => each === make);
    if (!known || !(args instanceof Seq)) throw forbidden(where, 'a tensor of a type of its own');
    return known.call(args.items);
  });
  const ordered = new Call((args) => {
    if (args.length > 0) throw garbage('makes an OrderedDict out of something');
    return new Dict();
  });
  names.set('torch._utils._rebuild_tensor', rebuild);
  names.set('torch._utils._rebuild_tensor_v2', rebuild);
  names.set('torch._utils._rebuild_tensor_v3', rebuildTyped);
  names.set('torch._utils._rebuild_parameter', parameter);
  names.set('torch._utils._rebuild_parameter_with_state', parameter);
  // A tensor that carries Python attributes; they are left aside.
  names.set('torch._tensor._rebuild_from_type_v2', subclass);
  names.set('torch.Tensor', new TorchType('torch.Tensor', undefined));
  names.set('torch.nn.parameter.Parameter', new TorchType('torch.nn.Parameter', undefined));
  names.set('torch.Size', new Call(([sizes]) => asSeq('tuple', sizes, garbage)));
  names.set('torch.device', new Call(([kind, index]) => (typeof kind === 'string' ? kind + (isCount(index) ? `:${index}` : '') : null)));
  names.set('collections.OrderedDict', ordered);
  const set = new Call(([items]) => asSeq('set', items, garbage));
  for (const builtins of ['builtins', '__builtin__']) names.set(`${builtins}.set`, set);

  return {
    global(module, name) {
      const known = names.get(`${module}.${name}`);
      if (known !== undefined) return known;
      if (module === 'torch' && FOREIGN_DTYPES.test(name)) return new TorchType(`torch.${name}`, undefined, name.endsWith('Storage'));
      throw forbidden(where, `“${`${module}.${name}`.slice(0, 120)}”`);
    },
    persistent(id) {
      if (!(id instanceof Seq)) throw garbage('refers to something outside itself that is no storage');
      const [what, type, key, , elements] = id.items;
      if (what !== 'storage' || !(type instanceof TorchType) || !type.isStorage || typeof key !== 'string' || !isCount(elements))
        throw garbage('refers to something outside itself that is no storage');
      if (type !== untyped && type.dtype === undefined) throw unsupported(where, type);
      return new Storage(key, type, elements * sizeOf(type));
    },
  };
}

const sizeOf = ({ dtype }: TorchType): number => (dtype && DTYPE_BYTES.get(dtype)) ?? 1;

const unsupported = (where: string, type: TorchType): LabError =>
  new LabError(
    'dtype-unsupported',
    `${where} holds numbers of the type ${type.name}, which Loupe does not read.`,
    'Save the checkpoint in float32, float16 or bfloat16.',
  );

function asStorage(value: Value | undefined, garbage: (what: string) => LabError): Storage {
  if (!(value instanceof Storage)) throw garbage('makes a tensor without a storage');
  return value;
}

/** The items are shared and not copied: a long list may be spoken of often. */
function asSeq(kind: Seq['kind'], value: Value | undefined, garbage: (what: string) => LabError): Seq {
  if (value !== undefined && !(value instanceof Seq)) throw garbage(`makes a ${kind} of what is no sequence`);
  return new Seq(kind, value?.items ?? []);
}

function view(
  of: Value | undefined,
  type: Value | undefined,
  offset: Value | undefined,
  sizes: Value | undefined,
  steps: Value | undefined,
  where: string,
): TensorView {
  const garbage = (what: string): LabError => pickleGarbage(where, what);
  const storage = asStorage(of, garbage);
  if (!(type instanceof TorchType)) throw garbage('makes a tensor of no type');
  const size = type.dtype && DTYPE_BYTES.get(type.dtype);
  if (type.dtype === undefined || size === undefined) throw unsupported(where, type);
  if (!(sizes instanceof Seq) || !(steps instanceof Seq) || sizes.items.length > AXES_MOST || sizes.items.length !== steps.items.length)
    throw garbage('makes a tensor without a shape');
  const [shape, strides] = [sizes.items, steps.items];
  if (!isCount(offset) || !shape.every(isCount) || !strides.every(isCount))
    throw new LabError(
      'offsets-range',
      `${where}: a tensor of storage “${storage.key.slice(0, 80)}” has a negative or impossible offset, size or stride.`,
      'The file is damaged, or made by hand. Save the checkpoint again.',
    );
  const end = (shape.includes(0) ? 0 : offset + reach(shape, strides)) * size;
  if (end > storage.bytes)
    throw new LabError(
      'offsets-range',
      `${where}: a tensor of shape [${shape.join(', ')}] reaches to byte ${end} of storage “${storage.key.slice(0, 80)}”, which has ${storage.bytes}.`,
      'The file is damaged, or made by hand. Save the checkpoint again.',
    );
  const bytes = count(shape) * size;
  if (bytes > Math.max(storage.bytes, EXPANDED_MOST)) throw tooLarge(`${where}: a tensor would unpack ${storage.bytes} bytes to ${bytes}`);
  return new TensorView(storage, type.dtype, offset, shape, strides, bytes);
}
