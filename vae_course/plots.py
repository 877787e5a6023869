"""Figures: arrays in, matplotlib Axes out. The only module that imports matplotlib.

Groups are told apart by colour and by marker; the colours are those of Okabe and Ito (2008) that stay apart for
colour-blind readers and show on white.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "^", "s", "v", "D", "P", "X", "<", ">", "*")


def losses(history: Mapping[str, Sequence[float]], axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw the negative ELBO and its three parts over the epochs, for the training and the test cells.

    Parameters
    ----------
    history
        `trainer.history`: lists of nats per cell, one value per epoch.
    axes
        Four Axes to draw on; made if None.

    Returns
    -------
    sequence of Axes
        Negative ELBO, reconstruction, local KL, global KL.
    """
    if axes is None:
        _, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
    parts = {
        "elbo": "negative ELBO",
        "reconstruction_error": "reconstruction",
        "kl_local": "local KL (library)",
        "kl_global": "global KL (z)",
    }
    for ax, (metric, title) in zip(axes, parts.items(), strict=True):
        sign = -1 if metric == "elbo" else 1
        for name, label, style in (("train_set", "training cells", "-"), ("test_set", "held-out cells", "--")):
            values = sign * np.asarray(history.get(f"{metric}_{name}", []))
            if len(values):
                epochs = np.arange(1, len(values) + 1)
                ax.plot(epochs, values, style, color=COLORS[name == "test_set"], label=label)
        _zoom_on_settled(ax)
        ax.set(title=title, xlabel="epoch")
    axes[0].set_ylabel("nats per cell")
    if axes[0].get_lines():
        axes[0].legend(frameon=False)
    return axes


def _zoom_on_settled(ax: Axes) -> None:
    """Choose the range of the vertical axis without the steep start: from the second tenth of the epochs on."""
    settled = [line.get_ydata()[len(line.get_ydata()) // 10 :] for line in ax.get_lines()]
    if settled:
        values = np.concatenate(settled)
        margin = 0.05 * (values.max() - values.min()) or 0.5
        ax.set_ylim(values.min() - margin, values.max() + margin)


def latent(
    coordinates: Any,
    labels: Any,
    label_names: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str = "",
    axis_name: str = "latent",
) -> Axes:
    """Draw cells in two dimensions, one colour and marker per label.

    Parameters
    ----------
    coordinates
        Positions, (cells, 2 or more); the first two columns are drawn.
    labels
        Codes of the cells, (cells,).
    label_names
        Names of the codes.
    ax
        Where to draw; made if None.
    title, axis_name
        Title, and the name of the axes ("UMAP" gives "UMAP 1" and "UMAP 2").

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (6.4, 4.2))
    coordinates, labels = np.asarray(coordinates), np.ravel(labels)
    for position, code in enumerate(np.unique(labels)):
        name = str(code) if label_names is None else label_names[code]
        cells = labels == code
        ax.scatter(
            *coordinates[cells, :2].T,
            s=14,
            color=COLORS[position % len(COLORS)],
            marker=MARKERS[position % len(MARKERS)],
            alpha=0.75,
            linewidths=0,
            label=name,
        )
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, markerscale=1.6)
    ax.set(title=title, xlabel=f"{axis_name} 1", ylabel=f"{axis_name} 2", xticks=[], yticks=[])
    return ax


def mean_variance(observed: Any, generated: Any, ax: Axes | None = None) -> Axes:
    """Draw variance against mean of every gene, in observed and in generated counts, with the Poisson line.

    Parameters
    ----------
    observed, generated
        Counts, (cells, genes) each.
    ax
        Where to draw; made if None.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (4.6, 4.2))
    for position, (counts, name) in enumerate(((observed, "observed"), (generated, "generated"))):
        counts = np.asarray(counts)
        ax.scatter(
            counts.mean(axis=0),
            counts.var(axis=0),
            s=12,
            color=COLORS[position],
            marker=MARKERS[position],
            alpha=0.5,
            linewidths=0,
            label=name,
        )
    means = np.asarray(observed).mean(axis=0)
    ends = np.array([means[means > 0].min(), means.max()])
    ax.plot(ends, ends, color="0.3", linewidth=1, label="Poisson: variance = mean")
    ax.set(xscale="log", yscale="log", xlabel="mean count of a gene", ylabel="variance of its counts")
    ax.legend(frameon=False)
    return ax


def zero_fractions(observed: Any, generated: Any, ax: Axes | None = None) -> Axes:
    """Draw each gene's fraction of zeros in generated against observed counts, with the line of equality.

    Parameters
    ----------
    observed, generated
        Counts, (cells, genes) each.
    ax
        Where to draw; made if None.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (4.4, 4.2))
    fractions = [(np.asarray(counts) == 0).mean(axis=0) for counts in (observed, generated)]
    ax.scatter(*fractions, s=12, color=COLORS[0], alpha=0.5, linewidths=0)
    ax.plot([0, 1], [0, 1], color="0.3", linewidth=1)
    ax.set(xlabel="fraction of zeros, observed", ylabel="fraction of zeros, generated", aspect="equal")
    return ax


def imputation(original: Any, imputed: Any, ax: Axes | None = None) -> Axes:
    """Draw imputed against original counts of the entries that corruption changed.

    Parameters
    ----------
    original, imputed
        Arrays, or lists of arrays as `Posterior.imputation_list` returns them.
    ax
        Where to draw; made if None.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (4.4, 4.2))
    original, imputed = np.hstack(original), np.hstack(imputed)
    ax.scatter(original, imputed, s=8, color=COLORS[0], alpha=0.3, linewidths=0)
    ends = np.array([max(original.min(), 0.5), original.max()])
    ax.plot(ends, ends, color="0.3", linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="original count", ylabel="imputed expected count")
    ax.set_title(f"median absolute error {np.median(np.abs(original - imputed)):.2f} counts", fontsize=10)
    return ax


def _axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax
