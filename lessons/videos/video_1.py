"""Film 1: a story about a cell, and the same story backwards."""

import numpy as np
import torch
import torch.nn.functional as F

from film import *
from vae_course.distributions import bernoulli_log_prob, kl_normal, normal_log_prob

THINNED = "(noise < 1 - 0.9**counts)[:, [names.index(one) for one in genes]]"
TERMS = "log_q_of(sample) - log_two_bells(sample).sum(dim=-1)"
lesson = Lesson(
    1,
    {
        "1.1": ["grid", "w", "b", "genes", "markers", "z_told", "x_told", "cd3d", "is_t", "is_myeloid"],
        "1.2": ["joint", "table", "z", "prior", "likelihood", "posterior"],
        "1.3": ["of_what_we_saw"],
        "1.5": ["log_library", "mean", "var"],
        "1.6": ["log_p", "bells_mean", "bells_var"],
        "1.8": [TERMS],
        "1.9": ["log_posterior", "log_lik", "post_mean", "post_sd"],
        "1.10": ["log_joint", "log_px", "means", "sds", "elbo", "kl", "row", "column"],
        "1.11": [THINNED],
    },
)
T, MYELOID, PRIOR = GROUPS[4], GROUPS[5], DIM  # T cells, myeloid cells and the prior, wherever they appear

genes = lesson.value("1.1", "genes")
kinds = [T, T, MYELOID, MYELOID, MYELOID, MYELOID]
grid, slopes, offsets = (torch.tensor(lesson.value("1.1", name)) for name in ("grid", "w", "b"))
markers = lesson.value("1.1", "markers")
log_p = torch.tensor(lesson.value("1.6", "log_p"))
assert (slopes < 0).tolist() == [kind == T for kind in kinds]
NEAR = (grid.abs() <= 4).numpy()
ZS = grid.numpy()[NEAR][::4]  # where densities are drawn
STEP = float(grid[1] - grid[0])
all_genes = str(len(lesson.value("1.3", "of_what_we_saw")))
t_cells, t_seen = lesson.number(r"\nT"), lesson.number(r"T +\d+ cells, CD3D detected in")
myeloid_cells, myeloid_seen = lesson.number(r"\nmyeloid"), lesson.number(r"myeloid +\d+ cells, CD3D detected in")


def signed(value: float, digits: int = 2) -> str:
    """Return a number as it is said and shown, with a true minus sign."""
    return f"{float(value):.{digits}f}".replace("-", "−")


def percent(share: str) -> str:
    """Return a printed share as per cent."""
    return f"{float(share) * 100:.0f}"


def normal(mean: float, var: float, zs: np.ndarray = ZS) -> np.ndarray:
    """Return the density of a Gaussian."""
    at = torch.as_tensor(zs, dtype=torch.float32)
    return normal_log_prob(at, torch.tensor(float(mean)), torch.tensor(float(var))).exp().numpy()


def posterior(bits: list[float], weights: list[float]) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return likelihood (rescaled) and posterior of genes, each counted with a weight; the posterior's mean and sd."""
    seen = bernoulli_log_prob(torch.tensor(bits), grid.unsqueeze(-1) * slopes + offsets)
    log_lik = (seen * torch.tensor(weights)).sum(dim=-1)
    post = torch.softmax(normal_log_prob(grid, torch.tensor(0.0), torch.tensor(1.0)) + log_lik, dim=0)
    mean = float((post * grid).sum())
    sd = float((post * (grid - mean) ** 2).sum() ** 0.5)
    likelihood, density = (log_lik - log_lik.max()).exp().numpy(), (post / STEP).numpy()
    return likelihood[NEAR][::4], density[NEAR][::4], mean, sd


def divergences(mean: float, var: float) -> tuple[float, float]:
    """Return KL(q || p) and KL(p || q) of a Gaussian q and the lesson's two bells p, on the lesson's grid."""
    log_q = normal_log_prob(grid, torch.tensor(float(mean)), torch.tensor(float(var)))
    one, other = log_q.exp() * (log_q - log_p), log_p.exp() * (log_p - log_q)
    return float(one.sum() * STEP), float(other.sum() * STEP)


class Stage(VGroup):
    """A line of z on which densities stand; it stays where it was made."""

    def __init__(self, at=(0.0, -2.2), width=11.0, height=3.6, top=1.0, name="z", numbers=(-3, -2, -1, 0, 1, 2, 3)):
        super().__init__()
        self.at, self.unit, self.rise = np.array([*at, 0.0]), width / 8, height / top
        self.line = Line(self.c2p(-4), self.c2p(4), color=DIM, stroke_width=3)
        self.numbers = VGroup(*[math(f"{n}", 26, DIM).next_to(self.c2p(n), DOWN, buff=0.16) for n in numbers])
        ticks = VGroup(*[Line(ORIGIN, DOWN * 0.08, color=DIM, stroke_width=3).shift(self.c2p(n)) for n in numbers])
        self.add(self.line, ticks, self.numbers)
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

    def dashed(self, heights: np.ndarray, color: str = PRIOR, width: float = 3) -> DashedVMobject:
        return DashedVMobject(self.curve(heights, color, width), num_dashes=60)

    def pin(self, z: float, height: float, color: str = DIM) -> DashedLine:
        return DashedLine(self.c2p(z), self.c2p(z, height), color=color, stroke_width=3)


def live(text, at, size: float = 30, color: str = INK, edge=LEFT) -> Mobject:
    """Return a number that follows what moves; `text` is a function."""
    return always_redraw(lambda: mono(text(), size, color).move_to(at, aligned_edge=edge))


class Tiles(VGroup):
    """Six genes as squares in a row: full where the gene is detected, empty where it is not."""

    def __init__(self, bits: list[float] | None = None, side: float = 0.6, pitch: float = 1.4, names: bool = True):
        super().__init__()
        self.squares, self.names = VGroup(), VGroup()
        for k, (name, color) in enumerate(zip(genes, kinds, strict=True)):
            square = RoundedRectangle(0.08, width=side, height=side, color=color, stroke_width=3)
            self.squares.add(square.set_fill(color, 0.0 if bits is None else float(bits[k])).move_to(RIGHT * pitch * k))
            if names:
                self.names.add(words(name, 22, color).next_to(square, DOWN, buff=0.16))
        self.add(self.squares, self.names).center()

    def see(self, k: int, bit: float) -> Animation:
        """Return a gene being looked at."""
        square = self.squares[k]
        return AnimationGroup(ApplyMethod(square.set_fill, kinds[k], bit), Indicate(square, 1.25, color=kinds[k]))


class Coins(VGroup):
    """A coin for each gene: its ring is as long as the probability of a 1 at z, its side is what fell."""

    def __init__(self, y: float, pitch: float = 1.9):
        super().__init__()
        self.places = [RIGHT * pitch * (k - 2.5) + UP * y for k in range(len(genes))]
        self.z, self.turn, self.sides = ValueTracker(0.0), ValueTracker(0.0), None
        self.faces = {0: mono("0", 30, INK), 1: mono("1", 30, GROUND)}
        pairs = zip(genes, kinds, self.places, strict=True)
        self.names = VGroup(*[words(name, 22, color).next_to(place, DOWN, buff=0.68) for name, color, place in pairs])
        self.coins = always_redraw(self.look)
        self.add(self.names, self.coins)

    def look(self) -> VGroup:
        probs = torch.sigmoid(self.z.get_value() * slopes + offsets).tolist()
        return VGroup(*[self.coin(k, prob) for k, prob in enumerate(probs)])

    def coin(self, k: int, prob: float) -> VGroup:
        at, turn = self.places[k], 3 * self.turn.get_value()
        half = int(turn + 0.5)
        side = None if self.sides is None or half == 0 else int(self.sides[k]) if half != 2 else 1 - int(self.sides[k])
        fill = CARD if side is None else kinds[k] if side else FAINT
        disc = VGroup(Circle(0.36, stroke_width=0, fill_color=fill, fill_opacity=1))
        if side is not None:
            disc.add(self.faces[side].copy())
        disc.stretch(max(abs(np.cos(PI * turn)), 0.03), 0)
        arc = Arc(0.5, PI / 2, -TAU * max(prob, 0.002), color=kinds[k], stroke_width=8)
        return VGroup(Circle(0.5, color=FAINT, stroke_width=8), arc, disc).shift(at)

    def throw(self, sides: np.ndarray) -> Animation:
        """Return the coins being thrown; write it late, for it clears them."""
        self.sides = sides
        self.turn.set_value(0.0)
        return self.turn.animate(rate_func=linear).set_value(1.0)

    def move(self, z: float) -> Animation:
        """Return z moving, coins blank; write it late."""
        self.sides = None
        return self.z.animate.set_value(float(z))


