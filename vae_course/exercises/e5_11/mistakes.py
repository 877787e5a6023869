"""Exercise 5.11: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

KEPT = -1.0


def _norms(model: nn.Module) -> list[nn.BatchNorm1d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]


def _finish(
    model: nn.Module,
    minibatches: Iterable[Tensor],
    *,
    reset: bool = True,
    momentum: float | None = None,
    restored: Callable[[list[Any]], list[Any]] = list,
    train: Callable[[nn.Module], Any] = nn.Module.train,
    end: Callable[[nn.Module], Any] = nn.Module.eval,
    layers: slice = slice(None),
    record: bool = False,
) -> None:
    """Finish the averages in one of the wrong ways."""
    norms = _norms(model)
    momenta = [norm.momentum for norm in norms]
    for norm in norms[layers]:
        if reset:
            norm.reset_running_stats()
        norm.momentum = norm.momentum if momentum == KEPT else momentum
    train(model)
    with torch.set_grad_enabled(record):
        for x in minibatches:
            model.inference(x)
    for norm, old in zip(norms, restored(momenta), strict=True):
        norm.momentum = old
    end(model)


def _norms_alone(model: nn.Module) -> None:
    model.eval()
    for norm in _norms(model):
        norm.train()


@torch.no_grad()
def _from_moments(
    model: nn.Module, minibatches: Iterable[Tensor], by_cells: bool = False, unbiased: bool = True
) -> None:
    """Average the moments of what comes to every layer, by hand."""
    norms, found = _norms(model), {}
    hooks = [
        norm.register_forward_pre_hook(lambda norm, inputs: found.setdefault(norm, []).append(inputs[0]))
        for norm in norms
    ]
    model.train()
    for x in minibatches:
        model.inference(x)
    for norm, hook in zip(norms, hooks, strict=True):
        hook.remove()
        weights = torch.tensor([float(len(x)) if by_cells else 1.0 for x in found[norm]])
        for buffer, moments in (
            (norm.running_mean, [x.mean(dim=0) for x in found[norm]]),
            (norm.running_var, [x.var(dim=0, unbiased=unbiased) for x in found[norm]]),
        ):
            buffer.copy_((weights[:, None] * torch.stack(moments)).sum(dim=0) / weights.sum())
    model.eval()


def _count_first(model: nn.Module, minibatches: Iterable[Tensor]) -> None:
    if sum(1 for _ in minibatches):
        _finish(model, minibatches)


def _ask_length(model: nn.Module, minibatches: Iterable[Tensor]) -> None:
    if len(minibatches):
        _finish(model, minibatches)


def _return_model(model: nn.Module, minibatches: Iterable[Tensor]) -> nn.Module:
    _finish(model, minibatches)
    return model


def _reset_weights(model: nn.Module, minibatches: Iterable[Tensor]) -> None:
    for norm in _norms(model):
        norm.reset_parameters()
    _finish(model, minibatches)


MISTAKES = {
    "nothing-forgotten": (
        partial(_finish, reset=False, momentum=KEPT),
        "This is one more pass as in training: each minibatch replaces a small part of the averages, and most of the "
        "old ones are still there. Forget them first, and give every minibatch the same weight.",
    ),
    "old-averages-counted": (
        partial(_finish, reset=False),
        "The old averages still count as minibatches of their own. Forget them first, with reset_running_stats().",
    ),
    "momentum-kept": (
        partial(_finish, momentum=KEPT),
        "With the layers' own momentum a minibatch replaces a small part of the averages, so that most of the 0 and 1 "
        "with which they start afresh is left. Every minibatch should have the same weight.",
    ),
    "last-minibatch": (
        partial(_finish, momentum=1.0),
        "A momentum of 1 leaves what the last minibatch says. The average over all of them is needed.",
    ),
    "nothing-let-in": (
        partial(_finish, momentum=0.0),
        "The averages stay at the 0 and 1 with which they start afresh. Do the cells pass in eval mode, or with a "
        "momentum of 0?",
    ),
    "nothing-changed": (
        partial(_finish, reset=False, train=nn.Module.eval),
        "The averages are what they were. In eval mode batch normalisation uses them and does not change them.",
    ),
    "dropout-off": (
        partial(_finish, train=_norms_alone),
        "Only the batch normalisation is in train mode, and dropout is off. The averages should be those of training, "
        "where dropout was on: put the whole model into train mode.",
    ),
    "left-in-train-mode": (
        partial(_finish, end=nn.Module.train),
        "The averages are right, but the model is left in train mode, where nothing uses them. End in eval mode.",
    ),
    "momenta-lost": (
        partial(_finish, restored=lambda momenta: [None] * len(momenta)),
        "The averages are right, but the layers keep the momentum None: further training would average over all its "
        "minibatches. Put back what was there.",
    ),
    "momenta-by-default": (
        partial(_finish, restored=lambda momenta: [0.1] * len(momenta)),
        "The averages are right, but all layers have the momentum 0.1 afterwards, PyTorch's default. Put back what was "
        "there.",
    ),
    "momenta-of-scvi": (
        partial(_finish, restored=lambda momenta: [0.01] * len(momenta)),
        "The momentum is always 0.01 afterwards. That is scVI's, and another model has others: put back what was "
        "there.",
    ),
    "momentum-of-the-first": (
        partial(_finish, restored=lambda momenta: momenta[:1] * len(momenta)),
        "Every layer gets the momentum of the first one back. Keep each layer's own.",
    ),
    "gradients-recorded": (
        partial(_finish, record=True),
        "The averages are right, but PyTorch records the whole pass for gradients. Nobody wants any here.",
    ),
    "first-layer-only": (
        partial(_finish, layers=slice(1)),
        "Only the first layer's averages are new. All of the model's batch normalisation needs them, that of the "
        "decoder, too.",
    ),
    "weighted-by-cells": (
        partial(_from_moments, by_cells=True),
        "Every minibatch counts as much as it has cells. They should have the same weight, as they have in training.",
    ),
    "all-cells-at-once": (
        lambda model, minibatches: _finish(model, [torch.cat(list(minibatches))]),
        "All cells pass at once, as one large minibatch. The average over the minibatches is needed.",
    ),
    "variance-over-n": (
        partial(_from_moments, unbiased=False),
        "Your variances divide by n. The running variance of batch normalisation divides by n - 1.",
    ),
    "walked-twice": (
        _count_first,
        "Right for a list, but minibatches may be something that can be walked through only once. You walk it before "
        "the pass, which then finds it used up.",
    ),
    "length-asked": (
        _ask_length,
        "minibatches need not be a list: all that is sure is that one can walk through it once.",
    ),
    "model-returned": (
        _return_model,
        "The averages are right. The function works on the model that it is given, and returns nothing.",
    ),
    "weights-reset": (
        _reset_weights,
        "reset_parameters() also sets the weights of batch normalisation back to 1 and 0. Only its averages are to be "
        "forgotten.",
    ),
}
