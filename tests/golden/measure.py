"""How near two tensors are: for what must be equal, and for what float32 may move."""

import torch

EXACT = 1e-11


def close(actual: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    """Equal to EXACT of the largest value; infinities must agree in place."""
    assert actual.shape == expected.shape, (what, actual.shape, expected.shape)
    finite = torch.isfinite(expected)
    assert torch.equal(finite, torch.isfinite(actual)), what
    gap = (actual[finite] - expected[finite]).abs().max()
    assert gap <= EXACT * max(1.0, expected[finite].abs().max().item()), (what, gap.item())


def row_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest error of a row over the row's largest reference value, over all rows; masked entries left out."""
    finite = torch.isfinite(expected)
    gap = torch.where(finite, actual.double() - expected, 0).abs().amax(-1)
    return (gap / torch.where(finite, expected, 0).abs().amax(-1)).max().item()
