"""Film 0: from counts to latents, and why a machine that rebuilds cannot invent."""

import re
from itertools import pairwise

import numpy as np
from film import *
from scipy.optimize import linear_sum_assignment

MAP, TEN = "vc.Posterior(model, data).t_sne()", "vc.Posterior(model, data).get_latent()[0]"
TURNED = "x[:200, [index['HLA-DRA'], index['CD74']]]"  # the cells that vc.explore.pca() shows
FIRST = "pca_encode({0}, {0}.mean(dim=0), torch.linalg.svd({0} - {0}.mean(dim=0), full_matrices=False).Vh[:1])"
B_ALONE = "pca_encode(b_cells, b_cells.mean(dim=0), components)"
EPOCHS = [0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 30, 45, 70, 100, 150]
BENT = (  # the curve of the half circle after some epochs: every training starts from the same seed
    "[(lambda pair: pair[1](torch.linspace(pair[0](arc).min(), pair[0](arc).max(), 121).unsqueeze(-1)))"
    f"(fit_autoencoder(arc, n_latent=1, n_hidden=32, lr=1e-2, n_epochs=n)) for n in {EPOCHS}]"
)
OUT = "pca_encode({}, mean, components)[:, :2]"
HELD = "distances(x[test]).min(dim=1).values"
PLACES = "[TSNE(random_state=0).fit_transform(space) for space in (before, after)]"

lesson = Lesson(
    0,
    {
        "0.1": [MAP, TEN, "groups", "group_names"],
        "0.2": ["counts", "order", "variable", "library", "middle"],
        "0.3": ["x[:, variable]", "correlation", "six", "toy"],
        "0.4": [TURNED, "z", "train", FIRST.format("counts"), FIRST.format("x"), B_ALONE],
        "0.5": ["sizes", "errors"],
        "0.6": ["arc", "on_line", "bend(arc)", "unbend(bend(arc))", BENT, "angle"],
        "0.7": ["z_train", "z_drawn", "nearest.values", "edge", HELD, OUT.format("x[train]"), OUT.format("invented")],
        "0.9": [PLACES, "two.batch_index"],
    },
)


def value(section: str, expression: str) -> np.ndarray:
    """Return a value of the lesson as an array."""
    return np.asarray(lesson.value(section, expression))


n_cells, n_genes = re.findall(r"\d+", lesson.printed("index = {str(gene)").splitlines()[0])
groups, names = value("0.1", "groups"), lesson.value("0.1", "group_names")
counts, variable, library = (value("0.2", name) for name in ("counts", "variable", "library"))
WARM, COLD = "#F0A07C", "#7CB4F0"  # two genes, two signs, two laboratories: no kinds of cell
TOP = np.log(30)  # the log count from which on a square is white
EARLY, LATE = squish_rate_func(smooth, 0, 0.4), squish_rate_func(smooth, 0.4, 1)  # first the old goes
SCREEN = Plot((0, 1), (0, 1), 1, 1)  # its coordinates are those of the picture


def paint(cloud: Cloud, colors) -> list:
    """Return the kinds of a cloud taking their colours; write it late."""
    return [
        drawn.animate.set_fill(colors[kind % len(colors)]) for kind, drawn in zip(cloud.numbers, cloud, strict=True)
    ]


def on(plot: Plot, points: np.ndarray) -> np.ndarray:
    """Return the points of the picture at coordinates of a plot."""
    return np.array([plot.c2p(*point[:2]) for point in np.asarray(points, dtype=float)])


def fitted(points: np.ndarray, width: float, height: float, middle=ORIGIN) -> np.ndarray:
    """Return a map's points in the picture, both axes at one scale."""
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - (low + high) / 2) * min(width / (high - low)[0], height / (high - low)[1])
    return np.column_stack([scaled, np.zeros(len(points))]) + np.asarray(middle)


def segments(
    starts: np.ndarray, ends: np.ndarray, color: str = BAD, width: float = 2, opacity: float = 0.6
) -> VMobject:
    """Return many thin lines as one shape."""
    steps = np.array([0, 1 / 3, 2 / 3, 1])[None, :, None]
    lines = starts[:, None] + steps * (ends - starts)[:, None]
    return VMobject().set_points(lines.reshape(-1, 3)).set_stroke(color, width, opacity).set_fill(opacity=0)


def photograph(values: np.ndarray, width: float, height: float) -> ImageMobject:
    """Return a table of log counts as an image, dark to light."""
    low, high = (np.array(ManimColor(color).to_rgb()) for color in ("#1D2533", INK))
    picture = ImageMobject(np.uint8(255 * (low + np.clip(values / TOP, 0, 1)[..., None] * (high - low))))
    return picture.stretch_to_fit_height(height).stretch_to_fit_width(width)


def legend(entries: dict[str, str], size: float = 22) -> VGroup:
    """Return names with their colours, under each other."""
    dots = [Dot(radius=0.09, color=color) for color in entries.values()]
    rows = [VGroup(dot, words(name, size)).arrange(RIGHT, buff=0.2) for dot, name in zip(dots, entries, strict=True)]
    return VGroup(*rows).arrange(DOWN, buff=0.22, aligned_edge=LEFT)


def kinds_legend(size: float = 22) -> VGroup:
    """Return the kinds of cells with their colours."""
    return legend(dict(zip(names, GROUPS, strict=False)), size)


def sheet(rows: dict[str, list], genes: list[str], light, width: float = 1.32, height: float = 0.82) -> VGroup:
    """Return cells as rows of numbers on squares, as light as `light(number)`: `.header`, `.rows[i]`,
    `.column(j)`."""
    group = VGroup(VGroup(), VGroup())
    group.header, group.rows = group
    for j, gene in enumerate(genes):
        group.header.add(words(gene, 22, DIM).move_to([j * width, height * 0.95, 0]))
    for i, (name, row) in enumerate(rows.items()):
        line = VGroup(words(name, 26).move_to([-width * 0.75, -i * height, 0], RIGHT), VGroup(), VGroup())
        for j, text in enumerate(row):
            share = light(float(text.replace("−", "-")))
            square = Rectangle(width=width * 0.93, height=height * 0.9, stroke_width=0).set_fill(shade(share), 1)
            line[1].add(square.move_to([j * width, -i * height, 0]))
            line[2].add(mono(text, 28, GROUND if share > 0.45 else INK).move_to(square))
        group.rows.add(line)
    return group.center()


def squares(values: np.ndarray, side: float, color: str = INK, top: float = TOP, down: bool = False) -> VGroup:
    """Return numbers as a row of squares, dark to light."""
    row = VGroup(*[Square(side * 0.9, stroke_width=0).set_fill(shade(value / top, color), 1) for value in values])
    return row.arrange(DOWN if down else RIGHT, buff=side * 0.1)


def opening(beat: Lecture) -> None:
    """Show the number and the title of a beat's section."""
    beat.add(heading(beat.section, lesson.titles[beat.section]))


# -- 0.1 ---------------------------------------------------------------------------------------------------------------

scvi_map, latents = value("0.1", MAP), value("0.1", TEN)
assert latents.shape == (int(n_cells), 10)  # "ten numbers"
CELL, OTHER, ALIKE = 520, 108, 13  # the cells that are shown as lists
to_other, to_alike = (np.linalg.norm(latents[one] - latents[CELL]) for one in (OTHER, ALIKE))
assert to_other > 4 * to_alike  # "near" and "long distances"


def ten_numbers(row: int, side: float, down: bool = False) -> VGroup:
    """Return what scVI sums a cell up in."""
    return squares(latents[row] - latents.min(), side, LATENT, np.ptp(latents), down)


class Lists(Lecture):
    chapter = "The whole game"
    section = "0.1"

    def construct(self):
        title = words(lesson.text(r"# Lesson 0 · (.+)"), 46, weight=BOLD)
        small = heading("0.1", lesson.titles["0.1"])
        picture = photograph(np.log1p(counts), 5.2, 4.75).move_to([-3.7, -0.35, 0])
        self.sides = VGroup(words(f"{n_cells} cells", 24, DIM).rotate(PI / 2).next_to(picture, LEFT, buff=0.2))
        self.sides.add(words(f"{n_genes} genes", 24, DIM).next_to(picture, UP, buff=0.2))
        mark = Rectangle(width=picture.width + 0.15, height=0.1, color=MEAN, stroke_width=3)
        rows = (CELL, OTHER, ALIKE)
        self.heights = [picture.get_top()[1] - picture.height * row / len(groups) for row in rows]
        mark.move_to(picture).set_y(self.heights[0])
        shown = [self.cell(row) for row in rows]
        self.say(
            f"{{title}} What does scVI do? {{grid}} Here are {n_cells} human blood cells, {{row}} each one a list of "
            f"numbers: {{list}} one for each of {n_genes} genes.",
            pause=0.4,
            title=(FadeIn(title, shift=UP * 0.2), 0.9),
            grid=(
                ReplacementTransform(title, small, rate_func=EARLY),
                *[FadeIn(one, rate_func=LATE) for one in (picture, self.sides)],
                1.4,
            ),
            row=(FadeIn(mark), 0.5),
            list=lambda: (TransformFromCopy(mark, shown[0][0]), FadeIn(shown[0][1]), 1.2),
        )
        self.ten(picture, mark, shown)

    def cell(self, row: int) -> VGroup:
        """Return a cell's counts of the genes that vary most, and its ten numbers."""
        strip = squares(np.log1p(counts[row, variable[:27]]), 0.22).move_to([3.3, 1.3, 0])
        ten = ten_numbers(row, 0.52).move_to([3.3, -1.4, 0])
        labels = words(f"{n_genes} counts …", 24, DIM), words("ten numbers", 24, LATENT)
        return VGroup(strip, labels[0].next_to(strip, UP, buff=0.2), ten, labels[1].next_to(ten, DOWN, buff=0.25))

    def ten(self, picture: ImageMobject, mark: Rectangle, shown: list[VGroup]) -> None:
        down = Arrow(UP * 0.55, DOWN * 0.55, color=DIM, stroke_width=5, tip_length=0.2).move_to([3.3, -0.1, 0])

        def next_cell(i: int) -> tuple:
            pairs = zip(shown[i - 1][::2], shown[i][::2], strict=True)
            return (mark.animate.set_y(self.heights[i]), *[ReplacementTransform(*pair) for pair in pairs], 0.9)

        self.say(
            "It learns to sum up each {ten} in ten numbers, {two} this one, {three} and that one.",
            ten=(GrowArrow(down), FadeIn(shown[0][2], shift=DOWN * 0.3), FadeIn(shown[0][3]), 0.9),
            two=lambda: next_cell(1),
            three=lambda: next_cell(2),
        )
        self.map(Group(picture, self.sides, mark, down, shown[2][0], shown[0][1], shown[0][3]), shown[2][2])

    def map(self, gone: Group, last: VGroup) -> None:
        """Show what t-SNE is: alike cells as near dots, and a far dot whose distance means nothing."""
        tens = [ten_numbers(row, 0.44).move_to([-3.5, y, 0]) for row, y in ((CELL, 1.2), (ALIKE, 0.4), (OTHER, -1.4))]
        frame = RoundedRectangle(0.2, width=5.4, height=4.6, color=DIM, stroke_width=3).move_to([3.1, -0.2, 0])
        name = words("t-SNE", 26, DIM).next_to(frame, UP, buff=0.15)
        dots = [Dot([x, y, 0], radius=0.13, color=LATENT) for x, y in ((1.6, 1.1), (2.0, 0.75), (4.2, -1.3))]
        stretch = always_redraw(lambda: Line(dots[1], dots[2], color=DIM, stroke_width=3, buff=0.15))

        def far() -> tuple:
            self.add(stretch)  # fading in, it would stay where it began while its dot moves on
            return Succession(*[ApplyMethod(dots[2].move_to, goal) for goal in goals]), 2.4

        goals = ([5.1, 0.9, 0], [2.4, -1.7, 0], [4.2, -1.3, 0])
        self.say(
            "{map} Then we draw a map: {near} near stays near, {long} and long distances mean nothing.",
            pause=0.5,
            map=lambda: (
                FadeOut(gone, rate_func=EARLY),
                ReplacementTransform(last, tens[1]),
                FadeIn(tens[0], tens[2], rate_func=LATE),
                FadeIn(frame, name, rate_func=LATE),
                1.2,
            ),
            near=(*[TransformFromCopy(*pair) for pair in zip(tens, dots, strict=True)], 0.8),
            long=far,
        )
        card = question("What will the map look like?").move_to(UP * 1.0)
        options = Choices("one cloud", "a few islands", "an island per kind").move_to(DOWN * 1.3)
        self.say(
            "{ask} What will it look like? {a} One cloud, {b} a few islands, {c} or a clean island for every kind of "
            "cell?",
            pause=1.8,
            ask=lambda: (
                FadeOut(self.others(self.mobjects[0]), rate_func=EARLY),
                AnimationGroup(ask(card), rate_func=LATE),
                1.0,
            ),
            a=options.offer(0),
            b=options.offer(1),
            c=options.offer(2),
        )


