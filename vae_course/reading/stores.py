"""Cells in HDF5 and zarr: .h5ad, .zarr and .loom; counts of the first two stay in the file until they are sliced."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scipy.sparse as sp

from vae_course.reading.unreadable import beginning, existing, unexpected, unknown_hdf5, unreadable
from vae_course.validation import native_type

if TYPE_CHECKING:
    from anndata import AnnData

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
CELL_NAMES = ("CellID", "obs_names", "cell_names", "cell_id", "barcode", "barcodes")  # of a .loom file
GENE_NAMES = ("Gene", "var_names", "gene_names", "gene_name", "gene", "Accession")


def is_hdf5(path: Path) -> bool:
    """Whether a file begins like HDF5, be it complete or not."""
    return beginning(path).startswith(HDF5_SIGNATURE)


def is_zarr(path: Path) -> bool:
    """Whether a folder is the root of a zarr store."""
    return any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json"))


@contextmanager
def _hdf5(path: Path, kind: str) -> Iterator[Any]:
    """Open an HDF5 file to read it; what goes wrong until it is closed is told as what is wrong with the file."""
    import h5py

    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  it registers more compressions
    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, LookupError, RuntimeError) as error:
        raise unreadable(path, error, kind) from error


def hdf5_kind(path: Path) -> str:
    """Return "h5ad", "loom" or "10x .h5" by what an HDF5 file holds.

    Raises
    ------
    ValueError
        If it cannot be opened, or holds no cells.
    """
    with _hdf5(path, "HDF5") as file:
        names = list(file)
        if "obs" in file and "var" in file and "mod" not in file:
            return "h5ad"
        if "row_attrs" in file and "col_attrs" in file:
            return "loom"
        if "matrix" in file or any("barcodes" in file[name] for name in names if hasattr(file[name], "keys")):
            return "10x .h5"
    raise unknown_hdf5(path, names)


@contextmanager
def open_h5ad(path: str | Path) -> Iterator["AnnData"]:
    """Open an .h5ad file: `obs` and `var` are read, X, the layers and raw stay in the file, the rest is left out.

    Files that anndata wrote before version 0.7 are read whole.

    Raises
    ------
    FileNotFoundError, PermissionError
        If there is no such file, or it may not be read.
    ValueError
        If it is not a readable .h5ad, which may turn out only when its counts are read.
    ImportError
        If it is compressed in a way that needs hdf5plugin.
    """
    path = existing(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and an .h5ad file was expected: load_counts reads 10x and zarr folders.")
    if not is_hdf5(path):
        raise unexpected(path, "an .h5ad file")
    kind = hdf5_kind(path)
    if kind != "h5ad":
        raise ValueError(f"{path} is a {kind} file, and an .h5ad file was expected: load_counts reads it.")
    with _hdf5(path, ".h5ad") as file:
        yield read_h5ad(path) if is_old_h5ad(file) else _as_anndata(path, file)


@contextmanager
def open_zarr(path: Path) -> Iterator["AnnData"]:
    """Open a .zarr folder that anndata has written, as `open_h5ad` opens files."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError(f"Reading {path} needs zarr: pip install zarr.") from error
    try:
        store = zarr.open(str(path), mode="r")
        names = list(store)
        adata = _as_anndata(path, store) if "obs" in names and "var" in names else None
    except Exception as error:  # zarr and anndata raise many kinds
        raise unreadable(path, error, ".zarr") from error
    if adata is None:
        raise ValueError(
            f"{path}: a zarr store with X, obs and var was expected, and this one holds "
            f"{', '.join(map(repr, sorted(names))) or 'nothing'}: write it with anndata's write_zarr."
        )
    try:
        yield adata
    except (OSError, LookupError, RuntimeError) as error:
        raise unreadable(path, error, ".zarr") from error


def _as_anndata(path: Path, store: Any) -> "AnnData":
    """Return the cells in an open store, with matrices that are read when they are sliced."""
    from anndata import AnnData
    from anndata.io import read_elem

    try:
        return AnnData(
            _matrix(store["X"]) if "X" in store else None,
            obs=read_elem(store["obs"]),
            var=read_elem(store["var"]),
            layers={name: _matrix(store["layers"][name]) for name in store.get("layers", ())},
            raw={"X": _matrix(store["raw"]["X"]), "var": read_elem(store["raw"]["var"])} if _has_raw(store) else None,
        )
    except Exception as error:  # anndata raises many kinds; each means that the file is not what it should be
        raise unreadable(path, error, path.suffix) from error


def _has_raw(store: Any) -> bool:
    return "raw" in store and hasattr(store["raw"], "keys") and "X" in store["raw"] and "var" in store["raw"]


def _matrix(stored: Any) -> Any:
    """Return a stored matrix to be read in slices; a sparse one of a type that scipy lacks is read whole."""
    from anndata.io import sparse_dataset

    if not hasattr(stored, "keys"):
        return stored
    if all(stored[name].dtype == native_type(stored[name].dtype) for name in ("data", "indices", "indptr")):
        return sparse_dataset(stored)
    arrays = [stored[name][:] for name in ("data", "indices", "indptr")]
    kind = sp.csc_matrix if "csc" in stored.attrs["encoding-type"] else sp.csr_matrix
    return kind(tuple(a.astype(native_type(a.dtype)) for a in arrays), shape=tuple(stored.attrs["shape"]))


def read_h5ad(path: str | Path) -> "AnnData":
    """Read a whole .h5ad file into memory, or say in one sentence why that cannot be done."""
    import anndata

    path = existing(path)
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise many kinds; each means that the file is not what it should be
        raise unreadable(path, error) from error


def is_old_h5ad(file: Any) -> bool:
    """Whether anndata before version 0.7 wrote an open .h5ad file: `obs` is a single HDF5 data set then."""
    return hasattr(file["obs"], "dtype") or "raw.X" in file


def read_loom(path: Path) -> tuple["AnnData", list[str]]:
    """Read a .loom file; X is its main matrix.

    Returns
    -------
    adata
        Cells x genes.
    notes
        Sentences on what was made up.
    """
    from anndata.io import read_loom as read_whole

    try:
        import loompy  # noqa: F401
    except ImportError as error:
        raise ImportError(f"Reading {path} needs loompy: pip install loompy.") from error
    with _hdf5(path, ".loom") as file:
        cells = next((name for name in CELL_NAMES if name in file["col_attrs"]), "CellID")
        genes = next((name for name in GENE_NAMES if name in file["row_attrs"]), "Gene")
        named = cells in file["col_attrs"] and genes in file["row_attrs"]
        if not (len(file["col_attrs"]) and len(file["row_attrs"])):
            raise ValueError(f"{path} names neither cells nor genes: write it again with CellID and Gene.")
    try:
        adata = read_whole(path, X_name="", obs_names=cells, var_names=genes, dtype="float64")
    except Exception as error:  # loompy and anndata raise many kinds
        raise unreadable(path, error, ".loom") from error
    notes = [] if named else [f"{path} lacks names of cells (CellID) or genes (Gene): they are numbered."]
    return adata, notes
