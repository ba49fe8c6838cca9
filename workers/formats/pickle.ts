/**
 * A pickle is a program for a stack machine, and Python's runs what it is told. This one knows the opcodes that saved data is made of and no
 * others, and it can name things (GLOBAL) and call things (REDUCE) only in a world that is handed to it: a table of inert stand-ins. Whatever the
 * table does not hold is refused by name before anything else is read; nothing is ever evaluated. Dicts are Maps, so that no key means more than
 * itself. Work and memory are bounded by the bytes read, and those by a limit. Opcodes: CPython's Lib/pickletools.py.
 */
import { LabError } from '../errors';

/** Something that only its world understands: a type, a storage, a tensor. */
export abstract class Foreign {
  readonly foreign = true;
}
/** A stand-in for a Python function or class. */
export abstract class Callable extends Foreign {
  abstract call(args: readonly Value[]): Value;
}
export class Seq {
  constructor(
    readonly kind: 'list' | 'tuple' | 'set',
    readonly items: Value[],
  ) {}
}
export class Dict {
  readonly entries = new Map<Value, Value>();
}
/** A bigint is an integer beyond 2^53. */
export type Value = null | boolean | number | bigint | string | Uint8Array | Seq | Dict | Foreign;

export interface World {
  /** @throws LabError pickle-forbidden for everything that it does not hold */
  global(module: string, name: string): Value;
  persistent(id: Value): Value;
}

/** Steps: a loss curve of a million points is a million of them. */
const STEPS_MOST = 4_000_000;
const MARKS_MOST = 10_000;
const LINE_MOST = 1024;
const INTEGER_BYTES_MOST = 16;
const PROTOCOL_MOST = 5;

/** What Python knows and this machine does not do: making objects of classes, setting their state, code extensions, protocol 0. */
const DENIED: ReadonlyMap<number, string> = new Map(
  Object.entries({
    ...{ 0x69: 'INST', 0x6f: 'OBJ', 0x81: 'NEWOBJ', 0x92: 'NEWOBJ_EX', 0x82: 'EXT1', 0x83: 'EXT2', 0x84: 'EXT4', 0x50: 'PERSID' },
    ...{ 0x32: 'DUP', 0x49: 'INT', 0x4c: 'LONG', 0x46: 'FLOAT', 0x53: 'STRING', 0x54: 'BINSTRING', 0x55: 'SHORT_BINSTRING' },
    ...{ 0x56: 'UNICODE', 0x64: 'DICT', 0x6c: 'LIST', 0x67: 'GET', 0x70: 'PUT', 0x96: 'BYTEARRAY8', 0x97: 'NEXT_BUFFER' },
    ...{ 0x98: 'READONLY_BUFFER' },
  }).map(([code, name]) => [Number(code), name]),
);

export const forbidden = (where: string, what: string): LabError =>
  new LabError(
    'pickle-forbidden',
    `${where} asks for ${what}. A checkpoint is read as data here and never run, and this is not among what data needs.`,
    'Weights alone need nothing of the kind: save them as safetensors, or the state dict alone with torch.save(model.state_dict(), …).',
  );
export const pickleGarbage = (where: string, what: string): LabError =>
  new LabError(
    'pickle-garbage',
    `${where} ${what}.`,
    'Copy or download the file again; if it stays so, the program that wrote it is at fault.',
  );

/** Data out of a pickle. @throws LabError pickle-forbidden, pickle-garbage, pickle-too-large, and what the world throws */
export const unpickle = (bytes: Uint8Array, where: string, world: World): Value => new Machine(bytes, where, world).run();

