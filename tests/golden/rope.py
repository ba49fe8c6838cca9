"""Rotary frequencies, written out from their formulas in float64. make.py holds them to transformers' own."""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rope:
    # Radians a position, one for each pair of dims; twice as many dims turn as there are entries.
    frequencies: torch.Tensor
    # Multiplies the rotated dims of q and of k.
    factor: float = 1.0
    # What the frequencies would be if nothing scaled them.
    plain: torch.Tensor | None = None


def plain(base: float, width: int) -> torch.Tensor:
    """base^(−2i/width)."""
    return base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)


def llama3(frequencies: torch.Tensor, rope: dict) -> torch.Tensor:
    """Long waves are divided by `factor`, short ones kept; between, the two are mixed by how often a wave fits the old context."""
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (kept + (1 - kept) / rope["factor"])


def rope_of(rope: dict, head_dim: int, context: int) -> Rope:
    """From the parameters as transformers 5 names them."""
    width = int(head_dim * rope.get("partial_rotary_factor", 1.0))
    frequencies = plain(rope["rope_theta"], width)
    kind = rope["rope_type"]
    if kind == "linear":
        return Rope(frequencies / rope["factor"], plain=frequencies)
    if kind == "llama3":
        return Rope(llama3(frequencies, rope), plain=frequencies)
    if kind == "longrope":
        # The short factors: no prompt here is longer than the original context.
        original = rope["original_max_position_embeddings"]
        stretch = max(1.0, rope.get("factor") or context / original)
        factor = rope.get("attention_factor") or math.sqrt(1 + math.log(stretch) / math.log(original))
        short = torch.tensor(rope["short_factor"], dtype=torch.float64)
        return Rope(frequencies / short, factor, plain=frequencies)
    assert kind == "default", kind
    return Rope(frequencies, plain=frequencies)
