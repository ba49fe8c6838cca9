/**
 * How a model is put to use: the type its weights run in, and what is done to them first. The options of `lab.use`, checked; kept in
 * the session; and the three states that the page offers of them.
 */
import type { Lab, ProcessingOptions } from '../../workers/api';
import { LabError } from '../../workers/errors';
import { notYet } from './jobs';
import { checkOptions, yesOrNo } from './options';

export interface Using extends ProcessingOptions {
  weights: 'stored' | 'f32' | 'f16';
}

const SWITCHES = ['fold', 'center', 'foldLn', 'foldValueBiases', 'centerWritingWeights', 'centerUnembed'] as const;

export function checkedUsing(options: NonNullable<Parameters<Lab['use']>[1]>): Using {
  checkOptions('lab.use', options, ['weights', ...SWITCHES]);
  const { weights = 'stored' } = options;
  if (weights === 'q8' || weights === 'q4') throw notYet(`Weights as ${weights}`, 'quantised kernels, in a later release');
  if (!['stored', 'f32', 'f16'].includes(weights))
    throw new LabError('option-unsupported', `Weights cannot run as “${String(weights)}”.`, "Use 'stored', 'f32' or 'f16'.");
  const using: Using = { weights };
  for (const name of SWITCHES) {
    const value = yesOrNo(name, options[name]);
    if (value !== undefined) using[name] = value;
  }
  if (weights === 'f16' && processes(using))
    throw new LabError(
      'option-unsupported',
      'Folded and centred weights are kept in f32; they cannot run as f16.',
      "Use weights: 'stored' or 'f32', or leave the weights raw.",
    );
  return using;
}

/** What a session kept, or what another version wrote there. */
export function readUsing(saved: Readonly<Record<string, unknown>>): Using {
  const weights = (['stored', 'f32', 'f16'] as const).find((each) => each === saved['weights']) ?? 'stored';
  const using: Using = { weights };
  for (const name of SWITCHES) if (typeof saved[name] === 'boolean') using[name] = saved[name];
  return weights === 'f16' && processes(using) ? { weights } : using;
}

const four = ({ fold = false, center = false, ...own }: Using) => ({
  ln: own.foldLn ?? fold,
  values: own.foldValueBiases ?? fold,
  writing: own.centerWritingWeights ?? center,
  unembed: own.centerUnembed ?? center,
});

export const processes = (using: Using): boolean => Object.values(four(using)).some(Boolean);

/** What the page offers; `own` is any other choice of switches, that a script made. */
export type Level = 'raw' | 'folded' | 'centred' | 'own';

export function levelOf(using: Using): Level {
  const { ln, values, writing, unembed } = four(using);
  if (ln !== values || writing !== unembed || (writing && !ln)) return 'own';
  return writing ? 'centred' : ln ? 'folded' : 'raw';
}

/** The same weights at another level. Processed weights are f32, so f16 gives way. */
export function atLevel(weights: Using['weights'], level: Exclude<Level, 'own'>): Using {
  if (level === 'raw') return { weights };
  return { weights: weights === 'f16' ? 'stored' : weights, fold: true, ...(level === 'centred' ? { center: true } : {}) };
}
