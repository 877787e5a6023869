"""What is wrong with a picture of a film: text that is cut off, covered, small, or hard to read."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from manim import DL, UR, ImageMobject, ManimColor, Mobject, Rectangle, Text, Typst, VMobject

from .look import GROUND

# Measured at 1280x720: an em of `words` and `mono` of size 20 is 25 px, so 20 is the smallest size; an em of `math` of
# size 20 is only 19 px, and 26 is its smallest.
SMALLEST, SMALLEST_MATH = 20, 26
EDGE_X, EDGE_Y = 7.11 - 0.3, 4.0 - 0.3


class Shown:
    """A text in a picture: what it says, where it is, and what it belongs to."""

    def __init__(self, drawn: Mobject, owner: int, place: int):
        parts = [one for one in drawn.family_members_with_points() if _opacity(one) > 0.15]
        self.drawn, self.owner, self.place, self.parts = drawn, owner, place, parts
        self.text = str(getattr(drawn, "shown", getattr(drawn, "original_text", getattr(drawn, "typst_code", ""))))
        if parts:
            lows = np.array([one.points.min(axis=0)[:2] for one in parts])
            highs = np.array([one.points.max(axis=0)[:2] for one in parts])
            self.letters, self.low, self.high = (lows, highs), lows.min(axis=0), highs.max(axis=0)

    def size(self) -> float:
        """Return the size of the text as it is shown; infinite for what was turned into something else."""
        if not hasattr(self.drawn, "written_size"):
            return self.drawn.font_size
        tall, wide = self.drawn.height / self.drawn.written_height, self.drawn.width / self.drawn.written_width
        return self.drawn.written_size * tall if abs(tall / wide - 1) < 0.05 else np.inf


def complaints(mobjects: list[Mobject]) -> list[str]:
    """Return what is wrong with a picture, a sentence for every text."""
    texts, grounds = _look(mobjects)
    found = [] if _seen(mobjects) else ["there is nothing to see below the heading"]
    for one in texts:
        if (np.abs([one.low, one.high]) > [EDGE_X, EDGE_Y]).any():
            found.append(f"{one.text!r} leaves the frame, or comes too near its edge")
        smallest = SMALLEST_MATH if isinstance(one.drawn, Typst) else SMALLEST
        if one.size() < smallest - 0.3:
            found.append(f"{one.text!r} is of size {one.size():.1f}, and {smallest} is the smallest")
        if (contrast := _contrast(one, grounds)) < 4.5:
            found.append(f"{one.text!r} has a contrast of {contrast:.2f} to what is behind it, less than 4.5")
    found += ["a card leaves the frame, or comes too near its edge"] if _card_at_edge(mobjects) else []
    for one, other in combinations(texts, 2):
        apart = one.owner == other.owner or _covers(one, other, grounds) or _covers(other, one, grounds)
        if not apart and _touch(one, other):
            found.append(f"{one.text!r} and {other.text!r} lie over each other")
    return found


def _seen(mobjects: list[Mobject]) -> bool:
    """Return whether anything is shown below the heading, which ends 0.8 below the upper edge."""
    family = [part for one in mobjects for part in one.family_members_with_points()]
    shown = [
        one for one in family if isinstance(one, ImageMobject) or (isinstance(one, VMobject) and _opacity(one) > 0.15)
    ]
    return any(one.get_bottom()[1] < 3.2 for one in shown)


def _card_at_edge(mobjects: list[Mobject]) -> bool:
    """Return whether a rectangle, but for one that fills the frame, ends within 0.2 of the edge, or beyond it."""
    family = [part for one in mobjects for part in one.family_members_with_points()]
    cards = [one for one in family if isinstance(one, Rectangle) and _opacity(one) > 0.15 and one.width < 13]
    ends = [np.abs([one.get_corner(DL), one.get_corner(UR)])[:, :2] for one in cards if one.height > 0.5]
    return any((end > [EDGE_X + 0.1, EDGE_Y + 0.1]).any() for end in ends)


def _touch(one: Shown, other: Shown) -> bool:
    """Return whether letters of two texts touch; texts that are turned have boxes that say little."""
    if (np.minimum(one.high, other.high) - np.maximum(one.low, other.low) <= 0.03).any():
        return False
    lows, highs = zip(one.letters, other.letters, strict=True)
    shared = np.minimum(highs[0][:, None], highs[1][None]) - np.maximum(lows[0][:, None], lows[1][None])
    return bool((shared > 0.01).all(axis=-1).any())


def _look(mobjects: list[Mobject]) -> tuple[list[Shown], list[tuple]]:
    """Return the texts that are seen, and the filled shapes: place in the drawing, outline, colour, opacity."""
    texts, grounds = [], []
    for place, (one, owner) in enumerate(_parts(sorted(mobjects, key=lambda one: one.z_index), 0)):
        if _is_text(one):
            texts.append(Shown(one, owner or id(one), place))
        elif isinstance(one, ImageMobject):
            grounds.append((place, one.points[[0, 1, 3, 2], :2], None, 1.0))
        elif isinstance(one, VMobject) and len(one.points) and one.get_fill_opacity() > 0:
            fill = one.get_fill_color(), one.get_fill_opacity()
            grounds.extend((place, part[:, :2], *fill) for part in one.get_subpaths())
    return [text for text in texts if text.parts], grounds


def _parts(mobjects: list[Mobject], owner: int) -> Iterator[tuple[Mobject, int]]:
    """Yield things as they are drawn, each with what it belongs to; a text is one thing."""
    for one in mobjects:
        yield one, owner
        if not _is_text(one):
            yield from _parts(one.submobjects, owner or (id(one) if hasattr(one, "lines") else 0))


def _is_text(one: Mobject) -> bool:
    return isinstance(one, Text | Typst) or hasattr(one, "written_size")


def _opacity(one: VMobject) -> float:
    return max(one.get_fill_opacity(), one.get_stroke_opacity() if one.get_stroke_width() > 0 else 0.0)


def _covers(upper: Shown, lower: Shown, grounds: list[tuple]) -> bool:
    """Return whether something opaque lies between two texts, such as the card of the upper one."""
    middle = (np.maximum(upper.low, lower.low) + np.minimum(upper.high, lower.high)) / 2
    return any(
        lower.place < place < upper.place and opacity > 0.8 and _inside(middle, outline)
        for place, outline, _, opacity in grounds
    )


def _inside(point: np.ndarray, outline: np.ndarray) -> bool:
    """Return whether a point lies within an outline: a line to the right crosses that an odd number of times."""
    (x0, y0), (x1, y1) = (outline - point).T, (np.roll(outline, -1, axis=0) - point).T
    crossing = (y0 > 0) != (y1 > 0)
    return bool((crossing & (x0 - y0 * (x1 - x0) / np.where(y1 == y0, 1, y1 - y0) > 0)).sum() % 2)


def _contrast(text: Shown, grounds: list[tuple]) -> float:
    """Return the contrast (WCAG) of a text to what was drawn before it at its middle."""
    middle, ground = (text.low + text.high) / 2, ManimColor(GROUND)
    for place, outline, color, opacity in grounds:
        if place < text.place and _inside(middle, outline):
            if color is None:
                return np.inf  # on a figure of the lesson
            ground = ground.interpolate(color, opacity)
    behind = _luminance(ground)
    every = {one.get_fill_color().to_hex() for one in text.parts if one.get_fill_opacity() > 0.15}
    lights = [_luminance(ManimColor(color)) for color in every]
    return min(((max(light, behind) + 0.05) / (min(light, behind) + 0.05) for light in lights), default=np.inf)


def _luminance(color: ManimColor) -> float:
    parts = np.array(color.to_rgb())
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])
