"""Exercise 0.2: the reference answer."""

import torch
from torch import Tensor

from vae_course.exercises.e0_1.answer import library_size


def log_normalize(counts: Tensor, target_sum: float = 1e4) -> Tensor:
    """Give every cell the same total, then compress: log(1 + counts / library size * target_sum).

    Parameters
    ----------
    counts
        Counts, (cells, genes).
    target_sum
        The total that every cell gets before the logarithm.

    Returns
    -------
    Tensor
        Log-normalised expression (natural logarithm), (cells, genes).
    """
    return torch.log1p(counts / library_size(counts).unsqueeze(-1) * target_sum)
