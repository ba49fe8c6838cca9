/** The registry: one line a family. */
import { LabError } from '../../errors';
import type { Family } from '../family';
import { gpt2 } from './gpt2';
import { llama } from './llama';

export const FAMILIES: readonly Family[] = [gpt2, llama];

/** The family that reads a config.json, by its model_type. */
export function familyOf(config: Record<string, unknown>): Family {
  const type = config['model_type'];
  const family = FAMILIES.find((each) => typeof type === 'string' && each.types.includes(type));
  if (family) return family;
  throw new LabError(
    'family-unknown',
    typeof type === 'string'
      ? `config.json says model_type “${type}”, a family that Loupe does not know yet.`
      : 'config.json names no model_type.',
    `Loupe runs: ${FAMILIES.map((each) => each.title).join(', ')}.`,
  );
}
