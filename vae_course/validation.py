"""What counts and codes have to be: matrices looked at entry by entry, a portion of cells at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from vae_course.nearly_counts import LOOKED_AT, advice_on_fractions, told_moves, why_normalised
from vae_course.runtime.processes import tell

LARGEST_COUNT = 2**24  # the largest range of whole numbers that float32 holds exactly
PORTION = 2**24  # entries of a matrix that are looked at together, zeros among them: 128 MiB as dense float64


class NotCountsError(ValueError):
    """A matrix with entries that are no counts."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a matrix that is in memory or in a file; what is in a file is read as it is sliced.

    The matrix may be NumPy's, scipy's, dask's, or what h5py, zarr and anndata return for a matrix in a file.
    """

    matrix: Any
    cells: range

    def portions(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Go through the rows, as many at a time as make a portion, each time with the position of the first."""
        in_memory = sp.issparse(self.matrix) or isinstance(self.matrix, np.ndarray)
        try:
            matrix = _by_rows(self.matrix)
            n_rows = max(1, PORTION // matrix.shape[1])
            for first in self.cells[::n_rows]:
                portion = _as_csr(matrix[first : min(first + n_rows, self.cells.stop)])
                if not in_memory:
                    portion.check_format()  # what a damaged file says may point outside of the matrix
                yield first, portion
        except ValueError as error:  # of scipy, about arrays that do not fit each other
            if in_memory:
                raise
            raise OSError(f"the counts cannot be read from their file: {error}") from error


def _by_rows(matrix: Any) -> Any:
    """Return the matrix in a form whose rows can be sliced; what is stored by columns has to be read whole."""
    if getattr(matrix, "format", "csr") == "csr":
        return matrix
    return (matrix if sp.issparse(matrix) else matrix.to_memory()).tocsr()


def _as_csr(rows: Any) -> sp.csr_matrix:
    """Return rows as a sparse matrix of a type that scipy computes with: not of 16 bits, not of foreign byte order."""
    if hasattr(rows, "compute"):  # dask's
        rows = rows.compute()
    if not sp.issparse(rows):
        rows = np.asarray(rows)
        rows = rows.astype(native_type(rows.dtype), copy=False)
    return sp.csr_matrix(rows)


def native_type(dtype: np.dtype) -> np.dtype:
    """Return the type in the byte order of this machine, and with at least 32 bits if it is a float."""
    return np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize < 4 else dtype.newbyteorder("=")


BAD_ENTRIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "missing (NaN)": np.isnan,
    "infinite": np.isinf,
    "negative": lambda values: values < 0,
    "fractional": lambda values: values != np.floor(values),
    f"above {LARGEST_COUNT:,}, the largest that float32 holds exactly,": lambda values: values > LARGEST_COUNT,
}


def validated_counts(counts: Any, round: bool = False) -> sp.csr_matrix:  # noqa: A002
    """Look at all entries, a portion of cells at a time; return a float32 copy of the counts.

    Parameters
    ----------
    counts
        Matrix, (cells, genes), or some `Rows` of one.
    round
        Round fractional entries, and print how far they moved.

    Raises
    ------
    NotCountsError
        For entries that are no counts.
    ValueError
        For a matrix of another form, and for a cell without counts.
    """
    if isinstance(counts, Tensor):
        counts = counts.detach().cpu().numpy()
    matrix = counts.matrix if isinstance(counts, Rows) else counts
    if not (hasattr(matrix, "shape") and hasattr(matrix, "dtype")):
        matrix = np.asarray(matrix)
    shape = tuple(matrix.shape)
    if len(shape) != 2:
        raise ValueError(f"counts has to be a matrix (cells, genes), got shape {shape}.")
    if 0 in shape:
        raise ValueError(f"counts needs at least one cell and one gene, got shape {shape} (cells, genes).")
    if np.dtype(matrix.dtype).kind not in "biuf":
        raise ValueError(f"counts has to hold whole numbers, got entries of type {matrix.dtype}.")
    cells = counts.cells if isinstance(counts, Rows) else range(shape[0])
    validated = _checked_portions(Rows(matrix, cells), round)
    empty = np.flatnonzero(np.diff(validated.indptr) == 0)
    if len(empty):
        raise ValueError(
            f"{len(empty)} of {len(cells)} cells have no counts at all, the first is cell {cells[empty[0]]}. "
            "Remove empty cells first, for example with scanpy.pp.filter_cells(adata, min_counts=1); "
            "if genes were chosen, choose more of them."
        )
    return validated


def _checked_portions(rows: Rows, round: bool) -> sp.csr_matrix:  # noqa: A002
    """Return the rows as float32, rounded if they shall be; refuse entries that are no counts."""
    portions, moves, found, fractional = [], [], {}, None
    for first_cell, portion in rows.portions():
        bad = _bad_entries(portion, first_cell)
        if "fractional" in bad and fractional is None:
            fractional = portion[:LOOKED_AT]
        if round and not (fractional is not None and why_normalised(fractional)):
            bad.pop("fractional", None)
            portion, portion_moves = _rounded(portion)
            moves.append(portion_moves)
        found = {what: _together(found.get(what), bad.get(what)) for what in found | bad}
        if not found:
            portion = portion.astype(np.float32)  # a copy even when it was float32 already
            portion.sum_duplicates()
            portion.eliminate_zeros()
            portions.append(portion)
    for what in BAD_ENTRIES:  # in this order, wherever in the matrix they are
        if what in found:
            number, where = found[what]
            advice = "Use raw counts, not normalised or log-transformed values."
            if what == "fractional":
                advice = advice_on_fractions(fractional)
            elif "missing" in what:
                advice = "Use raw counts, with 0 where nothing was counted."
            raise NotCountsError(f"counts has {number} {what} entries, {where}. {advice}")
    if round:
        tell(told_moves(np.concatenate(moves)))
    return sp.vstack(portions, format="csr")


