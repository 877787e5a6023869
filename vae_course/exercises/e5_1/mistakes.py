"""Exercise 5.1: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable

import torch
from torch import Tensor

from vae_course.exercises.e5_1.answer import nb_log_prob


def _nb_with(signs: tuple[float, ...], shift: float = 1) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Negative binomial with chosen signs of its five terms; (1, -1, -1, 1, 1) is right."""

    def answer(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
        x, mu, theta = x.double(), mu.double(), theta.double()
        terms = (
            torch.lgamma(x + theta),
            torch.lgamma(theta),
            torch.lgamma(x + shift),
            theta * torch.log(theta / (theta + mu)),
            x * torch.log(mu / (theta + mu)),
        )
        return sum(sign * term for sign, term in zip(signs, terms, strict=True) if sign)

    return answer


def nb_in_float32(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(theta / (theta + mu)) + x * torch.log(mu / (theta + mu))


def nb_without_xlogy(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    return _nb_with((1, -1, -1, 1, 1))(x, mu, theta)


def nb_with_epsilon(x: Tensor, mu: Tensor, theta: Tensor, eps: float = 1e-8) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    log_total = torch.log(theta + mu + eps)
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * (torch.log(theta + eps) - log_total) + x * (torch.log(mu + eps) - log_total)


def _nb_cast_too_late(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    log_choose = torch.lgamma((x + theta).double()) - torch.lgamma(theta.double()) - torch.lgamma((x + 1).double())
    p = mu.double() / (theta.double() + mu.double())
    return log_choose + theta.double() * torch.log1p(-p) + x.double() * torch.log(p)


def _nb_by_gamma(x: Tensor, mu: Tensor, theta: Tensor, log: Callable[[Tensor], Tensor]) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    gammas = [log(torch.exp(torch.lgamma(argument))) for argument in (x + theta, theta, x + 1)]
    rest = theta * torch.log(theta / (theta + mu)) + x * torch.log(mu / (theta + mu))
    return gammas[0] - gammas[1] - gammas[2] + rest


def _nb_by_product(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    choose = torch.exp(torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1))
    return torch.log(choose * (theta / (theta + mu)) ** theta * (mu / (theta + mu)) ** x)


def _nb_by_probabilities(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    return torch.distributions.NegativeBinomial(theta, probs=mu / (theta + mu)).log_prob(x)


def _nb_by_one_minus_p(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    p = theta / (theta + mu)
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(p) + x * torch.log(1 - p)


def _nb_swapped(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(mu / (theta + mu)) + x * torch.log(theta / (theta + mu))


def _nb_without_total(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    x, mu, theta = x.double(), mu.double(), theta.double()
    log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return log_choose + theta * torch.log(theta) + x * torch.log(mu)


def _nb_without_power(x: Tensor, mu: Tensor, theta: Tensor) -> Tensor:
    return _nb_with((1, -1, -1, 0, 1))(x, mu, theta) + torch.log(theta.double() / (theta.double() + mu.double()))


MISTAKES = {
    "float32": (
        nb_in_float32,
        "The formula is right, but float32 keeps seven digits: for a large theta or x the gamma functions are "
        "huge and nearly cancel, and what is left is wrong. Compute in float64.",
    ),
    "cast-too-late": (
        _nb_cast_too_late,
        "x + theta is still computed in float32, where a large theta swallows the count. Turn the arguments "
        "into float64 before you add them.",
    ),
    "epsilon": (
        nb_with_epsilon,
        "A small number is added inside the logarithms, as scVI does. It makes the result wrong where mu is as "
        "small itself, and nothing needs it as long as mu is above 0.",
    ),
    "dispersion-inverted": (
        lambda x, mu, theta: nb_log_prob(x, mu, 1 / theta.double()),
        "You treat theta as the dispersion. It is the inverse: a large theta makes the variance small, "
        "close to that of a Poisson.",
    ),
    "powers-swapped": (
        _nb_swapped,
        "The two powers have changed bases: the share of mu belongs to the exponent x, that of theta to the "
        "exponent theta.",
    ),
    "arguments-swapped": (
        lambda x, mu, theta: nb_log_prob(x, theta, mu),
        "mu and theta are swapped everywhere.",
    ),
    "without-factorial": (
        _nb_with((1, -1, 0, 1, 1)),
        "The factorial of x is missing: right for x = 0 and 1 only, where log(x!) is 0.",
    ),
    "factorial-of-one-less": (
        _nb_with((1, -1, -1, 1, 1), shift=0),
        "The gamma function of x is (x - 1)!, not x!. It is even infinite at x = 0.",
    ),
    "factorial-added": (
        _nb_with((1, -1, 1, 1, 1)),
        "The factorial of x is multiplied where it should divide: its logarithm has the wrong sign.",
    ),
    "without-gamma-of-theta": (
        _nb_with((1, 0, -1, 1, 1)),
        "The gamma function of theta is missing: the binomial coefficient has two of them below the line.",
    ),
    "gamma-of-theta-added": (
        _nb_with((1, 1, -1, 1, 1)),
        "The gamma function of theta stands below the line of the binomial coefficient: its logarithm has the "
        "wrong sign.",
    ),
    "coefficient-inverted": (
        _nb_with((-1, 1, 1, 1, 1)),
        "The binomial coefficient is upside down: all three gamma functions have the wrong sign.",
    ),
    "without-coefficient": (
        _nb_with((0, 0, 0, 1, 1)),
        "The binomial coefficient is missing. Without the three gamma functions the probabilities do not sum "
        "to 1 over the counts.",
    ),
    "logarithm-of-gamma": (
        lambda x, mu, theta: _nb_by_gamma(x, mu, theta, torch.log),
        "Right for small numbers, but the gamma function of 172 is already too large for a float64. Never "
        "compute it: lgamma gives its logarithm at once.",
    ),
    "gamma-not-its-logarithm": (
        lambda x, mu, theta: _nb_by_gamma(x, mu, theta, lambda gamma: gamma),
        "You add the gamma functions themselves. What is added to logarithms has to be a logarithm, lgamma.",
    ),
    "logarithm-of-the-product": (
        _nb_by_product,
        "Right for small counts, but the powers and the coefficient become 0 or infinite before you take the "
        "logarithm. Take it of each factor by hand.",
    ),
    "theta-power-missing": (
        _nb_with((1, -1, -1, 0, 1)),
        "The power with the exponent theta is missing.",
    ),
    "count-power-missing": (
        _nb_with((1, -1, -1, 1, 0)),
        "The power with the exponent x is missing: right at x = 0 only.",
    ),
    "exponent-forgotten": (
        _nb_without_power,
        "The logarithm of the share of theta has to be multiplied by its exponent, theta.",
    ),
    "not-normalised": (
        _nb_without_total,
        "You take the powers of theta and of mu themselves. Their bases are shares: each is divided by theta + mu.",
    ),
    "one-minus-p": (
        _nb_by_one_minus_p,
        "Right but in a corner: with a tiny mu and a large theta, 1 - p rounds to 0, and its logarithm is "
        "minus infinity. Compute the share of mu directly.",
    ),
    "distribution-of-probabilities": (
        _nb_by_probabilities,
        "Right but in a corner: with a tiny mu and a large theta PyTorch's distribution cuts the probability "
        "off at 2e-16. Give it logits instead of probs, or write the formula.",
    ),
    "poisson": (
        lambda x, mu, theta: (
            x.double() * torch.log(mu.double()) - mu.double() - torch.lgamma(x.double() + 1) + 0 * theta
        ),
        "This is the Poisson distribution: theta is not used, and the variance cannot exceed the mean.",
    ),
    "negative": (
        lambda x, mu, theta: -nb_log_prob(x, mu, theta),
        "The sign is wrong: this is the negative log-likelihood, a loss. The log-probability is needed.",
    ),
    "probability": (
        lambda x, mu, theta: torch.exp(nb_log_prob(x, mu, theta)),
        "You return the probability. Its logarithm is needed.",
    ),
    "summed-over-genes": (
        lambda x, mu, theta: nb_log_prob(x, mu, theta).sum(dim=-1),
        "You summed over the genes. The function works elementwise; sums come later.",
    ),
    "summed": (
        lambda x, mu, theta: nb_log_prob(x, mu, theta).sum(),
        "You summed over all entries. The function works elementwise; sums come later.",
    ),
    "averaged": (
        lambda x, mu, theta: nb_log_prob(x, mu, theta).mean(),
        "You averaged over the entries. The function works elementwise; sums come later.",
    ),
    "nan-at-mean-zero": (
        nb_without_xlogy,
        "Right but for mu = 0: there x * torch.log(mu / ...) is 0 times minus infinity at x = 0, which is NaN. "
        "torch.xlogy(x, y) is x * torch.log(y), and 0 at x = 0.",
    ),
}
