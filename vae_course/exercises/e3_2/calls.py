"""Exercise 3.2: how an attempt is called. Copied as it is into the sandbox of the grader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE
from vae_course.nn import FCLayers
from vae_course.runtime.seeds import seeded


class _Deterministic(BinaryVAE):
    """A small model without dropout and noise, whose loss depends on its mode through the latents alone.

    Batch normalisation would make gradients that are zero but for rounding, and Adam steps of a full size from these.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(n_input=6, n_latent=2, n_hidden=8, seed=seed)
        self.encoder, self.decoder = (FCLayers(n, 8, dropout_rate=0, use_batch_norm=False) for n in (6, 2))
        with torch.no_grad(), seeded(seed):
            for parameter in self.parameters():
                parameter.normal_(0, 0.5)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return mu + (0.1 if self.training else 0.5) * logvar


def use(
    attempt: Callable, cells: Tensor, sizes: tuple[int, ...], optimizer: str, form: str, train: bool, seed: int
) -> dict[str, Any]:
    model = _Deterministic(seed).train(train)
    minibatches = [x.clone() for x in cells.split(list(sizes))]
    step = torch.optim.SGD(model.parameters(), lr=0.1) if optimizer == "SGD" else torch.optim.Adam(model.parameters())
    before, steps = _weights_of(model), []
    step.register_step_post_hook(lambda *_: steps.append(1))
    result = attempt(model, minibatches if form == "list" else iter(minibatches), step)
    hangs = isinstance(result, Tensor) and result.requires_grad
    found = {"the trained weights": _weights_of(model), "the loss": result, "steps": len(steps), "before": before}
    return found | {"the graph": "kept" if hangs else "let go"}


def _weights_of(model: BinaryVAE) -> Tensor:
    return torch.cat([parameter.detach().clone().flatten() for parameter in model.parameters()])
