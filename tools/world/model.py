"""The model: GPT-2's form in plain PyTorch, written for speed on a CPU.

The same function as transformers' GPT2LMHeadModel (export.py asserts it on the exported files), without what training a small
model on two cores cannot afford: no dropout, no cache, one matrix for q, k and v. Attention is written out where it runs on a
CPU: PyTorch's fused kernel has a backward pass that takes four times as long there at 80 tokens in bfloat16 (20 ms against 3).
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The sizes of a model, as they stand in config.json."""

    vocab: int = 2048
    context: int = 256
    layers: int = 6
    width: int = 128
    heads: int = 4
    eps: float = 1e-5

    def as_dict(self) -> dict:
        return asdict(self)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention, [rows, heads, time, head]."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    rows, heads, time, head = q.shape
    future = torch.full((time, time), float("-inf"), dtype=q.dtype).triu(1).expand(rows * heads, time, time)
    q, k, v = (each.flatten(0, 1) for each in (q, k, v))
    scores = torch.baddbmm(future, q, k.transpose(1, 2), alpha=1 / math.sqrt(head))
    return torch.bmm(scores.softmax(-1), v).view(rows, heads, time, head)


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)): biases everywhere, GELU by tanh."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.heads = shape.heads
        self.ln_1 = nn.LayerNorm(shape.width, eps=shape.eps)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.ln_2 = nn.LayerNorm(shape.width, eps=shape.eps)
        self.up = nn.Linear(shape.width, 4 * shape.width)
        self.down = nn.Linear(4 * shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        rows, time, width = x.shape
        qkv = self.qkv(self.ln_1(x)).view(rows, time, 3, self.heads, width // self.heads)
        z = attend(*qkv.permute(2, 0, 3, 1, 4))
        x = x + self.out(z.transpose(1, 2).reshape(rows, time, width))
        return x + self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))


class Model(nn.Module):
    """Token ids to logits; the unembedding is the embedding."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.width)
        self.position = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.ln_final = nn.LayerNorm(shape.width, eps=shape.eps)
        self.reset()

    def reset(self) -> None:
        """GPT-2's start: N(0, 0.02), what writes to the stream smaller by √(2·layers), biases 0."""
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                writes = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * self.shape.layers) ** 0.5 if writes else 0.02)
            else:
                nn.init.constant_(weight, 0.0 if name.endswith("bias") else 1.0)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.position.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.linear(self.ln_final(x), self.embed.weight)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The sum, in nats, of the cross-entropy over the targets that are not −100."""
        logits = self(ids)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=-100, reduction="sum")
