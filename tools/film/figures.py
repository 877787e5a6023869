"""The figures that a lesson drew itself, as pictures on a card, and a lens that shows a part of one."""

import base64
import io
import json

import numpy as np
from manim import *
from PIL import Image, ImageDraw

from .lesson import Lesson
from .look import *


def figure(lesson: Lesson, part: str, k: int = 0, height: float = 4.6) -> Group:
    """Return figure k that the only cell drew whose code contains a text, on a light card: `.card`, `.image`."""
    cells = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
    found = [cell for cell in cells if cell["cell_type"] == "code" and part in "".join(cell["source"])]
    if len(found) != 1:
        raise ValueError(f"{part!r} is in {len(found)} cells of {lesson.path.name}, not in one")
    drawn = [one["data"]["image/png"] for one in found[0]["outputs"] if "image/png" in one.get("data", {})]
    picture = Image.open(io.BytesIO(base64.b64decode(drawn[k]))).convert("RGBA")
    paper = np.array([*color_to_int_rgb(INK), 255])  # less glaring than white
    picture = Image.fromarray(np.uint8(np.array(picture) * (paper / 255)))
    image = ImageMobject(np.array(picture)).set_resampling_algorithm(RESAMPLING_ALGORITHMS["bicubic"])
    image.height = height
    if image.width > 12.4:
        image.width = 12.4
    card = RoundedRectangle(0.15, width=image.width + 0.4, height=image.height + 0.4, stroke_width=0)
    group = Group(card.set_fill(INK, 1), image)
    group.card, group.image, group.picture = card, image, picture
    return group


class Lens(Group):
    """A round magnifier over a figure: `.to(x, y, zoom)` moves it, x and y from 0 (left, bottom) to 1."""

    def __init__(self, shown: Group, radius: float = 1.3, x: float = 0.5, y: float = 0.5, zoom: float = 1.0):
        super().__init__()
        self.shown, self.radius, self.place = shown, radius, np.array([x, y, zoom], dtype=float)
        self.glass = ImageMobject(np.zeros((400, 400, 4), dtype=np.uint8))
        self.glass.height = 2 * radius
        self.ring = Circle(radius, color=MEAN, stroke_width=6)
        self.add(self.glass, self.ring)
        self.look()

    def look(self) -> "Lens":
        """Show what is below the lens, magnified."""
        x, y, zoom = self.place
        image, picture = self.shown.image, self.shown.picture
        self.move_to(image.get_corner(DL) + RIGHT * x * image.width + UP * y * image.height)
        half = self.radius / zoom / image.height * picture.height
        middle = np.array([x * picture.width, (1 - y) * picture.height])
        part = picture.transform(
            (400, 400),
            Image.Transform.EXTENT,
            (*(middle - half), *(middle + half)),
            Image.Resampling.BICUBIC,
            fillcolor=INK,
        )
        round_ = Image.new("L", (400, 400))
        ImageDraw.Draw(round_).ellipse((1, 1, 398, 398), fill=255)
        part.putalpha(round_)
        self.glass.pixel_array = np.array(part)
        return self

    def to(self, x: float, y: float, zoom: float = 2.0) -> Animation:
        """Return the lens moving to a place of the figure; it can be written early."""
        return _Look(self, np.array([x, y, zoom], dtype=float))


class _Look(Animation):
    def __init__(self, lens: Lens, goal: np.ndarray):
        super().__init__(lens)
        self.goal = goal

    def begin(self) -> None:
        self.start = self.mobject.place.copy()
        super().begin()

    def interpolate_mobject(self, alpha: float) -> None:
        share = self.rate_func(alpha)
        self.mobject.place = (1 - share) * self.start + share * self.goal
        self.mobject.look()
