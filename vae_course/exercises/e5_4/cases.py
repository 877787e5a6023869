"""Exercise 5.4: the visible cases, and the hidden ones that grading adds."""

import torch
from torch import Tensor

from vae_course.exercises.attempt import Case
from vae_course.exercises.common import draw_integer


def visible_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    batch, y = torch.tensor([1, 0, 1, 1, 0]), torch.tensor([0, 3, 2, 1, 3])

    def px_r(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return [
        Case('the mode "gene"', (px_r(3), "gene", None, None, (5, 3))),
        Case('the mode "gene-batch"', (px_r(3, 2), "gene-batch", batch, None, (5, 3))),
        Case('the mode "gene-label"', (px_r(3, 4), "gene-label", None, y, (5, 3))),
        Case('the mode "gene-cell"', (px_r(5, 3), "gene-cell", None, None, (5, 3))),
        Case("batches in a column, (cells, 1)", (px_r(3, 2), "gene-batch", batch[:, None], None, (5, 3))),
        Case("labels in a column, (cells, 1)", (px_r(3, 4), "gene-label", None, y[:, None], (5, 3))),
        Case("batches where labels are given too", (px_r(3, 4), "gene-batch", 3 - y, y, (5, 3))),
        Case("labels where batches are given too", (px_r(3, 4), "gene-label", batch, y[:, None], (5, 3))),
        Case("a last batch that no cell is from", (px_r(3, 3), "gene-batch", batch, y, (5, 3))),
        Case("a last label that no cell has", (px_r(4, 6), "gene-label", batch, y, (5, 4))),
        Case("as many cells as genes and batches", (px_r(3, 3), "gene-batch", torch.tensor([2, 0, 2]), None, (3, 3))),
        Case("a single cell", (px_r(3, 2), "gene-batch", torch.tensor([[1]]), torch.tensor([0]), (1, 3))),
        Case("a single batch", (px_r(3, 1), "gene-batch", 0 * batch, y, (5, 3))),
        Case('the mode "gene" with codes', (px_r(5), "gene", batch, y, (5, 5))),
        Case('the mode "gene-cell" with codes', (px_r(5, 5), "gene-cell", batch[:, None], y[:, None], (5, 5))),
    ]


def hidden_cases(seed: int) -> list[Case]:
    generator = torch.Generator().manual_seed(seed)
    n_cells, n_genes, n_batch, n_labels = (draw_integer(2, 7, generator) for _ in range(4))
    batch, y = (torch.randint(n, (n_cells,), generator=generator) for n in (n_batch, n_labels))

    def case(label: str, mode: str, *shape: int, batch: Tensor | None = batch, y: Tensor | None = y) -> Case:
        return Case(label, (torch.randn(shape, generator=generator), mode, batch, y, (n_cells, n_genes)))

    return [
        case("other batches and labels", "gene-batch", n_genes, n_batch),
        case("other labels in a column", "gene-label", n_genes, n_labels, batch=None, y=y[:, None]),
        case("other genes", "gene", n_genes),
        case("other cells", "gene-cell", n_cells, n_genes, batch=None, y=None),
    ]
