"""Writes a fixture's model as a Hugging Face folder: config.json, safetensors (whole or sharded), tokenizer.

Weights are drawn with NumPy's Philox generator, whose stream is the same on every platform, at scales that give the
activations of a trained model their shape: norm gains and biases that are not ones and zeros, scores with a spread of
about 2, and one massive feature on the BOS token, which a per-row error measure must not let hide the other rows.
"""

import json
import math
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from catalogue import Fixture
from families import family_of, head_dim_of, spec_of

EMBEDDING = r"(wte|embed_tokens|embed_in)\.weight$"
MASSIVE_FEATURE = 5
MASSIVE_VALUE = 20.0

# Written for this file; the "é" is two bytes, so that a piece may be half a character.
CORPUS = """the lens is small and round, the light bends and the page grows large.
a reader holds the glass over one word and sees the ink, the grain, the thread of the paper.
what was a line is now a hill, what was a dot is a lake with a shore.
she moves it slowly to the left and the letters swim past like fish under ice.
one more turn of the ring, and the blur sets hard into an edge.
nothing here is hidden, only small; nothing is small, only far.
the café closes at nine, and the last table is lit by a single lamp.
he writes the number down, turns the page, and looks again at the same place.
if two readings agree then the third is worth taking, and if they differ it is worth taking twice."""


def scale_of(name: str, shape: tuple[int, ...], config) -> tuple[float, float]:
    """(mean, standard deviation) of a parameter's entries."""
    spec = spec_of(config)
    conv = config.model_type == "gpt2" and re.search(r"c_(attn|proj|fc)\.weight$", name)
    fan_in = shape[0] if conv else shape[-1]
    if re.search(r"(ln_\d|ln_f|layernorm|norm)\.weight$", name):
        return 1.0 - spec.gain, 0.3
    if name.endswith("bias"):
        return 0.0, 0.25
    if re.search(EMBEDDING, name):
        return 0.0, 0.35 / spec.embed_scale
    if name.endswith("wpe.weight"):
        return 0.0, 0.5
    if re.search(r"(c_attn|q_proj|k_proj|query_key_value|qkv_proj)\.weight$", name):
        # GPT-Neo does not divide its scores: q and k are as much smaller.
        smaller = head_dim_of(config) ** 0.25 if config.model_type == "gpt_neo" else 1.0
        return 0.0, 1.3 / math.sqrt(fan_in) / smaller
    return 0.0, 1.5 / math.sqrt(fan_in)


def draw(fixture: Fixture) -> dict[str, torch.Tensor]:
    """Every parameter of the model once, under its state-dict name, already rounded to the stored type."""
    rng = np.random.Generator(np.random.Philox(fixture.seed))
    bos, spec = fixture.config.bos_token_id, spec_of(fixture.config)
    tensors = {}
    # named_parameters gives a tied head once, under the embedding's name.
    for name, parameter in fixture.model(fixture.config).named_parameters():
        mean, deviation = scale_of(name, tuple(parameter.shape), fixture.config)
        values = mean + deviation * rng.standard_normal(tuple(parameter.shape))
        if re.search(EMBEDDING, name):
            values[bos, MASSIVE_FEATURE] += MASSIVE_VALUE / spec.embed_scale
        if re.search(r"(ln_f|model\.norm|final_layer_?norm)\.weight$", name):
            # As trained models do: the head hardly reads the massive feature, or a tied head would only ever say BOS.
            values[MASSIVE_FEATURE] = 0.03125 - spec.gain
        tensors[name] = torch.from_numpy(values).to(fixture.stored)
    return tensors


def buffers(fixture: Fixture) -> dict[str, torch.Tensor]:
    """What old files hold beside the parameters, in the types they hold it in. Nothing of it is learned, or read."""
    config, family = fixture.config, family_of(fixture.config)
    context, kind = config.max_position_embeddings, config.model_type
    mask = torch.tril(torch.ones(context, context)).reshape(1, 1, context, context)
    values = {
        "attn.bias": mask.to(fixture.stored),
        "attn.attention.bias": mask.bool(),
        "attn.attention.masked_bias": torch.tensor(-1e9),
        "attention.bias": mask.to(torch.uint8),
        "attention.masked_bias": torch.tensor(-1e9),
        "attention.rotary_emb.inv_freq": None if kind != "gpt_neox" else spec_of(config).ropes[0].frequencies.float(),
    }
    layers = range(config.num_hidden_layers)
    return {f"{family.blocks}.{layer}.{name}": values[name].clone() for layer in layers for name in family.ignored}


