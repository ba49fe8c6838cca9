/** From the final stream to logits: ln_final, W_U, and the cap where a model has one. */
import type { Op } from '../gpu/commands';
import { FEW, linear } from '../kernels/linear';
import { norm } from '../kernels/rowwise';
import { matrixOf } from './matrices';
import type { Planner } from './plan';

/** Logits of `rows` rows of x (from row0) into `logits`; ln_final first unless it was applied. `bare`: the product with W_U alone. */
export function unembed(
  planner: Planner,
  call: { x: string; row0: number; rows: number; normed: boolean; out?: string; bare?: boolean },
): Op[] {
  const { spec, layout, weights, variants } = planner;
  const gain = weights.vectors.get('ln_final.w') ?? 0;
  const ops: Op[] = [];
  let source: { x: string; row0: number; norm?: { kind: 'layer' | 'rms'; gain: number; width: number; eps: number } } = {
    x: call.x,
    row0: call.row0,
  };
  const { kind } = spec.norm;
  if (!call.normed && kind !== 'none') {
    if (call.rows <= FEW) source = { ...source, norm: { kind, gain, width: spec.dModel, eps: spec.norm.eps } };
    else {
      ops.push(
        norm({
          rows: call.rows,
          hook: 'ln_final.hook_normalized',
          kind,
          x: call.x,
          row0: call.row0,
          out: 'fn',
          d: spec.dModel,
          stride: layout.dModel,
          gain,
          eps: spec.norm.eps,
          serial: variants.matmul === 'register',
        }),
      );
      source = { x: 'fn', row0: 0 };
    }
  }
  const bias = call.bare ? undefined : weights.vectors.get('unembed.b');
  ops.push(
    ...linear({
      name: 'unembed',
      ...source,
      rows: call.rows,
      weights: matrixOf(weights, spec.tied ? 'embed' : 'unembed'),
      bias,
      epilogue: { kind: 'plain', softcap: call.bare ? 0 : spec.logitCap },
      y: call.out ?? 'logits',
      yStride: layout.vocab,
      variants,
    }),
  );
  return ops;
}
