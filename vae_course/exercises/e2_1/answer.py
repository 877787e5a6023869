"""Exercise 2.1: the reference answer."""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """An affine map from scratch, x -> x W^T + b.

    Parameters
    ----------
    n_in, n_out
        Columns of the input and of the output.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        """Make the parameters `weight`, (n_out, n_in), drawn at random, and `bias`, (n_out,)."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / n_in**0.5)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map x of any leading shape, (..., n_in), to (..., n_out)."""
        return x @ self.weight.T + self.bias  # (..., n_in) @ (n_in, n_out)
