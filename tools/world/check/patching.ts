/**
 * Where the answer to “… gave a lantern to” is carried, by lab.sweep: into the run of the prompt with the other giver, resid_pre of
 * the clean run is written at one layer and one position. Recovery is (m − m_corrupted)/(m_clean − m_corrupted) of the logit difference.
 * What comes before the first differing token cannot differ, and is measured on one pair to show it. The rest are the giver's name, the last
 * position, and what lies between, which should carry nothing.
 */
import { indirectObjects } from '../index';
import { mean, type Claim } from './claim';
import { patched } from './in-page';

export interface Grids {
  /** [layer][role], recovery: at the giver's name, at the last position, and the largest in between. */
  giver: number[];
  last: number[];
  between: { layer: number; piece: string; recovery: number }[];
}

type Patched = Awaited<ReturnType<typeof patched>>;

/** Mean recovery of each cell over pairs of one wording, whose positions mean the same. */
export function gridOf(pairs: readonly Patched[]): { recovery: number[][]; positions: number[]; pieces: string[] } {
  const [first] = pairs;
  if (!first) throw new Error('no pairs');
  const recovery = first.cells.map((row, layer) =>
    row.map((_, i) => mean(pairs.map(({ cells, clean, corrupted }) => ((cells[layer]?.[i] ?? NaN) - corrupted) / (clean - corrupted)))),
  );
  return { recovery, positions: first.positions, pieces: first.pieces };
}

/** The first layer whose residual holds the answer rather at the last position than at the name: strictly inside when neither 0 nor none. */
export function handOver(giver: readonly number[], last: readonly number[]): number {
  const at = giver.findIndex((value, layer) => (last[layer] ?? NaN) > value);
  return at === -1 ? giver.length : at;
}

export const patching: Claim = {
  name: 'patching',
  async run(benches, smaller) {
    const { layers } = benches.model;
    const wordings = new Map<string, ReturnType<typeof indirectObjects>>();
    // A wording: which words begin, of what length, who gives. Places and things differ; what their positions do does not.
    for (const one of indirectObjects(2000, 2)) {
      const key = one.prompt.split(' ')[0] + String(one.prompt.split(' ').length) + String(one.names[0] === one.names[2]);
      wordings.set(key, [...(wordings.get(key) ?? []), one]);
    }
    const each = Math.max(1, Math.ceil(3 / smaller));
    const asked = [...wordings.values()].flatMap((group) => group.slice(0, each));
    const question = ({ prompt, corrupted, right, wrong }: (typeof asked)[number]) => ({
      clean: prompt,
      corrupted,
      right,
      wrong,
      positions: 'changed' as const,
    });
    const grids = await benches.each(asked.map(question), patched);
    const [firstPair] = asked;
    const whole = firstPair ? await benches.ask(patched, { ...question(firstPair), positions: 'all' }) : undefined;
    const before = whole
      ? Math.max(
          ...whole.cells
            .flatMap((row) => row.filter((_, i) => (whole.positions[i] ?? 0) < (grids[0]?.positions[0] ?? 0)))
            .map((cell) => Math.abs(cell - whole.corrupted)),
        )
      : NaN;

    // From the giver on, roles are the same in all pairs of one wording: the giver first, “to” last, and verb, article, thing between.
    const groups = new Map<string, typeof grids>();
    for (const [i, grid] of grids.entries()) {
      const wording = `${asked[i]?.prompt.split(' ')[0] ?? ''} ${grid.positions.length}`;
      groups.set(wording, [...(groups.get(wording) ?? []), grid]);
    }
    const cells = [...groups.values()].map(gridOf);
    const alone = grids.flatMap(({ cells: c, clean, corrupted }) =>
      c.flatMap((row) => row.slice(1, -1).map((value) => Math.abs((value - corrupted) / (clean - corrupted)))),
    );
    const at = (row: number[], i: number): number => row.at(i) ?? NaN;
    const weigh = (i: number): number[] =>
      Array.from({ length: layers }, (_, layer) =>
        mean(grids.map(({ cells: c, clean, corrupted }) => (at(c[layer] ?? [], i) - corrupted) / (clean - corrupted))),
      );
    const [giver, last] = [weigh(0), weigh(-1)];
    const between = cells.flatMap(({ recovery, positions, pieces }) =>
      recovery.flatMap((row, layer) => row.slice(1, -1).map((value, i) => ({ layer, piece: pieces[positions[i + 1] ?? 0] ?? '', value }))),
    );
    const most = between.reduce((worst, cell) => (Math.abs(cell.value) > Math.abs(worst.value) ? cell : worst));
    const layer = handOver(giver, last);
    const line = (values: number[]): string => values.map((value) => value.toFixed(2)).join(' ');
    const n = grids.length;
    return {
      measures: [
        {
          what: 'most recovered between name and last position',
          value: Math.abs(most.value),
          bar: 0.2,
          at: 'most',
          n,
          leastN: 24,
          unit: 'number',
        },
        // Sanity: what stands before the only token that differs cannot carry anything, and at layer 0 that token carries all.
        { what: 'before the name (exactly nothing)', value: before, bar: 1e-3, at: 'most', n: 1, leastN: 1, unit: 'number' },
        { what: 'hand-over, not before layer', value: layer, bar: 1, at: 'least', n, leastN: 24, unit: 'number' },
        { what: 'hand-over, not after layer', value: layer, bar: layers - 1, at: 'most', n, leastN: 24, unit: 'number' },
        { what: 'recovered at the name, first layer', value: giver[0] ?? NaN, bar: 0.5, at: 'least', n, leastN: 24, unit: 'number' },
        {
          what: 'recovered at the last position, last layer',
          value: last.at(-1) ?? NaN,
          bar: 0.5,
          at: 'least',
          n,
          leastN: 24,
          unit: 'number',
        },
      ],
      notes: [
        `by layer: at the giver's name ${line(giver)}; at the last position ${line(last)}`,
        `most between: layer ${most.layer} at ${JSON.stringify(most.piece)}, in a single pair ${Math.max(...alone).toFixed(2)}; ${[...groups.values()].map((group) => group.length).join(' + ')} pairs`,
      ],
    };
  },
};
