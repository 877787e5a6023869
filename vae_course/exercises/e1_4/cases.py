"""Exercise 1.4: the visible cases, and the hidden ones that grading adds."""

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case


def _covariance(k: int, generator: torch.Generator) -> Tensor:
    root = torch.randn(k, k, generator=generator)
    return root @ root.T / k + 0.5 * torch.eye(k)


def visible_cases() -> list[Case]:
    def covariance(k: int, seed: int) -> Tensor:
        return _covariance(k, torch.Generator().manual_seed(seed))

    q = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    p = torch.tensor([[1.0, 0.3], [0.3, 2.0]])
    mean = torch.tensor([1.0, -1.0])
    shifts = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    return [
        Case("two correlated dimensions", (mean, q, torch.zeros(2), p)),
        Case("a standard normal p", (mean, q, torch.zeros(2), torch.eye(2))),
        Case("four dimensions", (shifts[0], covariance(4, 1), shifts[1], covariance(4, 2))),
        Case("one dimension", (mean[:1], q[:1, :1], torch.zeros(1), 3 * torch.ones(1, 1))),
        Case("q equal to p", (mean, q, mean, q)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for k in (2, 3, 5):
        mean_q, mean_p = torch.randn(2, k, generator=generator)
        arguments = (mean_q, _covariance(k, generator), mean_p, _covariance(k, generator))
        cases.append(Case(f"Gaussians in {k} dimensions", arguments))
    return cases
