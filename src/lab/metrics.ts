/** A metric as a person writes it to one as the engine takes it: tokens become ids, by the same rule as lab.token, and what is wrong is said. */
import type { Metric } from '../../workers/api';
import type { EngineMetric } from '../../workers/contract-sweep';
import { LabError } from '../../workers/errors';
import type { Text } from './text';

const KINDS: readonly string[] = ['logit-diff', 'log-prob', 'probability', 'kl'];

export async function resolveMetric(metric: Metric, text: Pick<Text, 'token'>): Promise<EngineMetric> {
  const given: unknown = metric;
  const kind = typeof given === 'object' && given !== null && 'kind' in given ? String(given.kind) : String(given);
  if (!KINDS.includes(kind)) throw new LabError('request-invalid', `“${kind}” is no metric.`, `The metrics are ${KINDS.join(', ')}.`);
  const position = metric.position ?? -1;
  if (!Number.isInteger(position))
    throw new LabError(
      'request-invalid',
      `The metric’s position is ${position}.`,
      'Give a whole number; negative ones count from the end.',
    );
  const wanted = metric.kind === 'logit-diff' ? [metric.correct, metric.wrong] : metric.kind === 'kl' ? [] : [metric.token];
  const tokens: number[] = [];
  for (const each of wanted) {
    if (each === undefined || each === null)
      throw new LabError(
        'request-invalid',
        `The metric ${metric.kind} lacks a token.`,
        metric.kind === 'logit-diff' ? 'Give correct and wrong, each one token.' : 'Give token, one token.',
      );
    tokens.push((await text.token(each)).id);
  }
  return { kind: metric.kind, position, tokens };
}
