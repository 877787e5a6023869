"""Exercise 2.5: the reference answer."""

from torch import Tensor, nn


class GaussianHead(nn.Module):
    """The end of an encoder: from hidden features to the mean and the log-variance of a Gaussian.

    Parameters
    ----------
    n_in, n_latent
        Columns of the input and number of latents.
    """

    def __init__(self, n_in: int, n_latent: int) -> None:
        """Make two affine layers, each with parameters of its own."""
        super().__init__()
        self.mean = nn.Linear(n_in, n_latent)
        self.logvar = nn.Linear(n_in, n_latent)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map h, (cells, n_in), to (mean, logvar), (cells, n_latent) each."""
        return self.mean(h), self.logvar(h)
