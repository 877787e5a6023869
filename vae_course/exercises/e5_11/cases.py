"""Exercise 5.11: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer

SCVI = (0.01, 0.01)


def _pass(label: str, sizes: tuple[int, ...], form: str, train: bool, momenta: tuple, seed: int) -> Case:
    generator = torch.Generator().manual_seed(seed + 1)
    rates = 5 * torch.rand(sum(sizes), 6, generator=generator)
    return Case(label, (torch.poisson(rates, generator=generator), sizes, form, train, momenta, seed))


def visible_cases() -> list[Case]:
    return [
        _pass("three minibatches of equal size", (5, 5, 5), "list", True, SCVI, 1),
        _pass("minibatches of unequal size", (9, 3, 4), "list", True, SCVI, 2),
        _pass("a model that comes in eval mode", (4, 6), "list", False, SCVI, 3),
        _pass("minibatches that can be walked only once", (4, 4, 6, 3), "generator", True, SCVI, 4),
        _pass("layers with different momenta", (6, 4), "list", True, (0.1, 0.3), 5),
        _pass("a single minibatch", (8,), "generator", True, SCVI, 6),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    sizes = [tuple(draw_integer(3, 9, generator) for _ in range(4)) for _ in range(2)]
    seeds = [draw_integer(1000, 10**6, generator) for _ in range(2)]
    momenta = tuple(draw_integer(1, 40, generator) / 100 for _ in range(2))
    return [
        _pass("another model and other minibatches", sizes[0], "generator", False, SCVI, seeds[0]),
        _pass("another model with other momenta", sizes[1], "list", True, momenta, seeds[1]),
    ]
