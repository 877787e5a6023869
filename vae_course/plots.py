"""Figures: arrays in, matplotlib Axes out. The only module that imports matplotlib.

Groups are told apart by colour and by marker; the colours are those of Okabe and Ito (2008) that stay apart for
colour-blind readers and show on white.
"""

import base64
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from PIL import Image

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":")
LEGEND_ENTRIES = 40  # the most in one legend
LOSS_PARTS = {
    "elbo": "negative ELBO",
    "reconstruction_error": "reconstruction",
    "kl_local": "local KL (library)",
    "kl_global": "global KL (z)",
}
MARKERS = ("o", "^", "s", "v", "D", "P", "X", "<", ">", "*")

# The course's map: middle and height of each block, its width, how much more the left side is tall than the right one,
# its text, its lessons; then where arrows start and end, and the names of the upper and of the lower row.
MAP_BLOCKS = (
    (1.0, 2.9, 1.6, 0, "counts $x$\n(cells, genes)", (0,)),
    (3.4, 2.9, 1.6, 0.3, "encoder", (0, 2)),
    (5.8, 2.9, 1.6, 0, "$q(z|x)$\nmean, var", (1, 3)),
    (8.2, 2.9, 1.6, 0, "sample $z$", (4,)),
    (10.6, 2.9, 1.6, -0.3, "decoder", (0, 2, 5)),
    (13.0, 2.9, 1.8, 0, "$p(x|z)$\na distribution\nof counts", (1, 5)),
    (5.8, 0.6, 2.2, 0, "KL: how far $q(z|x)$\nis from the prior", (1, 4)),
    (9.4, 0.6, 2.2, 0, "the loss to train:\nnegative ELBO", (3, 4)),
    (13.0, 0.6, 2.2, 0, "reconstruction:\n$-\\log p(x|z)$", (3, 5)),
    (5.8, 5.2, 2.2, 0, "maps, clusters", (5,)),
    (13.0, 5.2, 2.6, 0, "imputation,\ndifferential expression", (5,)),
)
MAP_ARROWS = (
    *(((left, 2.9), (right, 2.9)) for left, right in ((1.8, 2.6), (4.2, 5.0), (6.6, 7.4), (9.0, 9.8), (11.4, 12.1))),
    *(((x, 2.2), (x, 1.3)) for x in (5.8, 13.0)),
    *(((x, 3.6), (x, 4.5)) for x in (5.8, 13.0)),
    ((6.9, 0.6), (8.3, 0.6)),
    ((11.9, 0.6), (10.5, 0.6)),
)
MAP_ROWS = ((5.2, "what it is used for"), (0.6, "what trains it"))

