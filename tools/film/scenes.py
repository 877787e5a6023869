"""Code and what it printed, derivations, figures under a lens, questions, and the last picture of a film."""

from string import ascii_lowercase

import numpy as np
from manim import *

from .look import *


def glow(shown: VGroup, i: int, color: str = MEAN) -> Rectangle:
    """Return a bar of light over line i of a `listing`."""
    bar = Rectangle(width=shown.card.width - 0.1, height=_pitch(shown), stroke_width=0)
    return bar.set_fill(color, 0.13).move_to(_middle(shown, i))


def glow_to(bar: Rectangle, shown: VGroup, i: int) -> Animation:
    """Return the bar moving to line i of a listing; it can be written early, without a lambda."""
    return ApplyMethod(bar.move_to, _middle(shown, i))


def _pitch(shown: VGroup) -> float:
    """Return the distance from line to line, for one line the height of a line."""
    size = shown.lines[0].written_size
    places = _places(shown)
    return -np.polyfit(*places, 1)[0] if len(places[0]) > 1 else size * 0.0205


def _middle(shown: VGroup, i: int) -> np.ndarray:
    """Return the middle of a line; letters that hang or rise shift a line's own middle, a fit through all does not."""
    if not 0 <= i < len(shown.lines):
        raise ValueError(f"the listing has {len(shown.lines)} lines, and no line {i}")
    at, heights = _places(shown)
    y = np.polyval(np.polyfit(at, heights, 1), i) if len(at) > 1 else heights[0]
    return np.array([shown.card.get_x(), y, 0.0])


def _places(shown: VGroup) -> tuple[list[int], list[float]]:
    filled = [(i, line.get_y()) for i, line in enumerate(shown.lines) if line.shown.strip()]
    return [i for i, _ in filled], [y for _, y in filled]


def output(text: str, below: Mobject | None = None, size: float = 26, buff: float = 0.6) -> VGroup:
    """Return printed text with the small label "printed", below a listing and aligned with its code.

    `.lines[i]` is a line, in which `piece(...)` finds a part, `.label` the label.
    """
    advance = mono("0" * 11, size).width - mono("0", size).width
    group, lines = VGroup(), VGroup()
    for i, one in enumerate(text.rstrip("\n").splitlines()):
        indent = len(one) - len(one.lstrip())
        lines.add(seated(one.strip(), mono, size).shift(RIGHT * indent * advance / 10 + DOWN * size * 0.021 * i))
    label = words("printed", 20, DIM).next_to(lines, UP, buff=0.2).align_to(lines, LEFT)
    group.add(label, lines)
    group.label, group.lines = label, lines
    if below is not None:
        group.next_to(below, DOWN, buff=buff).align_to(getattr(below, "lines", below), LEFT)
    return group


class Derivation(VGroup):
    """A derivation: formulas in Typst under each other, aligned at their `&`, or at their first "=".

    `reasons` stand at the right, small. Labels, as in `{{mu : m}}`, are coloured by `colors`, such as {"m": MEAN}.
    """

    def __init__(
        self,
        lines: list[str],
        reasons: list[str] | None = None,
        size: float = 46,
        colors: dict[str, str] | None = None,
        buff: float = 0.45,
    ):
        super().__init__()
        self.lines, self.reasons = VGroup(), VGroup()
        for source in lines:
            formula, sign = _aligned(source, size, colors or {})
            formula.shift(RIGHT * -sign)
            if len(self.lines):
                formula.next_to(self.lines[-1], DOWN, buff=buff, coor_mask=np.array([0, 1, 0]))
            self.lines.add(formula)
        edge = self.lines.get_right()[0] + 0.7
        for formula, reason in zip(self.lines, reasons or [], strict=False):
            text = words(reason, 24, DIM) if reason else VGroup()
            self.reasons.add(text.set_x(edge, LEFT).set_y(_sign(formula).get_y()) if reason else text)
        self.add(self.lines, self.reasons).center()

    def line(self, i: int) -> MathTypst:
        """Return a line; `.select(label)` finds a labelled part of it."""
        return self.lines[i]

    def reason(self, i: int) -> Mobject:
        """Return the reason of a line."""
        return self.reasons[i]

    def reveal(self, i: int) -> Animation:
        """Return line i being written, and its reason."""
        steps = [Write(self.lines[i])]
        if i < len(self.reasons) and len(self.reasons[i]):
            steps.append(FadeIn(self.reasons[i], shift=LEFT * 0.2))
        return AnimationGroup(*steps)


