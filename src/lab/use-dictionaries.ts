/** The part of `window.lab` that uses dictionaries: what is active on a prompt, how good one is on texts, what one latent's weights say, its contract. */
import * as Comlink from 'comlink';
import type { Remote } from 'comlink';
import type { DictionaryInfo, Edit, EvaluateRequest, GenerateRequest, Job, Lab, ModelInfo, Quality } from '../../workers/api';
import type { EngineApi, EngineEdit, FilesApi } from '../../workers/contract';
import { LabError, throwIfAborted } from '../../workers/errors';
import type { Coming } from './coming';
import { asJob, told } from './jobs';
import { isNeurons } from './neurons';
import { count } from './requests';
import type { Text } from './text';

interface Parts {
  engine: Remote<EngineApi>;
  files: Remote<FilesApi>;
  text: Text;
  coming: Coming;
  model: () => ModelInfo;
  edits(list: readonly Edit[] | undefined, bos: boolean | undefined): Promise<EngineEdit[]>;
  /** Brings a dictionary onto the GPU. */
  attach(id: string): Promise<unknown>;
  /** Ends the generations that use it: its weights are about to change or to go. */
  leave(id: string): Promise<void>;
  changed(): void;
  /** Is it the demo world's? Its dictionaries know its town's texts, not others. */
  demo(model: ModelInfo): boolean;
}

/** A long context is evaluated in pieces of so many tokens: the stream of a whole one is kept three times over. */
export const PIECE = 1024;
/** Of an opened text, unless more are asked for. */
const TOKENS = 16_384;

