"""Colours, fonts, and the kinds of text of the films. Sizes are manim's; the smallest is 20, of formulas 26."""

import os
from collections.abc import Callable
from pathlib import Path

from manim import (
    BOLD,
    DOWN,
    LEFT,
    RIGHT,
    UL,
    UP,
    Arrow,
    Circle,
    Code,
    MathTypst,
    Mobject,
    RoundedRectangle,
    Text,
    VGroup,
    config,
)

INK, DIM, FAINT, GROUND, CARD = "#ECE8DF", "#8D98AB", "#2A3242", "#10141C", "#171D29"
MEAN, SPREAD, NOISE, LATENT = "#FFD166", "#06D6A0", "#EF476F", "#5CC8FF"  # mu, sigma, what is drawn, z
SLOPE, BAD, GOOD = "#FF9F1C", "#FF5A5F", "#7BD88F"
GROUPS = ["#5CC8FF", "#FFD166", "#EF476F", "#06D6A0", "#C792EA", "#FF9F1C", "#A3BE8C", "#F4A6C0", "#8FA8FF", "#D9D2C5"]
LIGHTER = {"#7F848E": "#9AA4B5", "#E06C75": "#F28B93"}  # comments and names of the colour scheme, too dark under a glow
SANS, MONO = "Inter", "JetBrains Mono"
UPRIGHT = ["KL", "ELBO", "NB", "ZINB", "Poisson", "Bernoulli", "softplus", "softmax", "sigmoid", "Var", "Cov", "ESS"]
NAMES = "\n".join(f'#let {name} = $op("{name}")$' for name in UPRIGHT)  # what a formula can name
config.background_color = GROUND
if Path("/etc/fonts/fonts.conf").exists():  # what our own file of settings begins with
    os.environ.setdefault("FONTCONFIG_FILE", str(Path(__file__).with_name("fonts.conf")))


def words(text: str, size: float = 30, color: str = INK, **options) -> Text:
    """Return a line of prose."""
    return _marked(Text(text, font=SANS, font_size=size, color=color, **options), text, size)


def mono(text: str, size: float = 26, color: str = INK) -> Text:
    """Return a line as a program prints it; `piece` finds a part of it."""
    return _marked(Text(text, font=MONO, font_size=size, color=color, disable_ligatures=True), text, size)


def math(source: str, size: float = 52, color: str = INK) -> MathTypst:
    """Return a formula, written in Typst; {{part : label}} lets `.select("label")` find a part of it."""
    return _marked(MathTypst(source, font_size=size, color=color, typst_preamble=NAMES), source, size)


def signed(number: float, digits: int = 2) -> str:
    """Return a number as text, with a true minus sign, and none at zero."""
    return f"{round(float(number), digits) + 0.0:.{digits}f}".replace("-", "−")


def piece(shown: Text, part: str) -> VGroup:
    """Return the letters of a part of a `mono` line, in which spaces count as letters."""
    start = shown.shown.rindex(part)
    return shown[start : start + len(part)]


def heading(number: str, title: str) -> VGroup:
    """Return the number and the title of a section, for the upper left corner."""
    label = VGroup(words(number, 24, MEAN, weight=BOLD), words(title, 24, DIM)).arrange(RIGHT, buff=0.25)
    return label.to_corner(UL, buff=0.45)


def listing(source: str, size: float = 24) -> VGroup:
    """Return a card with lines of code: `.lines[i]` is a line, `.card` what is behind them."""
    shown = Code(
        code_string=source,
        language="python",
        formatter_style="one-dark",
        add_line_numbers=False,
        background="rectangle",
        paragraph_config={"font": MONO, "font_size": size, "line_spacing": 0.75},
    )
    lines = shown.code_lines
    for line, text in zip(lines, source.splitlines(), strict=True):
        _marked(line, text, size)
        for letter in line:
            color = letter.get_color().to_hex().upper()
            letter.set_color(LIGHTER.get(color, color))
    card = RoundedRectangle(0.18, width=lines.width + 0.9, height=lines.height + 0.8, color=FAINT, stroke_width=2)
    group = VGroup(card.set_fill(CARD, 1).move_to(lines), lines)
    group.card, group.lines = card, lines
    return group


def node(label: str, color: str, radius: float = 0.5) -> VGroup:
    """Return a ring with a formula in it: a variable of a model."""
    ring = Circle(radius, color=color, stroke_width=4, fill_color=GROUND, fill_opacity=1)
    return VGroup(ring, math(label, 46, color).move_to(ring))


def arrow(one: Mobject, other: Mobject, color: str = DIM, buff: float = 0.12) -> Arrow:
    """Return an arrow from the side of one thing to the side of another that face each other."""
    way = other.get_center() - one.get_center()
    side = (RIGHT if way[0] > 0 else LEFT) if abs(way[0]) >= abs(way[1]) else (UP if way[1] > 0 else DOWN)
    ends = one.get_critical_point(side), other.get_critical_point(-side)
    return Arrow(*ends, buff=buff, color=color, stroke_width=5, max_tip_length_to_length_ratio=0.25, tip_length=0.2)


def _marked(shown: Mobject, text: str, size: float) -> Mobject:
    """Remember what a text says and how large it was written: the checks of a picture ask for both."""
    shown.shown, shown.written_size = text, size
    shown.written_height, shown.written_width = shown.height, shown.width
    return shown


def seated(text: str, make: Callable, *options: object) -> Text:
    """Return a text made by `words` or `mono` whose letters stand on the line y = 0 and start at x = 0."""
    shown = make("x" + text, *options)
    shown.shift(DOWN * shown[0].get_bottom()[1])
    shown.remove(shown[0])
    return _marked(shown.set_x(0, LEFT), text, shown.written_size)
