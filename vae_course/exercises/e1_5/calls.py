"""Exercise 1.5: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.distributions import Normal


def use(attempt: Callable, sample_q: Tensor, q: tuple[float, float], p: tuple[float, float]) -> dict[str, Any]:
    """Estimate the KL of two Gaussians, each given by its mean and its variance."""
    result = attempt(sample_q, _log_density(*q), _log_density(*p))
    if isinstance(result, tuple | list) and len(result) == 2:
        return {"the estimate": result[0], "the standard error": result[1]}
    return {"the estimate": result}


def _log_density(mean: float, var: float) -> Callable[[Tensor], Tensor]:
    """Log-density of independent Gaussians: (S, k) -> (S,)."""
    return lambda z: Normal(mean, var**0.5, validate_args=False).log_prob(z).sum(dim=-1)
