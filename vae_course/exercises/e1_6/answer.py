"""Exercise 1.6: the reference answer."""

import torch
from torch import Tensor


def grid_posterior(log_prior: Tensor, log_likelihood: Tensor) -> Tensor:
    """Apply Bayes' rule on a grid of latent values.

    Parameters
    ----------
    log_prior
        Log-probability of each grid point, (..., points).
    log_likelihood
        Log-probability of the data at each grid point, (..., points).

    Returns
    -------
    Tensor
        Log-posterior of each grid point, (..., points); its exponentials sum to 1 over the last axis.
    """
    log_joint = log_prior + log_likelihood
    return log_joint - torch.logsumexp(log_joint, dim=-1, keepdim=True)
