/**
 * Sentence encoders against transformers and PyTorch (float64, one text at a time): the files as they are dropped, the tokeniser, the graph in onnxruntime-web and the
 * pooling. make_embedders.py writes what they are held to.
 */
import { describe, expect, test } from 'vitest';
import type { EmbedderRecord } from '../../workers/contract';
import { Embedder } from '../../workers/embedder';
import { findEncoders } from '../../workers/formats/encoders';
import { SentenceTokenizer } from '../../workers/formats/sentences';
import { loadOnnxRuntime } from '../../workers/onnx-runtime';

interface Case {
  texts: string[];
  ids: number[][];
  most: number;
  vectors: Record<'mean' | 'cls', number[][]>;
}

const TOLERANCE = 1e-5;
const files = import.meta.glob<string>('./fixtures/embedders/**/*', { query: '?url', import: 'default', eager: true });

async function read(name: string): Promise<{ golden: Case; record: EmbedderRecord; bytes: Uint8Array }> {
  const root = `./fixtures/embedders/${name}/`;
  const own = Object.entries(files).filter(([path]) => path.startsWith(root));
  const fetched = await Promise.all(
    own.map(async ([path, url]) => ({
      path: `${name}/${path.slice(root.length)}`,
      file: new File([await (await fetch(url)).blob()], path),
    })),
  );
  const golden = JSON.parse(await (fetched.find(({ path }) => path.endsWith('case.json'))?.file.text() ?? Promise.resolve(''))) as Case;
  const { encoders } = await findEncoders(fetched.filter(({ path }) => !path.endsWith('case.json')));
  const [encoder] = encoders;
  if (!encoder || encoders.length > 1) throw new Error(`${name}: ${encoders.length} encoders`);
  const record: EmbedderRecord = { ...(await encoder.read()), id: name, files: [], stored: 'memory', addedAt: 0 };
  return { golden, record, bytes: new Uint8Array(await encoder.graph.arrayBuffer()) };
}

const embedderOf = (bytes: Uint8Array): Embedder => new Embedder({ runtime: loadOnnxRuntime, read: () => Promise.resolve(bytes) });
const never = new AbortController().signal;
const rowsOf = ({ shape, data }: { shape: number[]; data: Float32Array }): Float32Array[] =>
  Array.from({ length: shape[0] ?? 0 }, (_, row) => data.subarray(row * (shape[1] ?? 0), (row + 1) * (shape[1] ?? 0)));
const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a.length === b.length ? Math.max(...Array.from(a, (x, i) => Math.abs(x - (b[i] ?? NaN)))) : Infinity;

describe.each([
  ['bert-mean', 'mean', 24],
  ['roberta-cls', 'cls', 32],
] as const)('%s', (name, pooling, most) => {
  test('is read as its files say', async () => {
    const { record } = await read(name);
    expect(record).toMatchObject({ name, pooling, maxTokens: most, output: 'last_hidden_state', batches: true });
  });

  test('ids are those of transformers, cut where it cuts', async () => {
    const { record, golden } = await read(name);
    const tokenizer = new SentenceTokenizer(record, record.maxTokens);
    expect(golden.texts.map((text) => tokenizer.encode(text).ids)).toEqual(golden.ids);
    expect(Math.max(...golden.ids.map((ids) => ids.length)), 'one text is too long').toBe(most);
  });

  test('vectors are those of transformers, by either pooling, together and alone', async () => {
    const { record, golden, bytes } = await read(name);
    const embedder = embedderOf(bytes);
    for (const how of ['mean', 'cls'] as const) {
      const made = await embedder.embed(record, { texts: golden.texts, ...(how !== pooling && { pooling: how }) }, never);
      expect(made.shape).toEqual([golden.texts.length, golden.vectors[how][0]?.length]);
      for (const [i, row] of rowsOf(made).entries())
        expect(apart(row, golden.vectors[how][i] ?? []), `${how}, text ${i}`).toBeLessThan(TOLERANCE);
    }
    for (const [i, text] of golden.texts.entries()) {
      const alone = await embedder.embed(record, { texts: [text] }, never);
      expect(apart(alone.data, golden.vectors[pooling][i] ?? []), `alone, text ${i}`).toBeLessThan(TOLERANCE);
    }
    // The other pooling is another model: what is compared can tell them apart.
    expect(apart(golden.vectors.mean[0] ?? [], golden.vectors.cls[0] ?? [])).toBeGreaterThan(0.05);
    await embedder.release(record.id);
  });
});

test('bert-quantized: near the model it was made of, and the same to the bit whatever it is asked with', async () => {
  const { record, golden, bytes } = await read('bert-quantized');
  expect(record.batches).toBe(false);
  const embedder = embedderOf(bytes);
  const rows = rowsOf(await embedder.embed(record, { texts: golden.texts }, never));
  for (const [i, row] of rows.entries()) {
    const cosine = (golden.vectors.mean[i] ?? []).reduce((sum, x, k) => sum + x * (row[k] ?? 0), 0);
    expect(cosine, `text ${i}`).toBeGreaterThan(0.99);
    const alone = await embedder.embed(record, { texts: [golden.texts[i] ?? ''] }, never);
    expect(apart(alone.data, row)).toBe(0);
  }
  // Side by side they would differ: that is why they are not.
  const together = rowsOf(await embedderOf(bytes).embed({ ...record, batches: true }, { texts: golden.texts }, never));
  expect(Math.max(...together.map((row, i) => apart(row, rows[i] ?? [])))).toBeGreaterThan(1e-4);
});

test('a cancel is heard between batches; a graph that does not load says so; another can be used after it', async () => {
  const { record, golden, bytes } = await read('bert-quantized');
  const embedder = embedderOf(bytes);
  const abort = new AbortController();
  const told: number[] = [];
  const cancelled = embedder.embed(record, { texts: golden.texts }, abort.signal, (done) => {
    told.push(done);
    if (done === 2) abort.abort();
  });
  await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
  expect(told).toEqual([1, 2]);
  const broken = bytes.slice(0, bytes.length - 999);
  await expect(embedderOf(broken).embed(record, { texts: ['a'] }, never)).rejects.toMatchObject({ code: 'embedder-failed' });
  const wrong = { ...record, pooling: 'graph' as const };
  await expect(embedderOf(bytes).embed(wrong, { texts: ['a'] }, never)).rejects.toMatchObject({ code: 'embedder-unsupported' });
  expect((await embedder.embed(record, { texts: ['a'] }, never)).shape).toEqual([1, 32]);
});
