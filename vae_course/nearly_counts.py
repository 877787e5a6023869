"""Values that are no whole numbers: estimates of counts, which can be rounded, or normalised counts, which cannot."""

import numpy as np
import scipy.sparse as sp

LOOKED_AT = 300  # cells
WHOLE_SHARE = 0.05  # of the non-zero entries: normalised values are hardly ever whole
LARGEST_LOGARITHM = 20  # no logarithm of a count exceeds it, e^20 = 5e8
ROUND = "round=True rounds them"


def advice_on_fractions(rows: sp.csr_matrix) -> str:
    """Say in a sentence what fractional values are likely to be, and what to do.

    Parameters
    ----------
    rows
        Some cells, (cells, genes), with fractional entries.
    """
    normalised = why_normalised(rows)
    if normalised:
        return f"These are normalised values ({normalised}), which cannot be rounded. Use raw counts."
    values = rows[:LOOKED_AT].data
    whole = (values == np.floor(values)).mean() if len(values) else 0
    if whole >= WHOLE_SHARE or values.max() > LARGEST_LOGARITHM:
        return (
            "These look like estimates of counts, as SoupX, CellBender, RSEM, Salmon and alevin give: "
            f"{ROUND}, or use raw counts."
        )
    return (
        f"If they are estimates of counts, as SoupX, CellBender, RSEM, Salmon and alevin give, {ROUND}; if they are "
        "normalised, log-transformed or corrected values, use raw counts."
    )


def why_normalised(rows: sp.csr_matrix) -> str:
    """Return the evidence that values are normalised counts, empty if there is none.

    Counts divided by a size of their cell are whole multiples of one number within each cell, and the totals of the
    cells are the same if the size is the total. Both hold for logarithms once these are undone. Estimates of counts
    have neither property. Heuristics: values that were normalised and then rounded, scaled or corrected pass.

    Parameters
    ----------
    rows
        Some cells, (cells, genes), the first `LOOKED_AT` of which are looked at.
    """
    cells = [row.astype(np.float64) for row in np.split(rows[:LOOKED_AT].data, rows[:LOOKED_AT].indptr[1:-1])]
    cells = [row[row != 0] for row in cells]
    for log, undo in (("", lambda x: x), ("log1p of ", np.expm1), ("log2(1 + x) of ", lambda x: np.exp2(x) - 1)):
        if log and max((row.max(initial=0) for row in cells), default=0) > LARGEST_LOGARITHM:
            continue
        linear = [undo(row) for row in cells]
        totals = np.array([row.sum() for row in linear if len(row)])
        if len(totals) > 2 and np.ptp(totals) < 1e-3 * totals.mean():
            return f"{log}values whose total is {totals.mean():.6g} in every cell"
        multiples = [_are_multiples(row) for row in linear if len(np.unique(row)) > 3]
        if multiples and np.mean(multiples) > 0.5:
            return f"{log}whole multiples of one number within each cell"
    return ""


def _are_multiples(values: np.ndarray) -> bool:
    """Whether positive values, few of them whole, are whole multiples of the smallest; looks at the small multiples."""
    ratios = values / values.min()
    small = ratios[ratios < 10]  # the rounding of large ones would hide what they are
    near = np.abs(small - np.rint(small)) < 0.02  # chance alone: 4 %
    return bool((values == np.floor(values)).mean() < WHOLE_SHARE and near.mean() > 0.9 and len(np.unique(small)) > 1)


def told_moves(moves: np.ndarray) -> str:
    """Say how many entries rounding has moved, and how far.

    Parameters
    ----------
    moves
        Distance by which each non-zero entry moved, (entries,).
    """
    moved = moves[moves > 0]
    if not len(moved):
        return "Nothing had to be rounded: all counts are whole numbers."
    return (
        f"Rounded {len(moved):,} of {len(moves):,} non-zero entries ({len(moved) / len(moves):.1%}) to whole numbers: "
        f"they moved by {np.median(moved):.2g} (median), at most by {moved.max():.2g}."
    )
