/**
 * Where the person was, so that a reload, also offline, goes on from there. Kept in localStorage: it is small, and it can be
 * written while the page is being closed. What is read back is not trusted: another version may have written it.
 */
import type { ChatMessage, Choice } from '../../workers/api';
import type { Dial } from './dial';
import { readTour, type TourState } from './tour';
import { readUsing, type Using } from './using';

export const INSTRUMENTS = ['generate', 'lens', 'attention', 'features', 'patch', 'known'] as const;
export type Instrument = (typeof INSTRUMENTS)[number];

/** What a person chose to see of dictionaries. */
export interface FeaturesChoice {
  dictionary?: string;
  latent?: number;
  /** Another dictionary, read beside it. */
  beside?: string;
  /** Live latents while text is written. */
  live: boolean;
}

export interface ShownStep {
  position: number;
  steered: Choice;
  baseline?: Choice;
  kl?: number;
  dials: { value?: number; strength: number }[];
  reread?: true;
  /** Put there by the person, not sampled. */
  chosen?: true;
  /** The strongest latents of the token before, as it was read. */
  latents?: StepLatents;
}
export interface StepLatents {
  dictionary: string;
  top: [latent: number, value: number][];
}

export interface Sampling {
  tokens: number;
  temperature: number;
  topK: number;
  topP: number;
  seed: number;
  shadow: boolean;
}

export interface Session {
  model?: string;
  using: Using;
  prompt: string;
  chat: { on: boolean; turns: ChatMessage[] };
  instrument: Instrument;
  features: FeaturesChoice;
  dials: Dial[];
  master: number;
  compare: boolean;
  sampling: Sampling;
  /** What was generated, and from which prompt ids. */
  origin: number[];
  steps: ShownStep[];
  tour: TourState;
  /** Instruments whose example was put on the bench, or put away. */
  tried: string[];
  /** What lay on the bench before the tour needed the place; the first is put back first. */
  asides: readonly Aside[];
}

export type Aside = Pick<Session, 'prompt' | 'chat' | 'instrument' | 'origin' | 'steps' | 'dials' | 'compare' | 'using'> & {
  model?: string;
};

export const FIRST_PROMPT = 'Once upon a time, there was a little girl named Lily.';
export const FIRST_SAMPLING: Sampling = { tokens: 64, temperature: 0.8, topK: 0, topP: 0.95, seed: 7, shadow: false };
const KEY = 'loupe.session.1';
const MOST_STEPS = 1024;
const TOP_KEPT = 5;

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const text = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
const real = (value: unknown, otherwise: number): number => (typeof value === 'number' && Number.isFinite(value) ? value : otherwise);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const integers = (value: unknown): number[] => list(value).filter((x): x is number => Number.isInteger(x));
const oneOf = <T extends string>(value: unknown, all: readonly T[], otherwise: T): T => all.find((x) => x === value) ?? otherwise;

function readDial(value: unknown): Dial[] {
  if (!isRecord(value)) return [];
  const { id, vector, at } = value;
  if (typeof id !== 'string' || typeof vector !== 'string' || typeof at !== 'string') return [];
  const latent = readLatent(value['latent']);
  const replace = readReplace(value['replace']);
  if ((value['kind'] === 'latent' && !latent) || (value['kind'] === 'replace' && !replace)) return [];
  return [
    {
      id,
      vector,
      at,
      name: text(value['name'], vector),
      kind: latent ? 'latent' : replace ? 'replace' : oneOf(value['kind'], ['add', 'project', 'cap'], 'add'),
      ...(latent ? { latent } : replace ? { replace } : {}),
      value: real(value['value'], 0),
      strength: real(value['strength'], 1),
      enabled: value['enabled'] !== false,
      scope: oneOf(value['scope'], ['all', 'prompt', 'generated', 'positions'], 'all'),
      positions: integers(value['positions']),
      skipSpecial: value['skipSpecial'] === true,
      ...(typeof value['model'] === 'string' ? { model: value['model'] } : {}),
      ...(real(value['reach'], 0) > 0 ? { reach: real(value['reach'], 0) } : {}),
    },
  ];
}

function readReplace(value: unknown): Dial['replace'] {
  if (!isRecord(value)) return undefined;
  const by = value['by'] === 'zero' ? 'zero' : integers(value['by']);
  return by.length ? { by, ...(isLatent(value['head']) ? { head: value['head'] } : {}) } : undefined;
}

function readLatent(value: unknown): Dial['latent'] {
  if (!isRecord(value) || typeof value['dictionary'] !== 'string' || !isLatent(value['latent'])) return undefined;
  return { dictionary: value['dictionary'], latent: value['latent'], op: oneOf(value['op'], ['set', 'add'], 'set') };
}
const isLatent = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 0;

function readFeatures(value: unknown): FeaturesChoice {
  const { dictionary, latent, live, beside } = isRecord(value) ? value : {};
  return {
    ...(typeof dictionary === 'string' ? { dictionary } : {}),
    ...(isLatent(latent) ? { latent } : {}),
    ...(typeof beside === 'string' ? { beside } : {}),
    live: live !== false,
  };
}

function readStepLatents(value: unknown): StepLatents | undefined {
  if (!isRecord(value) || typeof value['dictionary'] !== 'string') return undefined;
  const pairs = list(value['top']).filter((pair): pair is unknown[] => Array.isArray(pair));
  return {
    dictionary: value['dictionary'],
    top: pairs.flatMap(([latent, x]): [number, number][] => (isLatent(latent) ? [[latent, real(x, 0)]] : [])),
  };
}

