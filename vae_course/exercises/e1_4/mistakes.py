"""Exercise 1.4: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import torch
from torch import Tensor


def _multivariate_kl_of(
    mean_q: Tensor, cov_q: Tensor, mean_p: Tensor, cov_p: Tensor, sign: float = 1, minus: float = 1, log_sign: float = 1
) -> Tensor:
    """KL of two Gaussians with chosen signs of its terms; all at 1 give the right answer."""
    shift, inverse = mean_p - mean_q, torch.linalg.inv(cov_p)
    log_ratio = torch.logdet(cov_p) - torch.logdet(cov_q)
    distance = shift @ inverse @ shift
    return 0.5 * (torch.trace(inverse @ cov_q) + sign * distance - minus * len(shift) + log_sign * log_ratio)


def _diagonal(cov: Tensor) -> Tensor:
    return torch.diag(torch.diag(cov))


MISTAKES = {
    "slip-in-the-sign": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, sign=-1),
        "The quadratic term has the wrong sign: both factors have to be the same difference of the means, so "
        "that their product is a squared distance.",
    ),
    "swapped": (
        lambda mq, q, mp, p: _multivariate_kl_of(mp, p, mq, q),
        "This is KL(p, q). The first distribution is the one that is averaged over: KL(q, p) is needed.",
    ),
    "log-inverted": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, log_sign=-1),
        "The ratio of determinants is upside down: |P| over |Q|.",
    ),
    "missing-k": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, minus=0),
        "The term -k is missing: the KL of a distribution to itself should be 0.",
    ),
    "one-for-k": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, minus=1 / len(mq)),
        "You subtract 1. In k dimensions it is k: the KL of a distribution to itself should be 0.",
    ),
    "no-half": (
        lambda mq, q, mp, p: 2 * _multivariate_kl_of(mq, q, mp, p),
        "Everything is twice as large as it should be: the factor 1/2 is missing.",
    ),
    "diagonals-only": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, _diagonal(q), mp, _diagonal(p)),
        "Only the diagonals of the covariances enter. The other entries, the correlations, count too.",
    ),
    "elementwise-quotient": (
        lambda mq, q, mp, p: (
            _multivariate_kl_of(mq, q, mp, p)
            + 0.5 * (torch.diag(q) / torch.diag(p)).sum()
            - 0.5 * torch.trace(torch.linalg.solve(p, q))
        ),
        "Q / P divides entry by entry. The trace needs the matrix inverse: torch.linalg.solve or inv.",
    ),
    "elementwise-product": (
        lambda mq, q, mp, p: (
            _multivariate_kl_of(mq, q, mp, p)
            + 0.5 * torch.trace(torch.linalg.inv(p) * q)
            - 0.5 * torch.trace(torch.linalg.solve(p, q))
        ),
        "P^-1 * Q multiplies entry by entry. The trace needs the matrix product, written @.",
    ),
    "reciprocal-for-inverse": (
        lambda mq, q, mp, p: (
            0.5 * (torch.trace((1 / p) @ q) + (mp - mq) @ (1 / p) @ (mp - mq) - len(mq))
            + 0.5 * (torch.logdet(p) - torch.logdet(q))
        ),
        "1 / P inverts entry by entry, which is not the inverse of a matrix. Use torch.linalg.inv or solve.",
    ),
    "two-for-k": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, minus=2 / len(mq)),
        "Right in two dimensions only: you subtract 2. In k dimensions it is k.",
    ),
    "ratio-of-logs": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, log_sign=0) + 0.5 * torch.logdet(p) / torch.logdet(q),
        "You divided two logarithms. The logarithm of a quotient is a difference of logarithms.",
    ),
    "no-inverse": (
        lambda mq, q, mp, p: (
            0.5 * (torch.trace(p @ q) + (mp - mq) @ p @ (mp - mq) - len(mq)) + 0.5 * (torch.logdet(p) - torch.logdet(q))
        ),
        "You multiply by P. Both the trace and the quadratic form hold its inverse.",
    ),
    "distance-by-q": (
        lambda mq, q, mp, p: (
            _multivariate_kl_of(mq, q, mp, p, sign=0) + 0.5 * (mp - mq) @ torch.linalg.solve(q, mp - mq)
        ),
        "The quadratic form has the inverse of Q. The shift of the means is measured with P.",
    ),
    "determinant-of-a-quotient": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, log_sign=0) + 0.5 * torch.logdet(p / q),
        "P / Q divides entry by entry. Take the two determinants first, then the difference of their logarithms.",
    ),
    "inverse-of-q": (
        lambda mq, q, mp, p: (
            0.5 * (torch.trace(torch.linalg.solve(q, p)) + (mp - mq) @ torch.linalg.solve(q, mp - mq))
            + 0.5 * (torch.logdet(p) - torch.logdet(q) - len(mq))
        ),
        "You invert the covariance of q. Distances are measured with that of p.",
    ),
    "determinant-without-log": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, log_sign=0) + 0.5 * torch.det(p) / torch.det(q),
        "The logarithm of the ratio of determinants is missing.",
    ),
    "matrix-for-scalar": (
        lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p).reshape(1, 1),
        "You return a 1 x 1 matrix. A scalar is needed: the dot product of two vectors, a @ b, is one.",
    ),
}
