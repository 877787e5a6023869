"""Exercise 1.6: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch

MISTAKES = {
    "not-normalized": (
        lambda prior, likelihood: prior + likelihood,
        "This is the log of the joint, prior times likelihood. Divide by p(x), so that the probabilities over "
        "the grid sum to 1.",
    ),
    "unstable": (
        lambda prior, likelihood: torch.log(
            torch.exp(prior + likelihood) / torch.exp(prior + likelihood).sum(dim=-1, keepdim=True)
        ),
        "Right for small numbers, but at -10,000 every exponential rounds to 0, and the sum with them. Stay "
        "with logarithms: torch.logsumexp.",
    ),
    "unstable-difference": (
        lambda prior, likelihood: (
            prior + likelihood - torch.log(torch.exp(prior + likelihood).sum(dim=-1, keepdim=True))
        ),
        "Right for small numbers, but at -10,000 the sum of exponentials rounds to 0, and you take its "
        "logarithm. torch.logsumexp does both steps at once, safely.",
    ),
    "wrong-axis": (
        lambda prior, likelihood: torch.log_softmax(prior + likelihood, dim=0),
        "Right for one cell, wrong for several: you normalise over the first axis. The grid is the last one.",
    ),
    "all-cells-together": (
        lambda prior, likelihood: prior + likelihood - (prior + likelihood).flatten().logsumexp(dim=0),
        "Right for one cell, wrong for several: every cell has a posterior of its own, so normalise over the "
        "last axis only.",
    ),
    "probabilities": (
        lambda prior, likelihood: torch.softmax(prior + likelihood, dim=-1),
        "You return probabilities. Their logarithms are needed.",
    ),
    "product-of-logs": (
        lambda prior, likelihood: torch.log_softmax(prior * likelihood, dim=-1),
        "You multiplied logarithms. The logarithm of a product is a sum.",
    ),
    "product-of-logs-alone": (
        lambda prior, likelihood: prior * likelihood,
        "You multiplied logarithms, and did not normalise. The logarithm of a product is a sum.",
    ),
    "divided-by-the-log": (
        lambda prior, likelihood: (prior + likelihood) / torch.logsumexp(prior + likelihood, dim=-1, keepdim=True),
        "You divided by log p(x). With logarithms, dividing by p(x) becomes subtracting.",
    ),
    "log-of-softmax": (
        lambda prior, likelihood: torch.log(torch.softmax(prior + likelihood, dim=-1)),
        "Right for small numbers, but at -10,000 most probabilities round to 0, whose logarithm is minus "
        "infinity. Never leave the logarithms.",
    ),
    "global-maximum": (
        lambda prior, likelihood: prior + likelihood - (prior + likelihood).max() + 0 * prior,
        "You subtracted one maximum for all cells. Every cell has its own sum over the grid to divide by.",
    ),
    "prior-ignored": (
        lambda prior, likelihood: torch.log_softmax(0 * prior + likelihood, dim=-1),
        "The prior is not used: this is the likelihood, normalised.",
    ),
    "likelihood-ignored": (
        lambda prior, likelihood: torch.log_softmax(prior + 0 * likelihood, dim=-1),
        "The likelihood is not used: nothing is learned from the data.",
    ),
    "likelihood-normalized": (
        lambda prior, likelihood: prior + torch.log_softmax(likelihood, dim=-1),
        "You normalised the likelihood alone. What has to sum to 1 is prior times likelihood.",
    ),
    "maximum": (
        lambda prior, likelihood: prior + likelihood - (prior + likelihood).amax(dim=-1, keepdim=True),
        "You subtracted the largest value, so that the most likely point gets probability 1. Subtract the log "
        "of the *sum* of all.",
    ),
    "sum-of-logs": (
        lambda prior, likelihood: prior + likelihood - (prior + likelihood).sum(dim=-1, keepdim=True),
        "You subtracted the sum of the logarithms. p(x) is the sum of the probabilities: logarithm of a sum.",
    ),
    "lost-axis": (
        lambda prior, likelihood: prior + likelihood - (prior + likelihood).logsumexp(dim=-1),
        "The log-sum-exp of every cell lines up with the wrong axis: keep the summed axis (keepdim=True).",
    ),
}
