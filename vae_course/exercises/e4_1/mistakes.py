"""Exercise 4.1: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable

import torch
from torch import Tensor


def _noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator)


def _drawing(formula: Callable[[Tensor, Tensor, Tensor], Tensor], noise: Callable = _noise) -> Callable:
    """Make an answer to 4.1 from what it does with mean, logvar and noise."""
    return lambda mean, logvar, generator=None: formula(mean, logvar, noise(mean, generator))


def _right_draw(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + torch.exp(logvar / 2) * eps


def _draw_reseeded(mean: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    torch.manual_seed(0)
    return _right_draw(mean, logvar, torch.randn(mean.shape))


def _draw_from_reset_generator(mean: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    if generator is not None:
        generator.manual_seed(0)
    return _right_draw(mean, logvar, torch.randn(mean.shape, generator=generator))


MISTAKES = {
    "variance-for-standard-deviation": (
        _drawing(lambda mean, logvar, eps: mean + torch.exp(logvar) * eps),
        "The noise is multiplied by the variance. Its standard deviation is needed, the square root of that.",
    ),
    "multiple-of-the-variance": (
        _drawing(lambda mean, logvar, eps: mean + 0.5 * torch.exp(logvar) * eps),
        "The noise is multiplied by a multiple of the variance, such as half of it. Its square root is needed: in "
        "which order does one halve and take the exponential?",
    ),
    "added-instead-of-multiplied": (
        _drawing(lambda mean, logvar, eps: mean + torch.exp(0.5 * logvar) + eps),
        "The standard deviation is added to the noise, so that it shifts the draws. It should stretch the noise.",
    ),
    "log-variance-for-standard-deviation": (
        _drawing(lambda mean, logvar, eps: mean + logvar * eps),
        "The noise is multiplied by the log-variance, which may even be negative. Turn it into a standard "
        "deviation first.",
    ),
    "half-the-log-variance": (
        _drawing(lambda mean, logvar, eps: mean + 0.5 * logvar * eps),
        "Half the log-variance is the logarithm of the standard deviation. It still has to be undone.",
    ),
    "root-of-the-log-variance": (
        _drawing(lambda mean, logvar, eps: mean + torch.sqrt(logvar) * eps),
        "You took the square root of the log-variance, which is often negative. The root belongs to the variance.",
    ),
    "one-over-the-standard-deviation": (
        _drawing(lambda mean, logvar, eps: mean + torch.exp(-0.5 * logvar) * eps),
        "The sign in the exponent is wrong: a large log-variance should give wide draws.",
    ),
    "log-variance-ignored": (
        _drawing(lambda mean, logvar, eps: mean + eps),
        "logvar is not used: the noise has variance 1 wherever one looks.",
    ),
    "mean-forgotten": (
        _drawing(lambda mean, logvar, eps: torch.exp(0.5 * logvar) * eps),
        "The mean is missing: your draws lie around 0.",
    ),
    "no-noise": (
        _drawing(lambda mean, logvar, eps: mean + torch.exp(0.5 * logvar)),
        "There is no noise: mean plus one standard deviation is the same at every call.",
    ),
    "noise-times-the-mean": (
        _drawing(lambda mean, logvar, eps: mean * eps + torch.exp(0.5 * logvar)),
        "Mean and standard deviation are swapped: the noise is multiplied by the standard deviation, "
        "and the mean is added.",
    ),
    "mean-stretched-too": (
        _drawing(lambda mean, logvar, eps: torch.exp(0.5 * logvar) * (mean + eps)),
        "The mean is multiplied by the standard deviation. Only the noise should be.",
    ),
    "one-noise-for-all": (
        _drawing(_right_draw, lambda mean, generator: torch.randn((), generator=generator)),
        "A single number of noise moves all entries together. Each entry needs a number of its own.",
    ),
    "one-noise-for-each-cell": (
        _drawing(
            _right_draw,
            lambda mean, generator: torch.randn(*mean.shape[:-1], 1, generator=generator).view(
                mean.shape[:-1] + (1,) * (mean.dim() > 0)
            ),
        ),
        "All latents of a cell share one number of noise. Each entry needs a number of its own.",
    ),
    "one-noise-for-each-latent": (
        _drawing(_right_draw, lambda mean, generator: torch.randn(mean.shape[-1:], generator=generator)),
        "All cells share the same noise. Each entry needs a number of its own.",
    ),
    "uniform-noise": (
        _drawing(_right_draw, lambda mean, generator: torch.rand(mean.shape, generator=generator)),
        "torch.rand is uniform between 0 and 1, so that no draw lies below its mean. The noise should be Gaussian.",
    ),
    "torch-normal": (
        lambda mean, logvar, generator=None: torch.normal(
            mean.detach(), torch.exp(0.5 * logvar.detach()), generator=generator
        ),
        "The draws are right, but no gradient reaches mean and logvar: sampling from them directly cuts the "
        "chain. Sample noise that does not depend on them, then compute with it.",
    ),
    "sample": (
        lambda mean, logvar, generator=None: torch.distributions.Normal(mean, torch.exp(0.5 * logvar)).sample(),
        "sample() cuts the chain, so that no gradient reaches mean and logvar, and it cannot use the "
        "generator. Sample noise that does not depend on them, then compute with it.",
    ),
    "mean-detached": (
        _drawing(lambda mean, logvar, eps: mean.detach() + torch.exp(0.5 * logvar) * eps),
        "The draws are right, but no gradient reaches mean: something like detach, data or item cuts the chain.",
    ),
    "log-variance-detached": (
        _drawing(lambda mean, logvar, eps: mean + torch.exp(0.5 * logvar.detach()) * eps),
        "The draws are right, but no gradient reaches logvar: something like detach, data or item cuts the chain.",
    ),
    "generator-ignored": (
        _drawing(_right_draw, lambda mean, generator: torch.randn(mean.shape)),
        "Right without a generator, but when one is given it is not used: the same seed gives different draws.",
    ),
    "reseeded": (
        _draw_reseeded,
        "torch.manual_seed inside the function gives the same noise at every call. Leave seeds to whoever calls it.",
    ),
    "generator-reset": (
        _draw_from_reset_generator,
        "The generator that you are given starts anew at every call, so that all draws are equal. Go on from "
        "where it is.",
    ),
    "own-generator": (
        _drawing(
            _right_draw,
            lambda mean, generator: torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)),
        ),
        "You make a generator with a fixed seed at every call, so that all draws are equal. Use the one that "
        "is given, or PyTorch's global one.",
    ),
    "new-generator-for-none": (
        _drawing(
            _right_draw,
            lambda mean, generator: torch.randn(mean.shape, generator=generator or torch.Generator()),
        ),
        "Right with a generator. Without one you make a new generator, which begins with the same numbers at "
        "every call: let PyTorch use its global one.",
    ),
}
