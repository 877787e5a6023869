"""Things that films draw again and again: a die, an autoencoder, a cell as counts, a digit."""

import numpy as np
from manim import *

from .look import *

BOX = CARD  # what a box of a model is filled with
PIPS = {1: [4], 2: [0, 8], 3: [0, 4, 8], 4: [0, 2, 6, 8], 5: [0, 2, 4, 6, 8], 6: [0, 2, 3, 5, 6, 8]}


class Die(VGroup):
    """A die; `show(face)` turns it to a face, `roll(...)` throws it."""

    def __init__(self, side: float = 1.15, color: str = NOISE):
        super().__init__()
        box = RoundedRectangle(0.2 * side, width=side, height=side, color=color, stroke_width=4)
        places = [RIGHT * x * side * 0.27 + UP * y * side * 0.27 for y in (1, 0, -1) for x in (-1, 0, 1)]
        self.add(box.set_fill("#2A1520", 1), *[Dot(place, radius=0.085 * side, color=INK) for place in places])
        self.show(5)

    def show(self, face: int) -> "Die":
        """Show a face, 1 to 6."""
        for place in range(9):
            self[1 + place].set_opacity(float(place in PIPS[face]))
        return self

    def roll(self, faces: list[int], turns: float = 1.0) -> Animation:
        """Return the animation of a throw that ends with the last of the faces."""
        return _Roll(self, faces, turns)


class _Roll(Animation):
    def __init__(self, die: Die, faces: list[int], turns: float):
        super().__init__(die, rate_func=linear)
        self.faces, self.turns, self.rest = faces, turns, die.copy()

    def begin(self) -> None:
        if self.mobject[0].get_stroke_opacity() > 0:  # else it is faded in meanwhile
            self.rest = self.mobject.copy()
        super().begin()

    def interpolate_mobject(self, alpha: float) -> None:
        alpha = self.rate_func(alpha)
        self.mobject.become(self.rest).show(self.faces[min(int(alpha * len(self.faces)), len(self.faces) - 1)])
        self.mobject.rotate(-TAU * self.turns * (1 - alpha) ** 2)
        self.mobject.shift(UP * 0.45 * self.rest[0].height * np.sin(PI * alpha) * (1 - alpha))


def glowing(*points: np.ndarray, color: str = SLOPE) -> VGroup:
    """Return the way of a gradient, from its first point to its last; draw it with `Create(way, lag_ratio=0)`."""
    way = VMobject().set_points_as_corners([*points])
    return VGroup(way.copy().set_stroke(color, 22, 0.22), way.set_stroke(color, 8))


def pulse(path: VMobject, color: str = LATENT) -> Animation:
    """Return a light that runs along a path or an arrow."""
    way = (
        VMobject().set_points_as_corners([path.get_start(), path.get_end()]) if isinstance(path, Line) else path.copy()
    )
    return ShowPassingFlash(way.set_fill(opacity=0).set_stroke(color, 9, 1), time_width=0.5)


def trapezoid(label: str, narrow: str = "right", width: float = 1.6, height: float = 2.2, size: float = 24) -> VGroup:
    """Return a network as a trapezoid, narrow on its right (an encoder) or on its left (a decoder)."""
    x, y = width / 2, height / 2
    near, far = (y, y / 2) if narrow == "right" else (y / 2, y)
    shape = Polygon([-x, near, 0], [x, far, 0], [x, -far, 0], [-x, -near, 0], color=INK, stroke_width=4)
    return VGroup(shape.set_fill(BOX, 1), words(label, size))


def box(label: str | Mobject, note: str = "", width: float = 2.1, height: float = 1.2, color: str = INK) -> VGroup:
    """Return a rounded box with a label, a text or a formula, and a small note above it."""
    inside = VGroup(words(label, 26) if isinstance(label, str) else label)
    if note:
        inside.add_to_back(words(note, 22, DIM))
    frame = RoundedRectangle(0.15, width=width, height=height, color=color, stroke_width=4).set_fill(BOX, 1)
    return VGroup(frame, inside.arrange(DOWN, buff=0.12).move_to(frame))


def way(start: np.ndarray, end: np.ndarray, color: str = DIM, buff: float = 0.1) -> Arrow:
    """Return an arrow from point to point, as `arrow` draws it from thing to thing."""
    return Arrow(
        start, end, buff=buff, color=color, stroke_width=5, max_tip_length_to_length_ratio=0.25, tip_length=0.2
    )


