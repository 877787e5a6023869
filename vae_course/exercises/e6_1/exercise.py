"""Exercise 6.1: hints, and how results are judged."""

from collections.abc import Mapping

import torch

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e6_1.cases import hidden_cases, visible_cases
from vae_course.exercises.e6_1.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_bound(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Say what a bound cannot be: another one than that of a label that is sure, or above that of the best q."""
    value, due = next(iter(got.values())), next(iter(want.values()))
    if value.tensor is None or value.shape != due.shape or not value.tensor.isfinite().all():
        return None
    bounds, log_q = (argument.double() for argument in case.arguments)
    wrong = (value.tensor - due.tensor).abs() > 1e-4 * due.tensor.abs().clamp(min=1)
    if (sure := wrong & (log_q.amax(dim=-1) == 0)).any():
        cell = int(sure.nonzero()[0])
        label = int(log_q[cell].argmax())
        return (
            f"where q is sure of a label, the bound is that of this label, {bounds[cell, label]:.4g} in cell {cell}; "
            f"yours is {value.tensor[cell]:.4g}."
        )
    best = torch.logsumexp(bounds, dim=-1)
    if (above := wrong & (value.tensor > best + 1e-3)).any():
        cell = int(above.nonzero()[0])
        return (
            f"no q reaches more than the log of the sum over labels of exp(ELBO_y), {best[cell]:.4g} in cell {cell}; "
            f"yours is {value.tensor[cell]:.4g}."
        )
    return None


EXERCISE = Exercise(
    "6.1",
    "vae_course.distributions.unlabelled_elbo",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="(cells,), one number for every cell",
    properties=(_explain_bound,),
    hints=(
        "An expectation over a handful of labels needs no draws: it is a sum of what is in the bracket, each term "
        "weighted with the probability of its label. You have log-probabilities; which function turns them round?",
        "Let q be exp of log_q_y, and sum q times the bracket over the last axis. Where q is 0 put 0 in the place of "
        "log q before you multiply, for instance with torch.where or masked_fill.",
    ),
    built="Cells without a label can now be learnt from.",
    mistakes=MISTAKES,
)
