/**
 * A pass of a dictionary over a text, a short batch at a time: what it has found (tally.ts), the tokens it has read, and where in the text it stands. Between
 * batches it can be left, kept as bytes and taken up again, here or after a reload, with the same outcome: a row's numbers do not
 * depend on its batch.
 */
import { LabError } from '../../errors';
import { DENSE } from '../../dictionary/scores';
import type { LoadedDictionary } from '../../dictionary/load';
import { LIST_HEADER } from '../../kernels/dictionary';
import { FEW } from '../../kernels/linear';
import type { Runtime } from '../../model/runtime';
import { readLists, Room, rowsAtOnce, type SequenceLists } from './lists';
import { ReadTokens, type TokenNumbers } from './read-tokens';
import { Tally, type Packed, type TallyNumbers, type Take } from './tally';

/** Milliseconds that a batch should take: the longest that a cancel, or somebody else's turn, waits. */
const TURN = 100;
const MOST_ROWS = 2048;

/** Where in the text the pass stands: `taken` sequences past a place that whoever reads the text knows. */
export interface Standing {
  cursor: string;
  taken: number;
}

export interface Summary {
  tokens: number;
  sequences: number;
  l0: number;
  l1: number;
  dead: number;
  dense: number;
  density: Float32Array;
  max: Float32Array;
}

export class Pass {
  standing: Standing = { cursor: '', taken: 0 };
  private rows = 128;
  private room: Room | undefined;

  constructor(
    readonly tally: Tally,
    readonly tokens: ReadTokens = new ReadTokens(),
  ) {}

  /**
   * One batch out of sequences that follow `cursor` in the text, from where the pass stands; false where all were read already. Tokens for which
   * `counts` is false are read and left out of everything.
   */
  async step(
    model: Runtime,
    dictionary: LoadedDictionary,
    cursor: string,
    sequences: readonly (readonly number[])[],
    counts: (token: number) => boolean,
  ): Promise<boolean> {
    if (this.standing.cursor !== cursor) this.standing = { cursor, taken: 0 };
    const { taken } = this.standing;
    if (taken >= sequences.length) return false;
    this.room ??= new Room(dictionary);
    const batch = this.batch(sequences, taken, this.room.now);
    const start = performance.now();
    const lists = await readLists(model, dictionary, batch, counts, this.room);
    const ms = performance.now() - start;
    const rows = batch.reduce((sum, { length }) => sum + length, 0);
    this.rows = Math.max(64, Math.min(MOST_ROWS, rows * Math.max(0.5, Math.min(2, TURN / ms))));
    batch.forEach((ids, i) => this.add(ids, lists[i], counts));
    this.standing = { cursor, taken: taken + batch.length };
    return true;
  }

  /** As many sequences as fit; none so short is left alone that other kernels would serve it. */
  private batch(sequences: readonly (readonly number[])[], from: number, room: number): (readonly number[])[] {
    const most = Math.min(this.rows, rowsAtOnce(room));
    const all = sequences.slice(from);
    let left = all.reduce((sum, { length }) => sum + length, 0);
    let rows = 0;
    const end = all.findIndex(({ length }) => {
      if (rows > FEW && rows + length > most && left > FEW) return true;
      rows += length;
      left -= length;
      return false;
    });
    return end < 0 ? all : all.slice(0, end);
  }

  private add(ids: readonly number[], lists: SequenceLists | undefined, counts: (token: number) => boolean): void {
    if (!lists) throw new LabError('internal', 'A sequence gave no lists.', 'Please report this.');
    const { tally } = this;
    const { words, values, stride } = lists;
    const place = this.tokens.push(ids);
    const listed = (r: number): number => (counts(ids[r] ?? 0) ? (words[r * stride + 1] ?? 0) : 0);
    if (tally.unit === 0) {
      let [sum, count] = [0, 0];
      for (let r = 0; r < ids.length; r++)
        for (let j = 0, at = r * stride + LIST_HEADER; j < listed(r); j++, at += 2, count++) sum += values[at + 1] ?? 0;
      tally.scale(sum / count);
    }
    for (let r = 0; r < ids.length; r++) {
      if (!counts(ids[r] ?? 0)) continue;
      tally.begin();
      const most = words[r * stride + 1] ?? 0;
      for (let j = 0, at = r * stride + LIST_HEADER; j < most; j++, at += 2) tally.see(place + r, words[at] ?? 0, values[at + 1] ?? 0);
    }
  }

  summary(): Summary {
    const { tally, tokens } = this;
    const density = tally.density();
    const share = (holds: (density: number) => boolean): number =>
      density.reduce((n, each) => n + (holds(each) ? 1 : 0), 0) / density.length;
    const per = (sum: number): number => (tally.positions ? sum / tally.positions : 0);
    return {
      tokens: tally.positions,
      sequences: tokens.sequences,
      l0: per(tally.active),
      l1: per(tally.magnitude),
      dead: share((each) => each === 0),
      dense: share((each) => each > DENSE),
      density,
      max: tally.maxima.slice(),
    };
  }

  /** Everything, as bytes: eight of a length, as much JSON, then the arrays. */
  pack(): Blob {
    const tally = this.tally.pack();
    const tokens = this.tokens.pack();
    const head: Head = { version: VERSION, tally: tally.numbers, tokens: tokens.numbers, standing: this.standing };
    const text = new TextEncoder().encode(JSON.stringify(head));
    const parts: (Uint8Array<ArrayBuffer> | Packed | Float64Array<ArrayBuffer>)[] = [Float64Array.of(text.length), text];
    return new Blob([...parts, ...tally.arrays, ...tokens.arrays]);
  }

  static async unpack(blob: Blob): Promise<Pass> {
    const bytes = await blob.arrayBuffer();
    let at = 0;
    const take: Take = (length) => {
      if (!(length >= 0) || at + length > bytes.byteLength) throw damaged();
      at += length;
      return bytes.slice(at - length, at);
    };
    const [length = 0] = new Float64Array(take(8));
    const { tally, tokens, standing } = headOf(new TextDecoder().decode(take(length)));
    const pass = new Pass(Tally.unpack(tally, take), ReadTokens.unpack(tokens, take));
    if (at !== bytes.byteLength) throw damaged();
    pass.standing = standing;
    return pass;
  }
}

const VERSION = 1;
interface Head {
  version: number;
  tally: TallyNumbers;
  tokens: TokenNumbers;
  standing: Standing;
}

function headOf(text: string): Head {
  try {
    const head = JSON.parse(text) as Head;
    if (head.version === VERSION) return head;
  } catch {
    // As below.
  }
  throw damaged();
}

const damaged = (): LabError =>
  new LabError(
    'survey-damaged',
    'What was kept of this survey is damaged, or of another version of Loupe.',
    'Ask for it with again: true; the text is read once more.',
  );
