/**
 * What a dictionary does at a hook, as operations on the rows that lie in the hook's buffer: encode them, decode them again, and edit them
 * through single latents or as a whole. Scratch is shared by all dictionaries of a plan, since operations run one after the other; what must
 * outlive its place (a transcoder reads one hook and writes a later one) has a buffer of its own.
 */
import type { Op } from '../gpu/commands';
import { addLatents, decode, latents, listWords, normalise, rowError, select, splice } from '../kernels/dictionary';
import { pad4 } from '../kernels/grid';
import { FEW, linear, type Variants } from '../kernels/linear';
import type { LoadedDictionary } from './load';
import { isTranscoder } from './spec';

/** A hook's rows. */
export interface At {
  hook: string;
  buffer: string;
  rows: number;
}

/** A place in a buffer, by byte. */
export interface Place {
  to: string;
  offset: number;
}

/** Bytes of pre-activations held at once: more rows take turns. */
const PRE = 64 << 20;

/** Buffers that operations need, and how large. */
export class Needs {
  readonly sizes = new Map<string, number>();
  want(name: string, bytes: number): string {
    this.sizes.set(name, Math.max(bytes, this.sizes.get(name) ?? 0));
    return name;
  }
}

/** Rows [row0, row0 + rows) of a hook's buffer. */
interface Stretch {
  row0: number;
  rows: number;
}

/** A stretch's rows from the beginning of `from` to where they belong among all rows of `place`. */
export const copied = (from: string, { to, offset }: Place, { row0, rows }: Stretch, bytes: number, hook: string): Op => ({
  op: 'copy',
  from,
  fromOffset: 0,
  to,
  toOffset: offset + row0 * bytes,
  bytes: rows * bytes,
  hook,
});

export class DictionaryOps {
  constructor(
    protected readonly variants: Variants,
    protected readonly needs: Needs,
  ) {}

  /** At most so many rows at once. */
  protected stretches(d: LoadedDictionary, rows: number): Stretch[] {
    const most = Math.max(1, Math.floor(PRE / (4 * pad4(d.spec.latents))));
    return Array.from({ length: Math.ceil(rows / most) }, (_, i) => ({ row0: i * most, rows: Math.min(most, rows - i * most) }));
  }

  /** A stretch brought to the dictionary's scale; nothing where it reads the hook's buffer in place. */
  protected normalised(d: LoadedDictionary, { hook, buffer }: At, { row0, rows }: Stretch): Op[] {
    if (this.stats(d) === undefined) return [];
    const out = this.needs.want('sae.x', 4 * rows * d.input.words);
    const stats = this.needs.want('sae.stats', 8 * rows);
    const centre = d.spec.contract.normalisation !== 'layer_norm';
    return [normalise({ x: buffer, row0, rows, lying: d.input, out, stats, centre, hook })];
  }

  /** The encoder's product of a stretch: pre-activations still without bias. Two dispatches where rows are normalised first, else one. */
  protected product(d: LoadedDictionary, at: At, stretch: Stretch): Op[] {
    const stride = pad4(d.spec.latents);
    const { hook, buffer } = at;
    const { row0, rows } = stretch;
    return [
      ...this.normalised(d, at, stretch),
      ...linear({
        name: `${d.name}.enc`,
        ...this.read(d, buffer, row0, rows),
        rows,
        weights: d.encoder,
        epilogue: { kind: 'plain' },
        y: this.needs.want('sae.pre', 4 * rows * stride),
        yStride: stride,
        variants: this.variants,
        hook,
      }),
    ];
  }

  protected stats(d: LoadedDictionary): string | undefined {
    const { normalisation, residual } = d.spec.contract;
    return normalisation === 'layer_norm' || residual === 'centred' ? 'sae.stats' : undefined;
  }
  /** What undoes it. A transcoder writes elsewhere, where its input's mean and spread mean nothing. */
  protected undo(d: LoadedDictionary): string | undefined {
    return isTranscoder(d.spec) ? undefined : this.stats(d);
  }
  /** What the encoder reads: the hook's buffer in place, or its normalised copy. */
  protected read(d: LoadedDictionary, buffer: string, row0: number, rows: number): { x: string; row0: number } {
    return this.stats(d) === undefined ? { x: buffer, row0 } : { x: this.needs.want('sae.x', 4 * rows * d.input.words), row0: 0 };
  }

