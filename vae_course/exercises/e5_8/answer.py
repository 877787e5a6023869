"""Exercise 5.8: a right answer to show to learners, in few steps."""

import torch
from torch import Tensor


def bayes_factor(scale_1: Tensor, scale_2: Tensor, eps: float = 1e-8) -> Tensor:
    """Compare two groups draw by draw: a right answer to 5.8 in few steps."""
    wins = (scale_1 > scale_2).double()  # (S, ...)
    ties = (scale_1 == scale_2).double()
    p = (wins + ties / 2).mean(dim=0)
    return torch.log(p + eps) - torch.log(1 - p + eps)
