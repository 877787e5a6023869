"""Lesson 1, probability: reference answers that only the lesson needs, and what goes wrong."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.engine import Exercise


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


def grid_posterior(log_prior: Tensor, log_likelihood: Tensor) -> Tensor:
    """Apply Bayes' rule on a grid of latent values.

    Parameters
    ----------
    log_prior
        Log-probability of each grid point, (..., points).
    log_likelihood
        Log-probability of the data at each grid point, (..., points).

    Returns
    -------
    Tensor
        Log-posterior of each grid point, (..., points); its exponentials sum to 1 over the last axis.
    """
    log_joint = log_prior + log_likelihood
    return log_joint - torch.logsumexp(log_joint, dim=-1, keepdim=True)


# --------------------------------------------------------------------------------------------------------------------
# The exercises
# --------------------------------------------------------------------------------------------------------------------


def _cases_of_bernoulli() -> list[Case]:
    x, logits = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0]), torch.tensor([0.7, 0.7, -1.2, 2.0, 0.1])
    outcomes = torch.tensor([0.0, 1.0, 0.0, 1.0])
    return [
        Case("ordinary logits", (x, logits)),
        Case("a column of logits beside a row of outcomes", (x, torch.tensor([[0.5], [-2.0]]))),
        Case("logits of 30 and -30", (outcomes, torch.tensor([30.0, 30.0, -30.0, -30.0]))),
        Case("logits of 1000 and -1000", (outcomes, torch.tensor([1000.0, 1000.0, -1000.0, -1000.0]))),
    ]


def _hidden_bernoulli(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randint(2, 7, (2,), generator=generator).tolist()
    x = torch.randint(2, (3, columns), generator=generator).float()
    logits = 2 * torch.randn(rows, columns, generator=generator)
    large = torch.randn(columns, generator=generator)
    return [
        Case("logits drawn at random", (x[0], logits[0])),
        Case("a table of logits beside a row of outcomes", (x[1], logits)),
        Case("logits far from 0", (x[2], 100 * large + 30 * large.sign())),
    ]


def _cases_of_normal() -> list[Case]:
    return [
        Case("ordinary numbers", tuple(torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, 3.0], [1.0, 0.25, 4.0]]))),
        Case(
            "points beside a column of means",
            (torch.tensor([0.0, 1.0, 5.0]), torch.tensor([[1.0], [-2.0]]), torch.tensor(2.0)),
        ),
        Case("a very small variance", (torch.tensor([0.1]), torch.tensor([0.1]), torch.tensor([1e-6]))),
        Case("a point 40 standard deviations away", (torch.tensor([81.0]), torch.tensor([1.0]), torch.tensor([4.0]))),
    ]


def _hidden_normal(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randint(2, 7, (2,), generator=generator).tolist()
    x, mean = 2 * torch.randn(2, rows, columns, generator=generator)
    var = 0.2 + 4 * torch.rand(rows, columns, generator=generator)
    return [
        Case("a table of numbers", (x, mean, var)),
        Case("a row of points beside a column of means", (x[0], mean[:, :1], var[0])),
    ]


def _cases_of_kl() -> list[Case]:
    pairs = torch.tensor([[1.0, 0.5, 0.0, 1.0], [1.0, 2.0, 3.0, 5.0], [3.0, 4.0, 1.0, 2.0], [7.1, 0.04, 7.0, 0.25]])
    column = (torch.tensor([[0.5], [-1.0]]), torch.tensor([[0.25], [3.0]]))
    return [
        Case("four pairs of Gaussians", tuple(pairs.T.contiguous())),
        Case(
            "a column of q beside a row of p", (*column, torch.tensor([0.0, 2.0, 1.0]), torch.tensor([1.0, 0.5, 9.0]))
        ),
        Case("q equal to p", tuple(torch.tensor([[2.0], [0.3], [2.0], [0.3]]))),
    ]


def _hidden_kl(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randint(2, 7, (2,), generator=generator).tolist()
    mean_q, mean_p = 2 * torch.randn(2, rows, columns, generator=generator)
    var_q, var_p = 0.2 + 4 * torch.rand(2, rows, columns, generator=generator)
    return [
        Case("a table of pairs", (mean_q, var_q, mean_p, var_p)),
        Case("a column of q beside a row of p", (mean_q[:, :1], var_q[:, :1], mean_p[0], var_p[0])),
    ]


def _covariance(k: int, generator: torch.Generator) -> Tensor:
    root = torch.randn(k, k, generator=generator)
    return root @ root.T / k + 0.5 * torch.eye(k)


def _cases_of_multivariate_kl() -> list[Case]:
    def covariance(k: int, seed: int) -> Tensor:
        return _covariance(k, torch.Generator().manual_seed(seed))

    q = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    p = torch.tensor([[1.0, 0.3], [0.3, 2.0]])
    mean = torch.tensor([1.0, -1.0])
    shifts = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    return [
        Case("two correlated dimensions", (mean, q, torch.zeros(2), p)),
        Case("a standard normal p", (mean, q, torch.zeros(2), torch.eye(2))),
        Case("four dimensions", (shifts[0], covariance(4, 1), shifts[1], covariance(4, 2))),
        Case("one dimension", (mean[:1], q[:1, :1], torch.zeros(1), 3 * torch.ones(1, 1))),
        Case("q equal to p", (mean, q, mean, q)),
    ]


def _hidden_multivariate_kl(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for k in (2, 3, 5):
        mean_q, mean_p = torch.randn(2, k, generator=generator)
        arguments = (mean_q, _covariance(k, generator), mean_p, _covariance(k, generator))
        cases.append(Case(f"Gaussians in {k} dimensions", arguments))
    return cases


def _use_monte_carlo(
    attempt: Callable, sample_q: Tensor, q: tuple[float, float], p: tuple[float, float]
) -> dict[str, Any]:
    """Estimate the KL of two Gaussians, each given by its mean and its variance."""
    result = attempt(sample_q, _log_density(*q), _log_density(*p))
    if isinstance(result, tuple | list) and len(result) == 2:
        return {"the estimate": result[0], "the standard error": result[1]}
    return {"the estimate": result}


def _log_density(mean: float, var: float) -> Callable[[Tensor], Tensor]:
    """Log-density of independent Gaussians: (S, k) -> (S,)."""
    return lambda z: Normal(mean, var**0.5, validate_args=False).log_prob(z).sum(dim=-1)


def _draw(n_samples: int, k: int, mean: float, var: float, generator: torch.Generator) -> Tensor:
    return mean + var**0.5 * torch.randn(n_samples, k, generator=generator)


def _cases_of_monte_carlo() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    cases = []
    for label, n_samples, k, mean, var in (
        ("five draws in two dimensions", 5, 2, 1.0, 0.5),
        ("two draws", 2, 3, -1.0, 2.0),
        ("a hundred draws in one dimension", 100, 1, 0.3, 4.0),
    ):
        cases.append(Case(label, (_draw(n_samples, k, mean, var, generator), (mean, var), (0.0, 1.0))))
    return cases


def _hidden_monte_carlo(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n_samples, k in zip((4, 20, 60), torch.randint(1, 5, (3,), generator=generator).tolist(), strict=True):
        mean_q, mean_p = torch.randn(2, generator=generator).tolist()
        var_q, var_p = (0.3 + 3 * torch.rand(2, generator=generator)).tolist()
        sample_q = _draw(n_samples, k, mean_q, var_q, generator)
        cases.append(Case(f"{n_samples} draws, dimensions: {k}", (sample_q, (mean_q, var_q), (mean_p, var_p))))
    return cases


def _cases_of_grid() -> list[Case]:
    log_prior = torch.tensor([-1.5, -0.5, -0.8, -2.0])
    log_likelihood = torch.tensor([[-3.0, -1.0, -0.2, -4.0], [-0.1, -2.0, -5.0, -0.3], [-2.0, -2.0, -1.0, -3.0]])
    return [
        Case("four grid points", (log_prior, log_likelihood[0])),
        Case("three cells at once", (log_prior.expand(3, 4), log_likelihood)),
        Case("one prior for three cells", (log_prior, log_likelihood)),
        Case("log-likelihoods around -10,000", (log_prior, 1e4 * log_likelihood)),
        Case("two grids in two dimensions", (log_prior, torch.stack([log_likelihood[:2], log_likelihood[1:]]))),
    ]


def _hidden_grid(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_points = torch.randint(2, 9, (2,), generator=generator).tolist()
    log_prior = torch.log_softmax(torch.randn(n_points, generator=generator), dim=-1)
    log_likelihood = 3 * torch.randn(n_cells, n_points, generator=generator) - 5
    far_apart = torch.stack([torch.randperm(n_points, generator=generator) for _ in range(n_cells)])
    return [
        Case(f"{n_points} grid points", (log_prior, log_likelihood[0])),
        Case(f"{n_cells} cells at once", (log_prior.expand(n_cells, n_points), log_likelihood)),
        Case("log-likelihoods below -10,000", (log_prior, -1e4 - 100.0 * far_apart)),
    ]


def _explain_large_logits(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Tell answers that fail where the sigmoid rounds to 0 or 1."""
    if float(case.arguments[1].abs().max()) < 20:
        return None
    return (
        "there the probability rounds to 0 or 1, and neither a clamp nor a small number inside the logarithm gives the "
        "right value. Do not go through the probability: use softplus."
    )


