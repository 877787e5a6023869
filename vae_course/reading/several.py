"""Several files of cells read as one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vae_course.reading.unreadable import existing

if TYPE_CHECKING:
    from anndata import AnnData

PACKED = (".gz", ".h5ad", ".h5", ".loom", ".zarr", ".csv", ".tsv", ".txt", ".tab", ".mtx")


def names_of(paths: Sequence[str | Path]) -> list[str]:
    """Return short names for files that differ: of the files, or of the innermost folders in which the paths differ.

    Raises
    ------
    ValueError
        For no files, and for a file that is given twice.
    """
    whole = [existing(path).resolve() for path in paths]
    if not whole:
        raise ValueError("A file of counts was expected, and the list of files is empty: give at least one.")
    twice = [str(path) for path in whole if whole.count(path) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice: give each file once.")
    for depth in range(min(len(path.parts) for path in whole)):
        names = [_without_endings(path.parts[-1 - depth]) for path in whole]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in whole]


def _without_endings(name: str) -> str:
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name


def joined(parts: dict[str, "AnnData"], tell: Callable[[str], None]) -> "AnnData":
    """Put cells of several files one below the other.

    Parameters
    ----------
    parts
        The cells of each file, by the names that the files shall have in `obs["file"]` and after the names of cells.
    tell
        Called with a sentence on the genes that are left out.

    Returns
    -------
    adata
        Cells x genes that all files have, in the order of the first file.

    Raises
    ------
    ValueError
        If the files have no gene in common.
    """
    import anndata

    once = {name: adata[:, ~adata.var_names.duplicated(keep=False)] for name, adata in parts.items()}
    shared = set.intersection(*(set(adata.var_names) for adata in once.values()))
    if not shared:
        examples = " and ".join(f"{name} has {', '.join(parts[name].var_names[:3])}" for name in list(parts)[:2])
        raise ValueError(
            f"Genes with the same names in all {len(parts)} files were expected, and there are none ({examples}): name "
            "genes the same way everywhere, by symbols or by identifiers."
        )
    left_out = {name: adata.n_vars - len(shared) for name, adata in parts.items()}
    if any(left_out.values()):
        listed = ", ".join(f"{number:,} of {name}" for name, number in left_out.items() if number)
        tell(f"{len(shared):,} genes are in all {len(parts)} files, each once; the others are left out: {listed}.")
    return anndata.concat(once, label="file", index_unique="-", join="inner", merge="same")
