"""Exercise 5.2: the visible cases, and the hidden ones that grading adds."""

from dataclasses import replace

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.e5_1.cases import hidden_cases as hidden_nb
from vae_course.exercises.e5_1.cases import visible_cases as cases_of_nb


def _with_logits(cases: list[Case], seed: int) -> list[Case]:
    """Give each case logits of the counts' shape."""
    generator = torch.Generator().manual_seed(seed)
    logits = [1.5 * torch.randn(case.arguments[0].shape, generator=generator) for case in cases]
    return [replace(case, arguments=(*case.arguments, a)) for case, a in zip(cases, logits, strict=True)]


def visible_cases() -> list[Case]:
    cases = _with_logits(cases_of_nb(), 1)
    zeros = (torch.zeros(4), torch.tensor([2.0, 0.5, 1e6, 1e6]), torch.tensor([1.7, 3.0, 400.0, 0.4]))
    counts = tuple(torch.tensor([[3.0, 1.0, 8.0, 20.0], [2.0, 0.5, 4.0, 30.0], [1.7, 3.0, 9.0, 0.4]]))
    extreme = torch.tensor([30.0, -30.0])
    one_for_all = (*cases[2].arguments[:3], torch.tensor(-0.4))
    return [
        *cases[:6],
        Case("one logit for all", one_for_all),
        Case("counts with logits of 30 and -30", (*counts, extreme.repeat(2))),
        Case("zeros with logits of 30 and -30", (*zeros, extreme.repeat(2))),
        *cases[6:],
    ]


def hidden_cases(seed: int) -> list[Case]:
    cases = _with_logits(hidden_nb(seed), seed)
    x, mu, theta, logits = cases[0].arguments
    return [*cases, Case("logits between 10 and 30, and between -30 and -10", (x, mu, theta, _far_from_zero(logits)))]


def _far_from_zero(logits: Tensor) -> Tensor:
    return (10 * logits.sign() + 10 * logits).clamp(-30, 30)
