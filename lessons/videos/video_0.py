"""Film 0: from counts to latents, and why a machine that rebuilds cannot invent."""

import re
from itertools import pairwise

import numpy as np
from film import *

MAP, LATENT_OF = "vc.Posterior(model, data).t_sne()", "vc.Posterior(model, data).get_latent()[0]"
TURNED = "x[:200, [index['HLA-DRA'], index['CD74']]]"  # the cells that vc.explore.pca() shows
RAW_PC1 = (
    "pca_encode(counts, counts.mean(dim=0), torch.linalg.svd(counts - counts.mean(dim=0), full_matrices=False).Vh[:1])"
)
LOG_PC1 = "pca_encode(x, x.mean(dim=0), torch.linalg.svd(x - x.mean(dim=0), full_matrices=False).Vh[:1])"
EPOCHS = [0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 30, 45, 70, 100, 150]
BENT = (  # the curve of the half circle after some epochs: every training starts from the same seed
    "[(lambda pair: pair[1](torch.linspace(pair[0](arc).min(), pair[0](arc).max(), 121).unsqueeze(-1)))"
    f"(fit_autoencoder(arc, n_latent=1, n_hidden=32, lr=1e-2, n_epochs=n)) for n in {EPOCHS}]"
)
PLACES = "[TSNE(random_state=0).fit_transform(space) for space in (before, after)]"
REAL, MADE = "pca_encode(x[train], mean, components)[:, :2]", "pca_encode(invented, mean, components)[:, :2]"

lesson = Lesson(
    0,
    {
        "0.1": [MAP, LATENT_OF, "groups", "group_names"],
        "0.2": ["counts", "order", "variable", "library", "middle"],
        "0.3": ["x[:, variable]", "correlation", "six", "toy"],
        "0.4": [TURNED, "z", "train", RAW_PC1, LOG_PC1, "pca_encode(b_cells, b_cells.mean(dim=0), components)"],
        "0.5": ["sizes", "errors"],
        "0.6": ["arc", "on_line", "bend(arc)", "unbend(bend(arc))", BENT, "angle"],
        "0.7": ["z_train", "z_drawn", "nearest.values > edge", REAL, MADE],
        "0.9": [PLACES, "two.batch_index"],
    },
)


shape = re.findall(r"\d+", lesson.printed("index = {str(gene)").splitlines()[0])
n_cells, n_genes = shape
groups, names = np.asarray(lesson.value("0.1", "groups")), lesson.value("0.1", "group_names")
counts, variable, library = (np.asarray(lesson.value("0.2", name)) for name in ("counts", "variable", "library"))
WARM, COLD = "#F0A07C", "#7CB4F0"  # two signs, or two laboratories: no kinds of cell
CIRCLE = Circle(radius=1, num_components=5).points
BLUES = [interpolate_color(ManimColor("#24527C"), ManimColor("#D6F0FF"), t) for t in np.linspace(0, 1, 12)]


class Cloud(VGroup):
    """Many cells as dots, one shape for each kind, so that hundreds can move: `cloud.animate.to(points)`."""

    def __init__(self, points: np.ndarray, kinds=None, colors=GROUPS, radius: float = 0.05, opacity: float = 0.85):
        super().__init__()
        self.kinds, self.radius = np.zeros(len(points), int) if kinds is None else np.asarray(kinds).astype(int), radius
        self.add(*[VMobject(stroke_width=0).set_fill(colors[kind], opacity) for kind in np.unique(self.kinds)])
        self.to(points)

    def to(self, points: np.ndarray) -> "Cloud":
        """Move every cell to its point."""
        for shape, kind in zip(self, np.unique(self.kinds), strict=True):
            centres = points[self.kinds == kind]
            shape.set_points((centres[:, None] + CIRCLE * self.radius).reshape(-1, 3))
        return self

    def paint(self, colors) -> "Cloud":
        """Give every kind its colour."""
        for shape, kind in zip(self, np.unique(self.kinds), strict=True):
            shape.set_fill(colors[kind])
        return self


def on(plot, points: np.ndarray) -> np.ndarray:
    """Return the points of the picture at coordinates of a plot."""
    return np.array([plot.c2p(*point[:2]) for point in points])


def fitted(points: np.ndarray, width: float, height: float, middle=ORIGIN) -> np.ndarray:
    """Return a map's points in the picture, at equal scale."""
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - (low + high) / 2) * min(width / (high - low)[0], height / (high - low)[1])
    return np.column_stack([scaled, np.zeros(len(points))]) + np.asarray(middle)


def segments(starts: np.ndarray, ends: np.ndarray, color: str, width: float = 2, opacity: float = 0.6) -> VMobject:
    """Return many thin lines as one shape."""
    steps = np.array([0, 1 / 3, 2 / 3, 1])[None, :, None]
    lines = starts[:, None] + steps * (ends - starts)[:, None]
    return VMobject().set_points(lines.reshape(-1, 3)).set_stroke(color, width, opacity).set_fill(opacity=0)


def heat(values: np.ndarray, width: float, height: float, top: float) -> ImageMobject:
    """Return a table of numbers from 0 to `top` as an image, dark to light."""
    low, high = (np.array(ManimColor(color).to_rgb()) for color in ("#1D2533", INK))
    light = np.clip(values / top, 0, 1)[..., None]
    picture = ImageMobject(np.uint8(255 * (low + light * (high - low))))
    return picture.stretch_to_fit_height(height).stretch_to_fit_width(width)


def legend(entries: dict[str, str], size: float = 22) -> VGroup:
    """Return names with their colours, under each other."""
    rows = [
        VGroup(Dot(radius=0.09, color=color), words(name, size)).arrange(RIGHT, buff=0.2)
        for name, color in entries.items()
    ]
    return VGroup(*rows).arrange(DOWN, buff=0.22, aligned_edge=LEFT)


def choices(*texts: str) -> VGroup:
    """Return what a viewer may predict, side by side; `.right(i)` marks the answer."""
    cards = VGroup()
    for letter, text in zip("abc", texts, strict=False):
        label = VGroup(words(letter, 30, MEAN, weight=BOLD), words(text, 28)).arrange(RIGHT, buff=0.3)
        frame = RoundedRectangle(0.16, width=label.width + 0.8, height=1.0, color=FAINT, stroke_width=3)
        cards.add(VGroup(frame.set_fill(CARD, 1).move_to(label), label))
    cards.arrange(RIGHT, buff=0.45)
    cards.right = lambda i: AnimationGroup(
        cards[i][0].animate.set_stroke(GOOD, 5), *[FadeOut(card) for j, card in enumerate(cards) if j != i]
    )
    return cards


def sheet(names: list[str], genes: list[str], rows: list, light, width: float = 1.15, height: float = 0.72) -> VGroup:
    """Return cells as rows of numbers on squares, as light as `light(number)`: `.header`, `.rows[i]`, `.column(j)`."""
    group, header, lines = VGroup(), VGroup(), VGroup()
    for j, gene in enumerate(genes):
        header.add(words(gene, 22, DIM).move_to([j * width, height * 0.95, 0]))
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        line = VGroup(words(name, 24).move_to([-width * 0.75, -i * height, 0], RIGHT), VGroup(), VGroup())
        for j, text in enumerate(row):
            share = light(float(text.replace("−", "-")))
            square = Rectangle(width=width * 0.93, height=height * 0.9, stroke_width=0).set_fill(shade(share), 1)
            line[1].add(square.move_to([j * width, -i * height, 0]))
            line[2].add(mono(text, 26, GROUND if share > 0.45 else INK).move_to(square))
        lines.add(line)
    group.add(header, lines)
    group.header, group.rows = header, lines
    group.column = lambda j: VGroup(header[j], *[VGroup(line[1][j], line[2][j]) for line in lines])
    return group.center()


def squares(values: np.ndarray, side: float, color: str = INK, top: float | None = None, down: bool = False) -> VGroup:
    """Return numbers as a row of squares, dark to light."""
    top = np.max(values) if top is None else top
    row = VGroup(*[Square(side * 0.9, stroke_width=0).set_fill(shade(value / top, color), 1) for value in values])
    return row.arrange(DOWN if down else RIGHT, buff=side * 0.1)


# -- 0.1 ---------------------------------------------------------------------------------------------------------------

scvi_map, latents = np.asarray(lesson.value("0.1", MAP)), np.asarray(lesson.value("0.1", LATENT_OF))
assert latents.shape == (int(n_cells), 10)


class Lists(Lecture):
    chapter = "The whole game"
    section = "0.1"

    def construct(self):
        title = words(lesson.text(r"# Lesson 0 · (.+)"), 46, weight=BOLD)
        small = heading("0.1", lesson.titles["0.1"])
        picture = heat(np.log1p(counts), 4.9, 4.5, np.log(30)).move_to([-3.9, -0.35, 0])
        sides = VGroup(words(f"{n_cells} cells", 24, DIM).rotate(PI / 2).next_to(picture, LEFT, buff=0.2),
                       words(f"{n_genes} genes", 24, DIM).next_to(picture, UP, buff=0.2))  # fmt: skip
        mark = Rectangle(width=picture.width + 0.15, height=0.1, color=MEAN, stroke_width=3).move_to(
            picture.get_top() + DOWN
        )
        chosen = [108, 300, 520]
        cells = [self.cell(row) for row in chosen]
        self.say(
            "{title} What does scVI do? {grid} Here are the counts of 700 human blood cells. "
            f"{{row}} Every cell is a list of numbers, {{list}} one for each of {n_genes} genes.",
            pause=0.4,
            title=(FadeIn(title, shift=UP * 0.2), 0.9),
            grid=(ReplacementTransform(title, small), FadeIn(picture), FadeIn(sides), 1.2),
            row=(FadeIn(mark), 0.5),
            list=lambda: (TransformFromCopy(mark, cells[0][0]), FadeIn(cells[0][1]), 1.2),
        )
        way_down = Arrow(UP * 0.5, DOWN * 0.5, color=DIM, stroke_width=5, tip_length=0.2).move_to([3.4, -0.15, 0])

        def next_cell(i: int):
            y = picture.get_top()[1] - 0.4 - 3.6 * i / 2
            pairs = [
                ReplacementTransform(one, other) for one, other in zip(cells[i - 1][::2], cells[i][::2], strict=True)
            ]
            return (mark.animate.set_y(y), *pairs, 1.0)

        self.say(
            "It learns to sum up every cell {ten} in ten numbers. {two} This one, {three} and that one. Then we draw a map of these.",
            ten=(GrowArrow(way_down), FadeIn(cells[0][2], shift=DOWN * 0.3), FadeIn(cells[0][3]), 0.9),
            two=lambda: next_cell(1),
            three=lambda: next_cell(2),
        )
        gone = Group(picture, sides, mark, way_down, cells[2][0], cells[0][1], cells[2][2], cells[0][3])
        self.ask(gone)

    def cell(self, row: int) -> VGroup:
        """Return a cell's counts of the genes that vary most, and its ten numbers."""
        strip = squares(np.log1p(counts[row, variable[:27]]), 0.21, top=np.log(30)).move_to([3.4, 1.2, 0])
        ten = squares(latents[row] - latents.min(), 0.5, LATENT, top=np.ptp(latents)).move_to([3.4, -1.4, 0])
        return VGroup(strip, words(f"{n_genes} counts …", 24, DIM).next_to(strip, UP, buff=0.2),
                      ten, words("ten numbers", 24, LATENT).next_to(ten, DOWN, buff=0.25))  # fmt: skip

    def ask(self, gone: Group) -> None:
        card = question("What will the map look like?").move_to(UP * 1.0)
        options = choices("one cloud, mixed", "a few islands", "one island a colour").move_to(DOWN * 1.3)
        self.say(
            "{ask} What will it look like? {a} One cloud, colours mixed. {b} A few islands, each mostly of one colour. "
            "{c} Or one clean island for each kind of cell?",
            pause=1.8,
            ask=(FadeOut(gone), ask(card), 0.9),
            a=(FadeIn(options[0], shift=UP * 0.2), 0.5),
            b=(FadeIn(options[1], shift=UP * 0.2), 0.5),
            c=(FadeIn(options[2], shift=UP * 0.2), 0.5),
        )


