/** What the tour looks at in instruments that come late: where the chosen head looks and what silencing did; what patching found and what was made of it. Types of them alone. */
import type { AttentionStore } from './attention.svelte';
import type { Dial } from './dial';
import type { PatchStore } from './patch.svelte';

export interface SeenHeads {
  /** The chosen head, and how much of what the last word takes comes from a name. */
  name: string;
  looks: number;
  /** What the text ends with, and how likely, without dials and with those that silence heads. */
  answer: string;
  before: number;
  after: number;
  silenced: readonly string[];
}
export interface SeenPatch {
  /** The map is of the pair that lies there. */
  ran: boolean;
  correct: string;
  wrong: string;
  /** The selected square: its layer, how much it brings, and what the other text then ends with. */
  cell?: { layer: number; value: number; says: string };
  /** A dial of such a square is in force. */
  dial: boolean;
}

const HEAD = /^blocks\.(\d+)\.attn\.hook_z$/;
const silences = ({ replace, at, enabled, value }: Dial): boolean => enabled && value > 0.5 && replace?.by === 'zero' && HEAD.test(at);
const silencedName = ({ replace, at }: Dial): string => `${HEAD.exec(at)?.[1] ?? ''}.${replace?.head ?? ''}`;

export function seenHeads(store: AttentionStore, dials: readonly Dial[], names: readonly string[]): SeenHeads | undefined {
  const last = store.tokens.length - 1;
  const [answer] = store.says.baseline ?? store.says.edited;
  if (last < 0 || !answer || store.layers === 0) return undefined;
  const map = store.map(store.head);
  const looks = store.tokens.map(({ piece }, i) => (names.includes(piece) ? map(last, i) : 0));
  return {
    name: `${store.head.layer}.${store.head.head}`,
    looks: Math.max(0, ...looks.filter(Number.isFinite)),
    answer: answer.piece,
    before: answer.probability,
    after: store.says.edited.find(({ id }) => id === answer.id)?.probability ?? 0,
    silenced: dials.filter(silences).map(silencedName),
  };
}

export function seenPatch(store: PatchStore, dials: readonly Dial[]): SeenPatch {
  const { answer } = store;
  const at = answer?.selected;
  const layer = answer?.grid && at !== undefined ? Math.floor(at / (answer.grid.value.shape[1] ?? 1)) : undefined;
  const says = answer?.detail?.cell === at ? answer?.detail?.top[0]?.piece : undefined;
  const other = JSON.stringify(store.corrupted.map(({ id }) => id));
  return {
    ran: answer !== undefined && !store.stale,
    correct: store.correct.token?.piece ?? '',
    wrong: store.wrong.token?.piece ?? '',
    ...(answer?.grid && at !== undefined && layer !== undefined && says !== undefined
      ? { cell: { layer, value: answer.effect(answer.grid.value.data[at] ?? 0), says } }
      : {}),
    dial: dials.some(
      ({ replace, enabled, value }) => enabled && value > 0.5 && replace !== undefined && JSON.stringify(replace.by) === other,
    ),
  };
}
