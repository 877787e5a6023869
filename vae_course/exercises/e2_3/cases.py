"""Exercise 2.3: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def visible_cases() -> list[Case]:
    start, points = torch.tensor([0.5, -1.0]), (torch.tensor([-1.0, 0.5, 2.0]), torch.tensor([1.0, 0.0, 3.0]))
    return [
        Case("one step", (start, 0.1, "list", 1, *points)),
        Case("another learning rate", (start, 0.01, "list", 1, *points)),
        Case("parameters from a generator", (start, 0.1, "generator", 1, *points)),
        Case("three steps", (start, 0.1, "list", 3, *points)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    start, (x, y) = torch.randn(2, generator=generator), torch.randn(2, 5, generator=generator)
    lr = draw_integer(2, 9, generator) / 100
    return [
        Case("one step with other points", (start, lr, "list", 1, x, y)),
        Case("two steps with parameters from a generator", (start + 1, lr, "generator", 2, x, y)),
        Case("four steps", (start - 1, lr, "list", 4, x, y)),
    ]