def _bad_entries(portion: sp.csr_matrix, first_cell: int) -> dict[str, tuple[int, str]]:
    """Return the number of entries that are no counts, by what they are, and where the first of them is."""
    found = {}
    for what, is_bad in BAD_ENTRIES.items():
        bad = np.flatnonzero(is_bad(portion.data))
        if len(bad):
            cell = first_cell + np.searchsorted(portion.indptr, bad[0], side="right") - 1
            value = portion.data[bad[0]]
            found[what] = len(bad), f"the first at cell {cell}, gene {portion.indices[bad[0]]}: {value}"
    return found


def _together(earlier: tuple[int, str] | None, later: tuple[int, str] | None) -> tuple[int, str]:
    """Add up the numbers of two portions; the first entry is the earlier one's, if it has any."""
    both = [one for one in (earlier, later) if one]
    return sum(number for number, _ in both), both[0][1]


def _rounded(portion: sp.csr_matrix) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return a copy in whole numbers, and how far each non-zero entry moved, (entries,)."""
    rounded = portion.copy() if portion.dtype.kind == "f" else portion.astype(np.float64)
    rounded.sum_duplicates()
    before = rounded.data
    rounded.data = np.rint(before)
    return rounded, np.abs(rounded.data - before)[before != 0].astype(np.float32)


def validated_codes(name: str, codes: Any, names: Sequence[str] | None, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes as an int64 array, (cells,), and their names, made up if None; refuse what does not fit."""
    codes = np.zeros(n_cells, dtype=np.int64) if codes is None else np.asarray(codes)
    if codes.shape not in ((n_cells,), (n_cells, 1)):
        raise ValueError(f"{name} needs one code per cell: expected shape ({n_cells},), got {codes.shape}.")
    codes = codes.reshape(n_cells)
    whole = np.issubdtype(codes.dtype, np.number) and np.isfinite(codes).all() and (codes == np.floor(codes)).all()
    if not whole or codes.min() < 0:
        raise ValueError(f"{name} has to hold the codes 0, 1, 2, ..., got {codes.dtype} values such as {codes[:3]}.")
    codes = codes.astype(np.int64)
    n_codes = codes.max() + 1
    if names is None:
        names = [str(code) for code in range(n_codes)]
    if len(names) < n_codes:
        raise ValueError(f"{name} has codes up to {n_codes - 1} but only {len(names)} name(s): give {n_codes} names.")
    if len(set(names)) < len(names):
        raise ValueError(f"The names that go with {name} have to differ from each other, got {list(names)}.")
    return codes, np.array(names, dtype=str)


def check_is_no_measurement(argument: str, column: Any) -> None:
    """Refuse a pandas column of floating-point numbers, which are measurements and no names of groups."""
    if column.dtype.kind == "f" and column.notna().all():
        raise ValueError(
            f"{argument} needs a column with names or whole-number codes of groups, and {column.name!r} holds "
            f"{column.dtype} numbers such as {column.iloc[0]:g}: choose another column, or turn it into text first."
        )


def validated_categories(
    codes: Any, names: Mapping[str, Sequence[str] | None] | None, n_cells: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the codes of categorical covariates, int64, (cells, covariates), and their names by covariate."""
    codes = _table("categorical_covariates", codes, n_cells)
    if not names:
        names = {f"categorical {position}": None for position in range(codes.shape[1])}
    if len(names) != codes.shape[1]:
        raise ValueError(f"category_names needs an entry for each of {codes.shape[1]} covariate(s), got {list(names)}.")
    columns = [
        validated_codes(f"categorical covariate {name!r}", column, of_codes, n_cells)
        for (name, of_codes), column in zip(names.items(), codes.T, strict=True)
    ]
    codes = np.array([column for column, _ in columns], np.int64).reshape(-1, n_cells).T
    return codes, {str(name): of_codes for name, (_, of_codes) in zip(names, columns, strict=True)}


def validated_values(values: Any, names: Sequence[str] | None, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of continuous covariates, float32, (cells, covariates), and the covariates' names."""
    values = _table("continuous_covariates", values, n_cells)
    if names is None or len(names) == 0:
        names = [f"continuous {position}" for position in range(values.shape[1])]
    if len(names) != values.shape[1]:
        raise ValueError(
            f"continuous_names needs a name for each of {values.shape[1]} covariate(s), got {list(names)}."
        )
    if values.dtype.kind not in "biuf":
        raise ValueError(f"continuous_covariates has to hold numbers, got entries of type {values.dtype}.")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if len(bad := np.argwhere(~np.isfinite(values))):
        cell, column = bad[0]
        raise ValueError(
            f"The continuous covariates have {len(bad)} missing or infinite value(s), the first at cell {cell} in "
            f"{str(names[column])!r}: fill them in, or remove these cells."
        )
    return values, np.array(names, dtype=str)


def _table(name: str, entries: Any, n_cells: int) -> np.ndarray:
    """Return a table with a row per cell; one without columns for None."""
    table = np.zeros((n_cells, 0)) if entries is None else np.asarray(entries)
    if table.ndim != 2 or len(table) != n_cells:
        raise ValueError(f"{name} needs a row per cell: expected shape ({n_cells}, covariates), got {table.shape}.")
    return table
