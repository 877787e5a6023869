"""Exercise 3.4: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE
from vae_course.runtime.seeds import seeded


@torch.no_grad()
def _walked_model(seed: int) -> BinaryVAE:
    """Make a model with weights and running averages that are all of their own."""
    model = BinaryVAE(n_input=7, n_latent=2, n_hidden=8)
    with seeded(seed):
        for parameter in model.parameters():
            parameter.normal_(0, 1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return model


def use(attempt: Callable, x_start: Tensor, x_end: Tensor, n_steps: int, train: bool, seed: int) -> dict[str, Any]:
    result = attempt(_walked_model(seed).train(train), x_start, x_end, n_steps)
    recorded = isinstance(result, Tensor) and result.requires_grad
    return {"the walk": result, "gradient": "recorded" if recorded else "none"}
