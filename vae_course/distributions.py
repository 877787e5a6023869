"""Log-probabilities, Kullback-Leibler divergences and the estimators built from them.

Pure functions of tensors. Logarithms are natural, so every value is in nats. Functions work elementwise
and broadcast their arguments where the docstring does not say otherwise. Float32 in, float32 out.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# --------------------------------------------------------------------------------------------------------------------
# Log-probabilities
# --------------------------------------------------------------------------------------------------------------------


def bernoulli_log_prob(x: Tensor, logits: Tensor) -> Tensor:
    r"""Log-probability of a binary outcome, log Bernoulli(x; sigmoid(logits)), exact for logits of any size.

    Bishop (2006), equation 2.2. The negative of this number is the binary cross-entropy.

    Parameters
    ----------
    x
        Outcomes, 0 or 1.
    logits
        Log-odds a = log(p / (1 - p)).

    Returns
    -------
    Tensor
        Nats, of the broadcast shape.
    """
    # x log p + (1 - x) log(1 - p), with log p = logits - softplus(logits) and log(1 - p) = -softplus(logits)
    return x * logits - F.softplus(logits)


def normal_log_prob(x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    r"""Log-density of a Gaussian.

    Bishop (2006), equation 1.46.

    Parameters
    ----------
    x
        Points.
    mean, var
        Mean and variance (not the standard deviation).

    Returns
    -------
    Tensor
        Nats, of the broadcast shape.
    """
    # log of exp(-(x - mean)^2 / (2 var)) / sqrt(2 pi var)
    return -0.5 * (math.log(2 * math.pi) + torch.log(var) + (x - mean) ** 2 / var)


def poisson_log_prob(x: Tensor, mu: Tensor) -> Tensor:
    r"""Log-probability of a count, x log(mu) - mu - log(x!).

    Parameters
    ----------
    x
        Counts.
    mu
        Mean, at least 0.

    Returns
    -------
    Tensor
        Nats, of the broadcast shape. With mu = 0 it is 0 at x = 0 and minus infinity elsewhere.
    """
    return split_at_zero(-mu, _poisson_above_zero, x, mu)


def nb_log_prob(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    r"""Log-probability of a count under a negative binomial with mean mu and variance mu + mu^2 / theta.

    Lopez et al. (2018), Methods, in the parametrisation of Hilbe (2011), chapter 8.

    Parameters
    ----------
    x
        Counts.
    mu
        Mean, at least 0.
    theta
        Inverse dispersion, above 0; infinity gives the Poisson distribution.

    Returns
    -------
    Tensor
        Nats, of the broadcast shape. With mu = 0 it is 0 at x = 0 and minus infinity elsewhere.
    """
    return split_at_zero(nb_at_zero(mu, theta), nb_above_zero, x, *nb_parameters(x, mu, theta))


def zinb_log_prob(x: Tensor, mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
    r"""Log-probability of a count under a zero-inflated negative binomial.

    With probability pi = sigmoid(zi_logits) the count is 0 regardless of the NB part, else it is NB(mu, theta). The
    mean is (1 - pi) mu. Lopez et al. (2018), Methods.

    Parameters
    ----------
    x
        Counts.
    mu
        Mean of the negative binomial part, at least 0.
    theta
        Inverse dispersion, above 0.
    zi_logits
        Log-odds of an extra zero (a "dropout").

    Returns
    -------
    Tensor
        Nats, of the broadcast shape.
    """
    # p(0) = pi + (1 - pi) NB(0) = pi [1 + NB(0) exp(-zi_logits)], with log pi = -softplus(-zi_logits)
    at_zero = F.softplus(nb_at_zero(mu, theta) - zi_logits) - F.softplus(-zi_logits)

    def above_zero(x: Tensor, zi_logits: Tensor, *nb_parameters: Tensor) -> Tensor:
        # p(x) = (1 - pi) NB(x), with log(1 - pi) = -softplus(zi_logits)
        return nb_above_zero(x, *nb_parameters) - F.softplus(zi_logits)

    return split_at_zero(at_zero, above_zero, x, zi_logits, *nb_parameters(x, mu, theta))


def split_at_zero(at_zero: Tensor, above_zero: Callable[..., Tensor], x: Tensor, *parameters: Tensor) -> Tensor:
    """Return `at_zero` where x is 0 and `above_zero(x, *parameters)`, computed in float64, where it is not.

    Most counts of single cells are 0, and the gamma functions take most of the time. In float32 their difference would
    be wrong by more than 0.1 nats from theta = 1e5 on.

    Parameters
    ----------
    at_zero
        Log-probability of a zero, broadcastable with x.
    above_zero
        Gives the log-probability of counts above zero, elementwise.
    x, *parameters
        Counts, and the further arguments of `above_zero`, broadcastable with x.

    Returns
    -------
    Tensor
        Nats, of the broadcast shape.
    """
    x, at_zero, *parameters = torch.broadcast_tensors(x, at_zero, *parameters)
    where = torch.nonzero(x.bool().flatten()).squeeze(-1)
    values = above_zero(*(argument.flatten().index_select(0, where).double() for argument in (x, *parameters)))
    return at_zero.flatten().scatter(0, where, values.to(at_zero.dtype)).view(x.shape)


def _log_factorial(x: Tensor) -> Tensor:
    """Return lgamma(x + 1), looked up in a table where x holds many small whole numbers, as counts do."""
    if x.numel() and 0 <= x.min() <= x.max() <= x.numel() and torch.equal(x, x.floor()):
        return torch.lgamma(torch.arange(1, int(x.max()) + 2, dtype=x.dtype, device=x.device))[x.long()]
    return torch.lgamma(x + 1)


def _poisson_above_zero(x: Tensor, mu: Tensor) -> Tensor:
    return x * torch.log(mu) - mu - _log_factorial(x)  # log of mu^x exp(-mu) / x!


def nb_at_zero(mu: Tensor, theta: Tensor) -> Tensor:
    """Return log NB(0) = -theta log(1 + mu / theta), or its limit -mu where theta is infinite, nats, elementwise."""
    is_poisson = torch.isinf(theta)
    if is_poisson.any():
        return torch.where(is_poisson, -mu, nb_at_zero(mu, torch.where(is_poisson, 1.0, theta)))
    # log of (theta / (theta + mu))^theta; 1 / theta often has fewer entries than mu
    return -theta * torch.log1p(mu * (1 / theta))


def nb_parameters(x: Tensor, mu: Tensor, theta: Tensor) -> tuple[Tensor, ...]:
    """Return the arguments of `nb_above_zero` after x; lgamma(theta) is computed once for all cells where it can be."""
    return (mu, theta, torch.lgamma(theta.double())) if theta.dim() < x.dim() else (mu, theta)


def nb_above_zero(x: Tensor, mu: Tensor, theta: Tensor, lgamma_theta: Tensor | None = None) -> Tensor:
    """Return log NB(x) for x > 0, or its Poisson limit where theta is infinite, nats, elementwise."""
    is_poisson = torch.isinf(theta)
    if is_poisson.any():
        finite_theta = torch.where(is_poisson, 1.0, theta)
        return torch.where(is_poisson, _poisson_above_zero(x, mu), nb_above_zero(x, mu, finite_theta))
    lgamma_theta = torch.lgamma(theta) if lgamma_theta is None else lgamma_theta
    # log of Gamma(x + theta) / (Gamma(theta) x!) * (theta / (theta + mu))^theta * (mu / (theta + mu))^x
    log_choose = torch.lgamma(x + theta) - lgamma_theta - _log_factorial(x)
    ratio = mu / theta
    return log_choose - (x + theta) * torch.log1p(ratio) + x * torch.log(ratio)


# --------------------------------------------------------------------------------------------------------------------
# Kullback-Leibler divergences
# --------------------------------------------------------------------------------------------------------------------


def kl_normal(mean_q: Tensor, var_q: Tensor, mean_p: Tensor, var_p: Tensor) -> Tensor:
    r"""KL(q || p) between two one-dimensional Gaussians.

    Bishop (2006), exercise 2.13, in one dimension.

    Parameters
    ----------
    mean_q, var_q
        Mean and variance of q.
    mean_p, var_p
        Mean and variance of p.

    Returns
    -------
    Tensor
        Nats, of the broadcast shape; non-negative up to rounding.
    """
    # 1/2 [log(var_p / var_q) + (var_q + (mean_q - mean_p)^2) / var_p - 1]
    return 0.5 * (torch.log(var_p / var_q) + (var_q + (mean_q - mean_p) ** 2) / var_p - 1)


def kl_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    r"""KL(N(mean, diag(exp(logvar))) || N(0, I)): the price of a q(z|x) that differs from the prior.

    Kingma and Welling (2014), appendix B.

    Parameters
    ----------
    mean, logvar
        Means and log-variances, (..., n_latent).

    Returns
    -------
    Tensor
        Nats, summed over the last axis: (...).
    """
    # 1/2 sum_k [var_k + mean_k^2 - 1 - log var_k]
    return 0.5 * (torch.exp(logvar) + mean**2 - 1 - logvar).sum(dim=-1)


def kl_multivariate_normal(mean_q: Tensor, cov_q: Tensor, mean_p: Tensor, cov_p: Tensor) -> Tensor:
    r"""KL(q || p) between two k-dimensional Gaussians with full covariances.

    Bishop (2006), exercise 2.13.

    Parameters
    ----------
    mean_q, mean_p
        Means, (k,).
    cov_q, cov_p
        Covariances, (k, k), symmetric and positive definite.

    Returns
    -------
    Tensor
        Nats, a scalar.
    """
    # 1/2 [tr(cov_p^-1 cov_q) + shift^T cov_p^-1 shift - k + log(|cov_p| / |cov_q|)]
    precision_p = torch.linalg.inv(cov_p.double())  # in float32 the terms would lose precision to cancellation
    shift = (mean_p - mean_q).double()  # (k,)
    trace = torch.trace(precision_p @ cov_q.double())
    distance = shift @ precision_p @ shift
    log_det_ratio = torch.logdet(cov_p.double()) - torch.logdet(cov_q.double())
    return (0.5 * (trace + distance - len(shift) + log_det_ratio)).to(mean_q.dtype)


def scvi_kl(
    qz_m: Tensor, qz_v: Tensor, ql_m: Tensor, ql_v: Tensor, library_mean: Tensor, library_var: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Return the two KL terms of scVI: that of the library l and that of the latent z.

    Lopez et al. (2018), Methods, "Variational inference": KL(q(l|x) || p(l)) is called local and
    KL(q(z|x) || N(0, I)) global, as in scVI 0.3.0.

    Parameters
    ----------
    qz_m, qz_v
        Means and variances of q(z|x), (..., cells, n_latent).
    ql_m, ql_v
        Mean and variance of the log-library under q(l|x), (..., cells, 1).
    library_mean, library_var
        Mean and variance of its prior, (cells, 1) or broadcastable to it.

    Returns
    -------
    kl_local, kl_global
        Nats per cell, (..., cells) each.
    """
    # KL(q(z, l|x) || p(z) p(l)) = KL(q(l|x) || p(l)) + KL(q(z|x) || N(0, I)), since q(z, l|x) = q(z|x) q(l|x)
    kl_local = kl_normal(ql_m, ql_v, library_mean, library_var).sum(dim=-1)
    kl_global = kl_standard_normal(qz_m, torch.log(qz_v))
    return kl_local, kl_global


