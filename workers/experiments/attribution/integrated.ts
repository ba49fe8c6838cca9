/**
 * The mean of gradients at a hook along a straight way of its values: x + α(to − x), α = (i + ½)/steps, all of the hook at once, everything before it as it is (Sundararajan
 * et al. 2017, along activations). Its product with to − x sums to what the whole way does to the metric, as steps grow.
 */
import type { Tensor } from '../../api';
import type { EngineEdit } from '../../contract';
import { gradients, type GradientSequence } from '../../model/backward/gradient';
import type { Hands } from './call';

/** Rows computed together at most. */
const ROWS = 512;

/** How many steps of a run of so many tokens go into one batch. */
export const together = (steps: number, tokens: number): number => Math.max(1, Math.min(steps, Math.floor(ROWS / tokens)));

export async function meanGradient(
  { model, hands, stop, turn }: Hands,
  base: GradientSequence,
  hook: string,
  to: Tensor,
  steps: number,
): Promise<Tensor> {
  const sum = new Float64Array(to.data.length);
  const most = together(steps, base.ids.length);
  for (let first = 0; first < steps; first += most) {
    stop?.();
    const some = Array.from({ length: Math.min(most, steps - first) }, (_, i): GradientSequence => {
      // Strength α of a replacement is x + α(to − x).
      const way: EngineEdit = {
        at: hook as EngineEdit['at'],
        where: 'all',
        skipSpecial: false,
        enabled: true,
        strength: (first + i + 0.5) / steps,
        kind: 'replace',
        value: to,
      };
      return { ...base, edits: [...base.edits, way] };
    });
    for (const { gradients: found } of await turn(() => gradients(model, some, [hook], [], hands)))
      found[hook]?.data.forEach((g, i) => (sum[i] = (sum[i] ?? 0) + g / steps));
  }
  return { shape: [...to.shape], data: Float32Array.from(sum) };
}
