/**
 * The run that an attribution is read off: one position's rows at every hook that is needed, each edited hook's row as it was before its own edits (a second sequence of the same batch,
 * with those edits left out), and the numbers that turn a row into logits.
 */
import type { EngineEdit } from '../../contract';
import { LabError } from '../../errors';
import { behindBranch, dot, insideBranch, type Behind, type Branch, type Direction } from '../../model/direction';
import { findHook } from '../../model/hooks';
import type { Measured } from '../../model/collect';
import { runBatch, type Measure } from '../../model/run';
import type { Runtime } from '../../model/runtime';

export interface Place {
  layer: number;
  branch: Branch;
  /** 'inside': z or the MLP's activations; 'norm': behind the branch's own norm; 'out': what is added to the stream. */
  where: 'inside' | 'norm' | 'out';
}

/** Which branch a hook belongs to, and where in it; nothing of a hook of the stream. */
export function placeOf(hook: string): Place | undefined {
  const [, layer, rest] = /^blocks\.(\d+)\.(.*)$/.exec(hook) ?? [];
  const found = rest === undefined ? undefined : PLACES[rest];
  return found && { layer: Number(layer), ...found };
}
const PLACES: Readonly<Record<string, Omit<Place, 'layer'>>> = {
  'attn.hook_z': { branch: 'attn', where: 'inside' },
  'ln1_post.hook_normalized': { branch: 'attn', where: 'norm' },
  hook_attn_out: { branch: 'attn', where: 'out' },
  'mlp.hook_post': { branch: 'mlp', where: 'inside' },
  'ln2_post.hook_normalized': { branch: 'mlp', where: 'norm' },
  hook_mlp_out: { branch: 'mlp', where: 'out' },
};
export const hooksOfBranch = (layer: number, branch: Branch): { inside: string; norm: string; scale: string; out: string } =>
  branch === 'attn'
    ? {
        inside: `blocks.${layer}.attn.hook_z`,
        norm: `blocks.${layer}.ln1_post.hook_normalized`,
        scale: `blocks.${layer}.ln1_post.hook_scale`,
        out: `blocks.${layer}.hook_attn_out`,
      }
    : {
        inside: `blocks.${layer}.mlp.hook_post`,
        norm: `blocks.${layer}.ln2_post.hook_normalized`,
        scale: `blocks.${layer}.ln2_post.hook_scale`,
        out: `blocks.${layer}.hook_mlp_out`,
      };

export interface ReadingCall {
  ids: readonly number[];
  position: number;
  edits: readonly EngineEdit[];
  /** Hooks whose edits are told apart. */
  edited: readonly string[];
  taps: readonly string[];
  measure?: Measure;
}

export class Reading {
  /** ln_final's scale; NaN where the model has none. */
  readonly scale: number;
  /** The metric's logits, off the last norm's output. */
  readonly total: number;
  private readonly behinds = new Map<string, Promise<Behind>>();
  private readonly insides = new Map<string, Promise<Float64Array>>();

  private constructor(
    readonly model: Runtime,
    readonly direction: Direction,
    readonly position: number,
    private readonly rows: ReadonlyMap<string, Float32Array>,
    private readonly befores: ReadonlyMap<string, Float32Array>,
    readonly measured: Measured | undefined,
  ) {
    const { u, gained, normBias, unembedBias } = direction;
    const normed = model.spec.norm.kind !== 'none';
    this.scale = normed ? (this.row(SCALE)[0] ?? NaN) : NaN;
    this.total = (normed ? dot(this.row(NORMALIZED), gained) + normBias : dot(this.row(finalOf(model)), u)) + unembedBias;
  }

  static async of(model: Runtime, direction: Direction, call: ReadingCall): Promise<Reading> {
    const { ids, position, edits, edited, measure } = call;
    const last = model.spec.norm.kind === 'none' ? [finalOf(model)] : [SCALE, NORMALIZED];
    const taps = [...new Set([...call.taps, ...edited, ...last])];
    const common = { ids, promptLength: ids.length, logits: [] };
    const [main, ...others] = await runBatch(
      model,
      [{ ...common, edits, taps }, ...edited.map((hook) => ({ ...common, edits: edits.filter(({ at }) => at !== hook), taps: [hook] }))],
      measure ? [measure] : [],
    );
    const at = (hook: string, data: Float32Array | undefined): [string, Float32Array] => {
      const { units, width } = findHook(model.planner.hooks, hook).geometry;
      return [hook, (data ?? new Float32Array(0)).subarray(position * units * width, (position + 1) * units * width)];
    };
    return new Reading(
      model,
      direction,
      position,
      new Map(taps.map((hook) => at(hook, main?.taps[hook]?.data))),
      new Map(edited.map((hook, i) => at(hook, others[i]?.taps[hook]?.data))),
      main?.measured[0],
    );
  }

  /** What stands at a hook. */
  row(hook: string): Float32Array {
    const found = this.rows.get(hook);
    if (!found?.length) throw new LabError('internal', `No values came back from ${hook}.`, 'Please report this.');
    return found;
  }
  /** What would stand there without that hook's own edits. */
  before(hook: string): Float32Array {
    return this.befores.get(hook) ?? this.row(hook);
  }

  private get over(): number {
    return this.model.spec.norm.kind === 'none' ? 1 : this.scale;
  }
  /** Numbers of the stream as logits. */
  written(x: ArrayLike<number>): number {
    return dot(x, this.direction.v) / this.over;
  }

  behind(layer: number, branch: Branch): Promise<Behind> {
    return once(this.behinds, `${layer} ${branch}`, () => behindBranch(this.model, layer, branch, this.direction.v));
  }
  /** How one number inside a branch reads, the norms' scales held: [d_mlp], or heads side by side. */
  inside(layer: number, branch: Branch): Promise<Float64Array> {
    return once(this.insides, `${layer} ${branch}`, async () => {
      const { inner } = await this.behind(layer, branch);
      const over = this.over * this.ownScale(layer, branch);
      return (await insideBranch(this.model, layer, branch, inner)).map((each) => each / over);
    });
  }
  /** What the branch's biases read as. */
  async bias(layer: number, branch: Branch): Promise<number> {
    const { bias, normBias } = await this.behind(layer, branch);
    return (bias / this.ownScale(layer, branch) + normBias) / this.over;
  }
  private ownScale(layer: number, branch: Branch): number {
    return this.model.spec.block.postNorms ? (this.row(hooksOfBranch(layer, branch).scale)[0] ?? NaN) : 1;
  }

  /** Numbers at a hook as logits: what a change there would add, everything else held. */
  async readAt(hook: string, x: ArrayLike<number>): Promise<number> {
    if (hook === NORMALIZED) return dot(x, this.direction.gained);
    const place = placeOf(hook);
    if (place?.where === 'inside') return dot(x, await this.inside(place.layer, place.branch));
    if (place?.where === 'norm') return dot(x, (await this.behind(place.layer, place.branch)).gained) / this.over;
    return this.written(x);
  }
}

const SCALE = 'ln_final.hook_scale';
const NORMALIZED = 'ln_final.hook_normalized';
const finalOf = ({ spec }: Runtime): string => `blocks.${spec.layers - 1}.hook_resid_post`;

function once<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}
