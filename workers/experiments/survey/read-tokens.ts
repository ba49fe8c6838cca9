/** The tokens that a pass has read, sequence after sequence, so that any position can be shown and read again. Ids are below 2^32. */
import type { Packed, Take } from './tally';

export class ReadTokens {
  private ids = new Uint32Array(1 << 16);
  private starts = new Uint32Array(1 << 10);
  private filled = 0;
  sequences = 0;

  get length(): number {
    return this.filled;
  }

  /** Keeps a sequence; the place of its first token. */
  push(sequence: ArrayLike<number>): number {
    const place = this.filled;
    this.ids = grown(this.ids, place + sequence.length);
    this.ids.set(sequence, place);
    this.filled += sequence.length;
    this.starts = grown(this.starts, this.sequences + 1);
    this.starts[this.sequences++] = place;
    return place;
  }

  /** The sequence that holds a place: its number, where it begins, and its tokens. */
  at(place: number): { sequence: number; start: number; ids: number[] } {
    let low = 0;
    let high = this.sequences;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.starts[middle] ?? 0) <= place) low = middle;
      else high = middle;
    }
    const start = this.starts[low] ?? 0;
    const end = low + 1 < this.sequences ? (this.starts[low + 1] ?? 0) : this.filled;
    return { sequence: low, start, ids: Array.from(this.ids.subarray(start, end)) };
  }

  pack(): { numbers: TokenNumbers; arrays: Packed[] } {
    return {
      numbers: { length: this.filled, sequences: this.sequences },
      arrays: [this.ids.slice(0, this.filled), this.starts.slice(0, this.sequences)],
    };
  }

  static unpack({ length, sequences }: TokenNumbers, take: Take): ReadTokens {
    const read = new ReadTokens();
    read.ids = new Uint32Array(take(4 * length));
    read.starts = new Uint32Array(take(4 * sequences));
    read.filled = length;
    read.sequences = sequences;
    return read;
  }
}

export interface TokenNumbers {
  length: number;
  sequences: number;
}

function grown(from: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  if (length <= from.length) return from;
  const out = new Uint32Array(Math.max(length, 2 * from.length));
  out.set(from);
  return out;
}
