"""Exercise 1.5: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from torch import Tensor


def _standard_error(terms: Tensor) -> Tensor:
    return terms.std() / len(terms) ** 0.5


def _estimate_of(terms: Tensor) -> tuple[Tensor, Tensor]:
    return terms.mean(), _standard_error(terms)


MISTAKES = {
    "sign": (
        lambda z, q, p: _estimate_of(p(z) - q(z)),
        "The sign is wrong: the KL averages log q - log p, and is never negative but for noise.",
    ),
    "standard-deviation": (
        lambda z, q, p: ((q(z) - p(z)).mean(), (q(z) - p(z)).std()),
        "The second number is the standard deviation of a single term. The error of a mean of S terms is "
        "smaller, by the square root of S.",
    ),
    "divided-by-S": (
        lambda z, q, p: ((q(z) - p(z)).mean(), (q(z) - p(z)).std() / len(z)),
        "You divided the standard deviation by S. The error of a mean falls with the *square root* of S.",
    ),
    "variance": (
        lambda z, q, p: ((q(z) - p(z)).mean(), (q(z) - p(z)).var() / len(z)),
        "The second number is the squared standard error: take its square root.",
    ),
    "population-standard-deviation": (
        lambda z, q, p: ((q(z) - p(z)).mean(), (q(z) - p(z)).std(unbiased=False) / len(z) ** 0.5),
        "The standard deviation divides by S. From a sample it divides by S - 1, as torch.std does by itself.",
    ),
    "variance-of-the-terms": (
        lambda z, q, p: ((q(z) - p(z)).mean(), (q(z) - p(z)).var()),
        "The second number is the variance of a single term. Take its root, and divide by the root of S.",
    ),
    "root-of-S-minus-one": (
        lambda z, q, p: ((q(z) - p(z)).mean(), (q(z) - p(z)).std() / (len(z) - 1) ** 0.5),
        "You divided by the root of S - 1. The standard deviation has its n - 1 inside already; divide by the "
        "root of S.",
    ),
    "divided-by-all-entries": (
        lambda z, q, p: ((q(z) - p(z)).mean(), (q(z) - p(z)).std() / z.numel() ** 0.5),
        "You counted all entries of sample_q. The number of draws S is the number of its rows.",
    ),
    "absolute": (
        lambda z, q, p: _estimate_of((q(z) - p(z)).abs()),
        "You took absolute values. Single terms may well be negative; only their average is not.",
    ),
    "ratio-of-logs": (
        lambda z, q, p: _estimate_of(q(z) / p(z)),
        "You divided log q by log p. The logarithm of a quotient is a difference of logarithms.",
    ),
    "estimate-only": (
        lambda z, q, p: (q(z) - p(z)).mean(),
        "You return the estimate alone. Two numbers are needed, the estimate and its standard error.",
    ),
    "sum": (
        lambda z, q, p: ((q(z) - p(z)).sum(), _standard_error(q(z) - p(z))),
        "You summed the terms. An average of S terms is their mean.",
    ),
    "weighted-again": (
        lambda z, q, p: _estimate_of(q(z).exp() * (q(z) - p(z))),
        "You multiplied by the density of q. The draws are from q already, so likely values come up more often "
        "by themselves: an unweighted mean is needed.",
    ),
    "multiplied-by-log-q": (
        lambda z, q, p: _estimate_of(q(z) * (q(z) - p(z))),
        "You multiplied the terms by log q. The draws are from q already: an unweighted mean is needed.",
    ),
    "log-of-the-mean": (
        lambda z, q, p: ((q(z) - p(z)).exp().mean().log(), _standard_error(q(z) - p(z))),
        "You took the logarithm of a mean. The KL is the mean of logarithms, and the two differ.",
    ),
    "entropy-only": (
        lambda z, q, p: _estimate_of(q(z)),
        "log p is not used: the KL compares two distributions.",
    ),
    "cross-entropy-only": (
        lambda z, q, p: _estimate_of(-p(z)),
        "log q is not used: the KL compares two distributions.",
    ),
    "densities": (
        lambda z, q, p: _estimate_of(q(z).exp() - p(z).exp()),
        "You subtracted densities. The KL averages the difference of their logarithms.",
    ),
    "order-of-the-results": (
        lambda z, q, p: _estimate_of(q(z) - p(z))[::-1],
        "The two results are swapped: first the estimate, then its standard error.",
    ),
}
