/** Every intervention in force. Global: the stream, the lens and the script all read the same list. */
import type { DictionaryInfo, Edit, Hook, Lab, VectorInfo } from '../../workers/api';
import { liveOf, structureOf, toEdit, type Dial, type DialKind } from './dial';
import { labError } from './jobs';
import { measure, measureLatent, type Reading } from './measure';
import { isNeurons } from './neurons';

export interface Replaced {
  name: string;
  at: Hook;
  by: 'zero' | number[];
  head?: number;
  /** All of them where there are none. */
  positions: number[];
}

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
    /** Those on the shelf, and the neurons of the model in use. */
    private readonly dictionaries: () => readonly DictionaryInfo[] = () => [],
    /** How many tokens the prompt has. */
    private readonly tokens: () => number = () => 0,
  ) {}

  /** A direction means something in the model it was found in only; a latent, where its dictionary fits; another text's values, position by position. */
  rests(dial: Pick<Dial, 'model' | 'latent' | 'replace'>): boolean {
    const model = this.model();
    const { latent, replace } = dial;
    if (dial.model !== undefined && model !== undefined && dial.model !== model) return true;
    if (replace && replace.by !== 'zero') return replace.by.length !== this.tokens();
    if (latent)
      return model === undefined || !this.dictionaries().some((each) => each.id === latent.dictionary && each.fits.includes(model));
    return false;
  }

  inForce = $derived.by(() => this.list.filter((dial) => !this.rests(dial)));
  structure = $derived(structureOf(this.inForce));
  live = $derived(liveOf(this.inForce, this.master));
  /** Does anything change the model now? */
  active = $derived(
    this.master !== 0 && this.inForce.some((d) => d.enabled && d.strength !== 0 && !((d.kind === 'add' || d.replace) && d.value === 0)),
  );

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
      ...(scale ? { reach: 2 * Math.abs(scale) } : {}),
      strength: 1,
      enabled: true,
      scope: 'all',
      positions: [],
      skipSpecial: true,
    };
    this.list.push(dial);
    return dial;
  }

  /** A dial from a latent. The one that is there already is given back as it is. */
  addLatent(dictionary: DictionaryInfo, latent: number, value: number): Dial {
    const there = this.list.find((each) => each.latent?.dictionary === dictionary.id && each.latent.latent === latent && !this.rests(each));
    if (there) return there;
    const dial: Dial = {
      id: crypto.randomUUID(),
      name: `${isNeurons(dictionary.id) ? 'neuron' : 'latent'} ${latent} · ${dictionary.name}`,
      kind: 'latent',
      vector: '',
      latent: { dictionary: dictionary.id, latent, op: 'set' },
      at: dictionary.hookOut,
      value,
      reach: 2 * Math.abs(value),
      // One id names the neurons of whatever model is in use.
      ...(isNeurons(dictionary.id) && dictionary.fits[0] !== undefined ? { model: dictionary.fits[0] } : {}),
      strength: 1,
      enabled: true,
      scope: 'all',
      positions: [],
      skipSpecial: true,
    };
    this.list.push(dial);
    return dial;
  }

  /** One place as it is in another text, or nothing in its place. The one that is there already is given back as it is. */
  addReplace({ name, at, by, head, positions }: Replaced): Dial {
    const replace = { by, ...(head === undefined ? {} : { head }) };
    const same = JSON.stringify([at, replace, positions]);
    const there = this.list.find((each) => JSON.stringify([each.at, each.replace, each.positions]) === same && !this.rests(each));
    if (there) return there;
    const model = this.model();
    const dial: Dial = {
      ...{ id: crypto.randomUUID(), name, kind: 'replace', vector: '', replace, at, value: 1 },
      ...(model === undefined ? {} : { model }),
      ...{ strength: 1, enabled: true, scope: positions.length ? 'positions' : 'all', positions, skipSpecial: false },
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
    const known = new Set(['', ...vectors.map(({ id }) => id)]);
    this.#keep(({ vector }) => known.has(vector));
  }

  /** The same of a dictionary. */
  keepLatents(): void {
    const known = new Set(this.dictionaries().map(({ id }) => id));
    this.#keep(({ latent }) => latent === undefined || known.has(latent.dictionary) || isNeurons(latent.dictionary));
  }

  #keep(stays: (dial: Dial) => boolean): void {
    if (!this.list.every(stays)) this.list = this.list.filter(stays);
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
      const hooks = [...new Set(dials.flatMap(({ at, latent, replace }) => (latent || replace ? [] : [at])))];
      const taps = hooks.length ? (await this.lab.run({ prompt: ids, taps: hooks, logits: 'none' })).taps : {};
      const found = await Promise.all(
        dials.map(async (dial) => {
          if (dial.latent) return this.#ofLatent(dial.latent, ids);
          if (dial.replace) return undefined;
          const tap = taps[dial.at];
          return tap && measure(tap, (await this.lab.vector(dial.vector)).data);
        }),
      );
      if (ticket !== this.#ticket) return '';
      const entries = dials.flatMap(({ id }, i) => {
        const reading = found[i];
        return reading ? [[id, reading] as const] : [];
      });
      this.readings = Object.fromEntries(entries);
      this.#settle(fresh);
      return '';
    } catch (thrown) {
      return labError(thrown).message;
    }
  }

  async #ofLatent({ dictionary, latent }: NonNullable<Dial['latent']>, ids: readonly number[]): Promise<Reading | undefined> {
    const info = this.dictionaries().find(({ id }) => id === dictionary);
    if (!info) return undefined;
    const [rows, { norm }] = await Promise.all([
      this.lab.encode({ dictionary, prompt: ids }),
      this.lab.latent({ dictionary, latent, top: 1 }),
    ]);
    // The number itself is what moves there.
    return measureLatent(rows, latent, isNeurons(dictionary) ? 1 : norm, info.contract);
  }

  #settle(fresh: string | undefined): void {
    const dial = this.list.find(({ id }) => id === fresh);
    const reading = fresh === undefined ? undefined : this.readings[fresh];
    if (!dial || !reading) return;
    if (dial.kind === 'add' && reading.length > 0) dial.value = Number(((0.4 * reading.residual) / reading.length).toPrecision(2));
  }
}
