"""Exercise 1.5: the reference answer."""

from collections.abc import Callable

from torch import Tensor


def kl_monte_carlo(
    sample_q: Tensor, log_q: Callable[[Tensor], Tensor], log_p: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Estimate KL(q || p) = E_q[log q(z) - log p(z)] from draws of q.

    Parameters
    ----------
    sample_q
        Draws from q, (S, k), with S at least 2.
    log_q, log_p
        Log-densities: take draws (S, k), return (S,).

    Returns
    -------
    estimate
        Nats, a scalar.
    standard_error
        Sample standard deviation (with n - 1) of the S terms over sqrt(S), a scalar.
    """
    terms = log_q(sample_q) - log_p(sample_q)  # (S,)
    return terms.mean(), terms.std() / len(terms) ** 0.5
