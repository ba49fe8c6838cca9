/**
 * The vectors that ship with the model, each the difference of two means of the residual stream over contrasting texts of the train split
 * (contrasts.ts), made by the engine that will use them. Hook and strength are chosen on prompts of the train split, by how far the worst
 * of the claim's bars is passed. Vectors have length 1; `scale` is in units of the stream.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Benches } from './bench';
import { mainAxes, without } from './axes';
import { contrasts, type Contrast, type Judged } from './contrasts';
import { readVectors, type Ready } from './steer';
import { safetensors } from './tensors';

interface Candidate {
  at: string;
  vector: number[];
  /** The difference of means as it came. */
  length: number;
  before: Judged;
}

const NOTHING_BEFORE: Judged = { margin: Infinity, said: '' };

async function candidates(benches: Benches, contrast: Contrast): Promise<Candidate[]> {
  const { name, hooks, positive, negative, over } = contrast;
  const [plus, minus] = [await benches.means(positive, hooks, over), await benches.means(negative, hooks, over)];
  const found: Candidate[] = [];
  for (const [h, at] of hooks.entries()) {
    const whole = (plus[h] ?? []).map((value, i) => value - (minus[h]?.[i] ?? NaN));
    const difference = contrast.apart === undefined ? whole : without(whole, mainAxes(await benches.lasts(negative, at), contrast.apart));
    const length = Math.hypot(...difference);
    const vector = difference.map((value) => value / length);
    const before = contrast.before ? await contrast.before(benches, vector) : NOTHING_BEFORE;
    if (before.said) console.log(`  ${name} ${at}: ${before.said}; margin ${before.margin.toFixed(2)}`);
    found.push({ at, vector, length, before });
  }
  return contrast.before ? found.sort((a, b) => b.before.margin - a.before.margin).slice(0, 2) : found;
}

/** The best of the hooks and strengths tried; at a hook, strengths are tried until the margin has fallen well below its best. */
async function choose(benches: Benches, contrast: Contrast): Promise<Ready & { made: Record<string, unknown> }> {
  const { name, title, about, positive, negative, over, from, multiples } = contrast;
  let best: (Ready & Judged & { multiple: number }) | undefined;
  let tried = 0;
  for (const { at, vector, length, before } of await candidates(benches, contrast)) {
    let bestHere = -Infinity;
    for (const multiple of multiples) {
      const scale = Number((multiple * length).toPrecision(2));
      const now = await contrast.margin(benches, { vector, at, scale });
      const margin = Math.min(before.margin, now.margin);
      const said = [before.said, now.said].filter((part) => part !== '').join('; ');
      tried++;
      console.log(`  ${name} ${at} × ${multiple} (scale ${scale}): ${said}; margin ${margin.toFixed(2)}`);
      if (!best || margin > best.margin)
        best = { name: title, at, scale, kind: 'add', ...contrast.use, about, vector, margin, said, multiple };
      if (!(now.margin >= bestHere - 0.25)) break;
      bestHere = Math.max(bestHere, now.margin);
    }
  }
  if (!best) throw new Error('nothing was tried');
  const { margin, said, multiple, ...ready } = best;
  const made = {
    method: 'difference of means, length 1',
    from,
    texts: [positive.length, negative.length],
    positions: over === 'all' ? 'all but BOS' : 'the last',
    split: 'train',
    strength: `${multiple} lengths of the difference`,
    chosen: `of ${tried} hooks and strengths, on prompts of the train split: ${said}`,
    margin: Number(margin.toFixed(3)),
  };
  return { ...ready, made };
}

export async function main(root: string, args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string' },
      out: { type: 'string', default: join(root, 'public', 'demo', 'vectors.safetensors') },
      only: { type: 'string', default: '' },
      /** Texts a side, and prompts that a strength is tried on. */
      count: { type: 'string', default: '400' },
      tried: { type: 'string', default: '48' },
      pages: { type: 'string', default: '2' },
    },
  });
  const benches = await Benches.open({
    dist: join(root, 'dist'),
    pages: Number(values.pages),
    ...(values.model === undefined ? {} : { model: values.model }),
  });
  try {
    const tensors = new Map<string, number[]>();
    const cards: Record<string, string> = {};
    // With --only, what is there already stays.
    for (const [name, { vector, ...card }] of values.only !== '' && existsSync(values.out) ? readVectors(values.out) : []) {
      tensors.set(name, vector);
      cards[name] = JSON.stringify(card);
    }
    for (const contrast of contrasts(Number(values.count), Number(values.tried))) {
      if (values.only !== '' && !values.only.split(',').includes(contrast.name)) continue;
      const { vector, ...card } = await choose(benches, contrast);
      tensors.set(contrast.name, vector);
      cards[contrast.name] = JSON.stringify(card);
      console.log(`${contrast.name}: ${card.at}, scale ${card.scale}; ${JSON.stringify(card.made)}`);
    }
    writeFileSync(values.out, safetensors(tensors, cards));
    console.log(`${values.out}: ${[...tensors.keys()].join(', ')}`);
  } finally {
    await benches.close();
  }
}
