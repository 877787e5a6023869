"""Exercise 2.5: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _gaussian_head(label: str, n_cells: int, n_in: int, n_latent: int, generator: torch.Generator) -> Case:
    h, far = torch.randn(n_cells, n_in, generator=generator) + 1, 10 * torch.randn(100, n_in, generator=generator)
    return Case(label, (n_in, n_latent, h, far))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    return [
        _gaussian_head("five cells, four features and two latents", 5, 4, 2, generator),
        _gaussian_head("a single cell", 1, 3, 2, generator),
        _gaussian_head("as many latents as features", 4, 3, 3, generator),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_in, n_latent = (
        draw_integer(2, 6, generator),
        draw_integer(4, 7, generator),
        draw_integer(2, 5, generator),
    )
    return [
        _gaussian_head("other numbers of cells, features and latents", n_cells, n_in, n_latent, generator),
        _gaussian_head("another single cell", 1, n_latent + 1, n_in, generator),
    ]
