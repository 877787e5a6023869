"""Exercise 1.1: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case


def visible_cases() -> list[Case]:
    x, logits = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0]), torch.tensor([0.7, 0.7, -1.2, 2.0, 0.1])
    outcomes = torch.tensor([0.0, 1.0, 0.0, 1.0])
    return [
        Case("ordinary logits", (x, logits)),
        Case("a column of logits beside a row of outcomes", (x, torch.tensor([[0.5], [-2.0]]))),
        Case("logits of 30 and -30", (outcomes, torch.tensor([30.0, 30.0, -30.0, -30.0]))),
        Case("logits of 1000 and -1000", (outcomes, torch.tensor([1000.0, 1000.0, -1000.0, -1000.0]))),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randint(2, 7, (2,), generator=generator).tolist()
    x = torch.randint(2, (3, columns), generator=generator).float()
    logits = 2 * torch.randn(rows, columns, generator=generator)
    large = torch.randn(columns, generator=generator)
    return [
        Case("logits drawn at random", (x[0], logits[0])),
        Case("a table of logits beside a row of outcomes", (x[1], logits)),
        Case("logits far from 0", (x[2], 100 * large + 30 * large.sign())),
    ]
