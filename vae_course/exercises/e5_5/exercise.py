"""Exercise 5.5: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e5_5.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_5.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_scvi_kl(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Say which of the two is wrong, and whether a KL can be so at all."""
    for name, what in (("the local KL", "q(l|x) and its prior"), ("the global KL", "q(z|x) and N(0, I)")):
        if name not in got or got[name].tensor is None or got[name].shape != want[name].shape:
            return None
        values, due = got[name].tensor, want[name].tensor
        if values.isnan().any():
            return f"{name} is nan for some cells: kl_normal takes variances, not log-variances, which may be negative."
        if (values < -1e-3).any():
            return f"{name} is negative for some cells, but no KL divergence can be: it compares {what}."
        if (due.abs() < 1e-6).all() and (values.abs() > 1e-3).any():
            return f"{name} should be 0 where the posterior equals the prior; yours is {values.max().item():.4g}."
    return None


EXERCISE = Exercise(
    "5.5",
    "vae_course.distributions.scvi_kl",
    cases=visible_cases,
    hidden=hidden_cases,
    gradients=("qz_m", "qz_v", "ql_m", "ql_v", "library_mean", "library_var"),
    returns=("the local KL", "the global KL"),
    shape="(cells,), one number for every cell",
    properties=(_explain_scvi_kl,),
    hints=(
        "You have written both before: kl_normal takes two variances, kl_standard_normal a log-variance. Which of "
        "them does each latent need, and which axis has to go?",
        "The library l has a prior of its own for every cell and a last axis of length 1, which a sum removes. z "
        "has the prior N(0, I), and torch.log turns a variance into a log-variance.",
    ),
    built="Both KLs of scVI's loss are in place, the library's and that of z.",
    mistakes=MISTAKES,
)
