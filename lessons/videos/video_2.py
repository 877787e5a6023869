"""Film 2: from a bug that prints a number to a network that learns."""

import re
from itertools import pairwise

import numpy as np
from film import *

LOSSES = (  # the loss of every minibatch of section 2.10, the first fifth held out; `train` looks cross_entropy up
    "(losses := [], plain := cross_entropy, globals().update(cross_entropy=lambda a, c: "
    "(losses.append(plain(a, c)), losses[-1])[1]), torch.manual_seed(0), "
    "train(makers['FCLayers'](), order[fold != 0]), globals().update(cross_entropy=plain), torch.stack(losses))[-1]"
)
BENDS, HIDDEN = "[net(along) for net in nets.values()]", "network[0](features)"
lesson = Lesson(
    2,
    {
        "2.1": ["x", "y", "predictions['line']"],
        "2.3": ["path"],
        "2.5": ["features", "weight", "one_cell"],
        "2.6": ["gene_mean", "gene_seen", "along", BENDS, "per_type.weight", "cell_type"],
        "2.7": [HIDDEN, "encoded['train()']", "encoded['eval()']"],
        "2.10": [LOSSES, "difference"],
    },
)


def value(section: str, expression: str) -> np.ndarray:
    """Return a value of the lesson as an array without axes of length 1."""
    return np.squeeze(np.asarray(lesson.value(section, expression), dtype=float))


def printed(cell: str, pattern: str) -> str:
    """Return the number that a cell printed after a pattern."""
    (found,) = re.findall(pattern + r"\s*([+-]?[\d.]*\d)", lesson.printed(cell))
    return found


def head(section: str) -> VGroup:
    return heading(section, lesson.titles[section])


def short(number: float) -> str:
    """Return a number with no more digits than it needs."""
    return f"{number:g}".replace("-", "−")


def part(line: VGroup, text: str) -> VGroup:
    """Return the letters of a part of a line of a `listing`, which has no letters for spaces."""
    start = line.shown.replace(" ", "").rindex(text.replace(" ", ""))
    return line[start : start + len(text.replace(" ", ""))]


def instead(gone: list[Mobject], *shown: Animation) -> Succession:
    """Return what is shown in the place of something else, once that has gone."""
    return Succession(FadeOut(*gone, run_time=0.35), AnimationGroup(*shown, run_time=0.8))


def framed(shown: Mobject, color: str = MEAN) -> SurroundingRectangle:
    return SurroundingRectangle(shown, color=color, buff=0.1, corner_radius=0.08, stroke_width=4)


def cloud(axes: Plot, xs: np.ndarray, ys: np.ndarray, color: str = DIM, radius: float = 0.045) -> Cloud:
    return Cloud(axes, np.stack([xs, ys], axis=1), colors=color, radius=radius, opacity=0.75)


def tile(
    text: str, color: str = INK, side: float = 1.0, size: float = 32, width: float = 0.0, fill: str = CARD
) -> VGroup:
    """Return a square of a matrix with a number in it."""
    square = Rectangle(width=width or side, height=side, stroke_color=FAINT, stroke_width=2).set_fill(fill, 1)
    return VGroup(square, mono(text, size, color).move_to(square))


def tiles(rows: list, color: str = INK, side: float = 1.0, size: float = 32, width: float = 0.0) -> VGroup:
    """Return a matrix of tiles, `[i][j]`; rows are lists of texts."""
    matrix = VGroup(*[VGroup(*[tile(text, color, side, size, width) for text in row]) for row in rows])
    for i, row in enumerate(matrix):
        for j, one in enumerate(row):
            one.move_to([j * ((width or side) + 0.06), -i * (side + 0.06), 0])
    return matrix.center()


def across(column: VGroup) -> VGroup:
    """Return the tiles of a matrix of one column."""
    return VGroup(*[row[0] for row in column])


def chip(text: str, color: str = INK, size: float = 26) -> VGroup:
    """Return a word in a rounded frame."""
    label = seated(text, words, size, color)
    label.set_x(0).shift(DOWN * 0.0062 * size)  # letters of all chips stand on one line
    frame = RoundedRectangle(0.15, width=label.width + 0.6, height=0.75, color=color, stroke_width=3).set_fill(CARD, 1)
    return VGroup(frame, label)


def tracing(pen: VGroup, places: list) -> Animation:
    """Return the way of a pen's dot, `pen[0]`, from place to place, with its trail, `pen[1]`."""

    def move(group: VGroup, alpha: float) -> None:
        at = alpha * (len(places) - 1)
        step = min(int(at), len(places) - 2)
        here = places[step] + (at - step) * (places[step + 1] - places[step])
        group[0].move_to(here)
        group[1].set_stroke(opacity=1)
        group[1].set_points_as_corners([*places[: step + 1], here])

    return UpdateFromAlphaFunc(pen, move, rate_func=linear)


def pen(place: np.ndarray, color: str = SLOPE, width: float = 4, radius: float = 0.12) -> VGroup:
    """Return a dot, and the trail that it is going to leave."""
    return VGroup(Dot(place, radius=radius, color=color), VMobject().set_stroke(color, width))


# ---- 2.1 The bug that prints a number

X, Y, LINE = value("2.1", "x"), value("2.1", "y"), value("2.1", "predictions['line']")
W, B = (float(found) for found in re.findall(r"[wb] = ([\d.]+)", lesson.line(r"^w = [\d.]+ +b = ")))
BROKEN, MENDED = "torch.full((700,), y.mean())", "residual = prediction.squeeze(1)"
PRINTS = 'print(f"{name}: loss {((prediction'
broken = {name: printed(BROKEN, f"{name}: loss") for name in ("line", "flat")}
mended = {name: printed(MENDED, f"{name}: loss") for name in ("line", "flat")}
N = len(X)
assert N == 700  # "seven hundred"
assert np.allclose(LINE, W * X + B, atol=1e-5)
assert abs(np.mean((LINE[:, None] - Y) ** 2) - float(broken["line"])) < 5e-5
assert float(broken["flat"]) < float(broken["line"])
assert float(mended["line"]) < float(mended["flat"])


def spoken(loss: str) -> str:
    return f"{float(loss):.3f}"


def loss_bars(losses: dict[str, str]) -> Bars:
    """Return the bars of both losses, at the one scale that the film has for them."""
    width = 6.0 * max(map(float, losses.values())) / float(broken["line"])
    return Bars([*losses], [*losses.values()], "mean squared error", [GOOD, BAD], width)


def cells_plot(width: float = 9.5, height: float = 4.7, marks: bool = True) -> tuple[Plot, VMobject]:
    """Return axes for counts and genes, and the lesson's cells in them."""
    x_marks = {-1: "half", 0: "median cell", 1: "twice"} if marks else {}
    axes = plot_axes((-1.1, 1.5), (-0.5, 0.85), "counts", "genes shown", width, height, x_marks)
    return axes, cloud(axes, X, Y)


def straight(axes: Plot, slope: float, offset: float, color: str) -> Line:
    return Line(*[axes.c2p(x, slope * x + offset) for x in (-0.95, 1.35)], color=color, stroke_width=6)


class Cells(Lecture):
    chapter, section = "The bug that prints a number", "2.1"

    def construct(self):
        axes, cells = cells_plot()
        VGroup(axes, cells).shift(DOWN * 0.2)
        title, small = words("PyTorch and nn.Linear", 60, weight=BOLD).shift(UP * 0.7), head("2.1")
        parts = VGroup(*[chip(name) for name in ("Linear", "BatchNorm", "ReLU", "Dropout")]).arrange(RIGHT, buff=0.5)
        parts.next_to(title, DOWN, buff=0.9)
        (found,) = re.findall(r"\(\(prediction.+mean\(\)", lesson.lines(PRINTS))
        bug = listing(found, 34).move_to(parts)
        self.say(
            "{title} This lesson builds {parts} the parts that scVI is made of. {bug} It begins with a bug: {most} "
            "the most common one in deep learning.",
            title=FadeIn(title, shift=UP * 0.2),
            parts=LaggedStart(*[FadeIn(one, shift=UP * 0.2) for one in parts], lag_ratio=0.3),
            bug=(FadeOut(parts, shift=UP * 0.2), FadeIn(bug, shift=UP * 0.2), 0.8),
            most=(Circumscribe(bug, color=BAD), 1.6),
        )
        line, flat = straight(axes, W, B, GOOD), straight(axes, 0, Y.mean(), BAD)
        names = VGroup(words("line", 26, GOOD).next_to(line.get_end(), RIGHT, buff=0.15))
        names.add(words("flat", 26, BAD).next_to(flat.get_end(), RIGHT, buff=0.15))
        self.say(
            "{cells} Seven hundred human blood cells. {right} Further right, more counts; {up} higher up, more "
            "genes. {line} A line follows them. {flat} A flat one does not.",
            cells=lambda: (instead([title, bug], FadeIn(small, axes.frame, axes.marks), FadeIn(cells)), 1.1),
            right=FadeIn(axes.names[0], shift=RIGHT * 0.4),
            up=FadeIn(axes.names[1], shift=UP * 0.4),
            line=(Create(line), FadeIn(names[0])),
            flat=(Create(flat), FadeIn(names[1])),
        )
        some = np.argsort(X)[10::23]
        errors = [
            VGroup(*[Line(axes.c2p(X[i], Y[i]), axes.c2p(X[i], f(X[i])), stroke_width=3) for i in some])
            for f in (lambda x: W * x + B, lambda x: Y.mean())
        ]
        card = question("Which loss\nis smaller?", 30).move_to(axes.c2p(-0.5, 0.6))
        self.say(
            "Which has the smaller mean {one} of squared errors: the line, {two} or the flat one? {ask} Decide, "
            "before PyTorch does.",
            pause=1.2,
            one=lambda: (cells.animate.set_opacity(0.35), Create(errors[0].set_color(GOOD), lag_ratio=0)),
            two=ReplacementTransform(errors[0], errors[1].set_color(BAD)),
            ask=(FadeOut(errors[1]), ask(card), 1.0),
        )


class Verdict(Lecture):
    section = "2.1"

    def construct(self):
        self.add(head("2.1"))
        source = lesson.lines("for name, prediction in predictions.items():", PRINTS)
        shown = listing(source, 22).shift(UP * 1.7)
        frames = [framed(part(shown.lines[1], text)) for text in ("(prediction - y)", "** 2", ".mean()")]
        out = output(lesson.printed(BROKEN), shown, 28)
        bars = loss_bars(broken)
        bars.next_to(shown, DOWN, buff=0.8).align_to(shown.card, RIGHT)
        self.add(shown)
        self.say(
            f"{{minus}} Prediction minus truth, {{square}} squared, {{mean}} and averaged. {{line}} For the line: "
            f"{spoken(broken['line'])}. {{flat}} For the flat one: {spoken(broken['flat'])}. {{wins}} The flat "
            f"line wins? {{quiet}} No error, and no warning. So what has been averaged?",
            pause=0.6,
            minus=Create(frames[0]),
            square=ReplacementTransform(frames[0], frames[1]),
            mean=ReplacementTransform(frames[1], frames[2]),
            line=(
                FadeOut(frames[2]),
                FadeIn(out.label),
                FadeIn(out.lines[0]),
                FadeIn(bars.names[0]),
                bars.grow(0),
                1.0,
            ),
            flat=(FadeIn(out.lines[1]), FadeIn(bars.names[1]), bars.grow(1), FadeIn(bars.unit), 1.0),
            wins=(Circumscribe(bars.bar(1), color=BAD, buff=0.15), 1.4),
            quiet=(Create(framed(part(shown.lines[1], "(prediction - y)"))), 0.8),
        )


def toy() -> tuple[np.ndarray, np.ndarray]:
    """Return three true values and the square that the lesson printed in place of three zeros."""
    shown = np.array(re.findall(r"-?\d+\.", lesson.printed("prediction_toy - y_toy")), dtype=float).reshape(3, 3)
    truth = np.array(re.findall(r"\d\.\d", lesson.lines("y_toy = torch.tensor")), dtype=float)
    assert np.array_equal(shown, truth[:, None] - truth)
    return truth, shown


def all_pairs(height: float) -> ImageMobject:
    """Return the squared error of every pair of cells, in the order of their counts, which changes no mean."""
    order = np.argsort(X)
    errors = (LINE[order][:, None] - Y[order]) ** 2
    share = np.clip(errors / np.quantile(errors, 0.99), 0, 1)[..., None] ** 0.6
    ground, hot = (np.array(ManimColor(color).to_rgb()) * 255 for color in (CARD, BAD))
    image = ImageMobject((ground + share * (hot - ground)).astype(np.uint8))
    image.height = height
    return image


