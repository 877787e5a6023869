"""Exercise 5.1: hints, and how results are judged."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e5_1.answer import nb_log_prob
from vae_course.exercises.e5_1.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_1.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def wrong_entries(got: Tensor, want: Tensor) -> Tensor:
    return ~torch.where(want.isfinite(), (got - want).abs() <= 1e-5 * want.abs().clamp(min=1), got == want)


def explain_rounding(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Tell the rounding of float32 from other mistakes by its size, that of the gamma functions."""
    values, due = got["the result"].tensor, want["the result"].tensor
    x, mu, theta = (argument.double() for argument in case.arguments[:3])
    size = torch.lgamma(x + theta).abs() + torch.lgamma(x + 1) + (x + theta) * torch.log(x + theta + mu).abs()
    error, wrong = (values - due).abs(), wrong_entries(values, due)
    if not wrong.any() or not (error[wrong] < 5e-7 * size.expand(due.shape)[wrong]).all():
        return None
    return (
        f"there numbers as large as {size.max().item():.0e} are subtracted from one another, of which float32 keeps "
        "seven digits, so the small rest is lost. Turn the arguments into float64 before anything else."
    )


def explain_overflow(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values = got["the result"].tensor
    x, _, theta = case.arguments[:3]
    if values.isfinite().all() or max(x.max(), theta.max()) < 100:
        return None
    return (
        f"{int((~values.isfinite()).sum())} of {values.numel()} entries are not finite, because a number on the way "
        "is too large or too small for a float. Stay with logarithms from the start: lgamma, not the gamma function."
    )


def explain_zero_mean(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, due = got["the result"].tensor, want["the result"].tensor
    wrong, nothing = wrong_entries(values, due), (case.arguments[1] == 0).expand(due.shape)
    if not wrong.any() or (wrong & ~nothing).any():
        return None
    return (
        "with a mean of 0 every count is 0, so the logarithm is 0 at x = 0 and minus infinity at any other x. "
        "torch.xlogy gives both: it is 0 at x = 0, where x * torch.log would be 0 times minus infinity, NaN."
    )


def explain_tiny_mean(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, due = got["the result"].tensor, want["the result"].tensor
    wrong, tiny = wrong_entries(values, due), (case.arguments[1] < 1e-3).expand(due.shape)
    if not wrong.any() or (wrong & ~tiny).any():
        return None
    if not values.isfinite().all():
        return (
            "with a tiny mu its share of theta + mu is lost in rounding, as in 1 - p, and the logarithm is not finite. "
            "Compute that share directly, by a division."
        )
    return (
        f"{int(wrong.sum())} of {wrong.numel()} entries are wrong, all with a tiny mu. A small number that is added to "
        "it, or a clamp, is not small beside it."
    )


def explain_above_zero(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    highest = got["the result"].tensor.max().item()
    if not highest > 1e-5:
        return None
    return f"a probability is at most 1, so its logarithm is never above 0; yours goes up to {highest:.4g}."


EXERCISE = Exercise(
    "5.1",
    "vae_course.distributions.nb_log_prob",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("mu", "theta"),
    tolerance=1e-5,
    plain=nb_log_prob,
    shape="the broadcast shape of x, mu and theta",
    properties=(explain_zero_mean, explain_overflow, explain_rounding, explain_tiny_mean, explain_above_zero),
    hints=(
        "Turn x, mu and theta into float64 with .double() first, then let ratio be mu / theta. Both logarithms "
        "of shares hold minus torch.log1p(ratio), one of them theta times and the other x times: together "
        "x + theta times. The three lgamma stay as they are.",
        "What is left is x times the logarithm of ratio. With mu = 0 that logarithm is minus infinity, and 0 times "
        "minus infinity is NaN: write torch.xlogy(x, ratio), which is 0 at x = 0.",
    ),
    built="Counts that scatter more than a Poisson have a likelihood.",
    mistakes=MISTAKES,
)
