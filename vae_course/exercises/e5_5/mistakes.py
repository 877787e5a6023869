"""Exercise 5.5: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable

import torch
from torch import Tensor

from vae_course.distributions import kl_normal, kl_standard_normal, scvi_kl


def _kls(
    local: Callable[..., Tensor] = lambda ql_m, ql_v, p_m, p_v: kl_normal(ql_m, ql_v, p_m, p_v).sum(dim=-1),
    latent: Callable[..., Tensor] = lambda qz_m, qz_v: kl_standard_normal(qz_m, torch.log(qz_v)),
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make an answer to 5.5 of its two parts."""

    def answer(qz_m: Tensor, qz_v: Tensor, ql_m: Tensor, ql_v: Tensor, p_m: Tensor, p_v: Tensor) -> tuple:
        return local(ql_m, ql_v, p_m, p_v), latent(qz_m, qz_v)

    return answer


def _latent_kl_terms(mean: Tensor, var: Tensor) -> Tensor:
    return kl_normal(mean, var, torch.zeros(()), torch.ones(()))


MISTAKES = {
    "order-of-the-results": (
        lambda *a: scvi_kl(*a)[::-1],
        "The two results are swapped: first the local KL, that of the library, then the global one, that of z.",
    ),
    "variance-for-log-variance": (
        _kls(latent=kl_standard_normal),
        "The second result takes qz_v for a log-variance. It is the variance already.",
    ),
    "log-variance-of-the-library": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v.log(), p_m, p_v).sum(-1)),
        "kl_normal takes variances, not log-variances: ql_v goes in as it is.",
    ),
    "log-variance-of-the-library-prior": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m, p_v.log()).sum(-1)),
        "kl_normal takes variances, not log-variances: library_var goes in as it is.",
    ),
    "log-variances-of-the-library": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v.log(), p_m, p_v.log()).sum(-1)),
        "kl_normal takes variances, not log-variances: ql_v and library_var go in as they are.",
    ),
    "log-variance-of-the-latents": (
        _kls(latent=lambda m, v: _latent_kl_terms(m, v.log()).sum(-1)),
        "kl_normal takes variances, not log-variances: qz_v goes in as it is. It is kl_standard_normal that "
        "wants a logarithm.",
    ),
    "summed-once-more": (
        _kls(latent=lambda m, v: kl_standard_normal(m, torch.log(v)).sum(-1)),
        "kl_standard_normal has summed over the latents already, so that your sum goes over the cells. One "
        "number for every cell is needed, (cells,).",
    ),
    "all-variances-for-log-variances": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v.exp(), p_m, p_v.exp()).sum(-1), kl_standard_normal),
        "You take the variances for log-variances and exponentiate them. They are variances already.",
    ),
    "variances-for-standard-deviations": (
        _kls(
            lambda m, v, p_m, p_v: kl_normal(m, v**2, p_m, p_v**2).sum(-1),
            lambda m, v: kl_standard_normal(m, 2 * torch.log(v)),
        ),
        "You take the variances for standard deviations. torch.distributions.Normal, for one, wants the square "
        "root of a variance.",
    ),
    "standard-deviations-for-variances": (
        _kls(
            lambda m, v, p_m, p_v: kl_normal(m, v.sqrt(), p_m, p_v.sqrt()).sum(-1),
            lambda m, v: kl_standard_normal(m, 0.5 * torch.log(v)),
        ),
        "You take square roots of the variances and then use them as variances.",
    ),
    "axis-left-over": (
        _kls(kl_normal),
        "kl_local still has its last axis, (cells, 1). Added to kl_global, (cells,), it would broadcast to "
        "(cells, cells) without a word.",
    ),
    "squeezed-away": (
        _kls(lambda *a: kl_normal(*a).squeeze()),
        "Right for several cells, but squeeze() takes every axis of length 1, and with a single cell also that "
        "of the cells. Take the last axis only.",
    ),
    "both-squeezed-away": (
        lambda *a: tuple(kl.squeeze() for kl in scvi_kl(*a)),
        "Right for several cells, but with a single one squeeze() takes the axis of the cells away from both. "
        "Take the last axis only.",
    ),
    "both-axes-left-over": (
        _kls(kl_normal, lambda m, v: _latent_kl_terms(m, v).sum(-1, keepdim=True)),
        "Both results still have a last axis of length 1. One number for every cell is needed, (cells,).",
    ),
    "every-cell-with-every-prior": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m.flatten(), p_v.flatten())),
        "A column of posteriors, (cells, 1), meets a row of priors, (cells,), and broadcasts to (cells, "
        "cells). Every cell should meet its own prior only.",
    ),
    "every-cell-with-every-prior-summed": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m.flatten(), p_v.flatten()).sum(-1)),
        "A column of posteriors, (cells, 1), met a row of priors, (cells,), and you summed over (cells, "
        "cells). The shape is right by chance only: every cell should meet its own prior.",
    ),
    "every-cell-with-every-prior-averaged": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m.flatten(), p_v.flatten()).mean(-1)),
        "A column of posteriors, (cells, 1), met a row of priors, (cells,), and you averaged over (cells, "
        "cells). The shape is right by chance only: every cell should meet its own prior.",
    ),
    "standard-deviation-of-the-prior": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m, p_v**2).sum(-1)),
        "You take library_var for a standard deviation. It is a variance, as ql_v is.",
    ),
    "standard-normal-library": (
        _kls(lambda m, v, p_m, p_v: _latent_kl_terms(m, v).sum(-1)),
        "kl_local compares the library with N(0, 1). Its prior has the mean and variance that are given, and "
        "log-libraries are nowhere near 0.",
    ),
    "library-variance-of-one": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v, p_m, torch.ones_like(p_v)).sum(-1)),
        "library_var is not used: the prior of the library has a variance of its own.",
    ),
    "library-mean-of-zero": (
        _kls(lambda m, v, p_m, p_v: kl_normal(m, v, torch.zeros_like(p_m), p_v).sum(-1)),
        "library_mean is not used: the prior of the library has a mean of its own.",
    ),
    "mean-over-latents": (
        _kls(latent=lambda m, v: _latent_kl_terms(m, v).mean(-1)),
        "kl_global averages over the latents. The KL of independent latents is the sum of theirs.",
    ),
    "latents-kept": (
        _kls(latent=_latent_kl_terms),
        "kl_global still has one number for every latent. Sum over them, so that one for every cell is left.",
    ),
    "sum-over-cells": (
        _kls(
            lambda *a: kl_normal(*a).sum(0),
            lambda m, v: _latent_kl_terms(m, v).sum(0),
        ),
        "You summed over the first axis, the cells. The last one has to go.",
    ),
    "averaged-over-cells": (
        lambda *a: tuple(kl.mean() for kl in scvi_kl(*a)),
        "You averaged over the cells. One number for every cell is needed; the mean comes later, in the loss.",
    ),
    "reversed-library": (
        _kls(lambda m, v, p_m, p_v: kl_normal(p_m, p_v, m, v).sum(-1)),
        "kl_local is KL(prior, posterior). It is the other way round: q(l|x) comes first.",
    ),
    "reversed-latent": (
        _kls(latent=lambda m, v: kl_normal(torch.zeros(()), torch.ones(()), m, v).sum(-1)),
        "kl_global is KL(prior, posterior). It is the other way round: q(z|x) comes first.",
    ),
    "both-reversed": (
        _kls(
            lambda m, v, p_m, p_v: kl_normal(p_m, p_v, m, v).sum(-1),
            lambda m, v: kl_normal(torch.zeros(()), torch.ones(()), m, v).sum(-1),
        ),
        "Both are KL(prior, posterior). It is the other way round: the posterior q comes first.",
    ),
    "negative": (
        lambda *a: tuple(-kl for kl in scvi_kl(*a)),
        "The sign is wrong: a KL divergence is never negative. It is the ELBO that contains minus the KL.",
    ),
    "added": (
        lambda *a: sum(scvi_kl(*a)),
        "You return the sum of the two. They are needed one by one: only the global one is weighted by the KL warm-up.",
    ),
    "fixed-prior": (
        lambda qz_m, qz_v, ql_m, ql_v, p_m, p_v: scvi_kl(qz_m, qz_v, ql_m, ql_v, p_m.detach(), p_v.detach()),
        "The values are right, but the prior is detached: no gradient reaches library_mean and library_var.",
    ),
}
