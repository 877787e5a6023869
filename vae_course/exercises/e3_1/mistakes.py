"""Exercise 3.1: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
import torch.nn.functional as F
from torch import Tensor


def _loss_of(bce: Tensor, kl: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return bce + kl, bce, kl


def _bce(x: Tensor, logits: Tensor) -> Tensor:
    """Binary cross-entropy of every entry, (cells, genes)."""
    return F.softplus(logits) - x * logits


def _kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL to the prior of every latent, (cells, n_latent)."""
    return 0.5 * (torch.exp(logvar) + mean**2 - 1 - logvar)


MISTAKES = {
    "bce-averaged-over-genes": (
        lambda x, a, m, s: _loss_of(_bce(x, a).mean(), _kl(m, s).sum(dim=-1).mean()),
        "The cross-entropy is averaged over genes, while the KL is summed over latents. That hides a weight on "
        "the KL as large as the number of genes.",
    ),
    "kl-averaged-over-latents": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s).mean()),
        "The KL is averaged over latents. It belongs to the whole cell: sum over latents, then average over cells.",
    ),
    "both-averaged": (
        lambda x, a, m, s: _loss_of(_bce(x, a).mean(), _kl(m, s).mean()),
        "Both parts are averaged over everything. Sum over a cell's genes or latents first, and average over "
        "cells only.",
    ),
    "summed-over-cells": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(), _kl(m, s).sum()),
        "Both parts are summed over cells too, so that the loss grows with the minibatch. Average over cells.",
    ),
    "bce-summed-over-cells": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(), _kl(m, s).sum(dim=-1).mean()),
        "The cross-entropy is summed over cells, and the KL is averaged over them. Average both over cells.",
    ),
    "kl-summed-over-cells": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s).sum()),
        "The KL is summed over cells too, while the cross-entropy is averaged over them. If you take it from "
        "kl_standard_normal, that has summed over latents already, so another sum runs over cells.",
    ),
    "sum-and-mean-swapped": (
        lambda x, a, m, s: _loss_of(_bce(x, a).mean(dim=-1).sum(), _kl(m, s).mean(dim=-1).sum()),
        "Sum and mean are swapped in both parts: you average over genes or latents and sum over cells.",
    ),
    "sum-and-mean-swapped-in-bce": (
        lambda x, a, m, s: _loss_of(_bce(x, a).mean(dim=-1).sum(), _kl(m, s).sum(dim=-1).mean()),
        "Sum and mean are swapped in the cross-entropy: you average over genes and sum over cells.",
    ),
    "sum-and-mean-swapped-in-kl": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s).mean(dim=-1).sum()),
        "Sum and mean are swapped in the KL: you average over latents and sum over cells.",
    ),
    "per-cell": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1), _kl(m, s).sum(dim=-1)),
        "There is one number for every cell. Average over the cells, so that three single numbers come out.",
    ),
    "sign-of-bce": (
        lambda x, a, m, s: _loss_of(-_bce(x, a).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean()),
        "The cross-entropy has the wrong sign: it is minus the log-probability, and a loss is to be small.",
    ),
    "sign-of-kl": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), -_kl(m, s).sum(dim=-1).mean()),
        "The KL has the wrong sign: training would drive the posterior away from the prior without end.",
    ),
    "kl-subtracted": (
        lambda x, a, m, s: (
            _bce(x, a).sum(dim=-1).mean() - _kl(m, s).sum(dim=-1).mean(),
            _bce(x, a).sum(dim=-1).mean(),
            _kl(m, s).sum(dim=-1).mean(),
        ),
        "The total subtracts the KL. The negative ELBO is their sum.",
    ),
    "kl-left-out": (
        lambda x, a, m, s: (
            _bce(x, a).sum(dim=-1).mean(),
            _bce(x, a).sum(dim=-1).mean(),
            _kl(m, s).sum(dim=-1).mean(),
        ),
        "The total is the cross-entropy alone. Add the KL, or nothing keeps the latents near the prior.",
    ),
    "order": (
        lambda x, a, m, s: _loss_of(_kl(m, s).sum(dim=-1).mean(), _bce(x, a).sum(dim=-1).mean()),
        "bce and kl are swapped: the order is total, bce, kl.",
    ),
    "total-last": (
        lambda x, a, m, s: (lambda total, bce, kl: (bce, kl, total))(
            *_loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean())
        ),
        "The three are right, but the total comes last. The order is total, bce, kl.",
    ),
    "variance-for-logvar": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, s.exp()).sum(dim=-1).mean()),
        "The KL is that of exp(logvar) taken for a log-variance: the exponential is applied twice. "
        "kl_standard_normal takes the log-variance as it is.",
    ),
    "mean-and-logvar-swapped": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(s, m).sum(dim=-1).mean()),
        "mean and logvar are swapped in the KL.",
    ),
    "half-forgotten": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), 2 * _kl(m, s).sum(dim=-1).mean()),
        "The KL is twice as large as it should be: its factor 1/2 is missing.",
    ),
    "x-and-logits-swapped": (
        lambda x, a, m, s: _loss_of(_bce(a, x).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean()),
        "x and logits are swapped in the cross-entropy: bernoulli_log_prob takes the outcomes first.",
    ),
    "logvar-as-variance": (
        lambda x, a, m, s: _loss_of(
            _bce(x, a).sum(dim=-1).mean(), 0.5 * (s + m**2 - 1 - torch.log(s)).sum(dim=-1).mean()
        ),
        "logvar is treated as the variance. It is its logarithm, so the variance is exp(logvar).",
    ),
    "logvar-as-log-sd": (
        lambda x, a, m, s: _loss_of(_bce(x, a).sum(dim=-1).mean(), _kl(m, 2 * s).sum(dim=-1).mean()),
        "logvar is treated as the logarithm of the standard deviation. It is the logarithm of the variance.",
    ),
    "logits-as-probabilities": (
        lambda x, a, m, s: _loss_of(
            -(x * torch.log(a) + (1 - x) * torch.log(1 - a)).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean()
        ),
        "The logits are treated as probabilities, so that logarithms of negative numbers come out.",
    ),
    "sigmoid-twice": (
        lambda x, a, m, s: _loss_of(_bce(x, torch.sigmoid(a)).sum(dim=-1).mean(), _kl(m, s).sum(dim=-1).mean()),
        "The sigmoid is applied twice: the function that takes logits applies it itself.",
    ),
    "log-of-sigmoid": (
        lambda x, a, m, s: _loss_of(
            -(x * torch.log(torch.sigmoid(a)) + (1 - x) * torch.log(1 - torch.sigmoid(a))).sum(dim=-1).mean(),
            _kl(m, s).sum(dim=-1).mean(),
        ),
        "Right for small logits, but for large ones the sigmoid rounds to 0 or 1, and its logarithm is "
        "infinite. Stay with the logits, as in exercise 1.1.",
    ),
}
