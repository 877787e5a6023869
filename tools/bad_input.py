"""Write docs/bad-input.md: what is said of files that cannot be used. Run: python tools/bad_input.py.

The messages are those that `load_counts` raises for the files that are made here; a test compares the page with them.
"""

import gzip
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np

from vae_course.cli import as_options
from vae_course.files import load_counts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bad-input.md"
START = """# Files that cannot be used

What `load_counts` says, and `vae-course train` with it, of files that are no counts. Options are named as one types
them in the command; in Python `--layer counts` is `layer='counts'`, `--raw` is `raw=True`.
`python tools/bad_input.py` writes this page from the messages themselves.

| what comes | what is said |
|---|---|
"""
COUNTS = np.random.default_rng(0).poisson(3, (20, 30)) + 1
LOG = np.log1p(COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4)


def written(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content)


def adata(matrix: Any, raw: Any = None, **layers: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        one = anndata.AnnData(matrix, layers=layers)
        one.raw = None if raw is None else anndata.AnnData(raw)
        one.obs["donor"] = ["one"] + ["other"] * (len(matrix) - 1)
        one.write_h5ad(path)

    return write


def hdf5(*groups: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for group in groups:
                file.create_group(group)

    return write


def truncated(path: Path) -> None:
    adata(COUNTS)(path)
    path.write_bytes(path.read_bytes()[:10_000])


def named(corner: str, rows: str, columns: str) -> Callable[[Path], None]:
    lines = [[corner, *(f"{columns}{i}" for i in range(3))], *([f"{rows}{i}", "1", "2", "3"] for i in range(2))]
    return written("\n".join(map(",".join, lines)).encode())


# what comes, the name of the file, what writes it, arguments of load_counts
CASES: list[tuple[str, str, Callable[[Path], Any], dict[str, Any]]] = [
    ("nothing", "cells.h5ad", lambda path: None, {}),
    ("an empty file", "cells.h5ad", written(b""), {}),
    ("an image", "cells.h5ad", written(b"\x89PNG\r\n\x1a\n"), {}),
    ("a saved web page", "cells.h5ad", written(b"<!DOCTYPE html><html>"), {}),
    ("a pointer of Git LFS", "cells.h5ad", written(b"version https://git-lfs.github.com/spec/v1\n"), {}),
    ("R's .rds", "cells.rds", written(gzip.compress(b"X\n\0\0\0\3")), {}),
    ("an Excel workbook", "counts.xlsx", written(b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml"), {}),
    ("a packed .h5ad", "cells.h5ad.gz", written(gzip.compress(b"\x89HDF\r\n\x1a\n")), {}),
    ("a part of an .h5ad", "cells.h5ad", truncated, {}),
    ("an h5Seurat file", "cells.h5", hdf5("assays", "cell.names"), {}),
    ("MuData", "cells.h5mu", hdf5("mod", "obs", "var"), {}),
    ("another HDF5 file", "model.h5", hdf5("weights"), {}),
    ("a 10x .h5 without names", "filtered_feature_bc_matrix.h5", hdf5("matrix/data", "matrix/indices"), {}),
    ("a folder without a matrix", "outs", Path.mkdir, {}),
    ("a table of unclear direction", "counts.csv", named("", "a", "b"), {}),
    ("a table with text", "counts.csv", written(b"gene,chromosome,c1\nA,chr1,3\nB,chr2,4\n"), {}),
    ("log-normalised X, counts in raw", "cells.h5ad", adata(LOG, raw=COUNTS), {}),
    ("log-normalised X, counts in a layer", "cells.h5ad", adata(LOG, counts=COUNTS), {}),
    ("fractional estimates", "cells.h5ad", adata(COUNTS * np.linspace(0.8, 1, 30)), {}),
    ("centred values", "cells.h5ad", adata(LOG - LOG.mean(axis=0)), {}),
    ("a cell without counts", "cells.h5ad", adata(np.vstack([COUNTS, 0 * COUNTS[:1]])), {}),
    ("a layer that there is not", "cells.h5ad", adata(COUNTS, umi=COUNTS), {"layer": "counts"}),
    ("a batch of one cell", "cells.h5ad", adata(COUNTS), {"batch_key": "donor", "n_top_genes": 5}),
]


def message(name: str, write: Callable[[Path], Any], arguments: dict[str, Any]) -> str:
    """Return what the command says of a file, without the folder that it is in."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(Path(folder) / name)
        try:
            load_counts(Path(folder) / name, **arguments)
        except (ValueError, OSError, ImportError) as error:
            said = as_options(str(error)).replace(f"{folder}/", "")
            return re.sub(r"of its [\d,]+ bytes", "of its 24,048 bytes", said)  # whatever anndata makes of it
    raise AssertionError(f"{name} was read")


def page() -> str:
    """Return the page."""
    return START + "".join(f"| {what} (`{name}`) | {message(name, *rest)} |\n" for what, name, *rest in CASES)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
