/**
 * A File whose bytes stay in the arrays they are in. A browser copies a Blob's parts into a store of its own, and a private window's store
 * refuses half a gigabyte; a dropped file, which this stands in for, is read from disk piece by piece.
 */
type Part = Uint8Array<ArrayBuffer>;

class Piece extends Blob {
  constructor(private readonly content: Part) {
    super([]);
  }
  override get size(): number {
    return this.content.length;
  }
  override arrayBuffer(): Promise<ArrayBuffer> {
    return Promise.resolve(this.content.buffer);
  }
}

export class MemoryFile extends File {
  private readonly starts: number[] = [];
  private readonly total: number;

  constructor(
    private readonly parts: readonly Part[],
    name: string,
  ) {
    super([], name);
    let at = 0;
    for (const part of parts) {
      this.starts.push(at);
      at += part.length;
    }
    this.total = at;
  }

  override get size(): number {
    return this.total;
  }

  /** A copy of bytes [from, to). */
  override slice(from = 0, to = this.total): Blob {
    const end = Math.min(to, this.total);
    const out = new Uint8Array(Math.max(0, end - from));
    this.parts.forEach((part, i) => {
      const start = this.starts[i] ?? 0;
      const [first, last] = [Math.max(from, start), Math.min(end, start + part.length)];
      if (first < last) out.set(part.subarray(first - start, last - start), first - from);
    });
    return new Piece(out);
  }

  override arrayBuffer(): Promise<ArrayBuffer> {
    return this.slice().arrayBuffer();
  }
}
