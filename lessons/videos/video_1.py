"""Film 1: a story about a cell, and the same story backwards."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from film import *

from vae_course.distributions import bernoulli_log_prob, normal_log_prob

TERMS = "log_q_of(sample) - log_two_bells(sample).sum(dim=-1)"
lesson = Lesson(
    1,
    {
        "1.1": ["grid", "w", "b", "genes", "markers", "z_told", "x_told", "cd3d", "is_t", "is_myeloid"],
        "1.2": ["joint"],
        "1.3": ["of_what_we_saw"],
        "1.6": ["log_p", "bells_mean", "bells_var"],
        "1.8": [TERMS],
        "1.9": ["log_posterior", "log_lik", "post_mean", "post_sd"],
        "1.10": ["log_joint", "log_px", "means", "sds", "kl", "row", "column"],
    },
)
value, number = lesson.value, lesson.number
T, MYELOID, PRIOR = GROUPS[4], GROUPS[5], DIM  # T cells, myeloid cells and the prior, wherever they appear

genes, markers = value("1.1", "genes"), value("1.1", "markers")
kinds = [T, T, MYELOID, MYELOID, MYELOID, MYELOID]
grid, slopes, offsets = (torch.tensor(value("1.1", name)) for name in ("grid", "w", "b"))
log_p = torch.tensor(value("1.6", "log_p"))
assert (slopes < 0).tolist() == [kind == T for kind in kinds]
DRAWN = np.flatnonzero((grid.abs() <= 4).numpy())[::4]  # where densities are drawn
ZS, STEP = grid.numpy()[DRAWN], float(grid[1] - grid[0])
DENDRITIC, T_CELL, ALL_SIX = 1, 3, 36  # the lesson's cells

t_seen = number(r"T +\d+ cells, CD3D detected in")
NARROW = (-1.5, 0.35)  # the lesson's two candidates for q: mean, variance
WIDE = tuple(float(value("1.6", name)) for name in ("bells_mean", "bells_var"))


def percent(share: float | str) -> str:
    return f"{float(share) * 100:.0f} %"


def log_normal(mean: float, var: float, zs: np.ndarray | torch.Tensor = grid) -> torch.Tensor:
    at = torch.as_tensor(zs, dtype=torch.float32)
    return normal_log_prob(at, torch.tensor(float(mean)), torch.tensor(float(var)))


def normal(mean: float, var: float, zs: np.ndarray = ZS) -> np.ndarray:
    """Return the density of a Gaussian."""
    return log_normal(mean, var, zs).exp().numpy()


def probabilities(zs: float | np.ndarray) -> np.ndarray:
    """Return the probability of a 1 of every gene, the last axis."""
    return torch.sigmoid(torch.as_tensor(zs, dtype=torch.float32).unsqueeze(-1) * slopes + offsets).numpy()


def posterior(bits: Sequence[float], weights: Sequence[float]) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return likelihood (rescaled) and posterior of genes, each counted with a weight; the posterior's mean and sd."""
    seen = bernoulli_log_prob(torch.tensor(bits), grid.unsqueeze(-1) * slopes + offsets)
    log_lik = (seen * torch.tensor(weights)).sum(dim=-1)
    post = torch.softmax(log_normal(0, 1) + log_lik, dim=0)
    mean = float((post * grid).sum())
    sd = float((post * (grid - mean) ** 2).sum() ** 0.5)
    return (log_lik - log_lik.max()).exp().numpy()[DRAWN], (post / STEP).numpy()[DRAWN], mean, sd


def exact(cell: int) -> np.ndarray:
    """Return the lesson's posterior of a cell as a density."""
    return np.exp(value("1.9", "log_posterior")[cell])[DRAWN] / STEP


def divergences(mean: float, var: float) -> tuple[float, float]:
    """Return KL(q || p) and KL(p || q) of a Gaussian q and the lesson's two bells p, on the lesson's grid."""
    log_q = log_normal(mean, var)
    one, other = log_q.exp() * (log_q - log_p), log_p.exp() * (log_p - log_q)
    return float(one.sum() * STEP), float(other.sum() * STEP)


class Beat(Lecture):
    """A beat with the heading of its section."""

    def setup(self) -> None:
        super().setup()
        self.add(heading(self.section, lesson.titles[self.section]))

    def put(self, drawn: Mobject, *animations: Animation) -> tuple[Animation, ...]:
        """Show what is redrawn, from now on, and return animations: it would stand still while it is faded in."""
        self.add(drawn)
        return animations


class Stage(VGroup):
    """A line of z on which densities stand; it stays where it was made."""

    def __init__(self, at=(0.0, -2.2), width=11.0, height=3.6, top=1.0, name="z", numbers=range(-3, 4)):
        super().__init__()
        self.at, self.unit, self.rise = np.array([*at, 0.0]), width / 8, height / top
        self.line = Line(self.c2p(-4), self.c2p(4), color=DIM, stroke_width=3)
        ticks = [Line(ORIGIN, DOWN * 0.08, color=DIM, stroke_width=3).shift(self.c2p(n)) for n in numbers]
        self.add(self.line, *ticks, *[math(f"{n}", 28, DIM).next_to(self.c2p(n), DOWN, buff=0.16) for n in numbers])
        if name:
            self.add(math(name, 40, LATENT).next_to(self.line, RIGHT, buff=0.2))

    def c2p(self, z: float, height: float = 0.0) -> np.ndarray:
        return self.at + RIGHT * z * self.unit + UP * height * self.rise

    def curve(self, heights: np.ndarray, color: str, width: float = 4, fill: float = 0.0) -> VMobject:
        """Return the curve of heights over ZS; with a fill it is closed along the line."""
        points = [self.c2p(z, height) for z, height in zip(ZS, heights, strict=True)]
        if fill:
            points = [self.c2p(ZS[0]), *points, self.c2p(ZS[-1])]
        return VMobject().set_points_as_corners(points).set_stroke(color, width).set_fill(color, fill)

    def prior(self, width: float = 3) -> DashedVMobject:
        return DashedVMobject(self.curve(normal(0, 1), PRIOR, width), num_dashes=60)

    def pin(self, z: float, height: float, color: str = DIM) -> DashedLine:
        return DashedLine(self.c2p(z), self.c2p(z, height), color=color, stroke_width=3)


class StandIn(VGroup):
    """The q that stands in for a distribution: a Gaussian that moves over a stage, with its name."""

    def __init__(self, stage: Stage, mean: float, var: float):
        super().__init__()
        self.mean, self.var = ValueTracker(mean), ValueTracker(var)
        self.add(always_redraw(lambda: stage.curve(normal(*self.at()), MEAN, 5)))
        top = lambda: stage.c2p(self.mean.get_value(), (TAU * self.var.get_value()) ** -0.5)  # noqa: E731
        self.add(always_redraw(lambda: math("q", 44, MEAN).next_to(top(), UP, buff=0.12)))

    def at(self) -> tuple[float, float]:
        """Return mean and variance."""
        return self.mean.get_value(), self.var.get_value()

    def go(self, mean: float, var: float) -> tuple[Animation, Animation]:
        """Return q moving; write it late."""
        return self.mean.animate.set_value(mean), self.var.animate.set_value(var)


def warming(stage: Stage, bits: list[float], heat: float) -> VMobject:
    """Return the posterior when each gene counts with a weight from 0 (the prior, unseen yet) to 1."""
    seen = min(6 * heat, 1.0)
    drawn = stage.curve(posterior(bits, [heat] * len(bits))[1], LATENT, 5, 0.2)
    return drawn.set_stroke(opacity=seen).set_fill(opacity=0.2 * seen)


def piles(stage: Stage, zs: list[float], color: str) -> VGroup:
    """Return values as dots that lie on each other where they are close."""
    heights, dots_ = {}, VGroup()
    for z in zs:
        place = round(float(np.clip(z, -3.9, 3.9)) / 0.14)
        heights[place] = heights.get(place, 0) + 1
        dots_.add(Dot(stage.c2p(0.14 * place) + UP * (0.19 * heights[place] - 0.08), radius=0.09, color=color))
    return dots_


class Tile(VGroup):
    """A gene of a cell: dashed until it is looked at, then dark with a 0, or full with a 1."""

    def __init__(self, color: str, side: float, bit: float | None):
        square = RoundedRectangle(0.08, width=side, height=side, color=color, stroke_width=3)
        digits = [mono(text, max(44 * side, 20), shade) for text, shade in (("0", INK), ("1", GROUND))]
        super().__init__(DashedVMobject(square, num_dashes=16).set_stroke(DIM, 2.5), square, *digits)
        self.look(bit)

    def look(self, bit: float | None) -> "Tile":
        """Show what is known of the gene."""
        dashes, square, *digits = self
        dashes.set_stroke(opacity=float(bit is None))
        square.set_stroke(opacity=float(bit is not None))
        square.set_fill(square.get_stroke_color() if bit else FAINT, float(bit is not None))
        for value_, digit in enumerate(digits):
            digit.set_opacity(float(bit == value_))
        return self


class Tiles(VGroup):
    """Six genes as squares in a row, of which a bit or nothing is known."""

    def __init__(self, bits: list[float | None], side: float = 0.6, pitch: float = 1.4, names: bool = True):
        super().__init__()
        self.squares, self.names = VGroup(), VGroup()
        for k, (bit, name, color) in enumerate(zip(bits, genes, kinds, strict=True)):
            self.squares.add(Tile(color, side, bit).move_to(RIGHT * pitch * k))
            self.names.add(words(name, 22, color).next_to(self.squares[k], DOWN, buff=0.16))
        self.add(self.squares, *([self.names] if names else [])).center()

    def see(self, k: int, bit: float | None) -> Animation:
        """Return a gene being looked at."""
        return ApplyMethod(self.squares[k].look, bit)


def swell(shown: Mobject, factor: float = 1.2) -> Animation:
    """Return something growing and shrinking back, in its own colours."""
    return ScaleInPlace(shown, factor, rate_func=there_and_back)


UNSEEN = [None] * len(genes)


class Coins(VGroup):
    """A coin for each gene: its ring is as long as the probability of a 1 at z, its side is what fell."""

    def __init__(self, y: float, pitch: float = 1.9):
        super().__init__()
        self.places = [RIGHT * pitch * (k - 2.5) + UP * y for k in range(len(genes))]
        self.z, self.turn, self.sides = ValueTracker(0.0), ValueTracker(0.0), None
        self.faces = {0: mono("0", 30, INK), 1: mono("1", 30, GROUND)}
        for name, color, place in zip(genes, kinds, self.places, strict=True):
            self.add(words(name, 22, color).next_to(place, DOWN, buff=0.68))
        self.add(always_redraw(self.look))

    def look(self) -> VGroup:
        return VGroup(*[self.coin(k, prob) for k, prob in enumerate(probabilities(self.z.get_value()))])

    def coin(self, k: int, prob: float) -> VGroup:
        turn = 3 * self.turn.get_value()
        half = int(turn + 0.5)
        side = None if self.sides is None or half == 0 else int(self.sides[k]) if half != 2 else 1 - int(self.sides[k])
        fill = CARD if side is None else kinds[k] if side else FAINT
        disc = VGroup(Circle(0.36, stroke_width=0, fill_color=fill, fill_opacity=1))
        if side is not None:
            disc.add(self.faces[side].copy())
        disc.stretch(max(abs(np.cos(PI * turn)), 0.03), 0)
        arc = Arc(0.5, PI / 2, -TAU * max(prob, 0.002), color=kinds[k], stroke_width=8)
        return VGroup(Circle(0.5, color=FAINT, stroke_width=8), arc, disc).shift(self.places[k])

    def throw(self, sides: np.ndarray) -> Animation:
        """Return the coins being thrown; write it late, for it clears them."""
        self.sides = sides
        self.turn.set_value(0.0)
        return self.turn.animate(rate_func=linear).set_value(1.0)

    def move(self, z: float) -> Animation:
        """Return z moving, coins blank; write it late."""
        self.sides = None
        return self.z.animate.set_value(float(z))


