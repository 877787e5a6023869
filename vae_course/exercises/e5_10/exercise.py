"""Exercise 5.10: hints, and how results are judged."""

from collections.abc import Mapping

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e5_10.answer import posterior_fdr
from vae_course.exercises.e5_10.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_10.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_fdr(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    value, due = next(iter(got.values())), next(iter(want.values()))
    if value.tensor is None or value.shape != due.shape or not value.tensor.isfinite().all():
        return None
    prob_de, fdr = case.arguments[0].double(), value.tensor
    if (fdr < -1e-6).any() or (fdr > 1 + 1e-6).any():
        return f"a share lies between 0 and 1; yours has {fdr[(fdr < -1e-6) | (fdr > 1 + 1e-6)][0]:.4g}."
    best = prob_de == prob_de.max()
    if ((fdr - (1 - prob_de)).abs() > 1e-4)[best].any():
        return (
            f"the most probable gene has {prob_de.max():.4g}, so that a list of it alone is false with "
            f"{1 - prob_de.max():.4g}; yours is {fdr[best][0]:.4g}."
        )
    if ((fdr - due.tensor).abs() > 1e-4)[prob_de == prob_de.min()].any():
        return (
            f"with the least probable gene all genes are called, and 1 - prob_de has the mean "
            f"{(1 - prob_de).mean():.4g} over them; yours is {fdr[prob_de == prob_de.min()][0]:.4g}."
        )
    return None


EXERCISE = Exercise(
    "5.10",
    "vae_course.metrics.posterior_fdr",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="one share for every gene, (genes,)",
    properties=(_explain_fdr,),
    plain=posterior_fdr,
    hints=(
        "Take one gene and ask which genes are called with it: those that are at least as probable. How probable is it "
        "that each of these is a mistake, and what is the mean of that?",
        "Gene by gene, a comparison gives a mask of the called ones, and you average what they have left to 1. Or "
        "sort, take a running mean, and go back to the old order; then mind the genes that are equally probable.",
    ),
    built="It turns probabilities, a gene each, into a promise about a whole list.",
    mistakes=MISTAKES,
)
