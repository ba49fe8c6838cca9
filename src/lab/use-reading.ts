/** The part of `window.lab` that reads what is there: what each component adds to a logit, what heads attend to, what weights say, lenses that are kept. */
import * as Comlink from 'comlink';
import type { Remote } from 'comlink';
import type { AttributeRequest, Edit, Job, Lab, LensInfo, Metric, ModelInfo } from '../../workers/api';
import type { EngineApi, EngineEdit, FilesApi, LensRecord } from '../../workers/contract';
import { LabError, throwIfAborted } from '../../workers/errors';
import { asJob, notYet, told } from './jobs';
import { count, within } from './requests';
import type { Text } from './text';

interface Parts {
  engine: Remote<EngineApi>;
  files: Remote<FilesApi>;
  text: Text;
  model: () => ModelInfo;
  edits(list: readonly Edit[] | undefined, bos: boolean | undefined): Promise<EngineEdit[]>;
  /** Brings a dictionary onto the GPU. */
  attach(id: string): Promise<unknown>;
  changed(): void;
}

/** Tokens that are said twice, unless a caller says how many. */
const LENGTH = 50;
/** Tokens that a lens is trained on, a sequence's, and how many are fetched at once. */
const TOKENS = 20_000;
const STEPS = 60;
const CONTEXT = 128;
const CHUNK = 4096;

export type Reading = Pick<Lab, 'attribute' | 'headScores' | 'headCircuit' | 'composition' | 'trainLens'> & {
  /** The lens that a request means, with its file: the one it names, else the newest of its kind that fits the model in use. */
  lensFor(request: { kind: string; lens?: string }): Promise<LensRecord>;
};

