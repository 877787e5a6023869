"""The figures of `report.html` that stay as they are drawn: numbers in, paths of SVG out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

DRAWN_GENES = 1000  # the most genes in a figure of the fit
LEFT, RIGHT, TOP, BOTTOM = 48, 330, 30, 196  # of the area inside the axes, on a canvas of 340 x 236


SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Axis(NamedTuple):
    """A range of values, where on the page it lies, and whether it is logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, values: Any) -> np.ndarray:
        """Return where values lie."""
        low, high, values = (np.log10(v) if self.log else np.asarray(v) for v in (self.low, self.high, values))
        return self.start + (values - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Return places and texts of round values."""
        if self.log:
            powers = range(int(np.ceil(np.log10(self.low))), int(np.floor(np.log10(self.high))) + 1)
            values = [10.0**power for power in powers][:: 1 + len(powers) // 6]
            if len(values) < 2:
                values = [self.low, self.high]
        else:
            step = 10.0 ** np.floor(np.log10((self.high - self.low) / 4))
            step *= next(m for m in (1, 2, 5, 10) if m * step >= (self.high - self.low) / 4)
            values = np.arange(np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9) + 1) * step
        return [(round(float(self.place(v)), 1), _number(float(v))) for v in values]


def _number(value: float) -> str:
    """Return a round number as it is written, a very large or small one as a multiple of a power of ten."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.3g}') + 0:,g}".replace("-", "\N{MINUS SIGN}")
    factor, power = f"{value:.1e}".split("e")
    raised = f"10{str(int(power)).translate(SUPERSCRIPTS)}"
    return (
        raised
        if factor == "1.0"
        else f"{float(factor):g} \N{MULTIPLICATION SIGN} {raised}".replace("-", "\N{MINUS SIGN}")
    )


class Curve(NamedTuple):
    """A path of SVG with its style (`a`, `b` or `guide`) and, for points, the path of a marker to fill at each."""

    style: str
    path: str
    is_points: bool = False


class Plot(NamedTuple):
    """A figure: its name, what it says in words, the texts at its axes, its ticks and what is drawn."""

    key: str
    title: str
    alt: str
    x_label: str
    y_label: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    curves: list[Curve]


def history_plots(history: Mapping[str, Sequence[float]], parts: Mapping[str, str]) -> list[Plot]:
    """Return a plot of every part of the loss over the epochs, without the steep first quarter."""
    figures = []
    for metric, title in parts.items():
        sets = {"a": _metric(history, metric, "train_set"), "b": _metric(history, metric, "test_set")}
        sets = {style: values for style, values in sets.items() if len(values)}
        if not sets:
            continue
        n_epochs = len(sets["a"])
        y = _axis(np.concatenate([values[len(values) // 4 :] for values in sets.values()]), BOTTOM, TOP)
        x = Axis(1, max(2, n_epochs), LEFT, RIGHT)
        curves = [Curve(style, _line(x.place(np.arange(1, n_epochs + 1)), y.place(v))) for style, v in sets.items()]
        said = {"a": "training", "b": "held-out"}
        ends = ", ".join(f"{v[0]:.5g} to {v[-1]:.5g} in {said[style]} cells" for style, v in sets.items())
        alt = f"{title} over {n_epochs} epochs: {ends}, nats per cell"
        epochs = [tick for tick in x.ticks() if "." not in tick[1]]
        figures.append(Plot(metric, title, alt, "epoch", "nats per cell", epochs, y.ticks(), curves))
    return figures


def history_texts(history: Mapping[str, Sequence[float]], parts: Mapping[str, str]) -> dict[str, list[list[str]]]:
    """Return every part of the loss in training and in held-out cells as texts, to be shown epoch by epoch."""
    return {
        metric: [[f"{v:,.2f}" for v in _metric(history, metric, cells)] for cells in ("train_set", "test_set")]
        for metric in parts
    }


def fit_plots(observed: np.ndarray, generated: np.ndarray, seed: int) -> list[Plot]:
    """Return zeros, totals, and variances against means in observed and in generated counts, (cells, genes) each."""
    order = np.random.default_rng(seed).permutation(observed.shape[1])[:DRAWN_GENES]
    both = [counts[:, np.sort(order)].astype(np.float64) for counts in (observed, generated)]
    zeros = [(counts == 0).mean(axis=0) for counts in both]
    x, y = Axis(0, 1, LEFT, RIGHT), Axis(0, 1, BOTTOM, TOP)
    curves = [
        Curve("guide", _line(x.place([0, 1]), y.place([0, 1]))),
        _points("a", x.place(zeros[0]), y.place(zeros[1])),
    ]
    off = np.abs(zeros[0] - zeros[1]).mean()
    alt = f"Share of zeros of each gene, generated against observed: {off:.3f} apart in the mean"
    labels = "share of zeros, observed", "share of zeros, generated"
    of_genes = Plot("zeros", "Zeros of each gene", alt, *labels, x.ticks(), y.ticks(), curves)
    return [of_genes, _totals(observed.sum(axis=1), generated.sum(axis=1)), _mean_variance(*both)]


def _totals(observed: np.ndarray, generated: np.ndarray) -> Plot:
    """Return the distributions of the cells' totals, (cells,) each."""
    logs = [np.log10(np.maximum(totals, 1)) for totals in (observed, generated)]
    edges = np.histogram_bin_edges(np.concatenate(logs), 24)
    shares = [np.histogram(values, edges)[0] / len(values) for values in logs]
    x, y = Axis(10 ** edges[0], 10 ** edges[-1], LEFT, RIGHT, log=True), Axis(0, 1.05 * np.max(shares), BOTTOM, TOP)
    steps = np.repeat(edges, 2)[1:-1]
    curves = [
        Curve(style, _line(x.place(10**steps), y.place(np.repeat(values, 2))))
        for style, values in zip("ab", shares, strict=True)
    ]
    alt = f"Totals of the cells: median {np.median(observed):,.0f} observed, {np.median(generated):,.0f} generated"
    labels = "counts in a cell", "share of the cells"
    return Plot("totals", "Totals of the cells", alt, *labels, x.ticks(), y.ticks(), curves)


def _mean_variance(observed: np.ndarray, generated: np.ndarray) -> Plot:
    """Return the variance of every gene against its mean, with the Poisson line, of (cells, genes) each."""
    moments = [np.array([counts.mean(axis=0), counts.var(axis=0)]) for counts in (observed, generated)]
    moments = [of_genes[:, (of_genes > 0).all(axis=0)] for of_genes in moments]  # logarithms, so without empty genes
    every = np.concatenate(moments, axis=1)
    if not every.size:
        every = np.ones((2, 1))
    x, y = (_axis(values, *ends, log=True) for values, ends in zip(every, ((LEFT, RIGHT), (BOTTOM, TOP)), strict=True))
    ends = np.array([max(x.low, y.low), min(x.high, y.high)])
    curves = [_points(style, x.place(m), y.place(v)) for style, (m, v) in zip("ab", moments, strict=True)]
    curves.append(Curve("guide", _line(x.place(ends), y.place(ends))))
    more = [(v > m).mean() if len(m) else 0 for m, v in moments]
    alt = f"Variance over mean of each gene: above it in {more[0]:.0%} of genes observed, {more[1]:.0%} generated"
    labels = "mean count of a gene", "variance of its counts"
    return Plot("variance", "Mean and variance of each gene", alt, *labels, x.ticks(), y.ticks(), curves)


def _axis(values: np.ndarray, start: float, end: float, log: bool = False) -> Axis:
    """Return an axis for these values, with a margin of 5 % on either side."""
    low, high = (float(np.log10(v) if log else v) for v in (values.min(), values.max()))
    margin = 0.05 * (high - low) or 0.5
    low, high = low - margin, high + margin
    return Axis(10**low, 10**high, start, end, log) if log else Axis(low, high, start, end)


def _line(x: np.ndarray, y: np.ndarray) -> str:
    """Return a path through some places; a single one is a dot, as its ends are round."""
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)) + "h0"


def _points(style: str, x: np.ndarray, y: np.ndarray) -> Curve:
    """Return circles (style a) or triangles (style b) at some places."""
    shape = "m0-2.4 2.4 4.2h-4.8z" if style == "b" else "h0"
    return Curve(style, "".join(f"M{a:.1f} {b:.1f}{shape}" for a, b in zip(x, y, strict=True)), is_points=True)


def _metric(history: Mapping[str, Sequence[float]], metric: str, cells: str) -> np.ndarray:
    """Return a part of the loss over the epochs; the ELBO with its sign changed."""
    return (-1 if metric == "elbo" else 1) * np.asarray(history.get(f"{metric}_{cells}", []), np.float64)
