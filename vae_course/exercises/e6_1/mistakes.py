"""Exercise 6.1: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable

import torch
from torch import Tensor


def _safely(combine: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Make an answer to 6.1 of a function of the bounds, of q and of log q, which is 0 where q is."""

    def answer(elbo_by_label: Tensor, log_q_y: Tensor) -> Tensor:
        q = torch.exp(log_q_y)
        return combine(elbo_by_label, q, log_q_y.masked_fill(q == 0, 0.0))

    return answer


def _second_softmax(bounds: Tensor, q: Tensor, log_q: Tensor) -> Tensor:
    """Take the probabilities for logits."""
    again = torch.softmax(q, dim=-1)
    return (again * (bounds - again.log())).sum(dim=-1)


MISTAKES = {
    "zero-times-infinity": (
        lambda e, log_q: (torch.exp(log_q) * (e - log_q)).sum(dim=-1),
        "Right as long as no probability is 0, but then log q is minus infinity, and 0 times infinity is NaN. A label "
        "that is ruled out should count as 0.",
    ),
    "entropy-forgotten": (
        _safely(lambda e, q, log_q: (q * e).sum(dim=-1)),
        "This is the mean bound of the labels, without - log q(y). That part is the entropy of q, and without it the "
        "best q would always be sure of one label.",
    ),
    "entropy-subtracted": (
        _safely(lambda e, q, log_q: (q * (e + log_q)).sum(dim=-1)),
        "log q has the wrong sign. It is subtracted, so that a q that is not sure gets something for it.",
    ),
    "plain-mean": (
        _safely(lambda e, q, log_q: (e - log_q).mean(dim=-1)),
        "You average over the labels as if they were equally probable. An expectation under q weighs each of them with "
        "its probability.",
    ),
    "plain-sum": (
        _safely(lambda e, q, log_q: (e - log_q).sum(dim=-1)),
        "You sum over the labels without weights. An expectation under q weighs each of them with its probability.",
    ),
    "mean-of-the-weighted": (
        _safely(lambda e, q, log_q: (q * (e - log_q)).mean(dim=-1)),
        "You divide by the number of labels. The probabilities sum to 1 already, so the weighted terms are summed.",
    ),
    "entropy-not-weighted": (
        _safely(lambda e, q, log_q: (q * e - log_q).sum(dim=-1)),
        "Only the bounds are weighted with q. The expectation is of the whole bracket, of log q as well.",
    ),
    "mean-of-logs": (
        _safely(lambda e, q, log_q: (q * e).sum(dim=-1) - log_q.mean(dim=-1)),
        "Of log q you take a plain mean over the labels. It is weighted with q, as the bounds are.",
    ),
    "log-sum-exp": (
        lambda e, log_q: torch.logsumexp(e, dim=-1) + 0 * torch.exp(log_q).sum(dim=-1),
        "This is the log of the sum over labels, what the best q would reach, and it does not depend on the q that you "
        "were given. The bound is the mean of logs under that one.",
    ),
    "log-of-the-mean": (
        lambda e, log_q: torch.logsumexp(e + log_q, dim=-1),
        "This is the log of a mean under q. The bound is the mean of logs, and has the entropy of q besides.",
    ),
    "not-exponentiated": (
        lambda e, log_q: (log_q * (e - log_q)).sum(dim=-1),
        "You weigh with log q, which is negative. The weights are the probabilities, exp of it.",
    ),
    "taken-for-probabilities": (
        lambda e, log_q: (log_q * (e - torch.log(log_q))).sum(dim=-1),
        "You take log_q_y for probabilities, and the log of a negative number is NaN. It is their logarithm already: "
        "the probabilities are exp of it.",
    ),
    "probability-for-its-log": (
        _safely(lambda e, q, log_q: (q * (e - q)).sum(dim=-1)),
        "You subtract the probability. Its logarithm is to be subtracted.",
    ),
    "second-softmax": (
        _safely(_second_softmax),
        "You put the probabilities through a softmax, as if they were logits, which makes every q nearly even. exp of "
        "log_q_y is all that is needed.",
    ),
    "most-probable-label": (
        lambda e, log_q: e.gather(-1, log_q.argmax(dim=-1, keepdim=True)).squeeze(-1),
        "You take the bound of the most probable label alone. All labels count, each with its probability.",
    ),
    "best-label": (
        lambda e, log_q: e.amax(dim=-1) + 0 * torch.exp(log_q).sum(dim=-1),
        "You take the largest bound of all labels. All of them count, each with its probability.",
    ),
    "over-cells": (
        _safely(lambda e, q, log_q: (q * (e - log_q)).sum(dim=0)),
        "You sum over the cells, the first axis. The labels are the last one.",
    ),
    "sum-of-all": (
        _safely(lambda e, q, log_q: (q * (e - log_q)).sum()),
        "You sum over cells as well. Every cell has a bound of its own.",
    ),
    "mean-of-all-cells": (
        _safely(lambda e, q, log_q: (q * (e - log_q)).sum(dim=-1).mean()),
        "You average over cells as well. Every cell has a bound of its own.",
    ),
    "not-summed": (
        _safely(lambda e, q, log_q: q * (e - log_q)),
        "These are the terms of the single labels. Sum them, and there is one number for every cell.",
    ),
    "loss": (
        _safely(lambda e, q, log_q: -(q * (e - log_q)).sum(dim=-1)),
        "This is minus the bound, what one would minimise. The bound itself is needed, of which more is better.",
    ),
    "entropy-only": (
        _safely(lambda e, q, log_q: -(q * log_q).sum(dim=-1) + 0 * e.sum(dim=-1)),
        "This is the entropy of q alone. The bounds of the labels, weighted with q, are still to be added.",
    ),
}
