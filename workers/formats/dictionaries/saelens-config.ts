/**
 * cfg.json of SAELens, of any age, as one form: that of version 6, whose fields about the model are in `metadata`. Older ones are flat and leave
 * things out; what they meant is SAELens's own rule (handle_pre_6_0_config in sae_lens/loading/pretrained_sae_loaders.py).
 */
import { isObject, type JsonObject } from '../json';

export interface SaelensConfig {
  values: JsonObject;
  metadata: JsonObject;
}

const RENAMED: Readonly<Record<string, string>> = {
  hook_point: 'hook_name',
  hook_point_head_index: 'hook_head_index',
  hook_point_layer: 'hook_layer',
  activation_fn_str: 'activation_fn',
};

const METADATA = new Set([
  'model_name',
  'hook_name',
  'hook_name_out',
  'model_class_name',
  'hook_head_index',
  'hook_head_index_out',
  'hook_layer',
  'model_from_pretrained_kwargs',
  'prepend_bos',
  'exclude_special_tokens',
  'neuronpedia_id',
  'context_size',
  'seqpos_slice',
  'dataset_path',
  'sae_lens_version',
  'sae_lens_training_version',
  'norm_scaling_factor',
]);

export function upgraded(cfg: JsonObject): SaelensConfig {
  const own = isObject(cfg['metadata']) ? cfg['metadata'] : {};
  const version = cfg['sae_lens_version'] ?? own['sae_lens_version'];
  const config = typeof version === 'string' && Number.parseInt(version) >= 6 ? cfg : ofOldTimes(cfg);
  const flat = Object.entries(config).filter(([key]) => key !== 'metadata');
  return {
    values: Object.fromEntries(flat.filter(([key]) => !METADATA.has(key))),
    metadata: { ...Object.fromEntries(flat.filter(([key]) => METADATA.has(key))), ...own },
  };
}

function ofOldTimes(cfg: JsonObject): JsonObject {
  const config: JsonObject = Object.fromEntries(Object.entries(cfg).map(([key, value]) => [RENAMED[key] ?? key, value]));
  const hook = config['hook_name'];
  const normalise = config['normalize_activations'];
  const kwargs = config['activation_fn_kwargs'];
  const k = isObject(kwargs) ? kwargs['k'] : undefined;
  // TopK was told by its activation function; read by its architecture alone it would run as ReLU (SAELens, issue 553).
  const topk = config['activation_fn'] === 'topk' && typeof k === 'number' ? { architecture: 'topk', k } : {};
  return {
    prepend_bos: true,
    apply_b_dec_to_input: true,
    finetuning_scaling_factor: false,
    architecture: 'standard',
    reshape_activations: typeof hook === 'string' && hook.includes('hook_z') ? 'hook_z' : 'none',
    activation_fn: 'relu',
    ...config,
    ...topk,
    normalize_activations: typeof normalise === 'boolean' ? (normalise ? 'expected_average_only_in' : 'none') : (normalise ?? 'none'),
  };
}
