"""Exercise 2.3: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from vae_course.exercises.e2_3.answer import gradient_step


def _uphill(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    gradient_step(params, loss, -lr)


def _without_rate(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    gradient_step(params, loss, 1.0)


def _rebinding_only(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    for p in params:
        del p  # as good as p = p - lr * p.grad


def _rebinding(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    for p in params:
        moved = p - lr * p.grad
        p.grad = None
        del moved


def _keeping_gradients(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad


def _recording(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    for p in params:
        p -= lr * p.grad


def _without_backward(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad


def _first_only(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    everything = list(params)
    gradient_step(everything[:1], loss, lr)
    everything[1].grad = None


def _walked_twice(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    loss.backward()
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
        for p in params:
            p.grad = None


def _cleared_first(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    for p in params:
        p.grad = None
    gradient_step(params, loss, lr)


def _loss_for_gradient(params: Iterable[Tensor], loss: Tensor, lr: float) -> None:
    with torch.no_grad():
        for p in params:
            p -= lr * loss


MISTAKES = {
    "uphill": (_uphill, "The step goes uphill: the gradient points to where the loss grows, so subtract it."),
    "no-learning-rate": (
        _without_rate,
        "lr is not used: the step should be lr times the gradient.",
    ),
    "new-name": (
        _rebinding_only,
        "The parameters do not change: p = p - ... makes a new tensor and only moves the name p to it. Change "
        "p itself, with -=.",
    ),
    "nothing-moves": (
        _rebinding,
        "The parameters do not change. Either p = p - ... only moves the name p to a new tensor (write -=), or "
        "the gradient is emptied before it is used.",
    ),
    "keeps-gradients": (
        _keeping_gradients,
        "The gradients are left behind, and PyTorch would add the next ones to them. Empty .grad after the step.",
    ),
    "recorded": (
        _recording,
        "PyTorch refuses to change a parameter in place while it records operations. Do it inside "
        "with torch.no_grad():.",
    ),
    "no-backward": (
        _without_backward,
        "The gradient that you use is None. Call backward() on the loss first, then take each p.grad, and "
        "empty it only after the step.",
    ),
    "first-parameter-only": (_first_only, "Only the first parameter moves. Every one has to."),
    "walked-twice": (
        _walked_twice,
        "Right for a list, but a generator such as model.parameters() can be walked only once: your second "
        "loop finds nothing. Do all in one loop, or make a list first.",
    ),
    "cleared-first": (
        _cleared_first,
        "Right for a list, but a generator such as model.parameters() can be walked only once: after your "
        "first loop nothing is left to change. Do all in one loop, or make a list first.",
    ),
    "loss-for-gradient": (
        _loss_for_gradient,
        "You subtract the loss. Subtract its gradient with respect to each parameter, p.grad after backward().",
    ),
}
