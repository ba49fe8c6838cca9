/**
 * What a claim is, and how its answer is judged and printed. A claim measures a few numbers, each with the bar that the brief sets for it; it
 * holds when every one of them does, on no smaller a sample than asked. Nothing here knows what is measured.
 */
import type { Benches } from './bench';

/** One number and its bar. `at` says on which side of the bar it must lie. */
export interface Measure {
  what: string;
  value: number;
  bar: number;
  at: 'least' | 'most';
  /** How many prompts, sentences or cells it was measured on, and the fewest that count. */
  n: number;
  leastN: number;
  unit?: 'share' | 'number';
}

export interface Outcome {
  measures: Measure[];
  /** What a reader should know beside the numbers: what failed, which layer, which heads. */
  notes: string[];
  /** Whole texts, in the order in which they were written, for the card. */
  texts?: string[];
}

export interface Claim {
  name: string;
  /** Parts that need no browser get no benches. */
  run(benches: Benches, smaller: number): Promise<Outcome>;
}

export interface Result extends Outcome {
  claim: string;
  pass: boolean;
  seconds: number;
}

/** A number that is not one passes no bar. */
export function holds({ value, bar, at, n, leastN }: Measure): boolean {
  if (!Number.isFinite(value) || n < leastN) return false;
  return at === 'least' ? value >= bar : value <= bar;
}

export const judge = (measures: readonly Measure[]): boolean => measures.length > 0 && measures.every(holds);

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export const shareOf = <T>(items: readonly T[], is: (item: T) => boolean): number => items.filter(is).length / items.length;

const written = (value: number, unit: Measure['unit']): string =>
  !Number.isFinite(value) ? 'none' : unit === 'number' ? value.toFixed(2) : `${(100 * value).toFixed(1)}%`;

/** A line for each measure: claim, bar, measured, sample, verdict, seconds. */
export function table(results: readonly Result[]): string {
  const rows = [['claim', 'bar', 'measured', 'n', '', 'seconds']];
  for (const { claim, measures, pass, seconds } of results) {
    if (measures.length === 0) rows.push([claim, '', 'not measured', '', 'FAIL', seconds.toFixed(0)]);
    measures.forEach((measure, i) => {
      const { what, value, bar, at, n, leastN, unit } = measure;
      const few = n < leastN ? ` (fewer than ${leastN})` : '';
      rows.push([
        `${claim}: ${what}`,
        `${at === 'least' ? '≥' : '≤'} ${written(bar, unit)}`,
        written(value, unit),
        `${n}${few}`,
        holds(measure) ? 'PASS' : 'FAIL',
        i === 0 ? seconds.toFixed(0) : '',
      ]);
    });
    if (!pass && measures.every(holds) && measures.length > 0) rows.push([claim, '', '', '', 'FAIL', '']);
  }
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => [...(row[column] ?? '')].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
