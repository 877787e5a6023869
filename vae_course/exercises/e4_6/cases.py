"""Exercise 4.6: the visible cases, and the hidden ones that grading adds."""

from collections.abc import Sequence

import torch

from vae_course.exercises.attempt import Case


def _case_of_gap(label: str, shape: Sequence[int], generator: torch.Generator) -> Case:
    joint, q = torch.randn(2, *shape, generator=generator)
    above = torch.randn(shape[1], generator=generator)
    joint = joint - 5.0
    return Case(label, (joint, q - 1.5, (joint - q + 1.5).mean(dim=0) + 0.7 + above))


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    joint, q = torch.tensor([[-5.0, -9.0], [-6.0, -8.0]]), torch.tensor([[-1.0, -2.0], [-1.0, -2.0]])
    far = torch.randn(2, 4, 2, generator=generator).round() - torch.tensor([1e4, 2.0]).view(2, 1, 1)  # sums are exact
    return [
        _case_of_gap("four draws of three cells", (4, 3), generator),
        _case_of_gap("a single draw", (1, 3), generator),
        _case_of_gap("as many draws as cells", (3, 3), generator),
        _case_of_gap("a single cell", (5, 1), generator),
        Case("lucky draws, whose estimate of the gap is below 0", (joint, q, torch.tensor([-4.8, -6.0]))),
        Case("logarithms around -10,000", (*far, torch.tensor([-9990.0, -9985.5]))),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    shapes = torch.randint(2, 9, (3, 2), generator=generator).tolist()
    return [_case_of_gap(f"draws: {shape[0]}, cells: {shape[1]}", shape, generator) for shape in shapes]
