/** A script that does not wait for lab.use(): what it asks next is read and computed by the model that is coming, never by two. */
import { expect, openPage, test } from './fixtures';
import { drop, fixturePath, GPT2_ODD, inUse, readFiles } from './model';

const LLAMA = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

test('a text after an un-awaited use belongs to the model that is coming', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await inUse(page, /GPT-2/);
  await drop(page, readFiles(LLAMA.map((file) => fixturePath('llama-bf16', file))));
  await inUse(page, /Llama/);
  const found = await page.evaluate(async () => {
    const models = await window.lab.models();
    const id = (family: string): string => models.find((each) => each.family === family)?.id ?? '';
    const text = 'the lens';
    const read = async (family: string) => {
      const using = window.lab.use(id(family));
      const ran = window.lab.run({ prompt: text, logits: 'last' });
      const tokens = window.lab.tokenize(text);
      const [{ ids, logits }, asked] = await Promise.all([ran, tokens]);
      return { ids, asked: asked.ids, vocab: logits?.shape.at(-1), dVocab: (await using).dVocab };
    };
    return [await read('gpt2'), await read('llama'), await read('gpt2')];
  });
  for (const { ids, asked, vocab, dVocab } of found) {
    expect(ids).toEqual(asked);
    expect(vocab).toBe(dVocab);
  }
  expect(found[0]?.ids).not.toEqual(found[1]?.ids);
  expect(found[2]?.ids).toEqual(found[0]?.ids);
});
