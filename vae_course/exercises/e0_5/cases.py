"""Exercise 0.5: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(3)
    cases = []
    for label, n_cells, n_genes in (
        ("two cells of three genes", 2, 3),
        ("as many cells as genes", 3, 3),
        ("a single cell", 1, 4),
        ("a single gene", 5, 1),
    ):
        x, x_hat = torch.randn(2, n_cells, n_genes, generator=generator)
        cases.append(Case(label, (x, x_hat)))
    return [*cases, Case("a perfect reconstruction", (torch.ones(2, 3), torch.ones(2, 3)))]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n_cells, n_genes in torch.randint(2, 9, (3, 2), generator=generator).tolist():
        x, x_hat = 2 * torch.randn(2, n_cells, n_genes, generator=generator)
        cases.append(Case(f"{n_cells} cells of {n_genes} genes", (x, x_hat)))
    return cases
