"""Exercise 0.5: the reference answer."""

from torch import Tensor


def reconstruction_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return how far a reconstruction is off: the squared error of a cell, averaged over cells.

    Parameters
    ----------
    x
        Cells, (cells, genes).
    x_hat
        Their reconstructions, (cells, genes).

    Returns
    -------
    Tensor
        Squared error, summed over genes, averaged over cells, a scalar.
    """
    return ((x - x_hat) ** 2).sum(dim=1).mean()
