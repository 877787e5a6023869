"""Exercise 3.4: the reference answer."""

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE


def latent_walk(model: BinaryVAE, x_start: Tensor, x_end: Tensor, n_steps: int) -> Tensor:
    """Walk from one cell to another in the latent space, in even steps on a straight line, and decode every step.

    Parameters
    ----------
    model
        A trained `BinaryVAE`, in train or eval mode; it has to be used in eval mode.
    x_start, x_end
        Two cells, (n_input,) each. The walk goes from one posterior mean to the other.
    n_steps
        Number of points on the line, both ends included; at least 2.

    Returns
    -------
    Tensor
        Probabilities of a 1, (n_steps, n_input), without a gradient.
    """
    model.eval()
    share = torch.linspace(0, 1, n_steps).unsqueeze(-1)  # (n_steps, 1)
    with torch.no_grad():
        means, _ = model.encode(torch.stack([x_start, x_end]))  # (2, n_latent)
        z = (1 - share) * means[0] + share * means[1]  # (n_steps, n_latent)
        return torch.sigmoid(model.decode(z))
