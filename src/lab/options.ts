/**
 * A call's options, as a script gave them. A name that the call does not know is refused rather than passed over: `centre` for
 * `center` would leave the weights as they are without a word.
 */
import { LabError } from '../../workers/errors';

/** Throws option-unsupported unless these are options of `call`, which knows `names`. */
export function checkOptions(call: string, given: unknown, names: readonly string[]): void {
  const known = `${call} knows ${names.join(', ')}.`;
  if (typeof given !== 'object' || given === null)
    throw new LabError('option-unsupported', `The options of ${call} are no object.`, `Give them as { name: value }: ${known}`);
  const unknown = Object.entries(given).find(([name, value]) => value !== undefined && !names.includes(name));
  if (unknown) throw new LabError('option-unsupported', `${call} has no option “${unknown[0]}”.`, known);
}

/** The value of a switch, undefined where it was not given; throws option-unsupported where it is no yes or no. */
export function yesOrNo(name: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  const shown = typeof value === 'string' ? `“${value}”` : String(value);
  throw new LabError('option-unsupported', `${name} is ${shown}.`, `Give ${name} as true or false.`);
}
