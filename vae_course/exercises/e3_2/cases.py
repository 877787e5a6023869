"""Exercise 3.2: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _epoch(label: str, sizes: tuple[int, ...], optimizer: str, form: str, train: bool, seed: int) -> Case:
    cells = torch.bernoulli(torch.full((sum(sizes), 6), 0.4), generator=torch.Generator().manual_seed(seed + 1))
    return Case(label, (cells, sizes, optimizer, form, train, seed))


def visible_cases() -> list[Case]:
    return [
        _epoch("minibatches of unequal size", (5, 3, 2), "SGD", "list", True, 2),
        _epoch("a model that comes in eval mode", (4, 4), "SGD", "list", False, 2),
        _epoch("minibatches that can be walked only once", (4, 2, 6), "SGD", "generator", True, 2),
        _epoch("Adam as the optimizer", (6, 3), "Adam", "list", True, 2),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    sizes = [tuple(draw_integer(2, 8, generator) for _ in range(4)) for _ in range(2)]
    seeds = [draw_integer(1000, 10**6, generator) for _ in range(2)]
    return [
        _epoch("another model and other minibatches", sizes[0], "SGD", "generator", False, seeds[0]),
        _epoch("another model and Adam", sizes[1], "Adam", "list", True, seeds[1]),
    ]
