/**
 * A toy language for looking at the page without a GPU: words follow words as they do in a short story, with a little noise
 * from a hash, and a steering vector leans on the words of its own direction. Deterministic; never shipped.
 */
const STORY = `On a foggy evening , Mira the baker walked to the market with her dog . She bought three red apples and a small
lantern for Tomas . The lighthouse on the rocks turned slowly , and the sea shone gold below her . Mira was happy . Tomas
walked to the harbour , and the old lamp was bright . The dog ran to the sea . She saw a warm light in the house on the hill .
The day was cold and rainy , and the gloomy town was quiet . A cheerful song came from the shop by the harbour . The baker gave
bread to the boy . They sat by the lighthouse and ate the apples . It was a lovely night . The end came with the sun .`;

const words = STORY.split(/\s+/).map((word) => (/^[.,]$/.test(word) ? word : ` ${word}`));
const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
const chat = ['<|im_start|>', '<|im_end|>', 'system', 'user', 'assistant', 'You', ' You', 'keep', ' keep', 'Who', ' lights', ' light', '?'];
export const PIECES = [...new Set(['<bos>', '<eos>', '\n', ' ', ...bytes, ...words, ...words.map((word) => word.trim()), ...chat])];
export const BOS = 0;
export const EOS = 1;
export const [START, END] = [PIECES.indexOf('<|im_start|>'), PIECES.indexOf('<|im_end|>')];
const idOf = new Map(PIECES.map((piece, id) => [piece, id]));

export const LAYERS = 6;
export const WIDTH = 64;

const next = new Map<number, Map<number, number>>();
words.forEach((word, i) => {
  const from = idOf.get(word) ?? 0;
  const to = idOf.get(words[i + 1] ?? '.') ?? 0;
  const row = next.get(from) ?? new Map<number, number>();
  row.set(to, (row.get(to) ?? 0) + 1);
  next.set(from, row);
});

export function encode(text: string, bos: boolean): number[] {
  const ids: number[] = bos ? [BOS] : [];
  for (const part of text.match(/\n| ?[A-Za-z]+| ?[^\sA-Za-z]| /g) ?? []) {
    const id = idOf.get(part);
    if (id !== undefined) ids.push(id);
    else for (const byte of new TextEncoder().encode(part)) ids.push(4 + byte);
  }
  return ids;
}

export function decode(ids: readonly number[]): string {
  const out: number[] = [];
  for (const id of ids) {
    if (id >= 4 && id < 260) out.push(id - 4);
    else if (id > 1) out.push(...new TextEncoder().encode(PIECES[id] ?? ''));
  }
  return new TextDecoder().decode(Uint8Array.from(out));
}

export function hash(...parts: number[]): number {
  let h = 2166136261;
  for (const part of parts) {
    h = Math.imul(h ^ (part | 0), 16777619);
    h ^= h >>> 13;
  }
  return ((h >>> 0) % 100000) / 100000;
}

/** The direction of a token: a fixed pseudo-random unit-ish vector. */
export function direction(token: number): Float32Array {
  return Float32Array.from({ length: WIDTH }, (_, i) => (hash(token, i, 7) - 0.5) * 0.4);
}

/** p(next | last token), leaning on the tokens whose direction agrees with `push`; sharpness grows with the layer. */
export function distribution(last: number, push: Float32Array | undefined, layer = LAYERS): { id: number; probability: number }[] {
  const row = next.get(last);
  const sharp = layer / LAYERS;
  const logits = PIECES.map((_, id) => {
    if ((id < 260 && id !== 2) || /^[A-Za-z]/.test(PIECES[id] ?? '')) return -9;
    let logit = hash(last, id, layer) * 2 - 1 + sharp * 1.6 * Math.log(1 + 60 * (row?.get(id) ?? 0));
    if (push) {
      const d = direction(id);
      let dot = 0;
      for (let i = 0; i < WIDTH; i++) dot += (d[i] ?? 0) * (push[i] ?? 0);
      logit += dot;
    }
    return logit;
  });
  const max = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - max), 0);
  return logits.map((logit, id) => ({ id, probability: Math.exp(logit - max) / sum })).sort((a, b) => b.probability - a.probability);
}

export function sample(choices: { id: number; probability: number }[], temperature: number, seed: number, step: number): number {
  if (temperature === 0) return 0;
  const weights = choices.map(({ probability }) => probability ** (1 / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let mark = hash(seed, step, 99) * total;
  const found = weights.findIndex((weight) => (mark -= weight) < 0);
  return Math.max(0, found);
}