export function useReading({ engine, files, text, model, edits, attach, changed }: Parts): Reading {
  /** The tokens of a metric that is linear in the logits. */
  const tokensOf = async (metric: Metric): Promise<{ correct: number; wrong?: number }> => {
    if (metric.kind === 'logit-diff') return { correct: (await text.token(metric.correct)).id, wrong: (await text.token(metric.wrong)).id };
    if (metric.kind === 'log-prob') return { correct: (await text.token(metric.token)).id };
    throw new LabError(
      'option-unsupported',
      `Direct attribution is of logits; “${String(metric.kind)}” is no sum of them.`,
      "Use a metric of kind 'logit-diff', or 'log-prob', whose token's logit is then read.",
    );
  };
  return {
    attribute: (request) =>
      told(async () => {
        const { by, dictionary, top = 50 } = checked(request);
        count(top, 'top');
        const ids = await text.ids(request.prompt, request.bos);
        const position = positionIn(request.metric.position ?? -1, ids.length);
        const tokens = await tokensOf(request.metric);
        if (dictionary !== undefined) await attach(dictionary);
        return engine.attribute({
          ids,
          position,
          ...tokens,
          edits: await edits(request.edits, request.bos),
          by,
          top,
          ...(dictionary === undefined ? {} : { dictionary }),
        });
      }),
    headScores: (request = {}, job) =>
      asJob(
        job,
        (id) => engine.cancel(id),
        async (id) => {
          const { bos, special, prependBos } = await text.vocabulary();
          const first = prependBos ? bos : undefined;
          const longest = Math.floor((model().context - (first === undefined ? 0 : 1)) / 2);
          const found = await engine.headScores(
            {
              length: count(request.length ?? Math.min(LENGTH, longest), 'length'),
              repeats: count(request.repeats ?? 4, 'repeats'),
              seed: within(request.seed ?? 0, 'seed', (x) => Number.isSafeInteger(x), 'a whole number'),
              special,
              edits: await edits(request.edits, undefined),
              ...(first === undefined ? {} : { bos: first }),
            },
            id,
            stepped(job),
          );
          throwIfAborted(job?.signal);
          return found;
        },
      ),
    headCircuit: ({ layer, head, circuit, top = 5 }) =>
      told(async () => {
        if (circuit !== 'ov' && circuit !== 'qk')
          throw new LabError('request-invalid', `circuit is “${String(circuit)}”.`, "Use 'ov' or 'qk'.");
        count(top, 'top');
        const [found, { pieces }] = await Promise.all([engine.headCircuit({ layer, head, circuit, top }), text.vocabulary()]);
        const named = ({ id, weight }: { id: number; weight: number }) => ({ id, piece: pieces[id] ?? '', weight });
        const directions = found.directions.map(({ value, reads, writes }) => ({
          value,
          reads: reads.map(named),
          writes: writes.map(named),
        }));
        return { ...found, directions };
      }),
    lensFor: async ({ kind, lens }) => {
      if (kind !== 'tuned' && kind !== 'jacobian')
        throw new LabError('request-invalid', `kind is “${kind}”.`, "Use 'logit', 'tuned' or 'jacobian'.");
      const { id, layers, dModel } = model();
      const fits = (each: LensInfo): boolean =>
        each.kind === kind && (each.model ? each.model === id : each.dModel === dModel && [0, layers].includes(each.layers));
      const found = lens ?? (await files.lenses()).filter(fits).at(-1)?.id;
      if (found === undefined)
        throw new LabError(
          'lens-missing',
          `No ${kind} lens on the shelf is for this model.`,
          kind === 'tuned' ? 'Drop one, or train one with lab.trainLens().' : 'Drop one.',
        );
      const record = await files.lens(found);
      if (record.kind !== kind)
        throw new LabError('request-invalid', `“${record.name}” is a ${record.kind} lens.`, `Ask for kind: '${record.kind}'.`);
      return record;
    },
    trainLens: (request, job) =>
      asJob(
        job,
        (id) => engine.cancel(id),
        async (id) => {
          const { kind = 'tuned', text: given, tokens = TOKENS, seed = 0, steps = STEPS } = request;
          if (kind !== 'tuned') throw notYet('Averaging a jacobian lens', 'a later release; one that is dropped can be used');
          const most = count(tokens, 'tokens');
          within(seed, 'seed', (x) => Number.isSafeInteger(x), 'a whole number');
          within(steps, 'steps', (x) => Number.isInteger(x) && x >= 0, 'a whole number, at least 0');
          const using = model();
          const { special, prependBos } = await text.vocabulary();
          const named = await files.textOf(given);
          const reading = await files.readText({
            model: using.id,
            text: given,
            context: Math.min(CONTEXT, using.context),
            bos: prependBos,
          });
          const sequences: number[][] = [];
          try {
            for (let read = 0, ended = false; !ended && read < most;) {
              const chunk = await files.nextTokens(reading, Math.min(CHUNK, most - read));
              throwIfAborted(job?.signal);
              let at = 0;
              for (const length of chunk.lengths) {
                if (read < most && length > 1) sequences.push(Array.from(chunk.ids.subarray(at, at + length)));
                at += length;
                read += length;
              }
              ended = chunk.ended || chunk.lengths.length === 0;
            }
          } finally {
            await files.closeText(reading);
          }
          const { hooks, maps, trained } = await engine.trainLens({ sequences, special, seed, steps }, id, stepped(job));
          throwIfAborted(job?.signal);
          const { layers, dModel } = using;
          const name = request.name ?? `tuned on ${named.name}`;
          const kept = await files.keepLens({ name, kind, model: using.id, layers, dModel, hooks, trained }, maps);
          changed();
          return kept;
        },
      ),
    composition: (job) =>
      asJob(
        job,
        (id) => engine.cancel(id),
        async (id) => {
          model();
          const found = await engine.composition(id, stepped(job));
          throwIfAborted(job?.signal);
          return found;
        },
      ),
  };
}

/** Progress of steps. */
const stepped = (job: Job | undefined) => job?.progress && Comlink.proxy((done: number, of: number) => job.progress?.(done, of));

function checked({ by, dictionary, top, metric }: AttributeRequest): Pick<AttributeRequest, 'by' | 'dictionary' | 'top'> {
  if (!['layer', 'head', 'latent'].includes(by))
    throw new LabError('request-invalid', `by is “${String(by)}”.`, "Use 'layer', 'head' or 'latent'.");
  if (typeof metric !== 'object')
    throw new LabError('request-invalid', 'There is no metric.', "Give one, for example { kind: 'log-prob', token: ' the' }.");
  if (by !== 'latent') return { by, ...(top === undefined ? {} : { top }) };
  if (typeof dictionary !== 'string')
    throw new LabError(
      'request-invalid',
      "by: 'latent' names no dictionary.",
      'Give the id of one of lab.dictionaries() or lab.neurons().',
    );
  return { by, dictionary, ...(top === undefined ? {} : { top }) };
}

/** From 0; negative ones count from the end. */
export function positionIn(given: number, length: number): number {
  const position = given < 0 ? length + given : given;
  if (Number.isInteger(given) && position >= 0 && position < length) return position;
  throw new LabError(
    'position-range',
    `Position ${String(given)} lies outside a text of ${length} tokens.`,
    'Positions run from 0; negative ones count from the end.',
  );
}
