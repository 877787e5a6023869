"""Exercise 2.3: hints, and how results are judged."""

from collections.abc import Mapping
from typing import Any

import torch

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import tensor_from
from vae_course.exercises.e2_3.calls import use
from vae_course.exercises.e2_3.cases import hidden_cases, visible_cases
from vae_course.exercises.e2_3.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    name = "the gradients left behind"
    return {**got, name: "still there" if tensor_from(got, name, (2,)).any() else "none"}


def _explain_gradient_step(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    start = case.arguments[0].double()
    names = ("the first parameter", "the second parameter")
    moved = torch.stack([got[name].tensor for name in names]) - start
    due = torch.stack([want[name].tensor for name in names]) - start
    if not moved.any() and case.arguments[2] == "generator":
        return "the parameters do not change: a generator can be walked only once, so make a list of it first."
    if not moved.any():
        return "the parameters do not change. Are they changed in place, and is their gradient there when you use it?"
    if got["the gradients left behind"].text != "none" and torch.allclose(moved, due, atol=1e-4):
        return "the step is right, but .grad is still there after it: PyTorch would add the next gradient to it."
    if moved[0] != 0 and moved[1] == 0:
        return "only the first parameter moves. Does the loop end too early?"
    if (moved * due < 0).all():
        return "the parameters go uphill: the loss should become smaller."
    if got["the parameters"].text != "leaves":
        return (
            "after the step the parameters are no leaf tensors any more, so that the next backward() cannot reach them."
        )
    return None


EXERCISE = Exercise(
    "2.3",
    "vae_course.exercises.e2_3.answer.gradient_step",
    cases=visible_cases,
    use=use,
    examine=examine,
    hidden=hidden_cases,
    properties=(_explain_gradient_step,),
    hints=(
        "Three things: let PyTorch fill p.grad for all parameters with one call on the loss; change every "
        "parameter in place without PyTorch recording it; leave no gradient behind.",
        "loss.backward(), then with torch.no_grad(): a single loop over params that does p -= ... and then "
        "p.grad = None.",
    ),
    built="It is what optimizer.step() does in its plainest form.",
    mistakes=MISTAKES,
)
