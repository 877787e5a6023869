"""Exercise 1.6: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case


def visible_cases() -> list[Case]:
    log_prior = torch.tensor([-1.5, -0.5, -0.8, -2.0])
    log_likelihood = torch.tensor([[-3.0, -1.0, -0.2, -4.0], [-0.1, -2.0, -5.0, -0.3], [-2.0, -2.0, -1.0, -3.0]])
    return [
        Case("four grid points", (log_prior, log_likelihood[0])),
        Case("three cells at once", (log_prior.expand(3, 4), log_likelihood)),
        Case("one prior for three cells", (log_prior, log_likelihood)),
        Case("log-likelihoods around -10,000", (log_prior, 1e4 * log_likelihood)),
        Case("two grids in two dimensions", (log_prior, torch.stack([log_likelihood[:2], log_likelihood[1:]]))),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_points = torch.randint(2, 9, (2,), generator=generator).tolist()
    log_prior = torch.log_softmax(torch.randn(n_points, generator=generator), dim=-1)
    log_likelihood = 3 * torch.randn(n_cells, n_points, generator=generator) - 5
    far_apart = torch.stack([torch.randperm(n_points, generator=generator) for _ in range(n_cells)])
    return [
        Case(f"{n_points} grid points", (log_prior, log_likelihood[0])),
        Case(f"{n_cells} cells at once", (log_prior.expand(n_cells, n_points), log_likelihood)),
        Case("log-likelihoods below -10,000", (log_prior, -1e4 - 100.0 * far_apart)),
    ]
