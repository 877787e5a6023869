"""Exercise 4.1: hints, and how results are judged."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import STANDARD_ERRORS, real_tensor_from
from vae_course.exercises.e4_1.calls import use
from vae_course.exercises.e4_1.cases import hidden_cases, visible_cases
from vae_course.exercises.e4_1.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

SPREADS = {  # what the noise may be multiplied by, as a function of logvar; what is expected comes first
    "the standard deviation": lambda logvar: torch.exp(0.5 * logvar),
    "the variance": torch.exp,
    "the log-variance": torch.abs,
    "nothing": torch.ones_like,
    "one over the standard deviation": lambda logvar: torch.exp(-0.5 * logvar),
}

ENOUGH = 500  # entries from which statistics are taken


def examine(case: Case, values: Mapping[str, Value]) -> dict[str, Any]:
    """Say what can be told of the draws."""
    mean, logvar, _ = case.arguments
    names = ("the draw", "the next draw", "the draw from the first seed")
    z, following, repeated = (real_tensor_from(values, name, mean.shape) for name in names)
    if z is None or following is None or repeated is None:
        return {"the draw": values.get("the draw", Value("nothing"))}
    found: dict[str, Any] = {"the draw": torch.where(z.isfinite(), 0.0, z)}
    if not z.isfinite().all():
        return found
    mean, logvar = mean.double(), logvar.double()
    size = 1 + mean.abs() + (z - mean).abs()  # where mean and noise cancel, z keeps their rounding
    found["two draws in a row"] = "equal" if _is_near(z, following, 1e-5 * size) else "different"
    found["draws from one seed"] = "equal" if _is_near(z, repeated, 1e-5 * size) else "different"
    found["the global random numbers"] = values.get("the global random numbers", "unknown")
    found |= _slopes(values, z - mean, torch.exp(0.5 * logvar))
    if z.numel() < ENOUGH or found["the slope in mean"] not in ("zero", "one"):
        return found
    return found | _statistics(z, mean, logvar)


def _slopes(values: Mapping[str, Value], deviation: Tensor, std: Tensor) -> dict[str, str]:
    """Say how a draw moves with mean and logvar, the noise being held fixed."""
    zeros, ones = torch.zeros_like(std), torch.ones_like(std)

    def slope(name: str) -> Tensor:
        if name in values and values[name].kind == "nothing":
            return zeros
        found = real_tensor_from(values, name, std.shape)
        return math.nan * ones if found is None else found

    by_mean, by_logvar = slope("the slope in mean"), slope("the slope in logvar")
    in_mean = {"zero": zeros, "one": ones, "the standard deviation": std, "a number": by_mean.mean() * ones}
    in_logvar = {"zero": zeros, "half the deviation": 0.5 * deviation, "the deviation": deviation}
    size = std + deviation.abs()
    return {
        "the slope in mean": next(
            (name for name, due in in_mean.items() if _is_near(by_mean, due, 1e-4 * (1 + due.abs()))), "odd"
        ),
        "the slope in logvar": next(
            (name for name, due in in_logvar.items() if _is_near(by_logvar, due, 1e-4 * size)), "odd"
        ),
    }


def _is_near(got: Tensor, due: Tensor, tolerance: Tensor) -> bool:
    return bool(((got - due).abs() <= tolerance).all())


def _statistics(z: Tensor, mean: Tensor, logvar: Tensor) -> dict[str, str]:
    """Say where draws lie, how they spread with logvar, and what their noise is like."""
    slope = (z * mean).sum() / (mean**2).sum() if mean.any() else torch.ones(())
    around = next((name for name, due in (("mean", 1), ("zero", 0)) if abs(slope - due) < 0.2), "elsewhere")
    deviation = z if around == "zero" else z - mean
    spread = next((name for name, scale in SPREADS.items() if _goes_with(deviation, scale(logvar), logvar)), "")
    found = {"the centre of the draws": around, "the spread of the draws": spread or "something else"}
    if spread and around != "elsewhere":
        found["the noise"] = _noise_of(deviation / SPREADS[spread](logvar))
    return found


def _goes_with(deviation: Tensor, scale: Tensor, logvar: Tensor) -> bool:
    """Whether deviations are proportional to a scale, compared between the values of logvar."""
    sizes, tolerance = [], 0.0
    for value in logvar.unique():
        chosen = logvar == value
        sizes.append((deviation[chosen] / scale[chosen]).square().mean().sqrt())
        tolerance = max(tolerance, STANDARD_ERRORS / (2 * int(chosen.sum())) ** 0.5)
    relative = torch.stack(sizes) / torch.stack(sizes).mean()
    return bool(((relative - 1).abs() < tolerance).all())


def _noise_of(noise: Tensor) -> str:
    """Tell standard Gaussian noise, one number for every entry, from other noise."""

    def is_constant(along: int | None) -> bool:
        values = noise.flatten() if along is None else noise.reshape(-1, noise.shape[-1])
        return bool((values.amax(dim=along or 0) - values.amin(dim=along or 0)).max() < 1e-3)

    if is_constant(None):
        return "one for all entries"
    if noise.dim() > 1 and is_constant(1):
        return "one for every row"
    if noise.dim() > 1 and is_constant(0):
        return "one for every column"
    n, size = noise.numel(), noise.square().mean().sqrt().item()
    if noise.min() > -1e-5 and noise.max() < 1 + 1e-5:
        return "between 0 and 1"
    if abs(noise.mean().item()) > STANDARD_ERRORS * noise.std().item() / n**0.5:
        return "not around 0"
    if (noise.abs() / size * 1e5).round().unique().numel() < 0.96 * n or _hang_together(noise / size):
        return "shared by several entries"
    if abs(size - 1) > STANDARD_ERRORS / (2 * n) ** 0.5:
        return "of another spread than 1"
    inside = (noise.abs() < 1).double().mean().item()
    if n > 2000 and abs(inside - 0.6827) > STANDARD_ERRORS * (0.6827 * 0.3173 / n) ** 0.5:
        return "not Gaussian"
    return "one for every entry"


def _hang_together(noise: Tensor) -> bool:
    """Whether the means of rows or columns differ by more than independent entries allow."""
    table = noise.reshape(-1, noise.shape[-1])
    for rows in (table, table.T):
        if min(rows.shape) >= 10:
            limit = 1 + 8 * (2 / (len(rows) - 1)) ** 0.5
            if rows.mean(dim=1).var() * rows.shape[1] > limit:
                return True
    return False


DRAWS = {  # what can be told of a draw -> what is said about it
    ("two draws in a row", "equal"): "two calls in a row give the same draw: noise has to be fresh at every call.",
    (
        "the slope in mean",
        "zero",
    ): "no gradient reaches `mean`: detach, data, item or sample cuts the chain on the way.",
    (
        "the slope in logvar",
        "zero",
    ): "no gradient reaches `logvar`: detach, data, item, sample or a clamp cuts the chain.",
    ("the centre of the draws", "zero"): "the draws lie around 0 instead of around `mean`.",
    ("the centre of the draws", "elsewhere"): "the draws do not lie around `mean`.",
    (
        "the spread of the draws",
        "something else",
    ): "the draws do not spread as they should: how does one get from a log-variance to a standard deviation?",
    ("the noise", "one for all entries"): "all entries share one number of noise. Each needs its own.",
    ("the noise", "one for every row"): "the entries of a row share one number of noise. Each needs its own.",
    ("the noise", "one for every column"): "the entries of a column share one number of noise. Each needs its own.",
    ("the noise", "shared by several entries"): "the noise of one entry tells that of others: it is not independent.",
    ("the noise", "between 0 and 1"): "the noise lies between 0 and 1, as that of torch.rand. It should be Gaussian.",
    ("the noise", "not around 0"): "the noise does not average to 0, so that `mean` is not the mean of the draws.",
    (
        "the noise",
        "of another spread than 1",
    ): "the draws spread in proportion to the standard deviation, but the noise should have standard deviation 1.",
    ("the noise", "not Gaussian"): "the noise has mean 0 and standard deviation 1, but is not Gaussian.",
    ("draws from one seed", "different"): "the same seed gives different draws: the noise comes from another source "
    "than the generator (or, without one, PyTorch's global generator).",
    ("the global random numbers", "used"): "with a generator given, PyTorch's global random numbers are used too. All "
    "noise should come from the generator.",
}


def _explain_draw(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    spread = got["the spread of the draws"].text if "the spread of the draws" in got else ""
    if (
        got.keys() >= {"the noise"}
        and got["the noise"].text == "of another spread than 1"
        and spread != next(iter(SPREADS))
    ):
        what = "the noise is multiplied" if spread == "nothing" else f"the noise is multiplied by {spread} and"
        return f"{what} by a number. Nothing but the standard deviation should stretch it."
    for (name, verdict), sentence in DRAWS.items():
        if name in got and name in want and got[name].text == verdict != want[name].text:
            return sentence
    if got["the draw"].tensor.any():
        return None
    if got["the slope in mean"].text != want["the slope in mean"].text:
        return "the draw should move with `mean` one to one, and the noise should not depend on it."
    if (spread := got.get("the spread of the draws")) and spread.text != want["the spread of the draws"].text:
        return f"the noise is multiplied by {spread.text} instead of the standard deviation."
    return "the draw does not change with `logvar` as it should: how does one get a standard deviation from it?"


EXERCISE = Exercise(
    "4.1",
    "vae_course.distributions.reparameterize",
    cases=visible_cases,
    hidden=hidden_cases,
    use=use,
    examine=examine,
    returns=("the draw",),
    shape="the shape of mean and logvar",
    properties=(_explain_draw,),
    hints=(
        "A Gaussian with any mean and standard deviation is a standard one, stretched and shifted. Draw the "
        "standard noise first, which depends on nothing, so that mean and logvar enter by arithmetic alone.",
        "torch.randn(shape, generator=...) gives the noise, one number for every entry, and takes None too. From "
        "the log-variance to the standard deviation are two operations: undo the logarithm, and take a root. "
        "Before the exponential, what becomes of the root?",
    ),
    built="Gradients pass through a random draw.",
    mistakes=MISTAKES,
)
