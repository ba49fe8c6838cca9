/** Stands in for the files worker: a shelf in localStorage, vectors in memory, one toy model whatever is dropped. */
import type { ChatMessage, VectorInfo, ModelInfo, Opened } from '../../../workers/api';
import type { FilesApi } from '../../../workers/contract';
import { cancelled, LabError } from '../../../workers/errors';
import { BOS, decode, encode, END, EOS, LAYERS, PIECES, START, WIDTH } from './toy';

export const query = () => new URLSearchParams(location.search).get('fake') ?? '';
export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const KEY = 'fake-shelf';

const info = (id: string, name: string, bytes: number): ModelInfo & { stored: 'opfs' | 'memory' } => ({
  id,
  name,
  family: 'gpt2',
  parameters: Math.round(bytes / 2),
  layers: LAYERS,
  dModel: WIDTH,
  heads: 4,
  kvHeads: 4,
  dVocab: PIECES.length,
  context: 256,
  weights: 'f16',
  bytes,
  badge: 'f16 weights · f32 maths · raw',
  stored: query() === 'memory' ? 'memory' : 'opfs',
});
const shelf = {
  models: (): ReturnType<typeof info>[] => {
    const kept = localStorage.getItem(KEY);
    return kept ? (JSON.parse(kept) as ReturnType<typeof info>[]) : [];
  },
  keep: (models: ReturnType<typeof info>[]) => localStorage.setItem(KEY, JSON.stringify(models)),
};
const vectors = new Map<string, { info: VectorInfo; data: Float32Array }>();
export const cancels = new Set<string>();