def _explain_distribution(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Compare the sum of the probabilities with 1."""
    values = next(iter(got.values())).tensor
    if values.isnan().any():
        return None
    sums = values.exp().sum(dim=-1).flatten()
    wrong = sums[(sums - 1).abs() > 1e-3]
    if not len(wrong):
        return None
    return f"the exponentials of the result should sum to 1 over the grid, yours sum to {wrong[0].item():.3g}."


def _normal_of(log_scale: Tensor, quadratic: Tensor, constant: float = 2 * math.pi) -> Tensor:
    return -0.5 * (math.log(constant) + log_scale + quadratic)


def _kl_of(log_ratio: Tensor, quadratic: Tensor, minus: float = 1.0) -> Tensor:
    return 0.5 * (log_ratio + quadratic - minus)


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


def _standard_error(terms: Tensor) -> Tensor:
    return terms.std() / len(terms) ** 0.5


def _estimate_of(terms: Tensor) -> tuple[Tensor, Tensor]:
    return terms.mean(), _standard_error(terms)


EXERCISES = [
    Exercise(
        "1.1",
        "vae_course.distributions.bernoulli_log_prob",
        cases=_cases_of_bernoulli,
        hidden=_hidden_bernoulli,
        gradients=("logits",),
        tolerance=1e-5,
        shape="the broadcast shape of x and logits",
        properties=(_explain_large_logits,),
        hints=(
            "Write log p(1) and log p(0) in terms of the logit a first: with p = 1 / (1 + exp(-a)) both are minus a "
            "softplus. Then let x, which is 0 or 1, choose between them.",
            "F.softplus(a) is log(1 + exp(a)) and never overflows. log p(0) = -softplus(a), and log p(1) is larger by "
            "exactly a.",
        ),
        mistakes={
            "log-of-sigmoid": (
                lambda x, a: x * torch.log(torch.sigmoid(a)) + (1 - x) * torch.log(1 - torch.sigmoid(a)),
                "Right for ordinary logits, but for large ones the sigmoid rounds to exactly 0 or 1, and its logarithm "
                "is infinite. Never go through the probability: use softplus.",
            ),
            "softplus-by-hand": (
                lambda x, a: x * a - torch.log(1 + torch.exp(a)),
                "The formula is right, but exp(a) overflows for large a. F.softplus computes log(1 + exp(a)) safely.",
            ),
            "clamped-probability": (
                lambda x, a: (
                    x * torch.log(torch.sigmoid(a).clamp(1e-7, 1 - 1e-7))
                    + (1 - x) * torch.log((1 - torch.sigmoid(a)).clamp(1e-7, 1 - 1e-7))
                ),
                "You clamp the probability away from 0 and 1. That hides the infinities but gives wrong values and no "
                "gradient for large logits: use softplus, which needs no clamp.",
            ),
            "epsilon-in-the-log": (
                lambda x, a: x * torch.log(torch.sigmoid(a) + 1e-8) + (1 - x) * torch.log(1 - torch.sigmoid(a) + 1e-8),
                "The small number inside the logarithm hides the infinities but gives wrong values for large logits: "
                "use softplus, which needs none.",
            ),
            "cross-entropy-of-probabilities": (
                lambda x, a: -F.binary_cross_entropy(*torch.broadcast_tensors(torch.sigmoid(a), x), reduction="none"),
                "For large logits the sigmoid rounds to exactly 0 or 1, and PyTorch then cuts the logarithm at -100. "
                "Stay with the logits.",
            ),
            "cross-entropy": (
                lambda x, a: F.softplus(a) - x * a,
                "The sign is wrong: this is the binary cross-entropy, which is *minus* the log-probability.",
            ),
            "softplus-added": (
                lambda x, a: x * a + F.softplus(a),
                "The softplus has the wrong sign: it is subtracted, so that log-probabilities are below 0.",
            ),
            "softplus-of-minus": (
                lambda x, a: x * a - F.softplus(-a),
                "The sign inside the softplus is wrong for x = 0: log(1 - p) is minus softplus of a itself.",
            ),
            "logits-as-probabilities": (
                lambda x, a: x * torch.log(a) + (1 - x) * torch.log(1 - a),
                "You treat the logits as probabilities. A logit is any real number; the probability is its sigmoid.",
            ),
            "sigmoid-twice": (
                lambda x, a: x * torch.sigmoid(a) - F.softplus(torch.sigmoid(a)),
                "The sigmoid is applied twice: softplus wants the logit itself, not its sigmoid.",
            ),
            "probability": (
                lambda x, a: torch.exp(x * a - F.softplus(a)),
                "You return the probability. Its logarithm is due.",
            ),
            "outcomes-swapped": (
                lambda x, a: -x * a - F.softplus(-a),
                "Outcomes 0 and 1 have changed places: a large logit should make x = 1 likely.",
            ),
            "outcome-ignored": (
                lambda x, a: a - F.softplus(a) + 0 * x,
                "x is not used: this is the log-probability of a 1, whatever came.",
            ),
            "outcome-inside-the-sigmoid": (
                lambda x, a: F.logsigmoid(x * a),
                "x is multiplied into the logit. It has to choose between log p and log(1 - p) instead.",
            ),
            "arguments-swapped": (
                lambda x, a: x * a - F.softplus(x),
                "x and logits have changed places in the softplus.",
            ),
            "ones-only": (
                lambda x, a: x * F.logsigmoid(a),
                "Only x = 1 is dealt with; a cell with x = 0 also has a probability, 1 - p.",
            ),
            "summed": (
                lambda x, a: (x * a - F.softplus(a)).sum(),
                "You summed over the entries. The function works elementwise; sums come later.",
            ),
            "averaged": (
                lambda x, a: (x * a - F.softplus(a)).mean(),
                "You averaged over the entries. The function works elementwise; sums come later.",
            ),
        },
    ),
    Exercise(
        "1.2",
        "vae_course.distributions.normal_log_prob",
        cases=_cases_of_normal,
        hidden=_hidden_normal,
        gradients=("mean", "var"),
        shape="the broadcast shape of x, mean and var",
        hints=(
            "Take the logarithm of the density by hand first: products become sums, the exponential vanishes, and the "
            "square root turns into a factor 1/2.",
            "Three terms share the factor -1/2: log(2 pi), log(var), and the squared distance over the variance. "
            "math.log(2 * math.pi) is a Python number.",
        ),
        mistakes={
            "variance-for-standard-deviation": (
                lambda x, m, v: _normal_of(2 * torch.log(v), (x - m) ** 2 / v**2),
                "You treat `var` as a standard deviation. It is the variance, so it is not squared again.",
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
                "Only the constant has the factor -1/2. It belongs to all three terms: set brackets around them.",
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
                "You return the density. Its logarithm is due.",
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
        },
    ),
    Exercise(
        "1.3",
        "vae_course.distributions.kl_normal",
        cases=_cases_of_kl,
        hidden=_hidden_kl,
        gradients=("mean_q", "var_q", "mean_p", "var_p"),
        shape="the broadcast shape of the arguments",
        hints=(
            "Three pieces inside one factor 1/2: the log-ratio of the variances, what the squares give, and minus 1. "
            "Check the sign of the logarithm with a q much narrower than p: the KL has to be large and positive.",
            "The expectation of (z - mean_p)^2 under q is var_q + (mean_q - mean_p)^2. It is divided by the variance "
            "of the distribution whose logarithm it came from.",
        ),
        mistakes={
            "swapped": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vq / vp), (vp + (mq - mp) ** 2) / vq),
                "This is KL(p, q). The first distribution is the one that is averaged over: KL(q, p) is due.",
            ),
            "variance-for-standard-deviation": (
                lambda mq, vq, mp, vp: _kl_of(2 * torch.log(vp / vq), (vq**2 + (mq - mp) ** 2) / vp**2),
                "You treat the variances as standard deviations and square them. They are variances already.",
            ),
            "missing-one": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp, minus=0.0),
                "The term -1 is missing: the KL of a distribution to itself should be 0, yours is 0.5.",
            ),
            "one-outside": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp, minus=2.0),
                "The 1 stands outside the factor 1/2: the KL of a distribution to itself should be 0, yours is -0.5.",
            ),
            "no-half": (
                lambda mq, vq, mp, vp: 2 * _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp),
                "Everything is twice as large as it should be: the factor 1/2 is missing.",
            ),
            "log-inverted": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vq / vp), (vq + (mq - mp) ** 2) / vp),
                "The logarithm is upside down: it should be the variance of p over that of q.",
            ),
            "half-missing-on-the-log": (
                lambda mq, vq, mp, vp: _kl_of(2 * torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp),
                "The logarithm needs the factor 1/2 too: these are variances, and the log of a standard deviation is "
                "half the log of its variance.",
            ),
            "half-twice-on-the-log": (
                lambda mq, vq, mp, vp: _kl_of(0.5 * torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp),
                "The logarithm is halved twice: once by the square root and once by the factor 1/2 before everything.",
            ),
            "mean-not-squared": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp)) / vp),
                "The distance of the means is not squared.",
            ),
            "wrong-denominator": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vp + (mq - mp) ** 2) / vq),
                "The quotient is upside down: the spread of q is measured in units of the variance of p.",
            ),
            "divided-by-var-q": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vq),
                "The spread and the shift are divided by the variance of q. They are measured in units of the variance "
                "of p, whose logarithm they come from.",
            ),
            "half-on-the-log-only": (
                lambda mq, vq, mp, vp: 0.5 * torch.log(vp / vq) + (vq + (mq - mp) ** 2) / vp - 1,
                "Only the logarithm has the factor 1/2. It belongs to all the terms: set brackets around them.",
            ),
            "variances-squared": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq**2 + (mq - mp) ** 2) / vp**2),
                "The variances are squared. `var_q` and `var_p` are variances already.",
            ),
            "variance-not-divided": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), vq + (mq - mp) ** 2 / vp),
                "var_q is not divided by var_p: the whole expectation of (z - mean_p)^2 is.",
            ),
            "mean-not-divided": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), vq / vp + (mq - mp) ** 2),
                "The squared distance of the means is not divided by the variance of p.",
            ),
            "standard-normal-only": (
                lambda mq, vq, mp, vp: _kl_of(-torch.log(vq), vq + mq**2) + 0 * (mp + vp),
                "This is the KL to a standard normal. `mean_p` and `var_p` have to enter.",
            ),
            "summed": (
                lambda mq, vq, mp, vp: _kl_of(torch.log(vp / vq), (vq + (mq - mp) ** 2) / vp).sum(),
                "You summed over the entries. The function works elementwise; sums come later.",
            ),
        },
    ),
    Exercise(
        "1.4",
        "vae_course.distributions.kl_multivariate_normal",
        cases=_cases_of_multivariate_kl,
        hidden=_hidden_multivariate_kl,
        gradients=("mean_q", "cov_q", "mean_p", "cov_p"),
        shape="a scalar",
        hints=(
            "Four pieces inside one factor 1/2: a trace, a quadratic form in the shift of the means, minus k, and the "
            "logarithm of a ratio of determinants. Only p's covariance is inverted.",
            "torch.linalg.solve(cov_p, y) is P^-1 y, torch.trace sums a diagonal, torch.logdet is the logarithm of a "
            "determinant, a @ b of two vectors is their dot product, and k is len(mean_q).",
        ),
        mistakes={
            "slip-in-the-sign": (
                lambda mq, q, mp, p: _multivariate_kl_of(mq, q, mp, p, sign=-1),
                "The quadratic term has the wrong sign: both factors have to be the same difference of the means, so "
                "that their product is a squared distance.",
            ),
            "swapped": (
                lambda mq, q, mp, p: _multivariate_kl_of(mp, p, mq, q),
                "This is KL(p, q). The first distribution is the one that is averaged over: KL(q, p) is due.",
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
                lambda mq, q, mp, p: (
                    _multivariate_kl_of(mq, q, mp, p, log_sign=0) + 0.5 * torch.logdet(p) / torch.logdet(q)
                ),
                "You divided two logarithms. The logarithm of a quotient is a difference of logarithms.",
            ),
            "no-inverse": (
                lambda mq, q, mp, p: (
                    0.5 * (torch.trace(p @ q) + (mp - mq) @ p @ (mp - mq) - len(mq))
                    + 0.5 * (torch.logdet(p) - torch.logdet(q))
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
                "P / Q divides entry by entry. Take the two determinants first, then the difference of their "
                "logarithms.",
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
                "You return a 1 x 1 matrix. A scalar is due: the dot product of two vectors, a @ b, is one.",
            ),
        },
    ),
    Exercise(
        "1.5",
        "vae_course.exercises.lesson1.kl_monte_carlo",
        cases=_cases_of_monte_carlo,
        hidden=_hidden_monte_carlo,
        use=_use_monte_carlo,
        returns=("the estimate", "the standard error"),
        shape="a scalar",
        hints=(
            "KL(q, p) is the average, under q, of log q(z) - log p(z). You have draws from q: what is an average, "
            "estimated from draws?",
            "Evaluate both functions at sample_q: S differences. Return their mean, and .std() divided by the square "
            "root of S.",
        ),
        mistakes={
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
                "You return the estimate alone. Two numbers are due, the estimate and its standard error.",
            ),
            "sum": (
                lambda z, q, p: ((q(z) - p(z)).sum(), _standard_error(q(z) - p(z))),
                "You summed the terms. An average of S terms is their mean.",
            ),
            "weighted-again": (
                lambda z, q, p: _estimate_of(q(z).exp() * (q(z) - p(z))),
                "You multiplied by the density of q. The draws are from q already, so likely values come up more often "
                "by themselves: an unweighted mean is due.",
            ),
            "multiplied-by-log-q": (
                lambda z, q, p: _estimate_of(q(z) * (q(z) - p(z))),
                "You multiplied the terms by log q. The draws are from q already: an unweighted mean is due.",
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
                "The two results have changed places: first the estimate, then its standard error.",
            ),
        },
    ),
    Exercise(
        "1.6",
        "vae_course.exercises.lesson1.grid_posterior",
        cases=_cases_of_grid,
        hidden=_hidden_grid,
        shape="(..., points), the broadcast shape of the arguments",
        properties=(_explain_distribution,),
        hints=(
            "Bayes' rule in logarithms: the product becomes a sum, and dividing by p(x) becomes subtracting log p(x). "
            "p(x) is the sum of the joint over the grid.",
            "torch.logsumexp(y, dim=-1, keepdim=True) is log(sum(exp(y))) over the last axis, without overflow or "
            "underflow.",
        ),
        mistakes={
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
                "You return probabilities. Their logarithms are due.",
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
                lambda prior, likelihood: (
                    (prior + likelihood) / torch.logsumexp(prior + likelihood, dim=-1, keepdim=True)
                ),
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
        },
    ),
]
