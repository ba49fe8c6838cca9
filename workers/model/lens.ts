/**
 * The logit lens: ln_final and W_U read at every layer's residual, its statistics recomputed there (as TransformerLens's
 * accumulated_resid with apply_ln), and how far each layer's distribution is from the last: KL(final ‖ layer), in nats.
 */
import type { EngineLens, EngineLensResult } from '../contract';
import { LabError } from '../errors';
import { Program, type Op } from '../gpu/commands';
import { distribution, resultWords } from '../kernels/distribution';
import { unembed } from './head';
import { Readback } from './readback';
import { NOBODY } from './rows';
import { distributionOf, runBatch } from './run';
import { pad4 } from './layout';
import type { Runtime } from './runtime';

/** Bytes of logits held at once; twice, for the layer and the reference. */
const LOGITS = 32 << 20;

export function lensLayers(layers: number): string[] {
  return [...Array.from({ length: layers }, (_, l) => `blocks.${l}.hook_resid_pre`), `blocks.${layers - 1}.hook_resid_post`];
}

export async function logitLens(
  model: Runtime,
  request: EngineLens,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<EngineLensResult> {
  const { planner, spec, gpu, scratch: pool } = model;
  const { layout } = planner;
  const { ids } = request;
  if (request.edits.some((edit) => edit.at.startsWith('ln_final.')))
    throw new LabError(
      'option-unsupported',
      'The lens reads every layer through the unedited ln_final; an edit there has no meaning for it.',
      'Leave out edits at ln_final, or read the logits with lab.run.',
    );
  if (request.track !== undefined && request.track >= spec.vocabOut)
    throw new LabError(
      'token-range',
      `${request.track} is no token that this model’s head names; those go from 0 to ${spec.vocabOut - 1}.`,
      'Track a token that can be an answer.',
    );
  const layers = lensLayers(spec.layers);
  // resid_pre of a layer is read before that layer's own edits at resid_pre would be applied twice: taps come after edits,
  // so each entry is the stream as the next block reads it.
  const [run] = await runBatch(model, [{ ids, promptLength: ids.length, edits: request.edits, taps: layers, logits: [] }]);
  const top = Math.min(request.top, spec.vocabOut);
  const step = resultWords(top);
  const positions = ids.length;
  const perChunk = Math.max(1, Math.min(positions, Math.floor(LOGITS / (4 * layout.vocab))));
  const rows: Float32Array<ArrayBuffer>[] = layers.map((hook) => padded(run?.taps[hook]?.data ?? new Float32Array(0), spec.dModel));
  const out: EngineLensResult = {
    layers,
    ids: [],
    probabilities: [],
    entropy: [],
    klToFinal: [],
    ...(request.track === undefined ? {} : { rank: [], probability: [] }),
  };
  for (let l = 0; l < layers.length; l++) {
    out.ids.push([]);
    out.probabilities.push([]);
    out.entropy.push([]);
    out.klToFinal.push([]);
    out.rank?.push([]);
    out.probability?.push([]);
  }
  const width = 4 * layout.dModel;
  for (let at = 0; at < positions; at += perChunk) {
    stop?.();
    const many = Math.min(perChunk, positions - at);
    pool.need('final', perChunk * width);
    pool.need('fn', perChunk * width);
    pool.need('logits', perChunk * layout.vocab * 4);
    pool.need('reference', perChunk * layout.vocab * 4);
    pool.need('lens', layers.length * many * width);
    pool.need('dist', layers.length * many * step * 4);
    const targets = new Uint32Array(layers.length * many).fill(request.track ?? NOBODY);
    gpu.write(pool.need('targets', targets.byteLength), 0, targets);
    rows.forEach((all, l) => gpu.write(pool.get('lens'), l * many * width, all.subarray(at * layout.dModel, (at + many) * layout.dModel)));
    const ops: Op[] = [];
    const read = (l: number, into: 'logits' | 'reference'): void => {
      ops.push({
        op: 'copy',
        from: 'lens',
        fromOffset: l * many * width,
        to: 'final',
        toOffset: 0,
        bytes: many * width,
        hook: layers[l] ?? '',
      });
      ops.push(...unembed(planner, { x: 'final', row0: 0, rows: many, normed: false, out: into }));
    };
    read(layers.length - 1, 'reference');
    layers.forEach((hook, l) => {
      read(l, 'logits');
      ops.push(
        distribution({
          logits: 'logits',
          reference: 'reference',
          rows: many,
          n: spec.vocabOut,
          stride: layout.vocab,
          k: top,
          outRow: l * many,
          hook,
        }),
      );
    });
    const readback = new Readback(gpu.limits.maxBufferSize);
    const bytes = layers.length * many * step * 4;
    const place = readback.reserve('dist', bytes);
    ops.push({ op: 'copy', from: 'dist', fromOffset: 0, to: place.to, toOffset: place.offset, bytes, hook: 'lens' });
    let program: Program | undefined;
    try {
      readback.allocate(gpu, pool);
      program = await Program.prepare(gpu, ops, pool);
      program.run(6);
      const all = (await readback.read(gpu))('dist');
      for (let l = 0; l < layers.length; l++)
        for (let p = 0; p < many; p++) {
          const row = distributionOf(all, (l * many + p) * step, top);
          out.ids[l]?.push(row.top.map(({ id }) => id));
          out.probabilities[l]?.push(row.top.map(({ probability }) => probability));
          out.entropy[l]?.push(Math.max(0, row.entropy));
          // The last entry is the reference itself; elsewhere rounding may leave a tiny negative number.
          out.klToFinal[l]?.push(l === layers.length - 1 ? 0 : Math.max(0, row.kl));
          out.rank?.[l]?.push(row.targetRank);
          out.probability?.[l]?.push(Math.exp(row.targetLogProb));
        }
    } finally {
      program?.free();
      readback.free(gpu);
    }
    progress?.(at + many, positions);
  }
  return out;
}

function padded(data: Float32Array, d: number): Float32Array<ArrayBuffer> {
  const width = pad4(d);
  const rows = data.length / d;
  const all = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) all.set(data.subarray(r * d, (r + 1) * d), r * width);
  return all;
}
