/**
 * Bad input through the built page: each fault has its stable code and a hint, and the shelf, with a model on it, is as it was.
 * The page shows the reason; and an import that is cancelled half-way leaves nothing behind, in the list or on the disk.
 */
import { expect, openPage, test } from './fixtures';
import { drop, fixturePath, GPT2_ODD, inUse, readFiles, type DroppedFile } from './model';

const good = (): DroppedFile[] => readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file)));
const sharded = (): DroppedFile[] =>
  readFiles(
    [
      'config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'model.safetensors.index.json',
      'model-00001-of-00003.safetensors',
      'model-00002-of-00003.safetensors',
      'model-00003-of-00003.safetensors',
    ].map((file) => fixturePath('llama-gqa', file)),
  );
const bytesOf = (file: DroppedFile | undefined): Buffer => Buffer.from(file?.data ?? '', 'base64');

/** The weights' header changed, the data as it was. */
function reheaded(
  change: (header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>) => void,
): DroppedFile[] {
  return swapped('model.safetensors', (bytes) => {
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Parameters<typeof change>[0];
    change(header);
    const head = Buffer.from(JSON.stringify(header));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(head.length));
    return Buffer.concat([size, head, bytes.subarray(8 + length)]);
  });
}
function swapped(name: string, change: (bytes: Buffer) => Buffer | string): DroppedFile[] {
  return good().map((file) => (file.name === name ? { name, data: Buffer.from(change(bytesOf(file))).toString('base64') } : file));
}
const without = (files: DroppedFile[], name: string): DroppedFile[] => files.filter((file) => file.name !== name);
const config = (change: Record<string, unknown>): DroppedFile[] =>
  swapped('config.json', (bytes) => JSON.stringify({ ...(JSON.parse(bytes.toString()) as object), ...change }));
const NORM = 'transformer.ln_f.weight';
type Header = Parameters<Parameters<typeof reheaded>[0]>[0];
const entry = (header: Header, name: string): Header[string] => {
  const found = header[name];
  if (!found) throw new Error(`the fixture has no ${name}`);
  return found;
};

const FAULTS: [string, string, () => DroppedFile[]][] = [
  ['truncated file', 'file-truncated', () => swapped('model.safetensors', (bytes) => bytes.subarray(0, -5))],
  [
    'header longer than the file',
    'header-too-long',
    () => swapped('model.safetensors', (bytes) => Buffer.concat([Buffer.from([255, 255, 255, 3, 0, 0, 0, 0]), bytes.subarray(8)])),
  ],
  [
    'garbage header',
    'header-garbage',
    () => swapped('model.safetensors', (bytes) => Buffer.concat([bytes.subarray(0, 8), Buffer.from('!!'), bytes.subarray(10)])),
  ],
  [
    'overlapping offsets',
    'offsets-overlap',
    () =>
      reheaded((header) => {
        const [a, b] = Object.keys(header).filter((name) => name.endsWith('ln_1.weight') || name.endsWith('ln_2.weight'));
        entry(header, a ?? '').data_offsets = [...entry(header, b ?? '').data_offsets];
      }),
  ],
  ['offsets beyond the file', 'offsets-range', () => reheaded((header) => (entry(header, NORM).data_offsets = [1e9, 1e9 + 120]))],
  ['wrong dtype size', 'dtype-size', () => reheaded((header) => (entry(header, NORM).dtype = 'F16'))],
  [
    'missing tensor',
    'tensor-missing',
    () =>
      reheaded((header) => {
        header['transformer.h.0.attn.masked_bias'] = entry(header, NORM);
        Reflect.deleteProperty(header, NORM);
      }),
  ],
  [
    'unknown extra tensor',
    'tensor-unknown',
    () =>
      reheaded((header) => {
        header['transformer.h.0.attn.adapter'] = entry(header, 'transformer.h.0.attn.bias');
        Reflect.deleteProperty(header, 'transformer.h.0.attn.bias');
      }),
  ],
  ['misshapen tensor', 'tensor-shape', () => config({ n_inner: 35 })],
  ['missing shard', 'shard-missing', () => without(sharded(), 'model-00002-of-00003.safetensors')],
  ['no tokenizer', 'tokenizer-missing', () => without(good(), 'tokenizer.json')],
  ['garbage JSON', 'config-garbage', () => swapped('config.json', () => '{"model_type": "gpt2", ')],
  ['unknown family', 'family-unknown', () => config({ model_type: 'mamba' })],
];

