/** A lens onto the shelf: which of the shelf's models it is for, and the one file that is kept of it. */
import type { LensRecord } from './contract';
import { lensFile, type FoundLens } from './formats/lenses';
import type { Library } from './library/library';

export { findLenses } from './formats/lenses';

export async function keep(library: Library, { draft, base, maps }: FoundLens): Promise<{ record: LensRecord; fresh: boolean }> {
  const name = base?.split('/').at(-1)?.toLowerCase();
  const deepest = Math.max(0, ...draft.hooks.map((hook) => Number(/^blocks\.(\d+)\./.exec(hook)?.[1] ?? 0)));
  const fitting = (await library.models()).filter(
    ({ info }) => info.dModel === draft.dModel && (draft.layers ? info.layers === draft.layers : info.layers > deepest),
  );
  // Whoever is called so, else the one that came last; none where the shelf has no such model yet: the lens is then used by its sizes.
  const model = fitting.find((each) => each.name.toLowerCase() === name) ?? fitting.at(-1);
  const whole = { ...draft, model: draft.model || (model?.id ?? ''), layers: draft.layers || (model?.info.layers ?? 0) };
  const { blob, tensors } = lensFile(whole, maps);
  return library.keepLens({ ...whole, tensors }, blob);
}