class Cells(VGroup):
    """The T cells and the myeloid cells of the lesson as dots, which know whether they show CD3D."""

    def __init__(self, top: float = 2.4, pitch: float = 0.215, rows: int = 12):
        super().__init__()
        cd3d, left = lesson.value("1.1", "cd3d"), -5.45
        self.blocks, self.seen, self.unseen = [], VGroup(), VGroup()
        for name, color in (("is_t", T), ("is_myeloid", MYELOID)):
            bits = cd3d[lesson.value("1.1", name)]
            block = VGroup()
            for i, bit in enumerate(bits):
                place = [left + pitch * (i // rows), top - pitch * (i % rows), 0]
                one = Dot(place, radius=0.08, color=color)
                block.add(one)
                (self.seen if bit else self.unseen).add(one)
            self.blocks.append(block)
            self.add(block)
            left += pitch * np.ceil(len(bits) / rows) + 0.8
        assert [len(block) for block in self.blocks] == [int(t_cells), int(myeloid_cells)]


# ---------------------------------------------------------------------------------------------- a story about a cell


class Wish(Lecture):
    chapter = "A story about a cell"
    section = "1.1"

    def construct(self):
        title = VGroup(words("A story about a cell,", 60, weight=BOLD), words("told backwards", 60, LATENT, weight=BOLD))
        title.arrange(DOWN, buff=0.25)
        small = heading("1.1", lesson.titles["1.1"])
        stage = Stage(at=(0, -2.3), top=0.75)
        cell = 1  # a dendritic cell
        density = np.exp(lesson.value("1.9", "log_posterior")[cell])[NEAR][::4] / STEP
        mean, sd = (float(lesson.value("1.9", name)[cell]) for name in ("post_mean", "post_sd"))
        dot, cloud = Dot(stage.c2p(mean), radius=0.14, color=LATENT), stage.curve(density, LATENT, 5, 0.18)
        pin = stage.pin(mean, density.max(), MEAN)
        spread = DoubleArrow(stage.c2p(mean - sd, 0.2), stage.c2p(mean + sd, 0.2), buff=0, color=SPREAD, tip_length=0.2)
        self.say(
            "{title} Lesson 0 ended with a wish. {point} A cell should not be a point among the latents. "
            "{cloud} It should be a cloud: {mean} probably here, {spread} and about this sure.",
            title=(FadeIn(title, shift=UP * 0.2), 1.0),
            point=(ReplacementTransform(title, small), FadeIn(stage), FadeIn(dot, scale=3), 1.2),
            cloud=(ReplacementTransform(dot, cloud), 1.1),
            mean=(Create(pin), 0.6),
            spread=(GrowFromCenter(spread), 0.7),
        )
        self.both_ways(VGroup(stage, cloud, pin, spread))

    def both_ways(self, drawing: VGroup) -> None:
        z = node("z", LATENT, 0.7).move_to(LEFT * 4.2 + DOWN * 0.3)
        cell = Tiles(markers[1], side=0.7, pitch=0.85, names=False).move_to(RIGHT * 3.2 + DOWN * 0.3)
        label = words("a cell", 26, DIM).next_to(cell, DOWN, buff=0.3)
        ends = z.get_right() + RIGHT * 0.15, cell.get_left() + LEFT * 0.15
        forth = CurvedArrow(ends[0] + UP * 0.25, ends[1] + UP * 0.25, angle=-0.9, color=LATENT, stroke_width=6)
        back = CurvedArrow(ends[1] + DOWN * 0.25, ends[0] + DOWN * 0.25, angle=-0.9, color=MEAN, stroke_width=6)
        told = words("the story", 28, LATENT).next_to(forth, UP, buff=0.2)
        asked = words("backwards", 28, MEAN).next_to(back, DOWN, buff=0.2)
        self.say(
            "How do we come by such a cloud? {nodes} In two steps. {forth} Tell a story of how a cell is made. "
            "{back} Then tell it backwards.",
            pause=0.6,
            nodes=(FadeOut(drawing), FadeIn(z, scale=0.7), FadeIn(cell), FadeIn(label), 0.8),
            forth=(Create(forth), FadeIn(told, shift=RIGHT * 0.2), 1.0),
            back=(Create(back), FadeIn(asked, shift=LEFT * 0.2), 1.0),
        )


class Bits(Lecture):
    section = "1.1"

    def construct(self):
        self.add(heading("1.1", lesson.titles["1.1"]))
        cells = Cells()
        t_block, other = cells.blocks
        names = [
            words(f"{number} {name}", 26, color).next_to(block, UP, buff=0.22)
            for number, name, color, block in ((t_cells, "T cells", T, t_block), (myeloid_cells, "myeloid cells", MYELOID, other))
        ]
        shares = [
            words(f"CD3D in {share} %", 30, color, weight=BOLD).next_to(block, DOWN, buff=0.3)
            for share, color, block in ((t_seen, T, t_block), (myeloid_seen, MYELOID, other))
        ]
        unseen = [VGroup(*[one for one in block if one in cells.unseen.submobjects]) for block in cells.blocks]
        self.say(
            "{t} Here are T cells, {other} and here myeloid cells, from blood. {bit} Of each gene we keep one bit: detected, or "
            f"not. {{seen}} CD3D is detected in {t_seen}% of the T cells, {{few}} and in {myeloid_seen}% of the others.",
            t=(LaggedStart(*[FadeIn(one) for one in t_block], lag_ratio=0.01), FadeIn(names[0]), 0.7),
            other=(LaggedStart(*[FadeIn(one) for one in other], lag_ratio=0.01), FadeIn(names[1]), 0.9),
            bit=(Indicate(t_block, 1.03, color=INK), Indicate(other, 1.03, color=INK), 1.0),
            seen=(unseen[0].animate.set_opacity(0.14), FadeIn(shares[0], shift=UP * 0.2), 0.8),
            few=(unseen[1].animate.set_opacity(0.14), FadeIn(shares[1], shift=UP * 0.2), 0.8),
        )
        line = Line(LEFT * 5.6, RIGHT * 5.2, color=DIM, stroke_width=3).set_y(-2.3)
        hidden = VGroup(line, math("z", 44, LATENT).next_to(line, RIGHT, buff=0.25))
        ends = [np.array([block.get_x(), -2.3, 0]) for block in cells.blocks]
        marks = VGroup(*[math(n, 32, DIM).next_to(end, DOWN, buff=0.2) for n, end in zip(("-1", "+1"), ends, strict=True)])
        arrows = VGroup(
            *[
                Arrow(end, share.get_bottom(), buff=0.12, color=LATENT, stroke_width=5, tip_length=0.2)
                for end, share in zip(ends, shares, strict=True)
            ]
        )
        self.say(
            "{coin} So a bit is a coin. But this coin is not the same in every cell. {z} Something unmeasured decides. "
            "{call} Call it z, the latent variable: {minus} about minus 1 in a T cell, {plus} about plus 1 in a myeloid cell.",
            coin=(Indicate(shares[0], color=T), Indicate(shares[1], color=MYELOID), 1.0),
            z=(Create(line), 0.8),
            call=(FadeIn(hidden[1], scale=1.6), 0.6),
            minus=(GrowArrow(arrows[0]), FadeIn(marks[0], Dot(ends[0], color=T, radius=0.12)), 0.7),
            plus=(GrowArrow(arrows[1]), FadeIn(marks[1], Dot(ends[1], color=MYELOID, radius=0.12)), 0.7),
        )


class Story(Lecture):
    """The story told forward: z falls from the prior, six coins are thrown."""

    section = "1.1"

    def construct(self):
        self.add(heading("1.1", lesson.titles["1.1"]))
        zs, cells = lesson.value("1.1", "z_told")[:, 0], lesson.value("1.1", "x_told")
        stage, coins, die = Stage(at=(-0.6, 0.3), width=10, height=1.9, top=0.42), Coins(-2.1), Die(0.9)
        die.move_to([5.8, 1.9, 0])
        heights = normal(0, 1)
        prior = stage.curve(heights, PRIOR, 4, 0.15)
        named = words("prior", 26, PRIOR).next_to(stage.c2p(1, 0.26), RIGHT, buff=0.25)
        self.stage, self.coins = stage, coins
        dot = always_redraw(lambda: Dot(stage.c2p(coins.z.get_value()), radius=0.12, color=LATENT))
        fan = always_redraw(self.fan)
        self.say(
            "Now the story of a cell. {prior} Step one: draw z, from a bell around 0, the prior. {roll} {fall} "
            "Step two: throw one coin a gene. {load} How each coin is loaded, z decides. {throw} And here is the cell.",
            pause=0.6,
            prior=(FadeIn(stage), FadeIn(prior), FadeIn(named), FadeIn(die), 1.0),
            roll=(die.roll([3, 1, 6, 2, 5], 1.25), 1.0),
            fall=lambda: (self.drop(zs[0]), 0.7),
            load=lambda: (*self.load(dot, fan), 1.0),
            throw=lambda: (coins.throw(cells[0]), 1.1),
        )
        tie = SurroundingRectangle(dot, color=LATENT, buff=0.14, corner_radius=0.15)
        self.say(
            "{again} Again: another z, {fell} another cell. {third} Far on the left, {left} T cell genes. "
            "{fourth} A little to the right, {right} mostly the others. {tie} The genes go together, and all that ties them is z.",
            pause=0.5,
            again=lambda: (die.roll([5, 2, 4, 1], 1.0), coins.move(zs[1]), 0.9),
            fell=lambda: (coins.throw(cells[1]), 0.9),
            third=lambda: (die.roll([1, 3, 6, 2], 1.0), coins.move(zs[2]), 1.0),
            left=lambda: (coins.throw(cells[2]), 0.9),
            fourth=lambda: (die.roll([2, 6, 5, 4], 1.0), coins.move(zs[3]), 1.0),
            right=lambda: (coins.throw(cells[3]), 0.9),
            tie=lambda: (Create(tie.move_to(dot)), fan.animate.set_stroke(width=5), 1.0),
        )

    def drop(self, z: float) -> Animation:
        self.coins.z.set_value(float(z))
        height = float(normal(0, 1, np.array([z]))[0])
        self.falling = Dot(self.stage.c2p(z), radius=0.12, color=LATENT)
        return FadeIn(self.falling, shift=self.stage.c2p(z) - self.stage.c2p(z, height))

    def load(self, dot: Mobject, fan: Mobject) -> list[Animation]:
        self.remove(self.falling)
        self.add(dot)
        return [FadeIn(fan), FadeIn(self.coins)]

    def fan(self) -> VGroup:
        start = self.stage.c2p(self.coins.z.get_value())
        ends = [place + UP * 0.62 for place in self.coins.places]
        return VGroup(*[Line(start + DOWN * 0.12, end).set_stroke(LATENT, 2.5, 0.45) for end in ends])


class Decoder(Lecture):
    """Six curves over z, a pin that slides, and six probabilities."""

    section = "1.1"

    def construct(self):
        self.add(heading("1.1", lesson.titles["1.1"]))
        self.stage = Stage(at=(-2.1, -2.4), width=8.0, height=4.3, top=1.0)
        ends = VGroup(*[words(text, 24, DIM).next_to(self.stage.c2p(-4, y), LEFT, buff=0.2) for text, y in (("0", 0), ("1", 1))])
        self.z = ValueTracker(-4.0)
        probs = torch.sigmoid(torch.tensor(ZS).unsqueeze(-1) * slopes + offsets).numpy().T
        curves = VGroup(*[self.stage.curve(heights, color, 4) for heights, color in zip(probs, kinds, strict=True)])
        pin = always_redraw(lambda: self.stage.pin(self.z.get_value(), 1.0, LATENT))
        marks, bars = always_redraw(self.marks), always_redraw(self.bars)
        names = VGroup(*[words(name, 24, color).move_to([3.05, self.row(k), 0], aligned_edge=LEFT) for k, (name, color) in enumerate(zip(genes, kinds, strict=True))])
        lyz = genes.index("LYZ")
        self.say(
            "How does z load a coin? {axes} {one} Through a sigmoid, which squeezes any number into 0 to 1. {all} Six genes, "
            "six curves. {pin} Now slide z from left to right. {slide} The T cell genes fade, and the myeloid genes rise. ",
            axes=(FadeIn(self.stage), FadeIn(ends), 0.4),
            one=(Create(curves[lyz]), FadeIn(names[lyz]), 1.4),
            all=(*[Create(one) for k, one in enumerate(curves) if k != lyz], *[FadeIn(one) for k, one in enumerate(names) if k != lyz], 1.1),
            pin=(FadeIn(pin), FadeIn(marks), FadeIn(bars), 0.8),
            slide=lambda: (self.z.animate(rate_func=smooth).set_value(3.6), 3.0),
        )
        self.say(
            "{back} Stop at any z, read six probabilities off: {whole} that is the complete decoder.",
            pause=0.5,
            back=lambda: (self.z.animate.set_value(float(lesson.value("1.1", "z_told")[1, 0])), 1.6),
            whole=lambda: (Indicate(names, 1.05, color=INK), 1.0),
        )
        self.code(Group(self.stage, ends, curves, pin, marks, bars, names))

    def row(self, k: int) -> float:
        return 1.8 - 0.78 * k

    def probs(self) -> list[float]:
        return torch.sigmoid(self.z.get_value() * slopes + offsets).tolist()

    def marks(self) -> VGroup:
        z = self.z.get_value()
        return VGroup(*[Dot(self.stage.c2p(z, prob), radius=0.09, color=kinds[k]) for k, prob in enumerate(self.probs())])

    def bars(self) -> VGroup:
        every = VGroup()
        for k, prob in enumerate(self.probs()):
            back = Rectangle(width=2.0, height=0.36, stroke_width=0, fill_color=FAINT, fill_opacity=1)
            bar = Rectangle(width=max(2.0 * prob, 0.01), height=0.36, stroke_width=0, fill_color=kinds[k], fill_opacity=0.9)
            for one in (back, bar):
                one.move_to([4.45, self.row(k), 0], aligned_edge=LEFT)
            every.add(back, bar)
        return every

    def code(self, drawing: Group) -> None:
        source = lesson.lines("z_told = torch.randn", "x_told = torch.bernoulli").replace("  # (cells, 1), from the prior", "")
        source = re_wrapped(source)
        shown = listing(source, 24).move_to(UP * 1.5)
        printed = lesson.printed("x_told = torch.bernoulli")
        told = output(printed, shown, 24)
        bar = glow(shown, 0)
        self.say(
            "{card} In code, the story has two lines. {draw} Draw z. {throw} Throw the coins. {out} Four cells that never lived. "
            "{breaks} One warning: once z is known, these coins ignore each other. Real genes do so only roughly.",
            pause=0.5,
            card=(FadeOut(drawing), FadeIn(shown), 0.8),
            draw=(FadeIn(bar), 0.4),
            throw=(bar.animate.become(glow_lines(shown, 1, len(shown.lines) - 1)), 0.5),
            out=(FadeIn(told, shift=UP * 0.2), FadeOut(bar), 0.8),
            breaks=lambda: (LaggedStart(*[Indicate(line, 1.03, color=LATENT) for line in told.lines[1:]], lag_ratio=0.3), 3.0),
        )


def re_wrapped(source: str) -> str:
    """Return the two lines of the story, broken where a picture is too narrow for them."""
    source = "\n".join(line.split("  #")[0] for line in source.splitlines())
    return source.replace("torch.bernoulli(", "torch.bernoulli(\n    ")


def glow_lines(shown: VGroup, first: int, last: int) -> Rectangle:
    """Return a bar of light over several lines of a listing."""
    one, other = glow(shown, first), glow(shown, last)
    height = one.get_top()[1] - other.get_bottom()[1]
    return one.stretch_to_fit_height(height).move_to((one.get_center() + other.get_center()) / 2)


# -------------------------------------------------------------------------------------------------- and backwards


class Counting(Lecture):
    """561 cells; those without CD3D go, the others are counted."""

    chapter = "The story backwards"
    section = "1.2"

    def construct(self):
        title = heading("1.2", lesson.titles["1.2"])
        cells = Cells(top=2.1)
        prior = percent(lesson.number(r"prior T"))
        seen, among = (int(n) for n in (lesson.number(r"counting"), lesson.number(r"counting \d+ of")))
        answer = percent(lesson.number(r"Bayes .*="))
        card = question(f"A cell shows CD3D. Is it a T cell?\n{t_seen} %      {answer} %      {prior} %", 34).move_to(DOWN * 2.2)
        labels = VGroup(
            words(f"{prior} % T cells", 26, T).next_to(cells.blocks[0], UP, buff=0.2),
            words("myeloid cells", 26, MYELOID).next_to(cells.blocks[1], UP, buff=0.2),
        )
        self.say(
            "{head} The story runs from z to x. But we hold x, and want z. {cells} With two kinds of cell, that is counting. "
            f"{{prior}} {prior}% of these are T cells, and CD3D shows in {t_seen}% of T cells. "
            f"{{ask}} Now a new cell shows CD3D. How probable is a T cell: {t_seen}%, {answer}%, or {prior}%?",
            pause=2.5,
            head=(FadeIn(title), FadeIn(cells), 1.2),
            cells=(Indicate(cells.blocks[0], 1.04, color=T), Indicate(cells.blocks[1], 1.04, color=MYELOID), 1.0),
            prior=(FadeIn(labels), 0.6),
            ask=(ask(card), 1.0),
        )
        rows = 11
        assert seen % rows == 0 and among % rows == 0 and len(cells.seen) == among
        goal = VGroup(*[one.copy() for one in cells.seen])
        for i, one in enumerate(goal):
            one.move_to([-4.0 + 0.3 * (i // rows), 1.9 - 0.3 * (i % rows), 0]).scale(1.2)
        ours = VGroup(*goal[:seen])
        brace = Brace(ours, DOWN, color=T, buff=0.15)
        count = words(f"{seen} of {among}", 32, T).next_to(brace, DOWN, buff=0.15)
        share = words(f"{answer} %", 64, GOOD, weight=BOLD).next_to(goal, RIGHT, buff=0.8)
        self.say(
            f"{{drop}} Keep the cells that show it. {{sort}} Line them up, {{count}} and {seen} of {among} are T cells: "
            f"{{share}} {answer}%. {{why}} For there are twice as many myeloid cells here, and some of them show CD3D too.",
            pause=0.5,
            drop=(FadeOut(cells.unseen), FadeOut(card), FadeOut(labels), 0.8),
            sort=(Transform(cells.seen, goal, lag_ratio=0.002), 1.2),
            count=(GrowFromCenter(brace), FadeIn(count), 0.8),
            share=(FadeIn(share, scale=0.7), 0.6),
            why=lambda: (Indicate(VGroup(*cells.seen[seen:]), 1.12, color=MYELOID), 1.2),
        )


class Bayes(Lecture):
    """Bayes' rule as the areas of a square."""

    section = "1.2"

    def construct(self):
        self.add(heading("1.2", lesson.titles["1.2"]))
        joint = lesson.value("1.2", "joint")
        prior = joint.sum(axis=1)
        like = joint[:, 0] / prior
        side, corner = 4.6, np.array([-5.6, -2.7, 0])
        strips, fills, left = VGroup(), VGroup(), 0.0
        for share, height, color in zip(prior, like, (T, MYELOID), strict=True):
            for group, tall, shade_ in ((strips, 1.0, 0.14), (fills, float(height), 0.9)):
                box = Rectangle(width=side * share, height=side * tall, color=color, stroke_width=2)
                group.add(box.set_fill(color, shade_).move_to(corner + RIGHT * side * left, aligned_edge=DL))
            left += float(share)
        widths = VGroup(*[words(f"{share:.0%}".replace("%", " %"), 26, color).next_to(strip, DOWN, buff=0.18) for share, color, strip in zip(prior, (T, MYELOID), strips, strict=True)])
        heights = VGroup(
            words(f"{t_seen} %", 24, GROUND, weight=BOLD).move_to(fills[0]),
            words(f"{myeloid_seen} %", 24, GROUND, weight=BOLD).move_to(fills[1]),
        )
        rule = math("{{p(z | x) : post}} = ({{p(z) : prior}} thin {{p(x | z) : like}}) / {{p(x) : evid}}", 60).move_to([3.0, 0.4, 0])
        rule.select("post").set_color(LATENT)
        tags = {
            "prior": words("prior", 26, PRIOR).move_to([2.7, 2.0, 0]),
            "like": words("likelihood", 26).move_to([4.9, 2.0, 0]),
            "evid": words("evidence", 26, MEAN).next_to(rule.select("evid"), DOWN, buff=0.3),
            "post": words("posterior", 26, LATENT).next_to(rule.select("post"), DOWN, buff=0.4),
        }
        tags["prior"].next_to(rule.select("prior"), UP, buff=0.3).shift(LEFT * 0.2)
        tags["like"].next_to(rule.select("like"), UP, buff=0.3).shift(RIGHT * 0.4)
        rule.select("evid").set_color(MEAN)
        outline = VGroup(*[one.copy().set_fill(opacity=0).set_stroke(MEAN, 6) for one in fills])
        shares = self.shares(joint[:, 0])
        self.say(
            "Draw it as a square. {prior} The prior splits its width. {like} The likelihoods are heights. "
            "{evid} All that is filled is p of x, the evidence. {post} And the posterior is the T cells' part of it.",
            prior=(FadeIn(strips), FadeIn(widths), FadeIn(tags["prior"]), FadeIn(rule.select("prior")), 0.8),
            like=(GrowFromEdge(fills[0], DOWN), GrowFromEdge(fills[1], DOWN), FadeIn(tags["like"]), FadeIn(rule.select("like")), 0.9),
            evid=(Create(outline), FadeIn(tags["evid"]), FadeIn(rule.select("evid")), FadeIn(heights), 0.9),
            post=(FadeOut(outline[1]), FadeIn(tags["post"]), FadeIn(rule), 0.9),
        )
        self.say(
            "{rule} That is Bayes' rule: prior times likelihood, divided by the evidence. {line} It only asks which share of what "
            "we saw each z explains.",
            pause=0.5,
            rule=lambda: (Indicate(rule, 1.08, color=INK), 1.2),
            line=(LaggedStart(TransformFromCopy(fills[0], shares[0]), TransformFromCopy(fills[1], shares[1]), lag_ratio=0.3), FadeIn(shares[2]), 1.6),
        )

    def shares(self, filled: np.ndarray) -> VGroup:
        """Return the filled areas as shares of one bar, and the share of T cells."""
        bars, left = VGroup(), 0.0
        for share, color in zip(filled / filled.sum(), (T, MYELOID), strict=True):
            bar = Rectangle(width=5.0 * share, height=0.55, stroke_width=0, fill_color=color, fill_opacity=0.9)
            bars.add(bar.move_to([0.6 + 5.0 * left, -2.2, 0], aligned_edge=LEFT))
            left += float(share)
        label = words(f"{filled[0] / filled.sum():.0%}".replace("%", " %"), 28, GROUND, weight=BOLD).move_to(bars[0])
        return VGroup(bars[0], bars[1], label)


class FiveNumbers(Lecture):
    """Prior times likelihood over the sum, on five values of z."""

    section = "1.2"

    def construct(self):
        self.add(heading("1.2", lesson.titles["1.2"]))
        self.zs, prior, like, post = (lesson.value("1.2", name) for name in ("z", "prior", "likelihood", "posterior"))
        product = prior * like
        first, second = self.bars(prior, 1.2, PRIOR), self.bars(like, -0.75, INK)
        third, last = self.bars(product, -2.7, LATENT), self.bars(post, -2.7, LATENT)
        names = [words(text, 26, color).move_to([-6.4, y + 0.3, 0], aligned_edge=LEFT) for text, y, color in (("prior", 1.2, PRIOR), ("likelihood", -0.75, INK), ("posterior", -2.7, LATENT))]
        sums = [mono(f"sum {row.sum():.2f}", 26, color).move_to([5.5, y + 0.3, 0]) for row, y, color in ((prior, 1.2, PRIOR), (like, -0.75, BAD), (product, -2.7, DIM), (post, -2.7, LATENT))]
        axis = VGroup(*[math(f"{z:.0f}", 30, DIM).move_to([self.x(i), -3.1, 0]) for i, z in enumerate(self.zs)], math("z", 36, LATENT).move_to([self.x(4) + 1.2, -3.1, 0]))
        cell = words("CD3D detected, LYZ not", 28, MEAN).move_to([0, 2.75, 0])
        self.say(
            "{five} Let z be one of five numbers. {prior} This is the prior. {cell} Then a cell shows CD3D, and no LYZ: {like} here is the "
            "likelihood. {mul} Multiply, {sum} sum up, divide: {post} the posterior.",
            five=(FadeIn(axis), 0.6),
            prior=(self.grow(first), FadeIn(names[0]), FadeIn(sums[0]), 0.9),
            cell=(FadeIn(cell, shift=DOWN * 0.2), 0.8),
            like=(self.grow(second), FadeIn(names[1]), 0.9),
            mul=(TransformFromCopy(first, third), TransformFromCopy(second, third.copy().set_opacity(0)), 0.9),
            sum=(FadeIn(sums[2]), 0.5),
            post=lambda: (ReplacementTransform(third, last), ReplacementTransform(sums[2], sums[3]), FadeIn(names[2]), 1.0),
        )
        frame = SurroundingRectangle(sums[1], color=BAD, buff=0.15, corner_radius=0.08)
        self.say(
            "{look} Look at the likelihood: it does not sum to 1. {nothing} Nothing is wrong. It is a distribution over x, looked at "
            "over z, and there its area can be anything.",
            pause=0.5,
            look=(FadeIn(sums[1]), Create(frame), 0.8),
            nothing=(ApplyMethod(frame.set_color, GOOD), ApplyMethod(sums[1].set_color, GOOD), Indicate(second, 1.05, color=GOOD), 1.0),
        )

    def x(self, i: int) -> float:
        return -3.2 + 1.6 * i

    def bars(self, values: np.ndarray, y: float, color: str) -> VGroup:
        every = VGroup()
        for i, value in enumerate(values):
            bar = Rectangle(width=0.95, height=max(1.15 * float(value), 0.015), stroke_width=0, fill_color=color, fill_opacity=0.85)
            bar.move_to([self.x(i), y, 0], aligned_edge=DOWN)
            every.add(VGroup(bar, mono(f"{value:.2f}", 22, color).next_to(bar, UP, buff=0.1)))
        return every

    def grow(self, bars: VGroup) -> Animation:
        return AnimationGroup(*[GrowFromEdge(one[0], DOWN) for one in bars], *[FadeIn(one[1]) for one in bars])


class GeneByGene(Lecture):
    """The posterior of a T cell on the fine grid, as its genes are looked at one after the other."""

    section = "1.2"

    def construct(self):
        self.add(heading("1.2", lesson.titles["1.2"]))
        cell = 3  # a T cell
        self.bits = markers[cell].tolist()
        self.weights = [ValueTracker(0.0) for _ in genes]
        self.stage = Stage(at=(0, -2.7), height=3.5, top=1.05)
        self.tiles = Tiles().move_to([0, 2.2, 0])
        prior = self.stage.dashed(normal(0, 1))
        tag = words("prior", 24, PRIOR).next_to(self.stage.c2p(-2.05, 0.1), UL, buff=0.05)
        drawn = always_redraw(self.drawn)
        sd = live(lambda: f"sd {self.now()[3]:.2f}", [5.3, 0.9, 0], 34, SPREAD, ORIGIN)
        likely = words("likelihood", 24, INK).move_to([-4.6, 1.05, 0])
        self.say(
            "{grid} Now a fine grid of z, and a real cell, gene by gene. {cd} CD3D is detected. {lean} The bell leans to the left, "
            f"and its standard deviation shrinks to {self.sd_of(1)}.",
            pause=0.4,
            grid=(FadeIn(self.stage), FadeIn(self.tiles), FadeIn(prior), FadeIn(tag), FadeIn(drawn), FadeIn(sd), 1.2),
            cd=(self.tiles.see(0, self.bits[0]), FadeIn(likely), 0.9),
            lean=lambda: (self.weights[0].animate.set_value(1), 2.0),
        )
        card = question("When does IL32 narrow it more?\ndetected  ·  not detected", 32).move_to([3.9, -0.35, 0])
        mark = SurroundingRectangle(VGroup(self.tiles.squares[1], self.tiles.names[1]), color=MEAN, buff=0.12, corner_radius=0.1)
        self.say(
            "{next} IL32 is a T cell gene as well. {ask} What will narrow the cloud more: if IL32 is detected too, or if it is not?",
            pause=2.5,
            next=(Create(mark), 0.7),
            ask=(ask(card.move_to([0, -0.4, 0])), 0.9),
        )
        self.fork(card, mark)
        self.rest()

    def fork(self, card: VGroup, mark: Mobject) -> None:
        known = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        too, gone = (signed(posterior([1.0, bit, 0.0, 0.0, 0.0, 0.0], known)[3]) for bit in (1.0, 0.0))
        assert float(gone) < float(too)
        self.ghost = VGroup()
        self.say(
            f"{{too}} Detected: {too}, hardly less. {{undo}} Take it back. {{gone}} Not detected: {{sharp}} {gone}. {{why}} Two signs of a T cell leave the "
            "left side open. {close} A contradiction closes both sides.",
            pause=0.6,
            too=lambda: (FadeOut(card), self.tiles.see(1, 1.0), self.weights[1].animate.set_value(1), 1.6),
            undo=lambda: (self.weights[1].animate.set_value(0), self.tiles.squares[1].animate.set_fill(opacity=0), 0.8),
            gone=lambda: (self.flip(0.0), self.tiles.see(1, 0.0), self.weights[1].animate.set_value(1), 1.2),
            why=(Indicate(self.tiles.squares[0], 1.2, color=T), 0.9),
            close=(Indicate(mark, 1.1, color=MEAN), 0.9),
            sharp=lambda: (Indicate(self.tiles.names[1], 1.2, color=T), 0.5),
        )
        self.mark = mark

    def rest(self) -> None:
        each = {f"g{k}": lambda k=k: (self.tiles.see(k, self.bits[k]), self.weights[k].animate.set_value(1), 0.55) for k in (2, 3, 4, 5)}
        assert sum(self.bits[2:]) == 0
        self.say(
            f"{{back}} Our cell does show IL32. {{on}} {{g2}} And of the {{g3}} four myeloid {{g4}} genes it shows {{g5}} none. {{end}} Gene by gene the cloud "
            f"draws together: {self.sd_of(6)}.",
            pause=0.6,
            back=lambda: (self.weights[1].animate.set_value(0), FadeOut(self.mark), 0.6),
            on=lambda: (self.flip(1.0), self.tiles.see(1, 1.0), self.weights[1].animate.set_value(1), 0.7),
            end=lambda: (Indicate(self.tiles.squares, 1.06), 1.0),
            **each,
        )

    def flip(self, bit: float) -> Animation:
        self.bits[1] = bit
        return Wait(0.1)

    def sd_of(self, count: int) -> str:
        return signed(posterior(markers[3].tolist(), [1.0] * count + [0.0] * (6 - count))[3])

    def now(self) -> tuple:
        return posterior(self.bits, [one.get_value() for one in self.weights])

    def drawn(self) -> VGroup:
        likelihood, density, mean, sd = self.now()
        at = self.stage.c2p(0, 0.06)[1] - self.stage.at[1]
        ends = [self.stage.c2p(mean + sign * sd) + UP * at for sign in (-1, 1)]
        middle = Dot(self.stage.c2p(mean) + UP * at, radius=0.09, color=MEAN)
        spread = Line(*ends).set_stroke(SPREAD, 7)
        return VGroup(self.stage.curve(likelihood, INK, 2.5), self.stage.curve(density, LATENT, 5, 0.18), spread, middle)


# ------------------------------------------------------------------------------------- logarithms, coins and bells


class Underflow(Lecture):
    """The running product of 765 probabilities, and the floor of float32."""

    chapter = "Why logarithms"
    section = "1.3"

    def construct(self):
        title = heading("1.3", lesson.titles["1.3"])
        probs = lesson.value("1.3", "of_what_we_saw")
        steps = np.arange(1, len(probs) + 1)
        logs = np.cumsum(np.log10(probs.astype(np.float64)))
        product = np.cumprod(probs)  # in 32 bits, as the lesson's
        assert product[-1] == 0
        last = int(np.flatnonzero(product)[-1])
        plot = plot_axes((0, len(probs)), (-160, 0), "genes", "probability of the cell", 9.0, 4.4, x_marks=[1, len(probs)], y_marks={0: "1", -45: "10⁻⁴⁵", -150: "10⁻¹⁵⁰"})
        plot.shift(DOWN * 0.35)
        card = question("A product of 765 probabilities:\n10⁻²      10⁻²⁰      0", 36).move_to(DOWN * 0.2)
        falls = curve(plot, [0, *steps[: last + 1]], [0, *logs[: last + 1]], INK, 6)
        whole = curve(plot, [0, *steps], [0, *logs], GOOD, 5)
        floor = DashedLine(plot.c2p(0, -45), plot.c2p(len(probs), -45), color=BAD, stroke_width=4)
        edge = plot.c2p(steps[last], -45)
        drop = Arrow(edge, plot.c2p(steps[last], -158), buff=0.05, color=BAD, stroke_width=6, tip_length=0.25)
        zero = mono("0.0", 40, BAD).next_to(drop.get_end(), LEFT, buff=0.25).shift(UP * 0.3)
        total = lesson.number(r"sum of their logarithms:")
        ends = words("32 bits end here", 24, BAD).next_to(floor.get_right(), UP, buff=0.15).align_to(floor, RIGHT)
        self.say(
            "{head} Six genes went well. What about all 765? {ask} The probability of a cell is now a product of 765 numbers. "
            "What does the computer say: 10 to the minus 2, 10 to the minus 20, or 0?",
            pause=2.0,
            head=(FadeIn(title), 0.6),
            ask=(ask(card), 1.0),
        )
        result = mono(f"{total} nats", 36, GOOD).next_to(whole.get_end(), UP, buff=0.35).shift(LEFT * 0.6)
        self.say(
            "{axes} Gene by gene, {fall} the product falls. {floor} Near 10 to the minus 45, the numbers of 32 bits end, {zero} and it is "
            f"exactly 0. {{log}} The cure is a logarithm. A product becomes a sum, {{sum}} and the sum is harmless: {total}.",
            pause=0.6,
            axes=(FadeOut(card), FadeIn(plot), 0.7),
            fall=(Create(falls, rate_func=linear), 1.2),
            floor=(Create(floor), FadeIn(ends), 0.9),
            zero=(GrowArrow(drop), FadeIn(zero), 0.8),
            log=(Create(whole, rate_func=linear), 2.2),
            sum=(FadeIn(result, shift=UP * 0.2), 0.8),
        )


class Largest(Lecture):
    """Log-sum-exp: lift both numbers, add, and go back."""

    section = "1.3"

    def construct(self):
        self.add(heading("1.3", lesson.titles["1.3"]))
        values = [float(one) for one in lesson.text(r"log_terms = torch.tensor\(\[(.+?)\]\)").split(",")]
        top = max(values)
        naive, right = lesson.line(r"^naive").split()[-1], float(lesson.line(r"^torch.logsumexp").split()[-1])
        floor = DashedLine(LEFT * 6.3, RIGHT * 6.3, color=BAD, stroke_width=4).shift(UP * 0.1)
        below = words("below: exp gives 0", 24, BAD).next_to(floor, DOWN, buff=0.2).align_to(floor, RIGHT)
        low = VGroup(*[self.tile(signed(one, 0), LATENT).move_to([x, -1.9, 0]) for one, x in zip(values, (-4, -1.6), strict=True)])
        high = VGroup(*[self.tile(signed(one - top, 0), LATENT).move_to([x, 1.5, 0]) for one, x in zip(values, (-4, -1.6), strict=True)])
        exps = VGroup(*[self.tile(f"{np.exp(one - top):.2f}", GOOD).move_to([x, 1.5, 0]) for one, x in zip(values, (-4, -1.6), strict=True)])
        log_sum = np.log(sum(np.exp(one - top) for one in values))
        assert abs(log_sum + top - right) < 1e-3
        added, home = self.tile(f"log {np.exp(log_sum):.2f} = {log_sum:.2f}", GOOD).move_to([3.4, 1.5, 0]), self.tile(signed(right), GOOD).move_to([3.4, -1.9, 0])
        bad = self.tile(naive.replace("-inf", "−inf"), BAD).move_to([3.4, -1.9, 0])
        lift = Arrow([-5.6, -1.9, 0], [-5.6, 1.5, 0], color=MEAN, stroke_width=6, buff=0)
        shift = math(f"-m = {-top:.0f}", 32, MEAN).next_to(lift.get_top(), UP, buff=0.15).shift(RIGHT * 0.2)
        sink = Arrow([5.6, 1.5, 0], [5.6, -1.9, 0], color=MEAN, stroke_width=6, buff=0)
        back = math(f"m = {top:.0f}", 32, MEAN).next_to(sink.get_top(), UP, buff=0.15)
        self.say(
            "{two} But p of x is a sum of probabilities, and on the way back through exp, the same floor waits. {bad} The logarithm of that "
            "sum comes out as minus infinity. {lift} So pull out the largest. {exp} Now its exponential is 1. {add} Add, take the logarithm, "
            "{home} and put the largest back. {name} This is log sum exp.",
            pause=0.5,
            two=(FadeIn(low), Create(floor), FadeIn(below), 1.2),
            bad=(FadeIn(bad, shift=RIGHT * 0.3), 0.8),
            lift=(GrowArrow(lift), FadeIn(shift), FadeOut(bad), ReplacementTransform(low, high), 1.2),
            exp=lambda: (ReplacementTransform(high, exps), 0.8),
            add=(TransformFromCopy(exps, added), 1.0),
            home=(GrowArrow(sink), FadeIn(back), TransformFromCopy(added, home), 1.0),
            name=lambda: (Indicate(home, 1.15, color=GOOD), 0.8),
        )

    def tile(self, text: str, color: str) -> VGroup:
        label = mono(text, 32, color)
        box = RoundedRectangle(0.12, width=label.width + 0.5, height=0.9, color=color, stroke_width=3)
        return VGroup(box.set_fill(CARD, 1), label.move_to(box))


class CoinLine(Lecture):
    section = "1.4"

    def construct(self):
        self.add(heading("1.4", lesson.titles["1.4"]))
        formula = math("log p(x) = {{x log p : one}} + {{(1 - x) log(1 - p) : two}}", 60).move_to(UP * 1.6)
        formula.select("one").set_color(MEAN)
        formula.select("two").set_color(LATENT)
        sides = [self.side(text, color).move_to([0, -0.3, 0]) for text, color in (("1", MEAN), ("0", LATENT))]
        label = math("x =", 46).next_to(sides[0], LEFT, buff=0.3)
        minus = math("- log p(x)", 60, BAD).move_to([-3.1, -2.2, 0])
        names = VGroup(words("binary cross-entropy", 34, BAD).move_to([2.6, -2.2, 0]), words("=", 40).move_to([-0.9, -2.2, 0]))
        self.say(
            "{line} The log-probability of one coin fits on one line. {one} When x is 1, the second term vanishes. {zero} When x is 0, the "
            "first one does. {minus} Put a minus sign in front, {bce} and people call it binary cross-entropy. {same} So a loss is a likelihood.",
            pause=0.4,
            line=(Write(formula), 1.4),
            one=(FadeIn(label), FadeIn(sides[0]), formula.select("two").animate.set_opacity(0.15), 0.7),
            zero=lambda: (Transform(sides[0], sides[1]), formula.select("two").animate.set_opacity(1), formula.select("one").animate.set_opacity(0.15), 0.7),
            minus=lambda: (formula.select("one").animate.set_opacity(1), FadeIn(minus, shift=UP * 0.2), 0.7),
            bce=(FadeIn(names, shift=LEFT * 0.2), 0.8),
            same=lambda: (Indicate(minus, 1.12, color=BAD), Indicate(names[0], 1.08, color=BAD), 1.0),
        )

    def side(self, text: str, color: str) -> VGroup:
        ring = Circle(0.55, color=color, stroke_width=6).set_fill(CARD, 1)
        return VGroup(ring, mono(text, 44, color).move_to(ring))


class Logit(Lecture):
    """log(1 - sigmoid(a)) in 32 bits, and minus softplus of a."""

    section = "1.4"

    def construct(self):
        self.add(heading("1.4", lesson.titles["1.4"]))
        plot = plot_axes((0, 24), (-24, 0), "logit a", "log-probability of a 0", 9.0, 4.4, x_marks=[0, 10, 17], y_marks=[0, -10, -17]).shift(DOWN * 0.4)
        a = torch.linspace(0, 24, 1201)
        naive, safe = torch.log(1 - torch.sigmoid(a)).numpy(), -F.softplus(a).numpy()
        last = int(np.flatnonzero(np.isfinite(naive))[-1])
        assert 16 < a[last] < 17, "the lesson says: from 17 on"
        broken, whole = curve(plot, a[: last + 1], naive[: last + 1], BAD, 6), curve(plot, a, safe, GOOD, 5)
        edge = plot.c2p(float(a[last]), naive[last])
        drop = Arrow(edge, [edge[0], plot.c2p(0, -24)[1], 0], buff=0, color=BAD, stroke_width=6, tip_length=0.25)
        infinite = math("-infinity", 44, BAD).next_to(drop.get_end(), LEFT, buff=0.25).shift(UP * 0.25)
        lines = VGroup(mono("torch.log(1 - torch.sigmoid(a))", 26, BAD), mono("-F.softplus(a)", 26, GOOD)).arrange(DOWN, aligned_edge=LEFT, buff=0.3)
        lines.move_to([2.6, 1.6, 0])
        card = question("logit 1000, and the gene is not there:\n−7      −1000      −∞", 34)
        self.say(
            "{ask} A network puts out a logit, any number. Make it a probability, and take the log. {guess} At a logit of 1000, with a 0 "
            "observed, what comes out: minus 7, minus 1000, or minus infinity?",
            pause=2.0,
            ask=(FadeIn(card.text[0]), 0.8),
            guess=lambda: (Create(card.frame), FadeIn(card.text[1]), self.bring(card), 1.0),
        )
        self.say(
            "{axes} Up to 10 or so, {draw} all is well. {cut} From 17 on, the probability is rounded to 1, its complement is 0, "
            "{inf} and one surprise costs infinity. {safe} Simplify first: minus softplus of a. {on} At 17 it costs 17, at 1000 a thousand. "
            "{yours} Exercise 1.1 is this line.",
            pause=0.4,
            axes=(FadeOut(card), FadeIn(plot), FadeIn(lines[0]), 0.7),
            draw=(Create(broken, rate_func=linear), 1.2),
            cut=(Flash(edge, color=BAD), Indicate(plot.marks[2], 1.4, color=BAD), 0.9),
            inf=(GrowArrow(drop), FadeIn(infinite), 0.8),
            safe=(FadeIn(lines[1], shift=UP * 0.2), 0.8),
            on=(Create(whole, rate_func=linear), 1.8),
            yours=lambda: (Indicate(lines[1], 1.1, color=GOOD), 0.9),
        )

    def bring(self, card: VGroup) -> Animation:
        self.bring_to_front(card.text)
        return Wait(0.1)


class Spreads(Lecture):
    """The Gaussian on the log totals, with the variance and with the slip."""

    section = "1.5"

    def construct(self):
        self.add(heading("1.5", lesson.titles["1.5"]))
        logs, mean, var = (np.asarray(lesson.value("1.5", name), dtype=float) for name in ("log_library", "mean", "var"))
        right = f"{var:.2f}"
        plot = plot_axes((5.5, 7.8), (0, 1.7), "log total count", "density", 9.0, 4.2, x_marks=[6, 6.5, 7, 7.5]).shift(DOWN * 0.4)
        heights, edges = np.histogram(logs, 25, density=True)
        bars = histogram(plot, edges, heights, PRIOR, 0.4)
        xs = np.linspace(5.5, 7.8, 150)
        v = ValueTracker(float(var))
        drawn = always_redraw(lambda: curve(plot, xs, normal(mean, v.get_value(), xs), self.tone(v.get_value(), var), 6))
        label = live(lambda: f"var = {v.get_value():.2f}", [2.2, 1.6, 0], 34)
        self.say(
            "{axes} A real number has a density, a probability per unit, and areas under it are probabilities. {hist} These are the total counts of 700 "
            f"cells, in logarithms. {{fit}} A Gaussian of variance {right} fits. {{slip}} The commonest slip: {{wide}} put the standard deviation where "
            f"the variance belongs. No error, a nice bell, {{far}} and far too wide. In this course, var is a variance, always.",
            pause=0.4,
            axes=(FadeIn(plot), 0.8),
            hist=(LaggedStart(*[GrowFromEdge(one, DOWN) for one in bars], lag_ratio=0.03), 1.6),
            fit=(FadeIn(drawn), FadeIn(label), 0.9),
            slip=lambda: (Indicate(label, 1.15, color=MEAN), 0.8),
            wide=lambda: (v.animate.set_value(float(var**0.5)), 2.0),
            far=lambda: (Indicate(bars, 1.02, color=PRIOR), 0.8),
        )

    def tone(self, now: float, var: float) -> ManimColor:
        share = float(np.clip((now - var) / (var**0.5 - var), 0, 1))
        return interpolate_color(ManimColor(GOOD), ManimColor(BAD), share)


# --------------------------------------------------------------------------------------- which way the KL forgives


class TwoBells(Lecture):
    chapter = "Which way the KL forgives"
    section = "1.6"

    def construct(self):
        title = heading("1.6", lesson.titles["1.6"])
        stage = Stage(at=(0, -2.5), height=3.6, top=0.72)
        p = stage.curve(log_p.exp().numpy()[NEAR][::4], LATENT, 5, 0.18)
        name = math("p", 44, LATENT).next_to(stage.c2p(2.0, 0.2), UR, buff=0.2)
        self.mean, self.var = ValueTracker(NARROW[0]), ValueTracker(NARROW[1])
        q = always_redraw(lambda: stage.curve(normal(self.mean.get_value(), self.var.get_value()), MEAN, 5))
        tag = always_redraw(lambda: math("q", 44, MEAN).next_to(stage.c2p(self.mean.get_value(), normal(0, self.var.get_value(), np.zeros(1))[0]), UP, buff=0.12))
        self.say(
            "{head} Soon we shall replace a distribution p {p} by a simpler one, q. Say p has two bells, {q} and q has one. Where does the best q lie? "
            "{wide} Over both, wide? {narrow} On one, narrow? {between} Or between them?",
            pause=2.0,
            head=(FadeIn(title), FadeIn(stage), 0.8),
            p=(Create(p), FadeIn(name), 1.4),
            q=lambda: (self.mean.animate.set_value(-3.0), FadeIn(q), FadeIn(tag), 0.8),
            wide=lambda: (self.mean.animate.set_value(WIDE[0]), self.var.animate.set_value(WIDE[1]), 1.0),
            narrow=lambda: (self.mean.animate.set_value(NARROW[0]), self.var.animate.set_value(NARROW[1]), 0.9),
            between=lambda: (self.mean.animate.set_value(0.25), 0.7),
        )
        formula = math("op(\"KL\")({{q : q}} || {{p : p}}) = EE_({{z tilde q : draw}}) [log q(z) - log p(z)]", 50).move_to(UP * 2.2)
        for part, color in (("q", MEAN), ("p", LATENT), ("draw", MEAN)):
            formula.select(part).set_color(color)
        self.say(
            "One number judges: {kl} the KL divergence. {draw} Draw z from q, and ask by how many nats q rates it above p. {mean} On average. "
            "{zero} It is never negative, and 0 only if both are the same.",
            pause=0.4,
            kl=(Write(formula), 1.4),
            draw=lambda: (Indicate(formula.select("draw"), 1.25, color=MEAN), 1.2),
            mean=lambda: (self.mean.animate.set_value(NARROW[0]), 1.0),
            zero=lambda: (Indicate(formula, 1.05, color=INK), 1.0),
        )


NARROW = (-1.5, 0.35)  # the lesson's two candidates for q: mean, variance
WIDE = tuple(float(lesson.value("1.6", name)) for name in ("bells_mean", "bells_var"))
printed = {name: [lesson.number(rf"{name}   KL\(q \|\| p\)"), lesson.number(rf"{name}   KL\(q \|\| p\) [\d.]+   KL\(p \|\| q\)")] for name in ("narrow", "wide  ")}
for candidate, name in ((NARROW, "narrow"), (WIDE, "wide  ")):
    assert [f"{one:.2f}" for one in divergences(*candidate)] == printed[name]


class Pull(Lecture):
    """q is pulled over p, and both divergences follow."""

    section = "1.6"

    def construct(self):
        self.add(heading("1.6", lesson.titles["1.6"]))
        self.mean, self.var = ValueTracker(2.0), ValueTracker(0.5)
        stage = Stage(at=(0, -2.8), height=3.1, top=0.72)
        p = stage.curve(log_p.exp().numpy()[NEAR][::4], LATENT, 5, 0.18)
        q = always_redraw(lambda: stage.curve(normal(*self.at()), MEAN, 5, 0.001))
        names = VGroup(math("op(\"KL\")(q || p)", 40, MEAN).move_to([-5.4, 2.15, 0]), math("op(\"KL\")(p || q)", 40, LATENT).move_to([-5.4, 1.25, 0]))
        bars = always_redraw(self.bars)
        (one, other), (first, second) = printed["narrow"], printed["wide  "]
        self.say(
            "{stage} Two ways round, two numbers. {pull} Pull q over the larger bell. {q} From q to p the KL is small, "
            f"{one}. {{p}} From p to q it is {other}.",
            pause=0.6,
            stage=(FadeIn(stage), FadeIn(p), FadeIn(q), FadeIn(names), FadeIn(bars), 0.9),
            pull=lambda: (self.mean.animate.set_value(NARROW[0]), self.var.animate.set_value(NARROW[1]), 2.0),
            q=lambda: (Indicate(names[0], 1.15, color=MEAN), 0.8),
            p=lambda: (Indicate(names[1], 1.15, color=LATENT), 0.8),
        )
        self.say(
            f"{{wide}} Now stretch q over both bells. {{q}} {first}: worse. {{p}} {second}: much better. {{swap}} The verdict is reversed. "
            "The KL is no distance: it matters which way round.",
            pause=0.5,
            wide=lambda: (self.mean.animate.set_value(WIDE[0]), self.var.animate.set_value(WIDE[1]), 1.7),
            q=lambda: (Indicate(names[0], 1.15, color=BAD), 0.8),
            p=lambda: (Indicate(names[1], 1.15, color=GOOD), 0.9),
            swap=lambda: (self.mean.animate.set_value(NARROW[0]), self.var.animate.set_value(NARROW[1]), 2.4),
        )

    def at(self) -> tuple[float, float]:
        return self.mean.get_value(), self.var.get_value()

    def bars(self) -> VGroup:
        every = VGroup()
        for value, y, color in zip(divergences(*self.at()), (2.15, 1.25), (MEAN, LATENT), strict=True):
            bar = Rectangle(width=max(value * 1.25, 0.01), height=0.5, stroke_width=0, fill_color=color, fill_opacity=0.85)
            bar.move_to([-4.0, y, 0], aligned_edge=LEFT)
            every.add(bar, mono(f"{value:.2f}", 30, color).next_to(bar, RIGHT, buff=0.2))
        return every


class WhoDraws(Lecture):
    """Draws from q never see the second bell; draws from p do."""

    section = "1.6"

    def construct(self):
        self.add(heading("1.6", lesson.titles["1.6"]))
        stage = Stage(at=(0, -2.2), height=3.6, top=0.72)
        p, q = stage.curve(log_p.exp().numpy()[NEAR][::4], LATENT, 5, 0.18), stage.curve(normal(*NARROW), MEAN, 5)
        names = VGroup(math("p", 44, LATENT).next_to(stage.c2p(2.0, 0.2), UR, buff=0.2), math("q", 44, MEAN).next_to(stage.c2p(-1.5, 0.68), UP, buff=0.05))
        weight, means, variances = self.bells()
        generator = torch.Generator().manual_seed(0)
        from_q = (NARROW[0] + NARROW[1] ** 0.5 * torch.randn(40, generator=generator)).tolist()
        right = (torch.rand(40, generator=generator) > weight[0]).long()
        from_p = (means[right] + variances[right].sqrt() * torch.randn(40, generator=generator)).tolist()
        falls = [self.draws(stage, zs) for zs in (from_q, from_p)]
        lost = VGroup(*[one for one, k in zip(falls[1], right.tolist(), strict=True) if k])
        mode = words("mode-seeking", 36, MEAN, weight=BOLD).move_to([-1.5 * stage.unit, 2.35, 0]).shift(RIGHT * 4.4 + DOWN * 0.6)
        cover = words("mass-covering", 36, LATENT, weight=BOLD).move_to(mode)
        assert f"{weight[1]:.2f}" == "0.35"
        self.say(
            "{stage} Why? Because different draws are asked. {q} Draw from q: every draw lands where p is at home too. {never} The other bell is never "
            "visited, and so it is forgiven. {mode} This is mode-seeking.",
            stage=(FadeIn(stage), FadeIn(p), FadeIn(q), FadeIn(names), 0.9),
            q=(LaggedStart(*[FadeIn(one, shift=DOWN * 1.2) for one in falls[0]], lag_ratio=0.06), 2.4),
            never=lambda: (Indicate(names[0], 1.4, color=LATENT), 1.0),
            mode=(FadeIn(mode, shift=UP * 0.2), 0.7),
        )
        self.say(
            "{p} Draw from p: {lost} a third of the draws land where q has next to nothing, a catastrophe. {zero} If q were exactly 0 there, the "
            "KL would be infinite. {cover} So this way round is mass-covering.",
            pause=0.4,
            p=(FadeOut(falls[0]), FadeOut(mode), LaggedStart(*[FadeIn(one, shift=DOWN * 1.2) for one in falls[1]], lag_ratio=0.05), 1.1),
            lost=lambda: (lost.animate.set_color(BAD), Indicate(lost, 1.2, color=BAD), 1.4),
            zero=lambda: (Indicate(lost, 1.2, color=BAD), 1.2),
            cover=(FadeIn(cover, shift=UP * 0.2), 0.7),
        )
        self.say(
            "{vae} A VAE must use the first way: it can draw from q, but not from the posterior. {narrow} So where the truth has two answers, it tends to "
            "give one, and to be too sure.",
            pause=0.4,
            vae=lambda: (FadeOut(cover), FadeOut(falls[1]), FadeIn(falls[0]), 1.0),
            narrow=lambda: (Indicate(q, 1.1, color=MEAN), 1.6),
        )

    def bells(self) -> torch.Tensor:
        rows = lesson.text(r"weight, mean, var = torch.tensor\(\[(\[.+?\])\]\)")
        return torch.tensor([[float(one) for one in row.strip("[] ").split(",")] for row in rows.split("],")])

    def draws(self, stage: Stage, zs: list[float]) -> VGroup:
        return VGroup(*[Dot(stage.c2p(float(np.clip(z, -4, 4))) + UP * 0.12, radius=0.09, color=NOISE, fill_opacity=0.85) for z in zs])


# ------------------------------------------------------------------------------------------ a formula, or draws


class Parabolas(Lecture):
    """Two log-densities, and their difference: a parabola if both are Gaussian, and only then."""

    chapter = "A formula, or draws"
    section = "1.7"

    def construct(self):
        title = heading("1.7", lesson.titles["1.7"])
        plot = plot_axes((-4, 4), (-9, 6), math("z", 40, LATENT), "", 8.6, 5.0, x_marks=[-2, 0, 2], y_marks=[]).move_to([-1.6, -0.5, 0])
        q_mean, q_var = 1.0, 0.5  # the lesson's q
        log_q = np.log(normal(q_mean, q_var))
        log_one, log_two = np.log(normal(0, 1)), log_p.numpy()[NEAR][::4]
        q, one, two = curve(plot, ZS, log_q, MEAN), curve(plot, ZS, log_one, LATENT), curve(plot, ZS, log_two, LATENT)
        gap, bent = curve(plot, ZS, log_q - log_one, INK, 6), curve(plot, ZS, log_q - log_two, BAD, 6)
        names = VGroup(math("log q", 38, MEAN), math("log p", 38, LATENT), math("log q - log p", 38)).arrange(DOWN, aligned_edge=LEFT, buff=0.35).move_to([4.9, 1.3, 0])
        grid_value, formula = (lesson.number(rf"prior two bells  {pattern}") for pattern in ("grid", r"grid [\d.]+   formula"))
        self.say(
            "{head} A VAE needs a KL for every latent of every cell, at every step. If both are Gaussian, there is a formula. {two} For the logarithm of "
            "a Gaussian is a parabola. {gap} The difference of two is a parabola again, {mean} and its mean needs no more than means and variances.",
            head=(FadeIn(title), FadeIn(plot), 0.9),
            two=(Create(q), Create(one), FadeIn(names[:2]), 1.4),
            gap=(Create(gap), FadeIn(names[2]), 1.4),
            mean=lambda: (Indicate(names[2], 1.15, color=INK), 1.0),
        )
        check = VGroup(mono(f"formula {formula}", 30, BAD), mono(f"grid    {grid_value}", 30, GOOD)).arrange(DOWN, aligned_edge=LEFT, buff=0.25).move_to([4.9, -1.6, 0])
        self.say(
            "{data} Where are the data in this? Nowhere: bits or counts, the KL does not care. {bells} But give the prior two bells, {bent} and the difference is no "
            f"parabola. {{check}} The formula says {formula}. {{true}} The truth is {grid_value}.",
            pause=0.5,
            data=lambda: (Indicate(names, 1.06, color=INK), 1.4),
            bells=lambda: (ReplacementTransform(one, two), 1.0),
            bent=lambda: (ReplacementTransform(gap, bent), names[2].animate.set_color(BAD), 1.1),
            check=(FadeIn(check[0]), 0.6),
            true=(FadeIn(check[1]), 0.6),
        )


class Width(Lecture):
    """The KL to N(0, 1), as q gets narrower."""

    section = "1.7"

    def construct(self):
        self.add(heading("1.7", lesson.titles["1.7"]))
        stage = Stage(at=(-3.5, -2.4), width=5.6, height=3.8, top=3.2, numbers=(-2, 0, 2))
        plot = plot_axes((0, 3), (0, 5), "sd of q", "KL to N(0, 1), nats", 4.2, 3.8, x_marks=[0, 1, 2, 3], y_marks=[0, 2, 4]).move_to([3.6, -0.85, 0])
        sds = np.linspace(0.02, 3, 300)
        whole = curve(plot, sds, self.kl(sds), MEAN, 5)
        sd = ValueTracker(1.0)
        prior = stage.dashed(normal(0, 1))
        q = always_redraw(lambda: stage.curve(normal(0, sd.get_value() ** 2), MEAN, 4, 0.15))
        dot = always_redraw(lambda: Dot(plot.c2p(sd.get_value(), float(self.kl(np.array([sd.get_value()]))[0])), radius=0.12, color=INK))
        digit = lesson.text(r"decimal of \$z\$ costs \$\\log 10 = ([\d.]+)\$ nats")
        assert digit == f"{np.log(10):.1f}"
        self.say(
            "{both} Keep q at 0, and look at its width. {wide} Wider than the prior: the cost rises slowly. {thin} Narrower: it climbs, {up} and at width 0 it is "
            f"infinite. {{point}} A VAE cannot afford a point for every cell. Each further decimal of z costs {digit} nats.",
            pause=0.5,
            both=(FadeIn(stage), FadeIn(prior), FadeIn(q), FadeIn(plot), Create(whole), FadeIn(dot), 1.4),
            wide=lambda: (sd.animate.set_value(2.4), 1.5),
            thin=lambda: (sd.animate.set_value(0.3), 1.2),
            up=lambda: (sd.animate(rate_func=linear).set_value(0.13), 1.0),
            point=lambda: (sd.animate.set_value(0.35), 3.0),
        )

    def kl(self, sds: np.ndarray) -> np.ndarray:
        zero, one = torch.tensor(0.0), torch.tensor(1.0)
        return kl_normal(zero, torch.as_tensor(sds**2, dtype=torch.float32), zero, one).numpy()


class MonteCarlo(Lecture):
    """The running mean of the lesson's terms, and its standard error."""

    section = "1.8"

    def construct(self):
        self.add(heading("1.8", lesson.titles["1.8"]))
        terms = lesson.value("1.8", TERMS).astype(np.float64)
        counts = np.unique(np.round(np.logspace(np.log10(2), 5, 260)).astype(int))
        sums, squares = np.cumsum(terms)[counts - 1], np.cumsum(terms**2)[counts - 1]
        self.xs, self.means = np.log10(counts), sums / counts
        self.errors = np.sqrt((squares - sums**2 / counts) / (counts - 1) / counts)
        self.plot = plot_axes((0, 5), (0, 3.2), "draws", "KL, nats", 9.2, 4.3, x_marks={0: "1", 1: "10", 3: "1,000", 5: "100,000"}, y_marks=[0, 1, 2, 3]).move_to([-0.2, -0.5, 0])
        truth = lesson.number(r"S = 100000: .*grid")
        true = DashedLine(self.plot.c2p(0, float(truth)), self.plot.c2p(5, float(truth)), color=GOOD, stroke_width=4)
        named = words(truth, 24, GOOD).next_to(true, RIGHT, buff=0.2)
        self.now = ValueTracker(self.xs[0])
        drawn = always_redraw(self.drawn)
        formula = math("op(\"KL\") approx 1 / S sum_s [log q(z_s) - log p(z_s)], quad {{z_s tilde q : q}}", 40).move_to(UP * 2.45)
        formula.select("q").set_color(NOISE)
        self.say(
            "{head} Two bells: no formula. Ten dimensions: no grid. {draw} But a KL is a mean over draws from q. So draw, and average. "
            "{run} At first the mean jumps about. {settle} Then it settles, and its error band closes.",
            head=(FadeIn(self.plot), FadeIn(true), FadeIn(named), 1.0),
            draw=(Write(formula), 1.6),
            run=lambda: (FadeIn(drawn), self.now.animate(rate_func=linear).set_value(2.0), 1.7),
            settle=lambda: (self.now.animate(rate_func=linear).set_value(5.0), 2.4),
        )
        self.errors_of(drawn)
        self.slip(Group(self.plot, true, named, drawn, self.bars), formula)

    def drawn(self) -> VGroup:
        step = max(int(np.searchsorted(self.xs, self.now.get_value())), 2)
        xs, means, errors = self.xs[:step], self.means[:step], self.errors[:step]
        edges = band(self.plot, xs, means - errors, means + errors, NOISE)
        return VGroup(edges, curve(self.plot, xs, means, INK, 4), Dot(self.plot.c2p(xs[-1], means[-1]), radius=0.09, color=NOISE))

    def errors_of(self, drawn: Mobject) -> None:
        sizes = ("10", "1000", "100000")
        found = [(lesson.number(rf"S = +{n}:"), lesson.number(rf"S = +{n}: [\d.]+ \+-")) for n in sizes]
        self.bars = VGroup()
        for n, (mean, error) in zip(sizes, found, strict=True):
            x, low, high = np.log10(int(n)), float(mean) - float(error), float(mean) + float(error)
            ends = [self.plot.c2p(x, y) for y in (low, high)]
            bar = VGroup(Line(*ends), *[Line(end + LEFT * 0.12, end + RIGHT * 0.12) for end in ends]).set_stroke(MEAN, 5)
            text = mono(f"{mean} ± {error}", 24, MEAN).next_to(self.plot.c2p(x, 2.35), UP, buff=0)
            self.bars.add(VGroup(bar, Dot(self.plot.c2p(x, float(mean)), radius=0.08, color=MEAN), text))
        self.bars[2][2].shift(LEFT * 0.7)
        errors = [f"{float(error):.{digits}f}" for (_, error), digits in zip(found, (2, 2, 3), strict=True)]
        self.say(
            f"{{ten}} Ten draws: give or take {errors[0]}. {{more}} A thousand: {errors[1]}. {{most}} A hundred thousand: {errors[2]}. "
            "{rule} The standard error is the scatter over the root of S: a hundred times the draws, ten times the precision, in any number of dimensions.",
            pause=0.5,
            ten=(drawn.animate.set_opacity(0.3), FadeIn(self.bars[0]), 0.9),
            more=(FadeIn(self.bars[1]), 0.8),
            most=(FadeIn(self.bars[2]), 0.8),
            rule=lambda: (LaggedStart(*[Indicate(one[2], 1.15, color=MEAN) for one in self.bars], lag_ratio=0.6), 3.0),
        )

    def slip(self, drawing: Group, formula: Mobject) -> None:
        wrong, error, right = (lesson.number(pattern) for pattern in ("draws from p:", r"draws from p: -[\d.]+ \+-", r"KL\(q \|\| p\) is"))
        line = number_line((-2, 2, 1), "nats", 9.5).move_to(DOWN * 0.8)
        points = [line.n2p(float(one.replace("−", "-"))) for one in (wrong, right)]
        marks = [Dot(point + UP * 0.4, radius=0.12, color=color) for point, color in zip(points, (BAD, GOOD), strict=True)]
        reach = [point + UP * 0.4 + side * float(error) * 2.375 for point in points[:1] for side in (LEFT, RIGHT)]
        small = Line(*reach).set_stroke(BAD, 22)
        labels = VGroup(mono(f"{wrong} ± {error}", 30, BAD).next_to(marks[0], UP, buff=0.35), mono(right, 30, GOOD).next_to(marks[1], UP, buff=0.35))
        self.say(
            f"{{slip}} But draw from p by mistake, {{out}} and out comes {wrong}, give or take {error}. {{never}} A KL below 0, which cannot be. "
            "{scatter} An error bar measures scatter, not mistakes.",
            pause=0.5,
            slip=(FadeOut(drawing), FadeIn(line), formula.select("q").animate.set_color(BAD), 0.9),
            out=(FadeIn(marks[0], small), FadeIn(labels[0]), 0.9),
            never=(FadeIn(marks[1]), FadeIn(labels[1]), 0.8),
            scatter=lambda: (Indicate(labels[0], 1.12, color=BAD), 1.2),
        )


# ------------------------------------------------------------------------------------ the posterior of a real cell


class ThreeCells(Lecture):
    """Prior, likelihood and posterior of the lesson's three cells."""

    chapter = "The posterior of a real cell"
    section = "1.9"
    cells = (3, 36, 1)

    def construct(self):
        title = heading("1.9", lesson.titles["1.9"])
        self.heat = ValueTracker(0.0)
        self.stages = [Stage(at=(x, -2.3), width=3.6, height=3.1, top=1.1, name="", numbers=(-2, 0, 2)) for x in (-4.6, 0, 4.6)]
        tiles = [Tiles(markers[i], side=0.34, pitch=0.5, names=False).move_to([stage.at[0], 1.75, 0]) for i, stage in zip(self.cells, self.stages, strict=True)]
        names = [words(text, 26).next_to(one, UP, buff=0.22) for text, one in zip(("T cell", "T cell, all six genes", "dendritic cell"), tiles, strict=True)]
        priors = VGroup(*[stage.dashed(normal(0, 1), width=2.5) for stage in self.stages])
        likes = VGroup(*[stage.curve(self.like(i), INK, 2.5) for i, stage in zip(self.cells, self.stages, strict=True)])
        drawn = always_redraw(self.drawn)
        sds = [f"{lesson.value('1.9', 'post_sd')[i]:.2f}" for i in self.cells]
        assert min(sds) == sds[1] and markers[36].sum() == 6
        labels = VGroup(*[mono(f"sd {sd}", 28, SPREAD).next_to(stage.c2p(0, 0), DOWN, buff=0.6) for sd, stage in zip(sds, self.stages, strict=True)])
        ends = ([FadeIn(stage), FadeIn(one), FadeIn(name)] for stage, one, name in zip(self.stages, tiles, names, strict=True))
        first, second, third = ends
        self.say(
            "{head} Now all six genes, on 801 points of z. Three real cells. {one} A T cell with its two genes. {two} A T cell that shows all six. "
            "{three} And a dendritic cell with the myeloid genes. {ask} Whose posterior is the narrowest?",
            pause=2.5,
            head=(FadeIn(title), 0.5),
            one=(*first, FadeIn(priors[0]), 0.8),
            two=(*second, FadeIn(priors[1]), 0.8),
            three=(*third, FadeIn(priors[2]), 0.8),
            ask=(LaggedStart(*[Indicate(name, 1.1, color=MEAN) for name in names], lag_ratio=0.3), 1.4),
        )
        holds = VGroup(*[Arrow(stage.c2p(side * 3.6, 0.55), stage.c2p(side * 2.2, 0.25), color=PRIOR, stroke_width=5, buff=0, tip_length=0.2) for stage, side in ((self.stages[0], -1), (self.stages[2], 1))])
        self.say(
            f"{{like}} Here are the likelihoods, {{post}} and the posteriors. The middle one: {{sd}} its genes contradict each other, and leave only a small range. "
            "{doublet} A biologist thinks of a doublet, two cells in one droplet. {plateau} Outside, the likelihoods are plateaus: there only the prior holds z back.",
            pause=0.6,
            like=(Create(likes, lag_ratio=0), 1.2),
            post=lambda: (FadeIn(drawn), self.heat.animate.set_value(1.0), 1.8),
            sd=(FadeIn(labels), 0.7),
            doublet=lambda: (Indicate(names[1], 1.08, color=MEAN), 1.2),
            plateau=(LaggedStart(GrowArrow(holds[0]), GrowArrow(holds[1]), lag_ratio=0.3), 1.2),
        )

    def like(self, i: int) -> np.ndarray:
        log_lik = lesson.value("1.9", "log_lik")[i]
        return np.exp(log_lik - log_lik.max())[NEAR][::4]

    def drawn(self) -> VGroup:
        heat = [self.heat.get_value()] * 6
        return VGroup(*[stage.curve(posterior(markers[i].tolist(), heat)[1], LATENT, 5, 0.2) for i, stage in zip(self.cells, self.stages, strict=True)])


class SureAndWrong(Lecture):
    """A B cell shows none of the six genes."""

    section = "1.9"

    def construct(self):
        self.add(heading("1.9", lesson.titles["1.9"]))
        stage = Stage(at=(0, -2.5), height=3.4, top=1.15)
        self.heat = ValueTracker(0.0)
        tiles = Tiles([0.0] * 6).move_to([0, 2.2, 0])
        none, sd = lesson.number(r"\nB .*none of the six:"), lesson.number(r"\nB .*, sd")
        drawn = always_redraw(lambda: stage.curve(posterior([0.0] * 6, [self.heat.get_value()] * 6)[1], LATENT, 5, 0.2))
        ends = VGroup(*[words(text, 28, color).move_to(stage.c2p(z, 0.14)) for text, z, color in (("T", -3.3, T), ("myeloid", 3.2, MYELOID))])
        wrong = words("sure, and wrong", 40, BAD, weight=BOLD).move_to([4.1, 0.55, 0])
        _, density, mean, spread = posterior([0.0] * 6, [1.0] * 6)
        self.say(
            f"{{b}} Now a B cell. {none}% of them show none of the six genes. {{squeeze}} The model knows one axis, from T to myeloid, so none can only mean: in between. "
            f"{{sure}} And it is sure of it: {{sd}} over the B cells the standard deviation is {sd} on average.",
            b=(FadeIn(stage), FadeIn(tiles), FadeIn(ends), 1.0),
            squeeze=lambda: (FadeIn(drawn), self.heat.animate.set_value(1.0), 2.6),
            sure=(Create(stage.pin(mean, density.max(), MEAN)), 0.7),
            sd=(GrowFromCenter(Line(stage.c2p(mean - spread, 0.08), stage.c2p(mean + spread, 0.08)).set_stroke(SPREAD, 8)), 0.8),
        )
        self.say(
            "{given} A posterior is exact, given the model. A small spread says that, in this model, few values of z fit. {place} If the model has no place for a B cell, {wrong} it is sure "
            "and wrong.",
            pause=0.5,
            given=(Indicate(tiles, 1.04), 1.2),
            place=(Indicate(ends, 1.15), 1.0),
            wrong=(FadeIn(wrong, scale=0.8), 0.7),
        )


class GridsEnd(Lecture):
    """801 points become a square, a cube, and a number too large."""

    section = "1.9"

    def construct(self):
        self.add(heading("1.9", lesson.titles["1.9"]))
        ages = lesson.text(r"second, (\d+) times the age")
        power = lesson.text(r"801\^\{10\} \\approx 10\^\{(\d+)\}")
        draws = lesson.text(r"nats for one B cell .*\n?.*or \$10\^\{(\d+)\}\$ draws")
        assert f"{10 * np.log10(len(grid)):.0f}" == power
        n, pitch = 17, 0.24
        row = VGroup(*[Dot([pitch * (i - (n - 1) / 2), 0, 0], radius=0.06, color=LATENT) for i in range(n)])
        square = VGroup(*[row.copy().shift(UP * pitch * (j - (n - 1) / 2)) for j in range(n)])
        depth = VGroup(*[square.copy().shift((RIGHT * 0.2 + UP * 0.13) * k).set_opacity(0.85 - 0.11 * k) for k in range(1, 7)])
        VGroup(row, square, depth).shift(LEFT * 3.6 + DOWN * 0.6)
        numbers = [math(text, 60, LATENT).move_to([3.3, 1.0, 0]) for text in ("801", "801^2", "801^3", f"801^10 approx 10^{power}")]
        clock = words(f"{ages} × the age of the universe", 30, BAD).move_to([3.3, -0.2, 0])
        self.say(
            "{one} One latent took 801 points. {two} Two take a square of them, {three} three a cube. {ten} Ten take "
            f"about 10 to the {power}: {{age}} at a billion a second, {ages} times the age of the universe, for one cell.",
            pause=0.4,
            one=(FadeIn(row), FadeIn(numbers[0]), 0.9),
            two=(TransformFromCopy(row, square), ReplacementTransform(numbers[0], numbers[1]), 0.9),
            three=(FadeIn(depth, shift=(RIGHT * 0.2 + UP * 0.13)), ReplacementTransform(numbers[1], numbers[2]), 0.9),
            ten=(ReplacementTransform(numbers[2], numbers[3]), 0.9),
            age=(FadeIn(clock, shift=UP * 0.2), 0.8),
        )
        every = VGroup(square, depth)
        self.say(
            f"{{draw}} Draw from the prior instead, and average? For one B cell with ten latents that takes about 10 to the {draws} draws. {{where}} We should draw where the "
            "posterior is. {that} And that is what we are looking for.",
            pause=0.4,
            draw=(every.animate.set_opacity(0.12), FadeIn(self.miss(every)), 1.4),
            where=(Create(Circle(0.3, color=GOOD, stroke_width=5).move_to(every.get_center() + RIGHT * 1.1 + DOWN * 0.5)), FadeIn(math(f"10^{draws} \"draws\"", 44, NOISE).move_to([3.3, -1.5, 0])), 0.9),
            that=(Flash(every.get_center() + RIGHT * 1.1 + DOWN * 0.5, color=GOOD, flash_radius=0.5), 1.0),
        )

    def miss(self, on: VGroup) -> VGroup:
        noise = torch.randn(60, 2, generator=torch.Generator().manual_seed(1)).clamp(-2.2, 2.2).tolist()
        return VGroup(*[Dot(on.get_center() + np.array([0.75 * x, 0.75 * y, 0]), radius=0.06, color=NOISE) for x, y in noise])


# -------------------------------------------------------------------------------- variational inference: a search


class Family(Lecture):
    chapter = "Variational inference: a search"
    section = "1.10"

    def construct(self):
        title = heading("1.10", lesson.titles["1.10"])
        stage = Stage(at=(0, -2.7), height=3.0, top=0.85)
        target = np.exp(lesson.value("1.9", "log_posterior")[1])[NEAR][::4] / STEP
        hidden = DashedVMobject(stage.curve(target, LATENT, 4), num_dashes=70)
        mean, sd = ValueTracker(-1.0), ValueTracker(0.6)
        q = always_redraw(lambda: stage.curve(normal(mean.get_value(), sd.get_value() ** 2), MEAN, 5, 0.12))
        lines = Derivation(
            [
                "op(\"KL\")({{q : q}} || {{p(z | x) : post}}) = EE_q [log q(z) - {{log p(z | x) : bad}}]",
                "\"\" = {{log p(x) : px}} - {{EE_q [log p(x, z) - log q(z)] : elbo}}",
            ],
            size=42,
            colors={"q": MEAN, "post": LATENT, "bad": LATENT, "px": INK, "elbo": GOOD},
        ).move_to([-0.2, 1.75, 0])
        self.first(VGroup(title, stage, hidden), q, mean, sd)
        name = words("ELBO", 30, GOOD, weight=BOLD).next_to(lines.line(1).select("elbo"), DOWN, buff=0.22)
        self.say(
            "{kl} But this KL contains the posterior, {bad} the very thing we lack. {bayes} Put in Bayes' rule. {px} The log of p of x comes out, and q cannot move it. "
            "{elbo} What is left needs only the joint, prior times likelihood: the ELBO.",
            pause=0.6,
            kl=(lines.reveal(0), 1.4),
            bad=lambda: (Indicate(lines.line(0).select("bad"), 1.15, color=BAD), 0.9),
            bayes=(lines.reveal(1), 1.2),
            px=lambda: (Indicate(lines.line(1).select("px"), 1.2, color=MEAN), 1.4),
            elbo=(FadeIn(name, shift=UP * 0.2), 0.8),
        )

    def first(self, drawing: VGroup, q: Mobject, mean: ValueTracker, sd: ValueTracker) -> None:
        self.say(
            "{head} If we cannot compute the posterior, can we fit it? {family} Take a family of simple distributions, say all Gaussians. {move} Shift them, stretch them, "
            "{best} and look for the one with the smallest KL to the posterior.",
            head=(FadeIn(drawing), 0.9),
            family=(FadeIn(q), 0.8),
            move=lambda: (mean.animate.set_value(2.4), sd.animate.set_value(1.2), 1.2),
            best=lambda: (mean.animate.set_value(0.3), sd.animate.set_value(0.8), 1.6),
        )


class Rising(Lecture):
    """q slides to the posterior; what the ELBO gains, the KL loses."""

    section = "1.10"

    def construct(self):
        self.add(heading("1.10", lesson.titles["1.10"]))
        self.log_joint = torch.tensor(lesson.value("1.10", "log_joint"))
        self.px = float(lesson.value("1.10", "log_px"))
        row, column = (int(lesson.value("1.10", name)) for name in ("row", "column"))
        best = float(lesson.value("1.10", "means")[row]), float(lesson.value("1.10", "sds")[column])
        self.mean, self.sd = ValueTracker(-0.6), ValueTracker(1.0)
        stage = Stage(at=(-2.6, -2.5), width=7.4, height=3.9, top=0.85, numbers=(-2, 0, 2))
        target = np.exp(lesson.value("1.9", "log_posterior")[1])[NEAR][::4] / STEP
        post = stage.curve(target, LATENT, 4, 0.18)
        q = always_redraw(lambda: stage.curve(normal(self.mean.get_value(), self.sd.get_value() ** 2), MEAN, 5, 0.05))
        tags = VGroup(words("posterior", 24, LATENT).move_to([1.1, 1.3, 0]), words("q", 30, MEAN).move_to([-5.2, 0.6, 0]))
        low = self.elbo() - 0.7
        self.bottom, self.scale_ = np.array([4.4, -2.5, 0]), 4.4 / (self.px - low)
        self.low = low
        roof = Line(LEFT * 1.5, RIGHT * 1.5, color=INK, stroke_width=5).move_to(self.height_of(self.px))
        named = math("log p(x)", 40).next_to(roof, UP, buff=0.15)
        value = mono(signed(self.px, 3), 26, INK).next_to(named, RIGHT, buff=0.25)
        tank = always_redraw(self.tank)
        self.say(
            "{stage} For a dendritic cell in one dimension, the grid knows the answer, and we can check. {tank} On the right, log p of x is the roof. The ELBO stands below it, and the gap "
            "is the KL.",
            stage=(FadeIn(stage), FadeIn(post), FadeIn(q), FadeIn(tags[0]), 1.0),
            tank=(Create(roof), FadeIn(named), FadeIn(value), FadeIn(tank), 1.2),
        )
        largest, rest = lesson.number(r"largest ELBO"), lesson.number(r"KL there")
        self.say(
            "{slide} Slide q to the right: the ELBO rises, and the KL falls by as much. {narrow} Narrow it. {sum} What one gains, the other loses, "
            f"for their sum is log p of x, and stays. {{best}} The best Gaussian ends at {largest}, {{left}} just {rest} below the roof.",
            pause=0.6,
            slide=lambda: (self.mean.animate.set_value(best[0]), 3.0),
            narrow=lambda: (self.sd.animate.set_value(best[1]), 0.9),
            sum=lambda: (Indicate(named, 1.2, color=MEAN), 1.0),
            best=lambda: (Indicate(value, 1.1, color=GOOD), 0.8),
            left=lambda: (Flash(self.height_of(self.px), color=GOOD, flash_radius=0.6), 0.9),
        )

    def elbo(self) -> float:
        log_q = normal_log_prob(grid, torch.tensor(self.mean.get_value()), torch.tensor(self.sd.get_value() ** 2))
        return float((log_q.exp() * (self.log_joint - log_q)).sum() * STEP)

    def height_of(self, nats: float) -> np.ndarray:
        return self.bottom + UP * (nats - self.low) * self.scale_

    def tank(self) -> VGroup:
        elbo = self.elbo()
        floor, level, roof = (self.height_of(one)[1] for one in (self.low, elbo, self.px))
        parts = VGroup()
        for low, high, color, opacity in ((floor, level, GOOD, 0.85), (level, roof, BAD, 0.55)):
            box = Rectangle(width=1.8, height=max(high - low, 0.005), stroke_width=0, fill_color=color, fill_opacity=opacity)
            parts.add(box.move_to([self.bottom[0], low, 0], aligned_edge=DOWN))
        at = self.bottom[0] + 1.05
        parts.add(mono(f"ELBO {signed(elbo)}", 24, GOOD).move_to([at, (floor + level) / 2, 0], aligned_edge=LEFT))
        parts.add(mono(f"KL {self.px - elbo:.2f}", 24, BAD).move_to([at, (level + roof) / 2, 0], aligned_edge=LEFT))
        return parts


class Landscape(Lecture):
    """All 4617 candidates: the KL over mean and sd of q, seen column by column."""

    section = "1.10"

    def construct(self):
        self.add(heading("1.10", lesson.titles["1.10"]))
        means, sds, kl = (lesson.value("1.10", name) for name in ("means", "sds", "kl"))
        row, column = (int(lesson.value("1.10", name)) for name in ("row", "column"))
        tried = lesson.number(r"ELBO \+ KL of all")
        assert int(tried) == kl.size
        self.plot = plot_axes((float(means[0]), float(means[-1])), (float(sds[0]), float(sds[-1])), "mean", "sd", 8.0, 4.2, x_marks=[-1, 0, 1, 2, 3], y_marks=[0.5, 1.0, 1.5]).move_to([-1.2, -0.5, 0])
        self.colors, self.shown = self.painted(np.log(kl.T[::-1])), ValueTracker(0.0)
        image = always_redraw(self.image)
        star = Star(5, outer_radius=0.24, color=GROUND, stroke_width=2).set_fill(MEAN, 1).move_to(self.plot.c2p(float(means[row]), float(sds[column])))
        best = VGroup(mono(f"mean {means[row]:.2f}", 26, MEAN), mono(f"sd   {sds[column]:.2f}", 26, MEAN)).arrange(DOWN, aligned_edge=LEFT)
        best.move_to([5.2, 0.6, 0])
        self.say(
            f"{{axes}} This is a search. {{sweep}} We tried {tried} pairs of mean and standard deviation. Bright is a small KL: {{star}} a single valley, and its bottom.",
            axes=(FadeIn(self.plot), 0.8),
            sweep=lambda: (FadeIn(image), self.shown.animate(rate_func=linear).set_value(1.0), 3.2),
            star=(FadeIn(star, scale=3), FadeIn(best), 0.9),
        )
        self.say(
            "{breaks} What breaks it is a posterior with two bells: no search mends a family that is too small. {one} And this was the search for one cell. {vae} In a VAE, a network reads x "
            "and puts out mean and variance of q: the encoder, one search for all cells.",
            pause=0.5,
            breaks=lambda: (Rotate(star, TAU / 5), 1.2),
            one=lambda: (Indicate(star, 1.5, color=MEAN), 1.0),
            vae=(FadeOut(star, best, self.plot, image), *self.network(), 1.4),
        )

    def painted(self, values: np.ndarray) -> np.ndarray:
        """Return colours, bright where a value is low."""
        share = (values - values.min()) / (values.max() - values.min())
        stops = np.array([[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in ("#FFF3C4", LATENT, "#1E3A5F", CARD)])
        at = np.linspace(0, 1, len(stops))
        rgb = np.stack([np.interp(share, at, stops[:, channel]) for channel in range(3)], axis=-1)
        return np.concatenate([rgb, np.full((*share.shape, 1), 255)], axis=-1).astype(np.uint8)

    def image(self) -> ImageMobject:
        part = self.colors.copy()
        part[:, int(self.shown.get_value() * part.shape[1]) :, 3] = 0
        shown = ImageMobject(part).set_resampling_algorithm(RESAMPLING_ALGORITHMS["nearest"])
        frame = self.plot.frame
        return shown.stretch_to_fit_width(frame.width).stretch_to_fit_height(frame.height).move_to(frame).set_z_index(-1)

    def network(self) -> list[Animation]:
        cell = Tiles(markers[1], side=0.6, pitch=0.75, names=False).rotate(-PI / 2).move_to(LEFT * 5 + DOWN * 0.3)
        shape = Polygon([-1.2, 1.7, 0], [1.2, 0.9, 0], [1.2, -0.9, 0], [-1.2, -1.7, 0], color=INK, stroke_width=4).set_fill(CARD, 1)
        box = VGroup(shape, words("encoder", 30)).move_to(LEFT * 1.6 + DOWN * 0.3)
        mean, spread = node("mu", MEAN, 0.6).move_to([2.2, 0.8, 0]), node("sigma^2", SPREAD, 0.6).move_to([2.2, -1.4, 0])
        stage = Stage(at=(5.0, -1.0), width=2.8, height=1.7, top=0.8, name="", numbers=())
        q = stage.curve(normal(1.45, 0.3), MEAN, 4, 0.15)
        ways = [arrow(cell, box), *[Arrow(box.get_right() + UP * y, one.get_left(), buff=0.12, color=DIM, stroke_width=5, tip_length=0.2) for y, one in ((0.3, mean), (-0.3, spread))]]
        return [FadeIn(cell), FadeIn(box, shift=RIGHT * 0.2), *[GrowArrow(one) for one in ways], FadeIn(mean), FadeIn(spread), FadeIn(stage), Create(q)]


class Jensen(Lecture):
    """The logarithm bends down: why a KL is never negative."""

    section = "1.10"

    def construct(self):
        self.add(heading("1.10", lesson.titles["1.10"]))
        plot = plot_axes((0, 10), (-0.9, 2.6), math("u", 40), math("log u", 36, LATENT), 8.4, 4.4, x_marks=[1, 5, 9], y_marks=[0, 1, 2]).move_to([-1.4, -0.5, 0])
        xs = np.linspace(0.42, 10, 200)
        bend = curve(plot, xs, np.log(xs), LATENT, 6)
        chord = Line(plot.c2p(1, 0), plot.c2p(9, np.log(9)), color=MEAN, stroke_width=5)
        top, low = lesson.text(r"log of the mean ([\d.]+)\""), lesson.text(r"mean of the logs ([\d.]+)\"")
        share = ValueTracker(0.08)
        pair = always_redraw(lambda: self.pair(plot, share.get_value()))
        labels = VGroup(mono(f"log of the mean  {top}", 26, LATENT), mono(f"mean of the logs {low}", 26, MEAN)).arrange(DOWN, aligned_edge=LEFT, buff=0.3).move_to([4.4, -0.6, 0])
        assert top == f"{np.log(5):.2f}" and low == f"{np.log(9) / 2:.2f}"
        self.say(
            "{curve} Why is a KL never negative? Because the logarithm bends down. {chord} Mix two numbers, as you like: {slide} the log of their mean lies above the mean of their logs. "
            "{half} Jensen's inequality. {elbo} So the gap is never below 0, and the ELBO never above log p of x: an evidence lower bound.",
            pause=0.5,
            curve=(FadeIn(plot), Create(bend), 1.5),
            chord=(Create(chord), FadeIn(pair), 0.9),
            slide=lambda: (share.animate.set_value(0.92), 2.4),
            half=lambda: (share.animate.set_value(0.5), FadeIn(labels), 1.2),
            elbo=lambda: (LaggedStart(Indicate(labels[0], 1.06, color=LATENT), Indicate(labels[1], 1.06, color=MEAN), lag_ratio=0.8), 3.0),
        )

    def pair(self, plot: VGroup, share: float) -> VGroup:
        u = 1 + 8 * share
        above, below = plot.c2p(u, np.log(u)), plot.c2p(u, share * np.log(9))
        return VGroup(Line(below, above).set_stroke(INK, 5), Dot(above, radius=0.1, color=LATENT), Dot(below, radius=0.1, color=MEAN))


# ----------------------------------------------------------------------------------------------- who is this cell?

METHODS = (("posterior", LATENT), ("vote", INK), ("best gene", MEAN))


def share_right(line: str) -> list[float]:
    """Return the shares of right calls in a printed line: posterior, vote, best gene."""
    return [float(line.split(name)[1].split("%")[0]) for name, _ in METHODS]


class Contest(Lecture):
    """Posterior, vote and one gene: at full depth, and with a tenth of the molecules."""

    chapter = "Who is this cell?"
    section = "1.11"

    def construct(self):
        title = heading("1.11", lesson.titles["1.11"])
        full = next(line for line in lesson.printed("right, prob_t, name = right_calls(x, genes)").splitlines() if line.startswith("posterior 9"))
        self.plot = plot_axes((75, 100), (0, 3), "% right", "", 8.2, 3.9, x_marks=[80, 90, 100], y_marks=[]).move_to([0.9, -0.5, 0])
        names = VGroup(*[words(name, 28, color).next_to(self.plot.c2p(75, 2.5 - i), LEFT, buff=0.3) for i, (name, color) in enumerate(METHODS)])
        scores = share_right(full)
        marks = VGroup(*[self.mark(score, i) for i, score in enumerate(scores)])
        labels = VGroup(*[mono(f"{score:.1f}", 26, METHODS[i][1]).next_to(marks[i], UP, buff=0.14) for i, score in enumerate(scores)])
        card = question("The posterior against one gene:\nclearly better · barely · not at all", 34).move_to(DOWN * 0.5)
        assert scores[2] > scores[0]
        self.say(
            "{head} Is a posterior good for anything that one good gene is not? T cell or myeloid? We learn from half of the cells, and ask about the others. {ask} Against the best single gene, "
            "does the posterior win clearly, barely, or not at all?",
            pause=2.5,
            head=(FadeIn(title), FadeIn(names), 0.8),
            ask=(FadeOut(names), ask(card), 1.0),
        )
        self.at_full_depth(card, names, marks, labels, scores)
        self.tenth(marks, labels)

    def at_full_depth(self, card, names, marks, labels, scores) -> None:
        self.say(
            f"{{axes}} The posterior is right in {scores[0]}%. {{vote}} A simple vote of the six: {scores[1]}. {{gene}} And one gene, CST3: {scores[2]}. {{no}} Not at all.",
            pause=0.7,
            axes=(FadeOut(card), FadeIn(self.plot), FadeIn(names), FadeIn(marks[0], labels[0]), 0.9),
            vote=(FadeIn(marks[1], labels[1], shift=RIGHT * 0.3), 0.8),
            gene=(FadeIn(marks[2], labels[2], shift=RIGHT * 0.3), 0.8),
            no=lambda: (Indicate(VGroup(marks[2], labels[2]), 1.3, color=MEAN), 0.7),
        )

    def mark(self, score: float, i: int, shift: float = 0.0) -> Dot:
        return Dot(self.plot.c2p(score, 2.4 - i) + UP * shift, radius=0.13, color=METHODS[i][1], fill_opacity=0.9)

    def tenth(self, marks: VGroup, labels: VGroup) -> None:
        text = lesson.printed("for seed in range(5):")
        runs = [share_right(line) for line in text.splitlines() if line.startswith("posterior 9")]
        assert len(runs) == 5
        gain, error = lesson.number(r"posterior less the best gene \+"), lesson.number(r"posterior less the best gene \+[\d.]+% \+-")
        sure, right = lesson.number(r"best gene \+.*\n"), lesson.number(r"calls are sure:")
        rest = lesson.number(r"of the others")
        clouds = VGroup(*[VGroup(*[self.mark(run[i], i, 0.14 * (k % 3 - 1)) for k, run in enumerate(runs)]) for i in range(3)])
        moves = [ReplacementTransform(VGroup(*[marks[i].copy() for _ in runs]), clouds[i]) for i in range(3)]
        brace = BraceBetweenPoints(self.plot.c2p(sum(run[2] for run in runs) / 5, 2.75), self.plot.c2p(sum(run[0] for run in runs) / 5, 2.75), UP, color=GOOD)
        label = words(f"+{gain} ± {error} points", 28, GOOD).next_to(brace, UP, buff=0.12)
        self.say(
            f"{{thin}} But shallow sequencing is cheaper. Keep a tenth of the molecules, {{fall}} five times over. {{win}} Now one gene is missed too often, and the posterior wins by {float(gain):.0f} points, "
            f"since it weighs what every gene says, seen or not seen. {{sure}} And it knows when it does not know: {sure}% of its calls are sure, {{right}} and of these {right}% are right. {{rest}} Of the others, {float(rest):.0f}.",
            pause=0.6,
            thin=(FadeOut(labels), marks.animate.set_opacity(0.35), 0.8),
            fall=lambda: (*moves, FadeOut(marks), 1.6),
            win=(GrowFromCenter(brace), FadeIn(label), 0.9),
            sure=(Indicate(clouds[0], 1.2, color=LATENT), 1.2),
            right=(FadeIn(mono(f"sure   {right} % right", 26, GOOD).move_to([3.3, -1.9, 0]), shift=UP * 0.2), 0.7),
            rest=(FadeIn(mono(f"others {rest} % right", 26, DIM).move_to([3.3, -2.4, 0]), shift=UP * 0.2), 0.6),
        )


class Notebook1(Lecture):
    section = "1.13"

    def construct(self):
        card = notebook_card(1, [("1.1", "a coin that never says minus infinity"), ("1.5", "a KL by drawing, with its error bar"), ("1.6", "the posterior of all 700 cells at once")])
        self.say(
            "{card} Now the notebook. {one} You will write the log-probability of a coin that never says minus infinity. {five} You will estimate a KL by drawing, with its error bar. "
            "{six} And you will compute the posterior of all 700 cells, on a grid. {own} Then put in marker genes of your own.",
            pause=1.5,
            card=(FadeIn(card.card), FadeIn(card.title), 0.8),
            one=(FadeIn(card.row(0), shift=RIGHT * 0.2), 0.8),
            five=(FadeIn(card.row(1), shift=RIGHT * 0.2), 0.8),
            six=(FadeIn(card.row(2), shift=RIGHT * 0.2), 0.8),
            own=lambda: (Indicate(card.title, 1.05, color=MEAN), 1.0),
        )


class Poster(Lecture):
    def construct(self):
        stage = Stage(at=(0, -3.0), width=12.4, height=3.3, top=0.8, numbers=())
        prior = stage.dashed(normal(0, 1), width=5)
        _, density, mean, _ = posterior(markers[1].tolist(), [1.0] * 6)
        tiles = Tiles(markers[1], side=0.75, pitch=1.0, names=False).move_to([-3.4, 0.35, 0])
        title = VGroup(words("A story about a cell,", 84, weight=BOLD), words("told backwards", 84, LATENT, weight=BOLD)).arrange(DOWN, buff=0.25)
        self.add(stage, prior, stage.curve(density, LATENT, 9, 0.25), stage.pin(mean, density.max(), MEAN), tiles, title.to_edge(UP, buff=0.6))
