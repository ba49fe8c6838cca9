/** The stores of Features and of the dials, over a lab that answers at once. */
import { describe, expect, it } from 'vitest';
import type { DictionaryInfo, Edit, Lab, LatentInfo, SparseRows } from '../../../workers/api';
import { Dials } from '../../../src/lab/dials.svelte';
import { FeaturesStore } from '../../../src/lab/features.svelte';
import { toEdit } from '../../../src/lab/dial';
import { range, share } from '../../../src/lab/measure';
import type { Machine } from '../../../src/lab/machine.svelte';
import type { PromptStore } from '../../../src/lab/prompt.svelte';
import type { Shelf } from '../../../src/lab/shelf.svelte';

const dictionary = (id: string, fits: string[]): DictionaryInfo => ({
  id,
  name: `res ${id}`,
  kind: 'ReLU',
  hookIn: ['blocks.1.hook_resid_post'],
  hookOut: 'blocks.1.hook_resid_post',
  dIn: 8,
  dOut: 8,
  latents: 16,
  contract: { normalisation: 'none', scale: 1 },
  fits,
});
const clean: SparseRows = {
  rows: [[[9, 90]], [[1, 2]], [[1, 4]]],
  truncated: false,
  errorNorm: [1, 1, 1],
  inputNorm: [100, 4, 6],
};
const info: LatentInfo = { promoted: [], suppressed: [], neighbours: [], cosine: 1, norm: 0.5 };

function made() {
  const asked: unknown[] = [];
  const lab = {
    encode: (request: { edits?: Edit[] }) => {
      asked.push(request);
      return Promise.resolve(request.edits?.length ? { ...clean, rows: [[[9, 90]], [[5, 16]], [[5, 16]]] } : clean);
    },
    latent: (request: { latent: number }) =>
      request.latent < 16
        ? Promise.resolve(info)
        : Promise.reject(Object.assign(new Error('none'), { code: 'latent-range', hint: '', message: 'none' })),
  } as unknown as Lab;
  const machine = { model: { id: 'm' }, special: new Set([0]), neurons: [] as DictionaryInfo[] };
  const shelf = { dictionaries: [dictionary('other', ['x']), dictionary('d', ['m'])] };
  const prompt = { selected: undefined as number | undefined, tokens: [0, 7, 8].map((id) => ({ id, piece: `${id}`, probability: NaN })) };
  const dials = new Dials(
    lab,
    () => machine.model.id,
    () => shelf.dictionaries,
  );
  const features = new FeaturesStore(
    lab,
    machine as unknown as Machine,
    shelf as unknown as Shelf,
    prompt as unknown as PromptStore,
    dials,
  );
  return { asked, machine, shelf, prompt, dials, features };
}
const second = (shelf: { dictionaries: DictionaryInfo[] }): DictionaryInfo => shelf.dictionaries[1] ?? dictionary('d', []);

describe('live latents', () => {
  it('are of the first that fits only once it has come, which is after a first text', async () => {
    const { asked, features } = made();
    expect(features.working?.id).toBe('d');
    expect([features.heard, features.watched]).toEqual([undefined, undefined]);
    await features.bring();
    expect(asked).toEqual([{ dictionary: 'd', prompt: [0] }]);
    expect([features.heard, features.watched]).toEqual(['d', 'd']);
    await features.bring();
    expect(asked).toHaveLength(1);
    features.live = false;
    expect([features.heard, features.watched]).toEqual(['d', undefined]);
  });
  it('cost nothing where they are off, or nothing fits', async () => {
    const off = made();
    off.features.live = false;
    await off.features.bring();
    const none = made();
    none.shelf.dictionaries = [dictionary('other', ['x'])];
    await none.features.bring();
    expect([...off.asked, ...none.asked]).toEqual([]);
    expect(none.features.watched).toBeUndefined();
  });
});

describe('Features', () => {
  it('opens on the first dictionary that fits, and watches only one that was chosen', () => {
    const { features } = made();
    expect(features.working?.id).toBe('d');
    expect(features.watched).toBeUndefined();
    features.choose('d');
    expect(features.watched).toBe('d');
    features.live = false;
    expect(features.watched).toBeUndefined();
    features.choose('other');
    expect(features.dictionary?.id).toBe('other');
    expect(features.working).toBeUndefined();
  });

  it('reads the prompt: the selected token, the latent along it, the BOS left out of what is ranked', async () => {
    const { features, prompt } = made();
    await features.run();
    expect(features.position).toBe(2);
    expect(features.active).toEqual([{ latent: 1, value: 4, tokens: 2 }]);
    prompt.selected = 1;
    expect(features.active).toEqual([{ latent: 1, value: 2, tokens: 2 }]);
    expect(features.overview).toEqual([{ latent: 1, peak: 4 }]);
    features.latent = 1;
    expect(features.along).toEqual([0, 2, 4]);
    await features.look();
    expect(features.info).toEqual(info);
    features.latent = 40;
    await features.look();
    expect(features.latent).toBeUndefined();
    expect(features.problem).toBeUndefined();
  });

  it('shows the edited model, and the baseline beside it where they are compared', async () => {
    const { features, dials, shelf } = made();
    dials.addLatent(second(shelf), 5, 16);
    await features.run();
    expect(features.compared).toBe(true);
    expect(features.overview).toEqual([{ latent: 5, peak: 16 }]);
    features.view = 'baseline';
    expect(features.overview).toEqual([{ latent: 1, peak: 4 }]);
    dials.compare = false;
    await features.run();
    expect(features.compared).toBe(false);
    expect(features.overview).toEqual([{ latent: 5, peak: 16 }]);
  });

  it('is kept with the session, and forgets a dictionary that left', () => {
    const { features, shelf } = made();
    features.restore({ dictionary: 'd', latent: 3, live: false });
    expect(features.choice()).toEqual({ dictionary: 'd', latent: 3, live: false });
    features.keepOnly(shelf.dictionaries);
    expect(features.chosen).toBe('d');
    features.keepOnly([]);
    expect(features.choice()).toEqual({ live: false });
  });
});

