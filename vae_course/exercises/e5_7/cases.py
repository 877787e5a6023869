"""Exercise 5.7: the visible cases, and the hidden ones that grading adds."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def _draw_cells(n_cells: int, n_latent: int, seed: int, shares: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Draw latents and batches."""
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(n_cells, n_latent, generator=generator)
    return latent, torch.multinomial(torch.tensor(shares), n_cells, replacement=True, generator=generator)


def visible_cases() -> list[Case]:
    draw = _draw_cells  # with these seeds no cell has two candidates for its last neighbour at one distance
    z, column = draw(15, 2, 142, (0.4, 0.3, 0.3))
    places, first = draw(16, 2, 42, (0.4, 0.3, 0.3))
    twins = torch.cat([first, (first + 1 + torch.arange(16) % 2) % 3])
    shift = 20.0 * (torch.arange(12) % 2).unsqueeze(-1)
    return [
        Case("two batches", (*draw(12, 2, 15, (0.6, 0.4)), 4)),
        Case("three batches of unequal size", (*draw(20, 3, 100, (0.6, 0.25, 0.15)), 6)),
        Case("codes of shape (cells, 1)", (z, column.unsqueeze(-1), 5)),
        Case("a batch that no cell has", (*draw(18, 2, 82, (0.4, 0.0, 0.3, 0.3)), 5)),
        Case("batches that lie apart", (draw(12, 2, 15, (0.6, 0.4))[0] + shift, torch.arange(12) % 2, 3)),
        Case("as many latents as cells", (*draw(6, 6, 48, (0.5, 0.5)), 3)),
        Case("a single latent", (*draw(14, 1, 81, (0.5, 0.5)), 4)),
        Case("a single neighbour", (*draw(10, 2, 168, (0.5, 0.5)), 1)),
        Case("all other cells as neighbours", (*draw(12, 2, 15, (0.5, 0.3, 0.2)), 11)),
        Case("70 cells and n_neighbors not given", draw(70, 4, 178, (0.7, 0.2, 0.1))),
        Case("cells that have a double in another batch", (torch.cat([places, places]), twins, 7)),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)

    def case(label: str, shares: Sequence[float], column: bool = False) -> Case:
        n_cells, n_latent, n_neighbors = (draw_integer(*ends, generator) for ends in ((16, 24), (1, 4), (2, 7)))
        while True:
            latent, batch_index = _draw_cells(n_cells, n_latent, draw_integer(1000, 10**9, generator), shares)
            distances = torch.cdist(latent, latent).sort(dim=1).values
            if (distances.diff()[:, n_neighbors] > 1e-3).all():  # one candidate for every last neighbour
                return Case(label, (latent, batch_index.unsqueeze(-1) if column else batch_index, n_neighbors))

    return [
        case("two other batches", (0.6, 0.4)),
        case("four batches of unequal size", (0.4, 0.3, 0.2, 0.1)),
        case("other codes of shape (cells, 1)", (0.4, 0.3, 0.3), column=True),
    ]
