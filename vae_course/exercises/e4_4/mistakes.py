"""Exercise 4.4: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import math

import torch
from torch import Tensor


def log_mean_exp(terms: Tensor) -> Tensor:
    return torch.logsumexp(terms, dim=0) - math.log(len(terms))


MISTAKES = {
    "elbo": (
        lambda joint, q: (joint - q).mean(dim=0),
        "This is the ELBO, the mean of logs. The log of the mean is needed, which is never smaller.",
    ),
    "log-s-forgotten": (
        lambda joint, q: torch.logsumexp(joint - q, dim=0),
        "This is the log of a sum: the more draws, the larger. A mean divides by the number of draws.",
    ),
    "log-s-added": (
        lambda joint, q: torch.logsumexp(joint - q, dim=0) + math.log(len(joint)),
        "The log of the number of draws has the wrong sign: a mean divides by it.",
    ),
    "divided-by-s": (
        lambda joint, q: torch.logsumexp(joint - q, dim=0) / len(joint),
        "You divided the logarithm by the number of draws. Dividing inside a log is subtracting outside.",
    ),
    "s-subtracted": (
        lambda joint, q: torch.logsumexp(joint - q, dim=0) - len(joint),
        "You subtracted the number of draws. Outside of the log its logarithm is needed.",
    ),
    "number-of-cells": (
        lambda joint, q: torch.logsumexp(joint - q, dim=0) - math.log(joint.shape[1]),
        "You divided by the number of cells. What is averaged over are the draws, the first axis.",
    ),
    "number-of-entries": (
        lambda joint, q: torch.logsumexp(joint - q, dim=0) - math.log(joint.numel()),
        "You divided by the number of all entries. What is averaged over are the draws, the first axis.",
    ),
    "unstable": (
        lambda joint, q: torch.log(torch.exp(joint - q).mean(dim=0)),
        "Right for small numbers, but at -10,000 every exponential rounds to 0, and its logarithm is minus "
        "infinity. torch.logsumexp does both steps at once, safely.",
    ),
    "densities-divided": (
        lambda joint, q: torch.log((torch.exp(joint) / torch.exp(q)).mean(dim=0)),
        "Right for small numbers, but at -10,000 every density rounds to 0. Stay with logarithms, where a "
        "quotient is a difference, and sum with torch.logsumexp.",
    ),
    "epsilon-in-the-log": (
        lambda joint, q: torch.log(torch.exp(joint - q).mean(dim=0) + 1e-8),
        "The small number inside the logarithm hides the infinities but gives wrong values. Stay with "
        "logarithms: torch.logsumexp needs none.",
    ),
    "global-maximum": (
        lambda joint, q: (joint - q).max() + torch.log(torch.exp(joint - q - (joint - q).max()).mean(dim=0)),
        "You shift all cells by one maximum. Cells may lie thousands of nats apart, so each needs its own.",
    ),
    "maximum-not-added-back": (
        lambda joint, q: log_mean_exp(joint - q - (joint - q).amax(dim=0)),
        "The maximum is subtracted before the exponential, but never comes back. What is taken out inside of "
        "the log has to be added outside.",
    ),
    "global-maximum-not-added-back": (
        lambda joint, q: log_mean_exp(joint - q - (joint - q).max()),
        "The maximum of everything is subtracted before the exponential, but never comes back. What is taken "
        "out inside of the log has to be added outside.",
    ),
    "maximum": (
        lambda joint, q: (joint - q).amax(dim=0) - math.log(len(joint)),
        "Only the largest term of each cell is used. All draws count.",
    ),
    "maximum-alone": (
        lambda joint, q: (joint - q).amax(dim=0),
        "You took the largest of the draws. The log of the mean of their exponentials is needed.",
    ),
    "sign": (
        lambda joint, q: -log_mean_exp(joint - q),
        "The sign is wrong: this is *minus* the log-likelihood, which one would minimise.",
    ),
    "ratio-upside-down": (
        lambda joint, q: log_mean_exp(q - joint),
        "The ratio is upside down: it is q over the joint. The joint is divided by q.",
    ),
    "harmonic-mean": (
        lambda joint, q: -log_mean_exp(q - joint),
        "You average q over the joint and invert at the end. Averages and inverses do not change places: "
        "average the joint over q.",
    ),
    "q-added": (
        lambda joint, q: log_mean_exp(joint + q),
        "log q is added. The weights are the joint divided by q, so it is subtracted.",
    ),
    "q-forgotten": (
        lambda joint, q: log_mean_exp(joint) + 0 * q.sum(dim=0),
        "log q is not used: draws from q have to be divided by their density.",
    ),
    "difference-of-sums": (
        lambda joint, q: torch.logsumexp(joint, dim=0) - torch.logsumexp(q, dim=0),
        "You divided one average by another. What is needed is the average of quotients, draw by draw.",
    ),
    "quotient-of-logs": (
        lambda joint, q: log_mean_exp(joint / q),
        "You divided two logarithms. The logarithm of a quotient is a difference of logarithms.",
    ),
    "wrong-axis": (
        lambda joint, q: torch.logsumexp(joint - q, dim=1) - math.log(joint.shape[1]),
        "You averaged over the cells. The draws are the first axis.",
    ),
    "wrong-axis-but-s": (
        lambda joint, q: torch.logsumexp(joint - q, dim=-1) - math.log(joint.shape[0]),
        "You summed over the last axis, the cells. The draws are the first axis.",
    ),
    "everything": (
        lambda joint, q: log_mean_exp((joint - q).flatten()),
        "You averaged over the cells too. Every cell has a likelihood of its own.",
    ),
    "summed-over-cells": (
        lambda joint, q: log_mean_exp(joint - q).sum(),
        "You summed over the cells. Every cell has a likelihood of its own.",
    ),
    "likelihood": (
        lambda joint, q: torch.exp(joint - q).mean(dim=0),
        "You return the likelihood itself, which rounds to 0 for most cells. Its logarithm is needed.",
    ),
    "self-normalised": (
        lambda joint, q: (torch.softmax(joint - q, dim=0) * (joint - q)).sum(dim=0),
        "You averaged the logs with normalised weights. What is averaged are the weights themselves, and the "
        "logarithm comes last.",
    ),
}
