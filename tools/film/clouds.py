"""Many points at once, and what surrounds them: dots, clouds that move, ellipses, heat maps."""

from collections.abc import Sequence

import numpy as np
from manim import *

from .charts import Plot
from .look import *


def dots(
    axes: Plot | Axes,
    points: np.ndarray,
    groups: Sequence[int] | None = None,
    colors: Sequence[str] | str | None = None,
    radius: float = 0.05,
    opacity: float = 0.85,
) -> VGroup:
    """Return a dot for every point, coloured by its group (a number), or by `colors`: one for all, or one for each.

    For more than a hundred points use a `Cloud`, which is drawn ten times as fast.
    """
    if groups is not None:
        colors = [GROUPS[int(group) % len(GROUPS)] for group in groups]
    elif colors is None or isinstance(colors, str):
        colors = [colors or LATENT] * len(points)
    places = [axes.c2p(*point[:2]) for point in points]
    pairs = zip(places, colors, strict=True)
    return VGroup(*[Dot(place, radius=radius, color=color, fill_opacity=opacity) for place, color in pairs])


class Cloud(VGroup):
    """Points that belong to groups; `.to(points)` moves all of them, `.group(number)` is what is drawn of a group."""

    def __init__(
        self,
        axes: Plot | Axes,
        points: np.ndarray,
        groups: Sequence[int] | None = None,
        colors: Sequence[str] | str | None = None,
        radius: float = 0.05,
        opacity: float = 0.85,
    ):
        super().__init__()
        self.axes, self.radius = axes, radius
        self.groups = np.zeros(len(points), dtype=int) if groups is None else np.asarray(groups).astype(int)
        colors = [colors] if isinstance(colors, str) else colors or ([LATENT] if groups is None else GROUPS)
        self.numbers = sorted({*self.groups.tolist()})
        self.add(*[VMobject(stroke_width=0).set_fill(colors[one % len(colors)], opacity) for one in self.numbers])
        self.place(points)

    def group(self, number: int) -> VMobject:
        """Return what is drawn of a group."""
        return self[self.numbers.index(number)]

    def place(self, points: np.ndarray) -> "Cloud":
        """Put the points at coordinates of the axes."""
        self.points_now = np.asarray(points, dtype=float)[:, :2]
        corner = self.axes.c2p(0, 0)
        across, up = self.axes.c2p(1, 0) - corner, self.axes.c2p(0, 1) - corner
        for number, drawn in zip(self.numbers, self, strict=True):
            at = self.points_now[self.groups == number]
            centres = corner + at[:, :1] * across + at[:, 1:] * up
            drawn.set_points((centres[:, None] + self.radius * CIRCLE).reshape(-1, 3))
        return self

    def to(self, points: np.ndarray) -> Animation:
        """Return the points moving straight to other coordinates; it can be written early."""
        return _Drift(self, np.asarray(points, dtype=float)[:, :2])


class _Drift(Animation):
    def __init__(self, cloud: Cloud, goal: np.ndarray):
        super().__init__(cloud)
        self.goal = goal

    def begin(self) -> None:
        self.start = self.mobject.points_now
        super().begin()

    def interpolate_mobject(self, alpha: float) -> None:
        share = self.rate_func(alpha)
        self.mobject.place((1 - share) * self.start + share * self.goal)


def _circle() -> np.ndarray:
    """Return a circle of radius 1 as four curves: four points each."""
    handle, curves = 4 / 3 * np.tan(PI / 8), []
    for turn in range(4):
        out, side = rotate_vector(RIGHT, turn * PI / 2), rotate_vector(UP, turn * PI / 2)
        curves += [out, out + handle * side, side + handle * out, side]
    return np.array(curves)


CIRCLE = _circle()


def ellipse(
    axes: Plot | Axes, mean: Sequence[float], covariance: Sequence, color: str = MEAN, deviations: float = 2.0
) -> VMobject:
    """Return the ellipse of a normal distribution in two dimensions; `covariance` may be two standard deviations."""
    covariance = np.asarray(covariance, dtype=float)
    root = np.diag(covariance) if covariance.ndim == 1 else np.linalg.cholesky(covariance)
    turns = np.linspace(0, TAU, 65)
    points = np.asarray(mean) + deviations * np.stack([np.cos(turns), np.sin(turns)], axis=1) @ root.T
    return (
        VMobject()
        .set_points_as_corners([axes.c2p(*point) for point in points])
        .set_stroke(color, 4)
        .set_fill(color, 0.1)
    )


def heat(axes: Plot | Axes, grid: np.ndarray, color: str = LATENT, top: float | None = None) -> ImageMobject:
    """Return a heat map that fills the axes: rows from the bottom up, the stronger the higher, up to `top`."""
    share = np.clip(np.asarray(grid, dtype=float)[::-1] / (np.max(grid) if top is None else top), 0, 1)
    pixels = np.zeros((*share.shape, 4), dtype=np.uint8)
    pixels[..., :3], pixels[..., 3] = color_to_int_rgb(color), np.round(255 * share)
    image = ImageMobject(pixels).set_resampling_algorithm(RESAMPLING_ALGORITHMS["bicubic"])
    low, high = axes.c2p(axes.x_range[0], axes.y_range[0]), axes.c2p(axes.x_range[1], axes.y_range[1])
    image.stretch_to_fit_width((high - low)[0]).stretch_to_fit_height((high - low)[1])
    return image.move_to((low + high) / 2)
