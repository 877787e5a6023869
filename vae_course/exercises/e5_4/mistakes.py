"""Exercise 5.4: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_course.exercises.e5_4.answer import select_dispersion


def _dispersion_of(
    table: Callable[[Tensor, Tensor], Tensor] = lambda px_r, codes: px_r.T[codes.flatten()],
    end: Callable[[Tensor], Tensor] = torch.exp,
    plain: Callable[[Tensor], Tensor] | None = None,
    codes_of: Callable[[str, Any, Any], Any] = lambda mode, batch_index, y: batch_index if mode == "gene-batch" else y,
) -> Callable[..., Any]:
    """Dispersion with something wrong in it; the defaults are right. `plain` ends modes without codes."""

    def answer(px_r: Tensor, dispersion: str, batch_index: Tensor | None = None, y: Tensor | None = None) -> Any:
        if dispersion in ("gene-batch", "gene-label"):
            return end(table(px_r, codes_of(dispersion, batch_index, y)))
        return (plain or end)(px_r)

    return answer


def _dispersion_without_gene_cell(
    px_r: Tensor, dispersion: str, batch_index: Tensor | None = None, y: Tensor | None = None
) -> Tensor | None:
    return None if dispersion == "gene-cell" else select_dispersion(px_r, dispersion, batch_index, y)


def _indicator(codes: Tensor, n_categories: int) -> Tensor:
    return F.one_hot(codes.flatten(), n_categories).float()


MISTAKES = {
    "no-exponential": (
        _dispersion_of(end=lambda r: r * 1),
        "The exponential is missing: px_r is the logarithm of theta, and theta has to be above 0.",
    ),
    "softplus": (
        _dispersion_of(end=F.softplus),
        "A softplus also makes positive numbers, but px_r is the logarithm of theta: undo that.",
    ),
    "exponential-twice": (
        _dispersion_of(end=lambda r: torch.exp(torch.exp(r))),
        "The exponential is taken twice.",
    ),
    "inverted": (
        _dispersion_of(end=lambda r: torch.exp(-r)),
        "This is one over theta. px_r is the logarithm of theta, the inverse dispersion, itself.",
    ),
    "sigmoid": (
        _dispersion_of(end=torch.sigmoid),
        "A sigmoid keeps theta below 1. px_r is the logarithm of theta: undo that.",
    ),
    "exponential-in-two-modes-only": (
        _dispersion_of(plain=lambda r: r * 1),
        'The exponential is missing for "gene" and "gene-cell". All four modes store logarithms.',
    ),
    "exponential-missing-in-two-modes": (
        _dispersion_of(end=lambda r: r * 1, plain=torch.exp),
        'The exponential is missing for "gene-batch" and "gene-label". All four modes store logarithms.',
    ),
    "exponential-of-the-indicator": (
        _dispersion_of(
            lambda r, codes: torch.exp(_indicator(codes, r.shape[1])) @ r.T,
            end=lambda r: r * 1,
            plain=torch.exp,
        ),
        "You take the exponential of the one-hot table, so that every category adds something. Select first, "
        "then take the exponential.",
    ),
    "not-transposed": (
        _dispersion_of(lambda r, codes: _indicator(codes, r.shape[1]) @ r),
        "px_r is multiplied as it is, (genes, n_batch). Its batches have to meet those of the one-hot table: "
        "transpose it.",
    ),
    "transposed-result": (
        _dispersion_of(lambda r, codes: r[:, codes.flatten()]),
        "The result is transposed: a row for every gene. A row for every cell is needed.",
    ),
    "genes-for-categories": (
        _dispersion_of(lambda r, codes: r[codes.flatten()]),
        "The codes pick rows of px_r, which are genes. Batches and labels are its columns.",
    ),
    "extra-axis": (
        _dispersion_of(lambda r, codes: r.T[codes]),
        "Right for codes of shape (cells,), but (cells, 1) gives a result with three axes. Flatten the codes first.",
    ),
    "first-category-for-all": (
        _dispersion_of(lambda r, codes: r[:, 0]),
        "All cells get the theta of the first batch or label. Each needs that of its own.",
    ),
    "mean-over-categories": (
        _dispersion_of(lambda r, codes: r.mean(dim=1)),
        "You average over the batches or labels. Each cell needs the theta of its own.",
    ),
    "codes-ignored": (
        _dispersion_of(lambda r, codes: r),
        "The table is returned as it is, (genes, n_batch). A row for every cell is needed, with the theta of its "
        "own batch or label.",
    ),
    "width-from-the-data": (
        _dispersion_of(lambda r, codes: F.one_hot(codes.flatten()).float() @ r.T),
        "The width of the one-hot table comes from the largest code at hand, so that it does not fit when no "
        "cell has the last category. px_r tells how many there are.",
    ),
    "labels-for-batches": (
        _dispersion_of(codes_of=lambda mode, batch_index, y: y),
        '"gene-batch" goes by y, the labels. Its codes are in batch_index.',
    ),
    "batches-for-labels": (
        _dispersion_of(codes_of=lambda mode, batch_index, y: batch_index),
        '"gene-label" goes by batch_index. Its codes are in y.',
    ),
    "codes-exchanged": (
        _dispersion_of(codes_of=lambda mode, batch_index, y: y if mode == "gene-batch" else batch_index),
        'batch_index and y are swapped: "gene-batch" needs the first, "gene-label" the second.',
    ),
    "gene-cell-forgotten": (
        _dispersion_without_gene_cell,
        'Nothing is returned for "gene-cell": px_r, (cells, genes), needs its exponential there too.',
    ),
}
