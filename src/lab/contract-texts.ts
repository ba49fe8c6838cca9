/** What a dictionary's contract is checked on: the texts that were given, or passages of our own, cut to a few hundred positions, with a BOS or without. */
import { LabError } from '../../workers/errors';

/** Positions that are read, at most. */
const MOST = 384;
/** Tokens of one text, at most: many beginnings say more about a BOS than one does. */
const PIECE = 128;

interface Call {
  given: string | readonly string[] | undefined;
  demo: boolean;
  /** Tokens of one text that the model can read. */
  most: number;
  bos: number | undefined;
  prependBos: boolean;
  /** Without a BOS. */
  tokenize(text: string): Promise<number[]>;
}

/** `texts` as the contract says of the BOS, `others` the other way: empty where the model has none. */
export async function contractTexts(call: Call): Promise<{ texts: number[][]; others: number[][] }> {
  const { given, demo, most, bos, prependBos, tokenize } = call;
  const list: unknown = typeof given === 'string' ? [given] : (given ?? (await passages(demo)));
  if (!Array.isArray(list) || !list.every((each) => typeof each === 'string'))
    throw new LabError('request-invalid', 'text is no text and no list of texts.', "Give text as in { text: ['Once upon a time, …'] }.");
  const room = Math.max(1, Math.min(PIECE, most - 1));
  const bodies: number[][] = [];
  let left = MOST;
  for (const each of list as string[]) {
    if (left <= 0) break;
    const ids = (await tokenize(each)).filter((id) => id !== bos);
    for (let at = 0; at < ids.length && left > 0; at += room) {
      const body = ids.slice(at, at + Math.min(room, left));
      if (body.length < 2) continue;
      bodies.push(body);
      left -= body.length;
    }
  }
  const headed = bos === undefined ? bodies : bodies.map((body) => [bos, ...body]);
  if (bos === undefined) return { texts: bodies, others: [] };
  return prependBos ? { texts: headed, others: bodies } : { texts: bodies, others: headed };
}

async function passages(demo: boolean): Promise<readonly string[]> {
  const found = await import('./passages');
  return demo ? found.LANTERNWICK : found.PASSAGES;
}