describe('a dial of a latent', () => {
  it('sets it, on a slider from 0 to twice that, once for each latent', () => {
    const { dials, shelf } = made();
    const dial = dials.addLatent(second(shelf), 5, 16);
    expect(dials.addLatent(second(shelf), 5, 3).id).toBe(dial.id);
    expect(dials.list).toHaveLength(1);
    expect(range(dial, undefined)).toMatchObject({ min: 0, max: 32 });
    expect(toEdit(dial, 0.5)).toEqual({
      kind: 'latent',
      dictionary: 'd',
      latent: 5,
      op: 'set',
      value: 16,
      at: 'blocks.1.hook_resid_post',
      where: 'all',
      skipSpecial: true,
      strength: 0.5,
      enabled: true,
    });
    const before = dials.structure;
    dials.set(dial.id, { latent: { dictionary: 'd', latent: 5, op: 'add' } });
    expect(dials.structure).not.toBe(before);
  });

  it('rests where its dictionary does not fit, and goes with it', () => {
    const { dials, shelf, machine } = made();
    dials.addLatent(second(shelf), 5, 16);
    expect(dials.inForce).toHaveLength(1);
    machine.model.id = 'another';
    expect(dials.rests(dials.list[0] ?? {})).toBe(true);
    machine.model.id = 'm';
    dials.keepOnly([]);
    expect(dials.list).toHaveLength(1);
    shelf.dictionaries = [];
    dials.keepLatents();
    expect(dials.list).toHaveLength(0);
  });

  it('tells how large it is: |value − a| · ‖d‖ of the mean norm, the first token left out', async () => {
    const { dials, shelf, asked } = made();
    const dial = dials.addLatent(second(shelf), 1, 16);
    await dials.measure([0, 7, 8]);
    expect(asked).toEqual([{ dictionary: 'd', prompt: [0, 7, 8] }]);
    const reading = dials.readings[dial.id];
    expect(reading).toMatchObject({ residual: 5, length: 0.5 });
    if (!reading) return;
    expect(share(dial, 1, reading)).toBeCloseTo((((16 - 2 + 16 - 4) / 2) * 0.5) / 5);
    expect(share({ ...dial, latent: { dictionary: 'd', latent: 1, op: 'add' } }, 1, reading)).toBeCloseTo((16 * 0.5) / 5);
  });
});

describe('the model’s own neurons', () => {
  const neurons = (layer: number, model: string): DictionaryInfo => ({
    ...dictionary(`neurons:blocks.${layer}`, [model]),
    kind: 'neurons',
    hookOut: `blocks.${layer}.mlp.hook_post`,
  });
  const withNeurons = () => {
    const all = made();
    all.machine.neurons = [0, 1, 2].map((layer) => neurons(layer, 'm'));
    const dials = new Dials(
      {} as Lab,
      () => all.machine.model.id,
      () => [...all.shelf.dictionaries, ...all.machine.neurons],
    );
    return { ...all, dials };
  };

  it('are chosen by layer, the middle one first; nobody looks at them unasked', () => {
    const { features, shelf } = withNeurons();
    shelf.dictionaries = [];
    expect([features.dictionary, features.layer]).toEqual([undefined, undefined]);
    features.chooseNeurons();
    expect([features.working?.id, features.layer, features.watched]).toEqual(['neurons:blocks.1', 1, 'neurons:blocks.1']);
    features.chooseNeurons(2);
    expect(features.layer).toBe(2);
    features.keepOnly([]);
    expect(features.chosen, 'they leave with no shelf').toBe('neurons:blocks.2');
  });

  it('of another model are not these: what was read is forgotten, the dial rests, and a new one is another', async () => {
    const { features, machine, dials } = withNeurons();
    features.chooseNeurons(1);
    await features.run();
    expect(features.tokens).toHaveLength(3);
    features.forget();
    expect(features.tokens).toEqual([]);
    const dial = dials.addLatent(neurons(1, 'm'), 3, -8);
    expect(dial).toMatchObject({ name: 'neuron 3 · res neurons:blocks.1', model: 'm', value: -8, reach: 16, at: 'blocks.1.mlp.hook_post' });
    expect(dials.rests(dial)).toBe(false);
    machine.model = { id: 'n' };
    machine.neurons = [neurons(1, 'n')];
    expect(dials.rests(dial)).toBe(true);
    expect(dials.addLatent(neurons(1, 'n'), 3, 5).id).not.toBe(dial.id);
    dials.keepLatents();
    expect(dials.list).toHaveLength(2);
  });
});
