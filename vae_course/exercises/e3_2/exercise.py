"""Exercise 3.2: hints, and how results are judged."""

from collections.abc import Mapping
from typing import Any

import torch

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import near
from vae_course.exercises.e3_2.calls import use
from vae_course.exercises.e3_2.cases import hidden_cases, visible_cases
from vae_course.exercises.e3_2.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def examine(case: Case, got: Mapping[str, Value]) -> dict[str, Any]:
    weights, before, steps = (
        got[name].tensor if name in got else None for name in ("the trained weights", "before", "steps")
    )
    moved = weights is None or before is None or not torch.equal(weights, before)
    by_another = moved and (steps is None or not steps.any())
    kept = {name: got[name] for name in ("the trained weights", "the loss") if name in got}
    return kept | {"trained by": "another" if by_another else "optimizer"}


def _explain_train_epoch(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    loss, weights = got["the loss"], got["the trained weights"]
    if loss.tensor is None or loss.shape != ():
        return None
    if got["trained by"].text != "optimizer":
        return "the weights change, but not by a step of the optimizer that you are given: make no other one."
    if not near(weights.tensor, want["the trained weights"].tensor):
        return "the weights after the epoch are wrong: it takes one step for every minibatch, in train mode."
    if not near(loss.tensor, want["the loss"].tensor):
        return (
            f"the weights are trained right, but not the loss, {loss.tensor.item():.4g}: every cell "
            "counts once, with the loss of its minibatch before the step."
        )
    return None


def _warn_of_kept_graphs(case: Case, got: Mapping[str, Value]) -> str | None:
    if got["the graph"].text != "kept":
        return None
    return (
        "the loss that you return still holds the graphs of all minibatches. A long training would run out of memory: "
        "sum numbers, loss.item()."
    )


EXERCISE = Exercise(
    "3.2",
    "vae_course.exercises.e3_2.answer.train_epoch",
    cases=visible_cases,
    use=use,
    examine=examine,
    hidden=hidden_cases,
    properties=(_explain_train_epoch,),
    warns=(_warn_of_kept_graphs,),
    advice={
        "division by zero": "minibatches can be walked through only once: count cells as you train",
        "expected a non-empty list": "minibatches can be walked through only once: count cells as you train",
    },
    hints=(
        "For every minibatch: the loss, its gradients, one step. Remember from lesson 2 what PyTorch does with "
        "gradients that are there already, and which mode training needs.",
        "Train mode before the loop. In it four lines, as in lesson 2: the loss, empty the gradients, compute new "
        "ones, step. For the mean keep two sums, loss times cells and cells; divide them at the end.",
    ),
    built="You have written the loop that trains every model of this course.",
    mistakes=MISTAKES,
)
