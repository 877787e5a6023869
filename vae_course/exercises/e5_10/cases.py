"""Exercise 5.10: the visible cases, and the hidden ones that grading adds."""

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _in_steps(n_genes: int, n_steps: int, generator: torch.Generator) -> Tensor:
    """Draw probabilities of a few sizes, so that there are ties."""
    return torch.randint(n_steps + 1, (n_genes,), generator=generator) / n_steps


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    many = torch.rand(300, generator=generator) ** 0.3
    return [
        Case("three genes, the most probable first", (torch.tensor([0.9, 0.6, 0.2]),)),
        Case("genes in any order", (torch.tensor([0.3, 0.95, 0.7, 0.05, 0.5]),)),
        Case("genes that are equally probable", (torch.tensor([0.5, 1.0, 0.9, 0.0, 0.9, 0.5]),)),
        Case("a single gene", (torch.tensor([0.8]),)),
        Case("genes that are all certain", (torch.ones(4),)),
        Case("genes that are all equally probable", (torch.full((3,), 0.25),)),
        Case("three hundred genes", (many,)),
        Case("forty genes with many ties", (_in_steps(40, 6, generator),)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_genes = draw_integer(5, 60, generator)
    return [
        Case("other genes", (torch.rand(n_genes, generator=generator),)),
        Case("other genes with ties", (_in_steps(n_genes, draw_integer(3, 7, generator), generator),)),
        Case("many other genes", (torch.rand(500, generator=generator) ** 0.2,)),
    ]
