"""Exercise 0.2: hints, and how results are judged."""

from collections.abc import Mapping

import torch

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e0_2.cases import hidden_cases, visible_cases
from vae_course.exercises.e0_2.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_total(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Undo the logarithm of normalised cells and compare their totals with the target."""
    values = next(iter(got.values())).tensor
    target = case.arguments[1] if len(case.arguments) > 1 else 1e4
    totals = torch.expm1(values).sum(dim=1)
    if torch.allclose(totals, torch.full_like(totals, target), rtol=1e-3):
        return None
    yours = f"the first of yours sums to {totals[0]:,.0f}"
    return f"if one undoes the logarithm, every cell should sum to {target:,.0f}; {yours}."


EXERCISE = Exercise(
    "0.2",
    "vae_course.exercises.e0_2.answer.log_normalize",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="(cells, genes), as counts",
    properties=(_explain_total,),
    hints=(
        "Three steps, in this order: divide every row by its total, multiply by target_sum, take log(1 + ...). "
        "Only the first needs care with shapes.",
        "(cells, genes) / (cells,) lines up the wrong axes. Make the totals a column of shape (cells, 1) with "
        ".unsqueeze(-1); torch.log1p(y) is log(1 + y).",
    ),
    built="PCA, the autoencoder and all maps of this lesson see cells through it.",
    mistakes=MISTAKES,
)
