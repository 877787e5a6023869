"""Exercise 1.2: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case


def visible_cases() -> list[Case]:
    return [
        Case("ordinary numbers", tuple(torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, 3.0], [1.0, 0.25, 4.0]]))),
        Case(
            "points beside a column of means",
            (torch.tensor([0.0, 1.0, 5.0]), torch.tensor([[1.0], [-2.0]]), torch.tensor(2.0)),
        ),
        Case("a very small variance", (torch.tensor([0.1]), torch.tensor([0.1]), torch.tensor([1e-6]))),
        Case("a point 40 standard deviations away", (torch.tensor([81.0]), torch.tensor([1.0]), torch.tensor([4.0]))),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randint(2, 7, (2,), generator=generator).tolist()
    x, mean = 2 * torch.randn(2, rows, columns, generator=generator)
    var = 0.2 + 4 * torch.rand(rows, columns, generator=generator)
    return [
        Case("a table of numbers", (x, mean, var)),
        Case("a row of points beside a column of means", (x[0], mean[:, :1], var[0])),
    ]
