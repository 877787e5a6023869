"""Exercise 1.3: hints, and how results are judged."""

from vae_course.exercises.e1_3.cases import hidden_cases, visible_cases
from vae_course.exercises.e1_3.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

EXERCISE = Exercise(
    "1.3",
    "vae_course.distributions.kl_normal",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("mean_q", "var_q", "mean_p", "var_p"),
    shape="the broadcast shape of the arguments",
    hints=(
        "Three pieces inside one factor 1/2: the log-ratio of the variances, what the squares give, and minus 1. "
        "Check the sign of the logarithm with a q much narrower than p: the KL has to be large and positive.",
        "The expectation of (z - mean_p)^2 under q is var_q + (mean_q - mean_p)^2. It is divided by the variance "
        "of the distribution whose logarithm it came from.",
    ),
    built="It is the second part of the loss, for one latent.",
    mistakes=MISTAKES,
)
