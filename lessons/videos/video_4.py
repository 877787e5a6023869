"""Film 4: the bound, the die and the estimate."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import torch
from film import *

from vae_course.distributions import kl_multivariate_normal, kl_standard_normal

RUN_DRAWS = "torch.randn(1000, 500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))"
RUN_LOG_W = (
    "[(lambda z: log_prior_of(z) + log_lik_of(z) - normal_log_prob(z, mean, s).sum(dim=-1))"
    f"(mean + s.sqrt() * {RUN_DRAWS}) for s in choices.values()]"
)
GROWING = "[round(10 ** (k / 20)) for k in range(61)]"  # from 1 to 1000 draws
SIZES = np.log10([round(10 ** (k / 20)) for k in range(61)])
WALKS = f"[torch.stack([torch.logsumexp(w[:n], 0) - math.log(n) for n in {GROWING}]) for w in {RUN_LOG_W}]"
TYPICAL = f"[w[:, run[3][1].argsort()[249]] for w, run in zip({RUN_LOG_W}, runs.values())]"  # of median ESS
ESTIMATES = "[[values for values, _ in run] for run in runs.values()]"
LOSSES = "[trainer.history['loss_train_set'] for trainer in trainers.values()]"
MEANS_OF_Z = "[trainer.model.eval().encode(everything)[0] for trainer in trainers.values()]"

lesson = Lesson(
    4,
    {
        "4.1": ["W", "b", "x", "noise_var", "post_mean", "post_cov", "mean", "var", "log_px"],
        "4.2": ["eps[:20000]", "draws[:400]", "log_w", "bound"],
        "4.3": ["fit"],
        "4.4": ["many"],
        "4.7": ["trace", "gaps", "floor"],
        "4.8": [ESTIMATES, WALKS, TYPICAL],
        "4.9": [LOSSES, MEANS_OF_Z, "groups", "group_names", "share[:9]"],
    },
)

# What is said and shown, as the lesson printed it
log_px, bound = lesson.number(r"log of mean w .* log p\(x\)"), lesson.number(r"mean of log w .* ELBO")
gap, price = lesson.number(r"gaps:.*exact"), lesson.number(r"price")
loss, notes = lesson.number(r"without its last term"), lesson.number(r"the notes' line")
slope_truth = lesson.number(r"slope by backward.*truth:")
slope_mean, slope_error = lesson.number(r"10,000 draws: mean"), lesson.number(r"standard error")
first_gap, *_, last_gap = re.findall(r"\d+\.\d+", lesson.line("^gap after"))
floor = lesson.number(r"smallest that is possible:")
medians = [re.findall(r"-\d+\.\d+", line) for line in lesson.printed("def repeated").splitlines() if "medians" in line]
ess, ess_narrow = re.findall(r"median ESS (\d+)", lesson.printed("def repeated"))
_, below_narrow = re.findall(r"(\d+)% are below", lesson.printed("def repeated"))
lead, lead_deaf = (lesson.number(rf"{name} .*above the rival by") for name in ("your VAE", "deaf"))
kl_deaf = lesson.number(r"deaf .*KL")
deaf_first, deaf_last = lesson.number(r"deaf\s+training loss"), lesson.number(r"deaf\s+training loss \d+ ->")

POST_MEAN, POST_COV, Q_MEAN, Q_VAR = (lesson.value("4.1", name) for name in ("post_mean", "post_cov", "mean", "var"))
W, B, X = (lesson.value("4.1", name) for name in ("W", "b", "x"))
NOISE_VAR, LOG_PX, BOUND = (
    float(lesson.value(section, name)) for section, name in (("4.1", "noise_var"), ("4.1", "log_px"), ("4.2", "bound"))
)
assert W.shape == (3, 2)  # "three genes", "two latents"
assert len(lesson.value("4.2", "log_w")) == 100_000
assert len(lesson.value("4.4", "many")) == 10_000
assert len(lesson.value("4.7", "trace")) == 600
assert lesson.number(r"slope by backward\(\):") == "0.0"
assert abs(float(lead_deaf)) < 1  # "ends where the rival does"
assert lesson.value("4.9", MEANS_OF_Z)[0].shape[1] == 2  # "two numbers a cell"
POSTERIOR, PRIOR, Q, TRUTH, GAP, PRICE = INK, DIM, MEAN, GOOD, BAD, GROUPS[4]
DIE = lesson.titles["4.4"]


# --------------------------------------------------------------------------------------------------------------------
# Numbers
# --------------------------------------------------------------------------------------------------------------------


def gap_of(mean: np.ndarray, cov: np.ndarray) -> float:
    """Return KL(q, posterior) of our cell."""
    return float(kl_multivariate_normal(*map(torch.as_tensor, (mean, cov, POST_MEAN, POST_COV))))


def price_of(mean: np.ndarray, var: np.ndarray) -> float:
    """Return KL(q, prior) of a diagonal q."""
    return float(kl_standard_normal(torch.as_tensor(mean), torch.as_tensor(np.log(var))))


def log_density(z: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Return the log-density of a Gaussian at points, (..., n) -> (...)."""
    apart = z - mean
    inner = (apart @ np.linalg.inv(cov) * apart).sum(axis=-1)
    return -0.5 * (inner + np.log(np.linalg.det(2 * np.pi * cov)))


def log_joint(z: np.ndarray) -> np.ndarray:
    """Return log p(x, z) of our cell, (..., 2) -> (...)."""
    noise = NOISE_VAR * np.eye(3)
    return log_density(z, np.zeros(2), np.eye(2)) + log_density(X - z @ W.T - B, np.zeros(3), noise)


def bound_with(noise_var: float) -> tuple[float, float]:
    """Return ELBO and log p(x) of our q and cell, by the lesson's formulas, when the decoder has this much noise."""
    evidence = float(log_density(X, B, W @ W.T + noise_var * np.eye(3)))
    cov = np.linalg.inv(np.eye(2) + W.T @ W / noise_var)
    posterior = cov @ W.T @ (X - B) / noise_var, cov
    lost = kl_multivariate_normal(*map(torch.as_tensor, (Q_MEAN, np.diag(Q_VAR), *posterior)))
    return evidence - float(lost), evidence


assert abs(LOG_PX - bound_with(NOISE_VAR)[1]) < 1e-6
assert abs(BOUND - bound_with(NOISE_VAR)[0]) < 1e-6


# --------------------------------------------------------------------------------------------------------------------
# Pictures
# --------------------------------------------------------------------------------------------------------------------


def counter(get: Callable[[], float], place: Sequence[float], size: float, color: str = INK) -> Mobject:
    """Return a number that follows a value; its left end stays at a place."""
    return always_redraw(lambda: mono(signed(get()), size, color).move_to(place, aligned_edge=LEFT))


def valued(name: str, value: str, size: float, color: str = INK, toward: np.ndarray = RIGHT) -> VGroup:
    """Return a name and its value, beside or below it."""
    return VGroup(words(name, size, color), mono(value, size * 1.2, color)).arrange(
        toward, buff=size * (0.008 if toward is DOWN else 0.016)
    )


class Plane(Plot):
    """The plane of z, with axes that cross at 0. What lies around a mean is drawn at two standard deviations."""

    def __init__(self, width: float, x_range: tuple = (-2.4, 2.4), y_range: tuple = (-2.2, 2.4), place: tuple = (0, 0)):
        super().__init__(x_range, y_range, width, width * np.ptp(y_range) / np.ptp(x_range))
        self.frame.set_stroke(width=0)
        across = Line(self.c2p(x_range[0]), self.c2p(x_range[1]), color=DIM, stroke_width=2)
        up = Line(self.c2p(0, y_range[0]), self.c2p(0, y_range[1]), color=DIM, stroke_width=2)
        self.names.add(words("latent 1", 22, DIM).next_to(across, RIGHT, buff=0.15))
        self.names.add(words("latent 2", 22, DIM).next_to(up, UP, buff=0.12))
        self.lines = VGroup(across, up)
        self.add(self.lines).shift(np.array([*place, 0]) - self.frame.get_center())

    def prior(self) -> VMobject:
        return ellipse(self, np.zeros(2), np.eye(2), PRIOR).set_stroke(width=3).set_fill(opacity=0)

    def posterior(self) -> VGroup:
        outline = ellipse(self, POST_MEAN, POST_COV, POSTERIOR).set_fill(opacity=0)
        return VGroup(DashedVMobject(outline, 36), outline.copy().set_stroke(width=0).set_fill(POSTERIOR, 0.06))

    def q(self) -> VMobject:
        return ellipse(self, Q_MEAN, np.diag(Q_VAR), Q)


def spring(start: Sequence[float], end: Sequence[float], turns: int = 6) -> VMobject:
    """Return a spring between two places on a level."""
    steps = np.linspace(start, end, 2 * turns + 2)
    steps[1:-1, 1] += 0.26 * (-1) ** np.arange(2 * turns)
    return VMobject().set_points_as_corners(steps).set_stroke(SLOPE, 6)


class Network(VGroup):
    """Encoder, mu and sigma, die, z, loss, and the ways between them."""

    def __init__(self):
        super().__init__()
        self.encoder = trapezoid("encoder").move_to(LEFT * 5.2)
        self.mu, self.sigma = node("mu", MEAN).move_to([-2.6, 0.85, 0]), node("sigma", SPREAD).move_to([-2.6, -0.85, 0])
        self.die, self.z = Die().move_to(ORIGIN), node("z", LATENT).move_to(RIGHT * 2.4)
        self.loss = box(math("f(z)", 42), "loss").move_to(RIGHT * 5.1)
        nodes = self.mu, self.sigma
        edge, face = self.encoder[0].get_right(), self.die.get_left()
        self.ways = VGroup(*[way(edge + y * UP, one.get_left()) for y, one in zip((0.35, -0.35), nodes, strict=True)])
        self.into = VGroup(*[way(one.get_right(), face + y * UP) for y, one in zip((0.25, -0.25), nodes, strict=True)])
        self.out, self.judged = arrow(self.die, self.z), arrow(self.z, self.loss)
        self.add(self.encoder, self.ways, *nodes, self.into, self.die, self.out, self.z, self.judged, self.loss)

    def outside(self) -> tuple[VGroup, VGroup, Die, VGroup, VMobject]:
        """Return what a die beside the way needs: plus, times, the die in its new place, ways, and its name."""
        look = {"color": INK, "stroke_width": 4, "fill_color": GROUND, "fill_opacity": 1}
        plus = VGroup(Circle(0.5, **look), math("+", 50)).move_to(self.die)
        times = VGroup(Circle(0.36, **look), math("times", 40))
        times.move_to([self.die.get_x(), self.sigma.get_y() - 0.95, 0])
        home = self.die.copy().scale(0.85).move_to([self.z.get_x(), times.get_y(), 0])
        ways = VGroup(
            way(self.mu.get_right(), plus.get_left() + UP * 0.15),
            way(self.sigma.get_right(), times.get_left() + UP * 0.12),
            way(times.get_top(), plus.get_bottom()),
            way(home.get_left(), times.get_right(), NOISE),
            arrow(plus, self.z),
        )
        return plus, times, home, ways, math("epsilon", 40, NOISE).next_to(ways[3], UP, buff=0.1)


# --------------------------------------------------------------------------------------------------------------------
# 4.1 A model that can be solved
# --------------------------------------------------------------------------------------------------------------------


class Promise(Lecture):
    """The ELBO is pushed up below a line that nobody sees."""

    chapter = "A bound that can be checked"
    section = "4.1"

    def construct(self):
        title = VGroup(words("The bound, the die", 72, weight=BOLD), words("and the estimate", 72, MEAN, weight=BOLD))
        title.arrange(DOWN, buff=0.25)
        small = heading("4.1", lesson.titles["4.1"])
        level = ValueTracker(0.5)
        bar = always_redraw(lambda: self.risen(level.get_value()))
        name = always_redraw(lambda: words("ELBO", 32, Q).next_to(bar, LEFT, buff=0.35).align_to(bar, UP))
        dashes = {"color": TRUTH, "stroke_width": 6, "dash_length": 0.14}
        lines = VGroup(*[DashedLine([-3, y, 0], [2.2, y, 0], **dashes) for y in (1.5, 0.85, 1.15, 1.85, 2.2)])
        label = math("log p(x)", 56, TRUTH).next_to(lines[0], RIGHT, buff=0.3)
        self.say(
            "{title} Every VAE is trained on a number {small} that is too low. {name} It is called the ELBO, {rise} "
            "and lesson three pushed it up.",
            title=(FadeIn(title, shift=UP * 0.2), 0.9),
            small=(FadeOut(title, shift=UP * 0.3), FadeIn(small), FadeIn(bar, shift=UP * 0.5), 0.9),
            name=(FadeIn(name, shift=RIGHT * 0.3), 0.6),
            rise=(level.animate.set_value(2.8), 1.6),
        )
        doubt = words("?", 120, TRUTH, weight=BOLD).next_to(lines, RIGHT, buff=0.6)
        lost = Brace(Line([0.9, -0.2, 0], [0.9, 1.5, 0]), RIGHT, color=GAP)
        how_much = words("lost?", 30, GAP).next_to(lost, RIGHT, buff=0.2).shift(DOWN * 0.4)
        self.say(
            "It is said to lie below {truth} log p of x, the score that we want. {many} But nobody can compute that "
            "score. {ask} So how do we know that it is a bound, {gap} and how much is lost?",
            pause=0.8,
            truth=(Create(lines[0]), FadeIn(label, shift=LEFT * 0.2), 1.0),
            many=lambda: (lines.animate.set_stroke(opacity=0.45), FadeOut(label), 1.0),
            ask=(FadeIn(doubt, scale=0.6), 0.6),
            gap=(GrowFromCenter(lost), FadeIn(how_much), 0.8),
        )

    def risen(self, height: float) -> VGroup:
        """Return the level that the bound has reached; what is below it fades, since it has no foot to measure from."""
        block = Rectangle(width=2.4, height=height, stroke_width=0).move_to([-0.4, -3.0, 0], DOWN)
        block.set_fill([GROUND, Q], 0.85).set_sheen_direction(UP)
        return VGroup(block, Line(block.get_corner(UL), block.get_corner(UR), color=Q, stroke_width=8))


