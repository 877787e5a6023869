"""Counts from files of the user: one file or several, of any format of the field."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vae_course.data import CountData
from vae_course.genes import most_variable
from vae_course.reading import open_cells
from vae_course.reading.several import joined, names_of
from vae_course.reading.stores import open_h5ad
from vae_course.runtime.processes import tell

if TYPE_CHECKING:
    from anndata import AnnData

Paths = str | Path | Sequence[str | Path]


def load_counts(
    path: Paths,
    *,
    layer: str | None = None,
    raw: bool = False,
    round: bool = False,  # noqa: A002
    batch_key: str | None = None,
    label_key: str | None = None,
    n_top_genes: int | None = None,
    gene_flavor: str = "seurat_v3",
    gene_span: float = 0.3,
    genes_by_batch: bool = True,
    genes_are: str | None = None,
    shard: tuple[int, int] | None = None,
    categorical_covariate_keys: Sequence[str] = (),
    continuous_covariate_keys: Sequence[str] = (),
) -> CountData:
    """Load counts from a file of any format of the field, or from several files.

    .h5ad and .zarr are read a portion of cells at a time, and nothing but the counts is kept. Other formats, and a
    matrix stored by columns (CSC), are read whole. What is judged, left out or rounded is printed.

    Parameters
    ----------
    path
        An .h5ad, 10x .h5, .loom, .zarr, .csv, .tsv or .txt file (.gz too), or a 10x folder (matrix.mtx, barcodes,
        features; or the matrix in it). Several paths are read as batches, named by the files: genes that all of them
        have are kept, matched by name.
    layer, raw, round
        As in `CountData.from_anndata`.
    batch_key, label_key
        As in `CountData.from_anndata`. For several paths, a batch_key takes the place of the files.
    n_top_genes
        Keep this many most variable genes; all genes if None. Cells without counts in them are refused.
    gene_flavor, gene_span
        How to choose them: see `genes.most_variable`.
    genes_by_batch
        Choose them in each batch, if there are batches; else over all cells.
    genes_are
        Of a text table: "rows" or "columns"; judged by the names if None.
    shard
        As in `CountData.from_anndata`: load only a part of the cells, for example one part in each of several
        processes.
    categorical_covariate_keys, continuous_covariate_keys
        As in `CountData.from_anndata`.

    Raises
    ------
    FileNotFoundError, PermissionError
        If there is no such file, or it may not be read.
    ValueError
        If it is not a readable file of these formats (the message says what it is), if several files have no gene in
        common, if genes cannot be chosen, for n_top_genes together with a shard, and for what
        `CountData.from_anndata` refuses.
    ImportError
        If a package is not installed that the file or the choice of genes needs; the message names it.
    """
    if n_top_genes is not None and shard is not None:
        raise ValueError(
            f"n_top_genes={n_top_genes} needs all cells and shard={shard} reads a part of them: "
            "choose the genes beforehand and write them to a file of their own."
        )
    keys = {
        "label_key": label_key,
        "shard": shard,
        "categorical_covariate_keys": categorical_covariate_keys,
        "continuous_covariate_keys": continuous_covariate_keys,
    }
    if is_one(path):
        with open_cells(path, genes_are) as adata:
            data = CountData.from_anndata(adata, layer, batch_key, raw=raw, round=round, **keys)
    else:
        adata = _joined(path, genes_are, lambda adata: _counts_only(adata, layer, raw, round))
        data = CountData.from_anndata(adata, batch_key=batch_key or "file", **keys)
    if n_top_genes is None:
        return data
    by_batch = genes_by_batch and (batch_key is not None or not is_one(path))
    variable = most_variable(data, n_top_genes, by_batch, gene_flavor, gene_span)
    return data.replaced(counts=data.counts[:, variable], gene_names=data.gene_names[variable])


def load_h5ad(
    path: str | Path,
    layer: str | None = None,
    batch_key: str | None = None,
    label_key: str | None = None,
    n_top_genes: int | None = None,
    shard: tuple[int, int] | None = None,
    *,
    raw: bool = False,
    round: bool = False,  # noqa: A002
    gene_flavor: str = "seurat_v3",
    gene_span: float = 0.3,
    genes_by_batch: bool = True,
    categorical_covariate_keys: Sequence[str] = (),
    continuous_covariate_keys: Sequence[str] = (),
) -> CountData:
    """Load counts from an .h5ad file: `load_counts` that refuses other formats."""
    with open_h5ad(path):
        pass
    return load_counts(
        path,
        layer=layer,
        raw=raw,
        round=round,
        batch_key=batch_key,
        label_key=label_key,
        n_top_genes=n_top_genes,
        gene_flavor=gene_flavor,
        gene_span=gene_span,
        genes_by_batch=genes_by_batch,
        shard=shard,
        categorical_covariate_keys=categorical_covariate_keys,
        continuous_covariate_keys=continuous_covariate_keys,
    )


def is_one(path: Paths) -> bool:
    """Whether this is a single path."""
    return isinstance(path, str | Path)


def read_cells(path: Paths, genes_are: str | None = None) -> "AnnData":
    """Read a file, or several, into memory as they are: cells x genes, with layers if they have any.

    Names of cells in one of several files are followed by the name of the file.
    """
    if not is_one(path):
        return _joined(path, genes_are, lambda adata: adata.to_memory(), _nothing)
    with open_cells(path, genes_are, _nothing) as adata:
        return adata.to_memory()


def cell_names(path: Paths, genes_are: str | None = None) -> np.ndarray:
    """Return the names that the cells have in `read_cells`, (cells,)."""
    if not is_one(path):
        return read_cells(path, genes_are).obs_names.to_numpy()
    with open_cells(path, genes_are, _nothing) as adata:
        return adata.obs_names.to_numpy()


def _nothing(_: str) -> None:
    """Tell nothing: all has been told when the counts were loaded."""


def _joined(
    paths: Sequence[str | Path],
    genes_are: str | None,
    take: Callable[["AnnData"], "AnnData"],
    tell: Callable[[str], None] = tell,
) -> "AnnData":
    """Take what is wanted of each file, and join it."""
    parts = {}
    for path, name in zip(paths, names_of(paths), strict=True):
        with open_cells(path, genes_are, tell, unique=False) as adata:
            try:
                parts[name] = take(adata)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
    return joined(parts, tell)


def _counts_only(adata: "AnnData", layer: str | None, raw: bool, round: bool) -> "AnnData":  # noqa: A002
    """Return the checked counts with the names of the genes and the table of cells."""
    import pandas as pd
    from anndata import AnnData

    data = CountData.from_anndata(adata, layer, raw=raw, round=round)
    return AnnData(data.counts, obs=adata.obs, var=pd.DataFrame(index=data.gene_names))
