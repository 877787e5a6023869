"""Exercise 4.3: the visible cases, and the hidden ones that grading adds."""

from collections.abc import Sequence

import torch

from vae_course.exercises.attempt import Case


def _case_of_elbo(label: str, shape: Sequence[int], generator: torch.Generator, scale: float = 1.0) -> Case:
    likelihood, prior, q = torch.randn(3, *shape, generator=generator)
    return Case(label, (scale * (likelihood - 5.0), prior - 3.0, q - 1.5))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    return [
        _case_of_elbo("four draws of three cells", (4, 3), generator),
        _case_of_elbo("a single draw", (1, 3), generator),
        _case_of_elbo("as many draws as cells", (3, 3), generator),
        _case_of_elbo("a single cell", (5, 1), generator),
        _case_of_elbo("log-likelihoods around -10,000", (4, 2), generator, scale=2000.0),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    shapes = torch.randint(2, 9, (3, 2), generator=generator).tolist()
    return [_case_of_elbo(f"draws: {shape[0]}, cells: {shape[1]}", shape, generator) for shape in shapes]
