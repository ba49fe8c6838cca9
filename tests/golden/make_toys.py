"""Makes the toy fixtures, in TransformerLens's own format: python make_toys.py [name …], with requirements-toys.txt.

The oracle is TransformerLens's HookedTransformer in float64 (3.x; 4.0 removed the class), which has a hook at every
name, so every edited run is made by it as well. config.json is its configuration, the tensors are its state dict's.
"""

import json
import math
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

# TransformerLens asks the Hub about models that it is not asked for here.
os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True
warnings.simplefilter("ignore", DeprecationWarning)

import numpy as np
import torch
from safetensors.torch import save_file
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformers import PreTrainedTokenizerFast

import golden
from catalogue import GPT2_WORDS, Words
from folder import MASSIVE_FEATURE, MASSIVE_VALUE, write_tokenizer
from make import ROOT, choose_prompts
from reference_model import Reference, Spec
from rope import Rope, plain

# What a configuration had when these models were first shared; toy-ln's is today's, whole.
FEW_KEYS = (
    "n_layers d_model n_ctx d_head model_name n_heads d_mlp d_vocab act_fn eps use_attn_scale attn_scale use_local_attn "
    "scale_attn_by_inverse_layer_idx original_architecture tokenizer_name attention_dir attn_only seed init_mode "
    "normalization_type positional_embedding_type final_rms d_vocab_out parallel_attn_mlp rotary_dim rotary_base "
    "n_key_value_heads gated_mlp default_prepend_bos dtype"
).split()


@dataclass(frozen=True)
class Toy:
    name: str
    config: dict
    stored: torch.dtype
    seed: int
    lengths: tuple[int, int, int, int]
    # None: a model of something else than text, with no tokenizer.
    words: Words | None
    pieces: int
    bites: tuple[str, ...]
    # Biases, as most toys have none of them, are in the file.
    biases: bool = False
    # The buffers of the state dict are in the file too, as they are when a state dict is saved whole.
    buffers: bool = False
    all_keys: bool = False


TOYS = (
    Toy(
        name="toy-attn",
        config={
            "n_layers": 2,
            "d_model": 26,
            "n_heads": 4,
            "d_head": 6,
            "n_ctx": 19,
            "d_vocab": 91,
            "attn_only": True,
            "normalization_type": None,
        },
        stored=torch.float32,
        seed=116,
        lengths=(1, 7, 19, 7),
        words=GPT2_WORDS,
        pieces=91,
        bites=("a norm",),
    ),
    Toy(
        name="toy-grok",
        config={
            "n_layers": 1,
            "d_model": 30,
            "n_heads": 3,
            "d_head": 10,
            "d_mlp": 38,
            "n_ctx": 19,
            "d_vocab": 90,
            "d_vocab_out": 89,
            "act_fn": "relu",
            "normalization_type": None,
        },
        stored=torch.float32,
        seed=101,
        lengths=(1, 7, 13, 7),
        words=None,
        pieces=89,
        bites=("a norm",),
    ),
    Toy(
        name="toy-ln",
        config={
            "n_layers": 2,
            "d_model": 28,
            "n_heads": 3,
            "d_head": 10,
            "d_mlp": 34,
            "n_ctx": 40,
            "d_vocab": 94,
            "act_fn": "gelu_new",
            "normalization_type": "LN",
            "positional_embedding_type": "rotary",
            "rotary_dim": 4,
            "rotary_base": 300,
        },
        stored=torch.float16,
        seed=104,
        lengths=(1, 7, 13, 7),
        words=GPT2_WORDS,
        pieces=94,
        bites=("partial rotation", "q, k and v bias", "head bias", "gelu"),
        biases=True,
        buffers=True,
        all_keys=True,
    ),
)


def scale_of(name: str, cfg: HookedTransformerConfig) -> tuple[float, float]:
    """(mean, standard deviation) of a parameter's entries."""
    part = name.split(".")[-1]
    if part == "w":
        return 1.0, 0.3
    if part.startswith("b"):
        return 0.0, 0.25
    if part == "W_E":
        # Where nothing normalises the stream, it starts at about one.
        return 0.0, 0.35 if cfg.normalization_type else 0.9
    if part == "W_pos":
        return 0.0, 0.5
    if part in ("W_Q", "W_K"):
        return 0.0, 1.3 / math.sqrt(cfg.d_model)
    fan_in = {"W_O": cfg.n_heads * cfg.d_head, "W_out": cfg.d_mlp}.get(part, cfg.d_model)
    return 0.0, 1.5 / math.sqrt(fan_in)


def is_bias(name: str) -> bool:
    return name.split(".")[-1].startswith("b")


def draw(toy: Toy, model: HookedTransformer, bos: int) -> dict[str, torch.Tensor]:
    """Every parameter that the file holds, in TransformerLens's layout, rounded to the stored type."""
    rng = np.random.Generator(np.random.Philox(toy.seed))
    tensors = {}
    for name, parameter in model.named_parameters():
        if is_bias(name) and not toy.biases:
            continue
        mean, deviation = scale_of(name, model.cfg)
        values = mean + deviation * rng.standard_normal(tuple(parameter.shape))
        if name == "embed.W_E" and model.cfg.normalization_type:
            values[bos, MASSIVE_FEATURE] += MASSIVE_VALUE
        if name == "ln_final.w":
            values[MASSIVE_FEATURE] = 0.03125
        tensors[name] = torch.from_numpy(values).to(toy.stored)
    return tensors


