"""Exercise 4.4: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e4_4.cases import hidden_cases, visible_cases
from vae_course.exercises.e4_4.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_far_logs(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Tell answers that leave the logarithms where exponentials round to 0 or overflow."""
    values, due = next(iter(got.values())).tensor, next(iter(want.values())).tensor
    wrong = ~((values - due).abs() <= 0.01 * due.abs().clamp(min=1))
    if case.arguments[0].abs().max() < 80 or not wrong.any():
        return None
    return (
        f"it gives {values[wrong][0].item():.4g}. Exponentials of such logarithms round to 0 or overflow, and neither "
        "a clamp nor a small number mends that: take none of them as they are."
    )


EXERCISE = Exercise(
    "4.4",
    "vae_course.distributions.log_marginal_likelihood",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("log_joint", "log_q"),
    shape="(cells,), one number for every cell",
    properties=(_explain_far_logs,),
    hints=(
        "p(x) is the average of p(x, z) / q(z) over draws from q. You have logarithms and want a logarithm: write "
        "down the log of a mean of exponentials.",
        "torch.logsumexp is the log of a sum of exponentials, safe for logarithms of any size. A mean divides the "
        "sum by S; what does that become outside of the log?",
    ),
    built="Models can now be compared by their likelihood.",
    mistakes=MISTAKES,
)
