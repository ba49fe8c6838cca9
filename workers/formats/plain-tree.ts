/**
 * What a pickle held, taken apart: tensors by their paths, and the plain data beside them. A pickle can name one list a billion times over in a few
 * bytes, or put a dict into itself; so the walk counts its steps and its depth.
 */
import { LabError } from '../errors';
import type { Plain } from './loose';
import { Dict, Seq, type Value } from './pickle';
import { TensorView, TorchType } from './torch-globals';

export interface Tree {
  /** The keys from the outermost dict inward. */
  tensors: { path: readonly string[]; name: string; view: TensorView }[];
  plain: Record<string, Plain>;
}

const STEPS_MOST = 4_000_000;
const DEPTH_MOST = 64;
const PATH_MOST = 4096;
const LETTERS_MOST = 64e6;

/** @throws LabError pickle-too-large */
export function takeApart(root: Value, where: string): Tree {
  const tensors: Tree['tensors'] = [];
  // Without a prototype, so that no key means more than itself.
  const plain = Object.create(null) as Record<string, Plain>;
  let [steps, letters] = [0, 0];
  const tooLarge = (what: string): LabError =>
    new LabError(
      'pickle-too-large',
      `${where} ${what}, more than a checkpoint needs.`,
      'Save the weights alone, as safetensors or as a state dict.',
    );
  const spell = (text: string): void => {
    letters += text.length;
    if (letters > LETTERS_MOST) throw tooLarge('unfolds into millions of letters');
  };
  const named = (path: readonly string[]): string => {
    const name = path.length > 0 ? path.join('.') : 'tensor';
    spell(name);
    return name;
  };
  const keep = (path: readonly string[], value: Plain | undefined): void => {
    if (value === undefined) return;
    plain[named(path)] = value;
  };

  /** The value, where all of it is plain; otherwise what there is of it has been kept under its path. */
  const walk = (value: Value, path: readonly string[], length: number): Plain | undefined => {
    if (++steps > STEPS_MOST) throw tooLarge(`unfolds into more than ${STEPS_MOST} values`);
    if (path.length > DEPTH_MOST || length > PATH_MOST) throw tooLarge('is nested too deeply');
    if (typeof value === 'string') spell(value);
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
    if (value instanceof TensorView) tensors.push({ path, name: named(path), view: value });
    else if (value instanceof TorchType) return value.name;
    else if (value instanceof Dict) {
      for (const [key, item] of value.entries) {
        if (typeof key !== 'string' && typeof key !== 'number') continue;
        const inner = [...path, String(key)];
        keep(inner, walk(item, inner, length + String(key).length + 1));
      }
    } else if (value instanceof Seq) {
      const items = value.items.map((item, i) => walk(item, [...path, String(i)], length + String(i).length + 1));
      if (items.every((item) => item !== undefined)) return items;
      for (const [i, item] of items.entries()) keep([...path, String(i)], item);
    }
    // Bytes, integers beyond 2^53, bare storages and functions are no plain data.
    return undefined;
  };
  keep(['value'], walk(root, [], 0));
  return { tensors, plain };
}
