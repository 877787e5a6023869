"""Film 3: the demo, running the network."""

import re

import numpy as np
from film import *

EARLY, COMING, LATE = (squish_rate_func(smooth, *when) for when in ((0, 0.4), (0.15, 1), (0.3, 1)))
FIT, PRICE = "#8FA8FF", "#C792EA"  # what is said of bce, and of kl


def of(code: str) -> str:
    """Return an expression whose value is what a few lines of Python call `result`, with the lesson's names."""
    return f"(lambda names: (exec({code!r}, names), names['result'])[1])(dict(globals()))"


# For the typical held-out image of each digit: mean and log-variance of its q, and what a q of the same width costs
# in nats when its mean stands at a share of the way from 0 to the real one. Expected bce, over 1,000 draws.
BARGAIN = of("""
result = {}
with torch.no_grad(), torch.random.fork_rng():
    torch.manual_seed(0)
    eps = torch.randn(1000, 2)
    for digit in range(10):
        x = test_x[one_each[digit]]
        (mu,), (logvar,) = model.eval().encode(x[None])
        drawn = torch.sigmoid(model.decode(mu + (0.5 * logvar).exp() * eps[:40]))
        result[digit] = {"mu": mu, "sd": (0.5 * logvar).exp(), "drawn": drawn, "rows": []}
        for share in torch.linspace(0, 1.8, 91):
            logits = model.decode(share * mu + (0.5 * logvar).exp() * eps)
            bce = -bernoulli_log_prob(x, logits).sum(dim=1).mean().item()
            kl = kl_standard_normal(share * mu, logvar).item()
            image = torch.sigmoid(model.decode((share * mu)[None]))[0]
            result[digit]["rows"].append((share.item(), bce, kl, image))
""")

# The standard deviations of q for all held-out images.
WIDTHS = of("""
with torch.no_grad():
    result = (0.5 * model.eval().encode(test_x)[1]).exp()
""")

# A round through the plane, with what the decoder makes on the way.
ROUND = of("""
with torch.no_grad():
    angle = torch.linspace(0, 2 * torch.pi, 241)
    z = torch.stack([1.75 * (angle + 0.6).cos(), 1.45 * (2 * angle + 0.3).sin()], dim=1)
    result = (z, torch.sigmoid(model.eval().decode(z)))
""")

# The colleague's training once more, watched: where the held-out images stand after each epoch.
COLLEAGUE = of("""
result = []
with torch.random.fork_rng():
    again = Colleague(64)
    result.append(place(again, test_x))
    fit(again, train_x, n_epochs=25, watch=lambda one: result.append(place(one, test_x)))
assert torch.allclose(result[-1], place(trap, test_x), atol=1e-3)
""")

# The runs that the figure of section 3.9 shows: beta, the means of its 300 digits, and their bce and kl at the means.
BETAS = of("""
import base64, json
from pathlib import Path
import numpy as np

kept = json.loads((Path(vc.__file__).parent / "explore" / "data" / "beta.json").read_text())
x = np.unpackbits(np.frombuffer(base64.b64decode(kept["x"]), np.uint8)).reshape(-1, 64)
x, result = torch.from_numpy(x).float(), {"labels": [int(label) for label in kept["labels"]], "runs": {}}
for one in kept["models"]:
    weights = torch.from_numpy(np.frombuffer(base64.b64decode(one["weights"]), "<f2").astype("f4"))
    net, used = BinaryVAE(64, n_hidden=16).eval(), 0
    for name, tensor in net.state_dict().items():
        if "num_batches_tracked" not in name:
            tensor.copy_(weights[used : used + tensor.numel()].reshape(tensor.shape))
            used += tensor.numel()
    assert used == len(weights)
    with torch.no_grad():
        mu, logvar = net.encode(x)
        logits = net.decode(mu)
        prior = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
        result["runs"][one["beta"]] = {
            "mu": mu,
            "sd": (0.5 * logvar).exp(),
            "bce": -bernoulli_log_prob(x, logits).sum(dim=1).mean().item(),
            "kl": kl_standard_normal(mu, logvar).mean().item(),
            "made": torch.sigmoid(net.decode(prior)),
        }
""")

# Four marker genes along the way from a T cell to a monocyte, in 121 steps.
GENES = (
    "latent_walk(cells_model, cells[ends[0]], cells[ends[1]], 121)"
    "[:, [gene_at[gene] for gene in ('CD3D', 'IL32', 'LYZ', 'S100A9')]]"
)

lesson = Lesson(
    3,
    {
        "3.1": ["test_x", "test_shown", "coins", "share"],
        "3.4": ["held_out", "snapshots"],
        "3.6": [
            *("one_each", "rebuilt[one_each]", "list(atlas.values())", "made_up", "thrown", "off"),
            *("{name: x[20:34] for name, x in made.items()}", BARGAIN, ROUND, WIDTHS),
            "torch.randn(14, 2, generator=torch.Generator().manual_seed(0))",
        ],
        "3.7": ["cells[:26, :84]", "z_cells", "scores", "groups", "group_names", "purity"],
        "3.8": [*("ends", "path", "near"), "latent_walk(model, test_x[one_each[6]], test_x[one_each[4]], 121)", GENES],
        "3.9": ["rows", COLLEAGUE, BETAS],
        "3.10": ["runs", "no_latents"],
        "3.11": ["of_vae", "of_coins", "of_depth"],
    },
)


# ---------------------------------------------------------------------------------------------------------------------
# What the beats share
# ---------------------------------------------------------------------------------------------------------------------


class Beat(Lecture):
    """A beat that can write its section above."""

    def head(self) -> VGroup:
        """Show number and title of the section."""
        label = heading(self.section, lesson.titles[self.section])
        self.add(label)
        return label


