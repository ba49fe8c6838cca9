/** Where a visitor is on the tour. It sets each stop's scene on the live bench and then only watches; what the visitor had there comes back on leaving. */
import type { Bench } from './bench.svelte';
import type { Dial } from './dial';
import { FACT, GIFT, isExample, OTHER_FACT, STORY } from './examples';
import { range } from './measure';
import { nextStop, NO_TOUR, STOPS, type Seen, type TourState, type TourStop } from './tour';
import { seenHeads, seenPatch } from './tour-seen';

export class Tour {
  state = $state<TourState>({ ...NO_TOUR, done: [], rested: [] });
  /** A scene is being set: the demo may have to come first. */
  setting = $state(false);
  /** The card should take the focus. */
  wantsFocus = $state(false);

  constructor(private readonly bench: Bench) {}

  stop: TourStop | undefined = $derived(STOPS.find(({ id }) => id === this.state.stop));
  step = $derived(this.stop?.steps[this.state.step]);
  begun = $derived(this.state.stop !== undefined || this.state.done.length > 0);
  over = $derived(this.stop !== undefined && this.step === undefined);
  next = $derived(nextStop(this.state.done, this.state.stop));

  seen: Seen = $derived.by(() => {
    const { lens, dials, stream, prompt, machine, opened } = this.bench;
    const { instrument } = this.stop ?? {};
    const heads =
      instrument === 'attention' &&
      opened.attention?.tokens.length === prompt.ids.length &&
      seenHeads(opened.attention, dials.inForce, NAMES);
    const patch = instrument === 'patch' && opened.patch && seenPatch(opened.patch, dials.inForce);
    const last = lens.tokens.length - 1;
    const result = lens.result;
    const [first] = dials.inForce;
    const fits = lens.tokens.length > 0 && lens.tokens.length === prompt.ids.length && machine.model !== undefined;
    return {
      ...(result && fits ? { lens: { tops: result.top.map((row) => row[last]?.[0]?.piece ?? ''), last, cell: lens.cell } } : {}),
      ...(first
        ? {
            dial: {
              name: first.name,
              value: first.value,
              from: this.state.from ?? first.value,
              reach: range(first, dials.readings[first.id]).max,
            },
          }
        : {}),
      ...(heads ? { heads } : {}),
      ...(patch ? { patch } : {}),
      text: { tokens: stream.stale ? 0 : stream.steps.length, value: stream.steps.at(-1)?.dials[0]?.value },
    };
  });

  /** Begins, or goes on where it was left. */
  async start(): Promise<void> {
    const going = this.stop && !this.state.done.includes(this.stop.id) ? this.stop : this.next;
    await this.goTo(going ?? STOPS[0], going?.id === this.state.stop ? this.state.step : 0);
  }

  async goTo(stop: TourStop | undefined, step = 0): Promise<void> {
    if (!stop || this.setting) return;
    this.setting = true;
    try {
      if (!(await this.#scene(stop, step))) {
        if (!this.state.open) this.bench.visit.putBack();
        return;
      }
      Object.assign(this.state, { stop: stop.id, step, open: true, declined: false });
      this.wantsFocus = true;
    } finally {
      this.setting = false;
    }
  }

  /** To be called in an effect: the step that is done gives way to the next. */
  watch(): void {
    const { state, step, seen } = this;
    if (!state.open || this.setting || !step?.done(seen)) return;
    state.step++;
    if (this.step === undefined && this.stop) {
      if (!state.done.includes(this.stop.id)) state.done.push(this.stop.id);
      this.wantsFocus = true;
    }
  }

  leave(): void {
    this.state.open = false;
    this.#wake();
    const { patch } = this.state;
    this.state.patch = undefined;
    // Unless something else was asked there meanwhile.
    if (patch && this.bench.opened.patch?.contrast === OTHER_FACT.prompt) this.bench.opened.patch.restore(patch);
    this.bench.visit.putBack();
  }
  /** Dials that the tour switched off are on again. */
  #wake(): void {
    for (const id of this.state.rested) this.bench.dials.set(id, { enabled: true });
    this.state.rested = [];
  }
  /** Those that would tell in what is shown rest: what was there before the stop began; resumed, all but the visitor's own silences and patches. */
  #rest(step: number, but: Dial | undefined): void {
    this.#wake();
    const those = this.bench.dials.list.filter(({ id, enabled, replace }) => enabled && id !== but?.id && !(step > 0 && replace));
    for (const { id } of those) this.bench.dials.set(id, { enabled: false });
    this.state.rested = those.map(({ id }) => id);
  }

  decline(): void {
    this.state.declined = true;
  }

  async #scene(stop: TourStop, step: number): Promise<boolean> {
    const { bench } = this;
    const { prompt, lens, dials } = bench;
    // Another text is about to stand here: what was written goes with it, or is kept aside.
    bench.visit.setAside();
    if (!bench.visit.onDemo && !(await bench.visit.openDemo())) return false;
    const dial = stop.instrument === 'generate' ? await bench.visit.firstDial() : undefined;
    if (stop.instrument === 'generate' && !dial) {
      bench.toasts.show(
        'error',
        'The demo world’s vectors are not on the shelf.',
        'Remove Lanternwick and open the demo world again: they come with it.',
      );
      return false;
    }
    prompt.chat.on = false;
    const { prompt: text } = TEXTS[stop.instrument];
    if (stop.instrument === 'patch') await this.#patch(step);
    if (!(step > 0 && isExample(prompt.text) && prompt.text === text)) prompt.text = text;
    bench.instrument = stop.instrument;
    await prompt.read();
    if (stop.instrument !== 'lens') this.#rest(step, dial);
    if (stop.instrument === 'attention') await this.#heads(step);
    else if (stop.instrument === 'lens') {
      lens.view = 'baseline';
      lens.metric = 'probability';
      lens.cell = undefined;
      lens.withText = false;
      await lens.track('');
    } else if (stop.instrument === 'generate') {
      // The one that is pointed at is the first.
      if (dial) dials.set(dial.id, { enabled: true });
      if (dial) dials.list = [dial, ...dials.list.filter(({ id }) => id !== dial.id)];
      if (dial && (step === 0 || this.state.from === undefined)) this.state.from = dial.value;
      dials.compare = true;
    }
    return true;
  }

  async #heads(step: number): Promise<void> {
    const { attentionOf } = await import('./attention.svelte');
    const store = attentionOf(this.bench);
    store.view = 'baseline';
    store.weighted = false;
    store.order = 'layer';
    if (step === 0) store.chosen = undefined;
    this.bench.dials.compare = true;
    this.bench.prompt.selected = this.bench.prompt.ids.length - 1;
  }

  /** The plainest question; what was asked before is kept. */
  async #patch(step: number): Promise<void> {
    const { patchOf } = await import('./patch.svelte');
    const store = patchOf(this.bench);
    if (step > 0 && store.contrast === OTHER_FACT.prompt) return;
    this.state.patch ??= store.kept();
    store.restore({ ...PLAIN, contrast: OTHER_FACT.prompt });
    store.pairs.on = false;
    store.position = undefined;
    store.answer = undefined;
  }
}

/** What each kind of stop lays on the bench. */
const TEXTS = { lens: GIFT, generate: STORY, attention: GIFT, patch: FACT };
const NAMES = [' Mara', ' Odo'];
const PLAIN = {
  ...{ metric: 'logit-diff', direction: 'denoise', over: 'resid_pre', take: 'other', method: 'exact', grid: 'layer-position' },
  ...{ noise: { on: false }, path: { on: false } },
};
