/**
 * What dictionaries' edits do to a gradient on its way back, as operations on the rows of gradients that lie in a hook's buffer: the transposes of dictionary/ops.ts.
 * What latents add goes along their decoder rows into their activations, through the slope of the activation (the true one almost everywhere: a latent at rest has
 * none; which latents a top-k takes, and where a JumpReLU jumps, has none), along their encoder rows, and through the normalisation onto what the dictionary read.
 * Activations are computed again, from the values that the forward run kept where the dictionary read them.
 */
import type { Op } from '../gpu/commands';
import { linearBack } from '../kernels/backward';
import { decodeBack, encodeBack, latentsBack, spliceBack } from '../kernels/dictionary-backward';
import { pad4 } from '../kernels/grid';
import { linear, type WeightMatrix } from '../kernels/linear';
import { editNeurons } from '../kernels/neurons';
import type { Site } from '../kernels/rowwise';
import type { ComposeBack } from '../model/backward/inserts';
import type { Segment } from '../model/edits';
import type { Insert } from '../model/plan';
import type { LoadedDictionary } from './load';
import { isNeurons, type AnyDictionary } from './neurons';
import { copied, DictionaryOps, Needs, type At } from './ops';
import { isTranscoder } from './spec';

/** Of one edit: `write` where the dictionary writes, then `read` where it reads: rows of gradients both. `x`: what it read. */
interface Back {
  /** Once, before the rest. */
  setup: Op[];
  write: Insert;
  read: Insert;
}

class DictionaryBack extends DictionaryOps {
  /** Where a gradient at the dictionary's own scale meets the hook that it read. `side`: of what undid the normalisation. */
  private encodeBack(d: LoadedDictionary, at: At, x: string, u: string, side: string | undefined): Op[] {
    const { rows, hook, buffer } = at;
    const stats = this.stats(d);
    const centre = d.spec.contract.normalisation !== 'layer_norm';
    const whole = { row0: 0, rows };
    return [
      ...this.normalised(d, { ...at, buffer: x }, whole),
      encodeBack({ x: buffer, u, rows, lying: d.input, hook, ...(stats ? { norm: { centre, normalised: 'sae.x', stats, side } } : {}) }),
    ];
  }

  private project(d: LoadedDictionary, name: string, at: At & { row0?: number }, weights: WeightMatrix, y: string): Op[] {
    const { rows, row0 = 0, hook, buffer } = at;
    const yStride = pad4(weights.n);
    this.needs.want(y, 4 * rows * yStride);
    const { variants } = this;
    return linear({ name: `${d.name}.${name}`, x: buffer, row0, rows, weights, epilogue: { kind: 'plain' }, y, yStride, variants, hook });
  }

  latentsBack(d: LoadedDictionary, x: string, call: { key: string; first: number; latents: readonly number[] }): Back {
    const { key, first, latents } = call;
    const count = latents.length;
    const width = pad4(count);
    const rowsOf = (name: string, like: WeightMatrix): WeightMatrix => ({
      ...like,
      n: count,
      pieces: [{ buffer: `sae.${name}.back.${key}`, row0: 0, rows: count }],
    });
    const encoder = rowsOf('encoder', d.encoder);
    const decoder = rowsOf('decoder', d.decoder);
    const [kind, dense] = [d.spec.activation, d.spec.activation === 'topk'];
    const undo = this.undo(d);
    const side = undo && `sae.side.${key}`;
    const u = `sae.u.${key}`;
    return {
      setup: [encoder, decoder].flatMap((matrix, i) =>
        this.gather(i === 0 ? d.encoder : d.decoder, latents, matrix.pieces[0]?.buffer ?? ''),
      ),
      write: (at) => {
        const { rows, hook } = at;
        const read: At = { ...at, buffer: x };
        const common = {
          kind,
          first,
          count,
          scale: d.spec.contract.scale,
          params: d.params,
          h: 'sae.h',
          width,
          ...(undo && side ? { undone: { stats: undo, side: this.needs.want(side, 8 * rows) } } : {}),
          hook,
        };
        const whole = { row0: 0, rows };
        const slopes = dense
          ? this.stretches(d, rows).flatMap((stretch): Op[] => [
              ...this.encoded(d, read, stretch, Math.max(1, d.spec.k ?? 1)),
              latentsBack({ ...common, ...stretch, dense, pre: 'sae.pre', stride: pad4(d.spec.latents) }),
            ])
          : [
              ...this.normalised(d, read, whole),
              ...this.project(d, 'enc', { ...read, buffer: this.read(d, x, 0, rows).x }, encoder, 'sae.p'),
              latentsBack({ ...common, ...whole, dense, pre: 'sae.p', stride: width }),
            ];
        return [
          ...this.project(d, 'dec', at, decoder, 'sae.h'),
          ...slopes,
          ...this.toInput(encoder, rows, { h: 'sae.h', stride: width, u: this.needs.want(u, 4 * rows * d.input.words), hook }),
        ];
      },
      read: (at) => this.encodeBack(d, at, x, u, side),
    };
  }

  private toInput(weights: WeightMatrix, rows: number, call: { h: string; stride: number; u: string; hook: string; add?: boolean }): Op[] {
    const { h, stride, u, hook, add = false } = call;
    return linearBack({ weights, source: { kind: 'plain', dy: h, stride }, rows, dx: u, add, hook });
  }

