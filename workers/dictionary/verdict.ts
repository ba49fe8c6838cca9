/**
 * When does a dictionary do so badly on real activations that its contract must be doubted, and which other reading would explain it? A right
 * dictionary must not be accused: text that it was not trained on costs it something, so alone its numbers accuse it only beyond wide limits.
 * Within them it is looked at sooner, and accused only where another reading leaves far less unexplained: a wrong one does not.
 */
import type { ContractCheck, LikelyConvention } from '../api';
import type { Contract, DictionarySpec } from './spec';
import { isTranscoder } from './spec';

export interface Measured {
  fvu: number;
  l0: number;
}
export type Promised = Partial<Measured>;

/** FVU: at most `factor` times what is promised and `slack` more. L0: within a factor of `times` of what is promised. */
const FACTOR = 2;
const SLACK = 0.05;
const TIMES = 3;
/** Without a promise. A transcoder predicts what it does not see, and good ones leave more. */
const SURE = 0.5;
const SURE_TRANSCODER = 0.75;
/** Looked at from here on: this much more than is promised; without a promise, this share. */
const LOOK_FACTOR = 1.25;
const LOOK = 0.15;
/** Another reading explains what is wrong where it leaves half of what is unexplained, or little more than that with no more active latents. */
const HALF = 0.5;
const LESS = 0.6;
const MORE = 1.1;
/** Without a promise: more than this share of the latents, and of the width, is no sparse code. */
const DENSE = 0.15;
const WIDE = 0.5;

const fvuLimit = (spec: DictionarySpec, promised: Promised): number =>
  promised.fvu === undefined ? (isTranscoder(spec) ? SURE_TRANSCODER : SURE) : FACTOR * promised.fvu + SLACK;

/** How far L0 is beyond what it may be, as a factor: 1 where it is not. */
function l0Excess({ activation, latents, dIn }: DictionarySpec, promised: Promised, l0: number): number {
  // As many as its k says, whatever it is given; fewer only where less than that is above 0.
  const most = promised.l0 !== undefined ? TIMES * promised.l0 : activation === 'topk' ? Infinity : Math.max(DENSE * latents, WIDE * dIn);
  const least = promised.l0 !== undefined ? promised.l0 / TIMES : 1;
  return Math.max(1, l0 / most, least / Math.max(l0, 1e-3));
}

/** NaN and infinity are as wrong as can be. */
const fvuWrong = (spec: DictionarySpec, promised: Promised, found: number): boolean => !(found <= fvuLimit(spec, promised));

export const isRight = (spec: DictionarySpec, promised: Promised, { fvu, l0 }: Measured): boolean =>
  !fvuWrong(spec, promised, fvu) && l0Excess(spec, promised, l0) === 1;

/** Are other readings worth a look? */
export const isDoubtful = (spec: DictionarySpec, promised: Promised, found: Measured): boolean =>
  !isRight(spec, promised, found) || !(found.fvu <= (promised.fvu === undefined ? LOOK : LOOK_FACTOR * promised.fvu));

/** Does another reading explain what is wrong with this one? */
export function explains(spec: DictionarySpec, promised: Promised, now: Measured, then: Measured): boolean {
  const [before, after] = [l0Excess(spec, promised, now.l0), l0Excess(spec, promised, then.l0)];
  // What is itself as bad as that explains nothing.
  if (after > before || !(then.fvu <= Math.max(fvuLimit(spec, promised), SURE_TRANSCODER))) return false;
  const helps = then.fvu <= HALF * now.fvu || (then.fvu <= LESS * now.fvu && then.l0 <= MORE * now.l0) || !Number.isFinite(now.fvu);
  return helps || (after < before && after === 1 && !fvuWrong(spec, promised, then.fvu));
}

export interface Alternative extends Measured {
  field: LikelyConvention['field'];
  value: LikelyConvention['value'];
  change: Partial<Contract>;
}

export function verdict(
  spec: DictionarySpec,
  promised: Promised,
  now: Measured & { positions: number },
  others: readonly Alternative[],
): ContractCheck {
  const { fvu, l0, positions } = now;
  const base = { fvu, l0, positions, ...(promised.fvu === undefined && promised.l0 === undefined ? {} : { promised: { ...promised } }) };
  const likely = others
    .filter((each) => explains(spec, promised, now, each))
    .sort((a, b) => Number(isRight(spec, promised, b)) - Number(isRight(spec, promised, a)) || a.fvu - b.fvu)
    .map((each) => ({ ...each, say: sayOf(each) }));
  if (likely.length === 0 && isRight(spec, promised, now)) return { ...base, ok: true };
  return { ...base, ok: false, ...(likely.length ? { likely } : {}), warning: warningOf(promised, now, likely) };
}

const percent = (share: number): string => (Number.isFinite(share) ? `${Math.round(100 * share).toLocaleString('en')} %` : 'more than all');
const count = (l0: number): string => (l0 < 10 ? l0.toFixed(1) : Math.round(l0).toLocaleString('en'));

function warningOf(promised: Promised, { fvu, l0 }: Measured, likely: readonly LikelyConvention[]): string {
  const promises = [
    ...(promised.fvu === undefined ? [] : [`${percent(promised.fvu)} unexplained`]),
    ...(promised.l0 === undefined ? [] : [`${count(promised.l0)} active latents`]),
  ];
  const found = `As it is read, ${percent(fvu)} of the variance is left unexplained with ${count(l0)} active latents a token`;
  const against = promises.length ? `; its card promises ${promises.join(' and ')}` : '';
  const [first] = likely;
  const why = first
    ? ` ${first.say} (${percent(first.fvu)} unexplained, ${count(first.l0)} active).`
    : ' No single convention explains it: it may be of another model, or trained too little, or on very different text.';
  return `${found}${against}.${why}`;
}

const SAYS: { [F in keyof Contract]?: (value: unknown) => string } = {
  residual: (value) =>
    value === 'centred' ? 'was trained on a centred stream' : 'was trained on the stream as the model has it, not centred',
  normalisation: (value) =>
    value === 'none'
      ? 'was trained on inputs that were not normalised'
      : value === 'layer_norm'
        ? 'was trained on inputs brought to mean 0 and deviation 1, row by row'
        : 'was trained on inputs times one number (about √d over their mean length)',
  scale: (value) => `was trained on inputs times another number, about ${String(value)}`,
  subtractBDec: (value) => (value === true ? 'has b_dec subtracted before encoding' : 'does not have b_dec subtracted before encoding'),
  rescaleByDecoderNorm: (value) =>
    value === true ? 'has its pre-activations multiplied by ‖W_dec‖' : 'does not have its pre-activations multiplied by ‖W_dec‖',
  normGain: (value) =>
    value === true ? 'reads what leaves the norm, its gain and bias included' : 'reads the norm’s output before its gain',
  prependBos: (value) => (value === true ? 'was trained on texts that begin with a BOS' : 'was trained on texts without a BOS'),
};

function sayOf({ field, value, change }: Alternative): string {
  if (field === 'hook') return `It looks as if it belongs to ${String(value)}`;
  const parts = Object.entries(change).flatMap(([key, each]) => {
    // The number that goes with a normalisation is told with it.
    if (key === 'scale' && change.normalisation !== undefined) return [];
    return SAYS[key as keyof Contract]?.(each) ?? [];
  });
  return `It looks as if it ${parts.join(', and ')}`;
}
