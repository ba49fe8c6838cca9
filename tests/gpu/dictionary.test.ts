/** Dictionaries on the GPU against their float64 twin: every kind, weight type, normalisation and place, at awkward sizes. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadDictionary, plainly, type LoadedDictionary } from '../../workers/dictionary/load';
import type { Lying } from '../../workers/kernels/dictionary';
import { at } from '../reference/array';
import { encode, errorTerm, reconstruct } from '../reference/dictionary';
import { expectErrors, expectLists, listed, measure } from '../support/dictionary-rig';
import { Rig, type LinearVariant } from '../support/kernel';
import { numbers } from '../support/numbers';
import { randomDictionary, type RandomDictionary, type Wanted } from '../support/random-dictionary';

const HOOK = 'blocks.1.hook_resid_post';
const TIGHT = 5e-6;

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterEach(() => rig.clear());
afterAll(() => rig.close());

interface Loaded extends RandomDictionary {
  loaded: LoadedDictionary;
}

async function load(wanted: Wanted, lying: Lying = plainly(wanted.dIn), out: Lying = plainly(wanted.dOut ?? wanted.dIn)): Promise<Loaded> {
  const made = randomDictionary(wanted);
  const { record, reader } = made;
  return { ...made, loaded: await loadDictionary({ gpu: rig.gpu, pool: rig.pool, name: 'd1', record, reader, input: lying, output: out }) };
}

/** Rows as they lie in a hook's buffer: one of them forty times the others, as massive activations are. */
const rowsOf = (rows: number, d: number, seed: number): Float32Array<ArrayBuffer> =>
  numbers(rows * d, seed, 1).map((value, i) => (Math.floor(i / d) === rows - 1 ? 40 * value : value));

async function check(
  wanted: Wanted,
  rows: number,
  options: { lying?: Lying; out?: Lying; variant?: LinearVariant; tolerance?: number } = {},
): Promise<void> {
  const d = await load(wanted, options.lying, options.out);
  const x = rowsOf(rows, wanted.dIn, 7 + rows);
  const transcoder = wanted.hookOut !== undefined && wanted.hookOut !== wanted.hookIn;
  const target = transcoder ? rowsOf(rows, wanted.dOut ?? wanted.dIn, 99) : x;
  const { pairs, truncated, errors, y } = await measure(rig, d.loaded, x, {
    target,
    ...(options.variant ? { variant: options.variant } : {}),
  });
  const tolerance = options.tolerance ?? TIGHT;
  expect(truncated).not.toContain(true);
  expectLists(rig, pairs, encode(d.twin, x), wanted.latents, tolerance);
  expect(pairs.flat().length).toBeGreaterThan(0);
  rig.expectRows('decode', JSON.stringify(wanted), y, reconstruct(d.twin, x), d.twin.spec.dOut, tolerance);
  expectErrors(errors, errorTerm(d.twin, x, target), target, d.twin.spec.dOut, tolerance);
}

const KINDS = [{ activation: 'relu' }, { activation: 'jumprelu' }, { activation: 'topk', k: 7 }, { activation: 'gated' }] as const;

describe.each(KINDS)('lists alone, $activation', (kind) => {
  test.each(['register', 'tiled'] as const)('%s: all of them, or any where there is no room, and how many', async (variant) => {
    const wanted: Wanted = { ...kind, dIn: 20, latents: 131, hookIn: HOOK, seed: 3 };
    const d = await load(wanted);
    for (const rows of [1, 8, 17]) {
      const x = rowsOf(rows, wanted.dIn, 5 + rows);
      const twin = encode(d.twin, x);
      const counts = Array.from({ length: rows }, (_, r) => twin.subarray(131 * r, 131 * (r + 1)).filter((value) => value > 0).length);
      const whole = await listed(rig, d.loaded, x, 131, variant);
      expect(whole.active).toEqual(counts);
      expectLists(rig, whole.pairs, twin, 131, TIGHT);
      const some = await listed(rig, d.loaded, x, 3, variant);
      expect(some.active).toEqual(counts);
      some.pairs.forEach((pairs, r) => {
        expect(pairs).toHaveLength(Math.min(3, counts[r] ?? 0));
        for (const pair of pairs) expect(whole.pairs[r]).toContainEqual(pair);
      });
    }
  });
});