def name_in_file(fixture: Fixture, name: str) -> str:
    """A parameter's name in the files: families.py says where it differs, and the fixture what comes before it."""
    name = family_of(fixture.config).renamed.get(name, name)
    native = family_of(fixture.config).blocks.split(".")[0] + "."
    return fixture.prefix + name.removeprefix(native) if name.startswith(native) else name


def write_weights(fixture: Fixture, folder: Path) -> None:
    tensors = draw(fixture)
    if fixture.masks:
        tensors |= buffers(fixture)
    named = {name_in_file(fixture, name): tensor for name, tensor in tensors.items()}
    if fixture.multimodal:
        # The rest of a multimodal file, which a reader of its language model passes over.
        named["multi_modal_projector.mm_soft_emb_norm.weight"] = torch.zeros(6, dtype=fixture.stored)
    meta = {"format": "pt"}
    if fixture.shards == 1:
        save_file(named, folder / "model.safetensors", metadata=meta)
        return
    total = sum(tensor.nbytes for tensor in named.values())
    shards: list[dict[str, torch.Tensor]] = [{} for _ in range(fixture.shards)]
    seen = 0
    for name, tensor in named.items():
        shards[min(fixture.shards - 1, seen * fixture.shards // total)][name] = tensor
        seen += tensor.nbytes
    weight_map = {}
    for index, shard in enumerate(shards, start=1):
        file = f"model-{index:05d}-of-{fixture.shards:05d}.safetensors"
        save_file(shard, folder / file, metadata=meta)
        weight_map.update(dict.fromkeys(shard, file))
    index_json = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index_json, indent=1) + "\n")


LLAMA_KEYS = (
    "hidden_act hidden_size intermediate_size max_position_embeddings num_attention_heads num_hidden_layers num_key_value_heads "
    "rms_norm_eps rope_parameters"
)
GEMMA_KEYS = LLAMA_KEYS.replace("hidden_act ", "hidden_activation ") + (
    " attention_bias attention_dropout head_dim query_pre_attn_scalar attn_logit_softcapping final_logit_softcapping sliding_window "
    "layer_types pad_token_id"
)
KEYS = {
    "gpt2": "activation_function attn_pdrop embd_pdrop resid_pdrop layer_norm_epsilon n_embd n_head n_inner n_layer n_positions "
    "scale_attn_by_inverse_layer_idx scale_attn_weights",
    "gpt_neo": "activation_function attention_dropout attention_types embed_dropout hidden_size intermediate_size layer_norm_epsilon "
    "max_position_embeddings num_heads num_layers resid_dropout window_size",
    "gpt_neox": "attention_bias hidden_act hidden_size intermediate_size layer_norm_eps max_position_embeddings num_attention_heads "
    "num_hidden_layers rope_parameters use_parallel_residual",
    "llama": "attention_bias attention_dropout head_dim hidden_act hidden_size intermediate_size max_position_embeddings mlp_bias "
    "num_attention_heads num_hidden_layers num_key_value_heads rms_norm_eps rope_parameters",
    "mistral": f"{LLAMA_KEYS} attention_dropout head_dim sliding_window",
    "qwen2": f"{LLAMA_KEYS} attention_dropout use_sliding_window sliding_window max_window_layers layer_types",
    "qwen3": f"{LLAMA_KEYS} attention_bias attention_dropout head_dim use_sliding_window sliding_window max_window_layers layer_types",
    "gemma2": GEMMA_KEYS,
    "gemma3_text": GEMMA_KEYS,
    "phi": "attention_dropout embd_pdrop hidden_act hidden_size intermediate_size layer_norm_eps max_position_embeddings "
    "num_attention_heads num_hidden_layers num_key_value_heads qk_layernorm resid_pdrop rope_parameters",
    "phi3": f"{LLAMA_KEYS} attention_dropout embd_pdrop original_max_position_embeddings pad_token_id resid_pdrop sliding_window",
    "starcoder2": f"{LLAMA_KEYS.replace('rms_norm_eps', 'norm_epsilon')} attention_dropout embedding_dropout residual_dropout "
    "sliding_window use_bias",
}


