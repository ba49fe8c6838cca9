"""What TransformerLens itself makes of a fixture when it processes its weights: python make_processed.py, with requirements-toys.txt.

fixtures/processed/<fixture>.safetensors: `<setting>/<hook>` and `<setting>/logits` for prompt 1, in float64 stored as float32. The settings are
TransformerLens's own switches; `both` is what its from_pretrained does unless told otherwise.
"""

import copy
import json
import os
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True
warnings.simplefilter("ignore", DeprecationWarning)

import torch
from safetensors.torch import load_file, save_file
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained import weight_conversions
from transformers import AutoModelForCausalLM

from make_toys import activations

ROOT = Path(__file__).parent / "fixtures"
FOLD = {"fold_ln": True, "fold_value_biases": True}
CENTRE = {"center_writing_weights": True, "center_unembed": True}
OFF = dict.fromkeys([*FOLD, *CENTRE], False)
SETTINGS = {"fold": OFF | FOLD, "center": OFF | CENTRE, "both": FOLD | CENTRE}
WHOLE = {"dtype": torch.float64, "device": "cpu"}


def from_transformers(name: str) -> tuple[HookedTransformerConfig, dict[str, torch.Tensor]]:
    """A Hugging Face fixture, converted by TransformerLens."""
    model = AutoModelForCausalLM.from_pretrained(ROOT / name, dtype=torch.float64, attn_implementation="eager", local_files_only=True)
    c = model.config
    if c.model_type == "gpt2":
        shape = {"n_layers": c.n_layer, "d_model": c.n_embd, "n_heads": c.n_head, "d_head": c.n_embd // c.n_head, "d_mlp": c.n_inner}
        rest = {"n_ctx": c.n_positions, "act_fn": "gelu_new", "normalization_type": "LN", "eps": c.layer_norm_epsilon}
        cfg = HookedTransformerConfig(**shape, **rest, d_vocab=c.vocab_size, original_architecture="GPT2LMHeadModel", **WHOLE)
        return cfg, weight_conversions.convert_gpt2_weights(model, cfg)
    shape = {"n_layers": c.num_hidden_layers, "d_model": c.hidden_size, "n_heads": c.num_attention_heads, "d_mlp": c.intermediate_size}
    heads = {"n_key_value_heads": c.num_key_value_heads, "d_head": c.head_dim, "rotary_dim": c.head_dim, "gated_mlp": True}
    rope = {"positional_embedding_type": "rotary", "rotary_base": c.rope_parameters["rope_theta"], "rotary_adjacent_pairs": False}
    rest = {"n_ctx": c.max_position_embeddings, "act_fn": "silu", "normalization_type": "RMS", "final_rms": True, "eps": c.rms_norm_eps}
    cfg = HookedTransformerConfig(
        **shape, **heads, **rope, **rest, d_vocab=c.vocab_size, original_architecture="LlamaForCausalLM", **WHOLE
    )
    return cfg, weight_conversions.convert_llama_weights(model, cfg)


def from_toy(name: str) -> tuple[HookedTransformerConfig, dict[str, torch.Tensor]]:
    """A fixture in TransformerLens's own format."""
    from make_toys import TOYS

    toy = next(each for each in TOYS if each.name == name)
    cfg = HookedTransformerConfig(**toy.config, **WHOLE)
    tensors = load_file(ROOT / name / "model.safetensors")
    model = HookedTransformer(copy.deepcopy(cfg))
    # The buffers in the file are rounded to its type; TransformerLens makes its own.
    return cfg, model.state_dict() | {name: tensors[name].double() for name, _ in model.named_parameters()}


def make(name: str) -> None:
    cfg, state = from_toy(name) if name.startswith("toy") else from_transformers(name)
    cases = json.loads((ROOT / name / "cases.json").read_text())
    ids = cases["prompts"][1]["ids"]
    raw = load_file(ROOT / name / "golden.safetensors")
    out = {}
    for setting, options in {"raw": OFF, **SETTINGS}.items():
        model = HookedTransformer(copy.deepcopy(cfg))
        model.load_and_process_state_dict({key: value.clone() for key, value in state.items()}, **options)
        found = activations(model.double(), ids)
        if setting == "raw":
            # The conversion is right where it gives what the fixture holds.
            for key, value in found.items():
                finite = torch.isfinite(value)
                gap = (value[finite] - raw[f"1/{key}"].double()[finite]).abs().max() / value[finite].abs().max()
                assert gap < 1e-6, (name, key, gap.item())
            continue
        log_probs = found["logits"].log_softmax(-1)
        assert (log_probs - raw["1/logits"].double().log_softmax(-1)).abs().max() < 1e-5, (name, setting)
        out |= {f"{setting}/{key}": value.to(torch.float32).contiguous() for key, value in found.items()}
    path = ROOT / "processed" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(out, path)
    path.chmod(0o644)
    print(f"{name}: {len(out)} tensors, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    for each in sys.argv[1:] or ("gpt2-odd", "llama-gqa", "toy-ln"):
        make(each)
