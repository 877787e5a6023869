"""Exercise 5.10: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable

import torch
from torch import Tensor


def _each(of_called: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Make an answer to 5.10 of what is done for one gene, given all probabilities and its own."""

    def answer(prob_de: Tensor) -> Tensor:
        prob_de = prob_de.double()
        return torch.stack([of_called(prob_de, p) for p in prob_de])

    return answer


def _running(prob_de: Tensor, back: bool = True, n: int = 0, descending: bool = True) -> Tensor:
    """Take running means in the order of a sort, in which ties are parted."""
    probable, order = prob_de.double().sort(descending=descending, stable=True)
    means = (1 - probable).cumsum(0) / torch.arange(1 + n, len(order) + 1 + n)
    if not back:
        return means
    return torch.empty_like(means).scatter(0, order, means)


def _by_position(prob_de: Tensor) -> Tensor:
    """Look up running means with the order in place of the ranks."""
    return _running(prob_de, back=False)[prob_de.argsort(descending=True, stable=True)]


def _benjamini_hochberg(prob_de: Tensor) -> Tensor:
    """Treat 1 - p as p-values."""
    p_values, order = (1 - prob_de.double()).sort(stable=True)
    adjusted = p_values * len(order) / torch.arange(1, len(order) + 1)
    smallest = adjusted.flip(0).cummin(0).values.flip(0).clamp(max=1)
    return torch.empty_like(smallest).scatter(0, order, smallest)


MISTAKES = {
    "own-error-only": (
        lambda p: 1 - p.double(),
        "This is the probability that the gene itself is a mistake. The list holds all genes that are at least as "
        "probable: average over these.",
    ),
    "in-sorted-order": (
        lambda p: _running(p, back=False),
        "The shares come in the order of the sorted genes. Bring them back to the order in which the genes came.",
    ),
    "order-for-ranks": (
        _by_position,
        "The way back is wrong: argsort says which gene stands at each rank, and needed is the rank of each gene. "
        "That is the argsort of the argsort.",
    ),
    "ties-parted": (
        _running,
        "Right as long as all probabilities differ, but genes that are equally probable are called together, and so "
        "have the same share. A running mean gives the first of them a smaller one.",
    ),
    "ties-left-out": (
        _each(lambda all_p, p: (1 - torch.cat([all_p[all_p > p], p[None]])).mean()),
        "Genes that are as probable as this one are left out. At least as probable means >=.",
    ),
    "strictly-above": (
        _each(lambda all_p, p: (1 - all_p[all_p > p]).mean()),
        "You average over the genes that are more probable than this one, and leave out the gene itself, so that the "
        "most probable one has nobody. At least as probable means >=.",
    ),
    "least-probable-first": (
        _each(lambda all_p, p: (1 - all_p[all_p <= p]).mean()),
        "You start at the wrong end: the list of a gene holds those at least as probable, not those at most.",
    ),
    "share-of-right-ones": (
        _each(lambda all_p, p: all_p[all_p >= p].mean()),
        "This is the expected share of right genes. That of false ones is needed, 1 minus it.",
    ),
    "number-of-false-ones": (
        _each(lambda all_p, p: (1 - all_p[all_p >= p]).sum()),
        "This is the expected number of false genes. Divide it by the number of genes in the list.",
    ),
    "divided-by-all-genes": (
        _each(lambda all_p, p: (1 - all_p[all_p >= p]).sum() / len(all_p)),
        "The number of false genes is divided by the number of all genes. Divide it by those in the list.",
    ),
    "one-more-in-the-list": (
        lambda p: _running(p, n=1),
        "The list is counted one gene too long: the first gene's list has one gene.",
    ),
    "benjamini-hochberg": (
        _benjamini_hochberg,
        "This is the adjustment of Benjamini and Hochberg, with 1 - prob_de for p-values. These are probabilities of "
        "being wrong already, so that their mean over the list is all it takes.",
    ),
    "family-wise": (
        _each(lambda all_p, p: 1 - all_p[all_p >= p].prod()),
        "This is the probability that at least one gene of the list is false, if they are independent. The expected "
        "share of false ones is needed, a mean.",
    ),
    "one-for-all": (
        lambda p: (1 - p.double()).mean().expand_as(p).clone(),
        "You average over all genes, as if every list held all of them. The list of a gene holds those at least as "
        "probable.",
    ),
    "a-single-number": (
        lambda p: (1 - p.double()).mean(),
        "You return one number, for the list of all genes. Every gene has a list, and a share of its own.",
    ),
}
