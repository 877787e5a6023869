"""Cells from files of the formats of the field, as AnnData; one file for each kind of format.

HDF5 files are told apart by what they hold and not by their names.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vae_course.reading import tenx
from vae_course.reading.stores import hdf5_kind, is_hdf5, is_zarr, open_h5ad, open_zarr, read_loom
from vae_course.reading.tables import is_table, read_table
from vae_course.reading.unreadable import existing, unexpected
from vae_course.runtime.processes import tell as tell_all

if TYPE_CHECKING:
    from anndata import AnnData


@contextmanager
def open_cells(
    path: str | Path,
    genes_are: str | None = None,
    tell: Callable[[str], None] = tell_all,
    unique: bool = True,
) -> Iterator["AnnData"]:
    """Open cells of whatever format: .h5ad and .zarr as `open_h5ad` does, other formats are read whole.

    Parameters
    ----------
    path
        An .h5ad, 10x .h5, .loom, .zarr, .csv, .tsv or .txt file, or a 10x folder.
    genes_are
        Of a text table: "rows" or "columns"; judged by the names if None.
    tell
        Called with each sentence on what was judged or left out.
    unique
        Make names of genes unique as scanpy does ("A", "A-1"); those of .h5ad and .zarr are left as they are.

    Raises
    ------
    FileNotFoundError, PermissionError
        If there is no such file, or it may not be read.
    ValueError
        If it is of no such format or cannot be read; the message says what it is.
    ImportError
        If a package that reads it is not installed.
    """
    if genes_are not in (None, "rows", "columns"):
        raise ValueError(f"genes_are has to be 'rows' or 'columns', got {genes_are!r}.")
    path = existing(path)
    kind = format_of(path)
    if kind in ("h5ad", "zarr"):
        with (open_h5ad if kind == "h5ad" else open_zarr)(path) as adata:
            yield adata
        return
    read = {
        "10x folder": tenx.read_folder,
        "10x .h5": tenx.read_h5,
        "loom": read_loom,
        "table": lambda path: read_table(path, genes_are),
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(Variable|Observation) names are not unique")
        adata, notes = read[kind](path)
    for note in notes:
        tell(note)
    if unique:
        adata.var_names_make_unique()
    yield adata


def format_of(path: Path) -> str:
    """Return "h5ad", "zarr", "loom", "10x .h5", "10x folder" or "table".

    Raises
    ------
    ValueError
        For any other file.
    """
    if path.is_dir():
        return "zarr" if is_zarr(path) else "10x folder"
    if is_hdf5(path):
        return hdf5_kind(path)
    if tenx.is_matrix(path):
        return "10x folder"
    if is_table(path):
        return "table"
    raise unexpected(path, f"an {path.suffix} file") if path.suffix in (".h5ad", ".h5") else unexpected(path)