class Machine {
  #at = 0;
  #stack: Value[] = [];
  /** The stacks below each open MARK. */
  readonly #below: Value[][] = [];
  readonly #memo = new Map<number, Value>();
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly where: string,
    readonly world: World,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): Value {
    for (let steps = 0; steps < STEPS_MOST; steps++) {
      const op = this.#number(1, 'getUint8');
      if (op === 0x2e) {
        const result = this.#pop();
        if (this.#stack.length > 0 || this.#below.length > 0) throw this.#garbage('ends with work left undone');
        return result;
      }
      this.#step(op);
    }
    throw this.#tooLarge(`takes more than ${STEPS_MOST} steps`);
  }

  #step(op: number): void {
    switch (op) {
      case 0x80: // PROTO
        if (this.#number(1, 'getUint8') > PROTOCOL_MOST) throw this.#garbage('is of a protocol that does not exist yet');
        return;
      case 0x95: // FRAME
        this.#take(8);
        return;
      case 0x4e: // NONE
        return this.#push(null);
      case 0x88: // NEWTRUE, NEWFALSE
      case 0x89:
        return this.#push(op === 0x88);
      case 0x4a: // BININT
        return this.#push(this.#number(4, 'getInt32'));
      case 0x4b: // BININT1
        return this.#push(this.#number(1, 'getUint8'));
      case 0x4d: // BININT2
        return this.#push(this.#number(2, 'getUint16'));
      case 0x8a: // LONG1
        return this.#push(this.#integer(this.#number(1, 'getUint8')));
      case 0x8b: // LONG4
        return this.#push(this.#integer(this.#number(4, 'getInt32')));
      case 0x47: // BINFLOAT, the one big-endian thing
        return this.#push(this.#view.getFloat64(this.#take(8)));
      case 0x8c: // SHORT_BINUNICODE
        return this.#push(this.#text(this.#number(1, 'getUint8')));
      case 0x58: // BINUNICODE
        return this.#push(this.#text(this.#number(4, 'getUint32')));
      case 0x8d: // BINUNICODE8
        return this.#push(this.#text(this.#length8()));
      case 0x43: // SHORT_BINBYTES
        return this.#push(this.#slice(this.#number(1, 'getUint8')));
      case 0x42: // BINBYTES
        return this.#push(this.#slice(this.#number(4, 'getUint32')));
      case 0x8e: // BINBYTES8
        return this.#push(this.#slice(this.#length8()));
      case 0x5d: // EMPTY_LIST
        return this.#push(new Seq('list', []));
      case 0x29: // EMPTY_TUPLE
        return this.#push(new Seq('tuple', []));
      case 0x8f: // EMPTY_SET
        return this.#push(new Seq('set', []));
      case 0x7d: // EMPTY_DICT
        return this.#push(new Dict());
      case 0x85: // TUPLE1, 2, 3
      case 0x86:
      case 0x87:
        return this.#push(new Seq('tuple', this.#popSome(op - 0x84)));
      case 0x28: // MARK
        if (this.#below.length >= MARKS_MOST) throw this.#tooLarge('is nested too deeply');
        this.#below.push(this.#stack);
        this.#stack = [];
        return;
      case 0x74: // TUPLE
        return this.#push(new Seq('tuple', this.#popMark()));
      case 0x91: // FROZENSET
        return this.#push(new Seq('set', this.#popMark()));
      case 0x61: // APPEND
        return this.#extend('list', this.#popSome(1));
      case 0x65: // APPENDS
        return this.#extend('list', this.#popMark());
      case 0x90: // ADDITEMS
        return this.#extend('set', this.#popMark());
      case 0x73: // SETITEM
        return this.#setItems(this.#popSome(2));
      case 0x75: // SETITEMS
        return this.#setItems(this.#popMark());
      case 0x30: // POP
        this.#pop();
        return;
      case 0x31: // POP_MARK
        this.#popMark();
        return;
      case 0x71: // BINPUT
        return this.#remember(this.#number(1, 'getUint8'));
      case 0x72: // LONG_BINPUT
        return this.#remember(this.#number(4, 'getUint32'));
      case 0x94: // MEMOIZE
        return this.#remember(this.#memo.size);
      case 0x68: // BINGET
        return this.#recall(this.#number(1, 'getUint8'));
      case 0x6a: // LONG_BINGET
        return this.#recall(this.#number(4, 'getUint32'));
      case 0x63: // GLOBAL
        return this.#push(this.world.global(this.#line(), this.#line()));
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popSome(2);
        if (typeof module !== 'string' || typeof name !== 'string') throw this.#garbage('names something by what is no name');
        return this.#push(this.world.global(module, name));
      }
      case 0x51: // BINPERSID
        return this.#push(this.world.persistent(this.#pop()));
      case 0x52: {
        // REDUCE
        const [callee, args] = this.#popSome(2);
        if (!(callee instanceof Callable)) throw forbidden(this.where, 'a call of something that is no function');
        if (!(args instanceof Seq) || args.kind !== 'tuple') throw this.#garbage('calls a function without its arguments');
        return this.#push(callee.call(args.items));
      }
      case 0x62: // BUILD: an OrderedDict may carry attributes (PyTorch's _metadata), which nothing here needs; nothing else may.
        this.#pop();
        if (!(this.#top() instanceof Dict)) throw forbidden(this.where, 'the state of an object to be set (BUILD)');
        return;
      default: {
        const denied = DENIED.get(op);
        if (denied) throw forbidden(this.where, `the pickle operation ${denied}`);
        throw this.#garbage(`has the byte ${op} where an operation should be`);
      }
    }
  }

  #garbage(what: string): LabError {
    return pickleGarbage(this.where, `is no readable pickle: it ${what} (byte ${this.#at} of ${this.bytes.length})`);
  }
  #tooLarge(what: string): LabError {
    return new LabError(
      'pickle-too-large',
      `${this.where} ${what}, more than a checkpoint needs.`,
      'Save the weights alone, as safetensors or as a state dict.',
    );
  }

  /** Moves past `length` bytes and says where they began. */
  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.bytes.length) throw this.#garbage('ends in the middle');
    this.#at += length;
    return at;
  }
  #number(length: number, read: 'getUint8' | 'getUint16' | 'getUint32' | 'getInt32'): number {
    return this.#view[read](this.#take(length), true);
  }
  #length8(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }
  #slice(length: number): Uint8Array {
    const at = this.#take(length);
    return this.bytes.subarray(at, at + length);
  }
  #text(length: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#slice(length));
    } catch (thrown) {
      throw thrown instanceof LabError ? thrown : this.#garbage('holds a text that is none');
    }
  }
  #line(): string {
    const end = this.bytes.subarray(this.#at, this.#at + LINE_MOST).indexOf(0x0a);
    if (end < 0) throw this.#garbage('names something without an end');
    const line = this.#text(end);
    this.#take(1);
    return line;
  }
  /** Two's complement, little-endian. */
  #integer(length: number): number | bigint {
    if (length < 0 || length > INTEGER_BYTES_MOST) throw this.#tooLarge(`holds an integer of ${length} bytes`);
    const value = this.#slice(length).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  #push(value: Value): void {
    this.#stack.push(value);
  }
  #top(): Value {
    const top = this.#stack.at(-1);
    if (top === undefined) throw this.#garbage('takes from an empty stack');
    return top;
  }
  #pop(): Value {
    const top = this.#top();
    this.#stack.pop();
    return top;
  }
  #popSome(n: number): Value[] {
    if (this.#stack.length < n) throw this.#garbage('takes from an empty stack');
    return this.#stack.splice(-n);
  }
  #popMark(): Value[] {
    const below = this.#below.pop();
    if (!below) throw this.#garbage('ends a list that it did not begin');
    const items = this.#stack;
    this.#stack = below;
    return items;
  }
  #extend(kind: Seq['kind'], items: readonly Value[]): void {
    const top = this.#top();
    if (!(top instanceof Seq) || top.kind !== kind) throw this.#garbage(`adds to a ${kind} that is none`);
    for (const item of items) top.items.push(item);
  }
  #setItems(items: readonly Value[]): void {
    const top = this.#top();
    if (!(top instanceof Dict) || items.length % 2 !== 0) throw this.#garbage('sets an item of what is no dict');
    for (let i = 0; i < items.length; i += 2) top.entries.set(items[i] ?? null, items[i + 1] ?? null);
  }
  #remember(index: number): void {
    this.#memo.set(index, this.#top());
  }
  #recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#garbage(`recalls something (${index}) that it never kept`);
    this.#push(value);
  }
}
