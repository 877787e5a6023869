"""Film 5: the learner's own parts become scVI; it is trained, asked, and compared."""

import base64
from collections.abc import Iterable

import numpy as np
import torch
from film import *
from scipy.stats import gamma

from vae_course.distributions import kl_normal, nb_log_prob, poisson_log_prob, zinb_log_prob

TRAINED = "torch.randperm(700, generator=torch.Generator().manual_seed(0))[233:]"  # the cells that section 5.3 fits
FIT = f"[one.item() for one in fit({{}}, counts[{TRAINED}][:, loud[[cst3]]], total[{TRAINED}], 0.0{{}})]"
CELL = "runs.minibatch(held_out.indices[15:16])"  # a B cell
ASKED = "(torch.manual_seed(0), trainer.model.eval().inference({}))[1]"
VALUES = {
    "5.1": {
        "LYZ": "[counts[torch.from_numpy(cell_type == kind), genes.index('LYZ')] "
        "for kind in ('CD14+ Monocyte', 'Dendritic')]",
        "observed": "observed",
        "mu of a Poisson": "mu_poisson[:, 0]",
    },
    "5.2": {
        "mu": "mu_nb[:, 0]",
        "theta": "log_theta.exp().item()",
        "log gammas": "[[torch.lgamma(torch.tensor(v, dtype=t)).item() for v in (1e5 + 7, 1e5)] "
        "for t in (torch.float64, torch.float32)]",
    },
    "5.3": {
        "CST3": "counts[:, loud[cst3]]",
        "totals": "total[:, 0]",
        "kinds": "cell_type.tolist()",
        "nb": FIT.format("nb", ""),
        "zinb": FIT.format("zinb", ", -2.0"),
        "gains": "held_out_gain(counts[:, loud], total)[0].mean(dim=0)",
        "which": "cst3",
    },
    "5.4": {"totals": "log_total", "run": "run", "grid": "grid", "posterior": "post / 0.001", "moments": "moments"},
    "5.5": {"score": "score", "scale": "scale", "rate": "rate"},
    "5.9": {"history": "trainer.history", "weight": "[trainer.kl_weight(epoch) for epoch in range(100)]"},
    "5.10": {
        "map": "drawn",
        "groups": "groups",
        "names": "group_names.tolist()",
        "batches": "batch_index",
        "latent": "latent",
        "genes": "everyone.differential_expression_score(is_b, ~is_b, n_samples=300)"
        "[['gene', 'bayes_factor', 'lfc']].to_dict('list')",
        "cell": CELL,
        "told": ASKED.format(f"*{CELL}[:2]"),
        "swapped": ASKED.format(f"{CELL}[0], 1 - {CELL}[1]"),
        "terms": f"(torch.manual_seed(0), trainer.model.eval().loss_terms(*{CELL}[:2]))[1]",
    },
    "5.11": {"weights": "weights", "theirs": "theirs['log_likelihood']", "mine": "found['log_likelihood']"},
    "5.12": {"pairs": "[[pair[who]['negative_elbo'] for who in names] for pair in pairs]"},
    "5.14": {"maps": "vc.explore.batches()._data", "random": "at_random", "labels": "runs.labels"},
}
lesson = Lesson(5, {section: [*asked.values()] for section, asked in VALUES.items()})
GREY = "#56617A"  # counts as they were observed
LIBRARY = GROUPS[6]
RUNS = [GROUPS[8], GROUPS[7]]  # two batches
BINS = [(0, 0), (1, 2), (3, 5), (6, 10), (11, 20), (21, 40), (41, 400)]
K = np.arange(0, 35.1, 0.25)  # the laws are drawn between the counts as well, by the same formulas
MYELOID = ("CD14+ Monocyte", "Dendritic")
poisson_variance = lesson.number(r"a Poisson at these totals has variance")
gene_variance = lesson.number(r"the gene:.*variance")
theta_printed = lesson.number(r"HLA-DRA in monocytes: theta =")
gain_printed = lesson.number(r"HLA-DRA in monocytes:.*worth")
n_genes = lesson.text(r"from one gene of (\d+)")
pi_printed = lesson.number(r"CST3 alone: .*pi =")
assert round(float(gene_variance) / float(poisson_variance)) == 4


def value(section: str, name: str) -> object:
    """Return what the lesson computed, by the name that it has in this film."""
    return lesson.value(section, VALUES[section][name])


def expected(log_prob, counts: np.ndarray, mu: np.ndarray, *parameters: float) -> np.ndarray:
    """Return the share of cells that a law expects at each count: the mean over cells of their probabilities."""
    k, mu = torch.as_tensor(counts).double(), torch.as_tensor(mu).double()[:, None]
    return log_prob(k, mu, *[torch.tensor(float(one)).double() for one in parameters]).exp().mean(dim=0).numpy()


def plain(printed: str) -> float:
    """Return a printed number, which may have a true minus sign."""
    return float(printed.replace("−", "-"))


def sigmoid(a: np.ndarray) -> np.ndarray:
    """Return the probability of a logit."""
    return 1 / (1 + np.exp(-a))


def lagged(lag: float, animations: Iterable) -> Animation:
    """Return animations that start one after the other."""
    return LaggedStart(*animations, lag_ratio=lag)


def rise(bars: Iterable, lag: float = 0.04) -> Animation:
    """Return bars growing from their feet, one after the other."""
    return lagged(lag, (GrowFromEdge(bar, DOWN) for bar in bars))


def gene_plot() -> tuple[Plot, VGroup]:
    """Return the axes and the histogram of HLA-DRA in the monocytes, which stay through three beats."""
    axes = plot_axes([-0.7, 35.7], [0, 0.15], "count", "share of cells", 10.6, 4.6, x_marks=[0, 10, 20, 30])
    axes.shift(DOWN * 0.75 + LEFT * 0.25)
    return axes, histogram(axes, np.arange(37) - 0.5, value("5.1", "observed"), GREY, 0.9)


def span(axes: Plot, mean: float, variance: str, y: float, name_y: float, color: str) -> tuple[DoubleArrow, Text]:
    """Return an arrow from one standard deviation below a mean to one above it, and the name of the variance."""
    ends = [axes.c2p(mean + side * float(variance) ** 0.5, y) for side in (-1, 1)]
    name = words(f"variance {signed(variance, 0)}", 28, color).move_to(axes.c2p(21, name_y), aligned_edge=LEFT)
    return DoubleArrow(*ends, color=color, stroke_width=5, buff=0, tip_length=0.2), name


class Opening(Lecture):
    chapter = "Counts, and a Poisson that is too narrow"
    section = "5.1"

    def construct(self):
        title, small = words("From our VAE to scVI", 64, weight=BOLD), heading("5.1", lesson.titles["5.1"])
        detected = [lesson.number(rf"{kind}.*LYZ detected in") for kind in (r"CD14\+ Monocyte", "Dendritic")]
        means = [lesson.number(rf"{kind}.*mean count") for kind in (r"CD14\+ Monocyte", "Dendritic")]
        sides = [self.cells(number, x) for number, x in ((0, -3.4), (1, 3.4))]
        bits, counts = (VGroup(side[kind] for side in sides) for kind in (0, 1))
        names = VGroup(side[2] for side in sides)
        alike, unlike = (
            VGroup(words(f"{text}", 32, INK).move_to([x, 2.2, 0]) for text, x in zip(texts, (-3.4, 3.4), strict=True))
            for texts in ([f"detected in {one}%" for one in detected], [f"mean {one} molecules" for one in means])
        )
        self.say(
            "{title} From our VAE to scVI. {bits} So far a gene was a coin: detected, or not. {same} LYZ is "
            f"detected in {detected[0]}% of monocytes, {{too}} and in {detected[1]}% of dendritic cells. {{alike}} "
            "To a coin, they are alike.",
            title=(FadeIn(title, shift=UP * 0.2), 0.8),
            bits=(
                ReplacementTransform(title, small),
                rise([*bits[0], *bits[1]], 0.03),
                1.4,
            ),
            same=(FadeIn(names[0]), FadeIn(alike[0], shift=UP * 0.2), 0.7),
            too=(FadeIn(names[1]), FadeIn(alike[1], shift=UP * 0.2), 0.7),
            alike=lambda: (Indicate(alike[0], color=MEAN), Indicate(alike[1], color=MEAN), 0.9),
        )
        ladder = math("p(0), quad p(1), quad p(2), quad p(3), quad dots.h", 54).set_y(2.3)
        self.say(
            f"{{grow}} Now count the molecules: {{left}} {means[0]} on average here, {{right}} {means[1]} there. "
            "{need} We need a probability for zero, one, two, three, and so on.",
            pause=0.5,
            grow=(Transform(bits, counts), FadeOut(alike), 1.2),
            left=(FadeIn(unlike[0], shift=UP * 0.2), 0.6),
            right=(FadeIn(unlike[1], shift=UP * 0.2), 0.6),
            need=(unlike.animate.shift(DOWN * 0.85).set_opacity(0.0), Write(ladder), 1.6),
        )

    def cells(self, number: int, x: float) -> tuple[VGroup, VGroup, VGroup]:
        """Return twenty cells of a kind as bits, as counts, and the name of the kind."""
        counts, name = value("5.1", "LYZ")[number][:20], MYELOID[number]
        color, bars = GROUPS[value("5.10", "names").index(name)], ([], [])
        for i, count in enumerate(counts):
            for kind, height in enumerate((0.6 if count else 0.03, max(count / 21, 0.03))):
                bar = Rectangle(width=0.2, height=height, stroke_width=0).set_fill(color, 0.9)
                bars[kind].append(bar.move_to([x + (i - 9.5) * 0.27, -2.2, 0], aligned_edge=DOWN))
        label = seated("monocytes" if number == 0 else "dendritic cells", words, 28, color).shift(DOWN * 2.85)
        label.set_x(x)
        return VGroup(*bars[0]), VGroup(*bars[1]), label


class TooNarrow(Lecture):
    section = "5.1"

    def construct(self):
        self.add(heading("5.1", lesson.titles["5.1"]))
        axes, bars = gene_plot()
        poisson = curve(axes, K, expected(poisson_log_prob, K, value("5.1", "mu of a Poisson")), MEAN)
        tag = words("Poisson", 28, MEAN).next_to(axes.c2p(13.2, 0.1), RIGHT, buff=0.2)
        n_cells, mean = lesson.number(r"CD14\+ Monocyte"), float(lesson.number(r"the gene:\s+mean"))
        cards = Choices("12", "about 20", "more than 40").move_to([0.8, 2.4, 0])
        gene = words("HLA-DRA", 30).next_to(axes.c2p(20, 0.105), RIGHT, buff=0.2)
        narrow, little = span(axes, mean, poisson_variance, 0.02, 0.055, MEAN)
        wide, much = span(axes, mean, gene_variance, 0.006, 0.035, INK)
        self.say(
            f"{{bars}} Take HLA-DRA in {n_cells} monocytes. {{each}} Each bar is the share of cells with that count.",
            bars=(FadeIn(gene), lagged(0.15, (FadeIn(axes), rise(bars, 0.04))), 2.0),
            each=lambda: (lagged(0.15, (Indicate(bar, 1.0, MEAN) for bar in bars[:20])), 1.8),
        )
        self.say(
            "{poisson} The simplest law of counts is the Poisson. {equal} Its variance equals its mean: over "
            f"these cells, of many sizes, it would be {signed(poisson_variance, 0)}. {{ask}} What does the gene show?",
            pause=1.6,
            poisson=(Create(poisson), FadeIn(tag), FadeOut(gene), 1.6),
            equal=(GrowFromCenter(narrow), FadeIn(little), 0.9),
            ask=(lagged(0.25, map(cards.offer, range(3))), 1.0),
        )
        self.say(
            f"{{answer}} {signed(gene_variance, 0)}: four times as much. {{burst}} Genes are read in bursts, labels "
            "mix kinds of cells, {room} and a Poisson has no room for that.",
            pause=0.4,
            answer=lambda: (cards.decide(2), GrowFromCenter(wide), FadeIn(much), 0.9),
            burst=lambda: (Indicate(wide, 1.08, INK), 1.2),
            room=lambda: (Indicate(poisson, 1.03, MEAN), Indicate(narrow, 1.08, MEAN), 1.0),
        )


