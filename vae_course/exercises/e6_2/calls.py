"""Exercise 6.2: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.runtime.seeds import seeded
from vae_course.vae import VAE

NAMES = ("qz_m", "qz_v", "z", "ql_m", "ql_v", "library", "px_scale", "px_rate", "px_dropout", "px_r")
PRIOR = ("library_log_means", "library_log_vars")


@torch.no_grad()
def _trained(options: dict[str, Any], seed: int) -> VAE:
    """Make a model with weights, averages and priors that are all of their own, as if it were trained."""
    model = VAE(**options)
    with seeded(seed):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(-0.6, 0.6) if isinstance(tensor, nn.Parameter) else tensor.uniform_(0.6, 1.4)
            else:
                tensor.fill_(7)
    return model


def use(
    attempt: Callable, options: dict[str, Any], n_new: int, optimizer: str, counts: Tensor, covariates: Any, seed: int
) -> dict[str, Any]:
    """Let the attempt add batches, then train what it made for a few steps, and see what has moved."""
    model, n_old = _trained(options, seed).eval(), options["n_batch"]
    before, could_learn = _tensors(model), [parameter.requires_grad for parameter in model.parameters()]
    given = {"covariates": covariates} if covariates is not None else {}
    old_codes = torch.arange(len(counts)) % n_old
    due = _numbers(model, counts, old_codes, given)
    grown = attempt(model, n_new)
    if not isinstance(grown, VAE):
        return {"what comes back": "nothing" if grown is None else f"something of type {type(grown).__name__}"}
    if grown is model:
        return {"what comes back": "the model that was given"}
    found: dict[str, Any] = {"what comes back": "a new VAE", "n_batch": grown.n_batch}
    if grown.n_batch != n_old + n_new:
        return found
    for name in PRIOR:
        found[name] = getattr(grown, name).detach().clone()
    found |= {f"old batches: {name}": value for name, value in _numbers(grown, counts, old_codes, given).items()}
    _give_priors(grown)
    old, new_codes = _numbers(grown, counts, old_codes, given), n_old + torch.arange(len(counts)) % n_new
    new = _numbers(grown, counts, new_codes, given)
    found["new batches"] = "finite" if all(value.isfinite().all() for value in new.values()) else "not finite"
    kept = _tensors(grown)
    found["training"] = _train(grown, counts, torch.arange(len(counts)) % grown.n_batch, given, optimizer)
    after = _numbers(grown, counts, old_codes, given)
    found["what moved"] = ", ".join(_moved(kept, _tensors(grown), grown, n_old, n_new)) or "nothing"
    later = _numbers(grown, counts, new_codes, given)
    changes = any(not torch.allclose(new[name], later[name]) for name in new)
    found["old batches after training"] = "the same" if all(torch.equal(old[n], after[n]) for n in old) else "others"
    found["new batches after training"] = "others" if changes else "the same"
    still = _numbers(model, counts, old_codes, given)
    now = _tensors(model)
    same = all(torch.equal(due[name], still[name]) for name in due) and model.n_batch == n_old
    same = same and now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in now)
    learns = [parameter.requires_grad for parameter in model.parameters()]
    found["the old model"] = "as it was" if same and learns == could_learn else "changed"
    found["alone"] = _subtracts(grown, counts, n_old, given)
    return found


@torch.no_grad()
def _numbers(model: VAE, counts: Tensor, codes: Tensor, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what a model makes of cells in evaluation mode, with draws from a seed of its own."""
    training = model.training
    with seeded(1):
        found = model.eval().inference(counts, codes, **given)
    model.train(training)
    return {name: found[name].detach().clone() for name in NAMES}


