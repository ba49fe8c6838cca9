/** The demo world's model as if its folder were dropped: what the page opens with. */
import type { OpenedFile } from '../../workers/contract';

const NAMES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

export async function demoModel(): Promise<OpenedFile[]> {
  return Promise.all(
    NAMES.map(async (name) => {
      const response = await fetch(`/demo/lanternwick/${name}`);
      if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
      return { path: `lanternwick/${name}`, file: new File([await response.arrayBuffer()], name) };
    }),
  );
}
