/**
 * What a prompt's encoding says, sorted for the eye: the latents of one token, one latent along the tokens, the strongest of all. Special tokens are shown
 * but left out of what is ranked, because a BOS often carries a massive activation (Sun et al. 2024).
 */
import type { DictionaryInfo, SparseRows } from '../../workers/api';
import { placeName } from './dial';

export type LatentSort = 'value' | 'rarity' | 'label';

export interface ActiveLatent {
  latent: number;
  value: number;
  /** How many tokens of this prompt it is active on. */
  tokens: number;
}

/** What is known of a latent beyond this prompt: what it is called, and on what share of a text's tokens it is active. */
export interface Known {
  label: (latent: number) => string | undefined;
  density: (latent: number) => number | undefined;
}
const nothing = (): undefined => undefined;
const UNKNOWN: Known = { label: nothing, density: nothing };

type Rows = SparseRows['rows'];
const ABC = new Intl.Collator('en', { sensitivity: 'base', numeric: true });

/** Latent → how many tokens it is active on. */
export function tokensOf(rows: Rows): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const row of rows) for (const [latent] of row) found.set(latent, (found.get(latent) ?? 0) + 1);
  return found;
}

/**
 * The active latents of a token: the largest first (by magnitude: neurons of a gated MLP take either sign); the rarest first, by their density where it is known of all of them, else by the tokens of this prompt; or those
 * with a label first, by the alphabet.
 */
export function activeAt(
  rows: Rows,
  position: number,
  tokens: ReadonlyMap<number, number>,
  sort: LatentSort,
  { label, density }: Known = UNKNOWN,
): ActiveLatent[] {
  const list = (rows[position] ?? []).map(([latent, value]) => ({ latent, value, tokens: tokens.get(latent) ?? 1 }));
  const byValue = (a: ActiveLatent, b: ActiveLatent) => Math.abs(b.value) - Math.abs(a.value) || a.latent - b.latent;
  if (sort === 'value') return list.sort(byValue);
  if (sort === 'label') {
    const named = list.map((each) => ({ each, text: label(each.latent) }));
    named.sort(
      (a, b) =>
        Number(a.text === undefined) - Number(b.text === undefined) || ABC.compare(a.text ?? '', b.text ?? '') || byValue(a.each, b.each),
    );
    return named.map(({ each }) => each);
  }
  const counted = list.every(({ latent }) => density(latent) !== undefined);
  const often = ({ latent, tokens: n }: ActiveLatent) => (counted ? (density(latent) ?? 0) : n);
  return list.sort((a, b) => often(a) - often(b) || byValue(a, b));
}

/** One latent's activation at every token; 0 where it rests. */
export const along = (rows: Rows, latent: number): number[] => rows.map((row) => row.find(([each]) => each === latent)?.[1] ?? 0);

const largest = (values: readonly number[]): number => values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);

/** The largest of values at tokens, by magnitude; special ones count only where nothing else is active. */
export function peak(values: readonly number[], left: ReadonlySet<number>): number {
  return largest(values.filter((_, position) => !left.has(position))) || largest(values);
}

/** The latents with the largest activations on a prompt, strongest first. */
export function strongest(rows: Rows, left: ReadonlySet<number>, most: number): { latent: number; peak: number }[] {
  const peaks = new Map<number, number>();
  const counted = rows.length > left.size ? left : new Set<number>();
  rows.forEach((row, position) => {
    if (counted.has(position)) return;
    for (const [latent, value] of row) peaks.set(latent, largest([peaks.get(latent) ?? 0, value]));
  });
  return [...peaks.entries()]
    .map(([latent, value]) => ({ latent, peak: value }))

    .sort((a, b) => Math.abs(b.peak) - Math.abs(a.peak) || a.latent - b.latent)
    .slice(0, most);
}

/** Where a fresh dial of a latent starts: four times its largest activation here; of one that rests here, of the strongest that does not. */
export function startOf(rows: Rows, latent: number, left: ReadonlySet<number>): number {
  const own = peak(along(rows, latent), left) || (strongest(rows, left, 1)[0]?.peak ?? 0);
  return Number((4 * own).toPrecision(2)) || 1;
}

/** What leaves a layer is what enters the next. */
const placeOf = (hook: string): string =>
  hook.replace(/^blocks\.(\d+)\.hook_resid_pre$/, (_, layer) => `blocks.${Number(layer) - 1}.hook_resid_post`);
export const samePlace = (a: string, b: string): boolean => placeOf(a) === placeOf(b);

/** Where a dictionary attaches, in words. */
export function attachesTo({ hookIn, hookOut }: Pick<DictionaryInfo, 'hookIn' | 'hookOut'>): string {
  const from = hookIn[0] ?? hookOut;
  if (from === hookOut) return inWords(from);
  const [a, b] = [layerOf(from), layerOf(hookOut)];
  return a !== undefined && a === b ? `layer ${a} · ${siteOf(from)} to ${siteOf(hookOut)}` : `${inWords(from)} to ${inWords(hookOut)}`;
}

const SITES: Readonly<Record<string, string>> = {
  'attn.hook_z': 'heads',
  'mlp.hook_post': 'MLP neurons',
  'mlp.hook_pre': 'MLP before its activation',
  'ln2.hook_normalized': 'MLP in',
  'ln1.hook_normalized': 'attention in',
  hook_mlp_out: 'MLP out',
  hook_resid_mid: 'after attention',
};
const layerOf = (hook: string): string | undefined => /^blocks\.(\d+)\./.exec(hook)?.[1];
const siteOf = (hook: string): string => {
  const site = hook.replace(/^blocks\.\d+\./, '');
  return SITES[site] ?? site;
};
const inWords = (hook: string): string => {
  const layer = layerOf(hook);
  const place = placeName(hook);
  return place === hook && layer !== undefined ? `layer ${layer} · ${siteOf(hook)}` : place;
};