  /** Activations in `sae.pre` (but for `any`), lists with room for `room` pairs a row in `sae.list`. */
  protected encoded(d: LoadedDictionary, at: At, stretch: Stretch, room: number, any = false): Op[] {
    const { activation, latents: n, k } = d.spec;
    // A list with room for every latent is whole, so that no choice is made; and reconstructions are made from whole lists alone.
    const listing = activation !== 'topk' && (any || room >= n);
    const serial = this.variants.matmul === 'register' && (listing || stretch.rows > FEW);
    return [
      ...this.product(d, at, stretch),
      select({
        kind: activation,
        rows: stretch.rows,
        latents: n,
        stride: pad4(n),
        ...(k === undefined ? {} : { k }),
        room,
        serial,
        any: listing,
        scale: d.spec.contract.scale,
        pre: 'sae.pre',
        params: d.params,
        list: this.needs.want('sae.list', 4 * stretch.rows * listWords(room)),
        hook: at.hook,
      }),
    ];
  }

  /** The reconstruction of what `encoded` read, in `y`. */
  protected decoded(d: LoadedDictionary, at: At, stretch: Stretch, room: number, y: string): Op[] {
    const { rows } = stretch;
    this.needs.want(y, 4 * rows * d.output.words);
    return [
      ...decode({
        rows,
        matrix: d.decoder,
        room,
        stride: pad4(d.spec.latents),
        stats: this.undo(d),
        scale: d.spec.contract.scale,
        lying: d.output,
        list: 'sae.list',
        pre: 'sae.pre',
        params: d.params,
        bias: d.bias,
        y,
        hook: at.hook,
      }),
      ...(d.skip
        ? linear({
            name: `${d.name}.skip`,
            x: at.buffer,
            row0: stretch.row0,
            rows,
            weights: d.skip,
            epilogue: { kind: 'residual' },
            y,
            yStride: d.output.words,
            variants: this.variants,
            hook: at.hook,
          })
        : []),
    ];
  }

  /** Lists of the active latents of every row, copied to `place`, a row after the other. `any`: where there is no room for all, it matters not which. */
  watch(d: LoadedDictionary, at: At, room: number, place: Place, any = false): Op[] {
    const bytes = 4 * listWords(room);
    return this.stretches(d, at.rows).flatMap((stretch): Op[] => [
      ...this.encoded(d, at, stretch, room, any),
      copied('sae.list', place, stretch, bytes, at.hook),
    ]);
  }

  /** Everything that encode() tells, where the dictionary reads: lists as `watch`, and every row's reconstruction, kept for `target`. */
  measureRead(d: LoadedDictionary, at: At, key: string, room: number, lists: Place): Op[] {
    const bytes = 4 * listWords(room);
    const width = 4 * d.output.words;
    const kept = this.needs.want(`sae.y.${key}`, at.rows * width);
    return this.stretches(d, at.rows).flatMap((stretch): Op[] => [
      ...this.encoded(d, at, stretch, room),
      ...this.decoded(d, at, stretch, room, 'sae.y'),
      copied('sae.list', lists, stretch, bytes, at.hook),
      copied('sae.y', { to: kept, offset: 0 }, stretch, width, at.hook),
    ]);
  }

  /** Where what is reconstructed lies: ‖x − y‖ and ‖x‖ of every row to `errors`, and the reconstructions to `y` where they are wanted. */
  measureTarget(d: Pick<LoadedDictionary, 'output'>, at: At, key: string, errors: Place, y: Place | undefined): Op[] {
    const { rows, hook } = at;
    const whole = { row0: 0, rows };
    const kept = `sae.y.${key}`;
    return [
      rowError({ x: at.buffer, ...whole, words: d.output.words, y: kept, out: this.needs.want('sae.errors', 8 * rows), outRow: 0, hook }),
      copied('sae.errors', errors, whole, 8, hook),
      ...(y ? [copied(kept, y, whole, 4 * d.output.words, hook)] : []),
    ];
  }

