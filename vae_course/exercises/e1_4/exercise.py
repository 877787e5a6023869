"""Exercise 1.4: hints, and how results are judged."""

from vae_course.exercises.e1_4.cases import hidden_cases, visible_cases
from vae_course.exercises.e1_4.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

EXERCISE = Exercise(
    "1.4",
    "vae_course.distributions.kl_multivariate_normal",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("mean_q", "cov_q", "mean_p", "cov_p"),
    shape="a scalar",
    hints=(
        "Four pieces inside one factor 1/2: a trace, a quadratic form in the shift of the means, minus k, and the "
        "logarithm of a ratio of determinants. Only p's covariance is inverted.",
        "torch.linalg.solve(cov_p, y) is P^-1 y, torch.trace sums a diagonal, torch.logdet is the logarithm of a "
        "determinant, a @ b of two vectors is their dot product, and k is len(mean_q).",
    ),
    built="It holds for latents that depend on each other, too.",
    mistakes=MISTAKES,
)
