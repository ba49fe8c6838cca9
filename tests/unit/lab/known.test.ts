/** Published figures run again: prompts that line up, numbers taken from the right cells, averages as theirs, and weights put back as they were. */
import { describe, expect, it } from 'vitest';
import type { Attribution, Grid, Lab, ModelInfo, SweepRequest } from '../../../workers/api';
import { FIGURES, GPT2, match } from '../../../src/lab/known/figures';
import { compared, KnownResults } from '../../../src/lab/known/known.svelte';
import { EIGHT, END, SECOND_NAME } from '../../../src/lab/known/prompts';
import { RUNS } from '../../../src/lab/known/runs';
import type { Machine } from '../../../src/lab/machine.svelte';
import { LabError } from '../../../workers/errors';

const figure = (id: string) => {
  const found = FIGURES.find((each) => each.id === id);
  if (!found) throw new Error(`no ${id}`);
  return found;
};
const calling = (lab: Partial<Lab>) => ({ lab: lab as Lab, signal: new AbortController().signal, progress: () => undefined });
const gpt2: Pick<ModelInfo, 'layers' | 'dModel' | 'heads' | 'family'> = { layers: 12, dModel: 768, heads: 12, family: 'gpt2' };

describe('the prompts', () => {
  it('are four sentences in both orders, each with its neighbour as the corrupted one', () => {
    expect(EIGHT).toHaveLength(8);
    expect(EIGHT[0]?.clean).toBe('When John and Mary went to the shops, John gave the bag to');
    expect(EIGHT[0]).toMatchObject({ correct: ' Mary', wrong: ' John' });
    EIGHT.forEach(({ clean, corrupted, correct, wrong }, i) => {
      const other = EIGHT[i ^ 1];
      expect(corrupted).toBe(other?.clean);
      expect([other?.correct, other?.wrong]).toEqual([wrong, correct]);
      // The wrong name is the one that is said twice.
      expect(clean.split(wrong).length - 1).toBe(2);
      expect(clean.split(correct).length - 1).toBe(1);
    });
  });
});

describe('figures', () => {
  it('have a run each, and no name twice', () => {
    expect(Object.keys(RUNS).sort()).toEqual(FIGURES.map(({ id }) => id).sort());
    for (const { rows, tolerance } of FIGURES) {
      expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
      expect(tolerance).toBeGreaterThan(0);
    }
  });
  it('fit the model they were measured on, or a stand-in of its form, and nothing else', () => {
    expect(match(gpt2, GPT2)).toBe('same');
    expect(match({ ...gpt2, dModel: 24 }, GPT2)).toBe('like');
    expect(match({ ...gpt2, layers: 6 }, GPT2)).toBe('other');
    expect(match({ ...gpt2, family: 'gpt_neo' }, GPT2)).toBe('other');
    expect(match(undefined, GPT2)).toBe('other');
  });
});

