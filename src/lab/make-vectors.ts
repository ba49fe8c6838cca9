/** The part of `window.lab` that makes and keeps directions: from texts, from a token, from numbers. Maths in vectors.ts. */
import type { Remote } from 'comlink';
import type { Hook, Lab, ModelInfo, RunRequest, RunResult, Job, Tensor } from '../../workers/api';
import type { EngineApi, FilesApi } from '../../workers/contract';
import { LabError } from '../../workers/errors';
import { notYet, told } from './jobs';
import type { Text } from './text';
import { differenceOfMeans, norm, pairName } from './vectors';

interface Parts {
  engine: Remote<EngineApi>;
  files: Remote<FilesApi>;
  text: Text;
  model: () => ModelInfo;
  batch(requests: readonly RunRequest[], job?: Job): Promise<RunResult[]>;
  changed(): void;
}

export function makeVectors(parts: Parts): Pick<Lab, 'vectorFromPairs' | 'vectorFromToken' | 'vectorFromNumbers'> {
  const { engine, files, text, model, batch, changed } = parts;

  const keep = async (name: string, at: Hook, data: Float32Array) => {
    const length = norm(data);
    if (!Number.isFinite(length))
      throw new LabError('vector-garbage', 'The vector holds a number that is not finite.', 'Check its source.');
    if (length === 0) throw new LabError('vector-garbage', 'The vector is zero everywhere.', 'The two sides of a contrast must differ.');
    const info = await files.keepVector({ name, at, norm: length }, data);
    changed();
    return info;
  };

  return {
    vectorFromPairs: ({ positive, negative, at, where = 'all', method }, job) =>
      told(async () => {
        if (method !== 'mean') throw notYet(`The method "${method}"`, 'the Train instrument');
        if (positive.length === 0 || negative.length === 0) {
          throw new LabError('request-invalid', 'A contrast needs at least one text on each side.', 'Write one text a line.');
        }
        if (at.endsWith('hook_attn_scores') || at.endsWith('hook_pattern'))
          throw new LabError(
            'request-invalid',
            'Scores and patterns of different texts have no common keys to average over.',
            'Choose another hook.',
          );
        const requests = [...positive, ...negative].map((prompt): RunRequest => ({ prompt, taps: [at], logits: 'none' }));
        const results = await batch(requests, job);
        const taps = results.map(({ taps: { [at]: tap } }): Tensor => {
          if (!tap) throw new LabError('hook-unknown', `${at} is not a hook of this model.`, 'lab.hooks() lists them.');
          return tap;
        });
        const data = differenceOfMeans(taps.slice(0, positive.length), taps.slice(positive.length), where);
        return keep(pairName(positive, negative), at, data);
      }),
    vectorFromToken: (token, { at, name }) =>
      told(async () => {
        const { id, piece } = await text.token(token);
        return keep(name ?? `“${piece}” unembedding`, at, await engine.unembedding(id));
      }),
    vectorFromNumbers: (name, at, data) =>
      told(async () => {
        model();
        return keep(name, at, Float32Array.from(data));
      }),
  };
}
