/**
 * The tour, as data: stops of a few steps, each step done when the visitor has done it, which is read off the state of the bench and never off a “next”
 * button. Another stop is another entry here, and what it looks at another field of `Seen`.
 */
import { quoted } from './pieces';

/** What the steps look at. */
export interface Seen {
  /** The lens of the text that the stop put there: its last column, bottom row first, and the selected cell. */
  lens?: { tops: readonly string[]; last: number; cell: { layer: number; position: number } | undefined };
  /** The first dial on the bench; `from` is where it stood when the stop began, `reach` the end of its slider. */
  dial?: { name: string; value: number; from: number; reach: number };
  /** The text under the prompt: how many tokens, and the first dial's number when the last was computed. */
  text: { tokens: number; value: number | undefined };
}

export interface TourStep {
  say: (seen: Seen) => string;
  keys: string;
  /** The element with this data-tour attribute is pointed at. */
  target: string;
  done: (seen: Seen) => boolean;
}

export interface TourStop {
  id: string;
  title: string;
  instrument: 'generate' | 'lens';
  steps: readonly TourStep[];
  end: (seen: Seen) => string;
}

/** The lowest layer from which the top layer's token comes first in the column without a break. */
export function firstWin(tops: readonly string[]): number {
  let layer = tops.length - 1;
  while (layer > 0 && tops[layer - 1] === tops.at(-1)) layer--;
  return layer;
}

/** As prose has it: the space that belongs to a token is not said. */
const word = (piece = ''): string => quoted(piece.trim());
const rowSaid = (row: number): string => (row === 0 ? 'the embedding' : `layer ${row - 1}`);
const TURNED = 0.1;
const WRITTEN = 8;
const turned = ({ dial }: Seen): boolean => dial !== undefined && Math.abs(dial.value - dial.from) >= TURNED * dial.reach;

export const STOPS: readonly TourStop[] = [
  {
    id: 'forming',
    title: 'A prediction forms',
    instrument: 'lens',
    steps: [
      {
        say: () =>
          'Each column is a token, each row what the model would say after that layer. The sentence lacks one name: select the lowest cell of the last column, before any layer has worked on it.',
        keys: 'In the grid, End goes to the last column, the arrows move by one.',
        target: 'lens',
        done: ({ lens }) => lens?.cell !== undefined && lens.cell.position === lens.last && lens.cell.layer === 0,
      },
      {
        say: ({ lens }) =>
          `The top row is the answer, ${word(lens?.tops.at(-1))}. Climb this column: select the first cell from which it stays on top.`,
        keys: 'In the grid, the up arrow climbs a layer.',
        target: 'lens',
        done: ({ lens }) => lens?.cell !== undefined && lens.cell.position === lens.last && lens.cell.layer === firstWin(lens.tops),
      },
    ],
    end: ({ lens }) => {
      const tops = lens?.tops ?? [];
      const row = firstWin(tops);
      const before = row > 0 ? ` Before it, the model would have said ${word(tops[row - 1])}.` : '';
      return `That is where it is decided: from ${rowSaid(row)} on the model says ${word(tops.at(-1))}.${before}`;
    },
  },
  {
    id: 'bent',
    title: 'A story bent by a dial',
    instrument: 'generate',
    steps: [
      {
        say: ({ dial }) =>
          `The dial “${dial?.name ?? ''}” adds a direction to what the model thinks at every word. Turn it, a good way to either side.`,
        keys: 'On the slider, arrows turn it a little, Page Up and Page Down a lot, Home and End all the way.',
        target: 'dial',
        done: turned,
      },
      {
        say: () => 'Now let it write. Left is the model as it is, right the same model, the same random numbers, with your dial.',
        keys: 'Enter on the button; or Ctrl and Enter in the prompt.',
        target: 'write',
        done: (seen) => turned(seen) && seen.text.tokens >= WRITTEN && seen.text.value === seen.dial?.value,
      },
    ],
    end: () => 'You bent a story. Turn the dial while it writes, too: the next token obeys, and nothing that was written changes.',
  },
];

export interface TourState {
  /** The stop that is under way, or was when it was left. */
  stop: string | undefined;
  step: number;
  done: string[];
  open: boolean;
  declined: boolean;
  /** The dial's number when the stop began. */
  from: number | undefined;
}

export const NO_TOUR: TourState = { stop: undefined, step: 0, done: [], open: false, declined: false, from: undefined };

export function readTour(value: unknown): TourState {
  if (typeof value !== 'object' || value === null) return NO_TOUR;
  const saved = value as Partial<Record<keyof TourState, unknown>>;
  const stop = STOPS.find(({ id }) => id === saved.stop);
  const done = STOPS.map(({ id }) => id).filter((id) => Array.isArray(saved.done) && saved.done.includes(id));
  const step = typeof saved.step === 'number' && Number.isInteger(saved.step) ? saved.step : 0;
  return {
    stop: stop?.id,
    step: Math.max(0, Math.min(step, stop?.steps.length ?? 0)),
    done,
    open: saved.open === true && stop !== undefined,
    declined: saved.declined === true,
    from: typeof saved.from === 'number' && Number.isFinite(saved.from) ? saved.from : undefined,
  };
}

/** The next one that was not done, after the given one first. */
export function nextStop(done: readonly string[], after?: string): TourStop | undefined {
  const at = STOPS.findIndex(({ id }) => id === after);
  return [...STOPS.slice(at + 1), ...STOPS.slice(0, at + 1)].find(({ id }) => !done.includes(id));
}