describe.each(KINDS)('$activation', (kind) => {
  // The plain kernels list without barriers, the others with them.
  test.each([
    ['register', 1, 8, 5],
    ['register', 3, 20, 52],
    ['register', 6, 67, 257],
    ['register', 9, 33, 1030],
    ['workgroup', 1, 8, 5],
    ['tiled', 6, 67, 257],
    ['workgroup', 2, 33, 1030],
  ] as const)('%s: %i rows, d %i, %i latents', (variant, rows, dIn, latents) =>
    check({ ...kind, ...('k' in kind ? { k: Math.min(kind.k, latents) } : {}), dIn, latents, hookIn: HOOK, seed: rows }, rows, { variant }),
  );

  test.each(['F16', 'BF16'] as const)('weights stored as %s', (dtype) =>
    check({ ...kind, dIn: 22, latents: 70, hookIn: HOOK, dtype, seed: 11 }, 5),
  );

  test.each([
    ['layer_norm', 1],
    ['scale', 0.37],
    ['none', 1],
  ] as const)('input normalised: %s, centred unless it is layer_norm', (normalisation, scale) =>
    check(
      {
        ...kind,
        dIn: 21,
        latents: 64,
        hookIn: HOOK,
        contract: { normalisation, scale, residual: normalisation === 'layer_norm' ? 'raw' : 'centred' },
        seed: 12,
      },
      4,
    ),
  );

  test('b_dec not subtracted', () =>
    check({ ...kind, dIn: 20, latents: 40, hookIn: HOOK, contract: { subtractBDec: false }, seed: 13 }, 3));

  test('heads side by side, padded one by one', () => {
    const heads: Lying = { d: 15, width: 5, stride: 8, words: 24 };
    return check({ ...kind, dIn: 15, latents: 40, hookIn: 'blocks.0.attn.hook_z', contract: { reshape: 'hook_z' }, seed: 14 }, 4, {
      lying: heads,
      out: heads,
    });
  });
  test('heads and layer_norm together', () => {
    const heads: Lying = { d: 15, width: 5, stride: 8, words: 24 };
    const contract = { reshape: 'hook_z', normalisation: 'layer_norm' } as const;
    return check({ ...kind, dIn: 15, latents: 40, hookIn: 'blocks.0.attn.hook_z', contract, seed: 15 }, 4, { lying: heads, out: heads });
  });

  test.each([false, true])('a transcoder, skip %s', (skip) =>
    check(
      { ...kind, dIn: 20, dOut: 27, latents: 52, hookIn: 'blocks.0.ln2.hook_normalized', hookOut: 'blocks.0.hook_mlp_out', skip, seed: 16 },
      5,
    ),
  );

  test.each(['workgroup', 'subgroup', 'tiled'] as const)('with the %s kernels', async (variant) => {
    if (variant === 'subgroup' && !rig.gpu.device.features.has('subgroups')) return;
    await check({ ...kind, dIn: 36, latents: 130, hookIn: HOOK, seed: 17 }, variant === 'tiled' ? 70 : 3, { variant });
  });
});

test('rescaled by the decoder’s norms before top k', () =>
  check({ activation: 'topk', k: 9, dIn: 24, latents: 60, hookIn: HOOK, contract: { rescaleByDecoderNorm: true }, seed: 18 }, 4));
test('rescaled, with thresholds', () =>
  check({ activation: 'jumprelu', dIn: 24, latents: 60, hookIn: HOOK, contract: { rescaleByDecoderNorm: true }, seed: 19 }, 4));

