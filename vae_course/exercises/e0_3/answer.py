"""Exercise 0.3: the reference answer."""

from torch import Tensor


def pca_encode(x: Tensor, mean: Tensor, components: Tensor) -> Tensor:
    """Encode cells: their coordinates along the principal components.

    Parameters
    ----------
    x
        Cells, (cells, genes).
    mean
        The point that the components start from, (genes,).
    components
        Directions, one a row, orthonormal, (latent, genes).

    Returns
    -------
    Tensor
        Coordinates, (cells, latent).
    """
    return (x - mean) @ components.T  # (cells, genes) @ (genes, latent)