describe('runs', () => {
  /** Every cell's raw number tells where it lies; the runs' own metrics are not 1 and 0. */
  const grids: SweepRequest[] = [];
  const [clean, corrupted] = [4.5, -3.5];
  const sweep = (request: SweepRequest): Promise<Grid> => {
    grids.push(request);
    const shape = request.grid === 'layer-position' ? [12, 15] : [12, 12];
    const size = (shape[0] ?? 0) * (shape[1] ?? 0);
    const tensor = { shape, data: Float32Array.from({ length: size }, (_, cell) => cell / 10) };
    const nothing = { shape, data: new Float32Array(size) };
    const counts = { milliseconds: 1, rowsComputed: 1, rowsNaive: 1, rowsSkipped: 0 };
    return Promise.resolve({ axes: [], value: nothing, raw: tensor, clean, corrupted, ...counts });
  };
  const expected = (cell: number): number => (cell / 10 - corrupted) / (clean - corrupted);

  it('recovery is the ratio of the mean differences, at the cell that the row names', async () => {
    const found = await RUNS['resid-patching'](calling({ sweep }));
    const cells = [
      ...[0, 4, 8].map((l) => 15 * l + SECOND_NAME),
      ...[8, 9, 10].map((l) => 15 * l + END),
      ...[8, 11].map((l) => 15 * l + END),
      SECOND_NAME,
    ];
    expect(found).toHaveLength(figure('resid-patching').rows.length);
    found.forEach((value, i) => expect(value).toBeCloseTo(expected(cells[i] ?? NaN), 5));
    expect(grids.map(({ over }) => over)).toEqual(['resid_pre', 'attn_out', 'mlp_out']);
    const [first] = grids;
    expect([first, ...(first?.pairs ?? [])].map((pair) => pair?.clean)).toEqual(EIGHT.map((one) => one.clean));
    expect([first, ...(first?.pairs ?? [])].map((pair) => pair?.metric)).toEqual(
      EIGHT.map(({ correct, wrong }) => ({ kind: 'logit-diff', correct, wrong })),
    );
    expect(grids.every(({ direction, bos }) => direction === 'denoise' && bos === true)).toBe(true);
  });
  it('heads are taken by layer and head', async () => {
    const found = await RUNS['head-patching'](calling({ sweep }));
    const names = figure('head-patching').rows.map(({ name }) => name.split(' ')[1]?.split('.').map(Number) ?? []);
    found.forEach((value, i) => expect(value).toBeCloseTo(expected(12 * (names[i]?.[0] ?? NaN) + (names[i]?.[1] ?? NaN)), 5));
  });
  it('attribution is averaged over the prompts by the part’s name', async () => {
    const attribute = ({ prompt }: { prompt: unknown }): Promise<Attribution> => {
      const i = EIGHT.findIndex(({ clean }) => clean === prompt);
      const parts = Array.from({ length: 12 }, (_, layer) =>
        Array.from({ length: 12 }, (_, head) => ({ name: `L${layer}H${head}`, layer, head, value: layer + head / 100 + i })),
      ).flat();
      return Promise.resolve({ parts, total: 0, scale: 1, position: 14 });
    };
    const found = await RUNS['dla-heads'](calling({ attribute: attribute as Lab['attribute'] }));
    [9.09, 10.07, 9.06, 11.1, 10, 10.1, 11.02].forEach((value, i) => expect(found[i]).toBeCloseTo(value + 3.5, 5));
  });
  it('a part that is not there is no number, and so agrees with nothing', () => {
    expect(compared(figure('main-pair'), [4.28, NaN]).map(({ agrees }) => agrees)).toEqual([true, false]);
    expect(() => compared(figure('main-pair'), [4.28])).toThrow(LabError);
  });
});

describe('the store', () => {
  interface FakeMachine {
    model: ModelInfo | undefined;
    using: { weights: 'stored'; fold?: boolean; center?: boolean };
    use(model: ModelInfo, using: FakeMachine['using']): Promise<void>;
  }
  const machineOf = (done: string[], refuses = false): FakeMachine => ({
    model: { ...gpt2, id: 'm', name: 'stand-in', dModel: 24, badge: 'f16 · raw' } as ModelInfo,
    using: { weights: 'stored' },
    use(_, using) {
      done.push(using.fold ? 'centred' : 'raw');
      if (!refuses) this.using = using;
      return Promise.resolve();
    },
  });
  const lab = (done: string[]): Lab =>
    ({
      token: (name: string) => Promise.resolve({ id: name === ' Mary' ? 1 : 2, piece: name }),
      run: () => (done.push('run'), Promise.resolve({ logits: { shape: [3], data: new Float32Array([0, 5, 1]) } })),
    }) as unknown as Lab;

  it('runs raw figures as the model is, folds and centres for the others, and puts it back', async () => {
    const done: string[] = [];
    const known = new KnownResults(lab(done), machineOf(done) as unknown as Machine);
    await known.run([figure('main-pair'), figure('ablation')]);
    expect(done).toEqual(['run', 'run', 'centred', ...Array(16).fill('run'), 'raw']);
    expect([...known.outcomes.keys()]).toEqual(['main-pair', 'ablation']);
    expect(known.outcomes.get('main-pair')).toMatchObject({ model: 'stand-in', like: 'like' });
    expect(known.csv).toContain('main-pair,clean,4.276,-4,differs,f16 · raw');
    expect(known.running).toBeUndefined();
  });
  it('says so where the weights could not be had, and runs nothing on the wrong ones', async () => {
    const done: string[] = [];
    const known = new KnownResults(lab(done), machineOf(done, true) as unknown as Machine);
    await known.run([figure('ablation')]);
    expect(done).toEqual(['centred']);
    expect(known.problem?.code).toBe('known-weights');
    expect(known.outcomes.size).toBe(0);
  });
  it('stops between two prompts, and what is stopped has no outcome', async () => {
    const done: string[] = [];
    const at = lab(done);
    const known = new KnownResults(at, machineOf(done) as unknown as Machine);
    Object.assign(at, {
      run: () => {
        done.push('run');
        if (done.length === 3) known.stop();
        return Promise.resolve({ logits: { shape: [3], data: new Float32Array(3) } });
      },
    });
    await known.run([figure('ioi-differences')]);
    expect(done).toHaveLength(3);
    expect(known.outcomes.size).toBe(0);
    expect(known.problem).toBeUndefined();
  });
});
