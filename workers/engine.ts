/**
 * The engine as the page's client sees it (contract.ts: EngineApi): one device, one model in use, runs in turn, generations
 * beside them. Independent of workers and Comlink, so that tests and Node with Dawn use the same object.
 */
import type { Attribution, Composition, ContractCheck, DictionaryInfo, FoundLatents, HeadScores, Planned, SparseRows } from './api';
import type {
  DictionaryRecord,
  EngineApi,
  EngineAttribute,
  EngineContrast,
  EngineDashboard,
  EngineEncode,
  EngineLatent,
  EngineGenerate,
  EngineHeadCircuit,
  EngineHeadCircuitCall,
  EngineHeadScores,
  EngineLens,
  EngineLensResult,
  EnginePromotes,
  EngineRun,
  EngineRunResult,
  EngineSimilar,
  EngineStep,
  EngineSurvey,
  EngineSurveyCall,
  EngineTrainedLens,
  EngineTrainLens,
  Ending,
  TokenChunk,
} from './contract';
import { LabError, throwIfAborted } from './errors';
import { normAt } from './engine-dictionaries';
import { neuronsInfo } from './dictionary/neurons';
import type { Surveys } from './engine-surveys';
import { encode } from './experiments/encode';
import { later } from './later';
import { capacityOf, compileFor, decodeOps, resultCopy, watchesOf } from './model/decode';
import { Generation } from './model/generate';
import { printed, resultOf, sequenceOf } from './engine-requests';
import { logitLens } from './model/lens';
import { loss } from './model/loss';
import { planBatch, runBatch } from './model/run';
import { checkIds } from './model/runtime';
import { streamsOf } from './model/streams';
import { unembeddingColumn } from './model/unembedding';

import { attempt, EngineCore } from './engine-core';

/** Rows of a batch computed together at most; a longer list of requests is done in turns. */
const BATCH_ROWS = 2048;

export class Engine extends EngineCore implements EngineApi {
  /** What is asked of dictionaries once there are any: not needed to start. */
  private readonly asking = later(() => import('./engine-asking'));
  private readonly reading = this.asking;
  private readonly surveying = later(async () => {
    const { dashboard, sequencesOf, Surveys } = await import('./engine-surveys');
    return { dashboard, sequencesOf, surveys: new Surveys() };
  });
  private readonly backward = later(async () => {
    const { Gradients } = await import('./engine-gradient');
    return new Gradients({ turn: (work) => this.steady(() => work(this.need())), dictionary: (id) => this.attached.get(id) });
  });
  private readonly sweeping = later(async () => {
    const { Sweeps } = await import('./engine-sweeps');
    return new Sweeps({ turn: (work) => this.steady(() => work(this.need())), dictionary: (id) => this.attached.get(id) });
  });
  private count = 0;

  hooks(): Promise<{ name: string; shape: string[] }[]> {
    return attempt(() => [...this.need().planner.hooks.values()].map(({ name, shape }) => ({ name, shape })));
  }

