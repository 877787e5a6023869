"""Exercise 4.6: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e4_6.cases import hidden_cases, visible_cases
from vae_course.exercises.e4_6.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_the_sum(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Say that the two have to add up, where they do not."""
    parts = [got.get(name) for name in ("the ELBO", "the gap")]
    if any(part is None or part.tensor is None or part.shape != want["the ELBO"].shape for part in parts):
        return None
    total, log_px = sum(part.tensor for part in parts), case.arguments[2]
    wrong = ~((total - log_px).abs() <= 1e-3 * log_px.abs().clamp(min=1))
    if not wrong.any():
        return None
    return (
        f"ELBO and gap should add up to log p(x) in every cell; in one yours make {total[wrong][0].item():.4g}, and "
        f"log p(x) is {log_px[wrong][0].item():.4g}."
    )


EXERCISE = Exercise(
    "4.6",
    "vae_course.distributions.elbo_and_gap",
    cases=visible_cases,
    hidden=hidden_cases,
    returns=("the ELBO", "the gap"),
    shape="(cells,), one number for every cell",
    properties=(_explain_the_sum,),
    hints=(
        "Both are expectations under q, and the draws are from q: average over the first axis. The posterior in the "
        "second is unknown; Bayes' rule writes it with what is given.",
        "The ELBO averages log_joint minus log_q. In the KL, log p(z|x) is log_joint minus log_px, and log_px is the "
        "same for every draw.",
    ),
    built="You can say where the nats between a bound and log p(x) go.",
    mistakes=MISTAKES,
)
