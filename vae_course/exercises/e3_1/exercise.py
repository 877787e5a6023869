"""Exercise 3.1: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import near
from vae_course.exercises.e3_1.cases import hidden_cases, visible_cases
from vae_course.exercises.e3_1.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_total(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    if got.keys() < {"total", "bce", "kl"} or any(got[name].tensor is None for name in want):
        return None
    parts = {name: near(got[name].tensor, want[name].tensor) for name in want}
    names = [next((name for name in want if near(got[place].tensor, want[name].tensor)), "") for place in want]
    if sorted(names) == sorted(want) and not all(parts.values()):
        return f"you return them in the order {', '.join(names)}. The order is total, bce, kl."
    if parts["bce"] and parts["kl"] and not parts["total"]:
        return "bce and kl are right, but the total is not their sum."
    if parts["kl"] and not parts["bce"]:
        return "kl is right, but bce is not: is it summed over genes and averaged over cells?"
    if parts["bce"] and not parts["kl"]:
        return "bce is right, but kl is not: is it summed over latents and averaged over cells?"
    if not any(parts.values()) and not near(-got["total"].tensor, want["total"].tensor):
        return "neither bce nor kl is right: is each of them summed over genes or latents, and averaged over cells?"
    return None


EXERCISE = Exercise(
    "3.1",
    "vae_course.binary_vae.binary_vae_loss",
    cases=visible_cases,
    hidden=hidden_cases,
    returns=("total", "bce", "kl"),
    gradients=("logits", "mean", "logvar"),
    properties=(_explain_total,),
    hints=(
        "You have both parts already: bernoulli_log_prob from lesson 1 for the outcomes, and the KL of a Gaussian "
        "to the standard normal. Mind over what each is summed, and over what it is averaged.",
        "Bring both parts to one number for every cell first, and average those at the end. What shapes do "
        "bernoulli_log_prob and kl_standard_normal return, that is, which of them still has to be summed over its "
        "last axis? And which of them grows as the model gets better, and so needs another sign?",
    ),
    built="It is the loss of your first variational autoencoder.",
    mistakes=MISTAKES,
)
