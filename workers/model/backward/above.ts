/** Where `cap` edits were in force: what they did to a run is read off the hook's values before them, from a run with the edits that come before alone. */
import { LabError } from '../../errors';
import type { Tensor } from '../../api';
import type { EngineEdit } from '../../contract';
import { positionsOf, strengthOf, unitLength, type PlacedEdit } from '../edits';
import { findHook } from '../hooks';
import { runBatch, type Together } from '../run';
import type { Runtime } from '../runtime';
import type { Above } from './adjoint';

/** Where each cap was exceeded: the hook's values before it, from a run with the edits that come before it alone. */
export async function aboveCaps(
  model: Runtime,
  sequences: readonly { ids: readonly number[]; promptLength: number }[],
  placed: readonly PlacedEdit[],
  hands: Pick<Together, 'by'>,
): Promise<Above> {
  const found = new Map<number, { position: number; head?: number }[]>();
  for (const [i, each] of placed.entries()) {
    const { edit } = each;
    if (edit.kind !== 'cap' || strengthOf(edit) === 0) continue;
    const sequence = sequences[each.sequence];
    if (!sequence) continue;
    const before = placed.filter((other, j) => other.sequence === each.sequence && (other.edit.at !== edit.at || j < i));
    const { ids, promptLength } = sequence;
    const asked = { ids, promptLength, edits: before.map((other) => other.edit), taps: [edit.at], logits: [] };
    const [run] = await runBatch(model, [asked], [], hands);
    const values = run?.taps[edit.at];
    if (!values) throw new LabError('internal', `No values came back from ${edit.at}.`, 'Please report this.');
    found.set(i, exceeded(model, each, edit, values));
  }
  return (i) => found.get(i) ?? [];
}

function exceeded(
  model: Runtime,
  placed: PlacedEdit,
  edit: EngineEdit & { kind: 'cap' },
  values: Tensor,
): { position: number; head?: number }[] {
  const { geometry } = findHook(model.planner.hooks, edit.at);
  const v = unitLength(edit.vector);
  const heads = edit.head === undefined ? Array.from({ length: geometry.units }, (_, u) => u) : [edit.head];
  // A vector over all heads at once is one direction of the whole row.
  const joined = !geometry.keys && heads.length > 1 && v.length === heads.length * geometry.width;
  const positions = positionsOf(edit.where, placed.promptLength, placed.length, placed.end);
  const [, queries = 0, keys = 0] = values.shape;
  const along = (from: number, width: number): number => {
    let sum = 0;
    for (let k = 0; k < Math.min(width, v.length); k++) {
      const x = values.data[from + k] ?? 0;
      if (Number.isFinite(x)) sum += x * (v[k] ?? 0);
    }
    return sum;
  };
  const all = geometry.units * geometry.width;
  return positions.flatMap((position): { position: number; head?: number }[] => {
    if (joined) return along(position * all, all) > edit.cap ? [{ position }] : [];
    return heads.flatMap((head) => {
      const over = geometry.keys
        ? along((head * queries + position) * keys, keys)
        : along(position * all + head * geometry.width, geometry.width);
      return over > edit.cap ? [{ position, ...(geometry.headed ? { head } : {}) }] : [];
    });
  });
}
