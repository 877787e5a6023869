"""Exercise 2.2: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def visible_cases() -> list[Case]:
    return [
        Case("four cells of three categories", (torch.tensor([2, 0, 1, 0]), 3)),
        Case("codes in a column, (cells, 1)", (torch.tensor([[2], [0], [1], [0], [1]]), 3)),
        Case("a last category that no cell has", (torch.tensor([0, 1, 0]), 4)),
        Case("as many cells as categories", (torch.tensor([1, 1, 2]), 3)),
        Case("a single cell", (torch.tensor([1]), 2)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_categories = draw_integer(5, 12, generator), draw_integer(3, 7, generator)
    codes = torch.randint(n_categories, (3, n_cells), generator=generator)
    return [
        Case("other codes", (codes[0], n_categories)),
        Case("other codes in a column", (codes[1].unsqueeze(-1), n_categories)),
        Case("two last categories that no cell has", (codes[2], n_categories + 2)),
        Case("another single cell", (codes[2, :1], n_categories)),
    ]
