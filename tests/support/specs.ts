/** The shapes of models that people bring: plans are measured on them without a weight. */
import { gpt2 } from '../../workers/model/families/gpt2';
import { llama } from '../../workers/model/families/llama';

export const GPT2_SMALL = gpt2.spec({ model_type: 'gpt2', n_layer: 12, n_embd: 768, n_head: 12, vocab_size: 50257, n_positions: 1024 });

export const SMALL_LLAMA = llama.spec({
  model_type: 'llama',
  num_hidden_layers: 12,
  hidden_size: 768,
  num_attention_heads: 12,
  num_key_value_heads: 4,
  intermediate_size: 2048,
  vocab_size: 32000,
  max_position_embeddings: 2048,
});
