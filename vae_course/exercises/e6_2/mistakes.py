"""Exercise 6.2: known misconceptions, each with a wrong answer that shows it and a message that names it."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from vae_course.mapping import freeze_batch_norm, learn_columns
from vae_course.vae import VAE


def _grow(
    model: VAE,
    n_new: int,
    *,
    n_batch: Callable[[int, int], int] = lambda n_old, n_new: n_old + n_new,
    keep: Callable[[str], bool] = lambda name: True,
    at: str = "after the old ones",
    prior: Callable[[Tensor], Tensor] = lambda old: old.mean(dim=-1, keepdim=True) * torch.nan,
    freeze: bool = True,
    learn: str = "new columns",
    layers: slice = slice(None),
    norms: bool = True,
) -> VAE:
    """Add batches in one of the wrong ways."""
    n_old, others = model.n_batch, sum(model.decoder.px_decoder.n_cat_list[1:])
    grown = VAE(**(model.options | {"n_batch": n_batch(n_old, n_new)}))
    n_new = grown.n_batch - n_old
    weights, places = grown.state_dict(), {}
    for name, weight in model.state_dict().items():
        if weight.shape != weights[name].shape:
            inside = "px_decoder" in name
            end = weight.shape[-1] - (others if inside else 0)
            new = weight[..., end - n_old : end].mean(dim=-1, keepdim=True)
            new = prior(weight) if "library" in name else new
            if inside:
                places_at = {"after the old ones": end, "before the old ones": end - n_old, "first": 0}
                end = places_at.get(at, end + others)
            new = new.expand(*weight.shape[:-1], n_new)
            weight = torch.cat([weight[..., :end], new, weight[..., end:]], dim=-1)
            places[name] = end
        if keep(name):
            weights[name] = weight
    grown.load_state_dict(weights)
    grown.requires_grad_(not freeze)
    if norms:
        freeze_batch_norm(grown)
    names = [name for name in places if "px_decoder" in name][layers] + [name for name in places if name == "px_r"]
    for name in names:
        whole = grown.get_parameter(name)
        if learn == "new columns":
            learn_columns(grown, name, places[name], places[name] + n_new)
        elif learn in ("whole weights", "masked"):
            whole.requires_grad_(True)
        if learn == "masked":
            mask = torch.zeros_like(whole)
            mask[..., places[name] : places[name] + n_new] = 1
            whole.register_hook(lambda gradient, mask=mask: gradient * mask)
    return grown


def _in_place(model: VAE, n_new: int) -> VAE:
    grown = _grow(model, n_new)
    model.n_batch, model.decoder = grown.n_batch, grown.decoder
    model.library_log_means, model.library_log_vars = grown.library_log_means, grown.library_log_vars
    return model


def _with_shared_encoders(model: VAE, n_new: int) -> VAE:
    grown = _grow(model, n_new)
    grown.z_encoder, grown.l_encoder = model.z_encoder, model.l_encoder
    grown.z_encoder.requires_grad_(False)
    grown.l_encoder.requires_grad_(False)
    freeze_batch_norm(grown)
    return grown


def _with_the_decoder(model: VAE, n_new: int) -> VAE:
    grown = _grow(model, n_new, learn="whole weights")
    grown.decoder.requires_grad_(True)
    return grown


def _nothing_returned(model: VAE, n_new: int) -> None:
    _grow(model, n_new)


def _is_parameter(name: str) -> bool:
    return not any(part in name for part in ("running", "tracked", "library"))


MISTAKES = {
    "changed-in-place": (
        _in_place,
        "You change the model that is given and return it. Make a new VAE: the old one is still needed as it is.",
    ),
    "nothing-returned": (_nothing_returned, "The new model is made, but never returned."),
    "nothing-copied": (
        partial(_grow, keep=lambda name: "library" in name),
        "The new model begins with weights of its own, those of an untrained one. All weights and averages of the old "
        "model are to be taken over.",
    ),
    "encoders-forgotten": (
        partial(_grow, keep=lambda name: "encoder" not in name),
        "The encoders begin anew. They have no columns for batches, so they are taken over just as they are.",
    ),
    "decoder-forgotten": (
        partial(_grow, keep=lambda name: not name.startswith("decoder")),
        "The decoder begins anew. Its columns of the old batches, its biases and its heads are to be taken over.",
    ),
    "decoder-layers-forgotten": (
        partial(_grow, keep=lambda name: "px_decoder" not in name or not name.endswith("0.weight")),
        "The weights whose shape has changed begin anew. Their old columns are to be taken over, and only those of the "
        "new batches are new.",
    ),
    "averages-forgotten": (
        partial(_grow, keep=lambda name: "running" not in name and "tracked" not in name),
        "The running averages of batch normalisation begin at 0 and 1. They are buffers, not parameters, and "
        "state_dict has both.",
    ),
    "buffers-forgotten": (
        partial(_grow, keep=_is_parameter),
        "Only parameters are taken over. Running averages and the prior of the library are buffers, and state_dict has "
        "both.",
    ),
    "theta-forgotten": (
        partial(_grow, keep=lambda name: name != "px_r"),
        'px_r begins anew. Every gene keeps its theta, and with dispersion "gene-batch" px_r has a column for every '
        "batch, too.",
    ),
    "before-the-old-ones": (
        partial(_grow, at="before the old ones"),
        "The new columns stand before those of the old batches, whose codes then point at wrong ones. New codes come "
        "after the old ones, and so do their columns.",
    ),
    "before-the-latents": (
        partial(_grow, at="first"),
        "The new columns stand before those of the latents. The batch comes after z, the new ones after the old.",
    ),
    "behind-other-covariates": (
        partial(_grow, at="last"),
        "Right as long as the batch is the only covariate. Other categorical ones have their columns after those of "
        "the batches, and the new columns belong between the two.",
    ),
    "one-batch-only": (
        partial(_grow, n_batch=lambda n_old, n_new: n_old + 1),
        "There is always one batch more. n_new says how many are needed.",
    ),
    "prior-averaged": (
        partial(_grow, prior=lambda old: old.mean(dim=-1, keepdim=True)),
        "The new batches get a prior of the library from the old ones. How deep a new laboratory sequences nobody "
        "knows yet: leave NaN there, which refuses to compute a loss until it is set.",
    ),
    "prior-of-the-last": (
        partial(_grow, prior=lambda old: old[..., -1:]),
        "The new batches get the library prior of the last old one. Leave NaN there, which refuses to compute a loss "
        "until somebody sets it from the new cells.",
    ),
    "prior-zero": (
        partial(_grow, prior=lambda old: 0 * old[..., -1:]),
        "The prior of the new batches is 0, which looks like a number that somebody chose. Leave NaN there until it is "
        "set from the new cells.",
    ),
    "all-priors-forgotten": (
        partial(_grow, keep=lambda name: "library" not in name),
        "The library priors of the old batches are lost. Only those of the new ones are NaN.",
    ),
    "everything-learns": (
        partial(_grow, freeze=False, learn="whole weights"),
        "All weights still learn, so that training on new cells moves the old ones, too. Only the columns of the new "
        "batches may.",
    ),
    "decoder-learns": (
        _with_the_decoder,
        "The whole decoder learns, and the numbers of the old batches move. Only the columns of the new batches may.",
    ),
    "old-columns-learn": (
        partial(_grow, learn="whole weights"),
        "The weights that hold batch columns learn as a whole: with them the columns of the latents and of the old "
        "batches move. Only those of the new batches may.",
    ),
    "masked-gradient": (
        partial(_grow, learn="masked"),
        "Right for plain gradient steps, but Adam's weight decay also moves weights whose gradient you set to 0. They "
        "must not be in a parameter at all, and learn_columns sees to that.",
    ),
    "nothing-learns": (
        partial(_grow, learn="nothing"),
        "Everything is frozen, the columns of the new batches as well. These are to learn.",
    ),
    "first-layer-only": (
        partial(_grow, layers=slice(1)),
        "Right for one layer, but in a deeper decoder each layer has columns for the batches, and all of the new ones "
        "are to learn.",
    ),
    "averages-follow": (
        partial(_grow, norms=False),
        "Batch normalisation still follows the minibatches in training, so its running averages move, and with them "
        "the numbers of the old batches. freeze_batch_norm keeps them.",
    ),
    "encoders-shared": (
        _with_shared_encoders,
        "The new model shares its encoders with the old one, which are frozen there, too. Copy the weights, and leave "
        "the old model as it was.",
    ),
}
