/** The engine's requests as the model room takes them, its answers as the client does, and plans as a person reads them. */
import type { Planned } from './api';
import type { EngineRun, EngineRunResult } from './contract';
import { LabError } from './errors';
import type { Op } from './gpu/commands';
import type { SequenceResult } from './model/collect';
import type { Sequence } from './model/run';

export function sequenceOf(request: EngineRun): Sequence {
  const { ids, logits } = request;
  const positions = ids.map((_, i) => i);
  return {
    ids,
    promptLength: request.promptLength,
    edits: request.edits,
    taps: request.taps,
    logits: logits === 'all' ? positions : logits === 'last' ? [ids.length - 1] : [],
    ...(typeof logits === 'object' ? { distribution: { positions, top: logits.top } } : {}),
  };
}

export function resultOf(request: EngineRun, out: SequenceResult | undefined, vocab: number, milliseconds: number): EngineRunResult {
  if (!out) throw new LabError('internal', 'A run gave no result.', 'Please report this.');
  const { logits } = request;
  const rows = out.logits.length / vocab;
  return {
    ids: [...request.ids],
    taps: out.taps,
    milliseconds,
    ...(logits === 'all' || logits === 'last' ? { logits: { shape: [rows, vocab], data: out.logits } } : {}),
    ...(typeof logits === 'object'
      ? {
          top: {
            ids: out.distribution.map((row) => row.top.map(({ id }) => id)),
            probabilities: out.distribution.map((row) => row.top.map(({ probability }) => probability)),
          },
        }
      : {}),
  };
}

export const printed = (ops: readonly Op[]): Planned[] =>
  ops.map((op) =>
    op.op === 'copy'
      ? { kernel: 'copy', workgroups: [], bytes: op.bytes, ...(op.hook ? { hook: op.hook } : {}) }
      : { kernel: `${op.kernel}/${op.variant}`, workgroups: op.groups, bytes: op.bytes, ...(op.hook ? { hook: op.hook } : {}) },
  );
