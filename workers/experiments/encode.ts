/** A prompt through a dictionary: at every position its active latents, and how far its reconstruction is from what it reconstructs. */
import type { SparseRows } from '../api';
import type { EngineEncode } from '../contract';
import { roomOf } from '../dictionary/load';
import type { AnyDictionary } from '../dictionary/neurons';
import { listWords, readList } from '../kernels/dictionary';
import type { Measured } from '../model/collect';
import { runBatch } from '../model/run';
import type { Runtime } from '../model/runtime';

export async function encode(model: Runtime, dictionary: AnyDictionary, request: EngineEncode): Promise<SparseRows> {
  const { ids, edits } = request;
  const room = roomOf(dictionary);
  const [run] = await runBatch(
    model,
    [{ ids, promptLength: ids.length, edits, taps: [], logits: [] }],
    [{ dictionary: dictionary.id, room, width: dictionary.output.words, y: false }],
  );
  return sparse(run?.measured[0], room, ids.length);
}

/** Rows as they came back. */
export function sparse(measured: Measured | undefined, room: number, rows: number): SparseRows {
  const out: SparseRows = { rows: [], truncated: false, errorNorm: [], inputNorm: [] };
  if (!measured) return out;
  for (let r = 0; r < rows; r++) {
    const { pairs, truncated } = readList(measured.lists, r * listWords(room));
    out.rows.push(pairs);
    out.truncated ||= truncated;
    out.errorNorm.push(measured.errors[2 * r] ?? NaN);
    out.inputNorm.push(measured.errors[2 * r + 1] ?? NaN);
  }
  return out;
}