function readChoice(value: unknown): Choice | undefined {
  if (!isRecord(value) || !Number.isInteger(value['id'])) return undefined;
  const one = (x: Record<string, unknown>) => ({
    id: real(x['id'], 0),
    piece: text(x['piece'], ''),
    probability: real(x['probability'], 0),
  });
  return { ...one(value), top: list(value['top']).filter(isRecord).map(one) };
}

function readStep(value: unknown): ShownStep[] {
  if (!isRecord(value)) return [];
  const steered = readChoice(value['steered']);
  if (!steered || !Number.isInteger(value['position'])) return [];
  const baseline = readChoice(value['baseline']);
  const latents = readStepLatents(value['latents']);
  const dials = list(value['dials'])
    .filter(isRecord)
    .map((dial) => ({ strength: real(dial['strength'], 0), ...(typeof dial['value'] === 'number' ? { value: dial['value'] } : {}) }));
  return [
    {
      position: real(value['position'], 0),
      steered,
      dials,
      ...(baseline ? { baseline } : {}),
      ...(latents ? { latents } : {}),
      ...(typeof value['kl'] === 'number' ? { kl: value['kl'] } : {}),
      ...(value['reread'] === true ? { reread: true as const } : {}),
      ...(value['chosen'] === true ? { chosen: true as const } : {}),
    },
  ];
}

function readChat(value: unknown): Session['chat'] {
  const { on, turns } = isRecord(value) ? value : {};
  return {
    on: on === true,
    turns: list(turns)
      .filter(isRecord)
      .map((turn) => ({ role: text(turn['role'], 'user'), content: text(turn['content'], '') })),
  };
}

export function readSession(json: string | null): Session {
  let value: unknown;
  try {
    value = json === null ? undefined : JSON.parse(json);
  } catch {
    value = undefined;
  }
  const saved = isRecord(value) ? value : {};
  const sampling = isRecord(saved['sampling']) ? saved['sampling'] : {};
  return {
    ...(typeof saved['model'] === 'string' ? { model: saved['model'] } : {}),
    // 0.1.0 kept the weights' type by itself.
    using: readUsing(isRecord(saved['using']) ? saved['using'] : { weights: saved['weights'] }),
    prompt: text(saved['prompt'], FIRST_PROMPT),
    chat: readChat(saved['chat']),
    instrument: oneOf(saved['instrument'], INSTRUMENTS, 'generate'),
    features: readFeatures(saved['features']),
    dials: list(saved['dials']).flatMap(readDial),
    master: real(saved['master'], 1),
    compare: saved['compare'] !== false,
    sampling: {
      tokens: Math.max(1, Math.round(real(sampling['tokens'], FIRST_SAMPLING.tokens))),
      temperature: Math.max(0, real(sampling['temperature'], FIRST_SAMPLING.temperature)),
      topK: Math.max(0, Math.round(real(sampling['topK'], FIRST_SAMPLING.topK))),
      topP: Math.min(1, Math.max(0, real(sampling['topP'], FIRST_SAMPLING.topP))),
      seed: Math.round(real(sampling['seed'], FIRST_SAMPLING.seed)),
      shadow: sampling['shadow'] === true,
    },
    origin: integers(saved['origin']),
    steps: list(saved['steps']).flatMap(readStep),
    tour: readTour(saved['tour']),
    tried: list(saved['tried']).filter((each): each is string => typeof each === 'string'),
    asides: list(saved['asides']).filter(isRecord).map(readAside),
  };
}

function readAside(saved: Record<string, unknown>): Aside {
  return {
    ...(typeof saved['model'] === 'string' ? { model: saved['model'] } : {}),
    prompt: text(saved['prompt'], FIRST_PROMPT),
    chat: readChat(saved['chat']),
    instrument: oneOf(saved['instrument'], INSTRUMENTS, 'generate'),
    origin: integers(saved['origin']),
    steps: list(saved['steps']).flatMap(readStep),
    dials: list(saved['dials']).flatMap(readDial),
    compare: saved['compare'] !== false,
    using: readUsing(isRecord(saved['using']) ? saved['using'] : {}),
  };
}

export function writeSession(session: Session): string {
  const clip = (choice: Choice): Choice => ({ ...choice, top: choice.top.slice(0, TOP_KEPT) });
  const kept = (steps: readonly ShownStep[]): ShownStep[] =>
    steps
      .slice(0, MOST_STEPS)
      .map((step) => ({ ...step, steered: clip(step.steered), ...(step.baseline ? { baseline: clip(step.baseline) } : {}) }));
  return JSON.stringify({
    ...session,
    steps: kept(session.steps),
    asides: session.asides.map((aside) => ({ ...aside, steps: kept(aside.steps) })),
  });
}

/** Storage may be refused (a private window, a full disk): then the session is simply not kept. */
export function loadSession(): Session {
  try {
    return readSession(localStorage.getItem(KEY));
  } catch {
    return readSession(null);
  }
}

export function saveSession(session: Session): void {
  try {
    localStorage.setItem(KEY, writeSession(session));
  } catch {
    // Not kept; nothing that is on the screen is lost.
  }
}
