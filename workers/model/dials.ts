/** The dials of a generation: what each edit is set to now, and how that reaches the GPU, two words at a time. */
import { LabError } from '../errors';
import type { EngineEdit, EngineStep } from '../contract';
import { strengthOf, valueOf } from './edits';

export type Snapshot = EngineStep['dials'];
export interface DialChange {
  value?: number;
  strength?: number;
  enabled?: boolean;
}

interface Dial {
  value: number | undefined;
  strength: number;
  enabled: boolean;
}

export class Dials {
  private readonly all: Dial[];

  constructor(edits: readonly EngineEdit[]) {
    this.all = edits.map((edit) => ({ value: valueOf(edit), strength: edit.strength, enabled: edit.enabled }));
  }

  change(i: number, change: DialChange): void {
    const dial = this.all[i];
    if (!dial)
      throw new LabError(
        'edit-shape',
        `There is no edit ${i}; this generation has ${this.all.length}.`,
        'Edits count from 0, in the order given.',
      );
    for (const each of [change.value, change.strength])
      if (each !== undefined && !Number.isFinite(each))
        throw new LabError('edit-shape', `A dial cannot be set to ${each}.`, 'Give a finite number.');
    if (change.value !== undefined && dial.value === undefined)
      throw new LabError('edit-shape', 'This edit has no number of its own.', 'Move its strength instead.');
    if (change.value !== undefined) dial.value = change.value;
    if (change.strength !== undefined) dial.strength = change.strength;
    if (change.enabled !== undefined) dial.enabled = change.enabled;
  }

  snapshot(): Snapshot {
    return this.all.map((dial) => ({ ...(dial.value === undefined ? {} : { value: dial.value }), strength: strengthOf(dial) }));
  }
}

/** A dial's words in the edits buffer: value, strength. */
export const dialWords = (dial: Snapshot[number]): Float32Array<ArrayBuffer> => new Float32Array([dial.value ?? 0, dial.strength]);

export const sameDials = (a: Snapshot, b: Snapshot): boolean =>
  a.every((dial, i) => dial.value === b[i]?.value && dial.strength === b[i]?.strength);
