"""Exercise 2.2: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e2_2.cases import hidden_cases, visible_cases
from vae_course.exercises.e2_2.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_one_hot(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values = next(iter(got.values())).tensor
    if not ((values == 0) | (values == 1)).all():
        return "it should hold nothing but 0 and 1."
    sums = values.sum(dim=1)
    if not (sums == 1).all():
        return f"each row should sum to 1, yours sums to {sums[sums != 1][0].item():g}."
    return None


EXERCISE = Exercise(
    "2.2",
    "vae_course.nn.one_hot",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="(cells, n_categories)",
    properties=(_explain_one_hot,),
    hints=(
        "Make the index one-dimensional first, whatever shape it comes in. Then PyTorch has a function of the same "
        "name in torch.nn.functional; mind how it learns the number of columns, and what type it returns.",
        "index.flatten() gives (cells,). Or compare it, as a column, with torch.arange(n_categories): a table of "
        "True and False, which still has to become numbers.",
    ),
    built="Batches and labels reach every network of this course through it.",
    mistakes=MISTAKES,
)
