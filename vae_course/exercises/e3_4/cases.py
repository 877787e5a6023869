"""Exercise 3.4: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(5)
    x = torch.bernoulli(torch.full((6, 7), 0.5), generator=generator)
    return [
        Case("five steps, with a model in eval mode", (x[0], x[1], 5, False, 6)),
        Case("a model that comes in train mode", (x[2], x[3], 4, True, 6)),
        Case("two steps, which are the two ends", (x[4], x[5], 2, False, 6)),
        Case("as many steps as genes", (x[1], x[4], 7, True, 6)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)

    def walk(label: str, train: bool) -> Case:
        x = torch.bernoulli(torch.full((2, 7), 0.5), generator=generator)
        return Case(label, (*x, draw_integer(3, 12, generator), train, draw_integer(1000, 10**6, generator)))

    return [walk("another model, in train mode", True), walk("another model, in eval mode", False)]