class Cells(Cloud):
    """The lesson's T cells and myeloid cells as dots; groups 0 and 2 show CD3D (or are `marked`), 1 and 3 do not."""

    def __init__(self, marked: np.ndarray | None = None, top: float = 2.2, pitch: float = 0.215, rows: int = 12):
        points, groups, left, marked = [], [], -5.45, value("1.1", "cd3d") if marked is None else marked
        self.middles, self.sizes = [], []
        for first, name in ((0, "is_t"), (2, "is_myeloid")):
            bits = marked[value("1.1", name)]
            points += [(left + pitch * (i // rows), top - pitch * (i % rows)) for i in range(len(bits))]
            groups += [first if bit else first + 1 for bit in bits]
            width = pitch * (len(bits) // rows)
            self.middles.append(left + width / 2)
            self.sizes.append(len(bits))
            left += width + 1.0
        super().__init__(Plot((0, 1), (0, 1), 1, 1), np.array(points), groups, [T, T, MYELOID, MYELOID], 0.08, 1.0)
        self.top = top

    def titles(self, texts: list[str], y: float, size: float = 28, **options) -> VGroup:
        """Return a text over or under each kind."""
        pairs = zip(texts, (T, MYELOID), self.middles, strict=True)
        return VGroup(
            *[seated(text, lambda *one: words(*one, **options), size, color).set_x(x) for text, color, x in pairs]
        ).shift(UP * y)

    def pack(self, *blocks: tuple, pitch: float = 0.215) -> Animation:
        """Return cells moving into blocks: each of groups one after the other, a left and an upper edge, and rows."""
        goal = self.points_now.copy()
        for groups, left, top, rows in blocks:
            for place, i in enumerate(np.concatenate([np.flatnonzero(self.groups == group) for group in groups])):
                goal[i] = left + pitch * (place // rows), top - pitch * (place % rows)
        return self.to(goal)


# ------------------------------------------------------------------------------------------------ a story about a cell


class Wish(Lecture):
    chapter = "A story about a cell"
    section = "1.1"

    def construct(self):
        title = VGroup(
            words("A story about a cell,", 60, weight=BOLD), words("told backwards", 60, LATENT, weight=BOLD)
        )
        title.arrange(DOWN, buff=0.25)
        small = heading("1.1", lesson.titles["1.1"])
        stage, density = Stage(top=0.75), exact(DENDRITIC)
        mean, sd = (float(value("1.9", name)[DENDRITIC]) for name in ("post_mean", "post_sd"))
        dot, cloud = Dot(stage.c2p(mean), radius=0.14, color=LATENT), stage.curve(density, LATENT, 5, 0.18)
        others = piles(stage, value("1.9", "post_mean")[::15], DIM)
        pin, ends = stage.pin(mean, density.max(), MEAN), [stage.c2p(mean + side * sd, 0.2) for side in (-1, 1)]
        spread = DoubleArrow(*ends, buff=0, color=SPREAD, tip_length=0.2)
        self.say(
            "{title} Lesson 0 ended with a wish. {point} A cell should not be a point among the latents. "
            "{cloud} It should be a cloud: {mean} probably here, {spread} and about this sure.",
            pause=0.4,
            title=(FadeIn(title, shift=UP * 0.2), 1.0),
            point=(FadeOut(title, shift=UP * 0.3), FadeIn(small), FadeIn(stage, others), FadeIn(dot, scale=3), 1.2),
            cloud=(ReplacementTransform(dot, cloud), FadeOut(others), 1.1),
            mean=(Create(pin), 0.6),
            spread=(GrowFromCenter(spread), 0.7),
        )
        self.both_ways(small)

    def both_ways(self, small: VGroup) -> None:
        z, cell = node("z", LATENT, 0.7), Tiles(markers[DENDRITIC], side=0.7, pitch=0.85, names=False)
        VGroup(z, cell).arrange(RIGHT, buff=4.0).shift(DOWN * 0.3)
        label = words("a cell", 26, DIM).next_to(cell, DOWN, buff=0.3)
        start, end = z.get_right() + RIGHT * 0.15, cell.get_left() + LEFT * 0.15
        up = UP * 0.25
        forth = CurvedArrow(start + up, end + up, angle=-0.9, color=LATENT, stroke_width=6)
        back = CurvedArrow(end - up, start - up, angle=-0.9, color=MEAN, stroke_width=6)
        told, asked = (
            words("the story", 28, LATENT).next_to(forth, UP),
            words("backwards", 28, MEAN).next_to(back, DOWN),
        )
        self.say(
            "{nodes} How do we come by such a cloud? {forth} Tell a story of how a cell is made. {back} Then "
            "tell it backwards.",
            pause=0.6,
            nodes=lambda: (FadeOut(self.others(small)), FadeIn(z, scale=0.7), FadeIn(cell, label), 0.9),
            forth=(Create(forth), FadeIn(told, shift=RIGHT * 0.2), 1.0),
            back=(Create(back), FadeIn(asked, shift=LEFT * 0.2), 0.9),
        )


class Bits(Beat):
    section = "1.1"

    def construct(self):
        cells, shares = Cells(), [t_seen, number(r"myeloid +\d+ cells, CD3D detected in")]
        sizes = [number(r"\nT"), number(r"\nmyeloid")]
        assert sizes == [str(size) for size in cells.sizes]
        names = cells.titles([f"{sizes[0]} T cells", f"{sizes[1]} myeloid cells"], cells.top + 0.3)
        seen = cells.titles([f"CD3D in {share} %" for share in shares], cells.top - 3.05, 30, weight=BOLD)
        legend = VGroup(*[Dot(radius=0.1, color=INK, fill_opacity=one) for one in (1, 0.13)]).arrange(RIGHT, buff=2.4)
        legend.move_to([-2.2, -1.75, 0])
        legend.add(
            *[words(text, 24).next_to(dot, RIGHT) for text, dot in zip(("detected", "not"), legend[:2], strict=True)]
        )
        self.say(
            "{t} Here are T cells, {other} and myeloid cells, from blood. {bit} For each gene we keep one bit: "
            f"detected, or not. {{seen}} CD3D is detected in {shares[0]}% of the T cells, {{few}} and in {shares[1]}% "
            "of the others.",
            t=(FadeIn(cells.group(0), cells.group(1), names[0], shift=UP * 0.2), 0.7),
            other=(FadeIn(cells.group(2), cells.group(3), names[1], shift=UP * 0.2), 0.8),
            bit=(FadeIn(legend, shift=UP * 0.2), 0.8),
            seen=(cells.group(1).animate.set_fill(opacity=0.13), FadeIn(seen[0], shift=UP * 0.2), 0.8),
            few=(cells.group(3).animate.set_fill(opacity=0.13), FadeIn(seen[1], shift=UP * 0.2), 0.8),
        )
        line = Line([-5.6, -2.5, 0], [5.2, -2.5, 0], color=DIM, stroke_width=3)
        z, ends = math("z", 44, LATENT).next_to(line, RIGHT, buff=0.25), [np.array([x, -2.5, 0]) for x in cells.middles]
        marks = [math(n, 32, DIM).next_to(end, DOWN, buff=0.2) for n, end in zip(("-1", "+1"), ends, strict=True)]
        pins = [Dot(end, color=color, radius=0.12) for end, color in zip(ends, (T, MYELOID), strict=True)]
        ways = [
            way(end, text.get_bottom() + RIGHT * (end - text.get_bottom())[0], LATENT)
            for end, text in zip(ends, seen, strict=True)
        ]
        self.say(
            "{coin} So a bit is a coin, but not the same coin in every cell. {z} Something unmeasured decides. "
            "{call} Call it z, {both} the latent variable.",
            pause=0.9,
            coin=(LaggedStart(Indicate(seen[0], color=T), Indicate(seen[1], color=MYELOID), lag_ratio=0.4), 1.4),
            z=(FadeOut(legend), Create(line), 0.8),
            call=(FadeIn(z, scale=1.6), 0.5),
            both=(*[FadeIn(one) for one in (*marks, *pins)], *[GrowArrow(one) for one in ways], 0.9),
        )


class Story(Beat):
    """The story told forward: z falls from the prior, six coins are thrown."""

    section = "1.1"

    def construct(self):
        zs, cells = value("1.1", "z_told")[:, 0], value("1.1", "x_told")
        self.stage, self.coins = Stage(at=(-0.6, 0.3), width=10, height=1.9, top=0.42, numbers=()), Coins(-2.1)
        coins, prior, die = self.coins, self.stage.curve(normal(0, 1), PRIOR, 4, 0.15), Die(0.9).move_to([5.7, 2.1, 0])
        self.reading = always_redraw(
            lambda: mono(f"z = {signed(coins.z.get_value())}", 26, LATENT).move_to([5.6, 1.2, 0])
        )
        named = words("prior", 26, PRIOR).next_to(self.stage.c2p(1, 0.26), RIGHT, buff=0.25)
        dot = always_redraw(lambda: Dot(self.stage.c2p(coins.z.get_value()), radius=0.12, color=LATENT))
        fan = always_redraw(self.fan)
        self.say(
            "{start} A cell's story has two steps. {roll} First, draw z {fall} from a bell around 0, the "
            "prior. {coins} Then throw one coin per gene: z decides how each is loaded. {throw} And here is the "
            "cell.",
            pause=0.6,
            start=(FadeIn(self.stage), FadeIn(prior), FadeIn(named), FadeIn(die), 0.8),
            roll=(die.roll([3, 6, 2, 5], 1.0), 0.7),
            fall=lambda: (self.drop(zs[0]), 0.8),
            coins=lambda: (*self.load(dot, fan), 1.0),
            throw=lambda: (coins.throw(cells[0]), 1.1),
        )
        self.say(
            "{again} Again: another z, {fell} another cell. {third} Far on the left, {left} the T cell "
            "genes. {fourth} A little to the right, {right} mostly the others. The genes go together, {tie} "
            "and all that ties them is z.",
            pause=0.5,
            again=lambda: (die.roll([5, 2, 4, 1], 1.0), coins.move(zs[1]), 0.8),
            fell=lambda: (coins.throw(cells[1]), 0.8),
            third=lambda: (die.roll([1, 3, 6, 2], 1.0), coins.move(zs[2]), 0.8),
            left=lambda: (coins.throw(cells[2]), 0.8),
            fourth=lambda: (die.roll([2, 6, 5, 4], 1.0), coins.move(zs[3]), 0.9),
            right=lambda: (coins.throw(cells[3]), 0.9),
            tie=lambda: (*[ShowPassingFlash(one.copy().set_stroke(LATENT, 8, 1), time_width=0.6) for one in fan], 1.2),
        )

    def drop(self, z: float) -> Animation:
        self.coins.z.set_value(float(z))
        start, end = self.stage.c2p(z, normal(0, 1, np.array([z]))[0]), self.stage.c2p(z)
        self.falling = Dot(end, radius=0.12, color=LATENT)
        return FadeIn(self.falling, shift=end - start, rate_func=rush_into)

    def load(self, dot: Mobject, fan: Mobject) -> list[Animation]:
        self.remove(self.falling)
        for one in (dot, fan, self.coins, self.reading):
            one.update()
        self.add(dot)
        return [FadeIn(fan), FadeIn(self.coins), FadeIn(self.reading)]

    def fan(self) -> VGroup:
        start = self.stage.c2p(self.coins.z.get_value()) + DOWN * 0.12
        return VGroup(*[Line(start, place + UP * 0.62).set_stroke(LATENT, 2.5, 0.45) for place in self.coins.places])


class Decoder(Beat):
    """Six curves over z, a pin that slides, and six probabilities."""

    section = "1.1"

    def construct(self):
        self.stage, self.z = Stage(at=(-2.1, -2.4), width=8.0, height=4.3, top=1.0), ValueTracker(-4.0)
        ends = VGroup(*[words(f"{y}", 24, DIM).next_to(self.stage.c2p(-4, y), LEFT, buff=0.2) for y in (0, 1)])
        pairs = list(zip(genes, kinds, probabilities(ZS).T, strict=True))
        curves = VGroup(*[self.stage.curve(heights, color) for _, color, heights in pairs])
        names = VGroup(
            *[
                seated(name, words, 24, color).shift([3.05, self.row(k) - 0.1, 0])
                for k, (name, color, _) in enumerate(pairs)
            ]
        )
        empty = self.bars(np.zeros(len(genes)))
        what = words("probability of a 1", 24, DIM).next_to(self.stage.c2p(-4, 1.0), UR, buff=0.25)
        pin = always_redraw(lambda: self.stage.pin(self.z.get_value(), 1.0, LATENT))
        marks, lyz = always_redraw(self.marks), genes.index("LYZ")
        bars = always_redraw(lambda: self.bars(probabilities(self.z.get_value())))
        rest = [k for k in range(len(genes)) if k != lyz]
        measured, fixed = [VGroup(), VGroup()], VGroup()  # the two places of line_of, and the shares it is given there
        for place, color, lines in zip((-1.0, 1.0), (T, MYELOID), measured, strict=True):
            lines.add(self.stage.pin(place, 1.0, color))
            fixed.add(*[Dot(self.stage.c2p(place, prob), radius=0.08) for prob in probabilities(place)])
        shares = [t_seen, number(r"myeloid +\d+ cells, CD3D detected in")]
        assert [f"{probabilities(place)[genes.index('CD3D')] * 100:.0f}" for place in (-1.0, 1.0)] == shares
        self.say(
            "{axes} How does z load a coin? {one} Through a sigmoid, which squeezes any number into 0 to 1. "
            "{all} Each gene has its own. {t} We put T cells at minus 1, {other} myeloid cells at plus 1, {fix} and "
            "the measured shares fix the curve. {pin} Slide z to the right: {slide} T cell genes fade, myeloid genes "
            "rise. {back} Six probabilities at any z: {whole} that is the decoder.",
            axes=(FadeIn(self.stage, ends, what, names, empty), 0.8),
            one=(Create(curves[lyz]), Indicate(names[lyz], 1.3, color=MYELOID), 1.4),
            all=(*[Create(curves[k]) for k in rest], 1.0),
            t=(Create(measured[0]), 0.7),
            other=(Create(measured[1]), 0.7),
            fix=(FadeIn(fixed), 0.7),
            pin=(FadeIn(pin), FadeIn(marks), FadeIn(bars), FadeOut(empty, fixed, *measured), 0.7),
            slide=lambda: (self.z.animate.set_value(3.6), 2.6),
            back=lambda: (self.z.animate.set_value(float(value("1.1", "z_told")[1, 0])), 1.4),
            whole=lambda: (Indicate(names, 1.05, color=INK), 0.8),
        )
        self.code()

    def row(self, k: int) -> float:
        return 1.8 - 0.78 * k

    def marks(self) -> VGroup:
        z = self.z.get_value()
        pairs = zip(probabilities(z), kinds, strict=True)
        return VGroup(*[Dot(self.stage.c2p(z, prob), radius=0.09, color=color) for prob, color in pairs])

    def bars(self, probs: np.ndarray) -> VGroup:
        every = VGroup()
        for k, prob in enumerate(probs):
            for width, color in ((2.0, FAINT), (max(2.0 * prob, 0.01), kinds[k])):
                bar = Rectangle(width=width, height=0.36, stroke_width=0, fill_color=color, fill_opacity=1)
                every.add(bar.move_to([4.45, self.row(k), 0], aligned_edge=LEFT))
        return every

    def code(self) -> None:
        source = lesson.lines("z_told = torch.randn", "x_told = torch.bernoulli").replace(
            "bernoulli(", "bernoulli(\n    "
        )
        shown = listing(bare(source), 24).move_to(UP * 1.5)
        told = output(lesson.printed("x_told = torch.bernoulli"), shown, 24)
        bar, last = glow(shown, 0), glow(shown, 1)
        last.stretch(2, 1, about_edge=UP)
        self.say(
            "{clear} Now in {card} code. {draw} Draw z. {throw} Throw the coins. {out} Out come four cells "
            "{rows} that never lived.",
            pause=0.9,
            clear=lambda: (FadeOut(self.others(self.mobjects[0])), 0.4),
            card=(FadeIn(shown), 0.5),
            draw=(FadeIn(bar), 0.4),
            throw=(Transform(bar, last), 0.5),
            out=(FadeIn(told.label), FadeIn(told.lines[0]), FadeOut(bar), 0.6),
            rows=(LaggedStart(*[FadeIn(line, shift=UP * 0.2) for line in told.lines[1:]], lag_ratio=0.3), 1.2),
        )


# ------------------------------------------------------------------------------------------------------- and backwards


class Counting(Beat):
    """561 cells; those without CD3D go, the others are counted."""

    chapter = "The story backwards"
    section = "1.2"

    def construct(self):
        cells, prior = Cells(), percent(number(r"prior T"))
        seen, among = int(number(r"counting")), int(number(r"counting \d+ of"))
        answer = percent(number(r"Bayes .*="))
        assert [(cells.groups == k).sum() for k in (0, 2)] == [seen, among - seen]
        assert seen % 11 == among % 11 == 0
        titles = cells.titles([f"{prior} T cells", "myeloid cells"], cells.top + 0.3)
        card, choices = question("A cell shows CD3D. Is it a T cell?", 34), Choices(f"{t_seen} %", answer, prior)
        VGroup(card, choices).arrange(DOWN, buff=0.3).move_to(DOWN * 2.2)
        self.say(
            f"{{head}} We hold x, and want z. {{prior}} {prior.replace(' ', '')} of these are T cells, and CD3D "
            f"{{seen}} shows in {t_seen}% of T cells. {{ask}} A new cell shows CD3D. How probable is a T cell: "
            f"{{pick}} {t_seen}, {answer.split()[0]}, or {prior.split()[0]}%?",
            pause=2.5,
            head=(FadeIn(cells), 1.2),
            prior=(FadeIn(titles), 0.7),
            seen=(*[cells.group(k).animate.set_fill(opacity=0.13) for k in (1, 3)], 0.7),
            ask=(ask(card), 1.0),
            pick=(LaggedStart(*map(choices.offer, range(3)), lag_ratio=0.7), 3.0),
        )
        pitch, first = 0.3, -0.15 * (among // 11 - 1)
        left, right = [first - pitch / 2, -1.3, 0], [first + pitch * (seen // 11 - 0.5), -1.3, 0]
        brace = BraceBetweenPoints(left, right, DOWN, color=T)
        count = words(f"{seen} of {among}", 32, T).next_to(brace, DOWN, buff=0.15)
        gone = [cells.group(k) for k in (1, 3)]
        self.say(
            f"{{drop}} Keep the cells that show it, {{sort}} and line them up. {{count}} {seen} of {among} are T "
            f"cells: {{share}} {answer.split()[0]}%. {{why}} Because there are twice as many myeloid cells here, "
            "and some show it too.",
            pause=0.5,
            drop=(*[one.animate.set_fill(opacity=0) for one in gone], FadeOut(card), FadeOut(titles), 0.9),
            sort=lambda: (cells.pack(((0, 2), first, 1.9, 11), pitch=pitch), 1.1),
            count=(GrowFromCenter(brace), FadeIn(count), 0.6),
            share=lambda: (choices.decide(1), 0.6),
            why=lambda: (Indicate(cells.group(2), 1.08, color=MYELOID), 1.2),
        )


class Bayes(Beat):
    """Bayes' rule as the areas of a square."""

    section = "1.2"

    def construct(self):
        joint = value("1.2", "joint")
        prior, side, corner = joint.sum(axis=1), 4.6, np.array([-5.6, -2.7, 0])
        likelihood = joint[:, 0] / prior
        strips, fills, texts, left = VGroup(), VGroup(), VGroup(), 0.0
        for share, height, color in zip(prior, likelihood, (T, MYELOID), strict=True):
            for group, tall, fill in ((strips, 1.0, 0.14), (fills, float(height), 0.9)):
                one = Rectangle(width=side * share, height=side * tall, color=color, stroke_width=2).set_fill(
                    color, fill
                )
                group.add(one.move_to(corner + RIGHT * side * left, aligned_edge=DL))
            texts.add(words(percent(share), 26, color).next_to(strips[-1], DOWN, buff=0.18))
            texts.add(words(percent(height), 24, GROUND, weight=BOLD).move_to(fills[-1]))
            left += float(share)
        rule = math("{{p(z | x) : post}} = ({{p(z) : prior}} thin {{p(x | z) : like}}) / {{p(x) : evid}}", 60).move_to(
            [3.0, 0.4, 0]
        )
        parts = {name: rule.select(name) for name in ("prior", "like", "evid", "post")}
        tags = {
            "prior": seated("prior", words, 26, PRIOR),
            "like": seated("likelihood", words, 26),
            "evid": words("evidence", 26, MEAN),
            "post": words("posterior", 26, LATENT),
        }
        for name, x in (("prior", -0.25), ("like", 0.45)):
            tags[name].shift([parts[name].get_x() + x - tags[name].width / 2, rule.get_top()[1] + 0.3, 0])
        for name, color in (("evid", MEAN), ("post", LATENT)):
            tags[name].move_to([parts[name].set_color(color).get_x(), rule.get_bottom()[1] - 0.4, 0])
        outline = VGroup(*[one.copy().set_fill(opacity=0).set_stroke(MEAN, 6) for one in fills])
        shares, frame = self.shares(joint[:, 0]), Square(side, color=DIM, stroke_width=3).move_to(strips)
        self.say(
            "{square} Draw it as a square. {prior} The prior splits the width. {like} The likelihoods are the "
            "heights. {evid} All that is filled is p of x, the evidence. {post} And the posterior is the T "
            "cells' part of it: {rule} prior times likelihood, over the evidence. {bayes} Bayes' rule.",
            pause=0.7,
            square=(Create(frame), 0.6),
            prior=(FadeIn(strips), FadeIn(texts[0], texts[2]), FadeIn(tags["prior"], parts["prior"]), 0.8),
            like=(*[GrowFromEdge(one, DOWN) for one in fills], FadeIn(tags["like"], parts["like"]), 0.9),
            evid=(Create(outline), FadeIn(tags["evid"], parts["evid"]), FadeIn(texts[1], texts[3]), 0.9),
            post=(*[TransformFromCopy(fills[k], shares[k]) for k in (0, 1)], FadeOut(outline), FadeIn(shares[2]), 1.3),
            rule=(FadeIn(tags["post"]), FadeIn(rule), 0.8),
            bayes=lambda: (Indicate(rule, 1.08, color=INK), 0.8),
        )

    def shares(self, filled: np.ndarray) -> VGroup:
        """Return the filled areas as shares of one bar, and the share of T cells."""
        parts, left = VGroup(), 0.6
        for share, color in zip(filled / filled.sum(), (T, MYELOID), strict=True):
            one = Rectangle(width=5.0 * share, height=0.6, stroke_width=0, fill_color=color, fill_opacity=0.9)
            parts.add(one.move_to([left, -2.2, 0], aligned_edge=LEFT))
            left += 5.0 * float(share)
        return parts.add(words(percent(filled[0] / filled.sum()), 28, GROUND, weight=BOLD).move_to(parts[0]))


class GeneByGene(Beat):
    """The posterior of a T cell on the fine grid, as its genes are looked at one after the other."""

    section = "1.2"

    def construct(self):
        self.bits, self.weights = markers[T_CELL].tolist(), [ValueTracker(0.0) for _ in genes]
        self.known = self.state(), posterior(*self.state())
        self.stage, self.tiles = Stage(at=(0, -2.7), height=2.8, top=1.05), Tiles(UNSEEN).move_to([0, 2.2, 0])
        tag = words("prior", 24, PRIOR).next_to(self.stage.c2p(2.05, 0.1), UR, buff=0.05)
        likely = self.redrawn(self.likely)
        first = signed(posterior(self.bits, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0])[3])
        drawn = self.redrawn(self.drawn)
        sd = self.redrawn(lambda: mono(f"sd {self.now()[3]:.2f}", 34, SPREAD).move_to([5.2, 1.0, 0]))
        self.kept = [self.stage.prior(), tag, drawn, sd, likely]
        self.say(
            "{grid} On a whole grid of z: multiply, sum, divide. {cd} CD3D is detected, {lean} and the bell "
            f"leans to the left, with standard deviation {first}. {{like}} The white curve is the likelihood, looked "
            "at over z. Its area can be anything: {area} only the posterior's must be 1.",
            pause=0.5,
            grid=(*[FadeIn(one) for one in (self.stage, self.tiles, *self.kept[:-1])], 1.2),
            cd=(self.tiles.see(0, 1.0), FadeIn(likely), 0.8),
            lean=lambda: (self.weights[0].animate.set_value(1), 1.5),
            like=lambda: (Indicate(likely, 1.25, color=INK), 1.0),
            area=lambda: (FadeIn(self.fill(), rate_func=there_and_back, remover=True), 1.4),
        )
        self.asked = words("Narrower, if IL32 is", 28, MEAN)
        self.choices = Choices("detected", "not detected").scale(0.8)
        VGroup(self.asked, self.choices).arrange(RIGHT, buff=0.4).move_to([-1.1, 0.97, 0])
        self.mark = SurroundingRectangle(
            VGroup(self.tiles.squares[1], self.tiles.names[1]), color=MEAN, buff=0.12, corner_radius=0.1
        )
        self.say(
            "{next} IL32 is a T cell gene too. {ask} What narrows the cloud more: {one} IL32 detected, {other} or not "
            "detected?",
            pause=2.5,
            next=(Create(self.mark), 0.7),
            ask=(FadeIn(self.asked, shift=UP * 0.15), 0.8),
            one=(self.choices.offer(0), 0.6),
            other=(self.choices.offer(1), 0.6),
        )
        self.fork()
        self.rest()

    def fork(self) -> None:
        known = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        too, gone = (signed(posterior([1.0, bit, 0.0, 0.0, 0.0, 0.0], known)[3]) for bit in (1.0, 0.0))
        assert float(gone) < float(too)
        self.say(
            f"{{too}} Detected: a little, to {too}. {{undo}} Take it back. {{gone}} Not detected: to {gone}. {{why}} "
            "Two signs of a T cell leave the left side open. {close} A contradiction closes both.",
            pause=0.8,
            too=lambda: (*self.il32(1.0), 1.5),
            undo=lambda: (self.weights[1].animate.set_value(0), self.tiles.see(1, None), 0.7),
            gone=lambda: (*self.il32(0.0), self.choices.decide(1), 1.5),
            why=(swell(self.tiles.squares[0]), 0.9),
            close=lambda: (swell(self.tiles.squares[1]), 0.9),
        )

    def rest(self) -> None:
        assert sum(self.bits[2:]) == 0
        assert markers[T_CELL][1] == 1
        steps = [AnimationGroup(self.weights[k].animate.set_value(1), self.tiles.see(k, 0.0)) for k in range(2, 6)]
        shown = [self.mobjects[0], self.stage, self.tiles, *self.kept]
        self.say(
            "{back} Our cell does show IL32, {rest} and none of the four myeloid genes. The cloud draws "
            "together. {end}",
            pause=1.2,
            back=lambda: (
                FadeOut(self.others(*shown)),
                self.tiles.see(1, None),
                self.weights[1].animate.set_value(0),
                0.4,
            ),
            rest=lambda: (*self.il32(1.0), LaggedStart(*steps, lag_ratio=0.7), 2.8),
            end=lambda: (swell(self.tiles.squares, 1.04), 0.9),
        )

    def il32(self, bit: float) -> tuple[Animation, Animation]:
        """Return IL32 being looked at; write it late."""
        self.bits[1] = bit
        return self.tiles.see(1, bit), self.weights[1].animate.set_value(1)

    def likely(self) -> Text:
        """Return the name of the likelihood, which stays above its highest point."""
        top = ZS[int(np.argmax(self.now()[0]))]
        return words("likelihood", 24).move_to(self.stage.c2p(np.clip(top, -3.3, 3.3), 1.0) + UP * 0.25)

    def fill(self) -> VMobject:
        return self.stage.curve(self.now()[1], LATENT, 5, 0.5)

    def state(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return tuple(self.bits), tuple(one.get_value() for one in self.weights)

    def now(self) -> tuple:
        state = self.state()
        if self.known[0] != state:
            self.known = state, posterior(*state)
        return self.known[1]

    def redrawn(self, draw: Callable[[], Mobject]) -> Mobject:
        """Return what is drawn anew when a gene has been looked at, and only then: that is slow."""
        last = self.state()

        def update(shown: Mobject) -> None:
            nonlocal last
            if last != self.state():
                last = self.state()
                shown.become(draw())

        return draw().add_updater(update)

    def drawn(self) -> VGroup:
        likelihood, density, mean, sd = self.now()
        spread = Line(*[self.stage.c2p(mean + sign * sd, 0.06) for sign in (-1, 1)]).set_stroke(SPREAD, 7)
        middle = Dot(self.stage.c2p(mean, 0.06), radius=0.09, color=MEAN)
        return VGroup(
            self.stage.curve(likelihood, INK, 2.5), self.stage.curve(density, LATENT, 5, 0.18), spread, middle
        )


# ----------------------------------------------------------------------------------------- logarithms, coins and bells


class Underflow(Beat):
    """The running product of 765 probabilities, and the floor of float32."""

    chapter = "Why logarithms"
    section = "1.3"

    def construct(self):
        probs = value("1.3", "of_what_we_saw")
        steps, logs = np.arange(len(probs) + 1), np.append(0, np.cumsum(np.log10(probs.astype(float))))
        product = np.cumprod(probs)  # in 32 bits, as the lesson's
        last, many = int(np.flatnonzero(product)[-1]) + 1, len(probs)
        assert product[-1] == 0
        assert probs.dtype == np.float32
        assert lesson.text(r"hold nothing below about \$10\^\{-(45)\}\$")
        plot = plot_axes(
            (0, many),
            (-160, 0),
            "genes",
            "probability of the cell",
            9.0,
            4.4,
            [1, many],
            {0: "1", -45: "10⁻⁴⁵", -150: "10⁻¹⁵⁰"},
        )
        plot.shift(DOWN * 0.35)
        card, choices = question(f"A product of {many} probabilities is"), Choices("10⁻²", "10⁻²⁰", "0")
        VGroup(card, choices).arrange(DOWN, buff=0.3).move_to(DOWN * 2.3)
        dark = ManimColor(GROUND)
        field = VGroup(
            *[
                Square(0.16, stroke_width=0).set_fill(dark.interpolate(ManimColor(INK), float(prob)), 1)
                for prob in probs
            ]
        )
        for i, one in enumerate(field):
            one.move_to([0.2 * (i % 51 - 25), 2.75 - 0.2 * (i // 51), 0])
        meaning = words("a square is a gene: the brighter, the more probable", 24, DIM).next_to(field, DOWN, buff=0.15)
        falls, whole = curve(plot, steps[: last + 1], logs[: last + 1], INK, 6), curve(plot, steps, logs, GOOD, 5)
        floor = DashedLine(plot.c2p(0, -45), plot.c2p(many, -45), color=BAD, stroke_width=4)
        ends = words("32 bits end here", 24, BAD).next_to(floor, UP, buff=0.15).align_to(floor, RIGHT)
        drop = Arrow(plot.c2p(last, -45), plot.c2p(last, -158), buff=0.05, color=BAD, stroke_width=6, tip_length=0.25)
        zero = mono("0.0", 40, BAD).next_to(drop.get_end(), LEFT, buff=0.25).shift(UP * 0.3)
        total = number(r"sum of their logarithms:")
        tiles = Tiles(markers[T_CELL]).move_to([0, -2, 0])
        result = mono(f"{total} nats", 34, GOOD).move_to(plot.c2p(570, -68), aligned_edge=LEFT)
        self.say(
            f"{{six}} Six genes went well. {{field}} With {many}, the probability of a cell {{meaning}} is "
            f"a product of {many} numbers. {{ask}} Does the computer say {{pulse}} 10 to the minus 2, 10 to the "
            "minus 20, or 0?",
            pause=2.2,
            six=(FadeIn(tiles), 0.6),
            field=(ShowIncreasingSubsets(field), 1.8),
            meaning=(FadeIn(meaning), 0.6),
            ask=(Succession(FadeOut(tiles, run_time=0.3), ask(card)), 1.0),
            pulse=(LaggedStart(*map(choices.offer, range(3)), lag_ratio=0.7), 2.4),
        )
        self.say(
            "{axes} Gene by gene, {fall} the product falls. {floor} Below 10 to the minus 45, 32 bits hold "
            "nothing, {zero} and it is exactly 0. {log} The cure is a logarithm: a product becomes a sum, "
            f"{{sum}} {total} nats, the unit of natural logarithms.",
            pause=0.8,
            axes=lambda: (
                FadeOut(card, field, meaning),
                choices.animate.scale(0.8).move_to([3.2, 2.8, 0]),
                FadeIn(plot),
                0.6,
            ),
            fall=(Create(falls, rate_func=linear), 1.0),
            floor=(Create(floor), FadeIn(ends), 0.9),
            zero=lambda: (GrowArrow(drop), FadeIn(zero), choices.decide(2), 0.8),
            log=(Create(whole, rate_func=linear), 2.2),
            sum=(FadeIn(result, shift=UP * 0.2), 0.8),
        )


class Logit(Beat):
    """A coin's log-probability, and what it is in 32 bits: log(1 - sigmoid(a)), and minus softplus of a."""

    section = "1.4"

    def construct(self):
        formula = math("log p(x) = {{x log p : one}} + {{(1 - x) log(1 - p) : two}}", 60).move_to(UP * 0.8)
        entropy = (
            VGroup(math("-log p(x)", 54, BAD), words("binary cross-entropy", 32, BAD))
            .arrange(RIGHT, buff=0.6)
            .move_to(DOWN * 1.2)
        )
        coins = [
            VGroup(Circle(0.4, color=INK, stroke_width=4).set_fill(fill, 1), mono(face, 34, color)).next_to(
                formula.select(part), UP, buff=0.5
            )
            for face, part, fill, color in (("1", "one", INK, GROUND), ("0", "two", FAINT, INK))
        ]
        self.say(
            "{line} The log-probability of a coin fits on one line: {one} for a 1 the first term, {zero} for a "
            "0 the second. {minus} With a minus sign it is the binary cross-entropy: {same} a loss is a "
            "likelihood.",
            pause=0.4,
            line=(Write(formula), 1.4),
            one=(formula.select("two").animate.set_opacity(0.15), FadeIn(coins[0], shift=DOWN * 0.3), 0.7),
            zero=lambda: (
                formula.select("two").animate.set_opacity(1),
                formula.select("one").animate.set_opacity(0.15),
                FadeIn(coins[1], shift=DOWN * 0.3),
                0.7,
            ),
            minus=lambda: (formula.select("one").animate.set_opacity(1), FadeIn(entropy, shift=UP * 0.2), 0.8),
            same=lambda: (Indicate(entropy, 1.08, color=BAD), 0.9),
        )
        plot = plot_axes(
            (0, 24), (-24, 0), "logit a", "log-probability of a 0", 9.0, 4.4, [0, 10, 17], [0, -10, -17]
        ).shift(DOWN * 0.4)
        a = torch.linspace(0, 24, 1201)
        naive, safe = torch.log(1 - torch.sigmoid(a)).numpy(), -F.softplus(a).numpy()
        last = int(np.flatnonzero(np.isfinite(naive))[-1])
        assert 16 < a[last] < 17
        assert lesson.text(r"The truth is tame: (17 and 1000) nats")
        broken, whole = curve(plot, a[: last + 1], naive[: last + 1], BAD, 6), curve(plot, a, safe, GOOD, 5)
        edge = plot.c2p(float(a[last]), naive[last])
        drop = Arrow(edge, [edge[0], plot.c2p(0, -24)[1], 0], buff=0, color=BAD, stroke_width=6, tip_length=0.25)
        infinite = math("-infinity", 44, BAD).next_to(drop.get_end(), LEFT, buff=0.25).shift(UP * 0.25)
        lines = VGroup(mono("torch.log(1 - torch.sigmoid(a))", 26, BAD), mono("-F.softplus(a)", 26, GOOD)).arrange(
            DOWN, aligned_edge=LEFT, buff=0.3
        )
        lines.move_to([2.6, 1.6, 0])
        meant = math("softplus(a) = log(1 + e^a)", 36, GOOD).next_to(lines, DOWN, buff=0.35).align_to(lines, LEFT)
        self.say(
            "{clear} A network {axes} puts out a logit, the number before the sigmoid. {draw} Turn it into a "
            "probability, take the logarithm? {cut} From 17 on, that probability is rounded to 1, {inf} and a "
            "single 0 there costs infinity. {safe} So simplify first, to minus softplus: {on} at 17 it costs 17, at "
            "1000 a thousand.",
            pause=0.6,
            clear=lambda: (FadeOut(self.others(self.mobjects[0])), 0.4),
            axes=(FadeIn(plot), FadeIn(lines[0]), 0.7),
            draw=(Create(broken, rate_func=linear), 1.8),
            cut=(Flash(edge, color=BAD), Indicate(plot.marks[2], 1.4, color=BAD), 1.0),
            inf=(GrowArrow(drop), FadeIn(infinite), 0.8),
            safe=(FadeIn(lines[1], meant, shift=UP * 0.2), 0.8),
            on=(Create(whole, rate_func=linear), 1.8),
        )


# ------------------------------------------------------------------------------------------- which way the KL forgives


class TwoBells(Beat):
    chapter = "Which way the KL forgives"
    section = "1.6"

    def construct(self):
        stage = Stage(at=(0, -2.5), height=3.6, top=0.72)
        q = StandIn(stage, 0.25, NARROW[1])
        choices = Choices("over both, wide", "on one, narrow", "between").move_to(UP * 2.3)
        p, name = (
            stage.curve(log_p.exp().numpy()[DRAWN], LATENT, 5, 0.18),
            math("p", 44, LATENT).next_to(stage.c2p(2.0, 0.2), UR, buff=0.2),
        )
        self.say(
            "{p} Soon we shall replace a distribution p by a simpler one, {q} q. Say p has two bells, q has one. "
            "Where does the best q lie? {wide} Over both, wide? {narrow} On one, narrow? {between} Or between?",
            pause=2.2,
            p=(FadeIn(stage), GrowFromEdge(p, DOWN), FadeIn(name), 1.2),
            q=(FadeIn(q), 0.8),
            wide=lambda: (*q.go(*WIDE), choices.offer(0), 1.0),
            narrow=lambda: (*q.go(*NARROW), choices.offer(1), 0.9),
            between=lambda: (*q.go(0.25, NARROW[1]), choices.offer(2), 0.8),
        )
        formula = math("KL({{q : q}} || {{p : p}}) = EE_({{z tilde q : draw}}) [log q(z) - log p(z)]", 50).move_to(
            UP * 2.2
        )
        for part, color in (("q", MEAN), ("p", LATENT), ("draw", MEAN)):
            formula.select(part).set_color(color)
        self.say(
            "{clear} The KL {kl} divergence judges. {draw} Draw z from q, and ask by how many nats q rates it above p, "
            "{mean} on average. {zero} It is never negative, and 0 only if q is p.",
            pause=0.4,
            clear=(FadeOut(choices), 0.4),
            kl=(Write(formula), 0.9),
            draw=lambda: (Indicate(formula.select("draw"), 1.25, color=MEAN), 1.2),
            mean=lambda: (*q.go(*NARROW), 0.9),
            zero=lambda: (Indicate(formula, 1.05, color=INK), 1.0),
        )


class Pull(Beat):
    """q is pulled over p, and both divergences follow."""

    section = "1.6"

    def construct(self):
        stage = Stage(at=(0, -2.8), height=3.1, top=0.72)
        p = stage.curve(log_p.exp().numpy()[DRAWN], LATENT, 5, 0.18)
        q = StandIn(stage, 2.0, 0.5)
        bars = always_redraw(lambda: self.bars(*q.at()))
        names = VGroup(
            math("KL(q || p)", 40, MEAN).move_to([-5.4, 2.15, 0]),
            math("KL(p || q)", 40, LATENT).move_to([-5.4, 1.25, 0]),
        )
        name = math("p", 44, LATENT).next_to(stage.c2p(2.0, 0.2), UR, buff=0.2)
        (one, other), (first, second) = self.printed(NARROW, "narrow"), self.printed(WIDE, "wide  ")
        self.say(
            "{stage} There are two ways round. {pull} Pull q over the larger bell. {q} With draws from q, the KL "
            f"is small: {one} nats. {{p}} With draws from p, it is {other}.",
            pause=0.7,
            stage=(FadeIn(stage, p, name, q, names, bars), 0.6),
            pull=lambda: (*q.go(*NARROW), 1.6),
            q=lambda: (Indicate(names[0], 1.15, color=MEAN), 0.8),
            p=lambda: (Indicate(names[1], 1.15, color=LATENT), 0.8),
        )
        self.say(
            f"{{wide}} Stretch q over both bells: {{q}} {first}, that is worse. {{p}} And {second}, much better. "
            "{swap} The verdict is reversed.",
            pause=1.0,
            wide=lambda: (*q.go(*WIDE), 1.6),
            q=lambda: (Indicate(names[0], 1.15, color=MEAN), 0.8),
            p=lambda: (Indicate(names[1], 1.15, color=LATENT), 0.8),
            swap=lambda: (*q.go(*NARROW), 1.8),
        )

    def printed(self, candidate: tuple[float, float], name: str) -> list[str]:
        """Return what the lesson prints for a candidate, which is what the picture shows."""
        found = [number(rf"{name}   KL\(q \|\| p\)"), number(rf"{name}   KL\(q \|\| p\) [\d.]+   KL\(p \|\| q\)")]
        assert found == [f"{one:.2f}" for one in divergences(*candidate)]
        return found

    def bars(self, mean: float, var: float) -> VGroup:
        every = VGroup()
        for nats, y, color in zip(divergences(mean, var), (2.15, 1.25), (MEAN, LATENT), strict=True):
            bar = Rectangle(width=min(max(nats, 0.01), 8.0), height=0.5, stroke_width=0).set_fill(color, 0.85)
            bar.move_to([-4.0, y, 0], aligned_edge=LEFT)
            every.add(bar, mono(f"{nats:.2f} nats", 30, color).next_to(bar, RIGHT, buff=0.2))
        return every


class WhoDraws(Beat):
    """Draws from q never see the second bell; draws from p do."""

    section = "1.6"

    def construct(self):
        stage = Stage(at=(0, -2.2), height=3.6, top=0.72)
        p, q = stage.curve(log_p.exp().numpy()[DRAWN], LATENT, 5, 0.18), stage.curve(normal(*NARROW), MEAN, 5)
        names = VGroup(
            math("p", 44, LATENT).next_to(stage.c2p(2.0, 0.2), UR, buff=0.2),
            math("q", 44, MEAN).next_to(stage.c2p(-1.5, 0.68), UP, buff=0.05),
        )
        weight, means, variances = self.bells()
        generator = torch.Generator().manual_seed(0)
        from_q = (NARROW[0] + NARROW[1] ** 0.5 * torch.randn(40, generator=generator)).tolist()
        right = (torch.rand(40, generator=generator) > weight[0]).long()
        from_p = (means[right] + variances[right].sqrt() * torch.randn(40, generator=generator)).tolist()
        first, second = piles(stage, from_q, NOISE), piles(stage, from_p, NOISE)
        lost = VGroup(*[one for one, k in zip(second, right.tolist(), strict=True) if k])
        home = VGroup(*[one for one, k in zip(second, right.tolist(), strict=True) if not k])
        verdicts = [
            VGroup(math(formula, 40, color), words(text, 36, color, weight=BOLD)).arrange(RIGHT, buff=0.4).move_to(at)
            for formula, text, color, at in (
                ("KL(q || p)", "mode-seeking", MEAN, [2.0, 1.5, 0]),
                ("KL(p || q)", "mass-covering", LATENT, [0.4, 1.0, 0]),
            )
        ]
        assert f"{weight[1]:.2f}" == "0.35"  # "a third"
        self.say(
            "{stage} Why? {q} Draw from q: every draw lands where p is at home. {never} The other bell is "
            "never visited, and so forgiven: {mode} mode-seeking.",
            pause=0.4,
            stage=(FadeIn(stage), FadeIn(p), FadeIn(q), FadeIn(names), 0.4),
            q=(LaggedStart(*[FadeIn(one, shift=DOWN * 1.2) for one in first], lag_ratio=0.05), 2.0),
            never=lambda: (Indicate(names[0], 1.4, color=LATENT), 1.0),
            mode=(FadeIn(verdicts[0], shift=UP * 0.2), 0.7),
        )
        narrow, tag = q.copy(), names[1].copy()
        wide, top = stage.curve(normal(*WIDE), MEAN, 5), stage.c2p(WIDE[0], 0.22)
        nothing = words("q almost 0", 28).next_to(lost, UP, buff=1.2)
        self.say(
            "{p} Draw from p: {lost} a third of the draws land where q has next to nothing. {zero} And where q "
            "is exactly 0, the KL is infinite. {cover} It wants q over both bells: mass-covering.",
            pause=0.4,
            p=(FadeOut(first), FadeOut(verdicts[0]), *[FadeIn(one, shift=DOWN * 1.2) for one in second], 0.8),
            lost=lambda: (home.animate.set_opacity(0.2), FadeIn(nothing), 0.9),
            zero=lambda: (Indicate(lost, 1.15, color=NOISE), Indicate(nothing, 1.15, color=INK), 1.4),
            cover=lambda: (
                Transform(q, wide),
                names[1].animate.next_to(top, UP, buff=0.12),
                FadeOut(nothing),
                home.animate.set_opacity(1),
                FadeIn(verdicts[1], shift=UP * 0.2),
                0.9,
            ),
        )
        self.say(
            "{vae} A VAE uses the first, because it can draw from q, but not from the posterior. {narrow} Where the "
            "truth has two answers, its q tends to give one, and to be too sure.",
            pause=0.4,
            vae=lambda: (
                FadeOut(verdicts[1], second),
                Transform(q, narrow),
                Transform(names[1], tag),
                FadeIn(first),
                1.2,
            ),
            narrow=lambda: (ShowPassingFlash(narrow.copy().set_stroke(MEAN, 12), time_width=0.4), 2.0),
        )

    def bells(self) -> torch.Tensor:
        rows = lesson.text(r"weight, mean, var = torch.tensor\(\[\[(.+?)\]\]\)").split("], [")
        return torch.tensor([[float(one) for one in row.split(",")] for row in rows])


# ------------------------------------------------------------------------------------------------- a formula, or draws


class Parabolas(Beat):
    """Two log-densities, and their difference: a parabola if both are Gaussian, and only then."""

    chapter = "A formula, or draws"
    section = "1.7"

    def construct(self):
        plot = plot_axes((-4, 4), (-9, 6), math("z", 40, LATENT), "", 8.6, 5.0, [-2, 0, 2], [0]).move_to(
            [-1.6, -0.5, 0]
        )
        zero = DashedLine(plot.c2p(-4, 0), plot.c2p(4, 0), color=DIM, stroke_width=3)
        q_mean, q_var = (
            float(lesson.text(rf"q_mean, q_var = {pattern}"))
            for pattern in (r"torch.tensor\((.+?)\)", r".+, torch.tensor\((.+?)\)")
        )
        log_q, log_one, log_two = (
            log_normal(q_mean, q_var, ZS).numpy(),
            log_normal(0, 1, ZS).numpy(),
            log_p.numpy()[DRAWN],
        )
        q, one, two = curve(plot, ZS, log_q, MEAN), curve(plot, ZS, log_one, LATENT), curve(plot, ZS, log_two, LATENT)
        gap, bent = curve(plot, ZS, log_q - log_one, INK, 6), curve(plot, ZS, log_q - log_two, BAD, 6)
        meets = VGroup()  # where q and p cross, their difference is 0
        for z in np.polynomial.Polynomial.fit(ZS, log_q - log_one, 2).roots():
            at = plot.c2p(z, np.interp(z, ZS, log_q))
            meets.add(DashedLine(at, plot.c2p(z, 0), color=INK, stroke_width=3), Dot(plot.c2p(z, 0), radius=0.09))
        names = (
            VGroup(math("log q", 38, MEAN), math("log p", 38, LATENT), math("log q - log p", 38))
            .arrange(DOWN, aligned_edge=LEFT, buff=0.35)
            .move_to([4.9, 1.3, 0])
        )
        pairs = VGroup(*[self.pair(40 * k, (2.1 * (k % 6) - 5.25, 0.7 - 1.8 * (k // 6))) for k in range(18)])
        true, formula = number(r"prior two bells  grid"), number(r"prior two bells  grid [\d.]+   formula")
        check = (
            VGroup(mono(f"formula {formula}", 30, BAD), mono(f"grid    {true}", 30, GOOD))
            .arrange(DOWN, aligned_edge=LEFT, buff=0.25)
            .move_to([4.9, -1.6, 0])
        )
        unit = words("KL, nats", 26, DIM).next_to(check, UP, buff=0.3).align_to(check, LEFT)
        self.say(
            "{head} A VAE needs a KL for every latent of every cell. If both are Gaussian, {clear} there {plot} is a "
            "formula: {two} the logarithm of a Gaussian is a parabola. {gap} The difference of two is one again, "
            "{mean} and its mean needs only means and variances.",
            pause=0.4,
            head=(LaggedStart(*[FadeIn(one) for one in pairs], lag_ratio=0.1), 1.8),
            clear=(FadeOut(pairs), 0.3),
            plot=(FadeIn(plot, zero), FadeIn(names[:2]), 0.5),
            two=(Create(q), Create(one), 1.4),
            gap=(Create(gap), FadeIn(names[2]), 1.4),
            mean=lambda: (Indicate(names[2], 1.15, color=INK), FadeIn(meets), 1.0),
        )
        self.say(
            "{data} The data are nowhere in it, be they bits or counts. {bells} But give the prior two bells, "
            f"{{bent}} and the formula fails: fed the prior's mean and variance, {{check}} it says {formula}, {{true}} "
            f"and the truth is {true}.",
            pause=0.6,
            data=lambda: (Indicate(names, 1.06, color=INK), 1.4),
            bells=lambda: (ReplacementTransform(one, two), FadeOut(meets), 1.0),
            bent=lambda: (ReplacementTransform(gap, bent), names[2].animate.set_color(BAD), 1.0),
            check=(FadeIn(unit, check[0]), 0.6),
            true=(FadeIn(check[1]), 0.6),
        )

    def pair(self, cell: int, at: tuple[float, float]) -> VGroup:
        """Return the q and the prior of a cell, small."""
        stage = Stage(at, width=1.8, height=1.3, top=1.1, name="", numbers=())
        mean, sd = (float(value("1.9", name)[cell]) for name in ("post_mean", "post_sd"))
        prior, q = stage.curve(normal(0, 1), LATENT, 3), stage.curve(normal(mean, sd**2), MEAN, 3, 0.15)
        return VGroup(stage, prior, q)


class MonteCarlo(Beat):
    """The running mean of the lesson's terms, and its standard error."""

    section = "1.8"

    def construct(self):
        terms = value("1.8", TERMS).astype(float)
        counts = np.unique(np.round(np.logspace(np.log10(2), 5, 260)).astype(int))
        sums, squares = np.cumsum(terms)[counts - 1], np.cumsum(terms**2)[counts - 1]
        self.xs, self.means = np.log10(counts), sums / counts
        self.errors = np.sqrt((squares - sums**2 / counts) / (counts - 1) / counts)
        self.plot = plot_axes(
            (0, 5), (0, 3.2), "", "KL, nats", 9.2, 4.3, {0: "1", 1: "10", 3: "1,000", 5: "100,000 draws"}, [0, 1, 2, 3]
        ).move_to([-0.2, -0.5, 0])
        truth, self.now = number(r"S = 100000: .*grid"), ValueTracker(self.xs[0])
        true = DashedLine(*[self.plot.c2p(x, float(truth)) for x in (0, 5)], color=GOOD, stroke_width=4)
        named, drawn = words(f"grid {truth}", 24, GOOD).next_to(true, RIGHT, buff=0.2), always_redraw(self.drawn)
        formula = math("KL(q || p) approx 1 / S sum_s [log q(z_s) - log p(z_s)], quad {{z_s tilde q : q}}", 38).move_to(
            UP * 2.4 + RIGHT * 1.0
        )
        formula.select("q").set_color(NOISE)
        self.say(
            "{head} Two bells: no formula. Ten dimensions: no grid. {draw} But a KL is a mean over draws from q. "
            "{first} So draw, and average. {run} At first the mean jumps about; {settle} then it settles.",
            pause=1.2,
            head=(FadeIn(self.plot), FadeIn(true), FadeIn(named), 1.0),
            draw=(Write(formula), 1.6),
            first=lambda: (*self.put(drawn, self.now.animate(rate_func=linear).set_value(1.0)), 1.4),
            run=lambda: (self.now.animate(rate_func=linear).set_value(2.2), 1.5),
            settle=lambda: (self.now.animate(rate_func=linear).set_value(5.0), 2.0),
        )
        self.errors_of()

    def drawn(self) -> VGroup:
        step = max(int(np.searchsorted(self.xs, self.now.get_value())), 2)
        xs, means, errors = self.xs[:step], self.means[:step], self.errors[:step]
        edges, end = band(self.plot, xs, means - errors, means + errors, NOISE), self.plot.c2p(xs[-1], means[-1])
        return VGroup(edges, curve(self.plot, xs, means, INK, 4), Dot(end, radius=0.09, color=NOISE))

    def errors_of(self) -> None:
        sizes, bars = ("10", "1000", "100000"), VGroup()
        found = [(number(rf"S = +{n}:"), number(rf"S = +{n}: [\d.]+ \+-")) for n in sizes]
        for n, (mean, error) in zip(sizes, found, strict=True):
            ends = [self.plot.c2p(np.log10(int(n)), float(mean) + side * float(error)) for side in (-1, 1)]
            bar = VGroup(Line(*ends), *[Line(end + LEFT * 0.12, end + RIGHT * 0.12) for end in ends]).set_stroke(
                MEAN, 5
            )
            text = mono(f"{mean} ± {error}", 24, MEAN).move_to([ends[0][0], self.plot.c2p(0, 0.6)[1], 0])
            bars.add(VGroup(bar, Dot(self.plot.c2p(np.log10(int(n)), float(mean)), radius=0.08, color=MEAN), text))
        bars[2][2].shift(LEFT * 0.5)
        errors = [f"{float(error):.{digits}f}" for (_, error), digits in zip(found, (2, 2, 3), strict=True)]
        self.say(
            f"{{ten}} Ten draws: give or take {errors[0]}. {{more}} A thousand: {errors[1]}. {{most}} A hundred "
            f"thousand: {errors[2]}. {{rule}} A hundred times the draws, ten times the precision.",
            pause=0.8,
            ten=(FadeIn(bars[0]), 0.9),
            more=(FadeIn(bars[1]), 0.8),
            most=(FadeIn(bars[2]), 0.8),
            rule=lambda: (LaggedStart(*[Indicate(one[2], 1.15, color=MEAN) for one in bars], lag_ratio=0.6), 2.2),
        )


# ----------------------------------------------------------------------------------------- the posterior of a real cell


class ThreeCells(Beat):
    """Prior, likelihood and posterior of the lesson's three cells."""

    chapter = "The posterior of a real cell"
    section = "1.9"

    def construct(self):
        self.cells, self.heat, xs = (T_CELL, ALL_SIX, DENDRITIC), ValueTracker(0.0), (-4.6, 0, 4.6)
        self.stages = [Stage(at=(x, -2.3), width=3.6, height=3.1, top=1.1, name="", numbers=(-2, 0, 2)) for x in xs]
        tiles = [Tiles(UNSEEN, 0.42, 0.56, names=False).move_to([x, 1.65, 0]) for x in xs]
        names = [
            seated(text, words, 26).set_x(x).shift(UP * 2.2)
            for text, x in zip(("T cell", "T cell, all six genes", "dendritic cell"), xs, strict=True)
        ]
        priors = VGroup(*[stage.prior() for stage in self.stages])
        told = [
            (FadeIn(name, shift=UP * 0.2), *[tile.see(k, bit) for k, bit in enumerate(markers[i])])
            for name, tile, i in zip(names, tiles, self.cells, strict=True)
        ]
        likes, drawn = VGroup(), always_redraw(self.drawn)
        for i, stage in zip(self.cells, self.stages, strict=True):
            log_lik = value("1.9", "log_lik")[i]
            likes.add(stage.curve(np.exp(log_lik - log_lik.max())[DRAWN], INK, 2.5))
        sds = [f"{value('1.9', 'post_sd')[i]:.2f}" for i in self.cells]
        assert min(sds) == sds[1]
        assert markers[ALL_SIX].sum() == 6
        labels = [mono(f"sd {sd}", 28, SPREAD).move_to([x, -3.2, 0]) for sd, x in zip(sds, xs, strict=True)]
        self.say(
            f"{{head}} Three real cells, six genes, {len(grid)} values of z. {{one}} A T cell. {{two}} A T cell that "
            "shows all six genes. {three} A dendritic cell. {ask} Whose posterior is the narrowest?",
            pause=2.3,
            head=(FadeIn(*self.stages, *tiles, priors), 0.8),
            one=(*told[0], 0.6),
            two=(*told[1], 0.8),
            three=(*told[2], 0.6),
            ask=(LaggedStart(*[Indicate(name, 1.1, color=MEAN) for name in names], lag_ratio=0.3), 1.4),
        )
        far = [(self.stages[0], likes[0], -1), (self.stages[2], likes[2], 1)]
        holds = [
            Arrow(*[stage.c2p(side * z, 0.2) for z in (3.9, 2.6)], buff=0, color=MEAN, tip_length=0.2)
            for stage, _, side in far
        ]
        tags = [words("prior", 24, PRIOR).next_to(one, UP, buff=0.1) for one in holds]
        self.say(
            "{like} Here are the likelihoods, {post} and the posteriors. {sd} The middle one: genes that "
            "contradict each other leave only a small range. {doublet} Perhaps a doublet, two cells in one "
            "droplet. {flat} The other two likelihoods stay high on one side. {hold} There, only the prior keeps the "
            "cloud near 0.",
            pause=0.8,
            like=(Create(likes, lag_ratio=0), 1.0),
            post=lambda: (*self.put(drawn, self.heat.animate.set_value(1.0)), 1.2),
            sd=(FadeIn(*labels), 0.8),
            doublet=(swell(tiles[1], 1.15), 1.2),
            flat=(*[ShowPassingFlash(like.copy().set_stroke(INK, 9), time_width=0.5) for _, like, _ in far], 1.8),
            hold=(*[GrowArrow(one) for one in holds], *[FadeIn(one) for one in tags], 1.2),
        )

    def drawn(self) -> VGroup:
        return VGroup(
            *[
                warming(stage, markers[i].tolist(), self.heat.get_value())
                for i, stage in zip(self.cells, self.stages, strict=True)
            ]
        )


class SureAndWrong(Beat):
    """A B cell shows none of the six genes."""

    section = "1.9"

    def construct(self):
        stage, tiles, heat = (
            Stage(at=(0, -2.5), height=3.2, top=1.15),
            Tiles([0.0] * 6).move_to([0, 2.2, 0]),
            ValueTracker(0.0),
        )
        tiles.add(words("B cell", 30).next_to(tiles.squares, LEFT, buff=0.5))
        none = number(r"\nB .*none of the six:")
        assert int(none) > 50  # "most"
        drawn = always_redraw(lambda: warming(stage, [0.0] * 6, heat.get_value()))
        ends = VGroup(
            *[
                words(text, 28, color).move_to(stage.c2p(z, 0.14))
                for text, z, color in (("← T cells", -3.3, T), ("myeloid →", 3.1, MYELOID))
            ]
        )
        wrong = words("sure, and wrong", 40, BAD, weight=BOLD).move_to([4.3, 1.05, 0])
        _, density, mean, sd = posterior([0.0] * 6, [1.0] * 6)
        assert f"{mean:.1f}" == "-0.4"
        self.say(
            "{b} Now a B cell. Most show none of the six genes. {squeeze} The model knows one axis, so none can "
            "only mean: in between. {sure} And the {sd} spread is small.",
            pause=0.5,
            b=(FadeIn(stage, tiles, ends), 0.5),
            squeeze=lambda: (*self.put(drawn, heat.animate.set_value(1.0)), 2.6),
            sure=(Create(stage.pin(mean, density.max(), MEAN)), 0.3),
            sd=(
                GrowFromCenter(Line(stage.c2p(mean - sd, 0.08), stage.c2p(mean + sd, 0.08)).set_stroke(SPREAD, 8)),
                0.7,
            ),
        )
        self.say(
            "{given} A posterior is exact, given the model: in this model, few values of z fit. {place} But it "
            "has no place for a B cell. {wrong} It is sure, and wrong.",
            pause=0.6,
            given=(ShowPassingFlash(stage.curve(density, INK, 8), time_width=0.5), 1.4),
            place=(Indicate(ends, 1.15), 1.0),
            wrong=(FadeIn(wrong, scale=0.8), 0.7),
        )


class GridsEnd(Beat):
    """801 points become a square, a cube, and a number too large."""

    section = "1.9"

    def construct(self):
        ages, power = (
            lesson.text(r"at \$10\^9\$ a second, (\d+) times the age"),
            lesson.text(r"801\^\{10\} \\approx 10\^\{(\d+)\}"),
        )
        assert f"{10 * np.log10(len(grid)):.0f}" == power
        n, pitch, back = 12, 0.34, RIGHT * 0.15 + UP * 0.11
        row = VGroup(*[Dot([pitch * i, 0, 0], radius=0.06, color=LATENT) for i in range(n)])
        square = VGroup(*[row.copy().shift(UP * pitch * j) for j in range(n)])
        deep = VGroup(*[square.copy().shift(back * k).set_opacity(0.6 - 0.12 * k) for k in range(1, 5)])
        VGroup(deep, square, row).move_to(LEFT * 3.3 + DOWN * 0.4)
        points = len(grid)
        numbers = [
            math(text, 76, LATENT).move_to([2.9, 0.4, 0])
            for text in (f"{points}", f"{points}^2", f"{points}^3", f"{points}^10 approx 10^{power}")
        ]
        clock = words(f"{ages} × the age of the universe", 30, BAD).move_to([2.9, -1.2, 0])
        unit = words("points", 28, LATENT).move_to([2.9, -0.4, 0])
        self.say(
            f"{{one}} One latent took {points} points. {{two}} Two take a square, {{three}} three a cube. {{ten}} Ten "
            f"take 10 to the {power}: at a billion a second, {{age}} {ages} times the age of the universe, for one "
            "cell.",
            pause=0.5,
            one=(FadeIn(row), FadeIn(numbers[0], unit), 0.7),
            two=(TransformFromCopy(row, square), ReplacementTransform(numbers[0], numbers[1]), 0.7),
            three=(FadeIn(deep, shift=back), ReplacementTransform(numbers[1], numbers[2]), 0.7),
            ten=(ReplacementTransform(numbers[2], numbers[3]), 0.9),
            age=(FadeIn(clock, shift=UP * 0.2), 0.8),
        )


# ------------------------------------------------------------------------------------- variational inference: a search


class Family(Beat):
    chapter = "Variational inference: a search"
    section = "1.10"

    def construct(self):
        stage = Stage(at=(0, -2.7), height=3.0, top=0.85)
        q = StandIn(stage, -1.0, 0.36)
        hidden = DashedVMobject(stage.curve(exact(DENDRITIC), LATENT, 4), num_dashes=70)
        name = words("posterior", 26, LATENT).next_to(stage.c2p(1.95, 0.45), RIGHT, buff=0.2)
        rule = math("{{p(z | x) : post}} = (p(z) thin p(x | z)) / {{p(x) : evid}}", 54).move_to([0, 1.75, 0])
        rule.select("post").set_color(LATENT)
        rule.select("evid").set_color(BAD)
        self.say(
            "{head} If we cannot compute the posterior, can we fit it? {family} Take a simple family, say all "
            "Gaussians. {move} Shift and stretch, {best} to find the smallest KL to the posterior.",
            pause=0.5,
            head=(FadeIn(stage, hidden, name, rule), 0.5),
            family=(FadeIn(q), 0.8),
            move=lambda: (*q.go(-1.6, 1.44), 0.9),
            best=lambda: (*q.go(0.3, 0.64), 1.5),
        )
        first = "KL({{q : q}} || {{p(z | x) : post}}) = EE_q [log q(z) - log p(z | x)]"
        second = '"" = {{log p(x) : px}} - {{EE_q [log p(x | z) + log p(z) - log q(z)] : elbo}}'
        lines = Derivation([first, second], size=42, colors={"q": MEAN, "post": LATENT, "elbo": GOOD})
        lines.move_to([-0.2, 1.75, 0])
        elbo = words("ELBO", 30, GOOD, weight=BOLD).next_to(lines.line(1).select("elbo"), DOWN, buff=0.22)
        self.say(
            "{kl} But this KL contains the posterior. {bayes} Put in Bayes' rule: {px} log p of x comes out, "
            "and q cannot move it. {elbo} What is left needs only prior and likelihood: the ELBO.",
            pause=0.8,
            kl=(Succession(FadeOut(rule, run_time=0.3), lines.reveal(0)), 1.4),
            bayes=(lines.reveal(1), 1.0),
            px=lambda: (Indicate(lines.line(1).select("px"), 1.2, color=MEAN), 1.4),
            elbo=(FadeIn(elbo, shift=UP * 0.2), 0.8),
        )


class Rising(Beat):
    """q slides to the posterior; what the ELBO gains, the KL loses."""

    section = "1.10"

    def construct(self):
        self.log_joint, self.px = torch.tensor(value("1.10", "log_joint")), float(value("1.10", "log_px"))
        best = [
            float(value("1.10", name)[int(value("1.10", at))]) for name, at in (("means", "row"), ("sds", "column"))
        ]
        stage = Stage(at=(-2.9, -2.5), width=7.4, height=3.7, top=0.85, numbers=(-2, 0, 2))
        post = stage.curve(exact(DENDRITIC), LATENT, 4, 0.18)
        self.q = StandIn(stage, -0.1, 1.0)
        name = words("posterior", 26, LATENT).next_to(stage.c2p(2.1, 0.4), RIGHT, buff=0.2)
        self.low = self.elbo() - 1.2
        self.bottom, self.rise = np.array([3.0, -2.5, 0]), 4.3 / (self.px - self.low)
        roof = Line(LEFT * 1.3, RIGHT * 1.3, color=INK, stroke_width=5).move_to(self.height_of(self.px))
        top = math(f"log p(x) = {self.px:.3f}", 38).next_to(roof, UP, buff=0.15)
        assert f"{self.px:.3f}" == number(r"log p\(x\)").replace("−", "-")
        tank = always_redraw(self.tank)
        unit = words("nats", 24, DIM).next_to(self.bottom, DOWN, buff=0.2)
        self.say(
            "{stage} For one cell and one latent, the grid knows the answer. {tank} The roof is log p of x. "
            "{below} The gap below it is the KL. It is never negative, {bound} so the ELBO is an evidence lower "
            "bound.",
            pause=0.5,
            stage=(FadeIn(stage), FadeIn(post), FadeIn(self.q), FadeIn(name), 1.0),
            tank=(Create(roof), FadeIn(top), 0.8),
            below=(FadeIn(tank, unit), 1.0),
            bound=lambda: (Indicate(roof, 1.1, color=INK), 1.0),
        )
        rest = number(r"KL there")
        self.say(
            "{slide} Slide q to the right: the ELBO rises, the KL falls by as much. {narrow} Make it narrower. Their "
            f"sum, log p of x, never moves. {{best}} The best Gaussian ends {{left}} just {rest} nats below the roof.",
            pause=0.9,
            slide=lambda: (self.q.mean.animate.set_value(best[0]), 2.8),
            narrow=lambda: (self.q.var.animate.set_value(best[1] ** 2), 1.6),
            best=lambda: (Indicate(top, 1.08, color=GOOD), 0.6),
            left=lambda: (Flash(roof.get_center(), color=GOOD, flash_radius=0.6), 0.9),
        )

    def elbo(self) -> float:
        log_q = log_normal(*self.q.at())
        return float((log_q.exp() * (self.log_joint - log_q)).sum() * STEP)

    def height_of(self, nats: float) -> np.ndarray:
        return self.bottom + UP * (nats - self.low) * self.rise

    def tank(self) -> VGroup:
        elbo, parts = self.elbo(), VGroup()
        floor, level, roof = (self.height_of(one)[1] for one in (self.low, elbo, self.px))
        for low, high, color, opacity in ((floor, level, GOOD, 0.85), (level, roof, BAD, 0.55)):
            one = Rectangle(width=1.8, height=max(high - low, 0.005), stroke_width=0).set_fill(color, opacity)
            parts.add(one.move_to([self.bottom[0], low, 0], aligned_edge=DOWN))
        gap = min((level + roof) / 2, roof - 0.35)
        for text, y, color in (
            (f"KL {self.px - elbo:.3f}", gap, BAD),
            (f"ELBO {signed(elbo, 3)}", min((floor + level) / 2, gap - 0.5), GOOD),
        ):
            parts.add(mono(text, 26, color).move_to([self.bottom[0] + 1.1, y, 0], aligned_edge=LEFT))
        return parts


class Landscape(Beat):
    """All 4617 candidates: the KL over mean and sd of q, seen column by column; then the encoder."""

    section = "1.10"

    def construct(self):
        means, sds, kl = (value("1.10", name) for name in ("means", "sds", "kl"))
        best = float(means[int(value("1.10", "row"))]), float(sds[int(value("1.10", "column"))])
        tried = number(r"ELBO \+ KL of all")
        assert int(tried) == kl.size
        spans = [(float(one[0]), float(one[-1])) for one in (means, sds)]
        plot = plot_axes(*spans, "mean", "sd", 8.0, 4.2, [-1, 0, 1, 2, 3], [0.5, 1.0, 1.5]).move_to([-1.2, -0.5, 0])
        logs = np.log(kl.T)
        shown = heat(plot, (logs.max() - logs) ** 1.5, LATENT)
        cover = Rectangle(width=shown.width, height=shown.height, stroke_width=0).set_fill(GROUND, 1).move_to(shown)
        edge = Line(UP, DOWN).set_stroke(MEAN, 4).match_height(shown).move_to(shown.get_left())
        star = Star(5, outer_radius=0.24, color=GROUND, stroke_width=2).set_fill(MEAN, 1).move_to(plot.c2p(*best))
        label = (
            VGroup(mono(f"mean {best[0]:.2f}", 26, MEAN), mono(f"sd   {best[1]:.2f}", 26, SPREAD))
            .arrange(DOWN, aligned_edge=LEFT)
            .move_to([5.2, 0.6, 0])
        )
        bright = words("brighter: smaller KL", 24, LATENT).next_to(shown, UP, buff=0.2).align_to(shown, RIGHT)
        stage = Stage(at=(0, -2.5), height=3.6, top=0.72)
        p, q = stage.curve(log_p.exp().numpy()[DRAWN], LATENT, 5, 0.18), StandIn(stage, *NARROW)
        name = words("posterior", 26, LATENT).next_to(stage.c2p(-2.4, 0.36), LEFT, buff=0.1)
        self.say(
            f"{{axes}} We tried {tried} {{sweep}} pairs of mean and standard deviation. {{star}} There is a single "
            "valley, and this is its bottom. {two} But take a posterior with two bells. {fit} No search could fit it: "
            "{back} the family is too small.",
            pause=0.4,
            axes=(FadeIn(plot, bright), 0.5),
            sweep=lambda: (*self.sweep(shown, cover, edge), 2.6),
            star=lambda: (FadeOut(edge), FadeIn(star, scale=3), FadeIn(label), 0.9),
            two=lambda: (FadeOut(self.others(self.mobjects[0])), FadeIn(stage, p, name, q), 0.9),
            fit=lambda: (*q.go(*WIDE), 1.2),
            back=lambda: (*q.go(2.0, 0.5), 1.2),
        )
        self.encoder(tried)

    def sweep(self, shown: Mobject, cover: Mobject, edge: Mobject) -> list[Animation]:
        self.add(shown, cover, edge)
        gone = cover.copy().stretch_to_fit_width(0.001).align_to(cover, RIGHT)
        return [Transform(cover, gone, rate_func=linear), edge.animate(rate_func=linear).move_to(shown.get_right())]

    def encoder(self, tried: str) -> None:
        cell = Tiles(markers[DENDRITIC], names=False)
        cell.squares.arrange(DOWN, buff=0.15).move_to([-5.4, -0.3, 0])
        network = trapezoid("encoder", width=2.4, height=3.2, size=30).move_to([-2.6, -0.3, 0])
        nodes = [node("mu", MEAN, 0.6).move_to([1.0, 0.7, 0]), node("sigma^2", SPREAD, 0.6).move_to([1.0, -1.3, 0])]
        stage = Stage(at=(4.9, -0.9), width=3.0, height=1.5, top=0.75, name="", numbers=())
        mean, sd = (float(value("1.9", name)[DENDRITIC]) for name in ("post_mean", "post_sd"))
        q = stage.curve(normal(mean, sd**2), MEAN, 4, 0.15)
        into = [way(network.get_right() + UP * y, one.get_left()) for y, one in zip((0.3, -0.3), nodes, strict=True)]
        out = [way(one.get_right(), [3.2, -0.3 + y, 0]) for y, one in zip((0.2, -0.2), nodes, strict=True)]
        search = way([-4.8, -0.3, 0], [3.2, -0.3, 0])
        tries = words(f"{tried} pairs tried", 28, DIM).next_to(search, UP, buff=0.2)
        self.say(
            "{clear} And that {one} was for one cell. {vae} In a VAE, a network reads x {out} and puts out mean and "
            "variance of q: {q} the encoder, one search for all cells.",
            pause=0.6,
            clear=lambda: (FadeOut(self.others(self.mobjects[0])), 0.3),
            one=(FadeIn(cell, tries, search, stage, q), 0.7),
            vae=(
                FadeOut(tries, search, stage, q),
                GrowArrow(arrow(cell, network)),
                FadeIn(network, shift=RIGHT * 0.2),
                0.8,
            ),
            out=(*[GrowArrow(one) for one in into], *[FadeIn(one) for one in nodes], 1.0),
            q=(*[GrowArrow(one) for one in out], FadeIn(stage), GrowFromEdge(q, DOWN), 1.2),
        )


# --------------------------------------------------------------------------------------------------- who is this cell?


class Contest(Beat):
    """Posterior, vote and one gene: at full depth, and with a tenth of the molecules."""

    chapter = "Who is this cell?"
    section = "1.11"
    methods = (("posterior", LATENT), ("vote", INK), ("best gene", MEAN))

    def construct(self):
        self.plot = plot_axes(
            (75, 100), (0, 3), "", "", 8.2, 3.7, {80: "80 %", 90: "90 %", 100: "100 % right"}, []
        ).move_to([1.2, -0.3, 0])
        names = VGroup(
            *[
                words(name.replace("vote", "six genes' vote"), 28, color).next_to(
                    self.plot.c2p(75, 2.4 - i), LEFT, buff=0.3
                )
                for i, (name, color) in enumerate(self.methods)
            ]
        )
        (scores,) = self.scores("right, prob_t, name = right_calls(x, genes)")
        marks = VGroup(*[self.mark(score, i) for i, score in enumerate(scores)])
        labels = VGroup(
            *[
                mono(f"{score:.1f}", 26, self.methods[i][1]).next_to(marks[i], UP, buff=0.14)
                for i, score in enumerate(scores)
            ]
        )
        card = question("Does the posterior beat the best gene?", 32)
        choices = Choices("clearly", "barely", "not at all")
        VGroup(card, choices).arrange(DOWN, buff=0.25).move_to(DOWN * 2.3)
        decided = choices.decide(2)
        cells = Cells(np.arange(len(markers)) % 2 == 0, 2.4)  # learnt from: the even rows
        blocks = [((k,), -5.45 + 4.44 * (k > 1), 2.4 - 1.7 * (k % 2), 6) for k in range(4)]
        halves = [words(text, 24, DIM).move_to([6.2, y, 0]) for text, y in (("learn", 1.86), ("ask", 0.16))]
        assert scores[2] > scores[0]
        self.say(
            "{head} T cell or myeloid? We learn from half of the cells, {half} and ask about the others. The call is "
            "T cell if more than half of the posterior lies below 0. {ask} Against the one best gene, {pick} does "
            "the posterior win clearly, barely, or not at all?",
            pause=2.3,
            head=(FadeIn(cells), 1.0),
            half=(cells.pack(*blocks), FadeIn(*halves), 0.9),
            ask=lambda: (*[cells.group(k).animate.set_fill(DIM) for k in (1, 3)], ask(card), 1.0),
            pick=(LaggedStart(*map(choices.offer, range(3)), lag_ratio=0.5), 2.0),
        )
        self.say(
            f"{{post}} It is right in {scores[0]}%. {{gene}} The gene CST3 alone, in {scores[2]}%. {{no}} Not at all.",
            pause=0.8,
            post=(FadeOut(card, cells, *halves), FadeIn(self.plot, names), FadeIn(marks[:2], labels[:2]), 0.9),
            gene=(FadeIn(marks[2], labels[2], shift=RIGHT * 0.3), 0.8),
            no=lambda: (Indicate(labels[2], 1.3, color=MEAN), decided, 0.7),
        )
        self.tenth(marks, [labels, choices[2], decided.animations[0].mobject])

    def scores(self, part: str) -> list[list[float]]:
        """Return what each line that a cell printed says of the three methods."""
        lines = [line for line in lesson.printed(part).splitlines() if "vote" in line and "best gene" in line]
        return [[float(line.split(name)[1].split("%")[0]) for name, _ in self.methods] for line in lines]

    def mark(self, score: float, i: int, shift: float = 0.0) -> Dot:
        return Dot(self.plot.c2p(score, 2.4 - i) + UP * shift, radius=0.13, color=self.methods[i][1], fill_opacity=0.9)

    def tenth(self, marks: VGroup, gone: list[Mobject]) -> None:
        runs = self.scores("for seed in range(5):")
        assert len(runs) == 5
        assert all(run[0] > max(run[1:]) for run in runs)
        gain, error = number(r"posterior less the best gene \+"), number(r"posterior less the best gene \+[\d.]+% \+-")
        sure, right, rest = number(r"best gene \+.*\n"), number(r"calls are sure:"), number(r"of the others")
        level = lesson.text(r"of the calls it is (\d+) % sure of")
        clouds = [VGroup(*[self.mark(run[i], i, 0.14 * (k % 3 - 1)) for k, run in enumerate(runs)]) for i in range(3)]
        moves = [ReplacementTransform(VGroup(*[marks[i].copy() for _ in runs]), clouds[i]) for i in range(3)]
        ends = [self.plot.c2p(np.mean([run[i] for run in runs]), 2.85) for i in (2, 0)]
        brace = BraceBetweenPoints(*ends, UP, color=GOOD)
        label = words(f"+{gain} ± {error} points", 28, GOOD).next_to(brace, UP, buff=0.12)
        told = (
            VGroup(
                mono(f"{sure} % of calls, > {level} % sure: {right} % right", 26, GOOD),
                mono(f"others: {rest} %", 26, DIM),
            )
            .arrange(DOWN, aligned_edge=RIGHT, buff=0.16)
            .move_to([0.9, -3.25, 0])
        )
        told[1].align_to(piece(told[0], f"{right} %"), RIGHT)
        self.say(
            "{thin} But keep only a tenth of the molecules, {fall} at random, five times. {win} Now one gene is "
            f"missed too often, and the posterior wins by {float(gain):.0f} points. {{sure}} And it says when it does "
            f"not know: {sure}% of its calls are sure, {{right}} and of these {right}% are right.",
            pause=0.9,
            thin=(FadeOut(*gone), marks.animate.set_opacity(0.35), 0.8),
            fall=lambda: (*moves, FadeOut(marks), 1.0),
            win=(GrowFromCenter(brace), FadeIn(label), 0.9),
            sure=(Indicate(clouds[0], 1.2, color=LATENT), 1.2),
            right=(FadeOut(brace, label), FadeIn(told, shift=UP * 0.2), 0.8),
        )


class Exercises(Lecture):
    section = "1.14"

    def construct(self):
        items = [
            ("1.1", "a coin that never says minus infinity"),
            ("1.5", "a KL by drawing, with its error bar"),
            ("1.6", f"the posterior of all {len(markers)} cells at once"),
        ]
        card = notebook_card(1, items)
        self.say(
            "{card} Now the notebook. {one} Write the log-probability of a coin, which never says minus "
            "infinity. {five} Estimate a KL by drawing, with its error bar. {six} Compute the posterior of all "
            "700 cells. {own} And try marker genes of your own.",
            pause=1.5,
            card=(card.appear(), 0.8),
            one=(card.reveal(0), 0.8),
            five=(card.reveal(1), 0.8),
            six=(card.reveal(2), 0.8),
            own=lambda: (Indicate(card.title, 1.05, color=MEAN), 1.0),
        )


class Poster(Lecture):
    def construct(self):
        stage = Stage(at=(0, -3.0), width=12.2, height=3.3, top=0.8, numbers=())
        _, density, mean, _ = posterior(markers[DENDRITIC].tolist(), [1.0] * 6)
        tiles = Tiles(markers[DENDRITIC], side=0.75, pitch=1.0, names=False).move_to([-3.4, 0.1, 0])
        title = VGroup(
            words("A story about a cell,", 84, weight=BOLD), words("told backwards", 84, LATENT, weight=BOLD)
        )
        title.arrange(DOWN, buff=0.25).to_edge(UP, buff=0.6)
        self.add(
            stage,
            stage.prior(5),
            stage.curve(density, LATENT, 9, 0.25),
            stage.pin(mean, density.max(), MEAN),
            tiles,
            title,
        )