# The model's map: middle, height, width and tallness of each block, its kind and its text; then the arrows, each with
# its line style. A tall block takes several arrows side by side.
MODEL_KINDS = {
    "data": ("0.92", "0.35", "given"),
    "network": ("#CFE3F1", COLORS[0], "network, trained"),
    "value": ("white", COLORS[0], "computed"),
    "draw": ("#FBE8C8", COLORS[5], "drawn from q"),
    "loss": ("#CDEBDF", COLORS[2], "scored, nats per cell"),
}
MODEL_BLOCKS = (
    (0.9, 4.9, 1.4, 1.0, "data", "x\ncounts"),
    (2.7, 4.9, 1.2, 0.8, "data", "log1p"),
    (4.7, 6.5, 1.9, 0.9, "network", "z_encoder"),
    (4.7, 3.3, 1.9, 0.9, "network", "l_encoder"),
    (7.1, 6.5, 1.4, 1.1, "value", "qz_m\nqz_v"),
    (7.1, 3.3, 1.4, 1.1, "value", "ql_m\nql_v"),
    (9.1, 6.5, 1.2, 0.8, "draw", "z"),
    (9.1, 3.3, 1.5, 0.8, "draw", "library"),
    (11.4, 6.5, 2.0, 1.1, "network", "decoder.\npx_decoder"),
    (11.4, 4.7, 2.1, 0.8, "data", "batch_index"),
    (14.8, 7.9, 3.2, 0.8, "network", "px_dropout_decoder"),
    (14.8, 6.5, 3.2, 0.8, "network", "px_r_decoder"),
    (14.8, 5.1, 3.2, 0.8, "network", "px_scale_decoder"),
    (18.6, 7.9, 3.0, 0.8, "value", "px_dropout"),
    (18.6, 6.5, 3.0, 1.1, "value", "select_dispersion\npx_r"),
    (18.6, 5.1, 3.0, 0.8, "value", "px_scale"),
    (18.6, 3.3, 3.0, 0.8, "value", "px_rate"),
    (21.4, 5.6, 1.0, 5.4, "loss", "zinb_log_prob"),
    (21.4, 1.95, 1.0, 0.8, "data", "x"),
    (7.1, 9.1, 1.9, 0.8, "loss", "kl_global"),
    (7.1, 0.8, 1.9, 0.8, "loss", "kl_local"),
    (4.0, 9.1, 1.8, 0.8, "data", "N(0, I)"),
    (3.5, 0.8, 3.1, 1.1, "data", "library_log_means\nlibrary_log_vars"),
    (23.3, 5.6, 1.0, 3.4, "loss", "reconstruction"),
    (25.3, 4.95, 1.1, 9.1, "loss", "loss"),
)
MODEL_ARROWS = (
    *(((left, y), (right, y), "-") for left, right, y in (
        (1.6, 2.1, 4.9), (5.65, 6.4, 6.5), (5.65, 6.4, 3.3), (7.8, 8.5, 6.5), (7.8, 8.35, 3.3), (9.7, 10.4, 6.5),
        (9.85, 17.1, 3.3), (12.4, 13.2, 6.5), (16.4, 17.1, 7.9), (16.4, 17.1, 5.1), (20.1, 20.9, 7.9),
        (20.1, 20.9, 6.5), (20.1, 20.9, 3.3), (4.9, 6.15, 9.1), (5.05, 6.15, 0.8), (8.05, 24.75, 9.1),
        (8.05, 24.75, 0.8), (21.9, 22.8, 5.6), (23.8, 24.75, 5.6),
    )),
    ((16.4, 6.5), (17.1, 6.5), ":"),
    *(((3.3, 4.9 + side * 0.2), (4.7, 4.9 + side * 1.15), "-") for side in (1, -1)),
    *(((12.4, 6.5 + side * 0.25), (13.2, 6.5 + side * 1.3), "-") for side in (1, -1)),
    *(((x, start), (x, end), "-") for x, start, end in (
        (7.1, 7.05, 8.7), (7.1, 2.75, 1.2), (11.4, 5.1, 5.95), (18.6, 4.7, 3.7), (21.4, 2.35, 2.9),
    )),
)  # fmt: skip
MODEL_NOTES = (
    (0.2, 7.5, "global latent:\nwhat kind of cell"),
    (0.2, 2.3, "local latent:\nits size"),
    (10.3, 3.65, "exp(library) * px_scale"),
    (9.0, 9.35, "how far q(z|x) is from the prior of z; times a weight that training raises to 1"),
    (9.0, 1.05, "how far q(l|x) is from the prior of l in the cell's batch"),
    (22.15, 3.3, "minus the sum\nover genes"),
)


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
    for ax, (metric, title) in zip(axes, LOSS_PARTS.items(), strict=True):
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
    """Draw cells in two dimensions, one colour and marker per label; the legend names the first 40 labels.

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
    found = np.unique(labels)
    for position, code in enumerate(found):
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
    _legend_of_groups(ax)
    ax.set(title=title, xlabel=f"{axis_name} 1", ylabel=f"{axis_name} 2", xticks=[], yticks=[])
    return ax


def _legend_of_groups(ax: Axes) -> None:
    """Name the groups that were drawn, to the right; the first ones if they are many."""
    groups = ax.collections[:LEGEND_ENTRIES]
    legend = ax.legend(
        groups,
        [label if len(label) <= 32 else f"{label[:31]}…" for label in (str(group.get_label()) for group in groups)],
        title=f"the first {LEGEND_ENTRIES} of {len(ax.collections)}" if len(groups) < len(ax.collections) else None,
        ncols=1 if len(groups) <= 20 else 2,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        fontsize=8,
        markerscale=1.6,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a dollar sign in a name is one


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


# --------------------------------------------------------------------------------------------------------------------
# Building blocks of the lessons' figures
# --------------------------------------------------------------------------------------------------------------------


def panels(n: int = 1, height: float = 3.2, width: float = 4.2) -> Sequence[Axes]:
    """Return `n` empty Axes side by side, each `width` x `height` inches."""
    return plt.subplots(1, n, figsize=(n * width, height), layout="constrained", squeeze=False)[1][0]


def lines(x: Any, curves: Mapping[str, Any], ax: Axes | None = None, **labels: Any) -> Axes:
    """Draw curves over a common x, each in its own colour and line style.

    Parameters
    ----------
    x
        Positions, (points,).
    curves
        Name of each curve and its values, (points,).
    ax
        Where to draw; made if None.
    **labels
        Further properties of the Axes, such as xlabel, ylabel, title, xscale, ylim.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (5.2, 3.4))
    for position, (name, values) in enumerate(curves.items()):
        style = LINES[position % len(LINES)]
        ax.plot(np.asarray(x), np.asarray(values), style, color=COLORS[position % len(COLORS)], label=name)
    if any(curves):
        ax.legend(frameon=False)
    ax.set(**labels)
    return ax


def points(x: Any, y: Any, name: str = "", ax: Axes | None = None, **labels: Any) -> Axes:
    """Draw points; called again on the same Axes, the next colour and marker.

    Parameters
    ----------
    x, y
        Positions, (points,) each.
    name
        Entry in the legend; none if empty.
    ax
        Where to draw; made if None.
    **labels
        Further properties of the Axes, such as xlabel, ylabel, title, xscale, yscale.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (4.6, 3.8))
    position = len(ax.collections)
    color, marker = COLORS[position % len(COLORS)], MARKERS[position % len(MARKERS)]
    ax.scatter(
        np.asarray(x), np.asarray(y), s=14, color=color, marker=marker, alpha=0.6, linewidths=0, label=name or None
    )
    if name:
        ax.legend(frameon=False)
    ax.set(**labels)
    return ax


def histogram(groups: Mapping[str, Any], bins: Any = 30, ax: Axes | None = None, **labels: Any) -> Axes:
    """Draw histograms, one outline per group, each with its own colour and line style.

    Parameters
    ----------
    groups
        Name of each group and its values, (n,).
    bins
        Number of bins, or their edges.
    ax
        Where to draw; made if None.
    **labels
        Further properties of the Axes, such as xlabel, ylabel, title, xscale.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (4.6, 3.4))
    edges = np.histogram_bin_edges(np.concatenate([np.ravel(values) for values in groups.values()]), bins)
    for position, (name, values) in enumerate(groups.items()):
        style = {"color": COLORS[position % len(COLORS)], "linestyle": LINES[position % len(LINES)]}
        ax.hist(np.ravel(values), edges, histtype="step", linewidth=1.5, label=name, **style)
    if any(groups):
        ax.legend(frameon=False)
    ax.set(**labels)
    return ax


def heatmap(matrix: Any, ax: Axes | None = None, colorbar: str = "", signed: bool = False, **labels: Any) -> Axes:
    """Draw a matrix as colours, with a bar that says what they mean.

    Parameters
    ----------
    matrix
        Values, (rows, columns).
    ax
        Where to draw; made if None.
    colorbar
        What the colours mean, with its unit.
    signed
        Whether the sign matters, as of correlations: red above zero, blue below, white at zero.
    **labels
        Further properties of the Axes, such as xlabel, ylabel, title.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (5.2, 3.6))
    matrix = np.asarray(matrix)
    largest = np.abs(matrix).max()
    colors = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest} if signed else {"cmap": "viridis"}
    image = ax.imshow(matrix, aspect="auto", interpolation="nearest", **colors)
    ax.figure.colorbar(image, ax=ax, label=colorbar)
    ax.set(**labels)
    return ax


def course_map(here: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the finished model as blocks, each with the lessons that build it.

    Parameters
    ----------
    here
        Number of a lesson whose blocks are filled; none if None.
    ax
        Where to draw; made if None.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (12.5, 5.2))
    for middle, height, width, slant, text, lessons in MAP_BLOCKS:
        left, right = 0.7 + max(slant, 0), 0.7 + max(-slant, 0)
        corners = ((-1, -left), (-1, left), (1, right), (1, -right))
        filled = here in lessons
        ax.fill(
            [middle + x * width / 2 for x, _ in corners],
            [height + y for _, y in corners],
            facecolor="#CFE3F1" if filled else "white",
            edgecolor=COLORS[0],
            linewidth=1.5,
        )
        ax.text(middle, height + 0.15, text, ha="center", va="center", fontsize=10)
        name = f"lesson{'s' * (len(lessons) > 1)} {', '.join(map(str, lessons))}"
        ax.text(middle, height - 0.65, name, ha="center", va="bottom", fontsize=9, color=COLORS[1])
    for start, end in MAP_ARROWS:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.3", "shrinkA": 0, "shrinkB": 0})
    for height, name in MAP_ROWS:
        ax.text(0.2, height, name, va="center", fontsize=10, style="italic", color="0.3")
    ax.set(xlim=(-0.1, 14.4), ylim=(-0.2, 6))
    ax.axis("off")
    return ax


def model_map(ax: Axes | None = None) -> Axes:
    """Draw scVI from counts to loss, every block with its name in the code.

    Parameters
    ----------
    ax
        Where to draw; made if None.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (12.8, 6.0))
    for x, y, width, height, kind, text in MODEL_BLOCKS:
        face, edge, _ = MODEL_KINDS[kind]
        corners = ((-1, -1), (-1, 1), (1, 1), (1, -1))
        ax.fill(
            [x + side * width / 2 for side, _ in corners],
            [y + side * height / 2 for _, side in corners],
            facecolor=face,
            edgecolor=edge,
            linewidth=1.4,
        )
        rotation = 90 if height > 2 else 0
        ax.text(x, y, text, ha="center", va="center", fontsize=9, family="monospace", rotation=rotation)
    for start, end, style in MODEL_ARROWS:
        arrow = {"arrowstyle": "->", "color": "0.3", "linestyle": style, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", end, start, arrowprops=arrow)
    for x, y, text in MODEL_NOTES:
        ax.text(x, y, text, fontsize=9, style="italic", color="0.25", va="center")
    x = 0.5
    for face, edge, meaning in MODEL_KINDS.values():
        ax.plot(x, -0.6, "s", markersize=11, markerfacecolor=face, markeredgecolor=edge)
        ax.text(x + 0.4, -0.6, meaning, fontsize=9, va="center")
        x += 1.2 + 0.16 * len(meaning)
    ax.plot([x, x + 0.8], [-0.6, -0.6], ":", color="0.3")
    ax.text(x + 1.1, -0.6, 'in mode "gene-cell"; else px_r is a parameter', fontsize=9, va="center")
    ax.set(xlim=(0, 26), ylim=(-1.0, 9.8))
    ax.axis("off")
    return ax


def landscape(
    x: Any, y: Any, height: Any, path: Any = None, ax: Axes | None = None, colorbar: str = "", **labels: Any
) -> Axes:
    """Draw a function of two numbers as a map with level lines, and a walker's path on it.

    Parameters
    ----------
    x, y
        Positions of the grid's columns, (columns,), and rows, (rows,).
    height
        Values, positive, (rows, columns). Level lines lie closer together towards the lowest one.
    path
        The walker's positions in order, (steps, 2); none if None.
    ax
        Where to draw; made if None.
    colorbar
        What the colours mean, with its unit; no bar if empty.
    **labels
        Further properties of the Axes, such as xlabel, ylabel, title.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (5.2, 4.2))
    height = np.asarray(height)
    levels = np.geomspace(height.min(), height.max(), 13)
    filled = ax.contourf(np.asarray(x), np.asarray(y), height, levels, cmap="Blues", norm="log", extend="min")
    ax.contour(np.asarray(x), np.asarray(y), height, levels, colors="white", linewidths=0.6)
    if colorbar:
        round_numbers = [digit * 10.0**power for power in range(-8, 9) for digit in (1, 2, 5)]
        ticks = [number for number in round_numbers if levels[0] <= number <= levels[-1]]
        ax.figure.colorbar(filled, ax=ax, label=colorbar, ticks=ticks, format="%g")
    limits = ax.axis()
    if path is not None:
        path = np.asarray(path)
        ax.plot(*path.T, color=COLORS[1], linewidth=1.2, marker="o", markersize=3)
        ax.plot(*path[0], marker="s", color=COLORS[4], markersize=7)
    ax.axis(limits)
    ax.set(**labels)
    return ax


def images(rows: Mapping[str, Any], titles: Sequence[str] = (), ax: Axes | None = None, **labels: Any) -> Axes:
    """Draw square grey images in rows; 0 is white, 1 is black.

    Parameters
    ----------
    rows
        Name of each row and its images, (images, pixels), pixels between 0 and 1; rows may differ in length.
    titles
        What stands above the images of the first row.
    ax
        Where to draw; made if None.
    **labels
        Further properties of the Axes, such as title.

    Returns
    -------
    Axes
    """
    tables = [np.asarray(row) for row in rows.values()]
    side, n_columns = round(tables[0].shape[1] ** 0.5), max(map(len, tables))
    cell = side + 1  # an image and the line beside it
    canvas = np.full((len(tables) * cell + 1, n_columns * cell + 1), np.nan)
    for i, table in enumerate(tables):
        for j, image in enumerate(table):
            canvas[i * cell + 1 : (i + 1) * cell, j * cell + 1 : (j + 1) * cell] = image.reshape(side, side)
    ax = _axes_or_new(ax, (0.62 * n_columns + 1.4, 0.62 * len(tables) + 0.5))
    colors = plt.get_cmap("Greys").with_extremes(bad="#CFE3F1")
    ax.imshow(canvas, cmap=colors, vmin=0, vmax=1, interpolation="nearest")
    middles = [np.arange(n) * cell + cell / 2 for n in (len(titles), len(tables))]
    ax.set_xticks(middles[0], titles, fontsize=9)
    ax.set_yticks(middles[1], rows)
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    ax.set(**labels)
    return ax


def numerals(coordinates: Any, digits: Any, ax: Axes | None = None, **labels: Any) -> Axes:
    """Draw images of digits as points in two dimensions, each written as the digit that it shows.

    Parameters
    ----------
    coordinates
        Positions, (images, 2).
    digits
        Codes 0 to 9, (images,).
    ax
        Where to draw; made if None.
    **labels
        Further properties of the Axes, such as xlabel, ylabel, title, xlim.

    Returns
    -------
    Axes
    """
    ax = _axes_or_new(ax, (4.6, 4.2))
    coordinates, digits = np.asarray(coordinates), np.ravel(digits)
    colors = (*COLORS, "#882255", "#7A7A00", "0.5")
    for digit in np.unique(digits):
        at = coordinates[digits == digit].T
        ax.scatter(*at, s=34, color=colors[digit], marker=f"${digit}$", linewidths=0)
    ax.set(**labels)
    return ax


def grid(rows: int, columns: int, height: float = 3.0, width: float = 4.4) -> Sequence[Sequence[Axes]]:
    """Return `rows` rows of `columns` empty Axes each, every one `width` x `height` inches."""
    return plt.subplots(rows, columns, figsize=(columns * width, rows * height), layout="constrained", squeeze=False)[1]


def show(ax: Axes, alt: str) -> None:
    """Show the figure that `ax` belongs to in a notebook, with a description for readers who cannot see it.

    Parameters
    ----------
    ax
        Any Axes of the figure, which is closed afterwards. Outside a notebook the description is printed instead.
    alt
        What the figure shows, in one or two sentences.
    """
    _display([_image_of(ax.figure)], alt)
    plt.close(ax.figure)


def animate(draw: Callable[[Axes, int], None], n_frames: int, alt: str, ax: Axes | None = None) -> None:
    """Show a film in a notebook that plays by itself, offline too, five frames a second, over and over.

    Parameters
    ----------
    draw
        Called for every frame with the empty Axes and the frame's number, from 0.
    n_frames
        Number of frames. The last one is held for two seconds, and stands alone where nothing can move (on paper).
    alt
        What the film shows, in one or two sentences.
    ax
        Where to draw; made if None. Its figure is closed afterwards.
    """
    ax = _axes_or_new(ax, (4.6, 4.2))
    images = []
    for frame in range(n_frames):
        ax.clear()
        draw(ax, frame)
        images.append(_image_of(ax.figure))
    plt.close(ax.figure)
    _display(images, alt)


def _image_of(figure: Figure) -> "Image.Image":
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    return Image.open(drawn).convert("RGB").quantize(128)  # a third of the size


def _display(images: Sequence["Image.Image"], alt: str) -> None:
    """Show one image, or a film of several, in a notebook; elsewhere print its description."""
    if "ipykernel" not in sys.modules:
        print(f"Figure: {alt}")
        return
    from IPython.display import display

    png, gif = io.BytesIO(), io.BytesIO()
    images[-1].save(png, "png", optimize=True)
    still = base64.b64encode(png.getvalue()).decode()
    shown = f"data:image/png;base64,{still}"
    if len(images) > 1:
        durations = [200] * (len(images) - 1) + [2000]
        images[0].save(gif, "gif", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)
        shown = f"data:image/gif;base64,{base64.b64encode(gif.getvalue()).decode()}"
    html = f'<img alt="{escape(alt)}" src="{shown}">'
    bundle = {"text/html": html, "image/png": still, "text/plain": f"Figure: {alt}"}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


def _axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax
