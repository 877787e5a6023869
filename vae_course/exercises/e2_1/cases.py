"""Exercise 2.1: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _linear(label: str, n_in: int, n_out: int, leading: tuple[int, ...], generator: torch.Generator) -> Case:
    x, weight = torch.randn(*leading, n_in, generator=generator), torch.randn(n_out, n_in, generator=generator)
    return Case(label, (n_in, n_out, x, weight, torch.randn(n_out, generator=generator) + 1))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    return [
        _linear("a table of five cells", 2, 3, (5,), generator),
        _linear("as many outputs as inputs", 3, 3, (4,), generator),
        _linear("one cell alone, of shape (n_in,)", 4, 2, (), generator),
        _linear("a stack of two tables", 2, 3, (2, 5), generator),
        _linear("a hundred inputs", 100, 20, (3,), generator),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_in, n_out, n_cells = (draw_integer(2, 6, generator) for _ in range(3))
    return [
        _linear("another table of cells", n_in, n_out, (n_cells,), generator),
        _linear("another cell alone", n_out, n_in, (), generator),
        _linear("a stack of three tables", n_in, n_out, (3, n_cells), generator),
    ]
