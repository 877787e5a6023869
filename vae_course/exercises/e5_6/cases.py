"""Exercise 5.6: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def visible_cases() -> list[Case]:
    table = torch.tensor([[12.0, 0.0, 1.0, 5.0], [0.0, 30.0, 0.0, 3.0], [7.0, 0.0, 2.0, 0.0]])
    square = torch.tensor([[4.0, 0.0, 1.0], [2.0, 9.0, 0.0], [0.0, 3.0, 1.0]])
    large = torch.poisson(0.8 * torch.ones(20, 60), generator=torch.Generator().manual_seed(0))
    return [
        Case("seven non-zero counts in three cells", (table, 0.6, 1000, 1)),
        Case("another rate", (table, 0.4, 200, 1)),
        Case("a single cell", (torch.tensor([[3.0, 0.0, 1.0, 14.0, 2.0, 6.0]]), 0.5, 200, 1)),
        Case("as many cells as genes", (square, 0.5, 200, 1)),
        Case("rate 1", (table, 1.0, 20, 1)),
        Case("rate 0", (table, 0.0, 20, 1)),
        Case("a rate too small for one count", (table, 0.1, 20, 1)),
        Case("a thousand entries", (large, 0.35, 20, 1)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)

    def case(label: str, n_calls: int) -> Case:
        """Half of the entries are zero; the due number is far from a whole one before it is rounded down."""
        n_cells, n_genes = draw_integer(3, 4, generator), draw_integer(4, 5, generator)
        n_nonzero = n_cells * n_genes // 2 + 1
        counts = torch.zeros(n_cells * n_genes)
        places = torch.randperm(len(counts), generator=generator)[:n_nonzero]
        counts[places] = torch.randint(1, 40, (n_nonzero,), generator=generator).float()
        rate = (n_nonzero // 2 + 0.5) / n_nonzero
        return Case(label, (counts.reshape(n_cells, n_genes), rate, n_calls, draw_integer(1000, 10**6, generator)))

    return [case("other counts", 1000), case("a few calls with other counts", 20)]
