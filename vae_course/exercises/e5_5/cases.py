"""Exercise 5.5: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _scvi_kl_case(label: str, n_cells: int, n_latent: int, generator: torch.Generator) -> Case:
    qz_m = torch.randn(n_cells, n_latent, generator=generator)
    qz_v = 0.2 + 2 * torch.rand(n_cells, n_latent, generator=generator)
    ql_m, library_mean = (5 + torch.randn(n_cells, 1, generator=generator) for _ in range(2))
    ql_v, library_var = (0.2 + 2 * torch.rand(n_cells, 1, generator=generator) for _ in range(2))
    return Case(label, (qz_m, qz_v, ql_m, ql_v, library_mean, library_var))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    cases = [
        _scvi_kl_case("three cells with two latents", 3, 2, generator),
        _scvi_kl_case("as many cells as latents", 3, 3, generator),
        _scvi_kl_case("a single cell", 1, 4, generator),
        _scvi_kl_case("a single latent", 4, 1, generator),
    ]
    latent = torch.tensor([[0.5, -1.0], [2.0, 0.1]]), torch.tensor([[1e-4, 50.0], [3.0, 1e-6]])
    library = torch.tensor([[[7.0], [9.0]], [[1e-3], [20.0]], [[8.0], [6.5]], [[0.1], [0.4]]])
    cases.append(Case("very small and very large variances", (*latent, *(value.clone() for value in library))))
    prior = (torch.tensor([[6.0], [7.5]]), torch.tensor([[0.3], [1.7]]))
    same = (torch.zeros(2, 3), torch.ones(2, 3), *(value.clone() for value in prior), *prior)
    cases.append(Case("two posteriors equal to their priors", same))
    return cases


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_latent = (draw_integer(2, 9, generator) for _ in range(2))
    return [
        _scvi_kl_case("other numbers of cells and latents", n_cells, n_latent, generator),
        _scvi_kl_case("another single cell", 1, n_latent, generator),
        _scvi_kl_case("another single latent", n_cells, 1, generator),
    ]
