/** The two answers that a metric may tell apart, as the model itself has them: what it says after the prompt, and what after the contrast; without one, what comes second. */
import type { Lab } from '../../workers/api';
import type { Token } from './contrast';

export async function suggested(
  lab: Pick<Lab, 'batch' | 'token'>,
  texts: readonly (readonly Token[])[],
  at = -1,
): Promise<[correct: Token, wrong: Token] | undefined> {
  const asked = texts.map((tokens) => ({ prompt: tokens.map(({ id }) => id), logits: { top: 2 } }));
  const [clean = [], corrupted = []] = (await lab.batch(asked)).map(({ top }) => top?.ids.at(at) ?? []);
  const right = clean[0];
  const other = corrupted.length === 0 || corrupted[0] === right ? clean[1] : corrupted[0];
  if (right === undefined || other === undefined) return undefined;
  return Promise.all([lab.token(right), lab.token(other)]);
}
