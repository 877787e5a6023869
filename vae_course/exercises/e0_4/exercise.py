"""Exercise 0.4: hints, and how results are judged."""

from vae_course.exercises.e0_3.exercise import explain_origin
from vae_course.exercises.e0_4.cases import hidden_cases, visible_cases
from vae_course.exercises.e0_4.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

EXERCISE = Exercise(
    "0.4",
    "vae_course.exercises.e0_4.answer.pca_decode",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="(cells, genes)",
    properties=(explain_origin,),
    hints=(
        "Undo the encoder backwards: a cell is the mean, plus its first coordinate times the first component, plus "
        "its second coordinate times the second, and so on.",
        "That sum is a matrix product, (cells, latent) @ (latent, genes); components has just this shape. Then the "
        "mean comes back.",
    ),
    built="Encoder and decoder stand, made of straight lines.",
    mistakes=MISTAKES,
)
