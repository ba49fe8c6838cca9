/**
 * Edits as gradients meet them. Every edit is x + s·(f(x) − x) with f affine (cap: piecewise), so what it does to a gradient on the way back is
 * its transposed slope, and that is an edit again, on the same rows, heads and entries:
 *   add       nothing
 *   project   the same projection (I − s(1 − keep)v̂v̂ᵀ is symmetric)
 *   cap       a projection to 0 with strength s where x·v̂ was above the cap, nothing elsewhere
 *   replace   times 1 − s where a value came in: a replacement by zeros
 *   latent, splice   themselves, for dictionary/backward.ts to read (a splice that keeps its error is none)
 * In reverse order. So the backward pass needs no kernel of its own for plain edits. Pure but for what `above` looks up.
 */
import type { EngineEdit } from '../../contract';
import type { PlacedEdit } from '../edits';

/** Where the cap edit number `index` of the list was in force: a list of (position, head) pairs, no head where the row is one. */
export type Above = (index: number) => readonly { position: number; head?: number }[];

/** In the order in which they act: `latent` edits of one dictionary and sequence at one hook together, where the first of them stands (edits.ts does so too). */
export function inOrder(placed: readonly PlacedEdit[]): PlacedEdit[] {
  const groups = new Map<string, PlacedEdit[]>();
  placed.forEach((each, i) => {
    const { edit, sequence } = each;
    const key = edit.kind === 'latent' ? `${sequence} ${edit.at} ${edit.dictionary}` : `edit ${i}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  });
  return [...groups.values()].flat();
}

/** The edits of the gradient, in the order in which they apply to it. */
export function adjointEdits(placed: readonly PlacedEdit[], above: Above): PlacedEdit[] {
  return placed.flatMap((each, i) => adjointOf(each, () => above(i))).reverse();
}

function adjointOf(placed: PlacedEdit, above: () => ReturnType<Above>): PlacedEdit[] {
  const { edit } = placed;
  switch (edit.kind) {
    case 'add':
      return [];
    case 'project':
      return [placed];
    case 'replace': {
      const { source } = placed;
      // The same rows and entries as came in: a source may be shorter than the hook, or have no row for a position.
      return [source ? { ...placed, source: { ...source, data: new Float32Array(source.data.length) } } : placed];
    }
    case 'cap':
      return capped(placed, edit, above());
    case 'latent':
      return [placed];
    case 'splice':
      return edit.keepError ? [] : [placed];
  }
}

function capped(placed: PlacedEdit, edit: EngineEdit & { kind: 'cap' }, where: ReturnType<Above>): PlacedEdit[] {
  const heads = new Map<number | undefined, number[]>();
  for (const { position, head } of where) heads.set(head, [...(heads.get(head) ?? []), position]);
  const { at, skipSpecial, strength, enabled, vector } = edit;
  return [...heads].map(([head, where]) => ({
    ...placed,
    edit: { at, skipSpecial, strength, enabled, kind: 'project', vector, keep: 0, where, ...(head === undefined ? {} : { head }) },
  }));
}
