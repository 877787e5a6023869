"""Exercise 3.2: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE


def _train(
    model: BinaryVAE,
    minibatches: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    mode: bool | None = True,
    clear: bool = True,
    step: bool = True,
    term: int | slice = 0,
    after: bool = False,
) -> tuple[list[float], list[int]]:
    """Train for an epoch in one of the wrong ways; return the minibatches' losses and sizes."""
    if mode is not None:
        model.train(mode)
    losses, sizes = [], []
    for x in minibatches:
        terms = model.loss(x)[term]
        loss = sum(terms) if isinstance(terms, tuple) else terms
        if clear:
            optimizer.zero_grad()
        if step:
            loss.backward()
            optimizer.step()
        losses.append((model.loss(x)[0] if after else loss).item())
        sizes.append(len(x))
    return losses, sizes


def _over_cells(losses: list[float], sizes: list[int]) -> float:
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def _train_at_once(model: BinaryVAE, minibatches: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> float:
    model.train()
    minibatches = list(minibatches)
    optimizer.zero_grad()
    losses = [model.loss(x)[0] for x in minibatches]
    sum(losses).backward()
    optimizer.step()
    return _over_cells([loss.item() for loss in losses], [len(x) for x in minibatches])


def _train_after_counting(model: BinaryVAE, minibatches: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> float:
    n_cells = sum(len(x) for x in minibatches)
    losses, sizes = _train(model, minibatches, optimizer)
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / n_cells


MISTAKES = {
    "mean-of-means": (
        lambda m, b, o: (lambda t: sum(t[0]) / len(t[0]))(_train(m, b, o)),
        "You average over minibatches. They are of unequal size, so weigh each loss with its number of cells.",
    ),
    "gradients-kept": (
        lambda m, b, o: _over_cells(*_train(m, b, o, clear=False)),
        "The gradients of earlier minibatches are still there and add up. Empty them before each backward().",
    ),
    "no-step": (
        lambda m, b, o: _over_cells(*_train(m, b, o, step=False)),
        "The weights do not change: it takes backward() and then a step for every minibatch, and no "
        "zero_grad() between the two.",
    ),
    "one-step": (
        _train_at_once,
        "There is one step at the end of the epoch. Take one after every minibatch.",
    ),
    "eval-mode": (
        lambda m, b, o: _over_cells(*_train(m, b, o, mode=False)),
        "The model is in eval mode, where batch normalisation uses its running averages and dropout is off. "
        "Train in train mode.",
    ),
    "mode-not-set": (
        lambda m, b, o: _over_cells(*_train(m, b, o, mode=None)),
        "Right for a model that comes in train mode, but a model that was just evaluated comes in eval mode: "
        "set the mode first.",
    ),
    "loss-after-the-step": (
        lambda m, b, o: _over_cells(*_train(m, b, o, after=True)),
        "The loss that you return is measured after each step. Take it before, from the loss that you step on.",
    ),
    "last-loss": (
        lambda m, b, o: _train(m, b, o)[0][-1],
        "You return the loss of the last minibatch. The mean over all cells is needed.",
    ),
    "sum": (
        lambda m, b, o: sum(_train(m, b, o)[0]),
        "You return the sum over minibatches. The mean over all cells is needed.",
    ),
    "sum-over-cells": (
        lambda m, b, o: (lambda t: _over_cells(*t) * sum(t[1]))(_train(m, b, o)),
        "You return the sum over all cells. Divide it by their number.",
    ),
    "sum-by-minibatches": (
        lambda m, b, o: (lambda t: _over_cells(*t) * sum(t[1]) / len(t[1]))(_train(m, b, o)),
        "The sum over all cells is divided by the number of minibatches. Divide it by the number of cells.",
    ),
    "bce-only": (
        lambda m, b, o: _over_cells(*_train(m, b, o, term=1)),
        "You train on the cross-entropy alone. model.loss returns total, bce and kl: the total is the first.",
    ),
    "kl-only": (
        lambda m, b, o: _over_cells(*_train(m, b, o, term=2)),
        "You train on the KL alone. model.loss returns total, bce and kl: the total is the first.",
    ),
    "length-asked": (
        lambda m, b, o: (lambda n: sum(_train(m, b, o)[0]) / n)(len(b)),
        "minibatches need not be a list: all that is sure is that one can walk through it once. Count cells as you go.",
    ),
    "counted-first": (
        _train_after_counting,
        "Right for a list, but minibatches may be something that can be walked through only once. You walk it "
        "before the training, which then finds it used up: count cells as you go.",
    ),
    "all-three-added": (
        lambda m, b, o: _over_cells(*_train(m, b, o, term=slice(None))),
        "Every step has gradients twice as large as they should be. Do you add up all three things that "
        "model.loss returns, of which the first is the total already?",
    ),
    "own-optimizer": (
        lambda m, b, o: _over_cells(*_train(m, b, torch.optim.Adam(m.parameters(), lr=1e-3))),
        "You make a new optimizer inside the function. Use the one that is given: it has its own kind, "
        "learning rate and memory of earlier steps.",
    ),
    "all-losses": (
        lambda m, b, o: _train(m, b, o)[0],
        "You return a list of losses. One number is needed, their mean over all cells.",
    ),
}