class Autoencoder(VGroup):
    """Encoder, mu and sigma, die, z and decoder, with `ways` between them.

    The ways in order: encoder to mu and to sigma, mu to the die, sigma to the die, the die to z, z to the decoder.
    """

    def __init__(self):
        super().__init__()
        self.encoder = trapezoid("encoder").move_to(LEFT * 4.4)
        self.mu = node("mu", MEAN).move_to([-2.2, 0.85, 0])
        self.sigma = node("sigma", SPREAD).move_to([-2.2, -0.85, 0])
        self.die = Die().move_to(LEFT * 0.05)
        self.z = node("z", LATENT).move_to(RIGHT * 2.05)
        self.decoder = trapezoid("decoder", narrow="left").move_to(RIGHT * 4.4)
        edge, face = self.encoder[0].get_right(), self.die.get_left()
        self.ways = VGroup(
            way(edge + UP * 0.3, self.mu.get_left()),
            way(edge + DOWN * 0.3, self.sigma.get_left()),
            way(self.mu.get_right(), face + UP * 0.25),
            way(self.sigma.get_right(), face + DOWN * 0.25),
            arrow(self.die, self.z),
            arrow(self.z, self.decoder),
        )
        self.add(self.encoder, self.mu, self.sigma, self.die, self.z, self.decoder, self.ways)

    def appear(self) -> Animation:
        """Return the parts appearing from left to right."""
        steps = [
            [FadeIn(self.encoder, shift=RIGHT * 0.3)],
            [GrowArrow(one) for one in self.ways[:2]] + [FadeIn(self.mu, scale=0.7), FadeIn(self.sigma, scale=0.7)],
            [GrowArrow(one) for one in self.ways[2:4]] + [FadeIn(self.die, scale=0.7)],
            [GrowArrow(self.ways[4]), FadeIn(self.z, scale=0.7)],
            [GrowArrow(self.ways[5]), FadeIn(self.decoder, shift=LEFT * 0.3)],
        ]
        return LaggedStart(*[AnimationGroup(*step) for step in steps], lag_ratio=0.5)

    def flow(self, color: str = LATENT) -> Animation:
        """Return a light that runs from the encoder to the decoder."""
        pairs = [self.ways[:2], self.ways[2:4], self.ways[4:5], self.ways[5:6]]
        return LaggedStart(*[AnimationGroup(*[pulse(one, color) for one in pair]) for pair in pairs], lag_ratio=0.6)


def shade(value: float, color: str = INK, ground: str = "#1D2533") -> ManimColor:
    """Return the colour of a value between 0 and 1: from the ground, which is dark, to a colour."""
    return interpolate_color(ManimColor(ground), ManimColor(color), float(np.clip(value, 0, 1)))


def counts_column(
    values: list, names: list[str] | None = None, side: float = 0.52, color: str = INK, top: float | None = None
) -> VGroup:
    """Return a cell as a column of counts: `.squares`, the brighter the higher, `.numbers` and `.names`.

    Brightness goes by log(1 + count), up to `top`, or to the highest of the values.
    """
    high = np.log1p(max(values) if top is None else top) or 1.0
    column = VGroup()
    column.squares = VGroup(*[Square(side, stroke_width=0) for _ in values]).arrange(DOWN, buff=side * 0.12)
    column.numbers, column.names = VGroup(), VGroup()
    for place, (square, value) in enumerate(zip(column.squares, values, strict=True)):
        square.set_fill(shade(np.log1p(value) / high, color), 1)
        bright = square.get_fill_color().to_hsl()[2] > 0.46  # black on bright, white on dark: contrast above 4.5
        column.numbers.add(mono(f"{value:g}", max(20, side * 42), BLACK if bright else WHITE).move_to(square))
        if names:
            column.names.add(words(names[place], 22, DIM).next_to(square, LEFT, buff=0.25))
    return column.add(column.squares, column.numbers, column.names)


class Counts(VGroup):
    """A matrix of squares: `.row(i)` is a cell, `.column(j)` a gene."""

    def row(self, i: int) -> VGroup:
        """Return a cell."""
        return self[i]

    def column(self, j: int) -> VGroup:
        """Return a gene."""
        return VGroup(*[row[j] for row in self])


def counts_matrix(rows: list, side: float = 0.3, color: str = INK, top: float | None = None) -> Counts:
    """Return counts of cells (`.row(i)`) and genes (`.column(j)`) as squares, the brighter the higher."""
    high, matrix = np.log1p(np.max(rows) if top is None else top) or 1.0, Counts()
    for i, row in enumerate(rows):
        cells = [Square(side * 0.9, stroke_width=0).set_fill(shade(np.log1p(one) / high, color), 1) for one in row]
        matrix.add(VGroup(*[cell.move_to([j * side, -i * side, 0]) for j, cell in enumerate(cells)]))
    return matrix.center()


def digit(image: np.ndarray, side: float = 1.6, color: str = INK, top: float | None = None) -> VGroup:
    """Return an image of a digit, 8 by 8 or a row of 64, as squares on a dark card; `.squares` are in reading order."""
    pixels = np.asarray(image, dtype=float).reshape(-1)
    edge = round(len(pixels) ** 0.5)
    card = RoundedRectangle(0.06, width=side * 1.08, height=side * 1.08, stroke_width=0).set_fill(CARD, 1)
    squares = VGroup(*[Square(side / edge * 0.94, stroke_width=0) for _ in pixels])
    squares.arrange_in_grid(edge, edge, buff=side / edge * 0.06).move_to(card)
    high = pixels.max() if top is None else top
    for square, pixel in zip(squares, pixels, strict=True):
        square.set_fill(shade(pixel / (high or 1.0), color, CARD), 1)
    group = VGroup(card, squares)
    group.squares = squares
    return group