class RateVaries(Lecture):
    """A Poisson whose rate moves leaves its traces, and their mean grows into the negative binomial."""

    chapter = "The negative binomial"
    section = "5.2"

    def construct(self):
        self.add(heading("5.2", lesson.titles["5.2"]))
        self.axes, bars = gene_plot()
        self.add(self.axes, bars)
        self.rates()
        self.theta()

    def rates(self) -> None:
        axes, theta = self.axes, value("5.2", "theta")
        order = np.random.default_rng(1).permutation(60)
        order[:4] = [30, 50, 18, 40]
        rates = gamma.ppf((np.arange(60) + 0.5) / 60, theta, scale=1 / theta)[order]
        mu, k = value("5.2", "mu"), K
        laws = np.array([expected(poisson_log_prob, k, rate * mu) for rate in rates])
        step, live, traces, mean = ValueTracker(0), VMobject(), VGroup(), VMobject()

        def follow(group: VGroup) -> None:
            at = step.get_value()
            before, part = int(at), at - int(at)
            after = min(before + 1, len(rates) - 1)
            rate = (1 - part) * rates[before] + part * rates[after]
            live.become(curve(axes, k, expected(poisson_log_prob, k, rate * mu), NOISE, 5))
            while len(traces) < before:
                traces.add(curve(axes, k, laws[len(traces)], NOISE, 1.5).set_stroke(opacity=0.35))
            if before > 3:
                mean.become(curve(axes, k, laws[: before + 1].mean(axis=0), SPREAD, 6))

        moving = VGroup(live, traces, mean)
        follow(moving)
        self.say(
            "{ask} What is the least we must add? {vary} Let the rate itself vary. {one} Each cell draws its "
            "own rate, {two} and then a Poisson count.",
            ask=(FadeIn(live), 0.8),
            vary=(step.animate.set_value(1), UpdateFromFunc(moving, follow), 1.2),
            one=(step.animate.set_value(2), UpdateFromFunc(moving, follow), 1.6),
            two=(step.animate.set_value(3), UpdateFromFunc(moving, follow), 1.2),
        )
        name = words("negative binomial", 30, SPREAD).next_to(axes.c2p(19, 0.05), RIGHT, buff=0.2)
        self.say(
            "{many} Take many cells, with many rates. {wide} On average, they make one wide curve: the "
            "negative binomial.",
            pause=0.4,
            many=(step.animate(rate_func=linear).set_value(59), UpdateFromFunc(moving, follow), 2.0),
            wide=lambda: (FadeOut(live), FadeOut(traces), FadeIn(name), 1.2),
        )
        self.mean, self.name = mean, name

    def theta(self) -> None:
        axes, mu, k = self.axes, value("5.2", "mu"), K
        formula = math('"variance" = {{mu : m}} + {{mu^2 : n}} / {{theta : t}}', 50).move_to([2.6, 2.35, 0])
        for label, color in (("m", MEAN), ("n", MEAN), ("t", SPREAD)):
            formula.select(label).set_color(color)
        log_theta = ValueTracker(np.log(value("5.2", "theta")))

        def law(shown: VMobject) -> None:
            shown.become(curve(axes, k, expected(nb_log_prob, k, mu, np.exp(log_theta.get_value())), SPREAD, 6))

        def reading() -> Text:
            text = f"θ = {np.exp(log_theta.get_value()):.1f}"
            return mono(text, 30, SPREAD).move_to([-3.2, 2.35, 0], aligned_edge=LEFT)

        shown = always_redraw(reading)
        self.say(
            "{formula} Its variance is mu, plus mu squared over theta. {theta} Theta says how tightly the "
            "rates sit around their mean. {large} Let it grow, and the Poisson is back. {small} Let it shrink, "
            "and the curve grows wide.",
            formula=(Write(formula), FadeOut(self.name), 1.2),
            theta=(FadeIn(shown), 0.6),
            large=(log_theta.animate.set_value(np.log(200)), UpdateFromFunc(self.mean, law), 1.6),
            small=(log_theta.animate.set_value(np.log(0.9)), UpdateFromFunc(self.mean, law), 1.6),
        )
        poisson = curve(axes, k, expected(poisson_log_prob, k, value("5.1", "mu of a Poisson")), MEAN, 3)
        brace = mono(f"+{gain_printed} nats a cell", 30, GOOD).move_to([4.0, -0.6, 0])
        self.say(
            f"{{best}} Downhill on minus the log-probability, this gene stops at {theta_printed}. {{gain}} A cell "
            f"gains {gain_printed} nats, the unit of natural logs, in one gene of {n_genes}.",
            pause=0.5,
            best=(log_theta.animate.set_value(np.log(value("5.2", "theta"))), UpdateFromFunc(self.mean, law), 1.8),
            gain=(Create(poisson), FadeIn(brace, shift=UP * 0.2), 1.2),
        )


class SeventhDigit(Lecture):
    """Two numbers of a million, of which seven digits are kept, and their difference."""

    section = "5.2"

    def construct(self):
        head = heading("5.2", lesson.titles["5.2"])
        self.add(head)
        code = listing(lesson.lines("gammas = torch.lgamma(x + theta)").strip(), 20).move_to(UP * 2.0)
        cards = Choices("less than 0.001", "about 0.1", "NaN").move_to(DOWN * 2.95)
        large = math("theta = 10^5", 80, SPREAD).move_to(DOWN * 0.5)
        self.say(
            "{card} Type its formula as it stands, in 32-bit numbers, {large} with theta at a hundred "
            "thousand. {ask} How far off will it be?",
            pause=1.5,
            card=(FadeIn(code), 0.7),
            large=(FadeIn(large, shift=UP * 0.2), 0.7),
            ask=(lagged(0.25, map(cards.offer, range(3))), 1.0),
        )
        exact, kept = value("5.2", "log gammas")
        rows, lost, results = self.rows(exact, kept)
        error = signed(lesson.number(r"theta\s+100000\s.*error of float32"), 2)
        self.say(
            "{two} Two of its terms are near a million. {seven} Seven digits are kept, {gone} and the rest "
            f"is gone. {{minus}} But we want the difference. {{error}} It is off by {error} nats.",
            two=(lagged(0.7, (FadeOut(large), FadeIn(rows[:2], shift=UP * 0.2))), 1.2),
            seven=lambda: (lost.animate.set_color(BAD), 0.8),
            gone=(FadeIn(rows[2], shift=RIGHT * 0.3), 0.9),
            minus=(Create(results[0]), FadeIn(results[1]), 0.9),
            error=lambda: (cards.decide(1), results[1][1].animate.set_color(BAD), 1.2),
        )
        mend = math("log theta / (theta + mu) = - log(1 + mu / theta)", 48).move_to(DOWN * 0.2)
        double, log1p = (
            mono(text, 28, GOOD).move_to([x, -1.7, 0])
            for text, x in (("x.double()", 3.4), ("torch.log1p(mu / theta)", -1.6))
        )
        self.say(
            "{mend} The cure: 64-bit numbers, {log} and never theta plus mu inside a logarithm.",
            pause=0.5,
            mend=lambda: (lagged(0.8, (FadeOut(self.others(head, code)), FadeIn(double))), 1.0),
            log=(Write(mend), FadeIn(log1p), 1.2),
        )

    def rows(self, exact: list[float], kept: list[float]) -> tuple[VGroup, VGroup, VGroup]:
        """Return the two exact numbers and what is kept of them, the digits that get lost, and the differences."""
        names = VGroup(math(one, 40) for one in ("log Gamma(x + theta)", "log Gamma(theta)"))
        texts = [f"{one:,.4f}" for one in exact]
        numbers = VGroup(mono(text, 34) for text in texts)
        stored = VGroup(mono(f"{one:,.2f}", 34, DIM) for one in kept)
        for i, y in enumerate((0.0, -0.85)):
            names[i].move_to([-2.9, y, 0], aligned_edge=RIGHT)
            numbers[i].move_to([1.6, y, 0], aligned_edge=RIGHT)
            stored[i].move_to([5.8, y, 0], aligned_edge=RIGHT)
        lost = VGroup(piece(number, text[-5:]) for number, text in zip(numbers, texts, strict=True))
        rule = VGroup(Line([x - 3.5, -1.35, 0], [x, -1.35, 0], color=DIM, stroke_width=3) for x in (1.6, 5.8))
        gaps = VGroup(mono(f"{exact[0] - exact[1]:.4f}", 34), mono(f"{kept[0] - kept[1]:.2f}", 34))
        for gap, x in zip(gaps, (1.6, 5.8), strict=True):
            gap.move_to([x, -1.85, 0], aligned_edge=RIGHT)
        heads = VGroup(
            words("exact", 24, DIM).move_to([1.6, 0.6, 0], RIGHT),
            words("32 bits", 24, DIM).move_to([5.8, 0.6, 0], RIGHT),
        )
        return VGroup(VGroup(names, heads[0]), numbers, VGroup(stored, heads[1])), lost, VGroup(rule, gaps)


class Zeros(VGroup):
    """CST3 in bins of counts: `bars` as observed, `law(...)` as expected, the share of extra zeros in pink."""

    def __init__(self):
        super().__init__()
        names = [f"{low}" if low == high else f"{low}–{high}" if high < 400 else f"{low}+" for low, high in BINS]
        self.axes = plot_axes(
            [-0.6, 6.6], [0, 0.5], "count", "share of cells", 10.6, 4.4, x_marks=dict(enumerate(names))
        ).shift(DOWN * 0.85 + LEFT * 0.25)
        counts, kinds = value("5.3", "CST3"), np.array(value("5.3", "kinds"))
        self.shares = [self.share(counts[kinds == kind]) for kind in MYELOID]
        self.shares.append(self.share(counts[~np.isin(kinds, MYELOID)]))
        self.bars = histogram(self.axes, np.arange(8) - 0.5, sum(self.shares), GREY, 0.9)
        self.add(self.axes, self.bars)

    def share(self, counts: np.ndarray) -> np.ndarray:
        """Return the cells in every bin, as a share of all 700."""
        return np.array([np.mean((counts >= low) & (counts <= high)) for low, high in BINS]) * len(counts) / 700

    def law(self, log_share: float, log_theta: float, logit: float) -> VGroup:
        """Return outlines of what a ZINB expects in every bin; its extra zeros are filled with pink."""
        mu, counts = value("5.3", "totals") * np.exp(log_share), np.arange(401)
        law = expected(zinb_log_prob, counts, mu, np.exp(log_theta), logit)
        shares = [law[low : high + 1].sum() for low, high in BINS]
        extra, group = sigmoid(logit), VGroup()
        for i, share in enumerate(shares):
            group.add(self.box(i, 0, share, SPREAD).set_fill(opacity=0))
        group.add(
            self.box(0, shares[0] - extra, shares[0], NOISE)
            .set_fill(NOISE, 0.55)
            .set_stroke(width=5 * min(1, 50 * extra))
        )
        return group

    def stacks(self, colors: list[str]) -> VGroup:
        """Return the cells of every kind as bars on top of each other."""
        base, stacks = np.zeros(len(BINS)), VGroup()
        for shares, color in zip(self.shares, colors, strict=True):
            boxes = VGroup(self.box(i, base[i], base[i] + share, color, 0.46) for i, share in enumerate(shares))
            stacks.add(boxes.set_stroke(width=0).set_fill(color, 0.95))
            base += shares
        return stacks

    def box(self, i: int, low: float, high: float, color: str, half: float = 0.3) -> Polygon:
        corners = [(i - half, low), (i + half, low), (i + half, high), (i - half, high)]
        return Polygon(*[self.axes.c2p(*corner) for corner in corners], color=color, stroke_width=5)


class Coin(Lecture):
    chapter = "Extra zeros, and who needs them"
    section = "5.3"

    def construct(self):
        self.add(heading("5.3", lesson.titles["5.3"]))
        assert lesson.text(r"(Two thirds of the matrix are zeros)")
        plot, nb, zinb = Zeros(), np.array([*value("5.3", "nb"), -12.0]), np.array(value("5.3", "zinb"))
        law = plot.law(*nb)
        gene = words("CST3", 30).move_to([0.5, 1.6, 0])
        tag = words("negative binomial", 28, SPREAD).next_to(plot.axes.c2p(1.4, 0.2), RIGHT, buff=0.2)
        self.say(
            "{zeros} Two thirds of the matrix are zeros. {bars} Here is CST3, in all 700 cells. {nb} The "
            "negative binomial makes zeros, {miss} but too many ones and twos.",
            zeros=(FadeIn(plot.axes), GrowFromEdge(plot.bars[0], DOWN), 1.0),
            bars=(rise(plot.bars[1:], 0.1), FadeIn(gene), 1.4),
            nb=(Create(law, lag_ratio=0.1), FadeIn(tag), 1.4),
            miss=lambda: (Indicate(law[1], 1.15, BAD), 1.0),
        )
        coin = VGroup(Circle(0.62, color=NOISE, stroke_width=5).set_fill("#2A1520", 1), math("pi", 52, NOISE))
        coin.move_to([0.4, 1.2, 0])
        fall = [Dot(coin.get_center(), radius=0.12, color=color) for color in (NOISE, SPREAD)]
        zero, other = plot.axes.c2p(0, 0.02), plot.axes.c2p(4, 0.02)
        at = ValueTracker(0)

        def follow(group: VGroup) -> None:
            share = at.get_value()
            extra = max(share * self.pi(zinb), 1e-6)
            logit = np.log(extra / (1 - extra))
            group.become(plot.law(*((1 - share) * nb + share * zinb)[:2], logit))

        readout = always_redraw(
            lambda: mono(f"π = {at.get_value() * self.pi(zinb):.2f}", 30, NOISE).move_to([2.3, 1.2, 0])
        )
        self.say(
            "{coin} So throw a coin first. {heads} With probability pi the count is zero, whatever the rest "
            f"says. {{tails}} Otherwise, it is negative binomial. {{fill}} Turn pi up to {pi_printed}, and the "
            "zeros fill. {name} That is ZINB, the zero-inflated negative binomial.",
            pause=0.4,
            coin=(FadeOut(tag), FadeOut(gene), FadeIn(coin, scale=0.5), 0.9),
            heads=lambda: (Rotate(coin, TAU, RIGHT), self.throw(fall[0], zero), 1.6),
            tails=lambda: (Rotate(coin, TAU, RIGHT), self.throw(fall[1], other), FadeIn(readout), 1.4),
            fill=lambda: (at.animate.set_value(1), UpdateFromFunc(law, follow), FadeOut(*fall), 1.8),
            name=lambda: (Indicate(law[-1], 1.06, NOISE), 1.0),
        )

    @staticmethod
    def pi(zinb: np.ndarray) -> float:
        """Return pi; it must be what the lesson prints."""
        pi = sigmoid(zinb[2])
        assert f"{pi:.2f}" == pi_printed
        return pi

    @staticmethod
    def throw(dot: Dot, goal: np.ndarray) -> Animation:
        """Return a count falling from the coin into its bin."""
        path = ArcBetweenPoints(dot.get_center(), goal, angle=-0.7 if goal[0] > dot.get_x() else 0.7)
        return MoveAlongPath(dot, path)


