"""Exercise 5.6: known misconceptions, each with a wrong answer that shows it and a message that names it."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vae_course.exercises.e5_6.answer import corrupt


def _shuffled(n: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=generator)


def _hiding(
    choose: Callable[[Tensor, float, int, torch.Generator], Tensor], among_all: bool = False
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make an answer to 5.6 of a choice among the non-zero entries (or all): entries, rate, non-zeros, generator."""

    def answer(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        flat = counts.flatten()
        nonzero = torch.nonzero(flat).flatten()
        chosen = choose(flat, rate, len(nonzero), generator)
        mask = torch.zeros(len(flat), dtype=torch.bool)
        mask[chosen if among_all else nonzero[chosen]] = True
        mask = mask.reshape(counts.shape)
        return counts.masked_fill(mask, 0), mask

    return answer


def _by_mask(
    draw: Callable[[Tensor, float, torch.Generator], Tensor],
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make an answer to 5.6 of a random mask."""

    def answer(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        mask = draw(counts, rate, generator)
        return counts.masked_fill(mask, 0), mask

    return answer


def _with_mask(make: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make an answer to 5.6 that hides the right entries and returns another mask: of counts, corrupted and mask."""

    def answer(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        corrupted, mask = corrupt(counts, rate, generator)
        return corrupted, make(counts, corrupted, mask)

    return answer


def _in_place(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    _, mask = corrupt(counts, rate, generator)
    counts[mask] = 0
    return counts, mask


def _cell_by_cell(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    pairs = [corrupt(row, rate, generator) for row in (counts if counts.dim() > 1 else counts.unsqueeze(-1))]
    return tuple(torch.stack(parts).reshape(counts.shape) for parts in zip(*pairs, strict=True))


def _whole_cells(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    mask = torch.zeros(counts.shape, dtype=torch.bool)
    mask[_shuffled(len(counts), generator)[: int(rate * len(counts))]] = True
    mask &= counts != 0
    return counts.masked_fill(mask, 0), mask


def _seeding(counts: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    torch.manual_seed(generator.initial_seed())
    return corrupt(counts, rate, torch.default_generator)


MISTAKES = {
    "share-of-all-entries": (
        _hiding(lambda flat, rate, n, g: _shuffled(n, g)[: int(rate * len(flat))]),
        "You take the share of *all* entries, so that far too many counts are hidden. It is a share of the "
        "non-zero ones.",
    ),
    "zeros-chosen-too": (
        _hiding(lambda flat, rate, n, g: torch.randperm(len(flat), generator=g)[: int(rate * n)], among_all=True),
        "Entries that are zero already are chosen too, and nothing is hidden there. Choose among the non-zero "
        "ones only.",
    ),
    "share-of-all-and-zeros-too": (
        _hiding(
            lambda flat, rate, n, g: torch.randperm(len(flat), generator=g)[: int(rate * len(flat))],
            among_all=True,
        ),
        "You choose among all entries, zeros included. Both the choice and the share concern the non-zero ones only.",
    ),
    "a-coin-for-every-count": (
        _by_mask(lambda counts, rate, g: (torch.rand(counts.shape, generator=g) < rate) & (counts > 0)),
        "You toss a coin for every count, so that the number of hidden ones changes from call to call. Hide "
        "exactly floor(rate * non-zeros) of them.",
    ),
    "a-coin-for-every-entry": (
        _by_mask(lambda counts, rate, g: torch.rand(counts.shape, generator=g) < rate),
        "You toss a coin for every entry, zeros included, and the number of hidden counts changes from call to "
        "call. Choose an exact number of non-zero ones.",
    ),
    "with-replacement": (
        _hiding(lambda flat, rate, n, g: torch.randint(max(n, 1), (int(rate * n),), generator=g)),
        "An entry may be drawn twice, so that often too few are hidden. The entries have to be distinct: a "
        "random order has every position once.",
    ),
    "first-entries": (
        _hiding(lambda flat, rate, n, g: torch.arange(int(rate * n))),
        "Nothing is random: you always hide the first ones.",
    ),
    "largest-counts": (
        _hiding(lambda flat, rate, n, g: flat[flat != 0].argsort(descending=True, stable=True)[: int(rate * n)]),
        "Nothing is random: you always hide the largest counts.",
    ),
    "larger-counts-preferred": (
        _hiding(
            lambda flat, rate, n, g: (
                torch.multinomial(flat[flat != 0], int(rate * n), generator=g) if int(rate * n) else torch.arange(0)
            )
        ),
        "Larger counts are hidden more often: they serve as weights. Every non-zero entry should be as likely "
        "as any other.",
    ),
    "a-random-stretch": (
        _hiding(
            lambda flat, rate, n, g: (
                (torch.arange(int(rate * n)) + int(torch.randint(max(n, 1), (1,), generator=g))) % max(n, 1)
            )
        ),
        "You hide a stretch of neighbouring counts, of which only the start is random. Every set of entries "
        "should be as likely as any other.",
    ),
    "in-place": (
        _in_place,
        "The choice is right, but counts itself changes too, and nothing is left to compare with. Work on a copy.",
    ),
    "mask-inverted": (
        _with_mask(lambda counts, corrupted, mask: ~mask),
        "The mask is the wrong way round: it should be True where a count became 0.",
    ),
    "mask-of-the-entries-left": (
        _with_mask(lambda counts, corrupted, mask: corrupted != 0),
        "The mask is True for the counts that are left. It should be True where one became 0.",
    ),
    "mask-of-all-zeros": (
        _with_mask(lambda counts, corrupted, mask: corrupted == 0),
        "The mask is True at every zero, also where there was one before. Those were not hidden, and nothing "
        "is to be restored there.",
    ),
    "mask-of-numbers": (
        _with_mask(lambda counts, corrupted, mask: mask.float()),
        "The mask holds numbers. With them counts[mask] would not select: it should be boolean.",
    ),
    "mask-of-integers": (
        _with_mask(lambda counts, corrupted, mask: mask.long()),
        "The mask holds integers. As an index they mean rows 0 and 1: it should be boolean.",
    ),
    "rounded-up": (
        _hiding(lambda flat, rate, n, g: _shuffled(n, g)[: math.ceil(rate * n)]),
        "The number of hidden entries is rounded up. Round down.",
    ),
    "rounded-to-the-nearest": (
        _hiding(lambda flat, rate, n, g: _shuffled(n, g)[: round(rate * n)]),
        "The number of hidden entries is rounded to the nearest whole number. Round down.",
    ),
    "kept-instead-of-hidden": (
        _hiding(lambda flat, rate, n, g: _shuffled(n, g)[int(rate * n) :]),
        "You keep the share that should be hidden, and hide the rest.",
    ),
    "cell-by-cell": (
        _cell_by_cell,
        "You take a share of every cell, and rounding down in each of them loses some. The share is of all "
        "non-zero entries together.",
    ),
    "whole-cells": (
        _whole_cells,
        "You choose cells and hide all that is in them. Choose single entries.",
    ),
    "generator-ignored": (
        _hiding(lambda flat, rate, n, g: torch.randperm(n)[: int(rate * n)]),
        "The generator is not used, so that nobody can repeat the draw: give it to torch's function.",
    ),
    "seed-of-its-own": (
        _hiding(lambda flat, rate, n, g: _shuffled(n, torch.Generator().manual_seed(0))[: int(rate * n)]),
        "You make a generator of your own with a fixed seed: every call hides the same entries. Use the one "
        "that is given.",
    ),
    "global-seed": (
        _seeding,
        "You seed PyTorch for everyone and draw from there. Only the generator that is given may be used, and "
        "every call should draw anew.",
    ),
    "nothing-hidden": (
        lambda counts, rate, g: (counts.clone(), corrupt(counts, rate, g)[1]),
        "The mask says what to hide, but the counts are returned as they were.",
    ),
    "one-read-less": (
        lambda counts, rate, g: (lambda mask: (counts - mask.float(), mask))(corrupt(counts, rate, g)[1]),
        "You take 1 off the chosen counts. They should become 0.",
    ),
    "others-hidden": (
        lambda counts, rate, g: (lambda mask: (counts * mask, mask))(corrupt(counts, rate, g)[1]),
        "You hide everything but the chosen entries: multiplying by the mask keeps what is True.",
    ),
    "order-of-the-results": (
        lambda counts, rate, g: corrupt(counts, rate, g)[::-1],
        "The two results are swapped: first the corrupted counts, then the mask.",
    ),
    "no-mask": (
        lambda counts, rate, g: corrupt(counts, rate, g)[0],
        "You return the corrupted counts alone. The mask is needed as well, to know where to look later.",
    ),
}
