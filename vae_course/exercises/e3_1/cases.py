"""Exercise 3.1: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _loss_case(label: str, n_cells: int, n_genes: int, n_latent: int, generator: torch.Generator) -> Case:
    x = torch.bernoulli(torch.full((n_cells, n_genes), 0.4), generator=generator)
    logits = 2 * torch.randn(n_cells, n_genes, generator=generator)
    mean, logvar = (torch.randn(n_cells, n_latent, generator=generator) for _ in range(2))
    return Case(label, (x, logits, mean, logvar))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    cases = [
        _loss_case("four cells of five genes, with two latents", 4, 5, 2, generator),
        _loss_case("a single cell", 1, 3, 2, generator),
        _loss_case("as many cells as genes and latents", 3, 3, 3, generator),
    ]
    x, logits, mean, logvar = cases[0].arguments
    return [*cases, Case("logits of 200 and -200", (x, 200 * torch.sign(logits), mean, logvar))]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_genes, n_latent = (draw_integer(2, 9, generator) for _ in range(3))
    x, logits, mean, logvar = _loss_case("", n_genes, n_latent, n_cells, generator).arguments
    return [
        _loss_case("other numbers of cells, genes and latents", n_cells, n_genes, n_latent, generator),
        _loss_case("another single cell", 1, n_genes, n_latent, generator),
        Case("logits of 150 and -150", (x, 150 * torch.sign(logits), mean, logvar)),
    ]
