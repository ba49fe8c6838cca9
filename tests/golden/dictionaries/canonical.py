"""A dictionary's arithmetic over canonical tensors (workers/dictionary/spec.ts), in float64: what a library's own answer is checked against.

Beside it, what a fixture must be good for: how far its numbers stay from every decision (MARGIN), and which mistakes of a reader
they would give away (`mistakes`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Contract:
    residual: str = "raw"
    normalisation: str = "none"
    scale: float = 1.0
    subtract_b_dec: bool = True
    rescale: bool = False
    reshape: str = "none"
    prepend_bos: bool = True
    # What leaves the norm is read, and the hook is before its gain.
    norm_gain: bool = False

    def json(self) -> dict:
        return {
            "residual": self.residual,
            "normalisation": self.normalisation,
            "scale": self.scale,
            "subtractBDec": self.subtract_b_dec,
            "rescaleByDecoderNorm": self.rescale,
            "reshape": self.reshape,
            "prependBos": self.prepend_bos,
            **({"normGain": True} if self.norm_gain else {}),
        }


@dataclass(frozen=True)
class Spec:
    activation: str
    hook_in: str
    hook_out: str | None = None
    k: int | None = None
    contract: Contract = field(default_factory=Contract)

    @property
    def out(self) -> str:
        return self.hook_out or self.hook_in


def scale_of(spec: Spec, x: torch.Tensor, unbiased: bool = True):
    """(shift, divisor, multiplier) that take x to the dictionary's scale and its answer back."""
    if spec.contract.normalisation == "layer_norm":
        deviation = x.std(dim=-1, keepdim=True, unbiased=unbiased)
        return x.mean(dim=-1, keepdim=True), deviation + 1e-5, deviation
    return 0.0, 1 / spec.contract.scale, 1 / spec.contract.scale


def top_k(pre: torch.Tensor, k: int) -> torch.Tensor:
    """A mask of the k largest of each row; ties go to the lowest index."""
    order = torch.sort(pre, dim=-1, descending=True, stable=True).indices[..., :k]
    return torch.zeros_like(pre, dtype=torch.bool).scatter(-1, order, True)


def deciding(spec: Spec, w: Tensors, x: torch.Tensor, unbiased: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """(what decides whether a latent is active, x W_enc of a gated one's magnitude)."""
    shift, divisor, _ = scale_of(spec, x, unbiased)
    inner = (x - shift) / divisor - (w["b_dec"] if spec.contract.subtract_b_dec else 0)
    projected = inner @ w["W_enc"].T
    pre = projected + w["b_gate" if spec.activation == "gated" else "b_enc"]
    return (pre * w["W_dec"].norm(dim=-1) if spec.contract.rescale else pre), projected


def run(spec: Spec, w: Tensors, x: torch.Tensor, unbiased: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """(activations, reconstruction)."""
    pre, projected = deciding(spec, w, x, unbiased)
    if spec.activation == "jumprelu":
        acts = pre.relu() * (pre > w["threshold"])
    elif spec.activation == "topk":
        acts = pre.relu() * top_k(pre, spec.k)
    elif spec.activation == "gated":
        acts = (projected * w["r_mag"].exp() + w["b_mag"]).relu() * (pre > 0)
    else:
        acts = pre.relu()
    decoded = (acts / w["W_dec"].norm(dim=-1) if spec.contract.rescale else acts) @ w["W_dec"] + w["b_dec"]
    shift, _, multiplier = scale_of(spec, x, unbiased)
    if spec.contract.normalisation == "layer_norm" and spec.out != spec.hook_in:
        shift, multiplier = 0.0, 1.0
    out = decoded * multiplier + shift
    return acts, (out + x @ w["W_skip"].T if "W_skip" in w else out)


def margin(spec: Spec, w: Tensors, x: torch.Tensor) -> float:
    """How near any row comes to another set of active latents, over the row's largest pre-activation."""
    pre, projected = deciding(spec, w, x)
    size = pre.abs().amax(dim=-1, keepdim=True)
    if spec.activation == "topk":
        ordered = pre.sort(dim=-1, descending=True).values
        gap = (ordered[:, spec.k - 1 : spec.k] - ordered[:, spec.k : spec.k + 1]) / size
        return min(gap.min().item(), (ordered[:, : spec.k].abs() / size).min().item())
    distances = [pre - w["threshold"], pre] if spec.activation == "jumprelu" else [pre]
    if spec.activation == "gated":
        distances.append(projected * w["r_mag"].exp() + w["b_mag"])
    return min((each.abs() / size).min().item() for each in distances)


def mistakes(spec: Spec, w: Tensors) -> Iterator[tuple[str, Spec, Tensors, bool]]:
    """Readings of the same files that a fixture must tell from the right one: (what was mistaken, spec, tensors, unbiased)."""

    def contract(**changes) -> Spec:
        return replace(spec, contract=replace(spec.contract, **changes))

    own = spec.contract
    if w["b_dec"].shape[0] == w["W_enc"].shape[1]:
        yield "b_dec before encoding", contract(subtract_b_dec=not own.subtract_b_dec), w, True
    if own.normalisation != "none":
        yield "no normalisation", contract(normalisation="none", scale=1.0), w, True
    if own.normalisation == "layer_norm":
        yield "a biased deviation", spec, w, False
    if spec.activation == "topk":
        yield "the other rescaling", contract(rescale=not own.rescale), w, True
        yield "one latent more", replace(spec, k=spec.k + 1), w, True
        yield "one latent less", replace(spec, k=spec.k - 1), w, True
        yield "no top k", replace(spec, activation="relu"), w, True
    if spec.activation == "jumprelu":
        yield "no threshold", replace(spec, activation="relu"), w, True
        if w["threshold"].unique().numel() > 1:
            yield "thresholds of the neighbours", spec, w | {"threshold": w["threshold"].roll(1)}, True
    if spec.activation == "gated":
        yield "no r_mag", spec, w | {"r_mag": torch.zeros_like(w["r_mag"])}, True
        yield "gate for magnitude", spec, w | {"b_gate": w["b_mag"], "b_mag": w["b_gate"]}, True
    if "W_skip" in w:
        yield "no skip", spec, {name: value for name, value in w.items() if name != "W_skip"}, True
        if w["W_skip"].shape[0] == w["W_skip"].shape[1]:
            yield "the skip transposed", spec, w | {"W_skip": w["W_skip"].T}, True
    yield "no b_dec", spec, w | {"b_dec": torch.zeros_like(w["b_dec"])}, True
