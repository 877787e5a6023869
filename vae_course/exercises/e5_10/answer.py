"""Exercise 5.10: a right answer to show to learners, in few steps."""

import torch
from torch import Tensor


def posterior_fdr(prob_de: Tensor) -> Tensor:
    """Go through the genes one by one: a right answer to 5.10 in few steps."""
    wrong = 1 - prob_de  # (genes,)
    return torch.stack([wrong[prob_de >= p].mean() for p in prob_de])
