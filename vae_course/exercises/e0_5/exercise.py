"""Exercise 0.5: hints, and how results are judged."""

from vae_course.exercises.e0_5.cases import hidden_cases, visible_cases
from vae_course.exercises.e0_5.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

EXERCISE = Exercise(
    "0.5",
    "vae_course.exercises.e0_5.answer.reconstruction_error",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="the error of an average cell",
    hints=(
        "Three steps: the squared differences, (cells, genes); one sum per cell; the mean of these sums.",
        "The sum runs over one axis, the mean over what is left. Which axis are the genes?",
    ),
    built="From here on it tells how much a latent space loses.",
    mistakes=MISTAKES,
)
