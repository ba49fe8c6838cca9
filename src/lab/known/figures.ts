/**
 * Published numbers that a person can have run again on their own machine, as data: what was measured, on which model, by whom, and how far off a right
 * reproduction may be. How each is measured is in runs.ts; docs/reproduce.md is the page about it.
 *
 * Sources: TransformerLens v2.7.0's Exploratory Analysis and Main demos (their printed outputs) and its test suite. Numbers printed with three decimals may be off by
 * rounding alone; theirs were computed in f32 on another device.
 */
import type { ModelInfo } from '../../../workers/api';

/** What a figure was measured on, told by its shape: names are what publishers call things. */
export interface Subject {
  name: string;
  layers: number;
  dModel: number;
  heads: number;
  family: string;
}
export const GPT2: Subject = { name: 'GPT-2 small', layers: 12, dModel: 768, heads: 12, family: 'gpt2' };
export const PYTHIA: Subject = { name: 'Pythia-70m', layers: 6, dModel: 512, heads: 8, family: 'gpt_neox' };
export const NEO: Subject = { name: 'GPT-Neo-125M', layers: 12, dModel: 768, heads: 12, family: 'gpt_neo' };
export const STORIES: Subject = { name: 'TinyStories-1M', layers: 8, dModel: 64, heads: 16, family: 'gpt_neo' };

export interface Figure {
  id: RunName;
  subject: Subject;
  title: string;
  /** One sentence: what is done, and what the numbers are. */
  what: string;
  source: string;
  /** The weights must be folded and centred first, as the publication's were: per-component numbers depend on it. */
  processed: boolean;
  /** How far off a right reproduction may be. */
  tolerance: number;
  rows: readonly { name: string; published: number }[];
}
export type RunName =
  | 'hello-gpt2'
  | 'hello-pythia'
  | 'hello-neo'
  | 'chicken'
  | 'ioi-logits'
  | 'ioi-differences'
  | 'main-pair'
  | 'resid-patching'
  | 'head-patching'
  | 'head-scores'
  | 'dla-layers'
  | 'dla-heads'
  | 'ablation';

const EXPLORATORY = 'TransformerLens v2.7.0, Exploratory Analysis demo';
const rows = (all: Record<string, number>): Figure['rows'] => Object.entries(all).map(([name, published]) => ({ name, published }));
const hello = (id: RunName, subject: Subject, published: number): Figure => ({
  id,
  subject,
  title: 'The loss of “Hello world!”',
  what: 'Mean nats a token with a BOS before the text.',
  source: 'TransformerLens, test_hooked_transformer.py (its own check is one-sided)',
  processed: false,
  tolerance: 2e-3,
  rows: rows({ loss: published }),
});

