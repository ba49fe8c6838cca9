/** Histograms on logarithmic scales: of the densities of latents, with the latents of one bar, and of the activations of one latent. */
import { bin } from 'd3-array';

export interface Bin {
  from: number;
  to: number;
  count: number;
}

/** The widest that a bar is, in decades. */
const WIDEST = 0.25;

/**
 * log10 of the densities of latents that are not dead, in bars of one width, from that of a latent active at one position in `tokens` up to 1. Bounds are
 * log10; the last bar holds its upper end.
 */
export function densityBins(density: Float32Array, tokens: number): Bin[] {
  // Below the least there can be, so that rounding does not drop it.
  const first = Math.log10(0.99 / Math.max(10, tokens));
  const bars = Math.ceil(-first / WIDEST);
  const edge = (i: number): number => (i === bars ? 0 : first * (1 - i / bars));
  const logs = [...density].filter((each) => each > 0).map((each) => Math.min(0, Math.log10(each)));
  const bins = bin()
    .domain([first, 0])
    .thresholds(Array.from({ length: bars - 1 }, (_, i) => edge(i + 1)))(logs);
  return bins.map(({ x0 = 0, x1 = 0, length }) => ({ from: x0, to: x1, count: length }));
}

/** Latents whose log10 density lies in a bar, the rarest first. */
export function inBin(density: Float32Array, { from, to }: Bin): number[] {
  const found: [latent: number, density: number][] = [];
  density.forEach((each, latent) => {
    const log = Math.log10(each);
    if (each > 0 && log >= from && (log < to || (to === 0 && log >= 0))) found.push([latent, each]);
  });
  return found.sort((a, b) => a[1] - b[1] || a[0] - b[0]).map(([latent]) => latent);
}

/** Bars of half an octave each, with those between and around them that hold nothing: at least so many. */
export function evenBars(bars: readonly Bin[], least: number): Bin[] {
  const [first] = bars;
  if (!first) return [];
  const at = ({ from }: Bin): number => Math.round(2 * Math.log2(from / first.from));
  const counts = new Map(bars.map((each) => [at(each), each.count]));
  const last = Math.max(...counts.keys());
  const room = Math.max(1, Math.ceil((least - last - 1) / 2));
  return Array.from({ length: last + 1 + 2 * room }, (_, i) => {
    const step = i - room;
    return { from: first.from * 2 ** (step / 2), to: first.from * 2 ** ((step + 1) / 2), count: counts.get(step) ?? 0 };
  });
}
