/** Where a path ends (Wang et al. 2022): heads' queries, keys or values, MLPs, the logits. Chosen by hand, kept over a reload; what the model in use does not have waits. */
import type { ModelInfo, Receiver } from '../../workers/api';
import { receiverName } from './patch-question';

const INPUTS = ['q', 'k', 'v'] as const;
export type Input = (typeof INPUTS)[number];

export class PathChoice {
  on = $state(false);
  receivers = $state.raw<readonly Receiver[]>(['logits']);
  throughMlps = $state(false);

  add(receiver: Receiver): void {
    const name = receiverName(receiver);
    if (!this.receivers.some((each) => receiverName(each) === name)) this.receivers = [...this.receivers, receiver];
  }
  remove(receiver: Receiver): void {
    this.receivers = this.receivers.filter((each) => each !== receiver);
  }
  /** Those that a model has. */
  of({ layers, heads, kvHeads }: Pick<ModelInfo, 'layers' | 'heads' | 'kvHeads'>): Receiver[] {
    return this.receivers.filter((each) => {
      if (each === 'logits') return true;
      return each.layer < layers && ('mlp' in each || each.head < (each.input === 'q' ? heads : kvHeads));
    });
  }

  kept(): Record<string, unknown> {
    const { on, receivers, throughMlps } = this;
    return { on, receivers, throughMlps };
  }
  restore(saved: unknown): void {
    if (typeof saved !== 'object' || saved === null) return;
    const { on, receivers, throughMlps } = saved as Record<string, unknown>;
    this.on = on === true;
    this.throughMlps = throughMlps === true;
    if (Array.isArray(receivers)) this.receivers = receivers.flatMap(readReceiver);
  }
}

const whole = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;

function readReceiver(value: unknown): Receiver[] {
  if (value === 'logits') return [value];
  if (typeof value !== 'object' || value === null) return [];
  const { layer, head, input, mlp } = value as Record<string, unknown>;
  if (!whole(layer)) return [];
  if (mlp === true) return [{ layer, mlp }];
  const known = INPUTS.find((each) => each === input);
  return whole(head) && known ? [{ layer, head, input: known }] : [];
}
