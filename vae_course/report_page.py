"""The page `report.html`: numbers in, one file of HTML out that stands alone. Its design is in `_data/report.*`."""

import base64
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from jinja2 import Environment, PackageLoader, StrictUndefined

from vae_course.posterior import Posterior
from vae_course.report_svg import DRAWN_GENES, fit_plots, history_plots, history_texts

SHOWN_GENES = 50  # that cells can be coloured by
LONGEST_NAME = 80  # characters; what is longer ends with an ellipsis
DARK_COLORS = ("#4AA8E8", "#F5853F", "#2CC594", "#E59CC4", "#F2F5F8", "#F0B93A", "#9AD6F7")  # of plots.COLORS
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "scanpy", "anndata", "umap-learn")

# Markers of matplotlib as SVG paths in a square from -5 to 5.
MARKER_PATHS = {
    "o": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "^": "M0-4.6 4.6 3.6H-4.6z",
    "s": "M-3.6-3.6H3.6V3.6H-3.6z",
    "v": "M0 4.6-4.6-3.6H4.6z",
    "D": "M0-5 5 0 0 5-5 0z",
    "P": "M-1.7-4.6H1.7V-1.7H4.6V1.7H1.7V4.6H-1.7V1.7H-4.6V-1.7H-1.7z",
    "X": "M-4.4-2.2-2.2-4.4 0-2.2 2.2-4.4 4.4-2.2 2.2 0 4.4 2.2 2.2 4.4 0 2.2-2.2 4.4-4.4 2.2-2.2 0z",
    "<": "M-4.6 0 3.6-4.6V4.6z",
    ">": "M4.6 0-3.6-4.6V4.6z",
    "*": "M0-5 1.3-1.6 4.8-1.5 2 .6 2.9 4 0 2 -2.9 4-2 .6-4.8-1.5-1.3-1.6z",
}


def page(
    about: Mapping[str, Any],
    numbers: Mapping[str, Any],
    history: Mapping[str, Sequence[float]],
    cells: tuple[Posterior, np.ndarray | None, Sequence[str]],
    observed: np.ndarray,
    generated: np.ndarray,
    picture: Path | None,
) -> str:
    """Return the page. It asks nobody for anything, and text of users is text on it, whatever it says.

    Parameters
    ----------
    about
        source (what the cells come from), command (the line that repeats the run), settings (options and their values)
        and device, as text.
    numbers
        What `report.measure` returned.
    history
        `trainer.history`.
    cells
        Posterior of the cells to draw, their positions on the map, (cells, 2) or None, and their names, (cells,).
    observed, generated
        Counts of some cells, and as many drawn from the model, (cells, genes) each.
    picture
        A file with a map in PNG, shown where scripts are off; None if there is none.
    """
    from vae_course import plots

    shown, coordinates, names = cells
    loader = PackageLoader("vae_course", "_data")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["short"] = short
    return environment.get_template("report.html").render(
        about=about,
        numbers=numbers,
        today=f"{date.today().day} {date.today():%B %Y}",
        versions=versions(),
        colors=list(zip(plots.COLORS, DARK_COLORS, strict=True)),
        history=history_plots(history, plots.LOSS_PARTS),
        fit=fit_plots(observed, generated, numbers["seed"]),
        generated_cells=len(observed),
        drawn_genes=DRAWN_GENES,
        scores=_scores(numbers),
        picture=base64.b64encode(picture.read_bytes()).decode() if picture else "",
        data={
            "history": history_texts(history, plots.LOSS_PARTS),
            "map": None if coordinates is None else cell_map(shown, coordinates, names, numbers["seed"]),
            "markers": [MARKER_PATHS[marker] for marker in plots.MARKERS],
            "n_colors": len(plots.COLORS),
        },
    )


def short(name: Any) -> str:
    """Return a name, or its start if it is too long to be shown."""
    name = str(name)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def versions() -> dict[str, str]:
    """Return what has computed: versions of the package and of those that matter for the numbers, and the machine."""
    from vae_course import __version__

    found = {"vae_course": __version__, "Python": platform.python_version()}
    found |= {name: version(name) for name in PACKAGES}
    return found | {"system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"}


def _scores(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the table of clustering scores; none where there are none."""
    names = {"ari": "Adjusted Rand index", "nmi": "Normalised mutual information", "asw": "Silhouette of the labels"}
    rows = {key: (numbers["vae"][key], numbers["pca"][key]) for key in names} if "vae" in numbers else {}
    return [{"name": names[key], "vae": vae, "pca": pca} for key, (vae, pca) in rows.items()]


# --------------------------------------------------------------------------------------------------------------------
# The map of the cells
# --------------------------------------------------------------------------------------------------------------------


def cell_map(shown: Posterior, coordinates: np.ndarray, names: Sequence[str], seed: int) -> dict[str, Any]:
    """Return what the page's script draws, as plain values; arrays of numbers are in base64.

    Parameters
    ----------
    shown
        The cells.
    coordinates
        Where they are, (cells, 2).
    names
        What they are called, (cells,).
    seed
        Seed of the order in which they are drawn, so that no group lies above the others.
    """
    data, order = shown.data, np.random.default_rng(seed).permutation(len(shown))
    cells, low = shown.indices[order], coordinates.min(axis=0)
    positions = (coordinates[order] - low) / np.maximum(coordinates.max(axis=0) - low, 1e-12)  # (cells, 2), 0 to 1
    groups = []
    for title, codes, code_names in (
        ("label", data.labels, data.label_names),
        ("batch", data.batch_index, data.batch_names),
    ):
        if len(code_names) > 1:
            found, index = np.unique(codes[cells], return_inverse=True)
            found_names = [short(code_names[code]) for code in found]
            groups.append({"title": title, "names": found_names, "codes": _encoded(index, "<u2")})
    return {
        "names": [short(names[cell]) for cell in order],
        "x": _encoded(np.round(positions[:, 0] * 65535), "<u2"),
        "y": _encoded(np.round(positions[:, 1] * 65535), "<u2"),
        "groups": groups,
        "genes": _variable_genes(data.counts[cells], data.gene_names),
    }


def _variable_genes(counts: sp.csr_matrix, gene_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the log-normalised counts, log(1 + count per 10,000), of the genes in which they vary most."""
    logs = sp.csr_matrix(counts.multiply(1e4 / counts.sum(axis=1))).log1p()  # (cells, genes)
    var = np.asarray(logs.multiply(logs).mean(axis=0) - np.square(logs.mean(axis=0))).ravel()
    genes = []
    for g in np.argsort(-var, kind="stable")[:SHOWN_GENES]:
        values = logs[:, g].toarray().ravel()
        most = float(values.max())
        levels = np.round(255 * values / most) if most > 0 else values
        genes.append({"name": short(gene_names[g]), "most": round(most, 3), "values": _encoded(levels, "u1")})
    return genes


def _encoded(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()
