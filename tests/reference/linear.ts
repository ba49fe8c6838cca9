/** y = x·Wᵀ + b for rows of x, with W stored [out, in] as torch.nn.Linear keeps it. */
import { at, dot } from './array';

export interface Linear {
  /** [out, in] */
  weight: ArrayLike<number>;
  inputs: number;
  outputs: number;
  bias?: ArrayLike<number>;
}

export function linear(x: ArrayLike<number>, { weight, inputs, outputs, bias }: Linear): Float64Array {
  const rows = x.length / inputs;
  if (!Number.isInteger(rows) || weight.length !== inputs * outputs) throw new RangeError('shapes of x and W do not fit');
  const out = new Float64Array(rows * outputs);
  for (let row = 0; row < rows; row++)
    for (let o = 0; o < outputs; o++) out[row * outputs + o] = dot(x, row * inputs, weight, o * inputs, inputs) + (bias ? at(bias, o) : 0);
  return out;
}
