"""Exercise 4.2: the visible cases, and the hidden ones that grading adds."""

from collections.abc import Sequence

import torch

from vae_course.exercises.attempt import Case


def _case_of_kl(label: str, shape: Sequence[int], generator: torch.Generator) -> Case:
    mean, logvar = torch.randn(2, *shape, generator=generator)
    return Case(label, (mean + 0.5, 1.2 * logvar - 0.3))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(label: str, *shape: int) -> Case:
        return _case_of_kl(label, shape, generator)

    mean, extremes = torch.tensor([[0.5, -1.0], [2.0, 0.0]]), torch.tensor([[-30.0, 1.0], [30.0, -2.0]])
    return [
        case("three cells of two latents", 3, 2),
        case("a single cell, of shape (n_latent,)", 3),
        case("a stack of tables, (draws, cells, latents)", 2, 3, 4),
        case("as many cells as latents", 3, 3),
        case("a single latent", 4, 1),
        Case("log-variances of 30 and -30", (mean, extremes)),
        Case("the prior itself", (torch.zeros(2, 3), torch.zeros(2, 3))),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n, m, k = torch.randint(2, 7, (3,), generator=generator).tolist()
    mean, logvar = torch.rand(2, n, k, generator=generator) * 2 - 1
    return [
        _case_of_kl(f"{n} cells of {k} latents", (n, k), generator),
        _case_of_kl("draws, cells and latents", (n, m, k), generator),
        Case("log-variances between -25 and 25", (3 * mean, 25 * logvar)),
    ]
