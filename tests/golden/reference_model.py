"""An explicit float64 forward pass with a hook at every TransformerLens name, driven by a transformers model's weights.

transformers' modules give no place to edit scores, patterns, norm scales or rotated keys; this does. It is short
enough to read against the equations (maths of each step in its comment), and make.py asserts that, unedited, it equals
the transformers model at every hook before anything is taken from it.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

Hook = Callable[[str, torch.Tensor], torch.Tensor]


def layer_norm(x, weight, bias, eps, name: str, hook: Hook):
    """x̂ = (x − mean x)/√(var x + eps); out = x̂·w + b. Biased variance."""
    centred = x - x.mean(-1, keepdim=True)
    scale = hook(f"{name}.hook_scale", (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt())
    return hook(f"{name}.hook_normalized", centred / scale) * weight + bias


def rms_norm(x, weight, eps, name: str, hook: Hook):
    """x̂ = x/√(mean x² + eps); out = x̂·w."""
    scale = hook(f"{name}.hook_scale", (x.pow(2).mean(-1, keepdim=True) + eps).sqrt())
    return hook(f"{name}.hook_normalized", x / scale) * weight


def rotate(x, base: float):
    """Pair (i, i + d/2) turned by position · base^(−2i/d). x: [pos, head, d]."""
    length, _, width = x.shape
    frequency = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    cos, sin = angle.cos()[:, None].to(x.dtype), angle.sin()[:, None].to(x.dtype)
    low, high = x[..., : width // 2], x[..., width // 2 :]
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


def attend(q, k, v, scale: float, name: str, hook: Hook):
    """scores = scale·q·k, −∞ above the diagonal; z = softmax(scores)·v; head h reads kv head ⌊h·n_kv/n_h⌋."""
    length, group = q.shape[0], q.shape[1] // k.shape[1]
    scores = torch.einsum("qhd,khd->hqk", q, k.repeat_interleave(group, 1)) * scale
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = hook(f"{name}.hook_attn_scores", scores.masked_fill(future, -torch.inf))
    pattern = hook(f"{name}.hook_pattern", scores.softmax(-1))
    return hook(f"{name}.hook_z", torch.einsum("hqk,khd->qhd", pattern, v.repeat_interleave(group, 1)))


def gpt2(config, w: dict[str, torch.Tensor], ids: list[int], hook: Hook):
    heads, eps = config.n_head, config.layer_norm_epsilon
    assert config.activation_function == "gelu_new"
    length = len(ids)
    stream = hook("hook_embed", w["transformer.wte.weight"][ids])
    stream = stream + hook("hook_pos_embed", w["transformer.wpe.weight"][:length])
    for layer in range(config.n_layer):
        p, at = f"transformer.h.{layer}", f"blocks.{layer}"
        stream = hook(f"{at}.hook_resid_pre", stream)
        x = layer_norm(stream, w[f"{p}.ln_1.weight"], w[f"{p}.ln_1.bias"], eps, f"{at}.ln1", hook)
        qkv = x @ w[f"{p}.attn.c_attn.weight"] + w[f"{p}.attn.c_attn.bias"]
        q, k, v = (each.reshape(length, heads, -1) for each in qkv.chunk(3, -1))
        q, k, v = hook(f"{at}.attn.hook_q", q), hook(f"{at}.attn.hook_k", k), hook(f"{at}.attn.hook_v", v)
        scale = q.shape[-1] ** -0.5 / (layer + 1 if config.scale_attn_by_inverse_layer_idx else 1)
        z = attend(q, k, v, scale, f"{at}.attn", hook).reshape(length, -1)
        out = z @ w[f"{p}.attn.c_proj.weight"] + w[f"{p}.attn.c_proj.bias"]
        stream = hook(f"{at}.hook_resid_mid", stream + hook(f"{at}.hook_attn_out", out))
        x = layer_norm(stream, w[f"{p}.ln_2.weight"], w[f"{p}.ln_2.bias"], eps, f"{at}.ln2", hook)
        pre = hook(f"{at}.mlp.hook_pre", x @ w[f"{p}.mlp.c_fc.weight"] + w[f"{p}.mlp.c_fc.bias"])
        post = hook(f"{at}.mlp.hook_post", functional.gelu(pre, approximate="tanh"))
        out = post @ w[f"{p}.mlp.c_proj.weight"] + w[f"{p}.mlp.c_proj.bias"]
        stream = hook(f"{at}.hook_resid_post", stream + hook(f"{at}.hook_mlp_out", out))
    x = layer_norm(stream, w["transformer.ln_f.weight"], w["transformer.ln_f.bias"], eps, "ln_final", hook)
    return x @ w["lm_head.weight"].T


def llama(config, w: dict[str, torch.Tensor], ids: list[int], hook: Hook):
    width, eps = config.head_dim, config.rms_norm_eps
    base = config.rope_parameters["rope_theta"]
    assert config.hidden_act == "silu"
    length = len(ids)

    def linear(x, name):
        out = x @ w[f"{name}.weight"].T
        return out + w[f"{name}.bias"] if f"{name}.bias" in w else out

    stream = hook("hook_embed", w["model.embed_tokens.weight"][ids])
    for layer in range(config.num_hidden_layers):
        p, at = f"model.layers.{layer}", f"blocks.{layer}"
        stream = hook(f"{at}.hook_resid_pre", stream)
        x = rms_norm(stream, w[f"{p}.input_layernorm.weight"], eps, f"{at}.ln1", hook)
        q, k, v = (
            hook(f"{at}.attn.hook_{part}", linear(x, f"{p}.self_attn.{part}_proj").reshape(length, -1, width)) for part in "qkv"
        )
        q, k = hook(f"{at}.attn.hook_rot_q", rotate(q, base)), hook(f"{at}.attn.hook_rot_k", rotate(k, base))
        z = attend(q, k, v, width**-0.5, f"{at}.attn", hook).reshape(length, -1)
        out = linear(z, f"{p}.self_attn.o_proj")
        stream = hook(f"{at}.hook_resid_mid", stream + hook(f"{at}.hook_attn_out", out))
        x = rms_norm(stream, w[f"{p}.post_attention_layernorm.weight"], eps, f"{at}.ln2", hook)
        pre = hook(f"{at}.mlp.hook_pre", linear(x, f"{p}.mlp.gate_proj"))
        up = hook(f"{at}.mlp.hook_pre_linear", linear(x, f"{p}.mlp.up_proj"))
        post = hook(f"{at}.mlp.hook_post", functional.silu(pre) * up)
        stream = hook(f"{at}.hook_resid_post", stream + hook(f"{at}.hook_mlp_out", linear(post, f"{p}.mlp.down_proj")))
    return rms_norm(stream, w["model.norm.weight"], eps, "ln_final", hook) @ w["lm_head.weight"].T


def forward(model: torch.nn.Module, ids: list[int], hook: Hook = lambda _name, x: x) -> torch.Tensor:
    """Logits [pos, vocab] of a transformers model's weights, with `hook` applied to every activation."""
    run = {"gpt2": gpt2, "llama": llama}[model.config.model_type]
    with torch.no_grad():
        return run(model.config, model.state_dict(), ids, hook)


def record(model: torch.nn.Module, ids: list[int]) -> dict[str, torch.Tensor]:
    """Every activation of an unedited run, and "logits"."""
    seen: dict[str, torch.Tensor] = {}
    logits = forward(model, ids, lambda name, x: seen.setdefault(name, x))
    return seen | {"logits": logits}
