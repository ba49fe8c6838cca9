/**
 * The card that ships beside the model: how it was made, what was measured on the shipped files, and the first twenty texts it wrote,
 * none of them picked. Every figure is read from what the trainer and `npm run world:check` left behind.
 */
import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Measure, Result } from './check/claim';
import { holds } from './check/claim';
import { sha256 } from './check/files';
import { readVectors } from './check/steer';
import { heldOutStrangers, strangers } from './lexicon/strangers';
import { entityLabels } from './labels';
import { theParser } from './world';

interface Check {
  model: { parameters: number; layers: number; dModel: number; heads: number; dVocab: number; context: number };
  adapter: string;
  seconds: number;
  smaller: number;
  files: Record<string, string>;
  results: Result[];
}
interface Score {
  hook: string;
  latents: number;
  k: number;
  tokens: number;
  minutes: number;
  bytes: number;
  ce_score: number;
  l0: number;
  dead: number;
  fvu: number;
  positions: number;
  labelled: number;
}
/** What dictionaries.py and latents.py measured, in PyTorch, of the files that ship. */
interface Scores {
  dictionaries: Record<string, Score>;
  tokens: number;
  entities: { asked: number; strong: number; below: Record<string, number> };
  contextual: Record<string, { latent: number; single: number; probe: number; good: boolean }>;
}
interface Training {
  tokens: number;
  steps: number;
  minutes: number;
  loss_f32: number;
  loss_f16: number;
  transformers_difference: number;
  device?: string;
}

/** A card is written of a check that asked everything. */
const CLAIMS = [
  'parser',
  'facts',
  'indirect objects',
  'induction',
  'patching',
  'three heads',
  'attribution',
  'refusal',
  'mood',
  'sampled sentences',
  'dictionaries',
  'latents',
];

const read = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;
function kB(path: string): string {
  const { size } = statSync(path);
  return size < 1000 ? `${size} B` : `${Math.round(size / 1000).toLocaleString('en')} kB`;
}
const shown = (value: number, unit: Measure['unit']): string =>
  unit === 'number' ? String(Number(value.toFixed(3))) : `${(100 * value).toFixed(1)} %`;

const clipped = (note: string): string => (note.length > 320 ? `${note.slice(0, 319)}…` : note).replace(/\s+/g, ' ');

function rows(results: readonly Result[]): string[] {
  return results.flatMap(({ claim, measures }) =>
    measures.map((measure) => {
      const { what, value, bar, at, n, unit } = measure;
      const verdict = holds(measure) ? 'holds' : '**fails**';
      return `| ${claim}: ${what} | ${at === 'least' ? '≥' : '≤'} ${shown(bar, unit)} | ${shown(value, unit)} | ${n.toLocaleString('en')} | ${verdict} |`;
    }),
  );
}

/** The dictionaries' section: how each was made and what it scores in PyTorch, and what its latents know. */
function ofDictionaries({ dictionaries, tokens, entities, contextual }: Scores): string[] {
  const percent = (share: number): string => shown(share, 'share');
  const two = (value: number): string => value.toFixed(2);
  const known = Object.entries(contextual);
  return [
    'Sparse autoencoders of the residual stream, trained by `tools/world/dictionaries.py` on what the shipped model holds while it reads the town’s texts. In SAELens’s',
    'format; JumpReLU with one threshold, which a BatchTopK comes to. Scores are of the shipped files, in PyTorch, on held-out documents.',
    '',
    '| dictionary | hook | latents | k | trained on | minutes | cross-entropy recovered | mean L0 | dead | variance unexplained | labelled latents |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
    ...Object.entries(dictionaries).map(
      ([name, each]) =>
        `| ${name} | \`${each.hook}\` | ${each.latents} | ${each.k} | ${(each.tokens / 1e6).toFixed(1)} million tokens | ${each.minutes.toFixed(0)} | ${percent(each.ce_score)} | ${each.l0.toFixed(1)} | ${percent(each.dead)} of ${each.positions.toLocaleString('en')} positions | ${percent(each.fvu)} | ${each.labelled} |`,
    ),
    '',
    `On ${tokens.toLocaleString('en')} held-out tokens in which every label is told often, threshold set on one half and scored on the other:`,
    `${entities.strong} of ${entities.asked} entities have a latent of F1 ≥ 0.9${
      Object.keys(entities.below).length
        ? `. Below that: ${Object.entries(entities.below)
            .map(([label, score]) => `${label} ${two(score)}`)
            .join(', ')}`
        : ''
    }.`,
    '',
    `${known.filter(([, { good }]) => good).length} of ${known.length} contextual labels have a latent of F1 ≥ 0.8 that beats the best single token by 0.1:`,
    '',
    '| label | best latent’s F1 | best single token’s | linear probe’s | |',
    '|---|---|---|---|---|',
    ...known.map(
      ([label, each]) => `| ${label} | ${two(each.latent)} | ${two(each.single)} | ${two(each.probe)} | ${each.good ? 'holds' : ''} |`,
    ),
  ];
}

