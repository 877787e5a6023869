"""Axes, curves, histograms, dots, bells, bars and tables, drawn from a lesson's values."""

from collections.abc import Sequence

import numpy as np
from manim import *

from .look import *


class Plot(VGroup):
    """Quiet axes: a line at the left and one at the bottom, `c2p` and `p2c`, and `frame`, `marks`, `names`."""

    def __init__(self, x_range: Sequence[float], y_range: Sequence[float], width: float, height: float):
        super().__init__()
        self.x_range, self.y_range = np.array(x_range, dtype=float), np.array(y_range, dtype=float)
        corners = [UP * height, ORIGIN, RIGHT * width]
        self.frame = VMobject().set_points_as_corners(corners).set_stroke(DIM, 3)
        self.marks, self.names = VGroup(), VGroup()
        self.add(self.frame, self.marks, self.names)

    def c2p(self, x: float, y: float = 0.0) -> np.ndarray:
        """Return the point of the picture at coordinates, wherever the axes were moved or scaled to."""
        points = self.frame.points
        top, corner, right = points[0], points[3], points[-1]
        along = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return corner + along * (right - corner) + up * (top - corner)

    def p2c(self, point: np.ndarray) -> tuple[float, float]:
        """Return the coordinates of a point of the picture."""
        points = self.frame.points
        top, corner, right = points[0], points[3], points[-1]
        along, up = (point - corner)[0] / (right - corner)[0], (point - corner)[1] / (top - corner)[1]
        (left, high), (low, most) = self.x_range[:2], self.y_range[:2]
        return left + along * (high - left), low + up * (most - low)


def plot_axes(
    x_range: Sequence[float],
    y_range: Sequence[float],
    x_label: str | Mobject = "",
    y_label: str | Mobject = "",
    width: float = 9.0,
    height: float = 4.0,
    x_marks: dict | Sequence[float] | None = None,
    y_marks: dict | Sequence[float] | None = None,
) -> Plot:
    """Return quiet axes; ranges are (low, high) or (low, high, step), a step sets marks.

    Marks can be given instead: values, or {place: text} (for a logarithmic axis, say, {0: "1", 1: "10"}). Labels are
    texts, or formulas made with `math`; that of x stands right of the axis, that of y above it.
    """
    plot = Plot(x_range, y_range, width, height)
    for place, text in _marks(x_range, x_marks).items():
        plot.marks.add(words(text, 22, DIM).next_to(plot.c2p(place, y_range[0]), DOWN, buff=0.18))
    for place, text in _marks(y_range, y_marks).items():
        plot.marks.add(words(text, 22, DIM).next_to(plot.c2p(x_range[0], place), LEFT, buff=0.18))
    if x_label:
        label = words(x_label, 22, DIM) if isinstance(x_label, str) else x_label
        plot.names.add(label.next_to(plot.c2p(x_range[1], y_range[0]), RIGHT, buff=0.25))
    if y_label:
        label = words(y_label, 22, DIM) if isinstance(y_label, str) else y_label
        above = label.next_to(plot.c2p(x_range[0], y_range[1]), UP, buff=0.28)
        plot.names.add(above.shift(RIGHT * max(0.0, above.width / 2 - 0.6)))
    return plot.center()


def _marks(span: Sequence[float], marks: dict | Sequence[float] | None) -> dict[float, str]:
    if isinstance(marks, dict):
        return marks
    if marks is None:
        marks = np.arange(span[0], span[1] + 1e-6 * span[2], span[2]) if len(span) == 3 else []
    return {float(place): f"{round(float(place), 6):,g}".replace("-", "−") for place in marks}


def number_line(
    x_range: Sequence[float],
    label: str | Mobject = "",
    length: float = 11.0,
    marks: dict | Sequence[float] | None = None,
    color: str = DIM,
) -> NumberLine:
    """Return a line with ticks, its numbers below and its label at its right; `.n2p(x)` is the point of a number."""
    low, high, *step = x_range
    line = NumberLine([low, high, *(step or [1])], length=length, color=color, stroke_width=3)
    line.names = VGroup()
    for place, text in _marks([low, high, *(step or [1])], marks).items():
        line.names.add(words(text, 22, DIM).next_to(line.n2p(place), DOWN, buff=0.18))
    if label:
        label = words(label, 24, DIM) if isinstance(label, str) else label
        line.names.add(label.next_to(line.n2p(high), RIGHT, buff=0.25))
    return line.add(line.names)


