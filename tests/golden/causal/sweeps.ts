/** Sweeps where a cell is not simply a hook's values of the other run: latents of dictionaries, resampling over pairs, KL over paths, and a text that is written meanwhile. */
import { beforeAll, expect, test } from 'vitest';
import type { EngineEdit } from '../../../workers/contract';
import type { EnginePath } from '../../../workers/contract-sweep';
import type { ModelSpec } from '../../../workers/model/spec';
import { generate, run, steps, type Bench, type Opened } from '../../support/engine';
import { metricOfLogits, pathByHand, replace } from '../one-by-one';
import { specOf } from '../twin';
import { asked, attached } from './estimates';

const SAME = 1e-5;

export function sweeps(opened: () => Opened): void {
  let bench: Bench;
  let spec: ModelSpec;
  let ids: Record<string, string>;
  beforeAll(async () => {
    bench = opened().bench;
    spec = specOf(opened().fixture);
    ids = await attached(bench);
  });
  const last = async (runs: { ids: readonly number[]; edits: EngineEdit[] }[]): Promise<Float32Array[]> =>
    (
      await bench.engine.batch(
        runs.map(({ ids, edits }) => run(ids, { edits, logits: 'last' })),
        'by hand',
      )
    ).map(({ logits }) => logits?.data ?? new Float32Array(0));

  test.each(['relu', 'transcoder', 'topk'])('a latent’s cell is its edits: %s', async (name) => {
    const { engine } = bench;
    const dictionary = ids[name] ?? '';
    const request = asked({ over: { dictionary }, grid: 'latent' });
    const [{ clean, corrupted } = { clean: [], corrupted: [] }] = request.pairs;
    const found = await engine.sweep(request, 'sweep');
    const latents = (found.axes[0]?.labels ?? []).map(Number).slice(0, 6);
    const { rows } = await engine.encode({ dictionary, ids: clean, edits: [] }, 'encode');
    const at = { relu: 'blocks.1.hook_resid_pre', transcoder: 'blocks.1.hook_mlp_out', topk: 'blocks.2.attn.hook_z' }[name] ?? '';
    const edits = (latent: number): EngineEdit[] =>
      rows.map((row, p) => {
        const value = new Map(row).get(latent) ?? 0;
        const rest = { where: [p], skipSpecial: false, strength: 1, enabled: true };
        return { kind: 'latent', at: at as EngineEdit['at'], dictionary, latent, op: 'set', value, ...rest };
      });
    const logits = await last(latents.map((latent) => ({ ids: corrupted, edits: edits(latent) })));
    const scale = Math.max(...found.raw.data.map(Math.abs), Math.abs(found.clean));
    logits.forEach((row, i) => {
      const expected = metricOfLogits(request.metric, row, row);
      expect(Math.abs((found.raw.data[i] ?? NaN) - expected) / scale, `${name}, latent ${latents[i]}`).toBeLessThanOrEqual(SAME);
    });
    expect(latents.length).toBe(6);
    expect(Math.max(...found.raw.data.map((x) => Math.abs(x - found.corrupted)))).toBeGreaterThan(0.02);
  });

  test('resampling takes the next pair’s base run, the last one the first’s', async () => {
    const { engine } = bench;
    const runs = [
      [0, 5, 9, 14, 3, 22],
      [0, 8, 9, 30, 3, 11],
      [0, 61, 7, 30, 2, 19],
    ];
    const pairs = runs.map((clean) => ({ clean, corrupted: clean.map((id) => (id === 9 || id === 7 ? 40 : id)) }));
    const request = asked({ over: 'z', grid: 'layer-head', direction: 'noise', ablate: 'resample', pairs });
    const found = await engine.sweep(request, 'sweep');
    const at = 'blocks.1.attn.hook_z';
    const tapped = await engine.batch(
      runs.map((each) => run(each, { taps: [at] })),
      'taps',
    );
    for (const head of [0, 2]) {
      const logits = await last(
        runs.map((each, i) => {
          const source = tapped[(i + 1) % runs.length]?.taps[at];
          return { ids: each, edits: source ? [replace(at, source, 'all', head)] : [] };
        }),
      );
      const mean = logits.reduce((sum, row) => sum + metricOfLogits(request.metric, row, row), 0) / runs.length;
      expect(Math.abs((found.raw.data[spec.heads + head] ?? NaN) - mean)).toBeLessThanOrEqual(SAME * Math.max(1, Math.abs(mean)));
    }
  });

  test('KL along paths is of the clean run', async () => {
    const request: EnginePath = {
      ...asked({ over: 'z', grid: 'layer-head', direction: 'noise' }),
      metric: { kind: 'kl', position: -1, tokens: [] },
      receivers: [
        { layer: 2, head: 1, input: 'v' },
        { layer: 1, mlp: true },
      ],
      throughMlps: false,
    };
    const found = await bench.engine.pathPatch(request, 'path');
    const expected = await pathByHand(bench.engine, spec, request);
    expect(found.clean).toBeCloseTo(0, 6);
    expect(found.corrupted).toBeGreaterThan(0.01);
    const scale = Math.max(...expected.map(Math.abs), found.corrupted);
    expected.forEach((each, i) => expect(Math.abs((found.raw.data[i] ?? NaN) - each) / scale, `sender ${i}`).toBeLessThanOrEqual(SAME));
    expect(Math.max(...expected)).toBeGreaterThan(1e-4);
  });

  test('a text goes on beside a sweep and beside an estimate, and none is other than alone', async () => {
    const { engine } = bench;
    const writing = generate([0, 82, 66, 80], { tokens: 8, seed: 3, temperature: 1, baseline: true });
    const pairs = Array.from({ length: 4 }, () => ({ clean: [0, 5, 9, 14, 3, 22], corrupted: [0, 6, 9, 14, 2, 22] }));
    const { skip, ...request } = asked({ over: 'z', grid: 'layer-position-head', pairs });
    const alone = await steps(engine, writing);
    type Told = (done: number) => void;
    const work = [
      (job: string, told?: Told) => engine.sweep({ ...request, skip }, job, told),
      (job: string, told?: Told) => engine.attribution({ ...request, method: 'integrated', steps: 2 }, job, told),
    ];
    for (const ask of work) {
      const grid = await ask('alone');
      let done = 0;
      const beside = ask('beside', (n) => (done = n));
      const seen: number[] = [];
      const text = await steps(engine, writing, () => void seen.push(done));
      expect(text.map(({ steered }) => [steered.id, steered.probability])).toEqual(
        alone.map(({ steered }) => [steered.id, steered.probability]),
      );
      // Turns were taken: it came on while the text was written.
      expect(seen[0]).toBeLessThan(seen.at(-1) ?? 0);
      expect([...(await beside).raw.data]).toEqual([...grid.raw.data]);
    }
  });
}
