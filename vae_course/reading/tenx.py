"""Counts as 10x Genomics' Cell Ranger writes them: a folder with three files, or an .h5 file."""

import csv
import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from vae_course.reading.unreadable import EXPECTED, beginning, unreadable
from vae_course.validation import native_type

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

GENES = "Gene Expression"
MATRICES = ("matrix.mtx", "matrix.mtx.gz")


def is_matrix(path: Path) -> bool:
    """Whether a file is named like the matrix in a 10x folder; a prefix, as GEO gives, is fine."""
    return path.name.endswith(MATRICES)


def read_folder(path: Path) -> tuple["AnnData", list[str]]:
    """Read the folder, or the matrix in it, with the files of genes and barcodes beside it, packed or not.

    scanpy's `read_10x_mtx` takes only folders whose files are all named and packed as one version of Cell Ranger does.

    Returns
    -------
    adata
        Cells x genes, which are named by symbols.
    notes
        Sentences on what was left out.
    """
    from anndata import AnnData
    from scipy.io import mmread

    matrix = _matrix_in(path) if path.is_dir() else path
    prefix = matrix.name[: matrix.name.rindex("matrix.mtx")]
    genes = _table(_beside(matrix, prefix, ("features.tsv", "genes.tsv")))
    barcodes = _table(_beside(matrix, prefix, ("barcodes.tsv",)))
    packed = beginning(matrix).startswith(b"\x1f\x8b")
    try:
        with gzip.open(matrix) if packed else matrix.open("rb") as file:
            counts = mmread(file)
    except Exception as error:  # scipy raises many kinds; each means that the file is not what it should be
        raise unreadable(matrix, error, "a Matrix Market file") from error
    if counts.shape == (len(genes), len(barcodes)):
        counts = counts.T
    elif counts.shape != (len(barcodes), len(genes)):
        raise ValueError(
            f"{matrix} has {counts.shape[0]} rows and {counts.shape[1]} columns, and the files beside it name "
            f"{len(genes)} genes and {len(barcodes)} cells: give the three files of one run, complete."
        )
    adata = AnnData(sp.csr_matrix(counts))
    adata.obs_names = barcodes[0].to_numpy()
    adata.var_names = genes[min(1, genes.shape[1] - 1)].to_numpy()
    adata.var["gene_ids"] = genes[0].to_numpy()
    if genes.shape[1] > 2:
        adata.var["feature_types"] = genes[2].to_numpy()
    return _genes_only(adata, path)


def _matrix_in(folder: Path) -> Path:
    found = sorted(file for file in folder.iterdir() if is_matrix(file))
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"{folder} holds {len(found)} matrices, and one was expected: give the one you mean, for example "
            f"{found[0]}, or several of them."
        )
    below = sorted({file.parent for pattern in ("*/matrix.mtx*", "*/*/matrix.mtx*") for file in folder.glob(pattern)})
    advice = f"give {below[0]}" if below else "give the folder that Cell Ranger calls filtered_feature_bc_matrix"
    raise ValueError(f"{folder} is a folder without matrix.mtx, and {EXPECTED} was expected: {advice}.")


def _beside(matrix: Path, prefix: str, names: tuple[str, ...]) -> Path:
    wanted = [matrix.with_name(f"{prefix}{name}{packed}") for name in names for packed in (".gz", "")]
    found = [path for path in wanted if path.is_file()]
    if not found:
        listed = " or ".join(f"{prefix}{name}" for name in names)
        raise ValueError(f"{matrix} needs {listed} (or .gz) in the same folder: copy it there.")
    return found[0]


def _table(path: Path) -> "pd.DataFrame":
    """Return a table of names; a gene that is called nan or has a quotation mark keeps its name."""
    import pandas as pd

    try:
        packed = "gzip" if beginning(path).startswith(b"\x1f\x8b") else None
        options = {"sep": "\t", "header": None, "dtype": str, "keep_default_na": False, "quoting": csv.QUOTE_NONE}
        return pd.read_csv(path, compression=packed, **options)
    except Exception as error:  # pandas and gzip raise many kinds
        raise unreadable(path, error, "a table of names") from error


def read_h5(path: Path) -> tuple["AnnData", list[str]]:
    """Read an .h5 file of Cell Ranger with scanpy; returns what `read_folder` does."""
    import h5py
    import scanpy as sc

    with h5py.File(path) as file:
        held = set(file["matrix"]) if "matrix" in file else None
        genomes = sorted(file) if held is None else []  # as Cell Ranger 2 wrote it
    missing = {"barcodes", "features", "data", "indices", "indptr", "shape"} - held if held is not None else ()
    if missing:
        raise ValueError(
            f"{path}: a 10x .h5 file was expected, and its matrix lacks {', '.join(sorted(missing))}: download it "
            "again, or give the folder filtered_feature_bc_matrix instead."
        )
    if len(genomes) > 1:
        raise ValueError(
            f"{path} holds the counts of {len(genomes)} genomes, {', '.join(genomes)}, and one was expected: write the "
            f"one you mean with scanpy.read_10x_h5(file, genome={genomes[0]!r}).write_h5ad(...)."
        )
    try:
        adata = sc.read_10x_h5(path, gex_only=False)
        parts = (part.astype(native_type(part.dtype)) for part in (adata.X.data, adata.X.indices, adata.X.indptr))
        adata.X = sp.csr_matrix(tuple(parts), shape=adata.shape)
    except Exception as error:  # scanpy raises plain Exceptions too
        raise unreadable(path, error, "a 10x .h5 file") from error
    return _genes_only(adata, path)


def _genes_only(adata: "AnnData", path: Path) -> tuple["AnnData", list[str]]:
    """Leave out antibodies, guides and the like."""
    notes = []
    if "feature_types" in adata.var:
        types = adata.var["feature_types"].to_numpy().astype(str)
        others = types != GENES
        if others.all():
            raise ValueError(
                f"{path} holds {', '.join(np.unique(types))} and no {GENES}, which was expected: give the file of the "
                "RNA counts."
            )
        if others.any():
            names = ", ".join(np.unique(types[others]))
            notes.append(f"{path}: genes only are read; {others.sum()} features are left out ({names}).")
            adata = adata[:, ~others].copy()
    return adata, notes
