/** Texts that the model wrote, cut into sentences: which of them the grammar could have written. */
import { sentences } from '../index';
import { shareOf } from './claim';
import type { Continuation } from './bench';

/**
 * The sentences of prompt and continuation that end in the continuation. Where the text was cut off rather than ended, the last
 * one is nobody's fault and is left out.
 */
export function judged(prompt: string, { text, ended }: Continuation): { text: string; accepted: boolean }[] {
  const whole = prompt + text;
  let at = 0;
  const placed = sentences(whole).map((sentence) => {
    const start = whole.indexOf(sentence.text, at);
    at = start + sentence.text.length;
    return { ...sentence, end: at };
  });
  const finished = ended === 'eos' || ended === 'stop' ? placed : placed.slice(0, -1);
  return finished.filter(({ end }) => end > prompt.length).map(({ text: one, accepted }) => ({ text: one, accepted }));
}

/** The accepted share over all sentences of all texts, how many there were, and some that were not accepted. */
export function grammar(prompts: readonly string[], texts: readonly Continuation[]): { share: number; n: number; rejected: string[] } {
  const all = texts.flatMap((text, i) => judged(prompts[i] ?? '', text));
  return {
    share: all.length ? shareOf(all, ({ accepted }) => accepted) : NaN,
    n: all.length,
    rejected: all.filter(({ accepted }) => !accepted).map(({ text }) => text),
  };
}

/** A few of them, for the notes. */
export const some = (items: readonly string[], count = 5): string =>
  items
    .slice(0, count)
    .map((item) => JSON.stringify(item))
    .join(' · ');