export function useDictionaries(
  parts: Parts,
): Pick<Lab, 'neurons' | 'encode' | 'evaluate' | 'quality' | 'latent' | 'overrideContract' | 'checkContract'> {
  const { engine, files, text, coming, model, edits, attach, leave, changed } = parts;
  /** The first tokens of an opened text, in sequences that fit. */
  const beginning = async (id: string, tokens: number): Promise<number[][]> => {
    const { prependBos } = await text.vocabulary();
    const context = Math.min(PIECE, model().context);
    const reading = await files.readText({ model: model().id, text: id, context, bos: prependBos });
    try {
      const { ids, lengths } = await files.nextTokens(reading, tokens);
      let [at, left] = [0, tokens];
      const sequences = Array.from(lengths, (length) => {
        const sequence = Array.from(ids.subarray(at, at + Math.min(length, Math.max(0, left))));
        at += length;
        left -= length;
        return sequence;
      });
      return sequences.filter(({ length }) => length >= 2);
    } finally {
      await files.closeText(reading);
    }
  };
  const quality = ({ dictionary, text: given, tokens = TOKENS }: EvaluateRequest, job?: Job): Promise<Quality> =>
    asJob(
      job,
      (id) => engine.cancel(id),
      async (id) => {
        const list: unknown = given;
        if (typeof list !== 'string' && !(Array.isArray(list) && list.every((each) => typeof each === 'string')))
          throw new LabError(
            'request-invalid',
            'text is neither a text’s id nor a list of texts.',
            "Give an id of lab.texts(), or a list, for example ['Once upon a time, …'].",
          );
        const most = count(tokens, 'tokens');
        await attach(dictionary);
        const { bos, special } = await text.vocabulary();
        const texts: number[][] = typeof given === 'string' ? await beginning(given, most) : [];
        for (const each of typeof given === 'string' ? [] : given) {
          throwIfAborted(job?.signal);
          texts.push(...cut((await text.tokenize(each)).ids, Math.min(PIECE, model().context), bos));
        }
        throwIfAborted(job?.signal);
        const progress = job?.progress && Comlink.proxy((done: number, of: number) => job.progress?.(done, of));
        const { scores, density } = await engine.evaluate({ dictionary, texts, special }, id, progress);
        throwIfAborted(job?.signal);
        return { scores, density: Float32Array.from(density) };
      },
    );
  return {
    neurons: coming.after(() => told(() => (model(), engine.neurons()))),
    encode: coming.after((request) =>
      told(async () => {
        await attach(request.dictionary);
        const ids = await text.ids(request.prompt, request.bos);
        return engine.encode({ dictionary: request.dictionary, ids, edits: await edits(request.edits, request.bos) }, crypto.randomUUID());
      }),
    ),
    evaluate: coming.after(async (request, job) => (await quality(request, job)).scores),
    quality: coming.after(quality),
    checkContract: coming.after(({ dictionary, text: given }, job) =>
      asJob(
        job,
        (id) => engine.cancel(id),
        async (id) => {
          await attach(dictionary);
          // The model's own neurons have no contract, and the engine says so.
          const record = isNeurons(dictionary) ? undefined : await files.dictionary(dictionary);
          const { contractTexts } = await import('./contract-texts');
          const { bos, special, prependBos } = await text.vocabulary();
          const { texts, others } = await contractTexts({
            given,
            demo: parts.demo(model()),
            most: Math.min(PIECE, model().context),
            bos,
            prependBos: record?.spec.contract.prependBos ?? prependBos,
            tokenize: async (each) => (await text.tokenize(each, false)).ids,
          });
          throwIfAborted(job?.signal);
          const progress = job?.progress && Comlink.proxy((done: number, of: number) => job.progress?.(done, of));
          const promised = record?.promised ?? {};
          const found = await engine.checkContract({ dictionary, texts, others, special, promised }, id, progress);
          throwIfAborted(job?.signal);
          return found;
        },
      ),
    ),
    latent: coming.after(({ dictionary, latent, top = 10 }) =>
      told(async () => {
        if (!Number.isInteger(top) || top < 1)
          throw new LabError('request-invalid', `top is ${top}.`, 'Give top as a whole number, at least 1.');
        await attach(dictionary);
        const [found, { pieces }] = await Promise.all([engine.latent({ dictionary, latent, top }), text.vocabulary()]);
        const named = ({ id, weight }: { id: number; weight: number }) => ({ id, piece: pieces[id] ?? '', weight });
        return { ...found, promoted: found.promoted.map(named), suppressed: found.suppressed.map(named) };
      }),
    ),
    overrideContract: (id, change) =>
      told(async () => {
        await files.overrideContract(id, change);
        await leave(id);
        const info = (await files.dictionaries()).find((each) => each.id === id);
        if (!info)
          throw new LabError('dictionary-unknown', `No dictionary “${id}” is on the shelf.`, 'Choose one that is, or drop it again.');
        changed();
        return info;
      }),
  };
}

/** A text in pieces of at most `most` tokens, each with the BOS that the first has. What is too short to say anything is left out. */
export function cut(ids: readonly number[], most: number, bos: number | undefined): number[][] {
  const head = bos !== undefined && ids[0] === bos ? [bos] : [];
  const body = ids.slice(head.length);
  const room = Math.max(1, most - head.length);
  const pieces: number[][] = [];
  for (let at = 0; at < body.length; at += room) pieces.push([...head, ...body.slice(at, at + room)]);
  return pieces.filter(({ length }) => length >= 2);
}

/** The model's own neurons of this id: they are there with it, so nothing is brought. */
export async function neuronsOf(engine: Pick<Remote<EngineApi>, 'neurons'>, id: string): Promise<DictionaryInfo> {
  const found = (await engine.neurons()).find((each) => each.id === id);
  if (!found) throw new LabError('dictionary-unknown', `The model in use has no “${id}”.`, 'lab.neurons() lists those it has.');
  return found;
}

/** Does a generation need this dictionary? */
export const names = ({ watch, edits }: Pick<GenerateRequest, 'watch' | 'edits'>, id: string): boolean =>
  (Array.isArray(watch) && watch.includes(id)) ||
  (Array.isArray(edits) && edits.some((edit) => 'dictionary' in edit && edit.dictionary === id));
