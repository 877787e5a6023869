"""Exercise 1.3: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import Tensor


def _kl_of(log_ratio: Tensor, quadratic: Tensor, minus: float = 1.0) -> Tensor:
    return 0.5 * (log_ratio + quadratic - minus)


MISTAKES = {
    "swapped": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vq / vp), (vp + (mq - mp) ** 2) / vq),
        "This is KL(p, q). The first distribution is the one that is averaged over: KL(q, p) is needed.",
    ),
    "variance-for-standard-deviation": (
        lambda mq, vq, mp, vp: _kl_of(2 * torch.log(vp / vq), (vq**2 + (mq - mp) ** 2) / vp**2),
        "You treat the variances as standard deviations and square them. They are variances already.",
    ),
    "missing-one": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp, minus=0.0),
        "The term -1 is missing: the KL of a distribution to itself should be 0, yours is 0.5.",
    ),
    "one-outside": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp, minus=2.0),
        "The 1 stands outside the factor 1/2: the KL of a distribution to itself should be 0, yours is -0.5.",
    ),
    "no-half": (
        lambda mq, vq, mp, vp: 2 * _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp),
        "Everything is twice as large as it should be: the factor 1/2 is missing.",
    ),
    "log-inverted": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vq / vp), (vq + (mq - mp) ** 2) / vp),
        "The logarithm is upside down: it should be the variance of p over that of q.",
    ),
    "half-missing-on-the-log": (
        lambda mq, vq, mp, vp: _kl_of(2 * torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp),
        "The logarithm needs the factor 1/2 too: these are variances, and the log of a standard deviation is "
        "half the log of its variance.",
    ),
    "half-twice-on-the-log": (
        lambda mq, vq, mp, vp: _kl_of(0.5 * torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp),
        "The logarithm is halved twice: once by the square root and once by the factor 1/2 before everything.",
    ),
    "mean-not-squared": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp)) / vp),
        "The distance of the means is not squared.",
    ),
    "wrong-denominator": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vp + (mq - mp) ** 2) / vq),
        "The quotient is upside down: the spread of q is measured in units of the variance of p.",
    ),
    "divided-by-var-q": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vq),
        "The spread and the shift are divided by the variance of q. They are measured in units of the variance "
        "of p, whose logarithm they come from.",
    ),
    "half-on-the-log-only": (
        lambda mq, vq, mp, vp: 0.5 * torch.log(vp / vq) + (vq + (mq - mp) ** 2) / vp - 1,
        "Only the logarithm has the factor 1/2. It belongs to all the terms: put brackets around them.",
    ),
    "variances-squared": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq**2 + (mq - mp) ** 2) / vp**2),
        "The variances are squared. `var_q` and `var_p` are variances already.",
    ),
    "variance-not-divided": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), vq + (mq - mp) ** 2 / vp),
        "var_q is not divided by var_p: the whole expectation of (z - mean_p)^2 is.",
    ),
    "mean-not-divided": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), vq / vp + (mq - mp) ** 2),
        "The squared distance of the means is not divided by the variance of p.",
    ),
    "standard-normal-only": (
        lambda mq, vq, mp, vp: _kl_of(-torch.log(vq), vq + mq**2) + 0 * (mp + vp),
        "This is the KL to a standard normal. `mean_p` and `var_p` have to enter.",
    ),
    "summed": (
        lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp).sum(),
        "You summed over the entries. The function works elementwise; sums come later.",
    ),
}
