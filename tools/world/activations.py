"""What the shipped model holds at some of its hooks while it reads the world's texts, mixed so that a batch holds many documents.

One forward pass feeds every dictionary and stops at the highest layer that is asked for. Activations go through a buffer that is
shuffled and half emptied before it is filled again. End-of-text tokens and padding are left out. Frequent tokens are thinned out as word2vec does
it (Mikolov et al. 2013): a token of frequency f is kept with probability √(rare/f), or a librarian would pass by once in 25,000 tokens.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from data import Epoch, Reading, tensors
from export import gpt2_names
from model import Model, Shape
from tokens import Corpus

END_ID = 0
# Where a batch keeps which tokens its activations are of, beside its layers.
IDS = -1


def shipped(folder: Path) -> Model:
    """The model that ships: f16 weights, computed in f32."""
    stored = load_file(folder / "model.safetensors")
    layers = sum(name.endswith("ln_1.weight") for name in stored)
    model = Model(Shape(stored["wte.weight"].shape[0], stored["wpe.weight"].shape[0], layers, stored["wte.weight"].shape[1]))
    with torch.no_grad():
        names = gpt2_names(model)
        for name, mine in zip(names, parameters_in_order(model), strict=True):
            given = stored[name].float()
            mine.copy_(given.T if ".attn.c_" in name and given.ndim == 2 or ".mlp.c_" in name and given.ndim == 2 else given)
        for name, mine in gpt2_names(model).items():
            assert torch.equal(mine, stored[name].float()), name
    return model.eval()


def parameters_in_order(model: Model) -> list[Tensor]:
    """The parameters in the order in which gpt2_names lists them."""
    parts = ("ln_1", "qkv", "out", "ln_2", "up", "down")
    ordered = [model.embed.weight, model.position.weight, model.ln_final.weight, model.ln_final.bias]
    return ordered + [each for block in model.blocks for part in parts for each in (getattr(block, part).weight, getattr(block, part).bias)]


def layer_of(hook: str) -> int:
    """blocks.{l}.hook_resid_post → l + 1, blocks.{l}.hook_resid_pre → l: how many blocks have been passed."""
    _, layer, name = hook.split(".")
    return int(layer) + {"hook_resid_pre": 0, "hook_resid_post": 1}[name]


def residuals(model: Model, ids: Tensor, layers: list[int]) -> dict[int, Tensor]:
    """The stream after so many blocks, each [rows, time, width]."""
    x = model.embed(ids) + model.position.weight[: ids.shape[1]]
    found = {0: x} if 0 in layers else {}
    for number, block in enumerate(model.blocks[: max(layers)], start=1):
        x = block(x)
        if number in layers:
            found[number] = x
    return found


def forever(corpus: Corpus, reading: Reading, start: int = 0) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(micro-batches so far, inputs, which of them count), one epoch after another, from micro-batch `start`."""
    number, seen = 0, 0
    while True:
        micros = Epoch(corpus, reading, number).micros
        if seen + len(micros) <= start:
            seen += len(micros)
        else:
            for index in range(max(0, start - seen), len(micros)):
                inputs, targets = tensors(corpus, micros[index], reading.context)
                yield seen + index + 1, inputs, (targets >= 0) & (inputs != END_ID)
            seen += len(micros)
        number += 1


def kept(corpus: Corpus, vocab: int, rare: float) -> Tensor:
    """[vocab]: with what probability a token's activation is kept; `rare` 0 keeps all."""
    if rare == 0:
        return torch.ones(vocab)
    share = torch.bincount(torch.from_numpy(corpus.ids[:4_000_000].astype(np.int64)), minlength=vocab).double()
    share /= share.sum()
    return (rare / share.clamp(min=1e-9)).sqrt().clamp(max=1).float()


class Buffer:
    """Batches of mixed activations: `next(size)` gives one [size, width] for each layer, the same tokens in each, and the tokens [size]."""

    def __init__(self, model: Model, corpus: Corpus, reading: Reading, layers: list[int], room: int, seed: int, start: int = 0, rare: float = 0):
        self.model, self.layers, self.room = model, sorted(set(layers)), room
        self.random = np.random.default_rng([seed, start])
        self.kept = kept(corpus, model.shape.vocab, rare)
        self.stream = forever(corpus, reading, start)
        self.read = start
        self.held = {layer: torch.zeros(0, model.shape.width) for layer in self.layers} | {IDS: torch.zeros(0, dtype=torch.int64)}
        self.at = 0

    @torch.no_grad()
    def fill(self) -> None:
        parts = {layer: [self.held[layer][self.at :]] for layer in (IDS, *self.layers)}
        have = len(parts[self.layers[0]][0])
        while have < self.room:
            self.read, inputs, counts = next(self.stream)
            counts &= torch.from_numpy(self.random.random(inputs.shape, np.float32)) < self.kept[inputs]
            for layer, x in residuals(self.model, inputs, self.layers).items():
                parts[layer].append(x[counts])
            parts[IDS].append(inputs[counts])
            have += int(counts.sum())
        order = torch.from_numpy(self.random.permutation(have))
        self.held = {layer: torch.cat(each)[order] for layer, each in parts.items()}
        self.at = 0

    def next(self, size: int) -> dict[int, Tensor]:
        if len(self.held[IDS]) - self.at < max(size, self.room // 2):
            self.fill()
        self.at += size
        return {layer: held[self.at - size : self.at] for layer, held in self.held.items()}
