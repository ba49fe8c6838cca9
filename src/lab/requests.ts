/** Numbers of a request, checked before anything is sent: what is wrong is said with what would be right. */
import type { RunRequest } from '../../workers/api';
import { LabError } from '../../workers/errors';

export function promptLength(given: number | undefined, length: number): number {
  if (given === undefined) return length;
  if (!Number.isInteger(given) || given < 0 || given > length) {
    throw new LabError(
      'request-invalid',
      `promptLength ${given} does not fit ${length} tokens.`,
      `Give a whole number from 0 to ${length}.`,
    );
  }
  return given;
}

export function within(given: number, name: string, holds: (x: number) => boolean, what: string): number {
  if (typeof given !== 'number' || !Number.isFinite(given) || !holds(given))
    throw new LabError('request-invalid', `${name} is ${String(given)}.`, `Give ${name} as ${what}.`);
  return given;
}

export function checkedLogits(given: NonNullable<RunRequest['logits']>): NonNullable<RunRequest['logits']> {
  if (typeof given === 'object') return { top: count(given.top, 'logits.top') };
  if (!['none', 'last', 'all'].includes(given))
    throw new LabError('request-invalid', `logits is “${String(given)}”.`, "Use 'none', 'last', 'all' or { top: n }.");
  return given;
}

export function count(given: number, name: string): number {
  if (!Number.isInteger(given) || given < 1) {
    throw new LabError('request-invalid', `${name} is ${given}.`, `Give ${name} as a whole number, at least 1.`);
  }
  return given;
}
