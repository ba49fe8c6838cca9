"""How good a shipped dictionary is, on held-out documents, as Loupe's `evaluate` and SAELens score it (docs/dictionaries.md).

Positions of end-of-text tokens count nowhere and keep what stands there; cross-entropy is over positions whose next token exists.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from activations import END_ID, layer_of
from data import Reading, held_out, tensors
from model import Model
from saelens import Shipped
from tokens import TOKENIZER, Corpus, encode


def held_out_texts(folder: Path, model: Path) -> Corpus:
    return encode(folder / "valid.txt", model / TOKENIZER)


@torch.no_grad()
def scores(model: Model, dictionary: Shipped, corpus: Corpus, count: int) -> dict[str, float]:
    """fvu, l0, dead, ce_clean, ce_spliced, ce_zero, ce_score over about `count` tokens."""
    layer = layer_of(dictionary.hook)
    fired = torch.zeros(len(dictionary.threshold), dtype=torch.int64)
    sums = dict.fromkeys(("error", "l0", "clean", "spliced", "zero"), 0.0)
    square, total, positions, targets = 0.0, torch.zeros(model.shape.width, dtype=torch.float64), 0, 0
    for micro in held_out(corpus, Reading(model.shape.context, 4096, 1, 0.0, 0), count):
        inputs, wanted = tensors(corpus, micro, model.shape.context)
        x = model.embed(inputs) + model.position.weight[: inputs.shape[1]]
        for block in model.blocks[:layer]:
            x = block(x)
        counted = (wanted >= 0) & (inputs != END_ID)
        # The end of a text is no token of it.
        followed = wanted.masked_fill(wanted == END_ID, -100)
        y = x[counted]
        a = dictionary.encode(y)
        guess = dictionary.decode(a)
        fired += (a > 0).sum(0)
        sums["error"] += (y - guess).double().square().sum().item()
        sums["l0"] += (a > 0).sum().item()
        square += y.double().square().sum().item()
        total += y.double().sum(0)
        positions += len(y)
        targets += int((followed >= 0).sum())
        spliced = x.clone()
        spliced[counted] = guess
        for name, stream in (("clean", x), ("spliced", spliced), ("zero", torch.zeros_like(x))):
            sums[name] += rest(model, stream, layer, followed).item()
    variance = square - total.square().sum().item() / positions
    ce = {f"ce_{name}": sums[name] / targets for name in ("clean", "spliced", "zero")}
    return {
        "positions": positions,
        "fvu": sums["error"] / variance,
        "l0": sums["l0"] / positions,
        "dead": (fired == 0).double().mean().item(),
        "dense": (fired > positions / 10).double().mean().item(),
        **ce,
        "ce_score": (ce["ce_zero"] - ce["ce_spliced"]) / (ce["ce_zero"] - ce["ce_clean"]),
    }


def rest(model: Model, x: Tensor, layer: int, targets: Tensor) -> Tensor:
    """Nats, summed, from the stream after `layer` blocks."""
    for block in model.blocks[layer:]:
        x = block(x)
    logits = F.linear(model.ln_final(x), model.embed.weight)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
