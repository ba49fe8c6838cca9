/** Patching grids as the page shows them: what may be swept over what, what a cell is called, which hook and positions it stands for, and how alike two grids are. */
import type { Grid, PatchPart, SweepRequest } from '../../workers/api';

export type Over = Exclude<SweepRequest['over'], { dictionary: string }>;
export type GridKind = SweepRequest['grid'];

export const OVER: readonly { value: Over; label: string; about: string }[] = [
  { value: 'resid_pre', label: 'Residual (before)', about: 'everything that has been written to the stream so far' },
  { value: 'resid_mid', label: 'Residual (mid)', about: 'the stream between attention and MLP' },
  { value: 'attn_out', label: 'Attention out', about: 'what a layer’s heads add together' },
  { value: 'mlp_out', label: 'MLP out', about: 'what a layer’s MLP adds' },
  { value: 'z', label: 'Heads: z', about: 'what each head carries, before W_O' },
  { value: 'q', label: 'Heads: queries', about: 'what each head looks for' },
  { value: 'k', label: 'Heads: keys', about: 'what each head finds it by' },
  { value: 'v', label: 'Heads: values', about: 'what each head could carry' },
  { value: 'pattern', label: 'Heads: patterns', about: 'where each head looks' },
];
export const GRID_LABEL: Record<GridKind, string> = {
  'layer-position': 'layer × position',
  'layer-head': 'layer × head',
  'layer-position-head': 'layer × position × head',
  'head-dest-src': 'head × from × to',
  latent: 'latents',
};
const OF_HEADS: readonly string[] = ['z', 'q', 'k', 'v', 'pattern'];

export function gridsOf(over: SweepRequest['over']): GridKind[] {
  if (typeof over === 'object') return ['latent'];
  if (over === 'pattern') return ['layer-head', 'layer-position-head', 'head-dest-src'];
  return OF_HEADS.includes(over) ? ['layer-head', 'layer-position-head'] : ['layer-position'];
}

export const hookOf = (over: Over, layer: number): string =>
  OF_HEADS.includes(over) ? `blocks.${layer}.attn.hook_${over}` : `blocks.${layer}.hook_${over}`;

/** Indices along the axes of a number in a row-major tensor. */
export function indicesOf(shape: readonly number[], flat: number): number[] {
  const out: number[] = [];
  let rest = flat;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    out.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return out;
}

/** Which activations a cell takes from the other run; none where no single edit says it (one source of a pattern). `writes`: the hook that a dictionary writes to. */
export function partOf(over: SweepRequest['over'], grid: Grid, flat: number, kind: GridKind, writes?: string): PatchPart | undefined {
  const at = indicesOf(grid.value.shape, flat);
  if (typeof over === 'object') {
    const latent = latentOf(grid, flat);
    return writes === undefined || latent === undefined ? undefined : { at: writes, dictionary: over.dictionary, latent };
  }
  if (kind === 'latent' || kind === 'head-dest-src') return undefined;
  const [layer = 0, second = 0, third = 0] = at;
  const hook = hookOf(over, layer);
  if (kind === 'layer-position') return { at: hook, positions: [second] };
  if (kind === 'layer-head') return { at: hook, head: second };
  return { at: hook, positions: [second], head: third };
}

/** The latent that a cell of a latents’ grid is. */
export function latentOf(grid: Grid, flat: number): number | undefined {
  const label = grid.axes[0]?.name === 'latent' ? grid.axes[0].labels[flat] : undefined;
  return label === undefined ? undefined : Number(label);
}

/** “layer 3, head 1”, with the token where a position is named. */
export function cellName(grid: Grid, flat: number, token: (position: number) => string): string {
  const at = indicesOf(grid.value.shape, flat);
  return grid.axes
    .map(({ name, labels }, axis) => {
      const index = at[axis] ?? 0;
      if (name === 'head' && labels[index] === 'MLP') return 'MLP';
      if (name === 'position') return `at ${token(index)}, position ${index}`;
      if (name === 'destination') return `from ${token(index)}, position ${index}`;
      if (name === 'source') return `to ${token(index)}, position ${index}`;
      return `${name} ${labels[index] ?? index}`;
    })
    .join(', ');
}

/** What a metric differs by, seen from doing nothing: recovered where clean values come in, lost where corrupted ones do. */
export const effectOf = (direction: SweepRequest['direction'], value: number): number => (direction === 'denoise' ? value : value - 1);

/** Cells by the size of their effect, the largest first; those without a number are left out. */
export function ranked(values: ArrayLike<number>, effect: (value: number) => number, count: number): number[] {
  return Array.from(values, (value, i) => ({ i, size: Math.abs(effect(value)) }))
    .filter(({ size }) => Number.isFinite(size))
    .sort((a, b) => b.size - a.size)
    .slice(0, count)
    .map(({ i }) => i);
}

/** Pearson's r over the pairs that are numbers; NaN for fewer than three, or where one side does not vary. */
export function correlation(pairs: readonly (readonly [number, number])[]): number {
  const known = pairs.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
  if (known.length < 3) return Number.NaN;
  const mean = (side: 0 | 1) => known.reduce((sum, pair) => sum + pair[side], 0) / known.length;
  const [ma, mb] = [mean(0), mean(1)];
  let [ab, aa, bb] = [0, 0, 0];
  for (const [a, b] of known) {
    ab += (a - ma) * (b - mb);
    aa += (a - ma) ** 2;
    bb += (b - mb) ** 2;
  }
  return aa === 0 || bb === 0 ? Number.NaN : ab / Math.sqrt(aa * bb);
}

/** How far from nothing the colours reach: the largest effect, at least a tenth, so that noise is not painted as a finding. */
export function reach(values: ArrayLike<number>, effect: (value: number) => number): number {
  let most = 0.1;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(effect(values[i] ?? Number.NaN));
    if (Number.isFinite(size) && size > most) most = size;
  }
  return most;
}
