"""Exercise 4.5: hints, and how results are judged."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import STANDARD_ERRORS, real_tensor_from
from vae_course.exercises.e4_5.calls import FUNCTIONS, WATCHED, use
from vae_course.exercises.e4_5.cases import hidden_cases, visible_cases
from vae_course.exercises.e4_5.mistakes import MISTAKES, SLIPS
from vae_course.exercises.engine import Exercise

RIGHT = "the score times f"

TOO_NOISY = 8  # times the variance of the plain estimate: a baseline may well add some


def examine(case: Case, values: Mapping[str, Value]) -> dict[str, Any]:
    """Say what can be told of the estimates."""
    (name, *numbers), mean, n_samples, n_calls = case.arguments

    def f(z: Tensor) -> Tensor:
        return FUNCTIONS[name](z, *numbers)

    estimates = real_tensor_from(values, "the estimates", (n_calls,))
    again = real_tensor_from(values, "the estimates from the first seed", (5,))
    if estimates is None or again is None or not estimates.isfinite().all():
        got = values.get("the estimate", Value("nothing"))
        is_table = got.tensor is not None and "float" in got.dtype and got.shape != ()
        return {"the estimate": torch.zeros_like(got.tensor) if is_table else got}
    draws = real_tensor_from(values, "the draws", (min(WATCHED, n_calls), n_samples))
    longest = real_tensor_from(values, "the largest number of draws", ())
    verdict = _estimates(estimates, draws, f, mean, n_samples)
    if verdict == "right" and (longest is None or longest > n_samples):
        verdict = "from other numbers of draws"
    moving = values.get("the draws move with the mean", Value("nothing")).text == "yes"
    if moving and ("instead of" in verdict or verdict == "zero"):
        verdict = "moving draws" if f(torch.ones(2, requires_grad=True)).requires_grad else verdict
    return {
        "the estimate": torch.zeros(()),
        "estimates from one seed": "equal" if torch.allclose(estimates[:5], again, atol=1e-5) else "different",
        "the global random numbers": values.get("the global random numbers", "unknown"),
        "the estimates": verdict,
    }


def _estimates(values: Tensor, draws: Tensor | None, f: Callable, mean: float, n: int) -> str:
    """Say what estimates are: by a formula if one fits their draws, else by their average and their spread."""
    formula = "" if draws is None else _formula_of(values[:20], draws[:20], f, mean)
    if formula == "the draw itself" and _are_around_0(draws):
        return "draws around 0"
    if formula in SLIPS:
        return formula
    eps = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    density = torch.exp(-0.5 * eps**2)
    terms = f((mean + eps).float()).double() * eps
    derivative = float((density * terms).sum() / density.sum())
    variance = float((density * (terms - derivative) ** 2).sum() / density.sum()) / n
    average, error = values.mean().item(), values.std().item() / len(values) ** 0.5
    is_right = abs(average - derivative) <= STANDARD_ERRORS * error + 1e-3
    if not is_right and bool((values == values[0]).all()):
        return "zero" if values[0] == 0 else "always the same"
    if is_right and values.var() > TOO_NOISY * variance:
        return "noisy"
    if is_right:
        return "right"
    if formula != RIGHT:
        return f"{average:.2g} on average instead of {derivative:.2g}"
    return "draws around 0" if _are_around_0(draws) else "other draws"


def _are_around_0(draws: Tensor) -> bool:
    return abs(draws.mean().item()) < STANDARD_ERRORS / draws.numel() ** 0.5


def _formula_of(values: Tensor, draws: Tensor, f: Callable, mean: float) -> str:
    """Name the formula that gives these estimates from the draws at which f was called."""

    def fits(formula: Callable) -> bool:
        due = torch.stack([formula(f(z).double(), z, mean) for z in draws])
        near = due.isfinite() & ((values - due).abs() <= 1e-4 * due.abs().clamp(min=1))
        return bool(due.abs().max() > 1e-3 and near.double().mean() >= 0.9)  # quotients may round badly

    def right(y: Tensor, z: Tensor, mean: float) -> Tensor:
        return (y * (z - mean)).mean()

    return next((name for name, formula in {RIGHT: right, **SLIPS}.items() if fits(formula)), "")


ESTIMATES = {  # what can be told of estimates -> what is said about it
    "always the same": "every call gives the same number: draw anew from the generator at every call.",
    "zero": "it is 0 in every call: the slope of a jump is 0 wherever one looks, but its expectation does change.",
    "noisy": "estimates of many calls scatter far more than averages of n_samples draws should. Does every draw count, "
    "and is there a quotient, such as that of small differences, which is huge at times?",
    "moving draws": "z still moves with the mean, so that its density has no slope, or f is differentiated. Detach "
    "the draws: only the density should change with the mean.",
    "from other numbers of draws": "more than n_samples draws go into f at once. Draw n_samples of them.",
    "other draws": "the terms are right, but the draws are not from a Gaussian around mean with variance 1.",
    "draws around 0": "the draws lie around 0 instead of around mean.",
}


def _explain_estimates(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if "the estimates" not in got:
        return None
    verdict = got["the estimates"].text
    if verdict in ESTIMATES:
        return ESTIMATES[verdict]
    if verdict != want["the estimates"].text:
        what = f"what they estimate is another number ({verdict})" if verdict in SLIPS else f"it is {verdict}"
        return f"the average of many calls is not the derivative: {what}."
    if got["estimates from one seed"].text != "equal":
        return "a generator with the same seed gives different estimates: draw from the generator alone."
    if got["the global random numbers"].text != "not used":
        return "PyTorch's global random numbers are used. All draws should come from the generator."
    return None


EXERCISE = Exercise(
    "4.5",
    "vae_course.exercises.e4_5.answer.score_function_gradient",
    cases=visible_cases,
    hidden=hidden_cases,
    use=use,
    examine=examine,
    returns=("the estimate",),
    shape="a scalar",
    properties=(_explain_estimates,),
    hints=(
        "The derivative can pass the density instead of f: d p = p d log p. What is the derivative of log N(z; "
        "mean, 1) with respect to mean? Derive it on paper first.",
        "Draw z around mean from the generator. Average, over the draws, f(z) times the distance of each draw from "
        "mean, with its sign.",
    ),
    built="You can take the gradient even where a function jumps.",
    mistakes=MISTAKES,
)
