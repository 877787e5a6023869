"""Where the counts of an AnnData object are: X, a layer or raw; and the codes that its columns stand for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vae_course.validation import BAD_ENTRIES, Rows, check_is_no_measurement

if TYPE_CHECKING:
    from anndata import AnnData

LOOKED_AT = 300  # cells, to say where else there may be counts


def matrix_of(adata: "AnnData", layer: str | None = None, raw: bool = False) -> tuple[Any, Any, str]:
    """Return a matrix of an AnnData object, (cells, genes), the names of its genes, and the name of the matrix.

    Raises
    ------
    ValueError
        If there is no such matrix, and if both `layer` and `raw` are given.
    """
    if layer is not None and raw:
        raise ValueError(f"Counts come from one matrix: give either layer={layer!r} or raw=True.")
    if raw:
        if adata.raw is None:
            raise ValueError(f"raw=True: the data have no .raw; their layers are {listed(adata.layers)}.")
        return adata.raw.X, adata.raw.var_names, ".raw"
    if layer is not None:
        if layer not in adata.layers:
            raise ValueError(f"There is no layer {layer!r}; the data have {listed(adata.layers)}.")
        return adata.layers[layer], adata.var_names, f"layer {layer!r}"
    if adata.X is None:
        advice = f"name a layer with the counts: {listed(adata.layers)}" if adata.layers else "give it the counts"
        raise ValueError(f"The data have no X; {advice}.{where_counts_are(adata, 'X')}")
    return adata.X, adata.var_names, "X"


def where_counts_are(adata: "AnnData", not_in: str) -> str:
    """Return a sentence that says in what other matrix there are counts and how to ask for it; empty if in none."""
    places = {f"layer {name!r}": (adata.layers[name], f"layer={name!r}") for name in adata.layers}
    if adata.raw is not None:
        places[".raw"] = adata.raw.X, "raw=True"
    if adata.X is not None:
        places["X"] = adata.X, "no layer and no raw"
    found = [(place, how) for place, (matrix, how) in places.items() if place != not_in and _holds_counts(matrix)]
    if not found:
        return ""
    return " " + " ".join(f"There are counts in {place}: give {how}." for place, how in found)


def _holds_counts(matrix: Any) -> bool:
    """Whether the first cells of a matrix hold counts; False too if the matrix cannot be read."""
    try:
        rows = Rows(matrix, range(min(LOOKED_AT, matrix.shape[0])))
        values = np.concatenate([portion.data for _, portion in rows.portions()])
        return np.any(values) and not any(is_bad(values).any() for is_bad in BAD_ENTRIES.values())
    except Exception:  # whatever is wrong with it, it is not the matrix that the user has asked for
        return False


def codes_of_column(adata: "AnnData", key: str | None, argument: str, cells: range) -> tuple[Any, Any]:
    """Return the codes of some cells, and the names of the codes, which are those of all cells; None without a key.

    Raises
    ------
    ValueError
        If there is no such column of `obs`, if it holds measurements, or if it has no value for some cells.
    """
    if key is None:
        return None, None
    column = _column(adata, key, argument)
    check_is_no_measurement(argument, column)
    column = column.astype("category").cat.remove_unused_categories()
    return column.cat.codes.to_numpy()[cells.start : cells.stop], column.cat.categories.astype(str)


def covariates_in(
    adata: "AnnData", categorical: Sequence[str], continuous: Sequence[str], cells: range
) -> dict[str, Any]:
    """Return the covariates of some cells as arguments of `CountData`; the names of codes are those of all cells."""
    arguments = {"categorical_covariate_keys": categorical, "continuous_covariate_keys": continuous}
    for argument, keys in arguments.items():
        if isinstance(keys, str):
            raise ValueError(f"{argument} has to be a list of columns: use [{keys!r}].")
    check_different([*categorical, *continuous])
    columns = [codes_of_column(adata, key, "categorical_covariate_keys", cells) for key in categorical]
    values = [_column(adata, key, "continuous_covariate_keys") for key in continuous]
    for key, column in zip(continuous, values, strict=True):
        bad = column[np.isinf(column)] if column.dtype.kind in "biuf" else column
        if len(bad):
            raise ValueError(
                f"continuous_covariate_keys: column {key!r} has to hold finite numbers, got {str(bad.iloc[0])!r}; a "
                "column of names belongs to categorical_covariate_keys."
            )
    no_columns = np.empty((len(cells), 0))
    return {
        "categorical_covariates": np.column_stack([no_columns, *(codes for codes, _ in columns)]),
        "category_names": {key: names for key, (_, names) in zip(categorical, columns, strict=True)},
        "continuous_covariates": np.column_stack([no_columns, *(part[cells.start : cells.stop] for part in values)]),
        "continuous_names": list(continuous),
    }


def check_different(names: Sequence[str]) -> None:
    """Raise ValueError if two columns with what is known about the cells have one name."""
    if repeated := sorted({str(name) for name in names if list(names).count(name) > 1}):
        raise ValueError(
            f"Each covariate needs a name that nothing else in obs has, and {listed(repeated)} comes twice: rename it."
        )


def _column(adata: "AnnData", key: str, argument: str) -> pd.Series:
    """Return a column of `obs`; refuse one with missing values."""
    if key not in adata.obs:
        raise ValueError(f"{argument}: there is no column {key!r} in obs; it has {listed(adata.obs.columns)}.")
    values = adata.obs[key]
    column = values if isinstance(values, pd.Series) else values.to_series()  # of data that anndata reads lazily
    if column.isna().any():
        raise ValueError(
            f"{argument}: column {key!r} has no value for {column.isna().sum()} cells; fill it or remove them."
        )
    return column


def listed(names: Any) -> str:
    """Return names in quotation marks, or "none"."""
    return ", ".join(repr(str(name)) for name in names) or "none"
