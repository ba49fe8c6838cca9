/**
 * What is told of heads: scores on repeats from the twin's patterns, and circuits and composition from the checkpoint's own weights as dense d_model × d_model matrices, gains of the norms folded in, against
 * the engine's low-rank ones.
 */
import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from 'ml-matrix';
import { beforeAll, expect, test } from 'vitest';
import { repeated, stripes } from '../../../workers/experiments/head-scores/stripes';
import type { ModelSpec } from '../../../workers/model/spec';
import { at } from '../../reference/array';
import { record as recorded } from '../../reference/forward';
import type { Linear } from '../../reference/linear';
import type { Gain, Weights } from '../../reference/weights';
import type { Bench, Opened } from '../../support/engine';
import { deepLayer, twinOf } from '../twin';

const CLOSE = 5e-5;

export function heads(opened: () => Opened): void {
  let bench: Bench;
  let spec: ModelSpec;
  let weights: Weights;
  let deep: number;
  beforeAll(async () => {
    const { fixture, bench: found } = opened();
    bench = found;
    ({ spec, weights } = await twinOf(fixture));
    deep = deepLayer(fixture);
  });

  test('scores of heads on repeats are those of the twin’s patterns', async () => {
    const call = { vocab: spec.vocabOut, special: [2], bos: 0, length: 5, repeats: 2, seed: 3 };
    const found = await bench.engine.headScores({ ...call, edits: [] }, 'scores');
    expect(found.tokens).toBe(10);
    const sums = new Map<string, number>();
    const sequences = repeated({ ...call, vocab: spec.vocab });
    for (const ids of sequences) {
      const clean = recorded(spec, weights, ids);
      for (let layer = 0; layer < spec.layers; layer++) {
        const told = stripes(clean.get(`blocks.${layer}.attn.hook_pattern`)?.data ?? [], spec.heads, 1, 5);
        for (const kind of ['induction', 'previous', 'duplicate'] as const)
          told[kind].forEach((each, head) => {
            const key = `${kind} ${layer * spec.heads + head}`;
            sums.set(key, (sums.get(key) ?? 0) + each / 2);
          });
      }
    }
    for (const kind of ['induction', 'previous', 'duplicate'] as const) {
      expect(found[kind].shape).toEqual([spec.layers, spec.heads]);
      found[kind].data.forEach((each, i) => expect(Math.abs(each - (sums.get(`${kind} ${i}`) ?? NaN))).toBeLessThan(CLOSE));
    }
  });

  const folded = (rows: Matrix, gain: Gain | undefined): Matrix => {
    const out = gain ? Matrix.rowVector([...gain.weight]) : Matrix.ones(1, spec.dModel);
    const all = rows.clone().mulRowVector(out.getRow(0));
    if (spec.norm.kind !== 'layer') return all;
    return all.subColumnVector(all.mean('row'));
  };
  /** Rows of a head's projection, the norm that is read through folded in; of q and k the norm of each head too. */
  const part = (linear: Linear, layer: number, head: number, own?: Float64Array): Matrix => {
    const { dHead, dModel } = spec;
    const from = head * dHead * dModel;
    const rows = Matrix.from1DArray(dHead, dModel, Array.from(linear.weight).slice(from, from + dHead * dModel));
    const all = folded(rows, weights.layers[layer]?.ln1);
    return own ? all.mulColumnVector([...own]) : all;
  };
  const layerOf = (layer: number): Weights['layers'][number] => {
    const found = weights.layers[layer];
    if (!found) throw new Error(`no layer ${layer}`);
    return found;
  };
  const kvOf = (head: number): number => Math.floor((head * spec.kvHeads) / spec.heads);
  const ov = (layer: number, head: number): Matrix => {
    const { v, out, ln1Post } = layerOf(layer);
    const written = new Matrix(spec.dHead, spec.dModel);
    for (let i = 0; i < spec.dHead; i++)
      for (let o = 0; o < spec.dModel; o++)
        written.set(i, o, at(out.weight, o * out.inputs + head * spec.dHead + i) * (ln1Post ? at(ln1Post.weight, o) : 1));
    return part(v, layer, kvOf(head)).transpose().mmul(written);
  };
  const qk = (layer: number, head: number): Matrix => {
    const { q, k, qNorm, kNorm } = layerOf(layer);
    return part(q, layer, head, qNorm)
      .transpose()
      .mmul(part(k, layer, kvOf(head), kNorm));
  };
  const embedding = (): Matrix => Matrix.from1DArray(spec.vocab, spec.dModel, Array.from(weights.embed)).mul(spec.embedScale);
  const unembedding = (): Matrix =>
    folded(Matrix.from1DArray(spec.vocabOut, spec.dModel, Array.from(weights.unembed.weight)), weights.lnFinal);

  test.each(['ov', 'qk'] as const)('%s: singular values, and the tokens of the first directions', async (circuit) => {
    const head = spec.heads - 1;
    const whole = circuit === 'ov' ? ov(deep, head) : qk(deep, head);
    const svd = new SingularValueDecomposition(whole);
    const found = await bench.engine.headCircuit({ layer: deep, head, circuit, top: 3 });
    const size = at(svd.diagonal, 0);
    expect(found.singular).toHaveLength(spec.dHead);
    found.singular.forEach((each, i) => expect(Math.abs(each - (svd.diagonal[i] ?? 0)) / size).toBeLessThan(1e-5));
    expect(found.directions).toHaveLength(3);
    found.directions.forEach(({ value, reads, writes }, i) => {
      expect(value).toBe(found.singular[i]);
      const read = embedding()
        .mmul(svd.leftSingularVectors.subMatrixColumn([i]))
        .to1DArray();
      const table = circuit === 'ov' ? unembedding() : embedding();
      const written = table.mmul(svd.rightSingularVectors.subMatrixColumn([i])).to1DArray();
      const order = [...read.keys()].sort((a, b) => Math.abs(at(read, b)) - Math.abs(at(read, a)));
      const sign = Math.sign(at(read, order[0] ?? 0));
      const most = Math.abs(at(read, order[0] ?? 0));
      const far = Math.max(...written.map(Math.abs));
      expect(reads.map(({ id }) => id)).toEqual(order.slice(0, 3));
      for (const { id, weight } of reads) expect(Math.abs(weight - sign * at(read, id)) / most).toBeLessThan(CLOSE);
      for (const { id, weight } of writes) expect(Math.abs(weight - sign * at(written, id)) / far).toBeLessThan(CLOSE);
      expect(Math.abs(writes[0]?.weight ?? 0) / far).toBeCloseTo(1, 4);
    });
    expect(found.copying === undefined).toBe(circuit === 'qk');
    if (circuit === 'qk') return;
    const tokens = Math.min(spec.vocab, spec.vocabOut);
    const square = embedding()
      .subMatrix(0, tokens - 1, 0, spec.dModel - 1)
      .mmul(whole)
      .mmul(unembedding().transpose());
    const { realEigenvalues, imaginaryEigenvalues } = new EigenvalueDecomposition(square, { assumeSymmetric: false });
    const magnitude = realEigenvalues.reduce((sum, each, i) => sum + Math.hypot(each, imaginaryEigenvalues[i] ?? 0), 0);
    expect(found.copying).toBeCloseTo(square.trace() / magnitude, 3);
  });

  test('composition: every pair of heads, by the dense formula', async () => {
    const found = await bench.engine.composition('composition');
    const { layers, heads: many } = spec;
    const dense = Array.from({ length: layers }, (_, l) => Array.from({ length: many }, (_, h) => ({ ov: ov(l, h), qk: qk(l, h) })));
    for (const kind of ['q', 'k', 'v'] as const) {
      expect(found[kind].shape).toEqual([layers, many, layers, many]);
      found[kind].data.forEach((score, i) => {
        const [l2, h2, l1, h1] = [
          Math.floor(i / many / layers / many),
          Math.floor(i / many / layers) % many,
          Math.floor(i / many) % layers,
          i % many,
        ];
        const [late, early] = [dense[l2]?.[h2], dense[l1]?.[h1]];
        if (l1 >= l2 || !late || !early) return expect(score).toBeNaN();
        const reader = kind === 'v' ? late.ov : kind === 'q' ? late.qk : late.qk.transpose();
        expect(Math.abs(score - early.ov.mmul(reader).norm() / (early.ov.norm() * reader.norm()))).toBeLessThan(1e-5);
      });
    }
  });
}
