"""Exercise 5.4: hints, and how results are judged."""

from collections.abc import Mapping

import torch

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e5_4.answer import select_dispersion
from vae_course.exercises.e5_4.calls import use
from vae_course.exercises.e5_4.cases import hidden_cases, visible_cases
from vae_course.exercises.e5_4.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def _explain_dispersion(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    values, (_, mode, batch_index, y, _) = got["theta"].tensor, case.arguments
    if values.isnan().any():
        return None
    if (values <= 0).any():
        return f"theta has to be above 0, as every exponential is; yours goes down to {values.min().item():.3g}."
    codes = {"gene-batch": batch_index, "gene-label": y}.get(mode)
    if codes is not None:
        codes = codes.flatten()
        for code in codes.unique():
            rows = values[codes == code]
            if not torch.allclose(rows, rows[:1].expand_as(rows), atol=1e-4):
                kind = mode.removeprefix("gene-")
                return f"two cells of the same {kind} should have the same theta; yours differ."
    if mode == "gene" and not torch.allclose(values, values[:1].expand_as(values), atol=1e-4):
        return 'in the mode "gene" all cells share one theta for each gene; yours differ between cells.'
    return None


EXERCISE = Exercise(
    "5.4",
    "vae_course.vae.select_dispersion",
    cases=visible_cases,
    use=use,
    hidden=hidden_cases,
    gradients=("px_r",),
    returns=("theta",),
    plain=select_dispersion,
    shape="(cells, genes), or what broadcasts to it",
    properties=(_explain_dispersion,),
    hints=(
        "Two modes have a table with a column for every batch or label, and each cell needs the column of its own "
        "code, as a row. The other two modes already fit beside the counts. The exponential is common to all four.",
        "Codes in square brackets pick rows, but the batches are columns of the table, (genes, n_batch): turn it "
        "first. What else has to happen to the codes, which may be (cells, 1), so that two axes come out?",
    ),
    built="Your decoder can take all four kinds of dispersion.",
    mistakes=MISTAKES,
)
