"""Exercise 0.3: hints, and how results are judged."""

from collections.abc import Mapping

import torch

from vae_course.exercises.attempt import Case, Value
from vae_course.exercises.e0_3.cases import hidden_cases, visible_cases
from vae_course.exercises.e0_3.mistakes import MISTAKES
from vae_course.exercises.engine import Exercise


def explain_origin(case: Case, got: Mapping[str, Value], want: Mapping[str, Value]) -> str | None:
    """Find an error that is the same for all cells."""
    difference = next(iter(got.values())).tensor - next(iter(want.values())).tensor
    if len(difference) > 1 and not torch.allclose(difference[0], torch.zeros(()).double(), atol=1e-4):
        shared = torch.allclose(difference, difference[:1].expand_as(difference), atol=1e-4)
        return (
            "all cells are shifted by one and the same vector: is `mean` used, and with its right sign?"
            if shared
            else None
        )
    return None


EXERCISE = Exercise(
    "0.3",
    "vae_course.exercises.e0_3.answer.pca_encode",
    cases=visible_cases,
    hidden=hidden_cases,
    shape="(cells, latent)",
    properties=(explain_origin,),
    hints=(
        "First move the origin: subtract `mean` from every cell. A coordinate is then the dot product of the cell "
        "with a component, for all cells and components at once a matrix product.",
        "Shapes decide: (cells, genes) @ (genes, latent) gives (cells, latent), but components is (latent, genes). "
        ".T transposes.",
    ),
    built="You have an encoder: a few numbers for a whole cell.",
    mistakes=MISTAKES,
)
