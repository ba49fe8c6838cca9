/** The smallest limits that WebGPU promises run an embedding larger than one binding: 50,257 × 768 f32 is 147 MiB. */
import { expect, openPage, test } from './fixtures';

test('?limits=default runs a 50,257 × 768 f32 embedding', async ({ page, site }) => {
  test.setTimeout(240_000);
  await openPage(page, `${site.url}?limits=default`);
  await page.evaluate(() => window.lab.ready);
  const found = await page.evaluate(async () => {
    const D = 768;
    const V = 50257;
    const M = 16;
    const tensors: [string, number[]][] = [
      ['wte.weight', [V, D]],
      ['wpe.weight', [8, D]],
      ['ln_f.weight', [D]],
      ['ln_f.bias', [D]],
      ['h.0.ln_1.weight', [D]],
      ['h.0.ln_1.bias', [D]],
      ['h.0.attn.c_attn.weight', [D, 3 * D]],
      ['h.0.attn.c_attn.bias', [3 * D]],
      ['h.0.attn.c_proj.weight', [D, D]],
      ['h.0.attn.c_proj.bias', [D]],
      ['h.0.ln_2.weight', [D]],
      ['h.0.ln_2.bias', [D]],
      ['h.0.mlp.c_fc.weight', [D, M]],
      ['h.0.mlp.c_fc.bias', [M]],
      ['h.0.mlp.c_proj.weight', [M, D]],
      ['h.0.mlp.c_proj.bias', [D]],
    ];
    // Every number is a function of its place; ones for the norm gains; zeros for the block, which then adds nothing.
    const embedding = (token: number, i: number): number => ((Math.imul(token * 7919 + i, 2654435761) >>> 16) % 2001) / 1000 - 1;
    const header: Record<string, unknown> = {};
    const parts: Float32Array<ArrayBuffer>[] = [];
    let at = 0;
    for (const [name, shape] of tensors) {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (name === 'wte.weight') for (let t = 0; t < V; t++) for (let i = 0; i < D; i++) data[t * D + i] = embedding(t, i);
      if (/ln.*weight/.test(name)) data.fill(1);
      header[name] = { dtype: 'F32', shape, data_offsets: [at, at + data.byteLength] };
      at += data.byteLength;
      parts.push(data);
    }
    const head = new TextEncoder().encode(JSON.stringify(header));
    const length = new DataView(new ArrayBuffer(8));
    length.setBigUint64(0, BigInt(head.length), true);
    const vocab = Object.fromEntries(Array.from({ length: V }, (_, i) => [`t${i}`, i]));
    const json = (name: string, value: unknown): File => new File([JSON.stringify(value)], name);
    const opened = await window.lab.open([
      new File([length.buffer, head, ...parts], 'model.safetensors'),
      json('config.json', {
        model_type: 'gpt2',
        n_embd: D,
        n_head: 12,
        n_layer: 1,
        n_inner: M,
        n_positions: 8,
        vocab_size: V,
        activation_function: 'gelu_new',
      }),
      json('tokenizer.json', {
        version: '1.0',
        added_tokens: [],
        normalizer: null,
        pre_tokenizer: null,
        post_processor: null,
        decoder: null,
        model: { type: 'BPE', vocab, merges: [] },
      }),
    ]);
    const model = opened.models[0]?.id ?? '';
    await window.lab.use(model);
    const device = await window.lab.device();
    const prompt = [50256, 3, 43690];
    const { logits } = await window.lab.run({ prompt, logits: 'last' });
    const explained = await window.lab.explain({ prompt, tokens: 2 });
    // The reference, in float64, for tokens on both sides of the split.
    const x = Array.from({ length: D }, (_, i) => Math.fround(embedding(43690, i)));
    const mean = x.reduce((a, b) => a + b, 0) / D;
    const sigma = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / D + 1e-5);
    const picked = [0, 1, 20000, 43689, 43690, 43691, 50255, 50256];
    const expected = picked.map((t) => x.reduce((sum, each, i) => sum + ((each - mean) / sigma) * Math.fround(embedding(t, i)), 0));
    const actual = picked.map((t) => logits?.data[t] ?? NaN);
    const scale = Math.max(...expected.map(Math.abs));
    await window.lab.remove(model);
    return {
      limits: device.limits,
      error: Math.max(...actual.map((a, i) => Math.abs(a - (expected[i] ?? NaN)))) / scale,
      unembeds: explained.filter((each) => each.hook === 'unembed').length,
      dispatches: explained.filter((each) => each.kernel !== 'copy').length,
    };
  });
  expect(found.limits).toMatchObject({
    maxStorageBufferBindingSize: 128 << 20,
    maxBufferSize: 256 << 20,
    maxStorageBuffersPerShaderStage: 8,
    maxComputeWorkgroupStorageSize: 16384,
  });
  expect(found.error).toBeLessThanOrEqual(5e-5);
  expect(found.unembeds).toBe(2);
  expect(found.dispatches).toBeLessThanOrEqual(5 + 4);
});