class Solvable(Lecture):
    """Two latents, three genes, one cell; the plane of z is summed square by square."""

    section = "4.1"

    def construct(self):
        self.add(heading("4.1", lesson.titles["4.1"]))
        latents = VGroup(*[node(f"z_{i + 1}", LATENT).move_to([-3.2, 1.1 - 2.2 * i, 0]) for i in range(2)])
        genes = VGroup(*[self.gene(i) for i in range(3)])
        pairs = [(i, k) for i in range(3) for k in range(2) if W[i, k]]
        edges = VGroup(*[Line(latents[k].get_right(), genes[i][0].get_left(), buff=0.1, color=DIM) for i, k in pairs])
        for (i, k), edge in zip(pairs, edges, strict=True):
            edge.set_stroke(width=5 * abs(W[i, k]))
        told = words("one cell", 26, SPREAD).next_to(VGroup(*[gene[1] for gene in genes]), UP, buff=0.4)
        self.say(
            "{z} Take two latents, {genes} three genes, {W} and between them a decoder without a bend. {cell} And one "
            "cell. {all} In this model, everything can be computed.",
            z=(LaggedStart(*[FadeIn(one, scale=0.7) for one in latents], lag_ratio=0.3), 0.8),
            genes=(LaggedStart(*[FadeIn(gene[0], scale=0.7) for gene in genes], lag_ratio=0.2), 0.7),
            W=(LaggedStart(*[Create(edge) for edge in edges], lag_ratio=0.15), 1.0),
            cell=(
                LaggedStart(*[FadeIn(gene[1], shift=LEFT * 0.2) for gene in genes], lag_ratio=0.2),
                FadeIn(told),
                0.8,
            ),
            all=(LaggedStart(*[pulse(edge) for edge in edges], lag_ratio=0.2), 1.6),
        )
        self.sum_the_plane(VGroup(latents, edges, genes, told))

    def gene(self, i: int) -> VGroup:
        ring = node(f"x_{i + 1}", INK).move_to([1.4, 1.7 - 1.7 * i, 0])
        return VGroup(ring, mono(signed(X[i], 1), 34, SPREAD).next_to(ring, RIGHT, buff=0.6))

    def sum_the_plane(self, model: VGroup) -> None:
        plane = Plane(6.2, (-2.4, 2.8), place=(-3.2, -0.5))
        centres = np.stack(
            np.meshgrid(np.arange(-2.3, 2.71, 0.2), np.arange(-2.1, 2.31, 0.2)), axis=-1
        )  # (rows, columns, 2)
        mass = np.exp(log_joint(centres)) * 0.2**2
        assert signed(np.log(mass.sum())) == log_px
        rows, side = VGroup(), 0.94 * np.linalg.norm(plane.c2p(0.2) - plane.c2p(0))
        for row, heavy in zip(centres, mass / mass.max(), strict=True):
            squares = [Square(side, stroke_width=0).move_to(plane.c2p(*centre)) for centre in row]
            rows.add(VGroup(*[one.set_fill(shade(h**0.6, LATENT), 1) for one, h in zip(squares, heavy, strict=True)]))
        swept, total = ValueTracker(1), np.log(np.cumsum(mass.sum(axis=1)))
        number = counter(
            lambda: np.interp(swept.get_value(), np.arange(1, len(total) + 1), total), [2.2, 0, 0], 60, TRUTH
        )
        name = math("log sum_z p(x, z) =", 44).move_to([2.2, 1.0, 0], aligned_edge=LEFT)
        result = math("log p(x) =", 44, TRUTH).move_to(name, aligned_edge=LEFT)
        formula = words("by formula: the same", 26, DIM).move_to([2.2, -0.9, 0], aligned_edge=LEFT)
        self.say(
            f"{{plane}} Lay a grid over the plane of z. {{sweep}} In every little square, take prior times "
            f"likelihood times its area, and add them all up. {{sum}} Log p of x is {log_px}. "
            f"{{formula}} Here, a formula agrees.",
            pause=0.4,
            plane=(FadeOut(model), FadeIn(plane), 1.0),
            sweep=lambda: (
                *[FadeIn(name), Add(number)],
                LaggedStart(*[FadeIn(row) for row in rows], lag_ratio=0.6),
                swept.animate(rate_func=linear).set_value(len(total)),
                3.4,
            ),
            sum=lambda: (ReplacementTransform(name, result), Circumscribe(number, color=TRUTH, buff=0.2), 1.0),
            formula=(FadeIn(formula, shift=UP * 0.2), 0.6),
        )


class Ellipses(Lecture):
    """Prior, posterior and q at two standard deviations."""

    section = "4.1"

    def construct(self):
        plane = Plane(6.2, place=(-3.1, -0.45))
        prior, posterior, q = plane.prior(), plane.posterior(), plane.q()
        self.add(heading("4.1", lesson.titles["4.1"]), plane)
        names = VGroup(
            words("prior", 26, PRIOR).move_to(plane.c2p(-1.75, 1.75)),
            words("posterior", 26, POSTERIOR).move_to(plane.c2p(0.85, -1.3)),
            words("q", 30, Q).move_to(plane.c2p(-0.75, 0.35)),
        )
        card = question("Which latent does\nthe cell pin down?", 32).move_to([4.3, 0.0, 0])
        self.say(
            "{prior} Before we see the cell, z lies somewhere here: the prior. {ask} Which of the two latents will "
            "one cell pin down better?",
            pause=2.2,
            prior=(Create(prior), FadeIn(names[0]), 1.2),
            ask=(ask(card), 0.8),
        )
        genes = VGroup(*[math(f"x_{i + 1}", 40) for i in range(3)])
        numbers = [VGroup(*[mono(signed(W[i, k], 1), 34) for i in range(3)]) for k in range(2)]
        for i, gene in enumerate(genes):
            gene.move_to([2.5, 0.3 - 0.8 * i, 0])
            for k in range(2):
                numbers[k][i].move_to([4.4 + 1.7 * k, gene.get_y(), 0], RIGHT)
        heads = [words(f"latent {k + 1}", 24, LATENT).move_to([3.95 + 1.7 * k, 1.15, 0]) for k in range(2)]
        columns = [VGroup(head, column) for head, column in zip(heads, numbers, strict=True)]
        title = words("how loudly genes speak", 24, DIM).next_to(VGroup(*heads), UP, buff=0.4)
        self.say(
            "{post} This is the posterior: what the cell says about z. {flat} It is flat, {loud} because three genes "
            "speak about the second latent, and loudly. {q} And this is q, our stand-in, {poor} its mean poor on "
            "purpose.",
            pause=0.6,
            post=(FadeOut(card), Create(posterior[0], lag_ratio=0.1), FadeIn(posterior[1], names[1]), 1.2),
            flat=(FadeIn(title, genes, *columns, shift=UP * 0.2), 0.7),
            loud=(Circumscribe(columns[1], color=LATENT, buff=0.2), 1.6),
            q=(Create(q), FadeIn(names[2]), 1.0),
            poor=(GrowArrow(way(plane.c2p(*Q_MEAN), plane.c2p(*POST_MEAN), Q, 0.05)), 0.8),
        )


# --------------------------------------------------------------------------------------------------------------------
# 4.2 The bound, first way
# --------------------------------------------------------------------------------------------------------------------


class FirstWay(Lecture):
    """Four lines, and the number of each."""

    chapter = "Jensen's inequality"
    section = "4.2"

    def construct(self):
        self.add(heading("4.2", lesson.titles["4.2"]))
        ratio = "(p(x, z)) / {{q(z|x) : q}}"
        lines = Derivation(
            [
                "log p(x) = log integral p(x, z) dif z",
                f"& = log integral {{{{q(z|x) : q}}}} thin {ratio} thin dif z",
                f"& = log EE_q lr(bracket.l {ratio} bracket.r)",
                "& gt.eq EE_q lr(bracket.l log p(x, z) - log {{q(z|x) : q}} bracket.r)",
            ],
            size=50,
            colors={"q": Q},
            buff=0.3,
        ).move_to([-1.4, 0.0, 0])
        values = VGroup(
            *[mono(value, 38, color) for value, color in zip((log_px, log_px, bound), (TRUTH, TRUTH, Q), strict=True)]
        )
        for value, i in zip(values, (0, 2, 3), strict=True):
            value.move_to([5.0, lines.line(i).get_y(), 0])
        name = words("ELBO", 34, Q, weight=BOLD).next_to(values[2], DOWN, buff=0.3)
        plane = Plane(6.2, (-1.6, 2.4), (-1.9, 1.6))
        plane.add(plane.posterior(), plane.q())
        self.say(
            "{q} How can a q that is only roughly right help? {one} Log p of x is the log of an integral over all z. "
            "{two} Multiply by q, and divide by q. {three} Now it is a mean under q, {same} and the number is the "
            "same.",
            q=(FadeIn(plane), 0.8),
            one=(FadeOut(plane), lines.reveal(0), FadeIn(values[0]), 1.4),
            two=(lines.reveal(1), 1.4),
            three=(lines.reveal(2), 1.3),
            same=(FadeIn(values[1], shift=LEFT * 0.2), 0.6),
        )
        self.say(
            f"Let the logarithm {{four}} move inside, {{drop}} and the number drops to {bound}. {{name}} This is the "
            f"ELBO, the evidence lower bound. {{why}} Why did it drop?",
            pause=0.5,
            four=(lines.reveal(3), 1.2),
            drop=lambda: (TransformFromCopy(values[1], values[2]), 0.9),
            name=(FadeIn(name, shift=UP * 0.2), 0.7),
            why=(Circumscribe(lines.line(3).select("sign"), color=GAP, buff=0.15), 1.0),
        )


class Jensen(Lecture):
    """Two weights on a bent curve: the log of their mean, the mean of their logs, and the gap between."""

    section = "4.2"

    def construct(self):
        self.add(heading("4.2", lesson.titles["4.2"]))
        self.axes = plot_axes((0, 4.2), (-2.0, 1.7), "weight", "log weight", 8.6, 5.0).move_to([-1.3, -0.3, 0])
        xs = np.linspace(0.14, 4.15, 120)
        bent = curve(self.axes, xs, np.log(xs), INK, 5)
        apart = ValueTracker(1.1)
        weights, on_curve, chord, below, lost = (
            always_redraw(lambda part=part: self.two_weights(apart.get_value())[part]) for part in range(5)
        )
        names = VGroup(words("log of the mean", 26, TRUTH), words("mean of the logs", 26, Q), words("gap", 26, GAP))
        names.arrange(DOWN, buff=0.3, aligned_edge=LEFT).move_to([5.2, -0.2, 0])
        keys = VGroup(
            Dot(color=TRUTH, radius=0.12),
            Dot(color=Q, radius=0.12),
            Line(UP * 0.18, DOWN * 0.18, color=GAP, stroke_width=8),
        )
        for key, name in zip(keys, names, strict=True):
            key.set_x(names.get_left()[0] - 0.35).set_y(name.get_y())
        self.say(
            "{curve} Because the logarithm is bent. {two} Take two weights. {log} The log of their mean lies on the "
            "curve. {chord} The mean of their logs lies halfway along this line, {below} below the curve.",
            curve=(FadeIn(self.axes), Create(bent), 1.2),
            two=(FadeIn(weights), 0.6),
            log=(FadeIn(on_curve), FadeIn(keys[0]), FadeIn(names[0]), 0.8),
            chord=(FadeIn(chord), 0.6),
            below=(*[FadeIn(one) for one in (lost, below, *keys[1:], *names[1:])], 0.7),
        )
        self.say(
            "{pull} Pull the weights apart, and the gap grows. {push} Push them together, and it closes. {law} The "
            "log of a mean is at least the mean of the logs: Jensen's inequality.",
            pull=lambda: (apart.animate.set_value(1.82), 1.8),
            push=lambda: (apart.animate.set_value(0.04), 1.8),
            law=lambda: (apart.animate.set_value(1.7), 2.0),
        )

    def two_weights(self, apart: float) -> VGroup:
        """Return the weights 2 - apart and 2 + apart, and what is made of them."""
        at, low, high = self.axes.c2p, 2 - apart, 2 + apart
        middle, top = at(2, (np.log(low) + np.log(high)) / 2), at(2, np.log(2))
        pins = [DashedLine(at(w, -2), at(w, np.log(w)), color=NOISE, stroke_width=3) for w in (low, high)]
        ends = [Dot(at(w, np.log(w)), 0.11, color=NOISE) for w in (low, high)]
        return VGroup(
            VGroup(*pins, *ends),
            Dot(top, 0.13, color=TRUTH),
            Line(at(low, np.log(low)), at(high, np.log(high)), color=NOISE, stroke_width=3),
            Dot(middle, 0.13, color=Q),
            Line(middle, top, color=GAP, stroke_width=8),
        )


