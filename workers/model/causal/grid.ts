/**
 * A patching grid as data: what is patched (`over`), which cells there are (`grid`), and where each lies in the tensor that comes back. Pure, and shared by the
 * exact sweeps and their gradient approximations, so that both speak of the same cells.
 *
 *   layer-position         [layer, position]                 resid_pre, resid_mid, attn_out, mlp_out; z, q, k, v with all heads together
 *   layer-head             [layer, head]                     z, q, k, v, pattern; every position
 *   layer-position-head    [layer, position, head]           z, q, k, v, pattern (of pattern: positions are queries)
 *   head-dest-src          [layer.head, destination, source] pattern; a source that its query does not see is no cell (NaN)
 *   latent                 [latent]                          of a dictionary, at every position
 * k and v have the model's key heads. Sources: TransformerLens's patching.py (get_act_patch_*), of which these are the grids.
 */
import type { SweepRequest } from '../../api';
import { LabError } from '../../errors';
import { firstKey, windowOf, type ModelSpec } from '../spec';

export type Stream = 'resid_pre' | 'resid_mid' | 'attn_out' | 'mlp_out';
export type OfHeads = 'z' | 'q' | 'k' | 'v' | 'pattern';
export type Over = Stream | OfHeads;
export type GridKind = SweepRequest['grid'];

/** One cell: what is taken from the other run. Without `position`, at all; without `head`, of all. */
export interface Cell {
  /** Its place in the grid's tensor, row-major. */
  index: number;
  layer: number;
  /** Of pattern: the query. */
  position?: number;
  head?: number;
  /** Of pattern: the key. */
  source?: number;
  latent?: number;
}

export interface CellGrid {
  axes: { name: string; labels: string[] }[];
  shape: number[];
  /** Numbers in the tensor. */
  size: number;
  cells: Cell[];
}

const STREAM: readonly string[] = ['resid_pre', 'resid_mid', 'attn_out', 'mlp_out'];
const HEADED: readonly string[] = ['z', 'q', 'k', 'v', 'pattern'];
export const isStream = (over: string): over is Stream => STREAM.includes(over);
export const isOfHeads = (over: string): over is OfHeads => HEADED.includes(over);

export const overHook = (over: Over, layer: number): string =>
  isStream(over) ? `blocks.${layer}.hook_${over}` : `blocks.${layer}.attn.hook_${over}`;

/** Heads of what is patched: k and v have the keys'. */
export const headsOf = ({ heads, kvHeads }: Pick<ModelSpec, 'heads' | 'kvHeads'>, over: Over): number =>
  over === 'k' || over === 'v' ? kvHeads : heads;

const WHICH: Readonly<Record<GridKind, (over: Over) => boolean>> = {
  'layer-position': (over) => over !== 'pattern',
  'layer-head': isOfHeads,
  'layer-position-head': isOfHeads,
  'head-dest-src': (over) => over === 'pattern',
  latent: () => false,
};

/** `sweep-grid` where the two do not go together, or the model has no such hook. */
export function checkGrid(
  spec: ModelSpec,
  over: Over | { dictionary: string },
  grid: GridKind,
  ablate?: NonNullable<SweepRequest['ablate']>,
): void {
  const wrong = (message: string, hint: string): LabError => new LabError('sweep-grid', message, hint);
  const kinds = Object.keys(WHICH);
  if (!kinds.includes(grid)) throw wrong(`“${grid}” is no grid.`, `The grids are ${kinds.join(', ')}.`);
  if (typeof over === 'object') {
    if (grid !== 'latent') throw wrong(`A dictionary’s latents have no ${grid} grid.`, "Ask for grid: 'latent'.");
    return;
  }
  if (!isStream(over) && !isOfHeads(over))
    throw wrong(
      `“${String(over)}” is nothing that a sweep goes over.`,
      `It goes over ${[...STREAM, ...HEADED].join(', ')} or { dictionary }.`,
    );
  if (!WHICH[grid](over)) {
    const fits = kinds.filter((kind) => WHICH[kind as GridKind](over));
    throw wrong(`${over} has no ${grid} grid.`, `Of ${over} there are: ${fits.join(', ')}.`);
  }
  if (over === 'pattern' && ablate === 'mean')
    throw wrong(
      'Patterns of different queries have no common keys to average over.',
      "Ablate z by its mean, or the pattern by 'zero' or 'resample'.",
    );
  if (over === 'resid_mid' && (spec.block.parallel || spec.dMlp === 0))
    throw wrong(
      'This model has no hook_resid_mid.',
      'Its MLP reads the same stream as attention, or there is none: sweep resid_pre or attn_out.',
    );
  if (over === 'mlp_out' && spec.dMlp === 0) throw wrong('This model has no MLPs.', 'Sweep resid_pre, attn_out or its heads.');
}

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const labels = (n: number): string[] => count(n).map(String);

/** The cells of a grid on prompts of `tokens` tokens. */
export function gridOf(spec: ModelSpec, over: Over, grid: Exclude<GridKind, 'latent'>, tokens: number): CellGrid {
  const { layers } = spec;
  const heads = isOfHeads(over) ? headsOf(spec, over) : 1;
  const layer = { name: 'layer', labels: labels(layers) };
  const position = { name: over === 'pattern' ? 'destination' : 'position', labels: labels(tokens) };
  const head = { name: 'head', labels: labels(heads) };
  const every = count(layers);
  switch (grid) {
    case 'layer-position':
      return made(
        [layer, position],
        every.flatMap((l) => count(tokens).map((p) => ({ index: l * tokens + p, layer: l, position: p }))),
      );
    case 'layer-head':
      return made(
        [layer, head],
        every.flatMap((l) => count(heads).map((h) => ({ index: l * heads + h, layer: l, head: h }))),
      );
    case 'layer-position-head':
      return made(
        [layer, position, head],
        every.flatMap((l) =>
          count(tokens).flatMap((p) => count(heads).map((h) => ({ index: (l * tokens + p) * heads + h, layer: l, position: p, head: h }))),
        ),
      );
    case 'head-dest-src': {
      const each = { name: 'head', labels: every.flatMap((l) => count(heads).map((h) => `${l}.${h}`)) };
      const cells = every.flatMap((l) =>
        count(heads).flatMap((h) =>
          count(tokens).flatMap((p) =>
            count(p + 1)
              .slice(firstKey(windowOf(spec, l), p))
              .map((s) => ({ index: ((l * heads + h) * tokens + p) * tokens + s, layer: l, position: p, head: h, source: s })),
          ),
        ),
      );
      return made([each, position, { name: 'source', labels: labels(tokens) }], cells);
    }
  }
}

/** One cell a latent; all are of the layer that the dictionary writes in. */
export function latentGrid(layer: number, latents: readonly number[]): CellGrid {
  return made(
    [{ name: 'latent', labels: latents.map(String) }],
    latents.map((latent, index) => ({ index, layer, latent })),
  );
}

function made(axes: CellGrid['axes'], cells: Cell[]): CellGrid {
  const shape = axes.map((axis) => axis.labels.length);
  return { axes, shape, size: shape.reduce((a, b) => a * b, 1), cells };
}
