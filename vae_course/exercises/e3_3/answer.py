"""Exercise 3.3: the reference answer."""

import torch
from torch import Tensor

from vae_course.binary_vae import BinaryVAE


def sample_prior(model: BinaryVAE, n_cells: int, generator: torch.Generator) -> Tensor:
    """Make cells up: draw latents from the prior and decode them.

    Parameters
    ----------
    model
        A trained `BinaryVAE`, in train or eval mode; it has to be used in eval mode. It has `model.n_latent` latents.
    n_cells
        Number of cells.
    generator
        Source of the draws.

    Returns
    -------
    Tensor
        Probabilities of a 1, (n_cells, n_input), without a gradient.
    """
    model.eval()
    z = torch.randn(n_cells, model.n_latent, generator=generator)
    with torch.no_grad():
        return torch.sigmoid(model.decode(z))
