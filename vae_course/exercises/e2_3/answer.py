"""Exercise 2.3: the reference answer."""

from collections.abc import Iterable

import torch
from torch import Tensor


def gradient_step(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    """Go one step downhill, p <- p - lr * dloss/dp, in place.

    Parameters
    ----------
    params
        Leaf tensors that require gradients, a list or a generator; their `.grad` is empty.
    loss
        What to make smaller, a scalar computed from the parameters.
    lr
        Learning rate.
    """
    loss.backward()
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
            p.grad = None
