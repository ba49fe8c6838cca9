/**
 * Goodfire's: one .pt or .pth, encoder_linear.{weight [M, d], bias}, decoder_linear.{weight [d, M], bias}, a plain ReLU without subtraction; the file's name
 * says the layer (Llama-3.1-8B-Instruct-SAE-l19.pth). Its like with encoder.weight and decoder.bias (DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt) are read
 * too. Source: sae_lens/loading/pretrained_sae_loaders.py, get_goodfire_…, deepseek_r1_….
 */
import type { DictionarySpec } from '../../dictionary/spec';
import type { Dropped } from '../drop';
import type { LooseFile } from '../loose';
import { assemble, find, widthOf } from './assemble';
import type { DictionaryDraft, Format } from './draft';
import { hookInPath, spotsOf } from './hooks';
import { cleanPath, nameFrom } from './paths';
import { hookUnknown } from './refusals';
import { contents } from './torch';

const FORMS: readonly [string, string][] = [
  ['encoder_linear', 'decoder_linear'],
  ['encoder', 'decoder'],
];
const formOf = (file: LooseFile): [string, string] | undefined =>
  FORMS.find((form) => form.every((layer) => [`${layer}.weight`, `${layer}.bias`].every((name) => find(file, [name]))));

export const goodfire: Format = {
  name: 'Goodfire',
  find: (place) => contents(place, (file) => formOf(file) !== undefined, read),
};

async function read(dropped: Dropped, file: LooseFile): Promise<DictionaryDraft> {
  const where = dropped.path;
  const path = cleanPath(dropped.path);
  const [encoder, decoder] = formOf(file) ?? ['encoder_linear', 'decoder_linear'];
  const layer = /(?:^|[-_/])(?:l|layer_?)(\d+)(?=[-_./]|$)/i.exec(path)?.[1];
  const hook = hookInPath(path) ?? (layer === undefined ? undefined : `blocks.${layer}.hook_resid_post`);
  if (hook === undefined) throw hookUnknown(where, 'its name does not say which layer it belongs to (…-l19.pth)');
  const model = /([^/]+?)-SAE-l\d+/i.exec(path)?.[1];
  const spots = spotsOf(where, hook, hook, model, false);
  const [latents, width] = [widthOf(file, [`${encoder}.bias`], where), widthOf(file, [`${decoder}.bias`], where)];
  const spec: DictionarySpec = {
    kind: 'ReLU',
    activation: 'relu',
    hookIn: spots.hookIn,
    hookOut: spots.hookOut,
    dIn: width,
    dOut: width,
    latents,
    skip: false,
    contract: {
      residual: 'raw',
      normalisation: 'none',
      scale: 1,
      subtractBDec: false,
      rescaleByDecoderNorm: false,
      ...spots.contract,
      prependBos: true,
    },
  };
  const { tensors, notes } = await assemble(
    where,
    file,
    spec,
    {
      W_enc: { names: [`${encoder}.weight`], documented: 'canonical' },
      W_dec: { names: [`${decoder}.weight`], documented: 'transposed' },
      b_enc: { names: [`${encoder}.bias`] },
      b_dec: { names: [`${decoder}.bias`] },
    },
    /^$/,
  );
  return {
    name: nameFrom(path.replace(/\.pth?$/, ''), spots.hookIn),
    format: 'Goodfire',
    spec,
    ...(model !== undefined && { model }),
    promised: {},
    tensors,
    notes,
  };
}
