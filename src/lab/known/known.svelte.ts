/**
 * Published figures run again: which fit the model in use, what came out beside what was published, and the run under way. Where a figure needs the weights folded and centred
 * the model is loaded so, and afterwards as it was. Made with the instrument that shows it; lives as long as the page.
 */
import type { Lab, ModelInfo } from '../../../workers/api';
import { LabError } from '../../../workers/errors';
import type { Machine } from '../machine.svelte';
import { troubleOf, type Trouble } from '../trouble';
import { atLevel, levelOf } from '../using';
import { FIGURES, match, type Figure } from './figures';
import { RUNS } from './runs';

export interface Outcome {
  /** The model that was asked, its weights as they ran. */
  model: string;
  badge: string;
  /** A stand-in's numbers are its own. */
  like: 'same' | 'like';
  seconds: number;
  rows: { name: string; published: number; ours: number; off: number; agrees: boolean }[];
}
export interface Running {
  id: string;
  done: number;
  of: number;
}

/** What came out beside what was published. */
export function compared(figure: Figure, ours: readonly number[]): Outcome['rows'] {
  if (ours.length !== figure.rows.length)
    throw new LabError('internal', `“${figure.title}” gave ${ours.length} numbers for ${figure.rows.length} rows.`, 'Please report this.');
  return figure.rows.map(({ name, published }, i) => {
    const found = ours[i] ?? NaN;
    const off = found - published;
    return { name, published, ours: found, off, agrees: Math.abs(off) <= figure.tolerance };
  });
}

export class KnownResults {
  outcomes = $state.raw<ReadonlyMap<string, Outcome>>(new Map());
  running = $state.raw<Running | undefined>();
  problem = $state.raw<Trouble | undefined>();
  #abort: AbortController | undefined;

  constructor(
    private readonly lab: Lab,
    private readonly machine: Machine,
  ) {}

  fits = (figure: Figure): 'same' | 'like' | 'other' => match(this.machine.model, figure.subject);
  /** Those that the model in use can be asked for, the figures of raw weights first: so the weights are changed once. */
  possible: Figure[] = $derived(
    FIGURES.filter((figure) => this.fits(figure) !== 'other').sort((a, b) => Number(a.processed) - Number(b.processed)),
  );

  async run(figures: readonly Figure[]): Promise<void> {
    const { model } = this.machine;
    if (!model || this.running) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.problem = undefined;
    const before = this.machine.using;
    try {
      for (const figure of figures) {
        if (this.fits(figure) === 'other') continue;
        this.running = { id: figure.id, done: 0, of: 1 };
        await this.#weights(model, figure.processed);
        await this.#one(figure, abort.signal);
      }
    } catch (thrown) {
      if (!abort.signal.aborted) this.problem = troubleOf(thrown);
    } finally {
      // As the person had it, whatever happened.
      if (this.machine.model?.id === model.id && this.machine.using !== before)
        await this.machine.use(model, before).catch((thrown: unknown) => (this.problem ??= troubleOf(thrown)));
      this.running = undefined;
    }
  }

  /** Raw, or folded and centred. */
  async #weights(model: ModelInfo, processed: boolean): Promise<void> {
    const level = processed ? 'centred' : 'raw';
    if (levelOf(this.machine.using) === level) return;
    await this.machine.use(model, atLevel('stored', level));
    if (levelOf(this.machine.using) !== level)
      throw new LabError(
        'known-weights',
        `${model.name} could not be loaded ${processed ? 'folded and centred' : 'raw'}.`,
        'The message beside this says why; try again.',
      );
  }

  async #one(figure: Figure, signal: AbortSignal): Promise<void> {
    const start = performance.now();
    const progress = (done: number, of: number): void => {
      this.running = { id: figure.id, done, of };
    };
    const rows = compared(figure, await RUNS[figure.id]({ lab: this.lab, signal, progress }));
    const model = this.machine.model;
    const like = this.fits(figure);
    if (!model || like === 'other') return;
    const outcome: Outcome = { model: model.name, badge: model.badge, like, seconds: (performance.now() - start) / 1000, rows };
    this.outcomes = new Map([...this.outcomes, [figure.id, outcome]]);
  }

  stop(): void {
    this.#abort?.abort();
  }

  /** Every number that came out, one a line: figure, row, published, ours. */
  get csv(): string {
    const cell = (text: string | number): string => (/[",\n]/.test(String(text)) ? `"${String(text).replace(/"/g, '""')}"` : String(text));
    const lines = FIGURES.flatMap((figure) =>
      (this.outcomes.get(figure.id)?.rows ?? []).map(({ name, published, ours, agrees }) =>
        [figure.id, name, published, ours, agrees ? 'agrees' : 'differs', this.outcomes.get(figure.id)?.badge ?? ''].map(cell).join(','),
      ),
    );
    return ['figure,row,published,ours,verdict,model', ...lines].join('\n') + '\n';
  }
}

const stores = new WeakMap<object, KnownResults>();
/** A bench's. */
export function knownOf(bench: { lab: Lab; machine: Machine }): KnownResults {
  const there = stores.get(bench);
  if (there) return there;
  // In a root of its own: what is derived in a component would end with it.
  $effect.root(() => {
    stores.set(bench, new KnownResults(bench.lab, bench.machine));
  });
  return knownOf(bench);
}
