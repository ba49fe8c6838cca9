/**
 * `window.lab`: the whole of what the page can do, as calls. It lives in the page and owns no bytes and no GPU; it turns text
 * into ids and edits into numbers, asks the two workers, and names what comes back. The page's own controls call these same
 * functions, so whatever is on the screen can be written as a script.
 */
import * as Comlink from 'comlink';
import type { Edit, GenerateRequest, Job, Lab, ModelInfo, Prompt, RunRequest, RunResult, SweepRequest } from '../../workers/api';
import type { EngineApi, EngineEvent, EngineGenerate, EngineRun, FilesApi, OnProgress } from '../../workers/contract';
import { LabError, throwIfAborted } from '../../workers/errors';
import { version } from '../../package.json';
import { Coming } from './coming';
import type { DemoWorld } from './demo';
import { findLatents } from './find-latents';
import type { Embedding } from './embedding';
import { resolveEdits } from './edits';
import { later } from './later';
import { LiveGeneration, type Opening } from './generation';
import { asJob, told } from './jobs';
import { checkedIds, Text } from './text';
import { makeVectors } from './make-vectors';
import { isNeurons } from './neurons';
import { names, neuronsOf, useDictionaries } from './use-dictionaries';
import { checkedLogits, count, promptLength, within } from './requests';
import { checkedUsing, type Using } from './using';

/** What the page's stores listen to: something a script may have done as well. */
export type LabChange =
  | { kind: 'model'; model: ModelInfo | undefined; using?: Using }
  | { kind: 'shelf' }
  | { kind: 'vectors' }
  | { kind: 'labels'; dictionaries: readonly string[] }
  | { kind: 'device'; event: EngineEvent }
  | { kind: 'trouble'; error: unknown };

export interface Wires {
  engine: Comlink.Remote<EngineApi>;
  files: Comlink.Remote<FilesApi>;
  demo: DemoWorld;
  ready: Promise<void>;
  changed(change: LabChange): void;
  /** A step was asked for, and is under way until this settles. */
  pulled(step: Promise<unknown>): void;
}

