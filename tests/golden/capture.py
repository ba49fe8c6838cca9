"""Activations of the reference model code itself: transformers' own modules, read by forward hooks.

Two things stand between those modules and float64. Norms, softmax and rotary tables name torch.float32 or call .float();
here those modules see a `torch` whose float32 is float64, so the code that runs is transformers' own with one constant
changed. And modules do not expose the rotated q and k (taken where the module makes them), the norms' statistics and the
masked scores: those three are recomputed, and each is asserted to reproduce what the module did next.
"""

import contextlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import modeling_rope_utils

from families import family_of, head_dim_of, place, spec_of, split
from measure import close
from reference_model import soft_cap, unseen


class _Float64Torch:
    """`torch`, with float32 meaning float64."""

    float32 = torch.float64
    float = torch.float64

    def __getattr__(self, name: str):
        return getattr(torch, name)


def code_of(model: torch.nn.Module):
    """The file of transformers that the model's class is in."""
    return sys.modules[type(model).__module__]


@contextlib.contextmanager
def float64(model: torch.nn.Module):
    code, to_float = code_of(model), torch.Tensor.float
    code.torch = modeling_rope_utils.torch = _Float64Torch()
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        code.torch = modeling_rope_utils.torch = torch
        torch.Tensor.float = to_float


def read(model_class: type, folder: Path) -> torch.nn.Module:
    """The folder as transformers reads it, weights in float64. Asserts that nothing was missing."""
    model, info = model_class.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager", output_loading_info=True, local_files_only=True
    )
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    ignored = tuple(family_of(model.config).ignored)
    assert all(name.endswith(ignored) for name in info["unexpected_keys"]), info
    return model


def read_language_model(model_class: type, folder: Path) -> torch.nn.Module:
    """The language model of a multimodal folder, by its names and config alone: nothing else of the folder is a model."""
    config = model_class.config_class(**json.loads((folder / "config.json").read_text())["text_config"])
    config._attn_implementation = "eager"
    start = "language_model."
    stored = load_file(folder / "model.safetensors")
    state = {name.removeprefix(start): value.double() for name, value in stored.items() if name.startswith(start)}
    model = model_class(config).double()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and missing in ([], ["lm_head.weight"]), (missing, unexpected)
    model.tie_weights()
    model.get_submodule(family_of(config).embed).embed_scale = torch.tensor(config.hidden_size**0.5, dtype=torch.float64)
    return model


