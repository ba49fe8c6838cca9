"""An explicit float64 forward pass with a hook at every TransformerLens name, for every family.

transformers' modules give no place to edit scores, patterns, norm scales or rotated keys; this does. It is short
enough to read against the equations (maths of each step in its comment), and make.py asserts that, unedited, it equals
the transformers model at every hook before anything is taken from it. What a family is, is a Spec; its weights go by one set
of names ("embed", "pos", "final", "head"; in block l "l.ln1", "l.q", "l.up" …), matrices as [out, in].
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from rope import Rope

Hook = Callable[[str, torch.Tensor], torch.Tensor]

ACTIVATIONS = {
    "relu": functional.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
}


@dataclass(frozen=True)
class Spec:
    """What the weights alone do not say. Q/k norms, post-norms, biases and MLPs are there when their weights are."""

    heads: int
    kv_heads: int
    # "LN", "RMS", or None for a model that normalises nothing.
    norm: str | None
    eps: float
    activation: str
    # One entry a layer: what multiplies q·k; how many keys a query sees, itself included (None: all); the rotation.
    scales: tuple[float, ...]
    windows: tuple[int | None, ...]
    ropes: tuple[Rope | None, ...]
    # Added to every norm's weight: Gemma stores its gains less one.
    gain: float = 0
    embed_scale: float = 1
    # The MLP reads the block's input, and both branches are added at once.
    parallel: bool = False
    score_cap: float | None = None
    logit_cap: float | None = None


@dataclass(frozen=True)
class Reference:
    spec: Spec
    weights: dict[str, torch.Tensor]

    def float(self) -> "Reference":
        return dataclasses.replace(self, weights={name: value.float() for name, value in self.weights.items()})


def layer_norm(x, eps, at: str, hook: Hook):
    """x̂ = (x − mean x)/√(var x + eps). Biased variance."""
    centred = x - x.mean(-1, keepdim=True)
    scale = hook(f"{at}.hook_scale", (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt())
    return hook(f"{at}.hook_normalized", centred / scale)


def rms_norm(x, eps, at: str, hook: Hook):
    """x̂ = x/√(mean x² + eps)."""
    scale = hook(f"{at}.hook_scale", (x.pow(2).mean(-1, keepdim=True) + eps).sqrt())
    return hook(f"{at}.hook_normalized", x / scale)


def rotate(x, rope: Rope):
    """Pair (i, i + n) of the first 2n dims turned by position · frequency i, and scaled; the rest pass. x: [pos, head, d]."""
    count = len(rope.frequencies)
    angle = torch.arange(len(x), dtype=torch.float64)[:, None] * rope.frequencies
    cos, sin = ((part * rope.factor)[:, None].to(x.dtype) for part in (angle.cos(), angle.sin()))
    low, high, rest = x[..., :count], x[..., count : 2 * count], x[..., 2 * count :]
    return torch.cat((low * cos - high * sin, high * cos + low * sin, rest), -1)


def soft_cap(x, cap: float | None):
    """cap · tanh(x/cap)."""
    return x if cap is None else cap * (x / cap).tanh()


def unseen(length: int, window: int | None) -> torch.Tensor:
    """[query, key], true where the key is later than the query, or `window` or more before it."""
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
    return hidden if window is None else hidden | torch.ones(length, length, dtype=torch.bool).tril(-window)


def attend(q, k, v, spec: Spec, layer: int, at: str, hook: Hook):
    """scores = cap(scale·q·k), −∞ where unseen; z = softmax(scores)·v; head h reads kv head ⌊h·n_kv/n_h⌋."""
    group = q.shape[1] // k.shape[1]
    scores = torch.einsum("qhd,khd->hqk", q, k.repeat_interleave(group, 1)) * spec.scales[layer]
    scores = soft_cap(scores, spec.score_cap).masked_fill(unseen(len(q), spec.windows[layer]), -torch.inf)
    scores = hook(f"{at}.hook_attn_scores", scores)
    pattern = hook(f"{at}.hook_pattern", scores.softmax(-1))
    return hook(f"{at}.hook_z", torch.einsum("hqk,khd->qhd", pattern, v.repeat_interleave(group, 1)))


def forward(reference: Reference, ids: list[int], hook: Hook = lambda _name, x: x) -> torch.Tensor:
    """Logits [pos, vocab], with `hook` applied to every activation."""
    with torch.no_grad():
        return run(reference.spec, reference.weights, ids, hook)


def run(spec: Spec, w: dict[str, torch.Tensor], ids: list[int], hook: Hook) -> torch.Tensor:
    length = len(ids)

    def linear(x, name):
        out = x @ w[f"{name}.weight"].T
        return out + w[f"{name}.bias"] if f"{name}.bias" in w else out

    def norm(x, name, at):
        if spec.norm is None:
            return x
        normalized = (layer_norm if spec.norm == "LN" else rms_norm)(x, spec.eps, at, hook)
        out = normalized * (spec.gain + w[f"{name}.weight"]) if f"{name}.weight" in w else normalized
        return out + w[f"{name}.bias"] if f"{name}.bias" in w else out

    def head_norm(x, name):
        """Each head's q or k, before it is rotated. TransformerLens has no hooks here."""
        return rms_norm(x, spec.eps, "", lambda _name, x: x) * (spec.gain + w[f"{name}.weight"]) if f"{name}.weight" in w else x

    def attention(x, layer, at):
        counts = {"q": spec.heads, "k": spec.kv_heads, "v": spec.kv_heads}
        q, k, v = (hook(f"{at}.hook_{part}", linear(x, f"{layer}.{part}").reshape(length, counts[part], -1)) for part in "qkv")
        q, k = head_norm(q, f"{layer}.q_norm"), head_norm(k, f"{layer}.k_norm")
        rope = spec.ropes[layer]
        if rope:
            q, k = hook(f"{at}.hook_rot_q", rotate(q, rope)), hook(f"{at}.hook_rot_k", rotate(k, rope))
        return linear(attend(q, k, v, spec, layer, at, hook).reshape(length, -1), f"{layer}.o")

    def mlp(x, layer, at):
        """Gated: down(act(gate x) · up x); else down(act(up x))."""
        act = ACTIVATIONS[spec.activation]
        if f"{layer}.gate.weight" in w:
            pre = hook(f"{at}.hook_pre", linear(x, f"{layer}.gate"))
            post = act(pre) * hook(f"{at}.hook_pre_linear", linear(x, f"{layer}.up"))
        else:
            post = act(hook(f"{at}.hook_pre", linear(x, f"{layer}.up")))
        return linear(hook(f"{at}.hook_post", post), f"{layer}.down")

    stream = hook("hook_embed", w["embed.weight"][ids] * spec.embed_scale)
    if "pos.weight" in w:
        stream = stream + hook("hook_pos_embed", w["pos.weight"][:length])
    for layer in range(len(spec.scales)):
        at = f"blocks.{layer}"
        stream = hook(f"{at}.hook_resid_pre", stream)
        out = attention(norm(stream, f"{layer}.ln1", f"{at}.ln1"), layer, f"{at}.attn")
        if f"{layer}.post1.weight" in w:
            out = norm(out, f"{layer}.post1", f"{at}.ln1_post")
        after = stream + hook(f"{at}.hook_attn_out", out)
        if f"{layer}.up.weight" in w:
            # TransformerLens has no hook_resid_mid where the branches are parallel: there is no such stream.
            x = stream if spec.parallel else (after := hook(f"{at}.hook_resid_mid", after))
            out = mlp(norm(x, f"{layer}.ln2", f"{at}.ln2"), layer, f"{at}.mlp")
            if f"{layer}.post2.weight" in w:
                out = norm(out, f"{layer}.post2", f"{at}.ln2_post")
            after = after + hook(f"{at}.hook_mlp_out", out)
        stream = hook(f"{at}.hook_resid_post", after)
    return soft_cap(linear(norm(stream, "final", "ln_final"), "head"), spec.logit_cap)


def record(reference: Reference, ids: list[int]) -> dict[str, torch.Tensor]:
    """Every activation of an unedited run, and "logits"."""
    seen: dict[str, torch.Tensor] = {}
    logits = forward(reference, ids, lambda name, x: seen.setdefault(name, x))
    return seen | {"logits": logits}