class Stretched(Lecture):
    """A column minus a row: three cells, then all of them."""

    section = "2.1"

    def construct(self):
        self.add(head("2.1"))
        truth, differences = toy()
        texts = [f"{one:.0f}" for one in truth]
        columns = tiles([[one] * 3 for one in texts], LATENT)
        pairs = tiles([[f"{one}−{other}" for other in texts] for one in texts], size=26)
        square = tiles([[signed(one, 0) for one in row] for row in differences])
        VGroup(columns, pairs, square).shift(RIGHT * 1.2 + DOWN * 0.75)
        column = tiles([[one] for one in texts], LATENT).next_to(square, LEFT, buff=1.3)
        row = tiles([texts]).next_to(square, UP, buff=0.75)
        labels = VGroup(
            VGroup(words("prediction", 24, LATENT), mono("(3, 1)", 24, DIM)).arrange(DOWN, buff=0.15),
            VGroup(words("truth", 24), mono("(3,)", 24, DIM)).arrange(DOWN, buff=0.15),
        )
        labels[0].next_to(column, LEFT, buff=0.4)
        labels[1].next_to(row, RIGHT, buff=0.4)
        zeros = tiles([["0"] * 3], GOOD).move_to(square)
        zeros.add(words("expected", 24, GOOD).next_to(zeros, RIGHT, buff=0.4))
        self.say(
            "{toy} Three cells, each predicted exactly. {column} The network returns a column, three by one. "
            "{row} The truth has one axis: a row. {zeros} We expect three zeros.",
            toy=FadeIn(column, shift=RIGHT * 0.3),
            column=FadeIn(labels[0]),
            row=(FadeIn(row, shift=DOWN * 0.3), FadeIn(labels[1])),
            zeros=(FadeIn(zeros, shift=DOWN * 0.3), 0.8),
        )
        copies = [VGroup(*[line[j] for line in columns]) for j in range(3)]
        diagonal = VGroup(*[framed(square[i][i][0], GOOD).scale(0.86) for i in range(3)])
        others = VGroup(*[square[i][j][1] for i in range(3) for j in range(3) if i != j])
        self.say(
            "But PyTorch stretches both: {right} the column to the right, {down} the row downwards. {minus} Then "
            "it subtracts, place by place. {nine} Nine numbers: each prediction minus every truth. {diagonal} We "
            "meant the diagonal.",
            right=(
                FadeOut(zeros),
                LaggedStart(*[TransformFromCopy(across(column), copy) for copy in copies], lag_ratio=0.35),
                1.0,
            ),
            down=lambda: (
                LaggedStart(*[FadeIn(line, shift=DOWN * 0.7) for line in pairs], lag_ratio=0.35),
                FadeOut(columns),
                1.0,
            ),
            minus=(FadeOut(pairs), FadeIn(square), 0.8),
            nine=lambda: (others.animate.set_color(BAD), 0.8),
            diagonal=(LaggedStart(*[Create(one) for one in diagonal], lag_ratio=0.3), 1.0),
        )
        self.all_cells(VGroup(column, row, labels, square, diagonal))

    def all_cells(self, small: VGroup) -> None:
        """Show the square of all the cells, in the order of their counts, which changes no mean."""
        image = all_pairs(5.2).move_to([1.2, -0.75, 0])
        sides = VGroup(
            words(f"{N} predictions", 24, LATENT).next_to(image, LEFT, buff=0.3),
            words(f"{N} truths", 24).next_to(image, UP, buff=0.2),
        )
        wanted = Line(image.get_corner(UL), image.get_corner(DR), color=GOOD, stroke_width=5)
        count = words(f"{N * N:,}", 44, BAD, weight=BOLD).next_to(image, LEFT, buff=0.9).shift(DOWN * 1.5)
        self.say(
            f"{{all}} With all our cells, {{count}} that is {N * N:,} differences, {{wanted}} of which seven "
            "hundred were wanted.",
            pause=0.5,
            all=(
                small.animate.scale(0.02).move_to(image.get_corner(UL)).set_opacity(0),
                FadeIn(image),
                FadeIn(sides),
                1.2,
            ),
            count=FadeIn(count, shift=LEFT * 0.2),
            wanted=(Create(wanted), 1.2),
        )


class Rule(Lecture):
    """Broadcasting: shapes flush right, place by place."""

    section = "2.1"

    def shape(self, lengths: tuple, x: float, y: float, color: str = INK) -> VGroup:
        """Return the places of a shape; a missing one is dashed."""
        places = VGroup()
        for k, length in enumerate(lengths):
            if length:
                one = tile(length, color, 0.75, 28, 1.3)
            else:
                one = VGroup(
                    DashedVMobject(Rectangle(width=1.3, height=0.75, color=DIM, stroke_width=2), num_dashes=26)
                )
            places.add(one.move_to([x + (k - 0.5) * 1.42, y, 0]))
        return places

    def construct(self):
        self.add(head("2.1"))
        assert lesson.text(r"\| \(700, 1\) \| \(700,\) \| \*\*(\(700, 700\))\*\*") == "(700, 700)"
        left, mid, right = -4.4, 0.0, 4.4
        fine = [self.shape(("700", "765"), left, 1.5), self.shape(("700", "1"), left, 0.6)]
        wrong = [self.shape(("700", "765"), mid, 1.5), self.shape(("", "700"), mid, 0.6)]
        ours = [self.shape(("700", "1"), right, 1.5), self.shape(("", "700"), right, 0.6)]
        rules = [
            Line(LEFT * 1.45, RIGHT * 1.45, color=DIM, stroke_width=3).move_to([x, 0, 0]) for x in (left, mid, right)
        ]
        results = [self.shape(("700", "765"), left, -0.6, GOOD), self.shape(("700", "700"), right, -0.6, BAD)]
        error = words("error", 36, BAD, weight=BOLD).move_to([mid, -0.6, 0])
        notes = [
            words(text, 24, color).move_to([x, -1.5, 0])
            for text, color, x in (
                ("one number a cell", GOOD, left),
                ("765 meets 700", BAD, mid),
                ("nobody wanted this", BAD, right),
            )
        ]
        stretched = tile("765", LATENT, 0.75, 28, 1.3).move_to(fine[1][1])
        axis_names = [seated(name, words, 24, DIM).shift(UP * 2.05) for name in ("cells", "genes")]
        for name, place in zip(axis_names, fine[0], strict=True):
            name.set_x(place.get_x())
        first = VGroup(*fine, stretched, rules[0], results[0], notes[0], *axis_names)
        first.save_state()
        first.scale(1.5).move_to(DOWN * 0.2)
        wide = tile("700", LATENT, 0.75, 28, 1.3).move_to(ours[0][1])
        high = tile("700", LATENT, 0.75, 28, 1.3).move_to(ours[1][0])
        self.say(
            "{shape} The rule is broadcasting. {flush} Write the shapes flush right. {equal} Lengths must be equal, "
            "{one} or one of them is 1, or missing: then it is stretched.",
            shape=(FadeIn(fine[0], *axis_names), 0.7),
            flush=(FadeIn(fine[1], shift=RIGHT * 2), 0.9),
            equal=(Circumscribe(VGroup(fine[0][0], fine[1][0]), color=GOOD), FadeIn(rules[0]), 1.2),
            one=(FadeIn(stretched, scale=0.5), FadeIn(results[0]), FadeIn(notes[0]), 1.2),
        )
        self.say(
            "{wrong} 765 genes meet 700: {error} an error, which is kind. {ours} But ours: {wide} the 1 is stretched, "
            "{high} the missing place too, {square} and nobody wanted the result.",
            pause=0.6,
            wrong=(Restore(first), FadeIn(VGroup(*wrong), shift=RIGHT * 0.4), FadeIn(rules[1]), 0.9),
            error=(
                FadeIn(error, scale=0.8),
                FadeIn(notes[1]),
                wrong[0][1][0].animate.set_stroke(BAD, 5),
                wrong[1][1][0].animate.set_stroke(BAD, 5),
                0.8,
            ),
            ours=(FadeIn(VGroup(*ours), shift=RIGHT * 0.4), FadeIn(rules[2]), 0.8),
            wide=(FadeIn(wide, scale=0.5), 0.7),
            high=(FadeIn(high, scale=0.5), 0.7),
            square=(FadeIn(results[1]), FadeIn(notes[2]), 0.7),
        )


class Cure(Lecture):
    section = "2.1"

    def construct(self):
        self.add(head("2.1"))
        truth, _ = toy()
        texts = [f"{one:.0f}" for one in truth]
        column = tiles([[one] for one in texts], LATENT, 0.74, 28)
        row, other, zeros = (
            tiles([one], color, 0.74, 28) for one, color in ((texts, LATENT), (texts, INK), (["0"] * 3, GOOD))
        )
        sign, equals = math("-", 44), math("=", 44)
        VGroup(row, sign, other, equals, zeros).arrange(RIGHT, buff=0.35).move_to([0.3, 0.35, 0])
        column.next_to(row, LEFT, buff=0.9)
        VGroup(column, row, sign, other, equals, zeros).set_x(0).shift(DOWN * 0.1)
        shown = listing(bare(lesson.lines(MENDED)), 28).move_to(UP * 2.4)
        frame = framed(part(shown.lines[0], ".squeeze(1)"), GOOD)
        self.say(
            "{same} The cure: give both the same shape. {squeeze} squeeze drops the axis of length one, {minus} "
            "and three cells give three zeros.",
            same=(FadeIn(shown), FadeIn(column), 0.8),
            squeeze=(Create(frame), TransformFromCopy(across(column), row[0], path_arc=-0.6), 1.1),
            minus=(FadeIn(sign), FadeIn(other), FadeIn(equals), FadeIn(zeros, shift=RIGHT * 0.3), 1.2),
        )
        bars, old = loss_bars(mended), loss_bars(broken).bars[0][0]
        old.move_to(bars.bars[0][0], aligned_edge=LEFT).set_fill(opacity=0)
        old = VGroup(
            DashedVMobject(old.set_stroke(GOOD, 3), num_dashes=70), words("before", 22, DIM).next_to(old, RIGHT)
        )
        VGroup(bars, old).move_to(DOWN * 2.4)
        self.say(
            f"{{line}} On the real cells, the line now has {spoken(mended['line'])}, {{flat}} the flat one "
            f"{spoken(mended['flat'])}. The line wins.",
            line=(FadeIn(bars.names[0], old), bars.grow(0), 1.0),
            flat=(FadeIn(bars.names[1]), bars.grow(1), FadeIn(bars.unit), 1.0),
        )


class Hidden(Lecture):
    """What the broken loss wants: the line turns flat."""

    section = "2.1"

    def construct(self):
        self.add(head("2.1"))
        axes, cells = cells_plot(8.6, 4.6, marks=False)
        VGroup(axes, cells).move_to([-1.2, -0.4, 0])
        slope = ValueTracker(W)
        line = always_redraw(lambda: straight(axes, slope.get_value(), Y.mean() - slope.get_value() * X.mean(), MEAN))

        def loss() -> float:
            """Return the mean of the squares over all pairs, for the best offset."""
            return slope.get_value() ** 2 * X.var() + Y.var()

        assert abs(loss() - float(broken["line"])) < 5e-5
        label = VGroup(words("broken loss", 24, DIM), mono("0.0000", 36)).arrange(DOWN, buff=0.2).move_to([5.0, 1.4, 0])
        number = always_redraw(lambda: mono(f"{loss():.4f}", 36, BAD).move_to(label[1]))
        self.add(axes, cells)
        self.say(
            "{hides} See how well this bug hides. {turn} In training, the broken loss even falls, while the "
            "line turns flat.",
            hides=(FadeIn(line), FadeIn(label[0]), FadeIn(number), 0.9),
            turn=(slope.animate(rate_func=smooth).set_value(0.0), 3.2),
        )
        start = axes.c2p(0.95, Y.mean())
        threads = VGroup(
            *[
                Line(start, axes.c2p(X[i], Y[i]), stroke_width=1.5, color=INK).set_stroke(opacity=0.35)
                for i in range(0, N, 8)
            ]
        )
        tip = VGroup(words("only an average?", 26), words("print two shapes", 26, MEAN, weight=BOLD)).arrange(
            DOWN, buff=0.2
        )
        tip.move_to([5.0, -1.2, 0])
        self.say(
            "{threads} For each prediction has to please all cells, {mean} and the best answer to that is their "
            "mean. {tip} If your network learns only an average, print two shapes first.",
            pause=0.6,
            threads=(FadeIn(Dot(start, radius=0.11, color=MEAN)), Create(threads, lag_ratio=0.01), 1.6),
            mean=lambda: (Indicate(line, color=MEAN, scale_factor=1.02), 1.0),
            tip=lambda: (FadeOut(threads), FadeIn(tip, shift=UP * 0.2), 1.0),
        )


# ---- 2.2 One slope, three ways

W0, X0, Y0 = 0.5, 2.0, 3.0  # the weight, the input and the target of section 2.2
SLOPE_AT = float(lesson.number("autograd:").replace("−", "-"))
assert lesson.text(r"A cell has input (\$x = 2\$ and target \$y = 3\$; the weight is \$w = 0\.5\$)")
assert SLOPE_AT == 2 * (W0 * X0 - Y0) * X0 == -8 == float(lesson.number("finite difference:").replace("−", "-"))


def loss_of(w: float) -> float:
    return (w * X0 - Y0) ** 2


