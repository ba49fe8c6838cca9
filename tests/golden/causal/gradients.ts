/**
 * Gradients through dictionaries' edits: against PyTorch's autograd (make_dictionary_gradients.py) for every activation and convention, and, for neurons and two runs side by
 * side, against central differences of the engine itself.
 */
import { beforeAll, expect, test } from 'vitest';
import type { EngineEdit } from '../../../workers/contract';
import type { EngineGradient } from '../../../workers/contract-gradient';
import { add, project, readers, run, vector, type Bench, type Opened } from '../../support/engine';
import { randomDictionary, type Wanted } from '../../support/random-dictionary';
import { promptIds } from '../cases';
import { worstRow } from '../every/gradients';
import { loadDictionaryGradients, type DictionaryGradientCase } from '../fixture';

const GOLDEN = 5e-5;
const rest = { where: 'all', skipSpecial: false, strength: 1, enabled: true } as const;

async function editsOf({ engine }: Bench, { dictionary: wanted, edits }: DictionaryGradientCase): Promise<EngineEdit[]> {
  const { record, reader } = randomDictionary(wanted as unknown as Wanted);
  readers.set(record.name, reader);
  await engine.attach(record, 'attach');
  const dictionary = record.id;
  return edits.flatMap((group): EngineEdit[] => {
    const at = group.at as EngineEdit['at'];
    if (group.kind === 'latents') return group.edits.map((edit) => ({ ...rest, at, kind: 'latent', dictionary, ...edit }));
    if (group.kind === 'splice') return [{ ...rest, at, kind: 'splice', dictionary, keepError: false, strength: group.strength }];
    return [project(at, Float32Array.from(group.vector), group.keep)];
  });
}

const logProb = (token: number) => ({ kind: 'log-prob' as const, position: -1, tokens: [token] });
export function gradients(opened: () => Opened): void {
  let bench: Bench;
  let ids: number[];
  let golden: Awaited<ReturnType<typeof loadDictionaryGradients>>;
  beforeAll(async () => {
    golden = await loadDictionaryGradients();
    bench = opened().bench;
    ids = promptIds(opened().fixture.cases, golden.prompt);
  });
  const asked = (edits: EngineEdit[], metric: EngineGradient['metric']): EngineGradient => ({
    ids,
    promptLength: ids.length,
    edits,
    metric,
  });

  test('as PyTorch, through every kind of dictionary', async () => {
    const far: string[] = [];
    for (const each of golden.cases) {
      const edits = await editsOf(bench, each);
      const [found = {}] = await bench.engine.gradient([asked(edits, logProb(each.token))], each.at, 'g');
      for (const hook of each.at) {
        const expected = golden.tensors.get(`${each.name}/${hook}`);
        const { worst, row } = worstRow(found[hook]?.data ?? [], expected?.data ?? [], expected?.shape.at(-1) ?? 1);
        console.log(`${each.name}, ${hook}: within ${worst.toExponential(1)}`);
        if (!(worst <= GOLDEN)) far.push(`${each.name}, ${hook}: ${worst.toExponential(1)} in row ${row}`);
      }
    }
    expect(far).toEqual([]);
  });

  test('central differences, through neurons and a JumpReLU in one of two runs', async () => {
    const [jump] = golden.cases.filter(({ name }) => name.startsWith('jumprelu'));
    const token = jump?.token ?? 0;
    const neurons = (latent: number, op: 'set' | 'add' | 'scale', value: number, strength = 1): EngineEdit => ({
      ...rest,
      at: 'blocks.1.mlp.hook_post',
      kind: 'latent',
      dictionary: 'neurons:blocks.1',
      latent,
      op,
      value,
      strength,
    });
    const edits = [
      ...(jump ? await editsOf(bench, jump) : []),
      ...Array.from({ length: 30 }, (_, i) => neurons(i, 'scale', i % 2 ? 0 : -2)),
      neurons(40, 'set', 0.5, 0.75),
      neurons(41, 'add', 3),
      project('blocks.1.mlp.hook_post', vector(70, 3), 0.2),
    ];
    const hook = 'blocks.0.hook_resid_pre';
    const [plain = {}, edited = {}] = await bench.engine.gradient([asked([], logProb(token)), asked(edits, logProb(token))], [hook], 'g');
    const [, alone = {}] = await bench.engine.gradient([asked([], logProb(token)), asked([], logProb(token))], [hook], 'g');
    expect(plain[hook]?.data).toEqual(alone[hook]?.data);
    const step = 0.005;
    const directions = [1, 2, 3, 4].map((seed) => ({ v: vector(30, seed), position: 1 + seed }));
    const moved = await bench.engine.batch(
      directions.flatMap(({ v, position }) =>
        [step, -step].map((strength) => run(ids, { logits: 'last', edits: [add(hook, v, { where: [position], strength }), ...edits] })),
      ),
      'moved',
    );
    const metric = (i: number): number => {
      const logits = moved[i]?.logits?.data ?? new Float32Array(0);
      const high = logits.reduce((a, b) => Math.max(a, b), -Infinity);
      return (logits[token] ?? NaN) - high - Math.log(logits.reduce((sum, x) => sum + Math.exp(x - high), 0));
    };
    directions.forEach(({ v, position }, i) => {
      const along = v.reduce((sum, x, k) => sum + x * (edited[hook]?.data[position * 30 + k] ?? NaN), 0);
      const difference = (metric(2 * i) - metric(2 * i + 1)) / (2 * step);
      expect(Math.abs(along - difference), `${along} for ${difference}`).toBeLessThanOrEqual(5e-4 + 0.01 * Math.abs(difference));
    });
  });
}
