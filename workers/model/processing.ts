/**
 * Weight processing as TransformerLens does it (3.x, weight_processing.py): the same function of the tokens, written in weights
 * that are easier to read. Here is what applies to a model, the spec that results, the steps in their order, and the words
 * for it on the badge. Pure; process-weights.ts carries the steps out.
 *
 * foldLn: a norm's gain γ and bias β go into what reads it, W' = W·diag(γ), b' = b + W·β; after a LayerNorm, whose output
 *   has no mean, W' loses its mean along d_model as well.
 * foldValueBiases: a pattern's row sums to 1, so b_O' = b_O + Σ_heads W_O·b_V, b_V' = 0.
 * centerWritingWeights: LayerNorm takes the stream's mean away, so what writes to the stream loses its own (W_E, W_pos, W_O, b_O, W_out, b_out).
 * centerUnembed: softmax does not see a number added to every logit, so W_U and b_U lose their mean over the vocabulary.
 */
import type { Processing, ProcessingOptions } from '../api';
import { LabError } from '../errors';
import type { ModelSpec } from './spec';

export type Step =
  /** The head gets a copy of its own of the embedding. */
  | { do: 'untie' }
  /** A norm into one of its readers; `bias` and `center` where it is a LayerNorm. */
  | { do: 'fold-norm'; matrix: string; norm: string; layerNorm: boolean }
  | { do: 'fold-values'; layer: number }
  /** Every row of a table loses its mean. */
  | { do: 'center-rows'; matrix: 'embed' | 'pos' }
  /** The mean of a matrix's rows is taken from each. */
  | { do: 'center-columns'; matrix: string }
  /** Gain 1, bias 0: all of it went elsewhere. */
  | { do: 'reset-norm'; norm: string }
  | { do: 'clear-values'; layer: number }
  | { do: 'center-vector'; vector: string };

/** The four switches: `fold` and `center` move two each, TransformerLens's own names overrule them. */
export function askedFor(options: ProcessingOptions): Processing {
  const { fold = false, center = false } = options;
  return {
    foldLn: options.foldLn ?? fold,
    foldValueBiases: options.foldValueBiases ?? fold,
    centerWritingWeights: options.centerWritingWeights ?? center,
    centerUnembed: options.centerUnembed ?? center,
  };
}

export const anyOf = (done: Processing): boolean => Object.values(done).some(Boolean);

/** Refuses what would round the processed weights once more. */
export function checkPrecision(weights: string, asked: Processing): void {
  if (weights !== 'f16' || !anyOf(asked)) return;
  throw new LabError(
    'option-unsupported',
    'Folded and centred weights are kept in f32; they cannot run as f16.',
    "Use weights: 'stored' or 'f32', or leave the weights raw.",
  );
}

/** What is asked for and applies: the rest would change what the model computes, or has nothing to work on. */
export function applicable(spec: ModelSpec, asked: Processing): Processing {
  const foldLn = asked.foldLn && spec.norm.kind !== 'none';
  return {
    foldLn,
    foldValueBiases: asked.foldValueBiases && hasValueBiases(spec, foldLn),
    // A norm behind a branch writes its own mean into the stream again.
    centerWritingWeights: asked.centerWritingWeights && spec.norm.kind === 'layer' && !spec.block.postNorms,
    // A cap does see a number added to every logit.
    centerUnembed: asked.centerUnembed && spec.logitCap === 0,
  };
}

/** Folding a LayerNorm gives the values a bias. */
const hasValueBiases = (spec: ModelSpec, foldLn: boolean): boolean => spec.bias.qkv || (foldLn && spec.norm.kind === 'layer');

/** The spec of the processed model: biases that come to be, a head of its own. */
export function processedSpec(spec: ModelSpec, done: Processing): ModelSpec {
  const shifts = done.foldLn && spec.norm.kind === 'layer';
  const { bias } = spec;
  return {
    ...spec,
    bias: {
      qkv: bias.qkv || shifts,
      out: bias.out || done.foldValueBiases,
      mlpIn: bias.mlpIn || (shifts && spec.dMlp > 0),
      mlpOut: bias.mlpOut,
      unembed: bias.unembed || shifts,
    },
    tied: spec.tied && !(done.foldLn || done.centerWritingWeights || done.centerUnembed),
  };
}

/** What is to be done to weights that were loaded as they are, in order. `spec`: the model as stored. */
export function processingSteps(spec: ModelSpec, done: Processing): Step[] {
  const steps: Step[] = [];
  const after = processedSpec(spec, done);
  const layerNorm = spec.norm.kind === 'layer';
  if (spec.tied && !after.tied) steps.push({ do: 'untie' });
  if (done.centerWritingWeights) {
    steps.push({ do: 'center-rows', matrix: 'embed' });
    if (spec.positions.kind === 'learned') steps.push({ do: 'center-rows', matrix: 'pos' });
  }
  for (let layer = 0; layer < spec.layers; layer++) {
    const b = `blocks.${layer}`;
    const mlp = spec.dMlp > 0;
    if (done.foldLn) {
      steps.push({ do: 'fold-norm', matrix: `${b}.attn.qkv`, norm: `${b}.ln1`, layerNorm });
      if (mlp) steps.push({ do: 'fold-norm', matrix: `${b}.mlp.in`, norm: `${b}.ln2`, layerNorm });
      // Reset once both have read it: where one norm feeds both, ln2 is ln1.
      steps.push({ do: 'reset-norm', norm: `${b}.ln1` });
      if (mlp) steps.push({ do: 'reset-norm', norm: `${b}.ln2` });
    }
    if (done.foldValueBiases) steps.push({ do: 'fold-values', layer }, { do: 'clear-values', layer });
    if (!done.centerWritingWeights) continue;
    for (const branch of mlp ? ['attn.out', 'mlp.out'] : ['attn.out']) steps.push({ do: 'center-columns', matrix: `${b}.${branch}` });
    if (after.bias.out) steps.push({ do: 'center-vector', vector: `${b}.attn.out.b` });
    if (mlp && after.bias.mlpOut) steps.push({ do: 'center-vector', vector: `${b}.mlp.out.b` });
  }
  if (done.foldLn) steps.push({ do: 'fold-norm', matrix: 'unembed', norm: 'ln_final', layerNorm }, { do: 'reset-norm', norm: 'ln_final' });
  if (done.centerUnembed) {
    steps.push({ do: 'center-columns', matrix: 'unembed' });
    if (after.bias.unembed) steps.push({ do: 'center-vector', vector: 'unembed.b' });
  }
  return steps;
}

export const RAW_WORDS = 'raw weights, not folded, not centred';

/** The badge's part: for everything that could have been done to the model, whether it was. */
export function processingWords(spec: ModelSpec, done: Processing): string {
  if (!anyOf(done)) return RAW_WORDS;
  const { foldLn, foldValueBiases, centerWritingWeights, centerUnembed } = done;
  const words: string[] = [];
  if (!foldLn && !foldValueBiases) words.push('not folded');
  else {
    if (spec.norm.kind !== 'none') words.push(foldLn ? `${spec.norm.kind === 'layer' ? 'LN' : 'RMSNorm'} folded` : 'norms not folded');
    if (hasValueBiases(spec, foldLn)) words.push(foldValueBiases ? 'value biases folded' : 'value biases not folded');
  }
  if (!centerWritingWeights && !centerUnembed) words.push('not centred');
  else
    words.push(
      centerWritingWeights ? 'writing weights centred' : 'writing weights not centred',
      centerUnembed ? 'unembedding centred' : 'unembedding not centred',
    );
  return words.join(' · ');
}
