/** The registry: one line a family. */
import { LabError } from '../../errors';
import type { Config, Family } from '../family';
import { gemma2 } from './gemma2';
import { gemma3 } from './gemma3';
import { gpt2 } from './gpt2';
import { gptNeo } from './gpt-neo';
import { gptNeox } from './gpt-neox';
import { llama } from './llama';
import { mistral } from './mistral';
import { phi } from './phi';
import { phi3 } from './phi3';
import { qwen2 } from './qwen2';
import { qwen3 } from './qwen3';
import { starcoder2 } from './starcoder2';
import { toy } from './toy';

export const FAMILIES: readonly Family[] = [
  gpt2,
  gptNeo,
  gptNeox,
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  phi,
  phi3,
  starcoder2,
  toy,
];

/** The family that reads a config.json: by its model_type, or, where that names none, by what the config holds. */
export function familyOf(config: Config): Family {
  const type = config['model_type'];
  const family =
    FAMILIES.find((each) => typeof type === 'string' && each.types.includes(type)) ??
    FAMILIES.find((each) => each.matches?.(config) === true);
  if (family) return family;
  throw new LabError(
    'family-unknown',
    typeof type === 'string'
      ? `config.json says model_type “${type}”, a family that Loupe does not know yet.`
      : 'config.json names no model_type.',
    `Loupe runs: ${FAMILIES.map((each) => each.title).join(', ')}.`,
  );
}
