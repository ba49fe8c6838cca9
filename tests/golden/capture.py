"""Activations of the reference model code itself: transformers' own modules, read by forward hooks.

Two things stand between those modules and float64. Llama's RMSNorm, softmax and rotary tables name torch.float32; here
that module sees a `torch` whose float32 is float64, so the code that runs is transformers' own with one constant
changed. And modules do not expose the rotated q and k (taken where the module makes them), the norms' statistics and the
masked scores: those three are recomputed, and each is asserted to reproduce what the module did next.
"""

import contextlib
from pathlib import Path

import torch
from transformers.models.llama import modeling_llama

EXACT = 1e-11


class _Float64Torch:
    """`torch`, with float32 meaning float64."""

    float32 = torch.float64
    float = torch.float64

    def __getattr__(self, name: str):
        return getattr(torch, name)


@contextlib.contextmanager
def float64_llama():
    modeling_llama.torch = _Float64Torch()
    try:
        yield
    finally:
        modeling_llama.torch = torch


def load(model_class: type, folder: Path) -> torch.nn.Module:
    """The folder as transformers reads it, in float64. Asserts that nothing was missing, and that the shim changes only precision."""
    model, info = model_class.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager", output_loading_info=True, local_files_only=True
    )
    assert not info["missing_keys"] and not info["mismatched_keys"], info
    assert all(name.endswith(".attn.bias") for name in info["unexpected_keys"]), info
    model.eval()
    if model.config.model_type == "llama":
        ids = torch.arange(model.config.max_position_embeddings)[None] % model.config.vocab_size
        with torch.no_grad():
            plain = model(ids).logits
            rotary = model.model.rotary_emb
            with float64_llama():
                rotary.inv_freq = rotary.compute_default_rope_parameters(model.config)[0]
            assert rotary.inv_freq.dtype == torch.float64
            with float64_llama():
                shimmed = model(ids).logits
        gap = (plain - shimmed).abs().max() / shimmed.abs().max()
        assert 0 < gap < 1e-5, gap
    return model


