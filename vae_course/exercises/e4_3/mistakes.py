"""Exercise 4.3: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch

from vae_course.exercises.e4_4.mistakes import log_mean_exp

MISTAKES = {
    "loss": (
        lambda likelihood, prior, q: -(likelihood + prior - q).mean(dim=0),
        "This is the loss, minus the ELBO. The bound itself is needed, of which more is better.",
    ),
    "sign-of-q": (
        lambda likelihood, prior, q: (likelihood + prior + q).mean(dim=0),
        "log q has the wrong sign: it is subtracted, since the bound averages log p(x, z) - log q(z).",
    ),
    "sign-of-the-kl": (
        lambda likelihood, prior, q: (likelihood - prior + q).mean(dim=0),
        "The KL has the wrong sign: log q - log p(z) averages to the KL, and the KL is subtracted.",
    ),
    "sign-of-the-prior": (
        lambda likelihood, prior, q: (likelihood - prior - q).mean(dim=0),
        "The log-prior has the wrong sign: together with the log-likelihood it makes the log of the joint.",
    ),
    "likelihood-subtracted": (
        lambda likelihood, prior, q: (prior - q - likelihood).mean(dim=0),
        "The log-likelihood has the wrong sign: a better reconstruction has to raise the bound.",
    ),
    "prior-forgotten": (
        lambda likelihood, prior, q: (likelihood - q).mean(dim=0) + 0 * prior.mean(dim=0),
        "The prior is not used. The joint p(x, z) is likelihood times prior.",
    ),
    "q-forgotten": (
        lambda likelihood, prior, q: (likelihood + prior).mean(dim=0) + 0 * q.mean(dim=0),
        "log q is not used: without it nothing stops q from shrinking to a point.",
    ),
    "reconstruction-only": (
        lambda likelihood, prior, q: likelihood.mean(dim=0) + 0 * (prior + q).mean(dim=0),
        "This is the reconstruction term alone. The KL from q to the prior is still to be subtracted.",
    ),
    "kl-only": (
        lambda likelihood, prior, q: (prior - q).mean(dim=0) + 0 * likelihood.mean(dim=0),
        "The log-likelihood is not used: this is minus the KL, without the reconstruction.",
    ),
    "sum-over-draws": (
        lambda likelihood, prior, q: (likelihood + prior - q).sum(dim=0),
        "You summed over the draws. An expectation is estimated by their mean.",
    ),
    "mean-over-cells": (
        lambda likelihood, prior, q: (likelihood + prior - q).mean(dim=1),
        "You averaged over the cells. The draws are the first axis.",
    ),
    "mean-over-everything": (
        lambda likelihood, prior, q: (likelihood + prior - q).mean(),
        "You averaged over cells too. Every cell has a bound of its own.",
    ),
    "sum-over-cells": (
        lambda likelihood, prior, q: (likelihood + prior - q).mean(dim=0).sum(),
        "You summed over cells. Every cell has a bound of its own.",
    ),
    "sum-over-latents": (
        lambda likelihood, prior, q: (likelihood + prior - q).sum(dim=-1),
        "You summed over the last axis, which holds the cells. What is averaged over is the first, the draws.",
    ),
    "not-averaged": (
        lambda likelihood, prior, q: likelihood + prior - q,
        "These are the terms of the single draws. Average them over the first axis.",
    ),
    "one-draw": (
        lambda likelihood, prior, q: (likelihood + prior - q)[0],
        "Only the first draw is used. Average over all of them (in a loop, return after it, not inside).",
    ),
    "return-inside-the-loop": (
        lambda likelihood, prior, q: (likelihood + prior - q)[0] / len(likelihood),
        "Only the first draw is counted, divided by the number of draws. Is the return inside the loop, which "
        "it then ends in the first round?",
    ),
    "log-mean-exp": (
        lambda likelihood, prior, q: log_mean_exp(likelihood + prior - q),
        "This is the log of a mean, an estimate of log p(x) itself. The bound is the mean of logs.",
    ),
    "log-sum-exp": (
        lambda likelihood, prior, q: torch.logsumexp(likelihood + prior - q, dim=0),
        "This is the log of a sum of exponentials. The bound is the plain mean of logs.",
    ),
    "log-of-mean": (
        lambda likelihood, prior, q: torch.log(torch.exp(likelihood + prior - q).mean(dim=0)),
        "You left the logarithms, averaged, and took the logarithm again: that estimates log p(x), unstably. "
        "The bound is the mean of logs.",
    ),
    "weighted-again": (
        lambda likelihood, prior, q: (torch.exp(q) * (likelihood + prior - q)).mean(dim=0),
        "You multiplied by the density q. The draws are from q already, so likely values come up more often "
        "by themselves.",
    ),
    "weighted-sum": (
        lambda likelihood, prior, q: (torch.exp(q) * (likelihood + prior - q)).sum(dim=0),
        "You multiplied by the density q and summed. The draws are from q already: a plain mean is needed.",
    ),
    "ratio-of-logs": (
        lambda likelihood, prior, q: ((likelihood + prior) / q).mean(dim=0),
        "You divided by log q. The logarithm of a quotient is a difference of logarithms.",
    ),
    "product-of-logs": (
        lambda likelihood, prior, q: (likelihood * prior - q).mean(dim=0),
        "You multiplied log-likelihood and log-prior. The logarithm of a product is a sum.",
    ),
    "exponentiated": (
        lambda likelihood, prior, q: torch.exp(likelihood + prior - q).mean(dim=0),
        "You left the logarithms: this averages p(x, z) / q(z). The bound is in nats, an average of logs.",
    ),
}