class WhoNeeds(Lecture):
    """What extra zeros gain in a hundred genes, and whose zeros those of CST3 are."""

    section = "5.3"

    def construct(self):
        head, prove = heading("5.3", lesson.titles["5.3"]), self.many_zeros()
        self.add(head)
        cards = Choices("about 100 nats", "about 10", "about 1").set_y(2.4)
        total = lesson.number(r"extra zeros, 100 genes together:")
        assert round(float(total)) == 1
        gains, which = value("5.3", "gains"), value("5.3", "which")
        axes = plot_axes(
            [-1, 100], [0, 0.3], "gene", "gain in held-out cells, nats", 10.6, 3.6, y_marks=[0, 0.1, 0.2, 0.3]
        )
        axes.shift(DOWN * 1.2)
        bars = VGroup(self.gain(axes, i, one, NOISE if i == which else GREY) for i, one in enumerate(gains))
        cst3 = words("CST3", 28, NOISE).next_to(bars[which], RIGHT, buff=0.25).set_y(axes.c2p(0, 0.21)[1])
        genes = VGroup(Dot(axes.c2p(i, 0), radius=0.05, color=LATENT) for i in range(100))
        self.say(
            "{small} Many zeros prove little: {mean} a small mean {theta} or a small theta makes them, too. {ask} "
            "So in the hundred loudest genes together, {count} what are extra zeros worth?",
            pause=1.3,
            small=(FadeIn(prove[0][0]), FadeIn(prove[1][0]), 0.9),
            mean=(rise(prove[0][1]), FadeIn(prove[0][2]), 0.8),
            theta=(rise(prove[1][1]), FadeIn(prove[1][2]), 1.0),
            ask=(
                lagged(
                    0.4,
                    (FadeOut(prove), FadeIn(axes), lagged(0.02, (GrowFromCenter(gene) for gene in genes))),
                ),
                1.6,
            ),
            count=(lagged(0.25, map(cards.offer, range(3))), 1.4),
        )
        self.say(
            "{one} About one. {cst} But CST3 stands out. Did the machine lose it in "
            f"{float(pi_printed) * 100:.0f}% of the cells?",
            pause=0.6,
            one=lambda: (
                cards.decide(2),
                FadeOut(genes),
                lagged(0.02, (GrowFromEdge(bar, DOWN if bar.get_y() > axes.c2p(0, 0)[1] else UP) for bar in bars)),
                1.2,
            ),
            cst=lambda: (FadeIn(cst3, shift=LEFT * 0.2), 0.7),
        )
        self.kinds(head)

    @staticmethod
    def many_zeros() -> VGroup:
        """Return two negative binomials without extra zeros, of a small mean and of a small theta: axes, bars, name."""
        plots, k = VGroup(), np.arange(11)
        for x, name, color, law in ((-3.3, "a small mean", MEAN, (0.5, 5.0)), (3.3, "a small θ", SPREAD, (5.0, 0.15))):
            shares = expected(nb_log_prob, k, [law[0]], law[1])
            assert 0.55 < shares[0] < 0.65
            axes = plot_axes([-0.6, 10.6], [0, 0.7], "count", "share of cells", 4.4, 3.6, x_marks=[0, 5, 10])
            bars = histogram(axes.move_to([x, -0.7, 0]), np.arange(12) - 0.5, shares, GREY, 0.9)
            bars[0].set_fill(color, 0.9)
            plots.add(VGroup(axes, bars, words(name, 30, color).move_to(axes.c2p(5.5, 0.4))))
        return plots

    @staticmethod
    def gain(axes: Plot, i: int, gain: float, color: str) -> Polygon:
        corners = [(i - 0.4, 0), (i + 0.4, 0), (i + 0.4, gain), (i - 0.4, gain)]
        return Polygon(*[axes.c2p(*corner) for corner in corners], stroke_width=0).set_fill(color, 1)

    def kinds(self, head: VGroup) -> None:
        """Colour the counts of CST3 by kind of cell, take away who does not make it, and look at dendritic cells."""
        plot, names = Zeros(), value("5.10", "names")
        colors = [*[GROUPS[names.index(kind)] for kind in MYELOID], DIM]
        law = plot.law(*value("5.3", "zinb"))
        stacks = plot.stacks(colors)
        tags = VGroup(
            words(name, 26, color)
            for name, color in zip(("monocytes", "dendritic", "other kinds"), colors, strict=True)
        )
        tags.arrange(DOWN, buff=0.22, aligned_edge=LEFT).move_to([3.6, 1.5, 0])
        readout = self.reading(plot, pi_printed, "in all cells", NOISE)
        inside = lesson.number(r"CST3 in the 240 cells called Dendritic:.*pi =")
        none = self.reading(plot, inside, "in dendritic cells", GOOD)
        assert float(inside) == 0
        z = node("z", LATENT).next_to(tags, LEFT, buff=0.6)
        foot = plot.axes.c2p(0, 0)[1]
        stacks[1].save_state()
        self.play(lagged(0.7, (FadeOut(self.others(head)), FadeIn(plot, law, readout))), run_time=0.9)
        self.say(
            "Colour the cells {color} by kind. {away} CST3 is a myeloid gene: T and B cells do not make it. "
            "{inside} Within dendritic cells, pi is zero. {so} Those zeros were other kinds of cells, and a "
            "latent z can say so without a coin.",
            pause=0.4,
            color=(FadeIn(stacks), FadeOut(law, plot.bars, readout), FadeIn(tags), 1.2),
            away=lambda: (
                stacks[2].animate.shift(RIGHT * 3 + DOWN * 0.2).set_opacity(0),
                tags[2].animate.set_opacity(0.25),
                1.8,
            ),
            inside=lambda: (
                stacks[0].animate.set_opacity(0),
                *[one.animate.set_y(foot + one.height / 2) for one in stacks[1]],
                tags[0].animate.set_opacity(0.25),
                FadeIn(none, shift=LEFT * 0.2),
                1.2,
            ),
            so=lambda: (
                stacks[0].animate.set_fill(opacity=0.95),
                stacks[1].animate.restore(),
                tags.animate.set_opacity(1),
                stacks[2].animate.shift(LEFT * 3 + UP * 0.2).set_fill(opacity=0.95),
                FadeOut(none),
                FadeIn(z, shift=RIGHT * 0.3),
                1.6,
            ),
        )

    @staticmethod
    def reading(plot: Zeros, pi: str, note: str, color: str) -> VGroup:
        """Return a pi beside the zeros, and the cells that it was fitted to."""
        both = VGroup(mono(f"π = {pi}", 30, color), words(note, 26, color)).arrange(DOWN, buff=0.15, aligned_edge=LEFT)
        return both.next_to(plot.axes.c2p(0.6, 0.4), RIGHT, buff=0.2)


class SizeIsLatent(Lecture):
    """Log totals of two runs with their priors; then one shallow cell, and its posterior."""

    chapter = "The library"
    section = "5.4"

    def construct(self):
        self.add(heading("5.4", lesson.titles["5.4"]))
        axes, tall = (
            plot_axes([4.8, 7.6], [0, top], math("l", 44, LIBRARY), "density", 10.6, 4.6, x_marks=[5, 6, 7]).shift(
                DOWN * 0.7 + LEFT * 0.3
            )
            for top in (1.9, 7.2)
        )
        piles, priors = picture_of_runs(axes)
        flat_piles, flat_priors = picture_of_runs(tall)
        tags = VGroup(
            words(name, 28, color) for name, color in zip(("run 1: deep", "run 2: shallow"), RUNS, strict=True)
        )
        tags[0].move_to(axes.c2p(7.15, 1.55)), tags[1].move_to(axes.c2p(5.2, 1.72))
        self.say(
            "{first} How large is a cell? Here are the log totals {deep} of two runs. {second} The second "
            "one caught less.",
            first=(lagged(0.2, (FadeIn(axes), rise(piles[0], 0.04))), 2.0),
            deep=(FadeIn(tags[0], shift=LEFT * 0.2), 0.6),
            second=(rise(piles[1], 0.04), FadeIn(tags[1]), 1.3),
        )
        formula = math("p(l) = cal(N)(m_b, v_b)", 48, LIBRARY).move_to(axes.c2p(6.25, 1.9) + UP * 0.45)
        self.say(
            "{latent} scVI makes the size a second latent, l, {deep} and gives each batch its own prior. "
            "{why} With one prior for both, every shallow cell would pay for what its run did.",
            pause=0.4,
            latent=(Write(formula), 0.9),
            deep=(Create(priors[0]), Create(priors[1]), 1.4),
            why=lambda: (Indicate(priors[1], 1.04, RUNS[1]), Indicate(tags[1], 1.1, RUNS[1]), 1.4),
        )
        cell, post = one_cell(tall)
        self.say(
            "{cell} Take one shallow cell. {post} Its posterior stands at its total, and it is narrow.",
            pause=0.5,
            cell=lambda: (
                FadeOut(tags[0]),
                FadeOut(formula),
                FadeIn(cell, shift=DOWN * 0.3),
                FadeOut(tags[1]),
                Transform(piles, flat_piles),
                Transform(priors, flat_priors),
                1.2,
            ),
            post=lambda: (
                piles[0].animate.set_opacity(0.1),
                priors[0].animate.set_stroke(opacity=0.15),
                Create(post),
                1.4,
            ),
        )


def picture_of_runs(axes: Plot) -> tuple[VGroup, VGroup]:
    """Return the log totals of two runs as histograms, and their priors."""
    totals, run, (means, variances) = value("5.4", "totals"), value("5.4", "run"), value("5.4", "moments")
    edges, grid = np.linspace(4.8, 7.6, 29), np.linspace(4.8, 7.6, 141)
    piles, priors = VGroup(), VGroup()
    for b, color in enumerate(RUNS):
        piles.add(histogram(axes, edges, np.histogram(totals[run == b], edges, density=True)[0], color, 0.4))
        density = np.exp(-((grid - means[b]) ** 2) / (2 * variances[b])) / np.sqrt(2 * np.pi * variances[b])
        priors.add(curve(axes, grid, density, color, 6))
    return piles, priors


def one_cell(axes: Plot) -> tuple[VGroup, VMobject]:
    """Return the mark of the lesson's shallow cell at its log total, and its posterior."""
    total = value("5.4", "totals")[1]
    assert f"{total:.2f}" == lesson.number(r"observed log total")
    line = DashedLine(axes.c2p(total, 0), axes.c2p(total, 7.2), color=INK, stroke_width=3)
    grid, density = value("5.4", "grid"), value("5.4", "posterior")
    near = (grid > 4.8) & (grid < 7.6)
    post = curve(axes, grid[near][::5], density[near][::5], LIBRARY, 6)
    return VGroup(line, Dot(axes.c2p(total, 0), radius=0.11, color=INK)), post


class ThreeLibraries(Lecture):
    section = "5.4"

    def construct(self):
        self.add(heading("5.4", lesson.titles["5.4"]))
        axes = plot_axes([4.8, 7.6], [0, 7.2], math("l", 44, LIBRARY), "density", 10.6, 4.6, x_marks=[5, 6, 7]).shift(
            DOWN * 0.7 + LEFT * 0.3
        )
        piles, priors = picture_of_runs(axes)
        cell, post = one_cell(axes)
        piles[0].set_opacity(0.1), priors[0].set_stroke(opacity=0.15)
        picture = VGroup(axes, piles, priors, cell, post)
        self.add(picture)
        x = 1.7
        names = [
            ("p(l)", "of a batch", RUNS[1]),
            ("q(l|x)", "of a cell", LIBRARY),
            ("log N", "total N: a number", INK),
        ]
        rows = VGroup()
        for i, (formula, note, color) in enumerate(names):
            left = math(formula, 44, color).move_to([x, 2.0 - 1.05 * i, 0], aligned_edge=LEFT)
            rows.add(VGroup(left, words(note, 28, color).move_to([x + 1.8, 2.0 - 1.05 * i, 0], aligned_edge=LEFT)))
        self.say(
            "{three} So three things are called library. {prior} The prior belongs to a batch, {post} q of l "
            "given x to a cell, {total} and the observed total is just a number.",
            pause=0.4,
            three=lambda: (piles.animate.set_opacity(0.1), 0.8),
            prior=lambda: (FadeIn(rows[0], shift=LEFT * 0.2), Indicate(priors[1], 1.05, RUNS[1]), 1.0),
            post=lambda: (FadeIn(rows[1], shift=LEFT * 0.2), post.animate.set_fill(LIBRARY, 0.25), 1.0),
            total=lambda: (FadeIn(rows[2], shift=LEFT * 0.2), Indicate(cell[1], 2.0, INK), 1.0),
        )
        given = box(math('"ELBO"', 56), "total given", 3.0, 1.8, INK).move_to([-1.2, -1.2, 0])
        inferred = box(math('"ELBO"', 56, LIBRARY), "l inferred", 3.0, 1.8, LIBRARY).move_to([4.4, -1.2, 0])
        apart = math("eq.not", 90, BAD).move_to([1.6, -1.2, 0])
        counts = -np.sort(-value("5.10", "cell")[0][0])[[0, 1, 3, 8, 20, 60, 200, 400]]
        counts = counts_column(counts, side=0.36).squares.move_to([-5.6, -0.9, 0])
        tag = words("the counts", 28).next_to(counts, DOWN, buff=0.25)
        self.say(
            "{handed} scvi-tools takes that number by default. {given} But such a model is handed a function "
            "of the very counts it scores. {never} Never compare its ELBO with that of a model that infers l.",
            pause=0.5,
            handed=lambda: (
                rows[2].animate.move_to([-1.2, 1.6, 0]),
                lagged(
                    0.6,
                    (
                        FadeOut(picture, rows[:2]),
                        FadeIn(given, shift=UP * 0.2),
                        GrowArrow(way([-1.2, 1.3, 0], given.get_top())),
                    ),
                ),
                1.6,
            ),
            given=lambda: (
                FadeIn(counts, tag),
                GrowArrow(way([-5.3, 0.7, 0], rows[2].get_left(), MEAN, 0.2)),
                GrowArrow(way([-5.3, -1.2, 0], given.get_left(), MEAN)),
                1.0,
            ),
            never=(FadeIn(inferred, shift=LEFT * 0.3), FadeIn(apart, scale=1.6), 1.0),
        )