export function createLab({ engine, files, demo, ready, changed, pulled }: Wires): Lab {
  let inUse: ModelInfo | undefined;
  /** How often a model was asked for. */
  let used = 0;
  const streams = new Map<LiveGeneration, GenerateRequest>();
  const coming = new Coming();
  /** Dictionaries that the engine was told of. */
  const attached = new Set<string>();
  const leaving = new Set<string>();

  const model = (): ModelInfo => {
    if (!inUse)
      throw new LabError(
        'no-model',
        'No model is in use.',
        'Drop a model folder on the page, or call lab.use(id) with one of lab.models().',
      );
    return inUse;
  };
  const text = new Text(files, model);
  const vector = (id: string) => told(() => files.vector(id));
  /** On the GPU beside the model in use, so that requests may name it. */
  const dictionary = async (id: string): Promise<{ hookOut: string }> => {
    if (isNeurons(id)) return told(() => neuronsOf(engine, id));
    const record = await told(() => files.dictionary(id));
    // On its way off the shelf: bringing it now would hold its files, and it could not be removed.
    if (leaving.has(id)) throw new LabError('dictionary-unknown', `“${record.name}” is being removed.`, 'Choose another.');
    attached.add(id);
    await told(() => engine.attach(record, crypto.randomUUID()));
    return record.spec;
  };
  const edits = (list: readonly Edit[] | undefined, bos: boolean | undefined) =>
    resolveEdits(list, { vector, dictionary, ids: (prompt: Prompt) => text.ids(prompt, bos) });
  const stepped = (job: Job | undefined) => job?.progress && Comlink.proxy((done: number, of: number) => job.progress?.(done, of));
  const detailed = (job: Job | undefined): OnProgress | undefined =>
    job?.progress && Comlink.proxy<OnProgress>(({ done, of, ...detail }) => job.progress?.(done, of, detail));

  const labelled = (dictionaries: readonly string[]) => changed({ kind: 'labels', dictionaries: [...new Set(dictionaries)] });

  const engineRun = async (request: RunRequest): Promise<EngineRun> => {
    const ids = await text.ids(request.prompt, request.bos);
    return {
      ids,
      promptLength: promptLength(request.promptLength, ids.length),
      edits: await edits(request.edits, request.bos),
      taps: [...(request.taps ?? [])],
      logits: checkedLogits(request.logits ?? 'last'),
    };
  };

  const engineGenerate = async (request: GenerateRequest): Promise<EngineGenerate> => {
    if (request.stop !== undefined && !(Array.isArray(request.stop) && request.stop.every((each) => typeof each === 'string')))
      throw new LabError('request-invalid', 'stop is no list of texts.', "Give stop as a list, for example ['.'].");
    const watch = [...new Set(request.watch ?? [])];
    for (const id of watch) await dictionary(id);
    const ids = await text.ids(request.prompt, request.bos);
    const vocabulary = await text.vocabulary();
    return {
      ids,
      promptLength: promptLength(request.promptLength, ids.length),
      edits: await edits(request.edits, request.bos),
      baseline: request.baseline ?? false,
      shadow: request.shadow ?? false,
      tokens: count(request.tokens, 'tokens'),
      temperature: within(request.temperature ?? 1, 'temperature', (x) => x >= 0, 'a number from 0 (greedy) up'),
      topK: within(request.topK ?? 0, 'topK', (x) => Number.isInteger(x) && x >= 0, 'a whole number, 0 for all tokens'),
      topP: within(request.topP ?? 1, 'topP', (x) => x > 0 && x <= 1, 'a number above 0 and at most 1'),
      seed: within(request.seed ?? 0, 'seed', (x) => Number.isSafeInteger(x), 'a whole number'),
      eos: (request.eos ?? true) ? vocabulary.eos : [],
      watch,
    };
  };

  const open = coming.after(async (request: GenerateRequest): Promise<Opening> => {
    const [resolved, { pieces }] = await Promise.all([engineGenerate(request), text.vocabulary()]);
    for (const stream of streams.keys()) {
      if (!stream.finished) continue;
      streams.delete(stream);
      await stream.close();
    }
    const id = await told(() => engine.open(resolved));
    return { id, prompt: resolved.ids, promptLength: resolved.promptLength, baseline: resolved.baseline, pieces };
  });

  /** A model that goes takes its generations along, a dictionary those that name it: each ends as cancelled. */
  const endStreams = async (which: (request: GenerateRequest) => boolean = () => true): Promise<void> => {
    const all = [...streams].flatMap(([stream, request]) => (which(request) ? [stream] : []));
    for (const stream of all) streams.delete(stream);
    await Promise.all(all.map((stream) => stream.close()));
  };

  const batch = coming.after((requests: readonly RunRequest[], job?: Job): Promise<RunResult[]> =>
    asJob(
      job,
      (id) => engine.cancel(id),
      async (id) => {
        const resolved = await Promise.all(requests.map(engineRun));
        throwIfAborted(job?.signal);
        const results = await engine.batch(resolved, id, stepped(job));
        throwIfAborted(job?.signal);
        return results;
      },
    ),
  );

  const vectors = makeVectors({ engine, files, text, model, batch, changed: () => changed({ kind: 'vectors' }) });
  let embedding: Promise<Embedding> | undefined;
  /** Its chunk, fetched when it is first asked for; tried again where that failed. */
  const embeddings = (): Promise<Embedding> =>
    (embedding ??= import('./embedding').then(
      (made) => new made.Embedding(files),
      (thrown: unknown) => {
        embedding = undefined;
        throw thrown;
      },
    ));
  /** Likewise what reads texts. */
  const onTexts = later(async () => {
    const { useTexts } = await import('./use-texts');
    return useTexts({ engine, files, text, coming, model, attach: dictionary, changed: () => changed({ kind: 'shelf' }) });
  });
  const onGradients = later(async () => (await import('./use-gradient')).useGradient({ engine, text, run: engineRun }));
  const sweeps = later(async () => {
    const { useSweeps } = await import('./use-sweeps');
    return useSweeps({ engine, text, edits, attach: dictionary });
  });
  const reading = later(async () => {
    const { useReading } = await import('./use-reading');
    return useReading({ engine, files, text, model, edits, attach: dictionary, changed: () => changed({ kind: 'shelf' }) });
  });

  let bringing: Promise<void> | undefined;
  /** The demo's vectors, the first time that anyone asks for vectors with the demo on the shelf. */
  const bringVectors = (): Promise<void> => {
    bringing ??= (async () => {
      const file = await demo.vectors();
      const { model: id } = demo.state;
      if (!file || id === undefined) return;
      await files.openVectors(file, id);
      demo.vectorsKept();
      changed({ kind: 'vectors' });
    })()
      .catch((error: unknown) => changed({ kind: 'trouble', error }))
      .finally(() => (bringing = undefined));
    return bringing;
  };

  const lab: Lab = {
    ready,
    version,
    model: () => inUse,
    device: () => told(() => engine.device()),
    storage: () => told(() => files.status()),

    open: (dropped, job) =>
      asJob(
        job,
        (id) => files.cancel(id),
        async (id) => {
          const named = dropped.map((item) => ('file' in item ? item : { path: item.webkitRelativePath || item.name, file: item }));
          const opened = await files.open(named, id, detailed(job));
          // Asked once something is worth keeping; a browser that says no keeps it all the same, until it runs short of room.
          if (opened.models.length + opened.dictionaries.length + opened.embedders.length + opened.texts.length)
            navigator.storage?.persist?.().catch(() => undefined);
          changed({ kind: 'shelf' });
          if (opened.vectors.length) changed({ kind: 'vectors' });
          if (opened.labels.length) labelled(opened.labels.map(({ dictionary: of }) => of));
          return opened;
        },
      ),
    models: () => told(() => files.models()),
    use: (id, options = {}, job) =>
      coming.until(
        asJob(
          job,
          (key) => engine.cancel(key),
          async (key) => {
            used++;
            const using = checkedUsing(options);
            if (typeof id !== 'string')
              throw new LabError(
                'model-unknown',
                'That is no model’s id.',
                'Give one as text, as in lab.use(model.id) with one of lab.models().',
              );
            const [record, vocabulary] = await Promise.all([files.record(id), files.vocabulary(id)]);
            throwIfAborted(job?.signal);
            await endStreams();
            inUse = await engine.use(record, using, vocabulary.special, key, detailed(job)).catch((thrown: unknown) => {
              inUse = undefined;
              changed({ kind: 'model', model: undefined });
              throw thrown;
            });
            changed({ kind: 'model', model: inUse, using });
            return inUse;
          },
        ),
      ),
    dictionaries: () => told(() => files.dictionaries()),
    vectors: () => told(async () => (await bringVectors(), files.vectors())),
    remove: (id) =>
      told(async () => {
        if (inUse?.id === id) {
          await endStreams();
          await engine.unload(id);
          inUse = undefined;
          changed({ kind: 'model', model: undefined });
        }
        leaving.add(id);
        try {
          await endStreams((request) => names(request, id));
          if (attached.delete(id)) await engine.detach(id);
          await (await embedding)?.release(id);
          await files.remove(id);
        } finally {
          leaving.delete(id);
        }
        text.forget(id);
        demo.removed(id);
        changed({ kind: 'shelf' });
        changed({ kind: 'vectors' });
      }),

    tokenize: coming.after((string, options) => told(() => text.tokenize(string, options?.bos))),
    token: coming.after((string) => told(() => text.token(string))),
    decode: coming.after((ids) => told(() => text.decode(checkedIds(ids, model().dVocab)))),
    special: coming.after(() => told(async () => text.vocabulary().then(({ bos, special, chat }) => ({ bos, ids: special, chat })))),
    chat: coming.after((messages, options) => told(() => text.chat(messages, options))),

    hooks: coming.after(() => told(() => (model(), engine.hooks()))),
    batch,
    run: async (request, job) => {
      const [result] = await batch([request], job);
      if (!result) throw new LabError('internal', 'The engine gave no answer.', 'Please report this.');
      return result;
    },
    explain: coming.after((request: RunRequest | GenerateRequest | SweepRequest) =>
      told(async () => {
        if ('clean' in request) return (await sweeps()).explainSweep(request);
        if ('tokens' in request) return engine.explainGenerate(await engineGenerate(request));
        return engine.explainRun(await engineRun(request));
      }),
    ),
    lens: coming.after((request) =>
      told(async () => {
        const lens = request.kind === 'logit' ? undefined : await (await reading()).lensFor(request);
        const ids = await text.ids(request.prompt, request.bos);
        const track = request.track === undefined ? {} : { track: checkedIds([request.track], model().dVocab)[0] };
        const resolved = await edits(request.edits, request.bos);
        const {
          ids: top,
          probabilities,
          ...rest
        } = await engine.lens(
          { ids, top: count(request.top, 'top'), edits: resolved, ...track, ...(lens && { lens }) },
          crypto.randomUUID(),
        );
        const { pieces } = await text.vocabulary();
        const cell = (layer: number, position: number) =>
          (top[layer]?.[position] ?? []).map((id, k) => ({
            id,
            piece: pieces[id] ?? '',
            probability: probabilities[layer]?.[position]?.[k] ?? 0,
          }));
        return { ...rest, top: top.map((row, layer) => row.map((_, position) => cell(layer, position))) };
      }),
    ),
    loss: coming.after((request) =>
      told(async () => engine.loss({ ids: await text.ids(request.prompt, request.bos), edits: await edits(request.edits, request.bos) })),
    ),
    generate: (request) => {
      const stream = new LiveGeneration(
        engine,
        text,
        Array.isArray(request.stop) ? request.stop : [],
        open(request),
        pulled,
        request.edits ?? [],
      );
      streams.set(stream, request);
      return stream;
    },
    sweep: coming.after(async (request, job) => (await sweeps()).sweep(request, job)),
    gradient: coming.after((request, job) => told(async () => (await onGradients()).gradient(request, job))),
    planSweep: coming.after(async (request) => (await sweeps()).planSweep(request)),
    patchSet: coming.after(async (request, job) => (await sweeps()).patchSet(request, job)),
    pathPatch: coming.after(async (request, job) => (await sweeps()).pathPatch(request, job)),
    attribute: coming.after((request) => told(async () => (await reading()).attribute(request))),
    headScores: coming.after((request, job) => told(async () => (await reading()).headScores(request, job))),
    headCircuit: coming.after((request) => told(async () => (await reading()).headCircuit(request))),
    composition: coming.after((job) => told(async () => (await reading()).composition(job))),
    lenses: () => told(() => files.lenses()),
    trainLens: coming.after((request, job) => told(async () => (await reading()).trainLens(request, job))),

    openDemo: (job) => {
      const before = used;
      const opening = told(async () => {
        const kept = (await files.models()).find((each) => demo.isDemo(each));
        const found = kept ?? (await demo.shelve((dropped) => lab.open(dropped, job)));
        // Who has asked for another model meanwhile gets that one.
        const opened = used === before ? await lab.use(found.id, {}, job) : found;
        void demo.follow((dropped) => lab.open(dropped)).catch((error: unknown) => changed({ kind: 'trouble', error }));
        return opened;
      });
      // Calls wait for it only where there is nothing else that they could be about.
      return inUse ? opening : coming.until(opening);
    },
    vector,
    embedders: () => told(() => files.embedders()),
    embed: (request, job) => told(async () => (await embeddings()).embed(request, job)),
    ...useDictionaries({
      engine,
      files,
      text,
      coming,
      model,
      edits,
      attach: dictionary,
      leave: (id) => endStreams((request) => names(request, id)),
      changed: () => changed({ kind: 'shelf' }),
      demo: (each) => demo.isDemo(each),
    }),
    ...findLatents({ engine, files, text, coming, model, attach: dictionary, embeddings, detailed, changed: labelled }),
    texts: () => told(() => files.texts()),
    survey: coming.after((request, job) => told(async () => (await onTexts()).survey(request, job))),
    surveys: (dictionary) => told(async () => (await onTexts()).surveys(dictionary)),
    dashboard: coming.after((request, job) => told(async () => (await onTexts()).dashboard(request, job))),
    ...vectors,
    vectorFromToken: coming.after(vectors.vectorFromToken),
  };
  return lab;
}
