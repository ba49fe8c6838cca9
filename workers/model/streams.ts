/**
 * The streams of a generation as rows of one batch: steered, the baseline beside it, and a shadow (the unedited model
 * reading the steered text). Edits belong to sequence 0, the steered one.
 */
import type { EngineGenerate } from '../contract';
import type { Row } from './rows';

export interface Stream {
  kind: 'steered' | 'baseline' | 'shadow';
  row: number;
  /** The stream whose tokens it reads. */
  reads: number;
}

export function streamsOf(request: Pick<EngineGenerate, 'baseline' | 'shadow'>): Stream[] {
  const streams: Stream[] = [{ kind: 'steered', row: 0, reads: 0 }];
  // Rows that sample come first: the shadow samples nothing.
  if (request.baseline) streams.push({ kind: 'baseline', row: streams.length, reads: streams.length });
  if (request.shadow) streams.push({ kind: 'shadow', row: streams.length, reads: 0 });
  return streams;
}

export const sampledStreams = (streams: readonly Stream[]): number => streams.filter((each) => each.kind !== 'shadow').length;

/** A stream's row at a position. The shadow reads the baseline's keys of the prompt, where there is a baseline. */
export function rowOf(stream: Stream, streams: readonly Stream[], token: number, position: number, promptLength: number): Row {
  const lender = stream.kind === 'shadow' ? streams.find((each) => each.kind === 'baseline') : undefined;
  return {
    token,
    position,
    slot: stream.row,
    prefixSlot: lender?.row ?? stream.row,
    prefixLength: lender ? promptLength : 0,
    sequence: stream.row,
    follow: stream.reads,
  };
}
