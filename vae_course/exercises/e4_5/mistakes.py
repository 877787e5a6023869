"""Exercise 4.5: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

SLIPS = {  # what may be computed from y = f(z), the draws z and their mean, instead of what is needed
    "f alone": lambda y, z, mean: y.mean(),
    "the draw itself": lambda y, z, mean: (y * z).mean(),
    "a sum": lambda y, z, mean: (y * (z - mean)).sum(),
    "divided twice": lambda y, z, mean: (y * (z - mean)).mean() / len(z),
    "minus": lambda y, z, mean: (y * (mean - z)).mean(),
    "its own average subtracted": lambda y, z, mean: ((y - y.mean()) * (z - mean)).mean(),
    "a product of averages": lambda y, z, mean: y.mean() * (z - mean).mean(),
    "the log-density": lambda y, z, mean: (y * (-0.5 * (z - mean) ** 2 - 0.5 * math.log(2 * math.pi))).mean(),
    "the log-density but for a constant": lambda y, z, mean: (y * -0.5 * (z - mean) ** 2).mean(),
    "divided by the distance": lambda y, z, mean: (y / (z - mean)).mean(),
    "the squared distance": lambda y, z, mean: (y * (z - mean) ** 2).mean(),
    "half the score": lambda y, z, mean: (y * 0.5 * (z - mean)).mean(),
    "the density besides": lambda y, z, mean: (
        (y * (z - mean) * torch.exp(-0.5 * (z - mean) ** 2)).mean() / math.sqrt(2 * math.pi)
    ),
    "the score alone": lambda y, z, mean: (z - mean).mean() + 0 * y.mean(),
}


def _estimating(formula: Callable[[Tensor, Tensor, float], Tensor]) -> Callable:
    """Make an answer to 4.5 from what it does with f(z), z and mean."""

    def answer(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
        z = mean + torch.randn(n_samples, generator=generator)
        return formula(f(z), z, mean)

    return answer


def _pathwise(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    at = torch.tensor(mean, requires_grad=True)
    f(at + torch.randn(n_samples, generator=generator)).mean().backward()
    return at.grad


def _score_of_moving_draws(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    at = torch.tensor(mean, requires_grad=True)
    z = at + torch.randn(n_samples, generator=generator)
    (f(z) * torch.distributions.Normal(at, 1.0).log_prob(z)).mean().backward()
    return at.grad


def _score_without_generator(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    z = mean + torch.randn(n_samples)
    return (f(z) * (z - mean)).mean()


def _score_reseeded(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    return _estimating(lambda y, z, mean: (y * (z - mean)).mean())(f, mean, n_samples, torch.Generator().manual_seed(0))


def _score_around_zero(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    z = torch.randn(n_samples, generator=generator)
    return (f(z) * (z - mean)).mean()


def _score_of_uniform(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    z = mean + torch.rand(n_samples, generator=generator)
    return (f(z) * (z - mean)).mean()


def _finite_difference(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    z = mean + torch.randn(n_samples, generator=generator)
    return (f(z + 0.01) - f(z - 0.01)).mean() / 0.02


MISTAKES = {
    "pathwise": (
        _pathwise,
        "You differentiate f, which is right for a smooth one only: a jump has no slope. Differentiate the "
        "log-density of the draws instead.",
    ),
    "f-alone": (
        _estimating(SLIPS["f alone"]),
        "This estimates the expectation of f, not its derivative: the score, the derivative of the "
        "log-density, is missing.",
    ),
    "draw-for-score": (
        _estimating(SLIPS["the draw itself"]),
        "f is multiplied by the draw. The derivative of the log-density is the distance of the draw from mean.",
    ),
    "sum": (
        _estimating(SLIPS["a sum"]),
        "You summed over the draws, so that more draws give a larger number. An expectation is estimated by the mean.",
    ),
    "divided-twice": (
        _estimating(SLIPS["divided twice"]),
        "You divided by the number of draws twice: the mean does it already.",
    ),
    "sign": (
        _estimating(SLIPS["minus"]),
        "The sign is wrong: a draw above mean becomes more likely when mean grows, so its score is positive.",
    ),
    "own-average": (
        _estimating(SLIPS["its own average subtracted"]),
        "Subtracting the average of the same draws makes the estimate too small, with two draws by half. Only "
        "a baseline that does not depend on the draw itself is harmless.",
    ),
    "product-of-averages": (
        _estimating(SLIPS["a product of averages"]),
        "You averaged f and the score apart. Multiply them draw by draw, then average.",
    ),
    "log-density": (
        _estimating(SLIPS["the log-density"]),
        "f is multiplied by the log-density. Its derivative with respect to mean is needed.",
    ),
    "log-density-but-for-a-constant": (
        _estimating(SLIPS["the log-density but for a constant"]),
        "f is multiplied by the exponent of the density, as if by its logarithm. The derivative of the "
        "log-density with respect to mean is needed.",
    ),
    "divided-by-the-distance": (
        _estimating(SLIPS["divided by the distance"]),
        "f is divided by the distance of the draw from mean, which explodes for draws near mean. The score "
        "multiplies f.",
    ),
    "moving-draws": (
        _score_of_moving_draws,
        "z still moves with the mean, so that its log-density stays as it is and has no slope. Detach the "
        "draws before you differentiate.",
    ),
    "squared-distance": (
        _estimating(SLIPS["the squared distance"]),
        "f is multiplied by the squared distance from mean. The derivative of a square is of first power.",
    ),
    "half-the-score": (
        _estimating(SLIPS["half the score"]),
        "Everything is half as large as it should be: the 2 from the square cancels the 1/2 in the exponent.",
    ),
    "density-besides": (
        _estimating(SLIPS["the density besides"]),
        "You multiplied by the density. The draws come from it already, so likely values come up more often "
        "by themselves.",
    ),
    "score-alone": (
        _estimating(SLIPS["the score alone"]),
        "f is not used: the score alone averages to 0.",
    ),
    "not-averaged": (
        _estimating(lambda y, z, mean: y * (z - mean)),
        "You return a number for every draw. Average them.",
    ),
    "draws-around-zero": (
        _score_around_zero,
        "The draws lie around 0. They should come from a Gaussian around mean.",
    ),
    "uniform-draws": (
        _score_of_uniform,
        "torch.rand is uniform between 0 and 1. The draws should be Gaussian around mean.",
    ),
    "generator-ignored": (
        _score_without_generator,
        "The average is right, but the draws do not come from the generator: the same seed gives different estimates.",
    ),
    "reseeded": (
        _score_reseeded,
        "You make a generator with a fixed seed, so that every call gives the same number. Draw from the one "
        "that is given.",
    ),
    "finite-difference": (
        _finite_difference,
        "A difference quotient meets a jump only rarely, and is then huge: right on average, but far too "
        "noisy. Differentiate the log-density instead.",
    ),
}
