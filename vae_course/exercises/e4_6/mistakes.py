"""Exercise 4.6: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch

from vae_course.exercises.e4_4.mistakes import log_mean_exp

MISTAKES = {
    "order-of-the-results": (
        lambda joint, q, log_px: (log_px - (joint - q).mean(dim=0), (joint - q).mean(dim=0)),
        "The two results are swapped: first the ELBO, then the gap.",
    ),
    "sign-of-the-gap": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0), (joint - q).mean(dim=0) - log_px),
        "The gap has the wrong sign: a KL divergence says how far the ELBO lies below log p(x).",
    ),
    "loss": (
        lambda joint, q, log_px: ((q - joint).mean(dim=0), log_px + (q - joint).mean(dim=0)),
        "The gap is right. The first result is minus the ELBO, the loss.",
    ),
    "loss-subtracted": (
        lambda joint, q, log_px: ((q - joint).mean(dim=0), log_px - (q - joint).mean(dim=0)),
        "You computed the loss, minus the ELBO, and subtracted that from log p(x). Mind the sign of the bound.",
    ),
    "evidence-added": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0), log_px + (joint - q).mean(dim=0)),
        "The ELBO is right, but you added log p(x) to it. Bound and gap add up to log p(x).",
    ),
    "evidence-forgotten": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0), (q - joint).mean(dim=0) + 0 * log_px),
        "The gap lacks log p(x): the posterior is the joint divided by p(x), which adds its logarithm.",
    ),
    "evidence-in-both": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0) + log_px, log_px - (joint - q).mean(dim=0)),
        "log p(x) does not belong to the ELBO, which can be computed without it. It comes in with the gap alone.",
    ),
    "sign-of-q": (
        lambda joint, q, log_px: ((joint + q).mean(dim=0), log_px - (joint + q).mean(dim=0)),
        "log q has the wrong sign: the bound averages log p(x, z) - log q(z|x).",
    ),
    "q-forgotten": (
        lambda joint, q, log_px: (joint.mean(dim=0) + 0 * q.mean(dim=0), log_px - joint.mean(dim=0)),
        "log q is not used: the bound averages the log of the joint divided by q.",
    ),
    "log-mean-exp": (
        lambda joint, q, log_px: (log_mean_exp(joint - q), log_px - log_mean_exp(joint - q)),
        "This is the log of a mean, an estimate of log p(x) itself, which leaves no gap. The bound is a mean of logs.",
    ),
    "elbo-and-log-mean-exp": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0), log_mean_exp(joint - q) - (joint - q).mean(dim=0)),
        "The ELBO is right. For the gap you estimated log p(x) from the draws, but it is given.",
    ),
    "no-gap-below-zero": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0), (log_px - (joint - q).mean(dim=0)).clamp(min=0)),
        "A KL is never negative, but an estimate of it from a few draws may be. Cut off at 0 it is too large on "
        "average, and the two no longer add up to log p(x).",
    ),
    "absolute-gap": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0), (log_px - (joint - q).mean(dim=0)).abs()),
        "A KL is never negative, but an estimate of it from a few draws may be. Leave its sign alone: the two add up "
        "to log p(x).",
    ),
    "sum-over-draws": (
        lambda joint, q, log_px: ((joint - q).sum(dim=0), log_px - (joint - q).sum(dim=0)),
        "You summed over the draws. An expectation is estimated by their mean.",
    ),
    "sum-of-gaps": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0), (log_px - (joint - q)).sum(dim=0)),
        "The ELBO is right. For the gap you summed over the draws instead of averaging.",
    ),
    "mean-over-cells": (
        lambda joint, q, log_px: ((joint - q).mean(dim=1), log_px.mean() - (joint - q).mean(dim=1)),
        "You averaged over the cells. The draws are the first axis.",
    ),
    "mean-over-everything": (
        lambda joint, q, log_px: ((joint - q).mean(), (log_px - (joint - q)).mean()),
        "You averaged over cells too. Every cell has a bound and a gap of its own.",
    ),
    "one-gap-for-all": (
        lambda joint, q, log_px: ((joint - q).mean(dim=0), (log_px - (joint - q).mean(dim=0)).mean()),
        "The ELBO is right. The gap is averaged over the cells, and every cell has one of its own.",
    ),
    "not-averaged": (
        lambda joint, q, log_px: (joint - q, log_px - (joint - q)),
        "These are the terms of the single draws. Average them over the first axis.",
    ),
    "one-draw": (
        lambda joint, q, log_px: ((joint - q)[0], log_px - (joint - q)[0]),
        "Only the first draw is used. Average over all of them.",
    ),
    "exponentiated": (
        lambda joint, q, log_px: (torch.exp(joint - q).mean(dim=0), log_px - torch.exp(joint - q).mean(dim=0)),
        "You left the logarithms: this averages p(x, z) / q(z|x). The bound is in nats, an average of logs.",
    ),
    "weighted-again": (
        lambda joint, q, log_px: (
            (torch.exp(q) * (joint - q)).mean(dim=0),
            log_px - (torch.exp(q) * (joint - q)).mean(dim=0),
        ),
        "You multiplied by the density q. The draws are from q already, so likely values come up more often "
        "by themselves.",
    ),
}
