/**
 * Kept lenses on the demo's model: one that is trained on its own town's texts is nearer to the end than the logit lens at every layer, on text kept apart; and a lens reads what its maps make of the
 * stream, which is what the model itself would say if those rows were its last.
 */
import type { Remote } from 'comlink';
import { beforeAll, expect, test } from 'vitest';
import { Text } from '../../src/lab/text';
import { useReading, type Reading } from '../../src/lab/use-reading';
import type { EngineApi, EngineEdit, FilesApi, LensMap, OpenedFile } from '../../workers/contract';
import { lensLayers } from '../../workers/model/lens';
import { at } from '../reference/array';
import { logSoftmax } from '../reference/softmax';
import { openBench, run, type Bench } from '../support/engine';
import { numbers } from '../support/numbers';
import { refusal } from '../unit/refusal';

const demo = async (name: string): Promise<OpenedFile> => ({
  path: `lanternwick/${name}`,
  file: new File([await (await fetch(`/demo/lanternwick/${name}`)).arrayBuffer()], name),
});
const FILES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
const LAYERS = 6;
const D = 128;
let bench: Bench;
let lab: Reading;
let documents: string[];
let told = 0;

beforeAll(async () => {
  bench = await openBench(await Promise.all(FILES.map(demo)));
  const model = () => bench.record.info;
  const files = bench.files as unknown as Remote<FilesApi>;
  lab = useReading({
    engine: bench.engine as unknown as Remote<EngineApi>,
    files,
    text: new Text(files, model),
    model,
    edits: () => Promise.resolve([]),
    attach: () => Promise.resolve(),
    changed: () => told++,
  });
  documents = (await (await fetch('/demo/texts.txt')).text()).split('<|endoftext|>').filter((each) => each.length > 150);
});

test('trained on the town’s texts: nearer to the end at every layer, and kept', async () => {
  expect((await refusal(() => lab.lensFor({ kind: 'tuned' }))).code).toBe('lens-missing');
  const steps: number[] = [];
  const progress = (done: number, of: number): void => void steps.push(done / of);
  const asked = { text: documents.slice(0, 80), tokens: 700 };
  const plain = await lab.trainLens({ ...asked, name: 'regression', steps: 0 });
  await bench.files.remove(plain.id);
  const kept = await lab.trainLens({ ...asked, name: 'town', steps: 6 }, { progress });
  expect(kept).toMatchObject({ name: 'town', kind: 'tuned', model: bench.record.id, layers: LAYERS, dModel: D });
  const { tokens, kl, before } = kept.trained ?? { tokens: 0, kl: [], before: [] };
  console.info(
    `KL to the final layer, nats: logit lens ${before.map((x) => x.toFixed(3)).join(' ')}; tuned ${kl.map((x) => x.toFixed(3)).join(' ')}; ${tokens} tokens`,
  );
  expect(tokens).toBeGreaterThan(500);
  expect(kl).toHaveLength(LAYERS);
  kl.forEach((each, l) => expect(each, `layer ${l}`).toBeLessThan(at(before, l)));
  expect(steps.at(-1)).toBeLessThanOrEqual(1);
  // The same rows, the same regression: what descent on KL itself gains beside it.
  const sum = (values: readonly number[] = []): number => values.reduce((a, b) => a + b, 0);
  console.info(`regression alone ${plain.trained?.kl.map((x) => x.toFixed(3)).join(' ')}`);
  expect(plain.trained?.before).toEqual(before);
  expect(sum(kl)).toBeLessThan(0.95 * sum(plain.trained?.kl));
  expect(told).toBe(2);
  expect(await bench.files.lenses()).toEqual([kept]);

  // A text that it has not seen, asked the ordinary way.
  const { ids } = await bench.files.tokenize(bench.record.id, documents[85] ?? '');
  const some = ids.slice(0, 40);
  const lens = await lab.lensFor({ kind: 'tuned' });
  const [logit, tuned] = [
    await bench.engine.lens({ ids: some, top: 1, edits: [] }, 'plain'),
    await bench.engine.lens({ ids: some, top: 1, edits: [], lens }, 'tuned'),
  ];
  expect(tuned.layers).toEqual(lensLayers(LAYERS));
  const mean = (row: readonly number[] | undefined): number =>
    (row ?? []).slice(1).reduce((sum, each) => sum + each, 0) / (some.length - 1);
  for (let l = 0; l < LAYERS; l++) expect(mean(tuned.klToFinal[l]), `layer ${l}`).toBeLessThan(mean(logit.klToFinal[l]));
  expect(tuned.probabilities[LAYERS]).toEqual(logit.probabilities[LAYERS]);
});

test.each(['tuned', 'jacobian'] as const)('a %s lens reads what its map makes of the rows', async (kind) => {
  const hook = kind === 'tuned' ? 'blocks.2.hook_resid_pre' : 'blocks.3.hook_resid_post';
  const map: LensMap = { weight: numbers(D * D, 7, 0.1), bias: numbers(D, 8, 1) };
  const draft = { name: `by hand, ${kind}`, kind, model: bench.record.id, layers: LAYERS, dModel: D, hooks: [hook] };
  const { id } = await bench.files.keepLens(draft, [map]);
  const { ids } = await bench.files.tokenize(bench.record.id, documents[3] ?? '');
  const some = ids.slice(0, 12);
  const [tapped] = await bench.engine.batch([run(some, { taps: [hook], logits: 'none' })], 'tap');
  const rows = tapped?.taps[hook]?.data ?? new Float32Array(0);
  const made = Float32Array.from(rows, (h, i) => {
    const [r, o] = [Math.floor(i / D), i % D];
    let sum = at(map.bias, o) + (kind === 'tuned' ? h : 0);
    for (let k = 0; k < D; k++) sum += at(map.weight, o * D + k) * at(rows, r * D + k);
    return sum;
  });
  const last = `blocks.${LAYERS - 1}.hook_resid_post`;
  const replaced: EngineEdit = {
    ...{ at: last, where: 'all', skipSpecial: false, strength: 1, enabled: true, kind: 'replace' },
    value: { shape: [some.length, D], data: made },
  };
  const [expected] = await bench.engine.batch([run(some, { edits: [replaced] })], 'replaced');
  const lens = await lab.lensFor({ kind, lens: id });
  const found = await bench.engine.lens({ ids: some, top: 3, edits: [], lens }, 'lens');
  expect(found.layers).toEqual([hook, last]);
  const vocab = (expected?.logits?.data.length ?? 0) / some.length;
  some.forEach((_, p) => {
    const logp = logSoftmax(expected?.logits?.data.subarray(p * vocab, (p + 1) * vocab) ?? []);
    (found.ids[0]?.[p] ?? []).forEach((token, j) => expect(found.probabilities[0]?.[p]?.[j]).toBeCloseTo(Math.exp(at(logp, token)), 4));
  });
  expect(found.klToFinal[1]).toEqual(some.map(() => 0));
  await bench.files.remove(id);
});

test('a lens of another model’s sizes is refused', async () => {
  const hooks = ['blocks.0.hook_resid_pre'];
  const draft = { name: 'narrow', kind: 'tuned' as const, model: bench.record.id, layers: LAYERS, dModel: 4, hooks };
  const { id } = await bench.files.keepLens(draft, [{ weight: new Float32Array(16), bias: new Float32Array(4) }]);
  const lens = await bench.files.lens(id);
  expect((await refusal(() => bench.engine.lens({ ids: [1, 2], top: 1, edits: [], lens }, 'lens'))).code).toBe('lens-misfit');
});