class Islands(Lecture):
    section = "0.1"

    def construct(self):
        self.add(heading("0.1", lesson.titles["0.1"]))
        across = np.array([[i % 35, i // 35] for i in range(len(groups))], dtype=float)
        places = fitted(scvi_map, 9.5, 6.0, [-1.8, -0.25, 0])
        cloud = Cloud(fitted(across, 7, 4, [-1.8, 0, 0]), groups, [DIM] * 6, radius=0.055)
        key = legend(dict(zip(names, GROUPS, strict=False))).move_to([5.3, 0.3, 0])
        self.say(
            "{start} Seven hundred cells, {move} and where scVI puts them.",
            pause=0.6,
            start=(FadeIn(cloud, lag_ratio=0.1), 0.8),
            move=lambda: (cloud.animate.to(places), 2.0),
        )
        kinds = [names.index("T cell"), names.index("CD56+ NK")]
        ring = self.around(places[np.isin(groups, kinds)])
        self.say(
            "{colour} Islands. Each is mostly of one colour, and nobody told it a single type. "
            "{share} T cells and NK cells, alike in the body, share one.",
            pause=0.7,
            colour=lambda: (cloud.animate.paint(GROUPS), FadeIn(key, shift=LEFT * 0.2), 1.2),
            share=(Create(ring), *[Indicate(key[kind], color=INK, scale_factor=1.15) for kind in kinds], 1.4),
        )

    def around(self, points: np.ndarray) -> Ellipse:
        """Return a ring about most of some cells."""
        low, high = np.quantile(points, 0.03, axis=0), np.quantile(points, 0.97, axis=0)
        size = (high - low)[:2] * 1.28
        return Ellipse(*size, color=INK, stroke_width=4).move_to((low + high) / 2)


class Machine(Lecture):
    section = "0.1"

    def construct(self):
        self.add(heading("0.1", lesson.titles["0.1"]))
        cell = squares(np.log1p(counts[108, variable[:11]]), 0.4, top=np.log(30), down=True).move_to([-5.6, -0.75, 0])
        ten = squares(latents[108] - latents.min(), 0.4, LATENT, top=np.ptp(latents), down=True).move_to([0, -0.75, 0])
        encoder, decoder = (
            trapezoid("encoder").move_to([-2.8, -0.75, 0]),
            trapezoid("decoder", "left").move_to([2.8, -0.75, 0]),
        )
        back = squares(np.log1p(counts[108, variable[:11]]), 0.4, top=np.log(30), down=True).move_to([5.6, -0.75, 0])
        back.set_opacity(0.55)
        z = math("z", 56, LATENT).next_to(ten, UP, buff=0.25)
        ways = VGroup(*[arrow(one, other, buff=0.25) for one, other in pairwise([cell, encoder, ten, decoder, back])])
        lines = listing(lesson.lines("model = vc.VAE(data.n_genes)", "trainer.train(n_epochs=50)"), 24).move_to(
            UP * 2.35
        )
        self.say(
            "{enc} An encoder sums up a cell {z} in a few numbers, z: its latents. "
            "{dec} A decoder turns these back into a statement about counts.",
            enc=(FadeIn(cell), GrowArrow(ways[0]), FadeIn(encoder, shift=RIGHT * 0.3), 1.0),
            z=(
                GrowArrow(ways[1]),
                LaggedStart(*[FadeIn(one, shift=RIGHT * 0.4) for one in ten], lag_ratio=0.1),
                FadeIn(z),
                1.2,
            ),
            dec=(
                GrowArrow(ways[2]),
                FadeIn(decoder, shift=RIGHT * 0.3),
                GrowArrow(ways[3]),
                FadeIn(back, shift=RIGHT * 0.3),
                1.3,
            ),
        )
        self.say(
            "{code} Today that is two lines of code. {by} By lesson five, you will have written every line of what they call.",
            code=(FadeIn(lines, shift=DOWN * 0.2), 0.8),
            by=(LaggedStart(*[pulse(one) for one in ways], lag_ratio=0.6), 2.6),
        )


# -- 0.2 ---------------------------------------------------------------------------------------------------------------


def molecule(color: str = INK, length: float = 0.6) -> VMobject:
    """Return a messenger RNA: a short wave."""
    steps = np.linspace(0, 1, 25)
    points = np.column_stack([length * (steps - 0.5), 0.07 * np.sin(4 * PI * steps), np.zeros(25)])
    return VMobject().set_points_smoothly(points).set_stroke(color, 5)


class Molecules(Lecture):
    chapter = "What a count matrix is"
    section = "0.2"

    def construct(self):
        self.add(heading("0.2", lesson.titles["0.2"]))
        cell = Circle(1.75, color=DIM, stroke_width=4).set_fill("#1B2230", 1).move_to([-3.9, -0.2, 0])
        places = [
            (-0.9, 0.7),
            (0.35, 1.0),
            (0.95, 0.25),
            (-0.2, 0.15),
            (-1.0, -0.25),
            (0.7, -0.6),
            (-0.45, -0.85),
            (0.25, -1.15),
        ]
        colors = [MEAN, LATENT, MEAN, LATENT, MEAN, MEAN, LATENT, MEAN]
        rna = VGroup(
            *[
                molecule(color).move_to(cell.get_center() + [*place, 0])
                for place, color in zip(places, colors, strict=True)
            ]
        )
        caught = {MEAN: [0, 2, 5], LATENT: [1]}  # what the picture shows: three of five, one of three
        rows = VGroup(
            *[
                words(f"gene {letter}", 28, color).move_to([0.4, y, 0])
                for letter, color, y in (("A", MEAN, 0.55), ("B", LATENT, -0.85))
            ]
        )
        moves, numbers = [], VGroup()
        for row, (color, those) in zip(rows, caught.items(), strict=True):
            for place, i in enumerate(those):
                spot = row.get_right() + RIGHT * (0.75 + 0.95 * place)
                tag = Dot(radius=0.1, color=NOISE).move_to(spot + LEFT * 0.42)
                moves.append(AnimationGroup(rna[i].animate.move_to(spot), FadeIn(tag, scale=0.3)))
            numbers.add(mono(str(len(those)), 44).move_to([6.0, row.get_y(), 0]))
        left = VGroup(*[rna[i] for i in range(len(rna)) if i not in sum(caught.values(), [])])
        tags = words("tagged, so counted once", 22, NOISE).move_to([3.2, -2.2, 0])
        self.say(
            "What exactly went in? {cell} A cell uses a gene by copying it {rna} to messenger RNA. "
            "{catch} A machine catches the cell, and tags every molecule that it can catch. {count} A count says how many molecules were caught.",
            pause=0.4,
            cell=(FadeIn(cell, scale=0.8), 0.7),
            rna=(LaggedStart(*[Create(one) for one in rna], lag_ratio=0.15), 1.3),
            catch=lambda: (FadeIn(rows), LaggedStart(*moves, lag_ratio=0.35), FadeIn(tags), 2.6),
            count=lambda: (FadeIn(numbers, shift=LEFT * 0.3), left.animate.set_stroke(opacity=0.3), 0.9),
        )
        self.zeros()

    def zeros(self) -> None:
        title = self.mobjects[0]
        cells = VGroup(
            *[Circle(1.35, color=DIM, stroke_width=4).set_fill("#1B2230", 1).move_to([x, 0.35, 0]) for x in (-3, 3)]
        )
        lost = VGroup(
            *[molecule(MEAN).move_to(cells[1].get_center() + [x, y, 0]) for x, y in ((-0.4, 0.35), (0.4, -0.3))]
        )
        zeros = VGroup(*[mono("0", 60).next_to(cell, DOWN, buff=0.45) for cell in cells])
        notes = VGroup(
            words("silent", 28, DIM).next_to(cells[0], UP, buff=0.25),
            words("not caught", 28, DIM).next_to(cells[1], UP, buff=0.25),
        )
        either = words("?", 64, MEAN, weight=BOLD).move_to([0, zeros.get_y(), 0])
        self.say(
            "{two} Now look at a zero. {silent} In this cell, the gene is silent. {lost} In that one, its molecules were there, {gone} and none was caught. "
            "{same} Both give zero, and the matrix does not say which.",
            pause=0.8,
            two=lambda: (FadeOut(Group(*[one for one in self.mobjects if one is not title])), FadeIn(cells), 0.8),
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


class Table(Lecture):
    section = "0.2"

    def construct(self):
        self.add(heading("0.2", lesson.titles["0.2"]))
        printed = [line for line in lesson.printed("index = {str(gene)").splitlines()[2:] if line]
        rows = [re.fullmatch(r"(\S.*?)((?:\s+\d+){7})", line).groups() for line in printed]
        genes = lesson.printed("index = {str(gene)").splitlines()[1].split()
        numbers = [row.split() for _, row in rows]
        shown = sheet([name for name, _ in rows], genes, numbers, lambda n: np.log1p(n) / np.log(60)).move_to(
            [0, -0.1, 0]
        )
        frames = {
            gene: SurroundingRectangle(
                shown.column(genes.index(gene)), color=MEAN, buff=0.06, corner_radius=0.08, stroke_width=4
            )
            for gene in genes
        }
        marker = words("marker genes", 28, MEAN).next_to(shown, DOWN, buff=0.45)
        self.say(
            "{genes} So put a gene in every column, {cells} and a cell in every row. {whole} Whole numbers, many zeros, and a pattern. "
            "{myeloid} LYZ and CST3 are loud in monocytes and dendritic cells, {b} CD79A in B cells, {t} CD3D in T cells. {marker} Such a gene is a marker.",
            pause=0.5,
            genes=(LaggedStart(*[FadeIn(one, shift=DOWN * 0.2) for one in shown.header], lag_ratio=0.1), 0.9),
            cells=(LaggedStart(*[FadeIn(row, shift=RIGHT * 0.3) for row in shown.rows], lag_ratio=0.4), 1.6),
            whole=(
                LaggedStart(*[Indicate(row[2], color=MEAN, scale_factor=1.1) for row in shown.rows], lag_ratio=0.2),
                1.8,
            ),
            myeloid=(Create(frames["LYZ"]), Create(frames["CST3"]), 0.8),
            b=(FadeOut(frames["LYZ"]), FadeOut(frames["CST3"]), Create(frames["CD79A"]), 0.6),
            t=(FadeOut(frames["CD79A"]), Create(frames["CD3D"]), 0.6),
            marker=(FadeIn(marker, shift=UP * 0.2), 0.5),
        )


class Zeros(Lecture):
    section = "0.2"

    def construct(self):
        self.add(heading("0.2", lesson.titles["0.2"]))
        order, middles = np.asarray(lesson.value("0.2", "order")), lesson.value("0.2", "middle")
        picture = heat(np.log1p(counts[order][:, variable]), 8.2, 5.6, np.log(30)).move_to([1.3, -0.25, 0])
        cover = Rectangle(width=8.3, height=5.7, stroke_width=0).set_fill(GROUND, 1).move_to(picture)
        labels = VGroup(*[
            words(name, 22, DIM).move_to([picture.get_left()[0] - 0.25, picture.get_top()[1] - 5.6 * place / len(order), 0], RIGHT)
            for name, place in zip(names, middles, strict=True)
        ])  # fmt: skip
        self.add(picture, cover)
        self.say(
            "{rows} Here are all the cells, and the 80 genes that vary most. {names} The bands are groups of cells.",
            rows=lambda: (cover.animate(rate_func=linear).stretch(0.001, 1, about_edge=DOWN), 2.8),
            names=(FadeIn(labels, lag_ratio=0.2), 0.8),
        )
        self.guess(Group(picture, labels, cover))

    def guess(self, gone: Group) -> None:
        shares = [(counts == 0).mean(), (counts == 1).mean(), (counts > 1).mean()]
        told = [lesson.number("zeros"), lesson.number("zeros.*ones"), lesson.number(r"zeros.*more")]
        assert [f"{share:.0%}" for share in shares] == [f"{one}%" for one in told]
        card, options = (
            question("Which share of all entries is zero?").move_to(UP * 1.6),
            choices("a third", "a half", "two thirds").move_to(DOWN * 0.1),
        )
        bar, left = VGroup(), -5.5
        for share, one, name, color in zip(shares, told, ("zeros", "ones", "more"), (FAINT, DIM, INK), strict=True):
            part = (
                Rectangle(width=11 * share, height=0.8, stroke_width=0)
                .set_fill(color, 1)
                .move_to([left, -1.9, 0], LEFT)
            )
            bar.add(VGroup(part, words(f"{name} {one} %", 24).next_to(part, DOWN, buff=0.2)))
            left += 11 * share
        self.say(
            "{ask} Now guess: which share of all entries is zero? {a} A third, {b} a half, {c} two thirds?",
            pause=1.5,
            ask=(FadeOut(gone), ask(card), 0.9),
            a=(FadeIn(options[0], shift=UP * 0.2), 0.4),
            b=(FadeIn(options[1], shift=UP * 0.2), 0.4),
            c=(FadeIn(options[2], shift=UP * 0.2), 0.4),
        )
        self.say(
            f"{{zero}} {told[0]} percent. {{more}} And these genes were chosen because they vary.",
            pause=0.5,
            zero=lambda: (options.right(2), GrowFromEdge(bar[0][0], LEFT), FadeIn(bar[0][1]), 1.2),
            more=(
                LaggedStart(
                    *[AnimationGroup(GrowFromEdge(part[0], LEFT), FadeIn(part[1])) for part in bar[1:]], lag_ratio=0.5
                ),
                1.4,
            ),
        )


class Library(Lecture):
    section = "0.2"

    def construct(self):
        self.add(heading("0.2", lesson.titles["0.2"]))
        smallest, largest = lesson.number("smallest"), lesson.number(r"smallest.*largest")
        assert 4.5 < float(largest) / float(smallest) < 5.5  # "a factor of five"
        row = 108
        strip = squares(np.log1p(counts[row, variable[:40]]), 0.26, top=np.log(30)).move_to([-1.0, 2.0, 0])
        total = (
            VGroup(math("=", 44, DIM), mono(f"{library[row]:.0f}", 36))
            .arrange(RIGHT, buff=0.25)
            .next_to(strip, RIGHT, buff=0.3)
        )
        dots_after = words("…", 30, DIM).next_to(strip, RIGHT, buff=0.1)
        total.shift(RIGHT * 0.4)
        plot = plot_axes((250, 1700), (0, 110), "library size", "cells", 10.5, 3.3, x_marks=[500, 1000, 1500]).move_to(
            [-0.2, -1.2, 0]
        )
        edges = np.arange(300, 1701, 50)
        bars = histogram(plot, edges, np.histogram(library, edges)[0], DIM)
        ends = VGroup(*[
            VGroup(words(text, 26, MEAN, weight=BOLD), Line(ORIGIN, DOWN * 0.45, color=MEAN, stroke_width=3)).arrange(DOWN, buff=0.08)
            .move_to(plot.c2p(float(text), 14), DOWN) for text in (smallest, largest)
        ])  # fmt: skip
        self.say(
            "{strip} Add up the counts of a cell: {sum} its library size. {hist} From cell to cell it differs: "
            f"{{small}} the smallest is {smallest}, {{large}} the largest {largest}, a factor of five.",
            strip=(FadeIn(strip, shift=RIGHT * 0.3), FadeIn(dots_after), 0.8),
            sum=(TransformFromCopy(strip, total), 0.9),
            hist=(FadeIn(plot), LaggedStart(*[GrowFromEdge(bar, DOWN) for bar in bars], lag_ratio=0.05), 1.8),
            small=(FadeIn(ends[0], shift=DOWN * 0.2), 0.5),
            large=(FadeIn(ends[1], shift=DOWN * 0.2), 0.5),
        )
        self.depth(plot, bars)

    def depth(self, plot: VGroup, bars: VGroup) -> None:
        heights = {}
        for name in ("CD14+ Monocyte", "T cell"):
            edges = np.arange(300, 1701, 50)
            heights[name] = np.histogram(library[groups == names.index(name)], edges)[0]
            assert np.isclose(np.sort(library[groups == names.index(name)])[(sum(groups == names.index(name)) - 1) // 2],
                              float(lesson.number("median " + re.escape(name))))  # fmt: skip
        both = VGroup(*[histogram(plot, edges, heights[name], GROUPS[names.index(name)], 0.6) for name in heights])
        medians = VGroup(*[
            words(f"{name}: {lesson.number('median ' + re.escape(name))}", 24, GROUPS[names.index(name)]) for name in ("T cell", "CD14+ Monocyte")
        ]).arrange(DOWN, buff=0.25, aligned_edge=LEFT).move_to(plot.c2p(1330, 78))  # fmt: skip
        label = words("the rest: sequencing depth", 30, MEAN).move_to(medians).shift(DOWN * 0.9)
        label.align_to(medians, LEFT)
        self.say(
            "{kinds} Part of that is biology: a monocyte holds more RNA than a resting T cell. "
            "{luck} The rest is luck, how much was caught and read: sequencing depth. That, we do not want to discover.",
            pause=0.5,
            kinds=lambda: (bars.animate.set_opacity(0.25), FadeIn(both, lag_ratio=0.05), FadeIn(medians), 1.4),
            luck=(FadeIn(label, shift=UP * 0.2), 0.7),
        )


# -- 0.3 ---------------------------------------------------------------------------------------------------------------

toy = np.asarray(lesson.value("0.3", "toy"))
normalized = np.asarray(lesson.value("0.3", "x[:, variable]"))


class SameCell(Lecture):
    """Three cells of two genes as bars, which end equally long when their totals are taken out."""

    chapter = "Taking depth out"
    section = "0.3"

    def construct(self):
        self.add(heading("0.3", lesson.titles["0.3"]))
        totals = toy.sum(axis=1)
        scale, left, middle = 0.85, -4.6, [1.9, 0.75, -0.4]
        raw = VGroup(*[self.bar(row, scale, left, y) for row, y in zip(toy, middle, strict=True)])
        same = VGroup(*[self.bar(row / total, 6.8, left, y) for row, total, y in zip(toy, totals, middle, strict=True)])
        labels = VGroup(
            *[
                mono(f"({row[0]:.0f}, {row[1]:.0f})", 30).move_to([left - 0.3, y, 0], RIGHT)
                for row, y in zip(toy, middle, strict=True)
            ]
        )
        sums = VGroup(
            *[
                mono(f"{total:.0f}", 34, MEAN).next_to(bar, RIGHT, buff=0.35)
                for total, bar in zip(totals, raw, strict=True)
            ]
        )
        code = listing(lesson.lines("totals = toy.sum(dim=1)", "print(toy / totals)"), 24).move_to(DOWN * 2.35)
        bar = glow(code, 0)
        alike = VGroup(
            *[
                SurroundingRectangle(
                    VGroup(labels[i], same[i]), color=GOOD, buff=0.12, corner_radius=0.1, stroke_width=4
                )
                for i in (0, 2)
            ]
        )
        self.say(
            "Three cells, two genes. {one} One and three, {two} five and nothing, {three} two and six. "
            "The last was caught twice as well as the first. {ask} How do we make them look the same?",
            pause=1.0,
            one=(FadeIn(labels[0]), GrowFromEdge(raw[0], LEFT), 0.7),
            two=(FadeIn(labels[1]), GrowFromEdge(raw[1], LEFT), 0.7),
            three=(FadeIn(labels[2]), GrowFromEdge(raw[2], LEFT), 0.7),
            ask=(Indicate(raw[0], color=INK, scale_factor=1.05), Indicate(raw[2], color=INK, scale_factor=1.05), 1.2),
        )
        self.say(
            "{sum} Add up every row. {column} Unsqueeze turns the totals into a column, {divide} so that each row is divided by its own. "
            "{alike} Now the first and the third cell are alike.",
            pause=0.5,
            sum=(
                FadeIn(code),
                FadeIn(bar),
                LaggedStart(*[FadeIn(one, shift=RIGHT * 0.3) for one in sums], lag_ratio=0.3),
                1.2,
            ),
            column=(Indicate(sums, color=MEAN, scale_factor=1.2), 1.0),
            divide=lambda: (glow_to(bar, code, 1), FadeOut(sums), ReplacementTransform(raw, same), 1.5),
            alike=(Create(alike), 0.7),
        )

    def bar(self, row: np.ndarray, scale: float, left: float, y: float) -> VGroup:
        parts, start = VGroup(), left
        for value, color in zip(row, (WARM, COLD), strict=True):
            part = Rectangle(width=max(value * scale, 0.001), height=0.7, stroke_width=0).set_fill(color, 0.9)
            parts.add(part.move_to([start, y, 0], LEFT))
            start += value * scale
        return parts


class Depth(Lecture):
    """Real cells appear one by one, their library beside them; then depth is taken out of all."""

    section = "0.3"

    def construct(self):
        self.add(heading("0.3", lesson.titles["0.3"]))
        self.cells = [self.spread(names.index(name)) for name in ("T cell", "CD14+ Monocyte")]
        rows = np.concatenate(self.cells)
        table, values = counts[rows][:, variable[:24]], normalized[rows][:, :24]
        high = np.log1p(table.max())
        matrix = counts_matrix(table, 0.34).move_to([-1.6, 0.75, 0])
        kinds = VGroup(*[
            words(name, 24, GROUPS[names.index(name)]).next_to(VGroup(*matrix[i : i + 6]), LEFT, buff=0.3) for name, i in (("T cells", 0), ("CD14+", 6))
            for name, i in ((name, i),)
        ]) if False else self.kinds(matrix)  # fmt: skip
        bars = VGroup(*[self.library(matrix[i], library[row] / library.max() * 2.6) for i, row in enumerate(rows)])
        equal = VGroup(*[self.library(matrix[i], 1.6) for i in range(len(rows))])
        label = words("library size", 24, MEAN).next_to(bars, UP, buff=0.2).align_to(bars, LEFT)
        thousand = words("10,000 each", 24, MEAN).move_to(label, LEFT)
        self.say(
            "{rows} Now real cells, one after the other, and beside each of them its library. "
            "{faint} Look how faint some are, next to cells of their own kind.",
            rows=(
                FadeIn(kinds),
                FadeIn(label),
                LaggedStart(*[self.arrive(one, bar) for one, bar in zip(matrix, bars, strict=True)], lag_ratio=0.25),
                3.6,
            ),
            faint=(
                Indicate(VGroup(matrix[0], bars[0]), color=MEAN),
                Indicate(VGroup(matrix[6], bars[6]), color=MEAN),
                1.4,
            ),
        )
        formula = math('x_(i g) = {{log : l}}(1 + {{"counts"_(i g) / N_i : c}} dot {{10000 : t}})', 46).move_to(
            DOWN * 2.6
        )
        formula.select("c").set_color(INK)
        formula.select("t").set_color(MEAN)
        recolour = [
            square.animate.set_fill(shade(value / values.max()), 1)
            for line, row in zip(matrix, values, strict=True)
            for square, value in zip(line, row, strict=True)
        ]
        del high
        self.say(
            "{same} Divide by the library, and give every cell a total of 10,000. {log} Then take a logarithm, "
            "because from 0 to 10 matters more than from 300 to 310. {one} Adding one keeps zero at zero.",
            pause=0.6,
            same=lambda: (
                ReplacementTransform(bars, equal),
                FadeOut(label, shift=UP * 0.2),
                FadeIn(thousand, shift=UP * 0.2),
                FadeIn(formula),
                *recolour,
                2.4,
            ),
            log=(Indicate(formula.select("l"), color=MEAN, scale_factor=1.4), 1.2),
            one=(Circumscribe(formula, color=MEAN, buff=0.15), 1.4),
        )

    def spread(self, kind: int) -> np.ndarray:
        """Return six cells of a kind, from its smallest library to its largest."""
        those = np.flatnonzero(groups == kind)
        those = those[np.argsort(library[those])]
        return those[np.linspace(0, len(those) - 1, 6).round().astype(int)]

    def kinds(self, matrix: VGroup) -> VGroup:
        return VGroup(*[
            words(name, 24, GROUPS[names.index(name)]).next_to(VGroup(*matrix[i : i + 6]), LEFT, buff=0.3) for name, i in (("T cell", 0), ("CD14+ Monocyte", 6))
        ])  # fmt: skip

    def library(self, row: VGroup, length: float) -> Rectangle:
        bar = Rectangle(width=length, height=0.24, stroke_width=0).set_fill(MEAN, 0.85)
        return bar.next_to(row, RIGHT, buff=0.3)

    def arrive(self, row: VGroup, bar: Rectangle) -> Animation:
        return AnimationGroup(FadeIn(row, shift=RIGHT * 0.4), GrowFromEdge(bar, LEFT))


class Together(Lecture):
    section = "0.3"

    def construct(self):
        self.add(heading("0.3", lesson.titles["0.3"]))
        correlation, genes = np.asarray(lesson.value("0.3", "correlation")), lesson.value("0.3", "six")
        side = 0.78
        cells = VGroup(*[
            VGroup(*[Square(side * 0.93, stroke_width=0).set_fill(shade(abs(r), WARM if r > 0 else COLD), 1).move_to([j * side, -i * side, 0]) for j, r in enumerate(row)])
            for i, row in enumerate(correlation)
        ]).move_to([-1.6, -0.3, 0])  # fmt: skip
        left = VGroup(
            *[words(gene, 24, DIM).next_to(row, LEFT, buff=0.25) for gene, row in zip(genes, cells, strict=True)]
        )
        above = VGroup(
            *[
                words(gene, 22, DIM)
                .rotate(PI / 4)
                .next_to(cells[0][j], UP, buff=0.15, aligned_edge=LEFT)
                .shift(RIGHT * 0.2)
                for j, gene in enumerate(genes)
            ]
        )
        key = legend({"rise together": WARM, "one falls": COLD}, 26).move_to([4.3, 1.0, 0])
        few = words("a few hidden causes?", 32, LATENT, weight=BOLD).move_to([4.3, -1.2, 0])
        i, j = genes.index("LYZ"), genes.index("CST3")
        assert correlation[i, j] > 0.5 and correlation[genes.index("LYZ"), genes.index("CD3D")] < 0
        frame = SurroundingRectangle(cells[i][j], color=INK, buff=0.03, stroke_width=5)
        self.say(
            f"{{ask}} {n_genes} numbers are too many. {{grid}} But genes move together. {{warm}} Warm colours: two genes rise together. "
            "{cold} Cold: one falls as the other rises.",
            pause=0.3,
            ask=(FadeIn(left, lag_ratio=0.1), FadeIn(above, lag_ratio=0.1), 1.2),
            grid=(LaggedStart(*[FadeIn(row, shift=DOWN * 0.2) for row in cells], lag_ratio=0.3), 1.5),
            warm=(FadeIn(key[0], shift=LEFT * 0.2), 0.6),
            cold=(FadeIn(key[1], shift=LEFT * 0.2), 0.6),
        )
        self.say(
            "{pair} Tell me LYZ, and I can guess CST3. {few} If hundreds of genes follow a few hidden causes, "
            "then a few numbers say nearly everything: latents.",
            pause=0.5,
            pair=(Create(frame), Indicate(left[i], color=INK), Indicate(above[j], color=INK), 1.0),
            few=(FadeIn(few, shift=UP * 0.2), 0.8),
        )


# -- 0.4 ---------------------------------------------------------------------------------------------------------------

places_pca, train = np.asarray(lesson.value("0.4", "z")), np.asarray(lesson.value("0.4", "train"))


class Turn(Lecture):
    """A line is turned through a cloud: what it keeps, what it loses, and the sum that stays."""

    chapter = "PCA: the first encoder and decoder"
    section = "0.4"

    def construct(self):
        self.add(heading("0.4", lesson.titles["0.4"]))
        self.cells = np.asarray(lesson.value("0.4", TURNED), dtype=float)
        self.off = self.cells - self.cells.mean(axis=0)
        self.whole = (self.off**2).sum(axis=1).mean()
        self.total = lesson.number(r"loses [\d.]+,")
        assert f"{self.whole:.2f}" == self.total
        self.angle = ValueTracker(0.0)
        self.plot = plot_axes((-0.8, 8.0), (-0.8, 8.0), "", "", 5.5, 5.5).move_to([-3.6, -0.35, 0])
        genes = VGroup(
            words("HLA-DRA", 24, DIM).next_to(self.plot.frame, DOWN, buff=0.15),
            words("CD74", 24, DIM).rotate(PI / 2).next_to(self.plot.frame, LEFT, buff=0.15),
        )
        cloud = Cloud(on(self.plot, self.cells), colors=[INK], radius=0.045, opacity=0.75)
        line, feet, lost = self.moving()
        self.say(
            "You may keep one number a cell. Which one? {cloud} Take two genes, and two hundred cells. {line} Choose a direction through their mean. "
            "{drop} Drop every cell onto it, and keep how far along it landed. {lost} What you lose are the thin segments.",
            pause=0.3,
            cloud=(FadeIn(self.plot), FadeIn(genes), FadeIn(cloud), 1.2),
            line=(Create(line), 0.8),
            drop=(TransformFromCopy(cloud[0], feet), 1.4),
            lost=(FadeIn(lost), 0.8),
        )
        self.remove(line, feet, lost)
        live = always_redraw(lambda: VGroup(*self.moving()[::-1]))
        self.add(live)
        self.turn()

    def moving(self) -> tuple[VMobject, VMobject, VMobject]:
        """Return the line at the angle, where the cells land on it, and what they lose."""
        v = np.array([np.cos(self.angle.get_value()), np.sin(self.angle.get_value())])
        middle = self.cells.mean(axis=0)
        feet = on(self.plot, middle + (self.off @ v)[:, None] * v)
        ends = on(self.plot, [middle - 4.3 * v, middle + 4.3 * v])
        line = Line(*ends, color=LATENT, stroke_width=6)
        shown = Cloud(feet, colors=[LATENT], radius=0.04)[0]
        return line, shown, segments(on(self.plot, self.cells), feet, BAD)

    def kept(self, angle: float) -> float:
        v = np.array([np.cos(angle), np.sin(angle)])
        return float(((self.off @ v) ** 2).mean())

    def turn(self) -> None:
        stack = always_redraw(self.stack)
        names = (
            VGroup(words("kept", 26, LATENT), words("lost", 26, BAD)).arrange(RIGHT, buff=0.5).move_to([1.1, 2.75, 0])
        )
        axes = plot_axes(
            (0, 180), (0, 10), "", "variance kept", 4.1, 4.4, x_marks={0: "0°", 90: "90°", 180: "180°"}
        ).move_to([4.7, -0.1, 0])
        angles = np.linspace(0, 180, 181)
        heights = [self.kept(np.deg2rad(one)) for one in angles]
        best = angles[int(np.argmax(heights))]

        def drawn() -> VMobject:
            now = np.rad2deg(self.angle.get_value())
            upto = angles <= now + 1e-9
            return curve(axes, [*angles[upto], now], [*np.array(heights)[upto], self.kept(np.deg2rad(now))], LATENT, 5)

        trace = always_redraw(drawn)
        self.say(
            "{ask} Now predict. Where cells are spread most along the line, is the loss large, or small?",
            pause=1.6,
            ask=(FadeIn(stack), FadeIn(names), FadeIn(axes), 1.0),
        )
        self.add(trace)
        self.say(
            "{turn} Turn it, all the way round. Here it is small; and across the cloud, large. "
            f"Kept and lost always add up to the same, {{total}} {self.total}, by Pythagoras.",
            pause=0.4,
            turn=(self.angle.animate(rate_func=linear).set_value(PI), 5.2),
            total=(FadeIn(words(f"{self.total} in all", 26).next_to([1.1, -2.75, 0], DOWN, buff=0.12)), 0.5),
        )
        trace.clear_updaters()
        point = Dot(axes.c2p(best, max(heights)), radius=0.1, color=GOOD)
        name = words("first principal component", 26, GOOD).move_to([4.3, 2.85, 0])
        self.say(
            "{best} So the direction along which cells vary most, loses least. {name} It is the first principal component.",
            pause=0.6,
            best=lambda: (self.angle.animate.set_value(np.deg2rad(best)), FadeIn(point, scale=0.5), 2.0),
            name=(FadeIn(name, shift=UP * 0.2), Flash(point, color=GOOD), 0.8),
        )

    def stack(self) -> VGroup:
        """Return what is kept and what is lost, as one bar that keeps its height."""
        height, kept = 5.0, self.kept(self.angle.get_value()) / self.whole
        low = (
            Rectangle(width=0.9, height=height * kept, stroke_width=0)
            .set_fill(LATENT, 0.85)
            .move_to([1.1, -2.7, 0], DOWN)
        )
        high = Rectangle(width=0.9, height=height * (1 - kept), stroke_width=0).set_fill(BAD, 0.85)
        return VGroup(low, high.next_to(low, UP, buff=0))


class ByHand(Lecture):
    section = "0.4"

    def construct(self):
        self.add(heading("0.4", lesson.titles["0.4"]))
        example = lesson.text(r"(For \$\\bar x = \(1, 1\)\$, \$v = \(0\.6, 0\.8\)\$ and a cell \$\(3, 2\)\$)")
        back_told = lesson.text(r"comes back as \$\(1, 1\) \+ 2 \\cdot \(0\.6, 0\.8\) = (\(2\.2, 2\.6\))\$")
        mean, v, cell = np.array([1, 1]), np.array([0.6, 0.8]), np.array([3, 2])
        z = (cell - mean) @ v
        back = mean + z * v
        assert example and z == 2 and back_told == f"({back[0]:.1f}, {back[1]:.1f})"
        plot = plot_axes((0, 4.2), (0, 3.8, 1), "", "", 5.6, 5.07, x_marks=[1, 2, 3, 4], y_marks=[1, 2, 3]).move_to(
            [-3.4, -0.35, 0]
        )
        at = lambda point: plot.c2p(*point)  # noqa: E731
        line = Line(at(mean - 1.2 * v), at(mean + 3.3 * v), color=FAINT, stroke_width=5)
        middle, dot = Dot(at(mean), radius=0.1, color=MEAN), Dot(at(cell), radius=0.12, color=INK)
        middle_name = math("macron(x)", 40, MEAN).next_to(middle, DOWN, buff=0.15)
        unit = Arrow(at(mean), at(mean + v), buff=0, color=WARM, stroke_width=7, tip_length=0.22)
        unit_name = math("v", 42, WARM).next_to(unit.get_center(), LEFT, buff=0.2)
        dot_name = math("x", 42).next_to(dot, RIGHT, buff=0.15)
        drop = DashedLine(at(cell), at(back), color=BAD, stroke_width=4)
        foot = Dot(at(back), radius=0.12, color=LATENT)
        along = Line(at(mean), at(back), color=LATENT, stroke_width=9)
        z_name = math("z = 2", 42, LATENT).next_to(foot, UL, buff=0.1)
        lines = Derivation(
            ["{{z : z}} = (x - {{macron(x) : m}})^top {{v : v}}", "= (2, 1) dot (0.6, 0.8)", "= 2"],
            size=46,
            colors={"z": LATENT, "m": MEAN, "v": WARM},
        ).move_to([3.3, 1.4, 0])
        down = Derivation(
            ["{{hat(x) : h}} = {{macron(x) : m}} + {{z : z}} thin {{v : v}}", "= (2.2, 2.6)"],
            size=46,
            colors={"z": LATENT, "m": MEAN, "v": WARM, "h": LATENT},
        ).move_to([3.3, -1.5, 0])
        down.shift(RIGHT * (lines.lines.get_left()[0] - down.lines.get_left()[0]))
        self.say(
            "{plane} By hand. {mean} The mean is at one, one. {v} The direction is 0.6, 0.8. {cell} A cell sits at three, two.",
            plane=(FadeIn(plot), 0.7),
            mean=(FadeIn(middle, scale=0.5), FadeIn(middle_name), 0.6),
            v=(Create(line), GrowArrow(unit), FadeIn(unit_name), 0.9),
            cell=(FadeIn(dot, scale=0.5), FadeIn(dot_name), 0.6),
        )
        self.say(
            "{sub} Subtract the mean, {dot} multiply with the direction, and add: {z} z is two. That is the encoder.",
            pause=0.5,
            sub=(lines.reveal(0), 0.9),
            dot=(lines.reveal(1), Create(drop), 1.2),
            z=(lines.reveal(2), Create(along), FadeIn(foot), FadeIn(z_name), 1.0),
        )
        self.say(
            "The decoder goes the way back: {back} from the mean, two steps along the direction. {here} 2.2, 2.6. {gap} Close, but not the cell. "
            "One number cannot hold two.",
            pause=0.6,
            back=(down.reveal(0), ShowPassingFlash(along.copy().set_stroke(INK, 12), time_width=0.6), 1.6),
            here=(down.reveal(1), Flash(foot, color=LATENT), 0.8),
            gap=(drop.animate.set_stroke(width=9), 0.8),
        )


def pca_axes(width: float = 8.6, height: float = 5.2):
    """Return the plane of the first two principal components of the log counts."""
    low, high = places_pca[:, :2].min(axis=0) - 1.5, places_pca[:, :2].max(axis=0) + 1.5
    return plot_axes((low[0], high[0]), (low[1], high[1]), "PC1", "PC2", width, height)


class Components(Lecture):
    section = "0.4"

    def construct(self):
        self.add(heading("0.4", lesson.titles["0.4"]))
        code = listing(lesson.lines("all_components = torch.linalg.svd").split("  #")[0], 20).move_to(UP * 2.45)
        plot = pca_axes(8.6, 4.3).move_to([-1.9, -1.0, 0])
        flat = np.column_stack([places_pca[:, 0], np.full(len(places_pca), plot.y_range[0])])
        cloud = Cloud(on(plot, flat), groups, [DIM] * 6, radius=0.05)
        key = legend(dict(zip(names, GROUPS, strict=False))).move_to([5.3, -0.6, 0])
        ends = VGroup(words("T cell genes", 22, DIM), words("myeloid genes", 22, DIM))
        self.say(
            f"{{svd}} Among {n_genes} genes, one line of PyTorch finds all the best directions at once. "
            "{first} Keep the first number of each cell, {second} and the second.",
            pause=0.3,
            svd=(FadeIn(code, shift=DOWN * 0.2), 0.9),
            first=(FadeIn(plot), FadeIn(cloud), 0.9),
            second=lambda: (cloud.animate.to(on(plot, places_pca)), 1.6),
        )
        del ends
        told = lesson.line(r"^PC1:")
        assert re.search(r"CST3 LYZ.*\(\+\).*IL32 CD3D", told)
        plus = words("LYZ  CST3", 24, INK).next_to(plot.frame, DOWN, buff=0.2).align_to(plot.frame, RIGHT)
        minus = words("CD3D  IL32", 24, INK).next_to(plot.frame, DOWN, buff=0.2).align_to(plot.frame, LEFT)
        self.say(
            "{colour} A formula from 1901, and it was not told any cell type either. "
            "{genes} The first component sets genes of myeloid cells against those of T cells.",
            pause=0.6,
            colour=lambda: (cloud.animate.paint(GROUPS), FadeIn(key, shift=LEFT * 0.2), 1.2),
            genes=(FadeIn(plus, shift=LEFT * 0.4), FadeIn(minus, shift=RIGHT * 0.4), 1.0),
        )


class OwnMean(Lecture):
    section = "0.4"

    def construct(self):
        self.add(heading("0.4", lesson.titles["0.4"]))
        given, own = (
            lesson.number(r"from the given mean: their middle is"),
            lesson.number(r"from their own mean: their middle is"),
        )
        plot = pca_axes(8.6, 5.0).move_to([-1.6, -0.4, 0])
        b = groups == names.index("CD19+ B")
        moved = np.asarray(lesson.value("0.4", "pca_encode(b_cells, b_cells.mean(dim=0), components)"))
        others = Cloud(on(plot, places_pca[~b]), groups[~b], [DIM] * 6, radius=0.045, opacity=0.45)
        cells = Cloud(on(plot, places_pca[b]), groups[b], GROUPS, radius=0.055)
        origin = (
            VGroup(Line(LEFT * 0.25, RIGHT * 0.25), Line(UP * 0.25, DOWN * 0.25))
            .set_stroke(INK, 4)
            .move_to(plot.c2p(0, 0))
        )
        name = words("B cells", 28, GROUPS[1]).next_to(cells, UP, buff=0.15)
        far = (
            VGroup(words("from the origin", 24, DIM), mono(given, 48, GROUPS[1]))
            .arrange(DOWN, buff=0.25)
            .move_to([5.3, 0.4, 0])
        )
        near = mono(own, 48, BAD).move_to(far[1])
        self.say(
            "{map} What breaks it? {b} Encode the B cells alone, and subtract not the mean of the training cells, but their own. "
            "{ask} Where do they land?",
            pause=1.6,
            map=(FadeIn(plot), FadeIn(others), FadeIn(cells), FadeIn(origin), 1.0),
            b=(FadeIn(name), FadeIn(far), 0.8),
            ask=(Indicate(name, color=INK), 1.0),
        )
        self.say(
            "{move} Around the origin, as any group would. {why} What was subtracted is what makes them B cells. "
            "{rule} Encoder and decoder must agree on one mean.",
            pause=0.6,
            move=lambda: (
                cells.animate.to(on(plot, moved)),
                name.animate.next_to(plot.c2p(0, 0), UP, buff=1.1),
                FadeOut(far[1]),
                FadeIn(near),
                1.8,
            ),
            why=(Flash(plot.c2p(0, 0), color=BAD, line_length=0.4, flash_radius=0.9), 0.8),
            rule=lambda: (
                cells.animate.to(on(plot, places_pca[b])),
                name.animate.next_to(on(plot, places_pca[b]).mean(axis=0), UP, buff=0.8),
                FadeOut(near),
                FadeIn(far[1]),
                1.8,
            ),
        )


class FollowsDepth(Lecture):
    section = "0.4"

    def construct(self):
        self.add(heading("0.4", lesson.titles["0.4"]))
        told = [
            lesson.number(rf"PC1 of {name}\s*: correlation with log library")
            for name in ("raw counts", "log-normalised")
        ]
        plots, clouds = [], []
        depth = np.log(library)
        for key, x in ((RAW_PC1, 0), (LOG_PC1, 0)):
            first = np.asarray(lesson.value("0.4", key))[:, 0]
            first = first * np.sign(np.corrcoef(first, depth)[0, 1])
            assert f"{np.corrcoef(first, depth)[0, 1]:.2f}" == told[len(plots)]
            plot = plot_axes(
                (depth.min() - 0.1, depth.max() + 0.1), (first.min(), first.max()), "log library", "PC1", 7.2, 4.6
            ).move_to([-1.9 + x, -0.4, 0])
            plots.append(plot)
            clouds.append(on(plot, np.column_stack([depth, first])))
        cloud = Cloud(clouds[0], groups, GROUPS, radius=0.05)
        before, after = (
            [words(text, 30), mono(value, 56, color)]
            for text, value, color in (("raw counts", told[0], BAD), ("log-normalised", told[1], MEAN))
        )
        labels = [
            VGroup(*pair, words("correlation", 24, DIM)).arrange(DOWN, buff=0.25).move_to([5.0, 0.2, 0])
            for pair in (before, after)
        ]
        self.say(
            "{plot} And without the normalisation? {raw} On raw counts, the first component follows the library: "
            f"a correlation of {{value}} {told[0]}. PCA asks for the largest variance, not for biology.",
            pause=0.4,
            plot=(FadeIn(plots[0]), 0.7),
            raw=(FadeIn(cloud), FadeIn(labels[0][0]), 1.0),
            value=(FadeIn(labels[0][1:], scale=0.7), 0.6),
        )
        self.say(
            f"{{log}} So take the depth out, and decompose again: {told[1]}. {{tamed}} Tamed, not removed. "
            "{scvi} scVI will give depth a variable of its own.",
            pause=0.6,
            log=lambda: (cloud.animate.to(clouds[1]), ReplacementTransform(labels[0], labels[1]), 2.0),
            tamed=(Indicate(labels[1][1], color=MEAN), 0.9),
            scvi=(Circumscribe(plots[0].names[0], color=MEAN), 1.2),
        )


# -- 0.5 ---------------------------------------------------------------------------------------------------------------


class HowWrong(Lecture):
    chapter = "What it loses"
    section = "0.5"

    def construct(self):
        self.add(heading("0.5", lesson.titles["0.5"]))
        nothing, ten = lesson.number("guess the mean for everybody"), lesson.number("ten latents")
        assert 0.76 < float(ten) / float(nothing) < 0.8  # "nearly four fifths"
        formula = math('"error" = 1 / n sum_(i = 1)^n {{norm(x_i - hat(x)_i)^2 : e}}', 50).move_to(UP * 1.7)
        formula.select("e").set_color(BAD)
        bars = Bars(
            ["guess the mean", "ten latents"], [nothing, ten], "squared error per held-out cell", [DIM, LATENT]
        ).move_to(DOWN * 1.3)
        gap = Rectangle(
            width=bars.bars[0][0].width - bars.bars[1][0].width, height=0.7, color=GOOD, stroke_width=4
        ).next_to(bars.bars[1][0], RIGHT, buff=0)
        self.say(
            "Ten latents, or fifty? {how} We need a number for: how wrong. {square} Square what is missing. Add that over the genes, {average} and average over cells.",
            pause=0.3,
            how=(FadeIn(formula, shift=UP * 0.2), 0.9),
            square=(Indicate(formula.select("e"), color=BAD, scale_factor=1.2), 1.3),
            average=(Circumscribe(formula, color=MEAN, buff=0.2), 1.2),
        )
        self.say(
            f"{{mean}} Guess the mean for everybody, and the error is {nothing}. {{ten}} With ten latents, it is {ten}. "
            "{gap} They see the types of cells, and still miss nearly four fifths of the variance.",
            pause=0.5,
            mean=(FadeIn(bars.names), FadeIn(bars.unit), bars.grow(0), 1.2),
            ten=(bars.grow(1), 1.0),
            gap=(Create(gap), 0.9),
        )


class Copying(Lecture):
    section = "0.5"

    def construct(self):
        self.add(heading("0.5", lesson.titles["0.5"]))
        sizes, errors = np.array(lesson.value("0.5", "sizes")), lesson.value("0.5", "errors")
        end, left = lesson.number(r"559 latents: training\s+\d+\s+held-out"), lesson.number("559 latents: training")
        assert left == "0" and sizes[-1] == 559 and len(train) == 560
        options = choices("falls to zero, too", "falls, not to zero", "rises").move_to(DOWN * 0.9)
        card = question("With more latents, what does the error\\nof held-out cells do?".replace("\\n", "\n")).move_to(
            UP * 1.3
        )
        self.say(
            "So take more. With 559 directions, the 560 training cells fit exactly. {ask} What happens to cells that were held out? "
            "{a} Does their error fall to zero, too? {b} Does it fall, but not to zero? {c} Or does it rise?",
            pause=1.6,
            ask=(ask(card), 0.9),
            a=(FadeIn(options[0], shift=UP * 0.2), 0.5),
            b=(FadeIn(options[1], shift=UP * 0.2), 0.5),
            c=(FadeIn(options[2], shift=UP * 0.2), 0.5),
        )
        marks = {float(np.log10(k)): str(k) for k in sizes[[0, 2, 4, 6, 8, 10]]}
        plot = plot_axes(
            (0, np.log10(600)), (0, 1400, 500), "latents", "squared error per cell", 9.6, 4.6, x_marks=marks
        ).move_to([-0.4, -0.35, 0])
        upto = ValueTracker(0.0)
        lines = always_redraw(lambda: self.curves(plot, sizes, errors, upto.get_value()))
        tags = VGroup(
            words("training cells", 26, DIM).move_to(plot.c2p(1.25, 350)),
            words("held-out cells", 26, LATENT).move_to(plot.c2p(2.25, 1180)),
        )
        seen = words(f"{end}", 30, LATENT, weight=BOLD).next_to(plot.c2p(np.log10(559), float(end)), RIGHT, buff=0.2)
        self.say(
            "{axes} Up to about ten, {ten} both fall together: these directions are shared by all cells. {later} Later ones describe accidents of 560 particular cells. "
            f"{{end}} The training error falls to zero, and the other one stops at {end}.",
            pause=0.4,
            axes=(FadeOut(card, options), FadeIn(plot), 0.7),
            ten=lambda: (FadeIn(tags), FadeIn(lines), upto.animate.set_value(1.0), 2.4),
            later=lambda: (upto.animate.set_value(2.3), 2.2),
            end=lambda: (upto.animate.set_value(float(np.log10(559))), 2.0),
        )
        self.say(
            "{seen} It still falls, because each further number copies more of the very cell that is to be rebuilt. {moral} Copying is not understanding.",
            pause=0.8,
            seen=(FadeIn(seen, scale=0.7), 0.6),
            moral=(
                Flash(plot.c2p(np.log10(559), float(end)), color=LATENT),
                FadeIn(words("copying is not understanding", 32, MEAN, weight=BOLD).move_to(plot.c2p(0.95, 150))),
                0.9,
            ),
        )

    def curves(self, plot, sizes, errors, upto: float) -> VGroup:
        at, group = np.log10(sizes), VGroup()
        for name, color in (("training cells", DIM), ("held-out cells", LATENT)):
            seen = at <= upto + 1e-9
            xs, ys = [*at[seen], upto], [*np.array(errors[name])[seen], np.interp(upto, at, errors[name])]
            group.add(curve(plot, xs, ys, color, 6), Dot(plot.c2p(xs[-1], ys[-1]), radius=0.1, color=color))
        return group


# -- 0.6 ---------------------------------------------------------------------------------------------------------------

arc, bent = np.asarray(lesson.value("0.6", "arc")), np.asarray(lesson.value("0.6", BENT), dtype=float)
z_arc = np.asarray(lesson.value("0.6", "bend(arc)"))[:, 0]
around = np.digitize(np.asarray(lesson.value("0.6", "angle")), np.linspace(0, PI, 13)[1:-1])  # which twelfth of the arc


class HalfCircle(Lecture):
    chapter = "An autoencoder is PCA with bends"
    section = "0.6"

    def construct(self):
        self.add(heading("0.6", lesson.titles["0.6"]))
        plot = arc_plot()
        places, on_line = on(plot, arc), on(plot, np.asarray(lesson.value("0.6", "on_line")))
        cloud = Cloud(places, around, BLUES, radius=0.075)
        sweep = Arc(
            radius=plot.c2p(1, 0)[0] - plot.c2p(0, 0)[0],
            angle=PI,
            arc_center=plot.c2p(0, 0),
            color=MEAN,
            stroke_width=5,
        )
        name = words("one number: the angle", 28, MEAN).move_to(plot.c2p(0, 0.35))
        order = on_line[:, 0].argsort()
        ends = on_line[order[[0, -1]]]
        line = DashedLine(
            ends[0] + 0.06 * (ends[0] - ends[1]), ends[1] + 0.06 * (ends[1] - ends[0]), color=INK, stroke_width=5
        )
        lost = segments(places, on_line, BAD)
        self.say(
            "PCA only knows straight lines, and flat sheets. {arc} What if the cells lie on something bent? "
            "{angle} On this half circle, one number says where a point is: its angle.",
            arc=(FadeIn(cloud, lag_ratio=0.05), 1.4),
            angle=(Create(sweep), FadeIn(name), 1.8),
        )
        self.say(
            "{line} PCA's line cuts straight across. {drop} Every point falls onto it, {lost} and its height is gone.",
            pause=0.8,
            line=(FadeOut(sweep), FadeOut(name), Create(line), 1.0),
            drop=lambda: (cloud.animate.to(on_line), FadeIn(lost), 1.8),
            lost=(Indicate(lost, color=BAD, scale_factor=1.0), 1.0),
        )


def arc_plot():
    """Return the plane of the half circle, without its axes."""
    return plot_axes((-1.2, 1.2), (-0.2, 1.2), "", "", 7.9, 4.61).move_to([0, -0.05, 0])


class Bend(Lecture):
    section = "0.6"

    def construct(self):
        self.add(heading("0.6", lesson.titles["0.6"]))
        plot = arc_plot().shift(UP * 0.25)
        cloud = Cloud(on(plot, arc), around, BLUES, radius=0.075)
        pca, bends = lesson.number("error: PCA"), lesson.number(r"error: PCA [\d.]+\s+autoencoder")
        parts = (
            VGroup(trapezoid("encoder"), node("z", LATENT), trapezoid("decoder", "left"))
            .arrange(RIGHT, buff=1.0)
            .move_to(UP * 0.6)
        )
        ways = VGroup(arrow(parts[0], parts[1]), arrow(parts[1], parts[2]))
        formula = math('{{z : z}} = "encoder"(x), quad hat(x) = "decoder"({{z : y}})', 46).move_to(DOWN * 1.6)
        formula.select("z").set_color(LATENT)
        formula.select("y").set_color(LATENT)
        loss = listing(lesson.lines("loss = ((minibatch - decoder").strip().split("  #")[0], 22).move_to(DOWN * 2.9)
        self.say(
            "{parts} So keep the encoder, the latent, the decoder, and the error. But replace the two matrices {bend} by functions that can bend. "
            "{name} That is an autoencoder. {loss} And here is all it is paid for: to rebuild what came in.",
            pause=0.4,
            parts=(FadeIn(parts, lag_ratio=0.3), GrowArrow(ways[0]), GrowArrow(ways[1]), 1.4),
            bend=(FadeIn(formula, shift=UP * 0.2), 0.8),
            name=(pulse(ways[0]), pulse(ways[1]), 1.2),
            loss=(FadeIn(loss, shift=UP * 0.2), 0.8),
        )
        self.play(FadeOut(parts, ways, formula, loss), FadeIn(cloud), run_time=0.7)
        self.train(plot, cloud, pca, bends)

    def train(self, plot, cloud: Cloud, pca: str, bends: str) -> None:
        step = ValueTracker(0.0)
        path = always_redraw(lambda: self.path(plot, step.get_value()))
        values = (
            VGroup(mono(f"PCA {pca}", 28, DIM), mono(f"autoencoder {bends}", 28, GOOD))
            .arrange(RIGHT, buff=0.8)
            .move_to(plot.c2p(0, 0.3))
        )
        self.say(
            f"{{train}} While it learns, its line bends, and bends, until it follows the arc. {{error}} The error: PCA {pca}, the autoencoder {bends}.",
            pause=0.5,
            train=lambda: (FadeIn(path), step.animate(rate_func=linear).set_value(len(EPOCHS) - 1.0), 4.2),
            error=(FadeIn(values, shift=UP * 0.2), 0.8),
        )
        path.clear_updaters()
        sign = np.sign(np.corrcoef(z_arc, arc[:, 0])[0, 1])
        low, high = z_arc.min(), z_arc.max()
        ruler = Line([-4.6, -2.9, 0], [4.6, -2.9, 0], color=DIM, stroke_width=4)
        z_name = math("z", 44, LATENT).next_to(ruler, RIGHT, buff=0.25)
        x = lambda z: sign * (-4.4 + 8.8 * (z - low) / (high - low)) * 1.0  # noqa: E731
        flat = np.column_stack([x(z_arc), np.full(len(z_arc), -2.9), np.zeros(len(z_arc))])
        on_curve = on(plot, np.asarray(lesson.value("0.6", "unbend(bend(arc))")))
        straight = Line([x(low), -2.9, 0], [x(high), -2.9, 0]).set_stroke(INK, 0)
        self.say(
            "{fall} Every point goes to its place on the bent line, {unroll} and one bent latent unrolls the arc.",
            pause=0.9,
            fall=lambda: (cloud.animate.to(on_curve), 1.0),
            unroll=lambda: (
                FadeOut(values),
                FadeIn(ruler),
                FadeIn(z_name),
                ReplacementTransform(path, straight),
                cloud.animate.to(flat),
                2.6,
            ),
        )
        self.cells(Group(cloud, ruler, z_name, straight))

    def path(self, plot, step: float) -> VMobject:
        """Return the decoder's curve at a step between two of the kept epochs."""
        i = min(int(step), len(bent) - 2)
        now = bent[i] + (step - i) * (bent[i + 1] - bent[i])
        return VMobject().set_points_as_corners(on(plot, now)).set_stroke(INK, 6)

    def cells(self, gone: Group) -> None:
        told = {
            name: [
                lesson.number(rf"2 latents, {name}: PCA"),
                lesson.number(rf"2 latents, {name}: PCA \d+\s+autoencoder"),
            ]
            for name in ("training cells", "held-out cells")
        }
        labels = ["training: PCA", "autoencoder", "held out: PCA", "autoencoder"]
        bars = Bars(
            labels,
            [*told["training cells"], *told["held-out cells"]],
            "squared error per cell, 2 latents",
            [DIM, LATENT, DIM, LATENT],
        ).move_to(DOWN * 0.3)
        one, two = told["training cells"], told["held-out cells"]
        self.say(
            f"{{cells}} On real cells, with two latents, {{train}} bends help by a few percent in training, {one[0]} to {one[1]}, "
            f"{{test}} and hardly on cells that were held out: {two[0]} to {two[1]}.",
            pause=0.6,
            cells=(FadeOut(gone), FadeIn(bars.names), FadeIn(bars.unit), 0.7),
            train=(LaggedStart(bars.grow(0), bars.grow(1), lag_ratio=0.5), 1.6),
            test=(LaggedStart(bars.grow(2), bars.grow(3), lag_ratio=0.5), 1.6),
        )


# -- 0.7 ---------------------------------------------------------------------------------------------------------------

z_train, z_drawn = np.asarray(lesson.value("0.7", "z_train")), np.asarray(lesson.value("0.7", "z_drawn"))
far = np.asarray(lesson.value("0.7", "nearest.values > edge")).astype(int)


def latent_plane(width: float, height: float):
    """Return the autoencoder's plane, with room for all that was drawn."""
    every = np.concatenate([z_train, z_drawn])
    low, high = every.min(axis=0), every.max(axis=0)
    edge = 0.04 * (high - low)
    return plot_axes(
        (low[0] - edge[0], high[0] + edge[0]),
        (low[1] - edge[1], high[1] + edge[1]),
        "latent 1",
        "latent 2",
        width,
        height,
    )


def gaussian_rings(plot, middle: np.ndarray, covariance: np.ndarray, color: str = NOISE) -> VGroup:
    """Return where a Gaussian lies: one and two standard deviations about its middle."""
    root, turn = np.linalg.cholesky(covariance), np.linspace(0, TAU, 61)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    rings = [VMobject().set_points_as_corners(on(plot, middle + radius * circle @ root.T)) for radius in (2, 1)]
    return VGroup(*[ring.set_stroke(color, 3).set_fill(color, 0.07) for ring in rings])


class Sample(Lecture):
    chapter = "Why you cannot sample it"
    section = "0.7"

    def construct(self):
        self.add(heading("0.7", lesson.titles["0.7"]))
        plot = latent_plane(8.6, 5.2).move_to([-1.5, -0.35, 0])
        real = Cloud(on(plot, z_train), colors=[LATENT], radius=0.045)
        rings = gaussian_rings(plot, z_train.mean(axis=0), np.cov(z_train.T))
        places = on(plot, z_drawn)
        batches = [Cloud(places[i::10], colors=[NOISE], radius=0.05) for i in range(10)]
        die = Die(1.0).move_to([5.5, 1.2, 0])
        name = words(f"{len(z_drawn)} draws", 28, NOISE).next_to(die, DOWN, buff=0.4)
        code = listing(lesson.lines("invented = decoder(z_drawn)").split("  #")[0], 20)
        code.move_to([5.0, -1.6, 0])
        self.say(
            "A decoder turns two numbers into a cell. So pick two, and it invents one? {plane} Which two? "
            "{real} Here are the latents of the training cells.",
            pause=0.3,
            plane=(FadeIn(plot), 0.7),
            real=(FadeIn(real, lag_ratio=0.1), 1.2),
        )
        self.say(
            "{bell} Take a Gaussian with their mean and their covariance: in the right place, at the right scale. "
            "{draw} Draw five hundred pairs, {code} and decode them.",
            pause=0.6,
            bell=(FadeIn(rings[0], scale=0.8), FadeIn(rings[1], scale=0.8), 1.2),
            draw=(
                FadeIn(name),
                die.roll([2, 6, 1, 3, 5, 4, 2, 5], 2.0),
                LaggedStart(*[FadeIn(batch, shift=DOWN * 0.5) for batch in batches], lag_ratio=0.4),
                2.4,
            ),
            code=(FadeIn(code, shift=LEFT * 0.2), 0.7),
        )


class Invented(Lecture):
    section = "0.7"

    def construct(self):
        self.add(heading("0.7", lesson.titles["0.7"]))
        printed = lesson.printed("print(f\"{'':31}\"").splitlines()
        genes = printed[0].split()[:7]
        rows = [re.fullmatch(r"(\S.*?)((?:\s+-?[\d.,]+){9})", line) for line in printed[1:3]]
        numbers = [row[2].replace("-", "−").split() for row in rows]
        shown = sheet(["invented", "nearest real one"], genes, [row[:7] for row in numbers], lambda n: n / 8.3).move_to(
            [0, 1.1, 0]
        )
        negative = VGroup(*[shown.rows[0][2][j] for j, text in enumerate(numbers[0][:7]) if text.startswith("−")])
        frames = VGroup(
            *[SurroundingRectangle(one, color=BAD, buff=0.14, corner_radius=0.06, stroke_width=4) for one in negative]
        )
        totals = Bars(["total, invented", "total, real"], [numbers[0][8], numbers[1][8]], "", [BAD, DIM]).move_to(
            [0.3, -2.0, 0]
        )
        self.say(
            "{one} The most ordinary of the invented cells looks like this. {real} Below it, the real one nearest to it.",
            pause=0.3,
            one=(FadeIn(shown.header), FadeIn(shown.rows[0], shift=RIGHT * 0.3), 0.9),
            real=(FadeIn(shown.rows[1], shift=UP * 0.3), 0.8),
        )
        self.say(
            "{neg} Some values lie below zero, which no logarithm of one plus a count can. "
            f"{{total}} And the total is {numbers[0][8]}, {{ten}} not the {numbers[1][8]} of every real cell. No cell looks like this.",
            pause=0.6,
            neg=(Create(frames), negative.animate.set_color(BAD), 0.9),
            total=(FadeIn(totals.names[0]), totals.grow(0), 1.0),
            ten=(FadeIn(totals.names[1]), totals.grow(1), 1.0),
        )


class TooFar(Lecture):
    """The drawn latents fly to where the decoded cells lie, and show which came out too far from any cell."""

    section = "0.7"

    def construct(self):
        self.add(heading("0.7", lesson.titles["0.7"]))
        card = VGroup(
            words("too far out:", 36, BAD, weight=BOLD),
            words("farther from the training cells than 95 % of held-out cells", 28),
        ).arrange(DOWN, buff=0.3)
        card.move_to(UP * 1.3)
        assert lesson.text(r"Of real, held-out cells (5 %) lie further than a certain distance")
        options = choices("5 %", "20 %", "more than half").move_to(DOWN * 1.0)
        share, held = lesson.number(r"decoded \d+%\s+invented"), lesson.number("held-out cells, encoded and decoded")
        assert f"{far.mean():.0%}" == f"{share}%"
        self.say(
            "An exception? {yard} Call a cell too far out, if it lies farther from the training cells than 95 percent of held-out cells do. "
            "{ask} How many of the 500 are? {a} 5 percent, {b} 20 percent, {c} more than half?",
            pause=1.6,
            yard=(FadeIn(card, shift=UP * 0.2), 0.9),
            ask=(Indicate(card[0], color=BAD), 0.8),
            a=(FadeIn(options[0], shift=UP * 0.2), 0.4),
            b=(FadeIn(options[1], shift=UP * 0.2), 0.4),
            c=(FadeIn(options[2], shift=UP * 0.2), 0.4),
        )
        self.fly(Group(card, options), share, held)

    def fly(self, gone: Group, share: str, held: str) -> None:
        left = latent_plane(5.3, 4.2).move_to([-3.5, -0.4, 0])
        real_out, made_out = (np.asarray(lesson.value("0.7", key)) for key in (REAL, MADE))
        every = np.concatenate([real_out, made_out])
        low, high = every.min(axis=0) - 1, every.max(axis=0) + 1
        right = plot_axes((low[0], high[0]), (low[1], high[1]), "PC1", "PC2", 5.3, 4.2).move_to([3.5, -0.4, 0])
        titles = VGroup(
            words("where we drew", 26).next_to(left.frame, UP, buff=0.5),
            words("what came out", 26).next_to(right.frame, UP, buff=0.5),
        )
        reals = [
            Cloud(on(left, z_train), colors=[LATENT], radius=0.035, opacity=0.6),
            Cloud(on(right, real_out), colors=[LATENT], radius=0.035, opacity=0.6),
        ]
        drawn = Cloud(on(left, z_drawn), far, [NOISE, NOISE], radius=0.04)
        flying = drawn.copy()
        verdict = (
            VGroup(mono(f"{share} %", 40, BAD), words("too far out", 26, BAD))
            .arrange(RIGHT, buff=0.25)
            .move_to([0, -3.35, 0])
        )
        self.say(
            "{maps} On the left, what we drew; {fly} on the right, what came out. {share} "
            f"{share} percent are too far out. {{held}} Of held-out cells that are encoded and decoded, it is only {held}.",
            pause=0.5,
            maps=(
                FadeOut(gone),
                FadeIn(left),
                FadeIn(right),
                FadeIn(titles),
                FadeIn(reals[0]),
                FadeIn(reals[1]),
                FadeIn(drawn),
                1.0,
            ),
            fly=lambda: (flying.animate.to(on(right, made_out)), 1.6),
            share=lambda: (drawn.animate.paint([GOOD, BAD]), flying.animate.paint([GOOD, BAD]), FadeIn(verdict), 1.0),
            held=(Indicate(reals[1], color=LATENT, scale_factor=1.0), 1.0),
        )
        self.arms(left, drawn, Group(right, reals[1], flying, titles, verdict), reals[0])

    def arms(self, left, drawn: Cloud, gone: Group, real: Cloud) -> None:
        big = latent_plane(10.5, 5.4).move_to([-0.3, -0.35, 0])
        self.say(
            "{big} Why? The autoencoder was paid for one thing: rebuild. {arms} So it put cells wherever that was easy, in thin arms with empty land between. "
            "{land} And there, the decoder was never corrected.",
            pause=0.8,
            big=lambda: (
                FadeOut(gone),
                ReplacementTransform(left, big),
                drawn.animate.to(on(big, z_drawn)),
                real.animate.to(on(big, z_train)),
                1.4,
            ),
            arms=lambda: (drawn.animate.set_fill(opacity=0.12), real.animate.set_fill(opacity=1), 1.2),
            land=lambda: (drawn[1].animate.set_fill(opacity=0.9), real.animate.set_fill(opacity=0.4), 1.2),
        )


class Clouds(Lecture):
    """Points become clouds, clouds are decoded anywhere, and all of them are pulled to one bell."""

    section = "0.7"

    def construct(self):
        self.add(heading("0.7", lesson.titles["0.7"]))
        plot = latent_plane(8.4, 5.0).move_to([-2.0, -0.35, 0])
        chosen = np.random.default_rng(4).choice(len(z_train), 16, replace=False)
        points = on(plot, z_train[chosen])
        dots = VGroup(*[Dot(point, radius=0.08, color=LATENT) for point in points])
        clouds = VGroup(*[self.cloud(point) for point in points])
        q = math("q({{z : z}} | x)", 54).move_to([5.0, 1.9, 0])
        q.select("z").set_color(LATENT)
        note = words("around here, give or take", 24, DIM).next_to(q, DOWN, buff=0.25)
        self.say(
            "Here is the idea of the whole course. {points} So far, the encoder says: this cell is at z. {clouds} Let it say instead: "
            "it is around here, give or take. {q} A distribution, q of z given x.",
            pause=0.4,
            points=(FadeIn(plot), LaggedStart(*[FadeIn(dot, scale=0.4) for dot in dots], lag_ratio=0.08), 1.2),
            clouds=(LaggedStart(*[GrowFromCenter(cloud) for cloud in clouds], lag_ratio=0.08), 1.6),
            q=(FadeIn(q, shift=LEFT * 0.2), FadeIn(note), 0.7),
        )
        self.pull(plot, dots, clouds, z_train[chosen])

    def cloud(self, point: np.ndarray, radius: float = 0.55) -> VGroup:
        return VGroup(
            *[Circle(radius * share, stroke_width=0).set_fill(SPREAD, 0.16).move_to(point) for share in (1, 0.7, 0.4)]
        )

    def pull(self, plot, dots: VGroup, clouds: VGroup, places: np.ndarray) -> None:
        shake = np.random.default_rng(0).normal(size=(4, len(dots), 2)) * 0.22
        jumps = [
            [
                dot.animate.move_to(cloud.get_center() + [*off, 0])
                for dot, cloud, off in zip(dots, clouds, one, strict=True)
            ]
            for one in shake
        ]
        middle = np.array([-2.0, -0.35, 0])
        goal = middle + 0.62 * np.column_stack(
            [(places - z_train.mean(axis=0)) / z_train.std(axis=0), np.zeros(len(places))]
        )
        prior = VGroup(
            *[
                Circle(radius, color=NOISE, stroke_width=3).set_fill(NOISE, 0.06).move_to(middle)
                for radius in (2.2, 1.1)
            ]
        )
        law = math("p({{z : z}}) = cal(N)(0, I)", 54).move_to([5.0, 0.1, 0])
        law.select("z").set_color(LATENT)
        decoder = math("p(x | {{z : z}})", 54).move_to([5.0, -1.5, 0])
        decoder.select("z").set_color(LATENT)
        over = words("over counts", 24, DIM).next_to(decoder, DOWN, buff=0.25)
        prior_name = words("the prior", 24, NOISE).next_to(law, DOWN, buff=0.25)
        self.say(
            "Two things follow. {any} The decoder must rebuild the cell from any draw: {again} a whole neighbourhood gets corrected. "
            "{pull} And all these clouds can be pulled to one distribution that we know how to sample: the prior.",
            pause=0.4,
            any=lambda: (*jumps[0], 0.7),
            again=lambda: (Succession(*[AnimationGroup(*jump) for jump in self.jumps(dots, clouds, shake[1:])]), 1.8),
            pull=lambda: (
                FadeOut(plot),
                FadeIn(prior),
                FadeIn(law),
                FadeIn(prior_name),
                *self.moved(dots, clouds, goal),
                2.6,
            ),
        )
        self.say(
            "{over} Let the decoder answer with a distribution too, over counts. {vae} That makes it a variational autoencoder. "
            "{scvi} With a distribution made for counts, it is scVI.",
            pause=0.8,
            over=(FadeIn(decoder, shift=LEFT * 0.2), FadeIn(over), 0.8),
            vae=lambda: (*[dot.animate.shift([*off, 0]) for dot, off in zip(dots, -shake[0], strict=True)], 1.2),
            scvi=lambda: (*[dot.animate.shift([*off, 0]) for dot, off in zip(dots, shake[2], strict=True)], 1.2),
        )

    def jumps(self, dots: VGroup, clouds: VGroup, shake: np.ndarray) -> list:
        paths = []
        for one in shake:
            paths.append(
                [
                    ApplyMethod(dot.move_to, cloud.get_center() + [*off, 0])
                    for dot, cloud, off in zip(dots, clouds, one, strict=True)
                ]
            )
        return paths

    def moved(self, dots: VGroup, clouds: VGroup, goal: np.ndarray) -> list:
        steps = goal - np.array([cloud.get_center() for cloud in clouds])
        return [
            part.animate.shift(step)
            for dot, cloud, step in zip(dots, clouds, steps, strict=True)
            for part in (dot, cloud)
        ]


# -- 0.8 ---------------------------------------------------------------------------------------------------------------


class Promise(Lecture):
    chapter = "An honest promise"
    section = "0.8"

    def construct(self):
        self.add(heading("0.8", lesson.titles["0.8"]))
        held = lesson.text(r"held-out cells have ([\d.]+)\.")
        row = r"\| {} \| [^|]*\| ([\d.]+) ± [\d.]+ \|"
        own, auto, scvi = (lesson.text(row.format(name)) for name in (
            r"autoencoder, from its latents' own Gaussian", r"autoencoder, from \$\\mathcal N\(0, I\)\$", r"scVI, from \$\\mathcal N\(0, I\)\$"
        ))  # fmt: skip
        share = lesson.text(r"\| scVI, from \$\\mathcal N\(0, I\)\$ \| (\d+) ± \d+ % \|")
        assert 4.7 < float(auto) / float(held) < 5.3 and own == scvi  # "five times as far", "as near as"
        die, z, decoder = (
            Die().move_to([-5, 1.9, 0]),
            node("z", LATENT).move_to([-2.4, 1.9, 0]),
            trapezoid("decoder", "left", 1.6, 1.8).move_to([0.3, 1.9, 0]),
        )
        drawn = box("counts", "drawn").move_to([3.6, 1.9, 0])
        ways = VGroup(arrow(die, z), arrow(z, decoder), arrow(decoder, drawn))
        law = math("cal(N)(0, I)", 36, NOISE).next_to(die, UP, buff=0.15)
        bars = Bars(
            ["real, held out", "autoencoder", "scVI"],
            [held, auto, scvi],
            "distance to the nearest training cell",
            [DIM, BAD, GOOD],
        ).move_to([-0.3, -1.5, 0])
        self.say(
            "So scVI can be sampled? {die} Draw z from the prior, {decode} decode it, {counts} and draw whole counts. How far is the nearest cell?",
            pause=0.3,
            die=(die.roll([3, 1, 6, 2, 5], 1.2), FadeIn(law), GrowArrow(ways[0]), FadeIn(z), 1.2),
            decode=(GrowArrow(ways[1]), FadeIn(decoder, shift=RIGHT * 0.3), 0.6),
            counts=(GrowArrow(ways[2]), FadeIn(drawn, shift=RIGHT * 0.3), 0.8),
        )
        self.say(
            f"{{held}} For real cells, held out, the distance is {held}. {{auto}} For the plain autoencoder, {auto}: five times as far. "
            f"{{scvi}} For scVI, {scvi}, with whole counts, and none of them negative.",
            pause=0.5,
            held=(FadeIn(bars.names), FadeIn(bars.unit), bars.grow(0), 1.0),
            auto=(bars.grow(1), 1.0),
            scvi=(bars.grow(2), 1.0),
        )
        warn = words(f"still too far out: {share} %", 32, BAD, weight=BOLD).next_to(bars.bars[2], RIGHT, buff=0.6)
        self.say(
            f"But no new cells from nothing. {{most}} Most draws, {share} percent, still land too far out: blood has separate types, and the prior has none. "
            "{next} Next to a measured cell, its samples are likely cells.",
            pause=0.6,
            most=(FadeIn(warn, shift=LEFT * 0.2), 0.7),
            next=(Indicate(bars.names[2], color=GOOD), 1.0),
        )


# -- 0.9 ---------------------------------------------------------------------------------------------------------------

before, after = (np.asarray(one, dtype=float) for one in lesson.value("0.9", PLACES))
lab = np.asarray(lesson.value("0.9", "two.batch_index")).reshape(-1).astype(int)


class Laboratories(Lecture):
    """The same cells by PCA, where two laboratories lie apart, and by a model that is told of them."""

    chapter = "Two laboratories"
    section = "0.9"

    def construct(self):
        self.add(heading("0.9", lesson.titles["0.9"]))
        places = fitted(before, 8.0, 5.9, [-2.4, -0.3, 0])
        cloud = Cloud(places, groups * 2 + lab, [DIM] * 12, radius=0.055)
        key = legend({"laboratory 1": WARM, "laboratory 2": COLD}, 26).move_to([4.7, 2.3, 0])
        options = (
            VGroup(words("types", 34, MEAN), words("or", 28, DIM), words("laboratories?", 34, MEAN))
            .arrange(RIGHT, buff=0.3)
            .move_to([4.5, -0.2, 0])
        )
        self.say(
            "{map} Half of your cells come from another laboratory, which catches some genes better, and others worse. "
            "{ask} What will a map by PCA show first: types, or laboratories?",
            pause=1.5,
            map=(FadeIn(cloud, lag_ratio=0.1), 1.2),
            ask=(FadeIn(options, shift=UP * 0.2), 0.7),
        )
        self.say(
            "{labs} Laboratories. They lie apart, kind by kind.",
            pause=0.7,
            labs=lambda: (cloud.animate.paint([WARM, COLD] * 6), FadeOut(options), FadeIn(key, shift=LEFT * 0.2), 1.2),
        )
        self.told(cloud, key)

    def told(self, cloud: Cloud, key: VGroup) -> None:
        mixed = [lesson.number(rf"{name}\s+mixed") for name in ("before", "after")]
        same = [lesson.number(rf"{name}\s+mixed [\d.]+   same label: of the ten") for name in ("before", "after")]
        assert float(same[1]) > float(same[0])
        code = listing(lesson.lines("told = vc.FastVAE"), 20).move_to([2.6, -3.2, 0])
        gauges = VGroup(self.gauge("mixed", mixed, 0.9), self.gauge("same label", same, -0.75))
        self.say(
            "{code} Now train a model that is told which laboratory each cell comes from. {move} The laboratories mix: "
            f"from {mixed[0]} to {mixed[1]}, where one is as mixed as can be.",
            pause=0.5,
            code=(FadeIn(code, shift=UP * 0.2), FadeIn(gauges[0][:3]), 0.9),
            move=lambda: (
                cloud.animate.to(fitted(after, 7.6, 5.2, [-2.6, 0.1, 0])),
                gauges[0][3].animate.move_to(gauges[0][4]),
                2.6,
            ),
        )
        kinds = legend(dict(zip(names, GROUPS, strict=False)), 20).move_to(key, UL)
        self.say(
            "{cheap} But mixing alone is cheap: pure noise mixes perfectly. {types} So check that cells of one type are still together. "
            f"{{same}} They are: {same[0]} before, {same[1]} after.",
            pause=0.5,
            cheap=(Indicate(gauges[0][0], color=MEAN), 1.0),
            types=lambda: (
                cloud.animate.paint(np.repeat(GROUPS[:6], 2)),
                FadeOut(key),
                FadeIn(kinds),
                gauges.animate.shift(DOWN * 0.8),
                1.4,
            ),
            same=lambda: self.slide(gauges[1]),
        )
        deaf, hears = (lesson.text(rf"\| VAE, {name} the laboratory \| \**([\d.]+) ±") for name in ("not told", "told"))
        self.say(
            "{win} That is a win. PCA cannot do it, nor can a network alone: {deaf} a model that is not told reaches "
            f"{float(deaf):.2f}, {{hears}} one that is told, {float(hears):.2f}.",
            pause=0.8,
            win=(Flash(gauges[0][3], color=GOOD), 0.8),
            deaf=lambda: (
                FadeIn(words(f"not told: {float(deaf):.2f}", 26, BAD).next_to(gauges[0], UP, buff=0.12)),
                0.6,
            ),
            hears=lambda: (Indicate(gauges[0][0], color=GOOD), 0.8),
        )

    def slide(self, gauge: VGroup) -> tuple:
        self.add(gauge[:4])
        return (FadeIn(gauge[:3]), gauge[3].animate.move_to(gauge[4]), 1.0)

    def gauge(self, name: str, values: list[str], y: float) -> VGroup:
        """Return a line from 0 to 1: its name, itself, its ends, a dot before, and where the dot will be."""
        line = Line([3.2, y, 0], [6.2, y, 0], color=DIM, stroke_width=4)
        ends = VGroup(
            *[
                words(text, 20, DIM).next_to(end, DOWN, buff=0.15)
                for text, end in (("0", line.get_start()), ("1", line.get_end()))
            ]
        )
        dots = [Dot(line.point_from_proportion(float(value)), radius=0.13, color=GOOD) for value in values]
        return VGroup(words(name, 26).next_to(line, UP, buff=0.2).align_to(line, LEFT), line, ends, *dots)


class Notebook0(Lecture):
    section = "0.12"

    def construct(self):
        self.add(heading("0.12", lesson.titles["0.12"]))
        card = notebook_card(
            0,
            [
                ("0.2", "take depth out of real counts"),
                ("0.3", "write PCA's encoder"),
                ("0.4", "and its decoder"),
                ("0.5", "measure what a summary loses"),
                ("0.9", "find your own marker genes"),
            ],
        )
        self.say(
            "{card} In the notebook, you write this yourself. {depth} Take the depth out of real counts. {enc} Write an encoder {dec} and a decoder, and say what both must agree on. "
            "{err} Measure what they lose. {open} And with your own marker genes, doubt a label.",
            pause=0.6,
            card=(FadeIn(card.card), FadeIn(card.title), 0.7),
            depth=(FadeIn(card.row(0), shift=RIGHT * 0.2), 0.6),
            enc=(FadeIn(card.row(1), shift=RIGHT * 0.2), 0.5),
            dec=(FadeIn(card.row(2), shift=RIGHT * 0.2), 0.5),
            err=(FadeIn(card.row(3), shift=RIGHT * 0.2), 0.6),
            open=(FadeIn(card.row(4), shift=RIGHT * 0.2), 0.6),
        )
        self.say(
            "{next} Then comes lesson one. What is a distribution over latents, and why can nobody compute the one that we want?",
            pause=1.5,
            next=(Circumscribe(card.title, color=MEAN), 1.4),
        )


class Poster(Lecture):
    section = "0.1"

    def construct(self):
        cloud = Cloud(fitted(scvi_map, 7.6, 6.6, [3.0, -0.1, 0]), groups, GROUPS, radius=0.075)
        title = VGroup(
            words("scVI as a", 60, weight=BOLD),
            words("dimensionality", 60, LATENT, weight=BOLD),
            words("reduction", 60, LATENT, weight=BOLD),
            words("problem", 60, weight=BOLD),
        )
        title.arrange(DOWN, buff=0.25, aligned_edge=LEFT).to_edge(LEFT, buff=0.7)
        self.add(
            cloud, title, words("Lesson 0", 32, MEAN, weight=BOLD).next_to(title, UP, buff=0.4).align_to(title, LEFT)
        )
