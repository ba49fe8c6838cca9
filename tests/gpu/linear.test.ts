/** Projections against float64: each strategy with each epilogue, norm, bias and weight type, at awkward sizes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Rig, type LinearVariant } from '../support/kernel';
import { checkLinear, runLinear, type LinearCase } from './linear-case';

/** Of each row's largest value; measured worst ones are told at the end. */
const TIGHT = 4e-6;
const MATVEC = ['register', 'workgroup', 'subgroup'] as const;
const DTYPES = ['f32', 'f16', 'bf16'] as const;
const ACTS = ['gelu_new', 'gelu', 'silu', 'relu'] as const;
/** Two activations here; all four with the far ends below (a pipeline takes a second to build on the CPU). */
const EPILOGUES = [
  ['residual', 'relu'],
  ['split', 'relu'],
  ['act', 'gelu_new'],
  ['gated', 'silu'],
] as const;
/** Alone; odd; one over a vec4, a workgroup, a tile; longer than a workgroup's stride. [n, k] */
const SIZES = [
  [1, 1],
  [3, 5],
  [65, 64],
  [130, 67],
  [257, 261],
] as const;

let rig: Rig;
let known: (variant: LinearVariant) => boolean;
beforeAll(async () => {
  rig = await Rig.open();
  known = (variant) => variant !== 'subgroup' || rig.gpu.device.features.has('subgroups');
});
afterAll(() => rig.close());

describe.each(MATVEC)('few rows, %s', (variant) => {
  test.each([1, 2, 3, 4])('%i rows: every size, norm, bias and type', async (rows) => {
    if (!known(variant)) return;
    let seed = 10 * rows;
    // Every pair of type and norm; bias with every other one, the others at the next number of rows.
    for (const dtype of DTYPES)
      for (const norm of [undefined, 'layer', 'rms'] as const) {
        const [n, k] = SIZES[seed++ % SIZES.length] ?? [1, 1];
        await checkLinear(rig, { variant, rows, n, k, dtype, norm, bias: (seed + rows) % 2 === 0, seed }, TIGHT);
      }
    for (const [n, k] of SIZES) await checkLinear(rig, { variant, rows, n, k, norm: 'layer', bias: true, row0: 2, seed: seed++ }, TIGHT);
  });

  test('every epilogue, with norm and bias', async () => {
    if (!known(variant)) return;
    let seed = 100;
    for (const [epilogue, act] of EPILOGUES) {
      const rows = 1 + (seed % 4);
      const dtype = DTYPES[seed % 3] ?? 'f32';
      for (const [n, k] of [
        [2, 1],
        [6, 5],
        [130, 67],
        [258, 261],
      ] as const)
        await checkLinear(rig, { variant, rows, n, k, epilogue, act, dtype, norm: 'layer', bias: true, seed }, 2 * TIGHT);
      seed++;
    }
  });
});

describe.each(['register', 'tiled'] as const)('many rows, %s', (variant) => {
  test.each([5, 8, 9, 65])('%i rows: every size, bias and type', async (rows) => {
    let seed = 1000 + rows;
    for (const dtype of DTYPES)
      for (const bias of [false, true]) {
        const [n, k] = SIZES[seed++ % SIZES.length] ?? [1, 1];
        await checkLinear(rig, { variant, rows, n, k, dtype, bias, seed }, TIGHT);
      }
    for (const [n, k] of SIZES) await checkLinear(rig, { variant, rows, n, k, bias: true, row0: 3, seed: seed++ }, TIGHT);
  });

  test('every epilogue', async () => {
    let seed = 2000;
    for (const [epilogue, act] of EPILOGUES) {
      const rows = [5, 9, 65][seed % 3] ?? 5;
      const dtype = DTYPES[(seed >> 1) % 3] ?? 'f32';
      for (const [n, k] of [
        [2, 1],
        [6, 5],
        [130, 67],
      ] as const)
        await checkLinear(rig, { variant, rows, n, k, epilogue, act, dtype, bias: true, seed }, 2 * TIGHT);
      seed++;
    }
  });
});

describe.each([...MATVEC, 'tiled'] as const)('capped logits, %s', (variant) => {
  test('small sums stay, large ones bend, sums of a thousand caps are the cap and finite', async () => {
    if (!known(variant)) return;
    for (const rows of variant === 'tiled' ? [5, 65] : [1, 4])
      for (const scale of [0.1, 1, 1e4]) {
        const each: LinearCase = {
          variant,
          rows,
          n: 67,
          k: 20,
          softcap: 3.5,
          scale,
          norm: variant === 'tiled' ? undefined : 'rms',
          bias: true,
          seed: rows,
        };
        const { y, expected } = await runLinear(rig, each);
        expect(y.every(Number.isFinite)).toBe(true);
        if (scale > 1) expect(Math.max(...expected)).toBeCloseTo(3.5, 6);
        await checkLinear(rig, each, TIGHT);
      }
  });
});

/** The subgroup form shares its file with the workgroup's. */
describe.each(['register', 'workgroup', 'tiled'] as const)('activations far out, %s', (variant) => {
  test.each(ACTS)('%s of arguments beyond ±100 is finite and right', async (act) => {
    for (const epilogue of variant === 'register' ? (['act', 'gated'] as const) : (['act'] as const)) {
      const each: LinearCase = { variant, rows: variant === 'tiled' ? 5 : 1, n: 64, k: 12, epilogue, act, scale: 300, seed: 7 };
      const { y, expected } = await runLinear(rig, each);
      expect(y.every(Number.isFinite)).toBe(true);
      expect(Math.max(...expected)).toBeGreaterThan(100);
      await checkLinear(rig, each, TIGHT);
    }
  });
});

describe.each([...MATVEC, 'tiled'] as const)('a matrix in several pieces, %s', (variant) => {
  test.each(['plain', 'gated'] as const)('%s', async (epilogue) => {
    if (!known(variant)) return;
    for (const [n, most] of [
      [130, 64],
      [10, 2],
      [134, 66],
    ] as const)
      await checkLinear(
        rig,
        { variant, rows: variant === 'tiled' ? 9 : 3, n, k: 20, epilogue, act: 'silu', most, bias: true, dtype: 'f16', seed: n },
        2 * TIGHT,
      );
  });
});
