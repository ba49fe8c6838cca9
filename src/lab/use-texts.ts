/**
 * The part of `window.lab` that reads a person's own texts through a dictionary: surveys, which are passes that can be left and gone on with, and what
 * they tell of one latent. The files worker reads and keeps, the engine computes; here is only who asks whom, and when.
 */
import * as Comlink from 'comlink';
import type { Remote } from 'comlink';
import type { Dashboard, Job, Lab, ModelInfo, Survey, SurveyInfo, SurveyRequest } from '../../workers/api';
import type { EngineApi, EngineSurvey, FilesApi, SurveyRecord, TokenChunk } from '../../workers/contract';
import type { DictionarySpec } from '../../workers/dictionary/spec';
import { LabError, throwIfAborted } from '../../workers/errors';
import type { Coming } from './coming';
import { asJob, labError, notYet, told } from './jobs';
import { isNeurons } from './neurons';
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
  changed(): void;
}

const TOKENS = 1_000_000;
const CONTEXT = 128;
/** Tokens asked for at once. A survey that goes on is given the chunk that it stands in again, so this must stay as it is. */
const CHUNK = 4096;
/** What was read is kept so often at most, and never for more than a twentieth of the time. */
const KEEP_EVERY_MS = 10_000;
const KEEP_SHARE = 20;