  batch(requests: readonly EngineRun[], job: string, progress?: (done: number, of: number) => void): Promise<EngineRunResult[]> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const model = this.need();
        for (const { ids } of requests) checkIds(model, ids);
        const results: EngineRunResult[] = [];
        for (let at = 0; at < requests.length;) {
          throwIfAborted(signal);
          let to = at;
          let rows = 0;
          while (to < requests.length && (to === at || rows + (requests[to]?.ids.length ?? 0) <= BATCH_ROWS))
            rows += requests[to++]?.ids.length ?? 0;
          const some = requests.slice(at, to);
          const start = performance.now();
          const out = await runBatch(model, some.map(sequenceOf));
          const milliseconds = performance.now() - start;
          some.forEach((request, i) => results.push(resultOf(request, out[i], model.spec.vocabOut, milliseconds)));
          at = to;
          progress?.(at, requests.length);
        }
        return results;
      }),
    );
  }

  explainRun(request: EngineRun): Promise<Planned[]> {
    return this.steady(async () => printed((await planBatch(this.need(), [sequenceOf(request)])).ops));
  }

  explainGenerate(request: EngineGenerate): Promise<Planned[]> {
    return this.steady(async () => {
      const model = this.need();
      checkIds(model, request.ids);
      const capacity = capacityOf(model, request);
      const streams = streamsOf(request);
      const { ops } = decodeOps(
        model,
        streams,
        { slots: streams.length, cap: capacity, kept: true },
        await compileFor(model, request, capacity),
        watchesOf(request),
      );
      return printed([...ops, resultCopy(model, streams)]);
    });
  }

  attach(record: DictionaryRecord, job: string): Promise<void> {
    return this.job(job, (signal) => this.steady(() => this.attached.attach(this.need(), record, signal)));
  }

  async detach(id: string): Promise<void> {
    await this.queue.run(() => Promise.resolve(this.attached.detach(this.model, id)));
  }

  neurons(): Promise<DictionaryInfo[]> {
    return this.steady(() => Promise.resolve(neuronsInfo(this.need().spec, this.needInUse().record)));
  }

  encode(request: EngineEncode, job: string): Promise<SparseRows> {
    return this.job(job, () =>
      this.steady(() => {
        const model = this.need();
        checkIds(model, request.ids);
        return encode(model, this.attached.get(request.dictionary), request);
      }),
    );
  }

  latent({ dictionary, latent, top }: { dictionary: string; latent: number; top: number }): Promise<EngineLatent> {
    return this.steady(async () => (await this.asking()).latentWeights(this.need(), this.attached.get(dictionary), latent, top));
  }

  promotes(request: EnginePromotes): Promise<FoundLatents> {
    return this.steady(async () => (await this.asking()).promotes(this.need(), this.attached.get(request.dictionary), request));
  }

  contrast(request: EngineContrast, job: string, progress?: (done: number, of: number) => void): Promise<FoundLatents> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const model = this.need();
        for (const { ids } of [...request.here, ...request.not]) checkIds(model, ids);
        return (await this.asking()).contrast(model, this.attached.get(request.dictionary), request, progress, () =>
          throwIfAborted(signal),
        );
      }),
    );
  }

  similar(request: EngineSimilar): Promise<{ latent: number; cosine: number }[]> {
    return this.steady(async () =>
      (await this.asking()).similar(this.need(), this.attached.get(request.dictionary), this.attached.get(request.other), request),
    );
  }

  evaluate(
    request: { dictionary: string; texts: number[][]; special: readonly number[] },
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<{ scores: Record<string, number>; density: Float64Array }> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const model = this.need();
        for (const ids of request.texts) checkIds(model, ids);
        return (await this.asking()).evaluate(model, this.attached.get(request.dictionary), request, progress, () =>
          throwIfAborted(signal),
        );
      }),
    );
  }

  checkContract(
    request: Parameters<EngineApi['checkContract']>[0],
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<ContractCheck> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const model = this.need();
        for (const ids of [...request.texts, ...request.others]) checkIds(model, ids);
        const dictionary = this.attached.ofShelf(request.dictionary);
        const call = { ...request, ...normAt(model, dictionary.spec.hookIn) };
        return (await this.asking()).checkContract(model, dictionary, call, progress, () => throwIfAborted(signal));
      }),
    );
  }

  openSurvey(request: EngineSurveyCall): Promise<EngineSurvey> {
    return this.steady(async () => {
      const { surveys } = await this.surveying();
      return surveys.begin(request, this.need().id, this.attached.ofShelf(request.dictionary).spec);
    });
  }
  holdsSurvey(id: string): Promise<boolean> {
    return this.ofSurveys((surveys) => surveys.holds(id));
  }

  survey(
    id: string,
    chunk: Pick<TokenChunk, 'cursor' | 'ids' | 'lengths'>,
    until: number,
    job: string,
    progress?: (tokens: number) => void,
  ): Promise<{ tokens: number }> {
    return this.job(job, async (signal) => {
      const { sequencesOf, surveys } = await this.surveying();
      const sequences = sequencesOf(chunk);
      for (const ids of sequences) checkIds(this.need(), ids);
      for (;;) {
        throwIfAborted(signal);
        // Each batch waits its turn, so that a text that is being written goes on beside a survey.
        const { tokens, more } = await this.steady(async () => {
          const model = this.need();
          const { pass, dictionary, counts } = surveys.running(id, model.id, (each) => this.attached.ofShelf(each).spec);
          const due = pass.tally.positions < until;
          const more = due && (await pass.step(model, this.attached.ofShelf(dictionary), chunk.cursor, sequences, counts));
          return { tokens: pass.tally.positions, more };
        });
        if (!more) return { tokens };
        progress?.(tokens);
      }
    });
  }

  private async ofSurveys<T>(work: (surveys: Surveys) => T): Promise<T> {
    const { surveys } = await this.surveying();
    return attempt(() => work(surveys));
  }
  surveyed(id: string): Promise<EngineSurvey> {
    return this.ofSurveys((surveys) => surveys.told(id));
  }
  packSurvey(id: string): Promise<Blob> {
    return this.ofSurveys((surveys) => surveys.get(id).pass.pack());
  }
  closeSurvey(id: string, keep: boolean): Promise<void> {
    return this.ofSurveys((surveys) => surveys.close(id, keep));
  }

  dashboard(
    { survey, latent, examples }: { survey: string; latent: number; examples: number },
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<EngineDashboard> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const { dashboard, surveys } = await this.surveying();
        const model = this.need();
        const { pass, dictionary, counts } = surveys.running(survey, model.id, (each) => this.attached.ofShelf(each).spec);
        const stop = (): void => throwIfAborted(signal);
        return dashboard({ model, dictionary: this.attached.ofShelf(dictionary), pass, counts, latent, examples, progress, stop });
      }),
    );
  }

  lens(request: EngineLens, job: string, progress?: (done: number, of: number) => void): Promise<EngineLensResult> {
    return this.job(job, (signal) =>
      this.steady(async () => {
        const stop = (): void => throwIfAborted(signal);
        const { lens } = request;
        if (!lens) return logitLens(this.need(), request, progress, stop);
        const reader = await this.parts.openTensors(lens);
        try {
          const change = (await this.reading()).lensChange(this.need(), lens, reader);
          return await logitLens(this.need(), request, progress, stop, change);
        } finally {
          reader.close();
        }
      }),
    );
  }

  sweep(...[request, job, progress]: Parameters<EngineApi['sweep']>): ReturnType<EngineApi['sweep']> {
    return this.job(job, async (signal) => (await this.sweeping()).sweep(request, signal, progress));
  }
  async planSweep(...[request]: Parameters<EngineApi['planSweep']>): ReturnType<EngineApi['planSweep']> {
    return (await this.sweeping()).planSweep(request);
  }
  async explainSweep(...[request]: Parameters<EngineApi['explainSweep']>): ReturnType<EngineApi['explainSweep']> {
    return (await this.sweeping()).explainSweep(request);
  }
  patchSet(...[request, job]: Parameters<EngineApi['patchSet']>): ReturnType<EngineApi['patchSet']> {
    return this.job(job, async (signal) => (await this.sweeping()).patchSet(request, signal));
  }
  pathPatch(...[request, job, progress]: Parameters<EngineApi['pathPatch']>): ReturnType<EngineApi['pathPatch']> {
    return this.job(job, async (signal) => (await this.sweeping()).pathPatch(request, signal, progress));
  }

  attribute(request: EngineAttribute): Promise<Attribution> {
    return this.steady(async () =>
      (await this.reading()).attribute(
        this.need(),
        request,
        request.dictionary === undefined ? undefined : this.attached.get(request.dictionary),
      ),
    );
  }

  headScores(request: EngineHeadScores, job: string, progress?: (done: number, of: number) => void): Promise<HeadScores> {
    return this.job(job, (signal) =>
      this.steady(async () => (await this.reading()).headScores(this.need(), request, progress, () => throwIfAborted(signal))),
    );
  }
  headCircuit(call: EngineHeadCircuitCall): Promise<EngineHeadCircuit> {
    return this.steady(async () => (await this.reading()).headCircuit(this.need(), call));
  }
  trainLens(request: EngineTrainLens, job: string, progress?: (done: number, of: number) => void): Promise<EngineTrainedLens> {
    return this.job(job, (signal) =>
      this.steady(async () => (await this.reading()).trainLens(this.need(), request, progress, () => throwIfAborted(signal))),
    );
  }
  composition(job: string, progress?: (done: number, of: number) => void): Promise<Composition> {
    return this.job(job, (signal) =>
      this.steady(async () => (await this.reading()).composition(this.need(), progress, () => throwIfAborted(signal))),
    );
  }

  loss(request: { ids: number[]; edits: EngineRun['edits'] }): Promise<Float32Array> {
    return this.steady(() => loss(this.need(), request.ids, request.edits));
  }

  gradient(...[requests, at, job]: Parameters<EngineApi['gradient']>): ReturnType<EngineApi['gradient']> {
    return this.job(job, async (signal) => (await this.backward()).gradient(requests, at, signal));
  }
  attribution(...[request, job, progress]: Parameters<EngineApi['attribution']>): ReturnType<EngineApi['attribution']> {
    return this.job(job, async (signal) => (await this.backward()).estimate(request, signal, progress));
  }
  async planAttribution(...[request]: Parameters<EngineApi['planAttribution']>): ReturnType<EngineApi['planAttribution']> {
    return (await this.backward()).plan(request);
  }
  async explainAttribution(...[request]: Parameters<EngineApi['explainAttribution']>): ReturnType<EngineApi['explainAttribution']> {
    return (await this.backward()).explain(request);
  }

  unembedding(token: number): Promise<Float32Array> {
    return this.steady(async () => {
      const { record } = this.needInUse();
      const reader = await this.parts.openTensors(record);
      try {
        return await unembeddingColumn(record, reader, token);
      } finally {
        reader.close();
      }
    });
  }

  open(request: EngineGenerate): Promise<string> {
    return this.steady(async () => {
      const id = `g${++this.count}`;
      this.generations.set(id, await Generation.open(this.need(), request));
      return id;
    });
  }

  private generation(id: string): Generation {
    const found = this.generations.get(id);
    if (!found) throw new LabError('generation-gone', 'This generation is over: its model was changed or it was closed.', 'Start another.');
    return found;
  }

  next(id: string): Promise<EngineStep | { ended: Ending }> {
    return this.steady(() => this.generation(id).next());
  }
  dial(id: string, edit: number, change: { value?: number; strength?: number; enabled?: boolean }): void {
    this.generation(id).dial(edit, change);
  }
  reread(id: string): Promise<void> {
    return this.steady(() => this.generation(id).reread());
  }
  rewind(id: string, position: number, tokens: number): Promise<void> {
    return this.steady(() => this.generation(id).rewind(position, tokens));
  }
  async stop(id: string): Promise<void> {
    await this.queue.run(async () => this.generations.get(id)?.stop());
  }
  async close(id: string): Promise<void> {
    await this.queue.run(async () => {
      this.generations.get(id)?.close();
      this.generations.delete(id);
      return Promise.resolve();
    });
    // After a first text, while nothing runs: which kernels suit this device. The next model that is loaded has them.
    if (this.generations.size === 0 && !this.measured) this.queue.run(() => this.tune()).catch(() => undefined);
  }
}
