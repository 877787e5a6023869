"""Exercise 5.8: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e5_8.answer import bayes_factor
from vae_course.exercises.e5_8.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_8.mistakes import MISTAKES, share_of_wins
from vae_course.exercises.engine import Exercise


def _explain_bayes_factor(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    value, due = next(iter(got.values())), next(iter(want.values()))
    if value.tensor is None or value.shape != due.shape or not value.tensor.isfinite().all():
        return None
    clear = (share_of_wins(*case.arguments[:2]) - 0.5).abs() > 0.01
    if (value.tensor * due.tensor < 0)[clear].any():
        return "the sign tells the direction: above 0 where group 1 is higher in most draws, below 0 where group 2 is."
    even = ~clear & (value.tensor.abs() > 1e-3)
    if even.any():
        return f"where each group is higher as often as the other it should be 0; yours is {value.tensor[even][0]:.4g}."
    return None


EXERCISE = Exercise(
    "5.8",
    "vae_course.metrics.bayes_factor",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="one number for every gene, (genes,), or a single one for (draws,)",
    properties=(_explain_bayes_factor,),
    plain=bayes_factor,
    hints=(
        "First p, the share of draws in which group 1 is higher: a comparison gives True and False, which can be "
        "averaged over the first axis once they are numbers. A tie is half a win.",
        "(scale_1 > scale_2).double() and (scale_1 == scale_2).double() are wins and ties, a row for every draw. "
        "Then two logarithms, each with eps added inside, so that neither meets 0.",
    ),
    built="It ranks genes as scVI does.",
    mistakes=MISTAKES,
)