class Shares(Lecture):
    section = "5.5"
    chapter = "Three heads, the dispersion, two KLs"

    def construct(self):
        self.add(heading("5.5", lesson.titles["5.5"]))
        code = listing(bare(lesson.lines("scale = torch.softmax", "rate = torch.exp(library)")), 22).move_to(UP * 2.1)
        code.lines[1].set_opacity(0)
        score, scale, rate = (value("5.5", name) for name in ("score", "scale", "rate"))
        stages = [
            [self.bars(row, height, x, f, color) for row, x, f in zip(rows, (-3.2, 3.2), forms, strict=True)]
            for rows, height, forms, color in (
                (score, 0.7, "00", DIM),
                (scale, 3.4, "44", INK),
                (rate, 3.4 / 1000, "31", MEAN),
            )
        ]
        one, two, three = (VGroup(*stage) for stage in stages)
        assert [round(total) for total in rate.sum(axis=1)] == [10, 1000]
        for row, digits, total in ((scale[0], 4, 1), (rate[0], 3, 10), (rate[1], 1, 1000)):
            assert f"{sum(round(float(one), digits) for one in row):.{digits}f}" == f"{total:.{digits}f}"
        unit, sums = (
            VGroup(words(text, 28, color).move_to([x, -3.2, 0]) for text, x in zip(texts, (-3.2, 3.2), strict=True))
            for texts, color in ((("sum 1", "sum 1"), INK), (("sum 10 molecules", "sum 1,000 molecules"), LIBRARY))
        )
        alike = VGroup(bar[0].copy().set_fill(opacity=0).set_stroke(DIM, 2) for bar in two[0])
        alike.add(words("outlines: 100 times as tall", 26, DIM).next_to(alike[0], RIGHT, buff=0.25, aligned_edge=UP))
        self.say(
            "{score} The decoder's last layer scores each gene. {soft} A softmax turns scores into shares: "
            "positive, with sum one. {lib} Times e to the l, they become rates: {big} a thousand molecules in one "
            "cell, {small} and ten in the other. On the same scale, {alike} you hardly see them.",
            score=(FadeIn(one, shift=UP * 0.2), 1.0),
            soft=lambda: (
                ReplacementTransform(one, two),
                FadeIn(unit, code),
                1.4,
            ),
            lib=lambda: (code.lines[1].animate.set_opacity(1), 0.9),
            small=lambda: (
                ReplacementTransform(two[0], three[0]),
                lagged(0.6, (FadeOut(unit[0]), FadeIn(sums[0]))),
                0.9,
            ),
            big=lambda: (
                ReplacementTransform(two[1], three[1]),
                lagged(0.6, (FadeOut(unit[1]), FadeIn(sums[1]))),
                1.0,
            ),
            alike=(FadeIn(alike), 0.8),
        )
        self.say(
            "{what} What kind of cell, {much} and how much of it was caught, have been taken apart.",
            pause=0.4,
            what=lambda: (Indicate(code.lines[0], 1.05, MEAN), 0.9),
            much=lambda: (Indicate(code.lines[1], 1.05, LIBRARY), 0.9),
        )

    @staticmethod
    def bars(values: np.ndarray, height: float, x: float, digits: str, color: str) -> VGroup:
        """Return three bars on a line, a gene each, with their values below."""
        group = VGroup()
        for i, one in enumerate(values):
            bar = Rectangle(width=1.1, height=max(one * height, 0.03), stroke_width=0).set_fill(color, 0.85)
            bar.move_to([x + 1.5 * (i - 1), -2.35, 0], aligned_edge=DOWN)
            group.add(VGroup(bar, mono(f"{one:.{digits}f}", 24).next_to(bar, DOWN, buff=0.15)))
        return group


class ThreeHeads(Lecture):
    section = "5.5"

    def construct(self):
        head = heading("5.5", lesson.titles["5.5"])
        self.add(head)
        z = node("z", LATENT).move_to([-5.6, 1.0, 0])
        batch = VGroup(Square(0.45, color=RUNS[b], stroke_width=3).set_fill(RUNS[b], float(b == 0)) for b in (0, 1))
        batch.arrange(RIGHT, buff=0.08).move_to([-5.6, -0.9, 0])
        tag = words("batch", 24, DIM).next_to(batch, DOWN, buff=0.2)
        trunk = trapezoid("px_decoder", narrow="left", width=2.4, height=2.6, size=24).move_to([-2.9, 0.05, 0])
        ways_in = VGroup(way(z.get_right(), [-4.2, 0.3, 0]), way(batch.get_right(), [-4.1, -0.25, 0]))
        heads, outs, ways = VGroup(), VGroup(), VGroup()
        for y, name, formula, color in (
            (2.0, "px_scale", 'mu = e^l dot "share"', MEAN),
            (0.05, "px_r", "theta = e^r", SPREAD),
            (-1.9, "px_dropout", "pi = sigma(a)", NOISE),
        ):
            frame = RoundedRectangle(0.15, width=2.9, height=1.0, color=color, stroke_width=4).set_fill(GROUND, 1)
            heads.add(VGroup(frame, mono(name, 26, color)).move_to([1.3, y, 0]))
            outs.add(math(formula, 46, color).move_to([3.3, y, 0], aligned_edge=LEFT))
            ways.add(way([-1.7, 0.05 + 0.35 * y, 0], heads[-1].get_left()))
        self.say(
            "{trunk} One trunk reads z, {batch} and the batch as a one-hot column. {heads} Three heads share "
            "it: {scale} shares, for mu; {r} the logarithm of theta, if you wish; {drop} and the logit of pi: "
            "log-odds, any number.",
            trunk=(FadeIn(z, scale=0.7), GrowArrow(ways_in[0]), FadeIn(trunk, shift=RIGHT * 0.2), 0.9),
            batch=(FadeIn(batch), FadeIn(tag), GrowArrow(ways_in[1]), 0.9),
            heads=(
                lagged(
                    0.2,
                    (
                        AnimationGroup(GrowArrow(one), FadeIn(head, shift=RIGHT * 0.2))
                        for one, head in zip(ways, heads, strict=True)
                    ),
                ),
                1.1,
            ),
            scale=(Write(outs[0]), 0.9),
            r=(Write(outs[1]), 0.9),
            drop=(Write(outs[2]), 0.9),
        )
        self.slip(self.others(head))

    def slip(self, before: Group) -> None:
        """Squeeze logits into 0 to 1, and see what their sigmoids become."""
        axes = plot_axes(
            [-6, 6],
            [0, 1],
            math("a", 44, NOISE),
            math("pi", 44, NOISE),
            9.6,
            4.4,
            x_marks=[-6, 0, 1, 6],
            y_marks=[0, 0.5, 1],
        ).shift(DOWN * 0.3)
        logits = np.linspace(-5, 3, 9)
        assert np.allclose(sigmoid(np.array([0, 1])), [0.5, 0.73], atol=0.005)
        line = curve(axes, np.linspace(-6, 6, 121), sigmoid(np.linspace(-6, 6, 121)), DIM, 4)
        points = VGroup(Dot(axes.c2p(a, sigmoid(a)), radius=0.1, color=NOISE) for a in logits)
        squeeze = ValueTracker(0)

        def follow(group: VGroup) -> None:
            for dot, a in zip(group, logits, strict=True):
                now = (1 - squeeze.get_value()) * a + squeeze.get_value() * sigmoid(a)
                dot.move_to(axes.c2p(now, sigmoid(now)))

        low, high = sigmoid(0.0), sigmoid(1.0)
        band_ = Rectangle(width=9.6, height=axes.c2p(0, high)[1] - axes.c2p(0, low)[1], stroke_width=0).set_fill(
            BAD, 0.22
        )
        band_.move_to((axes.c2p(0, low) + axes.c2p(0, high)) / 2)
        limit = words(f"{low:.1f} to {high:.2f}", 28, INK).next_to(band_, LEFT, buff=-2.9).shift(UP * 0.1)
        self.say(
            "{slip} A slip: the logit goes through a sigmoid, and then to a loss that takes logits. {squeeze} "
            "No error: a number from 0 to 1 is a fine logit. {half} But now every gene has a pi of at least one "
            "half.",
            pause=0.5,
            slip=(
                lagged(
                    0.5,
                    (
                        FadeOut(before),
                        AnimationGroup(FadeIn(axes), Create(line)),
                        lagged(0.05, (FadeIn(dot, scale=0.5) for dot in points)),
                    ),
                ),
                2.0,
            ),
            squeeze=(squeeze.animate.set_value(1), UpdateFromFunc(points, follow), 2.0),
            half=(FadeIn(band_), FadeIn(limit), 1.0),
        )


class Dispersion(Lecture):
    section = "5.6"

    def construct(self):
        self.add(heading("5.6", lesson.titles["5.6"]))
        grid = VGroup(
            VGroup(Square(0.5, stroke_width=0).set_fill(FAINT, 1) for _ in range(10)).arrange(RIGHT, buff=0.07)
            for _ in range(8)
        )
        grid.arrange(DOWN, buff=0.07).move_to([-3.0, -0.3, 0])
        sides = VGroup(
            words("cells", 24, DIM).next_to(grid, LEFT, buff=0.3), words("genes", 24, DIM).next_to(grid, UP, buff=0.2)
        )
        column = VGroup(row[6] for row in grid)
        theta = math("theta", 72, SPREAD).move_to([2.2, 0.5, 0])
        one, rest = grid[3][6], VGroup(cell for cell in column if cell is not grid[3][6])
        modes = [lesson.text(rf'\| `"({mode})"` \| \(') for mode in ("gene-cell", "gene", "gene-batch")]
        names = [mono(mode, 34, SPREAD).move_to([2.9, 0.5, 0], aligned_edge=LEFT) for mode in modes]
        self.say(
            "{ask} Should theta come from the decoder, too? {cell} One for each gene and cell would be guessed "
            "from a single count. {gene} One for each gene learns from all of them. {mid} Between lie batches, "
            "and labels.",
            pause=0.5,
            ask=(FadeIn(grid, lag_ratio=0.02), FadeIn(sides), FadeIn(theta), 1.2),
            cell=lambda: (one.animate.set_fill(SPREAD, 1), FadeIn(names[0], shift=UP * 0.2), 0.9),
            gene=lambda: (
                lagged(0.1, (cell.animate.set_fill(SPREAD, 1) for cell in rest)),
                lagged(0.6, (FadeOut(names[0], shift=UP * 0.2), FadeIn(names[1], shift=UP * 0.2))),
                1.2,
            ),
            mid=lambda: (
                *[cell.animate.set_fill(RUNS[i % 2], 1) for i, cell in enumerate(column)],
                lagged(0.6, (FadeOut(names[1], shift=UP * 0.2), FadeIn(names[2], shift=UP * 0.2))),
                1.0,
            ),
        )


class TwoBills(Lecture):
    section = "5.7"

    def construct(self):
        self.add(heading("5.7", lesson.titles["5.7"]))
        right, wrong = lesson.number(r"log-variance given:"), lesson.number(r"variance in its place:")
        local = float(kl_normal(*map(torch.tensor, (7.1, 0.04, 7.0, 0.25))))
        assert f"{local:.4f}" == lesson.text(r"\\tfrac12\[\\log\\tfrac\{0.25\}\{0.04\}.*= (0\.\d{4})\$")
        assert abs(float(kl_normal(*map(torch.tensor, (1.0, 0.5, 0.0, 1.0)))) - float(right)) < 1e-4
        lines = [
            number_line(span, math(name, 42, color), 4.6, marks).move_to([x, -0.35, 0])
            for span, name, color, marks, x in (
                ([-3, 4], "z", LATENT, [-2, 0, 2], -3.6),
                ([5.4, 8.6, 0.5], "l", LIBRARY, [6, 7, 8], 3.3),
            )
        ]
        priors = [bell(lines[0], 0, 1, DIM, 1.1), bell(lines[1], 7, 0.5, DIM, 0.44)]
        posts = [bell(lines[0], 1, 0.5**0.5, LATENT, 1.1), bell(lines[1], 7.1, 0.2, LIBRARY, 0.44)]
        names = [
            words(text, 28, color).move_to([x, 2.6, 0])
            for text, color, x in (("kl_global", LATENT, -3.6), ("kl_local", LIBRARY, 3.3))
        ]
        start, unit = [-3.6, -2.4, 0], 6.0
        bills = [
            Rectangle(width=size * unit, height=0.7, stroke_width=0).set_fill(color, 0.85)
            for size, color in ((float(right), LATENT), (local, LIBRARY))
        ]
        bills[0].move_to(start, aligned_edge=LEFT), bills[1].next_to(bills[0], RIGHT, buff=0.05)
        values = [
            mono(text, 26, GROUND).move_to(bill)
            for text, bill in zip((signed(right, 2), f"{local:.2f}"), bills, strict=True)
        ]
        unit_name = words("nats", 26, DIM).next_to(bills[0], LEFT, buff=0.3)
        self.say(
            "{two} Two latents, two bills. {glob} The global KL: how far z's bell is from the standard one. "
            "{loc} The local KL: how far the library's bell is from its batch's. {add} They are independent, "
            "so the bills add.",
            two=(*[FadeIn(one) for one in lines], *[Create(one) for one in priors], 1.2),
            glob=(
                Create(posts[0]),
                FadeIn(names[0]),
                GrowFromEdge(bills[0], LEFT),
                FadeIn(values[0]),
                FadeIn(unit_name),
                1.4,
            ),
            loc=(Create(posts[1]), FadeIn(names[1]), FadeIn(VGroup(bills[1], values[1]).shift(RIGHT * 2.5)), 1.4),
            add=lambda: (VGroup(bills[1], values[1]).animate.shift(LEFT * 2.5), 1.0),
        )
        longer = (
            Rectangle(width=float(wrong) * unit, height=0.7, stroke_width=0)
            .set_fill(BAD, 0.85)
            .move_to(start, aligned_edge=LEFT)
        )
        label = mono(signed(wrong, 2), 26, GROUND).move_to(longer)
        self.say(
            "{slip} But scVI's encoders return variances. Put them where log-variances belong, {second} and with "
            f"a second latent, right at the prior, {{wrong}} {signed(right, 2)} turns into {signed(wrong, 2)}, "
            "without complaint.",
            pause=0.5,
            slip=lambda: (FadeOut(bills[1], values[1]), Indicate(posts[0], 1.05, LATENT), 1.0),
            second=(Create(bell(lines[0], 0, 1, LATENT, 1.1)), 1.0),
            wrong=lambda: (Transform(bills[0], longer), Transform(values[0], label), 1.4),
        )