export const fakeFiles: FilesApi = {
  lenses: () => Promise.resolve([]),
  lens: () => Promise.reject(new LabError('lens-unknown', 'The toy shelf has no lenses.', '')),
  keepLens: () => Promise.reject(new LabError('lens-unknown', 'The toy shelf keeps no lenses.', '')),
  status: () => Promise.resolve({ opfs: query() !== 'memory', persisted: true, usage: 7e6, quota: 4e9 }),
  async open(files, job, progress) {
    if (files.some(({ path }) => path.includes('bad'))) {
      const causes = [
        new LabError(
          'safetensors-truncated',
          'model.safetensors ends before its last tensor does.',
          'Download it again: 1.2 MB of 6.0 MB are there.',
        ),
        new LabError('tokenizer-missing', 'No tokenizer.json was dropped.', 'Drop the whole folder, or add tokenizer.json to the files.'),
      ];
      throw new LabError('import-failed', 'Nothing was added to the shelf.', 'Two things are wrong with these files.', causes);
    }
    for (let done = 0; done <= 50; done++) {
      if (cancels.has(job)) throw cancelled();
      progress?.({ stage: 'Copying model.safetensors', done: done * 1.2e5, of: 6e6, secondsLeft: (50 - done) / 16 });
      await wait(60);
    }
    const model = info(`model-${files.length}`, 'Lanternwick 3M', 6.1e6);
    shelf.keep([...shelf.models().filter(({ id }) => id !== model.id), model]);
    const opened: Opened = {
      models: [model],
      dictionaries: [],
      vectors: [],
      texts: [],
      labels: [],
      embedders: [],
      ignored: [{ file: 'README.md', why: 'not a model file' }],
    };
    return opened;
  },
  cancel: (job) => Promise.resolve(void cancels.add(job)),
  models: () => Promise.resolve(shelf.models()),
  record: (id) => {
    const found = shelf.models().find((model) => model.id === id);
    if (!found) return Promise.reject(new LabError('no-such-model', 'That model is not on the shelf.', 'Drop it again.'));
    return Promise.resolve({
      id,
      name: found.name,
      type: 'gpt2',
      config: {},
      stored: found.stored,
      files: [],
      tensors: [],
      tokenizer: {},
      tokenizerConfig: {},
      generationConfig: {},
      addedAt: 0,
      info: found,
    });
  },
  remove: (id) => {
    vectors.delete(id);
    return Promise.resolve(shelf.keep(shelf.models().filter((model) => model.id !== id)));
  },
  embedders: () => Promise.resolve([]),
  embedder: () => Promise.reject(new LabError('embedder-unknown', 'No embedding model is on the shelf.', 'Drop one.')),
  vocabulary: () =>
    Promise.resolve({ pieces: PIECES, special: [BOS, EOS, START, END], bos: BOS, eos: [EOS], prependBos: true, chat: query() !== 'base' }),
  tokenize: (_model, text, bos = true) => {
    const ids = encode(text, bos);
    return Promise.resolve({ ids, pieces: ids.map((id) => PIECES[id] ?? '') });
  },
  chat: (_model, given) => {
    const messages = given as ChatMessage[];
    if (messages.some(({ role }, i) => role === messages[i - 1]?.role))
      throw new LabError(
        'chat-template-refused',
        'The model’s chat template refuses this conversation: Conversation roles must alternate user/assistant/user/assistant/...',
        'Change the turns: their order, or the roles that this model knows.',
      );
    const open = messages.at(-1)?.role === 'assistant';
    const ids = messages.flatMap(({ role, content }) => [START, ...encode(`${role}\n${content}`, false), END, ...encode('\n', false)]);
    ids.splice(open ? -2 : ids.length, open ? 2 : 0, ...(open ? [] : [START, ...encode('assistant\n', false)]));
    return Promise.resolve({ ids, pieces: ids.map((id) => PIECES[id] ?? '') });
  },
  decode: (_model, ids) => Promise.resolve(decode(ids)),
  vectors: () => Promise.resolve([...vectors.values()].map((kept) => kept.info)),
  vector: (id) => {
    const kept = vectors.get(id);
    return kept
      ? Promise.resolve(kept)
      : Promise.reject(new LabError('no-such-vector', 'That vector is not on the shelf.', 'Make it again.'));
  },
  openVectors: () => Promise.resolve([]),
  dictionaries: () => Promise.resolve([]),
  dictionary: () => Promise.reject(new LabError('dictionary-unknown', 'That dictionary is not on the shelf.', 'Drop it again.')),
  labels: () => Promise.reject(new LabError('dictionary-unknown', 'That dictionary is not on the shelf.', 'Drop it again.')),
  label: () => Promise.reject(new LabError('dictionary-unknown', 'That dictionary is not on the shelf.', 'Drop it again.')),
  openLabels: () => Promise.reject(new LabError('dictionary-unknown', 'That dictionary is not on the shelf.', 'Drop it again.')),
  exportLabels: () => Promise.reject(new LabError('dictionary-unknown', 'That dictionary is not on the shelf.', 'Drop it again.')),
  findLabels: () => Promise.reject(new LabError('dictionary-unknown', 'That dictionary is not on the shelf.', 'Drop it again.')),
  overrideContract: () => Promise.reject(new LabError('dictionary-unknown', 'That dictionary is not on the shelf.', 'Drop it again.')),
  texts: () => Promise.resolve([]),
  textOf: () => Promise.reject(new LabError('text-unknown', 'That text is not on the shelf.', 'Drop it again.')),
  readText: () => Promise.reject(new LabError('text-unknown', 'That text is not on the shelf.', 'Drop it again.')),
  nextTokens: () => Promise.reject(new LabError('text-unknown', 'That text is not on the shelf.', 'Drop it again.')),
  closeText: () => Promise.resolve(),
  survey: () => Promise.resolve(undefined),
  surveyId: () => Promise.resolve('survey'),
  surveys: () => Promise.resolve([]),
  keepSurvey: () => Promise.resolve(),
  forgetSurvey: () => Promise.resolve(),
  keepVector: (made, data) => {
    const kept = { ...made, id: `v${vectors.size + 1}-${Math.round(norm(data) * 1000)}` };
    vectors.set(kept.id, { info: kept, data });
    return Promise.resolve(kept);
  },
};
const norm = (data: Float32Array) => Math.sqrt(data.reduce((sum, x) => sum + x * x, 0));
