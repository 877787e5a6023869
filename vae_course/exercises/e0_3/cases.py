"""Exercise 0.3: the visible cases, and the hidden ones that grading adds."""

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case


def _components(n_latent: int, n_genes: int, generator: torch.Generator) -> Tensor:
    """Orthonormal rows, (n_latent, n_genes)."""
    square = torch.randn(n_genes, n_genes, generator=generator)
    return torch.linalg.qr(square).Q[:n_latent].contiguous()


def pca_cases(coded: bool) -> list[Case]:
    """Cells to encode, or coordinates to decode."""
    cases = []
    for label, n_cells, n_latent, n_genes in (
        ("three cells of four genes and two components", 3, 2, 4),
        ("a single component", 5, 1, 3),
        ("a single cell", 1, 2, 5),
        ("as many components as genes", 4, 3, 3),
        ("as many cells as genes", 4, 2, 4),
    ):
        generator = torch.Generator().manual_seed(n_cells + 10 * n_genes)
        x = torch.randn(n_cells, n_latent if coded else n_genes, generator=generator)
        mean = torch.randn(n_genes, generator=generator) + 1
        components = _components(n_latent, n_genes, torch.Generator().manual_seed(n_genes))
        cases.append(Case(label, (x, mean, components)))
    return cases


def hidden_pca_cases(seed: int, coded: bool) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n_cells, n_latent, more in torch.randint(1, 6, (3, 3), generator=generator).tolist():
        n_genes = n_latent + more
        x = torch.randn(n_cells + 1, n_latent if coded else n_genes, generator=generator)
        mean = torch.randn(n_genes, generator=generator) + 1
        label = f"{n_cells + 1} cells of {n_genes} genes, components: {n_latent}"
        cases.append(Case(label, (x, mean, _components(n_latent, n_genes, generator))))
    return cases


def visible_cases() -> list[Case]:
    return pca_cases(coded=False)


def hidden_cases(seed: int) -> list[Case]:
    return hidden_pca_cases(seed, coded=False)
