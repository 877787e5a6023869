"""Exercise 2.1: hints, and how results are judged."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import explain_module, tensor_from
from vae_course.exercises.e2_1.calls import use
from vae_course.exercises.e2_1.cases import hidden_cases, visible_cases
from vae_course.exercises.e2_1.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

MANY = 100  # inputs, from which the size of the weights is looked at


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    name = "the initial weight"
    n_in, n_out, *_ = case.arguments
    return {**got, name: _draw_of(*tensor_from(got, name, (2, n_out, n_in)))} if name in got else dict(got)


def _draw_of(weight: Tensor, again: Tensor) -> str:
    """Tell a random draw from other numbers, by a second one."""
    if not weight.isfinite().all():
        return "not finite"
    if weight.unique().numel() == 1:
        return "the same number everywhere"
    return "drawn at random" if not torch.equal(weight, again) else "the same in every new layer"


def _warn_of_large_weights(case: Case, got: Mapping[str, Value]) -> str | None:
    """Warn of weights whose weighted sums of inputs of size 1 are far larger than 1, where there are many inputs."""
    n_in, n_out, *_ = case.arguments
    weight = tensor_from(got, "the initial weight", (2, n_out, n_in))
    spread = (n_in * weight.square().mean()).sqrt().item()
    if n_in < MANY or not spread > 3:  # nn.Linear has 0.6, weights of variance 1 / n_in have 1
        return None
    return (
        f"with {n_in} inputs of size 1 a new layer of yours gives outputs of size {spread:.0f}, with 765 genes larger "
        "ones. Training will suffer from it: divide the drawn weights by the square root of n_in."
    )


EXERCISE = Exercise(
    "2.1",
    "vae_course.exercises.e2_1.answer.Linear",
    cases=visible_cases,
    use=use,
    examine=examine,
    hidden=hidden_cases,
    properties=(explain_module,),
    warns=(_warn_of_large_weights,),
    hints=(
        "Call super().__init__() first. A tensor becomes a parameter, which an optimizer can find, when it is "
        "wrapped in nn.Parameter and stored on self.",
        "weight has shape (n_out, n_in), so that x @ weight.T works for every leading shape of x: the last axis of "
        "x meets the first of weight.T. The bias is added by broadcasting.",
    ),
    built="It is PyTorch's nn.Linear, and you know every line of it.",
    mistakes=MISTAKES,
)
