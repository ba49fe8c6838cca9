/**
 * Which residual a SAELens dictionary was trained on. Early ones (gpt2-small-res-jb is the famous one) saw a model as TransformerLens processes it,
 * its writing weights centred, and their cfg.json does not say so; fed raw residuals they are silently a little wrong.
 */
import { isObject, type JsonObject } from '../json';

export interface Residuals {
  folder: string;
  values: JsonObject;
  metadata: JsonObject;
  hook: string;
  latents: number;
}

const NAMED = /gpt2-small-res-jb|GPT2-Small-SAEs|gpt2-small\/\d+-res(_fs\d+)?-jb/i;
const SAY = 'Set the contract’s residual to “raw” to feed it the residual as it is; tools differ here.';

export function isCentred({ folder, values, metadata, hook, latents }: Residuals): { centred: boolean; note?: string } {
  const kwargs = metadata['model_from_pretrained_kwargs'];
  const said = isObject(kwargs) ? kwargs['center_writing_weights'] : undefined;
  if (said === true)
    return { centred: true, note: `It was trained on centred residuals (center_writing_weights), and gets them centred. ${SAY}` };
  if (said === false) return { centred: false };
  const called = NAMED.test(folder) || NAMED.test(String(metadata['neuronpedia_id'] ?? ''));
  const looks =
    /^gpt2(-small)?$/.test(String(metadata['model_name'] ?? '')) &&
    /^blocks\.\d+\.hook_resid_(pre|post)$/.test(hook) &&
    values['architecture'] === 'standard' &&
    latents === 24576;
  return called || looks
    ? {
        centred: true,
        note: `It is one of gpt2-small-res-jb, trained on centred residuals although its cfg.json does not say so, and gets them centred. ${SAY}`,
      }
    : { centred: false };
}