class Islands(Lecture):
    section = "0.1"

    def construct(self):
        opening(self)
        across = np.array([[i % 35, i // 35] for i in range(len(groups))], dtype=float)
        places = fitted(scvi_map, 9.5, 6.0, [-1.8, -0.25, 0])
        cloud = Cloud(SCREEN, fitted(across, 7, 4, [-1.8, 0, 0]), groups, DIM, radius=0.055)
        key = kinds_legend().move_to([5.3, 0.3, 0])
        self.say(
            "{start} Seven hundred cells, {move} and where scVI puts them.",
            pause=0.6,
            start=(FadeIn(cloud), 0.8),
            move=(cloud.to(places), 2.0),
        )
        kinds = [names.index("T cell"), names.index("CD56+ NK")]
        those = places[np.isin(groups, kinds)]
        low, high = np.quantile(those, 0.13, axis=0), np.quantile(those, 0.97, axis=0)
        ring = Ellipse(*((high - low)[:2] * 1.5), color=INK, stroke_width=4).move_to((low + high) / 2)
        self.say(
            "{colour} Islands, each mostly of one colour. And nobody told it a single type. {share} T cells and NK "
            "cells, alike in the body, share one.",
            pause=0.7,
            colour=lambda: (*paint(cloud, GROUPS), FadeIn(key, shift=LEFT * 0.2), 1.2),
            share=(Create(ring), *[Indicate(key[kind], color=INK, scale_factor=1.15) for kind in kinds], 1.4),
        )


class Machine(Lecture):
    section = "0.1"

    def construct(self):
        opening(self)
        cell = squares(np.log1p(counts[CELL, variable[:11]]), 0.44, down=True).move_to([-5.6, -0.3, 0])
        ten = ten_numbers(CELL, 0.44, down=True).move_to([0, -0.3, 0])
        encoder, decoder = (
            trapezoid("encoder").move_to([-2.8, -0.3, 0]),
            trapezoid("decoder", "left").move_to([2.8, -0.3, 0]),
        )
        back = squares(np.log1p(counts[CELL, variable[:11]]), 0.44, down=True).move_to([5.6, -0.3, 0]).set_opacity(0.55)
        z = math("z", 56, LATENT).next_to(ten, UP, buff=0.2)
        ways = VGroup(*[arrow(*pair, buff=0.25) for pair in pairwise([cell, encoder, ten, decoder, back])])
        arrive = LaggedStart(*[FadeIn(one, shift=RIGHT * 0.4) for one in ten], lag_ratio=0.1)
        self.say(
            "{enc} An encoder sums up a cell {z} in a few numbers, z: its latents. {dec} A decoder turns these back "
            "into a statement about counts.",
            enc=(FadeIn(cell), GrowArrow(ways[0]), FadeIn(encoder, shift=RIGHT * 0.3), 1.0),
            z=(GrowArrow(ways[1]), arrive, FadeIn(z), 1.2),
            dec=(
                GrowArrow(ways[2]),
                FadeIn(decoder, shift=RIGHT * 0.3),
                GrowArrow(ways[3]),
                FadeIn(back, shift=RIGHT * 0.3),
                1.3,
            ),
        )
        self.say(
            "{by} By lesson five, you will have written all of it.",
            pause=0.5,
            by=(LaggedStart(*[pulse(one) for one in ways], lag_ratio=0.6), 2.6),
        )


# -- 0.2 ---------------------------------------------------------------------------------------------------------------


def molecule(color: str, middle, length: float = 0.65) -> VMobject:
    """Return a messenger RNA: a short wave."""
    steps = np.linspace(0, 1, 25)
    points = np.column_stack([length * (steps - 0.5), 0.08 * np.sin(4 * PI * steps), np.zeros(25)])
    return VMobject().set_points_smoothly(points + np.asarray(middle)).set_stroke(color, 5)


def body(radius: float, middle) -> Circle:
    """Return the outline of a cell."""
    return Circle(radius, color=DIM, stroke_width=4).set_fill(CARD, 1).move_to(middle)


class Molecules(Lecture):
    """A cell's molecules, of which some are caught: three of five, one of three."""

    chapter = "What a count matrix is"
    section = "0.2"
    colors = (WARM, COLD, WARM, COLD, WARM, WARM, COLD, WARM)

    def construct(self):
        opening(self)
        middle = np.array([-3.8, -0.3, 0])
        cell, strand = body(2.1, middle), Line(LEFT * 0.75, RIGHT * 0.75, color=DIM, stroke_width=4).move_to(middle)
        genes = {
            color: Rectangle(width=0.5, height=0.26, stroke_width=0).set_fill(color, 1).move_to(middle + RIGHT * x)
            for color, x in ((WARM, -0.35), (COLD, 0.35))
        }
        nucleus = VGroup(Circle(0.85, color=DIM, stroke_width=2).move_to(middle), strand, *genes.values())
        turns = (np.arange(8) + 0.5) * PI / 4
        rna = [
            molecule(color, middle + 1.48 * np.array([np.cos(turn), np.sin(turn), 0]))
            for turn, color in zip(turns, self.colors, strict=True)
        ]
        caught, moves, numbers, rows = [(0, 2, 5), (1,)], [], VGroup(), VGroup()
        for letter, color, y, those in zip("AB", (WARM, COLD), (0.75, -1.0), caught, strict=True):
            rows.add(words(f"gene {letter}", 32, color).move_to([0.6, y, 0]))
            for place, i in enumerate(those):
                spot = [2.3 + 1.1 * place, y, 0]
                tag = Dot(radius=0.11, color=INK).move_to([spot[0] - 0.45, y, 0])
                moves.append(AnimationGroup(ApplyMethod(rna[i].move_to, spot), FadeIn(tag, scale=0.3)))
            numbers.add(mono(str(len(those)), 52).move_to([6.1, y, 0]))
        left = VGroup(*[one for i, one in enumerate(rna) if i not in (*caught[0], *caught[1])])
        tags = words("each tagged, and counted once", 24, DIM).move_to([3.3, -2.3, 0])
        self.say(
            "{cell} What exactly went in? {use} A cell uses a gene {rna} by copying it to messenger RNA. {catch} A "
            "machine tags every molecule that it can catch, {count} and the count says how many.",
            pause=0.4,
            cell=(FadeIn(cell, scale=0.8), FadeIn(nucleus), 0.8),
            use=(*[Indicate(gene, color=gene.get_color(), scale_factor=1.4) for gene in genes.values()], 0.9),
            rna=(
                LaggedStart(
                    *[
                        FadeIn(one, target_position=genes[color], scale=0.4)
                        for one, color in zip(rna, self.colors, strict=True)
                    ],
                    lag_ratio=0.25,
                ),
                2.2,
            ),
            catch=lambda: (FadeIn(rows), LaggedStart(*moves, lag_ratio=0.35), FadeIn(tags), 2.6),
            count=lambda: (FadeIn(numbers, shift=LEFT * 0.3), left.animate.set_stroke(opacity=0.3), 0.9),
        )
        self.zeros(self.mobjects[0])

    def zeros(self, head: Mobject) -> None:
        both = VGroup(body(1.45, [-3, 0.4, 0]), body(1.45, [3, 0.4, 0]))
        lost = VGroup(molecule(WARM, [2.6, 0.75, 0]), molecule(WARM, [3.4, 0.1, 0]))
        zeros = VGroup(*[mono("0", 64).next_to(cell, DOWN, buff=0.45) for cell in both])
        notes = [words(text, 30, DIM) for text in ("silent", "not caught")]
        notes = [note.next_to(cell, UP, buff=0.25) for note, cell in zip(notes, both, strict=True)]
        either = words("?", 72, MEAN, weight=BOLD).move_to([0, zeros.get_y(), 0])
        self.say(
            "{two} Now look at two zeros. {silent} Here, the gene is silent. {lost} There, its molecules were "
            "present, {gone} and none was caught. {same} Both give zero. The matrix does not say which.",
            pause=0.8,
            two=lambda: (FadeOut(self.others(head), rate_func=EARLY), FadeIn(both, rate_func=LATE), 1.0),
            silent=(FadeIn(notes[0], shift=UP * 0.15), FadeIn(zeros[0], shift=DOWN * 0.2), 0.7),
            lost=(Create(lost, lag_ratio=0.3), 0.7),
            gone=lambda: (
                FadeIn(notes[1], shift=UP * 0.15),
                lost.animate.set_stroke(opacity=0.35),
                FadeIn(zeros[1], shift=DOWN * 0.2),
                0.7,
            ),
            same=(Indicate(zeros, color=MEAN), FadeIn(either, scale=0.6), 1.2),
        )


class Markers(Lecture):
    section = "0.2"

    def construct(self):
        opening(self)
        printed = lesson.printed("index = {str(gene)").splitlines()[1:7]
        genes, rows = (
            printed[0].split(),
            [re.fullmatch(r"(\S.*?)((?:\s+\d+){7})", line).groups() for line in printed[1:]],
        )
        shown = sheet({name: row.split() for name, row in rows}, genes, lambda n: np.log1p(n) / np.log(45))
        frames = {}
        for gene in ("LYZ", "CST3", "CD79A", "CD3D"):
            column = VGroup(*[part[genes.index(gene)] for part in (shown.header, *[row[1] for row in shown.rows])])
            frames[gene] = SurroundingRectangle(column, color=MEAN, buff=0.06, corner_radius=0.08, stroke_width=4)
        marker = words("markers", 32, MEAN, weight=BOLD).next_to(shown, DOWN, buff=0.4)
        zeros = [VGroup(*[one for one in row[2] if one.shown == "0"]) for row in shown.rows]
        self.say(
            "{genes} A gene in every column, {cells} a cell in every row. {whole} Whole numbers, many zeros, and a "
            "pattern. {myeloid} LYZ and CST3 are loud in monocytes and dendritic cells, {t} CD3D in T cells. {marker} "
            "Such genes are markers.",
            pause=0.5,
            genes=(LaggedStart(*[FadeIn(one, shift=DOWN * 0.2) for one in shown.header], lag_ratio=0.1), 0.9),
            cells=(LaggedStart(*[FadeIn(row, shift=RIGHT * 0.3) for row in shown.rows], lag_ratio=0.4), 1.5),
            whole=(LaggedStart(*[Indicate(one, color=MEAN) for one in zeros], lag_ratio=0.2), 1.8),
            myeloid=(Create(frames["LYZ"]), Create(frames["CST3"]), 0.8),
            t=(FadeOut(frames["LYZ"]), FadeOut(frames["CST3"]), Create(frames["CD3D"]), 0.6),
            marker=(FadeIn(marker, shift=UP * 0.2), *[FadeIn(frames[gene]) for gene in ("LYZ", "CST3", "CD79A")], 0.6),
        )


class Zeros(Lecture):
    section = "0.2"

    def construct(self):
        opening(self)
        order, middles = value("0.2", "order"), lesson.value("0.2", "middle")
        picture = photograph(np.log1p(counts[order][:, variable]), 8.2, 5.6).move_to([1.3, -0.25, 0])
        cover = Rectangle(width=8.3, height=5.7, stroke_width=0).set_fill(GROUND, 1).move_to(picture)
        labels, (x, top, _) = VGroup(), picture.get_corner(UL)
        for name, place in zip(names, middles, strict=True):
            if name != "CD34+":  # too few cells for a label
                label = words(name, 22, GROUPS[names.index(name)])
                labels.add(label.move_to([x - 0.25, top - 5.6 * place / len(order), 0], RIGHT))
        self.add(picture, cover)
        self.say(
            "{rows} Here are all the cells. {names} The bands are groups of them.",
            pause=0.6,
            rows=lambda: (cover.animate(rate_func=linear).stretch(0.001, 1, about_edge=DOWN), 2.2),
            names=(FadeIn(labels, lag_ratio=0.2), 0.8),
        )
        self.guess(Group(picture, labels, cover))

    def guess(self, gone: Group) -> None:
        shares = [(counts == 0).mean(), (counts == 1).mean(), (counts > 1).mean()]
        told = [lesson.number("zeros"), lesson.number("zeros.*ones"), lesson.number("zeros.*more")]
        assert [f"{share:.0%}" for share in shares] == [f"{one}%" for one in told]
        card = question("Which share of all entries is zero?").move_to(UP * 1.7)
        options, bar, left = Choices("a third", "a half", "two thirds"), VGroup(), -5.75
        for share, one, name, color in zip(shares, told, ("zeros", "ones", "more"), ("#3A4560", DIM, INK), strict=True):
            part = (
                Rectangle(width=11.5 * share, height=0.85, stroke_width=0)
                .set_fill(color, 1)
                .move_to([left, -1.8, 0], LEFT)
            )
            bar.add(VGroup(part, words(f"{name} {one} %", 24).next_to(part, DOWN, buff=0.2)))
            left += 11.5 * share
        grow = [AnimationGroup(GrowFromEdge(part, LEFT), FadeIn(text)) for part, text in bar]
        self.say(
            "{ask} Which share of all entries is zero? {a} A third, {b} a half, {c} two thirds?",
            pause=1.5,
            ask=(FadeOut(gone, rate_func=EARLY), AnimationGroup(ask(card), rate_func=LATE), 1.0),
            a=options.offer(0),
            b=options.offer(1),
            c=options.offer(2),
        )
        self.say(
            f"{{zero}} It is {told[0]} percent, {{more}} in genes that were chosen because they vary.",
            pause=0.6,
            zero=(options.decide(2), grow[0], 0.9),
            more=(LaggedStart(*grow[1:], lag_ratio=0.5), 1.4),
        )


class Library(Lecture):
    section = "0.2"
    edges = np.arange(300, 1701, 50)

    def construct(self):
        opening(self)
        smallest, largest = lesson.number("smallest"), lesson.number(r"smallest.*largest")
        assert 4.5 < float(largest) / float(smallest) < 5.5  # "a factor of five"
        strip = squares(np.log1p(counts[CELL, variable[:40]]), 0.26).move_to([-1.0, 2.0, 0])
        more = words("…", 30, DIM).next_to(strip, RIGHT, buff=0.1)
        total = VGroup(math("=", 44, DIM), mono(f"{library[CELL]:.0f}", 36, MEAN)).arrange(RIGHT, buff=0.25)
        total.next_to(more, RIGHT, buff=0.3)
        plot = plot_axes((250, 1700), (0, 100), "library size", "cells", 10.5, 3.4, x_marks=[500, 1000, 1500])
        plot.move_to([-0.1, -1.2, 0])
        bars = histogram(plot, self.edges, np.histogram(library, self.edges)[0], DIM)
        ends = VGroup()
        for text in (smallest, largest):
            pin = Line(ORIGIN, DOWN * 0.45, color=MEAN, stroke_width=3)
            pair = VGroup(words(text, 26, MEAN, weight=BOLD), pin).arrange(DOWN, buff=0.08)
            ends.add(pair.move_to(plot.c2p(float(text), 12), DOWN))
        self.say(
            "{strip} Add up all counts of a cell: {sum} its library size. {hist} The smallest is {small} "
            f"{smallest}, {{large}} the largest {largest}, a factor of five.",
            pause=0.4,
            strip=(FadeIn(strip, shift=RIGHT * 0.3), FadeIn(more), 0.8),
            sum=(TransformFromCopy(strip, total), FadeIn(plot), 0.9),
            hist=(LaggedStart(*[GrowFromEdge(bar, DOWN) for bar in bars], lag_ratio=0.05), 1.2),
            small=(FadeIn(ends[0], shift=DOWN * 0.2), 0.5),
            large=(FadeIn(ends[1], shift=DOWN * 0.2), 0.5),
        )
        self.depth(plot, bars)

    def depth(self, plot: Plot, bars: VGroup) -> None:
        both, medians = VGroup(), VGroup(words("median", 24, DIM))
        for name in ("T cell", "CD14+ Monocyte"):
            color, those = GROUPS[names.index(name)], np.sort(library[groups == names.index(name)])
            told = lesson.number("median " + re.escape(name))
            assert f"{those[(len(those) - 1) // 2]:.0f}" == told
            both.add(histogram(plot, self.edges, np.histogram(those, self.edges)[0], color, 0.65))
            medians.add(words(f"{name}  {told}", 26, color))
        medians.arrange(DOWN, buff=0.2, aligned_edge=LEFT).move_to(plot.c2p(1300, 82))
        label = words("the rest: sequencing depth", 30, MEAN, weight=BOLD).next_to(
            medians, DOWN, buff=0.35, aligned_edge=LEFT
        )
        self.say(
            "{kinds} Part of it is biology: a myeloid cell holds more RNA than a resting T cell. {luck} The rest is "
            "luck, how much was caught and read: {depth} sequencing depth.",
            pause=0.6,
            kinds=lambda: (bars.animate.set_opacity(0.25), FadeIn(both), FadeIn(medians), 1.4),
            luck=lambda: (both.animate.set_opacity(0.3), bars.animate.set_opacity(0.6), 0.9),
            depth=(FadeIn(label, shift=UP * 0.2), 0.7),
        )


# -- 0.3 ---------------------------------------------------------------------------------------------------------------

toy, normalized = value("0.3", "toy"), value("0.3", "x[:, variable]")


class SameCell(Lecture):
    """Three cells of two genes as bars, which end equally long when their totals are taken out."""

    chapter = "Taking depth out"
    section = "0.3"
    heights = (1.9, 0.8, -0.3)

    def construct(self):
        opening(self)
        totals = toy.sum(axis=1)
        assert (toy[2] == 2 * toy[0]).all()  # "caught twice as well"
        raw = VGroup(*[self.bar(row * 0.85, y) for row, y in zip(toy, self.heights, strict=True)])
        same = VGroup(*[self.bar(row / row.sum() * 6.8, y) for row, y in zip(toy, self.heights, strict=True)])
        labels, sums = VGroup(), VGroup()
        for row, bar, y in zip(toy, raw, self.heights, strict=True):
            labels.add(mono(f"({row[0]:.0f}, {row[1]:.0f})", 30).move_to([-4.6, y, 0], RIGHT))
            sums.add(mono(f"{row.sum():.0f}", 36, MEAN).next_to(bar, RIGHT, buff=0.35))
        assert [f"{total:.0f}" for total in totals] == re.findall(r"\[(\d)\.0\]", lesson.printed("totals = toy.sum"))
        code = listing(bare(lesson.lines("totals = toy.sum(dim=1)", "print(toy / totals)"))).move_to(DOWN * 2.25)
        bar, key = glow(code, 0), legend({"gene 0": WARM, "gene 1": COLD}, 26).move_to([5.4, 0.8, 0])
        alike = [VGroup(labels[i], same[i]) for i in (0, 2)]
        frames = [SurroundingRectangle(one, color=GOOD, buff=0.14, corner_radius=0.1, stroke_width=4) for one in alike]
        appear = [(FadeIn(label), GrowFromEdge(one, LEFT)) for label, one in zip(labels, raw, strict=True)]
        self.say(
            "{one} Three cells, {two} two genes. {three} The last was caught twice as well as the first: {ask} how do "
            "we make them look the same?",
            pause=1.0,
            one=(*appear[0], FadeIn(key), 0.7),
            two=(*appear[1], 0.7),
            three=(*appear[2], 0.7),
            ask=lambda: (*[raw[i].animate(rate_func=there_and_back).stretch(1.25, 1) for i in (0, 2)], 1.2),
        )
        self.say(
            "{sum} Add up the rows, {column} turn the totals into a column, {divide} and divide each row by its own. "
            "{alike} Now the first and the last are alike.",
            pause=0.6,
            sum=(
                FadeIn(code),
                FadeIn(bar),
                LaggedStart(*[FadeIn(one, shift=RIGHT * 0.3) for one in sums], lag_ratio=0.3),
                1.0,
            ),
            column=(Indicate(sums, color=MEAN, scale_factor=1.2), 1.0),
            divide=lambda: (
                glow_to(bar, code, 1),
                FadeOut(sums, rate_func=EARLY),
                ReplacementTransform(raw, same, rate_func=LATE),
                1.6,
            ),
            alike=(*[Create(frame) for frame in frames], 0.7),
        )

    def bar(self, lengths: np.ndarray, y: float) -> VGroup:
        parts, start = VGroup(), -4.3
        for length, color in zip(lengths, (WARM, COLD), strict=True):
            part = Rectangle(width=max(length, 0.001), height=0.75, stroke_width=0).set_fill(color, 0.9)
            parts.add(part.move_to([start, y, 0], LEFT))
            start += length
        return parts


class Depth(Lecture):
    """Real cells appear one by one, their library beside them; then depth is taken out of all."""

    section = "0.3"

    def construct(self):
        opening(self)
        kinds = ["T cell", "CD14+ Monocyte"]
        rows = np.concatenate([self.spread(names.index(name)) for name in kinds])
        matrix = counts_matrix(counts[rows][:, variable[:24]], 0.31).move_to([-0.1, 0.75, 0])
        bars = VGroup(
            *[self.library(line, library[row] / library.max() * 2.6) for line, row in zip(matrix, rows, strict=True)]
        )
        equal = VGroup(*[self.library(line, 1.5) for line in matrix])
        sides = VGroup()
        for i, name in enumerate(kinds):
            sides.add(words(name, 24, GROUPS[names.index(name)]).next_to(matrix[6 * i : 6 * i + 6], LEFT, buff=0.3))
        label = words("library size", 24, MEAN).next_to(bars, UP, buff=0.2).align_to(bars, LEFT)
        same = words("10,000 each", 24, MEAN).move_to(label, LEFT)
        arrive = [
            AnimationGroup(FadeIn(line, shift=RIGHT * 0.4), GrowFromEdge(bar, LEFT))
            for line, bar in zip(matrix, bars, strict=True)
        ]
        self.say(
            "{rows} Now real cells, one after the other, each with its library beside it.",
            pause=0.8,
            rows=(FadeIn(sides), FadeIn(label), LaggedStart(*arrive, lag_ratio=0.25), 4.2),
        )
        formula = math('x_(i g) = {{log : l}}(1 + "counts"_(i g) / N_i dot {{"10,000" : t}})', 46).move_to(DOWN * 2.5)
        formula.select("t").set_color(MEAN)
        values, recolour = normalized[rows][:, :24], []
        for line, row in zip(matrix, values, strict=True):
            recolour += [(square, shade(one / normalized.max())) for square, one in zip(line, row, strict=True)]
        self.say(
            "{same} Give every cell the same total, 10,000. {log} Then take a logarithm, since from 0 to 10 matters "
            "more than from 300 to 310.",
            pause=0.6,
            same=lambda: (
                ReplacementTransform(bars, equal),
                FadeOut(label, shift=UP * 0.2, rate_func=EARLY),
                FadeIn(same, shift=UP * 0.2, rate_func=LATE),
                FadeIn(formula),
                *[square.animate.set_fill(color, 1) for square, color in recolour],
                2.4,
            ),
            log=(Indicate(formula.select("l"), color=MEAN, scale_factor=1.4), 1.2),
        )

    def spread(self, kind: int) -> np.ndarray:
        """Return six cells of a kind, from its smallest library to its largest."""
        those = np.flatnonzero(groups == kind)
        those = those[np.argsort(library[those])]
        return those[np.linspace(0, len(those) - 1, 6).round().astype(int)]

    def library(self, row: VGroup, length: float) -> Rectangle:
        bar = Rectangle(width=length, height=0.21, stroke_width=0).set_fill(MEAN, 0.85)
        return bar.next_to(row, RIGHT, buff=0.3)


class Together(Lecture):
    section = "0.3"

    def construct(self):
        opening(self)
        correlation, genes, side = value("0.3", "correlation"), lesson.value("0.3", "six"), 0.74
        grid, sides, above = VGroup(), VGroup(), VGroup()
        for i, (gene, row) in enumerate(zip(genes, correlation, strict=True)):
            line = [
                Square(side * 0.93, stroke_width=0).set_fill(shade(abs(r), WARM if r > 0 else COLD), 1) for r in row
            ]
            grid.add(VGroup(*[square.move_to([j * side - 3.8, 0.95 - i * side, 0]) for j, square in enumerate(line)]))
            sides.add(words(gene, 24, DIM).next_to(grid[i], LEFT, buff=0.25))
        for gene, square in zip(genes, grid[0], strict=True):
            above.add(words(gene, 22, DIM).rotate(PI / 2).next_to(square, UP, buff=0.15))
        key = legend({"rise together": WARM, "one rises, one falls": COLD}, 28).move_to([3.9, 0.6, 0])
        few = words("a few hidden causes?", 34, LATENT, weight=BOLD).move_to([3.9, -1.5, 0])
        cd3d, (i, j) = genes.index("CD3D"), (genes.index(one) for one in ("LYZ", "CST3"))
        assert max(correlation[cd3d, i], correlation[cd3d, j]) < 0 < correlation[cd3d, genes.index("IL32")]
        rising, falling = VGroup(grid[i][j], grid[j][i]), VGroup(grid[i][cd3d], grid[j][cd3d])
        assert correlation[i, j] > 0.5
        frame = SurroundingRectangle(grid[i][j], color=INK, buff=0.03, stroke_width=6)
        self.say(
            f"{{ask}} {n_genes} numbers are too many. But genes move together: {{warm}} warm where two rise, "
            "{cold} cold where one falls as the other rises.",
            pause=0.3,
            ask=(
                FadeIn(sides, above),
                LaggedStart(*[FadeIn(row, shift=DOWN * 0.2) for row in grid], lag_ratio=0.5),
                2.6,
            ),
            warm=(FadeIn(key[0], shift=LEFT * 0.2), Indicate(rising, color=WARM, scale_factor=1.08), 0.9),
            cold=(FadeIn(key[1], shift=LEFT * 0.2), Indicate(falling, color=COLD, scale_factor=1.08), 0.9),
        )
        self.say(
            "{pair} Tell me LYZ, and I can guess CST3. {few} So a few numbers may say nearly everything.",
            pause=0.6,
            pair=(Create(frame), Indicate(sides[i], color=INK), Indicate(above[j], color=INK), 1.0),
            few=(FadeIn(few, shift=UP * 0.2), 0.8),
        )


# -- 0.4 ---------------------------------------------------------------------------------------------------------------

pca_map, train = value("0.4", "z")[:, :2], value("0.4", "train")
logged = np.log1p(counts / library[:, None] * 1e4)  # (cells, genes): x of the lesson
mean_cell = logged[train].mean(axis=0)
directions = np.linalg.svd(logged[train] - mean_cell, full_matrices=False)[2][:10]  # (10, genes), signs as they come
assert np.allclose(abs((logged - mean_cell) @ directions[:2].T), abs(pca_map), atol=0.01)


class Turn(Lecture):
    """A line is turned through a cloud: what it keeps, what it loses, and the sum that stays."""

    chapter = "PCA: the first encoder and decoder"
    section = "0.4"
    box = (-1.5, 9.1)
    seen = "#D6F0FF"  # where a cell lands, on the line of the latent's colour

    def construct(self):
        opening(self)
        self.cells = value("0.4", TURNED).astype(float)
        self.middle = self.cells.mean(axis=0)
        self.off = self.cells - self.middle
        self.whole = (self.off**2).sum(axis=1).mean()
        self.total = lesson.number(r"loses [\d.]+,")
        assert f"{self.whole:.2f}" == self.total
        self.angle = ValueTracker(0.0)
        self.plot = plot_axes(self.box, self.box, "", "", 5.4, 5.4).move_to([0, -0.35, 0])
        genes = VGroup(words("log count of HLA-DRA", 22, DIM).next_to(self.plot.frame, DOWN, buff=0.12))
        genes.add(words("log count of CD74", 22, DIM).rotate(PI / 2).next_to(self.plot.frame, LEFT, buff=0.12))
        cloud = Cloud(self.plot, self.cells, colors=INK, radius=0.045, opacity=0.75)
        line, feet, lost = self.moving()
        strip = squares(np.log1p(counts[CELL, variable[:27]]), 0.36).move_to(UP * 1.2)
        strip = VGroup(strip, words(f"{n_genes} counts …", 24, DIM).next_to(strip, UP, buff=0.25))
        kept = Square(0.9, color=LATENT, stroke_width=4).set_fill(CARD, 1).move_to(DOWN * 1.3)
        down, ask = arrow(strip, kept, buff=0.3), math("?", 46, LATENT).move_to(kept)
        self.say(
            "{one} You may keep one number a cell. {which} Which one? {cloud} Take two genes, two hundred cells, "
            "{line} and a direction through their mean. {drop} Drop every cell onto it, and keep how far along it "
            "landed. {lost} The thin segments are what you lose.",
            pause=0.3,
            one=(FadeIn(strip), GrowArrow(down), TransformFromCopy(strip[0], kept), 1.4),
            which=(FadeIn(ask, scale=0.5), 0.5),
            cloud=(
                FadeOut(strip, down, kept, ask, rate_func=EARLY),
                *[FadeIn(one, rate_func=LATE) for one in (self.plot, genes, cloud)],
                1.2,
            ),
            line=(Create(line), 0.8),
            drop=(TransformFromCopy(cloud[0], feet), 1.4),
            lost=(FadeIn(lost), 0.8),
        )
        self.remove(line, feet, lost)
        self.add(always_redraw(lambda: VGroup(*self.moving())))
        self.turn(VGroup(self.plot, genes, cloud))

    def moving(self) -> tuple[VMobject, VMobject, VMobject]:
        """Return the line at the angle, where the cells land on it, and what they lose."""
        v = np.array([np.cos(self.angle.get_value()), np.sin(self.angle.get_value())])
        feet = on(self.plot, self.middle + (self.off @ v)[:, None] * v)
        walls = np.array([(wall - self.middle) / np.where(abs(v) < 1e-9, 1e-9, v) for wall in self.box])
        back, ahead = walls.min(axis=0).max(), walls.max(axis=0).min()
        line = Line(*on(self.plot, [self.middle + back * v, self.middle + ahead * v]), color=LATENT, stroke_width=6)
        return (
            line,
            Cloud(SCREEN, feet, colors=self.seen, radius=0.06, opacity=1)[0],
            segments(on(self.plot, self.cells), feet).set_z_index(-1),
        )

    def kept(self, degrees: float) -> float:
        v = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
        return float(((self.off @ v) ** 2).mean())

    def now(self) -> float:
        return float(np.rad2deg(self.angle.get_value()))

    def stack(self) -> VGroup:
        """Return what is kept and what is lost, as one bar that keeps its height."""
        kept = self.kept(self.now()) / self.whole
        low = (
            Rectangle(width=1.0, height=4.8 * kept, stroke_width=0).set_fill(LATENT, 0.85).move_to([0.5, -2.6, 0], DOWN)
        )
        high = Rectangle(width=1.0, height=4.8 * (1 - kept), stroke_width=0).set_fill(BAD, 0.85)
        return VGroup(low, high.next_to(low, UP, buff=0))

    def turn(self, left: VGroup) -> None:
        stack = always_redraw(self.stack)
        both = VGroup(
            words("lost", 26, BAD).move_to([0.5, 2.55, 0]), words("kept", 26, LATENT).move_to([0.5, -2.95, 0])
        )
        axes = plot_axes((0, 180), (0, 10), "", "variance kept", 3.4, 4.2, x_marks={0: "0°", 90: "90°", 180: "180°"})
        axes.move_to([4.45, -0.1, 0])
        angles = np.arange(0, 181.0)
        heights = np.array([self.kept(one) for one in angles])
        best = angles[int(np.argmax(heights))]

        def trace() -> VMobject:
            seen = angles <= self.now() + 1e-9
            return curve(axes, [*angles[seen], self.now()], [*heights[seen], self.kept(self.now())], LATENT, 5)

        drawn, point = always_redraw(trace), Dot(axes.c2p(best, heights.max()), radius=0.11, color=GOOD)
        self.say(
            "{ask} Predict: where cells are spread most along the line, is the loss large, or small?",
            pause=1.6,
            ask=lambda: (
                *[part.animate(rate_func=EARLY).shift(LEFT * 3.6) for part in left],
                *[FadeIn(one, rate_func=LATE) for one in (stack, both, axes)],
                1.8,
            ),
        )
        self.add(drawn)
        whole = Brace(Line([1.0, 2.2, 0], [1.0, -2.6, 0]), RIGHT, color=INK, buff=0.12)
        sum_of = VGroup(words(self.total, 28), words("variance", 22, DIM)).arrange(DOWN, buff=0.12)
        sum_of.next_to(whole, RIGHT, buff=0.12)
        self.say(
            f"{{turn}} Turn it, all the way round. Kept and lost always add up to the same, {{total}} {self.total}, "
            "by Pythagoras.",
            pause=0.4,
            turn=(self.angle.animate(rate_func=linear).set_value(PI), 4.6),
            total=(GrowFromCenter(whole), FadeIn(sum_of, shift=RIGHT * 0.2), 0.6),
        )
        drawn.clear_updaters()
        name = words("first principal component", 26, GOOD).move_to([4.5, -3.1, 0])
        self.say(
            "{best} So the direction along which cells vary most loses least: {name} the first principal component.",
            pause=0.6,
            best=lambda: (self.angle.animate.set_value(np.deg2rad(best)), FadeIn(point, scale=0.5), 2.0),
            name=(FadeIn(name, shift=UP * 0.2), Flash(point, color=GOOD), 0.8),
        )


class ByHand(Lecture):
    section = "0.4"

    def construct(self):
        opening(self)
        mean, v, cell = np.array([1, 1]), np.array([0.6, 0.8]), np.array([3, 2])
        assert lesson.text(r"(For \$\\bar x = \(1, 1\)\$, \$v = \(0\.6, 0\.8\)\$ and a cell \$\(3, 2\)\$)")
        z = (cell - mean) @ v
        back = mean + z * v
        told = lesson.text(r"comes back as \$\(1, 1\) \+ 2 \\cdot \(0\.6, 0\.8\) = (\(2\.2, 2\.6\))\$")
        assert (z, told) == (2, f"({back[0]:.1f}, {back[1]:.1f})")
        plot = plot_axes((0, 4.2), (0, 3.8), "", "", 5.6, 5.07, x_marks=[1, 2, 3, 4], y_marks=[1, 2, 3]).move_to(
            [-3.4, -0.35, 0]
        )
        at_mean, at_unit, at_cell, at_back = on(plot, [mean, mean + v, cell, back])
        line = Line(*on(plot, [mean - 1.2 * v, mean + 3.3 * v]), color=FAINT, stroke_width=5)
        middle, dot = Dot(at_mean, radius=0.11, color=MEAN).set_z_index(3), Dot(at_cell, radius=0.12, color=INK)
        unit = Arrow(at_mean, at_unit, buff=0, color=WARM, stroke_width=7, tip_length=0.22).set_z_index(2)
        signs = VGroup(
            math("macron(x)", 40, MEAN).next_to(middle, DOWN, buff=0.15),
            math("v", 42, WARM).next_to(unit.get_center(), LEFT, buff=0.22),
        )
        signs.add(math("x", 42).next_to(dot, RIGHT, buff=0.15))
        drop, foot = DashedLine(at_cell, at_back, color=BAD, stroke_width=4), Dot(at_back, radius=0.12, color=LATENT)
        along = Line(at_mean, at_back, color=LATENT, stroke_width=9)
        signs.add(
            math("z = 2", 42, LATENT).next_to(along.point_from_proportion(0.75), LEFT, buff=0.3),
            math("hat(x)", 42, LATENT).next_to(foot, UP, buff=0.15),
        )
        colors = {"z": LATENT, "m": MEAN, "v": WARM, "h": LATENT}
        there = ["{{z : z}} = (x - {{macron(x) : m}})^top {{v : v}}", "= (2, 1) dot (0.6, 0.8)", "= 2"]
        there = Derivation(there, size=48, colors=colors).move_to([3.3, 1.3, 0])
        here = ["{{hat(x) : h}} = {{macron(x) : m}} + {{z : z}} thin {{v : v}}", f"= {told}"]
        here = Derivation(here, size=48, colors=colors).move_to([3.3, -1.6, 0]).align_to(there, LEFT)
        self.say(
            "{plane} By hand. {v} A direction through the mean, {cell} and a cell at three, two.",
            plane=(FadeIn(plot), 0.7),
            v=(FadeIn(middle, signs[0]), Create(line), GrowArrow(unit), FadeIn(signs[1]), 1.0),
            cell=(FadeIn(dot, scale=0.5), FadeIn(signs[2]), 0.6),
        )
        self.say(
            "{sub} Subtract the mean, {dot} multiply and add: {z} z is two. That is the encoder.",
            pause=0.5,
            sub=(there.reveal(0), 0.9),
            dot=(there.reveal(1), Create(drop), 1.0),
            z=(there.reveal(2), Create(along), FadeIn(foot), FadeIn(signs[3]), 1.0),
        )
        light = ShowPassingFlash(along.copy().set_stroke(INK, 12), time_width=0.6)
        self.say(
            "The decoder walks back: {back} from the mean, {here} two steps along the direction. {gap} Close, but one "
            "number cannot hold two.",
            pause=0.7,
            back=(here.reveal(0), 1.0),
            here=(light, here.reveal(1), FadeIn(signs[4]), 1.2),
            gap=(drop.animate.set_stroke(width=9), 0.8),
        )


def pca_axes(width: float, height: float) -> Plot:
    """Return the plane of the first two principal components of the log counts."""
    low, high = pca_map.min(axis=0) - 1.5, pca_map.max(axis=0) + 1.5
    return plot_axes((low[0], high[0]), (low[1], high[1]), "PC1", "PC2", width, height)


class Components(Lecture):
    section = "0.4"

    def construct(self):
        opening(self)
        code = listing(bare(lesson.lines("all_components = torch.linalg.svd")), 20).move_to(UP * 2.4)
        plot = pca_axes(8.6, 3.9).move_to([-1.9, -0.95, 0])
        cloud = Cloud(plot, np.column_stack([pca_map[:, 0], np.full(len(pca_map), plot.y_range[0])]), groups, DIM)
        key = kinds_legend().move_to([5.3, -0.6, 0])
        signs = np.sign(((logged - mean_cell) @ directions[:2].T * pca_map).sum(axis=0))
        rows = VGroup(*[self.direction(i, directions[i] * (*signs, 1)[i]) for i in range(3)])
        rows.arrange(DOWN, buff=0.35, aligned_edge=RIGHT).move_to([0, -0.4, 0])
        note = words("a direction: a weight for every gene", 26, DIM).next_to(rows, DOWN, buff=0.4)
        assert re.search(r"CST3 LYZ.*\(\+\).*IL32 CD3D", lesson.line(r"^PC1:"))
        ends = [words(text, 24).next_to(plot.frame, DOWN, buff=0.18) for text in ("IL32  CD3D", "CST3  LYZ")]
        self.say(
            f"{{svd}} Among {n_genes} genes, {{best}} one line of PyTorch finds the best directions, all at once. "
            "{first} Keep the first number of each cell, {second} and the second.",
            pause=0.5,
            svd=(FadeIn(code, shift=DOWN * 0.2), 0.7),
            best=(LaggedStart(*[FadeIn(row, shift=DOWN * 0.3) for row in rows], lag_ratio=0.4), FadeIn(note), 2.2),
            first=(FadeOut(rows, note, rate_func=EARLY), *[FadeIn(one, rate_func=LATE) for one in (plot, cloud)], 1.0),
            second=(cloud.to(pca_map), 1.6),
        )
        self.say(
            "{colour} A formula from 1901, {genes} and it was not told any cell type either.",
            pause=1.4,
            colour=lambda: (*paint(cloud, GROUPS), FadeIn(key, shift=LEFT * 0.2), 1.2),
            genes=(
                FadeIn(ends[0].align_to(plot.frame, LEFT), shift=RIGHT * 0.4),
                FadeIn(ends[1].align_to(plot.frame, RIGHT), shift=LEFT * 0.4),
                1.0,
            ),
        )

    def direction(self, i: int, weights: np.ndarray) -> VGroup:
        """Return a direction's weights of the genes that vary most, warm above zero and cold below."""
        some = weights[variable[:30]]
        boxes = [
            Square(0.3, stroke_width=0).set_fill(shade(abs(one) / abs(some).max(), WARM if one > 0 else COLD), 1)
            for one in some
        ]
        strip = VGroup(*boxes, words("…", 24, DIM)).arrange(RIGHT, buff=0.04)
        return VGroup(words(("first", "second", "third")[i], 24, DIM).next_to(strip, LEFT, buff=0.3), strip)


class OwnMean(Lecture):
    section = "0.4"

    def construct(self):
        opening(self)
        given, own = (lesson.number(f"from {mean}: their middle is") for mean in ("the given mean", "their own mean"))
        plot = pca_axes(8.6, 5.0).move_to([-1.6, -0.4, 0])
        b = groups == names.index("CD19+ B")
        home, moved = pca_map[b], value("0.4", B_ALONE)
        others = Cloud(plot, pca_map[~b], groups[~b], DIM, radius=0.045, opacity=0.45)
        cloud = Cloud(plot, home, groups[b], radius=0.055)
        cross = (
            VGroup(Line(LEFT * 0.25, RIGHT * 0.25), Line(UP * 0.25, DOWN * 0.25))
            .set_stroke(INK, 4)
            .move_to(plot.c2p(0, 0))
        )
        name = words("B cells", 30, GROUPS[1]).next_to(cloud, UP, buff=0.15)
        far = (
            VGroup(words("distance to origin", 24, DIM), mono(given, 52, GROUPS[1]))
            .arrange(DOWN, buff=0.25)
            .move_to([5.3, 0.4, 0])
        )
        near = mono(own, 52, BAD).move_to(far[1])
        self.say(
            "{map} What breaks it? {b} Take the B cells alone, and subtract their own mean, not that of the training "
            "cells. {ask} Where do they land?",
            pause=1.6,
            map=(FadeIn(plot), FadeIn(others), FadeIn(cloud), FadeIn(cross), 1.0),
            b=(FadeIn(name), FadeIn(far), 0.8),
            ask=(Indicate(name, color=INK), 1.0),
        )
        self.say(
            "{move} Around the origin, as any group would. {why} What was taken away is what makes them B cells. "
            "{rule} Encoder and decoder must share one mean.",
            pause=0.6,
            move=(cloud.to(moved), FadeOut(name, far[1], rate_func=EARLY), FadeIn(near, rate_func=LATE), 1.8),
            why=(Flash(plot.c2p(0, 0), color=BAD, line_length=0.4, flash_radius=0.9), 0.8),
            rule=(cloud.to(home), FadeOut(near, rate_func=EARLY), FadeIn(name, far[1], rate_func=LATE), 1.8),
        )


class FollowsDepth(Lecture):
    section = "0.4"

    def construct(self):
        opening(self)
        told = [
            lesson.number(rf"PC1 of {name}\s*: correlation with log library")
            for name in ("raw counts", "log-normalised")
        ]
        depth, places = np.log(library), []
        for table, number in zip(("counts", "x"), told, strict=True):
            first = value("0.4", FIRST.format(table))[:, 0]
            first = first * np.sign(np.corrcoef(first, depth)[0, 1])
            assert f"{np.corrcoef(first, depth)[0, 1]:.2f}" == number
            plot = plot_axes(
                (depth.min() - 0.1, depth.max() + 0.1), (first.min(), first.max()), "log library", "PC1", 7.2, 4.6
            )
            places.append(on(plot.move_to([-1.9, -0.4, 0]), np.column_stack([depth, first])))
        low = np.column_stack([places[0][:, 0], np.full(len(depth), plot.c2p(0, plot.y_range[0])[1])])
        cloud, key, labels = Cloud(SCREEN, low, groups), kinds_legend().move_to([5.3, -2.2, 0]), []
        for text, number, color in zip(("raw counts", "log-normalised"), told, (BAD, MEAN), strict=True):
            label = VGroup(words(text, 30), mono(number, 60, color), words("correlation, 1 at most", 24, DIM))
            labels.append(label.arrange(DOWN, buff=0.25).move_to([5.0, 0.9, 0]))
        self.say(
            "{plot} And on raw counts? {raw} There, the first component follows the library: a correlation of {value} "
            f"{told[0]}. PCA asks for variance, not for biology.",
            pause=0.4,
            plot=(FadeIn(plot), FadeIn(cloud), FadeIn(key), FadeIn(labels[0][0]), 0.8),
            raw=(cloud.to(places[0]), 1.6),
            value=(FadeIn(labels[0][1:], scale=0.7), 0.6),
        )
        self.say(
            f"{{log}} Take the depth out, and decompose again: {told[1]}. {{tamed}} Tamed, not removed.",
            pause=0.6,
            log=(
                cloud.to(places[1]),
                FadeOut(labels[0], shift=UP * 0.3, rate_func=EARLY),
                FadeIn(labels[1], shift=UP * 0.3, rate_func=LATE),
                2.0,
            ),
            tamed=(Indicate(labels[1][1], color=MEAN), 0.9),
        )


# -- 0.5 ---------------------------------------------------------------------------------------------------------------


class HowWrong(Lecture):
    chapter = "What it loses"
    section = "0.5"

    def construct(self):
        opening(self)
        nothing, ten = lesson.number("guess the mean for everybody"), lesson.number("ten latents")
        assert 0.76 < float(ten) / float(nothing) < 0.8  # "nearly four fifths"
        shown = self.rebuilt().move_to(UP * 1.2)
        formula = math('{{"error" = : o}} {{1 / n sum_(i = 1)^n : a}} {{norm(x_i - hat(x)_i)^2 : e}}', 54).move_to(
            DOWN * 1.5
        )
        formula.select("e").set_color(BAD)
        bars = Bars(["guess the mean", "ten latents"], [nothing, ten], "squared error per held-out cell", [DIM, LATENT])
        bars.move_to(DOWN * 1.4)
        gap = Rectangle(width=bars.bars[0][0].width - bars.bars[1][0].width, height=0.7, color=GOOD, stroke_width=4)
        gap.next_to(bars.bars[1][0], RIGHT, buff=0)
        self.say(
            "{how} How much is lost? {square} Square what is missing, add over the genes, {average} and average over "
            "cells.",
            pause=0.3,
            how=(FadeIn(shown[:2], shift=DOWN * 0.2), 0.8),
            square=(FadeIn(shown[2], shift=DOWN * 0.2), FadeIn(formula.select("e"), shift=DOWN * 0.3), 1.4),
            average=(FadeIn(formula.select("a"), shift=RIGHT * 0.3), FadeIn(formula.select("o")), 0.8),
        )
        self.say(
            f"{{mean}} Guess the mean for everybody: {nothing}. {{ten}} Ten latents: {ten}. {{gap}} They see the "
            "types, and still miss nearly four fifths of the variance.",
            pause=0.6,
            mean=lambda: (
                FadeOut(shown, rate_func=EARLY),
                formula.animate(rate_func=LATE).scale(0.85).move_to(UP * 1.8),
                AnimationGroup(FadeIn(bars.names, bars.unit), bars.grow(0), rate_func=squish_rate_func(smooth, 0.6, 1)),
                1.8,
            ),
            ten=(bars.grow(1), 1.0),
            gap=(Create(gap), 0.9),
        )

    def rebuilt(self) -> VGroup:
        """Return a cell, as ten latents rebuild it, and the squares of what is missing."""
        real, some = logged[CELL], variable[:27]
        back = mean_cell + (real - mean_cell) @ directions.T @ directions
        top, missing = real[some].max(), (real - back)[some] ** 2
        rows = VGroup()
        for name, color, strip in (
            ("x", INK, squares(real[some], 0.36, top=top)),
            ("hat(x)", LATENT, squares(back[some].clip(0), 0.36, LATENT, top)),
            ("(x - hat(x))^2", BAD, squares(missing, 0.36, BAD, missing.max())),
        ):
            rows.add(VGroup(math(name, 40, color), strip).arrange(RIGHT, buff=0.35))
        return rows.arrange(DOWN, buff=0.3, aligned_edge=RIGHT)


class Copying(Lecture):
    """The error of held-out cells: first guessed, then drawn."""

    section = "0.5"

    def construct(self):
        opening(self)
        self.at, self.errors = np.log10(value("0.5", "sizes")), lesson.value("0.5", "errors")
        self.end, left = (
            lesson.number(r"559 latents: training\s+\d+\s+held-out"),
            lesson.number("559 latents: training"),
        )
        assert (left, round(10 ** self.at[-1]), len(train)) == ("0", 559, 560)
        marks = {float(place): f"{10**place:.0f}" for place in self.at[::2]}
        self.plot = plot_axes(
            (0, np.log10(600)), (0, 1400), "latents", "squared error per cell", 9.0, 4.6, marks, [0, 500, 1000]
        )
        self.plot.move_to([-0.6, -0.35, 0])
        self.seen = {name: ValueTracker(0.0) for name in self.errors}
        both = VGroup(self.line("training cells", DIM), self.line("held-out cells", LATENT))
        tags = [words("training", 26, DIM).move_to(self.plot.c2p(1.55, 470)), words("held out", 26, LATENT)]
        tags[1].move_to(self.plot.c2p(0.9, 1300))
        guesses = [self.guess(letter, end) for letter, end in zip("abc", (0, 480, 1350), strict=True)]
        self.say(
            "{axes} So take more. {train} With 559 directions, the 560 training cells fit exactly. {ask} And held-out "
            "cells, which it never saw? {a} Does their error fall to zero, {b} stop above it, {c} or rise?",
            pause=1.8,
            axes=lambda: (
                FadeIn(self.plot),
                FadeIn(both),
                *[one.animate.set_value(1.0) for one in self.seen.values()],
                1.0,
            ),
            train=lambda: (FadeIn(tags[0]), self.seen["training cells"].animate.set_value(self.at[-1]), 2.6),
            ask=(FadeIn(tags[1]), Flash(self.plot.c2p(1, 1065), color=LATENT), 0.8),
            a=(Create(guesses[0]), 0.7),
            b=(Create(guesses[1]), 0.7),
            c=(Create(guesses[2]), 0.7),
        )
        self.answer(guesses)

    def line(self, name: str, color: str) -> VMobject:
        """Return the curve of some cells, as far as it has been seen, with a dot at its end."""

        def draw() -> VGroup:
            upto = self.seen[name].get_value()
            known, ys = self.at <= upto + 1e-9, np.array(self.errors[name])
            xs, ys = [*self.at[known], upto], [*ys[known], np.interp(upto, self.at, ys)]
            return VGroup(
                curve(self.plot, xs, ys, color, 6), Dot(self.plot.c2p(xs[-1], ys[-1]), radius=0.1, color=color)
            )

        return always_redraw(draw)

    def guess(self, letter: str, end: float) -> VGroup:
        """Return a way that the curve of held-out cells may take from ten latents on."""
        start, goal = (
            self.plot.c2p(1, np.interp(1, self.at, self.errors["held-out cells"])),
            self.plot.c2p(self.at[-1], end),
        )
        return VGroup(
            DashedLine(start, goal, color=MEAN, stroke_width=3),
            words(letter, 30, MEAN, weight=BOLD).next_to(goal, UR, buff=0.18),
        )

    def answer(self, guesses: list[VGroup]) -> None:
        last, held = self.plot.c2p(self.at[-1], float(self.end)), self.seen["held-out cells"]
        shared = under(self.plot, [0, 1], [1400, 1400], GOOD, 0.1)
        tag = words("shared", 26, GOOD).move_to(self.plot.c2p(0.5, 600))
        seen = words(self.end, 32, LATENT, weight=BOLD).next_to(last, RIGHT, buff=0.2)
        moral = words("copying is not understanding", 28, MEAN, weight=BOLD).move_to(self.plot.c2p(2.25, 1250))
        self.say(
            "{ten} Up to about ten, both fall together: these directions are shared by all cells. {later} Later ones "
            f"describe accidents of particular cells. {{end}} In training, nothing is left; held out, {self.end}.",
            pause=0.5,
            ten=(FadeIn(shared), FadeIn(tag), 1.0),
            later=lambda: (FadeOut(*guesses), held.animate.set_value(2.3), 2.4),
            end=lambda: (held.animate.set_value(self.at[-1]), FadeIn(seen, shift=LEFT * 0.2), 1.8),
        )
        self.say(
            "{still} Even that falls, because each further number copies more of the very cell to be rebuilt. {moral} "
            "Copying is not understanding.",
            pause=0.8,
            still=(Flash(last, color=LATENT), 0.8),
            moral=(FadeIn(moral, shift=UP * 0.2), 0.8),
        )


# -- 0.6 ---------------------------------------------------------------------------------------------------------------

arc, z_arc, bent = value("0.6", "arc"), value("0.6", "bend(arc)")[:, 0], value("0.6", BENT).astype(float)
twelfth = np.digitize(value("0.6", "angle"), np.linspace(0, PI, 13)[1:-1])
BLUES = [interpolate_color(ManimColor("#2B6496"), ManimColor("#D6F0FF"), t) for t in np.linspace(0, 1, 12)]


def arc_plot() -> Plot:
    """Return the plane of the half circle."""
    return plot_axes((-1.2, 1.2), (-0.2, 1.2), "", "", 8.6, 5.02).move_to([0, -0.2, 0])


class HalfCircle(Lecture):
    chapter = "An autoencoder is PCA with bends"
    section = "0.6"

    def construct(self):
        opening(self)
        plot = arc_plot()
        on_line = on(plot, value("0.6", "on_line"))
        cloud = Cloud(plot, arc, twelfth, BLUES, radius=0.075)
        sweep = Arc(radius=(plot.c2p(1) - plot.c2p(0))[0], angle=PI, arc_center=plot.c2p(0), color=MEAN, stroke_width=5)
        name = words("one number: the angle", 30, MEAN).move_to(plot.c2p(0, 0.3))
        ends = on_line[on_line[:, 0].argsort()[[0, -1]]]
        line = DashedLine(*(ends + 0.06 * (ends - ends[::-1])), color=INK, stroke_width=5)
        lost = segments(on(plot, arc), on_line)
        self.say(
            "{arc} PCA only knows straight lines. What if the cells lie on a bent one? {angle} Here, one number says "
            "where a point is: the angle.",
            pause=0.4,
            arc=(FadeIn(cloud, lag_ratio=0.15), 1.4),
            angle=(Create(sweep), FadeIn(name), 1.8),
        )
        self.say(
            "{line} PCA's line cuts straight across. {drop} Every point falls onto it, {lost} and its height is gone.",
            pause=0.9,
            line=(FadeOut(sweep), FadeOut(name), Create(line), 1.0),
            drop=(cloud.to(value("0.6", "on_line")), FadeIn(lost), 1.8),
            lost=(Indicate(lost, color=BAD, scale_factor=1.0), 1.0),
        )


class Bend(Lecture):
    """A line that bends while its machine learns, and a half circle that it unrolls."""

    section = "0.6"

    def construct(self):
        opening(self)
        parts = (
            VGroup(trapezoid("encoder"), node("z", LATENT), trapezoid("decoder", "left"))
            .arrange(RIGHT, buff=1.0)
            .move_to(UP * 1.1)
        )
        ways = VGroup(arrow(parts[0], parts[1]), arrow(parts[1], parts[2]))
        formula = math('{{z : z}} = "encoder"(x), quad hat(x) = "decoder"({{z : y}})', 48).move_to(DOWN * 0.95)
        VGroup(formula.select("z"), formula.select("y")).set_color(LATENT)
        loss = listing(bare(lesson.lines("loss = ((minibatch - decoder")), 20).move_to(DOWN * 2.45)
        self.say(
            "{parts} So keep encoder, latent, decoder and error, {bend} but let the two matrices become functions "
            "that can bend. {name} That is an autoencoder, {loss} paid for one thing: to rebuild what came in.",
            pause=0.5,
            parts=(FadeIn(parts, lag_ratio=0.3), GrowArrow(ways[0]), GrowArrow(ways[1]), 1.4),
            bend=(FadeIn(formula, shift=UP * 0.2), 0.8),
            name=(pulse(ways[0]), pulse(ways[1]), 1.2),
            loss=(FadeIn(loss, shift=UP * 0.2), 0.8),
        )
        self.learn(VGroup(parts, ways, formula, loss))

    def learn(self, gone: VGroup) -> None:
        plot = arc_plot()
        cloud, step = Cloud(plot, arc, twelfth, BLUES, radius=0.075), ValueTracker(0.0)
        pca, bends = lesson.number("error: PCA"), lesson.number(r"error: PCA [\d.]+\s+autoencoder")
        path = always_redraw(lambda: curve(plot, *self.learnt(step.get_value()).T, width=6))
        texts = VGroup(mono(f"PCA {pca}", 30, DIM), mono(f"autoencoder {bends}", 30, GOOD)).arrange(DOWN, buff=0.3)
        texts.move_to(plot.c2p(0, 0.25))
        self.say(
            "{clear} While it learns, {train} its line bends, and bends, until it follows the arc. {error} The error "
            f"falls from PCA's {pca} to {bends}.",
            pause=0.5,
            clear=(FadeOut(gone, rate_func=EARLY), *[FadeIn(one, rate_func=LATE) for one in (cloud, path)], 0.9),
            train=(step.animate(rate_func=linear).set_value(len(EPOCHS) - 1.0), 3.2),
            error=(FadeIn(texts, shift=UP * 0.2), 0.8),
        )
        path.clear_updaters()
        self.unroll(plot, cloud, path, texts)

    def learnt(self, step: float) -> np.ndarray:
        """Return the decoder's curve at a step between two of the kept epochs."""
        i = min(int(step), len(bent) - 2)
        return bent[i] + (step - i) * (bent[i + 1] - bent[i])

    def unroll(self, plot: Plot, cloud: Cloud, path: VMobject, texts: VGroup) -> None:
        sign, low, high = np.sign(np.corrcoef(z_arc, arc[:, 0])[0, 1]), z_arc.min(), z_arc.max()
        x = sign * (8.8 * (z_arc - low) / (high - low) - 4.4)
        flat = np.array([plot.p2c(np.array([one, -3.2, 0])) for one in x])
        ruler = Line([-4.8, -3.2, 0], [4.8, -3.2, 0], color=DIM, stroke_width=4)
        z_name, ghost = math("z", 46, LATENT).next_to(ruler, RIGHT, buff=0.25), path.copy().set_stroke(INK, 4, 0.3)
        straight = Line([-4.4 * sign, -3.2, 0], [4.4 * sign, -3.2, 0]).set_stroke(INK, 1, 0)
        self.say(
            "{fall} Every point goes to its place, {unroll} and one bent latent unrolls the arc.",
            pause=1.0,
            fall=(FadeOut(texts), cloud.to(value("0.6", "unbend(bend(arc))")), 1.0),
            unroll=lambda: (
                FadeIn(ghost),
                FadeIn(ruler),
                FadeIn(z_name),
                ReplacementTransform(path, straight),
                cloud.to(flat),
                2.6,
            ),
        )
        told = [
            lesson.number(rf"2 latents, {name} cells: PCA{more}")
            for name in ("training", "held-out")
            for more in ("", r" \d+\s+autoencoder")
        ]
        gains = [1 - float(other) / float(one) for one, other in (told[:2], told[2:])]
        assert 0.03 < gains[0] < 0.08  # "a few percent"
        assert 0 < gains[1] < 0.03  # "hardly"
        bars = Bars(
            ["training: PCA", "autoencoder", "held out: PCA", "autoencoder"],
            told,
            "squared error per cell, 2 latents",
            [DIM, LATENT] * 2,
        )
        bars.move_to(DOWN * 0.3)
        self.say(
            "{cells} On real cells, with two latents, {train} bends help by a few percent in training, {test} and "
            "hardly on held-out cells.",
            pause=0.6,
            cells=(
                FadeOut(Group(cloud, ghost, ruler, z_name, straight), rate_func=EARLY),
                FadeIn(bars.names, bars.unit, rate_func=LATE),
                1.0,
            ),
            train=(LaggedStart(bars.grow(0), bars.grow(1), lag_ratio=0.5), 1.6),
            test=(LaggedStart(bars.grow(2), bars.grow(3), lag_ratio=0.5), 1.6),
        )


# -- 0.7 ---------------------------------------------------------------------------------------------------------------

z_train, z_drawn = value("0.7", "z_train"), value("0.7", "z_drawn")
made_far, held_far, edge = value("0.7", "nearest.values"), value("0.7", HELD), float(value("0.7", "edge"))
far = (made_far > edge).astype(int)


def latent_plane(width: float, height: float) -> Plot:
    """Return the autoencoder's plane, with room for all that was drawn."""
    every = np.concatenate([z_train, z_drawn])
    low, high = every.min(axis=0), every.max(axis=0)
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    return plot_axes((low[0], high[0]), (low[1], high[1]), "latent 1", "latent 2", width, height)


class Sample(Lecture):
    chapter = "Why you cannot sample it"
    section = "0.7"

    def construct(self):
        opening(self)
        plot = latent_plane(7.4, 5.2).move_to([-2.1, -0.35, 0])
        real = Cloud(plot, z_train, radius=0.045)
        rings = [ellipse(plot, z_train.mean(axis=0), np.cov(z_train.T), NOISE, deviations) for deviations in (2, 1)]
        batches = [FadeIn(Cloud(plot, z_drawn[i::10], colors=NOISE), shift=DOWN * 0.5) for i in range(10)]
        picked = Dot(plot.c2p(*z_train.mean(axis=0)), radius=0.11, color=NOISE)
        decoder = trapezoid("decoder", "left").move_to([4.2, 0.0, 0])
        made = VGroup(*[Square(0.36, color=NOISE, stroke_width=3) for _ in range(8)]).arrange(DOWN, buff=0.06)
        made.move_to([6.2, 0.0, 0])
        goes = way(decoder[0].get_right(), made.get_left(), buff=0.12)
        comes = way(picked.get_center(), decoder[0].get_left(), NOISE, buff=0.2)
        die = Die(1.1).move_to([4.7, 1.5, 0])
        name = words(f"{len(z_drawn)} draws", 30, NOISE).next_to(die, DOWN, buff=0.35)
        code = listing(bare(lesson.lines("invented = decoder(z_drawn)")), 20).move_to([4.1, -1.4, 0])
        self.say(
            "{plane} Here is the plane of two latents, {real} with the training cells in it. {decode} The decoder "
            "turns two numbers into a cell. {pick} So pick two, {one} and it invents one?",
            pause=0.8,
            plane=(FadeIn(plot), FadeIn(real, scale=0.9), 1.0),
            real=(Indicate(real, color=INK, scale_factor=1.0), 0.9),
            decode=(FadeIn(decoder, shift=LEFT * 0.3), 0.8),
            pick=(FadeIn(picked, scale=0.3), Flash(picked, color=NOISE), GrowArrow(comes), 0.9),
            one=(GrowArrow(goes), FadeIn(made, shift=RIGHT * 0.4, lag_ratio=0.1), 1.0),
        )
        self.say(
            "{bell} Take a Gaussian with their mean and covariance, in the right place, at the right scale. {draw} "
            f"Draw {len(z_drawn)} pairs, {{code}} and decode them.",
            pause=0.8,
            bell=(FadeOut(picked, comes, decoder, goes, made), *[FadeIn(ring, scale=0.8) for ring in rings], 1.2),
            draw=(
                FadeIn(name),
                FadeIn(die),
                die.roll([2, 6, 1, 3, 5, 4, 2, 5], 2.0),
                LaggedStart(*batches, lag_ratio=0.4),
                1.6,
            ),
            code=(FadeIn(code, shift=LEFT * 0.2), 0.7),
        )


class Invented(Lecture):
    section = "0.7"

    def construct(self):
        opening(self)
        printed = lesson.printed("print(f\"{'':31}\"").splitlines()
        genes, rows = (
            printed[0].split()[:7],
            [re.fullmatch(r"(\S.*?)((?:\s+-?[\d.,]+){9})", line)[2] for line in printed[1:3]],
        )
        invented, real = (row.replace("-", "−").split() for row in rows)
        shown = sheet({"invented": invented[:7], "nearest real": real[:7]}, genes, lambda n: n / 8.3).move_to(
            [0, 1.2, 0]
        )
        negative = VGroup(
            *[number for number, text in zip(shown.rows[0][2], invented, strict=False) if text.startswith("−")]
        )
        frames = [
            SurroundingRectangle(one, color=BAD, buff=0.16, corner_radius=0.06, stroke_width=4) for one in negative
        ]
        scale = words("log counts: never below 0 in a real cell", 24, DIM)
        scale.next_to(shown.rows, DOWN, buff=0.3).align_to(shown.rows[0][1], LEFT)
        totals = Bars(["invented", "nearest real"], [invented[8], real[8]], "total of the counts", [BAD, DIM]).move_to(
            [0, -2.2, 0]
        )
        self.say(
            "{one} This is the most ordinary of the invented cells, {real} and the real one nearest to it.",
            pause=0.5,
            one=(FadeIn(shown.header), FadeIn(shown.rows[0], shift=RIGHT * 0.3), FadeIn(scale), 0.9),
            real=(FadeIn(shown.rows[1], shift=UP * 0.3), 0.8),
        )
        self.say(
            "{neg} Some values lie below zero, which no logarithm of one plus a count can. {total} Undo the logarithm, "
            f"and its counts add up to {invented[8]}, {{ten}} not the {real[8]} of every real cell.",
            pause=0.7,
            neg=lambda: (*[Create(frame) for frame in frames], negative.animate.set_color(BAD), 0.9),
            total=(FadeIn(totals.names[0], totals.unit), totals.grow(0), 1.0),
            ten=(FadeIn(totals.names[1]), totals.grow(1), 1.0),
        )


class TooFar(Lecture):
    """The drawn latents fly to where the decoded cells lie, and show which came out too far from any cell."""

    section = "0.7"

    def construct(self):
        opening(self)
        assert lesson.text(r"Of real, held-out cells (5 %) lie further than a certain distance")
        steps = np.linspace(0, max(made_far.max(), held_far.max()) * 1.02, 41)
        shares = [np.histogram(one, steps)[0] / len(one) for one in (held_far, made_far)]
        plot = plot_axes((0, steps[-1]), (0, 1.1 * np.max(shares)), "", "", 11.0, 3.6, np.arange(0, steps[-1], 5))
        plot.move_to([0, 0.45, 0])
        real, self.made = (
            histogram(plot, steps, share, color, 0.65) for share, color in zip(shares, (LATENT, NOISE), strict=True)
        )
        wall = DashedLine(plot.c2p(edge), plot.c2p(edge, plot.y_range[1]), color=BAD, stroke_width=5)
        tags = [words("held-out cells", 26, LATENT), words("too far out", 34, BAD, weight=BOLD)]
        tags[0].next_to(wall, RIGHT, buff=0.35).align_to(wall, UP).shift(DOWN * 0.9)
        tags[1].next_to(wall, RIGHT, buff=0.3).align_to(wall, UP)
        axis = words("distance to the nearest training cell", 24, DIM).next_to(plot.frame, DOWN, buff=0.55)
        options = Choices("5 %", "20 %", "more than half").move_to(DOWN * 2.9)
        self.say(
            "{real} Here is how far held-out cells lie from the training cells. {yard} A cell farther than 95 percent "
            f"of them is too far out. {{ask}} How many of the {len(far)} are? {{a}} 5 percent, {{b}} 20 percent, "
            "{c} more than half?",
            pause=1.6,
            real=(
                FadeIn(plot, axis),
                FadeIn(tags[0]),
                LaggedStart(*[GrowFromEdge(bar, DOWN) for bar in real], lag_ratio=0.05),
                1.8,
            ),
            yard=(Create(wall), FadeIn(tags[1], shift=RIGHT * 0.3), 1.0),
            ask=(Indicate(tags[1], color=BAD), 0.8),
            a=options.offer(0),
            b=options.offer(1),
            c=options.offer(2),
        )
        self.fly(options)

    def fly(self, options: Choices) -> None:
        share, held = lesson.number(r"decoded \d+%\s+invented"), lesson.number("held-out cells, encoded and decoded")
        assert abs(100 * far.mean() - float(share)) < 2
        assert float(share) > 50
        left, real_out, made_out = (
            latent_plane(5.0, 4.1),
            value("0.7", OUT.format("x[train]")),
            value("0.7", OUT.format("invented")),
        )
        every = np.concatenate([real_out, made_out])
        (x0, y0), (x1, y1) = every.min(axis=0) - 1, every.max(axis=0) + 1
        left, goal = (
            left.move_to([-3.3, -0.3, 0]),
            plot_axes((x0, x1), (y0, y1), "PC1", "PC2", 5.0, 4.1).move_to([3.5, -0.3, 0]),
        )
        titles = [
            words(text, 28).move_to([plot.frame.get_x(), 2.65, 0])
            for text, plot in (("what we drew", left), ("what came out", goal))
        ]
        reals = [Cloud(*pair, radius=0.035, opacity=0.6) for pair in ((left, z_train), (goal, real_out))]
        drawn = Cloud(left, z_drawn, far, NOISE, radius=0.04)
        flying = Cloud(SCREEN, on(left, z_drawn), far, NOISE, radius=0.04)
        tag = words(f"invented cells: {share} %", 30, NOISE).move_to([1.6, 0.4, 0])
        shares = VGroup(words("too far out:", 28, BAD))
        for one, name, color in ((share, "invented", BAD), (held, "held out", LATENT)):
            shares.add(mono(f"{one} %", 44, color), words(name, 28, color))
        shares.arrange(RIGHT, buff=0.3).move_to([0, -3.25, 0])
        verdict, usual = shares[:3], shares[3:].shift(RIGHT * 0.4)
        self.say(
            f"{{made}} More than half: {share} percent.",
            pause=0.8,
            made=(
                options.decide(2),
                FadeIn(tag),
                LaggedStart(*[GrowFromEdge(bar, DOWN) for bar in self.made], lag_ratio=0.05),
                1.8,
            ),
        )
        self.say(
            "{maps} Here is what we drew, {fly} and what came out, {colour} red where it is too far. {held} Of "
            f"held-out cells, encoded and decoded, only {held} percent are.",
            pause=0.6,
            maps=lambda: (
                FadeOut(self.others(self.mobjects[0]), rate_func=EARLY),
                *[FadeIn(one, rate_func=LATE) for one in (left, goal, *titles, *reals, drawn)],
                1.2,
            ),
            fly=(flying.to(on(goal, made_out)), 1.1),
            colour=lambda: (*paint(drawn, [GOOD, BAD]), *paint(flying, [GOOD, BAD]), FadeIn(verdict), 1.0),
            held=(FadeIn(usual, shift=UP * 0.2), 0.8),
        )
        self.arms(left, drawn, Group(goal, reals[1], flying, *titles, verdict, usual), reals[0])

    def arms(self, left: Plot, drawn: Cloud, gone: Group, real: Cloud) -> None:
        big = latent_plane(10.5, 5.2).move_to([-0.3, -0.35, 0])
        self.say(
            "{big} Why? The autoencoder was paid to rebuild, and nothing else. {arms} So cells lie in thin arms, with "
            "empty land between. {land} There, the decoder was never corrected.",
            pause=1.0,
            big=(
                FadeOut(gone, rate_func=EARLY),
                AnimationGroup(  # the cells with the axes, which grow
                    ReplacementTransform(left, big), drawn.to(z_drawn), real.to(z_train), rate_func=LATE
                ),
                1.8,
            ),
            arms=lambda: (drawn.animate.set_fill(opacity=0.12), real.animate.set_fill(opacity=1), 1.2),
            land=lambda: (drawn.group(1).animate.set_fill(opacity=0.9), real.animate.set_fill(opacity=0.45), 1.2),
        )


class Clouds(Lecture):
    """Points become clouds, the decoder answers for all of a cloud, and all of them are pulled to one bell."""

    section = "0.7"
    middle = np.array([-2.2, -0.35, 0])

    def construct(self):
        opening(self)
        plot = latent_plane(7.2, 5.0).move_to(self.middle)
        chosen = self.apart(z_train, 14)
        self.dots = VGroup(*[Dot(point, radius=0.08, color=LATENT) for point in on(plot, z_train[chosen])])
        self.clouds = VGroup(*[self.cloud(dot.get_center()) for dot in self.dots])
        point = self.law('{{z : z}} = "encoder"(x)', "this cell is at z", 2.0)
        q = self.law("q({{z : z}} | x)", "around here, give or take", 2.0)
        self.say(
            "{points} Here is the idea of the whole course. So far, {says} the encoder says: this cell is at z. "
            "{clouds} Let it say: around here, give or take. {q} A distribution, q of z given x.",
            pause=0.4,
            points=(FadeIn(plot), LaggedStart(*[FadeIn(dot, scale=0.4) for dot in self.dots], lag_ratio=0.08), 1.2),
            says=(FadeIn(point, shift=LEFT * 0.2), Indicate(self.dots, color=INK, scale_factor=1.0), 1.0),
            clouds=(LaggedStart(*[GrowFromCenter(cloud) for cloud in self.clouds], lag_ratio=0.08), 1.6),
            q=(FadeOut(point, rate_func=EARLY), FadeIn(q, shift=LEFT * 0.2, rate_func=LATE), 1.0),
        )
        self.pull(plot)

    def apart(self, points: np.ndarray, number: int) -> list[int]:
        """Return the numbers of points that lie far from each other."""
        chosen = [0]
        while len(chosen) < number:
            distance = np.linalg.norm(points[:, None] - points[chosen], axis=-1).min(axis=1)
            chosen.append(int(distance.argmax()))
        return chosen

    def cloud(self, point: np.ndarray) -> VGroup:
        return VGroup(
            *[Circle(0.5 * share, stroke_width=0).set_fill(SPREAD, 0.16).move_to(point) for share in (1, 0.7, 0.4)]
        )

    def law(self, formula: str, note: str, y: float) -> VGroup:
        shown = math(formula, 54)
        shown.select("z").set_color(LATENT)
        return VGroup(shown, words(note, 24, DIM)).arrange(DOWN, buff=0.25).move_to([4.7, y, 0])

    def bell(self, unit: float) -> np.ndarray:
        """Return for each cloud a place of its own under a bell, as near as can be: as many lie far out as in
        N(0, I)."""
        at, number = np.array([cloud.get_center() for cloud in self.clouds]), np.arange(len(self.clouds)) + 0.5
        reach, turn = unit * np.sqrt(-2 * np.log(1 - number / len(number))), number * PI * (3 - np.sqrt(5))
        goals = self.middle + np.column_stack([reach * np.cos(turn), reach * np.sin(turn), 0 * turn])
        far_off = np.linalg.norm(at[:, None] - goals, axis=-1) ** 2
        return goals[linear_sum_assignment(far_off)[1]]

    def draws(self, seed: int) -> Animation:
        """Return every cell being drawn anew from its cloud."""
        offs = np.random.default_rng(seed).normal(size=(len(self.dots), 2)) * 0.2
        pairs = zip(self.dots, self.clouds, offs, strict=True)
        return AnimationGroup(
            *[ApplyMethod(dot.move_to, cloud.get_center() + np.array([*off, 0])) for dot, cloud, off in pairs]
        )

    def pull(self, plot: Plot) -> None:
        steps = self.bell(0.95) - np.array([cloud.get_center() for cloud in self.clouds])
        rings = VGroup(
            *[
                Circle(radius, color=NOISE, stroke_width=3).set_fill(NOISE, 0.06).move_to(self.middle)
                for radius in (1.9, 0.95)
            ]
        )
        prior = self.law("p({{z : z}}) = cal(N)(0, I)", "the prior", 0.1)
        prior[1].set_color(NOISE)
        decoder = self.law("p(x | {{z : z}})", "over counts", -1.8)
        self.say(
            "{any} Now the decoder must rebuild the cell from any draw: {again} a whole neighbourhood gets corrected. "
            "{pull} And all the clouds can be pulled to one distribution that we know how to sample: {prior} the "
            "prior.",
            pause=0.5,
            any=lambda: (Succession(self.draws(0), self.draws(1), self.draws(2)), 2.4),
            again=lambda: (Succession(self.draws(3), self.draws(4)), 1.6),
            pull=lambda: (
                FadeOut(plot),
                FadeIn(rings),
                *[
                    part.animate.shift(step)
                    for pair in (self.dots, self.clouds)
                    for part, step in zip(pair, steps, strict=True)
                ],
                2.6,
            ),
            prior=(FadeIn(prior, shift=LEFT * 0.2), 0.7),
        )
        self.say(
            "{over} Let the decoder answer with a distribution, too. {vae} That is a variational autoencoder. {scvi} "
            "With one made for counts, it is scVI.",
            pause=0.9,
            over=(FadeIn(decoder, shift=LEFT * 0.2), 0.8),
            vae=lambda: (self.draws(5), 1.2),
            scvi=lambda: (self.draws(6), Indicate(decoder[1], color=MEAN), 1.2),
        )


# -- 0.8 ---------------------------------------------------------------------------------------------------------------


class Promise(Lecture):
    chapter = "An honest promise"
    section = "0.8"

    def construct(self):
        opening(self)
        die, z = Die().move_to([-5, 0.2, 0]), node("z", LATENT).move_to([-2.4, 0.2, 0])
        decoder, drawn = (
            trapezoid("decoder", "left", 1.6, 1.7).move_to([0.3, 0.2, 0]),
            box("counts", "drawn").move_to([3.6, 0.2, 0]),
        )
        ways = [arrow(*pair) for pair in pairwise([die, z, decoder, drawn])]
        law = math("cal(N)(0, I)", 36, NOISE).next_to(die, DOWN, buff=0.15)
        self.say(
            "{die} So scVI can be sampled? {draw} Draw z from the prior, {decode} decode it, {counts} and draw whole "
            "counts.",
            pause=0.3,
            die=(FadeIn(VGroup(die, law, z, decoder, drawn), lag_ratio=0.1), *[GrowArrow(one) for one in ways], 1.2),
            draw=(die.roll([3, 1, 6, 2, 5], 1.2), pulse(ways[0]), 1.0),
            decode=(pulse(ways[1]), 0.6),
            counts=lambda: (pulse(ways[2]), drawn.animate(rate_func=there_and_back).scale(1.12), 0.9),
        )
        self.compare(VGroup(die, z, decoder, drawn, *ways, law))

    def compare(self, flow: VGroup) -> None:
        prior, row = r"from \$\\mathcal N\(0, I\)\$", r"\| {}, {} \| [^|]*\| ([\d.]+) ± [\d.]+ \|"
        held, auto, scvi = (
            lesson.text(r"held-out cells have ([\d.]+)\."),
            *(lesson.text(row.format(name, prior)) for name in ("autoencoder", "scVI")),
        )
        share = lesson.text(rf"\| scVI, {prior} \| (\d+) ± \d+ % \|")
        most = lesson.text(rf"\| autoencoder, {prior} \| over (\d+) % \|")
        usual = lesson.text(r"Of real, held-out cells (5 %) lie further than a certain distance")
        fitted_share = lesson.number(r"decoded \d+%\s+invented")
        assert 4.7 < float(auto) / float(held) < 5.3  # "five times as far"
        bars = Bars(
            ["real, held out", "autoencoder", "scVI"],
            [held, auto, scvi],
            "median distance to the nearest training cell",
            [DIM, BAD, GOOD],
            5.6,
        )
        bars.move_to([-1.6, -1.7, 0])
        shares = VGroup(*[words(text, 30, BAD, weight=BOLD) for text in (usual, f"over {most} %", f"{share} %")])
        for one, bar in zip(shares, bars.bars, strict=True):
            one.move_to([4.9, bar[0].get_y(), 0])
        shares[0].set_color(DIM)
        head = words("too far out", 26, BAD).next_to(shares, UP, buff=0.35).set_x(4.9)
        before = words(f"{fitted_share} % by a fitted Gaussian", 22, DIM).next_to(shares[1], DOWN, buff=0.14)
        self.say(
            "{far} How far is the nearest training cell?",
            pause=0.4,
            far=lambda: (
                flow.animate(rate_func=EARLY).shift(UP * 1.65),
                FadeIn(bars.names, bars.unit, rate_func=LATE),
                1.6,
            ),
        )
        self.say(
            f"{{held}} From real cells, held out: {held}. {{auto}} From the autoencoder's, with the same prior: "
            f"{auto}, five times as far. {{scvi}} From scVI's: {scvi}, in whole counts, none negative.",
            pause=0.5,
            held=(bars.grow(0), 0.8),
            auto=(bars.grow(1), 1.0),
            scvi=(bars.grow(2), 1.0),
        )
        self.say(
            f"{{out}} And too far out? {{auto}} Of the autoencoder's, over {most} percent. {{fit}} Drawn from a "
            f"Gaussian fitted to its latents, it was {fitted_share}. {{most}} Of scVI's, still {share}: blood has "
            "separate types, and the prior has none. {next} But start from the z of a measured cell, and its samples "
            "are likely cells.",
            pause=0.7,
            out=(FadeIn(head), FadeIn(shares[0], shift=LEFT * 0.2), 0.7),
            auto=(FadeIn(shares[1], shift=LEFT * 0.2), 0.7),
            fit=(FadeIn(before, shift=UP * 0.1), 0.7),
            most=(FadeIn(shares[2], shift=LEFT * 0.2), 0.7),
            next=(Indicate(bars.names[2], color=GOOD), 1.0),
        )


# -- 0.9 ---------------------------------------------------------------------------------------------------------------

before, after = (np.asarray(one, dtype=float) for one in lesson.value("0.9", PLACES))
lab = value("0.9", "two.batch_index").reshape(-1).astype(int)


class Laboratories(Lecture):
    """The same cells by PCA, where two laboratories lie apart, and by a model that is told of them."""

    chapter = "Two laboratories"
    section = "0.9"

    def construct(self):
        opening(self)
        cloud = Cloud(SCREEN, fitted(before, 7.4, 5.0, [-2.7, 0.2, 0]), groups * 2 + lab, DIM, radius=0.055)
        name = words("PCA", 30).move_to([-6.3, -2.3, 0], LEFT)
        key = legend({"laboratory 1": WARM, "laboratory 2": COLD}, 28).move_to([4.4, 2.0, 0])
        options = (
            VGroup(words("types", 36, MEAN), words("or", 28, DIM), words("laboratories?", 36, MEAN))
            .arrange(DOWN, buff=0.25)
            .move_to([4.4, 0, 0])
        )
        self.say(
            "{map} Say half of your cells come from another laboratory, which catches some genes better, and "
            "others worse. {ask} What will PCA's map show first: types, or laboratories?",
            pause=1.5,
            map=(FadeIn(cloud, name), 1.2),
            ask=(FadeIn(options, shift=UP * 0.2), 0.7),
        )
        self.say(
            "{labs} Laboratories.",
            pause=0.6,
            labs=lambda: (*paint(cloud, [WARM, COLD]), FadeOut(options), FadeIn(key, shift=LEFT * 0.2), 1.2),
        )
        self.told(cloud, key, name)

    def told(self, cloud: Cloud, key: VGroup, name: Mobject) -> None:
        mixed, same = (
            [lesson.number(rf"{name}\s+mixed{more}") for name in ("before", "after")]
            for more in ("", r" [\d.]+   same label: of the ten [\d.]+, of the six groups")
        )
        assert float(same[1]) > float(same[0])  # "that is a win"
        near = lesson.text(r"Among the (\d+) nearest neighbours of a cell, how mixed")
        code = listing(bare(lesson.lines("told = vc.FastVAE")), 20).move_to([1.7, -3.1, 0])
        mixing = Gauge("laboratories mixed", ("0: one only", "1: even"), mixed, mixed[1], 0.0)
        percent = [f"{100 * float(one):.0f}" for one in same]
        types = Gauge("neighbours of its type", ("0 %", "100 %"), same, f"{percent[0]} → {percent[1]} %", -1.9)
        self.say(
            f"{{code}} Now a model that is told which laboratory each cell comes from. {{count}} Count among {near} "
            f"neighbours of a cell: 0 is one laboratory only, 1 as mixed as can be. {{move}} It was {mixed[0]}, and "
            f"now {mixed[1]}.",
            pause=0.6,
            code=(FadeIn(code, shift=UP * 0.2), 0.9),
            count=(FadeIn(mixing.scale_of), FadeIn(mixing.before, scale=0.4), 1.0),
            move=lambda: (
                cloud.to(fitted(after, 7.2, 5.0, [-2.8, 0.2, 0])),
                FadeOut(name, rate_func=EARLY),
                FadeIn(words("scVI, told", 30).move_to(name, LEFT), rate_func=LATE),
                mixing.move(),
                2.4,
            ),
        )
        kinds = kinds_legend().arrange_in_grid(3, 2, buff=(0.4, 0.2), cell_alignment=LEFT).move_to(key).set_x(4.0)
        self.say(
            "{cheap} But mixing alone is cheap. {types} Are cells of one type still together? {same} Yes: "
            f"{percent[1]} percent of neighbours share its type, where it was {percent[0]}.",
            pause=0.6,
            cheap=(Indicate(mixing.scale_of[0], color=MEAN), 0.9),
            types=lambda: (
                *paint(cloud, np.repeat(GROUPS[:6], 2)),
                FadeOut(key, code, rate_func=EARLY),
                FadeIn(kinds, rate_func=LATE),
                FadeIn(types.scale_of),
                FadeIn(types.before),
                1.4,
            ),
            same=lambda: (types.move(), 1.0),
        )
        deaf = lesson.text(r"\| VAE, not told the laboratory \| ([\d.]+) ±")
        mark = Dot(mixing.at(deaf), radius=0.13, color=BAD)
        note = words("not told", 24, BAD).next_to(mark, UP, buff=0.12)
        self.say(
            f"{{win}} That is a win. {{deaf}} The same network, not told, stays at {float(deaf):.2f}: a model has "
            "to be told what you know.",
            pause=0.9,
            win=(Flash(mixing.dot, color=GOOD), Flash(types.dot, color=GOOD), 0.8),
            deaf=(FadeOut(mixing.before), FadeIn(mark, scale=0.4), FadeIn(note), 0.7),
        )


class Gauge:
    """A line from 0 to 1 with a name above and words at its ends, a dot that moves along it, and its last value."""

    def __init__(self, name: str, ends: tuple[str, str], values: list[str], told: str, y: float):
        self.line, self.values = Line([2.8, y, 0], [6.2, y, 0], color=DIM, stroke_width=4), values
        low, high = (
            words(text, 22, DIM).next_to(self.line, DOWN, buff=0.2).align_to(self.line, side)
            for text, side in zip(ends, (LEFT, RIGHT), strict=True)
        )
        title = words(name, 26).next_to(self.line, UP, buff=0.65).align_to(self.line, LEFT)
        self.scale_of = VGroup(title, self.line, low, high)
        self.before, self.dot = (Dot(self.at(values[0]), radius=0.14, color=color) for color in (DIM, GOOD))
        self.value = mono(told, 26, GOOD).next_to(self.at(values[1]), UP, buff=0.22)

    def at(self, value: str) -> np.ndarray:
        """Return the place of a value."""
        return self.line.point_from_proportion(float(value))

    def move(self) -> Animation:
        """Return the dot going from its first value to its last."""
        return AnimationGroup(ApplyMethod(self.dot.move_to, self.at(self.values[1])), FadeIn(self.value))


class Ahead(Lecture):
    section = "0.12"

    def construct(self):
        opening(self)
        items = [("0.2", "take depth out of real counts"), ("0.3", "write an encoder"), ("0.4", "and its decoder")]
        items += [("0.5", "measure what they lose"), "find marker genes of your own"]
        card = notebook_card(0, items).move_to(DOWN * 0.3)
        ahead = VGroup(words("next", 26, DIM), words("a distribution over latents", 34, LATENT, weight=BOLD)).arrange(
            RIGHT, buff=0.4
        )
        ahead.move_to(DOWN * 3.2)
        self.say(
            "{card} In the notebook, {depth} you take depth out of real counts, {enc} write an encoder {dec} and its "
            "decoder, {err} measure what they lose, {open} and look up marker genes of your own.",
            pause=0.7,
            card=(card.appear(), 0.6),
            **{cue: (card.reveal(i), 0.5) for i, cue in enumerate(("depth", "enc", "dec", "err", "open"))},
        )
        self.say(
            "{next} Then comes lesson one: what is a distribution over latents?",
            pause=1.5,
            next=lambda: (
                card.animate(rate_func=EARLY).scale(0.85).shift(UP * 0.45).set_opacity(0.35),
                FadeIn(ahead, shift=UP * 0.2, rate_func=LATE),
                1.6,
            ),
        )


class Poster(Lecture):
    section = "0.1"

    def construct(self):
        cloud = Cloud(SCREEN, fitted(scvi_map, 7.6, 6.6, [2.9, -0.1, 0]), groups, radius=0.075)
        lines = [("scVI as a", INK), ("dimensionality", LATENT), ("reduction", LATENT), ("problem", INK)]
        title = VGroup(*[seated(text, lambda *all: words(*all, weight=BOLD), 60, color) for text, color in lines])
        for i, line in enumerate(title):
            line.shift([-6.4, 0.9 - 0.95 * i, 0])
        self.add(cloud, title, words("Lesson 0", 34, MEAN, weight=BOLD).move_to([-6.4, 2.6, 0], LEFT))
