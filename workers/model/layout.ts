/**
 * Widths as they lie in memory: everything that a kernel reads four at a time is padded to a multiple of four, and the
 * padding is zero in weights and activations alike.
 */
import { pad4 } from '../kernels/grid';
import type { ModelSpec } from './spec';

export interface Layout {
  dModel: number;
  dHead: number;
  dMlp: number;
  /** A row of logits. */
  vocab: number;
  /** All query heads side by side, padded: the width of z. */
  dHeads: number;
}

export { pad4 };

export function layoutOf(spec: ModelSpec): Layout {
  const dHead = pad4(spec.dHead);
  return { dModel: pad4(spec.dModel), dHead, dMlp: pad4(spec.dMlp), vocab: pad4(spec.vocabOut), dHeads: spec.heads * dHead };
}