def curve(axes: Plot | Axes, xs: Sequence[float], ys: Sequence[float], color: str = INK, width: float = 5) -> VMobject:
    """Return the curve through points; what is above or below the axes is left out, and so is what is not a number."""
    low, high = axes.y_range[:2]
    path, before = VMobject(), None
    for x, y in zip(np.asarray(xs, float), np.asarray(ys, float), strict=True):
        if before is not None and np.isfinite([before[1], y]).all():
            _piece(path, axes, before, (x, y), low, high)
        before = (x, y)
    return path.set_stroke(color, width)


def _piece(path: VMobject, axes: Plot | Axes, one: tuple, other: tuple, low: float, high: float) -> None:
    """Add the part of a step that lies between low and high."""
    (x0, y0), (x1, y1) = one, other
    if max(y0, y1) < low or min(y0, y1) > high:
        return
    rise = y1 - y0
    cuts = (
        sorted(np.clip([(low - y0) / rise, (high - y0) / rise], 0, 1))
        if abs(rise) > 1e-9 * (high - low)
        else [0.0, 1.0]
    )
    start, end = (axes.c2p(x0 + cut * (x1 - x0), np.clip(y0 + cut * rise, low, high)) for cut in cuts)
    if not len(path.points) or not np.allclose(path.points[-1], start, atol=1e-6):
        path.start_new_path(start)
    path.add_line_to(end)


def under(
    axes: Plot | Axes, xs: Sequence[float], ys: Sequence[float], color: str = MEAN, opacity: float = 0.2
) -> Polygon:
    """Return the area between a curve and the bottom of the axes."""
    low, high = axes.y_range[:2]
    top = [axes.c2p(x, y) for x, y in zip(xs, np.clip(ys, low, high), strict=True)]
    corners = [axes.c2p(xs[0], low), *top, axes.c2p(xs[-1], low)]
    return Polygon(*corners, stroke_width=0).set_fill(color, opacity)


def band(axes: Plot | Axes, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], color: str) -> Polygon:
    """Return the band between two curves, such as a mean less and plus its error."""
    low, high = axes.y_range[:2]
    lower = [axes.c2p(x, y) for x, y in zip(xs, np.clip(lows, low, high), strict=True)]
    upper = [axes.c2p(x, y) for x, y in zip(xs, np.clip(highs, low, high), strict=True)]
    return Polygon(*lower, *reversed(upper), stroke_width=0).set_fill(color, 0.25)


def histogram(
    axes: Plot | Axes, edges: Sequence[float], heights: Sequence[float], color: str = LATENT, opacity: float = 0.75
) -> VGroup:
    """Return bars between edges, one fewer than edges; a height of 0 is a bar as well."""
    low, high = axes.y_range[:2]
    bars = VGroup()
    for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
        top, gap = max(min(height, high), low + 1e-4 * (high - low)), 0.04 * (right - left)
        corners = [(left + gap, low), (right - gap, low), (right - gap, top), (left + gap, top)]
        bars.add(Polygon(*[axes.c2p(*corner) for corner in corners], stroke_width=0).set_fill(color, opacity))
    return bars


def bell(
    on: Plot | Axes | NumberLine, mean: float, sd: float, color: str = MEAN, height: float = 1.25, fill: float = 0.12
) -> VMobject:
    """Return the density of a normal distribution, three standard deviations to either side.

    On axes it is as high as the density. On a number line all bells have the same area, and the peak of one whose
    standard deviation is 1 is `height` above the line.
    """
    steps = np.linspace(-3.2, 3.2, 65)
    xs, density = mean + sd * steps, np.exp(-(steps**2) / 2) / sd
    if isinstance(on, NumberLine):
        points = [on.n2p(x) + UP * height * y for x, y in zip(xs, density, strict=True)]
    else:
        points = [on.c2p(x, y / np.sqrt(TAU)) for x, y in zip(xs, density, strict=True)]
    return VMobject().set_points_as_corners(points).set_stroke(color, 4).set_fill(color, fill)


