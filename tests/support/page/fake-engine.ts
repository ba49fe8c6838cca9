/**
 * Stands in for the engine while the page is looked at without a GPU: the same interface, a toy language behind it.
 * The query says what to show: ?fake=no-gpu, ?fake=lose (the device goes after 12 tokens), ?fake=memory, ?fake=slow.
 */
import type { Planned } from '../../../workers/api';
import type { EngineApi, EngineChoice, EngineEvent, EngineGenerate, EngineStep, Ending } from '../../../workers/contract';
import { LabError } from '../../../workers/errors';
import { cancels, query, wait } from './fake-files';
import { direction, distribution, hash, LAYERS, sample, WIDTH } from './toy';

interface Stream {
  request: EngineGenerate;
  dials: { value?: number; strength: number; enabled: boolean }[];
  steered: number[];
  baseline: number[];
  left: number;
  stopped: boolean;
  reread: boolean;
}
const streams = new Map<string, Stream>();
let told: ((event: EngineEvent) => void) | undefined;
let lostOnce = false;

function push(stream: Stream): Float32Array | undefined {
  const sum = new Float32Array(WIDTH);
  stream.request.edits.forEach((edit, i) => {
    const dial = stream.dials[i];
    if (edit.kind !== 'add' || !dial?.enabled) return;
    const scale = (dial.value ?? 0) * dial.strength;
    for (let k = 0; k < WIDTH; k++) sum[k] = (sum[k] ?? 0) + scale * (edit.vector[k] ?? 0);
  });
  return sum;
}
const pick = (choices: EngineChoice['top'], request: EngineGenerate, step: number): EngineChoice => {
  const at = sample(choices.slice(0, request.topK || 40), request.temperature, request.seed, step);
  const { id, probability } = choices[at] ?? { id: 0, probability: 0 };
  return { id, probability, top: choices.slice(0, 8) };
};
const stepDelay = () => (query() === 'slow' ? 400 : 30);

const plan = (edits: number): Planned[] => [
  { kernel: 'embed', hook: 'hook_embed', workgroups: [1], bytes: 512 },
  ...Array.from({ length: LAYERS }, (_, l) =>
    ['norm-qkv', 'attention-decode', 'proj-residual', 'norm-mlp', 'mlp-residual'].map((kernel) => ({
      kernel,
      hook: `blocks.${l}.hook_resid_post`,
      workgroups: [8],
      bytes: 4096,
    })),
  ).flat(),
  ...Array.from({ length: edits }, () => ({ kernel: 'edit', workgroups: [1], bytes: 64 })),
  ...['norm', 'unembed', 'sample'].map((kernel) => ({ kernel, workgroups: [16], bytes: 8192 })),
];

const noSweeps = (): LabError => new LabError('not-yet', 'The toy engine patches nothing.', '');

