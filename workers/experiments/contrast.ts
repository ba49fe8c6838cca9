/**
 * “Fires here and not there”: the latents that are active at some positions and rest at others. Over activations a of the unedited model,
 *
 *   here  = min over the positions of `here` of a   (each 'min'), or their mean (each 'mean')
 *   not   = max over the positions of `not` of a; 0 where there are none
 *   score = here − not
 * Latents with score > 0 are found. A position lists its largest activations (load.ts: roomOf); what is beyond counts as 0, and is told.
 */
import type { FoundLatents } from '../api';
import type { EngineContrast, EngineFiring } from '../contract';
import { roomOf } from '../dictionary/load';
import type { AnyDictionary } from '../dictionary/neurons';
import { listWords, readList } from '../kernels/dictionary';
import { LabError } from '../errors';
import { runBatch } from '../model/run';
import type { Runtime } from '../model/runtime';

export async function contrast(
  model: Runtime,
  dictionary: AnyDictionary,
  request: Omit<EngineContrast, 'dictionary'>,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<FoundLatents> {
  const { here, not, each, top } = request;
  const all = here.length + not.length;
  let done = 0;
  let truncated = false;
  /** Calls `see` with every wanted position's active latents; says how many positions there were. */
  const over = async (firings: readonly EngineFiring[], see: (pairs: readonly [number, number][]) => void): Promise<number> => {
    let positions = 0;
    for (const firing of firings) {
      stop?.();
      const found = await listsOf(model, dictionary, firing);
      for (const list of found) {
        truncated ||= list.truncated;
        see(list.pairs);
      }
      positions += found.length;
      progress?.(++done, all);
    }
    return positions;
  };
  const seen = new Map<number, { smallest: number; sum: number; times: number }>();
  const positions = await over(here, (pairs) => {
    for (const [latent, value] of pairs) {
      const before = seen.get(latent) ?? { smallest: Infinity, sum: 0, times: 0 };
      seen.set(latent, { smallest: Math.min(before.smallest, value), sum: before.sum + value, times: before.times + 1 });
    }
  });
  const largest = new Map<number, number>();
  await over(not, (pairs) => {
    for (const [latent, value] of pairs) largest.set(latent, Math.max(value, largest.get(latent) ?? 0));
  });
  const found = [...seen]
    .map(([latent, { smallest, sum, times }]) => {
      const firing = each === 'mean' ? sum / positions : times === positions ? smallest : 0;
      const resting = largest.get(latent) ?? 0;
      return { latent, score: firing - resting, here: firing, not: resting };
    })
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.latent - b.latent);
  return { latents: found.slice(0, top), of: found.length, truncated };
}

/** The active latents at each wanted position of one prompt. */
async function listsOf(
  model: Runtime,
  dictionary: AnyDictionary,
  { ids, positions }: EngineFiring,
): Promise<{ pairs: [number, number][]; truncated: boolean }[]> {
  const outside = positions.find((position) => !Number.isInteger(position) || position < 0 || position >= ids.length);
  if (outside !== undefined)
    throw new LabError('position-range', `Position ${outside} lies outside a text of ${ids.length} tokens.`, 'Positions run from 0.');
  const room = roomOf(dictionary);
  const [run] = await runBatch(
    model,
    [{ ids, promptLength: ids.length, edits: [], taps: [], logits: [] }],
    [{ dictionary: dictionary.id, room, width: dictionary.output.words, y: false }],
  );
  const lists = run?.measured[0]?.lists ?? new Uint32Array(0);
  return positions.map((position) => readList(lists, position * listWords(room)));
}
