/** The logit lens of what is on the bench, with the dials in force and, to compare, without them. */
import type { Edit, Lab, LensInfo, LensResult, Where } from '../../workers/api';
import type { Dials } from './dials.svelte';
import { labError } from './jobs';
import type { PromptStore } from './prompt.svelte';
import type { Stream } from './stream.svelte';

export type LensMetric = 'probability' | 'rank' | 'entropy' | 'kl';
export const TOP = 8;
export const MOST_POSITIONS = 512;

/** What has been computed when a row of the lens is read: the embedding, or the blocks up to this one. */
export function rowName(hook: string): string {
  const match = /^blocks\.(\d+)\.hook_resid_(pre|post)$/.exec(hook);
  if (!match) return hook;
  const after = Number(match[1]) - (match[2] === 'pre' ? 1 : 0);
  return after < 0 ? 'emb' : String(after);
}

/** The same, in words. */
export const rowWords = (hook: string): string => (rowName(hook) === 'emb' ? 'the embedding' : `layer ${rowName(hook)}`);

export const METRICS: Record<LensMetric, { label: string; formula: string }> = {
  probability: {
    label: 'Probability',
    formula: 'p = softmax(W_U · ln_final(resid_post at the layer)); of the top token, or of the tracked one',
  },
  rank: { label: 'Rank', formula: 'how many tokens have a larger logit than the tracked one; 0 is first' },
  entropy: { label: 'Entropy', formula: 'H = −Σ p ln p over the vocabulary, in nats' },
  kl: { label: 'KL to final', formula: 'KL(p_final ‖ p_layer) = Σ p_final ln(p_final ÷ p_layer), in nats' },
};

/** A kept lens, or the plain one. */
export type LensChoice = { kind: 'logit' } | Pick<LensInfo, 'id' | 'kind' | 'name' | 'model'>;

export class LensStore {
  which = $state.raw<LensChoice>({ kind: 'logit' });
  metric = $state<LensMetric>('probability');
  trackText = $state('');
  tracked = $state.raw<{ id: number; piece: string } | undefined>();
  trackProblem = $state('');
  withText = $state(false);
  view = $state<'edited' | 'baseline'>('edited');
  edited = $state.raw<LensResult | undefined>();
  baseline = $state.raw<LensResult | undefined>();
  tokens = $state.raw<{ id: number; piece: string }[]>([]);
  cell = $state.raw<{ layer: number; position: number } | undefined>();
  busy = $state(false);
  problem = $state.raw<{ message: string; hint: string; code: string } | undefined>();
  #ticket = 0;

  constructor(
    private readonly lab: Lab,
    private readonly prompt: PromptStore,
    private readonly dials: Dials,
    private readonly stream: Stream,
  ) {}

  result = $derived(this.view === 'baseline' && this.baseline ? this.baseline : this.edited);

  async track(text: string): Promise<void> {
    this.trackText = text;
    if (text === '') {
      this.tracked = undefined;
      this.trackProblem = '';
      if (this.metric === 'rank') this.metric = 'probability';
      return;
    }
    try {
      // Words stand in running text with their space: try that first, then the text as typed.
      const spaced = text.startsWith(' ') ? text : ` ${text}`;
      const found = await this.lab.token(spaced).catch(() => this.lab.token(text));
      if (this.trackText !== text) return;
      this.tracked = found;
      this.trackProblem = '';
    } catch (thrown) {
      if (this.trackText === text) this.trackProblem = labError(thrown).message;
    }
  }

  /** Another model is in use: the tracked text is looked up among its tokens. */
  async trackAgain(): Promise<void> {
    this.tracked = undefined;
    if (this.trackText) await this.track(this.trackText);
  }

  async run(): Promise<void> {
    const ticket = ++this.#ticket;
    const tokens = this.#wanted();
    if (tokens.length === 0) {
      this.edited = this.baseline = undefined;
      this.tokens = [];
      return;
    }
    this.busy = true;
    const ids = tokens.map(({ id }) => id);
    const track = this.tracked ? { track: this.tracked.id } : {};
    try {
      const { which } = this;
      const read = 'id' in which ? { kind: which.kind, lens: which.id } : { kind: which.kind };
      const ask = (edits: Edit[]) => this.lab.lens({ prompt: ids, ...read, top: TOP, edits, ...track });
      const edited = await ask(this.editsFor(ids.length));
      if (ticket !== this.#ticket) return;
      const baseline = this.dials.active && this.dials.compare ? await ask([]) : undefined;
      if (ticket !== this.#ticket) return;
      this.edited = edited;
      this.baseline = baseline;
      this.tokens = tokens;
      this.problem = undefined;
      if (this.cell && this.cell.position >= ids.length) this.cell = undefined;
    } catch (thrown) {
      if (ticket !== this.#ticket) return;
      const { message, hint, code } = labError(thrown);
      if (code !== 'cancelled') this.problem = { message, hint, code };
    } finally {
      if (ticket === this.#ticket) this.busy = false;
    }
  }

  #wanted(): { id: number; piece: string }[] {
    const prompt = this.prompt.tokens.map(({ id, piece }) => ({ id, piece }));
    const text = this.withText && !this.stream.stale ? this.stream.steps.map(({ steered: { id, piece } }) => ({ id, piece })) : [];
    return [...prompt, ...text].slice(0, MOST_POSITIONS);
  }

  /** A lens reads one text; which part of it was the prompt, the edits are told as positions. */
  editsFor(length: number): Edit[] {
    const seam = Math.min(this.prompt.ids.length, length);
    const span = (from: number, to: number): Where => Array.from({ length: to - from }, (_, i) => from + i);
    return this.dials.edits().map((edit) => {
      if (edit.where === 'prompt') return { ...edit, where: span(0, seam) };
      if (edit.where === 'generated') return { ...edit, where: span(seam, length) };
      if (Array.isArray(edit.where))
        return { ...edit, where: edit.where.map((p: number) => (p < 0 ? seam + p : p)).filter((p: number) => p >= 0 && p < length) };
      return edit;
    });
  }
}
