"""Exercise 5.7: a right answer to show to learners, in few steps."""

import torch
from torch import Tensor


def entropy_batch_mixing(latent: Tensor, batch_index: Tensor, n_neighbors: int = 50) -> Tensor:
    """Score how well batches mix: a right answer to 5.7 in few steps."""
    distances = torch.cdist(latent, latent)  # (cells, cells)
    distances.fill_diagonal_(torch.inf)
    neighbours = distances.topk(n_neighbors, largest=False).indices  # (cells, n_neighbors)
    batches = batch_index.flatten()[neighbours]
    entropy = torch.zeros(len(latent))
    for batch in batch_index.unique():
        share = (batches == batch).float().mean(dim=1)  # (cells,)
        entropy -= torch.xlogy(share, share)
    return entropy.mean()