def reference_of(cfg: HookedTransformerConfig, tensors: dict[str, torch.Tensor]) -> Reference:
    """The file's tensors under the reference's names, as [out, in]."""
    w: dict[str, torch.Tensor] = {}

    def take(name: str, to: str, lay=lambda x: x) -> None:
        if name in tensors:
            w[to] = lay(tensors[name].double())

    def transposed(x):
        return x.T

    for name, to in (("embed.W_E", "embed"), ("pos_embed.W_pos", "pos"), ("ln_final.w", "final")):
        take(name, f"{to}.weight")
    take("ln_final.b", "final.bias")
    take("unembed.W_U", "head.weight", transposed)
    take("unembed.b_U", "head.bias")
    for layer in range(cfg.n_layers):
        at = f"blocks.{layer}"
        for part in "QKV":
            take(f"{at}.attn.W_{part}", f"{layer}.{part.lower()}.weight", lambda x: x.transpose(1, 2).flatten(0, 1))
            take(f"{at}.attn.b_{part}", f"{layer}.{part.lower()}.bias", lambda x: x.flatten())
        take(f"{at}.attn.W_O", f"{layer}.o.weight", lambda x: x.flatten(0, 1).T)
        take(f"{at}.attn.b_O", f"{layer}.o.bias")
        for part, to in (("in", "up"), ("out", "down")):
            take(f"{at}.mlp.W_{part}", f"{layer}.{to}.weight", transposed)
            take(f"{at}.mlp.b_{part}", f"{layer}.{to}.bias")
        for part in ("ln1", "ln2"):
            take(f"{at}.{part}.w", f"{layer}.{part}.weight")
            take(f"{at}.{part}.b", f"{layer}.{part}.bias")
    rope = None
    if cfg.positional_embedding_type == "rotary":
        frequencies = plain(cfg.rotary_base, cfg.rotary_dim)
        rope = Rope(frequencies, plain=frequencies)
    every = range(cfg.n_layers)
    spec = Spec(
        heads=cfg.n_heads,
        kv_heads=cfg.n_heads,
        norm=cfg.normalization_type,
        eps=cfg.eps,
        activation=cfg.act_fn or "",
        scales=tuple(1 / cfg.attn_scale for _ in every),
        windows=tuple(None for _ in every),
        ropes=tuple(rope for _ in every),
    )
    return Reference(spec, w)


def activations(model: HookedTransformer, ids: list[int]) -> dict[str, torch.Tensor]:
    """TransformerLens's own cache, without the batch axis. From 3.x it has hooks around the unembedding, which are not among ours."""
    with torch.no_grad():
        logits, cache = model.run_with_cache(torch.tensor([ids]))
    return {name: value[0] for name, value in cache.items() if not name.startswith("unembed.")} | {"logits": logits[0]}


def edited(model: HookedTransformer, ids: list[int], hook, names: list[str]) -> torch.Tensor:
    edit = hook
    # TransformerLens passes the hook point as `hook`.
    hooks = [(name, lambda value, hook: edit(hook.name, value[0])[None]) for name in names]
    with torch.no_grad():
        return model.run_with_hooks(torch.tensor([ids]), fwd_hooks=hooks)[0]


def write_folder(toy: Toy, folder: Path, model: HookedTransformer, tensors: dict[str, torch.Tensor]):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    config = model.cfg.to_dict() | {"dtype": toy.stored, "seed": toy.seed, "tokenizer_name": "tiny" if toy.words else None}
    kept = config if toy.all_keys else {key: config[key] for key in FEW_KEYS}
    (folder / "config.json").write_text(json.dumps(kept, indent=1, default=str) + "\n")
    parameters = dict(model.named_parameters())
    saved = dict(tensors)
    if toy.buffers:
        state = {name: value for name, value in model.state_dict().items() if name not in parameters}
        saved |= {name: (value.to(toy.stored) if value.is_floating_point() else value).clone() for name, value in state.items()}
    save_file(saved, folder / "model.safetensors", metadata={"format": "pt"})
    if toy.words is None:
        return None
    shaped = SimpleNamespace(words=toy.words, pieces=toy.pieces, config=SimpleNamespace(max_position_embeddings=model.cfg.n_ctx))
    return write_tokenizer(shaped, folder)


def prompts_of_ids(toy: Toy, bos: int) -> list[dict]:
    rng = np.random.Generator(np.random.Philox(toy.seed + 2000))
    return [{"text": "", "ids": [bos, *rng.integers(0, toy.pieces, length - 1).tolist()]} for length in toy.lengths]


def make(toy: Toy) -> None:
    folder = ROOT / toy.name
    model = HookedTransformer(HookedTransformerConfig(**toy.config, dtype=torch.float64, device="cpu"))
    # A toy of no language begins with the one token that it never predicts.
    bos = 0 if toy.words else model.cfg.d_vocab - 1
    tensors = draw(toy, model, bos)
    tokenizer = write_folder(toy, folder, model, tensors)
    state = {name: torch.zeros_like(value) if is_bias(name) else value for name, value in model.state_dict().items()}
    model.load_state_dict(state | {name: value.double() for name, value in tensors.items()})
    if tokenizer:
        own = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        prompts = choose_prompts(toy.lengths, bos, toy.words.adds_bos, tokenizer, own)
    else:
        prompts = prompts_of_ids(toy, bos)
    subject = golden.Subject(
        name=toy.name,
        family="toy",
        stored=toy.stored,
        seed=toy.seed,
        bos=bos,
        eos=[bos] if toy.words else [],
        special=sorted(toy.words.special.values()) if toy.words else [],
        pieces=toy.pieces,
        bites=toy.bites,
        reference=reference_of(model.cfg, tensors),
        activations=lambda ids: activations(model, ids),
        logits=lambda ids: activations(model, ids)["logits"],
        edited=lambda ids, hook, names: edited(model, ids, hook, names),
        decode=tokenizer.decode if tokenizer else lambda _ids: "",
    )
    golden.write(subject, prompts, folder)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for each in TOYS:
        if not wanted or each.name in wanted:
            make(each)
