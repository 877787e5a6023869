"""What a model takes from the moments of its training counts: the start of theta, and the prior of the library."""

import numpy as np
import scipy.sparse as sp

from vae_course.data import LIBRARY_VAR_FLOOR, CountData
from vae_course.runtime.processes import gather, pooled_moments

SMALLEST_THETA, LARGEST_THETA = 1e-2, 1e3  # a larger one is a Poisson to 0.1 % of its mean
PRIOR_PAIRS = 300  # chosen by the held-out likelihood of blood cells


def theta_from_moments(counts: sp.csr_matrix, codes: np.ndarray, n_groups: int) -> np.ndarray:
    """Estimate the inverse dispersion of every gene, in every group of cells, by the method of moments.

    A gene with share p of the molecules has x ~ NB(N p, theta) in a cell of total N, so the shares y = x / N have mean
    p and variance p mean(1 / N) + p^2 / theta. Hence 1 / theta = (var(y) - mean(y) mean(1 / N)) / mean(y)^2. Of a gene
    with few molecules that is hardly known, so it is shrunk towards the median of the better known half of the genes:
    the gene's own value weighs as much as its expected pairs of molecules in the same cell, the median as PRIOR_PAIRS.

    Parameters
    ----------
    counts
        (cells, genes). With several processes, each passes its own cells, and all get the estimate from all of them.
    codes
        Group of each cell, from 0 to n_groups - 1, (cells,).
    n_groups
        Number of groups; one without cells gets the values of all cells together.

    Returns
    -------
    ndarray
        (genes, n_groups), from 0.01 to 1000: the upper end where the counts vary no more than a Poisson's.
    """
    totals = counts.sum(axis=1, dtype=np.float64).A1
    counts, codes, totals = counts[totals > 0], codes[totals > 0], totals[totals > 0]
    y = counts.multiply(1 / totals[:, None]).tocsr()
    of_group = sp.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), (n_groups, len(codes)))
    sums = [of_group.sum(axis=1), of_group @ y, of_group @ y.power(2), of_group @ (1 / totals)[:, None]]
    sums = gather([np.asarray(part.toarray() if sp.issparse(part) else part) for part in sums])
    n, y_1, y_2, inverse = (sum(parts) for parts in zip(*sums, strict=True))  # (groups, 1), (groups, genes), ...
    n, y_1, y_2, inverse = (np.where(n > 0, part, part.sum(axis=0)) for part in (n, y_1, y_2, inverse))
    mean = y_1 / n
    excess = (y_2 / n - mean**2 - mean * inverse / n).clip(0)
    own = np.divide(excess, mean**2, out=np.zeros_like(mean), where=mean > 0)  # values of 1 / theta
    pairs = n * (mean * n / inverse) ** 2
    well_known = np.where(pairs >= np.median(pairs, axis=1, keepdims=True), own, np.nan)
    typical = np.nanmedian(well_known, axis=1, keepdims=True)
    shrunk = (pairs * own + PRIOR_PAIRS * typical) / (pairs + PRIOR_PAIRS)
    return (1 / shrunk.clip(1 / LARGEST_THETA, 1 / SMALLEST_THETA)).T


def library_prior_of(data: CountData, by_batch: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the log total counts of the cells of each batch, (1, n_batch or 1) each.

    Raises
    ------
    ValueError
        If a batch has fewer than two cells, or cells of one and the same total.
    """
    if not by_batch:
        data = data.without_batches()
    n_cells, mean, var = np.bincount(data.batch_index, minlength=data.n_batches), data.library_mean, data.library_var
    n_cells, mean, var = pooled_moments(n_cells, mean, np.where(var > LIBRARY_VAR_FLOOR, var, 0.0))
    advice = "Use library='observed'"
    for batch in range(data.n_batches):
        name = f"Batch {str(data.batch_names[batch])!r}" if by_batch else "The data"
        if n_cells[batch] < 2:
            raise ValueError(
                f"{name} has {n_cells[batch]} training cell(s), and a latent library needs the spread of at least 2. "
                f"{advice}, or leave the batch out."
            )
        if var[batch] <= LIBRARY_VAR_FLOOR:
            raise ValueError(
                f"{name} has cells that all have the same total count, so a latent library has nothing to learn. "
                f"{advice}; if the counts were normalised or downsampled to one total, take the raw ones."
            )
    return mean[None], var[None]