class Weights(Lecture):
    """Draws from q fall onto the axis of log weights and make a histogram."""

    section = "4.2"

    def construct(self):
        self.add(heading("4.2", lesson.titles["4.2"]))
        plane, axes = weight_stage()
        draws, log_w = lesson.value("4.2", "draws[:400]")[:60], lesson.value("4.2", "log_w")
        start = VGroup(*[Dot(plane.c2p(*draw), 0.06, color=NOISE) for draw in draws])
        ghosts = Cloud(plane, draws, colors=NOISE, radius=0.06, opacity=0.35)
        end, heaps = VGroup(), {}
        for value in log_w[:60]:
            heap = round(value / 0.3)
            heaps[heap] = heaps.get(heap, -1) + 1
            end.add(Dot(axes.c2p(heap * 0.3, 0) + UP * (0.1 + 0.16 * heaps[heap]), 0.06, color=NOISE))
        edges = np.linspace(-9, 1.5, 71)
        shares = np.histogram(log_w, edges)[0] / len(log_w)
        everything = histogram(axes, edges, shares / shares.max(), NOISE, 0.5)
        ratio = math("log w = log (p(x, z)) / {{q(z|x) : q}}", 44).move_to([3.4, 2.75, 0])
        ratio.select("q").set_color(Q)
        self.say(
            "{ratio} Look at the ratio inside the mean: the weight of a draw. {draw} Draw z from q. {fall} Every draw "
            "drops its log weight on this axis. {all} Here are a hundred thousand.",
            ratio=(FadeIn(plane), FadeIn(ratio), FadeIn(axes), 1.0),
            draw=(LaggedStart(*[FadeIn(dot, scale=2) for dot in start], lag_ratio=0.1), 1.2),
            fall=(
                FadeIn(ghosts),
                LaggedStart(
                    *[Transform(one, other, path_arc=-0.7) for one, other in zip(start, end, strict=True)],
                    lag_ratio=0.05,
                ),
                2.2,
            ),
            all=(FadeOut(start), FadeIn(everything, shift=UP * 0.2), 0.9),
        )
        left, right = axes.c2p(BOUND), axes.c2p(LOG_PX)
        marks = standing(axes, BOUND, Q), standing(axes, LOG_PX, TRUTH)
        names = valued("mean of the logs", bound, 24, Q, DOWN), valued("log of the mean", log_px, 24, TRUTH, DOWN)
        names[0].next_to(left + UP * 3.3, LEFT, buff=0.2)
        names[1].next_to(right + UP * 3.3, RIGHT, buff=0.2)
        between = VGroup(
            Line(left + UP * 2.0, right + UP * 2.0, color=INK, stroke_width=7), mono(f"{gap} nats", 30, INK)
        )
        between[1].next_to(right + UP * 2.0, RIGHT, buff=0.3)
        self.say(
            f"{{mean}} The mean of the logs is {bound}, the ELBO. {{log}} The log of the mean is log p of x. {{gap}} "
            f"Between them lie {gap} nats, {{unit}} the unit of natural logarithms. {{scatter}} The gap is the scatter "
            f"of the weights.",
            pause=0.5,
            mean=(Create(marks[0]), FadeIn(names[0]), 0.9),
            log=(Create(marks[1]), FadeIn(names[1]), 0.9),
            gap=(Create(between[0]), FadeIn(between[1]), 0.7),
            unit=(Circumscribe(axes.names, color=INK, buff=0.12), 1.4),
            scatter=(Wiggle(everything, scale_value=1.04), 1.6),
        )


def weight_stage() -> tuple[Plane, Plot]:
    """Return the plane of z with posterior and q, and axes for log weights."""
    plane = Plane(4.9, (-1.6, 2.4), (-1.9, 1.6), (-4.2, -0.7))
    axes = plot_axes((-9, 1.5), (0, 1.15), "", "", 6.0, 3.9, x_marks=[-8, -6, -4, -2, 0]).move_to([3.4, -0.85, 0])
    axes.frame.set_stroke(width=0)
    axes.add(Line(axes.c2p(-9), axes.c2p(1.5), color=DIM, stroke_width=3))
    axes.names.add(words("log weight of a draw (nats)", 22, DIM).next_to(axes.frame, DOWN, buff=0.65))
    return plane.add(plane.posterior(), plane.q()), axes


def standing(axes: Plot, log_weight: float, color: str) -> Line:
    """Return a line that stands on the axis of log weights."""
    return Line(axes.c2p(log_weight), axes.c2p(log_weight) + UP * 3.7, color=color, stroke_width=5)


