"""Exercise 0.1: hints, and how results are judged."""

from vae_course.exercises.e0_1.cases import hidden_cases, visible_cases
from vae_course.exercises.e0_1.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

EXERCISE = Exercise(
    "0.1",
    "vae_course.exercises.e0_1.answer.library_size",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="(cells,), one number for every cell",
    hints=(
        "A cell is a row of the matrix, and its library size is the sum of that row. What has torch.sum to be told "
        "so that it adds along rows?",
        "counts.sum(dim=...) removes the axis that you name. counts has shape (cells, genes), the result shape "
        "(cells,): which axis has to go?",
    ),
    built="Every total in this lesson is now counted by your function.",
    mistakes=MISTAKES,
)
