"""Exercise 3.3: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def visible_cases() -> list[Case]:
    return [
        Case("a model in eval mode", (4000, False, 0.4, 0.3, 11)),
        Case("a model that comes in train mode", (4000, True, 0.4, 0.3, 11)),
        Case("a single cell", (1, True, 0.4, 0.3, 11)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)

    def model() -> tuple[float, float, int]:
        return (
            draw_integer(30, 60, generator) / 100,
            draw_integer(-50, 50, generator) / 100,
            draw_integer(1000, 10**6, generator),
        )

    return [
        Case("another model, in train mode", (draw_integer(3500, 4500, generator), True, *model())),
        Case("a few cells of another model", (draw_integer(2, 9, generator), False, *model())),
    ]
