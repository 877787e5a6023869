"""Exercise 0.1: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case


def visible_cases() -> list[Case]:
    many = torch.poisson(torch.full((5, 7), 3.0), generator=torch.Generator().manual_seed(1)) + 1
    return [
        Case("three cells of two genes", (torch.tensor([[1.0, 2.0], [0.0, 4.0], [5.0, 0.0]]),)),
        Case("as many cells as genes", (torch.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 5.0], [0.0, 7.0, 0.0]]),)),
        Case("a single cell", (torch.tensor([[3.0, 0.0, 1.0, 2.0]]),)),
        Case("a single gene", (torch.tensor([[3.0], [1.0], [2.0], [9.0]]),)),
        Case("five cells of seven genes", (many,)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n_cells, n_genes in torch.randint(2, 9, (3, 2), generator=generator).tolist():
        counts = torch.poisson(torch.full((n_cells, n_genes), 3.0), generator=generator)
        counts[:, 0] += 1  # so that no cell is empty
        cases.append(Case(f"{n_cells} cells of {n_genes} genes", (counts,)))
    return cases
