"""Exercise 2.4: hints, and how results are judged."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import explain_module, near, tensor_from
from vae_course.exercises.e2_4.calls import N_PASSES, use
from vae_course.exercises.e2_4.cases import hidden_cases, visible_cases
from vae_course.exercises.e2_4.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    options, _, x, *_ = case.arguments
    shape, found = (len(x), options["n_out"]), dict(got)
    if "two passes in eval mode" in got:
        passes = [tensor_from(got, name, shape) for name in ("the output in eval mode", "two passes in eval mode")]
        found["two passes in eval mode"] = "agree" if near(*passes) else "differ"
    if "dropout in train mode" in got:
        found["dropout in train mode"] = _dropout_of(tensor_from(got, "dropout in train mode", (N_PASSES, *shape)))
    return found


def _dropout_of(passes: Tensor) -> str:
    """Estimate the share of outputs that dropout sets to zero, from many passes in train mode."""
    alive = passes.amax(dim=0) > 0  # (cells, n_out)
    return f"about {10 * round(10 * (passes[:, alive] == 0).double().mean().item()):.0f} %" if alive.any() else "all"


def _explain_fc_layers(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    for name in ("two passes in eval mode", "dropout in train mode"):
        if name in got and name in want and got[name].text != want[name].text:
            if name.startswith("two"):
                return "two passes in eval mode differ: dropout has to be off there."
            asked = f"{100 * case.arguments[0].get('dropout_rate', 0.1):.0f} %"
            return (
                f"in train mode dropout should set about {asked} of the outputs to zero; yours sets {got[name].text}."
            )
    return None


EXERCISE = Exercise(
    "2.4",
    "vae_course.nn.FCLayers",
    cases=visible_cases,
    use=use,
    examine=examine,
    hidden=hidden_cases,
    properties=(explain_module, _explain_fc_layers),
    hints=(
        "Build a list of steps for each layer, Linear, BatchNorm1d, ReLU, Dropout, and leave out what the options "
        "exclude. nn.Sequential takes an OrderedDict of names and modules. In forward, put the one-hot columns "
        "beside x anew before every layer.",
        "one_hot_covariates(cat_list, self.n_cat_list, n_cells) makes the columns; keep in self.n_cat_list a 0 "
        "for a covariate with one category. Each Linear is wider by the sum of that list, and "
        "torch.cat([x, *columns], dim=-1) goes into each layer.",
    ),
    built="The encoder and the decoder of scVI are made of it.",
    mistakes=MISTAKES,
)
