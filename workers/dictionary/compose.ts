/**
 * Dictionaries into a plan: what compiled edits ask of them and who watches, hook by hook. The plan knows nothing of dictionaries; it calls what
 * stands here where a hook's rows lie ready.
 */
import { LabError } from '../errors';
import type { Op } from '../gpu/commands';
import type { Variants } from '../kernels/linear';
import type { Site } from '../kernels/rowwise';
import type { Segment } from '../model/edits';
import type { Insert, Inserts } from '../model/plan';
import type { Watched } from '../model/runtime';
import type { LoadedDictionary } from './load';
import { isNeurons, NeuronOps, type AnyDictionary } from './neurons';
import { DictionaryOps, Needs, type At } from './ops';
import { isTranscoder } from './spec';

export interface Composed {
  inserts: ReadonlyMap<string, Inserts>;
  /** To be done once before the plan. */
  setup: Op[];
  /** Buffers and their bytes; complete once the plan is made. */
  needs: ReadonlyMap<string, number>;
}

/** Where a dictionary may write: hooks whose rows can be changed between two kernels. */
const WRITABLE = /(^|\.)hook_(resid_pre|resid_mid|resid_post|attn_out|mlp_out|z|post)$/;

export function compose(
  call: {
    variants: Variants;
    rows: number;
    segments: ReadonlyMap<string, readonly Segment[]>;
    /** Of hooks without segments: their edits are done as ever before anyone reads. */
    sites: ReadonlyMap<string, Site>;
    watches: readonly Watched[];
  },
  loaded: (id: string) => AnyDictionary,
): Composed {
  const needs = new Needs();
  const ops = new DictionaryOps(call.variants, needs);
  const neurons = new NeuronOps(call.variants, needs);
  const inserts = new Map<string, { steps: (Site | Insert)[]; reads: Insert[] }>();
  const at = (hook: string): { steps: (Site | Insert)[]; reads: Insert[] } => {
    const site = call.sites.get(hook);
    const found = inserts.get(hook) ?? { steps: site ? [site] : [], reads: [] };
    inserts.set(hook, found);
    return found;
  };
  const setup: Op[] = [];
  let count = 0;
  const place = (hook: string, d: LoadedDictionary, made: { read: Insert; write: Insert }): void => {
    if (!WRITABLE.test(hook))
      throw new LabError(
        'edit-shape',
        `A dictionary cannot write at ${hook}.`,
        'Latents and splices act on the stream, on attn_out and mlp_out, on z and on the MLP’s post.',
      );
    // A transcoder reads in one place, before its own output's turn comes; a dictionary reads where it writes.
    if (isTranscoder(d.spec)) at(d.spec.hookIn).reads.push(made.read);
    at(hook).steps.push(isTranscoder(d.spec) ? made.write : (here) => [...made.read(here), ...made.write(here)]);
  };
  for (const [hook, segments] of call.segments) {
    at(hook);
    for (const segment of segments) {
      if (segment.kind === 'site') {
        at(hook).steps.push(segment.site);
        continue;
      }
      const d = loaded(segment.dictionary);
      const key = String(count++);
      if (isNeurons(d) && hook !== d.spec.hookOut)
        throw new LabError(
          'edit-shape',
          `${d.id} cannot be edited at ${hook}.`,
          `Neurons are edited where they are: at ${d.spec.hookOut}.`,
        );
      if (segment.kind === 'splice') {
        // What neurons reconstruct is what stands there.
        if (!isNeurons(d)) place(hook, d, ops.spliceEdit(d, { key, record: segment.record }));
        continue;
      }
      const far = segment.latents.find((latent) => latent >= d.spec.latents);
      if (far !== undefined)
        throw new LabError('latent-range', `This dictionary has no latent ${far}; it has ${d.spec.latents}.`, 'Latents count from 0.');
      if (isNeurons(d)) {
        const { first, latents } = segment;
        at(hook).steps.push((here) => neurons.edits(d, here, { first, count: latents.length }));
        continue;
      }
      const made = ops.latentEdits(d, { key, first: segment.first, latents: segment.latents, rows: call.rows });
      setup.push(...made.gathered);
      place(hook, d, made);
    }
  }
  for (const { dictionary, room, rows, lists, any, measured } of call.watches) {
    const d = loaded(dictionary);
    const some = (here: At): At => ({ ...here, rows: Math.min(rows, here.rows) });
    if (!measured) {
      at(d.spec.hookIn).reads.push((here) =>
        isNeurons(d) ? neurons.watch(d, some(here), room, lists) : ops.watch(d, some(here), room, lists, any),
      );
      continue;
    }
    const key = String(count++);
    at(d.spec.hookIn).reads.push((here) =>
      isNeurons(d) ? neurons.measureRead(d, some(here), key, room, lists) : ops.measureRead(d, some(here), key, room, lists),
    );
    at(d.spec.hookOut).reads.push((here) => ops.measureTarget(d, some(here), key, measured.errors, measured.y));
  }
  return { inserts, setup, needs: needs.sizes };
}
