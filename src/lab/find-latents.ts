/** The part of `window.lab` that names latents and finds them: labels read, written, brought in and taken out; search by label, by token, by where they fire, by direction. */
import * as Comlink from 'comlink';
import type { Remote } from 'comlink';
import type { FindLatents, FiringAt, FoundLatents, Job, Lab, ModelInfo } from '../../workers/api';
import type { EngineApi, EngineFiring, FilesApi, OnProgress } from '../../workers/contract';
import { LabError, throwIfAborted } from '../../workers/errors';
import type { Coming } from './coming';
import type { Embedding } from './embedding';
import { asJob, told } from './jobs';
import { count } from './requests';
import type { Text } from './text';

interface Parts {
  engine: Remote<EngineApi>;
  files: Remote<FilesApi>;
  text: Text;
  coming: Coming;
  model: () => ModelInfo;
  /** Brings a dictionary onto the GPU. */
  attach(id: string): Promise<unknown>;
  embeddings(): Promise<Pick<Embedding, 'find'>>;
  detailed(job: Job | undefined): OnProgress | undefined;
  changed(dictionaries: readonly string[]): void;
}

type Calls = 'labels' | 'label' | 'openLabels' | 'exportLabels' | 'findLatents' | 'similar';

export function findLatents(parts: Parts): Pick<Lab, Calls> {
  const { engine, files, text, coming, model, attach, embeddings, detailed, changed } = parts;

  /** As the engine takes it: ids, and the positions that are meant. */
  const firing = async ({ prompt, bos, positions }: FiringAt): Promise<EngineFiring> => {
    const ids = await text.ids(prompt, bos);
    if (positions !== undefined) return { ids, positions: checkedPositions(positions, ids.length) };
    const { special } = await text.vocabulary();
    const all = ids.map((_, i) => i);
    const plain = all.filter((i) => !special.includes(ids[i] ?? -1));
    return { ids, positions: plain.length > 0 ? plain : all };
  };

  const search = async (request: FindLatents, id: string, job: Job | undefined): Promise<FoundLatents> => {
    const { dictionary } = request;
    const top = count(request.top ?? 20, 'top');
    if ('label' in request) {
      if (typeof request.label !== 'string') throw invalid('label is no text.', 'Give label as a text, for example "fog".');
      return files.findLabels(dictionary, request.label, top);
    }
    if ('promotes' in request) {
      const { sign = 1 } = request;
      if (sign !== 1 && sign !== -1) throw invalid(`sign is ${String(sign)}.`, 'Give sign as 1 (promoted) or -1 (suppressed).');
      const token = (await text.token(request.promotes)).id;
      await attach(dictionary);
      return engine.promotes({ dictionary, token, sign, top });
    }
    if ('meaning' in request) {
      const { meaning, embedder } = request;
      if (typeof meaning !== 'string' || meaning.trim() === '')
        throw invalid('meaning is no text.', 'Give meaning as a text, for example "weather at sea".');
      const [labels, embedding] = await Promise.all([files.labels(dictionary), embeddings()]);
      return embedding.find({ dictionary, meaning, embedder, top }, labels, job);
    }
    if (!('here' in request))
      throw invalid('The request does not say what to look for.', 'Give label, promotes, meaning, or here and not: see docs/scripting.md.');
    const { each = 'min' } = request;
    if (each !== 'min' && each !== 'mean') throw invalid(`each is “${String(each)}”.`, "Give each as 'min' or 'mean'.");
    const [here, not] = [listed(request.here), request.not === undefined ? [] : listed(request.not)];
    if (here.length === 0) throw invalid('here is empty.', 'Give a prompt, for example { prompt: "fog", positions: [-1] }.');
    model();
    const firings = { here: [] as EngineFiring[], not: [] as EngineFiring[] };
    for (const each of here) firings.here.push(await firing(each));
    for (const each of not) firings.not.push(await firing(each));
    await attach(dictionary);
    throwIfAborted(job?.signal);
    const progress = job?.progress && Comlink.proxy((done: number, of: number) => job.progress?.(done, of));
    return engine.contrast({ dictionary, ...firings, each, top }, id, progress);
  };

  return {
    labels: (dictionary) => told(() => files.labels(dictionary)),
    label: ({ dictionary, latent, text: given, note }) =>
      told(async () => {
        await files.label(dictionary, latent, given, note);
        changed([dictionary]);
      }),
    openLabels: (dropped, dictionary, job) =>
      asJob(
        job,
        (id) => files.cancel(id),
        async (id) => {
          const named = dropped.map((item) => ('file' in item ? item : { path: item.webkitRelativePath || item.name, file: item }));
          const opened = await files.openLabels(named, dictionary, id, detailed(job));
          changed([dictionary]);
          return opened;
        },
      ),
    exportLabels: (dictionary) =>
      told(async () => {
        const { name, text: json } = await files.exportLabels(dictionary);
        return new File([json], name, { type: 'application/json' });
      }),
    findLatents: coming.after((request, job) =>
      asJob(
        job,
        (id) => engine.cancel(id),
        async (id) => {
          const found = await search(request, id, job);
          throwIfAborted(job?.signal);
          return found;
        },
      ),
    ),
    similar: coming.after(({ dictionary, latent, other, top = 10 }) =>
      told(async () => {
        count(top, 'top');
        await attach(dictionary);
        if (other !== dictionary) await attach(other);
        return engine.similar({ dictionary, latent, other, top });
      }),
    ),
  };
}

const invalid = (message: string, hint: string): LabError => new LabError('request-invalid', message, hint);

const listed = (given: FiringAt | readonly FiringAt[]): readonly FiringAt[] => ('prompt' in given ? [given] : given);

/** From 0; negative ones count from the end. */
export function checkedPositions(positions: readonly number[], length: number): number[] {
  if (!Array.isArray(positions) || positions.length === 0)
    throw invalid('positions is no list of positions.', 'Give positions as in [3, -1], or leave it out for all of them.');
  return positions.map((given: unknown) => {
    const position = typeof given === 'number' && given < 0 ? length + given : given;
    if (typeof position === 'number' && Number.isInteger(position) && position >= 0 && position < length) return position;
    throw new LabError(
      'position-range',
      `Position ${String(given)} lies outside a text of ${length} tokens.`,
      'Positions run from 0; negative ones count from the end.',
    );
  });
}
