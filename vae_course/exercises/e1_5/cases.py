"""Exercise 1.5: the visible cases, and the hidden ones that grading adds."""

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case


def _draw(n_samples: int, k: int, mean: float, var: float, generator: torch.Generator) -> Tensor:
    return mean + var**0.5 * torch.randn(n_samples, k, generator=generator)


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    cases = []
    for label, n_samples, k, mean, var in (
        ("five draws in two dimensions", 5, 2, 1.0, 0.5),
        ("two draws", 2, 3, -1.0, 2.0),
        ("a hundred draws in one dimension", 100, 1, 0.3, 4.0),
    ):
        cases.append(Case(label, (_draw(n_samples, k, mean, var, generator), (mean, var), (0.0, 1.0))))
    return cases


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n_samples, k in zip((4, 20, 60), torch.randint(1, 5, (3,), generator=generator).tolist(), strict=True):
        mean_q, mean_p = torch.randn(2, generator=generator).tolist()
        var_q, var_p = (0.3 + 3 * torch.rand(2, generator=generator)).tolist()
        sample_q = _draw(n_samples, k, mean_q, var_q, generator)
        cases.append(Case(f"{n_samples} draws, dimensions: {k}", (sample_q, (mean_q, var_q), (mean_p, var_p))))
    return cases
