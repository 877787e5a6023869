"""Exercise 4.1: the visible cases, and the hidden ones that grading adds."""

import numpy as np
import torch
from torch import Tensor

from vae_course.exercises.attempt import Case


def _draw_gaussians(
    shape: tuple[int, ...], logvars: Tensor, source: str, generator: torch.Generator
) -> tuple[Tensor, Tensor, str]:
    """Make means at random, and three values of logvar in turn, so that spreads can be compared."""
    which = torch.tensor([sum(place) % 3 for place in np.ndindex(shape)]).view(shape)
    return 3 * torch.randn(shape, generator=generator), logvars[which], source


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(label: str, shape: tuple[int, ...], source: str) -> Case:
        return Case(label, _draw_gaussians(shape, torch.tensor([1.6, -1.2, 0.4]), source, generator))

    extremes = torch.tensor([[30.0, -30.0], [-30.0, 30.0]]).repeat(100, 3)
    return [
        case("a table of cells and latents", (60, 40), "global"),
        case("a table and a generator", (60, 40), "generator"),
        case("as many cells as latents", (25, 25), "generator"),
        case("a vector", (600,), "generator"),
        case("a stack of tables", (3, 10, 20), "global"),
        case("a single cell", (1, 600), "global"),
        case("a single latent", (600, 1), "generator"),
        case("a single number, of shape ()", (), "global"),
        Case("log-variances of 30 and -30", (torch.zeros(200, 6), extremes, "generator")),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for source in ("global", "generator"):
        shape = tuple(torch.randint(24, 36, (2,), generator=generator).tolist())
        logvars = torch.tensor([1.6, 0.2, -1.2]) + 0.4 * torch.rand(3, generator=generator)
        label = f"{shape[0]} cells of {shape[1]} latents" + (", with a generator" if source == "generator" else "")
        cases.append(Case(label, _draw_gaussians(shape, logvars, source, generator)))
    return cases
