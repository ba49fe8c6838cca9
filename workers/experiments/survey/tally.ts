/**
 * What a pass over a text leaves of every latent: how often and how strongly it was active, a histogram, its strongest positions, and from every
 * bar of the histogram a few positions drawn at random. Pure, and the same whatever the order or the batches in which positions come: ties of the
 * strongest go to the earlier place, and what is drawn is decided by a hash of the place (the SAMPLE places whose hashes are smallest: a bottom-k
 * sketch, so every position of a bar is as likely as any other).
 *
 * A place is a token's index among all tokens read. Memory is about 1.2 kB a latent; 65,536 latents take 80 MB.
 */

/** Strongest positions kept of each latent. */
export const TOP = 24;
/** Bars of the histogram: half an octave each, from 2^-10 to 2^10 units; what lies beyond is counted in the first and the last. */
export const BINS = 40;
/** Positions drawn from each bar. */
export const SAMPLE = 3;

/** An active position of a latent. */
export interface Seen {
  place: number;
  value: number;
}
/** Of `count` positions in [from, to], those drawn; all of them where there are no more than SAMPLE. */
export interface Bar {
  from: number;
  to: number;
  count: number;
  sample: Seen[];
}
export interface LatentTally {
  count: number;
  sum: number;
  max: number;
  /** Strongest first. */
  top: Seen[];
  bars: Bar[];
}