export function card(from: string, demo: string): string {
  const check = read<Check>(`${from}/check.json`);
  if (check.smaller !== 1) throw new Error('the check was run on smaller samples than the brief asks for');
  const missing = CLAIMS.filter((claim) => !check.results.some((result) => result.claim === claim));
  if (missing.length) throw new Error(`the check did not ask: ${missing.join(', ')}`);
  for (const [name, hash] of Object.entries(check.files)) {
    if (sha256(`${demo}/${name}`) !== hash) throw new Error(`the check was run on another ${name} than the one that ships`);
  }
  const training = read<Training>(fileURLToPath(new URL('training.json', import.meta.url)));
  const scores = read<Scores>(`${demo}/dictionaries/scores.json`);
  const { model, results } = check;
  const files = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].map(
    (name) => `${name} ${kB(`${demo}/lanternwick/${name}`)}`,
  );
  const texts = results.find(({ texts: all }) => all)?.texts ?? [];
  if (texts.length < 20) throw new Error('the check left no twenty texts');
  const million = (n: number): string => `${(n / 1e6).toFixed(1)} million`;
  return [
    '# Lanternwick',
    '',
    'A language model of a small harbour town whose every fact is known. It ships with Loupe so that the lab opens on something, and so that what',
    'the lab shows can be held against the truth. It knows nothing else, and was trained on nothing that anybody wrote about a real person or place.',
    '',
    `- **Form:** GPT-2. ${million(model.parameters)} parameters: ${model.layers} layers of width ${model.dModel}, ${model.heads} heads, ${model.dVocab} tokens of byte-level BPE, context ${model.context}, tied embedding, weights in f16.`,
    `- **Files:** ${files.join(', ')}; vectors.safetensors ${kB(`${demo}/vectors.safetensors`)}.`,
    `- **Text:** written by the grammar in \`tools/world/\`: ${theParser().rules.length} sentence rules in fifteen genres, ${entityLabels.length} entities. Training reads seed 1 of the split “train”. One invented name in eight (${heldOutStrangers.length} of ${strangers.length}) and the gifts of one pair of people in ten are held out.`,
    `- **Training:** ${million(training.tokens)} tokens in ${training.steps.toLocaleString('en')} steps, ${training.minutes.toFixed(0)} minutes (${training.device ?? 'device not recorded'}); documents of 30 to 140 tokens, each alone behind \`<|endoftext|>\`, one in ten behind another. \`tools/world/README.md\` has the commands and the recipe.`,
    `- **Loss:** ${training.loss_f16.toFixed(4)} nats a token on held-out documents with the shipped weights, ${training.loss_f32.toFixed(4)} before they were rounded to f16. transformers’ GPT2LMHeadModel computes the same logits from these files to ${training.transformers_difference.toExponential(0)} of the largest.`,
    '- **Licence:** that of the project. Use it for anything.',
    '',
    '## What holds',
    '',
    `\`npm run world:check\`: the shipped files, through Loupe’s own engine in a browser (${check.adapter}), ${(check.seconds / 60).toFixed(1)} minutes.`,
    '',
    '| claim | bar | measured | on | |',
    '|---|---|---|---|---|',
    ...rows(results),
    '',
    ...results.flatMap(({ claim, notes }) => notes.map((note) => `- ${claim}: ${clipped(note)}`)),
    '',
    '## What falls short, and why',
    '',
    readFileSync(fileURLToPath(new URL('card-notes.md', import.meta.url)), 'utf8').trim(),
    '',
    '## Vectors',
    '',
    ...[...readVectors(`${demo}/vectors.safetensors`).values()].map(
      ({ name, at, scale, about, made = {} }) =>
        `- **${name}** at \`${at}\`, scale ${scale}. ${about} ${Object.entries(made)
          .map(([key, value]) => `${key}: ${String(value)}`)
          .join('; ')}.`,
    ),
    '',
    '## Dictionaries',
    '',
    ...ofDictionaries(scores),
    '',
    '## Twenty texts',
    '',
    'The first twenty that it wrote from nothing at temperature 0.8, seeds 1 to 20.',
    '',
    ...texts.flatMap((text, i) => [`${i + 1}.`, '', ...text.split('\n').map((line) => `   > ${line}`.trimEnd()), '']),
  ].join('\n');
}
