/**
 * What every head attends to on the text that is on the bench, with the dials in force and, to compare, without them. Made with the instrument that shows it;
 * kept while the page lives.
 */
import type { Edit, HeadCircuit, HeadScores, Lab, Tensor } from '../../workers/api';
import type { Bench } from './bench.svelte';
import { labError } from './jobs';
import { attentionLines } from './script-causal';
import { inOrder, lengths, mapOf, mostPositions, nameOf, weightedMap, type Head, type Score } from './heads';
import { troubleOf, type Trouble } from './trouble';

/** Candidates that are read after the text: enough to find the answer among them when it has lost. */
const SAID = 20;

export interface Layer {
  pattern: Tensor;
  norms: Tensor;
}
/** A head's circuit, and whose it is: the model's id, the head and which of the two. */
/** What the model goes on with, likeliest first. */
export type Says = readonly { id: number; piece: string; probability: number }[];
export interface ReadCircuit {
  of: string;
  circuit: HeadCircuit;
}

export class AttentionStore {
  view = $state<'edited' | 'baseline' | 'difference'>('edited');
  weighted = $state(false);
  order = $state<Score | 'layer'>('layer');
  chosen = $state.raw<Head | undefined>();
  /** The source that is looked at; the query is the position that is selected everywhere. */
  key = $state<number | undefined>();
  tokens = $state.raw<{ id: number; piece: string }[]>([]);
  edited = $state.raw<Layer[]>([]);
  baseline = $state.raw<Layer[] | undefined>();
  /** After the last token that is shown: with the dials, and without where that was read. */
  says = $state.raw<{ edited: Says; baseline?: Says }>({ edited: [] });
  busy = $state(false);
  problem = $state.raw<Trouble | undefined>();
  scoring = $state.raw<{ done: number; of: number } | undefined>();
  /** The circuit that is in sight. */
  circuitOpen = $state<'ov' | 'qk' | undefined>();
  scoresProblem = $state.raw<Trouble | undefined>();
  circuitProblem = $state.raw<Trouble | undefined>();
  #scores = $state.raw<{ model: string; edited: boolean; scores: HeadScores } | undefined>();
  #circuit = $state.raw<ReadCircuit | undefined>();
  #abort: AbortController | undefined;
  #ticket = 0;
  #asked = 0;

  constructor(
    private readonly lab: Lab,
    private readonly bench: Pick<Bench, 'prompt' | 'machine' | 'dials'>,
  ) {}

  layers: number = $derived(this.edited.length);
  heads: number = $derived(this.edited[0]?.pattern.shape[0] ?? 0);
  head: Head = $derived.by(() => {
    const { chosen } = this;
    return chosen && chosen.layer < this.layers && chosen.head < this.heads ? chosen : { layer: 0, head: 0 };
  });
  shown: 'edited' | 'baseline' | 'difference' = $derived(this.baseline ? this.view : 'edited');
  /** Where the text is longer than what is kept. */
  cut: boolean = $derived.by(() => this.tokens.length > 0 && this.tokens.length < this.bench.prompt.ids.length);
  /** Of the model in use; what a dial does to them is not in them. */
  scores: HeadScores | undefined = $derived.by(() =>
    this.#scores?.model === this.bench.machine.model?.id ? this.#scores?.scores : undefined,
  );
  list: Head[] = $derived(inOrder(this.layers, this.heads, this.scores, this.scores ? this.order : 'layer'));

  /** A head's numbers, query by key, as they are shown now. */
  map({ layer, head }: Head): (query: number, key: number) => number {
    const of = (layers: readonly Layer[] | undefined) => {
      const found = layers?.[layer];
      if (!found) return () => Number.NaN;
      return this.weighted ? weightedMap(found.pattern, found.norms, head) : mapOf(found.pattern, head);
    };
    if (this.shown === 'baseline') return of(this.baseline);
    const edited = of(this.edited);
    if (this.shown === 'edited') return edited;
    const baseline = of(this.baseline);
    return (query, key) => edited(query, key) - baseline(query, key);
  }

