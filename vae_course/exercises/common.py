"""Helpers that several exercises share to make their cases and to judge results."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.calling import NO_MODULE

STANDARD_ERRORS = 6.0  # that chance may account for


def draw_integer(low: int, high: int, generator: torch.Generator) -> int:
    """Draw a whole number, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def draw_weights(network: type[nn.Module], options: dict[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
    """Draw weights and running averages, by the names that they have in a network."""
    with torch.device("meta"):  # names and shapes, and no draws from PyTorch's own generator
        shapes = network(**options).state_dict()
    weights = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in shapes.items()}
    for name, value in weights.items():
        if value.is_floating_point():
            value.uniform_(*((0.5, 1.5) if "running_var" in name else (-1.0, 1.0)), generator=generator)
    return weights


def tensor_from(got: Mapping[str, Value], name: str, shape: Sequence[int]) -> Tensor:
    """Take a tensor of a known shape from what an attempt sent; nan throughout where it sent something else."""
    tensor = got[name].tensor if name in got else None
    if tensor is None or tensor.is_complex() or tensor.shape != torch.Size(shape):
        return torch.full(shape, torch.nan, dtype=torch.float64)
    return tensor


def explain_module(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Say how the parameters differ from those that are expected."""
    key = "its parameters"
    if got[key].text == NO_MODULE:
        return "what your class makes is not an nn.Module: it has to begin with class ...(nn.Module)."
    if got[key].text != want[key].text:
        if got["astray"].text == "plain tensors":
            return (
                "there are plain tensors on self, which no optimizer will find. Wrap the finished tensor in "
                "nn.Parameter: arithmetic with a parameter gives a plain tensor again."
            )
        if got["astray"].text == "modules in a list":
            return "there are layers in a Python list, where nn.Module does not look for parameters."
        sizes = "" if isinstance(case.arguments[0], dict) else " for n_in = {} and n_out = {}".format(*case.arguments)
        return f"{_first_difference(got[key].text, want[key].text)}{sizes}."
    return None


def parse_parameters(text: str) -> dict[str, str]:
    """Undo `list_parameters`: the shape of every parameter by its name."""
    parts = (part.partition(" (") for part in text.removesuffix(")").split("), "))
    return {name: f"({shape})" for name, between, shape in parts if between}


def _first_difference(got: str, want: str) -> str:
    """Name the first parameter that is missing, superfluous, or of another shape."""
    mine, due = parse_parameters(got), parse_parameters(want)
    for name in sorted(mine.keys() | due.keys()):
        if name not in mine:
            return f"`{name}`, of shape {due[name]}, is missing; yours has {', '.join(mine) or 'no parameters'}"
        if name not in due:
            return f"`{name}` is among its parameters and buffers, and should not be; expected are {', '.join(due)}"
        if mine[name] != due[name]:
            return f"`{name}` should have shape {due[name]}; yours has {mine[name]}"
    return "its parameters come in another order"


def near(got: Tensor, want: Tensor) -> bool:
    """Whether two tensors have the same shape and values, up to 1e-4."""
    return got.shape == want.shape and torch.allclose(got, want, rtol=1e-4, atol=1e-4)


def real_tensor_from(values: Mapping[str, Value], name: str, shape: tuple[int, ...]) -> Tensor | None:
    """Return what came under a name, if it is a tensor of real numbers of a certain shape."""
    value = values.get(name)
    if value is None or value.tensor is None or "float" not in value.dtype or value.tensor.is_complex():
        return None
    return value.tensor if value.kind == "tensor" and value.tensor.shape == shape else None