# --------------------------------------------------------------------------------------------------------------------
# Sampling, and estimates made of samples
# --------------------------------------------------------------------------------------------------------------------


def reparameterize(mean: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    r"""Draw z ~ N(mean, diag(exp(logvar))) in such a way that gradients reach mean and logvar.

    Kingma and Welling (2014), section 2.4.

    Parameters
    ----------
    mean, logvar
        Means and log-variances, of one shape.
    generator
        Source of the noise; PyTorch's global one if None.

    Returns
    -------
    Tensor
        One draw, of the same shape.
    """
    # z = mean + std * eps, eps ~ N(0, I)
    eps = torch.randn(mean.shape, dtype=mean.dtype, device=mean.device, generator=generator)
    return mean + torch.exp(0.5 * logvar) * eps


def sample_normal(mean: Tensor, var: Tensor) -> Tensor:
    r"""Draw z ~ N(mean, diag(var)) as `reparameterize` does, given the variance instead of its logarithm.

    Noise comes from PyTorch's global generator.

    Parameters
    ----------
    mean, var
        Means and variances, of one shape.

    Returns
    -------
    Tensor
        One draw, of the same shape.
    """
    return mean + torch.sqrt(var) * torch.randn_like(mean)


def sample_nb(mu: Tensor, theta: Tensor) -> Tensor:
    r"""Draw counts from a negative binomial through its Gamma-Poisson mixture.

    rate ~ Gamma(shape theta, mean mu), x ~ Poisson(rate). Noise comes from PyTorch's global generator.

    Parameters
    ----------
    mu
        Mean, at least 0.
    theta
        Inverse dispersion, above 0; infinity gives the Poisson distribution.

    Returns
    -------
    Tensor
        Counts, of the broadcast shape.
    """
    mu, theta = torch.broadcast_tensors(mu, theta)
    is_poisson = torch.isinf(theta)
    shape = torch.where(is_poisson, 1.0, theta)
    rate = torch.distributions.Gamma(shape, torch.ones_like(shape)).sample() * mu / shape
    return torch.poisson(torch.where(is_poisson, mu, rate))


def sample_zinb(mu: Tensor, theta: Tensor, zi_logits: Tensor) -> Tensor:
    r"""Draw counts from a zero-inflated negative binomial.

    Parameters
    ----------
    mu, theta
        As in `sample_nb`.
    zi_logits
        Log-odds of an extra zero.

    Returns
    -------
    Tensor
        Counts, of the broadcast shape.
    """
    mu, theta, zi_logits = torch.broadcast_tensors(mu, theta, zi_logits)
    extra_zero = torch.bernoulli(torch.sigmoid(zi_logits))
    return sample_nb(mu, theta) * (1 - extra_zero)


def elbo(log_likelihood: Tensor, log_prior: Tensor, log_q: Tensor) -> Tensor:
    r"""Monte Carlo estimate of the evidence lower bound.

    Kingma and Welling (2014), equation 6.

    Parameters
    ----------
    log_likelihood, log_prior, log_q
        log p(x|z_s), log p(z_s) and log q(z_s|x) of the same draws z_s ~ q(z|x), (S, cells) each.

    Returns
    -------
    Tensor
        Nats per cell, (cells,); higher is better.
    """
    # 1/S sum_s [log p(x|z_s) + log p(z_s) - log q(z_s|x)]
    return (log_likelihood + log_prior - log_q).mean(dim=0)


def elbo_and_gap(log_joint: Tensor, log_q: Tensor, log_px: Tensor) -> tuple[Tensor, Tensor]:
    r"""Monte Carlo estimates of the evidence lower bound and of what it lacks, KL(q, p(z|x)), where log p(x) is known.

    Kingma and Welling (2014), equation 1: log p(x) is the sum of the two.

    Parameters
    ----------
    log_joint, log_q
        log p(x, z_s) and log q(z_s|x) of the same draws z_s ~ q(z|x), (S, cells) each.
    log_px
        log p(x), (cells,).

    Returns
    -------
    bound, gap
        Nats per cell, (cells,) each. An estimate of the gap may be below 0, which the KL itself never is.
    """
    bound = (log_joint - log_q).mean(dim=0)
    return bound, log_px - bound  # E_q[log q(z|x) - log p(z|x)], where log p(z|x) = log p(x, z) - log p(x)


def unlabelled_elbo(elbo_by_label: Tensor, log_q_y: Tensor) -> Tensor:
    r"""Evidence lower bound of cells without a label: that of every label, weighted by q(y|x), and the entropy of q.

    Kingma et al. (2014), equation 7, as in scANVI (Xu et al., 2021). A label that is ruled out counts as nothing.

    Parameters
    ----------
    elbo_by_label
        Bound on log p(x, y) for every label y, its prior p(y) included, (cells, labels).
    log_q_y
        log q(y|x), (cells, labels); rows of exp(log_q_y) sum to 1, and an entry may be minus infinity.

    Returns
    -------
    Tensor
        Nats per cell, (cells,); higher is better.
    """
    q_y = torch.exp(log_q_y)  # (cells, labels)
    log_q_y = log_q_y.masked_fill(q_y == 0, 0.0)  # 0 * (-infinity) would be NaN
    return (q_y * (elbo_by_label - log_q_y)).sum(dim=-1)  # sum_y q(y|x) [ELBO_y - log q(y|x)]


def log_marginal_likelihood(log_joint: Tensor, log_q: Tensor) -> Tensor:
    r"""Importance-weighted estimate of log p(x), stable for logarithms of any size.

    Burda et al. (2016), equation 8. Joint and q have to be evaluated at the same draws.

    Parameters
    ----------
    log_joint, log_q
        log p(x, z_s) and log q(z_s|x) of the draws z_s ~ q(z|x), (S, cells) each.

    Returns
    -------
    Tensor
        Nats per cell, (cells,).
    """
    n_samples = log_joint.shape[0]  # log of 1/S sum_s p(x, z_s) / q(z_s|x)
    return torch.logsumexp(log_joint - log_q, dim=0) - math.log(n_samples)


def effective_sample_size(log_joint: Tensor, log_q: Tensor) -> Tensor:
    r"""How many equally weighted draws the importance weights are worth, (sum w)^2 / sum w^2, between 1 and S.

    Kish (1965). A value near 1 says that one draw carries the whole estimate, which is then not to be trusted.

    Parameters
    ----------
    log_joint, log_q
        As in `log_marginal_likelihood`, (S, cells) each.

    Returns
    -------
    Tensor
        (cells,)
    """
    weights = torch.softmax(log_joint - log_q, dim=0)  # w_s = p(x, z_s) / q(z_s|x), scaled to sum to 1
    return 1 / weights.square().sum(dim=0)