  /** Rows of single latents, one after the other. */
  protected gather(matrix: LoadedDictionary['encoder'], latents: readonly number[], to: string): Op[] {
    const bytes = matrix.k * (matrix.dtype === 'f32' ? 4 : 2);
    this.needs.want(to, latents.length * bytes);
    return latents.flatMap((latent, j): Op[] => {
      const piece = matrix.pieces.find(({ row0, rows }) => latent >= row0 && latent < row0 + rows);
      if (!piece) return [];
      const fromOffset = (latent - piece.row0) * bytes;
      return [{ op: 'copy', from: piece.buffer, fromOffset, to, toOffset: j * bytes, bytes, hook: 'latent' }];
    });
  }

  /**
   * `latent` edits: `read` where the dictionary reads, `write` where it writes. Each sees the same clean activations. `gathered`: operations that
   * bring the edited latents' rows together, once for as long as the edits stay.
   */
  latentEdits(
    d: LoadedDictionary,
    call: { key: string; first: number; latents: readonly number[]; rows: number },
  ): { gathered: Op[]; read: (at: At) => Op[]; write: (at: At) => Op[] } {
    const { key, first } = call;
    const count = call.latents.length;
    const { activation } = d.spec;
    const dense = activation === 'topk';
    const changes = this.needs.want(`sae.changes.${key}`, 4 * call.rows * count);
    const encoder = `sae.encoder.${key}`;
    const decoder = `sae.decoder.${key}`;
    return {
      gathered: [...(dense ? [] : this.gather(d.encoder, call.latents, encoder)), ...this.gather(d.decoder, call.latents, decoder)],
      read: (at) => {
        const common = {
          kind: activation,
          first,
          count,
          scale: d.spec.contract.scale,
          params: d.params,
          out: changes,
          stats: this.undo(d),
          hook: at.hook,
        };
        // A latent of topk is active or not by what all others are.
        if (dense)
          return this.stretches(d, at.rows).flatMap((stretch) => [
            ...this.encoded(d, at, stretch, Math.max(1, d.spec.k ?? 1)),
            latents({ ...common, ...stretch, from: { pre: 'sae.pre', stride: pad4(d.spec.latents) } }),
          ]);
        const stretch = { row0: 0, rows: at.rows };
        const source = this.read(d, at.buffer, 0, at.rows);
        return [
          ...this.normalised(d, at, stretch),
          latents({
            ...common,
            ...stretch,
            from: { x: source.x, xRow0: 0, words: d.input.words, encoder, dtype: d.encoder.dtype },
          }),
        ];
      },
      write: (at) => [
        addLatents({
          x: at.buffer,
          row0: 0,
          rows: at.rows,
          words: d.output.words,
          count,
          changes,
          decoder,
          dtype: d.decoder.dtype,
          hook: at.hook,
        }),
      ],
    };
  }

  /** The whole reconstruction in the place of what it reconstructs; `read` where the dictionary reads, `write` where it writes. */
  spliceEdit(d: LoadedDictionary, call: { key: string; record: number }): { read: (at: At) => Op[]; write: (at: At) => Op[] } {
    const y = `sae.y.${call.key}`;
    return {
      read: (at) => {
        this.needs.want(y, 4 * at.rows * d.output.words);
        const room = Math.min(d.spec.latents, 1024);
        return this.stretches(d, at.rows).flatMap((stretch): Op[] => [
          ...this.encoded(d, at, stretch, room),
          ...this.decoded(d, at, stretch, room, 'sae.y'),
          copied('sae.y', { to: y, offset: 0 }, stretch, 4 * d.output.words, at.hook),
        ]);
      },
      write: (at) => [splice({ x: at.buffer, row0: 0, rows: at.rows, words: d.output.words, y, record: call.record, hook: at.hook })],
    };
  }
}
