"""Exercise 3.2: the reference answer."""

from collections.abc import Iterable

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE


def train_epoch(model: BinaryVAE, minibatches: Iterable[Tensor], optimizer: torch.optim.Optimizer) -> float:
    """Train a model for one epoch: one step of the optimizer for every minibatch.

    Parameters
    ----------
    model
        A `BinaryVAE`; `model.loss(x)[0]` is what to minimise, nats per cell.
    minibatches
        Tensors x of (cells, n_input), to be walked once; they may be of unequal size.
    optimizer
        Holds the model's parameters.

    Returns
    -------
    float
        The loss, each minibatch's taken before its step, as a mean over all cells, nats per cell.
    """
    model.train()
    total, n_cells = 0.0, 0
    for x in minibatches:
        loss = model.loss(x)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
        n_cells += len(x)
    return total / n_cells
