"""Exercise 0.4: the reference answer."""

from torch import Tensor


def pca_decode(z: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    """Decode coordinates: go from the mean along every component as far as z says.

    Parameters
    ----------
    z
        Coordinates, (cells, latent).
    mean
        The point that the components start from, (genes,).
    components
        Directions, one a row, orthonormal, (latent, genes).

    Returns
    -------
    Tensor
        Reconstructed cells, (cells, genes).
    """
    return mean + z @ components  # (cells, latent) @ (latent, genes)