class Exact(Lecture):
    """The same draws while q walks to the posterior, and while it shrinks to a point."""

    section = "4.2"

    def construct(self):
        self.add(heading("4.2", lesson.titles["4.2"]))
        plane, self.axes = weight_stage()
        plane.remove(plane[-1])
        self.plane, self.eps = plane, lesson.value("4.2", "eps[:20000]")
        self.walk, self.size = ValueTracker(0), ValueTracker(1)
        q = always_redraw(lambda: ellipse(plane, *self.now(), Q))
        draws = always_redraw(lambda: Cloud(plane, self.draws()[:60], colors=NOISE))
        heap = always_redraw(self.heap)
        truth = standing(self.axes, LOG_PX, TRUTH)
        mark = always_redraw(lambda: standing(self.axes, self.bound(), Q))
        names = valued("log p(x)", log_px, 24, TRUTH, DOWN)
        names.next_to(truth.get_end(), RIGHT, buff=0.2).shift(DOWN * 0.4)
        label = words("ELBO", 30, Q).move_to([2.3, 2.6, 0], aligned_edge=LEFT)
        number = counter(self.bound, [3.6, 2.6, 0], 38, Q)
        self.add(plane, self.axes, heap, q, draws, truth, mark, names, label, number)
        self.say(
            "Now draw from the exact posterior instead. {ask} What will the weights look like?",
            pause=1.8,
            ask=(Indicate(plane[-1], 1.1, color=INK), 1.2),
        )
        exact = lesson.printed("exact_draws =").strip().strip("[]").split(", ")
        assert len(exact) == 5
        assert {signed(float(one)) for one in exact} == {log_px}
        self.say(
            "{walk} Let q walk there. {narrow} The weights draw together, the bound rises, {spike} and all become the "
            "same number: log p of x. No scatter, no gap.",
            pause=0.6,
            walk=lambda: (self.walk.animate(rate_func=linear).set_value(0.35), 1.4),
            narrow=lambda: (self.walk.animate(rate_func=linear).set_value(0.85), 2.0),
            spike=lambda: (self.walk.animate(rate_func=rush_from).set_value(1), 1.6),
        )
        self.say(
            "{back} Any q gives a bound. {shrink} But shrink q towards a point, and it falls without limit.",
            pause=0.5,
            back=lambda: (self.walk.animate.set_value(0), 1.6),
            shrink=lambda: (self.size.animate.set_value(0.05), 2.6),
        )

    def now(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariance of q on its way."""
        way, start, goal = self.walk.get_value(), np.diag(np.sqrt(Q_VAR)), np.linalg.cholesky(POST_COV)
        root = np.sqrt(self.size.get_value()) * ((1 - way) * start + way * goal)
        return (1 - way) * Q_MEAN + way * POST_MEAN, root @ root.T

    def draws(self) -> np.ndarray:
        mean, cov = self.now()
        return mean + self.eps @ np.linalg.cholesky(cov).T

    def bound(self) -> float:
        return LOG_PX - gap_of(*self.now())

    def heap(self) -> VGroup:
        z = self.draws()
        log_w = log_joint(z) - log_density(z, *self.now())
        edges = np.linspace(-9.0, 1.5, 71)
        edges += LOG_PX - (edges[31] + edges[30]) / 2  # one bar stands around log p(x)
        inside = edges[(edges >= -9) & (edges <= 1.5)]
        shares = np.histogram(log_w, inside)[0] / len(log_w)
        return histogram(self.axes, inside, shares / shares.max(), NOISE, 0.5)


# --------------------------------------------------------------------------------------------------------------------
# 4.3 The bound, second way
# --------------------------------------------------------------------------------------------------------------------


class SecondWay(Lecture):
    """From the KL to the posterior to the equation of the lesson."""

    chapter = "The gap has a name"
    section = "4.3"

    def construct(self):
        self.add(heading("4.3", lesson.titles["4.3"]))
        lines = Derivation(
            [
                "KL = EE_q lr(bracket.l log q(z|x) - log p(z|x) bracket.r)",
                "& = EE_q lr(bracket.l log q(z|x) - log p(x, z) + {{log p(x) : p}} bracket.r)",
                "& = - {{ELBO : l}} + {{log p(x) : p}}",
            ],
            size=46,
            colors={"p": TRUTH, "l": Q},
        ).move_to([-2.0, 1.15, 0])
        lines.shift(RIGHT * (-6.3 - lines.get_left()[0]))
        boxed = math("{{log p(x) : p}} = {{ELBO : l}} + {{KL(q || p(z|x)) : k}}", 50).move_to([-2.4, -2.2, 0])
        for label, color in (("p", TRUTH), ("l", Q), ("k", GAP)):
            boxed.select(label).set_color(color)
        card = SurroundingRectangle(boxed, color=MEAN, buff=0.3, corner_radius=0.15, stroke_width=3)
        levels, lost, unknown, known = self.ladder()
        self.say(
            "{lost} Jensen says that something is lost. {what} What? {kl} Begin with what we want to be small: the KL "
            "from q to the posterior. {bayes} By Bayes' rule, the posterior is the joint over p of x. {out} Log p of "
            "x holds no z, and leaves the mean. {minus} What stays is minus the ELBO.",
            lost=(FadeIn(levels), 0.8),
            what=(FadeIn(lost), FadeIn(unknown, scale=0.5), 0.6),
            kl=(lines.reveal(0), 1.6),
            bayes=(lines.reveal(1), 1.6),
            out=(Circumscribe(lines.line(1).select("p"), color=TRUTH, buff=0.12), 1.0),
            minus=(lines.reveal(2), 1.0),
        )
        self.say(
            f"{{box}} So log p of x is the ELBO plus this KL. {{gap}} The gap is this KL: {gap} nats, {{exact}} "
            f"exactly what the ELBO lacks.",
            pause=0.6,
            box=(TransformMatchingShapes(lines.line(2).copy(), boxed), Create(card), 1.4),
            gap=(FadeOut(unknown, scale=0.5), FadeIn(known, scale=0.5), 0.8),
            exact=(Circumscribe(lost, color=GAP, buff=0.1), 1.4),
        )

    def ladder(self) -> list[VMobject]:
        """Return, in scale from 0 down, the ELBO and log p(x), what lies between, and that before and after."""
        zero, unit = np.array([4.9, 2.75, 0]), 1.05  # the height of a nat
        ground = Line(zero + LEFT * 1.6, zero + RIGHT * 1.75, color=DIM, stroke_width=3)
        nought = words("0 nats", 22, DIM).next_to(ground, DOWN, buff=0.12, aligned_edge=RIGHT)
        bar, lost = (
            Rectangle(width=1.5, height=unit * height, stroke_width=0).set_fill(color, 0.85)
            for height, color in ((-BOUND, Q), (LOG_PX - BOUND, GAP))
        )
        bar.move_to(zero + LEFT * 0.85, UP)
        lost.next_to(bar, RIGHT, buff=0.1, aligned_edge=DOWN)
        top = Line(lost.get_corner(UL), lost.get_corner(UR) + RIGHT * 0.25, color=TRUTH, stroke_width=6)
        name = valued("log p(x)", log_px, 24, TRUTH, DOWN).next_to(top, UP, buff=0.2)
        elbo = valued("ELBO", bound, 24, GROUND, DOWN).next_to(bar.get_bottom(), UP, buff=0.2)
        known = words(f"KL {gap}", 24, GROUND, weight=BOLD).move_to(lost)
        unknown = words("?", 44, GROUND, weight=BOLD).move_to(lost)
        return [VGroup(ground, nought, bar, elbo, top, name), lost, unknown, known]


class TwoPrices(Lecture):
    """Price and gap are two KLs; when q swells to the prior, one falls and the other grows."""

    section = "4.3"

    def construct(self):
        self.add(heading("4.3", lesson.titles["4.3"]))
        plane, swell = Plane(5.8, place=(-3.6, -0.5)), ValueTracker(0)

        def now() -> tuple[np.ndarray, np.ndarray]:
            share = swell.get_value()
            return (1 - share) * Q_MEAN, ((1 - share) * np.sqrt(Q_VAR) + share) ** 2

        q = always_redraw(lambda: ellipse(plane, now()[0], np.diag(now()[1]), Q))
        split = math("{{ELBO : l}} = {{EE_q [log p(x|z)] : fit}} - {{KL(q || p(z)) : price}}", 38).move_to(
            [3.5, 2.45, 0]
        )
        split.select("price").set_color(PRICE)
        split.select("l").set_color(Q)
        for name, color in (("fit", INK), ("price", PRICE)):
            split.add(words(name, 24, color).next_to(split.select(name), DOWN, buff=0.2))
        prior, posterior = plane.prior(), plane.posterior()
        names = [words("prior", 26, PRIOR).move_to(plane.c2p(-1.75, 1.8))]
        names.append(words("posterior", 26, POSTERIOR).move_to(plane.c2p(0.8, -1.3)))
        rows = VGroup(
            self.row("price", PRICE, "q against the prior", 0.3), self.row("gap", GAP, "q against the posterior", -1.5)
        )
        numbers = VGroup(
            counter(lambda: price_of(*now()), [5.4, 0.3, 0], 40, PRICE),
            counter(lambda: gap_of(now()[0], np.diag(now()[1])), [5.4, -1.5, 0], 40, GAP),
        )
        assert signed(price_of(*now())) == signed(float(price))
        assert signed(gap_of(now()[0], np.diag(now()[1]))) == gap
        self.add(plane, q)
        self.say(
            "{split} The ELBO is also a fit, minus a price. And the price is a KL, too. {prior} It compares q with "
            "the prior: we can compute it. {post} The gap compares q with the posterior: in a real model, we cannot.",
            pause=0.4,
            split=(FadeIn(split), 1.2),
            prior=(Create(prior), *[FadeIn(one) for one in (names[0], rows[0], numbers[0])], 1.2),
            post=(*[Create(posterior[0]), FadeIn(posterior[1]), FadeIn(names[1], rows[1], numbers[1])], 1.2),
        )
        self.say(
            "{ask} Suppose you push the price to zero. Will the bound be tight?",
            pause=1.6,
            ask=(Circumscribe(VGroup(rows[0], numbers[0]), color=PRICE, buff=0.2), 1.4),
        )
        self.say(
            "{swell} No. q turns into the prior. The price is gone, the gap has grown, {nothing} and z says nothing "
            "about the cell.",
            pause=0.6,
            swell=lambda: (swell.animate.set_value(1), 3.0),
            nothing=(Indicate(numbers[1], 1.15, color=GAP), 1.0),
        )

    def row(self, name: str, color: str, what: str, y: float) -> VGroup:
        lines = VGroup(words(name, 34, color, weight=BOLD), words(what, 24, DIM))
        return lines.arrange(DOWN, buff=0.12, aligned_edge=LEFT).move_to([1.3, y, 0], LEFT)


# --------------------------------------------------------------------------------------------------------------------
# 4.4 The gradient that cannot pass a die
# --------------------------------------------------------------------------------------------------------------------


class Blocked(Lecture):
    """The slope travels back from the loss, and stops at the die."""

    chapter = "A slope that stops"
    section = "4.4"

    def construct(self):
        net = Network().shift(DOWN * 0.35)
        title, small = words(DIE, 52, weight=BOLD), heading("4.4", DIE)
        back = CurvedArrow(net.die.get_top() + UP * 0.2, net.encoder.get_top() + UP * 0.1, color=SLOPE, stroke_width=5)
        doubt = words("?", 60, SLOPE, weight=BOLD).next_to(back, UP, buff=0.15)
        self.say(
            "{title} Now, the die. {small} How does an encoder learn {roll} from something that was rolled?",
            title=(FadeIn(title, shift=UP * 0.2), 0.6),
            small=(ReplacementTransform(title, small), FadeIn(net.encoder), 0.8),
            roll=(
                *[FadeIn(net.die, scale=0.6), net.die.roll([2, 6, 1, 3, 5], 1.25)],
                *[Create(back), FadeIn(doubt), 1.4],
            ),
        )
        self.say(
            "{enc} The encoder says mu {sig} and sigma. {die} The die falls, {z} and there is z. {loss} The loss "
            "looks at z, and complains.",
            enc=[FadeOut(back, doubt), GrowArrow(net.ways[0]), FadeIn(net.mu, scale=0.7)],
            sig=[GrowArrow(net.ways[1]), FadeIn(net.sigma, scale=0.7)],
            die=(GrowArrow(net.into[0]), GrowArrow(net.into[1]), net.die.roll([1, 4, 6, 2, 3], 1.0), 0.9),
            z=[GrowArrow(net.out), FadeIn(net.z, scale=0.7)],
            loss=[GrowArrow(net.judged), FadeIn(net.loss, shift=LEFT * 0.3)],
        )
        wall = Line(UP * 0.95, DOWN * 0.95, color=BAD, stroke_width=10).next_to(net.die, RIGHT, buff=0.18)
        trail = VGroup(
            glowing(net.loss.get_left(), net.z.get_right()), glowing(net.z.get_left(), wall.get_right())
        ).shift(DOWN * 0.27)
        label = words("slope", 24, SLOPE).next_to(trail[0], DOWN, buff=0.2)
        lost = VGroup(net.encoder, net.ways, net.mu, net.sigma, net.into)
        zero = math("partial z \\/ partial mu = 0", 46, BAD).next_to(wall, UP, buff=0.25)
        self.say(
            "To learn, {back} the slope of the loss must travel back {second} along the arrows. {stop} Here it stops. "
            "{dark} However you move mu, the die has been cast.",
            pause=0.5,
            back=(Create(trail[0], lag_ratio=0), FadeIn(label), 0.8),
            second=(Create(trail[1], lag_ratio=0), 0.6),
            stop=(Create(wall), Flash(wall.get_center(), color=BAD, line_length=0.3, flash_radius=0.4), 0.6),
            dark=lambda: (lost.animate.set_opacity(0.22), FadeIn(zero, shift=UP * 0.2), 1.0),
        )


class Silent(Lecture):
    """PyTorch says zero."""

    section = "4.4"

    def construct(self):
        self.add(heading("4.4", DIE))
        starts = "torch.manual_seed(0)", "mu = torch.tensor", "z = torch.normal", "((z - 3) ** 2).backward"
        code = listing(lesson.lines(*starts, 'print(f"slope by backward'), 23).move_to(UP * 1.25)
        lines, bar = code.lines, glow(code, 1)
        out = output(lesson.printed("z = torch.normal"), code, 32)
        line = out.lines[0]
        choices = Choices(slope_truth, "zero", "an error").move_to(DOWN * 2.75)
        number, true = piece(line, "0.0"), piece(line, slope_truth.replace("−", "-"))
        ring = SurroundingRectangle(number, color=BAD, buff=0.12, corner_radius=0.08, stroke_width=4)
        self.say(
            f"{{card}} Try it in PyTorch, {{mu}} with mu at one. {{draw}} Draw z, {{back}} and ask for the slope. "
            f"{{ask}} The truth is {slope_truth}. {{choose}} What will PyTorch say?",
            pause=1.5,
            card=(FadeIn(code.card), FadeIn(lines[0]), 0.5),
            mu=(FadeIn(lines[1], shift=RIGHT * 0.2), FadeIn(bar), 0.5),
            draw=(FadeIn(lines[2], shift=RIGHT * 0.2), glow_to(bar, code, 2), 0.5),
            back=(FadeIn(lines[3], shift=RIGHT * 0.2), glow_to(bar, code, 3), 0.5),
            ask=(FadeIn(lines[4], shift=RIGHT * 0.2), glow_to(bar, code, 4), 0.6),
            choose=(LaggedStart(*map(choices.offer, range(3)), lag_ratio=0.4), 1.2),
        )
        self.say(
            "{out} It says {value} zero, {quiet} without a word of warning.",
            pause=0.6,
            out=(FadeOut(bar), FadeIn(out), 0.6),
            value=lambda: (number.animate.set_color(BAD), Create(ring), choices.decide(1), 0.6),
            quiet=lambda: (true.animate.set_color(GOOD), 0.6),
        )


class Dice(Lecture):
    """z on its line above, f of it against mu below: with a fresh die for every mu, and with five dice kept."""

    section = "4.4"

    def construct(self):
        self.add(heading("4.4", DIE))
        dice = lesson.value("4.4", "many")
        self.mus = np.linspace(-1, 6, 281)
        self.kept, self.fresh = self.five(dice), dice[5 : 5 + len(self.mus)]
        self.mu = ValueTracker(self.mus[0])
        self.line = NumberLine([-4, 9, 1], length=12, color=DIM, stroke_width=3).move_to([-0.2, 1.15, 0])
        quiet = {"color": DIM, "stroke_width": 3, "include_ticks": False}
        self.axes = Axes([-4, 9, 1], [0, 22, 5], x_length=12, y_length=3.5, tips=False, axis_config=quiet)
        self.axes.shift(self.line.n2p(0) - self.axes.c2p(0, 0) + DOWN * 4.35)
        marks = [math(f"{one}", 28, DIM).next_to(self.line.n2p(one), DOWN, buff=0.14) for one in range(-1, 7)]
        names = VGroup(
            math("z", 40, LATENT).next_to(self.line.n2p(9), RIGHT, buff=0.3),
            math("mu", 40, MEAN).next_to(self.axes.c2p(9, 0), RIGHT, buff=0.3),
            math("f(z) = (z - 3)^2", 36).next_to(self.axes.c2p(-4, 18), RIGHT, buff=0),
        )
        self.fresh_dice(VGroup(self.line, *marks, self.axes.x_axis, names))
        self.kept_dice()

    def five(self, dice: np.ndarray) -> np.ndarray:
        """Return the first five draws in a row that do not lie on top of one another."""
        rows = np.lib.stride_tricks.sliding_window_view(dice, 5)
        apart = np.diff(np.sort(rows, axis=1), axis=1).min(axis=1)
        return rows[np.argmax((apart > 0.45) & (np.abs(rows).max(axis=1) < 1.9))]

    def fresh_dice(self, stage: VGroup) -> None:
        mu, mus, line, axes = self.mu, self.mus, self.line, self.axes
        hill = always_redraw(lambda: bell(line, mu.get_value(), 1.0, MEAN))
        pin = always_redraw(
            lambda: DashedLine(
                line.n2p(mu.get_value()), axes.c2p(mu.get_value(), 0), color=MEAN, stroke_width=2
            ).set_opacity(0.6)
        )
        dot, self.jagged = Dot(radius=0.11, color=NOISE), VMobject().set_stroke(NOISE, 2)
        every = [axes.c2p(*point) for point in zip(mus, np.minimum((mus + self.fresh - 3) ** 2, 21.8), strict=True)]

        def follow(group: VGroup) -> None:
            step = int(np.interp(mu.get_value(), mus, np.arange(len(mus))))
            group[0].move_to(line.n2p(mus[step] + self.fresh[step]) + UP * 0.17)
            group[1].set_points_as_corners(every[: max(step + 1, 2)])

        drawn = VGroup(dot, self.jagged)
        self.verdict = words("no slope", 36, BAD, weight=BOLD).move_to(axes.c2p(3, 15.5))
        self.say(
            "{axes} Is there a slope at all? {fresh} Roll a fresh die for every mu, and z jumps about. {no} No curve, "
            "{slope} hence no slope.",
            axes=(FadeIn(stage), FadeIn(hill), FadeIn(pin), 0.9),
            fresh=(mu.animate(rate_func=linear).set_value(mus[-1]), UpdateFromFunc(drawn, follow), 2.6),
            no=lambda: (FadeOut(dot), self.jagged.animate.set_stroke(width=3), 0.4),
            slope=(FadeIn(self.verdict, scale=0.8), 0.5),
        )

    def kept_dice(self) -> None:
        mu, mus, kept = self.mu, self.mus, self.kept
        dots = VGroup(*[Dot(radius=0.11, color=LATENT) for _ in kept])
        trails = VGroup(*[VMobject() for _ in kept])

        def place(group: VGroup) -> None:
            for dot, die in zip(group, kept, strict=True):
                dot.move_to(self.line.n2p(mu.get_value() + die) + UP * 0.17)

        def draw(group: VGroup) -> None:
            passed = mus[mus <= mu.get_value() + 1e-9]
            for trail, die in zip(group, kept, strict=True):
                trail.become(curve(self.axes, passed, (passed + die - 3) ** 2, LATENT, 3))

        mean = curve(self.axes, mus, (mus - 3) ** 2 + 1, INK, 6)
        slope = float(slope_truth.replace("−", "-"))
        tangent = self.axes.plot(lambda m: 5 + slope * (m - 1), x_range=[-0.1, 2.1], color=SLOPE, stroke_width=8)
        point = Dot(self.axes.c2p(1, 5), radius=0.1, color=SLOPE)
        worth = words(f"slope {slope_truth}", 30, SLOPE, weight=BOLD).next_to(point, RIGHT, buff=0.3).shift(UP * 0.35)
        mu.set_value(mus[0])
        place(dots)
        mu.set_value(mus[-1])
        self.say(
            f"{{keep}} Now keep five dice, {{move}} and let mu only move them. {{mean}} Five smooth curves, around "
            f"the true one. {{slope}} Where mu is one, its slope is {slope_truth}.",
            pause=0.5,
            keep=lambda: (
                *[mu.animate.set_value(mus[0]), self.jagged.animate.set_stroke(opacity=0.12), FadeOut(self.verdict)],
                LaggedStart(*[FadeIn(dot, shift=DOWN * 0.4) for dot in dots], lag_ratio=0.2),
                0.9,
            ),
            move=lambda: (
                *[mu.animate(rate_func=smooth).set_value(mus[-1]), UpdateFromFunc(dots, place)],
                *[UpdateFromFunc(trails, draw), 1.6],
            ),
            mean=(Create(mean), 1.3),
            slope=lambda: (
                *[mu.animate.set_value(1), UpdateFromFunc(dots, place), trails.animate.set_stroke(opacity=0.35)],
                *[GrowFromCenter(tangent), FadeIn(point), FadeIn(worth, shift=LEFT * 0.2), 1.2],
            ),
        )


class Outside(Lecture):
    """The die leaves the road, and the slope passes."""

    chapter = "Roll the die outside"
    section = "4.4"

    def construct(self):
        before = math("{{z : z}} tilde cal(N)({{mu : m}}, {{sigma^2 : s}})", 72)
        noise = "{{epsilon tilde cal(N)(0, 1) : n}}"
        after = math(f"{{{{z : z}}}} = {{{{mu : m}}}} + {{{{sigma : s}}}} thin {{{{epsilon : e}}}} , quad {noise}", 72)
        colors = {"z": LATENT, "m": MEAN, "s": SPREAD, "e": NOISE, "n": NOISE}
        for formula, labels in ((before, "zms"), (after, "zmsen")):
            formula.move_to(UP * 2.35)
            for label in labels:
                formula.select(label).set_color(colors[label])
        net = Network().shift(DOWN * 0.55)
        plus, times, home, ways, tag = net.outside()
        self.add(heading("4.4", DIE), net)
        self.say(
            "{law} So far, z came from a bell that mu moves. {idea} Roll the die outside instead: {new} z is mu, plus "
            "sigma times epsilon.",
            law=(Write(before), 1.0),
            idea=lambda: (
                *[FadeOut(net.into, net.out), net.die.animate.become(home)],
                *[FadeIn(plus, scale=0.5), FadeIn(times, scale=0.5), 1.2],
            ),
            new=(
                TransformMatchingShapes(before, after),
                *[GrowArrow(one) for one in ways],
                *[FadeIn(tag), 1.4],
            ),
        )
        self.flow(net, plus, times)

    def flow(self, net: Network, plus: VGroup, times: VGroup) -> None:
        ends = [
            (net.loss.get_left(), net.z.get_right()),
            (net.z.get_left(), plus.get_right()),
            (plus.get_left() + UP * 0.15, net.mu.get_right()),
            (plus.get_bottom(), times.get_top()),
            (times.get_left() + UP * 0.12, net.sigma.get_right()),
            (net.mu.get_left(), net.encoder[0].get_right() + UP * 0.35),
            (net.sigma.get_left(), net.encoder[0].get_right() + DOWN * 0.35),
        ]
        legs = [glowing(*pair) for pair in ends]
        one = math("partial z \\/ partial mu = 1", 38, SLOPE).next_to(legs[2], UP, buff=0.2).shift(RIGHT * 0.1)
        eps = math("partial z \\/ partial sigma = epsilon", 38, SLOPE).next_to(legs[4], DOWN, buff=0.28)
        eps.shift(LEFT * 0.75 + DOWN * 0.05)

        def draw(*numbers: int) -> Animation:
            return LaggedStart(*[Create(legs[number], lag_ratio=0) for number in numbers], lag_ratio=0.8)

        self.say(
            "{roll} The die still falls, but mu only pushes. {flow} So the slope flows back: {mu} one for mu, {sigma} "
            "epsilon for sigma, {all} and the encoder hears it.",
            pause=0.8,
            roll=(net.die.roll([4, 1, 6, 2, 5], 1.0), 1.0),
            flow=(draw(0, 1), 0.9),
            mu=(draw(2), FadeIn(one), 0.5),
            sigma=(draw(3, 4), FadeIn(eps), 0.7),
            all=lambda: (draw(5, 6), net.encoder[0].animate.set_stroke(SLOPE, 7), 0.7),
        )


class OnAverage(Lecture):
    """The line of code, and the mean of its slopes over more and more draws."""

    section = "4.4"

    def construct(self):
        self.add(heading("4.4", DIE))
        code = listing(lesson.lines("eps_1 = torch.randn", "z = mu + 1.0 * eps_1"), 30).move_to(UP * 1.9)
        bar = glow(code, 0)
        axes, true, running = self.running_mean()
        shown = VGroup(mono(slope_mean, 40, SLOPE), mono(f"± {slope_error}", 30, DIM)).arrange(RIGHT, buff=0.3)
        shown.move_to(axes.c2p(3.4, -3.2))
        self.say(
            f"{{code}} In code, {{first}} the die is rolled first, {{shift}} and mu only shifts it. {{one}} One draw "
            f"is noisy. {{curve}} But average the slopes of ten thousand draws, {{say}} and you find {slope_mean}, "
            f"give or take {slope_error}.",
            pause=0.8,
            code=(FadeIn(code.card), FadeIn(code.lines[0]), FadeIn(axes), 0.5),
            first=(FadeIn(bar), 0.5),
            shift=(FadeIn(code.lines[1], shift=RIGHT * 0.2), glow_to(bar, code, 1), 0.6),
            one=(FadeOut(bar), FadeIn(Dot(running.get_start(), 0.12, color=SLOPE), scale=3), 0.8),
            curve=(Create(running, rate_func=linear), Create(true), 2.4),
            say=(FadeIn(shown, shift=UP * 0.2), 0.7),
        )

    def running_mean(self) -> tuple[Plot, VMobject, VMobject]:
        """Return the axes, the truth, and the mean of the lesson's first n slopes against n."""
        slopes = 2 * (1 + lesson.value("4.4", "many") - 3)
        means = np.cumsum(slopes) / np.arange(1, len(slopes) + 1)
        assert signed(means[-1]) == slope_mean
        truth = float(slope_truth.replace("−", "-"))
        marks = {power: f"{10**power:,}" for power in range(5)}
        axes = plot_axes((0, 4), (-7, -1), "draws", "mean slope", 9, 3.2, marks, {truth: slope_truth}).move_to(
            DOWN * 1.4
        )
        axes.marks[-1].set_color(GOOD)
        true = DashedLine(axes.c2p(0, truth), axes.c2p(4, truth), color=GOOD, stroke_width=4)
        chosen = np.unique(np.round(np.logspace(0, 4, 400)).astype(int)) - 1
        return axes, true, curve(axes, np.log10(chosen + 1), means[chosen], SLOPE, 5)


# --------------------------------------------------------------------------------------------------------------------
# 4.5 The price
# --------------------------------------------------------------------------------------------------------------------


class Formula(Lecture):
    """Three means, one after the other."""

    chapter = "The price is two springs"
    section = "4.5"

    def construct(self):
        self.add(heading("4.5", lesson.titles["4.5"]))
        line = number_line((-3, 3), "", 6.0, []).move_to([0, 0.8, 0])
        bells = VGroup(bell(line, 0, 1, PRIOR, 1.0), bell(line, -1.1, 0.55, Q, 1.0))
        names = VGroup(math("cal(N)(0, 1)", 36, PRIOR).move_to([2.0, 1.8, 0]), math("q", 42, Q).move_to([-2.2, 2.0, 0]))
        means = [f"EE_q lr(bracket.l {inside} bracket.r)" for inside in ("z^2", "(z - mu)^2 / sigma^2")]
        first = math(f"KL = 1/2 lr(bracket.l thin {self.three(means[0], means[1])} thin bracket.r)", 48).move_to(
            [0, -0.7, 0]
        )
        last = math(f"KL = 1/2 lr(bracket.l {self.three('mu^2 + sigma^2', '1')} bracket.r)", 60).move_to([0, -2.7, 0])
        frames = []
        for label, color in (("a", MEAN), ("b", SPREAD), ("c", NOISE)):
            last.select(label).set_color(color)
            frames.append(SurroundingRectangle(first.select(label), color=color, buff=0.08, corner_radius=0.1))
        rest = VGroup(*[part for part in last if all(part not in last.select(label) for label in "abc")])

        def becomes(place: int, *more: Animation) -> tuple:
            parts = [formula.select("abc"[place]) for formula in (first, last)]
            return Create(frames[place]), TransformFromCopy(*parts), *more, 1.0

        self.say(
            "{kl} The price is a KL between two bells, q and the standard normal. {three} Write out both "
            "log-densities, and half of three means remains. {first} The mean of z squared is mu squared plus sigma "
            "squared. {second} Log sigma squared is a fixed number. {third} And the last is the variance over itself: "
            "one.",
            pause=0.8,
            kl=(FadeIn(line), LaggedStart(*[FadeIn(one, shift=UP * 0.2) for one in bells]), FadeIn(names), 1.4),
            three=(Write(first), 1.6),
            first=becomes(0, FadeIn(rest)),
            second=becomes(1),
            third=becomes(2),
        )

    def three(self, first: str, last: str) -> str:
        return f"{{{{{first} : a}}}} - {{{{log sigma^2 : b}}}} - {{{{{last} : c}}}}"


class Springs(Lecture):
    """The second latent's q, pulled to the standard normal by the slopes of the price."""

    section = "4.5"

    def construct(self):
        self.add(heading("4.5", lesson.titles["4.5"]))
        self.way = self.let_go()
        self.passed = ValueTracker(0)
        self.line = number_line((-3.2, 3.2), "", 8.4, [-2, -1, 0, 1, 2])
        self.line.shift(np.array([-2.2, 0.35, 0]) - self.line.n2p(0))
        self.rails = [
            number_line((-0.5, 0.2, 0.1), "", 8.4, [-0.4, -0.2, 0]).shift([-2.2, -1.6, 0]),
            number_line((0, 1.4, 0.1), "", 8.4, [0, 0.5, 1]).shift([-2.2, -3.15, 0]),
        ]
        stands = [VGroup(rail, self.stand(rail, goal)) for rail, goal in zip(self.rails, (0, 1), strict=True)]
        prior = bell(self.line, 0, 1, PRIOR, 0.75)
        q = always_redraw(lambda: bell(self.line, self.mean(), np.sqrt(self.var()), Q, 0.75))
        pulls = [
            always_redraw(lambda: self.pull(self.rails[0], self.mean(), MEAN)),
            always_redraw(lambda: self.pull(self.rails[1], self.var(), SPREAD)),
        ]
        head = [("price (nats)", PRICE, 1.9), ("mean", MEAN, -1.0), ("variance", SPREAD, -2.55)]
        names = VGroup(*[words(name, 26, color).move_to([3.3, y + 0.28, 0], LEFT) for name, color, y in head])
        numbers = VGroup(
            counter(lambda: price_of(np.array([self.mean()]), np.array([self.var()])), [3.3, 1.6, 0], 48, PRICE),
            counter(self.mean, [3.3, -1.2, 0], 38, MEAN),
            counter(self.var, [3.3, -2.75, 0], 38, SPREAD),
        )
        self.say(
            "{bell} What does it want? This is q for the second latent. {mean} One spring pulls its mean to zero. "
            "{var} Another pulls its variance to one. {go} Let go.",
            pause=2.2,
            bell=(FadeIn(self.line), FadeIn(prior), FadeIn(q), FadeIn(names[0]), FadeIn(numbers[0]), 1.0),
            mean=(*[FadeIn(one) for one in (stands[0], pulls[0], names[1], numbers[1])], 0.9),
            var=(*[FadeIn(one) for one in (stands[1], pulls[1], names[2], numbers[2])], 0.9),
            go=lambda: (self.passed.animate(rate_func=rush_from).set_value(16), 2.8),
        )
        cells = VGroup(*[self.cell(i) for i in range(3)])
        self.say(
            "{zero} Mean zero, variance one, so log-variance zero: the price is zero. {cells} But if every cell gets "
            "the same bell, {nothing} z says nothing about the cell.",
            pause=0.6,
            zero=(Circumscribe(VGroup(names[0], numbers[0]), color=PRICE, buff=0.2), 1.4),
            cells=lambda: self.same_bells(Group(*stands, *pulls, names[1:], numbers[1:]), cells),
            nothing=(LaggedStart(*[Indicate(cell[-1], 1.05, color=INK) for cell in cells], lag_ratio=0.3), 1.6),
        )

    def same_bells(self, old: Group, cells: VGroup) -> tuple:
        for one in old.get_family():
            one.clear_updaters()  # so that what follows the springs can fade
        rows = LaggedStart(*[FadeIn(cell, shift=DOWN * 0.2) for cell in cells], lag_ratio=0.3, run_time=1.2)
        return Succession(FadeOut(old, run_time=0.4), rows), 1.6

    def cell(self, i: int) -> VGroup:
        """Return the bell of a cell when the price has come to zero, on a line of its own below the first."""
        line = number_line((-3.2, 3.2), "", 8.4, []).shift([-2.2, -1.25 - 1.05 * i, 0])
        name = words(f"cell {i + 1}", 26).move_to(line.n2p(0) + np.array([5.5, 0.3, 0]), LEFT)
        return VGroup(line, name, bell(line, 0, 1, Q, 0.75))

    def let_go(self) -> np.ndarray:
        """Return mean and log-variance as they follow the slopes of the price, (times, 2)."""
        state, kept = np.array([Q_MEAN[1], np.log(Q_VAR[1])]), []
        for _ in range(1601):
            kept.append(state.copy())
            state -= 0.01 * np.array([state[0], 0.5 * (np.exp(state[1]) - 1)])
        return np.array(kept)

    def at(self, which: int) -> float:
        return float(np.interp(self.passed.get_value() * 100, np.arange(len(self.way)), self.way[:, which]))

    def mean(self) -> float:
        return self.at(0)

    def var(self) -> float:
        return float(np.exp(self.at(1)))

    def stand(self, rail: NumberLine, goal: float) -> VGroup:
        """Return the wall at the end of a rail, and the mark at which the spring comes to rest."""
        end, rest = rail.n2p(rail.x_range[1]), rail.n2p(goal)
        wall = Line(end, end + UP * 1.0, color=INK, stroke_width=8)
        return VGroup(wall, DashedLine(rest, rest + UP * 1.0, color=PRIOR, stroke_width=4))

    def pull(self, rail: NumberLine, value: float, color: str) -> VGroup:
        """Return the spring from a value on its rail to the wall."""
        start, wall = (rail.n2p(one) + UP * 0.5 for one in (value, rail.x_range[1]))
        return VGroup(spring(start, wall), Dot(start, 0.17, color=color))


class WrongPrice(Lecture):
    """The price against the variance, and what it becomes when the variance is passed as log-variance."""

    section = "4.5"

    def construct(self):
        self.add(heading("4.5", lesson.titles["4.5"]))
        axes = plot_axes((0, 1.6), (0, 2.2), "variance", "price (nats)", 7.6, 4.4, [0, 0.5, 1, 1.5], [0, 1, 2]).move_to(
            [-1.6, -0.35, 0]
        )
        xs = np.linspace(0.004, 1.6, 300)
        zero = torch.zeros(len(xs), 1)
        right, wrong = (kl_standard_normal(zero, torch.as_tensor(v)[:, None]).numpy() for v in (np.log(xs), xs))
        curves = [curve(axes, xs, right, GOOD, 5), curve(axes, xs, wrong, BAD, 5)]
        names = VGroup(
            words("right", 26, GOOD).move_to(axes.c2p(0.33, 1.1)),
            VGroup(words("variance passed", 26, BAD), words("as log-variance", 26, BAD))
            .arrange(DOWN, buff=0.12)
            .next_to(axes.c2p(1.6, 1.3), UR, buff=0.1),
        )
        at = ValueTracker(0.3)
        balls = [
            always_redraw(
                lambda i=i: Dot(
                    axes.c2p(at.get_value(), np.interp(at.get_value(), xs, (right, wrong)[i])),
                    0.13,
                    color=(GOOD, BAD)[i],
                )
            )
            for i in range(2)
        ]
        rows = [re.findall(r"[\d.]+", line) for line in lesson.printed("right, wrong =").splitlines()]
        small, low, too_low = rows[0]
        assert float(small) == 0.01
        title = words(f"variance {small}", 26, DIM)
        values = VGroup(mono(f"{low}", 40, GOOD), mono(f"{too_low}", 40, BAD)).arrange(DOWN, buff=0.35)
        values.move_to([5.6, -1.6, 0])
        title.next_to(values, UP, buff=0.4)
        self.say(
            "{curve} This is the price of a variance. {roll} The cheapest is one. {slip} Now pass the variance where "
            "the log-variance belongs. No error comes. {ask} Which variance is the cheapest now?",
            pause=1.5,
            curve=(FadeIn(axes), Create(curves[0]), FadeIn(names[0]), 1.4),
            roll=lambda: (Add(balls[0]), at.animate.set_value(1.0), 1.3),
            slip=lambda: (Create(curves[1]), FadeIn(names[1]), 1.5),
            ask=lambda: (FadeOut(balls[0]), at.animate.set_value(0.3), Add(balls[1]), 1.0),
        )
        self.say(
            f"{{wrong}} The smallest. {{low}} At {small}, the price should be {low} nats, {{too}} and it reads "
            f"{too_low}. {{way}} The spring pulls the wrong way.",
            pause=0.5,
            wrong=lambda: (at.animate.set_value(0.01), 1.0),
            low=(
                FadeIn(title),
                FadeIn(values[0], shift=LEFT * 0.2),
                FadeIn(Dot(axes.c2p(0.01, float(low)), 0.13, color=GOOD)),
                0.8,
            ),
            too=lambda: (at.animate.set_value(1.0), FadeIn(values[1], shift=LEFT * 0.2), 0.8),
            way=lambda: (at.animate.set_value(0.01), 1.4),
        )


# --------------------------------------------------------------------------------------------------------------------
# 4.6 and 4.7 The loss, and the gap that closes
# --------------------------------------------------------------------------------------------------------------------


class Loss(Lecture):
    """Reconstruction and price make the loss; log p(x) added to it leaves the gap."""

    chapter = "The gap closes"
    section = "4.6"

    def construct(self):
        self.add(heading("4.6", lesson.titles["4.6"]))
        unit, left = 2.2, -5.6
        recon = -float(lesson.value("4.3", "fit"))
        assert signed(recon + float(price), 4) == loss

        def block(start: float, end: float, y: float, color: str, name: str, value: float) -> VGroup:
            shape = Rectangle(width=unit * (end - start), height=1.0, stroke_width=0).set_fill(color, 0.85)
            shape.move_to([left + unit * start, y, 0], LEFT)
            text = VGroup(words(name, 26, GROUND, weight=BOLD), mono(signed(value), 28, GROUND)).arrange(
                RIGHT, buff=0.4
            )
            if text.width > shape.width - 0.2:
                text.arrange(DOWN, buff=0.08)
            return VGroup(shape, text.move_to(shape))

        formula = math(
            "- {{ELBO : l}} = {{EE_q lr(bracket.l - log p(x|z) bracket.r) : r}} + {{KL(q || p(z)) : k}}", 50
        ).move_to([0, 2.2, 0])
        formula.select("k").set_color(PRICE)
        formula.select("l").set_color(Q)
        parts = VGroup(
            block(0, recon, 0.6, INK, "reconstruction", recon),
            block(recon, float(loss), 0.6, PRICE, "price", float(price)),
        )
        brace = Brace(parts, DOWN, color=INK)
        total = (
            VGroup(words("loss", 28, INK), mono(f"{float(loss):.2f}", 32, INK))
            .arrange(RIGHT, buff=0.25)
            .next_to(brace, DOWN, buff=0.15)
        )
        back = block(float(notes), float(loss), -1.9, TRUTH, "−log p(x)", -LOG_PX)
        rest = block(0, float(notes), -1.9, GAP, "gap", float(notes))
        cross = words("in a real model, nobody can compute it", 26, BAD)
        cross.next_to(rest, DOWN, buff=0.3).align_to(rest, LEFT)
        self.say(
            f"{{loss}} The loss of lesson three is minus the ELBO: {{recon}} reconstruction, plus price. {{sum}} For "
            f"our cell, {float(loss):.2f} nats.",
            loss=(FadeIn(formula, shift=UP * 0.2), 1.0),
            recon=(
                LaggedStart(
                    *[AnimationGroup(GrowFromEdge(part[0], LEFT), FadeIn(part[1])) for part in parts], lag_ratio=0.6
                ),
                1.6,
            ),
            sum=(GrowFromCenter(brace), FadeIn(total), 0.8),
        )
        self.say(
            f"{{slip}} Add log p of x, as the lecture notes do, {{left}} and the gap is left: {float(notes):.2f}. "
            f"{{cannot}} No network can compute it.",
            pause=0.5,
            slip=(GrowFromEdge(back[0], RIGHT), FadeIn(back[1]), 1.2),
            left=(FadeIn(rest, scale=0.7), 0.8),
            cannot=(FadeIn(cross, shift=UP * 0.2), 0.7),
        )


class Closing(Lecture):
    """q walks to the posterior, step by step, while the bound rises to log p(x); then the gap, magnified."""

    section = "4.7"

    def construct(self):
        self.add(heading("4.7", lesson.titles["4.7"]))
        self.trace, self.gaps = lesson.value("4.7", "trace"), lesson.value("4.7", "gaps")
        self.step = ValueTracker(0)
        plane = self.plane = Plane(5.6, (-3.1, 2.6), (-2.1, 2.9), (-3.9, -0.6))
        q = always_redraw(lambda: ellipse(plane, *self.now(), Q))
        trail = always_redraw(lambda: curve(plane, *self.trace[: int(self.step.get_value()) + 1, 0].T, MEAN, 2))
        posterior = plane.posterior()
        counter = always_redraw(
            lambda: mono(f"step {round(self.step.get_value())}", 26, DIM).move_to([-6.5, 2.6, 0], LEFT)
        )
        axes = plot_axes((0, 60), (-12, -3.5), "step", "nats", 5.0, 4.2, [0, 20, 40, 60], [-12, -8])
        axes.move_to([3.5, -0.35, 0])
        top = Line(axes.c2p(0, LOG_PX), axes.c2p(60, LOG_PX), color=TRUTH)
        names = VGroup(
            words("log p(x)", 24, TRUTH).next_to(axes.c2p(48, LOG_PX), UP, buff=0.12),
            words("ELBO", 26, Q).move_to(axes.c2p(12, -8.0)),
            words("gap", 26, INK).move_to(axes.c2p(6, -4.9)),
        )
        rising = always_redraw(lambda: self.rising(axes))
        self.add(plane)
        self.say(
            "{start} Does climbing the bound bring q to the posterior? Start far off, {go} and step downhill on the "
            "loss. The bound rises, and q moves over.",
            pause=1.8,
            start=(*[FadeIn(one) for one in (posterior, q, counter, axes, top, names[0])], 0.9),
            go=lambda: self.go(VGroup(rising, trail), names),
        )
        self.magnify(Group(axes, top, names, rising), Group(posterior, trail))

    def go(self, drawn: VGroup, names: VGroup) -> tuple:
        self.add(*drawn)
        return self.step.animate(rate_func=rush_into).set_value(60), FadeIn(names[1:]), 4.6

    def now(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariance of q at this step, or between two."""
        at = self.step.get_value()
        low, high = int(at), min(int(at) + 1, len(self.trace) - 1)
        mean, logvar = self.trace[low] + (at - int(at)) * (self.trace[high] - self.trace[low])
        return mean, np.diag(np.exp(logvar))

    def rising(self, axes: Plot) -> VGroup:
        steps = np.arange(int(min(self.step.get_value(), 60)) + 1)
        steps = steps if len(steps) > 1 else np.array([0, 0.01])
        levels = LOG_PX - np.interp(steps, np.arange(len(self.gaps)), self.gaps)
        filled = band(axes, steps, levels, np.full(len(steps), LOG_PX), GAP)
        return VGroup(filled, curve(axes, steps, levels, Q, 5))

    def magnify(self, old: Group, left: Group) -> None:
        marks = {0: "1", 1: "10", 2: "100"}
        y_marks = {-2: "0.01", -1: "0.1", 0: "1", 1: "10"}
        axes = plot_axes((0, 2.8), (-3, 1.5), "step", "gap (nats)", 5.0, 4.2, marks, y_marks).move_to([3.5, -0.35, 0])
        fallen = always_redraw(lambda: self.fallen(axes))
        least = np.log10(float(lesson.value("4.7", "floor")))
        bottom = DashedLine(axes.c2p(0, least), axes.c2p(2.8, least), color=INK, stroke_width=3)
        name = VGroup(words("the best q:", 24), mono(floor, 28)).arrange(RIGHT, buff=0.2)
        name.next_to(axes.c2p(0, least), DR, buff=0.15)
        card = question("Will it close?", 28).move_to(axes.c2p(1.95, 1.1))
        self.say(
            f"{{more}} After about six hundred steps, {{fall}} the gap is {last_gap} nats. {{ask}} Would more steps "
            f"close it?",
            pause=1.6,
            more=lambda: (FadeOut(old), FadeIn(axes), 0.9),
            fall=lambda: (Add(fallen), self.step.animate(rate_func=linear).set_value(599), 2.4),
            ask=(ask(card), 0.8),
        )
        posterior, trail = left
        tilted = always_redraw(lambda: self.axes_of(POST_MEAN, POST_COV, POSTERIOR))
        upright = always_redraw(lambda: self.axes_of(*self.now(), Q))
        around = self.plane.c2p(*POST_MEAN)

        def near(one: VMobject) -> VMobject:
            return one.animate.scale(2.1, about_point=around).shift(LEFT * 0.6)

        self.say(
            f"{{floor}} No. {{zoom}} The posterior is tilted, {{tilt}} and our q cannot tilt: its latents are "
            f"independent. {{left}} The best such q leaves {floor} nats.",
            pause=0.6,
            floor=(FadeOut(card), FadeOut(trail), FadeOut(self.plane.names), Create(bottom), 0.6),
            zoom=lambda: (
                near(posterior),
                near(VGroup(self.plane.frame, self.plane.lines)).set_stroke(opacity=0),
                Add(tilted),
                1.3,
            ),
            tilt=(FadeIn(upright), 0.8),
            left=(FadeIn(name, shift=UP * 0.2), 0.8),
        )

    def axes_of(self, mean: np.ndarray, cov: np.ndarray, color: str) -> VGroup:
        """Return the two axes of an ellipse."""
        values, vectors = np.linalg.eigh(cov)
        ends = [(mean - 2 * np.sqrt(v) * e, mean + 2 * np.sqrt(v) * e) for v, e in zip(values, vectors.T, strict=True)]
        return VGroup(
            *[Line(self.plane.c2p(*one), self.plane.c2p(*other), color=color, stroke_width=3) for one, other in ends]
        )

    def fallen(self, axes: Plot) -> VMobject:
        seen = max(int(self.step.get_value()) + 1, 2)
        return curve(axes, np.log10(np.arange(1, seen + 1)), np.log10(self.gaps[:seen]), GAP, 4)


# --------------------------------------------------------------------------------------------------------------------
# 4.8 From the bound to the likelihood
# --------------------------------------------------------------------------------------------------------------------


class BetterBound(Lecture):
    """More noise: the bound rises, log p(x) falls."""

    chapter = "From the bound to the likelihood"
    section = "4.8"

    def construct(self):
        self.add(heading("4.8", lesson.titles["4.8"]))
        printed = [re.findall(r"-\d+\.\d+", lesson.line(rf"^noise_var {value}:")) for value in (0.5, 1.0)]
        at = plot_axes((0, 1), (-5.15, -4.15), "", "", 6.0, 4.6).move_to([0, -0.2, 0]).c2p
        posts = VGroup(*[Line(at(x, -5.15), at(x, -4.15), color=FAINT, stroke_width=3) for x in (0, 1)])
        noise = [f"noise {value}" for value in ("0.5", "1.0")]
        feet = VGroup(*[words(text, 26, DIM).next_to(at(x, -5.15), DOWN, buff=0.2) for x, text in enumerate(noise)])
        (elbo_0, truth_0), (elbo_1, truth_1) = printed
        ways = []
        for start, end, color, name in ((elbo_0, elbo_1, Q, "ELBO"), (truth_0, truth_1, TRUTH, "log p(x)")):
            line = Line(at(0, float(start)), at(1, float(end)), color=color, stroke_width=6)
            first = mono(signed(start), 34, color).next_to(line.get_start(), LEFT, buff=0.35)
            label = words(name, 28, color).next_to(first, LEFT, buff=0.35)
            last = mono(signed(end), 34, color).next_to(line.get_end(), RIGHT, buff=0.35)
            ways.append((line, VGroup(Dot(line.get_start(), 0.12, color=color), first, label), last))
        gaps = VGroup()
        for x, value in enumerate((0.5, 1.0)):
            low, high = bound_with(value)
            assert [signed(low), signed(high)] == [signed(one) for one in printed[x]]
            line = Line(at(x, low), at(x, high), color=GAP, stroke_width=12)
            gaps.add(VGroup(line, words(f"gap {signed(high - low)}", 26, GAP).next_to(line, RIGHT, buff=0.3)))
        (elbo, elbo_start, elbo_end), (truth, truth_start, truth_end) = ways
        self.say(
            "{start} Can we compare models by their ELBOs? Keep our q, {noise} and give the decoder more noise. The "
            "bound {rise} rises. {ask} Does log p of x rise, too?",
            pause=1.5,
            start=(FadeIn(posts[0]), FadeIn(feet[0]), FadeIn(elbo_start), FadeIn(truth_start), 0.8),
            noise=(FadeIn(posts[1]), FadeIn(feet[1]), 0.8),
            rise=(self.travel(elbo), FadeIn(elbo_end), 1.2),
            ask=(Flash(truth.get_start(), color=TRUTH, flash_radius=0.4), 0.8),
        )
        self.say(
            "{fall} It falls. A worse model with a better bound, {why} because its gap shrank.",
            pause=0.9,
            fall=(self.travel(truth), FadeIn(truth_end), 1.4),
            why=(*[GrowFromCenter(one[0]) for one in gaps], *[FadeIn(one[1]) for one in gaps], 0.9),
        )

    def travel(self, line: Line) -> Animation:
        dot = Dot(line.get_start(), 0.12, color=line.get_color())
        return AnimationGroup(Create(line), MoveAlongPath(dot, line.copy()))


def sampling_stage(variance: np.ndarray) -> tuple[Plane, Plot, VGroup]:
    """Return the plane of z with posterior and a q, axes for estimates against draws, and the line of log p(x)."""
    plane = Plane(4.2, (-1.5, 2.2), (-1.8, 1.4), (-4.6, -0.9))
    marks = {0: "1", 1: "10", 2: "100", 3: "1,000"}
    axes = plot_axes((0, 3), (-8, -2), "draws", "estimate (nats)", 5.5, 4.3, marks, [-8, -6, -4, -2])
    axes.move_to([2.9, -0.45, 0])
    top = VGroup(Line(axes.c2p(0, LOG_PX), axes.c2p(3, LOG_PX), color=TRUTH))
    top.add(words("log p(x)", 24, TRUTH).next_to(axes.c2p(3, LOG_PX), RIGHT, buff=0.25))
    return plane.add(plane.posterior(), ellipse(plane, Q_MEAN, np.diag(variance), Q)), axes, top


def walks(which: int) -> np.ndarray:
    """Return the lesson's 500 estimates of a q while their draws grow from 1 to 1000, (sizes, 500)."""
    grown, printed = lesson.value("4.8", WALKS)[which].copy(), lesson.value("4.8", ESTIMATES)[which]
    for place, estimates in zip((20, 40, 60), printed[1:], strict=True):
        assert np.allclose(grown[place], estimates)
    grown[0] = printed[0]
    return grown


def marching(axes: Plot, estimates: np.ndarray, reached: ValueTracker, color: str = LATENT) -> Mobject:
    """Return lines of estimates, (sizes, lines), as far as draws have been counted, and a dot at the end of each."""
    low, high = axes.y_range[:2]
    lines = [curve(axes, SIZES, one, color, 2).set_stroke(opacity=0.35) for one in estimates.T]
    above, below = np.minimum(estimates[1:], estimates[:-1]) > high, np.maximum(estimates[1:], estimates[:-1]) < low
    drawn = np.cumsum(~(above | below), axis=0)  # pieces of each line, after each size
    assert all(len(line.points) == 4 * pieces for line, pieces in zip(lines, drawn[-1], strict=True))

    def so_far() -> VGroup:
        upto = min(int(reached.get_value()), 60)
        ends = drawn[upto - 1] * 4 if upto else np.zeros(len(lines), dtype=int)
        shown = [line.copy().set_points(line.points[:end]) for line, end in zip(lines, ends, strict=True) if end]
        heads = [(SIZES[upto], one) for one in estimates[upto] if low <= one <= high]
        return VGroup(*shown, Cloud(axes, heads, colors=color, radius=0.06, opacity=1))

    return always_redraw(so_far)


def means(axes: Plot) -> tuple[VMobject, VGroup]:
    """Return the means of the lesson's 500 estimates from 1, 10, 100 and 1000 draws: a line, and beads on it."""
    levels = [float(np.mean(estimates)) for estimates in lesson.value("4.8", ESTIMATES)[0]]
    assert all(level < LOG_PX for level in levels)
    beads = [Dot(axes.c2p(power, level), 0.1, color=INK) for power, level in enumerate(levels)]
    return curve(axes, range(4), levels, INK), VGroup(*beads)


class March(Lecture):
    """Estimates from more and more draws march up to log p(x)."""

    section = "4.8"

    def construct(self):
        self.add(heading("4.8", lesson.titles["4.8"]))
        plane, axes, top = sampling_stage(Q_VAR)
        mean = "{{log : l}} {{1/S sum_(s=1)^S (p(x, z_s)) / q(z_s|x) : w}}"
        formula = Derivation(
            ["log p(x) = log EE_q lr(bracket.l (p(x, z)) / q(z|x) bracket.r)", f"& approx {mean}"],
            size=56,
            colors={"w": NOISE},
        )
        small = math(f"log p(x) approx {mean}", 34).move_to([-4.4, 2.35, 0])
        small.select("w").set_color(NOISE)
        estimates, reached, dots_shown = walks(0), ValueTracker(0), ValueTracker(3)
        lines = marching(axes, estimates[:, :40], reached)
        draws = lesson.value("4.2", "draws[:400]")
        spots = always_redraw(lambda: Cloud(plane, draws[: int(dots_shown.get_value())], colors=NOISE, radius=0.04))
        middle, beads = means(axes)
        name = words("mean of 500", 24, INK).move_to(axes.c2p(2.1, -6.9))
        self.say(
            "{line} So we want log p of x itself. The line before Jensen gives it: {avg} average the weights, {log} "
            "then take the log. {one} With one draw, that is the ELBO on average.",
            line=(formula.reveal(0), 1.6),
            avg=(formula.reveal(1), 1.2),
            log=(Circumscribe(formula.line(1).select("l"), color=TRUTH, buff=0.12), 1.0),
            one=lambda: (
                Succession(
                    FadeOut(formula, run_time=0.4),
                    AnimationGroup(*[FadeIn(one) for one in (small, plane, axes, top, lines, spots)], run_time=0.8),
                ),
                1.2,
            ),
        )
        self.say(
            "{more} With more draws, the estimates march up, {thousand} and at a thousand they close around the "
            "truth, {below} on average always from below.",
            pause=0.6,
            more=lambda: (
                reached.animate(rate_func=linear).set_value(36),
                dots_shown.animate(rate_func=linear).set_value(100),
                2.2,
            ),
            thousand=lambda: (
                reached.animate(rate_func=linear).set_value(60),
                dots_shown.animate(rate_func=linear).set_value(400),
                2.0,
            ),
            below=(
                Create(middle),
                LaggedStart(*[FadeIn(bead, scale=2) for bead in beads], lag_ratio=0.3),
                FadeIn(name),
                1.6,
            ),
        )


class Narrow(Lecture):
    """From a narrow q nearly all estimates stay too low, and a few jump."""

    section = "4.8"

    def construct(self):
        self.add(heading("4.8", lesson.titles["4.8"]))
        plane, axes, top = sampling_stage(Q_VAR)
        narrow = ellipse(plane, Q_MEAN, np.diag(0.1 * Q_VAR), Q)
        draws = Q_MEAN + np.sqrt(0.1 * Q_VAR) * lesson.value("4.2", "eps[:20000]")[:400]
        spots = Cloud(plane, draws, colors=NOISE, radius=0.035)
        log_w = log_joint(draws) - log_density(draws, Q_MEAN, np.diag(0.1 * Q_VAR))
        stray = Dot(plane.c2p(*draws[log_w.argmax()]), 0.1, color=INK)
        estimates, reached = walks(1), ValueTracker(0)
        assert signed(100 * np.mean(estimates[60] < LOG_PX), 0) == below_narrow
        assert float(medians[1][3]) < LOG_PX - 0.9
        lines = marching(axes, estimates[:, :40], reached)
        jump, when = self.jump(estimates[:, :40])
        leap = curve(axes, SIZES[: when + 2], jump[: when + 2], NOISE, 5)
        card = question("Where do its\nestimates end?", 30).move_to(axes.c2p(1.5, -6.3))
        share = words(f"{below_narrow} % too low", 30, BAD, weight=BOLD).move_to(axes.c2p(2.2, -7.3))
        self.add(plane, axes, top)
        self.say(
            "When should we not trust it? {narrow} Take a q with a tenth of the variances. {ask} Where will its "
            "estimates end?",
            pause=1.4,
            narrow=(Transform(plane[-1], narrow), FadeIn(spots), 1.2),
            ask=(ask(card), 0.8),
        )
        self.say(
            f"{{run}} They climb. But even with a thousand draws, {{share}} {below_narrow} percent lie below the "
            f"truth. {{jump}} See the jumps: one draw strays to where the posterior is, {{carry}} and carries "
            f"everything.",
            pause=0.6,
            run=lambda: (FadeOut(card), Add(lines), reached.animate(rate_func=linear).set_value(60), 3.0),
            share=(FadeIn(share), 0.6),
            jump=(Create(leap), 1.6),
            carry=(FadeIn(stray, scale=3), Flash(stray.get_center(), color=INK), 0.8),
        )

    def jump(self, estimates: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the estimate that rises most in one step after its tenth draw, and the step before."""
        rises = np.diff(estimates, axis=0)
        rises[:20] = 0
        rises[:, estimates.max(axis=0) > LOG_PX + 0.3] = 0
        when, which = np.unravel_index(rises.argmax(), rises.shape)
        return estimates[:, which], int(when)


class EffectiveSize(Lecture):
    """A thousand draws as dots, then as large as their weights, from q and from the narrow one."""

    section = "4.8"

    def construct(self):
        self.add(heading("4.8", lesson.titles["4.8"]))
        left, right = (
            self.panel(*one)
            for one in zip(
                *[lesson.value("4.8", TYPICAL), (ess, ess_narrow), (GOOD, BAD), (-3.45, 3.45)],
                ("our q", "narrow q"),
                strict=True,
            )
        )
        key = words("area: weight", 22, DIM).move_to(left[0]).align_to(left[1], RIGHT)
        better = words("longer is better", 22, DIM).move_to(left[2]).align_to(left[2], RIGHT).shift(LEFT * 0.25)
        low = words("low: proves trouble", 30, BAD).move_to([3.45, -3.1, 0])
        high = words("high: proves nothing", 30, INK).move_to([-3.45, -3.1, 0])
        even = [self.rows(np.ones(1000), x) for x in (-3.45, 3.45)]
        pairs = [zip(old, one[1], strict=True) for old, one in zip(even, (left, right), strict=True)]
        grow = [ReplacementTransform(*pair) for some in pairs for pair in some]
        self.say(
            f"{{ask}} So ask how many draws did the work. Here are a thousand from each q. {{dots}} Make each as "
            f"large as its weight. {{ess}} From our q, {ess} count. {{narrow}} From the narrow one, {ess_narrow}. "
            f"{{name}} This is the effective sample size: the more, the better.",
            ask=(FadeIn(left[0], right[0]), *[LaggedStart(*map(FadeIn, old), lag_ratio=0.05) for old in even], 1.2),
            dots=(*grow, FadeIn(key), 1.6),
            ess=(FadeIn(left[2]), GrowFromEdge(left[3], LEFT), FadeIn(left[4]), 1.0),
            narrow=(FadeIn(right[2]), GrowFromEdge(right[3], LEFT), FadeIn(right[4]), 1.0),
            name=(FadeIn(left[5], right[5], better), 0.9),
        )
        self.say(
            "{low} A low effective sample size proves trouble. {high} A high one proves nothing: it is made of the "
            "same draws.",
            pause=0.5,
            low=(FadeIn(low, shift=UP * 0.2), 0.8),
            high=(FadeIn(high, shift=UP * 0.2), 0.8),
        )

    def panel(self, log_w: np.ndarray, size: str, color: str, x: float, name: str) -> list[Mobject]:
        """Return a name, dots whose areas are weights, a bar of all draws, and of those that count, and its texts."""
        weights, pitch = np.exp(log_w), 0.145
        assert signed(weights.sum() ** 2 / (weights**2).sum(), 0) == size
        whole = Rectangle(width=40 * pitch, height=0.42, color=DIM, stroke_width=3).move_to([x, -2.45, 0])
        part = Rectangle(width=40 * pitch * float(size) / len(weights), height=0.42, stroke_width=0)
        part.set_fill(color, 0.9).move_to(whole.get_left(), LEFT)
        count = VGroup(mono(size, 34, color), words(f"of {len(weights):,}", 24, DIM)).arrange(RIGHT, buff=0.2)
        count.move_to([x - 20 * pitch, -1.92, 0], LEFT)
        term = words("effective sample size", 22, DIM).move_to([x + 20 * pitch, -1.92, 0], RIGHT)
        name = words(name, 26).move_to([x - 20 * pitch, 2.68, 0], LEFT)
        return [name, self.rows(weights, x), whole, part, count, term]

    def rows(self, weights: np.ndarray, x: float) -> VGroup:
        """Return a dot for each weight, in 25 rows of 40; together they have an area of 4."""
        rows, pitch = VGroup(), 0.145
        for i, row in enumerate(np.sqrt(weights / weights.sum() * 4.0 / PI).reshape(25, 40)):
            centres = [[x + (k - 19.5) * pitch, 2.25 - i * pitch, 0] for k in range(40)]
            points = [centre + radius * CIRCLE for centre, radius in zip(np.array(centres), row, strict=True)]
            rows.add(VMobject(stroke_width=0).set_points(np.concatenate(points)).set_fill(NOISE, 0.9))
        return rows


class Ceiling(Lecture):
    """The mean estimate rises to log p(x) and no higher; and no model scores above the true density."""

    section = "4.8"

    def construct(self):
        marks = {0: "1", 1: "10", 2: "100", 3: "1,000"}
        axes = plot_axes((0, 3), (-5.05, -4.05), "draws", "estimate (nats)", 8.0, 4.6, marks, [-5, -4.5])
        axes.move_to([-0.8, -0.45, 0])
        top = Line(axes.c2p(0, LOG_PX), axes.c2p(3, LOG_PX), color=TRUTH, stroke_width=6)
        name = math("log p(x)", 48, TRUTH).next_to(top, RIGHT, buff=0.3)
        rise, beads = means(axes)
        what = words("mean of 500 estimates", 24, INK).next_to(beads[1], DR, buff=0.2)
        self.add(heading("4.8", lesson.titles["4.8"]), axes)
        self.say(
            "If ten {rise} times the draws still raise your estimate, look at the effective sample size. {ceiling} "
            "And log p of x is a ceiling: {above} on average, an honest estimate never lies above it.",
            pause=0.6,
            rise=(
                *[FadeIn(what), Create(rise)],
                *[LaggedStart(*[FadeIn(bead, scale=2) for bead in beads], lag_ratio=0.4), 2.4],
            ),
            ceiling=(Create(top), FadeIn(name), 1.0),
            above=(Indicate(top, 1.05, color=TRUTH), 1.2),
        )
        self.true_density(Group(axes, top, name, rise, beads, what))

    def true_density(self, old: Group) -> None:
        """Let models with more and more noise score cells that were made with the lesson's noise."""
        noises = np.linspace(0.15, 2, 371)
        scores = np.array([self.score(noise) for noise in noises])
        best = self.score(NOISE_VAR)
        assert abs(noises[scores.argmax()] - NOISE_VAR) < 1e-6
        axes = plot_axes(
            (0, 2),
            (-5.7, -4.55),
            "noise",
            "mean log p(x) of new cells (nats)",
            8.0,
            4.4,
            [0.5, 1, 2],
            [-5.5, -5],
        )
        axes.move_to([-1.2, -0.45, 0])
        hill = curve(axes, noises, scores, INK, 5)
        ball = Dot(hill.get_start(), 0.13, color=INK)
        who = words("models", 26).next_to(axes.c2p(1.4, scores[250]), DOWN, buff=0.3)
        peak = Dot(axes.c2p(NOISE_VAR, best), 0.15, color=TRUTH)
        top = DashedLine(axes.c2p(0, best), axes.c2p(2, best), color=TRUTH, stroke_width=4)
        name = words("true density", 26, TRUTH).next_to(top, RIGHT, buff=0.25)
        made = DashedLine(axes.c2p(NOISE_VAR, -5.7), axes.c2p(NOISE_VAR, -4.6), color=TRUTH, stroke_width=3)
        label = words("noise of the cells", 26, TRUTH).next_to(made.get_end(), DR, buff=0.2)
        card = question("Can a model beat the truth?", 30).move_to(axes.c2p(1, -5.15))
        above = Dot(axes.c2p(0.8, best + 0.3), 0.15, color=BAD)
        error = Line(above.get_center() + UP * 0.28, above.get_center() + DOWN * 0.28, color=BAD, stroke_width=5)
        mistake = words("a mistake in the estimate", 30, BAD, weight=BOLD).next_to(above, RIGHT, buff=0.3)
        self.say(
            "{ask} Can a model beat the truth? {made} Simulate cells from our own model, {ride} and let models with "
            "less noise or more noise score new ones. {top} The true density scores best. On average, no model lies "
            "above it. {above} So an average clearly above it is no record. {mistake} It is a mistake in the "
            "estimate.",
            pause=0.8,
            ask=(Succession(FadeOut(old, run_time=0.3), FadeIn(Group(axes, card), run_time=0.5)), 0.8),
            made=(FadeOut(card), Create(made), FadeIn(label), 1.2),
            ride=(Create(hill), MoveAlongPath(ball, hill.copy()), FadeIn(who), 2.6),
            top=(FadeOut(ball, label), Create(top), FadeIn(peak, scale=3), FadeIn(name), 1.2),
            above=(FadeIn(above, error, shift=UP * 0.4), 0.8),
            mistake=(FadeIn(mistake, shift=LEFT * 0.2), 0.8),
        )

    def score(self, noise_var: float) -> float:
        """Return the mean of log p(x) under a model with this noise, over all cells that the lesson's model makes."""
        true, model = (W @ W.T + noise * np.eye(3) for noise in (NOISE_VAR, noise_var))
        return -0.5 * float(np.trace(np.linalg.solve(model, true)) + np.log(np.linalg.det(2 * np.pi * model)))


# --------------------------------------------------------------------------------------------------------------------
# 4.9 A win on real cells
# --------------------------------------------------------------------------------------------------------------------


class Deaf(Lecture):
    """Two twins train; one hears no gradient through the draw."""

    chapter = "Real cells, and a deaf twin"
    section = "4.9"

    def construct(self):
        self.add(heading("4.9", lesson.titles["4.9"]))
        net = Network().shift(UP * 0.5)
        plus, times, die, ways, tag = net.outside()
        decoder = trapezoid("decoder", narrow="left").move_to(net.loss)
        heard = arrow(net.z, decoder)
        model = [
            [FadeIn(net.encoder, shift=RIGHT * 0.3)],
            [*map(GrowArrow, net.ways), *[FadeIn(one, scale=0.7) for one in (net.mu, net.sigma)]],
            [*map(GrowArrow, ways[:4]), *[FadeIn(one, scale=0.7) for one in (plus, times, die, tag)]],
            [GrowArrow(ways[4]), FadeIn(net.z, scale=0.7)],
            [GrowArrow(heard), FadeIn(decoder, shift=LEFT * 0.3)],
        ]
        yours = words("your model", 34, GOOD, weight=BOLD).move_to([0, 2.5, 0])
        deaf = words("its deaf twin", 34, BAD, weight=BOLD).move_to(yours)
        wall = Line(UP * 0.85, DOWN * 0.85, color=BAD, stroke_width=10).next_to(plus, RIGHT, buff=0.15)
        ends = ((decoder.get_left(), net.z.get_right()), (net.z.get_left(), wall.get_right()))
        trail = VGroup(*[glowing(*pair) for pair in ends])
        card = question("What will its training loss do?", 32).move_to([0, -2.9, 0])
        self.say(
            "{cells} Now real blood cells, and a model with your draw and your price. {twin} Its twin is deaf: {wall} "
            "no gradient passes the draw. {ask} What will its training loss do?",
            pause=1.6,
            cells=(FadeIn(yours), LaggedStart(*[AnimationGroup(*step) for step in model], lag_ratio=0.5), 2.0),
            twin=(FadeOut(yours, shift=UP * 0.2), FadeIn(deaf, shift=UP * 0.2), 0.6),
            wall=(LaggedStart(*[Create(leg, lag_ratio=0) for leg in trail], Create(wall), lag_ratio=0.6), 1.2),
            ask=(ask(card), 0.8),
        )
        shown = net.encoder, net.ways, net.mu, net.sigma, plus, times, die, ways, tag, net.z, heard, decoder
        self.fall(Group(*shown, wall, trail, card, deaf))

    def fall(self, old: Group) -> None:
        histories = [np.array(history) for history in lesson.value("4.9", LOSSES)]
        assert [f"{histories[1][0]:.0f}", f"{histories[1][-1]:.0f}"] == [deaf_first, deaf_last]
        axes = plot_axes(
            (1, 40), (330, 470), "epoch", "training loss (nats per cell)", 8.0, 4.4, [1, 20, 40], [350, 400, 450]
        )
        axes.move_to([-0.4, -0.4, 0])
        curves, names = [], VGroup()
        for history, name, color in zip(histories, ("your model", "deaf twin"), (GOOD, BAD), strict=True):
            curves.append(curve(axes, np.arange(1, len(history) + 1), history, color, 6))
            names.add(words(name, 26, color).next_to(axes.c2p(40, history[-1]), RIGHT, buff=0.2))
        panels, titles = [VGroup(*self.panel(i)) for i in range(2)], VGroup()
        for x, name, color in ((-3.5, "your model", GOOD), (3.5, "its deaf twin: KL 0", BAD)):
            titles.add(words(name, 30, color, weight=BOLD).move_to([x, 2.5, 0]))
        assert float(kl_deaf) == 0
        titles.add(words("mean of z, a colour for each kind of cell", 22, DIM).move_to([0, -3.4, 0]))
        heap = Circle(0.3, color=BAD, stroke_width=4).move_to(panels[1])
        every = words(f"all {len(lesson.value('4.9', 'groups'))} cells", 26, BAD).next_to(heap, UR, buff=0.1)
        self.say(
            f"{{clear}} It falls, {{fall}} from {deaf_first} to {deaf_last} nats, and nobody notices. {{heap}} But "
            f"its KL is zero, and all its cells lie in one heap. {{only}} The price needs no draw: it was the "
            f"encoder's only teacher.",
            pause=0.8,
            clear=(Succession(FadeOut(old, run_time=0.3), FadeIn(axes, run_time=0.4)), 0.7),
            fall=(*[Create(one) for one in curves], FadeIn(names), 2.2),
            heap=(
                Succession(
                    FadeOut(Group(axes, names, *curves), run_time=0.4),
                    FadeIn(Group(*panels, titles), run_time=0.7),
                ),
                1.1,
            ),
            only=(Create(heap), FadeIn(every, shift=UP * 0.1), 1.0),
        )

    def panel(self, which: int) -> list[VMobject]:
        """Return the lesson's means of z, coloured by group, on a scale that both share."""
        axes = Plot((-2.4, 2.4), (-2.3, 2.3), 5.2, 5.0).shift([(-3.5, 3.5)[which] - 2.6, -2.85, 0])
        ends = ((-2.4, 0), (2.4, 0)), ((0, -2.3), (0, 2.3))
        cross = [Line(axes.c2p(*one), axes.c2p(*other), color=FAINT, stroke_width=3) for one, other in ends]
        means, groups = lesson.value("4.9", MEANS_OF_Z)[which], lesson.value("4.9", "groups")
        return [*cross, Cloud(axes, means, groups, radius=0.045)]


class Win(Lecture):
    """Nats above independent genes, of the deaf twin and of the model."""

    section = "4.9"

    def construct(self):
        self.add(heading("4.9", lesson.titles["4.9"]))
        coins = VGroup(*[self.coin(share) for share in lesson.value("4.9", "share[:9]")])
        coins.arrange(RIGHT, buff=0.4).move_to([0, 1.5, 0])
        label = words("how often each gene is detected", 24, DIM).next_to(coins, UP, buff=0.35)
        unit = "nats above independent genes, per held-out cell"
        bars = Bars(["deaf twin", "your model"], [lead_deaf, lead], unit, [BAD, GOOD], 8.0).move_to([0, -1.5, 0])
        self.add(label)
        self.say(
            f"{{rival}} The rival has no latents: every gene is a coin of its own. {{deaf}} The deaf twin ends where "
            f"the rival does. {{ours}} Your model gives a held-out cell {float(lead):.0f} nats more, {{two}} from two "
            f"numbers a cell.",
            pause=1.0,
            rival=(LaggedStart(*[SpinInFromNothing(coin) for coin in coins], lag_ratio=0.1), 1.8),
            deaf=(FadeIn(bars.names, bars.unit), bars.grow(0), 1.0),
            ours=(bars.grow(1), 1.4),
            two=(Circumscribe(bars.bar(1), color=GOOD, buff=0.15), 1.0),
        )

    def coin(self, share: float) -> VGroup:
        ring = Circle(0.5, color=MEAN, stroke_width=4).set_fill(MEAN, 0.05 + 0.35 * float(share))
        return VGroup(ring, mono(f"{float(share):.2f}", 24, INK).move_to(ring))


class YourTurn(Lecture):
    """What the notebook asks."""

    section = "4.10"

    def construct(self):
        card = notebook_card(
            4,
            [
                ("4.6", "split log p(x) into bound and gap"),
                ("4.1", "write the draw that lets gradients pass"),
                ("4.2", "write the price"),
                ("4.4", "estimate log p(x) from the weights"),
                "break your model: how would one notice?",
            ],
        )
        card.scale(0.95).shift(DOWN * 0.25)
        self.add(heading("4.10", lesson.titles["4.10"]))
        self.say(
            "{card} Now it is your turn. {a} Split log p of x into bound and gap. {b} Write the draw that lets "
            "gradients pass, {c} its price, {d} and the estimate of log p of x. {e} Then break your model on purpose, "
            "and say how one would notice.",
            pause=1.5,
            card=(card.appear(), 0.8),
            a=(card.reveal(0), 0.6),
            b=(card.reveal(1), 0.6),
            c=(card.reveal(2), 0.5),
            d=(card.reveal(3), 0.6),
            e=(card.reveal(4), 0.8),
        )


class Poster(Lecture):
    """The die on the road, and the title."""

    def construct(self):
        net = Network().scale(0.95).shift(DOWN * 1.2)
        wall = Line(UP * 1.3, DOWN * 1.3, color=BAD, stroke_width=16).next_to(net.die, RIGHT, buff=0.18)
        VGroup(net.encoder, net.ways, net.mu, net.sigma, net.into).set_opacity(0.35)
        trail = VGroup(glowing(net.loss.get_left(), net.z.get_right()), glowing(net.z.get_left(), wall.get_right()))
        title = VGroup(words("The bound, the die", 84, weight=BOLD), words("and the estimate", 84, MEAN, weight=BOLD))
        self.add(net, trail, wall, title.arrange(DOWN, buff=0.25).to_edge(UP, buff=0.7))
