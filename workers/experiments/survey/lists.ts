/**
 * Active latents of every token of many sequences, complete: where a token that counts has more of them than there was room for, its sequence
 * is read again with more.
 */
import type { LoadedDictionary } from '../../dictionary/load';
import { listWords } from '../../kernels/dictionary';
import type { Tensor } from '../../api';
import { runBatch } from '../../model/run';
import type { Runtime } from '../../model/runtime';

/** Of one sequence: a row a token, as the GPU wrote them (kernels/dictionary.ts). */
export interface SequenceLists {
  words: Uint32Array;
  values: Float32Array;
  /** Words of a row. */
  stride: number;
  taps: Record<string, Tensor>;
}

/** Room in the lists of a batch: as much as was ever needed, up to a measure; what needs more is read alone. */
export class Room {
  private size: number;
  constructor({ spec }: Pick<LoadedDictionary, 'spec'>) {
    this.size = Math.min(spec.latents, spec.activation === 'topk' ? Math.max(1, spec.k ?? 1) : FIRST);
  }
  get now(): number {
    return this.size;
  }
  needed(active: number, latents: number): number {
    const wanted = Math.min(latents, 2 ** Math.ceil(Math.log2(Math.max(1, active))));
    this.size = Math.max(this.size, Math.min(wanted, MOST));
    return wanted;
  }
}
const FIRST = 64;
const MOST = 1024;
/** Bytes of lists that come back at once. */
const BUDGET = 64 << 20;

/** Rows that may be read together. */
export const rowsAtOnce = (room: number): number => Math.max(1, Math.floor(BUDGET / (4 * listWords(room))));

/** `counts`: tokens whose lists must be complete. */
export async function readLists(
  model: Runtime,
  dictionary: LoadedDictionary,
  sequences: readonly (readonly number[])[],
  counts: (token: number) => boolean,
  room: Room,
  taps: readonly string[] = [],
): Promise<SequenceLists[]> {
  const now = room.now;
  const found = await read(model, dictionary, sequences, now, taps);
  const again = new Map<number, number>();
  sequences.forEach((ids, s) => {
    const active = mostActive(found[s], ids, counts);
    if (active > now) again.set(s, room.needed(active, dictionary.spec.latents));
  });
  if (again.size === 0) return found;
  const wider = Math.max(...again.values());
  const late = [...again.keys()];
  for (let at = 0; at < late.length;) {
    const some: number[] = [];
    let rows = 0;
    for (; at < late.length; at++) {
      const length = sequences[late[at] ?? 0]?.length ?? 0;
      if (some.length > 0 && rows + length > rowsAtOnce(wider)) break;
      some.push(late[at] ?? 0);
      rows += length;
    }
    const more = await read(
      model,
      dictionary,
      some.map((s) => sequences[s] ?? []),
      wider,
      taps,
    );
    some.forEach((s, i) => {
      const each = more[i];
      if (each) found[s] = each;
    });
  }
  return found;
}

async function read(
  model: Runtime,
  { id, output }: LoadedDictionary,
  sequences: readonly (readonly number[])[],
  room: number,
  taps: readonly string[],
): Promise<SequenceLists[]> {
  const runs = await runBatch(
    model,
    sequences.map((ids) => ({ ids, promptLength: ids.length, edits: [], taps, logits: [] })),
    [{ dictionary: id, room, width: output.words, y: false, bare: true }],
  );
  return runs.map(({ measured: [only], taps: tapped }) => {
    const words = only?.lists ?? new Uint32Array(0);
    return { words, values: new Float32Array(words.buffer, words.byteOffset, words.length), stride: listWords(room), taps: tapped };
  });
}

function mostActive(lists: SequenceLists | undefined, ids: readonly number[], counts: (token: number) => boolean): number {
  let most = 0;
  ids.forEach((token, r) => {
    if (lists && counts(token)) most = Math.max(most, lists.words[r * lists.stride] ?? 0);
  });
  return most;
}
