/**
 * Hook points: TransformerLens's names, their shapes, and how each lies in the engine's row-by-row buffers. Only the hooks
 * that exist by default; what each means is fixed in api.ts.
 */
import { LabError } from '../errors';
import type { Layout } from './layout';
import type { ModelSpec } from './spec';

export type BlockHook =
  | 'hook_resid_pre'
  | 'ln1.hook_scale'
  | 'ln1.hook_normalized'
  | 'attn.hook_q'
  | 'attn.hook_k'
  | 'attn.hook_v'
  | 'attn.hook_rot_q'
  | 'attn.hook_rot_k'
  | 'attn.hook_attn_scores'
  | 'attn.hook_pattern'
  | 'attn.hook_z'
  | 'ln1_post.hook_scale'
  | 'ln1_post.hook_normalized'
  | 'hook_attn_out'
  | 'hook_resid_mid'
  | 'ln2.hook_scale'
  | 'ln2.hook_normalized'
  | 'mlp.hook_pre'
  | 'mlp.hook_pre_linear'
  | 'mlp.hook_post'
  | 'ln2_post.hook_scale'
  | 'ln2_post.hook_normalized'
  | 'hook_mlp_out'
  | 'hook_resid_post';
export type HookName =
  'hook_embed' | 'hook_pos_embed' | `blocks.${number}.${BlockHook}` | 'ln_final.hook_scale' | 'ln_final.hook_normalized';

/**
 * How a hook's values lie in its buffer: row r, unit u (a head, or the only one), number i is word
 * offset + r·rowStride + u·stride + i. `keys`: the numbers are keys, those up to the row's position exist.
 */
export interface Geometry {
  units: number;
  /** Are the units heads, that an edit may choose by number? */
  headed: boolean;
  width: number;
  stride: number;
  rowStride: number;
  keys: boolean;
}

export interface HookInfo {
  name: HookName;
  layer: number | undefined;
  /** As TransformerLens: words for the axes that depend on the run. */
  shape: string[];
  geometry: Geometry;
}

function blockHooks(spec: ModelSpec): BlockHook[] {
  const { block, norm, mlp } = spec;
  const normed = norm.kind !== 'none';
  const when = (holds: boolean, ...hooks: BlockHook[]): BlockHook[] => (holds ? hooks : []);
  return [
    'hook_resid_pre',
    ...when(normed, 'ln1.hook_scale', 'ln1.hook_normalized'),
    'attn.hook_q',
    'attn.hook_k',
    'attn.hook_v',
    ...when(spec.positions.kind === 'rotary', 'attn.hook_rot_q', 'attn.hook_rot_k'),
    'attn.hook_attn_scores',
    'attn.hook_pattern',
    'attn.hook_z',
    ...when(normed && block.postNorms, 'ln1_post.hook_scale', 'ln1_post.hook_normalized'),
    'hook_attn_out',
    ...(spec.dMlp === 0
      ? []
      : [
          ...when(!block.parallel, 'hook_resid_mid'),
          ...when(normed, 'ln2.hook_scale', 'ln2.hook_normalized'),
          'mlp.hook_pre' as const,
          ...when(mlp.gated, 'mlp.hook_pre_linear'),
          'mlp.hook_post' as const,
          ...when(normed && block.postNorms, 'ln2_post.hook_scale', 'ln2_post.hook_normalized'),
          'hook_mlp_out' as const,
        ]),
    'hook_resid_post',
  ];
}

/** Every hook of a model, in the order of computation. */
export function hooksOf(spec: ModelSpec, layout: Layout): ReadonlyMap<string, HookInfo> {
  const found = new Map<string, HookInfo>();
  const put = (name: HookName, layer: number | undefined, kind: string): void => {
    const { shape, geometry } = form(kind, spec, layout);
    found.set(name, { name, layer, shape, geometry });
  };
  put('hook_embed', undefined, 'resid');
  if (spec.positions.kind === 'learned') put('hook_pos_embed', undefined, 'resid');
  for (let layer = 0; layer < spec.layers; layer++) for (const hook of blockHooks(spec)) put(`blocks.${layer}.${hook}`, layer, hook);
  if (spec.norm.kind !== 'none') {
    put('ln_final.hook_scale', undefined, 'hook_scale');
    put('ln_final.hook_normalized', undefined, 'hook_normalized');
  }
  return found;
}

function form(kind: string, spec: ModelSpec, layout: Layout): { shape: string[]; geometry: Geometry } {
  const { dModel, dHead, heads, kvHeads, dMlp } = spec;
  const flat = (width: number, rowStride: number): { shape: string[]; geometry: Geometry } => ({
    shape: ['pos', String(width)],
    geometry: { units: 1, headed: false, width, stride: rowStride, rowStride, keys: false },
  });
  const headed = (units: number): { shape: string[]; geometry: Geometry } => ({
    shape: ['pos', String(units), String(dHead)],
    geometry: { units, headed: true, width: dHead, stride: layout.dHead, rowStride: units * layout.dHead, keys: false },
  });
  if (kind.endsWith('hook_scale')) return flat(1, 1);
  switch (kind) {
    case 'attn.hook_q':
    case 'attn.hook_rot_q':
    case 'attn.hook_z':
      return headed(heads);
    case 'attn.hook_k':
    case 'attn.hook_rot_k':
    case 'attn.hook_v':
      return headed(kvHeads);
    case 'attn.hook_attn_scores':
    case 'attn.hook_pattern':
      // Strides depend on the run: the number of keys.
      return {
        shape: [String(heads), 'query', 'key'],
        geometry: { units: heads, headed: true, width: 0, stride: 0, rowStride: 0, keys: true },
      };
    case 'mlp.hook_pre':
    case 'mlp.hook_pre_linear':
    case 'mlp.hook_post':
      return flat(dMlp, layout.dMlp);
    default:
      return flat(dModel, layout.dModel);
  }
}

/** A hook's geometry in a run whose score rows hold `keys` numbers. */
export function geometryOf(info: HookInfo, keys: number): Geometry {
  const { geometry } = info;
  return geometry.keys ? { ...geometry, width: keys, stride: keys, rowStride: geometry.units * keys } : geometry;
}

export function findHook(hooks: ReadonlyMap<string, HookInfo>, name: string): HookInfo {
  const found = hooks.get(name);
  if (found) return found;
  const near = [...hooks.keys()].filter((each) => each.endsWith(name.split('.').at(-1) ?? name)).slice(0, 3);
  throw new LabError(
    'hook-unknown',
    `This model has no hook “${name}”.`,
    near.length ? `Near it: ${near.join(', ')}. lab.hooks() lists all.` : 'lab.hooks() lists all.',
  );
}
