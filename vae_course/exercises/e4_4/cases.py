"""Exercise 4.4: the visible cases, and the hidden ones that grading adds."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case


def _case_of_marginal(
    label: str, shape: Sequence[int], generator: torch.Generator, shift: float = -5.0, scale: float = 1.0
) -> Case:
    joint, q = torch.randn(2, *shape, generator=generator)
    return Case(label, (scale * joint + shift, q - 1.5))


def _case_of_far_logs(label: str, ranks: Tensor, generator: torch.Generator, shift: float) -> Case:
    """Make one draw of each cell outweigh the others: rounding then leaves the gradients alone."""
    joint, q = torch.randn(2, *ranks.shape, generator=generator)
    return Case(label, (joint + 25.0 * ranks + shift, q - 1.5))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    joint, q = torch.randn(2, 3, 2, generator=generator)
    below = torch.tensor([[-1e4, -3.0], [-1e4 - 25.0, -3.0], [-1e4 - 50.0, -3.0]])
    ranks = torch.tensor([[2, 0, 1], [0, 1, 3], [3, 2, 0], [1, 3, 2]])
    return [
        _case_of_marginal("four draws of three cells", (4, 3), generator),
        _case_of_marginal("a single draw", (1, 3), generator),
        _case_of_marginal("as many draws as cells", (3, 3), generator),
        _case_of_marginal("a single cell", (5, 1), generator),
        _case_of_far_logs("logarithms around -10,000", ranks, generator, -1e4),
        _case_of_far_logs("logarithms around 10,000", ranks, generator, 1e4),
        Case("both logarithms around -10,000", (joint - 1e4, q - 1e4)),
        Case("two cells of which one is at -10,000", (joint + below, q)),
        _case_of_marginal("very unequal draws", (6, 2), generator, shift=-300.0, scale=100.0),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    (n, cells), shape = torch.randint(2, 9, (2, 2), generator=generator).tolist()
    ranks = torch.stack([torch.randperm(n, generator=generator) for _ in range(cells)], dim=1)
    return [
        _case_of_marginal(f"draws: {shape[0]}, cells: {shape[1]}", shape, generator),
        _case_of_far_logs("logarithms near -10,000", ranks, generator, -1e4),
        _case_of_far_logs("logarithms near 10,000", ranks, generator, 1e4),
    ]
