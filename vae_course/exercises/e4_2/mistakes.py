"""Exercise 4.2: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import Tensor


def _kl_of(mean: Tensor, logvar: Tensor, square: float = 1, minus: float = 1, log: float = 1) -> Tensor:
    """Terms of the KL with chosen factors; all at 1 give the right answer, not summed yet."""
    return 0.5 * (torch.exp(logvar) + square * mean**2 - minus - log * logvar)


MISTAKES = {
    "half-the-log-variance": (
        lambda mean, logvar: _kl_of(mean, logvar, log=0.5).sum(dim=-1),
        "The log-variance is halved twice. It is the logarithm of the variance as it stands; only the one "
        "factor 1/2 before everything is left.",
    ),
    "standard-deviation-for-variance": (
        lambda mean, logvar: 0.5 * (torch.exp(0.5 * logvar) + mean**2 - 1 - logvar).sum(dim=-1),
        "The standard deviation enters where the variance should: halving the log-variance before exp takes "
        "the square root.",
    ),
    "logarithm-of-the-standard-deviation": (
        lambda mean, logvar: 0.5 * (torch.exp(2 * logvar) + mean**2 - 1 - 2 * logvar).sum(dim=-1),
        "You treat `logvar` as the logarithm of the standard deviation. It is that of the variance.",
    ),
    "half-missing-on-the-log": (
        lambda mean, logvar: _kl_of(mean, logvar, log=2).sum(dim=-1),
        "The log-variance has lost its factor 1/2: it belongs to all four terms.",
    ),
    "logvar-as-variance": (
        lambda mean, logvar: 0.5 * (logvar + mean**2 - 1 - torch.log(logvar)).sum(dim=-1),
        "You treat `logvar` as the variance, and take its logarithm although it may be negative. It is a "
        "logarithm already.",
    ),
    "exponential-forgotten": (
        lambda mean, logvar: 0.5 * (mean**2 - 1).sum(dim=-1) + 0 * logvar.sum(dim=-1),
        "The log-variance cancels from your terms: one of them is the variance itself, its exponential.",
    ),
    "no-variance": (
        lambda mean, logvar: 0.5 * (mean**2 - 1 - logvar).sum(dim=-1),
        "The variance itself is missing among the terms: a wide q should cost something too.",
    ),
    "sign": (
        lambda mean, logvar: -_kl_of(mean, logvar).sum(dim=-1),
        "The sign is wrong: a KL is never negative. Kingma and Welling write down *minus* the KL, which is "
        "what the ELBO holds.",
    ),
    "sign-of-the-log": (
        lambda mean, logvar: _kl_of(mean, logvar, log=-1).sum(dim=-1),
        "The log-variance has the wrong sign: a very narrow q has to cost much.",
    ),
    "sign-of-the-exponent": (
        lambda mean, logvar: 0.5 * (torch.exp(-logvar) + mean**2 - 1 - logvar).sum(dim=-1),
        "The exponent has the wrong sign: exp(-logvar) is one over the variance.",
    ),
    "missing-one": (
        lambda mean, logvar: _kl_of(mean, logvar, minus=0).sum(dim=-1),
        "The term -1 is missing: the KL of the prior to itself should be 0.",
    ),
    "one-outside": (
        lambda mean, logvar: _kl_of(mean, logvar, minus=2).sum(dim=-1),
        "The 1 stands outside the factor 1/2: the KL of the prior to itself should be 0.",
    ),
    "one-for-all-latents": (
        lambda mean, logvar: _kl_of(mean, logvar, minus=0).sum(dim=-1) - 0.5,
        "1 is subtracted once per cell. It is subtracted for every latent, or the KL of the prior to itself is not 0.",
    ),
    "one-after-the-sum": (
        lambda mean, logvar: _kl_of(mean, logvar, minus=0).sum(dim=-1) - 1,
        "1 is subtracted once, after the sum, which happens to be right for two latents. It is subtracted for "
        "each latent, before the factor 1/2 and before the sum.",
    ),
    "variance-squared": (
        lambda mean, logvar: 0.5 * (torch.exp(logvar) ** 2 + mean**2 - 1 - logvar).sum(dim=-1),
        "The variance is squared. The exponential of the log-variance is the variance already, that is sigma squared.",
    ),
    "no-half": (
        lambda mean, logvar: 2 * _kl_of(mean, logvar).sum(dim=-1),
        "Everything is twice as large as it should be: the factor 1/2 is missing.",
    ),
    "half-on-the-first-term": (
        lambda mean, logvar: (0.5 * torch.exp(logvar) + mean**2 - 1 - logvar).sum(dim=-1),
        "Only the variance has the factor 1/2. It belongs to all four terms: put brackets around them.",
    ),
    "mean-not-squared": (
        lambda mean, logvar: 0.5 * (torch.exp(logvar) + mean - 1 - logvar).sum(dim=-1),
        "The mean is not squared, so that left and right of the prior are not alike.",
    ),
    "mean-ignored": (
        lambda mean, logvar: _kl_of(mean, logvar, square=0).sum(dim=-1),
        "The mean is not used: a q far from the prior should cost more.",
    ),
    "mean-subtracted": (
        lambda mean, logvar: _kl_of(mean, logvar, square=-1).sum(dim=-1),
        "The squared mean has the wrong sign: a q far from the prior should cost more.",
    ),
    "other-direction": (
        lambda mean, logvar: 0.5 * ((1 + mean**2) * torch.exp(-logvar) - 1 + logvar).sum(dim=-1),
        "This is the KL from the prior to q. The one from q to the prior is needed: q is what is averaged over.",
    ),
    "mean-over-latents": (
        lambda mean, logvar: _kl_of(mean, logvar).mean(dim=-1),
        "You averaged over the latents. The KLs of independent latents add up.",
    ),
    "summed-over-everything": (
        lambda mean, logvar: _kl_of(mean, logvar).sum(),
        "You summed over all cells too. Every cell has a KL of its own: sum over the last axis alone.",
    ),
    "mean-over-everything": (
        lambda mean, logvar: _kl_of(mean, logvar).mean(),
        "You averaged over everything. Every cell has a KL of its own: sum over the last axis alone.",
    ),
    "summed-over-cells": (
        lambda mean, logvar: _kl_of(mean, logvar).sum(dim=0),
        "You summed over the first axis, the cells. The latents are the last axis.",
    ),
    "not-summed": (
        _kl_of,
        "These are the KLs of the single latents. Sum them over the last axis.",
    ),
    "tables-only": (
        lambda mean, logvar: _kl_of(mean, logvar).sum(dim=1),
        "Right for a table of cells, but dim=1 is not always the last axis. Name the last one, whatever the "
        "number of axes.",
    ),
    "clamped": (
        lambda mean, logvar: _kl_of(mean, logvar.clamp(-10, 10)).sum(dim=-1),
        "You clamp the log-variance. It may be anywhere between -30 and 30, and the formula needs no clamp.",
    ),
}
