"""Exercise 1.2: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import math

import torch
from torch import Tensor


def _normal_of(log_scale: Tensor, quadratic: Tensor, constant: float = 2 * math.pi) -> Tensor:
    return -0.5 * (math.log(constant) + log_scale + quadratic)


MISTAKES = {
    "variance-for-standard-deviation": (
        lambda x, m, v: _normal_of(2 * torch.log(v), (x - m) ** 2 / v**2),
        "You treat `var` as a standard deviation and square it. It is the variance: the square is in it already.",
    ),
    "missing-constant": (
        lambda x, m, v: _normal_of(torch.log(v), (x - m) ** 2 / v, constant=1.0),
        "The constant is missing: everything is off by 0.919, which is half of log(2 pi).",
    ),
    "missing-log-variance": (
        lambda x, m, v: _normal_of(torch.zeros(()), (x - m) ** 2 / v),
        "The term with log(var) is missing: a narrow density has to be higher.",
    ),
    "no-half": (
        lambda x, m, v: 2 * _normal_of(torch.log(v), (x - m) ** 2 / v),
        "Everything is twice as large as it should be: the factor 1/2 is missing.",
    ),
    "half-on-the-distance-only": (
        lambda x, m, v: -math.log(2 * math.pi) - torch.log(v) - 0.5 * (x - m) ** 2 / v,
        "The factor 1/2 belongs to all three terms: the square root of 2 pi var became half of a logarithm.",
    ),
    "half-missing-on-the-constant": (
        lambda x, m, v: -math.log(2 * math.pi) - 0.5 * torch.log(v) - 0.5 * (x - m) ** 2 / v,
        "The factor 1/2 of the constant is missing: everything is off by 0.919, which is half of log(2 pi).",
    ),
    "log-standard-deviation": (
        lambda x, m, v: _normal_of(0.5 * torch.log(v), (x - m) ** 2 / v),
        "The logarithm of the variance is halved twice: log of the standard deviation is already half of it.",
    ),
    "sign": (
        lambda x, m, v: -_normal_of(torch.log(v), (x - m) ** 2 / v),
        "The sign is wrong: points far from the mean should have the lower log-density.",
    ),
    "sign-of-the-distance": (
        lambda x, m, v: _normal_of(torch.log(v), -((x - m) ** 2) / v),
        "The squared distance has the wrong sign: points far from the mean should be less likely.",
    ),
    "sign-of-the-log-variance": (
        lambda x, m, v: _normal_of(-torch.log(v), (x - m) ** 2 / v),
        "log(var) has the wrong sign: a narrow density has to be higher.",
    ),
    "distance-over-squared-variance": (
        lambda x, m, v: _normal_of(torch.log(v), (x - m) ** 2 / v**2),
        "The squared distance is divided by the square of `var`. `var` is the variance, a square already.",
    ),
    "distance-over-standard-deviation": (
        lambda x, m, v: _normal_of(torch.log(v), (x - m) ** 2 / v.sqrt()),
        "The squared distance is divided by the standard deviation. It is divided by the variance.",
    ),
    "half-on-the-constant-only": (
        lambda x, m, v: -0.5 * math.log(2 * math.pi) + torch.log(v) + (x - m) ** 2 / v,
        "Only the constant has the factor -1/2. It belongs to all three terms: put brackets around them.",
    ),
    "constant-without-log": (
        lambda x, m, v: _normal_of(torch.log(v), (x - m) ** 2 / v, constant=math.exp(2 * math.pi)),
        "The constant is 2 pi instead of its logarithm, so that everything is off by 2.223.",
    ),
    "not-squared": (
        lambda x, m, v: _normal_of(torch.log(v), (x - m) / v),
        "The distance to the mean is not squared, so that left and right are not alike.",
    ),
    "density": (
        lambda x, m, v: torch.exp(_normal_of(torch.log(v), (x - m) ** 2 / v)),
        "You return the density. Its logarithm is needed.",
    ),
    "log-of-density": (
        lambda x, m, v: torch.log(torch.exp(-0.5 * (x - m) ** 2 / v) / torch.sqrt(2 * math.pi * v)),
        "You compute the density and take its logarithm. Far from the mean the density rounds to 0, and log(0) "
        "is minus infinity: simplify the logarithm on paper first.",
    ),
    "summed": (
        lambda x, m, v: _normal_of(torch.log(v), (x - m) ** 2 / v).sum(),
        "You summed over the entries. The function works elementwise; sums come later.",
    ),
}
