"""Exercise 4.3: hints, and how results are judged."""

from vae_course.exercises.e4_3.cases import hidden_cases, visible_cases
from vae_course.exercises.e4_3.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

EXERCISE = Exercise(
    "4.3",
    "vae_course.distributions.elbo",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("log_likelihood", "log_prior", "log_q"),
    shape="(cells,), one number for every cell",
    hints=(
        "The ELBO is an expectation under q, and the draws are from q: average over them. What is averaged is the "
        "log of the joint minus the log of q.",
        "The log of the joint is log-likelihood plus log-prior. The draws are the first axis: .mean(dim=0).",
    ),
    built="It is the number that lesson 3 trained on.",
    mistakes=MISTAKES,
)