def logits_of(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.no_grad(), float64_llama():
        return model(torch.tensor([ids])).logits[0]


def close(actual: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    """Equal to EXACT of the largest value; infinities must agree in place."""
    assert actual.shape == expected.shape, (what, actual.shape, expected.shape)
    finite = torch.isfinite(expected)
    assert torch.equal(finite, torch.isfinite(actual)), what
    gap = (actual[finite] - expected[finite]).abs().max()
    assert gap <= EXACT * max(1.0, expected[finite].abs().max().item()), (what, gap.item())


def norm(module: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """hook_scale and hook_normalized of a norm module's input."""
    if isinstance(module, torch.nn.LayerNorm):
        centred = x - x.mean(-1, keepdim=True)
        scale = (centred.pow(2).mean(-1, keepdim=True) + module.eps).sqrt()
        return scale, centred / scale
    scale = (x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon).sqrt()
    return scale, x / scale


def activations(model: torch.nn.Module, ids: list[int]) -> dict[str, torch.Tensor]:
    """Every default hook of TransformerLens for one prompt, and "logits"; float64, no batch axis."""
    gpt2 = model.config.model_type == "gpt2"
    base = model.transformer if gpt2 else model.model
    layers = base.h if gpt2 else base.layers
    heads = model.config.num_attention_heads
    kv_heads = heads if gpt2 else model.config.num_key_value_heads
    length = len(ids)
    taken: dict[str, torch.Tensor] = {}
    handles = []

    def first(value):
        return (value[0] if isinstance(value, tuple) else value).detach()

    def keep(name, module, side):
        if side == "in":
            handles.append(module.register_forward_pre_hook(lambda _m, args: taken.__setitem__(name, first(args)[0])))
        else:
            handles.append(module.register_forward_hook(lambda _m, _args, out: taken.__setitem__(name, first(out)[0])))

    def keep_norm(name, module):
        def read(_module, args, out):
            x = args[0][0].detach()
            scale, normalized = norm(module, x)
            gained = normalized * module.weight
            close(gained + module.bias if gpt2 else gained, out[0], name)
            taken[f"{name}.hook_scale"] = scale
            taken[f"{name}.hook_normalized"] = normalized

        handles.append(module.register_forward_hook(read))

    keep("hook_embed", base.wte if gpt2 else base.embed_tokens, "out")
    if gpt2:
        keep("hook_pos_embed", base.wpe, "out")
    keep_norm("ln_final", base.ln_f if gpt2 else base.norm)
    for index, block in enumerate(layers):
        at = f"blocks.{index}"
        attn = block.attn if gpt2 else block.self_attn
        ln1, ln2 = (block.ln_1, block.ln_2) if gpt2 else (block.input_layernorm, block.post_attention_layernorm)
        keep(f"{at}.hook_resid_pre", block, "in")
        keep_norm(f"{at}.ln1", ln1)
        if gpt2:
            keep(f"{at}.qkv", attn.c_attn, "out")
        else:
            keep(f"{at}.attn.hook_q", attn.q_proj, "out")
            keep(f"{at}.attn.hook_k", attn.k_proj, "out")
            keep(f"{at}.attn.hook_v", attn.v_proj, "out")
        keep(f"{at}.attn.hook_z", attn.c_proj if gpt2 else attn.o_proj, "in")
        keep(f"{at}.hook_attn_out", attn, "out")
        keep(f"{at}.hook_resid_mid", ln2, "in")
        keep_norm(f"{at}.ln2", ln2)
        if gpt2:
            keep(f"{at}.mlp.hook_pre", block.mlp.c_fc, "out")
            keep(f"{at}.mlp.hook_post", block.mlp.c_proj, "in")
        else:
            keep(f"{at}.mlp.hook_pre", block.mlp.gate_proj, "out")
            keep(f"{at}.mlp.hook_pre_linear", block.mlp.up_proj, "out")
            keep(f"{at}.mlp.hook_post", block.mlp.down_proj, "in")
        keep(f"{at}.hook_mlp_out", block.mlp, "out")
        keep(f"{at}.hook_resid_post", block, "out")

    rotated = []
    rotate = modeling_llama.apply_rotary_pos_emb

    def rotate_and_keep(*args, **kwargs):
        out = rotate(*args, **kwargs)
        rotated.append(tuple(each[0].transpose(0, 1).detach() for each in out))
        return out

    modeling_llama.apply_rotary_pos_emb = rotate_and_keep
    try:
        with torch.no_grad(), float64_llama():
            out = model(torch.tensor([ids]), output_attentions=True)
    finally:
        modeling_llama.apply_rotary_pos_emb = rotate
        for handle in handles:
            handle.remove()
    assert len(rotated) == (0 if gpt2 else len(layers))

    hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
    for index, block in enumerate(layers):
        at = f"blocks.{index}.attn"
        attn = block.attn if gpt2 else block.self_attn
        if gpt2:
            for part, value in zip("qkv", taken.pop(f"blocks.{index}.qkv").chunk(3, -1)):
                taken[f"{at}.hook_{part}"] = value
        for part, count in (("q", heads), ("k", kv_heads), ("v", kv_heads), ("z", heads)):
            taken[f"{at}.hook_{part}"] = taken[f"{at}.hook_{part}"].reshape(length, count, -1)
        q, k = taken[f"{at}.hook_q"], taken[f"{at}.hook_k"]
        if not gpt2:
            q, k = taken[f"{at}.hook_rot_q"], taken[f"{at}.hook_rot_k"] = rotated[index]
        each_k = k.repeat_interleave(heads // kv_heads, 1)
        each_v = taken[f"{at}.hook_v"].repeat_interleave(heads // kv_heads, 1)
        scores = torch.einsum("qhd,khd->hqk", q, each_k) * attn.scaling
        scores = scores.masked_fill(hidden, -torch.inf)
        pattern = out.attentions[index][0]
        close(scores.softmax(-1), pattern, f"{at}.hook_pattern")
        close(torch.einsum("hqk,khd->qhd", pattern, each_v), taken[f"{at}.hook_z"], f"{at}.hook_z")
        taken[f"{at}.hook_attn_scores"] = scores
        taken[f"{at}.hook_pattern"] = pattern
        close(
            taken[f"blocks.{index}.hook_resid_pre"] + taken[f"blocks.{index}.hook_attn_out"],
            taken[f"blocks.{index}.hook_resid_mid"],
            at,
        )
        close(
            taken[f"blocks.{index}.hook_resid_mid"] + taken[f"blocks.{index}.hook_mlp_out"],
            taken[f"blocks.{index}.hook_resid_post"],
            at,
        )
    taken["logits"] = out.logits[0]
    return taken
