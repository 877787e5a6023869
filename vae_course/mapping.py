"""A new batch for a trained model, which stays as it is: after scArches (Lotfollahi et al., 2022).

Of the grown model only the columns of the new batches learn. Nothing else can, whatever the optimizer: the rest of a
weight is no parameter, and batch normalisation keeps its averages.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vae_course.vae import VAE


class NewColumns(nn.Module):
    """A weight [before | columns | after] of which the columns alone are a parameter.

    To mask the gradient of the others would not do: weight decay moves a weight without a gradient, too.

    Parameters
    ----------
    weight
        The whole of it, (..., columns).
    start, stop
        From which column to before which one it learns.
    """

    def __init__(self, weight: Tensor, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop
        self.register_buffer("before", weight[..., :start].detach().clone())
        self.register_buffer("after", weight[..., stop:].detach().clone())

    def forward(self, columns: Tensor) -> Tensor:
        """Put the weight together."""
        return torch.cat([self.before, columns, self.after], dim=-1)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Take the columns that learn out of a weight."""
        return weight[..., self.start : self.stop].detach().clone()


class FrozenBatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation by the averages that it has, also in training."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm1d":
        """Stay in evaluation mode."""
        return super().train(False)

    def reset_running_stats(self) -> None:
        """Keep the averages, which `finish_batch_norm` would begin anew."""


def learn_columns(model: nn.Module, name: str, start: int, stop: int) -> None:
    """Let a weight of a model learn in some of its columns only.

    Parameters
    ----------
    model
        Changed in place. Its `state_dict` has the weight under its own name, as before.
    name
        Of the weight, as in `state_dict`.
    start, stop
        From which column to before which one.
    """
    path, _, tensor = name.rpartition(".")
    layer = model.get_submodule(path)
    parametrize.register_parametrization(
        layer, tensor, NewColumns(getattr(layer, tensor), start, stop), unsafe=True
    )  # unsafe, since the parameter has another shape than the weight
    layer.parametrizations[tensor].original.requires_grad_(True)
    if len(_parts(model)) == 1:  # the first one
        model._register_state_dict_hook(_with_whole_weights)
        model._register_load_state_dict_pre_hook(_without_whole_weights, with_module=True)


def freeze_batch_norm(model: nn.Module) -> None:
    """Let all batch normalisation of a model keep its averages, and normalise by them in training too."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d):
            norm.__class__ = FrozenBatchNorm1d
            norm.eval()


def add_batches(model: VAE, n_new: int) -> VAE:
    """Make a model for more batches out of a trained one, of which only the columns of the new batches learn.

    Lotfollahi et al. (2022), "architecture surgery", for a model whose encoders do not see the batch.

    Parameters
    ----------
    model
        With at least two batches; it stays as it is.
    n_new
        Number of new batches; their codes come after those of the old ones.

    Returns
    -------
    VAE
        In evaluation mode, with the numbers of `model` for its batches, before and after training. A new batch's
        columns begin as the mean of the old ones, in the decoder and, with dispersion "gene-batch", in px_r. Its
        prior of the library is NaN: set it from the new cells.

    Raises
    ------
    ValueError
        If the model has fewer than two batches, for which it has no columns, or `n_new` is below 1.
    """
    n_old = model.n_batch
    if n_old < 2 or n_new < 1:
        raise ValueError(f"Expected a model with at least 2 batches, and at least 1 new one, got {n_old} and {n_new}.")
    grown = VAE(**(model.options | {"n_batch": n_old + n_new}))
    others = sum(model.decoder.px_decoder.n_cat_list[1:])  # columns of other covariates, after those of the batch
    weights, places = grown.state_dict(), {}
    for name, weight in model.state_dict().items():
        if weight.shape != weights[name].shape:  # one with a column for every batch
            end = weight.shape[-1] - (others if "px_decoder" in name else 0)
            columns = weight[..., end - n_old : end].mean(dim=-1, keepdim=True).expand(*weight.shape[:-1], n_new)
            columns = columns * torch.nan if "library" in name else columns
            weight = torch.cat([weight[..., :end], columns, weight[..., end:]], dim=-1)
            places[name] = (end, end + n_new)
        weights[name] = weight
    grown.load_state_dict(weights)
    grown.requires_grad_(False)
    freeze_batch_norm(grown)
    for name, (start, stop) in places.items():
        if "library" not in name:
            learn_columns(grown, name, start, stop)
    if model.names is not None:
        more = [f"new batch {k + 1}" for k in range(n_new)]
        grown.names = model.names._replace(batches=[*model.names.batches, *more])
    return grown.to(next(model.parameters()).device).eval()


def _parts(model: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Return the weights of which only columns learn: name -> the module that has it, and its name there."""
    return {
        f"{path}.{tensor}".removeprefix("."): (layer, tensor)
        for path, layer in model.named_modules()
        if parametrize.is_parametrized(layer)
        for tensor in layer.parametrizations
    }


def _inside(name: str) -> str:
    """Return where the parts of a weight are kept, such as "px_decoder.parametrizations.weight."."""
    path, _, tensor = name.rpartition(".")
    return f"{path}.parametrizations.{tensor}.".removeprefix(".")


def _with_whole_weights(model: nn.Module, weights: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Put whole weights into a state_dict in the place of their parts."""
    for name, (layer, tensor) in _parts(model).items():
        for key in [key for key in weights if key.startswith(prefix + _inside(name))]:
            del weights[key]
        weights[prefix + name] = getattr(layer, tensor).detach()


def _without_whole_weights(model: nn.Module, weights: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Take whole weights of a state_dict apart, before it is loaded."""
    for name, (layer, tensor) in _parts(model).items():
        if prefix + name in weights:
            weight, columns, inside = weights.pop(prefix + name), layer.parametrizations[tensor][0], _inside(name)
            weights[f"{prefix}{inside}original"] = weight[..., columns.start : columns.stop]
            weights[f"{prefix}{inside}0.before"] = weight[..., : columns.start]
            weights[f"{prefix}{inside}0.after"] = weight[..., columns.stop :]
