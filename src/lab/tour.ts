/**
 * The tour, as data: stops of a few steps, each step done when the visitor has done it, which is read off the state of the bench and never off a “next”
 * button. Another stop is another entry here, and what it looks at another field of `Seen`.
 */
import { quoted } from './pieces';
import type { SeenHeads, SeenPatch } from './tour-seen';

/** What the steps look at. */
export interface Seen {
  /** The lens of the text that the stop put there: its last column, bottom row first, and the selected cell. */
  lens?: { tops: readonly string[]; last: number; cell: { layer: number; position: number } | undefined };
  /** The first dial on the bench; `from` is where it stood when the stop began, `reach` the end of its slider. */
  dial?: { name: string; value: number; from: number; reach: number };
  /** The text under the prompt: how many tokens, and the first dial's number when the last was computed. */
  text: { tokens: number; value: number | undefined };
  /** Attention, on the text that the stop put there. */
  heads?: SeenHeads;
  /** Patch, on the pair that the stop put there. */
  patch?: SeenPatch;
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
  instrument: 'generate' | 'lens' | 'attention' | 'patch';
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
const percent = (x = 0): string => `${Math.round(100 * x)}%`;
const both = (list: readonly string[]): string =>
  list.length > 1 ? `heads ${list.slice(0, -1).join(', ')} and ${list.at(-1)}` : `head ${list[0] ?? ''}`;
/** So much of what the last word takes comes from one name: the head looks at it. */
const LOOKS = 0.2;
/** The answer is lost where less than this share of its probability is left. */
const LOST = 0.5;
/** So much of the answer comes with one square: it carries the fact. */
const CARRIES = 0.8;
const lost = ({ heads }: Seen): boolean => heads !== undefined && heads.silenced.length > 0 && heads.after < LOST * heads.before;
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
    id: 'copies',
    title: 'The head that copies names',
    instrument: 'attention',
    steps: [
      {
        say: () =>
          'Each square is a head: its rows are words that look, its columns words that are looked at. The sentence ends with the name that is left over, so some head must look back at names: choose one whose last row does.',
        keys: 'Among the heads, arrows choose; the large map shows the row of the last word.',
        target: 'heads',
        done: ({ heads }) => heads !== undefined && heads.looks >= LOOKS,
      },
      {
        say: ({ heads }) => {
          const answer = word(heads?.answer);
          if (!heads?.silenced.length)
            return `Head ${heads?.name ?? ''} looks at a name. Looking is not copying: silence it, and see whether the sentence still ends with ${answer}.`;
          return `Without ${both(heads.silenced)} it still ends with ${answer}, at ${percent(heads.after)}: something else copies the name. Choose another head whose last row looks at one, down to the lowest layer, and silence that.`;
        },
        keys: 'Tab goes on from the heads to the map and to the button.',
        target: 'silence',
        done: lost,
      },
    ],
    end: ({ heads }) =>
      `Without ${both(heads?.silenced ?? [])} ${word(heads?.answer)} falls from ${percent(heads?.before)} to ${percent(heads?.after)}: the model still wants a name, but no longer knows which. You found who copies it.`,
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
  {
    id: 'patched',
    title: 'A fact from one person to another',
    instrument: 'patch',
    steps: [
      {
        say: ({ patch }) =>
          `Two questions, one name apart: the model answers one with ${word(patch?.correct || ' parrot')}, the other with ${word(patch?.wrong || ' cat')}. Run it: each square copies one activation from the first into the second, and tells how much of the first answer comes along.`,
        keys: 'Enter on the button.',
        target: 'patch-run',
        done: ({ patch }) => patch?.ran === true,
      },
      {
        say: ({ patch }) =>
          `Where does the fact travel? Select a square above the lowest row that makes the other question end with ${word(patch?.correct)}.`,
        keys: 'In the grid, arrows move and select.',
        target: 'patch',
        done: ({ patch }) =>
          patch?.cell !== undefined && patch.cell.layer > 0 && patch.cell.value >= CARRIES && patch.cell.says === patch.correct,
      },
      {
        say: ({ patch }) =>
          `That one activation carries it. Make it a dial: it puts into this question, at that place, what is there in the other, whose answer is ${word(patch?.wrong)}.`,
        keys: 'Enter on the button; the dial’s slider then has the focus.',
        target: 'cell-dial',
        done: ({ patch }) => patch?.dial === true,
      },
    ],
    end: ({ patch }) =>
      `You moved a fact. Generate, and this question is answered with ${word(patch?.wrong)}; turn the dial to 0, and it is ${word(patch?.correct)} again.`,
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
  /** Dials that the tour has switched off, until it is left. */
  rested: string[];
  /** What Patch was asked before the tour needed it. */
  patch?: Record<string, unknown> | undefined;
}

export const NO_TOUR: TourState = { stop: undefined, step: 0, done: [], open: false, declined: false, from: undefined, rested: [] };

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
    rested: Array.isArray(saved.rested) ? saved.rested.filter((id) => typeof id === 'string') : [],
    ...(typeof saved.patch === 'object' && saved.patch !== null ? { patch: saved.patch as Record<string, unknown> } : {}),
  };
}

/** The next one that was not done, after the given one first. */
export function nextStop(done: readonly string[], after?: string): TourStop | undefined {
  const at = STOPS.findIndex(({ id }) => id === after);
  return [...STOPS.slice(at + 1), ...STOPS.slice(0, at + 1)].find(({ id }) => !done.includes(id));
}
