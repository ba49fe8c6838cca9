/**
 * Several things can be wrong with one drop, and a person who mends them one by one, a drop each, is a person lost. So
 * checks collect LabErrors and throw them together.
 */
import { LabError } from '../errors';

/** The single reasons in a list, nested ones taken apart. */
function flatten(reasons: readonly LabError[]): LabError[] {
  return reasons.flatMap((reason) => (reason.causes.length > 0 ? flatten(reason.causes) : [reason]));
}

/** Reasons that a message lists; `causes` has them all. */
const MOST = 20;

/** One error for all: the reason itself where there is one, else its `causes` are all and its message lists them. */
export function together(reasons: readonly LabError[]): LabError {
  const causes = flatten(reasons);
  const [first] = causes;
  if (!first) return new LabError('internal', 'Something failed without a reason.', 'This is a fault in Loupe. Please report it.');
  if (causes.length === 1) return first;
  const codes = new Set(causes.map((cause) => cause.code));
  const hints = new Set(causes.map((cause) => cause.hint));
  const lines = causes.slice(0, MOST).map((cause) => `• ${cause.message}`);
  if (causes.length > MOST) lines.push(`• and ${causes.length - MOST} more`);
  return new LabError(
    codes.size === 1 ? first.code : 'open-failed',
    `${causes.length} things are wrong:\n${lines.join('\n')}`,
    [...hints].join(' '),
    causes,
  );
}

export function throwAll(reasons: readonly LabError[]): void {
  if (reasons.length > 0) throw together(reasons);
}

/** Runs a check and keeps its refusal. Anything that is not a LabError is a fault of ours and goes up as it is. */
export async function collect<T>(into: LabError[], check: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await check();
  } catch (thrown) {
    if (!(thrown instanceof LabError) || thrown.code === 'cancelled') throw thrown;
    into.push(thrown);
    return undefined;
  }
}

/** “a”, “b”, “c” and 12 more. */
export function listed(names: readonly string[], most = 6): string {
  const shown = names
    .slice(0, most)
    .map((name) => `“${name}”`)
    .join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
