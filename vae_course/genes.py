"""The choice of the most variable genes: scanpy's, with what makes it fail looked for beforehand."""

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from vae_course.runtime.seeds import same_threads

if TYPE_CHECKING:
    from anndata import AnnData

    from vae_course.data import CountData

FLAVORS = ["seurat_v3", "seurat", "cell_ranger"]
FEWEST_POINTS = 4  # a parabola has 3 coefficients


def most_variable(
    data: "CountData", n_top_genes: int, by_batch: bool, flavor: str = "seurat_v3", span: float = 0.3
) -> np.ndarray:
    """Return which genes are the most variable ones, boolean, (genes,).

    Parameters
    ----------
    data
        The counts.
    n_top_genes
        How many genes to choose.
    by_batch
        Choose them in each batch, and of these the ones that most batches share.
    flavor
        "seurat_v3" (Stuart et al. 2019): variance of the counts against a trend, fitted by loess. "seurat" (Satija et
        al. 2015) and "cell_ranger" (Zheng et al. 2017): dispersion of values that are normalised to 10,000 counts a
        cell and log-transformed, against other genes of the same mean.
    span
        Share of the genes, 0 to 1, that each point of the loess trend takes into account; of "seurat_v3" alone.

    Raises
    ------
    ValueError
        For more genes than there are, an unknown flavor, a span outside of 0..1, and for batches with too few cells or
        counts to choose genes.
    ImportError
        If scikit-misc, which "seurat_v3" needs, is not installed.
    """
    import scanpy as sc

    if not 1 <= n_top_genes <= data.n_genes:
        raise ValueError(f"n_top_genes: expected 1 to {data.n_genes} (the genes there are), got {n_top_genes}.")
    if flavor not in FLAVORS:
        raise ValueError(f"gene_flavor has to be one of {', '.join(map(repr, FLAVORS))}, got {flavor!r}.")
    if not 0 < span <= 1:
        raise ValueError(f"gene_span is a share of the genes: expected more than 0 and at most 1, got {span!r}.")
    _check_batches(data, by_batch, span if flavor == "seurat_v3" else None)
    adata, batch_key = _as_anndata(data, flavor), "batch" if by_batch else None
    try:
        with same_threads():
            ranked = sc.pp.highly_variable_genes(
                adata, flavor=flavor, n_top_genes=n_top_genes, batch_key=batch_key, span=span, inplace=False
            )
    except ValueError as error:  # of pandas, about bins of genes with the same mean
        raise ValueError(_failed(f"gene_flavor={flavor!r}", f"fails ({error})", by_batch)) from error
    chosen = ranked["highly_variable"].to_numpy()
    if chosen.sum() != n_top_genes:
        raise ValueError(
            f"gene_flavor={flavor!r} can rank {chosen.sum()} genes only, the rest do not vary: choose at most as many, "
            f"got n_top_genes={n_top_genes}."
        )
    return chosen


def _as_anndata(data: "CountData", flavor: str) -> "AnnData":
    """Return the counts, or what the flavor needs instead of them, with the batches."""
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    obs = pd.DataFrame({"batch": data.batch_names[data.batch_index]}, index=np.arange(data.n_cells).astype(str))
    adata = AnnData(data.counts if flavor == "seurat_v3" else data.counts.copy(), obs=obs.astype("category"))
    if flavor != "seurat_v3":
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    return adata


def _check_batches(data: "CountData", by_batch: bool, span: float | None) -> None:
    """Refuse batches in which variances, or the trend of `span`, cannot be estimated; scanpy would raise, or crash."""
    for b in range(data.n_batches) if by_batch else [None]:
        counts = data.counts if b is None else data.counts[data.batch_index == b]
        where = "The whole data" if b is None else f"Batch {str(data.batch_names[b])!r}"
        if counts.shape[0] < 2:
            raise ValueError(_failed(where, f"has {counts.shape[0]} cell(s) and needs at least 2", by_batch, False))
        if span is not None and (reason := _why_no_trend(counts, span)):
            raise ValueError(_failed(where, reason, by_batch))


def _why_no_trend(counts: sp.csr_matrix, span: float) -> str:
    """Fit the trend that scanpy fits; return why that is impossible, empty if it is not.

    With no point in a neighbourhood, scikit-misc's loess does not raise: it crashes the process.
    """
    try:
        from skmisc.loess import loess
    except ImportError as error:
        raise ImportError(
            "Choosing genes by gene_flavor='seurat_v3' needs scikit-misc: pip install 'vae-course[genes]'."
        ) from error

    n_cells, n_genes = counts.shape
    sums = np.bincount(counts.indices, counts.data, minlength=n_genes)
    squares = np.bincount(counts.indices, counts.data.astype(np.float64) ** 2, minlength=n_genes)
    mean, var = sums / n_cells, (n_cells * squares - sums**2) / (n_cells * (n_cells - 1))
    varied = var > 0
    in_reach = int(varied.sum() * span)
    if in_reach < FEWEST_POINTS:
        return (
            f"has {varied.sum()} genes that vary, and a trend through {in_reach} of them at a time (gene_span={span}) "
            f"needs at least {FEWEST_POINTS}"
        )
    try:
        loess(np.log10(mean[varied]), np.log10(var[varied]), span=span, degree=2).fit()
    except ValueError:  # of LAPACK and of the original in C, which no user can understand
        return "has too few counts to fit a trend of the variance: too many of its genes have the same mean"
    return ""


def _failed(where: str, reason: str, by_batch: bool, by_trend: bool = True) -> str:
    """Return the sentence that says why genes cannot be chosen, and what to do."""
    ways = ["choose them over all cells (genes_by_batch=False)", "merge small batches"] if by_batch else []
    ways += ["give a larger gene_span", "take gene_flavor='seurat'"] if by_trend else []
    ways += ["keep all genes (without n_top_genes)"]
    advice = f"{', '.join(ways[:-1])} or {ways[-1]}" if len(ways) > 1 else ways[0]
    return f"{where} {reason}, so genes cannot be chosen: {advice}."