class Knob(Lecture):
    chapter, section = "One slope, three ways", "2.2"

    def construct(self):
        title = head("2.2")
        self.add(title)
        w = ValueTracker(W0)
        dial = Circle(1.2, color=INK, stroke_width=5).set_fill(CARD, 1).move_to([-3.2, -0.3, 0])
        hand = always_redraw(
            lambda: Line(
                dial.get_center(),
                dial.get_center() + 1.05 * rotate_vector(UP, -(w.get_value() - W0) * 2.2),
                color=MEAN,
                stroke_width=9,
            )
        )
        foot = Line([2.4, -2.3, 0], [4.4, -2.3, 0], color=DIM, stroke_width=3)
        bar = always_redraw(
            lambda: (
                Rectangle(width=1.2, height=0.75 * loss_of(w.get_value()), stroke_width=0)
                .set_fill(BAD, 0.85)
                .move_to(foot.get_center(), aligned_edge=DOWN)
            )
        )
        labels = VGroup(
            words("a knob", 28).next_to(dial, DOWN, buff=0.4), words("the loss", 28).next_to(foot, DOWN, buff=0.3)
        )
        rate = math("(d J) / (d w)", 56, SLOPE).move_to([0.6, 1.9, 0])
        self.say(
            "{knob} A network is a box full of knobs. {turn} If I turn one a little, {back} what does the loss "
            "do? {grad} That is the gradient.",
            knob=(FadeIn(dial), FadeIn(hand), FadeIn(labels), FadeIn(foot), FadeIn(bar), 0.8),
            turn=lambda: (w.animate.set_value(0.72), 1.3),
            back=lambda: (w.animate.set_value(0.38), 1.2),
            grad=lambda: (w.animate.set_value(W0), FadeIn(rate, shift=UP * 0.2), 1.4),
        )
        hand.clear_updaters(), bar.clear_updaters()
        chain = Chain().shift(UP * 0.5)
        rings = VGroup(*[one[0].copy().set_stroke(FAINT) for one in chain.nodes[1:]])
        self.say(
            "{w} One weight, at one half. {u} Times the input, 2, it predicts 1. {r} The target is 3: that is 2 "
            "too low. {J} Squared, the loss is 4.",
            w=lambda: (FadeOut(self.others(title)), FadeIn(rings), *chain.show(0)),
            u=chain.show(1),
            r=chain.show(2),
            J=chain.show(3),
        )
        product = math("(d J) / (d w) = -4 dot 1 dot 2 = {{-8 : s}}", 56).move_to(DOWN * 2.5)
        product.select("s").set_color(SLOPE)
        self.say(
            "By hand, we walk back, and multiply the slopes: {a} minus 4, {b} times 1, {c} times 2. {all} This "
            "chain rule says minus 8.",
            pause=0.5,
            a=chain.back(2),
            b=chain.back(1),
            c=chain.back(0),
            all=(Write(product), 1.2),
        )


class Chain(VGroup):
    """w, u, r, J and their values, the steps between them, and the slopes of the steps."""

    def __init__(self):
        super().__init__()
        u, r = W0 * X0, W0 * X0 - Y0
        names, values = ("w", "u", "r", "J"), (W0, u, r, r * r)
        self.nodes = VGroup(*[node(name, MEAN if name == "w" else INK, 0.55) for name in names]).arrange(
            RIGHT, buff=2.3
        )
        self.values = VGroup(
            *[mono(short(one), 32).next_to(place, UP, buff=0.3) for one, place in zip(values, self.nodes, strict=True)]
        )
        pairs = list(pairwise(self.nodes))
        self.ways = VGroup(*[arrow(*pair) for pair in pairs])
        steps = (f"times {X0:g}", f"minus {Y0:g}", "squared")
        self.steps = VGroup(
            *[
                seated(name, words, 24, DIM).set_x(one.get_x()).shift(UP * 0.34)
                for name, one in zip(steps, self.ways, strict=True)
            ]
        )
        down = DOWN * 0.3
        self.trails = VGroup(*[glowing(b.get_left() + down, a.get_right() + down) for a, b in pairs])
        self.slopes = VGroup(
            *[
                mono(short(one), 34, SLOPE).next_to(trail, DOWN, buff=0.2)
                for one, trail in zip((X0, 1.0, 2 * r), self.trails, strict=True)
            ]
        )
        self.add(self.nodes, self.values, self.ways, self.steps, self.trails, self.slopes)

    def show(self, i: int) -> tuple:
        """Return node i appearing, with its value, and the step to it."""
        step = [GrowArrow(self.ways[i - 1]), FadeIn(self.steps[i - 1])] if i else []
        return *step, FadeIn(self.nodes[i], scale=0.7), FadeIn(self.values[i], shift=UP * 0.2), 1.0

    def back(self, i: int) -> tuple:
        """Return the slope going back over step i."""
        return Create(self.trails[i], lag_ratio=0), FadeIn(self.slopes[i], shift=LEFT * 0.3), 0.8


class Secant(Lecture):
    section = "2.2"

    def construct(self):
        title = head("2.2")
        axes = plot_axes((0, 3, 1), (0, 9, 3), math("w", 40, MEAN), math("J", 40), 8.4, 4.6).shift(DOWN * 0.35)
        parabola = curve(axes, np.linspace(0, 3, 121), [loss_of(w) for w in np.linspace(0, 3, 121)], INK, 5)
        step = ValueTracker(0.45)
        point = Dot(axes.c2p(W0, loss_of(W0)), radius=0.11, color=MEAN)

        def ends() -> list:
            return [axes.c2p(w, loss_of(w)) for w in (W0 - step.get_value(), W0 + step.get_value())]

        two = always_redraw(lambda: VGroup(*[Dot(end, radius=0.1, color=SLOPE) for end in ends()]))
        secant = always_redraw(lambda: Line(*ends(), color=SLOPE, stroke_width=6).set_length(4.4))
        worth = mono(signed(SLOPE_AT, 0), 44, SLOPE).next_to(point, RIGHT, buff=0.6).shift(UP * 0.35)
        wide = math("(J(w + h) - J(w - h)) / (2 h)", 44).move_to(axes.c2p(1.72, 7.3))
        self.add(title, axes)
        self.say(
            "{curve} Here is the loss for every weight. {two} Go a step to either side, {secant} and divide the "
            "rise by the run. {small} With a small step, {eight} that is minus 8, too.",
            curve=(Create(parabola), FadeIn(point), 1.3),
            two=(FadeIn(two, scale=0.5), 0.8),
            secant=(Create(secant), FadeIn(wide), 1.0),
            small=(step.animate.set_value(0.01), 1.2),
            eight=(FadeIn(worth, shift=LEFT * 0.2), 0.8),
        )
        two.clear_updaters(), secant.clear_updaters()
        self.by_pytorch(Group(axes, parabola, point, two, secant, worth, wide))

    def by_pytorch(self, before: Group) -> None:
        """Show the record of the operations, and `backward` walking it."""
        shown = listing(lesson.lines("w = torch.tensor(0.5, requires_grad=True)", "loss_of(w).backward()"), 26)
        shown.shift(UP * 1.75)
        bar = glow(shown, 0)
        chain = Chain().scale(0.85).move_to(DOWN * 0.35)
        text = lesson.line("finite difference:")
        out = mono(text, 28).move_to(DOWN * 2.7)
        self.say(
            "{code} And PyTorch records every operation on w. {back} Backward walks this record back, {chain} "
            "just as we did. {out} If you doubt a gradient, take the finite difference.",
            code=lambda: (
                instead([before], FadeIn(shown), FadeIn(bar), FadeIn(chain.nodes, chain.ways, chain.steps)),
                1.2,
            ),
            back=(glow_to(bar, shown, 1), 0.6),
            chain=(LaggedStart(*[Create(trail, lag_ratio=0) for trail in reversed(chain.trails)], lag_ratio=0.8), 1.3),
            out=lambda: (FadeIn(out, shift=UP * 0.2), piece(out, "-8.0").animate.set_color(SLOPE), 0.8),
        )


class Adds(Lecture):
    section = "2.2"

    def construct(self):
        self.add(head("2.2"))
        shown = listing(lesson.cell("print(w.grad.item())"), 28).move_to([-3.0, 1.8, 0])
        twice = float(lesson.printed("print(w.grad.item())"))
        assert twice == 2 * SLOPE_AT == -16
        out = output(lesson.printed("print(w.grad.item())").replace("-", "−"), shown, 34)
        cup = (
            VMobject()
            .set_points_as_corners([[-1.3, 4.6, 0], [-1.3, 0, 0], [1.3, 0, 0], [1.3, 4.6, 0]])
            .set_stroke(DIM, 4)
        )
        name = mono("w.grad", 26).next_to(cup, DOWN, buff=0.25)
        VGroup(cup, name).move_to([4.0, -0.3, 0])
        blocks = VGroup(*[tile(signed(SLOPE_AT, 0), GROUND, 2.0, 36, 2.3, SLOPE) for _ in range(2)])
        blocks.arrange(UP, buff=0.1).next_to(cup.get_bottom(), UP, buff=0.12)
        choices = Choices(*[signed(times * SLOPE_AT, 0) for times in (1, 2, 0)]).move_to([-2.8, -1.6, 0])
        self.add(cup, name)
        self.say(
            "{first} The slope is left in w dot grad. {again} Call backward once more, with w unchanged. {ask} "
            "What does it hold now?",
            pause=1.2,
            first=(FadeIn(blocks[0], shift=DOWN * 2), 0.9),
            again=(FadeIn(shown), 0.7),
            ask=(LaggedStart(*[choices.offer(i) for i in range(3)], lag_ratio=0.3), 1.2),
        )
        clear = mono(lesson.text(r"We clear it ourselves, with\n`(w\.grad = None)`"), 32, GOOD).move_to([-2.8, -2.9, 0])
        self.say(
            "{out} Minus 16. {add} Backward adds to what is there, so that cells can come in portions. {clear} "
            "So we clear it, after every step.",
            pause=0.5,
            out=(choices.decide(1), FadeIn(out), FadeIn(blocks[1], shift=DOWN * 2), 0.9),
            add=(Circumscribe(blocks, color=MEAN), 1.0),
            clear=lambda: (FadeIn(clear, shift=UP * 0.2), FadeOut(blocks, shift=DOWN * 0.6), 1.0),
        )


# ---- 2.3 A step downhill

CURVATURE = 2 * X0**2
RATES = (0.01, 0.1, 0.27)
assert RATES[1] < 2 / CURVATURE < RATES[2]
assert lesson.text(r"\$p\$ becomes\s\$0\.5 \+ 0\.8 = (1\.3)\$") == f"{W0 - RATES[1] * SLOPE_AT:g}"


def walk(rate: float, steps: int) -> np.ndarray:
    """Return the weights of gradient descent from one half."""
    ws = [W0]
    for _ in range(steps):
        ws.append(ws[-1] - rate * 2 * X0 * (ws[-1] * X0 - Y0))
    return np.array(ws)


class Ball(Lecture):
    """The same ball with three learning rates."""

    chapter, section = "A step downhill", "2.3"

    def construct(self):
        title = head("2.3")
        self.axes = plot_axes(
            (-0.5, 3.5), (0, 14), math("w", 40, MEAN), math("J", 40), 8.2, 4.7, {0: "0", 1.5: "1.5", 3: "3"}
        )
        self.axes.move_to([-1.9, -0.45, 0])
        ws = np.linspace(-0.37, 3.37, 161)
        valley = curve(self.axes, ws, loss_of(ws), INK, 5)
        rule = math("{{w : w}} arrow.l {{w : v}} - {{eta : e}} thin {{(d J) / (d w) : s}}", 48).move_to([4.0, 2.5, 0])
        for label, color in (("w", MEAN), ("v", MEAN), ("e", LATENT), ("s", SLOPE)):
            rule.select(label).set_color(color)
        ball = pen(self.place(W0))
        self.add(title, self.axes)
        self.say(
            "{valley} The slope says which way is up; {rule} so step against it. {rate} The learning rate scales "
            "the step. {ball} Our ball starts at one half.",
            valley=(Create(valley), 1.2),
            rule=(Write(rule), 1.2),
            rate=(Indicate(rule.select("e"), color=LATENT, scale_factor=1.6), 1.0),
            ball=(FadeIn(ball[0], shift=DOWN), 0.8),
        )
        small, good, large = (self.run_of(rate, steps) for rate, steps in zip(RATES, (10, 5, 3), strict=True))
        self.say(
            f"{{small}} With a rate of {RATES[0]}, it crawls. {{again}} With {RATES[1]}, {{good}} the first step "
            f"leads to {W0 - RATES[1] * SLOPE_AT:.1f}, and soon it rests at the bottom. {{back}} And with "
            f"{RATES[2]}? Predict.",
            pause=1.0,
            small=(FadeIn(small[1]), small[0](ball), 2.0),
            again=lambda: (FadeOut(small[1]), FadeIn(good[1]), *self.back(ball), 0.5),
            good=lambda: (good[0](ball), 3.0),
            back=lambda: (FadeOut(good[1]), FadeIn(large[1]), *self.back(ball), 0.7),
        )
        losses = [mono(f"{loss_of(w):.1f}", 32, BAD) for w in walk(RATES[2], 3)]
        losses = VGroup(words("the loss", 24, DIM), *losses).arrange(DOWN, buff=0.25)
        losses.next_to(large[1], DOWN, buff=0.5)
        tangent = Line(color=MEAN, stroke_width=7)
        limit = math(f'{{{{eta : e}}}} < 2 / "curvature" = 2 / {CURVATURE:g} = {2 / CURVATURE:g}', 40).move_to(
            [3.9, 2.5, 0]
        )
        limit.select("e").set_color(LATENT)
        assert np.all(np.diff(loss_of(walk(RATES[2], 3))) > 0)  # "higher than the last"
        self.say(
            "{large} Every jump lands higher than the last. {grow} The loss grows, and no error comes. {limit} The "
            "limit is 2, divided by the curvature: {bends} how fast the slope changes. {cure} If a loss grows like "
            "this, take a smaller rate.",
            large=lambda: (large[0](ball), 2.6),
            grow=(LaggedStart(*[FadeIn(one, shift=DOWN * 0.2) for one in losses], lag_ratio=0.5), 2.2),
            limit=lambda: (instead([rule], FadeIn(limit, shift=UP * 0.2)), 1.1),
            bends=(UpdateFromAlphaFunc(tangent, self.tilt), 1.6),
            cure=lambda: (*self.back(ball), FadeOut(losses, large[1], tangent), FadeIn(good[1]), 0.7),
        )
        self.play(good[0](ball), run_time=1.6)

    def back(self, ball: VGroup) -> tuple[Animation, Animation]:
        """Return the ball going back to its start, and its trail going."""
        return ball[0].animate.move_to(self.place(W0)), ball[1].animate.set_stroke(opacity=0)

    def place(self, w: float) -> np.ndarray:
        return self.axes.c2p(w, loss_of(w))

    def tilt(self, tangent: Line, alpha: float) -> None:
        """Lay the tangent at the valley, from its left side to its right."""
        w = 0.2 + 2.6 * alpha
        along = 1.3 * normalize(self.axes.c2p(w + 1, loss_of(w) + 2 * X0 * (w * X0 - Y0)) - self.place(w))
        tangent.put_start_and_end_on(self.place(w) - along, self.place(w) + along)

    def run_of(self, rate: float, steps: int) -> tuple:
        """Return the walk at a learning rate, for a ball, and the rate as a label."""
        label = math(f"eta = {rate:g}", 48, LATENT).move_to([4.9, 0.9, 0])
        places = [self.place(w) for w in walk(rate, steps)]
        return (lambda ball: tracing(ball, places)), label


