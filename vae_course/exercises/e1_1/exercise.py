"""Exercise 1.1: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e1_1.cases import hidden_cases, visible_cases
from vae_course.exercises.e1_1.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_large_logits(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Tell answers that fail where the sigmoid rounds to 0 or 1."""
    if float(case.arguments[1].abs().max()) < 20:
        return None
    return (
        "there the probability rounds to 0 or 1, and neither a clamp nor a small number inside the logarithm gives the "
        "right value. Do not go through the probability: use softplus."
    )


EXERCISE = Exercise(
    "1.1",
    "vae_course.distributions.bernoulli_log_prob",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("logits",),
    tolerance=1e-5,
    shape="the broadcast shape of x and logits",
    properties=(_explain_large_logits,),
    hints=(
        "Write log p(1) and log p(0) in terms of the logit a first: with p = 1 / (1 + exp(-a)) both are minus a "
        "softplus. Then let x, which is 0 or 1, choose between them.",
        "F.softplus(a) is log(1 + exp(a)) and never overflows. log p(0) = -softplus(a), and log p(1) is larger by "
        "exactly a.",
    ),
    built="It is the likelihood of a gene that is detected or not, and the reconstruction of lesson 3.",
    mistakes=MISTAKES,
)