export function useTexts(parts: Parts): Pick<Lab, 'texts' | 'survey' | 'surveys' | 'dashboard'> {
  const { engine, files, text, coming, model, attach, changed } = parts;
  /** Surveys that are being read now. */
  const running = new Set<string>();

  /** A dictionary of the shelf, on the GPU. */
  const specOf = async (id: string): Promise<DictionarySpec> => {
    if (isNeurons(id)) throw notYet('A survey of the model’s own neurons', 'a later release');
    await attach(id);
    return (await files.dictionary(id)).spec;
  };
  /** What else than the text decides the numbers. */
  const underOf = (spec: DictionarySpec): string => {
    const { weights, processing } = model();
    return JSON.stringify({ spec, weights, processing });
  };
  const infoOf = ({ ended, asked, ...rest }: Summed): SurveyInfo => {
    const { id, dictionary, text: of, name, tokens, sequences, context, skipped, l0, l1, dead, dense, density, max } = rest;
    const finished = ended || tokens >= asked;
    return {
      id,
      dictionary,
      text: of,
      name,
      tokens,
      of: ended ? tokens : asked,
      finished,
      sequences,
      context,
      skipped,
      l0,
      l1,
      dead,
      dense,
      density,
      max,
    };
  };

  const survey = async (request: SurveyRequest, job: Job | undefined, id: string): Promise<Survey> => {
    const { tokens, context } = checked(request, model().context);
    const spec = await specOf(request.dictionary);
    const [{ special, bos }, named] = await Promise.all([text.vocabulary(), files.textOf(request.text)]);
    const key = { model: model().id, dictionary: request.dictionary, text: named.id, context, under: underOf(spec) };
    const surveyId = await files.surveyId(key);
    if (running.has(surveyId))
      throw new LabError(
        'survey-running',
        `${named.name} is being read for this dictionary already.`,
        'Wait until it is done, or cancel it.',
      );
    running.add(surveyId);
    try {
      if (request.again) await Promise.all([engine.closeSurvey(surveyId, false), files.forgetSurvey(surveyId)]);
      const kept = await files.survey(surveyId);
      const state = (await engine.holdsSurvey(surveyId)) ? undefined : kept?.state;
      const begun = await engine.openSurvey({
        id: surveyId,
        dictionary: request.dictionary,
        special,
        running: true,
        ...(state && { state }),
      });
      const known = {
        ...key,
        id: surveyId,
        name: named.name,
        asked: tokens,
        ended: kept?.record.ended ?? false,
        skipped: kept?.record.skipped ?? 0,
      };
      const keep = async (): Promise<Summed> => {
        const [found, packed] = await Promise.all([engine.surveyed(surveyId), engine.packSurvey(surveyId)]);
        const record = recordOf(known, found);
        await files.keepSurvey(record, packed);
        return record;
      };
      if (known.ended || begun.tokens >= tokens) return infoOf(recordOf(known, begun));
      const bosIn = spec.contract.prependBos && bos !== undefined;
      const reading = await files.readText({
        model: key.model,
        text: request.text,
        context,
        bos: bosIn,
        ...(begun.cursor && { cursor: begun.cursor }),
      });
      try {
        await read(reading, surveyId, begun.tokens, known, bosIn, keep, job, id);
      } catch (thrown) {
        // What was read is worth more than the reason why it is not kept.
        await keep().catch(() => undefined);
        throw thrown;
      } finally {
        await files.closeText(reading);
      }
      const record = await keep();
      changed();
      return infoOf(record);
    } finally {
      running.delete(surveyId);
      await engine.closeSurvey(surveyId, true);
    }
  };

  /** Chunk after chunk, the next being fetched while one is computed. */
  const read = async (
    reading: string,
    survey: string,
    from: number,
    known: Known,
    bosIn: boolean,
    keep: () => Promise<unknown>,
    job: Job | undefined,
    id: string,
  ): Promise<void> => {
    const start = performance.now();
    let keptAt = start;
    let every = KEEP_EVERY_MS;
    /** Tokens of the whole text, by the part of the file that has been tokenised. */
    let whole = Infinity;
    let [tokenised, first] = [0, 0];
    const told = (done: number): void => {
      const of = Math.min(known.asked, Math.max(done, whole));
      const seconds = (performance.now() - start) / 1000;
      const left = done > from && seconds > 0.5 ? ((of - done) * seconds) / (done - from) : undefined;
      job?.progress?.(Math.min(done, of), of, { stage: 'reading', ...(left !== undefined && { secondsLeft: left }) });
    };
    let next: Promise<TokenChunk> | undefined = files.nextTokens(reading, CHUNK);
    while (next) {
      const chunk: TokenChunk = await next;
      next = chunk.ended ? undefined : files.nextTokens(reading, CHUNK);
      next?.catch(() => undefined);
      throwIfAborted(job?.signal);
      const begins = tokenised === 0;
      if (begins) first = chunk.from;
      tokenised += chunk.ids.length - (bosIn ? chunk.lengths.length : 0);
      if (chunk.to > first) whole = Math.round(tokenised / (chunk.to - first));
      if (begins) told(from);
      const { tokens } = await engine.survey(survey, chunk, known.asked, id, job?.progress && Comlink.proxy(told));
      throwIfAborted(job?.signal);
      known.skipped = chunk.skipped;
      if (tokens >= known.asked) return;
      if (chunk.ended) known.ended = true;
      const now = performance.now();
      if (now - keptAt < every) continue;
      // A disk that is full now may have room at the end.
      await keep().catch(() => undefined);
      keptAt = performance.now();
      every = Math.max(KEEP_EVERY_MS, KEEP_SHARE * (keptAt - now));
    }
  };

  /** Those that the model in use, as it is run, would go on with; of other models all. */
  const kept = async (dictionary?: string): Promise<SurveyRecord[]> => {
    const all = await files.surveys(dictionary);
    const inUse = await told(model).catch(() => undefined);
    const run = (under: string): string => {
      const { weights, processing } = JSON.parse(under) as { weights: unknown; processing: unknown };
      return JSON.stringify([weights, processing]);
    };
    return all.filter(({ model: id, under }) => id !== inUse?.id || run(under) === run(JSON.stringify(inUse)));
  };

  return {
    texts: () => told(() => files.texts()),
    survey: coming.after((request, job) =>
      asJob(
        job,
        (id) => engine.cancel(id),
        (id) => survey(request, job, id),
      ),
    ),
    surveys: (dictionary) => told(async () => (await kept(dictionary)).map(infoOf)),
    dashboard: coming.after(({ dictionary, latent, text: of, examples = 10 }, job) =>
      asJob(
        job,
        (id) => engine.cancel(id),
        async (id): Promise<Dashboard> => {
          const most = count(examples, 'examples');
          await specOf(dictionary);
          const record = (await kept(dictionary)).find((each) => each.model === model().id && (of === undefined || each.text === of));
          if (!record)
            throw new LabError(
              'survey-missing',
              'No text has been read for this dictionary, under the contract that it has now.',
              'Ask for one first: lab.survey({ dictionary, text }).',
            );
          const { special, pieces } = await text.vocabulary();
          const state = (await engine.holdsSurvey(record.id)) ? undefined : (await files.survey(record.id))?.state;
          await engine.openSurvey({ id: record.id, dictionary, special, running: false, ...(state && { state }) });
          throwIfAborted(job?.signal);
          const progress = job?.progress && Comlink.proxy((done: number, total: number) => job.progress?.(done, total));
          const found = await engine.dashboard({ survey: record.id, latent, examples: most }, id, progress);
          throwIfAborted(job?.signal);
          const named = (ids: readonly number[]) => ids.map((token) => ({ id: token, piece: pieces[token] ?? '' }));
          const bins = found.bins.map((bin) => ({
            ...bin,
            examples: bin.examples.map(({ ids, ...rest }) => ({ ...rest, tokens: named(ids) })),
          }));
          return { ...found, bins, survey: record.id, latent };
        },
      ),
    ),
  };
}

type Summed = Omit<SurveyRecord, 'stored' | 'files' | 'addedAt'>;
type Known = Pick<Summed, 'id' | 'model' | 'dictionary' | 'text' | 'name' | 'context' | 'under' | 'asked' | 'ended' | 'skipped'>;

const recordOf = (known: Known, { cursor: _, ...found }: EngineSurvey): Summed => ({ ...known, ...found });

function checked({ text, tokens = TOKENS, context }: SurveyRequest, most: number): { tokens: number; context: number } {
  const given: unknown = text;
  const list = Array.isArray(given) && given.length > 0 && given.every((each) => typeof each === 'string');
  if (typeof given !== 'string' && !list)
    throw labError(
      new LabError('request-invalid', 'text is neither a text’s id nor a list of texts.', 'Give an id of lab.texts(), or a list of texts.'),
    );
  const length = context ?? Math.min(CONTEXT, most);
  if (!Number.isInteger(length) || length < 2 || length > most)
    throw new LabError('request-invalid', `context is ${length}.`, `Give a whole number from 2 to ${most}, the model’s context.`);
  return { tokens: count(tokens, 'tokens'), context: length };
}
