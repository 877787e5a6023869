"""Exercise 1.3: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case


def visible_cases() -> list[Case]:
    pairs = torch.tensor([[1.0, 0.5, 0.0, 1.0], [1.0, 2.0, 3.0, 5.0], [3.0, 4.0, 1.0, 2.0], [7.1, 0.04, 7.0, 0.25]])
    column = (torch.tensor([[0.5], [-1.0]]), torch.tensor([[0.25], [3.0]]))
    return [
        Case("four pairs of Gaussians", tuple(pairs.T.contiguous())),
        Case(
            "a column of q beside a row of p", (*column, torch.tensor([0.0, 2.0, 1.0]), torch.tensor([1.0, 0.5, 9.0]))
        ),
        Case("q equal to p", tuple(torch.tensor([[2.0], [0.3], [2.0], [0.3]]))),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randint(2, 7, (2,), generator=generator).tolist()
    mean_q, mean_p = 2 * torch.randn(2, rows, columns, generator=generator)
    var_q, var_p = 0.2 + 4 * torch.rand(2, rows, columns, generator=generator)
    return [
        Case("a table of pairs", (mean_q, var_q, mean_p, var_p)),
        Case("a column of q beside a row of p", (mean_q[:, :1], var_q[:, :1], mean_p[0], var_p[0])),
    ]
