/**
 * A cell as a sequence of a batch. In a causal model a patch at layer l and position p changes nothing before l and nothing before p: so the sequence enters at
 * layer l with the base run's residual, has rows from p on, and finds earlier keys and values in the base run's cache. What is patched is one record at the hook;
 * of resid_pre the patched stream is itself what it enters with.
 */
import { overHook, type Cell, type Over } from '../../model/causal/grid';
import type { Side } from '../../model/causal/sides';
import type { Patch, Sequence } from '../../model/run';
import type { Entry } from './chunks';
import { patchOf, type HookRows, type Other } from './values';

/** What a pair's cells are made from, layer by layer. */
export interface Stock {
  side: Side;
  /** The metric's position. */
  position: number;
  /** The base run's stream as it enters each layer, before that layer's own edits, [positions][d_model]; absent where it is computed from the embeddings. */
  streams: readonly (Float32Array | undefined)[];
  /** At the hook that is swept over: what is put there, and what the base run has. */
  other: readonly Other[];
  base: readonly (HookRows | undefined)[];
  /** Of latents: what a cell puts there, and where it first changes something. */
  latents?: { patch(latent: number): Patch; first(latent: number): number | undefined };
}

export interface Laid extends Entry {
  cell: Cell;
}

/** `direct`: the layers whose resid_pre has no edits in force, so that a patched stream may be what a cell enters with. */
export function sequenceOf(laid: Laid, over: Over | undefined, stock: Stock, direct: (layer: number) => boolean): Sequence {
  const { cell, layer, from } = laid;
  const { ids } = stock.side;
  const tokens = ids.length;
  const stream = stock.streams[layer];
  const common = {
    ids,
    promptLength: tokens,
    edits: [],
    taps: [],
    logits: [],
    scores: [stock.position],
    prefix: { of: 'kept' as const, length: from },
  };
  const other = stock.other[layer];
  const base = stock.base[layer];
  if (over === 'resid_pre' && direct(layer) && base) {
    const width = base.units * base.width;
    const residual = base.data.slice(from * width);
    const rows = cell.position === undefined ? [] : [cell.position];
    for (const p of rows) {
      const to = (p - from) * width;
      if (!other) residual.fill(0, to, to + width);
      else residual.set(other.data.subarray(other.count === 1 ? 0 : p * width, (other.count === 1 ? 0 : p * width) + width), to);
    }
    return { ...common, start: { layer, residual } };
  }
  const width = stream ? stream.length / tokens : 0;
  const patch = (): Patch => {
    if (stock.latents && cell.latent !== undefined) return stock.latents.patch(cell.latent);
    return patchOf(over ? overHook(over, layer) : '', cell, other, base, tokens);
  };
  return {
    ...common,
    ...(stream ? { start: { layer, residual: stream.slice(from * width) } } : {}),
    patches: [patch()],
  };
}