class Picture(ImageMobject):
    """An image of 8 by 8 pixels, or a grid of such images: `side` is the height of one, `show` changes what is seen."""

    def __init__(self, images: np.ndarray, side: float = 1.0, columns: int = 1, dots: int = 16):
        self.columns, self.dots = columns, dots
        super().__init__(self._painted(images))
        self.set_resampling_algorithm(RESAMPLING_ALGORITHMS["bicubic"])
        self.height = side * (self.values.shape[0] if columns > 1 else 1)

    def show(self, images: np.ndarray) -> "Picture":
        """Show other pixels."""
        self.pixel_array = self._painted(images)
        return self

    def _painted(self, images: np.ndarray) -> np.ndarray:
        self.values = np.asarray(images, dtype=float).reshape(-1, self.columns, 8, 8)
        rows, size, edge = len(self.values), self.dots, max(1, self.dots // 12)
        pixels = np.ones((size, size))
        pixels[-edge:], pixels[:, -edge:] = 0, 0
        light = np.kron(self.values, pixels)  # (rows, columns, 8 size, 8 size)
        if self.columns > 1:
            light = np.pad(light, ((0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2), constant_values=-1)
        light = light.transpose(0, 2, 1, 3).reshape(rows * light.shape[2], -1)[..., None]
        dark, bright = (np.array(ManimColor(color).to_int_rgb()) for color in (CARD, INK))
        shown = np.where(light < 0, 0, dark + light.clip(0, 1) * (bright - dark))
        return np.concatenate([shown, np.where(light < 0, 0, 255)], axis=2).astype(np.uint8)


def into(picture: Picture, images: np.ndarray) -> Animation:
    """Return the change of a picture into another one, pixel by pixel; it can be written early."""
    kept = {}

    def step(one: Picture, share: float) -> None:
        start = kept.setdefault("start", one.values)
        one.show((1 - share) * start + share * np.asarray(images).reshape(start.shape))

    return UpdateFromAlphaFunc(picture, step)


def frames(picture: Picture, film: np.ndarray, rate_func=linear) -> Animation:
    """Return a picture that runs through many images."""
    last = len(film) - 1
    return UpdateFromAlphaFunc(picture, lambda one, share: one.show(film[round(share * last)]), rate_func=rate_func)


class Reading(VGroup):
    """A text that changes: `show(i)` shows the i-th of its texts, all starting at one place."""

    def __init__(self, texts: list[str], size: float = 40, color: str = INK):
        super().__init__(*[mono(text, size, color).set_opacity(0) for text in texts])
        for one in self:
            one.move_to(self[0], aligned_edge=LEFT)
        self.shown_now = 0
        self.show(0)

    def show(self, i: int) -> "Reading":
        """Show the i-th text."""
        self[self.shown_now].set_opacity(0)
        self[i].set_opacity(1)
        self.shown_now = i
        return self

    def run(self, first: int = 0, last: int | None = None, rate_func=linear) -> Animation:
        """Return the texts from one to another, one after the other."""
        end = len(self) - 1 if last is None else last
        return UpdateFromAlphaFunc(
            self, lambda one, share: one.show(round(first + share * (end - first))), rate_func=rate_func
        )


class Plane(VGroup):
    """A latent plane from -reach to reach, with the circle that holds 95 % of the prior."""

    def __init__(self, side: float = 6.0, reach: float = 3.0):
        super().__init__()
        self.reach = reach
        self.box = RoundedRectangle(0.12, width=side, height=side, color=FAINT, stroke_width=2).set_fill(CARD, 0.6)
        unit = side / 2 / reach
        self.circle = Circle(2.45 * unit, color=DIM, stroke_width=3)
        self.cross = VGroup(*[Line(-way * 0.12, way * 0.12, color=DIM, stroke_width=2) for way in (UP, RIGHT)])
        self.add(self.box, self.cross, self.circle)

    def c2p(self, x: float, y: float = 0.0) -> np.ndarray:
        """Return the point of the picture at latents x and y."""
        return self.box.get_center() + self.box.width / 2 / self.reach * np.array([x, y, 0.0])

    def numerals(self, z: np.ndarray, labels: np.ndarray, size: float = 22) -> VGroup:
        """Return a numeral for every image, at its place, in the colour of its digit."""
        masters = [words(str(digit), size, GROUPS[digit], weight=BOLD)[0] for digit in range(10)]
        return VGroup(*[masters[label].copy().move_to(self.c2p(*one)) for one, label in zip(z, labels, strict=True)])

    def moving(self, numerals: VGroup, history: np.ndarray, rate_func=linear) -> Animation:
        """Return numerals on their way through a history of places, (times, images, 2)."""
        last = len(history) - 1

        def step(group: VGroup, share: float) -> None:
            k = min(int(share * last), last - 1)
            rest = share * last - k
            for one, start, end in zip(group, history[k], history[k + 1], strict=True):
                one.move_to(self.c2p(*((1 - rest) * start + rest * end)))

        return UpdateFromAlphaFunc(numerals, step, rate_func=rate_func)


def row(images: np.ndarray, side: float = 0.72, buff: float = 0.14) -> Group:
    """Return images side by side."""
    return Group(*[Picture(image, side) for image in images]).arrange(RIGHT, buff=buff)


def price(mu: float, sd: float) -> float:
    """Return the KL of N(mu, sd squared) from N(0, 1), in nats."""
    return 0.5 * (sd**2 + mu**2 - 1 - 2 * np.log(sd))


def lag(ratio: float, *steps: Animation) -> Animation:
    """Return animations that start one after the other."""
    return LaggedStart(*steps, lag_ratio=ratio)


def swap(gone: Mobject, *come: Mobject) -> list[Animation]:
    """Return things fading out, and then others fading in."""
    return [FadeOut(gone, rate_func=EARLY), *[FadeIn(one, rate_func=COMING) for one in come]]


def swell(shown: Mobject, factor: float = 1.06) -> Animation:
    """Return a thing growing and shrinking back, in its own colours."""
    return ScaleInPlace(shown, factor, rate_func=there_and_back)


def colored(source: str, size: float, **colors: str) -> MathTypst:
    """Return a formula whose labelled parts have colours."""
    formula = math(source, size)
    for part, color in colors.items():
        formula.select(part).set_color(color)
    return formula


def slim(*starts: str) -> VGroup:
    """Return lines of the lesson's code on a narrow card, since one of them is nearly as wide as the picture."""
    shown = listing(bare(lesson.lines(*starts)), 20)
    shown.card.stretch_to_fit_width(shown.lines.width + 0.5)
    return shown


def detected(bits: np.ndarray) -> ImageMobject:
    """Return cells by genes, or shares of detection, as squares."""
    light = np.kron(bits, np.pad(np.ones((8, 8)), (0, 2)))[..., None]
    dark, bright = (np.array(ManimColor(color).to_int_rgb()) for color in (CARD, INK))
    shown = ImageMobject((dark + light * (bright - dark)).astype(np.uint8))
    return shown.set_resampling_algorithm(RESAMPLING_ALGORITHMS["bicubic"]).set(width=11.4)


digits, truth = (np.asarray(lesson.value("3.1", name)) for name in ("test_x", "test_shown"))
snapshots = np.array(lesson.value("3.4", "snapshots"))  # (epochs, images, 2)


def numbers(line: str) -> list[str]:
    """Return the numbers of a printed line."""
    return re.findall(r"\d[\d.,]*\d|\d", line)


FOUR_SHOWN = list(truth[:60]).index(4)
coins_pay = lesson.number(r"coins, without latents:")
bce_paid, kl_paid, *_ = numbers(lesson.line(r"held out: bce .* coins:"))

# ---------------------------------------------------------------------------------------------------------------------
# The beats
# ---------------------------------------------------------------------------------------------------------------------


class Judge(Beat):
    chapter, section = "A machine that makes things up", "3.1"

    def construct(self):
        title = words("A machine that makes things up", 56, weight=BOLD)
        wall = (
            Group(*[Picture(image, 0.74) for image in digits[:60]]).arrange_in_grid(5, 12, buff=0.2).shift(DOWN * 0.3)
        )
        chosen = wall[FOUR_SHOWN]
        rest = Group(*[one for one in wall if one is not chosen])
        self.say(
            "{title} How do you build a machine that makes things up, {wall} and how do you see whether it does so "
            "well?",
            title=(FadeIn(title, shift=UP * 0.2), 0.8),
            wall=(
                Succession(
                    ReplacementTransform(title, heading("3.1", lesson.titles["3.1"])),
                    lag(0.03, *[FadeIn(one, scale=0.6) for one in wall]),
                ),
                2.8,
            ),
        )
        big = chosen.copy().scale(5.4).move_to(LEFT * 3.4 + DOWN * 0.3)
        pixel = Square(big.height / 8, color=MEAN, stroke_width=4)
        down, across = np.argwhere(digits[FOUR_SHOWN].reshape(8, 8))[14] + 0.5
        pixel.set_fill(MEAN, 1).move_to(big.get_corner(UL) + big.height / 8 * (across * RIGHT + down * DOWN))
        names = VGroup(
            words("image = cell", 36), words("pixel = gene", 36, MEAN), words(f"shows a {truth[FOUR_SHOWN]}", 36, DIM)
        )
        names.arrange(DOWN, buff=0.75, aligned_edge=LEFT).move_to(RIGHT * 2.9 + DOWN * 0.3)
        cross = Line(names[2].get_left() + LEFT * 0.15, names[2].get_right() + RIGHT * 0.15, color=BAD, stroke_width=7)
        self.say(
            "With data that anyone can judge: handwritten digits, {one} eight by eight pixels, on or off. {cell} An "
            "image stands for a cell, {gene} a pixel for a gene. {told} No model is told which digit it sees.",
            one=lambda: (FadeOut(rest), chosen.animate.become(big), 1.2),
            cell=(FadeIn(names[0], shift=RIGHT * 0.2), 0.6),
            gene=(FadeIn(names[1], shift=RIGHT * 0.2), FadeIn(pixel, scale=2), 0.6),
            told=(Succession(FadeIn(names[2]), Create(cross)), 1.4),
        )


class Coins(Beat):
    section = "3.1"

    def construct(self):
        self.head()
        share = np.asarray(lesson.value("3.1", "share"))
        average = Picture(share, 3.2).move_to(DOWN * 0.2)
        note = words("how often each pixel is on", 24, DIM).next_to(average, DOWN, buff=0.3)
        card = question("What comes out?\nDigits, one blur, or specks?").move_to(RIGHT * 2.6 + DOWN * 0.2)
        self.say(
            "{share} The simplest machine throws a loaded coin for every pixel: {often} on as often as in the "
            "training images. {ask} What comes out?",
            pause=2.4,
            share=(FadeIn(average, scale=0.8), 0.8),
            often=(FadeIn(note), swell(average), 1.2),
            ask=lambda: (Succession(ApplyMethod(Group(average, note).shift, LEFT * 3.9), ask(card)), 1.5),
        )
        thrown = np.asarray(lesson.value("3.1", "coins"))[:12]
        specks = Group(*[Picture(share, 1.1) for _ in thrown]).arrange_in_grid(3, 4, buff=0.35)
        specks.move_to(RIGHT * 2.6 + DOWN * 0.2)
        fall = lag(0.12, *[into(one, image) for one, image in zip(specks, thrown, strict=True)])
        self.say(
            "{specks} Specks. {each} Every pixel is on as often as it should be, and still no image is a digit.",
            specks=(*swap(card, specks), 0.8),
            each=(fall, 2.4),
        )
        told = [image for *_, image in lesson.value("3.6", BARGAIN)[4]["rows"][:51]]
        film = [(1 - t) * share.reshape(-1) + t * told[0].reshape(-1) for t in np.linspace(0, 1, 20)]
        film += [image.reshape(-1) for image in told]
        z, place = node("z", LATENT, 0.65).move_to(LEFT * 2.8), Square(3.2).move_to(RIGHT * 2.6)
        self.say(
            "{stroke} A stroke is made of pixels that agree. {z} Something has to tell the coins which digit it is "
            "going to be. {name} That something is z.",
            pause=0.8,
            stroke=(swell(specks, 1.05), 1.2),
            z=lambda: (
                FadeOut(specks, note, rate_func=EARLY),
                average.animate.move_to(place),
                FadeIn(z, rate_func=LATE),
                GrowArrow(arrow(z, place, LATENT, 0.3), rate_func=LATE),
                1.4,
            ),
            name=(frames(average, film, smooth), Flash(z, color=LATENT, flash_radius=0.8, line_length=0.25), 1.6),
        )


class Machine(Beat):
    chapter, section = "Three parts, one machine", "3.2"

    def construct(self):
        self.head()
        net = Autoencoder().scale(0.93).shift(DOWN * 0.4)
        told, kind = lesson.value("3.6", BARGAIN)[4], lesson.value("3.6", "one_each")[4]
        rebuilt = lesson.value("3.6", "rebuilt[one_each]")[4]
        before, after = Picture(digits[kind], 1.1).next_to(net, LEFT, buff=0.25), Picture(rebuilt, 1.1)
        after.next_to(net, RIGHT, buff=0.25)
        answer = bell(NumberLine([-3, 3, 1], length=2.4).move_to(net.mu.get_top() + UP * 0.4), 0, 1, MEAN, height=0.7)
        source = "{{z : z}} = {{mu : m}} + {{sigma : s}} thin {{epsilon : e}}, quad {{epsilon tilde cal(N)(0, 1) : n}}"
        law = colored(source, 56, z=LATENT, m=MEAN, s=SPREAD, e=NOISE, n=NOISE).move_to(UP * 2.2)
        ghosts = VGroup(net.encoder, net.die, net.decoder).copy().fade(0.6)
        heads = [GrowArrow(one) for one in net.ways[:2]] + [FadeIn(one, scale=0.7) for one in (net.mu, net.sigma)]
        self.say(
            "{parts} Three parts make one model. {enc} The encoder looks at an image {q} and answers with a bell: "
            "mean mu, width sigma. {die} A draw: a standard normal number, stretched by sigma, shifted by mu. {z} "
            "That is z.",
            parts=(lag(0.4, *[FadeIn(one, shift=RIGHT * 0.3) for one in ghosts]), 1.3),
            enc=(FadeIn(before, shift=RIGHT * 0.3), FadeIn(net.encoder), FadeOut(ghosts[0]), 0.7),
            q=(*heads, Create(answer), 1.0),
            die=(
                *[GrowArrow(one) for one in net.ways[2:4]],
                FadeOut(ghosts[1], rate_func=EARLY),
                net.die.roll([2, 6, 1, 3, 5], 1.2),
                FadeOut(answer, rate_func=EARLY),
                Write(law, rate_func=LATE),
                1.8,
            ),
            z=(GrowArrow(net.ways[4]), FadeIn(net.z, scale=0.7), 0.6),
        )
        parts = ("q(z | x)", MEAN, net.encoder), ("p(z)", DIM, net.z), ("p(x | z)", LATENT, net.decoder)
        laws = VGroup(*[math(text, 40, color).move_to([part.get_x(), -2.5, 0]) for text, color, part in parts])
        self.say(
            "{dec} The decoder turns z {out} into a loaded coin for every pixel. {prior} With a standard bell as the "
            "prior of z, the model is complete.",
            dec=(GrowArrow(net.ways[5]), FadeIn(net.decoder), FadeOut(ghosts[2]), 0.7),
            out=(FadeIn(after, shift=RIGHT * 0.3), 0.8),
            prior=(lag(0.3, *[FadeIn(one, shift=UP * 0.2) for one in laws]), net.flow(), 2.4),
        )
        drawn = told["drawn"]
        other = drawn[np.abs(drawn - drawn[0]).sum(axis=1).argmax()]
        printed = lesson.printed('print("same mean:')
        assert "same mean:   True\nsame logits: False" in printed
        self.say(
            "{twice} The same image twice gives two answers: {again} eval mode stops dropout, but not the draw. "
            "{mean} For one fixed place, take the mean.",
            twice=(net.die.roll([4, 1, 6, 2], 1.0), into(after, drawn[0]), 1.2),
            again=(net.die.roll([6, 3, 5, 1], 1.0), net.flow(NOISE), into(after, other), 2.0),
            mean=(Circumscribe(net.mu, Circle, color=MEAN, stroke_width=6), into(after, rebuilt), 1.4),
        )


class Width(Beat):
    """The slip in the lecture notes: half the log-variance is the log of sigma, not of its square."""

    section = "3.2"

    def construct(self):
        self.head()
        sigma = lesson.text(r"Test it with \$\\sigma = ([\d.]+)\$")
        logvar, half = lesson.text(r"\\log 0.25 = (-[\d.]+)\$"), lesson.text(r"half of that is \$(-[\d.]+)\$")
        wrong = lesson.text(r"the draws spread by ([\d.]+) instead")
        assert f"{np.exp(float(half)):.2f}" == f"{float(sigma):.2f}"
        assert f"{np.exp(float(half)) ** 0.5:.2f}" == wrong
        chain = VGroup()
        for k, (name, value) in enumerate((("log-variance", logvar), ("half of it", half), ("exponential", sigma))):
            place = [4.2 * (k - 1), 1.9, 0]
            value = mono(signed(value, len(value.split(".")[1])), 46, SPREAD if k == 2 else INK).move_to(place)
            chain.add(VGroup(words(name, 24, DIM).move_to(place).shift(UP * 0.6), value))
        ways = VGroup(*[way([4.2 * k - 2.8, 1.9, 0], [4.2 * k - 1.4, 1.9, 0]) for k in range(2)])
        line = number_line((-4, 4, 1), math("z", 40, LATENT), 11.5).move_to(DOWN * 2.5)
        spread, rng = ValueTracker(1.0), np.random.default_rng(0)
        eps, heights = rng.standard_normal(60), rng.uniform(0.12, 0.75, 60)
        true = always_redraw(lambda: bell(line, 0, spread.get_value(), SPREAD, 1.5))

        def fallen() -> VGroup:
            places = [line.n2p(spread.get_value() * e) + UP * h for e, h in zip(eps, heights, strict=True)]
            return VGroup(*[Dot(place, 0.05, color=NOISE) for place in places])

        drops = always_redraw(fallen)
        self.say(
            "{line} How wide is the bell? The encoder gives {name} the logarithm of the variance. {log} Say, minus "
            f"{logvar[1:]}. {{half}} Halve it, {{exp}} take the exponential: sigma is {sigma}.",
            pause=0.8,
            line=(FadeIn(line), FadeIn(true), FadeIn(drops), 0.9),
            name=(FadeIn(chain[0][0], shift=UP * 0.2), 0.7),
            log=(FadeIn(chain[0][1], shift=UP * 0.2), 0.7),
            half=(GrowArrow(ways[0]), FadeIn(chain[1], shift=RIGHT * 0.2), 0.7),
            exp=lambda: (
                GrowArrow(ways[1]),
                FadeIn(chain[2], shift=RIGHT * 0.2),
                spread.animate.set_value(float(sigma)),
                1.2,
            ),
        )
        true.clear_updaters()
        other = always_redraw(lambda: bell(line, 0, spread.get_value(), BAD, 1.5))
        tag = VGroup(words("spread", 30, BAD), mono(wrong, 40, BAD)).arrange(RIGHT, buff=0.25).move_to([3.4, -0.6, 0])
        self.say(
            "{slip} The notes behind this course took that half for the log of sigma squared. {wide} Draws then "
            f"spread by {wrong}, {{err}} and nothing raises an error.",
            pause=0.6,
            slip=(Circumscribe(chain[1], color=BAD), FadeIn(other), 1.4),
            wide=lambda: (spread.animate.set_value(float(wrong)), FadeIn(tag, shift=LEFT * 0.2), 1.4),
            err=(Indicate(tag, color=BAD), 0.8),
        )


class Cost(Beat):
    chapter, section = "A loss in two parts", "3.3"

    def construct(self):
        self.head()
        logits = [float(one) for one in re.findall(r"-?\d+\.\d", lesson.lines("logits_toy = torch.tensor"))]
        pixels = [float(one) for one in re.findall(r"\d+\.\d", lesson.lines("x_toy = torch.tensor"))]
        *costs, total = numbers(lesson.line(r"each pixel: \["))
        assert max(costs, key=float) == costs[3]
        assert (pixels[3], logits[3]) == (0, 3)
        real, rebuilt = (lesson.value("3.6", name)[4] for name in ("one_each", "rebuilt[one_each]"))
        pair = Group(Picture(digits[real], 2.6), words("?", 90, MEAN), Picture(rebuilt, 2.6))
        pair.arrange(RIGHT, buff=1.0).shift(DOWN * 0.2)
        captions = VGroup(
            words(text, 24, DIM).next_to(one, DOWN, buff=0.3)
            for text, one in zip(("the image", "decoded"), pair[::2], strict=True)
        )
        columns = VGroup()
        for k, (pixel, logit, cost) in enumerate(zip(pixels, logits, costs, strict=True)):
            square = Square(1.0, color=DIM, stroke_width=3).set_fill(INK if pixel else CARD, 1)
            square.move_to([(k - 1.5) * 2.3 + 0.3, -0.65, 0])
            state = words("on" if pixel else "off", 26, GROUND if pixel else INK).move_to(square)
            said = mono(signed(logit, 0), 34, LATENT).move_to(square).shift(DOWN * 0.95)
            chance = mono(f"{1 / (1 + np.exp(-logit)):.0%}", 28).move_to(square).shift(DOWN * 1.55)
            bar = Rectangle(width=1.0, height=float(cost) * 0.8, stroke_width=0).set_fill(FIT, 0.9)
            bar.next_to(square, UP, buff=0.15)
            value = mono(cost, 30).next_to(bar, UP, buff=0.15)
            columns.add(VGroup(VGroup(square, state), said, bar, value, chance))
        rows = ("pixel", DIM, -0.65), ("logit", LATENT, -1.6), ("chance of on", DIM, -2.2), ("nats", FIT, 0.3)
        names = VGroup(words(text, 24, color).set_y(y).set_x(-4.1, RIGHT) for text, color, y in rows)
        self.say(
            "{loss} Which number says how good a model is? {pix} Four pixels, two on, two off, {logits} and the "
            "decoder's logits, {chance} which a sigmoid turns into the chance of on. {ask} A coin costs minus the "
            "natural log of its probability, in nats. Which pixel costs most?",
            pause=2.0,
            loss=(FadeIn(pair, captions), 0.6),
            pix=(
                *swap(Group(pair, captions), names[0]),
                lag(0.2, *[FadeIn(one[0], scale=0.6, rate_func=LATE) for one in columns]),
                1.2,
            ),
            logits=(lag(0.2, *[FadeIn(one[1], shift=UP * 0.2) for one in columns]), FadeIn(names[1]), 1.0),
            chance=(lag(0.2, *[FadeIn(one[4], shift=DOWN * 0.2) for one in columns]), FadeIn(names[2]), 1.2),
            ask=(lag(0.4, *[Indicate(one[4], color=MEAN, scale_factor=1.3) for one in columns]), FadeIn(names[3]), 2.4),
        )
        whole = VGroup(words("sum", 30, DIM), mono(total, 40, FIT), words("nats", 30, DIM)).arrange(RIGHT, buff=0.25)
        whole.move_to([0.3, -3.1, 0])
        grow = [AnimationGroup(GrowFromEdge(one[2], DOWN), FadeIn(one[3])) for one in columns]
        self.say(
            f"{{grow}} The last: promised, with a logit of {logits[3]:.0f}, and it did not come. {{sum}} Together, "
            f"{total} nats: {{name}} the reconstruction part of the loss, binary cross-entropy. BCE.",
            grow=(lag(0.25, *grow), 1.8),
            sum=(FadeIn(whole, shift=UP * 0.2), 0.7),
            name=(lag(0.2, *[Indicate(one[2], color=INK, scale_factor=1.03) for one in columns]), 1.4),
        )


class Price(Beat):
    section = "3.3"

    def construct(self):
        self.head()
        placed, sure = lesson.text(r"1 - 0\) = ([\d.]+)\$ nats"), lesson.text(r"0.25\$ pays ([\d.]+)\.")
        assert np.isclose(price(1, 1), float(placed), atol=5e-4)
        assert np.isclose(price(0, 0.5), float(sure), atol=5e-4)
        line = number_line((-4, 4, 1), math("z", 40, LATENT), 11).move_to(DOWN * 2.5)
        prior = bell(line, 0, 1, DIM, 1.4, fill=0.05)
        mu, sd = ValueTracker(0), ValueTracker(1)
        own = always_redraw(lambda: bell(line, mu.get_value(), sd.get_value(), MEAN, 1.4))
        source = r"KL = 1/2 ({{sigma^2 : s}} + {{mu^2 : m}} - 1 - log {{sigma^2 : t}})"
        law = colored(source, 50, m=MEAN, s=SPREAD, t=SPREAD).move_to(UP * 2.3)
        left = np.array([-2.4, 1.05, 0])

        def paid() -> Rectangle:
            width = 0.05 + 5 * price(mu.get_value(), sd.get_value())
            return (
                Rectangle(width=width, height=0.42, stroke_width=0)
                .set_fill(PRICE, 0.9)
                .move_to(left, aligned_edge=LEFT)
            )

        bar, name = always_redraw(paid), words("price", 26, PRICE).next_to(left, LEFT, buff=0.3)
        self.say(
            "{alone} With BCE alone, the encoder would shrink its bell {point} to a point, {far} anywhere it liked. "
            "{price} So leaving the prior has a price: KL.",
            alone=(FadeIn(line), FadeIn(prior), FadeIn(own), 0.8),
            point=lambda: (sd.animate.set_value(0.36), 0.7),
            far=lambda: (mu.animate.set_value(3.1), 0.9),
            price=lambda: (Write(law), FadeIn(name), mu.animate.set_value(0), sd.animate.set_value(1), 1.6),
        )
        self.add(bar)
        tags = [
            mono(text, 34, PRICE).move_to(left + RIGHT * (5 * float(text) + 0.35), aligned_edge=LEFT)
            for text in (placed, sure, "0")
        ]
        self.say(
            f"{{place}} Stand at one instead of zero: {float(placed):g} nats. {{sure}} Halve sigma: {sure}. {{both}} "
            "A special place costs, and being sure costs. {nothing} To answer every image with the prior costs "
            "nothing, {says} and says nothing.",
            pause=0.5,
            place=lambda: (mu.animate.set_value(1), FadeIn(tags[0], rate_func=LATE), 1.2),
            sure=lambda: (*swap(tags[0], tags[1]), mu.animate.set_value(0), sd.animate.set_value(0.5), 1.2),
            both=(Indicate(law.select("m"), color=MEAN), Indicate(law.select("s"), color=SPREAD), 1.4),
            nothing=lambda: (*swap(tags[1], tags[2]), sd.animate.set_value(1), 1.2),
            says=(Indicate(tags[2], color=PRICE), 0.8),
        )


class Bargain(Beat):
    """Two forces on the bell of a 4, which slides out from the centre of the prior."""

    section = "3.3"

    def construct(self):
        self.head()
        self.told = lesson.value("3.6", BARGAIN)[4]
        self.share, self.seen = ValueTracker(0), ValueTracker(0)
        self.shares, self.bce, self.kl = (np.array([one[k] for one in self.told["rows"]]) for k in range(3))
        balance = float(self.shares[(self.bce + self.kl).argmin()])
        assert abs(balance - 1) < 0.05
        mu, sd, images = self.told["mu"], self.told["sd"], [one[3] for one in self.told["rows"]]
        self.plane = plane = Plane(5.5, 2.9).move_to([-3.6, -0.55, 0])
        own = always_redraw(lambda: ellipse(plane, mu * self.share.get_value(), sd, LATENT).set_fill(LATENT, 0.25))
        real = Picture(digits[lesson.value("3.6", "one_each")[4]], 1.5).move_to([1.9, 1.7, 0])
        made = Picture(images[0], 1.5).move_to([4.7, 1.7, 0])
        made.add_updater(lambda one: one.show(images[round(self.now(np.arange(91)))]))
        labels = VGroup(
            words("the image", 24, DIM).next_to(real, UP, buff=0.2),
            words("decoded", 24, DIM).next_to(made, UP, buff=0.2),
        )
        labels[1].align_to(labels[0], UP)
        above = words("the plane of two latents, from above", 24, DIM).next_to(plane, UP, buff=0.15)
        bars = always_redraw(self.bars)
        names = VGroup(
            words(text, 26, color).set_y(y).set_x(1.1, RIGHT)
            for text, color, y in (("BCE", FIT, 0.0), ("KL", PRICE, -0.8), ("sum", INK, -1.9))
        )
        self.add(always_redraw(self.forces))
        self.say(
            "{stage} Two forces, then. Take a 4, {bars} its bell in the middle, seen from above. {slide} Slide it "
            "outwards, and the decoder can tell it from the rest. {cheap} BCE falls: it pushes out.",
            stage=(FadeIn(plane, above), FadeIn(real), FadeIn(labels[0]), 0.8),
            bars=(FadeIn(own), FadeIn(made), FadeIn(labels[1]), FadeIn(names), FadeIn(bars), 0.8),
            slide=lambda: (self.share.animate.set_value(0.5), 2.4),
            cheap=lambda: (self.seen.animate.set_value(1), self.share.animate.set_value(0.65), 1.4),
        )
        home = Dot(plane.c2p(*mu), 0.09, color=GOOD)
        best = SurroundingRectangle(bars[2:], color=GOOD, buff=0.12, corner_radius=0.06, stroke_width=4)
        self.say(
            "{dear} Further out, KL rises: it pulls back. {rest} In between, the sum is least, {real} and there "
            "training has put this 4.",
            pause=0.8,
            dear=lambda: (self.share.animate.set_value(1.7), 2.2),
            rest=lambda: (self.share.animate.set_value(balance), 1.4),
            real=lambda: (FadeIn(home, scale=3), Create(best.surround(bars[2:], buff=0.12)), 0.8),
        )

    def now(self, values: np.ndarray) -> float:
        """Return what belongs to the bell's place of now."""
        return float(np.interp(self.share.get_value(), self.shares, values))

    def bars(self) -> VGroup:
        """Return bce and kl, and their sum, as bars of one scale."""
        one, other, unit = self.now(self.bce), self.now(self.kl), 0.125
        spans = ((0.0, 0.0, one, FIT), (-0.8, 0.0, other, PRICE), (-1.9, 0.0, one, FIT), (-1.9, one, other, PRICE))
        return VGroup(
            Rectangle(width=size * unit, height=0.5, stroke_width=0)
            .set_fill(color, 0.9)
            .move_to([1.4 + start * unit, y, 0], LEFT)
            for y, start, size, color in spans
        )

    def forces(self) -> VGroup:
        """Return the two forces at the place of the bell: minus the slope of each part, along the way."""
        mu, arrows = self.told["mu"], VGroup()
        along = np.array([*mu, 0.0]) / np.linalg.norm(mu)
        for values, color, side in ((self.bce, FIT, 0.14), (self.kl, PRICE, -0.14)):
            size = np.clip(-self.now(np.gradient(values, self.shares)) / 8, -1.5, 1.5)
            start = self.plane.c2p(*(mu * self.share.get_value())) + np.array([-along[1], along[0], 0.0]) * side
            end, tip = start + along * size, 0.22 * np.sign(size) * min(1, 4 * abs(size))
            across = np.array([-along[1], along[0], 0.0]) * 0.6 * abs(tip)
            head = Polygon(end + along * tip, end + across, end - across, stroke_width=0).set_fill(color, 1)
            arrows.add(Line(start, end, color=color, stroke_width=8), head)
        return arrows.set_z_index(1).set_opacity(self.seen.get_value())


class Sum(Beat):
    section = "3.3"

    def construct(self):
        self.head()
        source = '"loss" = {{1/n sum_(i=1)^n : m}} ( {{sum_g -log p(x_(i g) | z_i) : b}} + {{sum_j KL_(i j) : k}} )'
        law = colored(source, 54, b=FIT, k=PRICE).move_to(UP * 1.8)
        grid = VGroup(
            VGroup(Square(0.36, stroke_width=0).set_fill(FIT if k < 12 else PRICE, 0.85) for k in range(14)).arrange(
                RIGHT, buff=0.08
            )
            for _ in range(5)
        )
        grid.arrange(DOWN, buff=0.14).move_to(DOWN * 1.5 + LEFT * 1.2)
        cells = words("images", 24, DIM).next_to(grid, LEFT, buff=0.35)
        sums = VGroup(*[Square(0.36, stroke_width=0).set_fill(INK, 0.9).next_to(one, RIGHT, buff=0.9) for one in grid])
        mean = Square(0.5, stroke_width=0).set_fill(MEAN, 1).next_to(sums, RIGHT, buff=1.0)
        both = VGroup(law.select("b"), law.select("k"))
        frame = [Brace(one, DOWN, color=MEAN, buff=0.15) for one in (both, law.select("m"))]
        collapse = lag(0.15, *[TransformFromCopy(one, other) for one, other in zip(grid, sums, strict=True)])
        self.say(
            "{law} The loss is fit plus price. {sum} Sum over all that belongs to one image; {mean} average over "
            "images only. Remember that rule. {bound} Up to its sign, this is the ELBO of lesson 1.",
            law=(Write(law), lag(0.15, *[FadeIn(one, shift=RIGHT * 0.2) for one in grid]), FadeIn(cells), 1.8),
            sum=(FadeIn(frame[0], shift=UP * 0.2), collapse, 1.6),
            mean=lambda: (ReplacementTransform(*frame), TransformFromCopy(sums, VGroup(mean)), 1.4),
            bound=(FadeOut(frame[1]), Indicate(law, color=INK, scale_factor=1.05), 1.0),
        )


class Loop(Beat):
    chapter, section = "Training, once", "3.4"

    def construct(self):
        head = self.head()
        shown = slim("for _ in range(n_epochs):", "train_epoch(model, x[torch.randperm", "update_bn([x], model)")
        shown.move_to(UP * 1.5)
        bar = glow(shown, 0)
        images = Group(*[Picture(image, 0.62) for image in digits[100:124]]).arrange_in_grid(2, 12, buff=0.22)
        images.move_to(DOWN * 0.95)
        order = np.random.default_rng(1).permutation(24)
        fours = [Group(*[images[r * 12 + 2 * b + c] for r in (0, 1) for c in (0, 1)]) for b in range(6)]
        blocks = VGroup(*[SurroundingRectangle(four, color=DIM, buff=0.08, corner_radius=0.08) for four in fours])
        epoch = VGroup(words("epoch", 28, DIM), Reading([str(k) for k in range(1, 51)], 40, MEAN)).arrange(
            RIGHT, buff=0.3
        )
        epoch.move_to(DOWN * 2.8)
        places = [one.get_center() for one in images]
        steps = lag(0.35, *[Indicate(block, color=GOOD, scale_factor=1.15) for block in blocks])
        self.say(
            "{code} Training: {mix} shuffle the images, cut them into minibatches, {step} one step of the optimizer "
            "for each, {again} fifty times over. {own} You will write that loop yourself.",
            code=(FadeIn(shown), FadeIn(bar), FadeIn(images), 0.7),
            mix=lambda: (
                glow_to(bar, shown, 1),
                *[one.animate(path_arc=0.6).move_to(places[k]) for one, k in zip(images, order, strict=True)],
                FadeIn(blocks, rate_func=squish_rate_func(smooth, 0.75, 1)),
                1.8,
            ),
            step=(steps, 1.5),
            again=(
                FadeIn(epoch[0], rate_func=squish_rate_func(smooth, 0, 0.1)),
                epoch[1].run(),
                glow_to(bar, shown, 0),
                1.4,
            ),
            own=(glow_to(bar, shown, 1), 0.8),
        )
        self.deaf(head)

    def deaf(self, head: VGroup) -> None:
        """Show one step with each optimizer, of a loss and of 64 times the loss."""
        kinds = ("SGD", "Adam")
        ends = {kind: float(lesson.number(rf"{kind}\s+loss times 64: w =").replace("−", "-")) for kind in kinds}
        lines = [number_line((-40, 10, 10), "w", 9.4).move_to([1.3, y, 0]) for y in (0.9, -1.9)]
        names = VGroup(
            words(name, 30, weight=BOLD).move_to([-6.4, line.n2p(0)[1], 0], LEFT)
            for name, line in zip(("plain step", "Adam"), lines, strict=True)
        )
        balls = {kind: Dot(line.n2p(3), 0.14, color=SLOPE) for kind, line in zip(kinds, lines, strict=True)}
        ghosts = VGroup(*[Dot(line.n2p(3), 0.14, color=DIM, fill_opacity=0.5) for line in lines])
        far = lesson.number(r"SGD\s+loss times 64: w =")
        once, tag = (
            words(text, 34, color).move_to(UP * 2.4)
            for text, color in (("one step of one weight w", DIM), ("the same loss, times 64", MEAN))
        )
        assert lesson.number(r"Adam\s+loss times 64: w =") == lesson.number(r"Adam\s+loss times  1: w =")
        self.say(
            "{adam} The optimizer, Adam, divides each step by how large the gradients have been. {times} "
            f"Multiply the loss by 64: {{sgd}} a plain step lands at minus {far[1:]}, {{same}} Adam does not notice.",
            pause=0.6,
            adam=lambda: (*swap(self.others(head), VGroup(*lines, names, ghosts, once), VGroup(*balls.values())), 1.2),
            times=(*swap(once, tag), 0.7),
            sgd=lambda: (balls["SGD"].animate(path_arc=0.7).move_to(lines[0].n2p(ends["SGD"])), 1.2),
            same=lambda: (balls["Adam"].animate(path_arc=1.2).move_to(lines[1].n2p(ends["Adam"])), 1.0),
        )


class Curves(Beat):
    section = "3.4"

    def construct(self):
        self.head()
        history = np.array(lesson.value("3.4", "held_out"))
        axes = plot_axes((0, 50, 10), (0, 48), "", "nats per image", 9.4, 4.7, y_marks=[0, 10, 20, 30, 40]).move_to(
            [-0.7, -0.2, 0]
        )
        epochs = words("epoch", 22, DIM).next_to(axes.c2p(25, 0), DOWN, buff=0.55)
        line = DashedLine(axes.c2p(0, float(coins_pay)), axes.c2p(50, float(coins_pay)), color=DIM, stroke_width=3)
        tag = words(f"coins {coins_pay}", 26, DIM).next_to(line, RIGHT, buff=0.2)
        card = question("BCE will fall.  KL: fall, stay, rise?", 30).move_to(axes.c2p(26, 38))
        assert len(digits) == 297
        wall = Picture(digits, 0.55, 27, dots=8).set(width=12.4).move_to(DOWN * 0.3)
        self.say(
            f"{{axes}} Watch the 297 images held out. {{coins}} Coins alone pay {coins_pay} nats an image. {{ask}} "
            "BCE will fall. And KL: fall too, stay, or rise?",
            pause=2.0,
            axes=(FadeIn(wall), 0.7),
            coins=(*swap(wall, axes, epochs, tag), Create(line, rate_func=LATE), 1.2),
            ask=(ask(card), 0.8),
        )
        bce, kl = (curve(axes, range(51), history[:, k], color) for k, color in ((1, FIT), (2, PRICE)))
        ends = VGroup(words(f"BCE {bce_paid}", 26, FIT, weight=BOLD), words(f"KL {kl_paid}", 26, PRICE, weight=BOLD))
        for end, k in zip(ends, (1, 2), strict=True):
            end.next_to(axes.c2p(50, history[-1, k]), RIGHT, buff=0.2)
        saved = f"{float(coins_pay) - float(bce_paid):.0f}"
        assert (saved, f"{float(kl_paid):.0f}") == ("7", "3")
        top, bottom = axes.c2p(40, float(coins_pay)), axes.c2p(40, history[40, 1])
        gap = DoubleArrow(top, bottom, buff=0.03, color=GOOD, stroke_width=5, tip_length=0.18)
        pile = Line(axes.c2p(40, 0), axes.c2p(40, history[40, 2]), color=PRICE, stroke_width=12)
        won, paid = (
            words(text, 26, color, weight=BOLD) for text, color in ((f"saves {saved}", GOOD), ("pays 3", PRICE))
        )
        won.next_to(gap, LEFT, buff=0.2), paid.next_to(pile, UP, buff=0.25)
        self.say(
            f"{{run}} BCE falls, to {bce_paid}. {{kl}} KL rises, to {kl_paid}, which is no fault. {{same}} At first "
            "the encoder says the same of every image. {apart} Then it moves them apart, and pays, as long as that "
            "saves more than it costs. {pay} About three nats paid, {save} about seven saved.",
            run=(FadeOut(card, rate_func=EARLY), Create(bce, rate_func=linear), Create(kl, rate_func=linear), 2.0),
            kl=(FadeIn(ends), 0.7),
            same=(
                ShowPassingFlash(kl.copy().set_stroke(INK, 10).pointwise_become_partial(kl, 0, 0.2), time_width=0.6),
                1.8,
            ),
            apart=(ShowPassingFlash(kl.copy().set_stroke(INK, 10), time_width=0.3), 3.0),
            pay=(GrowFromEdge(pile, DOWN), FadeIn(paid), 0.7),
            save=(GrowFromEdge(gap, UP), FadeIn(won), 0.7),
        )


class Organise(Beat):
    chapter, section = "The plane organises itself", "3.5"

    def construct(self):
        self.head()
        plane = Plane(6.6, 2.9).move_to([2.4, -0.1, 0])
        numerals = plane.numerals(snapshots[0], truth)
        epoch = VGroup(words("epoch", 30, DIM), Reading([str(k) for k in range(51)], 72, MEAN))
        epoch.arrange(DOWN, buff=0.3, aligned_edge=LEFT).move_to([-5.0, 0.7, 0])
        prior = VGroup(Line(LEFT * 0.3, RIGHT * 0.3, color=DIM, stroke_width=3), words("95 % of the prior", 26, DIM))
        prior.arrange(RIGHT, buff=0.2).move_to([-4.5, -1.6, 0])
        axes = [
            Arrow(-2.6 * unit, 2.6 * unit, buff=0, color=LATENT, stroke_width=5, tip_length=0.25).shift(plane.c2p(0))
            for unit in (plane.c2p(1) - plane.c2p(0), plane.c2p(0, 1) - plane.c2p(0))
        ]
        names = VGroup(words(f"latent {k}", 26, LATENT) for k in (1, 2))
        (
            names[0].next_to(axes[0], UP, buff=0.1, aligned_edge=RIGHT),
            names[1].next_to(axes[1].get_end(), RIGHT, buff=0.3),
        )
        self.say(
            "{plane} And the latents? {two} There are two, so we can look. {one} Every held-out image stands at its "
            "mean, as the digit it shows. {circle} The circle holds 95 percent of the prior. {go} Now train.",
            pause=1.6,
            plane=(FadeIn(plane.box, plane.cross), 0.8),
            two=(*map(GrowArrow, axes), FadeIn(names), 1.0),
            one=(FadeIn(numerals), FadeIn(epoch), 1.2),
            circle=(FadeOut(*axes, names), Create(plane.circle), FadeIn(prior), 1.2),
            go=(plane.moving(numerals, snapshots[:5], smooth), epoch[1].run(0, 4, smooth), 2.2),
        )
        self.say(
            "{one} They leave the heap, {two} spread into the circle, {three} and images of the same digit gather, "
            "though nobody said that there are digits.",
            pause=2.5,
            one=(plane.moving(numerals, snapshots[4:7]), epoch[1].run(4, 6), 1.0),
            two=(plane.moving(numerals, snapshots[6:12]), epoch[1].run(6, 11), 1.4),
            three=(plane.moving(numerals, snapshots[11:]), epoch[1].run(11, 50), 6.5),
        )
        self.say(
            "{push} Images that share pixels lie side by side: BCE pushes apart, {pull} KL holds together.",
            pause=0.6,
            push=(*[Indicate(self.of(numerals, k), color=GROUPS[k], scale_factor=1.15) for k in (6, 0, 4)], 1.4),
            pull=(ShowPassingFlash(plane.circle.copy().set_stroke(PRICE, 8), time_width=0.5), 1.6),
        )

    def of(self, numerals: VGroup, digit: int) -> VGroup:
        """Return the numerals of one digit."""
        return VGroup(*[one for one, label in zip(numerals, truth, strict=True) if label == digit])


class Turn(Beat):
    section = "3.5"

    def construct(self):
        self.head()
        plane, last = Plane(6.6, 2.9).move_to([2.4, -0.1, 0]), snapshots[-1]
        numerals = plane.numerals(last, truth)
        axis = Arrow(plane.c2p(-2.6), plane.c2p(2.6), buff=0, color=MEAN, stroke_width=5, tip_length=0.25)
        name = words("latent 1", 28, MEAN).next_to(plane.box, LEFT, buff=0.35)
        turned = np.array([last @ [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] for a in np.linspace(0, 1.9, 61)])
        self.add(plane, numerals)
        verdict = VGroup(words("neighbours", 34, GOOD), words("axes", 34, BAD)).arrange(
            DOWN, buff=0.5, aligned_edge=LEFT
        )
        verdict.move_to([-4.9, -1.4, 0])
        strike = Line(
            verdict[1].get_left() + LEFT * 0.1, verdict[1].get_right() + RIGHT * 0.1, color=BAD, stroke_width=6
        )
        self.say(
            "{axis} But read no meaning into latent one. {turn} Turn the whole plane: the prior stays, and the "
            "decoder can undo the turn. {mean} Neighbours mean something, {axes} axes do not.",
            axis=(GrowArrow(axis), FadeIn(name), 0.9),
            turn=(plane.moving(numerals, turned, smooth), 3.6),
            mean=(FadeIn(verdict[0]), 0.6),
            axes=(FadeIn(verdict[1]), Create(strike), FadeOut(axis, name), 0.9),
        )


class Rebuild(Beat):
    chapter, section = "Rebuild, and make up", "3.6"

    def construct(self):
        self.head()
        kinds, rebuilt = lesson.value("3.6", "one_each"), lesson.value("3.6", "rebuilt[one_each]")
        above, below = (
            row(digits[kinds], 1.0, 0.26).move_to(UP * 1.6),
            row(digits[kinds], 1.0, 0.26).move_to(DOWN * 2.0),
        )
        pairs = VGroup()
        for z, image in zip(snapshots[-1][kinds], above, strict=True):
            pairs.add(
                VGroup(mono(signed(one, 1), 24, LATENT) for one in z)
                .arrange(DOWN, buff=0.12)
                .move_to([image.get_x(), -0.2, 0])
            )
        squeeze = [FadeIn(pair, target_position=image, scale=0.5) for pair, image in zip(pairs, above, strict=True)]
        for one, image in zip(below, rebuilt, strict=True):
            one.show(image)
        emerge = [FadeIn(one, target_position=pair, scale=0.3) for one, pair in zip(below, pairs, strict=True)]
        self.say(
            "{top} What can it do now? Rebuild: {two} 64 pixels, squeezed through two numbers {out} and decoded. "
            "{good} The 0, 4 and 6 come back clear, {bad} the 9 as a blurred 3. {ten} Two numbers cannot hold ten "
            "kinds of digit.",
            pause=0.6,
            top=(lag(0.08, *[FadeIn(one, shift=UP * 0.2) for one in above]), 1.0),
            two=(lag(0.08, *squeeze), 1.4),
            out=(lag(0.05, *emerge), 1.2),
            good=(lag(0.3, *[self.framed(below[k], GOOD) for k in (0, 4, 6)]), 1.2),
            bad=(self.framed(below[9], BAD), 0.8),
            ten=(lag(0.1, *[Indicate(pair, color=LATENT) for pair in pairs]), 1.6),
        )

    def framed(self, image: Picture, color: str) -> Animation:
        """Return a frame being drawn round an image."""
        return Create(SurroundingRectangle(image, color=color, buff=0.06, corner_radius=0.05, stroke_width=5))


class Atlas(Beat):
    section = "3.6"

    def construct(self):
        self.head()
        tiles = np.array(lesson.value("3.6", "list(atlas.values())"))  # (11, 15, pixels)
        atlas = Picture(tiles, 0.54, 15, dots=10).move_to([-1.9, -0.35, 0])
        trail, film = lesson.value("3.6", ROUND)

        def at(z: np.ndarray) -> np.ndarray:  # tiles are 0.3 apart across, 0.42 down
            return atlas.get_center() + np.array([z[0] / 0.3 * atlas.width / 15, z[1] / 0.42 * atlas.height / 11, 0.0])

        path = VMobject().set_points_smoothly([at(z) for z in trail[::4]]).set_stroke(LATENT, 4)
        pin = VGroup(Circle(0.24, color=GROUND, stroke_width=12), Circle(0.24, color=LATENT, stroke_width=6)).move_to(
            at(trail[0])
        )
        made = Picture(film[0], 2.5).move_to([5.1, -0.35, 0])
        frame = SurroundingRectangle(made, color=LATENT, buff=0.08, corner_radius=0.06, stroke_width=4)
        name = words("decoded", 26, DIM).next_to(frame, UP, buff=0.25)

        def follow(group: Group, share: float) -> None:
            k = round(share * (len(trail) - 1))
            group[0].move_to(at(trail[k]))
            group[1].show(film[k])

        self.say(
            "{all} The decoder needs only a place. Decode a whole grid of places: {walk} where two regions meet, one "
            "digit becomes the other.",
            pause=3.0,
            all=(FadeIn(atlas), FadeIn(pin), FadeIn(frame), FadeIn(made), FadeIn(name), 1.4),
            walk=(Create(path, rate_func=linear), UpdateFromAlphaFunc(Group(pin, made), follow, rate_func=linear), 6.5),
        )


class MakeUp(Beat):
    """Draw z from the prior, decode: what the machine makes up."""

    section = "3.6"

    def construct(self):
        self.head()
        z = lesson.value("3.6", "torch.randn(14, 2, generator=torch.Generator().manual_seed(0))")
        made, thrown = (np.asarray(lesson.value("3.6", name)) for name in ("made_up", "thrown"))
        assert np.abs(z).max() < 2.9
        plane = Plane(4.7, 2.9).move_to([-4.0, -0.75, 0])
        die, decoder = Die(0.95).move_to([0.3, 1.8, 0]), trapezoid("decoder", narrow="left").move_to([2.7, 1.8, 0])
        fresh = Picture(made[0], 1.7).move_to([5.4, 1.8, 0])
        law = math("z tilde cal(N)(0, I)", 42, NOISE).next_to(plane, UP, buff=0.25)
        points = [Dot(plane.c2p(*one), 0.1, color=NOISE) for one in z]
        slots = [np.array([-0.45 + 1.05 * (k % 7), -0.8 - 1.25 * (k // 7), 0]) for k in range(14)]
        kept = [Picture(image, 0.9).move_to(slot) for image, slot in zip(made, slots, strict=True)]

        def drop(k: int) -> list[Animation]:
            return [FadeIn(points[k], shift=DOWN * 0.8), into(fresh, made[k]), FadeIn(kept[k], shift=DOWN * 0.4)]

        self.say(
            "{law} Or make things up: draw z from the prior, {fall} and decode it. {two} Again.",
            pause=0.7,
            law=(
                FadeIn(plane, law, die, decoder),
                GrowArrow(arrow(die, decoder)),
                GrowArrow(arrow(decoder, fresh)),
                0.9,
            ),
            fall=(
                die.roll([2, 4, 1, 6], 1.0),
                FadeIn(points[0], shift=DOWN * 0.8),
                FadeIn(fresh, shift=RIGHT * 0.5),
                1.1,
            ),
            two=(
                die.roll([5, 1, 3, 2], 1.0),
                FadeIn(kept[0], shift=DOWN * 0.4),
                FadeIn(points[1], shift=DOWN * 0.8),
                into(fresh, made[1]),
                1.1,
            ),
        )
        rest = [FadeIn(kept[1], shift=DOWN * 0.4), *[AnimationGroup(*drop(k)) for k in range(2, 14)]]
        crowd = VGroup(*[one for one, place in zip(points, z, strict=True) if np.linalg.norm(place) < 1.2])
        self.say(
            "{many} Nobody wrote these digits. Many are the same blur, {blur} since the prior draws most from the "
            "crowded middle. {throw} And for a real sample, throw the coins.",
            pause=1.2,
            many=(lag(0.5, *rest), die.roll([3, 6, 2, 5, 1, 4, 2, 6, 3, 1], 3.0), 3.4),
            blur=(Indicate(crowd, color=NOISE, scale_factor=1.3), 1.4),
            throw=(
                lag(0.1, *[into(one, image) for one, image in zip(kept, thrown, strict=True)]),
                into(fresh, thrown[13]),
                2.2,
            ),
        )


class Rival(Beat):
    section = "3.6"

    def construct(self):
        head = self.head()
        net = Autoencoder().scale(0.86).move_to(UP * 0.9)
        y = net.z.get_y()
        card = question("Which rebuilds better?  Which makes up better?", 30).move_to(DOWN * 2.0)
        straight = VGroup(
            way(net.encoder[0].get_right(), [net.mu.get_left()[0], y, 0]),
            way([net.mu.get_right()[0], y, 0], net.z.get_left()),
        )
        self.say(
            "{net} Take away the draw {cut} and the KL: a plain autoencoder is left. {ask} Which rebuilds better? "
            "Which makes up better?",
            pause=2.0,
            net=(FadeIn(net), 0.7),
            cut=lambda: (FadeOut(net.sigma, net.die, net.ways[:5]), net.mu.animate.set_y(y), FadeIn(straight), 1.0),
            ask=(ask(card), 0.8),
        )
        own, plain = (lesson.number(rf"{name}\s+bce") for name in ("VAE", "autoencoder"))
        many = lesson.text(r"Below, both have\s+(\w+) latents")
        names = f"VAE, {many} latents", f"autoencoder, {many}", "VAE, two latents"
        bars = Bars(names, [own, plain, bce_paid], "BCE, nats per held-out image", [LATENT, DIM, FAINT])
        bars.move_to(DOWN * 0.2)
        bars.bar(2)[1].set_color(INK)
        self.say(
            f"{{bars}} Rebuilding: {{grow}} the autoencoder. {plain} nats of BCE, against {own}. {{many}} Both have "
            f"{many} latents here: {{two}} with two, ours paid {bce_paid}.",
            bars=lambda: (*swap(self.others(head), VGroup(*bars.names[:2], bars.unit)), 0.6),
            grow=(bars.grow(0), bars.grow(1), 1.1),
            many=(lag(0.3, *[Indicate(one, color=MEAN, scale_factor=1.05) for one in bars.names[:2]]), 1.0),
            two=(FadeIn(bars.names[2]), bars.grow(2), 1.0),
        )
        off, made = lesson.value("3.6", "off"), lesson.value("3.6", "{name: x[20:34] for name, x in made.items()}")
        assert off["autoencoder"] > 5
        assert f"{off['VAE']:.0f}" == f"{off['held out']:.0f}" == "3"
        rows, marks = [], []
        for k, (name, color) in enumerate((("held out", INK), ("VAE", GOOD), ("autoencoder", BAD))):
            images = row(np.asarray(made[name])[:8], 0.92, 0.16).move_to([0.4, 1.2 - 1.5 * k, 0])
            rows.append(Group(images, words(name, 28).next_to(images, LEFT, buff=0.35)))
            marks.append(mono(f"{off[name]:.1f}", 36, color).next_to(images, RIGHT, buff=0.4))
        unit = words("pixels off the nearest training image", 26, DIM).move_to([2.6, 2.4, 0])
        self.say(
            "{real} Now draw z from the prior, and count pixels to the nearest training image. {new} New digits: "
            "about three off. {vae} The VAE: about three. {blot} The autoencoder makes blots: more than five.",
            pause=0.6,
            real=lambda: (FadeOut(self.others(head), rate_func=EARLY), lag(0.4, *map(FadeIn, rows)), FadeIn(unit), 3.0),
            new=(FadeIn(marks[0], scale=1.6), 0.6),
            vae=(FadeIn(marks[1], scale=1.6), 0.6),
            blot=(FadeIn(marks[2], scale=1.6), 0.6),
        )
        self.gaps(head)

    def gaps(self, head: VGroup) -> None:
        """Show why: KL gathers the means where the prior is, and draws from each q fill what is between."""
        widths, last = lesson.value("3.6", WIDTHS), snapshots[-1]
        plane = Plane(6.2, 2.9).move_to([2.4, -0.25, 0])
        means = Cloud(plane, last, colors=MEAN)
        eps = np.random.default_rng(0).standard_normal((5, *last.shape))
        places, turns = (last + widths * eps).reshape(-1, 2), np.repeat(np.arange(5), len(last))
        inside = np.abs(places).max(axis=1) < 2.85
        drawn = Cloud(plane, places[inside], turns[inside], [NOISE], 0.03)
        notes = VGroup(
            words(text, size, color)
            for text, size, color in (
                ("KL: near the prior", 30, PRICE),
                ("draws: no gaps", 30, NOISE),
                ("VAE, two latents", 24, DIM),
            )
        )
        notes.arrange(DOWN, buff=0.7, aligned_edge=LEFT).move_to([-4.4, -0.1, 0])
        self.say(
            "{kl} Why? KL puts the images where the prior draws, {fill} and the draws make the decoder answer for "
            "whole neighbourhoods. The gaps are filled.",
            pause=0.8,
            kl=lambda: (*swap(self.others(head), plane, means, notes[::2]), 1.4),
            fill=(lag(0.6, *map(FadeIn, drawn)), FadeIn(notes[1]), 3.0),
        )


class Cells(Beat):
    chapter, section = "The same on cells", "3.7"

    def construct(self):
        self.head()
        matrix = detected(np.asarray(lesson.value("3.7", "cells[:26, :84]"))).move_to(DOWN * 0.3)
        names = VGroup(
            words("cells", 26, DIM).next_to(matrix, LEFT, buff=0.2),
            words("genes: detected, or not", 26, DIM).next_to(matrix, UP, buff=0.25),
        )
        frame = SurroundingRectangle(matrix, color=MEAN, buff=0.08, stroke_width=6)
        assert lesson.line(r"genes detected").startswith("(700, 765)")
        self.say(
            "{bits} Now real data, where no eye can judge: 700 blood cells, 765 genes, each detected or not. {same} "
            "The same code.",
            bits=(FadeIn(matrix), FadeIn(names), 1.4),
            same=(ShowPassingFlash(frame, time_width=0.5), 1.2),
        )
        groups, kinds, purity = (lesson.value("3.7", name) for name in ("groups", "group_names", "purity"))
        scores, z = (np.array(lesson.value("3.7", name)) for name in ("scores", "z_cells"))
        near = lesson.text(r"share of a cell's (\d+)\s+nearest")
        assert purity[1] > purity[0]
        stage = plot_axes((-2.7, 2.3), (-2.2, 2.5), width=7.4, height=5.9).move_to([-2.4, -0.35, 0])
        flat = (scores - (scores.max(axis=0) + scores.min(axis=0)) / 2) / np.ptp(scores, axis=0) * [4.6, 4.2]
        cells = Cloud(stage, flat, groups, radius=0.055)
        legend = VGroup(
            VGroup(Dot(radius=0.1, color=GROUPS[k]), words(name, 26)).arrange(RIGHT, buff=0.2)
            for k, name in enumerate(kinds)
        )
        for k, one in enumerate(legend):
            one[0].move_to([3.2, -0.1 - 0.52 * k, 0])
            one[1].move_to([3.5, -0.1 - 0.52 * k, 0], LEFT)
        titles = VGroup(
            words(name, 38, color, weight=BOLD).move_to([3.5, 2.2 - 0.95 * k, 0], LEFT)
            for k, (name, color) in enumerate((("PCA", DIM), ("VAE", MEAN)))
        )
        shares = VGroup(
            mono(f"{share:.0%}", 44).move_to([5.2, 2.2 - 0.95 * k, 0], LEFT) for k, share in enumerate(purity)
        )

        self.say(
            f"{{pca}} In two principal components, they look like this. {{pure}} Of a cell's {near} nearest "
            f"neighbours, {100 * purity[0]:.0f} percent are of its own kind.",
            pause=1.0,
            pca=(*swap(Group(matrix, names), cells, legend, titles[0]), 1.2),
            pure=(FadeIn(shares[0], rate_func=LATE), Indicate(titles[0], color=INK), 1.2),
        )
        self.say(
            f"{{vae}} In two latents of the VAE, like this: {{more}} {100 * purity[1]:.0f} percent. {{label}} Neither "
            "saw a label.",
            pause=1.2,
            vae=(cells.to(z), FadeIn(titles[1]), 2.0),
            more=(FadeIn(shares[1].set_color(GOOD)), 0.6),
            label=(swell(legend), 1.2),
        )


class Fade(Beat):
    """From a 6 to a 4: decoded on the way, and faded."""

    section = "3.8"

    def construct(self):
        self.head()
        kinds = lesson.value("3.6", "one_each")
        walk = np.asarray(lesson.value("3.8", "latent_walk(model, test_x[one_each[6]], test_x[one_each[4]], 121)"))
        t = np.linspace(0, 1, 121)[:, None]
        fade = (1 - t) * walk[0] + t * walk[-1]
        plane = Plane(5.8, 2.7).move_to([-3.6, -0.4, 0])
        numerals = plane.numerals(snapshots[-1], truth, 20).set_opacity(0.4)
        line = Line(*[plane.c2p(*snapshots[-1][kinds[digit]]) for digit in (6, 4)], color=INK, stroke_width=5)
        dot = Dot(line.get_start(), 0.16, color=LATENT)
        big = Group(Picture(walk[0], 2.3).move_to([1.7, 0.9, 0]), Picture(fade[0], 2.3).move_to([5.0, 0.9, 0]))
        names = VGroup(
            words("walk", 30, LATENT).next_to(big[0], UP, buff=0.2),
            words("fade", 30, DIM).next_to(big[1], UP, buff=0.2),
        )
        law = math('z_t = (1 - t) thin z_"start" + t thin z_"end"', 42).move_to([3.35, -1.0, 0])
        card = question("What does each show halfway?", 28).move_to([3.35, -2.5, 0])

        def follow(start: float, end: float) -> Animation:
            def step(group: Group, share: float) -> None:
                now = start + (end - start) * share
                group[0].move_to(line.point_from_proportion(now))
                group[1].show(walk[round(now * 120)])
                group[2].show(fade[round(now * 120)])

            return UpdateFromAlphaFunc(Group(dot, *big), step)

        self.say(
            "{ends} What lies between two digits? {line} Walk the straight line between their means, {law} and decode "
            "every step. {fade} Or, the lazy way, fade one into the other, pixel by pixel. {ask} What does each show "
            "halfway?",
            pause=2.0,
            ends=(FadeIn(plane), FadeIn(numerals), 0.9),
            line=(Create(line), FadeIn(dot), FadeIn(big[0]), FadeIn(names[0]), 1.0),
            law=(Write(law), 1.1),
            fade=(FadeIn(big[1]), FadeIn(names[1]), 0.8),
            ask=(ask(card), 0.8),
        )
        frame = SurroundingRectangle(big[0], color=LATENT, buff=0.08, corner_radius=0.06, stroke_width=4)
        self.say(
            "{half} The fade is a smudge. {zero} The walk passes through a zero, {on} and becomes the 4.",
            pause=1.2,
            half=(FadeOut(card, rate_func=EARLY), follow(0, 0.5), 1.8),
            zero=(Create(frame), 0.8),
            on=(follow(0.5, 1), 2.0),
        )


class Walk(Beat):
    """From a T cell to a monocyte: four genes change on the way, and hardly a cell stands there."""

    section = "3.8"

    def construct(self):
        self.head()
        groups, kinds = (lesson.value("3.7", name) for name in ("groups", "group_names"))
        z, path = np.array(lesson.value("3.7", "z_cells")), np.array(lesson.value("3.8", "path"))
        plane = plot_axes((-2.8, 2.2), (-2.2, 2.4), width=5.9, height=5.4).move_to([-3.6, -0.4, 0])
        line = Line(plane.c2p(*path[0]), plane.c2p(*path[-1]), color=INK, stroke_width=5)
        dot, cells = Dot(line.get_start(), 0.15, color=INK), Cloud(plane, z, groups, opacity=0.55)
        axes = plot_axes(
            (0, 20),
            (0, 1),
            "",
            "probability of detection",
            4.6,
            4.2,
            y_marks=[0, 0.5, 1],
            x_marks={0: "T cell", 20: "monocyte"},
        )
        axes.move_to([2.95, -0.4, 0])
        color = [GROUPS[kinds.index(name)] for name in ("T cell", "CD14+ Monocyte")]
        genes = list(zip(("CD3D", "IL32", "LYZ", "S100A9"), lesson.value("3.8", GENES).T, (0, 0, 1, 1), strict=True))
        curves = VGroup(*[curve(axes, np.linspace(0, 20, 121), values, color[k]) for _, values, k in genes])
        places = (axes.c2p(20, 0.2), axes.c2p(20, 0.09), axes.c2p(20, 1.0), axes.c2p(20, 0.76))
        names = VGroup(
            words(name, 24, color[k]).next_to(place, RIGHT, buff=0.15)
            for (name, _, k), place in zip(genes, places, strict=True)
        )
        late = squish_rate_func(smooth, 0.85, 1)
        self.say(
            "{cells} Now cells, from a T cell {to} to a monocyte. {walk} Two T cell genes fade from the decoder's "
            "answer, two monocyte genes come in. It looks like a cell changing its type.",
            pause=0.5,
            cells=(FadeIn(plane), FadeIn(cells), FadeIn(axes), FadeIn(dot, scale=2), 0.9),
            to=(Create(line), 0.8),
            walk=(
                MoveAlongPath(dot, line, rate_func=linear),
                *[Create(one, rate_func=linear) for one in curves],
                FadeIn(names, rate_func=late),
                6.0,
            ),
        )
        self.nobody(plane, VGroup(dot, axes, curves, names), line, path)

    def nobody(self, plane: Plot, gone: VGroup, line: Line, path: np.ndarray) -> None:
        """Count the cells near each step."""
        near = [int(one) for one in numbers(lesson.line(r"cells within 0\.3 of each step:"))[1:]]
        assert min(near[0], near[-1]) >= 24
        assert max(near[9:12]) <= 4
        ring = ellipse(plane, path[0], (0.3, 0.3), deviations=1).set_stroke(width=6)
        axes = plot_axes(
            (-0.5, 20.5), (0, 70), "", "cells within 0.3", 5.2, 4.2, {0: "T cell", 20: "monocyte"}, [0, 30, 60]
        )
        bars = histogram(axes.move_to([3.3, -0.4, 0]), np.arange(-0.5, 21), near, MEAN, 0)
        card = question("How many of the 700 cells\nare near the middle?", 30).move_to([3.3, -0.3, 0])

        def sweep(group: VGroup, share: float) -> None:
            group[0].move_to((1 - share) * plane.c2p(*path[0]) + share * plane.c2p(*path[-1]))
            for k, bar in enumerate(group[1]):
                bar.set_fill(opacity=0.85 if share > 0 and k <= share * 20 + 1e-6 else 0)

        self.say(
            "{ask} How many of the 700 cells are near the middle?",
            pause=2.0,
            ask=(FadeOut(gone, rate_func=EARLY), ask(card), 1.0),
        )
        self.say(
            "{sweep} Count them within reach of each step: dozens near either end, {none} hardly one in the middle. "
            "{model} There, nothing ever corrected the decoder: a walk shows what the model puts between two cells, "
            "{exist} not that such cells exist.",
            pause=0.8,
            sweep=(
                FadeOut(card, rate_func=squish_rate_func(smooth, 0, 0.15)),
                FadeIn(axes, rate_func=squish_rate_func(smooth, 0.15, 0.3)),
                UpdateFromAlphaFunc(VGroup(ring, bars), sweep, rate_func=squish_rate_func(linear, 0.3, 1)),
                3.2,
            ),
            none=lambda: (ring.animate.move_to(plane.c2p(*path[10])).set_stroke(BAD), 1.0),
            model=lambda: (Wiggle(ring), bars[8:13].animate.set_fill(BAD), 1.4),
            exist=(ShowPassingFlash(line.copy().set_stroke(BAD, 12), time_width=0.4), 2.0),
        )


class Colleague(Beat):
    chapter, section = "A weight that nobody set", "3.9"

    def construct(self):
        self.head()
        shown = slim("return nn.functional.binary_cross_entropy_with_logits(logits, x) + kl").move_to(UP * 0.5)
        source = shown.lines[0].shown
        start, end = (source[: source.index(part)].replace(" ", "") for part in ("nn.", "(logits"))
        ready = SurroundingRectangle(
            shown.lines[0][len(start) : len(end)], color=BAD, buff=0.08, corner_radius=0.06, stroke_width=3
        )
        names = VGroup(
            words(text, 28, color).next_to(shown, DOWN, buff=0.2).set_x(part.get_x())
            for text, color, part in (("BCE?", FIT, ready), ("KL", PRICE, shown.lines[0][len(end) + 11 :][:2]))
        )
        smear = row(np.asarray(lesson.value("3.9", "rows")["colleague's"])[:8], 1.2, 0.25).move_to(DOWN * 0.9)
        self.say(
            "{code} A colleague takes PyTorch's ready-made loss, and adds the KL. {run} It runs, the loss falls, "
            "{same} and every sample is the same grey smear.",
            pause=0.6,
            code=(FadeIn(shown, rate_func=EARLY), Create(ready, rate_func=LATE), FadeIn(names, rate_func=LATE), 2.0),
            run=(Indicate(shown, color=INK, scale_factor=1.02), 0.8),
            same=lambda: (
                VGroup(shown, ready, names).animate.shift(UP * 1.6),
                lag(0.15, *[FadeIn(one, shift=UP * 0.2) for one in smear]),
                1.4,
            ),
        )
        colors = {"b": FIT, "k": PRICE, "w": BAD}
        steps = Derivation(
            ['"loss" &= {{1/64 "BCE" : b}} + {{KL : k}}', '&= 1/64 ({{"BCE" : b}} + {{64 : w}} {{KL : k}})'],
            colors=colors,
            size=56,
        ).move_to(DOWN * 0.1)
        card = question("Which run prints the smaller loss?", 32).move_to(DOWN * 2.75)
        self.say(
            "{mean} That function averages over images and pixels: the sum, divided by 64. {front} Pull out the "
            "factor, which moves no minimum, and which Adam does not notice: {beta} a weight of 64 on the KL is what "
            "stays. {ask} Which run prints the smaller loss?",
            pause=2.0,
            mean=(FadeOut(smear, names, rate_func=EARLY), steps.reveal(0), 1.2),
            front=(steps.reveal(1), 1.4),
            beta=(Circumscribe(steps.line(1).select("w"), color=BAD, stroke_width=6), 1.4),
            ask=(ask(card), 0.8),
        )


class Collapse(Beat):
    section = "3.9"

    def construct(self):
        self.head()
        self.theirs, self.some = np.array(lesson.value("3.9", COLLEAGUE)), np.arange(0, 297, 2)
        self.planes = planes = VGroup(*[Plane(4.5, 2.9).move_to([x, 0.15, 0]) for x in (-3.5, 3.5)])
        names = VGroup(
            words("yours", 30, GOOD).next_to(planes[0], UP, buff=0.15),
            words("the colleague's", 30, BAD).next_to(planes[1], UP, buff=0.15),
        )
        self.numerals = [
            plane.numerals(places[0][self.some], truth[self.some], 20)
            for plane, places in zip(planes, (snapshots, self.theirs), strict=True)
        ]
        self.epoch = VGroup(words("epoch", 28, DIM), Reading([str(k) for k in range(26)], 48, MEAN)).arrange(
            DOWN, buff=0.25
        )
        self.say(
            "{both} Train both, side by side. {go} Yours unfolds. {theirs} The colleague's shrinks, {point} until "
            "every digit stands at one point.",
            pause=0.8,
            both=(FadeIn(planes), FadeIn(names), FadeIn(*self.numerals), FadeIn(self.epoch), 0.9),
            go=self.both(0, 4, 1.1),
            theirs=self.both(4, 12, 1.4),
            point=self.both(12, 25, 2.4),
        )
        loss, parts = zip(
            *[(found[0], found[1:3]) for found in map(numbers, (lesson.line(r"^yours"), lesson.line(r"^colleague's")))],
            strict=True,
        )
        assert float(parts[1][1]) == 0
        assert float(loss[1]) < float(loss[0])
        prints, below = VGroup(), VGroup()
        for plane, value, (bce, kl) in zip(planes, loss, parts, strict=True):
            prints.add(
                VGroup(words("prints", 28, DIM), mono(value, 38))
                .arrange(RIGHT, buff=0.25)
                .next_to(plane, DOWN, buff=0.25)
            )
            below.add(
                VGroup(words(f"BCE {bce}", 28, FIT), words(f"KL {kl}", 28, PRICE), words("nats", 28, DIM))
                .arrange(RIGHT, buff=0.4)
                .next_to(prints[-1], DOWN, buff=0.32)
            )
        self.say(
            "{print} The wrong run prints the smaller loss, in other units. {parts} Its KL is 0, its BCE that of the "
            "coins. {name} A nat of KL has to save 64 nats of BCE, so the latents say nothing: {known} posterior "
            "collapse.",
            pause=0.8,
            print=(FadeIn(prints, shift=UP * 0.15), 0.8),
            parts=(FadeIn(below, shift=UP * 0.15), 0.8),
            name=(Circumscribe(below[1], color=BAD), 1.6),
            known=(Flash(self.numerals[1], color=BAD, flash_radius=0.5), 1.0),
        )

    def both(self, start: int, end: int, seconds: float) -> tuple:
        """Return both trainings from one epoch to another."""
        pairs = zip(self.planes, self.numerals, (snapshots, self.theirs), strict=True)
        moves = [plane.moving(group, places[start : end + 1, self.some]) for plane, group, places in pairs]
        return (*moves, self.epoch[1].run(start, end), seconds)


class Betas(Beat):
    """The weight as a slider: three runs from the figure of section 3.9."""

    section = "3.9"

    def construct(self):
        self.head()
        kept = lesson.value("3.9", BETAS)
        runs, labels, values = kept["runs"], np.array(kept["labels"]), [0.01, 1, 4]
        shrunk, grown = (
            lesson.text(r"shrinks to a line, and kl to ([\d.]+)\."),
            lesson.text(r"at 0\.01 kl is\s+([\d.]+),"),
        )
        saved = lesson.text(r"to save (0[\d.]+)\s+nats of bce")
        assert (f"{runs[4]['kl']:.2f}", f"{runs[0.01]['kl']:.1f}") == (shrunk, grown)
        assert f"{runs[1]['bce'] - runs[0.01]['bce']:.1f}" == saved
        plane = Plane(6.3, 4.1).move_to([-2.9, -0.4, 0])
        numerals = plane.numerals(runs[1]["mu"], labels, 20)
        line = Line([1.9, 1.7, 0], [6.1, 1.7, 0], color=DIM, stroke_width=4)
        at = {beta: line.point_from_proportion(k / 2) for k, beta in enumerate(values)}
        marks = VGroup(*[words(f"{beta:g}", 26, DIM).next_to(place, DOWN, buff=0.4) for beta, place in at.items()])
        marks.add(*[Line(UP * 0.25, DOWN * 0.25, color=DIM, stroke_width=4).move_to(place) for place in at.values()])
        name, knob = math("beta", 54, BAD).next_to(line, UP, buff=0.35), Dot(at[1], 0.17, color=BAD)
        told = VGroup(
            Reading([f"{part:3} {runs[beta][part.lower()]:5.2f}" for beta in values], 36, color)
            .show(1)
            .move_to([4.0, y, 0])
            for part, color, y in (("BCE", FIT, 0.2), ("KL", PRICE, -0.4))
        )
        told.add(*[words("nats", 26, DIM).next_to(one, RIGHT, buff=0.3) for one in told])
        images = (
            Group(*[Picture(one, 0.9) for one in runs[1]["made"][:8]])
            .arrange_in_grid(2, 4, buff=0.15)
            .move_to([4.0, -1.95, 0])
        )
        note = words("made up", 24, DIM).next_to(images, DOWN, buff=0.2)

        def slide(start: float, end: float) -> list[Animation]:
            """Return the knob, the plane and what it makes, all on their way together, by what lies between."""
            first, last = values.index(start), values.index(end)
            stops = np.arange(first, last + np.sign(last - first), np.sign(last - first))
            places, made = (np.array([runs[values[k]][name] for k in stops]) for name in ("mu", "made"))
            times = np.linspace(0, len(stops) - 1, 61)
            k = np.minimum(times.astype(int), len(stops) - 2)
            film = made[k] + (times - k)[:, None, None] * (made[k + 1] - made[k])

            def slid(one: Dot, share: float) -> None:
                one.move_to((1 - share) * at[start] + share * at[end])

            return [
                plane.moving(numerals, places, smooth),
                UpdateFromAlphaFunc(knob, slid, rate_func=smooth),
                *[text.run(first, last, smooth) for text in told[:2]],
                *[frames(one, film[:, i], smooth) for i, one in enumerate(images)],
            ]

        assert lesson.text(r"code gives \$\\beta = (\d+)\$") == "765"
        self.say(
            "{slider} Such a weight is called beta. {four} At 4 already, the plane shrinks to a line, with a KL "
            f"of {shrunk}.",
            pause=1.0,
            slider=(
                FadeIn(plane),
                FadeIn(numerals),
                FadeIn(line, marks, name, knob),
                FadeIn(told),
                FadeIn(images),
                FadeIn(note),
                1.2,
            ),
            four=(*slide(1, 4), 2.6),
        )
        self.say(
            f"{{low}} With beta near 0 the plane grows, and pays {grown} nats of KL in place of "
            f"{runs[1]['kl']:.1f}, to save {saved} of BCE. "
            "{rule} So sum over what belongs to one cell, and average over cells. {cells} On 765 genes, the "
            "colleague's code sets beta to 765.",
            pause=0.8,
            low=(*slide(4, 0.01), 2.8),
            rule=(*slide(0.01, 1), 2.4),
            cells=(Indicate(name, color=BAD), 1.2),
        )


class Gallery(Beat):
    chapter, section = "Reading a run, and the win", "3.10"

    def construct(self):
        self.head()
        runs, level = lesson.value("3.10", "runs"), lesson.value("3.10", "no_latents")
        panels, drawn = VGroup(), VGroup()
        for k, (letter, run) in enumerate(runs.items()):
            axes = plot_axes((0, 40), (-1, 48), width=3.7, height=4.4, y_marks=[] if k % 3 else [0, 20, 40])
            axes.shift([(k % 3 - 1) * 4.3 + 0.3, 0.1, 0] - axes.frame.get_center())
            rule = Line(axes.c2p(0, level), axes.c2p(40, level), color=DIM, stroke_width=3)
            name = words(f"run {letter}", 28, DIM).next_to(axes.frame, UP, buff=0.15)
            units = VGroup(words("epoch", 24, DIM).next_to(axes.frame, DOWN, buff=0.15))
            if k % 3 == 0:
                units.add(words("nats", 24, DIM).next_to(axes.frame.get_corner(UL), UP, buff=0.2))
            # the second three stand on the axes of the first
            panels.add(VGroup(VGroup(axes, rule, units) if k < 3 else panels[k - 3][0], name))
            curves = VGroup()
            for part, values in run.items():
                one = curve(axes, range(1, 41), values, FIT if "bce" in part else PRICE, 5)
                curves.add(DashedVMobject(one, 30) if "held" in part else one)
            drawn.add(curves)
        names = VGroup(
            words(text, 26, color)
            for text, color in (("BCE", FIT), ("KL", PRICE), ("dashed: held out", DIM), ("grey line: coins", DIM))
        )
        names.arrange(RIGHT, buff=0.9).move_to(DOWN * 3.1)
        self.say(
            "{all} All you have are the curves of six runs, five with a fault. {move} Do they move, smoothly? {part} "
            "Do training and held-out part?",
            pause=1.2,
            all=(FadeIn(panels[:3], names), *self.growing(drawn[:3]), 2.6),
            move=(lag(0.3, *[self.flash(curves[0]) for curves in drawn[:3]]), 1.6),
            part=(lag(0.3, *[self.flash(curves[2]) for curves in drawn[:3]]), 1.6),
        )
        flat = [
            k
            for k, run in enumerate(runs.values())
            if run["kl held out"][-1] < 0.05 and abs(run["bce held out"][-1] - level) < 0.5
        ]
        assert len(flat) == 1
        dead = VGroup(panels[flat[0]], drawn[flat[0]])
        frame = SurroundingRectangle(dead, color=BAD, buff=0.12, corner_radius=0.1, stroke_width=5)
        rest = [one for k in range(3, 6) if k != flat[0] for one in (panels[k], drawn[k])]
        self.say(
            "{other} The other three: {sense} does the KL make sense? {dead} Here it is zero, and BCE at the line of "
            "the coins: {check} look first for a weight on the KL. {rest} The others are yours to name.",
            pause=0.8,
            other=lambda: (
                *swap(VGroup(*[one[1] for one in panels[:3]], drawn[:3]), *[one[1] for one in panels[3:]]),
                *self.growing(drawn[3:], LATE),
                1.4,
            ),
            sense=(lag(0.3, *[self.flash(curves[1]) for curves in drawn[3:]]), 1.4),
            dead=lambda: (Create(frame), *[one.animate.fade(0.8) for one in rest], 0.9),
            check=(Indicate(dead[1], color=BAD, scale_factor=1.0), 1.2),
            rest=lambda: (FadeOut(frame), *[one.animate.fade(-4) for one in rest], 1.0),
        )

    def growing(self, drawn: VGroup, rate_func=linear) -> list[Animation]:
        """Return curves being drawn, all at once."""
        return [Create(one, lag_ratio=0, rate_func=rate_func) for curves in drawn for one in curves]

    def flash(self, path: VMobject) -> Animation:
        """Return a light that runs along a curve, dashed or not."""
        parts = path.submobjects or [path]
        return lag(0.05, *[Indicate(one, color=INK, scale_factor=1.0) for one in parts])


class Worth(Beat):
    section = "3.11"

    def construct(self):
        self.head()
        vae, coins, depth = (np.asarray(lesson.value("3.11", name)) for name in ("of_vae", "of_coins", "of_depth"))
        told = [
            re.search(r": \+(\d+) ± (\d+), better in (\d+)%", lesson.line(rf"^VAE .*, {name} ")).groups()
            for name in ("coins", "depth")
        ]
        axes = plot_axes(
            (-20, 90), (0, 32), "nats", "held-out cells", 10.4, 4.3, [0, 20, 40, 60, 80], [0, 10, 20, 30]
        ).move_to(DOWN * 0.4)
        edges = np.arange(-20, 91, 5)
        bars = [
            histogram(axes, edges, np.histogram(vae - rival, edges)[0], color)
            for rival, color in ((coins, LATENT), (depth, SPREAD))
        ]
        zero = DashedLine(axes.c2p(0, 0), axes.c2p(0, 31), color=INK, stroke_width=3)
        sides = VGroup(
            words(text, 24, color).next_to(axes.c2p(0, 30), side, buff=0.2)
            for text, color, side in (("rival wins", DIM, LEFT), ("VAE wins", GOOD, RIGHT))
        )
        tags = [
            VGroup(words(text, 30, color), mono(f"+{found[0]} ± {found[1]}", 38, color))
            .arrange(DOWN, buff=0.25)
            .move_to(axes.c2p(73, 22))
            for text, color, found in zip(("over coins", "over coins + depth"), (LATENT, SPREAD), told, strict=True)
        ]
        card = question(f"By how many nats a cell?\n3, 12 or {told[0][0]}?", 32).move_to(axes.c2p(45, 16))
        assert len(vae) == 140
        bits = np.asarray(lesson.value("3.7", "cells[:26, :84]"))
        matrix = detected(bits[:20]).move_to([0.5, 0.6, 0])
        chances = detected(bits.mean(axis=0, keepdims=True)).stretch_to_fit_height(0.7).move_to([0.5, -1.9, 0])
        notes = VGroup(
            words("cells", 26, DIM).next_to(matrix, LEFT, buff=0.2),
            words("coins", 26, LATENT).next_to(chances, LEFT, buff=0.2),
            words("how often each gene is detected", 26, DIM).next_to(chances, DOWN, buff=0.25),
        )
        self.say(
            "{axes} Was it worth it? {rival} The rival, on 140 held-out cells: coins that know how often each gene is "
            "detected. {ask} By how many nats a cell does the VAE win?",
            pause=2.0,
            axes=(FadeIn(matrix, notes[0]), 0.8),
            rival=(FadeIn(chances, shift=DOWN * 0.8), FadeIn(notes[1:], rate_func=LATE), 1.6),
            ask=(*swap(Group(matrix, chances, notes), axes, zero, sides), ask(card), 1.4),
        )
        grow = [lag(0.05, *[GrowFromEdge(one, DOWN) for one in some]) for some in bars]
        self.say(
            f"{{coins}} By {told[0][0]}, give or take {told[0][1]}. {{depth}} A rival that also knows how many genes "
            f"a cell shows {{still}} loses by {told[1][0]}, in {told[1][2]} percent of the cells.",
            pause=1.0,
            coins=(FadeOut(card, rate_func=EARLY), grow[0], FadeIn(tags[0], rate_func=LATE), 1.4),
            depth=lambda: (bars[0].animate.set_fill(opacity=0.2), FadeOut(tags[0]), 0.9),
            still=(grow[1], FadeIn(tags[1]), 1.4),
        )


class Asked(Beat):
    section = "3.12"

    def construct(self):
        self.head()
        kind = lesson.value("3.6", "one_each")[6]
        items = [("3.1", "write the loss, in two parts"), ("3.2", "write one epoch of training")]
        items += [("3.4", "walk between two cells"), ("3.5", "find the faults in six runs")]
        card = notebook_card(3, items).scale(0.88).move_to([-1.9, -0.2, 0])
        strokes = np.flatnonzero(digits[kind])
        film = [np.where(np.isin(np.arange(64), strokes[:k]), digits[kind], 0) for k in range(len(strokes) + 1)]
        painted = Picture(film[0], 2.2).move_to([4.9, 1.4, 0])
        answer = Picture(digits[kind] * 0, 2.2).move_to([4.9, -1.9, 0])
        names = VGroup(words("painted", 24, DIM), words("your decoder", 24, DIM))
        names[0].next_to(painted, UP, buff=0.2), names[1].next_to(answer, UP, buff=0.2)
        self.say(
            "{card} Your turn. You will write {loss} the loss {loop} and the training loop, {walk} walk between two "
            "cells, {runs} and find the faults in six runs. {draw} Then paint a digit, {reply} and your own "
            "weights answer.",
            pause=1.2,
            card=(card.appear(), 0.8),
            loss=(card.reveal(0), 0.4),
            loop=(card.reveal(1), 0.5),
            walk=(card.reveal(2), 0.5),
            runs=(card.reveal(3), 0.5),
            draw=(FadeIn(names[0], rate_func=EARLY), frames(painted, film), 1.2),
            reply=(FadeIn(names[1]), into(answer, lesson.value("3.6", "rebuilt[one_each]")[6]), 1.4),
        )
        die, z = Die(0.95).move_to([4.4, -0.2, 0]), node("z", LATENT).move_to([6.2, -0.2, 0])
        mark = words("?", 60, SLOPE, weight=BOLD).move_to([4.4, 1.2, 0])
        back = glowing(z.get_left(), die.get_right())
        self.say(
            "{last} And how does a gradient {back} get through the draw, and is the loss a bound? That is lesson 4.",
            pause=1.5,
            last=(*swap(Group(painted, answer, names), die, z), 0.9),
            back=(
                die.roll([4, 2, 6, 1, 3, 5], 1.0),
                Create(back, lag_ratio=0, rate_func=LATE),
                FadeIn(mark, rate_func=LATE),
                1.8,
            ),
        )


class Poster(Lecture):
    def construct(self):
        plane = Plane(6.8, 2.9).move_to([3.3, 0, 0])
        title = VGroup(
            words(text, 66, color, weight=BOLD)
            for text, color in (("The demo,", INK), ("running", MEAN), ("the network", MEAN))
        )
        title.arrange(DOWN, buff=0.3, aligned_edge=LEFT).move_to([-6.4, 0.7, 0], LEFT)
        made = row(np.asarray(lesson.value("3.6", "made_up"))[[0, 3, 11, 2, 8]], 0.95, 0.2).move_to(
            [-6.4, -2.0, 0], LEFT
        )
        self.add(plane, plane.numerals(snapshots[-1], truth, 26), title, made)