def _aligned(source: str, size: float, colors: dict[str, str]) -> tuple[MathTypst, float]:
    """Return a formula, and the x at which it is to be aligned."""
    if "&" in source:
        left, right = (part.strip() for part in source.split("&"))
        sign, _, rest = right.partition(" ")
    else:
        left, sign, rest = source.partition(" = ")
        sign = sign.strip()
    formula = math(f"{left} {{{{{sign} : sign}}}} {rest}" if sign else source, size)
    for label, color in colors.items():
        if f": {label}}}}}" in source:
            formula.select(label).set_color(color)
    formula.sign = bool(sign)
    return formula, _sign(formula).get_left()[0]


def _sign(formula: MathTypst) -> VMobject:
    return formula.select("sign") if formula.sign else formula


class Question(VGroup):
    """A question to the viewer: `.text` on a card, `.frame`."""

    def settle(self, color: str) -> "Question":
        """Give the frame the colour of an answer."""
        self.frame.set_stroke(color)
        return self


def question(text: str, size: float = 36) -> Question:
    """Return a question to the viewer in a thin yellow frame, `.text` in `.frame`; lines are broken where text is."""
    lines = VGroup(*[words(line, size) for line in text.splitlines()]).arrange(DOWN, buff=0.25)
    card = RoundedRectangle(0.18, width=lines.width + 1.2, height=lines.height + 1.0, color=MEAN, stroke_width=2)
    group = Question(card.set_fill(CARD, 1).move_to(lines), lines)
    group.frame, group.text = card, lines
    return group


def ask(card: Question) -> Animation:
    """Return a question appearing: its frame is drawn while its text comes up."""
    return AnimationGroup(Create(card.frame), FadeIn(card.text, shift=UP * 0.15))


def answer_after(card: Question, answer: str | Mobject, color: str = GOOD, buff: float = 0.6) -> Animation:
    """Return the answer appearing below a question, whose frame takes its colour."""
    shown = words(answer, 40, color, weight=BOLD) if isinstance(answer, str) else answer
    card.answer = shown.next_to(card, DOWN, buff=buff)
    return AnimationGroup(ApplyMethod(card.settle, color), FadeIn(shown, shift=DOWN * 0.2))


class Choices(VGroup):
    """What a viewer may predict, side by side: `Choices("it grows", "it shrinks")` are a and b."""

    def __init__(self, *texts: str):
        super().__init__()
        for letter, text in zip(ascii_lowercase, texts, strict=False):
            label = VGroup(words(letter, 30, MEAN, weight=BOLD), words(text, 30)).arrange(RIGHT, buff=0.3)
            frame = RoundedRectangle(0.16, width=label.width + 0.8, height=1.0, color=FAINT, stroke_width=3)
            self.add(VGroup(frame.set_fill(CARD, 1).move_to(label), label))
        self.arrange(RIGHT, buff=0.45)

    def offer(self, i: int) -> Animation:
        """Return choice i appearing."""
        return FadeIn(self[i], shift=UP * 0.2)

    def decide(self, right: int) -> Animation:
        """Return the right choice being framed, and the others going."""
        ring = self[right][0].copy().set_fill(opacity=0).set_stroke(GOOD, 5)
        return AnimationGroup(Create(ring), *[FadeOut(one) for i, one in enumerate(self) if i != right])


def notebook_card(number: int, items: list[str | tuple[str, str]]) -> VGroup:
    """Return the last picture of a film: what notebook `number` asks for; items are texts, or (exercise, text).

    `.appear()` shows card and title, `.reveal(i)` a row as it is said; `.row(i)` is that row.
    """
    title = VGroup(words(f"Notebook {number}", 44, MEAN, weight=BOLD), words("what it asks of you", 30, DIM))
    title.arrange(RIGHT, buff=0.4, aligned_edge=DOWN)
    rows = VGroup()
    for i, item in enumerate(items):
        name, text = item if isinstance(item, tuple) else ("", item)
        label, line = words(f"Exercise {name}" if name else "and", 26, MEAN), words(text, 32)
        rows.add(VGroup(label.set_x(0, LEFT), line.set_x(2.35, LEFT)).shift(DOWN * 0.85 * i))
    rows.next_to(title, DOWN, buff=0.6).align_to(title, LEFT)
    inside = VGroup(title, rows)
    card = RoundedRectangle(0.18, width=inside.width + 1.4, height=inside.height + 1.2, color=FAINT, stroke_width=2)
    group = Notebook(card.set_fill(CARD, 1).move_to(inside), title, rows)
    group.card, group.title, group.rows = card, title, rows
    return group.center()


class Notebook(VGroup):
    """The card of a notebook."""

    def row(self, i: int) -> VGroup:
        """Return what one exercise asks."""
        return self.rows[i]

    def appear(self) -> Animation:
        """Return the card appearing, with its title alone."""
        return AnimationGroup(FadeIn(self.card), FadeIn(self.title))

    def reveal(self, i: int) -> Animation:
        """Return row i appearing."""
        return FadeIn(self.rows[i], shift=RIGHT * 0.2)
