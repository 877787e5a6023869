"""Exercise 1.5: hints, and how results are judged."""

from vae_course.exercises.e1_5.calls import use
from vae_course.exercises.e1_5.cases import hidden_cases, visible_cases
from vae_course.exercises.e1_5.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise

EXERCISE = Exercise(
    "1.5",
    "vae_course.exercises.e1_5.answer.kl_monte_carlo",
    cases=visible_cases,
    hidden=hidden_cases,
    use=use,
    returns=("the estimate", "the standard error"),
    shape="a scalar",
    hints=(
        "KL(q, p) is the average, under q, of log q(z) - log p(z). You have draws from q: what is an average, "
        "estimated from draws?",
        "Evaluate both functions at sample_q: S differences. Return their mean, and .std() divided by the square "
        "root of S.",
    ),
    built="You can estimate a KL that nobody can write down, and say how far off you may be.",
    mistakes=MISTAKES,
)