@torch.no_grad()
def _tensors(model: VAE) -> dict[str, Tensor]:
    """Return what the model computes with, by name; of the decoder's layers what they make of every single column."""
    found = {}
    layers = [layer[0] for layer in model.decoder.px_decoder.fc_layers]
    for i, layer in enumerate(layers):
        n_in = (model.n_latent + model.n_continuous_cov if i == 0 else model.options["n_hidden"]) + sum(
            model.decoder.px_decoder.n_cat_list
        )
        found[f"column {i}"] = layer(torch.eye(n_in)).clone().T  # (hidden, columns)
        found[f"bias {i}"] = layer(torch.zeros(1, n_in)).clone()
    inside = {id(part) for layer in layers for part in layer.modules()}
    for path, module in model.named_modules():
        if "parametrizations" in path.split(".") or id(module) in inside:
            continue
        for name in (*module._parameters, *module._buffers, *getattr(module, "parametrizations", {})):
            tensor = getattr(module, name, None)
            if isinstance(tensor, Tensor) and tensor.dim():
                found[f"{path}.{name}".removeprefix(".")] = tensor.clone()
    return found


def _give_priors(model: VAE) -> None:
    for name in PRIOR:
        with torch.no_grad():
            getattr(model, name).nan_to_num_(1.0)


def _train(model: VAE, counts: Tensor, codes: Tensor, given: dict[str, Tensor], optimizer: str) -> str:
    parameters = list(model.parameters())
    if not any(parameter.requires_grad for parameter in parameters):
        return "nothing to train"
    kind, decay = {"SGD": (torch.optim.SGD, 0.0), "Adam": (torch.optim.Adam, 0.1)}[optimizer]
    step = kind(parameters, lr=0.02, weight_decay=decay)
    with seeded(2):
        for _ in range(3):
            model.train()
            terms = model.loss_terms(counts, codes, **given)
            step.zero_grad()
            sum(term.mean() for term in terms).backward()
            step.step()
    model.eval()
    return "done"


def _moved(before: dict[str, Tensor], after: dict[str, Tensor], model: VAE, n_old: int, n_new: int) -> list[str]:
    """Say which parts of the model training has moved."""
    others, found, learning = sum(model.decoder.px_decoder.n_cat_list[1:]), set(), []
    for name in sorted(before.keys() & after.keys()):
        old, now = before[name], after[name]
        changed = (old != now).reshape(-1, old.shape[-1]).any(dim=0)  # (columns,)
        if name.startswith("column") or (name == "px_r" and model.dispersion == "gene-batch"):
            end = len(changed) - (others if name != "px_r" else 0)
            new = torch.zeros(len(changed), dtype=torch.bool)
            new[end - n_new : end] = True
            if name == "px_r":
                found |= {"theta of new batches"} if changed[new].any() else set()
            else:
                learning.append(bool(changed[new].any()))
            found |= {"columns of old batches and latents"} if changed[~new].any() else set()
        elif changed.any():
            found.add(_part_of(name))
    if any(learning):
        found.add("the columns of new batches" + (" in some layers" if not all(learning) else ""))
    return sorted(found)


def _part_of(name: str) -> str:
    if "running" in name:
        return "the running averages"
    if name.startswith(("z_encoder", "l_encoder")):
        return "an encoder"
    return "theta" if name == "px_r" else "the prior" if "library" in name else "the rest of the decoder"


def _subtracts(model: VAE, counts: Tensor, n_old: int, given: dict[str, Tensor]) -> str:
    """Say whether training on cells of one new batch sees its columns at all.

    Batch normalisation by the minibatch subtracts what all of its cells have in common.
    """
    hidden = []
    hook = model.decoder.px_decoder.register_forward_hook(lambda _, __, out: hidden.append(out.detach().clone()))
    codes = torch.full((len(counts),), n_old)
    first = model.decoder.px_decoder.fc_layers[0][0]
    with torch.no_grad():
        for shift in (0.0, 3.0):
            push = first.register_forward_hook(lambda _, __, out, shift=shift: out + shift)
            with seeded(3):
                model.train().inference(counts, codes, **given)
            push.remove()
    hook.remove()
    model.eval()
    return "subtracted" if torch.allclose(*hidden, atol=1e-3) else "seen"
