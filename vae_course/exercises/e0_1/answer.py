"""Exercise 0.1: the reference answer."""

from torch import Tensor


def library_size(counts: Tensor) -> Tensor:
    """Return the library size of every cell: how many counts it has in total.

    Parameters
    ----------
    counts
        Counts, (cells, genes).

    Returns
    -------
    Tensor
        Total counts, (cells,).
    """
    return counts.sum(dim=1)