class Valley(Lecture):
    """The loss of the real cells over both knobs, the lesson's walk on it, and the line that it moves."""

    section = "2.3"

    def construct(self):
        self.add(head("2.3"))
        path = value("2.3", "path")
        low = np.mean((path[-1, 0] * X + path[-1, 1] - Y) ** 2)
        slope, offset = (
            VGroup(words(name, 24, DIM), math(letter, 40, MEAN)).arrange(RIGHT, buff=0.2)
            for name, letter in (("slope", "w"), ("offset", "b"))
        )
        axes = plot_axes((-0.8, 1.0), (-0.6, 0.6), "", offset, 6.0, 4.0).move_to([-3.4, -0.3, 0])
        slope.next_to(axes.c2p(0.1, -0.6), DOWN, buff=0.25)
        ground = self.landscape(axes)
        plot, cells = cells_plot(4.6, 4.0, marks=False)
        plot.names[0].next_to(plot.c2p(0.2, -0.5), DOWN, buff=0.25)
        plot.names.remove(plot.names[1])
        VGroup(plot, cells).move_to([4.0, -0.45, 0])
        walked = ValueTracker(0.0)

        def at(t: float) -> np.ndarray:
            return np.array([np.interp(t, np.arange(len(path)), path[:, k]) for k in (0, 1)])

        def trail() -> VGroup:
            t = walked.get_value()
            points = [axes.c2p(*path[k]) for k in range(int(t) + 1)] + [axes.c2p(*at(t))]
            way = VMobject().set_points_as_corners(points).set_stroke(SLOPE, 5)
            return VGroup(way, *[Dot(point, radius=0.07, color=SLOPE) for point in points])

        walker = always_redraw(trail)
        line = always_redraw(lambda: straight(plot, *at(walked.get_value()), SLOPE))
        self.say(
            "{cells} Now our cells, {map} with two knobs, slope and offset. The darker, the lower the loss. {start} "
            "From a bad start, {drop} the walk drops to the floor of a narrow valley, {follow} and follows it, in "
            "ever shorter steps.",
            cells=(FadeIn(plot), FadeIn(cells), 0.8),
            map=(FadeIn(ground), FadeIn(axes), FadeIn(slope), 1.2),
            start=(FadeIn(walker), FadeIn(line), 0.9),
            drop=lambda: (walked.animate.set_value(1), 1.2),
            follow=lambda: (walked.animate(rate_func=lambda t: t**1.7).set_value(len(path) - 1), 4.2),
        )
        assert len(path) == 41  # "after forty steps"
        assert abs(low - float(mended["line"])) < 1e-3
        found = mono(lesson.line(r"^w = [\d.]+ +b = "), 28).next_to(plot, UP, buff=0.25)
        more = lesson.text(r"Twice the counts give \$2\^\{0\.29\} = ([\d.]+)\$ times the genes")
        self.say(
            f"{{found}} After forty steps, the slope is {W}: {{more}} on these log scales, twice the counts give about "
            f"{float(more):.1f} times the genes. "
            f"{{both}} One rate had to serve both directions, the steep and the flat.",
            found=(FadeIn(found, shift=UP * 0.2), 0.8),
            more=lambda: (Indicate(line, color=MEAN, scale_factor=1.03), 1.2),
            both=(
                LaggedStart(
                    *[
                        ShowPassingFlash(Line(axes.c2p(*a), axes.c2p(*b), color=MEAN, stroke_width=9), time_width=0.6)
                        for a, b in (((0.294, 0.5), (0.294, -0.45)), ((-0.6, 0.02), (0.95, 0.02)))
                    ],
                    lag_ratio=0.7,
                ),
                2.2,
            ),
        )

    def landscape(self, axes: Plot) -> ImageMobject:
        """Return the loss for every w and b as a picture, level by level, as on a map."""
        w, b = np.meshgrid(np.linspace(-0.8, 1.0, 1080), np.linspace(-0.6, 0.6, 880))
        square = w**2 * np.mean(X**2) + b**2 + np.mean(Y**2)
        loss = square + 2 * (w * b * X.mean() - w * np.mean(X * Y) - b * Y.mean())
        return heat(axes, np.floor(14 * np.sqrt((loss - loss.min()) / np.ptp(loss))), "#4A82BD")


# ---- 2.4 A box that knows its parameters


class Register(Lecture):
    chapter, section = "A box that knows its parameters", "2.4"

    def construct(self):
        self.add(head("2.4"))
        source = lesson.lines("self.w =", "self.b =", "return self.w * x + self.b")
        shown = listing(bare(source), 22)
        shown.move_to([-6.4 + shown.width / 2, 1.3, 0])
        bar = glow(shown, 0)
        paper = (
            RoundedRectangle(0.15, width=3.2, height=3.0, color=MEAN, stroke_width=3)
            .set_fill(CARD, 1)
            .move_to([4.8, 0.7, 0])
        )
        turns = np.random.default_rng(2).uniform(-2.4, 2.4, 60)
        knobs = VGroup(
            *[VGroup(Circle(0.26), Line(ORIGIN, UP * 0.26).rotate(turn, about_point=ORIGIN)) for turn in turns]
        )
        knobs.set_stroke(MEAN, 4).arrange_in_grid(6, 10, buff=0.3).move_to([-2.4, -0.3, 0])
        title = words("parameters", 26, MEAN).next_to(paper.get_top(), DOWN, buff=0.25)
        rows = VGroup(mono("w", 36), mono("b", 36)).arrange(DOWN, buff=0.4).next_to(title, DOWN, buff=0.4)
        step = chip("optimizer", SLOPE, 28).move_to([4.8, -2.4, 0])
        reads = arrow(step, paper, SLOPE)
        flow = (
            VGroup(node("x", INK), box("w x + b", width=2.6), node("y", LATENT))
            .arrange(RIGHT, buff=1.2)
            .move_to([-3.0, -1.9, 0])
        )
        ways = VGroup(*[arrow(one, other) for one, other in pairwise(flow)])
        self.say(
            "{who} Who keeps the list of a hundred thousand knobs? {mod} A module. {init} It holds the parts, "
            "{forward} and its forward says how the input flows through them.",
            who=(FadeIn(paper, title), FadeIn(knobs, lag_ratio=0.05), 2.0),
            mod=(FadeOut(knobs, target_position=paper, scale=0.1), FadeIn(shown), 0.8),
            init=(FadeIn(bar), FadeIn(flow[1], scale=0.7), 0.8),
            forward=(glow_to(bar, shown, 2), FadeIn(flow[0]), FadeIn(flow[2]), *[GrowArrow(one) for one in ways], 1.0),
        )
        self.say(
            "{w} A parameter goes on the list {b} when it is assigned to self. {opt} The optimizer, which makes "
            "the steps, {reads} reads this list, and nothing else.",
            pause=0.5,
            w=(glow_to(bar, shown, 0), TransformFromCopy(part(shown.lines[0], "self.w"), rows[0]), 1.0),
            b=(glow_to(bar, shown, 1), TransformFromCopy(part(shown.lines[1], "self.b"), rows[1]), 1.2),
            opt=(FadeOut(bar), FadeIn(step, shift=UP * 0.2), 0.8),
            reads=(GrowArrow(reads), Indicate(rows, color=SLOPE, scale_factor=1.15), 1.2),
        )


class Unheard(Lecture):
    section = "2.4"

    def construct(self):
        self.add(head("2.4"))
        shown = listing(bare(lesson.lines("self.steps = [", "self.last = ")), 26).move_to([0, 1.9, 0])
        kinds = [chip("Linear", INK, 28) for _ in range(3)]
        row = VGroup(*kinds).arrange(RIGHT, buff=1.1).move_to([-1.2, -0.3, 0])
        ways = VGroup(*[arrow(one, other) for one, other in pairwise(kinds)])
        cage = DashedVMobject(
            RoundedRectangle(0.2, width=VGroup(*kinds[:2]).width + 0.7, height=1.5, color=DIM), num_dashes=60
        )
        cage.move_to(VGroup(*kinds[:2]))
        names = VGroup(
            words("a Python list", 24, DIM).next_to(cage, DOWN, buff=0.2),
            words("last", 24, DIM).next_to(kinds[2], DOWN),
        )
        step = chip("optimizer", SLOPE, 28).move_to([4.9, -2.5, 0])
        reads = Arrow(step.get_top(), kinds[2].get_right(), buff=0.15, color=SLOPE, stroke_width=5, tip_length=0.2)
        out = mono(lesson.printed("class Hidden(nn.Module)").strip(), 28).move_to([-1.2, -2.5, 0])
        assert lesson.printed("class Hidden(nn.Module)").strip() == "['last.weight', 'last.bias']"
        self.say(
            "{code} Here, two layers stand in a Python list, {last} a third beside it. {ask} Which of them does "
            "the optimizer hear of?",
            pause=1.2,
            code=(FadeIn(shown), FadeIn(cage), FadeIn(names[0]), FadeIn(row[:2]), GrowArrow(ways[0]), 1.2),
            last=(FadeIn(row[2]), GrowArrow(ways[1]), FadeIn(names[1]), 0.8),
            ask=(FadeIn(step, shift=UP * 0.2), 0.8),
        )
        mend = mono("nn.ModuleList", 34, GOOD).move_to([-1.2, -2.5, 0])
        self.say(
            "{out} Only the last. {dead} The others compute, and the loss prints, but they stay as random as "
            "they began. {mend} A ModuleList {count} mends it.",
            pause=0.4,
            out=(
                FadeIn(out),
                GrowArrow(reads),
                Create(kinds[2][0].copy().set_fill(opacity=0).set_stroke(SLOPE, 6)),
                0.9,
            ),
            dead=lambda: (row[:2].animate.set_opacity(0.3), 1.0),
            mend=lambda: (FadeOut(out), FadeIn(mend), row[:2].animate.set_opacity(1), FadeOut(cage, names[0]), 1.0),
            count=(
                LaggedStart(
                    *[Create(one[0].copy().set_fill(opacity=0).set_stroke(SLOPE, 6)) for one in kinds], lag_ratio=0.4
                ),
                1.6,
            ),
        )


# ---- 2.5 nn.Linear from scratch

WEIGHT, CELL = value("2.5", "weight"), value("2.5", "one_cell")
BIAS = np.array(lesson.text(r"With the weight above and the bias \$\((\d+, \d+)\)\$").split(", "), dtype=float)
OUT = np.array(lesson.text(r"gives \$\(-2 \+ 10, 3 \+ 0\) = \((\d+, \d+)\)\$").split(", "), dtype=float)
assert np.array_equal(CELL @ WEIGHT.T, [-2, 3])
assert np.array_equal(CELL @ WEIGHT.T + BIAS, OUT)


