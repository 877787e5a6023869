"""Exercise 5.2: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e5_1.exercise import (
    explain_above_zero,
    explain_overflow,
    explain_rounding,
    explain_tiny_mean,
    explain_zero_mean,
    wrong_entries,
)
from vae_course.exercises.e5_2.answer import zinb_log_prob
from vae_course.exercises.e5_2.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_2.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_large_logits(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, due = got["the result"].tensor, want["the result"].tensor
    if case.arguments[3].abs().max() < 20 or not wrong_entries(values, due).any():
        return None
    return (
        "there pi rounds to 0 or 1, or 1 - pi keeps few digits, and neither a clamp nor a small number inside the "
        "logarithm gives the right value. Stay with the logarithms of pi and 1 - pi, which the logits give directly."
    )


def _explain_zeros(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Tell whether the zeros or the other counts are wrong."""
    values, due = got["the result"].tensor, want["the result"].tensor
    wrong, zero = wrong_entries(values, due), (case.arguments[0] == 0).expand(due.shape)
    if wrong.any() and not (wrong & ~zero).any():
        return (
            "the counts above zero are right, and zeros are wrong. There are two ways to a zero, an extra one or one "
            "of the negative binomial, and their probabilities are added."
        )
    if wrong.any() and not (wrong & zero).any() and zero.any():
        return (
            "the zeros are right, and counts above zero are wrong. Such a count needs two things at once: no extra "
            "zero, and a draw of x from the negative binomial."
        )
    return None


EXERCISE = Exercise(
    "5.2",
    "vae_course.distributions.zinb_log_prob",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("mu", "theta", "zi_logits"),
    tolerance=1e-5,
    plain=zinb_log_prob,
    shape="the broadcast shape of x, mu, theta and zi_logits",
    properties=(
        explain_zero_mean,
        _explain_large_logits,
        explain_overflow,
        explain_rounding,
        explain_tiny_mean,
        explain_above_zero,
        _explain_zeros,
    ),
    hints=(
        "Write the two cases down. A count above zero needs two things, no extra zero and a draw of x from the "
        "negative binomial; a zero comes in either of two ways, whose probabilities are added. torch.where then "
        "chooses by x.",
        "log(pi) and log(1 - pi) are each minus an F.softplus, one of the negative logit, one of the logit. That "
        "does for counts above zero; at zero follow the derivation down to its last line, a difference of two "
        "softplus, in which nb_log_prob takes the place of A.",
    ),
    built="It is the likelihood of scVI.",
    mistakes=MISTAKES,
)
