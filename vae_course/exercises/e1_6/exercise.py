"""Exercise 1.6: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e1_6.cases import hidden_cases, visible_cases
from vae_course.exercises.e1_6.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_distribution(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Compare the sum of the probabilities with 1."""
    values = next(iter(got.values())).tensor
    if values.isnan().any():
        return None
    sums = values.exp().sum(dim=-1).flatten()
    wrong = sums[(sums - 1).abs() > 1e-3]
    if not len(wrong):
        return None
    return f"the exponentials of the result should sum to 1 over the grid, yours sum to {wrong[0].item():.3g}."


EXERCISE = Exercise(
    "1.6",
    "vae_course.exercises.e1_6.answer.grid_posterior",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="(..., points), the broadcast shape of the arguments",
    properties=(_explain_distribution,),
    hints=(
        "Two steps: the log-joint, then take log p(x) off it. log p(x) is the log-sum-exp of the log-joint over the "
        "grid, one number for each cell: keepdim=True leaves it the shape (cells, 1), which broadcasts over the grid.",
        "torch.logsumexp(y, dim=-1, keepdim=True) is log(sum(exp(y))) over the last axis, without overflow or "
        "underflow. Here y is prior times likelihood, which in logarithms is a sum.",
    ),
    built="It is Bayes' rule as a computer can take it.",
    mistakes=MISTAKES,
)