class Weighted(Lecture):
    """One cell, two outputs, and the weights on the ways between them."""

    chapter, section = "nn.Linear from scratch", "2.5"

    def construct(self):
        self.add(head("2.5"))
        inputs = VGroup(*[self.ring(f"{one:g}", INK) for one in CELL]).arrange(DOWN, buff=0.75).move_to([-5.0, -0.3, 0])
        outputs = (
            VGroup(*[self.ring(f"{one:g}", LATENT) for one in OUT]).arrange(DOWN, buff=1.9).move_to([0.5, -0.3, 0])
        )
        ways = [[Line(one, other, buff=0.1, color=DIM, stroke_width=4) for one in inputs] for other in outputs]
        labels = [
            VGroup(*[self.weight(way, w) for way, w in zip(row, weights, strict=True)])
            for row, weights in zip(ways, WEIGHT, strict=True)
        ]
        sums = [self.sum_of(i).next_to(outputs[i], RIGHT, buff=0.4) for i in range(2)]
        names = VGroup(words("one cell", 26, DIM).next_to(inputs, UP, buff=0.4), words("outputs", 26, DIM))
        names[1].next_to(outputs, UP, buff=0.4)
        self.say(
            "{all} What is inside a linear layer? {cell} One cell, three numbers. {out} Its weighted sum: {sum} "
            "one times 1, zero times 2, minus one times 3, {two} makes minus 2. {bias} Plus an offset of 10: "
            "{eight} 8.",
            all=(FadeIn(names), *[Create(ring[0]) for ring in (*inputs, *outputs)], 1.2),
            cell=(LaggedStart(*[FadeIn(ring[1], scale=0.6) for ring in inputs], lag_ratio=0.3), 1.0),
            out=(*[Create(way) for way in ways[0]], FadeIn(labels[0]), 0.9),
            sum=(
                *[ShowPassingFlash(way.copy().set_stroke(MEAN, 9), time_width=0.5) for way in ways[0]],
                FadeIn(sums[0][0]),
                1.4,
            ),
            two=FadeIn(sums[0][1]),
            bias=FadeIn(sums[0][2]),
            eight=(FadeIn(outputs[0][1], scale=0.6), 0.6),
        )
        matrix = tiles([[short(w) for w in row] for row in WEIGHT], MEAN, 0.85, 28).move_to([4.9, -0.3, 0])
        name = words("the weight", 26, MEAN).next_to(matrix, UP, buff=0.3)
        self.say(
            "{dim} A second output has weights of its own: {rows} the weight is a matrix, a row for every output.",
            pause=0.4,
            dim=lambda: (
                VGroup(*ways[0]).animate.set_stroke(opacity=0.2),
                labels[0].animate.set_opacity(0),
                *[Create(way) for way in ways[1]],
                FadeIn(labels[1]),
                FadeIn(sums[1]),
                FadeIn(outputs[1][1]),
                1.3,
            ),
            rows=(
                FadeOut(VGroup(*sums)),
                FadeIn(name),
                *[TransformFromCopy(labels[i][k], matrix[i][k]) for i in range(2) for k in range(3)],
                1.5,
            ),
        )

    def ring(self, text: str, color: str) -> VGroup:
        ring = Circle(0.52, color=color, stroke_width=4).set_fill(GROUND, 1)
        return VGroup(ring, mono(text, 32, color).move_to(ring))

    def weight(self, way: Line, w: float) -> VGroup:
        """Return the weight on a way, on a patch that hides the way."""
        text = mono(short(w), 26, MEAN).move_to(way.point_from_proportion(0.3))
        return VGroup(BackgroundRectangle(text, color=GROUND, fill_opacity=1, buff=0.08), text)

    def sum_of(self, i: int) -> VGroup:
        """Return the terms of an output, their sum, and the offset."""
        terms = [f"{w:g}·{x:g}" for w, x in zip(WEIGHT[i], CELL, strict=True)]
        lines = (
            "+ ".join(f"{term} " for term in terms).replace("+ -", "− ").strip(),
            f"= {short(WEIGHT[i] @ CELL)}",
            f"+ {BIAS[i]:g}",
        )
        return VGroup(*[mono(line, 26, color) for line, color in zip(lines, (MEAN, INK, SPREAD), strict=True)]).arrange(
            DOWN, aligned_edge=LEFT, buff=0.15
        )


class Batch(Lecture):
    """The product over a minibatch: row times column, four real cells, the three genes with the most counts."""

    section = "2.5"

    def construct(self):
        self.add(head("2.5"))
        features = value("2.5", "features")
        genes = np.argsort(-features.mean(axis=0))[:3]
        cells = features[:4, genes].round(1)  # as they are shown, so that the products can be checked
        answer = cells @ WEIGHT.T
        side, wide = 0.72, 1.15
        x = tiles([[f"{one:.1f}" for one in row] for row in cells], INK, side, 24, wide)
        w = tiles([[short(one) for one in row] for row in WEIGHT.T], MEAN, side, 24, wide)
        y = tiles([[signed(one) for one in row] for row in answer], LATENT, side, 24, wide)
        y.move_to([1.9, -1.0, 0])
        x.next_to(y, LEFT, buff=1.2)
        w.next_to(y, UP, buff=0.45)
        labels = VGroup(
            VGroup(math("X", 40), mono("(cells, n_in)", 22, DIM)).arrange(DOWN, buff=0.15).next_to(x, LEFT, buff=0.4),
            VGroup(math("W^top", 40, MEAN), mono("(n_in, n_out)", 22, DIM))
            .arrange(DOWN, buff=0.15)
            .next_to(w, RIGHT, buff=0.4),
            VGroup(math("Y", 40, LATENT), mono("(cells, n_out)", 22, DIM))
            .arrange(DOWN, buff=0.15)
            .next_to(y, RIGHT, buff=0.4),
        )
        row = SurroundingRectangle(x[0], color=MEAN, buff=0.04, stroke_width=5)
        column = SurroundingRectangle(VGroup(*[line[0] for line in w]), color=MEAN, buff=0.04, stroke_width=5)
        order = [(i, j) for i in range(4) for j in range(2)]
        self.say(
            "{x} Now a minibatch. Each cell is a row; {w} the weight, turned on its side, has a column for each "
            "output. {cross} Where the two cross, {one} they give one number.",
            x=(FadeIn(x, shift=RIGHT * 0.3), FadeIn(labels[0]), 0.9),
            w=(FadeIn(w, shift=DOWN * 0.3), FadeIn(labels[1]), 0.9),
            cross=(Create(row), Create(column), 0.9),
            one=(
                *[FadeOut(one.copy(), target_position=y[0][0], scale=0.3) for one in (*x[0], *across(w))],
                FadeIn(y[0][0], scale=0.5),
                FadeIn(labels[2]),
                1.2,
            ),
        )
        sweep = []
        for i, j in order[1:]:
            here = SurroundingRectangle(x[i], buff=0.04).get_center(), VGroup(*[line[j] for line in w]).get_center()
            sweep.append(
                AnimationGroup(
                    ApplyMethod(row.move_to, here[0]), ApplyMethod(column.move_to, here[1]), FadeIn(y[i][j], scale=0.5)
                )
            )
        self.say(
            "{sweep} Row by row, and column by column. {inner} The inner lengths agree, and vanish.",
            sweep=(Succession(*sweep), 3.0),
            inner=lambda: (
                FadeOut(row, column),
                piece(labels[0][1], "n_in").animate.set_color(GOOD),
                piece(labels[1][1], "n_in").animate.set_color(GOOD),
                1.0,
            ),
        )
        formula = math("{{Y : y}} = X {{W : w}}^{{top : t}} + {{b : b}}", 56).move_to([-4.4, 2.1, 0])
        for label, color in (("y", LATENT), ("w", MEAN), ("t", MEAN), ("b", SPREAD)):
            formula.select(label).set_color(color)
        bias = tiles([[f"+{one:g}" for one in BIAS]], SPREAD, side, 24, wide)
        copies = VGroup(*[bias.copy().move_to(line) for line in y])
        moved = tiles([[signed(one) for one in line] for line in answer + BIAS], LATENT, side, 24, wide).move_to(y)
        bias.next_to(y, DOWN, buff=0.2)
        self.say(
            "{bias} The offset is stretched over all cells: {spread} broadcasting, this time wanted. {formula} "
            "With PyTorch's weights, {ours} yours gives the same numbers.",
            pause=0.4,
            bias=(FadeIn(bias, shift=UP * 0.2), 0.8),
            spread=lambda: (
                LaggedStart(*[TransformFromCopy(bias, one) for one in reversed(copies)], lag_ratio=0.2),
                1.2,
            ),
            formula=lambda: (FadeOut(copies, y), FadeIn(moved), Write(formula), 1.2),
            ours=lambda: (FadeOut(bias), Circumscribe(formula, color=GOOD, buff=0.2), 1.2),
        )
        assert "same numbers: True" in lesson.line("same numbers:")


# ---- 2.6 Categories, and why a bend


class OneHot(Lecture):
    chapter, section = "Categories, and why a bend", "2.6"

    def construct(self):
        self.add(head("2.6"))
        weights, types = value("2.6", "per_type.weight"), value("2.6", "cell_type").astype(int)
        assert len(weights) == types.max() + 1 == 10
        ruler = VGroup(
            *[
                Rectangle(width=1.0, height=0.22 * k + 0.02, stroke_width=0).set_fill(BAD if k == 9 else DIM, 0.85)
                for k in range(10)
            ]
        )
        ruler.arrange(RIGHT, buff=0.08, aligned_edge=DOWN).move_to([0, -0.3, 0])
        codes = VGroup(*[mono(str(k), 26, DIM).next_to(bar, DOWN, buff=0.2) for k, bar in enumerate(ruler)])
        cells = VGroup(*[Dot(bar.get_bottom() + UP * 0.5, 0.3, color=GROUPS[k]) for k, bar in enumerate(ruler)])
        self.say(
            "{codes} A cell's type comes as a code, zero to nine. {nine} As a number, type 9 would be nine times "
            "type 1.",
            codes=(LaggedStart(*[FadeIn(*pair) for pair in zip(cells, codes, strict=True)], lag_ratio=0.1), 1.4),
            nine=lambda: (
                LaggedStart(
                    *[
                        AnimationGroup(GrowFromEdge(bar, DOWN), cell.animate.next_to(bar, UP, buff=0.2))
                        for bar, cell in zip(ruler, cells, strict=True)
                    ],
                    lag_ratio=0.12,
                ),
                2.0,
            ),
        )
        hot = tiles([["0"] * 10], DIM, 1.0, 30, 1.14).move_to(UP * 0.9)
        row = tiles([[signed(w, 2) for w in weights]], MEAN, 1.0, 22, 1.14).move_to(DOWN * 1.3)
        names = VGroup(
            words("one-hot", 24, DIM).next_to(hot, DOWN, buff=0.25),
            words("weights", 24, MEAN).next_to(row, DOWN, buff=0.25),
        )
        names[0].align_to(hot, LEFT)
        names[1].align_to(row, LEFT)
        order = list(dict.fromkeys(types))[:4]
        lit = self.lit(hot, order[0])
        beam = self.beam(hot, row, order[0])
        self.say(
            "{columns} So every type gets its own column: {one} a one there, zeros elsewhere. One-hot. {look} "
            "Times the weights, it looks up just one. {next} Another type, {more} another weight.",
            pause=0.5,
            columns=lambda: (
                FadeOut(ruler),
                FadeOut(codes, shift=UP * 0.6),
                *[cell.animate.next_to(column, UP, buff=0.25) for cell, column in zip(cells, hot[0], strict=True)],
                FadeIn(hot, shift=UP * 0.3),
                FadeIn(names[0]),
                1.2,
            ),
            one=lambda: (FadeIn(lit), 0.7),
            look=lambda: (FadeIn(row), FadeIn(names[1]), FadeIn(beam), 1.0),
            next=lambda: (Transform(lit, self.lit(hot, order[1])), Transform(beam, self.beam(hot, row, order[1])), 0.8),
            more=lambda: (Transform(lit, self.lit(hot, order[2])), Transform(beam, self.beam(hot, row, order[2])), 0.8),
        )

    def lit(self, hot: VGroup, k: int) -> VGroup:
        return tile("1", GROUND, 1.0, 30, 1.14, MEAN).move_to(hot[0][k])

    def beam(self, hot: VGroup, row: VGroup, k: int) -> VGroup:
        """Return the light from a column to its weight."""
        up, down = hot[0][k].get_bottom(), row[0][k].get_top()
        ray = Rectangle(width=1.0, height=up[1] - down[1], stroke_width=0).set_fill(MEAN, 0.18).move_to((up + down) / 2)
        return VGroup(ray, framed(row[0][k][0]))