  spliceBack(d: LoadedDictionary, x: string, { key, record }: { key: string; record: number }): Back {
    const { spec, input, output } = d;
    const stride = pad4(spec.latents);
    const undo = this.undo(d);
    const [part, y, u, side] = ['part', 'y', 'u', 'side'].map((name) => `sae.${name}.back.${key}`) as [string, string, string, string];
    const room = Math.min(spec.latents, 1024);
    return {
      setup: [],
      write: (at) => {
        const { rows, hook } = at;
        const { needs } = this;
        const words = output.words;
        const read: At = { ...at, buffer: x };
        needs.want(part, 4 * rows * words);
        needs.want(u, 4 * rows * input.words);
        if (undo) {
          needs.want(y, 4 * rows * words);
          needs.want(side, 8 * rows);
        }
        // A reconstruction that undid a normalisation is looked at before its part is taken, and statistics of all rows at once.
        const again = !undo
          ? []
          : [
              ...this.stretches(d, rows).flatMap((stretch): Op[] => [
                ...this.encoded(d, read, stretch, room),
                ...this.decoded(d, read, stretch, room, 'sae.y'),
                copied('sae.y', { to: y, offset: 0 }, stretch, 4 * words, hook),
              ]),
              ...this.normalised(d, read, { row0: 0, rows }),
            ];
        const undone = undo ? { undone: { y, stats: undo, side } } : {};
        return [
          ...again,
          spliceBack({ x: at.buffer, rows, words, record, part, hook, ...undone }),
          ...this.stretches(d, rows).flatMap((stretch): Op[] => [
            ...(spec.activation === 'topk' ? this.encoded(d, read, stretch, room) : this.product(d, read, stretch)),
            ...this.project(d, 'dec', { ...at, ...stretch, buffer: part }, d.decoder, 'sae.h'),
            decodeBack({
              kind: spec.activation,
              rows: stretch.rows,
              latents: spec.latents,
              stride,
              scale: spec.contract.scale,
              h: 'sae.h',
              pre: 'sae.pre',
              params: d.params,
              stats: undo,
              hook,
            }),
            ...this.toInput(d.encoder, stretch.rows, { h: 'sae.h', stride, u: needs.want('sae.u', 4 * stretch.rows * input.words), hook }),
            copied('sae.u', { to: u, offset: 0 }, stretch, 4 * input.words, hook),
          ]),
        ];
      },
      read: (at) => [
        ...this.encodeBack(d, at, x, u, undo && side),
        // A skip connection reads the hook as it is.
        ...(d.skip ? this.toInput(d.skip, at.rows, { h: part, stride: output.words, u: at.buffer, hook: at.hook, add: true }) : []),
      ],
    };
  }
}

/** The segments of gradients' edits, which stand in the order in which gradients meet them, into what a backward plan does at its hooks. */
export function composeBack(
  call: Parameters<ComposeBack>[0] & { variants: ConstructorParameters<typeof DictionaryOps>[0] },
  loaded: (id: string) => AnyDictionary,
): ReturnType<ComposeBack> {
  const needs = new Needs();
  const ops = new DictionaryBack(call.variants, needs);
  const inserts = new Map<string, { steps: (Site | Insert)[]; reads: Insert[] }>();
  const at = (hook: string): { steps: (Site | Insert)[]; reads: Insert[] } => {
    const site = call.sites.get(hook);
    const found = inserts.get(hook) ?? { steps: site ? [site] : [], reads: [] };
    inserts.set(hook, found);
    return found;
  };
  const setup: Op[] = [];
  const steps = new Map<string, Set<number>>();
  const reads = new Set<string>();
  let count = 0;
  for (const [hook, segments] of call.segments) {
    const here = at(hook);
    let left = segments.filter((segment) => operates(segment, loaded)).length;
    for (const segment of segments) {
      if (segment.kind === 'site') {
        here.steps.push(segment.site);
        continue;
      }
      if (!operates(segment, loaded)) continue;
      const d = loaded(segment.dictionary);
      // Of the forward run's operations here the last comes first.
      const step = --left;
      if (isNeurons(d)) {
        if (segment.kind !== 'latents') continue;
        const { first, latents } = segment;
        here.steps.push(({ buffer, rows, hook }) => [
          editNeurons({ rows, stride: d.input.words, first, count: latents.length, x: buffer, hook, slopes: true }),
        ]);
        continue;
      }
      const across = isTranscoder(d.spec);
      const x = across ? call.kept.hook(d.spec.hookIn) : call.kept.step(hook, step);
      if (across) reads.add(d.spec.hookIn);
      else steps.set(hook, (steps.get(hook) ?? new Set()).add(step));
      const key = String(count++);
      const back = segment.kind === 'splice' ? ops.spliceBack(d, x, { ...segment, key }) : ops.latentsBack(d, x, { ...segment, key });
      setup.push(...back.setup);
      here.steps.push(across ? back.write : (rows) => [...back.write(rows), ...back.read(rows)]);
      if (across) at(d.spec.hookIn).reads.push(back.read);
    }
  }
  return { inserts, setup, needs: needs.sizes, steps, reads };
}

/** Has it an operation in a run? A splice of neurons has none: they reconstruct what stands there. */
const operates = (segment: Segment, loaded: (id: string) => AnyDictionary): boolean =>
  segment.kind === 'latents' || (segment.kind === 'splice' && !isNeurons(loaded(segment.dictionary)));
