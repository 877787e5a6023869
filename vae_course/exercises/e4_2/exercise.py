"""Exercise 4.2: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e4_2.cases import hidden_cases, visible_cases
from vae_course.exercises.e4_2.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_kl(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, due = next(iter(got.values())).tensor, next(iter(want.values())).tensor
    if not due.any() and values.isfinite().all():
        return f"there the KL should be 0, yours is {values.flatten()[0].item():.3g}."
    if (values < -1e-3).any():
        return f"a KL is never negative, yours is {values.min().item():.3g} somewhere."
    return None


EXERCISE = Exercise(
    "4.2",
    "vae_course.distributions.kl_standard_normal",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("mean", "logvar"),
    shape="the shape of mean without its last axis",
    properties=(_explain_kl,),
    hints=(
        "Latents are independent, so their KLs add up. For one of them take the KL between two Gaussians of "
        "lesson 1 and set the second to mean 0 and variance 1: what is left of the quotients and the logarithm?",
        "Four terms share the factor 1/2, as in lesson 1, and none of them is a quotient any longer. Test yours: "
        "for mean 0 and log-variance 0 they add up to 0, for every latent. The sum over dim=-1 comes last.",
    ),
    built="It is the price of every latent in the loss.",
    mistakes=MISTAKES,
)
