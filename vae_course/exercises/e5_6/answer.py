"""Exercise 5.6: a right answer to show to learners, in few steps."""

import torch
from torch import Tensor


def corrupt(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide a share of the non-zero counts: a right answer to 5.6 in few steps."""
    nonzero = torch.nonzero(counts.flatten()).flatten()  # positions
    shuffled = nonzero[torch.randperm(len(nonzero), generator=generator)]
    mask = torch.zeros(counts.numel(), dtype=torch.bool)
    mask[shuffled[: int(rate * len(nonzero))]] = True
    mask = mask.reshape(counts.shape)
    return torch.where(mask, 0.0, counts), mask
