"""Exercise 3.4: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.common import near
from vae_course.exercises.e3_4.calls import use
from vae_course.exercises.e3_4.cases import hidden_cases, visible_cases
from vae_course.exercises.e3_4.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_latent_walk(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    walk, due = got["the walk"].tensor, want["the walk"].tensor
    if walk is None or walk.shape != due.shape:
        return None
    if not ((walk >= 0) & (walk <= 1)).all():
        return "these are not probabilities: the decoder gives log-odds."
    if not near(walk[[0, -1]], due[[0, -1]]):
        return "the ends are wrong: they are the two cells' posterior means, decoded in eval mode."
    if not near(walk, due):
        return "the ends are right, but between them there are no even steps on the straight line of latents."
    return "the result carries a gradient: nothing is trained here." if got["gradient"].text != "none" else None


EXERCISE = Exercise(
    "3.4",
    "vae_course.exercises.e3_4.answer.latent_walk",
    cases=visible_cases,
    use=use,
    hidden=hidden_cases,
    properties=(_explain_latent_walk,),
    shape="(n_steps, n_input), a row for every step",
    hints=(
        "Three stations: from the two cells to their posterior means, from the means to points on the line between "
        "them, from the points to probabilities.",
        "encode takes a table, so stack the two cells; it returns means and log-variances. torch.linspace gives "
        "the shares of the way: what part of each mean is in a point, and how do n_steps shares broadcast against "
        "n_latent latents? Eval mode, no gradient.",
    ),
    built="You can walk between any two cells of a latent space.",
    mistakes=MISTAKES,
)