class Model(VGroup):
    """scVI, from one cell's counts to its loss: the parts in the order in which a cell reaches them."""

    rows = 1.35, -1.65  # the heights of z and of l

    def __init__(self):
        super().__init__()
        self.left(value("5.10", "told"))
        self.right()
        self.columns(value("5.10", "cell")[0], value("5.10", "told")["px_rate"][0])
        self.join()

    def columns(self, x: np.ndarray, rates: np.ndarray) -> None:
        """Draw ten genes of the cell, from loud ones to silent ones, and their mu."""
        loud = np.argsort(-x[0], kind="stable")[[0, 1, 2, 3, 5, 8, 20, 60, 200, 400]]
        top = float(x[0].max())
        self.cell = counts_column(x[0][loud], side=0.36, top=top).squares.move_to([-6.35, -0.15, 0])
        self.mu = counts_column(rates[loud], side=0.36, color=MEAN, top=top).squares.move_to([4.4, -0.9, 0])
        self.names = VGroup(
            math("x", 44).next_to(self.cell, DOWN, buff=0.2),
            math("mu", 44, MEAN).next_to(self.mu, RIGHT, buff=0.2).shift(DOWN * 1.6),
        )
        self.add(self.cell, self.mu, self.names)

    def left(self, told: dict) -> None:
        """Draw the encoders, what they answer, the dice, and the latents."""
        up, low = self.rows
        self.encoders = VGroup(
            trapezoid("encoder", width=1.5, height=1.5, size=22).move_to([-4.6, y, 0]) for y in (up, low)
        )
        self.posteriors = VGroup(
            self.bells(told["qz_m"][0], told["qz_v"][0], LATENT, up, 0.95),
            self.bells((told["ql_m"][0] - 6.2) * 2.1, told["ql_v"][0] * 24, LIBRARY, low, 0.8),
        )
        self.dice = VGroup(Die(0.62).move_to([-1.35, y, 0]) for y in (up, low))
        self.latents = VGroup(
            node("z", LATENT, 0.4).move_to([-0.25, up, 0]), node("l", LIBRARY, 0.4).move_to([-0.25, low, 0])
        )
        self.add(self.encoders, self.posteriors, self.dice, self.latents)

    def right(self) -> None:
        """Draw the batch, the decoder with its heads, and the loss."""
        up, low = self.rows
        self.batch = VGroup(
            Square(0.36, color=RUNS[b], stroke_width=3).set_fill(RUNS[b], float(b == 0)) for b in (0, 1)
        )
        self.batch.arrange(RIGHT, buff=0.07).move_to([-0.25, -0.15, 0])
        self.decoder = trapezoid("decoder", narrow="left", width=1.5, height=1.5, size=22).move_to([1.2, up, 0])
        frames = [("theta", SPREAD, 2.4), ("pi", NOISE, 1.45), ('"share"', MEAN, 0.5)]
        self.heads = VGroup(self.head(text, color, y) for text, color, y in frames)
        self.times = node("times", MEAN, 0.33).move_to([3.2, low, 0])
        self.zinb = box("ZINB", width=1.5, height=1.1).move_to([5.8, 1.7, 0])
        self.add(self.batch, self.decoder, self.heads, self.times, self.zinb)

    @staticmethod
    def head(text: str, color: str, y: float) -> VGroup:
        frame = RoundedRectangle(0.12, width=1.15, height=0.66, color=color, stroke_width=4).set_fill(GROUND, 1)
        return VGroup(frame, math(text, 34, color)).move_to([3.2, y, 0])

    @staticmethod
    def bells(means: np.ndarray, variances: np.ndarray, color: str, y: float, height: float) -> VGroup:
        """Return a small frame with the bells of q: of the first four latents, or of the library."""
        frame = RoundedRectangle(0.12, width=1.5, height=1.3, color=color, stroke_width=4).set_fill(BOX, 1)
        group, steps = VGroup(frame.move_to([-2.7, y, 0])), np.linspace(-3, 3, 41)
        for mean, variance in list(zip(means, variances, strict=True))[:4]:
            xs = mean * 0.2 + steps * variance**0.5 * 0.2
            ys = height * (min(variances) / variance) ** 0.5 * np.exp(-(steps**2) / 2)
            inside = [[-2.7 + a, y - 0.5 + b, 0] for a, b in zip(xs, ys, strict=True) if abs(a) < 0.7]
            group.add(VMobject().set_points_as_corners(inside).set_stroke(color, 3))
        return group

    def join(self) -> None:
        """Draw the ways between the parts."""

        def straight(one: np.ndarray, other: np.ndarray) -> Arrow:
            return Arrow(
                one, other, buff=0.07, color=DIM, stroke_width=4, tip_length=0.16, max_tip_length_to_length_ratio=0.4
            )

        self.ways = {"in": VGroup(straight(self.cell.get_right(), one.get_left()) for one in self.encoders)}
        for name, ones, others in (
            ("q", self.encoders, self.posteriors),
            ("die", self.posteriors, self.dice),
            ("draw", self.dice, self.latents),
        ):
            self.ways[name] = VGroup(
                straight(one.get_right(), other.get_left()) for one, other in zip(ones, others, strict=True)
            )
        edge = self.decoder.get_left()
        self.ways["decode"] = VGroup(
            straight(self.latents[0].get_right(), edge), straight(self.batch.get_right(), edge + DOWN * 0.25)
        )
        self.ways["heads"] = VGroup(straight(self.decoder.get_right(), one.get_left()) for one in self.heads)
        self.ways["rate"] = VGroup(
            straight(self.latents[1].get_right(), self.times.get_left()),
            straight(self.heads[2].get_bottom(), self.times.get_top()),
        )
        self.ways["mu"] = VGroup(straight(self.times.get_right(), [4.22, self.times.get_y(), 0]))
        left = self.zinb.get_left()
        self.ways["judge"] = VGroup(
            straight(self.heads[0].get_right(), left + UP * 0.3),
            straight(self.heads[1].get_right(), left),
            straight(self.mu.get_top() + RIGHT * 0.2 + DOWN * 0.8, self.zinb.get_bottom()),
        )
        self.add(*self.ways.values())

    def run(self, name: str, color: str) -> list[Animation]:
        """Return lights that run along the ways of a name."""
        return [pulse(way, color) for way in self.ways[name]]


class OneCell(Lecture):
    """A cell flows through the model, and every part lights up when it is reached."""

    chapter = "The whole model"
    section = "5.8"

    def construct(self):
        self.add(heading("5.8", lesson.titles["5.8"]))
        self.model = model = Model()
        parts = [
            model.encoders,
            model.posteriors,
            model.dice,
            model.latents,
            model.batch,
            model.decoder,
            model.heads,
            model.times,
            model.zinb,
            *model.ways.values(),
        ]
        for part in parts:
            part.save_state()
            part.fade(0.78)
        lit = self.lit
        self.say(
            "{all} Here is the whole model, {cell} and here comes one cell. {enc} Two encoders read log one "
            "plus x. {q} Each answers with bells, {die} and dice pick a z {l} and an l.",
            all=(lagged(0.06, (FadeIn(part) for part in parts)), 1.4),
            cell=(
                lagged(0.06, (FadeIn(square, shift=RIGHT * 0.5) for square in model.cell)),
                FadeIn(model.names[0]),
                1.0,
            ),
            enc=lambda: (*lit(model.ways["in"], model.encoders), *model.run("in", INK), 1.3),
            q=lambda: (*lit(model.ways["q"], model.posteriors), 0.9),
            die=lambda: (*lit(model.ways["die"], model.dice), 0.5),
            l=lambda: (
                model.dice[0].roll([3, 1, 5], 1),
                model.dice[1].roll([2, 6, 4], 1),
                *lit(model.ways["draw"], model.latents),
                0.9,
            ),
        )
        self.say(
            "{batch} The batch joins z. {dec} Three heads speak: {heads} theta, extra zeros, shares. {mu} "
            "Shares times e to the l make mu for every gene. {zinb} And ZINB asks: how probable were these "
            "counts?",
            batch=lambda: (*lit(model.batch, model.ways["decode"], model.decoder), *model.run("decode", LATENT), 1.1),
            dec=lambda: (*lit(model.ways["heads"]), *model.run("heads", INK), 0.9),
            heads=lambda: (*lit(model.heads), 1.0),
            mu=lambda: (
                *lit(model.times, model.ways["rate"], model.ways["mu"]),
                *model.run("rate", LIBRARY),
                lagged(0.06, (FadeIn(square, shift=RIGHT * 0.4) for square in model.mu)),
                FadeIn(model.names[1]),
                1.6,
            ),
            zinb=lambda: (*lit(model.ways["judge"], model.zinb), *model.run("judge", MEAN), 1.2),
        )
        self.bill(value("5.10", "terms"))

    @staticmethod
    def lit(*parts: VGroup) -> list[Animation]:
        """Return parts of the model lighting up."""
        return [part.animate.restore() for part in parts]

    def bill(self, terms: list) -> None:
        """Show the reconstruction and the two KLs of this very cell, and their sum."""
        model = self.model
        recon, local, glob = (float(one[0]) for one in terms)
        parts, whole = [f"{one:.2f}" for one in (recon, glob, local)], f"{recon + glob + local:.2f}"
        assert f"{sum(map(float, parts)):.2f}" == whole
        numbers = [mono(text, 28, color) for text, color in zip(parts, (INK, LATENT, LIBRARY), strict=True)]
        spots = [5.8, 2.6, 0], [-2.7, 2.35, 0], [-2.7, -2.65, 0]
        tags = VGroup(number.copy().move_to(spot) for number, spot in zip(numbers, spots, strict=True))
        plus = [mono("+", 28, DIM) for _ in range(2)]
        total = VGroup(words("−ELBO =", 28), numbers[0], plus[0], numbers[1], plus[1], numbers[2])
        total.add(mono(f"= {whole} nats", 28)).arrange(RIGHT, buff=0.25).move_to([0.3, -3.2, 0])
        self.say(
            "{recon} That is the reconstruction. {kl} Two KLs say what the telling cost, {sum} and their sum "
            "is the loss: minus the ELBO.",
            pause=0.8,
            recon=(FadeIn(tags[0], shift=DOWN * 0.2), 0.8),
            kl=lambda: (
                FadeIn(tags[1], shift=UP * 0.2),
                FadeIn(tags[2], shift=DOWN * 0.2),
                *[one[0].animate.set_stroke(width=9) for one in model.posteriors],
                1.1,
            ),
            sum=lambda: (
                FadeIn(*total[::2]),
                *[ReplacementTransform(tag, number) for tag, number in zip(tags, numbers, strict=True)],
                1.4,
            ),
        )


class OtherBatch(Lecture):
    section = "5.8"

    def construct(self):
        self.add(heading("5.8", lesson.titles["5.8"]))
        changed = lesson.line("the other batch changes:")
        assert changed.endswith("['px_scale', 'px_rate']")
        names = [
            ("qz_m", "mean of z"),
            ("z", "a draw"),
            ("library", "the size l"),
            ("px_scale", "shares"),
            ("px_rate", "mu"),
        ]
        cards = VGroup()
        for name, note in names:
            text = VGroup(mono(name, 28), words(note, 22)).arrange(DOWN, buff=0.15)
            frame = RoundedRectangle(0.12, width=2.3, height=1.2, color=DIM, stroke_width=3).set_fill(CARD, 1)
            cards.add(VGroup(frame, text))
        cards.arrange(RIGHT, buff=0.3).move_to(UP * 1.9)
        told, swapped = (value("5.10", name)["px_rate"][0] for name in ("told", "swapped"))
        x = value("5.10", "cell")[0][0]
        chosen = np.argsort(-x, kind="stable")[:12]
        top = max(told[chosen].max(), swapped[chosen].max())
        axes = plot_axes([-0.6, 11.6], [0, top * 1.1], "", "mu, expected counts, of twelve genes", 9.6, 2.7).move_to(
            [0, -1.7, 0]
        )
        bars = [
            histogram(axes, np.arange(13) - 0.5, rates[chosen], color, 0.9)
            for rates, color in zip((told, swapped), RUNS, strict=True)
        ]
        ghost = histogram(axes, np.arange(13) - 0.5, told[chosen], RUNS[0], 0).set_stroke(RUNS[0], 3)
        batch = words("batch 0", 30, RUNS[0]).move_to([0, 0.55, 0])
        other = words("batch 1", 30, RUNS[1]).move_to(batch)
        self.say(
            "{ask} Now tell it the other batch: same cell, same noise. {names} Which of these will change?",
            pause=1.6,
            ask=(FadeIn(axes), FadeIn(batch), rise(bars[0], 0.05), 1.5),
            names=(lagged(0.2, (FadeIn(card, shift=UP * 0.2) for card in cards)), 1.4),
        )
        self.say(
            "{blind} The encoders never saw the batch, so all up to z and the library stays. {change} Of "
            "these, only shares and rates change. {use} So you can ask what this cell would have looked like "
            "in the other run.",
            pause=0.5,
            blind=lambda: (*[card.animate.set_opacity(0.3) for card in cards[:3]], 0.9),
            change=lambda: (
                *[card[0].animate.set_stroke(RUNS[1], 5) for card in cards[3:]],
                *[card[1].animate.set_color(RUNS[1]) for card in cards[3:]],
                FadeIn(ghost),
                Transform(bars[0], bars[1]),
                FadeOut(batch),
                FadeIn(other),
                1.6,
            ),
            use=lambda: (Indicate(other, 1.15, RUNS[1]), Indicate(bars[0], 1.04, RUNS[1]), 1.4),
        )


