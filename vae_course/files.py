"""Counts from files, read a portion of cells at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_course.data import CountData
from vae_course.runtime.seeds import same_threads

if TYPE_CHECKING:
    from anndata import AnnData


def load_h5ad(
    path: str | Path,
    layer: str | None = None,
    batch_key: str | None = None,
    label_key: str | None = None,
    n_top_genes: int | None = None,
    shard: tuple[int, int] | None = None,
    categorical_covariate_keys: Sequence[str] = (),
    continuous_covariate_keys: Sequence[str] = (),
) -> CountData:
    """Load counts from an .h5ad file, a portion of cells at a time; nothing else of the file is kept.

    A matrix that the file holds dense becomes sparse a portion at a time. One that it holds by columns (CSC) is read
    whole, as sparse as it is.

    Parameters
    ----------
    path
        The file.
    layer, batch_key, label_key
        As in `CountData.from_anndata`.
    n_top_genes
        Keep this many most variable genes, variable on the counts by scanpy's `seurat_v3`; all genes if None. Cells
        without counts in them are refused.
    shard
        As in `CountData.from_anndata`: load only a part of the cells, for example one part in each of several
        processes.
    categorical_covariate_keys, continuous_covariate_keys
        As in `CountData.from_anndata`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a readable .h5ad, if there are not that many genes, for n_top_genes together with a shard,
        and for what `CountData.from_anndata` refuses.
    ImportError
        If scikit-misc, which scanpy needs to choose genes, is not installed.
    """
    if n_top_genes is not None and shard is not None:
        raise ValueError(
            f"n_top_genes={n_top_genes} needs all cells and shard={shard} reads a part of them: "
            "choose the genes beforehand and write them to a file of their own."
        )
    with open_h5ad(path) as adata:
        data = CountData.from_anndata(
            adata,
            layer=layer,
            batch_key=batch_key,
            label_key=label_key,
            shard=shard,
            categorical_covariate_keys=categorical_covariate_keys,
            continuous_covariate_keys=continuous_covariate_keys,
        )
    if n_top_genes is None:
        return data
    variable = _most_variable(data, n_top_genes, by_batch=batch_key is not None)
    return data.replaced(counts=data.counts[:, variable], gene_names=data.gene_names[variable])


def read_h5ad(path: str | Path) -> "AnnData":
    """Read a whole .h5ad file into memory, or say in one sentence why that cannot be done."""
    import anndata

    path = _existing_file(path)
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise many kinds; each means that the file is not what it should be
        raise _damaged(path, error) from error


@contextmanager
def open_h5ad(path: str | Path) -> Iterator["AnnData"]:
    """Open an .h5ad file: `obs` and `var` are read, X and the layers stay in the file, the rest is left out.

    Files that anndata wrote before version 0.7 are read whole.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a readable .h5ad, which may turn out only when its counts are read.
    """
    import h5py
    from anndata import AnnData
    from anndata.io import read_elem, sparse_dataset

    def in_file(stored: Any) -> Any:
        return sparse_dataset(stored) if isinstance(stored, h5py.Group) else stored

    path = _existing_file(path)
    try:
        file = h5py.File(path)
    except Exception as error:
        raise _damaged(path, error) from error
    with file:
        try:
            if is_old_h5ad(file):
                adata = read_h5ad(path)
            else:
                layers = {name: in_file(stored) for name, stored in file.get("layers", {}).items()}
                counts = in_file(file["X"]) if "X" in file else None
                adata = AnnData(counts, obs=read_elem(file["obs"]), var=read_elem(file["var"]), layers=layers)
        except Exception as error:
            raise _damaged(path, error) from error
        try:
            yield adata
        except (OSError, LookupError, RuntimeError) as error:
            raise _damaged(path, error) from error


def is_old_h5ad(file: Any) -> bool:
    """Whether anndata before version 0.7 wrote an open .h5ad file: `obs` is a single HDF5 data set then."""
    return hasattr(file["obs"], "dtype")


def _existing_file(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise ValueError(f"{path} is a folder; an .h5ad file was expected.")
    return path


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} cannot be read as .h5ad: it is damaged, incomplete or of another format "
        f"({type(error).__name__}). Open it with anndata.read_h5ad to see more."
    )


def _most_variable(data: CountData, n_top_genes: int, by_batch: bool) -> np.ndarray:
    """Return which genes are the most variable ones by scanpy's `seurat_v3`, boolean, (genes,)."""
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    if not 1 <= n_top_genes <= data.n_genes:
        raise ValueError(f"n_top_genes: expected 1 to {data.n_genes} (the genes there are), got {n_top_genes}.")
    obs = pd.DataFrame({"batch": data.batch_index.astype(str)}, index=np.arange(data.n_cells).astype(str))
    batch_key = "batch" if by_batch else None
    try:
        with same_threads():
            ranked = sc.pp.highly_variable_genes(
                AnnData(data.counts, obs=obs),
                flavor="seurat_v3",
                n_top_genes=n_top_genes,
                batch_key=batch_key,
                inplace=False,
            )
    except ImportError as error:
        raise ImportError("Choosing genes needs scikit-misc: pip install 'vae-course[genes]'.") from error
    return ranked["highly_variable"].to_numpy()
