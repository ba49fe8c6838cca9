/** What is asked of a batch's logits: the rows are gathered, read out a chunk at a time, and copied out whole or reduced where they lie. Pure. */
import type { Op } from '../gpu/commands';
import { distribution, resultWords } from '../kernels/distribution';
import { metricRows, SCORE_WORDS, SCORED_ROWS } from '../kernels/metric';
import { unembed } from './head';
import type { Planner, Stream } from './plan';
import type { Readback } from './readback';
import { NOBODY } from './rows';
import type { Laid, Together } from './run';
import type { ModelSpec } from './spec';

/** Bytes of logits held at once. */
const LOGITS = 64 << 20;

export interface LogitReads {
  ops: Op[];
  /** Rows of the logits buffer; words of the distributions' and bytes of the metrics' results. */
  logits: number;
  results: number;
  scoreBytes: number;
  targets: number[];
  top: number;
}

export function logitReads(
  { planner, spec }: { planner: Planner; spec: ModelSpec },
  laid: readonly Laid[],
  stream: Stream,
  readback: Readback,
  score: Together['score'],
): LogitReads {
  const { layout } = planner;
  const ops: Op[] = [];
  const perChunk = Math.max(1, Math.min(Math.floor(LOGITS / (4 * layout.vocab)), 4096));
  const wantWhole = laid.flatMap(({ sequence, row0, first }, i) =>
    sequence.logits.map((position, j) => ({ row: row0 + position - first, key: `${i}/logits/${j}`, target: NOBODY })),
  );
  const wantRead = laid.flatMap(({ sequence, row0, first }) =>
    (sequence.distribution?.positions ?? []).map((position, j) => ({
      row: row0 + position - first,
      key: '',
      target: sequence.distribution?.targets?.[j] ?? NOBODY,
    })),
  );
  const top = Math.max(0, ...laid.map(({ sequence }) => sequence.distribution?.top ?? 0));
  const gather = (want: readonly { row: number }[]): void => {
    want.forEach(({ row }, to) => {
      const last = ops.at(-1);
      const from = 4 * row * layout.dModel;
      // Neighbouring rows travel together.
      if (to > 0 && last?.op === 'copy' && last.to === 'final' && last.fromOffset + last.bytes === from) last.bytes += 4 * layout.dModel;
      else
        ops.push({
          op: 'copy',
          from: stream.buffer,
          fromOffset: from,
          to: 'final',
          toOffset: 4 * to * layout.dModel,
          bytes: 4 * layout.dModel,
          hook: 'logits',
        });
    });
    ops.push(...unembed(planner, { x: 'final', row0: 0, rows: want.length, normed: stream.normed }));
  };
  for (let at = 0; at < wantWhole.length; at += perChunk) {
    const chunk = wantWhole.slice(at, at + perChunk);
    gather(chunk);
    chunk.forEach(({ key }, i) => {
      const { to, offset } = readback.reserve(key, 4 * layout.vocab);
      ops.push({
        op: 'copy',
        from: 'logits',
        fromOffset: 4 * i * layout.vocab,
        to,
        toOffset: offset,
        bytes: 4 * layout.vocab,
        hook: 'logits',
      });
    });
  }
  for (let at = 0; at < wantRead.length; at += perChunk) {
    const chunk = wantRead.slice(at, at + perChunk);
    gather(chunk);
    ops.push(
      distribution({
        logits: 'logits',
        rows: chunk.length,
        n: spec.vocabOut,
        stride: layout.vocab,
        k: Math.min(top, spec.vocabOut),
        outRow: at,
        hook: 'logits',
      }),
    );
  }
  const results = wantRead.length * resultWords(Math.min(top, spec.vocabOut));
  if (results) {
    const { to, offset } = readback.reserve('dist', 4 * results);
    ops.push({ op: 'copy', from: 'dist', fromOffset: 0, to, toOffset: offset, bytes: 4 * results, hook: 'logits' });
  }
  const wantScored = laid.flatMap(({ sequence, row0, first }, i) =>
    (sequence.scores ?? []).map((position) => ({ row: row0 + position - first, sequence: i })),
  );
  const atOnce = Math.min(perChunk, SCORED_ROWS);
  for (let at = 0; score && at < wantScored.length; at += atOnce) {
    const chunk = wantScored.slice(at, at + atOnce);
    const { reference, tokens } = score;
    gather(chunk);
    const own = chunk.findIndex((each) => each.sequence === reference?.of);
    if (reference && own >= 0) {
      const bytes = 4 * layout.vocab;
      ops.push({ op: 'copy', from: 'logits', fromOffset: own * bytes, to: reference.buffer, toOffset: 0, bytes, hook: 'logits' });
    }
    const against = reference ? { reference: reference.buffer } : {};
    ops.push(metricRows({ rows: chunk.length, n: spec.vocabOut, stride: layout.vocab, outRow: at, tokens, ...against, hook: 'logits' }));
  }
  const scoreBytes = 4 * SCORE_WORDS * wantScored.length;
  if (scoreBytes) {
    const { to, offset } = readback.reserve('metric', scoreBytes);
    ops.push({ op: 'copy', from: 'metric', fromOffset: 0, to, toOffset: offset, bytes: scoreBytes, hook: 'logits' });
  }
  return {
    ops,
    logits: Math.min(perChunk, Math.max(wantWhole.length, wantRead.length, Math.min(atOnce, wantScored.length))),
    results,
    scoreBytes,
    targets: wantRead.map((each) => each.target),
    top: Math.min(top, spec.vocabOut),
  };
}