class WarmUp(Lecture):
    chapter = "Training it, and asking it"
    section = "5.9"

    def construct(self):
        self.add(heading("5.9", lesson.titles["5.9"]))
        weight = value("5.9", "weight")
        axes = plot_axes([0, 100], [0, 1.15], "epoch", "weight", 10, 3.2, x_marks=[0, 50, 100], y_marks=[0, 1]).move_to(
            [0, -1.5, 0]
        )
        terms = VGroup(
            words("loss =", 30),
            words("reconstruction", 30),
            math("+", 50),
            words("kl_local", 30, LIBRARY),
            math("+", 50),
            math("w", 54, MEAN),
            words("kl_global", 30, LATENT),
        )
        terms.arrange(RIGHT, buff=0.25).move_to(UP * 1.9)
        mute = number_line([-4, 4, 1], math("z", 42, LATENT), 8.4).move_to(DOWN * 1.9)
        prior = bell(mute, 0, 1, DIM, 1.2)
        cells = VGroup(bell(mute, *one, LATENT, 1.2) for one in ((-1.4, 0.5), (0.4, 0.6), (1.7, 0.5)))
        name = (
            VGroup(math("q(z|x)", 40, LATENT), words("of three cells", 26, LATENT)).arrange(DOWN).move_to([4.6, 0, 0])
        )
        line, now = VMobject(), ValueTracker(0.01)

        def follow(group: VGroup) -> None:
            epochs = np.linspace(0, now.get_value(), 60)
            line.become(curve(axes, epochs, np.interp(epochs, np.arange(100), weight), MEAN, 6))

        assert weight[50] == weight[99] == 1.0
        slow = curve(axes, [0, 40], [0, 0.1], BAD, 6)
        price = words("a tenth", 30, BAD).next_to(slow, RIGHT, buff=0.25).shift(UP * 0.3)
        end = DashedLine(axes.c2p(40, 0), axes.c2p(40, 1.1), color=BAD, stroke_width=3)
        self.say(
            "{start} At first the decoder cannot read z. {cost} What z says costs KL, and buys nothing, {mute} so z "
            "would fall silent. {cure} The cure is a warm-up: {grow} the weight of the global KL, and of "
            "nothing else, grows from zero to one.",
            start=(
                lagged(0.15, (FadeIn(one, shift=UP * 0.2) for one in (*terms[:5], terms[6]))),
                FadeIn(mute, prior, name),
                lagged(0.2, map(Create, cells)),
                1.8,
            ),
            cost=lambda: (Indicate(terms[6], 1.15, LATENT), Indicate(cells, 1.05, LATENT), 1.2),
            mute=lambda: (*[Transform(one, prior.copy().set_stroke(LATENT)) for one in cells], 1.2),
            cure=lambda: (
                FadeIn(terms[5], scale=1.5),
                lagged(0.8, (FadeOut(mute, prior, cells, name), FadeIn(axes))),
                0.9,
            ),
            grow=(now.animate(rate_func=linear).set_value(99), UpdateFromFunc(line, follow), 2.8),
        )
        self.say(
            "{must} It must end before training does. {slow} With a warm-up of 400 epochs, a training of "
            "{stop} 40 charges z {tenth} a tenth of its price.",
            pause=0.5,
            must=lambda: (Indicate(line, 1.03, MEAN), 0.9),
            slow=lambda: (line.animate.set_stroke(opacity=0.25), Create(slow), 1.3),
            stop=(Create(end), 0.8),
            tenth=(FadeIn(price, shift=LEFT * 0.2), 0.7),
        )


class Epochs(Lecture):
    """The global KL and minus the ELBO, epoch by epoch, as the trainer wrote them down."""

    section = "5.9"

    def construct(self):
        head = heading("5.9", lesson.titles["5.9"])
        self.add(head)
        history, weight = value("5.9", "history"), value("5.9", "weight")
        test = np.array(history["kl_global_test_set"])
        axes = plot_axes(
            [1, 100],
            [0, 40],
            "epoch",
            "global KL of held-out cells, nats",
            10,
            4.2,
            x_marks=[1, 50, 100],
            y_marks=[0, 20, 40],
        ).shift(DOWN * 1.0)
        axes.names[0].next_to(axes.c2p(75, 0), DOWN, buff=0.18)
        cards = Choices("rise all the way", "rise, then fall", "fall all the way").set_y(2.4)
        line, now = VMobject(), ValueTracker(1.01)
        meter = Rectangle(width=0.35, height=0.02, stroke_width=0).set_fill(MEAN, 1)

        def follow(group: VGroup) -> None:
            epochs = np.linspace(1, now.get_value(), max(int(now.get_value() * 2), 3))
            line.become(curve(axes, epochs, np.interp(epochs, np.arange(1, 101), test), LATENT, 6))
            height = max(float(np.interp(now.get_value(), np.arange(1, 101), weight)) * 4.2, 0.02)
            meter.become(
                Rectangle(width=0.35, height=height, stroke_width=0)
                .set_fill(MEAN, 0.9)
                .move_to(axes.c2p(100, 0) + RIGHT * 0.1, aligned_edge=DL)
            )

        tag = math("w", 44, MEAN).move_to(axes.c2p(100, 40) + RIGHT * 0.28 + UP * 0.3)
        moving = VGroup(line, meter)
        peak = float(np.argmax(test) + 1)
        self.say(
            "{ask} As the price rises, what will the global KL do?",
            pause=1.5,
            ask=(FadeIn(axes), lagged(0.25, map(cards.offer, range(3))), 1.3),
        )
        self.say(
            "{rise} It rises while z is cheap, {fall} and then gives back what was not worth its price.",
            pause=0.5,
            rise=(FadeIn(tag), now.animate(rate_func=linear).set_value(peak), UpdateFromFunc(moving, follow), 1.4),
            fall=lambda: (
                now.animate(rate_func=linear).set_value(100),
                UpdateFromFunc(moving, follow),
                cards.decide(1),
                2.6,
            ),
        )
        self.elbo(history, self.others(head))

    def elbo(self, history: dict, before: Group) -> None:
        train, test = (-np.array(history[f"elbo_{part}_set"]) for part in ("train", "test"))
        axes = plot_axes(
            [1, 100],
            [300, 1500],
            "epoch",
            "−ELBO, nats per cell",
            10,
            4.4,
            x_marks=[1, 50, 100],
            y_marks=[500, 1000, 1500],
        ).shift(DOWN * 0.6)
        epochs = np.arange(1, 101)
        lines = [curve(axes, epochs[2:], one[2:], color, 5) for one, color in ((train, LATENT), (test, MEAN))]
        tags = [
            words(text, 28, color).move_to(axes.c2p(*at))
            for text, color, at in (("training cells", LATENT, (25, 430)), ("held-out cells", MEAN, (46, 1050)))
        ]
        last = [lesson.number(rf"elbo_{part}_set\s+first.*last") for part in ("train", "test")]
        gap = round(abs(plain(last[0]) - plain(last[1])))
        assert gap == int(lesson.text(r"At the end (\d+) nats remain"))
        brace = Line(axes.c2p(101.5, train[-1]), axes.c2p(101.5, test[-1]), color=INK, stroke_width=8)
        left = words(f"{gap} nats", 26).next_to(brace, RIGHT, buff=0.15)
        axes.names[0].next_to(axes.c2p(75, 300), DOWN, buff=0.18)
        self.say(
            "{lines} Held-out cells lag far behind: batch norm's averages describe weights that are gone. "
            f"{{finish}} So our trainer finishes them after the last epoch. {{gap}} {gap} nats remain: part luck, "
            "part cells known by heart.",
            pause=0.5,
            lines=(
                lagged(
                    0.8,
                    (
                        FadeOut(before, run_time=0.5),
                        FadeIn(axes, *tags, run_time=0.5),
                        AnimationGroup(*[Create(line) for line in lines], run_time=2.4),
                    ),
                ),
                3.2,
            ),
            finish=lambda: (Flash(axes.c2p(100, test[-1]), color=MEAN), Indicate(tags[1], 1.1, MEAN), 1.2),
            gap=(GrowFromCenter(brace), FadeIn(left), 0.9),
        )


class Bound(Lecture):
    """Three numbers of the held-out cells on one line, and the draws that carry the third."""

    section = "5.10"

    def construct(self):
        self.add(heading("5.10", lesson.titles["5.10"]))
        recon, elbo = lesson.number(r"^reconstruction|\nreconstruction"), lesson.number(r"ELBO(?=\s+−?-\d+\s+log p)")
        bound, ess = (
            lesson.number(r"log p\(x\) >= (?=-\d+, effective)"),
            lesson.number(r"effective draws of 100: median"),
        )
        assert 1 < float(ess) < 2
        line = number_line([-660, -610, 10], "nats per cell", 10.4, [-650, -640, -630, -620]).shift(
            DOWN * 0.4 + LEFT * 0.6
        )
        marks = [
            self.mark(line, at, formula, color, up)
            for at, formula, color, up in (
                (f"−{recon}", "log p(x|z, l)", INK, 1),
                (elbo, '"ELBO"', LATENT, 1),
                (bound, "log p(x) >=", GOOD, 1),
            )
        ]
        ends = [line.n2p(at) + DOWN * 0.8 for at in (-float(recon), plain(elbo))]
        price = way(*ends, LATENT, 0)
        cost = words("what the telling cost", 24, LATENT).next_to(price, DOWN, buff=0.2)
        self.say(
            f"{{post}} Ask it through a Posterior: {{recon}} told z and l, it rebuilds held-out counts at {recon} "
            f"nats. {{price}} Add what the telling cost, {{elbo}} and the ELBO is {elbo}.",
            post=(FadeIn(line), 0.9),
            recon=(FadeIn(marks[0], shift=DOWN * 0.3), 0.9),
            price=(GrowArrow(price), FadeIn(cost), 1.0),
            elbo=(FadeIn(marks[1], shift=DOWN * 0.3), 0.8),
        )
        draws = (
            VGroup(Dot(radius=0.05, color=NOISE) for _ in range(100))
            .arrange_in_grid(4, 25, buff=0.22)
            .move_to(DOWN * 2.3)
        )
        self.say(
            f"{{draws}} With a hundred draws a cell, {{bound}} log p of x is at least {bound}. {{carry}} At least, "
            "since a draw or two carry it all: a tighter bound, not yet the truth.",
            pause=0.5,
            draws=(FadeOut(price), FadeOut(cost), lagged(0.01, (FadeIn(dot, scale=0.3) for dot in draws)), 1.1),
            bound=(FadeIn(marks[2], shift=DOWN * 0.3), 0.8),
            carry=lambda: (
                *[dot.animate.scale(3.2) for dot in (draws[37], draws[66])],
                *[dot.animate.set_opacity(0.25) for i, dot in enumerate(draws) if i not in (37, 66)],
                1.2,
            ),
        )

    def mark(self, line: NumberLine, at: str, formula: str, color: str, side: int) -> VGroup:
        """Return a pin at a number, with what it is and how much."""
        place = line.n2p(plain(at))
        pin = VGroup(Line(place, place + UP * 1.1, color=color, stroke_width=5), Dot(place, radius=0.1, color=color))
        label = VGroup(math(formula, 38, color), mono(at, 30, color)).arrange(DOWN, buff=0.15)
        return pin.add(label.next_to(pin, UP, buff=0.15))


def cells_of(places: np.ndarray, groups: np.ndarray, colors: list | str, box: Plot, radius: float = 0.05) -> Cloud:
    """Return cells as dots that fill a box of the picture."""
    return Cloud(box, filling(places), groups, colors, radius)


def filling(places: np.ndarray) -> np.ndarray:
    """Return places moved and stretched to lie between 0 and 1."""
    return (places - places.min(axis=0)) / np.ptp(places, axis=0)


def square(width: float, height: float, x: float, y: float) -> Plot:
    """Return axes from 0 to 1, which are not shown, around a point of the picture."""
    return Plot([0, 1], [0, 1], width, height).move_to([x, y, 0])


def legend_of(names: list[str], colors: list[str]) -> VGroup:
    """Return a dot and a name for every color, below each other."""
    rows = VGroup(
        VGroup(Dot(radius=0.1, color=color), words(name, 26, color)).arrange(RIGHT, buff=0.2)
        for name, color in zip(names, colors, strict=False)
    )
    return rows.arrange(DOWN, buff=0.25, aligned_edge=LEFT)


