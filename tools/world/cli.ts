/** The world's commands: a sample to read, the corpus for the trainer, the labels, the labelled token stream. */
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { documents, sentences, accepts, theParser, type Split } from './world';
import { card } from './card';
import { corrupt } from './corrupt';
import { labelsPage } from './labels';
import { glossary } from './lexicon/glossary';
import { writeStream } from './stream';
import { Random } from './random';

/** Not the seed of anything that is measured. */
const TEXTS_SEED = 71;

const USAGE = `node tools/world/run.mjs <command>
  sample  [--seed 1] [--count 10] [--split train]             documents to read
  corpus  [--documents 100000] [--valid 2000] [--out build/world]  train.txt and valid.txt, documents separated by a NUL byte; glossary.txt
  labels                                                       writes tools/world/labels.md
  texts   [--count 2000]                                       writes public/demo/texts.txt: held-out documents, for whoever has no text at hand
  stream  [--count 3000] [--split held-out] [--model public/demo/lanternwick] [--out build/world/stream]  tokens with their labels
          [--least 100]                                        … of documents that tell of every label so often in each half
  card    [--from build/world]                                 writes public/demo/card.md from check.json and training.json
  numbers [--count 3000]                                       words, rules, how much the parser accepts and rejects
`;

async function write(path: string, seed: number, split: Split, count: number): Promise<number> {
  const file = createWriteStream(path);
  let characters = 0;
  let done = 0;
  let chunk: string[] = [];
  for (const { text } of documents(seed, split)) {
    chunk.push(text, '\0');
    characters += text.length;
    if (chunk.length > 2000) {
      if (!file.write(chunk.join(''))) await once(file, 'drain');
      chunk = [];
    }
    if (++done === count) break;
  }
  file.end(chunk.join(''));
  await once(file, 'finish');
  return characters;
}

export async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '' },
      least: { type: 'string' },
      split: { type: 'string', default: '' },
      model: { type: 'string', default: 'public/demo/lanternwick' },
      documents: { type: 'string', default: '100000' },
      valid: { type: 'string', default: '2000' },
      from: { type: 'string', default: 'build/world' },
      out: { type: 'string', default: 'build/world' },
    },
  });
  const seed = Number(values.seed);
  const split: Split = values.split === 'held-out' ? 'held-out' : 'train';
  const [command] = positionals;
  if (command === 'sample') {
    let left = Number(values.count || '10');
    for (const { genre, text } of documents(seed, split)) {
      if (left-- <= 0) break;
      console.log(`── ${genre}\n${text}\n`);
    }
  } else if (command === 'corpus') {
    mkdirSync(values.out, { recursive: true });
    for (const [name, part, count] of [
      ['train', 'train', Number(values.documents)],
      ['valid', 'held-out', Number(values.valid)],
    ] as const) {
      const characters = await write(`${values.out}/${name}.txt`, seed, part, count);
      console.log(`${values.out}/${name}.txt: ${count} documents, ${(characters / 1e6).toFixed(1)} million characters`);
    }
    writeFileSync(`${values.out}/glossary.txt`, glossary().join('\0'));
  } else if (command === 'texts') {
    const count = Number(values.count || '2000');
    const all: string[] = [];
    for (const { text } of documents(TEXTS_SEED, 'held-out')) if (all.push(text) === count) break;
    writeFileSync('public/demo/texts.txt', all.join('<|endoftext|>'));
  } else if (command === 'labels') {
    writeFileSync(fileURLToPath(new URL('labels.md', import.meta.url)), labelsPage());
  } else if (command === 'stream') {
    const out = values.out === 'build/world' ? 'build/world/stream' : values.out;
    const part: Split = values.split === 'train' ? 'train' : 'held-out';
    const least = values.least === undefined ? {} : { least: Number(values.least) };
    console.log(writeStream({ model: values.model, out, seed, split: part, count: Number(values.count || '3000'), ...least }));
  } else if (command === 'card') {
    writeFileSync('public/demo/card.md', card(values.from, 'public/demo'));
  } else if (command === 'numbers') {
    numbers(Number(values.count || '3000'), seed);
  } else {
    console.log(USAGE);
  }
}

/** Words, rules, and how the parser does: what `world:check` asserts in small, for whoever changes the grammar. */
function numbers(count: number, seed: number): void {
  const words = new Map<string, number>();
  const all: string[] = [];
  let documentCount = 0;
  for (const { text } of documents(seed, 'train')) {
    for (const word of text.match(/[\p{L}’']+/gu) ?? []) words.set(word.toLowerCase(), (words.get(word.toLowerCase()) ?? 0) + 1);
    for (const sentence of sentences(text)) {
      if (!sentence.accepted) console.log(`not accepted: ${sentence.text}`);
      all.push(sentence.text);
    }
    if (++documentCount >= count) break;
  }
  const vocabulary = [...words.keys()];
  const random = new Random(seed);
  let rejected = 0;
  let tried = 0;
  const passed: string[] = [];
  for (const sentence of random.some(all, 4000)) {
    const spoiled = corrupt(sentence, vocabulary, random);
    if (spoiled === undefined) continue;
    tried++;
    if (!accepts(spoiled)) rejected++;
    else passed.push(`${sentence}  →  ${spoiled}`);
  }
  console.log(`${theParser().rules.length} rules, ${words.size} words in ${documentCount} documents, ${all.length} sentences`);
  console.log(`spoiled sentences rejected: ${rejected} of ${tried} (${((100 * rejected) / tried).toFixed(2)}%)`);
  for (const one of passed.slice(0, 40)) console.log(`  passes: ${JSON.stringify(one)}`);
}
