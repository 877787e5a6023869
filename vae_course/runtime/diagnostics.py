"""What to say when a loss or a weight is NaN or infinite."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from vae_course.trainer import Trainer

ADVICE = "Lower the learning rate (lr), and check that the data are raw counts without extreme cells."


def check_parameters(model: torch.nn.Module) -> None:
    """Raise ValueError if a parameter is NaN or infinite."""
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"The weights {name} became NaN or infinite. {ADVICE}")


def explain_nonfinite(trainer: "Trainer", cells: np.ndarray) -> str:
    """Name the first tensor that is NaN or infinite on the way from the counts to the loss, and say what to do.

    Parameters
    ----------
    trainer
        Whose loss it is.
    cells
        Positions of the cells in the minibatch, (b,).
    """
    model, seen = trainer.model, trainer.posteriors["train_set"].seen
    (x, *codes), covariates = seen.minibatch(cells, trainer.device), seen.covariates_of(cells, trainer.device)
    if not torch.isfinite(x).all():
        return "The loss is not finite because the counts are not (tensor x). Check the data for NaN and infinities."
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"The loss is not finite; the first bad tensor is the parameter {name}. {ADVICE}"
    bad: list[str] = []

    def note(name: str, output: Any) -> None:
        tensors: Iterable[Any] = output if isinstance(output, tuple) else (output,)
        if any(isinstance(t, Tensor) and not torch.isfinite(t).all() for t in tensors):
            bad.append(name)

    named = [(name, module) for name, module in model.named_modules() if name]
    hooks = [m.register_forward_hook(lambda _m, _i, output, name=name: note(name, output)) for name, m in named]
    try:
        with torch.no_grad():
            terms = model.loss_terms(x, *codes, **covariates)
    finally:
        for hook in hooks:
            hook.remove()
    names = ("reconstruction", "kl_local", "kl_global")
    bad += [name for name, term in zip(names, terms, strict=True) if not torch.isfinite(term).all()]
    where = f"the output of {bad[0]}" if bad else "the weighted sum of the loss terms"
    return f"The loss is not finite; the first bad tensor is {where}. {ADVICE}"
