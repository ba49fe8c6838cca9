/**
 * The labelled token stream: held-out documents as token ids with the labels of every token, for whoever measures a dictionary.
 *
 * Files, little-endian: tokens.u16 (ids, each document behind one end-of-text token) · documents.u32 (where each begins in tokens) ·
 * offsets.u32 (tokens + 1 entries into labels.u16) · labels.u16 (indexes into `labels` of stream.json).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { allLabels, labelTokens } from './labels';
import { richDocuments, tokensWithin, type Part } from './rich';
import { documents, type Split } from './world';

const END = '<|endoftext|>';

/** Byte-level BPE writes one character for each byte, so a token's length is its bytes. */
export function encoder(folder: string): { end: number; encode(text: string): { ids: number[]; bytes: number[] } } {
  const read = (name: string): object => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as object;
  const tokenizer = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
  const end = tokenizer.token_to_id(END);
  if (end === undefined) throw new Error(`the tokeniser has no ${END}`);
  return {
    end,
    encode(text) {
      const { ids, tokens } = tokenizer.encode(text, { add_special_tokens: false });
      return { ids, bytes: tokens.map((token) => [...token].length) };
    },
  };
}

function* parts(seed: number, split: Split, count: number, least: number | undefined): Generator<Part> {
  if (least === undefined) {
    for (const document of documents(seed, split)) {
      if (count-- <= 0) return;
      yield { document, until: document.text.length };
    }
    return;
  }
  // Whoever reads the stream takes even documents for one half and odd ones for the other.
  const [even, odd] = richDocuments(seed, least);
  for (let i = 0; i < Math.min(even.length, odd.length); i++) yield* [even[i], odd[i]].flatMap((part) => part ?? []);
}

/** `least`: instead of the first documents, such as tell of every label in so many documents of each half (rich.ts). */
export function writeStream(options: { model: string; out: string; seed: number; split: Split; count: number; least?: number }): {
  tokens: number;
  labels: number;
} {
  const { end, encode } = encoder(options.model);
  const number = new Map(allLabels.map((label, i) => [label, i]));
  const tokens: number[] = [];
  const starts: number[] = [];
  const offsets = [0];
  const labels: number[] = [];
  const { least } = options;
  for (const part of parts(options.seed, options.split, options.count, least)) {
    const { ids, bytes } = encode(part.document.text);
    const within = tokensWithin(part, bytes);
    starts.push(tokens.length);
    tokens.push(end, ...ids.slice(0, within));
    offsets.push(labels.length);
    for (const each of labelTokens(part.document, bytes).slice(0, within)) {
      for (const label of each) {
        const index = number.get(label);
        if (index === undefined) throw new Error(`the label “${label}” is not on the list`);
        labels.push(index);
      }
      offsets.push(labels.length);
    }
  }
  mkdirSync(options.out, { recursive: true });
  writeFileSync(`${options.out}/tokens.u16`, new Uint16Array(tokens));
  writeFileSync(`${options.out}/documents.u32`, new Uint32Array(starts));
  writeFileSync(`${options.out}/offsets.u32`, new Uint32Array(offsets));
  writeFileSync(`${options.out}/labels.u16`, new Uint16Array(labels));
  const { seed, split } = options;
  writeFileSync(
    `${options.out}/stream.json`,
    `${JSON.stringify({ seed, split, documents: starts.length, tokens: tokens.length, labels: allLabels })}\n`,
  );
  return { tokens: tokens.length, labels: labels.length };
}
