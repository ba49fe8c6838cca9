"""The golden models: what each is, and why it is worth having.

Sizes are odd on purpose: nothing is a power of two or a multiple of a tile, so a kernel that forgets its edges fails.
"""

from dataclasses import dataclass, field

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM


@dataclass(frozen=True)
class Fixture:
    name: str
    model: type
    config: object
    stored: torch.dtype
    # The first seed from a round number that gives continuations and edits worth testing; make.py asserts what that means.
    seed: int
    # Tokens of the four prompts, BOS included; 1 and 3 are as long as each other, for edits that take one from the other.
    lengths: tuple[int, int, int, int]
    # Tokens in the tokenizer: fewer than vocab_size where the checkpoint pads its vocabulary, as many real ones do.
    pieces: int
    shards: int = 1
    # Put before every name but lm_head's, as the family's causal model does; official GPT-2 files have none.
    prefix: str = ""
    # Save GPT-2's mask buffers too: they are in the official files and hold nothing learned.
    masks: bool = False
    # Write rope_theta at the top level, as transformers did before version 5.
    legacy_rope: bool = False
    special: dict[str, int] = field(default_factory=dict)


GPT2_SPECIAL = {"<|endoftext|>": 0}
LLAMA_SPECIAL = {"<unk>": 0, "<s>": 1, "</s>": 2}

FIXTURES = (
    Fixture(
        name="gpt2-odd",
        model=GPT2LMHeadModel,
        config=GPT2Config(
            n_embd=30, n_head=3, n_layer=3, n_inner=70, vocab_size=97, n_positions=24, bos_token_id=0, eos_token_id=0
        ),
        stored=torch.float32,
        seed=16,
        lengths=(1, 7, 24, 7),
        pieces=97,
        prefix="transformer.",
        masks=True,
        special=GPT2_SPECIAL,
    ),
    Fixture(
        name="gpt2-scaled",
        model=GPT2LMHeadModel,
        config=GPT2Config(
            n_embd=36,
            n_head=4,
            n_layer=2,
            vocab_size=131,
            n_positions=40,
            scale_attn_by_inverse_layer_idx=True,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=0,
        ),
        stored=torch.float16,
        seed=23,
        lengths=(1, 7, 19, 7),
        pieces=131,
        special=GPT2_SPECIAL,
    ),
    Fixture(
        name="llama-gqa",
        model=LlamaForCausalLM,
        config=LlamaConfig(
            hidden_size=42,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=10,
            num_hidden_layers=3,
            intermediate_size=58,
            vocab_size=113,
            max_position_embeddings=33,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 500.0},
            tie_word_embeddings=False,
        ),
        stored=torch.float32,
        seed=34,
        lengths=(1, 7, 33, 7),
        pieces=109,
        shards=3,
        prefix="model.",
        special=LLAMA_SPECIAL,
    ),
    Fixture(
        name="llama-bf16",
        model=LlamaForCausalLM,
        config=LlamaConfig(
            hidden_size=40,
            num_attention_heads=5,
            num_key_value_heads=1,
            head_dim=8,
            num_hidden_layers=2,
            intermediate_size=54,
            vocab_size=127,
            max_position_embeddings=64,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "default", "rope_theta": 2000.0},
            tie_word_embeddings=True,
            attention_bias=True,
            mlp_bias=True,
        ),
        stored=torch.bfloat16,
        seed=45,
        lengths=(1, 7, 37, 7),
        pieces=127,
        prefix="model.",
        legacy_rope=True,
        special=LLAMA_SPECIAL,
    ),
)
