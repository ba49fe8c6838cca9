/**
 * Tensors of a file against the canonical form: each found under its format's name, its orientation read off its shape, everything wrong
 * with them told at once. Where a matrix is square and its shape cannot decide, the format's documented orientation does, and a note says so.
 */
import { SHAPES, tensorNames, type DictionarySpec } from '../../dictionary/spec';
import type { StoredDtype } from '../../contract';
import { LabError } from '../../errors';
import type { LooseFile, LooseTensor } from '../loose';
import { listed, throwAll } from '../reasons';
import { elements } from '../safetensors';
import type { CanonicalTensor } from './draft';
import { crosscoder } from './refusals';
import { only } from './values';

export interface Given {
  /** Names that the format uses for it; the first that is there. */
  names: readonly string[];
  /** Of a square matrix: is it kept as [rows, columns] or the other way round? */
  documented?: 'canonical' | 'transposed';
  exp?: true;
  scale?: number;
  rows?: LooseTensor;
  overNorms?: CanonicalTensor['overNorms'];
  /** Fills it where the file has none. */
  otherwise?: number;
}
/** One tensor of the file, one number for all, or nothing of the kind. */
export type Plan = Partial<Record<string, Given | { fill: number }>>;

const HINT =
  'The weights are of another form than their configuration says, or one of the two was edited. Drop them as they were published.';

export const find = ({ tensors }: LooseFile, names: readonly string[]): LooseTensor | undefined =>
  names.map((name) => tensors.find((each) => each.name === name)).find((each) => each !== undefined);

/** The size of the one axis that tells how wide something is: from the first of these tensors that has one. */
export function widthOf(file: LooseFile, names: readonly string[], where: string): number {
  refuseCrosscoder(file, where);
  const tensor = find(file, names);
  const [width] = tensor?.shape ?? [];
  if (tensor?.shape.length === 1 && width !== undefined && width > 0) return width;
  throw tensor
    ? new LabError('tensor-shape', `${where}: “${tensor.name}” has the shape [${tensor.shape.join(', ')}], not one axis.`, HINT)
    : new LabError('tensor-missing', `${where}: missing from the weights: ${listed(names.slice(0, 1))}.`, HINT);
}

/** Several places at once have an axis of their own. */
function refuseCrosscoder({ tensors }: LooseFile, where: string): void {
  const deep = tensors.find(({ name, shape }) => shape.length > 2 && /enc|dec/i.test(name));
  if (deep) throw crosscoder(where, `${deep.name} [${deep.shape.join(', ')}]`);
}

export interface Assembled {
  tensors: CanonicalTensor[];
  notes: string[];
}

/** `ignorable`: tensors that hold nothing the reading needs. Others are noted where they are vectors, and refused where they are matrices. */
export async function assemble(where: string, file: LooseFile, spec: DictionarySpec, plan: Plan, ignorable: RegExp): Promise<Assembled> {
  refuseCrosscoder(file, where);
  const reasons: LabError[] = [];
  const notes: string[] = [];
  const tensors: CanonicalTensor[] = [];
  const used = new Set<string>();
  const missing: string[] = [];
  const misfits: string[] = [];
  const untyped: string[] = [];
  for (const name of tensorNames(spec)) {
    const shape = SHAPES[name]?.(spec) ?? [];
    const given = plan[name];
    if (!given) {
      missing.push(name);
      continue;
    }
    if ('fill' in given) {
      tensors.push({ name, shape, dtype: 'F32', source: given });
      continue;
    }
    const tensor = find(file, given.names);
    if (!tensor) {
      if (given.otherwise === undefined) missing.push(given.names[0] ?? name);
      else
        tensors.push({
          name,
          shape,
          dtype: 'F32',
          source: { fill: given.otherwise },
          ...(given.overNorms && { overNorms: given.overNorms }),
        });
      continue;
    }
    used.add(tensor.name);
    if (given.rows) used.add(given.rows.name);
    if (!isReal(tensor)) {
      untyped.push(`${tensor.name} ${tensor.dtype}`);
      continue;
    }
    if (name === 'threshold' && elements(tensor.shape) === 1 && spec.latents !== 1) {
      const value = await only(tensor, where);
      const fill = (given.exp ? Math.exp(value) : value) * (given.scale ?? 1);
      tensors.push({ name, shape, dtype: 'F32', source: { fill }, ...(given.overNorms && { overNorms: given.overNorms }) });
      continue;
    }
    const turned = orientation(tensor.shape, shape, given.documented);
    if (turned === undefined) {
      misfits.push(`${tensor.name} [${tensor.shape.join(', ')}], not ${fits(shape)}`);
      continue;
    }
    if (turned.undecided)
      notes.push(`${tensor.name} is square: it is read ${turned.transpose ? '[in, out]' : 'row by row'}, as the format documents.`);
    const computed = given.exp || given.scale !== undefined || given.rows || given.overNorms;
    tensors.push({
      name,
      shape,
      dtype: shape.length === 2 && !computed ? stored(tensor) : 'F32',
      source: tensor,
      ...(turned.transpose && { transpose: true as const }),
      ...(given.exp && { exp: given.exp }),
      ...(given.scale !== undefined && { scale: given.scale }),
      ...(given.rows && { rows: given.rows }),
      ...(given.overNorms && { overNorms: given.overNorms }),
    });
  }
  const rest = file.tensors.filter((each) => !used.has(each.name) && !ignorable.test(each.name));
  const strange = rest.filter((each) => each.shape.length > 1).map((each) => each.name);
  const small = rest.filter((each) => each.shape.length < 2).map((each) => each.name);
  if (missing.length > 0) reasons.push(new LabError('tensor-missing', `${where}: missing from the weights: ${listed(missing)}.`, HINT));
  if (misfits.length > 0) reasons.push(new LabError('tensor-shape', `${where}: of another shape than expected: ${listed(misfits)}.`, HINT));
  if (strange.length > 0)
    reasons.push(new LabError('tensor-unknown', `${where}: no ${spec.kind} dictionary has ${listed(strange)}.`, HINT));
  if (untyped.length > 0)
    reasons.push(
      new LabError('dtype-unsupported', `${where}: not of a real type: ${listed(untyped)}.`, 'Save the weights as F32, F16 or BF16.'),
    );
  throwAll(reasons);
  if (small.length > 0) notes.push(`The weights also hold ${listed(small)}; Loupe makes nothing of ${small.length > 1 ? 'them' : 'it'}.`);
  return { tensors, notes };
}

const isReal = ({ dtype }: LooseTensor): boolean => dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
const stored = ({ dtype }: LooseTensor): StoredDtype => (dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32');

function orientation(
  has: readonly number[],
  wanted: readonly number[],
  documented: Given['documented'],
): { transpose: boolean; undecided: boolean } | undefined {
  const straight = has.join() === wanted.join();
  if (wanted.length !== 2) return straight ? { transpose: false, undecided: false } : undefined;
  const turned = has.join() === [...wanted].reverse().join();
  if (straight && turned) return { transpose: documented === 'transposed', undecided: true };
  return straight || turned ? { transpose: turned, undecided: false } : undefined;
}
const fits = (shape: readonly number[]): string =>
  shape.length === 2 && shape[0] !== shape[1] ? `[${shape.join(', ')}] or [${[...shape].reverse().join(', ')}]` : `[${shape.join(', ')}]`;
