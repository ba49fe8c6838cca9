/** Known results on a stand-in: random weights in GPT-2 small's form, a sixty-fourth as wide, under GPT-2's own tokeniser. Its figures run, and what they say is what the same calls say by hand. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { f16ToBits } from '../support/numbers';
import { safetensors, type Given } from '../unit/safetensors-writer';
import { expect, openPage, sharedData, test, whySkipped } from './fixtures';
import { drop, inUse, type DroppedFile } from './model';

const [LAYERS, D, HEADS, VOCAB, CONTEXT] = [12, 12, 12, 50257, 128];

function standIn(): DroppedFile[] {
  let state = 7;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const f16 = (name: string, shape: number[], scale: number, centre = 0): Given => {
    const words = Uint16Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => f16ToBits(centre + scale * random()));
    return { name, dtype: 'F16', shape, data: new Uint8Array(words.buffer) };
  };
  const norm = (name: string): Given[] => [f16(`${name}.weight`, [D], 0.2, 1), f16(`${name}.bias`, [D], 0.1)];
  const projection = (name: string, from: number, to: number): Given[] => [
    f16(`${name}.weight`, [from, to], 0.8),
    f16(`${name}.bias`, [to], 0.1),
  ];
  const weights = safetensors([
    f16('wte.weight', [VOCAB, D], 1),
    f16('wpe.weight', [CONTEXT, D], 0.5),
    ...Array.from({ length: LAYERS }, (_, l) => [
      ...norm(`h.${l}.ln_1`),
      ...projection(`h.${l}.attn.c_attn`, D, 3 * D),
      ...projection(`h.${l}.attn.c_proj`, D, D),
      ...norm(`h.${l}.ln_2`),
      ...projection(`h.${l}.mlp.c_fc`, D, 4 * D),
      ...projection(`h.${l}.mlp.c_proj`, 4 * D, D),
    ]).flat(),
    ...norm('ln_f'),
  ]);
  const config = {
    ...{ model_type: 'gpt2', n_layer: LAYERS, n_head: HEADS, n_embd: D, n_positions: CONTEXT, vocab_size: VOCAB },
    ...{ activation_function: 'gelu_new', layer_norm_epsilon: 1e-5, bos_token_id: 50256, eos_token_id: 50256, tie_word_embeddings: true },
  };
  const tokenizer = { tokenizer_class: 'GPT2Tokenizer', bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' };
  const text = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64');
  return [
    { name: 'config.json', data: text(config) },
    { name: 'model.safetensors', data: Buffer.from(weights).toString('base64') },
    { name: 'tokenizer.json', data: readFileSync(join(sharedData ?? '', 'gpt2-tokenizer', 'tokenizer.json')).toString('base64') },
    { name: 'tokenizer_config.json', data: text(tokenizer) },
  ];
}

const RUN = [
  ...['The loss of “Hello world!”', 'Mary, not John', 'Eight indirect objects', 'The Main demo’s pair', 'From the second name to the end'],
  ...['Induction, previous, duplicate', 'Which layers write the answer', 'Which heads write the answer', 'Without head 9.9'],
];

test('GPT-2’s figures run on a stand-in, says that it is one, and the model is left as it was', async ({ page, site }) => {
  test.skip(sharedData === undefined, whySkipped);
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, standIn());
  await inUse(page, /GPT-2|gpt2/i);
  await page.getByRole('tab', { name: 'Known' }).click();
  const known = page.getByRole('region', { name: 'Known results' });
  await expect(known.getByText('It has the shape of the published model but not its width')).toBeVisible();
  const badge = await page.evaluate(() => window.lab.model()?.badge);

  // The heads' grids are left out: 3,456 cells, half a minute on a software renderer.
  await expect(known.getByRole('button', { name: 'Run 10' })).toBeEnabled();
  for (const title of RUN) {
    await known.getByRole('button', { name: `Run ${title}` }).click();
    await expect(known.getByRole('button', { name: `Run ${title}` })).toHaveText('Again', { timeout: 60_000 });
    await expect(known.getByRole('button', { name: `Run ${title}` })).toBeEnabled({ timeout: 60_000 });
  }
  await expect(known.getByRole('alert')).toHaveCount(0);
  await expect(known.getByText(/^\d+ of 50 numbers agree$/)).toBeVisible();
  const here = (title: string): Promise<string[]> =>
    known.getByRole('article', { name: title, exact: true }).locator('tbody td:nth-child(3)').allInnerTexts();

  // By hand, through the same door: two of the numbers, by another way.
  const hand = await page.evaluate(async () => {
    const prompt = 'After John and Mary went to the store, John gave a bottle of milk to';
    const { logits } = await window.lab.run({ prompt, bos: true });
    const ids = await Promise.all([' Mary', ' the', ' John'].map(async (name) => (await window.lab.token(name)).id));
    return { logits: ids.map((id) => logits?.data[id] ?? NaN), badge: window.lab.model()?.badge };
  });
  const shown = await here('Mary, not John');
  hand.logits.forEach((value, i) => expect(Number(shown[i])).toBeCloseTo(value, 2));
  expect(hand.badge).toBe(badge);
  for (const title of RUN) for (const value of await here(title)) expect(Number.isFinite(Number(value)), `${title}: ${value}`).toBe(true);
  await expect(known.getByText(/writing weights centred.* · a stand-in/).first()).toBeVisible();
});
