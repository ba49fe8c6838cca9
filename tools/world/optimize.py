"""How weights move: AdamW for embeddings, norms and biases, AdamW or Muon for the blocks' matrices, one schedule for both.

The schedule is warm-up, stable, decay (Hu et al. 2024, MiniCPM): until the decay begins nothing depends on how long the run will be,
so a run can be made longer afterwards. Muon (Jordan et al. 2024) takes the update of a matrix nearest to orthogonal.
"""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Recipe:
    """Peak learning rates and the schedule: warm-up in steps, decay as the last share of the run."""

    kind: str = "muon"
    lr: float = 3e-3
    muon_lr: float = 2e-2
    weight_decay: float = 0.1
    warmup: int = 100
    decay: float = 0.3
    clip: float = 1.0


def factor(step: int, progress: float, recipe: Recipe) -> float:
    """What the peak rates are multiplied by; `progress` is the share of the run that is done."""
    warm = min(1.0, (step + 1) / recipe.warmup)
    return warm * min(1.0, max(0.0, (1 - progress) / recipe.decay))


class Optimizers:
    """One or two of torch's, stepped together."""

    def __init__(self, model: nn.Module, recipe: Recipe, fused: bool = True):
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and name.startswith("blocks")]
        tables = [p for name, p in model.named_parameters() if p.ndim == 2 and not name.startswith("blocks")]
        plain = [p for p in model.parameters() if p.ndim != 2]
        decay, adam = recipe.weight_decay, [{"params": plain, "weight_decay": 0.0}]
        # Decaying a table of rarely met tokens only pulls them to nothing.
        adam.append({"params": tables, "weight_decay": 0.0})
        self.all: list[torch.optim.Optimizer] = []
        if recipe.kind == "muon":
            self.all.append(torch.optim.Muon(matrices, lr=recipe.muon_lr, weight_decay=decay * recipe.lr / recipe.muon_lr, momentum=0.95))
        else:
            adam.append({"params": matrices, "weight_decay": decay})
        self.all.append(torch.optim.AdamW(adam, lr=recipe.lr, betas=(0.9, 0.95), fused=fused))
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["peak"] = group["lr"]

    def step(self, scale: float) -> None:
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * scale
            optimizer.step()

    def state_dict(self) -> list[dict]:
        return [optimizer.state_dict() for optimizer in self.all]

    def load_state_dict(self, states: list[dict]) -> None:
        for optimizer, state in zip(self.all, states, strict=True):
            optimizer.load_state_dict(state)