class Map(Lecture):
    section = "5.10"

    def construct(self):
        self.add(heading("5.10", lesson.titles["5.10"]))
        groups, names, batches = value("5.10", "groups"), value("5.10", "names"), value("5.10", "batches")
        box_, drawn_as = square(7.0, 5.8, -3.1, -0.35), groups + 10 * batches.ravel()  # tens: the batch, ones: the kind
        cells = cells_of(value("5.10", "map"), drawn_as, DIM, box_)
        legend = legend_of(names, GROUPS).move_to([4.2, 0.4, 0])
        runs = legend_of(["batch 0", "batch 1"], RUNS).move_to([4.2, 2.0, 0])
        self.say(
            "{map} Here are the means of z, drawn in two dimensions, {names} coloured by kinds of cells that the model "
            "never saw. {batch} By batch: most islands hold both, the myeloid ones less so.",
            map=(lagged(0.1, map(FadeIn, cells)), 2.0),
            names=lambda: (
                *[cells.group(one).animate.set_fill(GROUPS[one % 10]) for one in cells.numbers],
                FadeIn(legend, shift=LEFT * 0.2),
                1.4,
            ),
            batch=lambda: (
                *[cells.group(one).animate.set_fill(RUNS[one // 10]) for one in cells.numbers],
                FadeOut(legend),
                FadeIn(runs),
                1.4,
            ),
        )
        near = self.nearest(value("5.10", "latent"), batches, groups == names.index("T cell"))
        close = Cloud(box_, cells.points_now[near], batches.ravel()[near], RUNS, 0.075, 1)
        mixed = [lesson.number(pattern) for pattern in (r"\{'yours':", r"'yours': [\d.]+, 'PCA':")]
        most = lesson.text(r"\\log 2 = (0\.69)")
        bars = Bars(["yours", "PCA"], mixed, "batch entropy, nats", [GOOD, DIM], 2.6).move_to([3.9, -0.6, 0])
        far = bars.bars[0][0].get_left()[0] + 2.6 * float(most) / float(mixed[0])
        ceiling = DashedLine([far, -0.9, 0], [far, 0.9, 0], color=INK, stroke_width=3).set_y(bars.bars.get_y())
        limit = mono(most, 26).next_to(ceiling, UP, buff=0.15)
        self.say(
            f"{{near}} How mixed are the batches of a cell's fifty nearest? {{mix}} As entropy, {mixed[0]} on average, "
            f"{{most}} of at most {most}. {{pca}} For PCA, it is {mixed[1]}.",
            pause=0.5,
            near=lambda: (cells.animate.set_fill(opacity=0.12), FadeIn(close), 1.2),
            mix=(FadeIn(bars.names), FadeIn(bars.unit), bars.grow(0), 0.9),
            most=(Create(ceiling), FadeIn(limit), 0.8),
            pca=lambda: (bars.grow(1), cells.animate.set_fill(opacity=0.85), FadeOut(close), 1.0),
        )

    @staticmethod
    def nearest(latent: np.ndarray, batches: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Return the fifty nearest of the wanted cell whose neighbours are mixed as half of the cells' are."""
        distance = ((latent[:, None] - latent[None]) ** 2).sum(axis=-1)
        order = distance.argsort(axis=1)[:, 1:51]
        mixed = np.abs(batches.ravel()[order].mean(axis=1) - 0.5)
        wanted = np.flatnonzero(wanted)
        typical = wanted[np.argsort(mixed[wanted])[len(wanted) // 2]]
        return order[typical]


class HowSure(Lecture):
    section = "5.10"

    def construct(self):
        self.add(heading("5.10", lesson.titles["5.10"]))
        genes = value("5.10", "genes")
        lfc, factor = np.array(genes["lfc"]), np.array(genes["bayes_factor"])
        axes = plot_axes(
            [-5, 7],
            [-6, 20],
            "log2 fold change",
            "Bayes factor of each gene",
            9.4,
            4.9,
            x_marks=[-4, 0, 4],
            y_marks=[0, 10, 20],
        ).shift(DOWN * 0.5)
        zero = DashedLine(axes.c2p(-5, 0), axes.c2p(7, 0), color=FAINT, stroke_width=3)
        best = genes["gene"].index("CD79A")
        points = Cloud(axes, np.zeros((len(lfc), 2)), np.arange(len(lfc)) == best, [DIM, DIM], 0.055)
        line = lesson.line("CD79A").split()
        assert f"{factor[best]:.1f}" == line[1]
        name = words("CD79A", 30, GOOD, weight=BOLD).next_to(axes.c2p(lfc[best], factor[best]), LEFT, buff=0.35)
        sure = DoubleArrow(axes.c2p(-4.6, -5), axes.c2p(-4.6, 19), color=MEAN, stroke_width=5, buff=0, tip_length=0.2)
        much = DoubleArrow(
            axes.c2p(-4.8, -5.2), axes.c2p(6.8, -5.2), color=LATENT, stroke_width=5, buff=0, tip_length=0.2
        )
        tags = [
            words("how sure", 30, MEAN).next_to(sure, RIGHT, buff=0.2).shift(UP * 1.2),
            words("how much", 30, LATENT).next_to(much, UP, buff=0.15).shift(RIGHT * 0.6),
        ]
        self.say(
            "{draw} Draw a B cell and another cell, again and again. How often has the B cell the larger share "
            "of a gene? {sure} As log-odds, that is the Bayes factor: how sure. {much} The fold change says "
            "how much.",
            draw=(
                FadeIn(axes, zero, rate_func=rush_from),
                points.to(np.stack([lfc, factor], axis=1)),
                2.6,
            ),
            sure=(GrowFromCenter(sure), FadeIn(tags[0]), 0.9),
            much=(GrowFromCenter(much), FadeIn(tags[1]), 0.9),
        )
        corners = [self.gene(axes, *one) for one in (("A", 0.05, 8, MEAN, UP), ("B", 5, 1.2, LATENT, RIGHT))]
        self.say(
            "{little} A gene may change little but surely, {other} or much but not always. {both} CD79A does "
            "it much, and surely: it is part of the B-cell receptor.",
            pause=0.5,
            little=(FadeIn(corners[0], scale=2), 0.9),
            other=(FadeIn(corners[1], scale=2), 0.9),
            both=lambda: (
                FadeOut(*corners),
                points.group(1).animate.scale(2.6).set_color(GOOD),
                FadeIn(name, shift=RIGHT * 0.2),
                1.0,
            ),
        )

    @staticmethod
    def gene(axes: Plot, name: str, lfc: float, factor: float, color: str, side: np.ndarray) -> VGroup:
        """Return a gene that one can think of, as a ring with a name."""
        ring = Circle(0.14, color=color, stroke_width=5).move_to(axes.c2p(lfc, factor))
        return VGroup(ring, words(name, 30, color, weight=BOLD).next_to(ring, side, buff=0.12))


class TheirWeights(Lecture):
    """scvi-tools' trained numbers move into the learner's class, and both give the same digits."""

    chapter = "The same weights, the same cells"
    section = "5.11"

    def construct(self):
        self.add(heading("5.11", lesson.titles["5.11"]))
        count = lesson.number(r"<All keys matched successfully>(?= \d,)")
        weights = value("5.11", "weights")
        assert f"{sum(one.size for one in weights.values()):,}" == count
        blocks = {
            name: self.block([one for key, one in weights.items() if key.startswith(name)])
            for name in ("z_encoder", "l_encoder", "decoder")
        }
        blocks["px_r"] = self.block([one for key, one in weights.items() if not key.startswith(tuple(blocks))])
        theirs, mine, images = VGroup(), VGroup(), Group(*blocks.values())
        for (name, image), y in zip(blocks.items(), (1.35, 0.1, -1.3, -2.6), strict=True):
            for frames, x in ((theirs, -3.0), (mine, 3.0)):
                frame = RoundedRectangle(
                    0.1,
                    width=3.2,
                    height=image.height + 0.24,
                    color=DIM if frames is theirs else LATENT,
                    stroke_width=3,
                ).move_to([x, y, 0])
                frames.add(
                    VGroup(frame, mono(name, 22, DIM).next_to(frame, LEFT if frames is theirs else RIGHT, buff=0.25))
                )
            image.move_to([-3.0, y, 0])
        heads = VGroup(
            words("scvi-tools", 34).move_to([-3.0, 2.45, 0]), words("your MyVAE", 34, LATENT).move_to([3.0, 2.41, 0])
        )
        self.say(
            "{ask} Is your class scVI, or only like it? {theirs} Here is a small model, trained by scvi-tools: "
            f"{count} numbers. {{pour}} Pour them into your class. {{match}} All names fit, and all shapes.",
            pause=0.4,
            ask=(FadeIn(heads[1]), FadeIn(mine), 0.9),
            theirs=(FadeIn(heads[0]), FadeIn(theirs), FadeIn(images), 1.2),
            pour=lambda: (lagged(0.25, (image.animate.set_x(3.0) for image in images)), 1.8),
            match=lambda: (
                *[one[0].animate.set_stroke(GOOD, 5) for one in mine],
                *[one.animate.fade(0.75) for one in theirs],
                0.9,
            ),
        )
        self.play(FadeOut(images, theirs, mine), run_time=0.5)
        self.digits(heads)

    @staticmethod
    def block(arrays: list) -> ImageMobject:
        """Return arrays as one picture, a square a number: blue below zero, orange above."""
        numbers = np.concatenate([np.ravel(one) for one in arrays]).astype(float)
        columns = 44
        grid = np.zeros(-(-len(numbers) // columns) * columns)
        grid[: len(numbers)] = np.tanh(1.5 * numbers)
        shown = np.array(ManimColor(CARD).to_rgb())[None] * np.ones((len(grid), 1))
        for sign, color in ((-1, LATENT), (1, SLOPE)):
            part = np.clip(sign * grid, 0, 1)[:, None]
            shown = (1 - part) * shown + part * np.array(ManimColor(color).to_rgb())
        picture = ImageMobject((255 * shown.reshape(-1, columns, 3)).astype(np.uint8))
        picture.set_resampling_algorithm(RESAMPLING_ALGORITHMS["nearest"])
        picture.stretch_to_fit_width(2.96).stretch_to_fit_height(2.96 / columns * len(grid) / columns)
        return picture

    def digits(self, heads: VGroup) -> None:
        columns = [[signed(one, 4) for one in value("5.11", name)[:4]] for name in ("theirs", "mine")]
        assert columns[0] == columns[1]
        texts = [
            VGroup(mono(text, 40).move_to([x, 1.1 - 0.85 * i, 0]) for i, text in enumerate(column))
            for column, x in zip(columns, (-3.0, 3.0), strict=True)
        ]
        title = words("log p(x | z, l)", 26, DIM).move_to([0, 2.45, 0])
        turn, letters = ValueTracker(0), max(len(text) for text in columns[0])

        def follow(group: VGroup) -> None:
            shown = turn.get_value()
            for left, right in zip(*texts, strict=True):
                for i, (one, other) in enumerate(zip(left, right, strict=True)):
                    other.set_opacity(float(i < shown))
                    if i < shown - 1:
                        VGroup(one, other).set_color(GOOD)

        both = VGroup(*texts)
        texts[1].set_opacity(0)
        off = lesson.number(r"variance of q\(z\|x\): off by(?= 1e-04)")
        floor = (
            VGroup(math("sigma^2 = e^a + {{10^(-4) : floor}}", 44, SPREAD), mono("variance off by 1e-04", 30, BAD))
            .arrange(RIGHT, buff=1.2)
            .move_to(DOWN * 2.7)
        )
        assert off == "1"
        assert lesson.line("off by").endswith("1e-04")
        part = floor[0].select("floor")
        cross = Line(LEFT * 0.6, RIGHT * 0.6, color=BAD, stroke_width=6).move_to(part)
        self.say(
            "{cells} Give both the same cells, and read the log-likelihoods: {digits} digit by digit, they "
            "agree. {floor} Leave out a floor {out} of one ten-thousandth under the variance, {off} and the check "
            "sees it.",
            pause=0.5,
            cells=(FadeIn(texts[0]), FadeIn(title), 0.9),
            digits=(turn.animate(rate_func=linear).set_value(letters + 2), UpdateFromFunc(both, follow), 1.8),
            floor=(Write(floor[0]), 0.9),
            out=(Create(cross), 0.7),
            off=(FadeIn(floor[1], shift=LEFT * 0.2), 0.8),
        )


class TenPairs(Lecture):
    """Ten seeds, ours against theirs; then the distance of each from equality falls onto a line of its own."""

    section = "5.12"

    def construct(self):
        self.add(heading("5.12", lesson.titles["5.12"]))
        pairs = np.array(value("5.12", "pairs"))
        apart, most = (
            lesson.text(r"seeds differ by some (\d+) nats"),
            lesson.text(r"neither is better by more than (\d+) nats"),
        )
        gap, error = lesson.line(r"^-ELBO").split()[-3], lesson.line(r"^-ELBO").split()[-1]
        assert f"{(pairs[:, 0] - pairs[:, 1]).mean():.1f}" == gap
        axes = plot_axes(
            [745, 800],
            [745, 800],
            "scvi-tools, −ELBO, nats",
            "ours, −ELBO, nats",
            4.9,
            4.9,
            x_marks=[750, 790],
            y_marks=[750, 790],
        )
        axes.names[0].next_to(axes.frame, DOWN, buff=0.5)
        axes.move_to([-3.7, -0.4, 0])
        equal = DashedLine(axes.c2p(746, 746), axes.c2p(799, 799), color=DIM, stroke_width=4)
        points = VGroup(Dot(axes.c2p(theirs, ours), radius=0.1, color=LATENT) for ours, theirs in pairs)
        self.say(
            "{ask} But does your training find weights as good? {pairs} Ten pairs of runs, ours and "
            f"scvi-tools': same start, same cells. {{far}} Seeds differ by some {apart} nats, mostly by their "
            "held-out cells.",
            ask=(FadeIn(axes), Create(equal), 1.0),
            pairs=(lagged(0.15, (FadeIn(dot, scale=0.3) for dot in points)), 1.8),
            far=lambda: (
                lagged(0.15, (Indicate(dot, 1.6, MEAN) for dot in sorted(points, key=lambda dot: dot.get_x()))),
                1.8,
            ),
        )
        line = number_line([-12, 12, 4], "", 5.4, [-10, -5, 0, 5, 10]).move_to([3.6, -1.4, 0])
        tag = words("ours less scvi-tools, nats", 24, DIM).next_to(line, DOWN, buff=0.35)
        fallen = VGroup(Dot(line.n2p(ours - theirs) + UP * 0.2, radius=0.1, color=LATENT) for ours, theirs in pairs)
        mean = VGroup(
            Line(line.n2p(float(gap) - float(error)), line.n2p(float(gap) + float(error)), color=GOOD, stroke_width=14),
            mono(f"{signed(gap, 1)} ± {error}", 32, GOOD),
        )
        mean[0].shift(UP * 0.75)
        mean.add(words("mean ± standard error", 24, GOOD).next_to(mean[0], UP, buff=0.2))
        mean[1].next_to(mean[2], UP, buff=0.15)
        outer = BraceBetweenPoints(line.n2p(-5) + UP * 2.25, line.n2p(5) + UP * 2.25, UP, color=INK)
        limit = words(f"within {most} nats", 28).next_to(outer, UP, buff=0.15)
        self.say(
            f"{{fall}} So take the difference within each pair: {{mean}} {signed(gap, 1)} on average, with a standard "
            f"error of {error} over the ten. {{not}} Not significant is not equal: {{most}} what ten pairs exclude "
            f"is a gap of more than {most}.",
            pause=0.5,
            fall=(FadeIn(line), FadeIn(tag), TransformFromCopy(points, fallen), 1.6),
            mean=(GrowFromCenter(mean[0]), FadeIn(mean[1:]), 0.9),
            **{"not": lambda: (Indicate(mean[1], 1.1, GOOD), 0.9)},
            most=(GrowFromCenter(outer), FadeIn(limit), 0.9),
        )


class Finishing(Lecture):
    section = "5.12"

    def construct(self):
        self.add(heading("5.12", lesson.titles["5.12"]))
        rows = [
            r"scvi-tools, at its own settings, 100 epochs",
            r"the averages of batch normalisation finished",
            r"\$\\theta\$ from moments",
            r"a falling learning rate: our defaults",
        ]
        levels = [float(lesson.text(rf"\| {row} \| (\d+\.\d)")) for row in rows]
        gap = lesson.text(r"; (\d+) nats a cell lay in how training")
        assert int(gap) == round(levels[0] - levels[-1])
        axes = plot_axes(
            [0, 4], [738, 785], "", "−ELBO of held-out cells, nats", 10.6, 4.9, y_marks=[750, 760, 770, 780]
        ).shift(DOWN * 0.4 + LEFT * 0.4)
        steps, falls, tags = VGroup(), VGroup(), VGroup()
        for i, (level, name) in enumerate(
            zip(levels, ("scvi-tools", "averages", "θ from moments", "falling rate"), strict=True)
        ):
            color = INK if i == 0 else GOOD
            steps.add(Line(axes.c2p(i + 0.06, level), axes.c2p(i + 0.94, level), color=color, stroke_width=9))
            note = VGroup(words(name, 22, color), mono(f"{level}", 28, color)).arrange(DOWN, buff=0.12)
            tags.add(note.next_to(steps[-1], DOWN, buff=0.2))
            if i:
                falls.add(way(axes.c2p(i, levels[i - 1]), axes.c2p(i, level), GOOD, 0))
        brace = BraceBetweenPoints(axes.c2p(4, levels[-1]), axes.c2p(4, levels[0]), RIGHT, color=INK)
        total = VGroup(mono(gap, 34, GOOD), words("nats", 26, GOOD)).arrange(DOWN, buff=0.12)
        total.next_to(brace, RIGHT, buff=0.12)
        across = DashedLine(axes.c2p(0.94, levels[0]), axes.c2p(4, levels[0]), color=FAINT, stroke_width=3)

        def step(i: int) -> tuple:
            return Create(steps[i]), FadeIn(tags[i], shift=UP * 0.2), GrowArrow(falls[i - 1]), 0.9

        self.say(
            "{start} Here is scvi-tools as it comes. {bn} Finish the averages of batch norm; {theta} start "
            "theta from each gene's mean and variance; {lr} let the learning rate fall to zero. {sum} The "
            f"model is theirs to the last digit: {gap} nats a cell lay in how training {{ends}} starts and ends.",
            pause=0.6,
            start=(FadeIn(axes), Create(steps[0]), FadeIn(tags[0]), 1.0),
            bn=lambda: step(1),
            theta=lambda: step(2),
            lr=lambda: step(3),
            sum=(Create(across), 0.9),
            ends=(GrowFromCenter(brace), FadeIn(total), 0.9),
        )


class TwoLaboratories(Lecture):
    """Three maps of the same cells, while the batch effect grows."""

    chapter = "Two laboratories"
    section = "5.14"

    def construct(self):
        self.add(heading("5.14", lesson.titles["5.14"]))
        rows = [r"PCA, ten components", r"VAE, not told the batch", r"\*\*VAE, told\*\*"]
        mixed = [lesson.text(rf"\| {row} \| \**(0\.\d+)") for row in rows]
        ari = [lesson.text(rf"\| {row} \| \**0\.\d+ ± 0\.\d+\** \| \**(0\.\d+)") for row in rows]
        maps = value("5.14", "maps")
        steps = {one["strength"]: one["maps"] for one in maps["steps"]}
        places = (-4.5, 0.0, 4.5)
        frames = VGroup(
            RoundedRectangle(0.15, width=4.0, height=4.0, color=FAINT, stroke_width=3).move_to([x, -0.1, 0])
            for x in places
        )
        stages = [[places_of(steps[one][name]) for name in ("pca", "untold", "told")] for one in (0, 0.5, 1)]
        batch = np.array([int(one) for one in maps["batch"]])
        now = [
            cells_of(flat, batch, RUNS, square(3.4, 3.4, x, -0.1), 0.045)
            for flat, x in zip(stages[0], places, strict=True)
        ]
        names = VGroup(
            words(name, 28, color).move_to([x, 2.3, 0])
            for name, color, x in zip(("PCA", "VAE, not told", "VAE, told"), (INK, INK, GOOD), places, strict=True)
        )
        scores = VGroup(
            mono(signed(one, 2), 36, color).move_to([x, -2.75, 0])
            for one, color, x in zip(mixed, (INK, INK, GOOD), places, strict=True)
        )
        kinds = VGroup(
            mono(signed(one, 2), 36, color).move_to([x, -2.75, 0])
            for one, color, x in zip(ari, (INK, INK, GOOD), places, strict=True)
        )
        labels = [
            words(text, 24, DIM).move_to([0, -3.4, 0])
            for text in ("how mixed the batches are, at most 1", "agreement with ten kinds of cells (ARI), at most 1")
        ]
        legend = legend_of(["laboratory 0", "laboratory 1"], RUNS).arrange(RIGHT, buff=0.5).to_corner(UR, buff=0.45)
        self.say(
            "{pca} Was it worth it? PCA takes a millisecond. {effect} Let two laboratories differ, {more} "
            "more and more.",
            pca=(FadeIn(names, frames, legend), lagged(0.3, map(FadeIn, now)), 1.3),
            effect=(*[one.to(filling(other)) for one, other in zip(now, stages[1], strict=True)], 1.4),
            more=(*[one.to(filling(other)) for one, other in zip(now, stages[2], strict=True)], 1.4),
        )
        self.say(
            "{apart} On PCA's map they come apart. A VAE that is not told the batch does little better. {told} "
            f"Told, it mixes them: {{num}} {signed(mixed[2], 2)} of the most, where PCA has "
            f"{signed(mixed[0], 2)}. {{kinds}} And the kinds of cells are found better, not worse.",
            pause=0.5,
            apart=lambda: (frames[0].animate.set_stroke(BAD, 4), frames[1].animate.set_stroke(BAD, 4), 1.2),
            told=lambda: (frames[2].animate.set_stroke(GOOD, 4), 0.9),
            num=(FadeIn(scores, shift=UP * 0.2), FadeIn(labels[0]), 0.9),
            kinds=(lagged(0.6, (FadeOut(scores, labels[0]), FadeIn(kinds, labels[1], shift=UP * 0.2))), 1.2),
        )


def places_of(packed: str) -> np.ndarray:
    """Return the places of cells as the explorer packs them."""
    return np.frombuffer(base64.b64decode(packed), dtype="<i2").reshape(-1, 2).astype(float)


class NotEnough(Lecture):
    section = "5.14"

    def construct(self):
        self.add(heading("5.14", lesson.titles["5.14"]))
        drawn_as = value("5.10", "groups") + 10 * value("5.10", "batches").ravel()  # tens: the batch, ones: the kind
        cells = cells_of(value("5.10", "map"), drawn_as, DIM, square(7.2, 5.2, -2.7, -0.4))
        for one in cells.numbers:
            cells.group(one).set_fill(RUNS[one // 10])
        runs = legend_of(["batch 0", "batch 1"], RUNS).move_to([4.2, 1.0, 0])
        legend = legend_of(value("5.10", "names"), GROUPS).move_to([4.2, 1.0, 0])
        mixed, ari = lesson.number("random positions: mixed"), lesson.number(r"random positions: mixed [\d.]+\s+ARI")
        rows = table([["mixed", mixed], ["ARI", ari]], None, 36).move_to([4.2, -2.4, 0])
        rows.row(0)[1].set_color(GOOD), rows.row(1)[1].set_color(BAD)
        self.add(cells, runs)
        self.say(
            f"{{easy}} But mixing alone is easily won. {{random}} Throw the cells about at random: {{mixed}} {mixed} "
            "of the most, {ari} and worthless: the kinds of cells are mixed as well.",
            pause=0.4,
            easy=lambda: (Indicate(runs, 1.06, INK), 0.9),
            random=(cells.to(filling(value("5.14", "random")[:, :2])), 1.6),
            mixed=(FadeIn(rows.row(0), shift=UP * 0.2), 0.7),
            ari=lambda: (
                *[cells.group(one).animate.set_fill(GROUPS[one % 10]) for one in cells.numbers],
                lagged(0.6, (FadeOut(runs), FadeIn(legend))),
                FadeIn(rows.row(1), shift=UP * 0.2),
                1.4,
            ),
        )
        people, column = self.design()
        self.say(
            "{design} And one thing no model can mend. If all treated cells come from one batch, {other} and "
            "all controls from the other, {same} treatment and batch are the same column, {decide} and nothing "
            "in the data tells them apart.",
            pause=0.5,
            design=(
                lagged(
                    0.7,
                    (
                        FadeOut(cells, rows, legend),
                        FadeIn(people[0]),
                        lagged(0.03, (FadeIn(one) for one in people[1])),
                    ),
                ),
                1.8,
            ),
            other=(lagged(0.03, (FadeIn(one) for one in people[2])), 1.2),
            same=(FadeIn(column[0]), FadeIn(column[1]), 1.0),
            decide=lambda: (
                column[0].animate.shift(RIGHT * 0.65),
                column[1].animate.shift(LEFT * 0.65),
                Create(column[2]),
                1.0,
            ),
        )

    @staticmethod
    def design() -> tuple[VGroup, VGroup]:
        """Return a table of batches and treatments with cells on its diagonal only, and the two as columns."""
        names = VGroup(
            words(text, 28, color).move_to(at)
            for text, color, at in (
                ("batch 0", RUNS[0], [-4.3, 1.9, 0]),
                ("batch 1", RUNS[1], [-1.6, 1.9, 0]),
                ("treated", INK, [-6.1, 0.6, 0]),
                ("control", INK, [-6.1, -1.5, 0]),
            )
        )
        frames = VGroup(
            RoundedRectangle(0.12, width=2.35, height=1.8, color=FAINT, stroke_width=3).move_to([x, y, 0])
            for x in (-4.0, -1.4)
            for y in (0.6, -1.5)
        )
        names[0].set_x(-4.0), names[1].set_x(-1.4)
        full = [
            VGroup(Dot(radius=0.08, color=RUNS[b]) for _ in range(24))
            .arrange_in_grid(4, 6, buff=0.2)
            .move_to(frames[3 * b])
            for b in (0, 1)
        ]
        return VGroup(VGroup(names, frames), *full), NotEnough.columns()

    @staticmethod
    def columns() -> VGroup:
        """Return the two columns of a design, and the frame around them once they are side by side."""
        columns = VGroup()
        for x, name in ((2.2, "batch"), (5.4, "treatment")):
            squares = [Square(0.42, stroke_width=0).set_fill(shade(1.0 if i < 4 else 0.15), 1) for i in range(8)]
            column = VGroup(*squares).arrange(DOWN, buff=0.06).move_to([x, -0.5, 0])
            columns.add(column.add(words(name, 26, DIM).next_to(column, UP, buff=0.3)))
        near = VGroup(columns[0].copy().shift(RIGHT * 0.65), columns[1].copy().shift(LEFT * 0.65))
        return columns.add(SurroundingRectangle(near, color=BAD, buff=0.25, corner_radius=0.1, stroke_width=4))


class YourTurn(Lecture):
    section = "5.18"

    def construct(self):
        card = notebook_card(
            5,
            [
                ("5.1", "a negative binomial that does not break"),
                ("5.3", "the decoder with its three heads"),
                ("5.9", "scVI, from a blank class"),
            ],
        )
        card.move_to(UP * 0.2)
        last = words("Then take your own cells.", 34, GOOD).next_to(card, DOWN, buff=0.5)
        self.say(
            "{card} In the notebook, {nb} you write a negative binomial that does not break, {dec} the decoder with "
            "its three heads, {vae} and then, from a blank class, your own scVI. {own} Then take your own cells.",
            pause=2.0,
            card=(card.appear(), 0.8),
            nb=(card.reveal(0), 0.8),
            dec=(card.reveal(1), 0.8),
            vae=(card.reveal(2), 0.8),
            own=(FadeIn(last, shift=UP * 0.2), 0.8),
        )


class Poster(Lecture):
    def construct(self):
        model = Model().scale(0.9).shift(DOWN * 0.8)
        title = VGroup(words("From our VAE", 80, weight=BOLD), words("to scVI", 80, MEAN, weight=BOLD)).arrange(
            RIGHT, buff=0.45
        )
        self.add(model, title.to_edge(UP, buff=0.6))
