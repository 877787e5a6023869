"""Exercise 1.2: hints, and how results are judged."""

from vae_course.exercises.e1_2.cases import hidden_cases, visible_cases
from vae_course.exercises.e1_2.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

EXERCISE = Exercise(
    "1.2",
    "vae_course.distributions.normal_log_prob",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("mean", "var"),
    shape="the broadcast shape of x, mean and var",
    hints=(
        "Take the logarithm of the density by hand first: products become sums, the exponential vanishes, and the "
        "square root turns into a factor 1/2.",
        "Three terms share the factor -1/2: log(2 pi), log(var), and the squared distance over the variance. "
        "math.log(2 * math.pi) is a Python number.",
    ),
    built="It is the prior of every latent, and the q of every encoder.",
    mistakes=MISTAKES,
)
