"""What a fixture is there to catch, as the mistake a reader could make: each is the reference with one thing got wrong."""

from collections.abc import Callable
from dataclasses import replace

from reference_model import Reference, forward
from rope import Rope, plain


def respecified(change: Callable[..., dict]) -> Callable[[Reference], Reference]:
    return lambda reference: replace(reference, spec=replace(reference.spec, **change(reference.spec)))


def without(*parts: str) -> Callable[[Reference], Reference]:
    """Without the weights that have such a name."""

    def drop(reference: Reference) -> Reference:
        kept = {name: value for name, value in reference.weights.items() if not any(part in f".{name}" for part in parts)}
        assert len(kept) < len(reference.weights)
        return replace(reference, weights=kept)

    return drop


def head_dim(reference: Reference) -> int:
    return len(reference.weights["0.q.weight"]) // reference.spec.heads


def plain_scale(reference: Reference) -> Reference:
    """Scores divided by √d_head."""
    scales = tuple(head_dim(reference) ** -0.5 for _ in reference.spec.scales)
    return replace(reference, spec=replace(reference.spec, scales=scales))


def whole_head_turns(reference: Reference) -> Reference:
    """Every dim of a head rotated, at the base that the plain frequencies tell."""
    width, some = head_dim(reference), reference.spec.ropes[0].plain
    base = (some[0] / some[1]).item() ** len(some)
    whole = Rope(plain(base, width))
    return replace(reference, spec=replace(reference.spec, ropes=tuple(whole for _ in reference.spec.ropes)))


def unscaled_ropes(spec) -> dict:
    return {"ropes": tuple(replace(rope, frequencies=rope.plain) for rope in spec.ropes)}


OTHER_GELU = {"gelu": "gelu_new", "gelu_new": "gelu", "gelu_pytorch_tanh": "gelu"}

MISTAKES: dict[str, Callable[[Reference], Reference]] = {
    "window": respecified(lambda s: {"windows": tuple(None for _ in s.windows)}),
    "window is one longer": respecified(lambda s: {"windows": tuple(w and w + 1 for w in s.windows)}),
    "window is one shorter": respecified(lambda s: {"windows": tuple(w and w - 1 for w in s.windows)}),
    "windows on the other layers": respecified(lambda s: {"windows": (*s.windows[1:], s.windows[0])}),
    "windows on every layer": respecified(lambda s: {"windows": tuple(max(w or 0 for w in s.windows) for _ in s.windows)}),
    "score cap": respecified(lambda s: {"score_cap": None}),
    "logit cap": respecified(lambda s: {"logit_cap": None}),
    "rope scaling": respecified(unscaled_ropes),
    "rope factor": respecified(lambda s: {"ropes": tuple(replace(rope, factor=1.0) for rope in s.ropes)}),
    "rope of the first layer": respecified(lambda s: {"ropes": tuple(s.ropes[0] for _ in s.ropes)}),
    "rope of the last layer": respecified(lambda s: {"ropes": tuple(s.ropes[-1] for _ in s.ropes)}),
    "partial rotation": whole_head_turns,
    "score scale": plain_scale,
    "parallel": respecified(lambda s: {"parallel": not s.parallel}),
    "gelu": respecified(lambda s: {"activation": OTHER_GELU[s.activation]}),
    "a norm": respecified(lambda s: {"norm": "LN"}),
    "embedding scale": respecified(lambda s: {"embed_scale": 1}),
    "gain": respecified(lambda s: {"gain": 0}),
    "q and k norm": without(".q_norm.", ".k_norm."),
    "post-norms": without(".post1.", ".post2."),
    "q, k and v bias": without(".q.bias", ".k.bias", ".v.bias"),
    "head bias": without(".head.bias"),
}


# A mistake must move some row by this much of its scale. GELU's two forms are nowhere further apart than 5e-4, so that mistake is
# asked for less: three times the tolerance.
LEAST = dict.fromkeys(MISTAKES, 1e-3) | {"gelu": 1.5e-4}


def difference(mistake: str, reference: Reference, ids: list[int]) -> float:
    """How far the mistake moves a row of the logits, of the row's largest."""
    right, wrong = forward(reference, ids), forward(MISTAKES[mistake](reference), ids)
    return ((wrong - right).abs().amax(-1) / right.abs().amax(-1)).max().item()