class Bend(Lecture):
    """Two linear layers are one; a bend folds the line."""

    section = "2.6"

    def construct(self):
        self.add(head("2.6"))
        two = math("(x W_1^top + b_1) W_2^top + b_2", 50).move_to(UP * 2.1)
        one = math("= x {{(W_2 W_1) : w}}^top + {{(b_1 W_2^top + b_2) : b}}", 50).next_to(two, DOWN, buff=0.4)
        one.select("w").set_color(MEAN)
        one.select("b").set_color(SPREAD)
        axes = plot_axes((-3, 3), (-3, 3), "", "", 4.6, 2.8, {}, {}).move_to(DOWN * 1.75)
        axes.frame.set_opacity(0)
        zero = VGroup(Line(axes.c2p(-3, 0), axes.c2p(3, 0)), Line(axes.c2p(0, -3), axes.c2p(0, 3))).set_stroke(DIM, 2)
        fold = ValueTracker(1.0)
        bent = always_redraw(
            lambda: (
                VMobject()
                .set_points_as_corners([axes.c2p(-3, -3 * fold.get_value()), axes.c2p(0, 0), axes.c2p(3, 3)])
                .set_stroke(LATENT, 7)
            )
        )
        name = words("ReLU", 32, LATENT, weight=BOLD).next_to(axes, RIGHT, buff=0.6)
        self.say(
            "{two} Are two linear layers more than one? {one} No: multiplied out, they are one again. {bend} "
            "What is missing is a bend. ReLU: {neg} negative numbers become zero, {pos} positive ones pass.",
            two=(Write(two), 1.4),
            one=(FadeIn(one, shift=DOWN * 0.3), 1.0),
            bend=(FadeIn(zero), Create(bent), 1.0),
            neg=(fold.animate.set_value(0.0), FadeIn(name), 1.3),
            pos=(
                ShowPassingFlash(Line(axes.c2p(0, 0), axes.c2p(3, 3), color=MEAN, stroke_width=10), time_width=0.5),
                1.0,
            ),
        )
        bent.clear_updaters()
        self.genes(VGroup(two, one, zero, bent, name))

    def genes(self, before: VGroup) -> None:
        """Show 765 genes, and what both networks make of them."""
        means, seen, along = (value("2.6", name) for name in ("gene_mean", "gene_seen", "along"))
        flat, bent = (np.squeeze(one) for one in lesson.value("2.6", BENDS))
        low = float(lesson.text(r"promises fractions down to (-0\.4)"))
        assert abs(flat.min() - low) < 0.05
        axes = plot_axes(
            (-2.4, 1.5),
            (-0.45, 1.05),
            "mean count",
            "cells that show the gene",
            9.0,
            4.6,
            {-2: "0.01", -1: "0.1", 0: "1", 1: "10"},
            {0: "0", 1: "all"},
        ).move_to([-0.3, -0.5, 0])
        zero = DashedLine(axes.c2p(-2.4, 0), axes.c2p(1.5, 0), color=DIM, stroke_width=2)
        cells = cloud(axes, means, seen)
        line, curved = curve(axes, along, flat, BAD, 6), curve(axes, along, bent, GOOD, 6)
        worth = words(signed(low, 1), 30, BAD, weight=BOLD).move_to(axes.c2p(-1.62, -0.3))
        names = [
            words("no bend", 26, BAD).next_to(line.get_end(), RIGHT, buff=0.2),
            words("with ReLU", 26, GOOD).next_to(curved.get_end(), RIGHT, buff=0.2),
        ]
        self.say(
            f"{{genes}} All the genes: how often each is counted, and in how many cells. {{ask}} What will a "
            f"network without a bend say of the rarest? {{line}} Less than none: {{worth}} "
            f"a share of {signed(low, 1)}. {{relu}} With ReLU, it bends.",
            pause=0.5,
            genes=lambda: (instead([before], FadeIn(axes), FadeIn(cells), FadeIn(zero)), 1.2),
            ask=(Circumscribe(Line(axes.c2p(-2.3, 0.06), axes.c2p(-1.6, -0.04)), color=MEAN, buff=0.1), 1.6),
            line=(Create(line), FadeIn(names[0]), 1.0),
            worth=(FadeIn(worth), 0.6),
            relu=(Create(curved), FadeIn(names[1]), 1.4),
        )


# ---- 2.7 Batch norm, dropout, and two modes

SHARE = 0.25  # the share of numbers that dropout sets to zero in the picture
COLUMN = value("2.7", HIDDEN)[:, 0]  # one column of numbers inside the lesson's network, a number for every cell
MOMENTUM = 0.01


def handful(seed: int, size: int = 10) -> np.ndarray:
    """Return one column's numbers for a random handful of cells."""
    return COLUMN[np.random.default_rng(seed).permutation(N)[:size]]


def layer(y: float) -> VGroup:
    """Return the frame of a layer, its four parts, and the arrows between them."""
    parts = VGroup(*[chip(name, INK, 24) for name in ("Linear", "BatchNorm", "ReLU", "Dropout")]).arrange(
        RIGHT, buff=0.55
    )
    parts.move_to([0.35, y, 0])
    ways = VGroup(*[way(one.get_right(), other.get_left(), buff=0.06) for one, other in pairwise(parts)])
    frame = RoundedRectangle(0.2, width=parts.width + 0.6, height=1.25, color=FAINT, stroke_width=3).move_to(parts)
    return VGroup(frame, parts, ways)


def on_line(line: NumberLine, values: np.ndarray) -> VGroup:
    return VGroup(
        *[Dot(line.n2p(one) + UP * 0.17, radius=0.1, color=LATENT, fill_opacity=0.85) for one in np.sort(values)]
    )


def mean_and_spread(line: NumberLine, values: np.ndarray) -> tuple[VGroup, VGroup]:
    """Return the mean, and a bar as wide as the spread to either side."""
    m, s = values.mean(), values.std()
    mean = Line(line.n2p(m) + DOWN * 0.25, line.n2p(m) + UP * 0.75, color=MEAN, stroke_width=5)
    spread = Line(line.n2p(m - s), line.n2p(m + s), color=SPREAD, stroke_width=7).shift(UP * 0.62)
    return VGroup(mean, words("mean", 24, MEAN).next_to(mean, UP, buff=0.1)), VGroup(
        spread, words("spread", 24, SPREAD).next_to(spread, RIGHT, buff=0.15)
    )


class Centre(Lecture):
    """Batch norm centres and scales a column over a minibatch."""

    chapter, section = "Two parts with two modes", "2.7"

    def construct(self):
        self.add(head("2.7"))
        above, below = (number_line((-2.5, 2.5, 1), "", 11.0, range(-2, 3)).move_to([0.4, y, 0]) for y in (1.2, -2.0))
        names = VGroup(words("before", 24, DIM), words("after", 24, DIM))
        for name, line in zip(names, (above, below), strict=True):
            name.next_to(line.n2p(-2.5), UP, buff=0.5).align_to(line, LEFT)
        row = layer(1.2)
        parts = row[1]
        parts[::2].set_opacity(0.3)
        switch = RoundedRectangle(0.4, width=1.7, height=0.8, color=DIM, stroke_width=4).move_to(DOWN * 1.3)
        modes = VGroup(
            words("while it learns", 30, SLOPE).next_to(switch, LEFT, buff=0.5),
            words("when it is used", 30, GOOD).next_to(switch, RIGHT, buff=0.5),
        )
        thumb = Dot(switch.get_left() + RIGHT * 0.4, 0.3, color=SLOPE)
        self.say(
            "{parts} Two more parts sit in every layer of scVI. {learn} They behave in one way while it learns, "
            "{used} in another when it is used.",
            parts=(FadeIn(row, shift=UP * 0.2), 1.0),
            learn=lambda: (FadeIn(switch, thumb, modes[0]), *self.lit(parts, SLOPE), 0.9),
            used=lambda: (
                thumb.animate.shift(RIGHT * 0.9).set_color(GOOD),
                FadeIn(modes[1]),
                modes[0].animate.set_opacity(0.3),
                *self.lit(parts, GOOD),
                0.9,
            ),
        )
        one, two = handful(1), handful(5)
        dots_above = on_line(above, one)
        mean, spread = mean_and_spread(above, one)
        self.say(
            "{line} A step looks at a minibatch, {cells} a random handful of cells. Batch norm takes one column of "
            "numbers, {centre} subtracts its mean, {scale} and divides by its spread. {next} Another handful, "
            "{again} and the same again.",
            pause=0.5,
            line=lambda: (instead([row, modes, switch, thumb], FadeIn(above), FadeIn(names[0])), 1.0),
            cells=(FadeIn(dots_above, lag_ratio=0.2), 1.2),
            centre=lambda: (
                FadeIn(below),
                FadeIn(names[1]),
                FadeIn(mean, spread),
                *self.fall(above, below, dots_above, one, False),
                1.5,
            ),
            scale=lambda: (*self.fall(above, below, dots_above, one, True), 1.2),
            next=lambda: (FadeOut(self.landed, mean, spread), Transform(dots_above, on_line(above, two)), 0.9),
            again=lambda: (*self.fall(above, below, dots_above, two, None), 1.3),
        )

    def lit(self, parts: VGroup, color: str) -> list:
        """Return batch norm and dropout taking the colour of a mode."""
        return [
            move
            for frame, name in parts[1::2]
            for move in (frame.animate.set_stroke(color), name.animate.set_color(color))
        ]

    def fall(
        self, above: NumberLine, below: NumberLine, upper: VGroup, values: np.ndarray, scaled: bool | None
    ) -> list:
        """Return dots falling to the line below, centred; then scaled; or both at once."""
        centred = values - values.mean()
        goal = on_line(below, centred / values.std() if scaled is not False else centred)
        if scaled:
            return [Transform(self.landed, goal)]
        self.landed = goal
        return [TransformFromCopy(upper, goal)]


class Running(Lecture):
    """The running mean of that column creeps from zero to where the means of the minibatches are."""

    section = "2.7"

    def construct(self):
        self.add(head("2.7"))
        steps = 320
        means = np.array([handful(100 + t, 56).mean() for t in range(steps)])
        running = [0.0]
        for mean in means:
            running.append((1 - MOMENTUM) * running[-1] + MOMENTUM * mean)
        way = [1 - (1 - MOMENTUM) ** t for t in (20, 100, 300, 50)]
        told = [
            int(one)
            for one in re.findall(r"\d+(?= %)", lesson.text(r"(18 % after 20, 63 % after 100, 95 % after 300)"))
        ]
        assert [round(100 * one) for one in way[:3]] == told
        assert round(100 * way[3], 1) == 39.5  # "at forty per cent"
        axes = plot_axes(
            (0, steps), (0, 1.0), "minibatches", "one column", 9.4, 4.4, [0, 100, 200, 300], {0: "0"}
        ).move_to([-0.2, -0.6, 0])
        drawn = [curve(axes, range(a, b + 1), running[a : b + 1], MEAN, 7) for a, b in ((0, 20), (20, 100), (100, 300))]
        points = cloud(axes, np.arange(1, steps + 1), means, DIM, 0.05)
        labels = VGroup(
            *[self.label(axes, t, running[t], share) for t, share in zip((20, 100, 300), told, strict=True)]
        )
        names = VGroup(
            words("means of minibatches", 24, DIM).next_to(axes.c2p(160, 1.0), UP, buff=0.15),
            words("running mean", 24, MEAN).next_to(axes.c2p(175, 0.42), RIGHT, buff=0.2),
        )
        line = number_line((-2.5, 2.5, 1), "", 11.0, range(-2, 3))
        mean = mean_and_spread(line, COLUMN[:1])[0]
        alone = VGroup(line, mean, on_line(line, COLUMN[:1]), words("spread: 0", 24, SPREAD).next_to(mean, RIGHT))
        self.say(
            "{alone} But a single cell has no spread. {use} In use, batch norm goes by running averages, "
            "gathered in training. {means} Every minibatch has its own mean, {axes} and moves the running mean "
            "by one per cent of what is left.",
            alone=(FadeIn(alone), 0.8),
            use=lambda: (instead([alone], FadeIn(axes), FadeIn(points, shift=UP * 0.3)), 1.2),
            means=(FadeIn(names[0]), Indicate(points, color=INK, scale_factor=1.02), 1.0),
            axes=(Create(drawn[0], rate_func=linear), FadeIn(names[1]), 1.5),
        )
        early = Line(axes.c2p(50, running[50]), axes.c2p(50, means.mean()), color=BAD, stroke_width=6)
        gap = words("too early", 26, BAD).next_to(axes.c2p(50, 0.56), RIGHT, buff=0.15)
        self.say(
            f"{{a}} After 20, it has come {told[0]} per cent of the way, {{b}} after 100, {told[1]}, {{c}} after "
            f"300, {told[2]}. {{early}} Switch after fifty, at forty per cent, and the outputs look shifted.",
            pause=0.5,
            a=(FadeIn(labels[0]), 0.8),
            b=(Create(drawn[1], rate_func=linear), FadeIn(labels[1]), 1.1),
            c=(Create(drawn[2], rate_func=linear), FadeIn(labels[2]), 1.4),
            early=(Create(early), FadeIn(gap), 1.0),
        )

    def label(self, axes: Plot, t: int, height: float, share: int) -> VGroup:
        dot = Dot(axes.c2p(t, height), radius=0.1, color=MEAN)
        text = words(f"{share} %", 28, MEAN, weight=BOLD)
        return VGroup(dot, text.next_to(dot, DOWN, buff=0.75) if t == 300 else text.next_to(dot, DR, buff=0.12))