/** A bijection on 32 bits that leaves no trace of order (the finaliser of MurmurHash3): two places never tie. */
export function scatter(place: number): number {
  let h = place ^ (place >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export class Tally {
  positions = 0;
  /** Σ of active latents, and Σ of activations, over positions. */
  active = 0;
  magnitude = 0;
  /** What the histogram counts in: a power of two near the text's first activations; 0 until there are any. */
  unit = 0;
  readonly counts: Uint32Array<ArrayBuffer>;
  readonly sums: Float64Array<ArrayBuffer>;
  readonly maxima: Float32Array<ArrayBuffer>;
  private readonly topCounts: Uint32Array<ArrayBuffer>;
  private readonly topPlaces: Uint32Array<ArrayBuffer>;
  private readonly topValues: Float32Array<ArrayBuffer>;
  private readonly histogram: Uint32Array<ArrayBuffer>;
  private readonly samplePlaces: Uint32Array<ArrayBuffer>;
  private readonly sampleValues: Float32Array<ArrayBuffer>;

  constructor(readonly latents: number) {
    this.counts = new Uint32Array(latents);
    this.sums = new Float64Array(latents);
    this.maxima = new Float32Array(latents);
    this.topCounts = new Uint32Array(latents);
    this.topPlaces = new Uint32Array(latents * TOP);
    this.topValues = new Float32Array(latents * TOP);
    this.histogram = new Uint32Array(latents * BINS);
    this.samplePlaces = new Uint32Array(latents * BINS * SAMPLE);
    this.sampleValues = new Float32Array(latents * BINS * SAMPLE);
  }

  /** Before anything is counted: what the bars are measured in, from the mean of the first activations. */
  scale(mean: number): void {
    if (this.unit === 0 && mean > 0 && Number.isFinite(mean)) this.unit = 2 ** Math.round(Math.log2(mean));
  }

  /** A position that counts; then `see` for each of its active latents. */
  begin(): void {
    this.positions++;
  }

  see(place: number, latent: number, value: number): void {
    this.active++;
    this.magnitude += value;
    this.counts[latent] = (this.counts[latent] ?? 0) + 1;
    this.sums[latent] = (this.sums[latent] ?? 0) + value;
    if (value > (this.maxima[latent] ?? 0)) this.maxima[latent] = value;
    this.rank(place, latent, value);
    this.draw(place, latent, value);
  }

  private rank(place: number, latent: number, value: number): void {
    const { topPlaces: places, topValues: values } = this;
    const first = latent * TOP;
    const count = this.topCounts[latent] ?? 0;
    let at = first + count;
    if (count === TOP) {
      const last = values[at - 1] ?? 0;
      if (value < last || (value === last && place > (places[at - 1] ?? 0))) return;
      at--;
    } else this.topCounts[latent] = count + 1;
    for (; at > first; at--) {
      const above = values[at - 1] ?? 0;
      if (above > value || (above === value && (places[at - 1] ?? 0) < place)) break;
      values[at] = above;
      places[at] = places[at - 1] ?? 0;
    }
    values[at] = value;
    places[at] = place;
  }

  private draw(place: number, latent: number, value: number): void {
    const bar = latent * BINS + this.barOf(value);
    const count = this.histogram[bar] ?? 0;
    this.histogram[bar] = count + 1;
    const { samplePlaces: places, sampleValues: values } = this;
    const first = bar * SAMPLE;
    let at = first + Math.min(count, SAMPLE);
    const hash = scatter(place);
    if (count >= SAMPLE) {
      if (hash > scatter(places[at - 1] ?? 0)) return;
      at--;
    }
    for (; at > first && scatter(places[at - 1] ?? 0) > hash; at--) {
      places[at] = places[at - 1] ?? 0;
      values[at] = values[at - 1] ?? 0;
    }
    places[at] = place;
    values[at] = value;
  }

  private barOf(value: number): number {
    const at = Math.floor(2 * Math.log2(value / this.unit)) + BINS / 2;
    return at < 0 ? 0 : at >= BINS ? BINS - 1 : at;
  }

  /** Share of positions where each latent is active. */
  density(): Float32Array<ArrayBuffer> {
    return Float32Array.from(this.counts, (count) => (this.positions ? count / this.positions : 0));
  }

  of(latent: number): LatentTally {
    const seen = (places: Uint32Array, values: Float32Array, first: number, count: number): Seen[] =>
      Array.from({ length: count }, (_, i) => ({ place: places[first + i] ?? 0, value: values[first + i] ?? 0 }));
    const bars = Array.from({ length: BINS }, (_, i): Bar => {
      const bar = latent * BINS + i;
      const count = this.histogram[bar] ?? 0;
      const edge = (k: number): number => this.unit * 2 ** ((k - BINS / 2) / 2);
      return {
        from: edge(i),
        to: edge(i + 1),
        count,
        sample: seen(this.samplePlaces, this.sampleValues, bar * SAMPLE, Math.min(count, SAMPLE)),
      };
    });
    return {
      count: this.counts[latent] ?? 0,
      sum: this.sums[latent] ?? 0,
      max: this.maxima[latent] ?? 0,
      top: seen(this.topPlaces, this.topValues, latent * TOP, this.topCounts[latent] ?? 0),
      bars,
    };
  }

  /** Its numbers, and everything else as arrays; slots that hold nothing are left out. */
  pack(): { numbers: TallyNumbers; arrays: Packed[] } {
    const { latents, positions, active, magnitude, unit } = this;
    const topSizes = this.topCounts;
    const sizes = this.histogram.map((count) => Math.min(count, SAMPLE));
    return {
      numbers: { latents, positions, active, magnitude, unit },
      arrays: [
        this.counts,
        this.sums,
        this.maxima,
        this.topCounts,
        squeezed(this.topPlaces, topSizes, TOP),
        squeezed(this.topValues, topSizes, TOP),
        this.histogram,
        squeezed(this.samplePlaces, sizes, SAMPLE),
        squeezed(this.sampleValues, sizes, SAMPLE),
      ],
    };
  }

  /** What `pack` gave, taken from bytes in its order; `take` throws where they end. */
  static unpack(numbers: TallyNumbers, take: Take): Tally {
    const tally = new Tally(numbers.latents);
    const { positions, active, magnitude, unit } = numbers;
    Object.assign(tally, { positions, active, magnitude, unit });
    tally.counts.set(new Uint32Array(take(4 * tally.counts.length)));
    tally.sums.set(new Float64Array(take(8 * tally.sums.length)));
    tally.maxima.set(new Float32Array(take(4 * tally.maxima.length)));
    tally.topCounts.set(new Uint32Array(take(4 * tally.topCounts.length)));
    const total = (sizes: Uint32Array): number => 4 * sizes.reduce((sum, each) => sum + each, 0);
    const tops = total(tally.topCounts);
    spread(new Uint32Array(take(tops)), tally.topCounts, TOP, tally.topPlaces);
    spread(new Float32Array(take(tops)), tally.topCounts, TOP, tally.topValues);
    tally.histogram.set(new Uint32Array(take(4 * tally.histogram.length)));
    const sizes = tally.histogram.map((count) => Math.min(count, SAMPLE));
    const samples = total(sizes);
    spread(new Uint32Array(take(samples)), sizes, SAMPLE, tally.samplePlaces);
    spread(new Float32Array(take(samples)), sizes, SAMPLE, tally.sampleValues);
    return tally;
  }
}

export interface TallyNumbers {
  latents: number;
  positions: number;
  active: number;
  magnitude: number;
  unit: number;
}
export type Packed = Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
/** The next so many bytes, in a buffer of their own. */
export type Take = (bytes: number) => ArrayBuffer;

/** The filled slots of groups of `room`, one after the other. */
function squeezed<T extends Uint32Array | Float32Array>(from: T, sizes: Uint32Array, room: number): T {
  const out = from.slice(
    0,
    sizes.reduce((sum, each) => sum + each, 0),
  ) as T;
  let to = 0;
  sizes.forEach((size, i) => {
    for (let k = 0; k < size; k++) out[to++] = from[i * room + k] ?? 0;
  });
  return out;
}

function spread(from: ArrayLike<number>, sizes: Uint32Array, room: number, into: Uint32Array | Float32Array): void {
  let at = 0;
  sizes.forEach((size, i) => {
    for (let k = 0; k < size; k++) into[i * room + k] = from[at++] ?? 0;
  });
}
