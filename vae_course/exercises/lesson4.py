"""Lesson 4, the mathematics: the reference answer that only the lesson needs, and what goes wrong."""

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.engine import Exercise


def score_function_gradient(
    f: Callable[[Tensor], Tensor], mean: float, n_samples: int, generator: torch.Generator
) -> Tensor:
    """Estimate d/dmean of E[f(z)] under z ~ N(mean, 1) without differentiating f.

    Williams (1992), REINFORCE.

    Parameters
    ----------
    f
        Function of draws, (n_samples,) to (n_samples,). It may jump.
    mean
        Mean of the Gaussian, whose variance is 1.
    n_samples
        Number of draws, at least 2.
    generator
        Source of the draws.

    Returns
    -------
    Tensor
        An unbiased estimate, a scalar.
    """
    z = mean + torch.randn(n_samples, generator=generator)  # (n_samples,)
    return (f(z) * (z - mean)).mean()


# --------------------------------------------------------------------------------------------------------------------
# 4.1: what can be told from draws without knowing them
# --------------------------------------------------------------------------------------------------------------------

SPREADS = {  # what the noise may be multiplied by, as a function of logvar; what is due comes first
    "the standard deviation": lambda logvar: torch.exp(0.5 * logvar),
    "the variance": torch.exp,
    "the log-variance": torch.abs,
    "nothing": torch.ones_like,
    "one over the standard deviation": lambda logvar: torch.exp(-0.5 * logvar),
}
ENOUGH = 500  # entries from which statistics are taken
STANDARD_ERRORS = 6.0  # that chance may account for


def _use_reparameterize(attempt: Callable, mean: Tensor, logvar: Tensor, source: str) -> dict[str, Any]:
    """Draw three times: twice in a row, and once more from the first seed."""

    def seeded() -> tuple[torch.Generator, ...]:
        if source == "generator":
            return (torch.Generator().manual_seed(4),)
        torch.manual_seed(4)
        return ()

    state, given = torch.get_rng_state(), seeded()
    leaves = [mean.clone().requires_grad_(), logvar.clone().requires_grad_()]
    drawn = attempt(*leaves, *given)
    following = attempt(mean, logvar, *(given or (None,)))
    untouched = torch.equal(torch.get_rng_state(), state) or source == "global"
    repeated = attempt(mean, logvar, *seeded())
    for z in (drawn, following, repeated):
        if not _is_real(z) or z.shape != mean.shape:
            return {"the draw": z}
    slopes: Sequence[Tensor | None] = (None, None)
    if drawn.requires_grad:
        slopes = torch.autograd.grad(drawn.sum(), leaves, allow_unused=True)
    return {
        "the draw": drawn,
        "the next draw": following,
        "the draw from the first seed": repeated,
        "the slope in mean": slopes[0],
        "the slope in logvar": slopes[1],
        "the global random numbers": "not used" if untouched else "used",
    }


def _is_real(z: Any) -> bool:
    """Whether a result is a tensor that one can compute with."""
    is_dense = isinstance(z, Tensor) and z.layout == torch.strided and z.device.type == "cpu"
    return is_dense and z.is_floating_point()


def _real(values: Mapping[str, Value], name: str, shape: tuple[int, ...]) -> Tensor | None:
    """Return what came under a name, if it is a tensor of real numbers of a certain shape."""
    value = values.get(name)
    if value is None or value.tensor is None or "float" not in value.dtype or value.tensor.is_complex():
        return None
    return value.tensor if value.kind == "tensor" and value.tensor.shape == shape else None


def _examine_reparameterize(case: Case, values: Mapping[str, Value]) -> dict[str, Any]:
    """Say what can be told of the draws."""
    mean, logvar, _ = case.arguments
    names = ("the draw", "the next draw", "the draw from the first seed")
    z, following, repeated = (_real(values, name, mean.shape) for name in names)
    if z is None or following is None or repeated is None:
        return {"the draw": values.get("the draw", Value("nothing"))}
    found: dict[str, Any] = {"the draw": torch.where(z.isfinite(), 0.0, z)}
    if not z.isfinite().all():
        return found
    mean, logvar = mean.double(), logvar.double()
    found["two draws in a row"] = "equal" if torch.equal(z, following) else "different"
    found["draws from one seed"] = "equal" if torch.allclose(z, repeated) else "different"
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
        found = _real(values, name, std.shape)
        return math.nan * ones if found is None else found

    by_mean, by_logvar = slope("the slope in mean"), slope("the slope in logvar")
    in_mean = {"zero": zeros, "one": ones, "the standard deviation": std, "a number": by_mean.mean() * ones}
    in_logvar = {"zero": zeros, "half the deviation": 0.5 * deviation, "the deviation": deviation}
    size = std + deviation.abs()
    return {
        "the slope in mean": next(
            (name for name, due in in_mean.items() if _is_near(by_mean, due, 1 + due.abs())), "odd"
        ),
        "the slope in logvar": next((name for name, due in in_logvar.items() if _is_near(by_logvar, due, size)), "odd"),
    }


def _is_near(slope: Tensor, due: Tensor, size: Tensor) -> bool:
    return bool(((slope - due).abs() <= 1e-4 * size).all())


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


def _draw_gaussians(
    shape: tuple[int, ...], logvars: Tensor, source: str, generator: torch.Generator
) -> tuple[Tensor, Tensor, str]:
    """Make means at random, and three values of logvar in turn, so that spreads can be compared."""
    which = torch.tensor([sum(place) % 3 for place in np.ndindex(shape)]).view(shape)
    return 3 * torch.randn(shape, generator=generator), logvars[which], source


def _cases_of_reparameterize() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(label: str, shape: tuple[int, ...], source: str) -> Case:
        return Case(label, _draw_gaussians(shape, torch.tensor([1.6, -1.2, 0.4]), source, generator))

    extremes = torch.tensor([[30.0, -30.0], [-30.0, 30.0]]).repeat(100, 3)
    return [
        case("a table of cells and latents", (60, 40), "global"),
        case("a table and a generator", (60, 40), "generator"),
        case("as many cells as latents", (25, 25), "generator"),
        case("a vector", (600,), "generator"),
        case("a stack of tables", (3, 10, 20), "global"),
        case("a single cell", (1, 600), "global"),
        case("a single latent", (600, 1), "generator"),
        case("a single number, of shape ()", (), "global"),
        Case("log-variances of 30 and -30", (torch.zeros(200, 6), extremes, "generator")),
    ]


