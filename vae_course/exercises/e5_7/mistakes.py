"""Exercise 5.7: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _neighbours(latent: Tensor, n_neighbors: int, norm: float = 2.0) -> Tensor:
    """Nearest other cells, (cells, n_neighbors), by differences."""
    distances = (latent.unsqueeze(1) - latent).norm(p=norm, dim=-1)
    distances.fill_diagonal_(torch.inf)
    return distances.argsort(dim=1, stable=True)[:, :n_neighbors]


def _all_ordered(latent: Tensor) -> Tensor:
    """All cells in the order of their distance, each cell itself among them, (cells, cells)."""
    return (latent.unsqueeze(1) - latent).norm(dim=-1).argsort(dim=1, stable=True)


def _but_doubles(latent: Tensor, n_neighbors: int) -> Tensor:
    distances = (latent.unsqueeze(1) - latent).norm(dim=-1)
    return distances.masked_fill(distances == 0, torch.inf).argsort(dim=1, stable=True)[:, :n_neighbors]


def _shares(neighbours: Tensor, batch_index: Tensor) -> Tensor:
    """Shares of the batches among the neighbours, (cells, batches)."""
    return nn.functional.one_hot(batch_index.flatten())[neighbours].double().mean(dim=1)


def _entropies(shares: Tensor) -> Tensor:
    return -torch.xlogy(shares, shares).sum(dim=-1)


def _mixing(
    neighbours: Callable[[Tensor, int], Tensor] = _neighbours,
    score: Callable[[Tensor], Tensor] = lambda shares: _entropies(shares).mean(),
) -> Callable[..., Tensor]:
    """Make an answer to 5.7 of a choice of neighbours and a score of the shares."""

    def answer(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
        return score(_shares(neighbours(latent, n_neighbors), batch_index))

    return answer


def _farthest_and_self(latent: Tensor, n_neighbors: int) -> Tensor:
    distances = (latent.unsqueeze(1) - latent).norm(dim=-1).fill_diagonal_(torch.inf)
    return distances.argsort(dim=1, descending=True, stable=True)[:, :n_neighbors]


def _codes_in_a_column(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    shares = F.one_hot(batch_index[_neighbours(latent, n_neighbors)]).double().mean(dim=1)
    return -torch.xlogy(shares, shares).sum(dim=1).mean()


def _codes_averaged(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    p = batch_index.flatten()[_neighbours(latent, n_neighbors)].double().mean(dim=1)
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).mean()


def _mixing_by_batch(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    entropies = _entropies(_shares(_neighbours(latent, n_neighbors), batch_index))
    return torch.stack([entropies[batch_index.flatten() == batch].mean() for batch in batch_index.unique()]).mean()


def _own_batch_entropy(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    same = batch_index.flatten()[_neighbours(latent, n_neighbors)] == batch_index.reshape(-1, 1)
    p = same.double().mean(dim=1)
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)).mean()


MISTAKES = {
    "self-among-the-neighbours": (
        _mixing(lambda z, k: _all_ordered(z)[:, :k]),
        "Every cell counts as its own nearest neighbour, so that batches look less mixed than they are. Leave it out.",
    ),
    "self-and-the-neighbours": (
        _mixing(lambda z, k: _all_ordered(z)[:, : k + 1]),
        "Every cell is counted besides its neighbours, so that there are n_neighbors + 1. Leave it out.",
    ),
    "one-neighbour-short": (
        _mixing(lambda z, k: _all_ordered(z)[:, 1:k]),
        "You leave the cell itself out, but of the n_neighbors nearest: one neighbour too few is left.",
    ),
    "nearest-left-out": (
        _mixing(lambda z, k: _all_ordered(z)[:, 1 : k + 1]),
        "Right as long as all cells are at different places: you leave out the nearest one and trust that it "
        "is the cell itself. A double of it may come first, so leave it out by its position in the table.",
    ),
    "doubles-left-out": (
        _mixing(_but_doubles),
        "Right as long as all cells are at different places: you leave out everything at distance 0, and with "
        "the cell itself go its doubles. Leave it out by its position in the table.",
    ),
    "base-two": (
        _mixing(score=lambda shares: _entropies(shares).mean() / math.log(2)),
        "This is in bits, from a logarithm of base 2. Nats are needed, from the natural one.",
    ),
    "base-ten": (
        _mixing(score=lambda shares: _entropies(shares).mean() / math.log(10)),
        "The logarithm has base 10. Nats are needed, from the natural one.",
    ),
    "all-cells": (
        lambda z, b, k=50: _entropies(nn.functional.one_hot(b.flatten()).double().mean(dim=0)),
        "These are the shares of the batches among all cells, wherever they lie. Take those among each cell's "
        "neighbours.",
    ),
    "entropy-of-the-mean": (
        _mixing(score=lambda shares: _entropies(shares.mean(dim=0))),
        "You averaged the shares over the cells and took one entropy. Take an entropy for every cell first: "
        "cells with a neighbourhood of a single batch each should give 0.",
    ),
    "zero-times-infinity": (
        _mixing(score=lambda shares: -(shares * torch.log(shares)).sum(dim=-1).mean()),
        "Where a batch is missing among the neighbours you compute 0 * log(0), which is nan. Its part of the "
        "entropy is 0.",
    ),
    "manhattan": (
        _mixing(lambda z, k: _neighbours(z, k, norm=1)),
        "You add up absolute differences. The Euclidean distance is the root of the sum of their squares.",
    ),
    "largest-difference": (
        _mixing(lambda z, k: _neighbours(z, k, norm=math.inf)),
        "You take the largest difference over the latents. The Euclidean distance uses all of them.",
    ),
    "dot-products": (
        _mixing(lambda z, k: (z @ z.T).fill_diagonal_(-torch.inf).argsort(dim=1, descending=True, stable=True)[:, :k]),
        "Your neighbours have the largest dot products. Take those with the smallest Euclidean distances.",
    ),
    "first-latent-only": (
        _mixing(lambda z, k: _neighbours(z[:, :1], k)),
        "Only the first latent enters the distances. All of them do.",
    ),
    "codes-in-a-column": (
        _codes_in_a_column,
        "Right for codes of shape (cells,), but not for (cells, 1), where the axis of length 1 takes the place "
        "of another. Flatten them first.",
    ),
    "farthest-and-self": (
        _mixing(_farthest_and_self),
        "You take the largest distances: the farthest cells and, with infinity on the diagonal, the cell "
        "itself. Neighbours are the nearest.",
    ),
    "farthest": (
        _mixing(lambda z, k: (z.unsqueeze(1) - z).norm(dim=-1).argsort(dim=1, descending=True, stable=True)[:, :k]),
        "You take the farthest cells. Neighbours are the nearest.",
    ),
    "two-batches-only": (
        _mixing(
            score=lambda shares: (
                -(torch.xlogy(shares[:, 0], shares[:, 0]) + torch.xlogy(1 - shares[:, 0], 1 - shares[:, 0])).mean()
            )
        ),
        "Right for two batches, wrong for more: you compare batch 0 with all the others. Every batch has a "
        "share of its own.",
    ),
    "own-batch-or-not": (
        _own_batch_entropy,
        "Right for two batches, wrong for more: you compare a cell's own batch with all the others. Every "
        "batch has a share of its own.",
    ),
    "codes-averaged": (
        _codes_averaged,
        "Right for batches 0 and 1, wrong for more: you averaged the codes as if they were shares. Count how "
        "often each batch occurs.",
    ),
    "summed": (
        _mixing(score=lambda shares: _entropies(shares).sum()),
        "You summed over the cells. Their mean is needed.",
    ),
    "not-averaged": (
        _mixing(score=_entropies),
        "You return one entropy for every cell. Their mean is needed.",
    ),
    "median": (
        _mixing(score=lambda shares: _entropies(shares).quantile(0.5)),
        "You return the median over the cells. Their mean is needed.",
    ),
    "mean-over-batches": (
        _mixing(score=lambda shares: -torch.xlogy(shares, shares).mean()),
        "You averaged over the batches. An entropy is a sum over them; the mean is over cells.",
    ),
    "mean-within-batches": (
        _mixing_by_batch,
        "You averaged within each batch first, so that cells of small batches weigh more. All cells weigh the same.",
    ),
    "sign": (
        _mixing(score=lambda shares: -_entropies(shares).mean()),
        "The sign is wrong: logarithms of shares are negative, and an entropy is minus their mean.",
    ),
    "share-of-the-most": (
        _mixing(score=lambda shares: _entropies(shares).mean() / math.log(shares.shape[1])),
        "You divide by the largest entropy there can be. The entropy itself is needed, in nats.",
    ),
    "always-fifty": (
        lambda z, b, k=50: _entropies(_shares((torch.cdist(z, z)).topk(50, largest=False).indices, b)).mean(),
        "n_neighbors is not used: it is always 50. That is only its default.",
    ),
}