def old_rope(rope: dict, kind: str) -> dict:
    """rope_parameters as configs had it before transformers 5: keys of their own, and rope_scaling."""
    rope = dict(rope)
    if "full_attention" in rope:
        scaling = old_rope(rope["full_attention"], kind)
        return scaling | {"rope_local_base_freq": rope["sliding_attention"]["rope_theta"]}
    theta, pct = ("rotary_emb_base", "rotary_pct") if kind == "gpt_neox" else ("rope_theta", "partial_rotary_factor")
    out = {theta: rope.pop("rope_theta")}
    if "partial_rotary_factor" in rope:
        out[pct] = rope.pop("partial_rotary_factor")
    if rope["rope_type"] == "default":
        # Some families' files say that there is no scaling, others say nothing.
        return out | ({"rope_scaling": None} if kind in ("qwen3", "gemma3_text", "phi") else {})
    if kind == "phi3":
        # Phi-3's own spelling: "type", and the original context a key of the config.
        rope = {"type": rope.pop("rope_type")} | rope
        rope.pop("original_max_position_embeddings", None)
    return out | {"rope_scaling": rope}


def respelled(kept: dict, config) -> dict:
    """The config as the family's checkpoints had it before transformers 5."""
    kept = dict(kept)
    kept |= old_rope(kept.pop("rope_parameters"), config.model_type)
    if config.model_type == "gemma3_text":
        kept["sliding_window_pattern"] = config._sliding_window_pattern
    kept.pop("layer_types", None)
    return kept


def write_config(fixture: Fixture, folder: Path) -> None:
    kind = fixture.config.model_type
    assert kind in KEYS, f"{kind} has no line in KEYS: what its config.json says"
    config = json.loads(fixture.config.to_json_string(use_diff=False))
    keys = [*KEYS[kind].split(), "model_type", "vocab_size", "tie_word_embeddings", "bos_token_id", "eos_token_id"]
    kept = {"architectures": [fixture.model.__name__]} | {key: config[key] for key in keys}
    if fixture.config.model_type == "qwen2" and fixture.config.sliding_window is None:
        # As Qwen's own files have it: a window that is written down and not in use.
        kept["sliding_window"] = fixture.config.max_position_embeddings
    dtype = str(fixture.stored).removeprefix("torch.")
    if fixture.old_style:
        kept = respelled(kept, fixture.config) | {"torch_dtype": dtype}
    else:
        kept["dtype"] = dtype
    if fixture.multimodal:
        kept.pop("architectures")
        kept = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": kept, "dtype": dtype}
    (folder / "config.json").write_text(json.dumps(kept, indent=1) + "\n")


def write_tokenizer(fixture: Fixture, folder: Path) -> Tokenizer:
    """A byte-level BPE trained on CORPUS. Its alphabet is the corpus's bytes alone: 256 would not fit these vocabularies."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    words = fixture.words
    specials = [AddedToken(text, special=True, normalized=False) for text in words.special]
    trainer = trainers.BpeTrainer(vocab_size=fixture.pieces, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    assert tokenizer.get_vocab_size() == fixture.pieces, tokenizer.get_vocab_size()
    assert all(tokenizer.token_to_id(text) == index for text, index in words.special.items())
    if words.adds_bos:
        # Llama tokenizers add the BOS themselves, through their post-processor; a reader must not add a second.
        pair = (words.bos, words.special[words.bos])
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{words.bos} $A", special_tokens=[pair])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "add_bos_token": words.adds_bos,
        "add_eos_token": False,
        "add_prefix_space": False,
        "bos_token": words.bos,
        "eos_token": words.eos,
        "unk_token": words.unk,
        "clean_up_tokenization_spaces": False,
        "model_max_length": fixture.config.max_position_embeddings,
        "tokenizer_class": words.tokenizer_class,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    return tokenizer


def write_folder(fixture: Fixture, folder: Path) -> Tokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    write_config(fixture, folder)
    write_weights(fixture, folder)
    return write_tokenizer(fixture, folder)
