"""Exercise 2.5: hints, and how results are judged."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.calling import NO_MODULE
from vae_course.exercises.common import near, tensor_from
from vae_course.exercises.e2_5.calls import use
from vae_course.exercises.e2_5.cases import hidden_cases, visible_cases
from vae_course.exercises.e2_5.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    if "the parameters" not in got:
        return dict(got)
    n_parameters, pair = math.prod(got["the parameters"].shape), [got.get(f"{n} of h") for n in ("mean", "logvar")]
    found: dict[str, Any] = {"how many parameters": n_parameters, "astray": got.get("astray")}
    found["what it returns"] = got.get("what it returns")
    if None in pair:
        return found
    _, n_latent, h, far = case.arguments
    shape, names = (len(h), n_latent), ("mean", "logvar")
    swapped = near(tensor_from(got, "self.mean of h", shape), tensor_from(got, "logvar of h", shape))
    found["the order"] = "logvar, mean" if swapped else "mean, logvar"
    for name, part in zip(names, pair, strict=True):
        found[f"the shape of {name}"] = str(part.shape)
    if any(part.shape != shape for part in pair):
        return found
    for name in names:
        at_zero, at_h, at_twice = (tensor_from(got, f"{name} of {place}", shape) for place in ("0", "h", "2 h"))
        far_out = tensor_from(got, f"{name} of far features", (len(far), n_latent))
        found[f"{name} as a function of h"] = _course_of(at_zero, at_h, at_twice)
        found[f"{name} of a cell"] = _source_of(torch.cat([far, h]), torch.cat([far_out, at_h]))
        found[f"{name} of many cells"] = "never negative" if (far_out >= 0).all() else "of both signs"
        found[f"{name} for h = 0"] = "the bias" if at_zero.any() else "zero"
    gradients = [got.get(f"what moves {name}") for name in names]
    return found | {"the parameters of the two": _owners(gradients, n_parameters)}


def _course_of(at_zero: Tensor, at_h: Tensor, at_twice: Tensor) -> str:
    """Tell an affine map by its values at 0, h and 2 h; after an exp, their logarithms are those of one."""
    for course, values in (
        ("straight", (at_zero, at_h, at_twice)),
        ("exponential", (at_zero.log(), at_h.log(), at_twice.log())),
    ):
        if (values[2] - 2 * values[1] + values[0]).abs().max() < 1e-3:
            return course
    return "bent"


def _source_of(cells: Tensor, results: Tensor) -> str:
    """Tell whether one affine map takes every cell to its own result; something else mixes cells, or their order."""
    inputs = torch.cat([cells, torch.ones(len(cells), 1)], dim=1).double()
    left = results - inputs @ torch.linalg.lstsq(inputs, results).solution
    return "its own" if left.abs().max() < 1e-3 * results.abs().max().clamp(min=1) else "that of others"


def _owners(gradients: Sequence[Value | None], n_parameters: int) -> str:
    """Say which entries of the parameters move the mean, and which the log-variance: gradients tell."""
    if any(g is None or g.tensor is None or g.tensor.shape != (n_parameters,) for g in gradients):
        return "unreached by gradients"
    of_mean, of_logvar = (gradient.tensor != 0 for gradient in gradients)
    if (of_mean & of_logvar).any():
        return "shared"
    return "their own" if (of_mean | of_logvar).all() else "partly unused"


def _explain_gaussian_head(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if got.get("its parameters", Value("")).text == NO_MODULE:
        return "what your class makes is not an nn.Module: it has to begin with class ...(nn.Module)."
    if got["what it returns"].text != "two tensors":
        yours = got["what it returns"]
        kind = yours.text or f"a single {yours.kind}"
        return f"`forward` should return two tensors, mean and logvar; yours returns {kind}."
    if got["the order"].text != want["the order"].text:
        return "mean and logvar are swapped: `forward` returns the mean first."
    for name in ("mean", "logvar"):
        shape = f"the shape of {name}"
        if got[shape].text != want[shape].text:
            return f"`{name}` should have shape {want[shape].text}, (cells, n_latent); yours has {got[shape].text}."
    for name in ("mean", "logvar"):
        if (course := got[f"{name} as a function of h"].text) != "straight":
            return f"`{name}` should be an affine function of h; yours is {course}. Is there an activation or an exp?"
    for name in ("mean", "logvar"):
        if got[f"{name} of a cell"].text != "its own":
            return f"`{name}` of a cell should come from that cell alone; yours mixes cells or changes their order."
    if got["the parameters of the two"].text != "their own":
        return f"mean and logvar need parameters of their own; here they are {got['the parameters of the two'].text}."
    count = "how many parameters"
    if got[count].tensor != want[count].tensor:
        n_got, n_want = (int(values[count].tensor.item()) for values in (got, want))
        return f"two affine maps with these sizes have {n_want} parameters in all; yours has {n_got}."
    return None


EXERCISE = Exercise(
    "2.5",
    "vae_course.exercises.e2_5.answer.GaussianHead",
    cases=visible_cases,
    use=use,
    examine=examine,
    hidden=hidden_cases,
    properties=(_explain_gaussian_head,),
    hints=(
        "Two numbers for every latent, so two layers. Any real number is a valid mean, and any real number is a "
        "valid log-variance: do they need an activation?",
        "Make two nn.Linear(n_in, n_latent) in __init__, and return what each makes of h, as a pair.",
    ),
    built="An encoder can now say where a cell lies, and how sure it is.",
    mistakes=MISTAKES,
)
