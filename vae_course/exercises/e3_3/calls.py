"""Exercise 3.3: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE


@torch.no_grad()
def _transparent_model(slope: float, offset: float) -> BinaryVAE:
    """Make a model whose probabilities tell which latents were decoded, and in which mode.

    In eval mode the log-odds of the first three genes are slope * z + offset: batch normalisation multiplies by 2. In
    train mode it would scale the latents to a spread of 1.
    """
    model = BinaryVAE(n_input=5, n_latent=3, n_hidden=6)
    eye = torch.eye(3)
    linear, norm = model.decoder.fc_layers[0][:2]
    linear.weight.copy_(torch.cat([eye, -eye]))
    linear.bias.zero_()
    norm.running_mean.zero_()
    norm.running_var.fill_(0.25 - norm.eps)
    model.logits_decoder.weight.zero_()
    model.logits_decoder.weight[:3] = slope / 2 * torch.cat([eye, -eye], dim=1)  # relu(z) - relu(-z) = z
    model.logits_decoder.bias.fill_(offset)
    return model


N_COMPARED = 100  # cells by which two calls are told apart


def use(attempt: Callable, n_cells: int, train: bool, slope: float, offset: float, seed: int) -> dict[str, Any]:
    """Make cells up three times: twice in a row, and once more from the first seed."""
    model, generator = _transparent_model(slope, offset).train(train), torch.Generator().manual_seed(seed)
    outside = torch.get_rng_state()
    first = attempt(model, n_cells, generator)
    if not isinstance(first, Tensor) or not first.is_floating_point() or first.shape != (n_cells, 5):
        return {"the result": first}
    untouched = torch.equal(outside, torch.get_rng_state())
    second = attempt(model.train(train), n_cells, generator)
    again = attempt(model.train(train), n_cells, torch.Generator().manual_seed(seed))
    return {
        "the result": first,
        "gradient": "recorded" if first.requires_grad else "none",
        "global random numbers": "not used" if untouched else "used",
        "a second call": second[:N_COMPARED],
        "the same seed": again[:N_COMPARED],
    }
