/**
 * A dial is one intervention as the page holds it: an edit with a name and a slider. Its structure (which vector, where) is
 * fixed when a stream opens; its value, strength and switch are live.
 */
import type { DictionaryInfo, Edit, Hook, VectorInfo, Where } from '../../workers/api';
import { isNeurons } from './neurons';

export type DialKind = 'add' | 'project' | 'cap' | 'latent' | 'replace';
export type LatentOp = 'set' | 'add';
export type Scope = 'all' | 'prompt' | 'generated' | 'positions';

export interface Dial {
  id: string;
  name: string;
  kind: DialKind;
  /** Empty for a latent. */
  vector: string;
  /** Of kind `latent`: which, and whether its activation is set to the value or added to. */
  latent?: { dictionary: string; latent: number; op: LatentOp };
  /** Of kind `replace`: nothing in the place of what is there, or what is there in another text at the same positions. The value is how much of it is replaced. */
  replace?: { by: 'zero' | number[]; head?: number };
  at: Hook;
  /** The edit's own number: scale, keep, cap or the latent's activation. */
  value: number;
  strength: number;
  enabled: boolean;
  scope: Scope;
  positions: number[];
  skipSpecial: boolean;
  /** The model that its vector was made for, where that is known: it rests while another one works. */
  model?: string;
  /** The end of the slider, where whoever made the vector said what works well. */
  reach?: number;
}

export const VALUE_NAME: Record<DialKind, string> = { add: 'scale', project: 'keep', cap: 'cap', latent: 'activation', replace: 'share' };

export function whereOf(dial: Pick<Dial, 'scope' | 'positions'>): Where {
  return dial.scope === 'positions' ? dial.positions : dial.scope;
}

/** The edit a dial stands for. The master dial multiplies every strength. */
export function toEdit(dial: Dial, master: number): Edit {
  const common = {
    at: dial.at,
    where: whereOf(dial),
    ...(dial.skipSpecial ? { skipSpecial: true } : {}),
    strength: dial.strength * master,
    enabled: dial.enabled,
  };
  const { vector, value, replace } = dial;
  if (replace) {
    const { by, head } = replace;
    return {
      ...common,
      kind: 'replace',
      value: by === 'zero' ? by : { prompt: by, from: dial.positions },
      ...(head === undefined ? {} : { head }),
      strength: common.strength * value,
    };
  }
  if (dial.kind === 'latent' && dial.latent) return { kind: 'latent', ...dial.latent, value, ...common };
  if (dial.kind === 'add') return { kind: 'add', vector, scale: value, ...common };
  if (dial.kind === 'project') return { kind: 'project', vector, keep: value, ...common };
  return { kind: 'cap', vector, cap: value, ...common };
}

/** What cannot change under a running stream, as a string to compare. */
export function structureOf(dials: readonly Dial[]): string {
  return JSON.stringify(dials.map((d) => [d.id, d.kind, d.vector, d.latent ?? d.replace ?? null, d.at, whereOf(d), d.skipSpecial]));
}

/** Those whose vector or dictionary is on the shelf (a model's own neurons need not be): the others cannot act. */
export function onShelf(dials: readonly Dial[], vectors: readonly VectorInfo[], dictionaries: readonly DictionaryInfo[]): Dial[] {
  const known = new Set([...vectors, { id: '' }, ...dictionaries].map(({ id }) => id));
  return dials.filter(({ vector, latent }) => known.has(latent?.dictionary ?? vector) || isNeurons(latent?.dictionary));
}

export interface LiveDial {
  /** None of a `replace`: its strength is all that moves. */
  value?: number;
  strength: number;
  enabled: boolean;
}

export function liveOf(dials: readonly Dial[], master: number): LiveDial[] {
  return dials.map(({ value, strength, enabled, replace }) =>
    replace ? { strength: strength * master * value, enabled } : { value, strength: strength * master, enabled },
  );
}

/** Indices and new numbers of the dials that moved between two readings of the same structure. */
export function moved(before: readonly LiveDial[], after: readonly LiveDial[]): { edit: number; change: Partial<LiveDial> }[] {
  return after.flatMap((now, edit) => {
    const old = before[edit];
    const change: Partial<LiveDial> = {};
    if (now.value !== undefined && now.value !== old?.value) change.value = now.value;
    if (now.strength !== old?.strength) change.strength = now.strength;
    if (now.enabled !== old?.enabled) change.enabled = now.enabled;
    return Object.keys(change).length ? [{ edit, change }] : [];
  });
}

/** Residual-stream sites a dial can sit at, in the order of the forward pass. */
export const SITES = ['hook_resid_pre', 'hook_attn_out', 'hook_resid_mid', 'hook_mlp_out', 'hook_resid_post'] as const;
const SITE_NAMES: Record<string, string> = {
  hook_resid_pre: 'before the layer',
  hook_attn_out: 'attention out',
  hook_resid_mid: 'after attention',
  hook_mlp_out: 'MLP out',
  hook_resid_post: 'after the layer',
};

export function siteOf(hook: Hook): { layer: number; site: string } | undefined {
  const match = /^blocks\.(\d+)\.(hook_\w+)$/.exec(hook);
  return match?.[1] && match[2] && match[2] in SITE_NAMES ? { layer: Number(match[1]), site: match[2] } : undefined;
}

export const siteName = (site: string): string => SITE_NAMES[site] ?? site;

/** "layer 3 · after the layer", or the hook itself where it has no short name. */
export function placeName(hook: Hook): string {
  const place = siteOf(hook);
  return place ? `layer ${place.layer} · ${siteName(place.site)}` : hook;
}
