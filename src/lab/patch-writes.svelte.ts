/** Which parts of the model write the answer's logit, on the prompt itself: direct logit attribution of the question's metric. */
import type { AttributeRequest, Attribution, Edit, Lab, Metric } from '../../workers/api';
import { troubleOf, type Trouble } from './trouble';

/** What it is about: the prompt, what is measured on it, the dials in force. */
interface About {
  prompt: number[];
  metric: Metric | undefined;
  edits: Edit[] | undefined;
}

export class Writes {
  by = $state<'layer' | 'head'>('head');
  open = $state(false);
  problem = $state.raw<Trouble | undefined>();
  #answer = $state.raw<{ of: string; found: Attribution } | undefined>();

  constructor(
    private readonly lab: Pick<Lab, 'attribute'>,
    private readonly about: () => About,
  ) {}

  request: AttributeRequest | undefined = $derived.by(() => {
    const { prompt, metric, edits } = this.about();
    // Logits add up; probabilities and KL do not.
    if (prompt.length === 0 || (metric?.kind !== 'logit-diff' && metric?.kind !== 'log-prob')) return undefined;
    return { prompt, metric, by: this.by, ...(edits ? { edits } : {}) };
  });
  key: string = $derived(JSON.stringify(this.request ?? null));
  found: Attribution | undefined = $derived(this.#answer?.of === this.key ? this.#answer.found : undefined);

  async ask(): Promise<void> {
    const { request, key: of } = this;
    if (!request || this.#answer?.of === of) return;
    try {
      const found = await this.lab.attribute(request);
      if (of !== this.key) return;
      this.#answer = { of, found };
      this.problem = undefined;
    } catch (thrown) {
      if (of === this.key) this.problem = troubleOf(thrown);
    }
  }
}
