"""The figures of a report, as files: losses, maps of the latent space, generated beside observed counts."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_course.posterior import Posterior
from vae_course.runtime.files import write_atomically
from vae_course.trainer import UnsupervisedTrainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAPPED_CELLS = 4  # the fewest cells that UMAP places
MAPS = [f"{method}_{by}.png" for method in ("umap", "tsne") for by in ("label", "batch", "cells")]
FIGURES = ("losses.png", *MAPS, "mean_variance.png", "zeros.png")  # that there may be


def map_cells(shown: Posterior, seed: int) -> dict[str, np.ndarray]:
    """Return the latent space in two dimensions by UMAP and by t-SNE, (cells, 2) each; nothing of very few cells."""
    n_cells = len(shown)
    if n_cells < MAPPED_CELLS:
        return {}
    start = {"init": "random"} if shown.model.n_latent == 1 else {}  # t-SNE's own needs two dimensions
    return {"UMAP": shown.umap(seed, n_neighbors=min(15, n_cells - 1)), "t-SNE": shown.t_sne(seed, **start)}


def draw_figures(
    trainer: UnsupervisedTrainer,
    shown: Posterior,
    coordinates: Mapping[str, np.ndarray],
    observed: np.ndarray,
    generated: np.ndarray,
    folder: Path,
) -> list[str]:
    """Write losses, maps of the latent space, and generated beside observed counts; return the names of the files.

    Parameters
    ----------
    trainer
        After training.
    shown, coordinates
        The cells of the maps, and what `map_cells` returned for them.
    observed, generated
        Counts of some cells, and as many drawn from the model, (cells, genes) each.
    folder
        Where to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from vae_course import plots

    axes = {"losses.png": plots.losses(trainer.history)[0], **_maps(shown, coordinates)}
    axes["mean_variance.png"] = plots.mean_variance(observed, generated)
    axes["zeros.png"] = plots.zero_fractions(observed, generated)
    for name, ax in axes.items():
        _save_figure(ax.figure, folder / name)
    return list(axes)


def _maps(shown: Posterior, coordinates: Mapping[str, np.ndarray]) -> dict[str, "Axes"]:
    """Draw the maps, coloured by label and by batch where there are several."""
    from vae_course import plots

    data, axes = shown.data, {}
    groups = [("label", data.labels, data.label_names)] if data.n_labels > 1 else []
    groups += [("batch", data.batch_index, data.batch_names)] if data.n_batches > 1 else []
    for method, positions in coordinates.items():
        for by, codes, names in groups or [("cells", np.zeros(data.n_cells, int), ["cells"])]:
            title = f"{method} of the latent space, by {by}"
            name = f"{method.lower().replace('-', '')}_{by}.png"
            axes[name] = plots.latent(positions, codes[shown.indices], names, title=title, axis_name=method)
    return axes


def _save_figure(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of names in scripts that matplotlib has not
        write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150))
    plt.close(figure)
