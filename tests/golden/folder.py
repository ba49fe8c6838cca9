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


def scale_of(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """(mean, standard deviation) of a parameter's entries."""
    conv = re.search(r"c_(attn|proj|fc)\.weight$", name)
    fan_in = shape[0] if conv else shape[-1]
    if re.search(r"(ln_\d|ln_f|layernorm|norm)\.weight$", name):
        return 1.0, 0.3
    if name.endswith("bias"):
        return 0.0, 0.25
    if re.search(r"(wte|embed_tokens)\.weight$", name):
        return 0.0, 0.35
    if name.endswith("wpe.weight"):
        return 0.0, 0.5
    if re.search(r"(c_attn|q_proj|k_proj)\.weight$", name):
        return 0.0, 1.3 / math.sqrt(fan_in)
    return 0.0, 1.5 / math.sqrt(fan_in)


def draw(fixture: Fixture) -> dict[str, torch.Tensor]:
    """Every parameter of the model once, under its state-dict name, already rounded to the stored type."""
    rng = np.random.Generator(np.random.Philox(fixture.seed))
    bos = fixture.config.bos_token_id
    tensors = {}
    # named_parameters gives a tied head once, under the embedding's name.
    for name, parameter in fixture.model(fixture.config).named_parameters():
        mean, deviation = scale_of(name, tuple(parameter.shape))
        values = mean + deviation * rng.standard_normal(tuple(parameter.shape))
        if re.search(r"(wte|embed_tokens)\.weight$", name):
            values[bos, MASSIVE_FEATURE] += MASSIVE_VALUE
        if re.search(r"(ln_f|model\.norm)\.weight$", name):
            # As trained models do: the head hardly reads the massive feature, or a tied head would only ever say BOS.
            values[MASSIVE_FEATURE] = 0.03125
        tensors[name] = torch.from_numpy(values).to(fixture.stored)
    return tensors


def write_weights(fixture: Fixture, folder: Path) -> None:
    tensors = draw(fixture)
    if fixture.masks:
        context = fixture.config.n_positions
        for layer in range(fixture.config.n_layer):
            mask = torch.tril(torch.ones(context, context, dtype=fixture.stored))
            tensors[f"transformer.h.{layer}.attn.bias"] = mask.reshape(1, 1, context, context)
    native = "transformer." if fixture.config.model_type == "gpt2" else "model."
    named = {(fixture.prefix + name.removeprefix(native) if name.startswith(native) else name): tensor for name, tensor in tensors.items()}
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


def write_config(fixture: Fixture, folder: Path) -> None:
    config = json.loads(fixture.config.to_json_string(use_diff=False))
    keep = {
        "gpt2": "activation_function attn_pdrop embd_pdrop resid_pdrop layer_norm_epsilon n_embd n_head n_inner n_layer n_positions "
        "scale_attn_by_inverse_layer_idx scale_attn_weights",
        "llama": "attention_bias attention_dropout head_dim hidden_act hidden_size intermediate_size max_position_embeddings mlp_bias "
        "num_attention_heads num_hidden_layers num_key_value_heads rms_norm_eps rope_parameters",
    }[fixture.config.model_type].split()
    kept = {"architectures": [fixture.model.__name__]}
    kept |= {key: config[key] for key in [*keep, "model_type", "vocab_size", "tie_word_embeddings", "bos_token_id", "eos_token_id"]}
    dtype = str(fixture.stored).removeprefix("torch.")
    if fixture.legacy_rope:
        kept["rope_theta"] = kept.pop("rope_parameters")["rope_theta"]
        kept["torch_dtype"] = dtype
    else:
        kept["dtype"] = dtype
    (folder / "config.json").write_text(json.dumps(kept, indent=1) + "\n")


def write_tokenizer(fixture: Fixture, folder: Path) -> Tokenizer:
    """A byte-level BPE trained on CORPUS. Its alphabet is the corpus's bytes alone: 256 would not fit these vocabularies."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = [AddedToken(text, special=True, normalized=False) for text in fixture.special]
    trainer = trainers.BpeTrainer(vocab_size=fixture.pieces, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    assert tokenizer.get_vocab_size() == fixture.pieces, tokenizer.get_vocab_size()
    assert all(tokenizer.token_to_id(text) == index for text, index in fixture.special.items())
    llama = fixture.config.model_type == "llama"
    if llama:
        # Llama tokenizers add the BOS themselves, through their post-processor; a reader must not add a second.
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "add_bos_token": llama,
        "add_eos_token": False,
        "add_prefix_space": False,
        "bos_token": "<s>" if llama else "<|endoftext|>",
        "eos_token": "</s>" if llama else "<|endoftext|>",
        "unk_token": "<unk>" if llama else "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": fixture.config.max_position_embeddings,
        "tokenizer_class": "PreTrainedTokenizerFast" if llama else "GPT2Tokenizer",
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