export const fakeEngine: EngineApi = {
  async start(_options, events) {
    told = events;
    await wait(120);
    if (query() === 'no-gpu') throw new LabError('webgpu-missing', 'This browser offers no WebGPU.', 'Use a browser that has it.');
    return fakeEngine.device();
  },
  device: () =>
    Promise.resolve({
      adapter: 'toy adapter',
      features: [],
      limits: { maxBufferSize: 4294967296 },
      bytesInUse: 4.1e7,
      bytesHigh: 5.2e7,
      variants: { matvec: 'rows-4' },
      counters: { dispatches: 0, copies: 0, submits: 0, pipelines: 0, bytesWritten: 0, bytesRead: 0, buffers: 0 },
    }),
  attach: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  detach: () => Promise.resolve(),
  neurons: () => Promise.resolve([]),
  sweep: () => Promise.reject(noSweeps()),
  planSweep: () => Promise.reject(noSweeps()),
  explainSweep: () => Promise.reject(noSweeps()),
  patchSet: () => Promise.reject(noSweeps()),
  pathPatch: () => Promise.reject(noSweeps()),
  encode: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  latent: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  checkContract: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  evaluate: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  promotes: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  contrast: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  similar: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  attribute: () => Promise.reject(new LabError('not-yet', 'The toy engine reads nothing.', '')),
  headScores: () => Promise.reject(new LabError('not-yet', 'The toy engine reads nothing.', '')),
  headCircuit: () => Promise.reject(new LabError('not-yet', 'The toy engine reads nothing.', '')),
  trainLens: () => Promise.reject(new LabError('not-yet', 'The toy engine reads nothing.', '')),
  composition: () => Promise.reject(new LabError('not-yet', 'The toy engine reads nothing.', '')),
  openSurvey: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  holdsSurvey: () => Promise.resolve(false),
  survey: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  surveyed: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  packSurvey: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  closeSurvey: () => Promise.resolve(),
  dashboard: () => Promise.reject(new LabError('dictionary-unknown', 'The toy engine has no dictionaries.', '')),
  async use(record, _options, _special, _job, progress) {
    for (let i = 1; i <= 8; i++) {
      progress?.({ stage: 'Loading to the GPU', done: i * 7.6e5, of: 6.1e6 });
      await wait(40);
    }
    return record.info;
  },
  unload: () => Promise.resolve(),
  hooks: () =>
    Promise.resolve([
      { name: 'hook_embed', shape: ['pos', 'd_model'] },
      ...Array.from({ length: LAYERS }, (_, l) =>
        ['hook_resid_pre', 'attn.hook_z', 'hook_attn_out', 'hook_resid_mid', 'hook_mlp_out', 'hook_resid_post'].map((name) => ({
          name: `blocks.${l}.${name}`,
          shape: ['pos', 'd_model'],
        })),
      ).flat(),
    ]),
  batch: (requests) =>
    Promise.resolve(
      requests.map(({ ids, taps, logits }) => ({
        ids,
        milliseconds: 3,
        taps: Object.fromEntries(
          taps.map((hook) => {
            const data = new Float32Array(ids.length * WIDTH);
            ids.forEach((id, p) => direction(id).forEach((x, i) => (data[p * WIDTH + i] = x * (3 + hook.length / 9) + 0.6)));
            return [hook, { shape: [ids.length, WIDTH], data }];
          }),
        ),
        ...(typeof logits === 'object'
          ? {
              top: {
                ids: ids.map((id) =>
                  distribution(id, undefined)
                    .slice(0, logits.top)
                    .map((c) => c.id),
                ),
                probabilities: ids.map((id) =>
                  distribution(id, undefined)
                    .slice(0, logits.top)
                    .map((c) => c.probability),
                ),
              },
            }
          : {}),
      })),
    ),
  explainRun: (request) => Promise.resolve(plan(request.edits.length)),
  explainGenerate: (request) => Promise.resolve(plan(request.edits.length)),
  async lens({ ids, top, edits, track }) {
    await wait(60);
    const layers = Array.from({ length: LAYERS }, (_, l) => `blocks.${l}.hook_resid_post`);
    const shove = edits.length
      ? push({
          request: { edits } as EngineGenerate,
          dials: edits.map((e) => ({ value: e.kind === 'add' ? e.scale : 0, strength: e.strength, enabled: e.enabled })),
          steered: [],
          baseline: [],
          left: 0,
          stopped: false,
          reread: false,
        })
      : undefined;
    const grid = layers.map((_, l) => ids.map((id) => distribution(id, shove, l + 1)));
    const all = grid.map((row) => row.map((cell) => cell.slice(0, top)));
    return {
      layers,
      ids: all.map((row) => row.map((cell) => cell.map((c) => c.id))),
      probabilities: all.map((row) => row.map((cell) => cell.map((c) => c.probability))),
      entropy: grid.map((row) => row.map((cell) => -cell.reduce((s, c) => s + c.probability * Math.log(c.probability), 0))),
      klToFinal: grid.map((row, l) => row.map((_, p) => (LAYERS - 1 - l) * 0.9 + (l < LAYERS - 1 ? hash(l, p) : 0))),
      ...(track === undefined
        ? {}
        : {
            rank: grid.map((row) => row.map((cell) => cell.findIndex((c) => c.id === track))),
            probability: grid.map((row) => row.map((cell) => cell.find((c) => c.id === track)?.probability ?? 0)),
          }),
    };
  },
  loss: ({ ids }) =>
    Promise.resolve(
      Float32Array.from(
        ids.slice(1),
        (id, i) => -Math.log(distribution(ids[i] ?? 0, undefined).find((c) => c.id === id)?.probability ?? 1e-6),
      ),
    ),
  gradient: () => Promise.reject(new LabError('internal', 'The toy engine has no backward pass.', '')),
  attribution: () => Promise.reject(new LabError('internal', 'The toy engine has no backward pass.', '')),
  planAttribution: () => Promise.reject(noSweeps()),
  explainAttribution: () => Promise.reject(noSweeps()),
  unembedding: (token) => Promise.resolve(direction(token)),
  open: (request) => {
    const id = crypto.randomUUID();
    const dials = request.edits.map((edit) => ({
      strength: edit.strength,
      enabled: edit.enabled,
      ...(edit.kind === 'add'
        ? { value: edit.scale }
        : edit.kind === 'project'
          ? { value: edit.keep }
          : edit.kind === 'cap'
            ? { value: edit.cap }
            : {}),
    }));
    streams.set(id, { request, dials, steered: [], baseline: [], left: request.tokens, stopped: false, reread: false });
    return Promise.resolve(id);
  },
  async next(id): Promise<EngineStep | { ended: Ending }> {
    await wait(stepDelay());
    const stream = streams.get(id);
    if (!stream) throw new LabError('no-such-generation', 'That generation is closed.', 'Start another.');
    if (query() === 'lose' && !lostOnce && stream.steered.length >= 12) {
      lostOnce = true;
      told?.({ kind: 'lost', reason: 'The GPU process ended.' });
      setTimeout(() => told?.({ kind: 'restored' }), 1500);
      throw new LabError('device-lost', 'The GPU was lost while generating.', 'The text is kept; press Continue when it is back.');
    }
    if (stream.stopped) return { ended: 'cancelled' };
    if (stream.left-- <= 0) return { ended: 'length' };
    const { request } = stream;
    const position = request.ids.length + stream.steered.length;
    const last = (row: number[]) => row.at(-1) ?? request.ids.at(-1) ?? 0;
    const steered = pick(distribution(last(stream.steered), push(stream)), request, position);
    const baseline = request.baseline ? pick(distribution(last(stream.baseline), undefined), request, position) : undefined;
    stream.steered.push(steered.id);
    if (baseline) stream.baseline.push(baseline.id);
    const reread = stream.reread;
    stream.reread = false;
    return {
      position,
      steered,
      ...(baseline ? { baseline } : {}),
      ...(request.shadow ? { kl: hash(position, 5) * 1.4 } : {}),
      dials: stream.dials.map(({ value, strength, enabled }) => ({
        ...(value === undefined ? {} : { value }),
        strength: enabled ? strength : 0,
      })),
      ...(reread ? { reread: true as const } : {}),
    };
  },
  dial(id, edit, change) {
    const dial = streams.get(id)?.dials[edit];
    if (dial) Object.assign(dial, change);
  },
  reread: async (id) => {
    await wait(120);
    const stream = streams.get(id);
    if (stream) stream.reread = true;
  },
  rewind(id, position, tokens) {
    const stream = streams.get(id);
    if (!stream) return Promise.reject(new LabError('no-such-generation', 'That generation is closed.', 'Start another.'));
    const kept = position - stream.request.ids.length;
    stream.steered.length = Math.min(kept, stream.steered.length);
    stream.baseline.length = Math.min(kept, stream.baseline.length);
    Object.assign(stream, { left: tokens, stopped: false });
    return Promise.resolve();
  },
  stop(id) {
    const stream = streams.get(id);
    if (stream) stream.stopped = true;
    return Promise.resolve();
  },
  close: (id) => Promise.resolve(void streams.delete(id)),
  cancel: (job) => Promise.resolve(void cancels.add(job)),
};
