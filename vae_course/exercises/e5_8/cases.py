"""Exercise 5.8: the visible cases, and the hidden ones that grading adds."""

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _draw_scales(n_draws: int, n_genes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    tables = (torch.randn(n_draws, n_genes, generator=generator) for _ in range(2))
    return tuple(torch.softmax(table + torch.linspace(0, 1, n_genes), dim=1) for table in tables)


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def shares(n_draws: int, n_genes: int) -> tuple[Tensor, Tensor]:
        return _draw_scales(n_draws, n_genes, generator)

    first, second = shares(8, 4)
    first[:4, 0], second[:4, 0] = second[4:, 1], second[4:, 1]  # ties with unequal rows
    second[2:7, 2] = first[2:7, 2]
    high, low = 0.1 + torch.rand(5, 3, generator=generator), 0.1 * torch.rand(5, 3, generator=generator)
    certain = torch.stack([high[:, 0], low[:, 1], high[:, 2]], dim=1), torch.stack([low[:, 0], *high.T[1:]], dim=1)
    many = torch.rand(1000, 2, generator=generator) + 1
    rare = torch.rand(1000, 2, generator=generator)
    rare[17], rare[400, 0] = 3.0, 2.5
    return [
        Case("seven draws of three genes", shares(7, 3)),
        Case("draws with ties", (first, second)),
        Case("very small scales", (1e-9 * first, 1e-9 * second)),
        Case("one gene, of shape (draws,)", tuple(table[:, 1] for table in shares(6, 3))),
        Case("as many draws as genes", shares(4, 4)),
        Case("genes that are higher, or lower, in every draw", certain),
        Case("another eps", (*certain, 0.01)),
        Case("another eps and ties", (first, second, 0.2)),
        Case("a single draw", shares(1, 3)),
        Case("a thousand draws", (many, rare)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_draws, n_genes = draw_integer(5, 30, generator), draw_integer(2, 7, generator)
    first, second = _draw_scales(n_draws, n_genes, generator)
    tied = first.clone()
    tied[n_draws // 2 :] = second[n_draws // 2 :]
    return [
        Case("other scales", (first, second)),
        Case("other scales with ties and another eps", (tied, second, draw_integer(5, 50, generator) / 100)),
        Case("another gene, of shape (draws,)", tuple(table[:, 0] for table in _draw_scales(n_draws, 2, generator))),
    ]