  async run(): Promise<void> {
    const ticket = ++this.#ticket;
    const { prompt, dials, machine } = this.bench;
    const { model } = machine;
    const tokens = prompt.tokens.slice(0, mostPositions(model?.layers ?? 1, model?.heads ?? 1)).map(({ id, piece }) => ({ id, piece }));
    if (!model || tokens.length === 0) {
      this.edited = [];
      this.baseline = undefined;
      this.tokens = [];
      return;
    }
    this.busy = true;
    const ids = tokens.map(({ id }) => id);
    const layers = Array.from({ length: model.layers }, (_, layer) => layer);
    const at = (layer: number, hook: string) => `blocks.${layer}.attn.${hook}`;
    const ask = async (edits: Edit[]): Promise<{ layers: Layer[]; says: Says }> => {
      const taps = layers.flatMap((layer) => [at(layer, 'hook_pattern'), at(layer, 'hook_v')]);
      const promptLength = Math.min(prompt.ids.length, ids.length);
      const { taps: found, top } = await this.lab.run({ prompt: ids, promptLength, taps, edits, logits: { top: SAID } });
      const [next, p] = [top?.ids.at(-1) ?? [], top?.probabilities.at(-1) ?? []];
      const named = await Promise.all(next.map((id) => this.lab.token(id)));
      const says = named.map(({ id, piece }, i) => ({ id, piece, probability: p[i] ?? 0 }));
      const read = layers.flatMap((layer) => {
        const [pattern, v] = [found[at(layer, 'hook_pattern')], found[at(layer, 'hook_v')]];
        return pattern && v ? [{ pattern, norms: lengths(v) }] : [];
      });
      return { layers: read, says };
    };
    try {
      const edited = await ask(this.#within(ids.length));
      if (ticket !== this.#ticket) return;
      const baseline = dials.active && dials.compare ? await ask([]) : undefined;
      if (ticket !== this.#ticket) return;
      this.edited = edited.layers;
      this.baseline = baseline?.layers;
      this.says = { edited: edited.says, ...(baseline ? { baseline: baseline.says } : {}) };
      this.tokens = tokens;
      this.problem = undefined;
      if (this.key !== undefined && this.key >= ids.length) this.key = undefined;
    } catch (thrown) {
      if (ticket === this.#ticket) this.problem = troubleOf(thrown) ?? this.problem;
    } finally {
      if (ticket === this.#ticket) this.busy = false;
    }
  }

  /** A position that is not among the run's tokens is nobody's. */
  #within(tokens: number): Edit[] {
    return this.bench.dials
      .edits()
      .map((edit) => (Array.isArray(edit.where) ? { ...edit, where: edit.where.filter((p: number) => p < tokens) } : edit));
  }

  /** Scores every head on random tokens said twice, as the dials have the model now. */
  async score(): Promise<void> {
    const { machine, dials } = this.bench;
    const model = machine.model?.id;
    if (model === undefined || this.scoring) return;
    const abort = (this.#abort = new AbortController());
    this.scoring = { done: 0, of: 0 };
    this.scoresProblem = undefined;
    try {
      const scores = await this.lab.headScores(
        { edits: dials.active ? dials.edits().filter((edit) => edit.where === undefined || edit.where === 'all') : [] },
        { signal: abort.signal, progress: (done, of) => (this.scoring = { done, of }) },
      );
      this.#scores = { model, edited: dials.active, scores };
      this.order = 'induction';
    } catch (thrown) {
      this.scoresProblem = troubleOf(thrown);
    } finally {
      this.scoring = undefined;
    }
  }
  cancel(): void {
    this.#abort?.abort();
  }

  /** What is on the screen, as calls. */
  script(): readonly string[] | undefined {
    const ids = this.tokens.map(({ id }) => id);
    if (ids.length === 0) return undefined;
    const edits = this.shown === 'baseline' ? [] : this.#within(ids.length);
    return attentionLines({
      run: { prompt: ids, promptLength: Math.min(this.bench.prompt.ids.length, ids.length), edits },
      ...this.head,
      scored: this.scores !== undefined,
      circuit: this.circuitOpen,
    });
  }

  circuitKey(circuit: 'ov' | 'qk'): string {
    return `${this.bench.machine.model?.id} ${nameOf(this.head)} ${circuit}`;
  }
  circuit(circuit: 'ov' | 'qk'): HeadCircuit | undefined {
    return this.#circuit?.of === this.circuitKey(circuit) ? this.#circuit.circuit : undefined;
  }
  /** From the weights alone: neither text nor dials are in it. */
  async readCircuit(circuit: 'ov' | 'qk'): Promise<void> {
    const of = this.circuitKey(circuit);
    if (this.#circuit?.of === of) return;
    const asked = ++this.#asked;
    this.circuitProblem = undefined;
    try {
      const found = await this.lab.headCircuit({ ...this.head, circuit });
      if (asked === this.#asked) this.#circuit = { of, circuit: found };
    } catch (thrown) {
      if (asked === this.#asked) this.circuitProblem = labError(thrown);
    }
  }
}

const made = new WeakMap<Bench, AttentionStore>();

/** The same for a bench, however often the instrument is opened. */
export function attentionOf(bench: Bench): AttentionStore {
  const found = made.get(bench);
  if (found) return found;
  // In a root of its own: what is derived in a component would end with it.
  $effect.root(() => {
    const store = new AttentionStore(bench.lab, bench);
    made.set(bench, store);
    bench.opened = { ...bench.opened, attention: store };
  });
  return attentionOf(bench);
}
