/** What a decoded token costs, counted rather than timed: the plan's dispatches and bytes, held against the device's own counters. */
import type { Engine } from '../workers/engine';
import type { Shape } from './model';
import { promptOf } from './model';
import { greedy } from './ours';

export interface Cost {
  /** As planned (engine.explainGenerate). */
  dispatches: number;
  copies: number;
  /** Weights and activations that must move at least, read and written once. */
  bytes: number;
  /** As counted between the 4th and the 12th token. */
  counted: { dispatches: number; copies: number; submits: number; bytesRead: number; bytesWritten: number; pipelines: number };
  /** Pipelines built in all since the device was opened, the contest of variants included. */
  pipelines: number;
  bytesHigh: number;
}

const FROM = 4;
const TO = 12;

export async function costOf(engine: Engine, shape: Shape): Promise<Cost> {
  const request = greedy(promptOf(shape, 16), TO + 4);
  const planned = await engine.explainGenerate(request);
  const id = await engine.open(request);
  try {
    for (let i = 0; i < FROM; i++) await engine.next(id);
    const before = (await engine.device()).counters;
    for (let i = FROM; i < TO; i++) await engine.next(id);
    const { counters, bytesHigh } = await engine.device();
    const each = (name: keyof typeof counters): number => (counters[name] - before[name]) / (TO - FROM);
    return {
      dispatches: planned.filter(({ kernel }) => kernel !== 'copy').length,
      copies: planned.filter(({ kernel }) => kernel === 'copy').length,
      bytes: planned.reduce((sum, { bytes }) => sum + bytes, 0),
      counted: {
        dispatches: each('dispatches'),
        copies: each('copies'),
        submits: each('submits'),
        bytesRead: each('bytesRead'),
        bytesWritten: each('bytesWritten'),
        pipelines: counters.pipelines - before.pipelines,
      },
      pipelines: counters.pipelines,
      bytesHigh,
    };
  } finally {
    await engine.close(id);
  }
}
