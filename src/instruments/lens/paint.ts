/** A lens metric as colour: which number a cell shows, on which scale, with which ends. */
import type { LensResult } from '../../../workers/api';
import { amber, cividis, inkOn, magma, viridis, type Colour } from '../../charts/scales';
import { count, number } from '../../lab/format';
import type { LensMetric } from '../../lab/lens.svelte';

export interface Painted {
  name: string;
  from: string;
  to: string;
  colour: Colour;
  at(row: number, column: number): { ground: string; ink: string; value: number };
}

const most = (grid: readonly (readonly number[])[]) =>
  grid.reduce((max, row) => row.reduce((m, x) => (Number.isFinite(x) && x > m ? x : m), max), 0);

export function paint(metric: LensMetric, result: LensResult, tracked: boolean, dark: boolean, vocabulary: number): Painted {
  const made = (
    name: string,
    colour: Colour,
    from: string,
    to: string,
    value: (r: number, c: number) => number,
    share: (x: number) => number,
  ): Painted => ({
    name,
    from,
    to,
    colour,
    at: (row, column) => {
      const x = value(row, column);
      const ground = colour(Number.isFinite(x) ? share(x) : 0);
      return { ground, ink: inkOn(ground), value: x };
    },
  });
  const { rank, probability, entropy, klToFinal, top } = result;
  if (metric === 'rank' && tracked && rank) {
    // Ranks are read on a log scale: 0 against 10 matters, 10,000 against 10,010 does not.
    const span = Math.log1p(vocabulary - 1);
    const value = (r: number, c: number) => rank[r]?.[c] ?? Number.NaN;
    return made('rank of the tracked token', viridis(dark), `${count(vocabulary - 1)}`, '0', value, (x) => 1 - Math.log1p(x) / span);
  }
  if (metric === 'entropy') {
    const span = Math.log(vocabulary);
    return made(
      'entropy',
      cividis(dark),
      '0',
      `${number(span)} nats`,
      (r, c) => entropy[r]?.[c] ?? Number.NaN,
      (x) => x / span,
    );
  }
  if (metric === 'kl') {
    const span = Math.max(1, most(klToFinal));
    return made(
      'KL to the final layer',
      magma(dark),
      '0',
      `${number(span)} nats`,
      (r, c) => klToFinal[r]?.[c] ?? Number.NaN,
      (x) => Math.sqrt(Math.max(0, x) / span),
    );
  }
  if (tracked && probability) {
    return made(
      'probability of the tracked token',
      amber(dark),
      '0',
      '1',
      (r, c) => probability[r]?.[c] ?? Number.NaN,
      (x) => x,
    );
  }
  return made(
    'probability of the top token',
    amber(dark),
    '0',
    '1',
    (r, c) => top[r]?.[c]?.[0]?.probability ?? Number.NaN,
    (x) => x,
  );
}
