/**
 * A stream of tokens that can be steered while it runs. It is pulled: the engine is asked for one step when the consumer asks
 * for one, so that a slow reader never has more than two tokens computed ahead of it. Calls reach the engine in the order in
 * which they were made, also those made before the generation was set up, so a dial is in force for every token computed
 * after the call.
 */
import type { Remote } from 'comlink';
import type { Choice, Edit, Generation, Step } from '../../workers/api';
import type { Ending, EngineApi, EngineChoice, EngineStep } from '../../workers/contract';
import { cancelled, LabError } from '../../workers/errors';
import { deferred, labError, told } from './jobs';
import { completesStop } from './stop';
import type { Text } from './text';

export interface Opening {
  id: string;
  prompt: number[];
  promptLength: number;
  baseline: boolean;
  pieces: readonly string[];
}

type Change = { value?: number; strength?: number; enabled?: boolean };

export class LiveGeneration implements Generation {
  #opening: Opening | undefined;
  #failure: LabError | undefined;
  #waiting: (() => void)[] = [];
  #steered: number[] = [];
  #baseline: number[] = [];
  /** The decoded text at the last step, for stop strings; unknown after a rewind. */
  #said: string | undefined;
  #finished = false;
  #closed = false;
  #ended = deferred<Ending>();

  constructor(
    private readonly engine: Remote<EngineApi>,
    private readonly text_: Text,
    private readonly stops: readonly string[],
    setup: Promise<Opening>,
    private readonly pulled: (step: Promise<unknown>) => void = () => undefined,
    /** The edits that the dials move, where mistakes are to be told at once. */
    private readonly edits: readonly Edit[] | undefined = undefined,
  ) {
    setup.then(
      (opening) => {
        this.#opening = opening;
        this.#flush();
      },
      (thrown: unknown) => {
        this.#fail(labError(thrown));
        this.#flush();
      },
    );
  }

  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  /** Nothing more will come unless it is rewound. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Throws at once where the dial or the number is none; afterwards nothing can go wrong but a generation that is over. */
  dial(edit: number, change: Change): void {
    if (this.edits) checkDial(this.edits, edit, change);
    this.#post((id) => this.engine.dial(id, edit, change)).catch(() => undefined);
  }

  reread(): Promise<void> {
    return this.#post((id) => this.engine.reread(id));
  }

  rewind(position: number, tokens: number): Promise<void> {
    if (this.#finished && !this.#failure) {
      this.#finished = false;
      this.#ended = deferred<Ending>();
    }
    const rewound = this.#post((id, opening) => {
      const kept = Math.max(0, position - opening.prompt.length);
      this.#steered.length = Math.min(this.#steered.length, kept);
      this.#baseline.length = Math.min(this.#baseline.length, kept);
      this.#said = undefined;
      return this.engine.rewind(id, position, tokens);
    });
    rewound.catch((thrown: unknown) => this.#fail(labError(thrown)));
    return rewound;
  }

  async stop(): Promise<void> {
    if (this.#finished) return;
    await this.#post((id) => this.engine.stop(id));
    this.#finish('cancelled');
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#finish('cancelled');
    await this.#post((id) => this.engine.close(id)).catch(() => undefined);
  }

  text(): Promise<{ steered: string; baseline?: string }> {
    return told(async () => {
      const { prompt, baseline } = this.#opening ?? { prompt: [], baseline: false };
      const steered = await this.text_.continuation(prompt, this.#steered);
      return baseline ? { steered, baseline: await this.text_.continuation(prompt, this.#baseline) } : { steered };
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<Step, undefined> {
    return {
      next: () => {
        const step = this.#next();
        this.pulled(step);
        return step;
      },
      return: async () => {
        await this.stop();
        return { done: true, value: undefined };
      },
    };
  }

  async #next(): Promise<IteratorResult<Step, undefined>> {
    if (this.#failure) throw this.#failure;
    if (this.#finished) return { done: true, value: undefined };
    let reply: EngineStep | { ended: Ending };
    try {
      reply = await this.#post<EngineStep | { ended: Ending }>((id) => this.engine.next(id));
    } catch (thrown) {
      throw this.#fail(labError(thrown));
    }
    if ('ended' in reply) {
      this.#finish(reply.ended);
      return { done: true, value: undefined };
    }
    try {
      return { done: false, value: await this.#take(reply) };
    } catch (thrown) {
      throw this.#fail(labError(thrown));
    }
  }

  async #take(reply: EngineStep): Promise<Step> {
    const { pieces = [], prompt = [] } = this.#opening ?? {};
    const before = this.stops.length ? [...this.#steered] : [];
    this.#steered.push(reply.steered.id);
    if (reply.baseline) this.#baseline.push(reply.baseline.id);
    const { steered, baseline, latents, ...rest } = reply;
    const step: Step = {
      ...rest,
      ...(latents ? listed(latents) : {}),
      steered: named(steered, pieces),
      ...(baseline ? { baseline: named(baseline, pieces) } : {}),
    };
    if (this.stops.length) {
      const said = this.#said ?? (await this.text_.continuation(prompt, before));
      this.#said = await this.text_.continuation(prompt, [...before, steered.id]);
      if (completesStop(said, this.#said, this.stops)) {
        this.#post((id) => this.engine.stop(id)).catch(() => undefined);
        this.#finish('stop');
      }
    }
    return step;
  }

  /** At once when set up, else when set up; always in the order of the calls. */
  #post<T>(send: (id: string, opening: Opening) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const go = () => {
        if (!this.#opening) reject(this.#failure ?? cancelled());
        else told(() => (this.#opening ? send(this.#opening.id, this.#opening) : Promise.reject(cancelled()))).then(resolve, reject);
      };
      if (this.#opening || this.#failure) go();
      else this.#waiting.push(go);
    });
  }

  #flush(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  #finish(ending: Ending): void {
    this.#finished = true;
    this.#ended.resolve(ending);
  }

  #fail(error: LabError): LabError {
    this.#failure ??= error;
    this.#finished = true;
    this.#ended.reject(error);
    return error;
  }
}

function checkDial(edits: readonly Edit[], i: number, change: Change): void {
  const edit = edits[i];
  if (!edit)
    throw new LabError(
      'edit-shape',
      `There is no edit ${i}; this generation has ${edits.length}.`,
      'Edits count from 0, in the order given.',
    );
  for (const each of [change.value, change.strength])
    if (each !== undefined && !Number.isFinite(each))
      throw new LabError('edit-shape', `A dial cannot be set to ${each}.`, 'Give a finite number.');
  if (change.value !== undefined && edit.kind === 'replace')
    throw new LabError('edit-shape', 'A replace edit has no number of its own.', 'Move its strength instead.');
}

function named(choice: EngineChoice, pieces: readonly string[]): Choice {
  return {
    id: choice.id,
    piece: pieces[choice.id] ?? '',
    probability: choice.probability,
    top: choice.top.map(({ id, probability }) => ({ id, piece: pieces[id] ?? '', probability })),
  };
}

/** Live latents as a Step tells them. */
function listed(latents: NonNullable<EngineStep['latents']>): Pick<Step, 'latents' | 'truncated'> {
  const all = Object.entries(latents);
  const truncated = all.flatMap(([id, list]) => (list.truncated ? [id] : []));
  return { latents: Object.fromEntries(all.map(([id, { pairs }]) => [id, pairs])), ...(truncated.length ? { truncated } : {}) };
}
