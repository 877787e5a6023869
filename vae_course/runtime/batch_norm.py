"""The running averages of batch normalisation at the end of training, over the cells of all processes."""

from typing import TYPE_CHECKING

import torch

from vae_course.nn import finish_batch_norm
from vae_course.runtime.devices import computing_on
from vae_course.runtime.processes import gather, seed_of_rank
from vae_course.runtime.seeds import seeded

if TYPE_CHECKING:
    from vae_course.trainer import Trainer


def finish_averages(trainer: "Trainer") -> None:
    """Set the running averages to those of the final weights over the training cells, in an order drawn anew.

    The same weights get the same averages, whether the training was interrupted or not.
    """
    cells = trainer.posteriors["train_set"]
    with seeded(seed_of_rank(trainer.seed), trainer.device), computing_on(trainer.device, trainer.model):
        order = cells.indices[torch.randperm(len(cells)).numpy()]
        finish_batch_norm(trainer.model, (minibatch[:3] for minibatch in cells.minibatches(order)))
        pool_batch_norm(trainer.model)


def pool_batch_norm(model: torch.nn.Module) -> None:
    """Give all processes the averages over the minibatches of all of them."""
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm1d):
            shards = gather((norm.num_batches_tracked, norm.running_mean, norm.running_var))
            n, means, variances = (torch.stack(part) for part in zip(*shards, strict=True))  # (processes, ...)
            if len(shards) > 1 and n.sum() > 0:
                shares = (n / n.sum()).unsqueeze(-1)  # (processes, 1)
                norm.num_batches_tracked.copy_(n.sum())
                norm.running_mean.copy_((shares * means).sum(dim=0))
                norm.running_var.copy_((shares * variances).sum(dim=0))