describe('lists', () => {
  // Few rows are listed with barriers, more of them without.
  test.each([3, 6])(
    'too short for what is active: the largest come, it says so, and the reconstruction is whole (%i rows)',
    async (rows) => {
      const d = await load({ activation: 'relu', dIn: 16, latents: 300, hookIn: HOOK, seed: 20 });
      const x = rowsOf(rows, 16, 5);
      const { pairs, truncated, y } = await measure(rig, d.loaded, x, { room: 10 });
      const expected = encode(d.twin, x);
      pairs.forEach((row, r) => {
        const whole = expected.subarray(r * 300, (r + 1) * 300);
        const largest = [...whole.keys()].sort((a, b) => at(whole, b) - at(whole, a)).slice(0, 10);
        expect(row.map(([m]) => m)).toEqual(largest);
      });
      expect(truncated).toEqual(new Array(rows).fill(true));
      rig.expectRows('decode', 'more active than listed', y, reconstruct(d.twin, x), 16, TIGHT);
    },
  );

  test.each([1, 6])('of equal values the lowest latents, in top k and in a short list (%i rows)', async (rows) => {
    // Every latent the same: whoever is chosen is chosen by its number.
    const same = async (wanted: Wanted, room: number): Promise<number[]> => {
      const d = await load(wanted);
      const { latents, dIn } = wanted;
      rig.write('d1.enc#0', 0, new Float32Array(latents * dIn).fill(0.5));
      rig.write(
        'd1.params',
        0,
        Float32Array.from({ length: 4 * latents }, (_, i) => (i % 4 === 3 ? 1 : 0)),
      );
      const { pairs } = await measure(rig, d.loaded, new Float32Array(rows * dIn).fill(1), { room });
      return (pairs[rows - 1] ?? []).map(([m]) => m);
    };
    const first = Array.from({ length: 13 }, (_, i) => i);
    expect(await same({ activation: 'topk', k: 13, dIn: 8, latents: 1000, hookIn: HOOK }, 13)).toEqual(first);
    rig.clear();
    expect(await same({ activation: 'relu', dIn: 8, latents: 1000, hookIn: HOOK }, 13)).toEqual(first);
  });

  test('nothing active: an empty list, and b_dec alone', async () => {
    const d = await load({ activation: 'relu', dIn: 8, latents: 20, hookIn: HOOK, seed: 21 });
    rig.write(
      'd1.params',
      0,
      Float32Array.from({ length: 80 }, (_, i) => (i % 4 === 0 ? -1e6 : i % 4 === 3 ? 1 : 0)),
    );
    const { pairs, y } = await measure(rig, d.loaded, rowsOf(2, 8, 3));
    expect(pairs).toEqual([[], []]);
    const bias = d.twin.tensors['b_dec'] ?? [];
    rig.expectRows(
      'decode',
      'nothing',
      y,
      Float64Array.from({ length: 16 }, (_, i) => at(bias, i % 8)),
      8,
      TIGHT,
    );
  });
});

test('a decoder and an encoder in several pieces', async () => {
  // As if the largest binding were small: what 65,536 latents of 768 are under default limits.
  const { gpu } = rig;
  const limits = gpu.limits;
  const small = Object.create(gpu, {
    limits: {
      value: new Proxy(limits, { get: (all, key) => (key === 'maxStorageBufferBindingSize' ? 4096 : (Reflect.get(all, key) as unknown)) }),
    },
  }) as typeof gpu;
  const made = randomDictionary({ activation: 'topk', k: 12, dIn: 20, latents: 333, hookIn: HOOK, seed: 22 });
  const loaded = await loadDictionary({
    gpu: small,
    pool: rig.pool,
    name: 'd1',
    record: made.record,
    reader: made.reader,
    input: plainly(20),
    output: plainly(20),
  });
  expect(loaded.encoder.pieces.length).toBeGreaterThan(5);
  const x = rowsOf(3, 20, 8);
  const { pairs, y } = await measure(rig, loaded, x);
  expectLists(rig, pairs, encode(made.twin, x), 333, TIGHT);
  rig.expectRows('decode', 'in pieces', y, reconstruct(made.twin, x), 20, TIGHT);
});
