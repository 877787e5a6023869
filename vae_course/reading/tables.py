"""Tables of counts as text: .csv, .tsv and .txt, packed with gzip or not."""

import csv
import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
import scipy.sparse as sp

from vae_course.reading.unreadable import unexpected, unreadable

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

ENDINGS = (".csv", ".tsv", ".txt", ".tab")
BARCODE = re.compile(r"(.*[_:#.-])?[ACGT]{8,}([_.-].*)?$")
GENE = re.compile(r"(ENS[A-Z]*[GT]\d{6,}(\.\d+)?|MT-\w+|RP[LS]\d+\w*|ACTB|GAPDH|MALAT1|B2M|LYZ|NKG7)$", re.IGNORECASE)
NUMBER = re.compile(r"\d+(\.\d+)?$")
CORNERS = {  # what genes are if this word is in the corner
    **dict.fromkeys(("gene", "genes", "gene_id", "geneid", "gene_name", "gene_symbol", "symbol", "feature"), "rows"),
    **dict.fromkeys(("cell", "cells", "cell_id", "cellid", "cell_name", "barcode", "barcodes"), "columns"),
}


def is_table(path: Path) -> bool:
    """Whether a file is named like a table."""
    return path.name.lower().removesuffix(".gz").endswith(ENDINGS)


def read_table(path: Path, genes_are: str | None) -> tuple["AnnData", list[str]]:
    """Read a table of counts, with the names of genes and cells in its first row and column.

    pandas parses it, since anndata's `read_csv` takes genes for rows of numbers where their names are numbers, and
    keeps all text in memory.

    Parameters
    ----------
    path
        The file. Values are separated by tabs, commas, semicolons or spaces, whichever its first line has.
    genes_are
        "rows" or "columns"; if None, judged by the names.

    Returns
    -------
    adata
        Cells x genes.
    notes
        A sentence on what was judged.

    Raises
    ------
    ValueError
        For a file that is no such table, and if it is not clear which names are the genes'.
    """
    from anndata import AnnData

    corner, columns, table = _parsed(path)
    rows, values, notes = table[0].fillna("").to_numpy(str), table.drop(columns=0), []
    empty = [not name and values.iloc[:, c].isna().all() for c, name in enumerate(columns)]  # lines end with a comma
    columns, values = columns[~np.array(empty, bool)], values.loc[:, ~np.array(empty, bool)]
    _check_numbers(path, columns, values)
    if genes_are is None:
        genes_are = _judged(path, corner, rows, columns)
        other = "columns" if genes_are == "rows" else "rows"
        notes = [f"{path}: {genes_are} are taken for genes and {other} for cells; genes_are={other!r} reverses that."]
    counts = sp.csr_matrix(values.to_numpy())
    adata = AnnData(counts if genes_are == "columns" else counts.T.tocsr())
    cells, genes = (rows, columns) if genes_are == "columns" else (columns, rows)
    adata.obs_names, adata.var_names = cells, genes
    return adata, notes


def _parsed(path: Path) -> tuple[str, np.ndarray, "pd.DataFrame"]:
    """Return the word in the corner, the names of the columns, and the rows, of which column 0 holds the names."""
    import pandas as pd

    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            line = _first_line(file)
            if not line or line.lstrip().startswith("<"):  # a web page
                raise unexpected(path, "a table of counts as text")
            delimiter = max("\t,;", key=line.count)
            delimiter = delimiter if delimiter in line else " "
            header = next(csv.reader([line.strip("\r\n" if delimiter != " " else None)], delimiter=delimiter))
            table = pd.read_csv(
                file,
                sep=r"\s+" if delimiter == " " else delimiter,
                header=None,
                dtype={0: str},
                keep_default_na=False,  # a gene may be called nan
                na_values=[""],
                low_memory=False,
            )
    except UnicodeDecodeError as error:
        raise unexpected(path, "a table of counts as text") from error
    except (OSError, EOFError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise unreadable(path, error, "a table with names in its first row and column") from error
    if len(header) == table.shape[1] - 1:  # R's write.table leaves out the corner
        header.insert(0, "")
    if len(header) != table.shape[1]:
        raise ValueError(
            f"{path}: a first row with as many names as there are columns was expected, and it has {len(header)} for "
            f"{table.shape[1]} columns: write the table again, with commas, semicolons or tabs between values."
        )
    names = np.array(header[1:], str)
    if len(names) > len(set(names)) and all(NUMBER.match(name) for name in names):
        raise ValueError(
            f"{path}: names were expected in the first row, and it holds numbers, such as {names[0]}: write the table "
            "again with its names."
        )
    return header[0], names, table


def _first_line(file: TextIO) -> str:
    """Return the first line that is not empty and no comment; empty at the end of the file."""
    while (line := file.readline()) and (not line.strip() or line.startswith("#")):
        pass
    return line


def _check_numbers(path: Path, columns: np.ndarray, values: "pd.DataFrame") -> None:
    """Refuse columns of text."""
    import pandas as pd

    text = [c for c, dtype in enumerate(values.dtypes) if dtype.kind not in "biuf"]
    if text:
        column = values.iloc[:, text[0]].dropna()
        first = column[pd.to_numeric(column, errors="coerce").isna()].iloc[0]
        names = ", ".join(map(repr, map(str, columns[text[:5]])))
        raise ValueError(
            f"{path}: numbers were expected in all columns but the first, and {len(text)} of them hold text, such as "
            f"{first!r} ({names}): remove these columns, or write numbers as 1234 or 0.5."
        )


def _judged(path: Path, corner: str, rows: np.ndarray, columns: np.ndarray) -> str:
    """Return what genes are, "rows" or "columns", by the word in the corner, by barcodes and by well-known genes."""
    evidence = {CORNERS[corner.lower()]} if corner.lower() in CORNERS else set()
    for names, here, there in ((rows, "rows", "columns"), (columns, "columns", "rows")):
        evidence |= {here} if _share(GENE, names) > 0 else set()
        evidence |= {there} if _share(BARCODE, names) > 0.5 else set()
    if len(evidence) != 1:
        raise ValueError(
            f"{path}: it is not clear from their names whether its {len(rows)} rows or its {len(columns)} columns are "
            "genes: give genes_are='rows' or genes_are='columns'."
        )
    return evidence.pop()


def _share(pattern: re.Pattern, names: Sequence[str]) -> float:
    return float(np.mean([bool(pattern.match(name)) for name in names])) if len(names) else 0.0
