/**
 * An MLP's neurons as a dictionary without files: the latents of a layer are the numbers of its mlp.hook_post, a latent's row of W_dec is its row of
 * W_out, and nothing is missed, because the reconstruction is what stands there. So no product is made and no weight is copied.
 *
 * Which neurons are active: where the MLP is act(x·W_in), those above 0 (GELU and SiLU leave a faint negative of the others, ReLU nothing). Where it is gated,
 * act(x·W_gate)·(x·W_in) takes either sign and is 0 almost nowhere: all are, and the largest by magnitude are listed.
 */
import type { DictionaryInfo, ModelInfo } from '../api';
import type { Op } from '../gpu/commands';
import { listWords, type Lying } from '../kernels/dictionary';
import { FEW, type Variants } from '../kernels/linear';
import { editNeurons, listNeurons, type Listed } from '../kernels/neurons';
import type { ModelSpec } from '../model/spec';
import type { LoadedDictionary } from './load';
import type { At, Needs, Place } from './ops';
import type { DictionarySpec } from './spec';

export interface LoadedNeurons {
  id: string;
  layer: number;
  listed: Listed;
  spec: Pick<DictionarySpec, 'kind' | 'hookIn' | 'hookOut' | 'dIn' | 'dOut' | 'latents'> & { k?: undefined };
  /** How the hook's rows lie; both the same. */
  input: Lying;
  output: Lying;
}
/** What runs may name: a dictionary that was brought, or neurons of the model itself. */
export type AnyDictionary = LoadedDictionary | LoadedNeurons;

export const isNeurons = (d: AnyDictionary): d is LoadedNeurons => 'listed' in d;

const ID = /^neurons:blocks\.(\d+)$/;
export const neuronsId = (layer: number): string => `neurons:blocks.${layer}`;
const hookOf = (layer: number): string => `blocks.${layer}.mlp.hook_post`;

/** The layer that an id of neurons names; undefined where it is a dictionary's. */
export function neuronsLayer(id: string): number | undefined {
  const [, layer] = ID.exec(id) ?? [];
  return layer === undefined ? undefined : Number(layer);
}

export function neuronsOf({ mlp, dMlp }: Pick<ModelSpec, 'mlp' | 'dMlp'>, layer: number, lying: Lying): LoadedNeurons {
  const hook = hookOf(layer);
  return {
    id: neuronsId(layer),
    layer,
    listed: mlp.gated ? 'signed' : 'positive',
    spec: { kind: 'neurons', hookIn: hook, hookOut: hook, dIn: dMlp, dOut: dMlp, latents: dMlp },
    input: lying,
    output: lying,
  };
}

/** Every layer's, as lab.neurons() tells them; none where a model has no MLP. */
export function neuronsInfo(
  { layers, dMlp, mlp }: Pick<ModelSpec, 'layers' | 'dMlp' | 'mlp'>,
  { id, name }: Pick<ModelInfo, 'id' | 'name'>,
): DictionaryInfo[] {
  if (dMlp === 0) return [];
  return Array.from({ length: layers }, (_, layer) => ({
    id: neuronsId(layer),
    name: `MLP neurons, layer ${layer}`,
    kind: 'neurons',
    hookIn: [hookOf(layer)],
    hookOut: hookOf(layer),
    dIn: dMlp,
    dOut: dMlp,
    latents: dMlp,
    contract: {
      format: 'the model itself',
      model: name,
      activation: mlp.gated ? `${mlp.act}, gated` : mlp.act,
      active: mlp.gated ? 'post ≠ 0, the largest |post| listed' : 'post > 0',
    },
    fits: [id],
  }));
}

/** What neurons do at their hook: the same part as dictionary/ops.ts plays for what has weights. */
export class NeuronOps {
  constructor(
    private readonly variants: Variants,
    private readonly needs: Needs,
  ) {}

  /** Lists of the active neurons of every row, copied to `place`. */
  watch(d: LoadedNeurons, { buffer, rows, hook }: At, room: number, { to, offset }: Place): Op[] {
    const bytes = 4 * rows * listWords(room);
    const list = this.needs.want('sae.list', bytes);
    const { latents: neurons } = d.spec;
    const serial = this.variants.matmul === 'register' && (room >= neurons || rows > FEW);
    return [
      listNeurons({ listed: d.listed, rows, neurons, stride: d.input.words, room, x: buffer, list, hook, serial }),
      { op: 'copy', from: list, fromOffset: 0, to, toOffset: offset, bytes, hook },
    ];
  }

  /** The reconstruction is what stands there: kept for DictionaryOps.measureTarget. */
  measureRead(d: LoadedNeurons, at: At, key: string, room: number, lists: Place): Op[] {
    const bytes = 4 * at.rows * d.output.words;
    const kept = this.needs.want(`sae.y.${key}`, bytes);
    return [...this.watch(d, at, room, lists), { op: 'copy', from: at.buffer, fromOffset: 0, to: kept, toOffset: 0, bytes, hook: at.hook }];
  }

  /** `latent` edits, from record `first` on. */
  edits(d: LoadedNeurons, { buffer, rows, hook }: At, { first, count }: { first: number; count: number }): Op[] {
    return [editNeurons({ rows, stride: d.input.words, first, count, x: buffer, hook })];
  }
}
