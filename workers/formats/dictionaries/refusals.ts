/** The ways in which a dropped dictionary is refused, each with its code. */
import { LabError } from '../../errors';

const WHOLE = 'Drop the folder as it was published, with every file in it.';

export const configMissing = (where: string, what: string): LabError =>
  new LabError('dictionary-config-missing', `${where}: ${what}.`, WHOLE);

export const weightsMissing = (where: string, what: string): LabError =>
  new LabError('dictionary-weights-missing', `${where}: ${what}.`, WHOLE);

export const badValue = (where: string, what: string): LabError =>
  new LabError('dictionary-value', `${where}: ${what}.`, 'Check that the configuration belongs to these weights and was not edited.');

/** Refused rather than computed wrongly. */
export const unsupported = (where: string, what: string): LabError =>
  new LabError('dictionary-unsupported', `${where}: ${what}, which Loupe does not compute.`, 'Use another dictionary of the same place.');

export const crosscoder = (where: string, what: string): LabError =>
  new LabError(
    'dictionary-crosscoder',
    `${where} is a crosscoder (${what}): it reads or writes several places at once.`,
    'Loupe runs dictionaries that read one place and write one.',
  );

export const hookUnknown = (where: string, what: string): LabError =>
  new LabError(
    'dictionary-hook',
    `${where}: ${what}.`,
    'Drop it in a folder that is called as its publisher calls it, or after the hook that it belongs to, such as “blocks.8.hook_resid_pre”.',
  );

export const GARBAGE = 'dictionary-garbage';
export const GARBAGE_HINT = 'Download it again; it must be a JSON object.';
