/** A tiny sentence encoder, opened as the folder that a person drops. */
import type { Page } from '@playwright/test';
import { fixturePath, readFiles } from './model';

const FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'onnx/model.onnx'];

export async function openEncoder(page: Page): Promise<{ id: string; name: string }[]> {
  const files = FILES.map((path) => ({ ...readFiles([fixturePath('embedders/bert-mean', path)])[0], path: `tiny-bert/${path}` }));
  return page.evaluate(async (list) => {
    const dropped = list.map(({ path, data = '' }) => ({
      path,
      file: new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], path.slice(path.lastIndexOf('/') + 1)),
    }));
    return (await window.lab.open(dropped)).embedders;
  }, files);
}
