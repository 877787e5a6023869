"""Exercise 5.7: hints, and how results are judged."""

import math
from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e5_7.answer import entropy_batch_mixing
from vae_course.exercises.e5_7.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_7.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

COLUMN_MEETS_ROW = ("doesn't match the broadcast shape", "only supports 1-d")


def _explain_mixing(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    value, due = (next(iter(values.values())).tensor for values in (got, want))
    if value is None or value.numel() != 1 or not value.isfinite():
        return None
    _, batch_index, *_ = case.arguments
    if (value - due).abs() > 1e-4 and batch_index.dim() == 2:
        return "flatten them first, so that they are like codes of shape (cells,)."
    largest = math.log(len(batch_index.unique()))
    if value < -1e-4:
        return f"an entropy is never negative; yours is {value.item():.4g}."
    if value > largest + 1e-4:
        return (
            f"the entropy of {len(batch_index.unique())} batches is at most {largest:.4g} nats; yours is "
            f"{value.item():.4g}."
        )
    if (value - due).abs() > 1e-4 and len(case.arguments) == 2:
        return "where n_neighbors is not given it should be 50, and no more or fewer cells should count."
    if (value - due).abs() > 1e-4 and "double" in case.label:
        return (
            "another cell may lie at exactly the same place, at distance 0, and is a neighbour like any other. Leave "
            "out the cell itself by its position in the table, not by its distance or its rank."
        )
    return None


EXERCISE = Exercise(
    "5.7",
    "vae_course.metrics.entropy_batch_mixing",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="one score for all cells",
    properties=(_explain_mixing,),
    advice=dict.fromkeys(COLUMN_MEETS_ROW, "flatten the codes first, which may have shape (cells, 1)"),
    plain=entropy_batch_mixing,
    hints=(
        "First the neighbours: a table of all distances, in which no cell may choose itself. Then, for every cell, "
        "the share of each batch among its neighbours, an entropy from the shares, and the mean over cells.",
        "torch.cdist gives all distances, topk(..., largest=False) the smallest of every row: what has to stand on "
        "the diagonal before? Look up the neighbours' batches, (cells, n_neighbors), by their positions. "
        "torch.xlogy knows what p log p is for p = 0.",
    ),
    built="It measures whether two laboratories have become one.",
    mistakes=MISTAKES,
)
