/** Every intervention in force. Global: the stream, the lens and the script all read the same list. */
import type { Edit, Lab, VectorInfo } from '../../workers/api';
import { liveOf, structureOf, toEdit, type Dial, type DialKind } from './dial';
import { labError } from './jobs';
import { measure, type Reading } from './measure';

export class Dials {
  list = $state<Dial[]>([]);
  master = $state(1);
  compare = $state(true);
  readings = $state.raw<Readonly<Record<string, Reading>>>({});
  #ticket = 0;

  constructor(
    private readonly lab: Lab,
    /** The id of the model at work. */
    private readonly model: () => string | undefined = () => undefined,
  ) {}

  /** A direction means something in the model it was found in only. */
  rests(dial: Pick<Dial, 'model'>): boolean {
    const model = this.model();
    return dial.model !== undefined && model !== undefined && dial.model !== model;
  }

  inForce = $derived.by(() => this.list.filter((dial) => !this.rests(dial)));
  structure = $derived(structureOf(this.inForce));
  live = $derived(liveOf(this.inForce, this.master));
  /** Does anything change the model now? */
  active = $derived(this.master !== 0 && this.inForce.some((d) => d.enabled && d.strength !== 0 && !(d.kind === 'add' && d.value === 0)));

  edits(): Edit[] {
    return this.inForce.map((dial) => toEdit($state.snapshot(dial), this.master));
  }

  /** A dial from a vector: as whoever made it advises, where they did, and with a slider that reaches twice as far either way. */
  add(info: VectorInfo, kind: DialKind = info.kind ?? 'add', at = info.at): Dial {
    const scale = kind === 'add' ? info.scale : undefined;
    const dial: Dial = {
      id: crypto.randomUUID(),
      name: info.name,
      kind,
      vector: info.id,
      at,
      value: kind === 'add' ? (scale ?? 1) : kind === 'project' ? (info.keep ?? 0) : 0,
      ...(info.model === undefined ? {} : { model: info.model }),
      ...(scale ? { reach: Number((2 * Math.abs(scale)).toPrecision(2)) } : {}),
      strength: 1,
      enabled: true,
      scope: 'all',
      positions: [],
      skipSpecial: true,
    };
    this.list.push(dial);
    return dial;
  }

  set(id: string, change: Partial<Dial>): void {
    const dial = this.list.find((each) => each.id === id);
    if (dial) Object.assign(dial, change);
  }

  remove(id: string): void {
    this.list = this.list.filter((dial) => dial.id !== id);
  }

  /** A vector left the shelf: its dials cannot act any more. */
  keepOnly(vectors: readonly VectorInfo[]): void {
    const known = new Set(vectors.map(({ id }) => id));
    if (this.list.some((dial) => !known.has(dial.vector))) this.list = this.list.filter((dial) => known.has(dial.vector));
  }

  /** Reads the residual at each dial's hook on this prompt. A fresh `add` dial is then set to two fifths of the residual norm. */
  async measure(ids: readonly number[], fresh?: string): Promise<string> {
    const ticket = ++this.#ticket;
    const dials = $state.snapshot(this.inForce);
    if (dials.length === 0 || ids.length === 0) {
      this.readings = {};
      return '';
    }
    try {
      const hooks = [...new Set(dials.map(({ at }) => at))];
      const [{ taps }, vectors] = await Promise.all([
        this.lab.run({ prompt: ids, taps: hooks, logits: 'none' }),
        Promise.all(dials.map(({ vector }) => this.lab.vector(vector))),
      ]);
      if (ticket !== this.#ticket) return '';
      const entries = dials.flatMap((dial, i) => {
        const tap = taps[dial.at];
        const data = vectors[i]?.data;
        const reading = tap && data && measure(tap, data);
        return reading ? [[dial.id, reading] as const] : [];
      });
      this.readings = Object.fromEntries(entries);
      this.#settle(fresh);
      return '';
    } catch (thrown) {
      return labError(thrown).message;
    }
  }

  #settle(fresh: string | undefined): void {
    const dial = this.list.find(({ id }) => id === fresh);
    const reading = fresh === undefined ? undefined : this.readings[fresh];
    if (!dial || !reading) return;
    if (dial.kind === 'add' && reading.length > 0) dial.value = Number(((0.4 * reading.residual) / reading.length).toPrecision(2));
  }
}