export const FIGURES: readonly Figure[] = [
  hello('hello-gpt2', GPT2, 5.331856),
  hello('hello-pythia', PYTHIA, 4.659345),
  hello('hello-neo', NEO, 4.900552),
  {
    id: 'chicken',
    subject: STORIES,
    title: 'Where “ road” comes up',
    what: 'The rank of “ road” after “Why did the chicken cross the”, read off each layer’s stream by the logit lens.',
    source: 'TransformerLens, ActivationCache.py (its doctest)',
    processed: false,
    tolerance: 1,
    rows: [4442, 382, 982, 1160, 408, 145, 78, 387, 6].map((published, layer) => ({ name: layer < 8 ? `L${layer}` : 'end', published })),
  },
  {
    id: 'ioi-logits',
    subject: GPT2,
    title: 'Mary, not John',
    what: 'Logits after “After John and Mary went to the store, John gave a bottle of milk to”, and Mary’s probability.',
    source: EXPLORATORY,
    processed: false,
    tolerance: 0.02,
    rows: rows({ ' Mary': 18.09, ' the': 15.38, ' John': 15.35, 'p( Mary)': 0.7007 }),
  },
  {
    id: 'ioi-differences',
    subject: GPT2,
    title: 'Eight indirect objects',
    what: 'Right name less wrong name, in logits, on four sentences in both orders; and their mean.',
    source: EXPLORATORY,
    processed: false,
    tolerance: 0.01,
    rows: [
      ...[3.337, 3.202, 2.709, 3.797, 1.72, 5.281, 2.601, 5.767].map((published, i) => ({ name: `prompt ${i + 1}`, published })),
      { name: 'mean', published: 3.552 },
    ],
  },
  {
    id: 'main-pair',
    subject: GPT2,
    title: 'The Main demo’s pair',
    what: '“ John” less “ Mary” where Mary gives the milk, and where John does.',
    source: 'TransformerLens v2.7.0, Main demo',
    processed: false,
    tolerance: 0.01,
    rows: rows({ clean: 4.276, corrupted: -2.738 }),
  },
  {
    id: 'resid-patching',
    subject: GPT2,
    title: 'From the second name to the end',
    what: 'Share of the logit difference that comes back when one position’s stream is patched from the clean run, over the eight prompts; and attention’s and MLP’s outputs.',
    source: EXPLORATORY,
    processed: false,
    tolerance: 0.015,
    rows: rows({
      'resid_pre L0 second name': 1,
      'resid_pre L4 second name': 1,
      'resid_pre L8 second name': 0.657,
      'resid_pre L8 end': 0.319,
      'resid_pre L9 end': 0.938,
      'resid_pre L10 end': 1.005,
      'attn_out L8 end': 0.57,
      'attn_out L11 end': -0.406,
      'mlp_out L0 second name': 0.851,
    }),
  },
  {
    id: 'head-patching',
    subject: GPT2,
    title: 'The heads that matter',
    what: 'The same share for single heads: their output z, their values v, their pattern, at every position.',
    source: EXPLORATORY,
    processed: false,
    tolerance: 0.015,
    rows: rows({
      'z 10.7': -0.48,
      'z 5.5': 0.343,
      'z 8.6': 0.319,
      'z 11.10': -0.278,
      'z 8.10': 0.278,
      'z 9.9': 0.264,
      'z 7.9': 0.192,
      'v 8.6': 0.317,
      'v 8.10': 0.273,
      'v 7.9': 0.208,
      'pattern 10.7': -0.505,
      'pattern 5.5': 0.344,
      'pattern 11.10': -0.32,
      'pattern 9.9': 0.277,
    }),
  },
  {
    id: 'head-scores',
    subject: GPT2,
    title: 'Induction, previous, duplicate',
    what: 'Mean attention on the stripe that names the head, on random tokens said twice. The tokens differ from theirs.',
    source: EXPLORATORY,
    processed: false,
    tolerance: 0.02,
    rows: rows({
      'induction 5.1': 0.931,
      'induction 6.9': 0.926,
      'induction 5.5': 0.926,
      'induction 7.10': 0.904,
      'induction 7.2': 0.851,
      'previous 4.11': 0.992,
      'duplicate 0.5': 0.703,
      'duplicate 3.0': 0.678,
    }),
  },
  {
    id: 'dla-layers',
    subject: GPT2,
    title: 'Which layers write the answer',
    what: 'Direct logit attribution of the mean difference over the eight prompts, by attention and MLP.',
    source: EXPLORATORY,
    processed: true,
    tolerance: 0.02,
    rows: rows({
      'attention 7': 0.28,
      'attention 8': 0.199,
      'attention 9': 4.565,
      'attention 10': -0.412,
      'attention 11': -1.442,
      'MLP 9': 0.117,
      'MLP 10': 0.156,
      'MLP 11': 0.106,
    }),
  },
  {
    id: 'dla-heads',
    subject: GPT2,
    title: 'Which heads write the answer',
    what: 'The same by head.',
    source: EXPLORATORY,
    processed: true,
    tolerance: 0.02,
    rows: rows({ '9.9': 2.985, '10.7': -1.899, '9.6': 1.384, '11.10': -0.97, '10.0': 0.561, '10.10': 0.48, '11.2': -0.388 }),
  },
  {
    id: 'ablation',
    subject: GPT2,
    title: 'Without head 9.9',
    what: 'The mean difference of the eight prompts with head 9.9’s output zeroed: other heads make up for most of it.',
    source: EXPLORATORY,
    processed: true,
    tolerance: 0.02,
    rows: rows({ whole: 3.55, 'without 9.9': 2.92 }),
  },
];

/**
 * Is the model in use the one that a figure was measured on? `same`: all that its shape can tell. `like`: a stand-in on which everything runs, with numbers of its own.
 * `other`: not even that.
 */
export function match(
  model: Pick<ModelInfo, 'layers' | 'dModel' | 'heads' | 'family'> | undefined,
  subject: Subject,
): 'same' | 'like' | 'other' {
  if (!model || model.family !== subject.family || model.layers !== subject.layers || model.heads !== subject.heads) return 'other';
  return model.dModel === subject.dModel ? 'same' : 'like';
}