class Companions(Lecture):
    """The same cells, encoded beside others: off the diagonal in train mode, on it in eval mode."""

    section = "2.7"

    def construct(self):
        self.add(head("2.7"))
        trained, used = value("2.7", "encoded['train()']"), value("2.7", "encoded['eval()']")
        assert trained.shape == (2, 64)
        assert np.allclose(used[0], used[1], atol=1e-5)
        span = (-1.0, 1.8)
        axes = plot_axes(span, span, "code beside B cells", "code beside dendritic cells", 5.2, 5.2, {}, {}).move_to(
            [1.4, -0.4, 0]
        )
        diagonal = Line(axes.c2p(-1, -1), axes.c2p(1.8, 1.8), color=DIM, stroke_width=3)
        points = cloud(axes, *trained, LATENT, 0.07)
        pairs = VGroup(*[self.crowd(color, y) for color, y in ((GROUPS[1], 1.5), (GROUPS[4], -1.3))])
        notes = VGroup(
            words("the same 64, and B cells", 26).next_to(pairs[0], DOWN, buff=0.3),
            words("the same 64, and dendritic cells", 26).next_to(pairs[1], DOWN, buff=0.3),
        )
        self.say(
            "{same} Encode the same 64 cells twice: {one} beside B cells, {two} and beside dendritic cells. {ask} In "
            "train mode, do they get the same codes?",
            pause=1.2,
            same=(FadeIn(pairs[0][0], pairs[1][0], lag_ratio=0.5), 1.0),
            one=(FadeIn(pairs[0][1], shift=LEFT * 0.3), FadeIn(notes[0]), 0.9),
            two=(FadeIn(pairs[1][1], shift=LEFT * 0.3), FadeIn(notes[1]), 0.9),
            ask=(*[Indicate(pair[0], color=INK, scale_factor=1.08) for pair in pairs], 1.6),
        )
        mode = mono("train()", 34, SLOPE).move_to([-4.8, 1.2, 0])
        other = mono("eval()", 34, GOOD).move_to(mode)
        self.say(
            "{axes} Then each would lie on this diagonal. {off} They do not. {why} Through batch norm alone, a "
            "cell's code depends on its companions. {eval} In eval mode, {on} each cell is treated on its own, "
            "and both codes agree.",
            pause=0.5,
            axes=lambda: (instead([pairs, notes], FadeIn(axes), Create(diagonal), FadeIn(mode)), 1.2),
            off=(FadeIn(points, scale=1.1), 0.8),
            why=(Circumscribe(axes.frame, color=SLOPE, buff=0.2), 1.4),
            eval=lambda: (ReplacementTransform(mode, other), 0.6),
            on=(points.to(used.T), 1.8),
        )

    def crowd(self, color: str, y: float) -> VGroup:
        """Return 64 cells, and 64 companions."""
        both = VGroup(
            *[
                VGroup(*[Dot(radius=0.08, color=one) for _ in range(64)]).arrange_in_grid(4, 16, buff=0.13)
                for one in (INK, color)
            ]
        )
        return both.arrange(RIGHT, buff=0.6).move_to([0, y, 0])


class Dropped(Lecture):
    """Dropout flickers in training, and is still in use."""

    section = "2.7"

    def construct(self):
        self.add(head("2.7"))
        numbers = value("2.7", HIDDEN)
        cell = numbers[np.argmax((numbers > 0).sum(axis=1))]
        self.numbers = cell[cell > 0][:28]
        assert len(self.numbers) == 28
        self.squares = self.grid(None)
        rate = VGroup(words("zero, with probability d", 26, NOISE), math("times 1 / (1 - d)", 44, LATENT))
        rate.arrange(DOWN, buff=0.5).move_to([4.5, -0.3, 0])
        mode, other = mono("train()", 36, SLOPE).move_to([4.5, 1.8, 0]), mono("eval()", 36, GOOD).move_to([4.5, 1.8, 0])
        self.say(
            "{squares} The other part is dropout. {drop} It sets numbers to zero at random, {again} afresh at "
            "{third} every call, {scale} and scales up the others, so that the mean stays. {eval} In eval mode, "
            "everything passes.",
            squares=(FadeIn(self.squares, lag_ratio=0.03), 0.8),
            drop=lambda: (FadeIn(mode), FadeIn(rate[0]), self.roll(1), 0.8),
            again=lambda: (self.roll(2), 0.4),
            third=lambda: (self.roll(3), 0.4),
            scale=lambda: (FadeIn(rate[1]), self.roll(4), 0.8),
            eval=lambda: (ReplacementTransform(mode, other), FadeOut(rate), self.roll(None), 0.8),
        )
        rules = VGroup(
            *[
                VGroup(mono(f"model.{name}()", 36, color), words(when, 28)).arrange(RIGHT, buff=0.6)
                for name, color, when in (
                    ("train", SLOPE, "before the training loop"),
                    ("eval", GOOD, "before everything you report"),
                )
            ]
        )
        rules.arrange(DOWN, buff=0.6, aligned_edge=LEFT).move_to(DOWN * 0.2)
        rules[1][1].align_to(rules[0][1], LEFT)
        self.say(
            "{rule} The rule: {train} train before the training loop, {eval} eval before everything you report.",
            pause=0.6,
            rule=lambda: (instead([self.squares, other], FadeIn(*[rule[0] for rule in rules])), 0.8),
            train=FadeIn(rules[0][1], shift=LEFT * 0.2),
            eval=FadeIn(rules[1][1], shift=LEFT * 0.2),
        )

    def grid(self, seed: int | None) -> VGroup:
        """Return a cell's numbers as squares, some of them dropped where there is a seed."""
        out = np.zeros(28, bool) if seed is None else np.random.default_rng(seed).random(28) < SHARE
        light = ((1 - SHARE) * self.numbers / self.numbers.max() / (1.0 if seed is None else 1 - SHARE)) ** 0.6
        squares = VGroup(*[Square(0.9, color=GROUND, stroke_width=3) for _ in light])
        for square, share, gone in zip(squares, light, out, strict=True):
            square.set_fill(GROUND if gone else shade(share, LATENT), 1).set_stroke(NOISE if gone else GROUND)
        return squares.arrange_in_grid(4, 7, buff=0.12).move_to([-1.9, -0.4, 0])

    def roll(self, seed: int | None) -> Animation:
        return Transform(self.squares, self.grid(seed))


# ---- 2.8 FCLayers, 2.9 An encoder has two heads


class Layers(Lecture):
    """One layer, a second one, and the covariates that join both."""

    chapter, section = "Layers, and two heads", "2.8"

    def construct(self):
        self.add(head("2.8"))
        rows = [layer(y) for y in (1.35, -1.25)]
        names = [
            words(f"Layer {k}", 24, DIM).next_to(row[0], UP, buff=0.12).align_to(row[0], RIGHT)
            for k, row in enumerate(rows)
        ]
        x, out = node("x", INK, 0.42).move_to([-5.6, 1.35, 0]), words("out", 26).move_to([6.1, -1.25, 0])
        into = way(x.get_right(), rows[0][1][0].get_left())
        snake = [
            rows[0][1][-1].get_right() + RIGHT * 0.1,
            [6.1, 1.35, 0],
            [6.1, 0.05, 0],
            [-5.6, 0.05, 0],
            [-5.6, -1.25, 0],
        ]
        turn = VGroup(
            VMobject().set_points_as_corners(snake).set_stroke(DIM, 5),
            way([-5.62, -1.25, 0], rows[1][1][0].get_left(), buff=0.0),
        )
        leave = way(rows[1][1][-1].get_right(), out.get_left())
        known = chip("one-hot", GROUPS[4], 26).move_to([rows[1][1][0].get_x(), -3.05, 0])
        top = [rows[0][1][0].get_x(), 2.5, 0]
        bus = VGroup(
            way(known.get_top(), rows[1][1][0].get_bottom(), GROUPS[4]),
            VMobject()
            .set_points_as_corners([known.get_left(), [-6.5, -3.05, 0], [-6.5, 2.5, 0], top])
            .set_stroke(GROUPS[4], 5),
            way(top, rows[0][1][0].get_top(), GROUPS[4], buff=0.0),
        )
        self.say(
            "{linear} Linear, {norm} batch norm, {relu} ReLU, {drop} dropout: {one} that is one layer. {two} "
            "Stack a second.",
            linear=(FadeIn(x), GrowArrow(into), FadeIn(rows[0][1][0], shift=RIGHT * 0.2), 0.6),
            norm=FadeIn(rows[0][2][0], rows[0][1][1]),
            relu=FadeIn(rows[0][2][1], rows[0][1][2]),
            drop=FadeIn(rows[0][2][2], rows[0][1][3]),
            one=(Create(rows[0][0]), FadeIn(names[0]), 0.8),
            two=(
                Create(turn[0]),
                FadeIn(turn[1]),
                FadeIn(rows[1]),
                FadeIn(names[1]),
                GrowArrow(leave),
                FadeIn(out),
                1.3,
            ),
        )
        light = [
            pulse(into),
            *[pulse(one) for one in rows[0][2]],
            pulse(turn[0]),
            *[pulse(one) for one in rows[1][2]],
            pulse(leave),
        ]
        self.say(
            "{known} What else we know of a cell, such as the laboratory run, {every} joins every layer, "
            "one-hot. {flow} Of these FCLayers, the encoder and the decoder of scVI are made.",
            pause=0.4,
            known=(FadeIn(known, shift=UP * 0.3), 0.8),
            every=(GrowArrow(bus[0]), Create(bus[1]), FadeIn(bus[2]), 1.4),
            flow=(LaggedStart(*light, lag_ratio=0.35), 3.0),
        )


class Heads(Lecture):
    section = "2.9"

    def construct(self):
        self.add(head("2.9"))
        trunk = trapezoid("FCLayers", width=2.2).move_to([-4.9, -0.2, 0])
        mean, spread = node("mu", MEAN).move_to([-2.1, 0.9, 0]), node("sigma^2", SPREAD, 0.72).move_to([-2.1, -1.3, 0])
        ways = VGroup(*[way(trunk[0].get_right() + UP * y, one.get_left()) for y, one in ((0.2, mean), (-0.2, spread))])
        any_number = words("any number", 26, MEAN).next_to(mean, UP, buff=0.2)
        positive = words("never negative", 26, SPREAD).next_to(spread, DOWN, buff=0.2)
        line = number_line((-3, 3), "", 5.6, []).move_to([3.2, -1.0, 0])
        hill = bell(line, 0.6, 0.9, INK, 1.9)
        centre = Line(line.n2p(0.6), line.n2p(0.6) + UP * 2.1, color=MEAN, stroke_width=5)
        centre = VGroup(centre, math("mu", 44, MEAN).next_to(centre, UP))
        wide = DoubleArrow(line.n2p(-0.3), line.n2p(1.5), buff=0, color=SPREAD, tip_length=0.2).shift(UP * 0.6)
        wide = VGroup(wide, math("sigma", 44, SPREAD).next_to(wide.get_center() + RIGHT * 0.4, UP))
        self.say(
            "{trunk} An encoder is this trunk, {heads} with two heads. {mean} One says a mean, any number; {var} "
            "the other a variance, never negative. {but} But a linear layer may say anything.",
            trunk=(FadeIn(trunk, shift=RIGHT * 0.3), 0.8),
            heads=(*[GrowArrow(one) for one in ways], FadeIn(mean[0]), FadeIn(spread[0]), 0.8),
            mean=(FadeIn(mean[1], any_number, line, hill), GrowFromEdge(centre, DOWN), 0.9),
            var=(FadeIn(spread[1], positive), GrowFromCenter(wide), 0.9),
            but=(Wiggle(spread), 1.2),
        )
        grid, notes = self.table()
        free = words("any number", 26, SPREAD).next_to(spread, DOWN, buff=0.2)
        logvar = node("log sigma^2", SPREAD, 0.72).move_to(spread)
        self.say(
            "{raw} Minus 3, say. {as_it_is} As it is, the standard deviation is not a number. {relu} Cut at "
            "zero, the variance is zero, and a density divides by it. {exp} The exponential is always positive. "
            "{log} So the head returns the log of the variance: any number will do.",
            pause=0.5,
            raw=lambda: (instead([line, hill, centre, wide], FadeIn(grid[0])), 0.8),
            as_it_is=(FadeIn(grid[1], shift=UP * 0.2), FadeIn(notes[0]), 0.8),
            relu=(FadeIn(grid[2], shift=UP * 0.2), FadeIn(notes[1]), 0.8),
            exp=(FadeIn(grid[3], shift=UP * 0.2), FadeIn(notes[2]), 0.8),
            log=lambda: (ReplacementTransform(spread, logvar), FadeOut(positive), FadeIn(free, shift=UP * 0.2), 1.2),
        )

    def table(self) -> tuple[VGroup, VGroup]:
        """Return three readings of three raw numbers, as the lesson printed them, and what is wrong with two."""
        rows = []
        for name in ("as it is", "relu", "exp"):
            variance, deviation = re.findall(r"\[(.+?)\]", lesson.line(rf"^{name} +variance"))
            rows.append([name, *variance.replace("-", "−").split(", ")])
            assert name != "as it is" or deviation.startswith("nan")
            assert name != "relu" or variance.startswith("0.0")
        grid = table(rows, ["head says", "−3", "0", "3"], 30, 0.75).move_to([3.0, -0.1, 0])
        for row, color in ((grid.row(0), BAD), (grid.row(1), BAD), (grid.row(2), GOOD)):
            row[1].set_color(color)
        VGroup(grid.row(0)[2], grid.row(1)[2]).set_color(BAD)
        frames = VGroup(*[framed(grid.row(k)[1], color) for k, color in ((0, BAD), (1, BAD), (2, GOOD))])
        return grid, frames


# ---- 2.10 Train something small and real


def scored(name: str) -> tuple[str, str]:
    """Return the share of held-out cells that a rival names rightly, and its standard error, as printed."""
    (found,) = re.findall(r"([\d.]+)% ± ([\d.]+)%", lesson.line(rf"^{name} +right for"))
    return found


