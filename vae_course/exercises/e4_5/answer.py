"""Exercise 4.5: the reference answer."""

from collections.abc import Callable

import torch
from torch import Tensor


def score_function_gradient(
    f: Callable[[Tensor], Tensor], mean: float, n_samples: int, generator: torch.Generator
) -> Tensor:
    """Estimate d/dmean of E[f(z)] under z ~ N(mean, 1) without differentiating f.

    Williams (1992), REINFORCE.

    Parameters
    ----------
    f
        Function of draws, (n_samples,) to (n_samples,). It may jump.
    mean
        Mean of the Gaussian, whose variance is 1.
    n_samples
        Number of draws, at least 2.
    generator
        Source of the draws.

    Returns
    -------
    Tensor
        An unbiased estimate, a scalar.
    """
    z = mean + torch.randn(n_samples, generator=generator)  # (n_samples,)
    return (f(z) * (z - mean)).mean()