class Bars(VGroup):
    """Horizontal bars with their values, which start at 0: `.name(i)`, `.bar(i)` with its value, `.grow(i)`.

    Values are numbers, or texts as the lesson prints them. Show `.names` (and `.unit`) first, then let bars grow.
    """

    def __init__(
        self,
        names: Sequence[str],
        values: Sequence,
        unit: str = "",
        colors: Sequence[str] | None = None,
        width: float = 6.6,
    ):
        super().__init__()
        texts = [value if isinstance(value, str) else f"{value:,g}".replace("-", "−") for value in values]
        sizes = [abs(float(text.replace("−", "-").replace(",", ""))) for text in texts]
        colors = colors or [LATENT] * len(texts)
        self.names, self.bars, self.unit = VGroup(), VGroup(), VGroup()
        for row, (name, text, size, color) in enumerate(zip(names, texts, sizes, colors, strict=True)):
            bar = Rectangle(width=max(size / max(sizes) * width, 0.02), height=0.7, stroke_width=0).set_fill(
                color, 0.85
            )
            bar.move_to([0, -1.05 * row, 0], aligned_edge=LEFT)
            self.names.add(words(name, 26).next_to(bar, LEFT, buff=0.3))
            value = mono(text, 28, GROUND)
            inside = value.width + 0.5 < bar.width
            value.next_to(bar.get_right(), LEFT if inside else RIGHT, buff=0.2).set_color(GROUND if inside else INK)
            self.bars.add(VGroup(bar, value))
        if unit:
            note = words(unit, 22, DIM).next_to(self.bars, DOWN, buff=0.4)
            self.unit.add(note.align_to(self.bars, LEFT))
        self.add(self.names, self.bars, self.unit).center()

    def name(self, i: int) -> Text:
        """Return the name of a bar."""
        return self.names[i]

    def bar(self, i: int) -> VGroup:
        """Return a bar and its value."""
        return self.bars[i]

    def grow(self, i: int) -> Animation:
        """Return the growth of a bar from 0."""
        return AnimationGroup(GrowFromEdge(self.bars[i][0], LEFT), FadeIn(self.bars[i][1], shift=RIGHT * 0.3))


class Rows(VGroup):
    """The rows of a table; a header, where there is one, is no row."""

    header: VGroup

    def row(self, i: int) -> VGroup:
        """Return a row."""
        return self[i + len(self.header[:1])]

    def cell(self, i: int, j: int) -> Mobject:
        """Return a cell of a row."""
        return self.row(i)[j]


def table(rows: Sequence[Sequence], header: Sequence[str] | None = None, size: float = 26, buff: float = 0.7) -> Rows:
    """Return a table: `.row(i)`, `.cell(i, j)`, `.header`. The first column stands left, the others right.

    Cells are texts, numbers, or things that were drawn, such as formulas.
    """
    every = [*([header] if header else []), *rows]
    pitch, right = size * 0.024, 0.0
    grid = [
        [_cell(one, size, -pitch * i, DIM if header and i == 0 else INK) for one in row] for i, row in enumerate(every)
    ]
    for column, cells in enumerate(zip(*grid, strict=True)):
        width = max(cell.width for cell in cells)
        for cell in cells:
            cell.set_x(right, LEFT) if column == 0 else cell.set_x(right + width, RIGHT)
        right += width + buff
    group = Rows(*[VGroup(*row) for row in grid])
    group.header = VGroup()
    if header:
        rule = Line([0, 0, 0], [right - buff, 0, 0], color=FAINT, stroke_width=3).set_y(-0.4 * pitch)
        group.header = group[0].add(rule)
    return group.center()


def _cell(value: object, size: float, y: float, color: str) -> Mobject:
    """Return a cell whose letters stand on the line of its row, whatever hangs below it or rises above."""
    if isinstance(value, Mobject):
        return value.set_y(y + size * 0.004)
    return seated(str(value), words, size, color).shift(UP * y)
