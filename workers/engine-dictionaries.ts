/**
 * The dictionaries that are on the GPU beside the model in use: brought when they are first asked for, brought again when the device comes back,
 * gone with the model; and the neurons of the model itself, which are there as it is. What runs see of them is one function that brings them into a plan.
 */
import type { DictionaryRecord } from './contract';
import { compose } from './dictionary/compose';
import { freeDictionary, loadDictionary, type LoadCall, type LoadedDictionary } from './dictionary/load';
import { isNeurons, neuronsLayer, neuronsOf, type AnyDictionary } from './dictionary/neurons';
import { LabError } from './errors';
import type { TensorReader } from './gpu/stored';
import type { Lying } from './kernels/dictionary';
import { findHook, type HookInfo } from './model/hooks';
import type { Runtime } from './model/runtime';

export type OpenTensors = (record: Pick<DictionaryRecord, 'files' | 'name'>) => Promise<TensorReader & { close(): void }>;

export class Attached {
  private readonly records = new Map<string, DictionaryRecord>();
  private readonly loaded = new Map<string, LoadedDictionary>();
  private model: Runtime | undefined;
  private count = 0;

  constructor(private readonly open: OpenTensors) {}

  /** This model's runs may name dictionaries from now on. */
  serve(model: Runtime): void {
    this.model = model;
    model.compose = (call) => compose({ ...call, variants: model.planner.variants }, (id) => this.get(id));
  }

  /** On the GPU, as its record says now: an overridden contract brings it anew. */
  async attach(model: Runtime, record: DictionaryRecord, signal?: AbortSignal): Promise<void> {
    const before = this.records.get(record.id);
    if (before && this.loaded.has(record.id) && JSON.stringify(before.spec) === JSON.stringify(record.spec)) return;
    this.detach(model, record.id);
    const { hookIn, hookOut } = record.spec;
    const { hooks } = model.planner;
    const reader = await this.open(record);
    try {
      const dictionary = await loadDictionary({
        gpu: model.gpu,
        pool: model.weights,
        name: `d${++this.count}`,
        record,
        reader,
        input: lyingAt(hooks, hookIn),
        output: lyingAt(hooks, hookOut),
        ...normAt(model, hookIn),
        ...(signal ? { signal } : {}),
      });
      this.loaded.set(record.id, dictionary);
      this.records.set(record.id, record);
    } finally {
      reader.close();
    }
  }

  /** One of the shelf's: not the model's own neurons. */
  ofShelf(id: string): LoadedDictionary {
    const found = this.get(id);
    if (isNeurons(found))
      throw new LabError('dictionary-unsupported', `“${id}” are the model’s own neurons.`, 'Choose one of lab.dictionaries().');
    return found;
  }

  get(id: string): AnyDictionary {
    const found = this.loaded.get(id) ?? this.neurons(id);
    if (!found)
      throw new LabError(
        'dictionary-unknown',
        `No dictionary “${id}” is in use.`,
        'Choose one of lab.dictionaries() or lab.neurons(), or drop its files again.',
      );
    return found;
  }

  private neurons(id: string): AnyDictionary | undefined {
    const layer = neuronsLayer(id);
    if (layer === undefined || !this.model) return undefined;
    const { spec, planner } = this.model;
    if (layer >= spec.layers || spec.dMlp === 0)
      throw new LabError(
        'dictionary-unknown',
        `The model in use has no “${id}”.`,
        spec.dMlp === 0 ? 'It has no MLPs.' : 'lab.neurons() lists those it has.',
      );
    return neuronsOf(spec, layer, lyingAt(planner.hooks, `blocks.${layer}.mlp.hook_post`));
  }

  detach(model: Runtime | undefined, id: string): void {
    const found = this.loaded.get(id);
    if (found && model) freeDictionary(model.weights, found.name);
    this.loaded.delete(id);
    this.records.delete(id);
  }

  /** The model is gone, and their buffers with it. */
  forget(): void {
    this.loaded.clear();
    this.records.clear();
    this.model = undefined;
  }

  /** The same dictionaries beside the model on a device that came back. */
  async restore(model: Runtime): Promise<void> {
    this.loaded.clear();
    for (const record of [...this.records.values()]) await this.attach(model, record);
  }
}

/** The norm whose hook_normalized this is: its own gain and bias, folded away or not. */
export function normAt({ planner, storedVectors, spec }: Runtime, hook: string): Pick<LoadCall, 'norm'> {
  const [, name] = /^(.*)\.hook_normalized$/.exec(hook) ?? [];
  const of = (part: string): Float32Array | undefined => {
    const at = planner.weights.vectors.get(`${name}.${part}`);
    return name === undefined || at === undefined ? undefined : storedVectors.slice(at, at + spec.dModel);
  };
  const [gain, bias] = [of('w'), of('b')];
  return gain ? { norm: { gain, ...(bias ? { bias } : {}) } } : {};
}

/** How a hook's rows lie, for a dictionary: its heads, if it has any, are one vector. */
export function lyingAt(hooks: ReadonlyMap<string, HookInfo>, hook: string): Lying {
  const { geometry } = findHook(hooks, hook);
  if (geometry.keys || geometry.width === 1)
    throw new LabError('dictionary-misfit', `${hook} holds no vectors that a dictionary could read.`, 'Correct the dictionary’s hook.');
  const { units, width, stride, rowStride } = geometry;
  return { d: units * width, width, stride, words: rowStride };
}