test('every fault: its code, a hint, and an unharmed shelf', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, good());
  await inUse(page, /gpt2|GPT-2/i);
  const shelf = await page.evaluate(() => window.lab.models());
  for (const [name, code, make] of FAULTS) {
    const found = await page.evaluate(async (list) => {
      const files = list.map(({ name, data }) => ({
        path: `bad/${name}`,
        file: new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name),
      }));
      try {
        await window.lab.open(files);
        return undefined;
      } catch (thrown) {
        const { code, hint, message } = thrown as Error & { code: string; hint: string };
        return { code, hint, message };
      }
    }, make());
    expect(found?.code, name).toBe(code);
    expect(found?.hint, name).not.toBe('');
    expect(found?.message, name).not.toBe('');
    expect(await page.evaluate(() => window.lab.models()), name).toEqual(shelf);
  }
  const after = await page.evaluate(async () => (await window.lab.run({ prompt: [0, 5], logits: 'last' })).logits?.data.length);
  expect(after).toBe(97);
});

test('the page says what was wrong with a drop', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, without(good(), 'tokenizer.json'));
  await expect(page.getByText('tokenizer-missing').first()).toBeVisible();
  expect(await page.evaluate(() => window.lab.models())).toEqual([]);
});

test('cancelled half-way: nothing on the shelf, nothing on the disk', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  const found = await page.evaluate(async () => {
    // 160 MB of zeros with a true header: large enough to be stopped in the middle.
    const D = 8;
    const V = 5_000_000;
    const shapes: [string, number[]][] = [
      ['wte.weight', [V, D]],
      ['wpe.weight', [4, D]],
      ['ln_f.weight', [D]],
      ['ln_f.bias', [D]],
    ];
    for (const [name, shape] of [
      ['ln_1.weight', [D]],
      ['ln_1.bias', [D]],
      ['attn.c_attn.weight', [D, 3 * D]],
      ['attn.c_attn.bias', [3 * D]],
      ['attn.c_proj.weight', [D, D]],
      ['attn.c_proj.bias', [D]],
      ['ln_2.weight', [D]],
      ['ln_2.bias', [D]],
      ['mlp.c_fc.weight', [D, 4 * D]],
      ['mlp.c_fc.bias', [4 * D]],
      ['mlp.c_proj.weight', [4 * D, D]],
      ['mlp.c_proj.bias', [D]],
    ] as [string, number[]][])
      shapes.push([`h.0.${name}`, shape]);
    const header: Record<string, unknown> = {};
    let at = 0;
    for (const [name, shape] of shapes) {
      const bytes = 4 * shape.reduce((a, b) => a * b, 1);
      header[name] = { dtype: 'F32', shape, data_offsets: [at, at + bytes] };
      at += bytes;
    }
    const head = new TextEncoder().encode(JSON.stringify(header));
    const length = new DataView(new ArrayBuffer(8));
    length.setBigUint64(0, BigInt(head.length), true);
    const json = (name: string, value: unknown): File => new File([JSON.stringify(value)], name);
    const files = [
      new File([length.buffer, head, new Uint8Array(at)], 'model.safetensors'),
      json('config.json', { model_type: 'gpt2', n_embd: D, n_head: 2, n_layer: 1, n_positions: 4, vocab_size: V }),
      json('tokenizer.json', { added_tokens: [], model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] } }),
    ];
    const disk = async (): Promise<number> => {
      let bytes = 0;
      const walk = async (folder: FileSystemDirectoryHandle): Promise<void> => {
        for await (const handle of folder.values()) {
          if (handle.kind === 'directory') await walk(handle as FileSystemDirectoryHandle);
          else bytes += (await (handle as FileSystemFileHandle).getFile()).size;
        }
      };
      await walk(await navigator.storage.getDirectory());
      return bytes;
    };
    const before = await disk();
    const control = new AbortController();
    let seen = 0;
    let code = 'none';
    try {
      await window.lab.open(files, {
        signal: control.signal,
        progress: (done, of) => {
          if (of > 0) seen = Math.max(seen, done / of);
          if (of > 0 && done > of / 4) control.abort();
        },
      });
    } catch (thrown) {
      code = (thrown as { code: string }).code;
    }
    return { code, seen, models: await window.lab.models(), left: (await disk()) - before };
  });
  expect(found.code).toBe('cancelled');
  expect(found.seen).toBeGreaterThan(0.2);
  expect(found.seen).toBeLessThan(1);
  expect(found.models).toEqual([]);
  expect(found.left).toBe(0);
});