BASE, NET, ALONE = (scored(name) for name in ("largest group", "FCLayers", "Linear alone"))
APART, APART_ERROR = re.findall(r"[\d.]+(?=%)", lesson.line(r"^cell by cell, FCLayers minus Linear: \+"))
assert 0 < float(APART) < 2 * float(APART_ERROR)  # "less than two standard errors"
assert min(float(NET[0]), float(ALONE[0])) > float(BASE[0]) + 40  # "far above guessing"


class Training(Lecture):
    """The loss of every minibatch of ten epochs."""

    chapter, section = "Train something small and real", "2.10"

    def construct(self):
        self.add(head("2.10"))
        losses = value("2.10", LOSSES)
        assert len(losses) == 100
        assert losses[-10:].max() < 0.1 < np.log(6) < losses[0]  # "falls below 0.1", "a little more"
        assert lesson.text(r"guessing costs \$\\log 6 = (1\.79)\$") == "1.79"
        names = ("monocyte", "B cell", "CD34+", "NK cell", "dendritic", "T cell")
        assert re.findall(r"'(\w+)", lesson.line(r"^\{'CD14")) == ["CD14", "CD19", "CD34", "CD56", "Dendritic", "T"]
        groups = VGroup(*[chip(name, GROUPS[k], 26) for k, name in enumerate(names)]).arrange_in_grid(2, 3, buff=0.35)
        groups.move_to([3.0, -0.2, 0])
        cell = Dot([-6.2, -0.2, 0], radius=0.25, color=INK)
        net = box(VGroup(words("FCLayers", 26), words("Linear", 26)).arrange(DOWN, buff=0.2), "", 2.3, 1.5)
        net.move_to([-3.4, -0.2, 0])
        cost = math('"loss" = -log p("B cell")', 44).next_to(groups, DOWN, buff=0.8)
        arrows = VGroup(way(cell.get_right(), net.get_left()), way(net.get_right(), groups.get_left()))
        self.say(
            "{net} Do these parts learn? Let them look at a cell, {groups} and name its group, one of six. "
            "{loss} The loss: minus the log-probability of the true one.",
            net=(FadeIn(cell), GrowArrow(arrows[0]), FadeIn(net), 0.9),
            groups=(
                GrowArrow(arrows[1]),
                LaggedStart(*[FadeIn(one, scale=0.8) for one in groups], lag_ratio=0.15),
                1.4,
            ),
            loss=lambda: (
                Circumscribe(groups[1], color=INK),
                *[one.animate.set_opacity(0.3) for one in (groups[0], *groups[2:])],
                FadeIn(cost, shift=UP * 0.2),
                1.4,
            ),
        )
        axes = plot_axes(
            (0, 100),
            (0, 2.3),
            "minibatches",
            "cross-entropy: mean loss of a cell",
            9.4,
            4.6,
            {0: "0", 50: "50", 100: "100"},
            {0: "0", 1: "1", 2: "2"},
        ).move_to([-0.5, -0.5, 0])
        axes.names[0].shift(RIGHT * 0.2)  # room for the dot at the end of the walk
        guess = DashedLine(axes.c2p(0, np.log(6)), axes.c2p(100, np.log(6)), color=BAD, stroke_width=4)
        named = words("guessing: log 6 = 1.79", 26, BAD).next_to(guess, UP, buff=0.12).align_to(guess, RIGHT)
        epochs = VGroup(
            *[Line(axes.c2p(10 * k, 0), axes.c2p(10 * k, 2.3), color=FAINT, stroke_width=2) for k in range(1, 11)]
        )
        walker = pen(axes.c2p(1, losses[0]), GOOD, 5)
        places = [axes.c2p(k + 1, loss) for k, loss in enumerate(losses)]
        self.say(
            "{guess} Guessing costs the natural log of 6: 1.79. {start} Untrained, it costs a little more. {learn} "
            "Minibatch by minibatch, in ten walks through the training cells, the loss falls below {end} 0.1.",
            pause=0.6,
            guess=lambda: (
                instead([cell, net, arrows, groups, cost], FadeIn(axes), Create(guess), FadeIn(named)),
                1.3,
            ),
            start=(FadeIn(walker[0], scale=2), FadeIn(epochs), 0.8),
            learn=lambda: (tracing(walker, places), 4.6),
            end=(Flash(places[-1], color=GOOD, line_length=0.2, flash_radius=0.25), 0.8),
        )


def captioned(axes: Plot, points: Cloud, answer: VMobject, text: str) -> VGroup:
    return VGroup(axes, points, answer, words(text, 24, DIM).next_to(axes.frame, DOWN, buff=0.25))


class Scores(Lecture):
    section = "2.10"

    def construct(self):
        self.add(head("2.10"))
        card = question("Right for how many unseen cells?\nThe network, and a Linear alone", 32).move_to(DOWN * 1.9)
        cells, held, names = self.folds()
        self.say(
            "{folds} But what counts {next} are cells it has never seen. {ask} How many will it name rightly? And a "
            "single Linear?",
            pause=1.6,
            folds=(FadeIn(cells, names), Create(held), 0.9),
            next=lambda: (Succession(*[ApplyMethod(held.set_x, cells.group(k).get_x()) for k in range(1, 5)]), 2.1),
            ask=(ask(card), 1.0),
        )
        rows = ("largest group", "FCLayers", "Linear alone")
        bars = Bars(
            rows,
            [one[0] for one in (BASE, NET, ALONE)],
            "per cent of unseen cells named rightly, ± one standard error",
            [DIM, GOOD, LATENT],
            7.0,
        )
        bars.move_to([-0.4, -0.2, 0])
        for bar in bars.bars:
            bar[1].shift(LEFT * 0.2)
        errors = VGroup(*[self.whisker(bars.bars[k][0], *one) for k, one in enumerate((BASE, NET, ALONE))])
        self.say(
            f"{{base}} Always saying the largest group: right for {BASE[0]} per cent. {{net}} Our network: "
            f"{float(NET[0]):g}. {{alone}} A Linear alone: {ALONE[0]}. {{both}} Both are far above guessing.",
            base=lambda: (
                instead(
                    [card, cells, held, names],
                    FadeIn(bars.names),
                    FadeIn(bars.unit),
                    Succession(bars.grow(0), FadeIn(errors[0], run_time=0.4)),
                ),
                1.5,
            ),
            net=(Succession(bars.grow(1), FadeIn(errors[1], run_time=0.4)), 1.2),
            alone=(Succession(bars.grow(2), FadeIn(errors[2], run_time=0.4)), 1.2),
            both=(Circumscribe(bars.bar(0), color=INK, buff=0.12), 1.2),
        )
        line = number_line((-2, 4, 1), "points", 8.0).move_to([0, -1.2, 0])
        zero = Line(line.n2p(0), line.n2p(0) + UP * 1.2, color=INK, stroke_width=4)
        d, e = float(APART), float(APART_ERROR)
        bar = Line(line.n2p(d - 2 * e), line.n2p(d + 2 * e), color=SPREAD, stroke_width=6).shift(UP * 0.6)
        inner = Line(line.n2p(d - e), line.n2p(d + e), color=SPREAD, stroke_width=14).shift(UP * 0.6)
        dot = Dot(line.n2p(d) + UP * 0.6, radius=0.14, color=MEAN).set_z_index(2)
        title = words("FCLayers minus Linear, cell by cell", 28).move_to(UP * 1.6)
        note = words("two standard errors", 24, SPREAD).next_to(bar, UP, buff=0.35)
        self.say(
            f"{{cell}} Cell by cell, they differ by {APART} points, {{error}} with a standard error of "
            f"{APART_ERROR}. {{zero}} Zero lies within two errors: so we cannot rank them.",
            pause=0.4,
            cell=lambda: (
                instead([bars, errors], FadeIn(title), FadeIn(line, zero), FadeIn(dot, shift=DOWN * 0.4)),
                1.1,
            ),
            error=(GrowFromCenter(inner), 0.7),
            zero=(GrowFromCenter(bar), FadeIn(note), 1.0),
        )
        bends = VGroup(self.straight_answer(), self.bent_answer())
        bends.arrange(RIGHT, buff=1.3).scale(1.12).move_to(DOWN * 0.3)
        bends[1].shift(UP * (bends[0][0].frame.get_bottom() - bends[1][0].frame.get_bottom())[1])
        self.say(
            "{sum} Where groups have their own marker genes, a weighted sum is enough. {bend} A network shows "
            "its worth where the answer bends, {label} or where there is no label: lesson three.",
            pause=0.5,
            sum=lambda: (instead([title, line, zero, dot, bar, inner, note], FadeIn(bends[0], shift=UP * 0.2)), 1.1),
            bend=(FadeIn(bends[1], shift=UP * 0.2), 1.0),
            label=(Circumscribe(bends[1], color=MEAN, buff=0.25), 1.2),
        )

    def folds(self) -> tuple[Cloud, VGroup, VGroup]:
        """Return the cells in five parts, a frame around the part that is held out, and what is done with each."""
        place = np.arange(N)
        part, inside = place * 5 // N, place % (N // 5)
        axes = Plot((0, 75), (0, 9), 11.4, 1.4).move_to(UP * 1.2)
        cells = Cloud(axes, np.stack([part * 15.3 + inside // 10, inside % 10], axis=1), part, [DIM], 0.05)
        held = VGroup(framed(cells.group(0), GOOD), words("held out", 26, GOOD))
        held[1].next_to(held[0], UP, buff=0.2)
        return cells, held, words("trained on the others", 26, DIM).next_to(cells, DOWN, buff=0.35)

    def whisker(self, bar: Rectangle, share: str, error: str) -> VGroup:
        """Return a standard error to either side of the end of a bar."""
        unit = bar.width / float(share)
        low, high = (bar.get_right() + side * unit * float(error) for side in (LEFT, RIGHT))
        caps = [Line(end + DOWN * 0.16, end + UP * 0.16) for end in (low, high)]
        return VGroup(Line(low, high), *caps).set_stroke(INK, 4)

    def straight_answer(self) -> VGroup:
        """Return monocytes and B cells, by the eight genes that mark each, and a straight line between."""
        features, types = value("2.5", "features"), value("2.6", "cell_type").astype(int)
        sizes = re.findall(r"(?:Monocyte|B)': (\d+)", lesson.line(r"^\{'CD14"))
        both = [features[types == list(np.bincount(types)).index(int(size))] for size in sizes]
        order = np.argsort(both[0].mean(axis=0) - both[1].mean(axis=0))
        points = [np.stack([one[:, order[:8]].mean(axis=1), one[:, order[-8:]].mean(axis=1)], axis=1) for one in both]
        assert all(np.mean((one[:, 0] > one[:, 1]) == k) > 0.99 for k, one in enumerate(points))
        axes = plot_axes((-0.1, 3), (-0.1, 3), "", "monocyte genes", 4.2, 3.0, {}, {})
        cells = Cloud(axes, np.concatenate(points), np.repeat([0, 1], [len(one) for one in points]), opacity=0.75)
        shown = captioned(axes, cells, curve(axes, [0, 3], [0, 3], INK, 6), "B cell genes")
        kinds = ("monocytes", GROUPS[0], 1.35, 2.75), ("B cells", GROUPS[1], 2.3, 0.85)
        return shown.add(*[words(name, 24, color).move_to(axes.c2p(*at)) for name, color, *at in kinds])

    def bent_answer(self) -> VGroup:
        """Return the genes of section 2.6, and the answer that bends."""
        axes = plot_axes((-2.4, 1.5), (-0.1, 1.05), "", "cells that show the gene", 4.2, 3.0, {}, {})
        genes = cloud(axes, value("2.6", "gene_mean"), value("2.6", "gene_seen"), radius=0.03)
        bent = np.squeeze(lesson.value("2.6", BENDS)[1])
        return captioned(axes, genes, curve(axes, value("2.6", "along"), bent, GOOD, 6), "mean count")


class Asked(Lecture):
    section = "2.13"

    def construct(self):
        card = notebook_card(
            2,
            [
                ("2.3", "write the step downhill"),
                ("2.1", "write Linear, weight and bias"),
                ("2.4", "write FCLayers, layer by layer"),
                ("2.5", "give the encoder its two heads"),
                "break the training on purpose",
            ],
        )
        self.say(
            "{card} In the notebook, {step} you write the step downhill, {linear} Linear, {layers} FCLayers, "
            "{heads} and two heads. {break_} Then you break the training on purpose, and ask who would notice.",
            pause=2.0,
            card=(card.appear(), 0.8),
            **{cue: card.reveal(i) for i, cue in enumerate(("step", "linear", "layers", "heads", "break_"))},
        )


class Poster(Lecture):
    def construct(self):
        image = all_pairs(6.4).move_to([3.2, 0, 0])
        wanted = Line(image.get_corner(UL), image.get_corner(DR), color=GOOD, stroke_width=9)
        title = VGroup(words("PyTorch", 80, weight=BOLD), words("and nn.Linear", 64, MEAN, weight=BOLD))
        title.arrange(DOWN, buff=0.35, aligned_edge=LEFT)
        small = VGroup(words(f"wanted: {N}", 34, GOOD), words(f"computed: {N * N:,}", 34, BAD))
        small.arrange(DOWN, buff=0.25, aligned_edge=LEFT)
        left = VGroup(title, small).arrange(DOWN, buff=0.9, aligned_edge=LEFT).set_x(-6.3, LEFT)
        self.add(image, wanted, left)