def _hidden_reparameterize(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for source in ("global", "generator"):
        shape = tuple(torch.randint(24, 36, (2,), generator=generator).tolist())
        logvars = torch.tensor([1.6, 0.2, -1.2]) + 0.4 * torch.rand(3, generator=generator)
        label = f"{shape[0]} cells of {shape[1]} latents" + (", with a generator" if source == "generator" else "")
        cases.append(Case(label, _draw_gaussians(shape, logvars, source, generator)))
    return cases


def _noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator)


def _drawing(formula: Callable[[Tensor, Tensor, Tensor], Tensor], noise: Callable = _noise) -> Callable:
    """Make an answer to 4.1 from what it does with mean, logvar and noise."""
    return lambda mean, logvar, generator=None: formula(mean, logvar, noise(mean, generator))


def _right_draw(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + torch.exp(logvar / 2) * eps


def _draw_reseeded(mean: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    torch.manual_seed(0)
    return _right_draw(mean, logvar, torch.randn(mean.shape))


def _draw_from_reset_generator(mean: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    if generator is not None:
        generator.manual_seed(0)
    return _right_draw(mean, logvar, torch.randn(mean.shape, generator=generator))


# --------------------------------------------------------------------------------------------------------------------
# 4.2 to 4.4: closed form and averages
# --------------------------------------------------------------------------------------------------------------------


def _case_of_kl(label: str, shape: Sequence[int], generator: torch.Generator) -> Case:
    mean, logvar = torch.randn(2, *shape, generator=generator)
    return Case(label, (mean + 0.5, 1.2 * logvar - 0.3))


def _cases_of_kl() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(label: str, *shape: int) -> Case:
        return _case_of_kl(label, shape, generator)

    mean, extremes = torch.tensor([[0.5, -1.0], [2.0, 0.0]]), torch.tensor([[-30.0, 1.0], [30.0, -2.0]])
    return [
        case("three cells of two latents", 3, 2),
        case("a single cell, of shape (n_latent,)", 3),
        case("a stack of tables, (draws, cells, latents)", 2, 3, 4),
        case("as many cells as latents", 3, 3),
        case("a single latent", 4, 1),
        Case("log-variances of 30 and -30", (mean, extremes)),
        Case("the prior itself", (torch.zeros(2, 3), torch.zeros(2, 3))),
    ]


def _hidden_kl(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n, m, k = torch.randint(2, 7, (3,), generator=generator).tolist()
    mean, logvar = torch.rand(2, n, k, generator=generator) * 2 - 1
    return [
        _case_of_kl(f"{n} cells of {k} latents", (n, k), generator),
        _case_of_kl("draws, cells and latents", (n, m, k), generator),
        Case("log-variances between -25 and 25", (3 * mean, 25 * logvar)),
    ]


def _kl_of(mean: Tensor, logvar: Tensor, square: float = 1, minus: float = 1, log: float = 1) -> Tensor:
    """Terms of the KL with chosen factors; all at 1 give the right answer, not summed yet."""
    return 0.5 * (torch.exp(logvar) + square * mean**2 - minus - log * logvar)


def _explain_kl(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, due = next(iter(got.values())).tensor, next(iter(want.values())).tensor
    if not due.any() and values.isfinite().all():
        return f"there the KL should be 0, yours is {values.flatten()[0].item():.3g}."
    if (values < -1e-3).any():
        return f"a KL is never negative, yours is {values.min().item():.3g} somewhere."
    return None


def _case_of_elbo(label: str, shape: Sequence[int], generator: torch.Generator, scale: float = 1.0) -> Case:
    likelihood, prior, q = torch.randn(3, *shape, generator=generator)
    return Case(label, (scale * (likelihood - 5.0), prior - 3.0, q - 1.5))


def _cases_of_elbo() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    return [
        _case_of_elbo("four draws of three cells", (4, 3), generator),
        _case_of_elbo("a single draw", (1, 3), generator),
        _case_of_elbo("as many draws as cells", (3, 3), generator),
        _case_of_elbo("a single cell", (5, 1), generator),
        _case_of_elbo("log-likelihoods around -10,000", (4, 2), generator, scale=2000.0),
    ]


def _hidden_elbo(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    shapes = torch.randint(2, 9, (3, 2), generator=generator).tolist()
    return [_case_of_elbo(f"draws: {shape[0]}, cells: {shape[1]}", shape, generator) for shape in shapes]


def _log_mean_exp(terms: Tensor) -> Tensor:
    return torch.logsumexp(terms, dim=0) - math.log(len(terms))


def _case_of_marginal(
    label: str, shape: Sequence[int], generator: torch.Generator, shift: float = -5.0, scale: float = 1.0
) -> Case:
    joint, q = torch.randn(2, *shape, generator=generator)
    return Case(label, (scale * joint + shift, q - 1.5))


def _case_of_far_logs(label: str, ranks: Tensor, generator: torch.Generator, shift: float) -> Case:
    """Make one draw of each cell outweigh the others: rounding then leaves the gradients alone."""
    joint, q = torch.randn(2, *ranks.shape, generator=generator)
    return Case(label, (joint + 25.0 * ranks + shift, q - 1.5))


def _cases_of_marginal() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    joint, q = torch.randn(2, 3, 2, generator=generator)
    below = torch.tensor([[-1e4, -3.0], [-1e4 - 25.0, -3.0], [-1e4 - 50.0, -3.0]])
    ranks = torch.tensor([[2, 0, 1], [0, 1, 3], [3, 2, 0], [1, 3, 2]])
    return [
        _case_of_marginal("four draws of three cells", (4, 3), generator),
        _case_of_marginal("a single draw", (1, 3), generator),
        _case_of_marginal("as many draws as cells", (3, 3), generator),
        _case_of_marginal("a single cell", (5, 1), generator),
        _case_of_far_logs("logarithms around -10,000", ranks, generator, -1e4),
        _case_of_far_logs("logarithms around 10,000", ranks, generator, 1e4),
        Case("both logarithms around -10,000", (joint - 1e4, q - 1e4)),
        Case("two cells of which one is at -10,000", (joint + below, q)),
        _case_of_marginal("very unequal draws", (6, 2), generator, shift=-300.0, scale=100.0),
    ]


def _hidden_marginal(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    (n, cells), shape = torch.randint(2, 9, (2, 2), generator=generator).tolist()
    ranks = torch.stack([torch.randperm(n, generator=generator) for _ in range(cells)], dim=1)
    return [
        _case_of_marginal(f"draws: {shape[0]}, cells: {shape[1]}", shape, generator),
        _case_of_far_logs("logarithms near -10,000", ranks, generator, -1e4),
        _case_of_far_logs("logarithms near 10,000", ranks, generator, 1e4),
    ]


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


# --------------------------------------------------------------------------------------------------------------------
# 4.5: what can be told from many estimates without knowing their draws
# --------------------------------------------------------------------------------------------------------------------

RIGHT = "the score times f"
TOO_NOISY = 8  # times the variance of the plain estimate: a baseline may well add some
WATCHED = 100  # calls whose draws are kept
FUNCTIONS = {  # of draws, with numbers to choose
    "a square": lambda z, factor: factor * z**2,
    "a step": lambda z, at: 2 * (z > at).float() - 1,
    "a constant": lambda z, value: torch.full_like(z, value),
    "a slope with a jump": lambda z, at, height: z + height * (z > at).float(),
    "a box": lambda z, low, high: ((z > low) & (z < high)).float(),
}
SLIPS = {  # what may be computed from y = f(z), the draws z and their mean, instead of what is due
    "f alone": lambda y, z, mean: y.mean(),
    "the draw itself": lambda y, z, mean: (y * z).mean(),
    "a sum": lambda y, z, mean: (y * (z - mean)).sum(),
    "divided twice": lambda y, z, mean: (y * (z - mean)).mean() / len(z),
    "minus": lambda y, z, mean: (y * (mean - z)).mean(),
    "its own average subtracted": lambda y, z, mean: ((y - y.mean()) * (z - mean)).mean(),
    "a product of averages": lambda y, z, mean: y.mean() * (z - mean).mean(),
    "the log-density": lambda y, z, mean: (y * (-0.5 * (z - mean) ** 2 - 0.5 * math.log(2 * math.pi))).mean(),
    "the log-density but for a constant": lambda y, z, mean: (y * -0.5 * (z - mean) ** 2).mean(),
    "divided by the distance": lambda y, z, mean: (y / (z - mean)).mean(),
    "the squared distance": lambda y, z, mean: (y * (z - mean) ** 2).mean(),
    "half the score": lambda y, z, mean: (y * 0.5 * (z - mean)).mean(),
    "the density besides": lambda y, z, mean: (
        (y * (z - mean) * torch.exp(-0.5 * (z - mean) ** 2)).mean() / math.sqrt(2 * math.pi)
    ),
    "the score alone": lambda y, z, mean: (z - mean).mean() + 0 * y.mean(),
}


def _use_score_function(
    attempt: Callable, f: tuple[Any, ...], mean: float, n_samples: int, n_calls: int
) -> dict[str, Any]:
    """Estimate many times from one generator, and a few times more from its first seed."""
    name, *numbers = f
    calls: list[list[Tensor | None]] = []  # draws that f was called on; None if they are not n_samples
    longest, moving = 0, False

    def watched(z: Tensor) -> Tensor:
        nonlocal longest, moving
        moving = moving or z.requires_grad
        y = FUNCTIONS[name](z, *numbers)
        if len(calls) <= WATCHED:
            calls[-1].append(z.detach().double().clone() if z.shape == (n_samples,) else None)
            longest = max(longest, z.numel())
        return y

    results, state = [], torch.get_rng_state()
    for n in (n_calls, 5):
        generator = torch.Generator().manual_seed(1)
        for _ in range(n):
            calls.append([])
            result = attempt(watched, mean, n_samples, generator)
            if not _is_number(result) or (len(calls) <= n_calls and not math.isfinite(result)):
                return {"the estimate": result}
            results.append(float(result))
    first = calls[: min(WATCHED, n_calls)]
    once = [call[0] for call in first if len(call) == 1 and call[0] is not None]
    return {
        "the estimates": torch.tensor(results[:n_calls], dtype=torch.float64),
        "the estimates from the first seed": torch.tensor(results[n_calls:], dtype=torch.float64),
        "the draws": torch.stack(once) if len(once) == len(first) else None,
        "the largest number of draws": torch.tensor(float(longest)),
        "the draws move with the mean": "yes" if moving else "no",
        "the global random numbers": "not used" if torch.equal(torch.get_rng_state(), state) else "used",
    }


def _is_number(result: Any) -> bool:
    if isinstance(result, Tensor):
        return _is_real(result) and result.shape == ()
    return isinstance(result, Number | np.generic) and not isinstance(result, complex)


def _examine_score_function(case: Case, values: Mapping[str, Value]) -> dict[str, Any]:
    """Say what can be told of the estimates."""
    (name, *numbers), mean, n_samples, n_calls = case.arguments

    def f(z: Tensor) -> Tensor:
        return FUNCTIONS[name](z, *numbers)

    estimates = _real(values, "the estimates", (n_calls,))
    again = _real(values, "the estimates from the first seed", (5,))
    if estimates is None or again is None or not estimates.isfinite().all():
        got = values.get("the estimate", Value("nothing"))
        is_table = got.tensor is not None and "float" in got.dtype and got.shape != ()
        return {"the estimate": torch.zeros_like(got.tensor) if is_table else got}
    draws = _real(values, "the draws", (min(WATCHED, n_calls), n_samples))
    longest = _real(values, "the largest number of draws", ())
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


def _cases_of_score_function() -> list[Case]:
    return [
        Case("a square", (("a square", 1.0), 1.0, 50, 100)),
        Case("a step", (("a step", 1.75), 2.0, 2, 300)),
        Case("three draws of a step", (("a step", -1.25), -1.5, 3, 300)),
        Case("a constant, whose derivative is 0", (("a constant", 3.0), 2.0, 2, 120)),
        Case("a slope with a jump", (("a slope with a jump", -0.5, 3.0), -0.7, 10, 200)),
        Case("a box, with many draws", (("a box", 0.5, 1.5), 0.2, 100, 60)),
    ]


def _hidden_score_function(seed: int) -> list[Case]:
    """Choose numbers for which an answer with a baseline, such as f(mean), does not scatter too much."""
    generator = torch.Generator().manual_seed(seed)
    mean, height, factor, apart, width = torch.rand(5, generator=generator).tolist()
    mean = 0.5 + 1.5 * mean
    n = torch.randint(40, 60, (3,), generator=generator).tolist()
    low = mean + 0.2 + 0.3 * apart
    return [
        Case("a square times a number", (("a square", 0.5 + factor), mean, n[0], 200)),
        Case("a slope with a higher or lower jump", (("a slope with a jump", low, 2 + 2 * height), mean, n[1], 200)),
        Case("a box elsewhere", (("a box", low, low + 0.8 + width), mean, 60 + n[2], 100)),
    ]


def _estimating(formula: Callable[[Tensor, Tensor, float], Tensor]) -> Callable:
    """Make an answer to 4.5 from what it does with f(z), z and mean."""

    def answer(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
        z = mean + torch.randn(n_samples, generator=generator)
        return formula(f(z), z, mean)

    return answer


def _pathwise(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    at = torch.tensor(mean, requires_grad=True)
    f(at + torch.randn(n_samples, generator=generator)).mean().backward()
    return at.grad


def _score_of_moving_draws(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    at = torch.tensor(mean, requires_grad=True)
    z = at + torch.randn(n_samples, generator=generator)
    (f(z) * torch.distributions.Normal(at, 1.0).log_prob(z)).mean().backward()
    return at.grad


def _score_without_generator(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    z = mean + torch.randn(n_samples)
    return (f(z) * (z - mean)).mean()


def _score_reseeded(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    return _estimating(lambda y, z, mean: (y * (z - mean)).mean())(f, mean, n_samples, torch.Generator().manual_seed(0))


def _score_around_zero(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    z = torch.randn(n_samples, generator=generator)
    return (f(z) * (z - mean)).mean()


def _score_of_uniform(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    z = mean + torch.rand(n_samples, generator=generator)
    return (f(z) * (z - mean)).mean()


def _finite_difference(f: Callable, mean: float, n_samples: int, generator: torch.Generator) -> Tensor:
    z = mean + torch.randn(n_samples, generator=generator)
    return (f(z + 0.01) - f(z - 0.01)).mean() / 0.02


# --------------------------------------------------------------------------------------------------------------------
# The exercises
# --------------------------------------------------------------------------------------------------------------------


EXERCISES = [
    Exercise(
        "4.1",
        "vae_course.distributions.reparameterize",
        cases=_cases_of_reparameterize,
        hidden=_hidden_reparameterize,
        use=_use_reparameterize,
        examine=_examine_reparameterize,
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
        mistakes={
            "variance-for-standard-deviation": (
                _drawing(lambda mean, logvar, eps: mean + torch.exp(logvar) * eps),
                "The noise is multiplied by the variance. Its standard deviation is due, the square root of that.",
            ),
            "multiple-of-the-variance": (
                _drawing(lambda mean, logvar, eps: mean + 0.5 * torch.exp(logvar) * eps),
                "The noise is multiplied by a multiple of the variance, such as half of it. Its square root is due: in "
                "which order does one halve and take the exponential?",
            ),
            "added-instead-of-multiplied": (
                _drawing(lambda mean, logvar, eps: mean + torch.exp(0.5 * logvar) + eps),
                "The standard deviation is added to the noise, so that it shifts the draws. It should stretch the "
                "noise.",
            ),
            "log-variance-for-standard-deviation": (
                _drawing(lambda mean, logvar, eps: mean + logvar * eps),
                "The noise is multiplied by the log-variance, which may even be negative. Turn it into a standard "
                "deviation first.",
            ),
            "half-the-log-variance": (
                _drawing(lambda mean, logvar, eps: mean + 0.5 * logvar * eps),
                "Half the log-variance is the logarithm of the standard deviation. It still has to be undone.",
            ),
            "root-of-the-log-variance": (
                _drawing(lambda mean, logvar, eps: mean + torch.sqrt(logvar) * eps),
                "You took the square root of the log-variance, which is often negative. The root belongs to the "
                "variance.",
            ),
            "one-over-the-standard-deviation": (
                _drawing(lambda mean, logvar, eps: mean + torch.exp(-0.5 * logvar) * eps),
                "The sign in the exponent is wrong: a large log-variance should give wide draws.",
            ),
            "log-variance-ignored": (
                _drawing(lambda mean, logvar, eps: mean + eps),
                "logvar is not used: the noise has variance 1 wherever one looks.",
            ),
            "mean-forgotten": (
                _drawing(lambda mean, logvar, eps: torch.exp(0.5 * logvar) * eps),
                "The mean is missing: your draws lie around 0.",
            ),
            "no-noise": (
                _drawing(lambda mean, logvar, eps: mean + torch.exp(0.5 * logvar)),
                "There is no noise: mean plus one standard deviation is the same at every call.",
            ),
            "noise-times-the-mean": (
                _drawing(lambda mean, logvar, eps: mean * eps + torch.exp(0.5 * logvar)),
                "Mean and standard deviation have changed places: the noise is multiplied by the standard deviation, "
                "and the mean is added.",
            ),
            "mean-stretched-too": (
                _drawing(lambda mean, logvar, eps: torch.exp(0.5 * logvar) * (mean + eps)),
                "The mean is multiplied by the standard deviation. Only the noise should be.",
            ),
            "one-noise-for-all": (
                _drawing(_right_draw, lambda mean, generator: torch.randn((), generator=generator)),
                "A single number of noise moves all entries together. Each entry needs a number of its own.",
            ),
            "one-noise-for-each-cell": (
                _drawing(
                    _right_draw,
                    lambda mean, generator: torch.randn(*mean.shape[:-1], 1, generator=generator).view(
                        mean.shape[:-1] + (1,) * (mean.dim() > 0)
                    ),
                ),
                "All latents of a cell share one number of noise. Each entry needs a number of its own.",
            ),
            "one-noise-for-each-latent": (
                _drawing(_right_draw, lambda mean, generator: torch.randn(mean.shape[-1:], generator=generator)),
                "All cells share the same noise. Each entry needs a number of its own.",
            ),
            "uniform-noise": (
                _drawing(_right_draw, lambda mean, generator: torch.rand(mean.shape, generator=generator)),
                "torch.rand is uniform between 0 and 1, so that no draw lies below its mean. The noise should be "
                "Gaussian.",
            ),
            "torch-normal": (
                lambda mean, logvar, generator=None: torch.normal(
                    mean.detach(), torch.exp(0.5 * logvar.detach()), generator=generator
                ),
                "The draws are right, but no gradient reaches mean and logvar: sampling from them directly cuts the "
                "chain. Sample noise that does not depend on them, then compute with it.",
            ),
            "sample": (
                lambda mean, logvar, generator=None: torch.distributions.Normal(mean, torch.exp(0.5 * logvar)).sample(),
                "sample() cuts the chain, so that no gradient reaches mean and logvar, and it cannot use the "
                "generator. Sample noise that does not depend on them, then compute with it.",
            ),
            "mean-detached": (
                _drawing(lambda mean, logvar, eps: mean.detach() + torch.exp(0.5 * logvar) * eps),
                "The draws are right, but no gradient reaches mean: something like detach, data or item cuts the "
                "chain.",
            ),
            "log-variance-detached": (
                _drawing(lambda mean, logvar, eps: mean + torch.exp(0.5 * logvar.detach()) * eps),
                "The draws are right, but no gradient reaches logvar: something like detach, data or item cuts the "
                "chain.",
            ),
            "generator-ignored": (
                _drawing(_right_draw, lambda mean, generator: torch.randn(mean.shape)),
                "Right without a generator, but when one is given it is not used: the same seed gives different draws.",
            ),
            "reseeded": (
                _draw_reseeded,
                "torch.manual_seed inside the function gives the same noise at every call. Leave seeds to whoever "
                "calls it.",
            ),
            "generator-reset": (
                _draw_from_reset_generator,
                "The generator that you are given starts anew at every call, so that all draws are equal. Go on from "
                "where it is.",
            ),
            "own-generator": (
                _drawing(
                    _right_draw,
                    lambda mean, generator: torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)),
                ),
                "You make a generator with a fixed seed at every call, so that all draws are equal. Use the one that "
                "is given, or PyTorch's global one.",
            ),
            "new-generator-for-none": (
                _drawing(
                    _right_draw,
                    lambda mean, generator: torch.randn(mean.shape, generator=generator or torch.Generator()),
                ),
                "Right with a generator. Without one you make a new generator, which begins with the same numbers at "
                "every call: let PyTorch use its global one.",
            ),
        },
    ),
    Exercise(
        "4.2",
        "vae_course.distributions.kl_standard_normal",
        cases=_cases_of_kl,
        hidden=_hidden_kl,
        gradients=("mean", "logvar"),
        shape="the shape of mean without its last axis",
        properties=(_explain_kl,),
        hints=(
            "Latents are independent, so their KLs add up. For one of them take the KL between two Gaussians of "
            "lesson 1 and set the second to mean 0 and variance 1: what is left of the quotients and the logarithm?",
            "Four terms share the factor 1/2, as in lesson 1, and none of them is a quotient any longer. Test yours: "
            "for mean 0 and log-variance 0 they add up to 0, for every latent. The sum over dim=-1 comes last.",
        ),
        mistakes={
            "half-the-log-variance": (
                lambda mean, logvar: _kl_of(mean, logvar, log=0.5).sum(dim=-1),
                "The log-variance is halved twice. It is the logarithm of the variance as it stands; only the one "
                "factor 1/2 before everything is left.",
            ),
            "standard-deviation-for-variance": (
                lambda mean, logvar: 0.5 * (torch.exp(0.5 * logvar) + mean**2 - 1 - logvar).sum(dim=-1),
                "The standard deviation enters where the variance should: halving the log-variance before exp takes "
                "the square root.",
            ),
            "logarithm-of-the-standard-deviation": (
                lambda mean, logvar: 0.5 * (torch.exp(2 * logvar) + mean**2 - 1 - 2 * logvar).sum(dim=-1),
                "You treat `logvar` as the logarithm of the standard deviation. It is that of the variance.",
            ),
            "half-missing-on-the-log": (
                lambda mean, logvar: _kl_of(mean, logvar, log=2).sum(dim=-1),
                "The log-variance has lost its factor 1/2: it belongs to all four terms.",
            ),
            "logvar-as-variance": (
                lambda mean, logvar: 0.5 * (logvar + mean**2 - 1 - torch.log(logvar)).sum(dim=-1),
                "You treat `logvar` as the variance, and take its logarithm although it may be negative. It is a "
                "logarithm already.",
            ),
            "exponential-forgotten": (
                lambda mean, logvar: 0.5 * (mean**2 - 1).sum(dim=-1) + 0 * logvar.sum(dim=-1),
                "The log-variance cancels from your terms: one of them is the variance itself, its exponential.",
            ),
            "no-variance": (
                lambda mean, logvar: 0.5 * (mean**2 - 1 - logvar).sum(dim=-1),
                "The variance itself is missing among the terms: a wide q should cost something too.",
            ),
            "sign": (
                lambda mean, logvar: -_kl_of(mean, logvar).sum(dim=-1),
                "The sign is wrong: a KL is never negative. Kingma and Welling write down *minus* the KL, which is "
                "what the ELBO holds.",
            ),
            "sign-of-the-log": (
                lambda mean, logvar: _kl_of(mean, logvar, log=-1).sum(dim=-1),
                "The log-variance has the wrong sign: a very narrow q has to cost much.",
            ),
            "sign-of-the-exponent": (
                lambda mean, logvar: 0.5 * (torch.exp(-logvar) + mean**2 - 1 - logvar).sum(dim=-1),
                "The exponent has the wrong sign: exp(-logvar) is one over the variance.",
            ),
            "missing-one": (
                lambda mean, logvar: _kl_of(mean, logvar, minus=0).sum(dim=-1),
                "The term -1 is missing: the KL of the prior to itself should be 0.",
            ),
            "one-outside": (
                lambda mean, logvar: _kl_of(mean, logvar, minus=2).sum(dim=-1),
                "The 1 stands outside the factor 1/2: the KL of the prior to itself should be 0.",
            ),
            "one-for-all-latents": (
                lambda mean, logvar: _kl_of(mean, logvar, minus=0).sum(dim=-1) - 0.5,
                "1 is subtracted once per cell. It is subtracted for every latent, or the KL of the prior to itself "
                "is not 0.",
            ),
            "one-after-the-sum": (
                lambda mean, logvar: _kl_of(mean, logvar, minus=0).sum(dim=-1) - 1,
                "1 is subtracted once, after the sum, which happens to be right for two latents. It is subtracted for "
                "each latent, before the factor 1/2 and before the sum.",
            ),
            "variance-squared": (
                lambda mean, logvar: 0.5 * (torch.exp(logvar) ** 2 + mean**2 - 1 - logvar).sum(dim=-1),
                "The variance is squared. The exponential of the log-variance is the variance already, that is sigma "
                "squared.",
            ),
            "no-half": (
                lambda mean, logvar: 2 * _kl_of(mean, logvar).sum(dim=-1),
                "Everything is twice as large as it should be: the factor 1/2 is missing.",
            ),
            "half-on-the-first-term": (
                lambda mean, logvar: (0.5 * torch.exp(logvar) + mean**2 - 1 - logvar).sum(dim=-1),
                "Only the variance has the factor 1/2. It belongs to all four terms: set brackets around them.",
            ),
            "mean-not-squared": (
                lambda mean, logvar: 0.5 * (torch.exp(logvar) + mean - 1 - logvar).sum(dim=-1),
                "The mean is not squared, so that left and right of the prior are not alike.",
            ),
            "mean-ignored": (
                lambda mean, logvar: _kl_of(mean, logvar, square=0).sum(dim=-1),
                "The mean is not used: a q far from the prior should cost more.",
            ),
            "mean-subtracted": (
                lambda mean, logvar: _kl_of(mean, logvar, square=-1).sum(dim=-1),
                "The squared mean has the wrong sign: a q far from the prior should cost more.",
            ),
            "other-direction": (
                lambda mean, logvar: 0.5 * ((1 + mean**2) * torch.exp(-logvar) - 1 + logvar).sum(dim=-1),
                "This is the KL from the prior to q. The one from q to the prior is due: q is what is averaged over.",
            ),
            "mean-over-latents": (
                lambda mean, logvar: _kl_of(mean, logvar).mean(dim=-1),
                "You averaged over the latents. The KLs of independent latents add up.",
            ),
            "summed-over-everything": (
                lambda mean, logvar: _kl_of(mean, logvar).sum(),
                "You summed over all cells too. Every cell has a KL of its own: sum over the last axis alone.",
            ),
            "mean-over-everything": (
                lambda mean, logvar: _kl_of(mean, logvar).mean(),
                "You averaged over everything. Every cell has a KL of its own: sum over the last axis alone.",
            ),
            "summed-over-cells": (
                lambda mean, logvar: _kl_of(mean, logvar).sum(dim=0),
                "You summed over the first axis, the cells. The latents are the last axis.",
            ),
            "not-summed": (
                _kl_of,
                "These are the KLs of the single latents. Sum them over the last axis.",
            ),
            "tables-only": (
                lambda mean, logvar: _kl_of(mean, logvar).sum(dim=1),
                "Right for a table of cells, but dim=1 is not always the last axis. Name the last one, whatever the "
                "number of axes.",
            ),
            "clamped": (
                lambda mean, logvar: _kl_of(mean, logvar.clamp(-10, 10)).sum(dim=-1),
                "You clamp the log-variance. It may be anywhere between -30 and 30, and the formula needs no clamp.",
            ),
        },
    ),
    Exercise(
        "4.3",
        "vae_course.distributions.elbo",
        cases=_cases_of_elbo,
        hidden=_hidden_elbo,
        gradients=("log_likelihood", "log_prior", "log_q"),
        shape="(cells,), one number for every cell",
        hints=(
            "The ELBO is an expectation under q, and the draws are from q: average over them. What is averaged is the "
            "log of the joint minus the log of q.",
            "The log of the joint is log-likelihood plus log-prior. The draws are the first axis: .mean(dim=0).",
        ),
        mistakes={
            "loss": (
                lambda likelihood, prior, q: -(likelihood + prior - q).mean(dim=0),
                "This is the loss, minus the ELBO. The bound itself is due, of which more is better.",
            ),
            "sign-of-q": (
                lambda likelihood, prior, q: (likelihood + prior + q).mean(dim=0),
                "log q has the wrong sign: it is subtracted, since the bound averages log p(x, z) - log q(z).",
            ),
            "sign-of-the-kl": (
                lambda likelihood, prior, q: (likelihood - prior + q).mean(dim=0),
                "The KL has the wrong sign: log q - log p(z) averages to the KL, and the KL is subtracted.",
            ),
            "sign-of-the-prior": (
                lambda likelihood, prior, q: (likelihood - prior - q).mean(dim=0),
                "The log-prior has the wrong sign: together with the log-likelihood it makes the log of the joint.",
            ),
            "likelihood-subtracted": (
                lambda likelihood, prior, q: (prior - q - likelihood).mean(dim=0),
                "The log-likelihood has the wrong sign: a better reconstruction has to raise the bound.",
            ),
            "prior-forgotten": (
                lambda likelihood, prior, q: (likelihood - q).mean(dim=0) + 0 * prior.mean(dim=0),
                "The prior is not used. The joint p(x, z) is likelihood times prior.",
            ),
            "q-forgotten": (
                lambda likelihood, prior, q: (likelihood + prior).mean(dim=0) + 0 * q.mean(dim=0),
                "log q is not used: without it nothing stops q from shrinking to a point.",
            ),
            "reconstruction-only": (
                lambda likelihood, prior, q: likelihood.mean(dim=0) + 0 * (prior + q).mean(dim=0),
                "This is the reconstruction term alone. The KL from q to the prior is still to be subtracted.",
            ),
            "kl-only": (
                lambda likelihood, prior, q: (prior - q).mean(dim=0) + 0 * likelihood.mean(dim=0),
                "The log-likelihood is not used: this is minus the KL, without the reconstruction.",
            ),
            "sum-over-draws": (
                lambda likelihood, prior, q: (likelihood + prior - q).sum(dim=0),
                "You summed over the draws. An expectation is estimated by their mean.",
            ),
            "mean-over-cells": (
                lambda likelihood, prior, q: (likelihood + prior - q).mean(dim=1),
                "You averaged over the cells. The draws are the first axis.",
            ),
            "mean-over-everything": (
                lambda likelihood, prior, q: (likelihood + prior - q).mean(),
                "You averaged over cells too. Every cell has a bound of its own.",
            ),
            "sum-over-cells": (
                lambda likelihood, prior, q: (likelihood + prior - q).mean(dim=0).sum(),
                "You summed over cells. Every cell has a bound of its own.",
            ),
            "sum-over-latents": (
                lambda likelihood, prior, q: (likelihood + prior - q).sum(dim=-1),
                "You summed over the last axis, which holds the cells. What is averaged over is the first, the draws.",
            ),
            "not-averaged": (
                lambda likelihood, prior, q: likelihood + prior - q,
                "These are the terms of the single draws. Average them over the first axis.",
            ),
            "one-draw": (
                lambda likelihood, prior, q: (likelihood + prior - q)[0],
                "Only the first draw is used. Average over all of them (in a loop, return after it, not inside).",
            ),
            "return-inside-the-loop": (
                lambda likelihood, prior, q: (likelihood + prior - q)[0] / len(likelihood),
                "Only the first draw is counted, divided by the number of draws. Is the return inside the loop, which "
                "it then ends in the first round?",
            ),
            "log-mean-exp": (
                lambda likelihood, prior, q: _log_mean_exp(likelihood + prior - q),
                "This is the log of a mean, an estimate of log p(x) itself. The bound is the mean of logs.",
            ),
            "log-sum-exp": (
                lambda likelihood, prior, q: torch.logsumexp(likelihood + prior - q, dim=0),
                "This is the log of a sum of exponentials. The bound is the plain mean of logs.",
            ),
            "log-of-mean": (
                lambda likelihood, prior, q: torch.log(torch.exp(likelihood + prior - q).mean(dim=0)),
                "You left the logarithms, averaged, and took the logarithm again: that estimates log p(x), unstably. "
                "The bound is the mean of logs.",
            ),
            "weighted-again": (
                lambda likelihood, prior, q: (torch.exp(q) * (likelihood + prior - q)).mean(dim=0),
                "You multiplied by the density q. The draws are from q already, so likely values come up more often "
                "by themselves.",
            ),
            "weighted-sum": (
                lambda likelihood, prior, q: (torch.exp(q) * (likelihood + prior - q)).sum(dim=0),
                "You multiplied by the density q and summed. The draws are from q already: a plain mean is due.",
            ),
            "ratio-of-logs": (
                lambda likelihood, prior, q: ((likelihood + prior) / q).mean(dim=0),
                "You divided by log q. The logarithm of a quotient is a difference of logarithms.",
            ),
            "product-of-logs": (
                lambda likelihood, prior, q: (likelihood * prior - q).mean(dim=0),
                "You multiplied log-likelihood and log-prior. The logarithm of a product is a sum.",
            ),
            "exponentiated": (
                lambda likelihood, prior, q: torch.exp(likelihood + prior - q).mean(dim=0),
                "You left the logarithms: this averages p(x, z) / q(z). The bound is in nats, an average of logs.",
            ),
        },
    ),
    Exercise(
        "4.4",
        "vae_course.distributions.log_marginal_likelihood",
        cases=_cases_of_marginal,
        hidden=_hidden_marginal,
        gradients=("log_joint", "log_q"),
        shape="(cells,), one number for every cell",
        properties=(_explain_far_logs,),
        hints=(
            "p(x) is the average of p(x, z) / q(z) over draws from q. You have logarithms and want a logarithm: write "
            "down the log of a mean of exponentials.",
            "torch.logsumexp is the log of a sum of exponentials, safe for logarithms of any size. A mean divides the "
            "sum by S; what does that become outside of the log?",
        ),
        mistakes={
            "elbo": (
                lambda joint, q: (joint - q).mean(dim=0),
                "This is the ELBO, the mean of logs. The log of the mean is due, which is never smaller.",
            ),
            "log-s-forgotten": (
                lambda joint, q: torch.logsumexp(joint - q, dim=0),
                "This is the log of a sum: the more draws, the larger. A mean divides by the number of draws.",
            ),
            "log-s-added": (
                lambda joint, q: torch.logsumexp(joint - q, dim=0) + math.log(len(joint)),
                "The log of the number of draws has the wrong sign: a mean divides by it.",
            ),
            "divided-by-s": (
                lambda joint, q: torch.logsumexp(joint - q, dim=0) / len(joint),
                "You divided the logarithm by the number of draws. Dividing inside a log is subtracting outside.",
            ),
            "s-subtracted": (
                lambda joint, q: torch.logsumexp(joint - q, dim=0) - len(joint),
                "You subtracted the number of draws. Outside of the log its logarithm is due.",
            ),
            "number-of-cells": (
                lambda joint, q: torch.logsumexp(joint - q, dim=0) - math.log(joint.shape[1]),
                "You divided by the number of cells. What is averaged over are the draws, the first axis.",
            ),
            "number-of-entries": (
                lambda joint, q: torch.logsumexp(joint - q, dim=0) - math.log(joint.numel()),
                "You divided by the number of all entries. What is averaged over are the draws, the first axis.",
            ),
            "unstable": (
                lambda joint, q: torch.log(torch.exp(joint - q).mean(dim=0)),
                "Right for small numbers, but at -10,000 every exponential rounds to 0, and its logarithm is minus "
                "infinity. torch.logsumexp does both steps at once, safely.",
            ),
            "densities-divided": (
                lambda joint, q: torch.log((torch.exp(joint) / torch.exp(q)).mean(dim=0)),
                "Right for small numbers, but at -10,000 every density rounds to 0. Stay with logarithms, where a "
                "quotient is a difference, and sum with torch.logsumexp.",
            ),
            "epsilon-in-the-log": (
                lambda joint, q: torch.log(torch.exp(joint - q).mean(dim=0) + 1e-8),
                "The small number inside the logarithm hides the infinities but gives wrong values. Stay with "
                "logarithms: torch.logsumexp needs none.",
            ),
            "global-maximum": (
                lambda joint, q: (joint - q).max() + torch.log(torch.exp(joint - q - (joint - q).max()).mean(dim=0)),
                "You shift all cells by one maximum. Cells may lie thousands of nats apart, so each needs its own.",
            ),
            "maximum-not-added-back": (
                lambda joint, q: _log_mean_exp(joint - q - (joint - q).amax(dim=0)),
                "The maximum is subtracted before the exponential, but never comes back. What is taken out inside of "
                "the log has to be added outside.",
            ),
            "global-maximum-not-added-back": (
                lambda joint, q: _log_mean_exp(joint - q - (joint - q).max()),
                "The maximum of everything is subtracted before the exponential, but never comes back. What is taken "
                "out inside of the log has to be added outside.",
            ),
            "maximum": (
                lambda joint, q: (joint - q).amax(dim=0) - math.log(len(joint)),
                "Only the largest term of each cell is used. All draws count.",
            ),
            "maximum-alone": (
                lambda joint, q: (joint - q).amax(dim=0),
                "You took the largest of the draws. The log of the mean of their exponentials is due.",
            ),
            "sign": (
                lambda joint, q: -_log_mean_exp(joint - q),
                "The sign is wrong: this is *minus* the log-likelihood, which one would minimise.",
            ),
            "ratio-upside-down": (
                lambda joint, q: _log_mean_exp(q - joint),
                "The ratio is upside down: it is q over the joint. The joint is divided by q.",
            ),
            "harmonic-mean": (
                lambda joint, q: -_log_mean_exp(q - joint),
                "You average q over the joint and invert at the end. Averages and inverses do not change places: "
                "average the joint over q.",
            ),
            "q-added": (
                lambda joint, q: _log_mean_exp(joint + q),
                "log q is added. The weights are the joint divided by q, so it is subtracted.",
            ),
            "q-forgotten": (
                lambda joint, q: _log_mean_exp(joint) + 0 * q.sum(dim=0),
                "log q is not used: draws from q have to be divided by their density.",
            ),
            "difference-of-sums": (
                lambda joint, q: torch.logsumexp(joint, dim=0) - torch.logsumexp(q, dim=0),
                "You divided one average by another. What is due is the average of quotients, draw by draw.",
            ),
            "quotient-of-logs": (
                lambda joint, q: _log_mean_exp(joint / q),
                "You divided two logarithms. The logarithm of a quotient is a difference of logarithms.",
            ),
            "wrong-axis": (
                lambda joint, q: torch.logsumexp(joint - q, dim=1) - math.log(joint.shape[1]),
                "You averaged over the cells. The draws are the first axis.",
            ),
            "wrong-axis-but-s": (
                lambda joint, q: torch.logsumexp(joint - q, dim=-1) - math.log(joint.shape[0]),
                "You summed over the last axis, the cells. The draws are the first axis.",
            ),
            "everything": (
                lambda joint, q: _log_mean_exp((joint - q).flatten()),
                "You averaged over the cells too. Every cell has a likelihood of its own.",
            ),
            "summed-over-cells": (
                lambda joint, q: _log_mean_exp(joint - q).sum(),
                "You summed over the cells. Every cell has a likelihood of its own.",
            ),
            "likelihood": (
                lambda joint, q: torch.exp(joint - q).mean(dim=0),
                "You return the likelihood itself, which rounds to 0 for most cells. Its logarithm is due.",
            ),
            "self-normalised": (
                lambda joint, q: (torch.softmax(joint - q, dim=0) * (joint - q)).sum(dim=0),
                "You averaged the logs with normalised weights. What is averaged are the weights themselves, and the "
                "logarithm comes last.",
            ),
        },
    ),
    Exercise(
        "4.5",
        "vae_course.exercises.lesson4.score_function_gradient",
        cases=_cases_of_score_function,
        hidden=_hidden_score_function,
        use=_use_score_function,
        examine=_examine_score_function,
        returns=("the estimate",),
        shape="a scalar",
        properties=(_explain_estimates,),
        hints=(
            "The derivative can pass the density instead of f: d p = p d log p. What is the derivative of log N(z; "
            "mean, 1) with respect to mean? Derive it on paper first.",
            "Draw z around mean from the generator. Average, over the draws, f(z) times the distance of each draw from "
            "mean, with its sign.",
        ),
        mistakes={
            "pathwise": (
                _pathwise,
                "You differentiate f, which is right for a smooth one only: a jump has no slope. Differentiate the "
                "log-density of the draws instead.",
            ),
            "f-alone": (
                _estimating(SLIPS["f alone"]),
                "This estimates the expectation of f, not its derivative: the score, the derivative of the "
                "log-density, is missing.",
            ),
            "draw-for-score": (
                _estimating(SLIPS["the draw itself"]),
                "f is multiplied by the draw. The derivative of the log-density is the distance of the draw from mean.",
            ),
            "sum": (
                _estimating(SLIPS["a sum"]),
                "You summed over the draws, so that more draws give a larger number. An expectation is estimated by "
                "the mean.",
            ),
            "divided-twice": (
                _estimating(SLIPS["divided twice"]),
                "You divided by the number of draws twice: the mean does it already.",
            ),
            "sign": (
                _estimating(SLIPS["minus"]),
                "The sign is wrong: a draw above mean becomes more likely when mean grows, so its score is positive.",
            ),
            "own-average": (
                _estimating(SLIPS["its own average subtracted"]),
                "Subtracting the average of the same draws makes the estimate too small, with two draws by half. Only "
                "a baseline that does not depend on the draw itself is harmless.",
            ),
            "product-of-averages": (
                _estimating(SLIPS["a product of averages"]),
                "You averaged f and the score apart. Multiply them draw by draw, then average.",
            ),
            "log-density": (
                _estimating(SLIPS["the log-density"]),
                "f is multiplied by the log-density. Its derivative with respect to mean is due.",
            ),
            "log-density-but-for-a-constant": (
                _estimating(SLIPS["the log-density but for a constant"]),
                "f is multiplied by the exponent of the density, as if by its logarithm. The derivative of the "
                "log-density with respect to mean is due.",
            ),
            "divided-by-the-distance": (
                _estimating(SLIPS["divided by the distance"]),
                "f is divided by the distance of the draw from mean, which explodes for draws near mean. The score "
                "multiplies f.",
            ),
            "moving-draws": (
                _score_of_moving_draws,
                "z still moves with the mean, so that its log-density stays as it is and has no slope. Detach the "
                "draws before you differentiate.",
            ),
            "squared-distance": (
                _estimating(SLIPS["the squared distance"]),
                "f is multiplied by the squared distance from mean. The derivative of a square is of first power.",
            ),
            "half-the-score": (
                _estimating(SLIPS["half the score"]),
                "Everything is half as large as it should be: the 2 from the square cancels the 1/2 in the exponent.",
            ),
            "density-besides": (
                _estimating(SLIPS["the density besides"]),
                "You multiplied by the density. The draws come from it already, so likely values come up more often "
                "by themselves.",
            ),
            "score-alone": (
                _estimating(SLIPS["the score alone"]),
                "f is not used: the score alone averages to 0.",
            ),
            "not-averaged": (
                _estimating(lambda y, z, mean: y * (z - mean)),
                "You return a number for every draw. Average them.",
            ),
            "draws-around-zero": (
                _score_around_zero,
                "The draws lie around 0. They should come from a Gaussian around mean.",
            ),
            "uniform-draws": (
                _score_of_uniform,
                "torch.rand is uniform between 0 and 1. The draws should be Gaussian around mean.",
            ),
            "generator-ignored": (
                _score_without_generator,
                "The average is right, but the draws do not come from the generator: the same seed gives different "
                "estimates.",
            ),
            "reseeded": (
                _score_reseeded,
                "You make a generator with a fixed seed, so that every call gives the same number. Draw from the one "
                "that is given.",
            ),
            "finite-difference": (
                _finite_difference,
                "A difference quotient meets a jump only rarely, and is then huge: right on average, but far too "
                "noisy. Differentiate the log-density instead.",
            ),
        },
    ),
]
