"""Exercise 3.3: hints, and how results are judged."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import near, tensor_from
from vae_course.exercises.e3_3.calls import N_COMPARED, use
from vae_course.exercises.e3_3.cases import hidden_cases, visible_cases
from vae_course.exercises.e3_3.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    """Tell from three calls what the cells, and the latents behind them, look like."""
    n_cells, _, slope, offset, _ = case.arguments
    if "a second call" not in got:
        return dict(got)
    first = tensor_from(got, "the result", (n_cells, 5))
    shape = (min(n_cells, N_COMPARED), 5)
    second, again = (tensor_from(got, name, shape) for name in ("a second call", "the same seed"))
    outside = got.get("global random numbers", Value("nothing")).text
    is_repeated = outside == "not used" and near(first[:N_COMPARED], again)
    return {
        "the result": torch.zeros(first.shape),
        "range": _range_of(first),
        "gradient": got.get("gradient"),
        "noise": "from the generator" if is_repeated else "not from the generator alone",
        "a second call": "the same draws" if near(first[:N_COMPARED], second) else "new draws",
        "latents": _looks_of((torch.logit(first[:, :3]) - offset) / slope) if n_cells >= N_COMPARED else "few",
    }


def _range_of(values: Tensor) -> str:
    if ((values == 0) | (values == 1)).all():
        return "only 0 and 1"
    if (values < 0).any():
        return "partly negative"
    if (values > 1).any():
        return "partly above 1"
    return "shares of 1" if ((values.sum(dim=-1) - 1).abs() < 1e-4).all() else "probabilities"


def _looks_of(z: Tensor) -> str:
    """Say in words how draws are distributed, (draws, latents); with six standard errors of tolerance."""
    n_draws, tolerance = len(z), 6 / len(z) ** 0.5
    if not z.isfinite().all():
        return "not finite"
    if (z.std(dim=0) < 1e-3).all():
        return "the same in every cell"
    if torch.corrcoef(z.T).fill_diagonal_(0).abs().max() > tolerance + 1e-6:
        return "tied to each other"
    if (z.mean(dim=0).abs() > tolerance * z.std(dim=0)).any():
        return f"of a mean of {round(z.mean().item() * 2) / 2:g} instead of 0"
    spread = z.std(dim=0)
    if ((spread - 1).abs() > tolerance).any():
        return f"of a spread of {round(spread.mean().item() * 2) / 2:g} instead of 1"
    kurtosis = (z**4).mean(dim=0)
    return "standard normal" if ((kurtosis - 3).abs() < 6 * (96 / n_draws) ** 0.5 + 0.2).all() else "not Gaussian"


def _explain_sample_prior(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if "range" not in got:
        return None
    if got["range"].text != want["range"].text:
        return f"the values are {got['range'].text}. Probabilities are expected, one of its own for every gene."
    if got["gradient"].text != "none":
        return "the result carries a gradient: nothing is trained here, so switch recording off."
    if got["noise"].text != want["noise"].text:
        return "the draws do not come from the generator alone: with the same generator state they should be the same."
    if got["a second call"].text != want["a second call"].text:
        return "a second call gives the same cells again: go on with the generator, do not seed it anew."
    if got["latents"].text != want["latents"].text:
        return (
            f"the latents behind your cells are {got['latents'].text}. Draw them from N(0, I), one of their own for "
            "every cell and latent, and decode them in eval mode."
        )
    return None


EXERCISE = Exercise(
    "3.3",
    "vae_course.exercises.e3_3.answer.sample_prior",
    cases=visible_cases,
    use=use,
    examine=examine,
    hidden=hidden_cases,
    properties=(_explain_sample_prior,),
    advice={
        "cannot be multiplied": "the rows of z need as many latents as this model has, and that is model.n_latent",
    },
    shape="(n_cells, n_input), a row for every cell",
    hints=(
        "The generative story from lesson 1, in two steps: draw z from the prior, then let the decoder say how "
        "probable each 1 is. The encoder has no part in it.",
        "torch.randn takes generator=. z has n_cells rows and model.n_latent columns; model.decode gives log-odds. "
        "Set eval mode, and wrap it all in torch.no_grad().",
    ),
    built="Your model can make up digits that nobody drew.",
    mistakes=MISTAKES,
)
