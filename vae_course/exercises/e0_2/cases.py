"""Exercise 0.2: the visible cases, and the hidden ones that grading adds."""

import torch

from vae_course.exercises.attempt import Case
from vae_course.exercises.e0_1.cases import hidden_cases as hidden_counts
from vae_course.exercises.e0_1.cases import visible_cases as cases_of_counts


def visible_cases() -> list[Case]:
    counts = [case.arguments[0] for case in cases_of_counts()]
    return [
        Case("three cells of two genes", (counts[0],)),
        Case("target_sum = 100", (counts[0], 100.0)),
        Case("as many cells as genes", (counts[1],)),
        Case("a single cell", (counts[2],)),
        Case("a large and a small cell", (torch.tensor([[900.0, 0.0, 100.0], [1.0, 1.0, 0.0]]), 50.0)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    targets = torch.empty(3).uniform_(10.0, 10_000.0, generator=torch.Generator().manual_seed(seed)).round().tolist()
    return [
        Case(f"target_sum = {target:.0f}", (*case.arguments, target))
        for case, target in zip(hidden_counts(seed), targets, strict=True)
    ]