def exact(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its constants, too, in float64. Asserts that the shim changes only precision."""
    model.eval()
    rotary = next((module for name, module in model.named_modules() if name.endswith("rotary_emb")), None)
    if rotary is None:
        return model
    ids = torch.arange(min(model.config.max_position_embeddings, 64))[None] % model.config.vocab_size
    with torch.no_grad():
        plain = model(ids).logits
        with float64(model):
            rotary.__init__(rotary.config)
            shimmed = model(ids).logits
    assert all(buffer.dtype == torch.float64 for name, buffer in rotary.named_buffers() if "inv_freq" in name)
    embed = model.get_submodule(family_of(model.config).embed)
    if hasattr(embed, "embed_scale"):
        assert embed.embed_scale.item() == model.config.hidden_size**0.5
    gap = (plain - shimmed).abs().max() / shimmed.abs().max()
    assert 0 < gap < 1e-5, gap
    return model


def logits_of(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.no_grad(), float64(model):
        return model(torch.tensor([ids])).logits[0]


def norm(module: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """hook_scale and hook_normalized of a norm module's input."""
    if isinstance(module, torch.nn.LayerNorm):
        centred = x - x.mean(-1, keepdim=True)
        scale = (centred.pow(2).mean(-1, keepdim=True) + module.eps).sqrt()
        return scale, centred / scale
    eps = module.variance_epsilon if hasattr(module, "variance_epsilon") else module.eps
    scale = (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return scale, x / scale


@contextlib.contextmanager
def rotations(model: torch.nn.Module):
    """What the model's own rotation makes of q and k, a layer an entry, [pos, head, d]."""
    code, made = code_of(model), []
    rotate_both = getattr(code, "apply_rotary_pos_emb", None)

    def keep(*args, **kwargs):
        out = rotate_both(*args, **kwargs)
        made.append(tuple(each[0].transpose(0, 1).detach() for each in out))
        return out

    if rotate_both:
        code.apply_rotary_pos_emb = keep
    try:
        yield made
    finally:
        if rotate_both:
            code.apply_rotary_pos_emb = rotate_both


def first(value):
    return (value[0] if isinstance(value, tuple) else value).detach()


def activations(model: torch.nn.Module, ids: list[int]) -> dict[str, torch.Tensor]:
    """Every default hook of TransformerLens for one prompt, and "logits"; float64, no batch axis."""
    config, family, spec = model.config, family_of(model.config), spec_of(model.config)
    length, layers, width = len(ids), config.num_hidden_layers, head_dim_of(config)
    taken: dict[str, torch.Tensor] = {}
    handles = []

    def keep(name, module, side):
        if side == "in":
            handles.append(module.register_forward_pre_hook(lambda _m, args: taken.__setitem__(name, first(args)[0])))
        else:
            handles.append(module.register_forward_hook(lambda _m, _args, out: taken.__setitem__(name, first(out)[0])))

    def keep_norm(name, path):
        module = model.get_submodule(path)

        def read_norm(_module, args, out):
            x = args[0][0].detach()
            scale, normalized = norm(module, x)
            gained = normalized * (spec.gain + module.weight)
            close(gained + module.bias if getattr(module, "bias", None) is not None else gained, out[0], name)
            taken[f"{name}.hook_scale"] = scale
            taken[f"{name}.hook_normalized"] = normalized

        handles.append(module.register_forward_hook(read_norm))

    names = ["hook_embed", "hook_pos_embed"]
    inside = "hook_resid_pre hook_attn_out hook_mlp_out hook_resid_post attn.hook_q attn.hook_k attn.hook_v attn.hook_z "
    inside += "mlp.hook_pre mlp.hook_pre_linear mlp.hook_post"
    names += [f"blocks.{layer}.{name}" for layer in range(layers) for name in inside.split()]
    for name in names:
        found = place(model, name)
        if found:
            keep(name, found[0], found[1])
    keep_norm("ln_final", family.final)
    for layer in range(layers):
        at, block = f"blocks.{layer}", f"{family.blocks}.{layer}"
        for part, name in (("ln1", "ln1"), ("ln2", "ln2"), ("post1", "ln1_post"), ("post2", "ln2_post")):
            if part in family.parts:
                keep_norm(f"{at}.{name}", f"{block}.{family.parts[part]}")
        if not spec.parallel:
            keep(f"{at}.hook_resid_mid", model.get_submodule(f"{block}.{family.parts['ln2']}"), "in")
        for part in ("qkv", "gate_up"):
            if part in family.parts:
                keep(f"{at}.{part}", model.get_submodule(f"{block}.{family.parts[part]}"), "out")

    try:
        with torch.no_grad(), float64(model), rotations(model) as rotated:
            out = model(torch.tensor([ids]), output_attentions=True)
    finally:
        for handle in handles:
            handle.remove()
    assert len(rotated) == sum(rope is not None for rope in spec.ropes)

    for layer in range(layers):
        at = f"blocks.{layer}"
        if f"{at}.qkv" in taken:
            for part, value in split(taken.pop(f"{at}.qkv").T, config).items():
                taken[f"{at}.attn.hook_{part}"] = value.T
        if f"{at}.gate_up" in taken:
            taken[f"{at}.mlp.hook_pre"], taken[f"{at}.mlp.hook_pre_linear"] = taken.pop(f"{at}.gate_up").chunk(2, -1)
        for part in "qkvz":
            taken[f"{at}.attn.hook_{part}"] = taken[f"{at}.attn.hook_{part}"].reshape(length, -1, width)
        keep_attention(taken, spec, layer, rotated, out.attentions[layer][0])
        stream = taken[f"{at}.hook_resid_pre"] + taken[f"{at}.hook_attn_out"]
        if not spec.parallel:
            close(stream, taken[f"{at}.hook_resid_mid"], at)
        close(stream + taken[f"{at}.hook_mlp_out"], taken[f"{at}.hook_resid_post"], at)
    taken["logits"] = out.logits[0]
    return taken


def keep_attention(taken: dict[str, torch.Tensor], spec, layer: int, rotated: list, pattern: torch.Tensor) -> None:
    """Adds the rotated q and k, scores and pattern of a layer, whose scores must give the module's pattern, and that its z."""
    at = f"blocks.{layer}.attn"
    q, k = taken[f"{at}.hook_q"], taken[f"{at}.hook_k"]
    if rotated:
        # Phi rotates a slice and puts the rest back after it.
        q, k = (torch.cat((turned, whole[..., turned.shape[-1] :]), -1) for turned, whole in zip(rotated[layer], (q, k)))
        taken[f"{at}.hook_rot_q"], taken[f"{at}.hook_rot_k"] = q, k
    group = q.shape[1] // k.shape[1]
    scores = torch.einsum("qhd,khd->hqk", q, k.repeat_interleave(group, 1)) * spec.scales[layer]
    scores = soft_cap(scores, spec.score_cap).masked_fill(unseen(len(q), spec.windows[layer]), -torch.inf)
    close(scores.softmax(-1), pattern, f"{at}.hook_pattern")
    each_v = taken[f"{at}.hook_v"].repeat_interleave(group, 1)
    close(torch.einsum("hqk,khd->qhd", pattern, each_v), taken[f"{at}.hook_z"], f"{at}.hook_z")
    taken[f"{at}.hook_attn_scores"] = scores
    taken[f"{at}.hook_pattern"] = pattern
