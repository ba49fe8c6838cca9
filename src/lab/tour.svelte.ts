/** Where a visitor is on the tour. It sets each stop's scene on the live bench and then only watches; what the visitor had there comes back on leaving. */
import type { Bench } from './bench.svelte';
import { GIFT, isExample, STORY } from './examples';
import { range } from './measure';
import { nextStop, NO_TOUR, STOPS, type Seen, type TourState, type TourStop } from './tour';

export class Tour {
  state = $state<TourState>({ ...NO_TOUR, done: [] });
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
    const { lens, dials, stream, prompt, machine } = this.bench;
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
    this.bench.visit.putBack();
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
    bench.instrument = stop.instrument;
    const { prompt: text } = stop.instrument === 'lens' ? GIFT : STORY;
    if (!(step > 0 && isExample(prompt.text) && prompt.text === text)) prompt.text = text;
    await prompt.read();
    if (stop.instrument === 'lens') {
      lens.view = 'baseline';
      lens.metric = 'probability';
      lens.cell = undefined;
      lens.withText = false;
      await lens.track('');
    } else {
      // The one that is pointed at is the first.
      if (dial) dials.list = [dial, ...dials.list.filter(({ id }) => id !== dial.id)];
      if (dial && (step === 0 || this.state.from === undefined)) this.state.from = dial.value;
      dials.compare = true;
    }
    return true;
  }
}
