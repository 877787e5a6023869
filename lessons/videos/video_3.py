"""Film 3: the demo, running the network."""

import re
from textwrap import dedent

import numpy as np
from film import *

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
        result[digit] = {"mu": mu, "sd": (0.5 * logvar).exp(), "rows": []}
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
        "3.8": [
            *("ends", "path", "near"),
            "latent_walk(model, test_x[one_each[6]], test_x[one_each[4]], 121)",
            "latent_walk(cells_model, cells[ends[0]], cells[ends[1]], 121)"
            "[:, [gene_at[gene] for gene in ('CD3D', 'IL32', 'LYZ', 'S100A9')]]",
        ],
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
        self.texts = [mono(text, size, color) for text in texts]
        super().__init__(self.texts[0])

    def show(self, i: int) -> "Reading":
        """Show the i-th text."""
        self.submobjects = [self.texts[i].move_to(self[0], aligned_edge=LEFT)]
        return self

    def run(self, first: int = 0, last: int | None = None, rate_func=linear) -> Animation:
        """Return the texts from one to another, one after the other."""
        end = len(self.texts) - 1 if last is None else last
        return UpdateFromAlphaFunc(
            self, lambda one, share: one.show(round(first + share * (end - first))), rate_func=rate_func
        )


class Plane(VGroup):
    """A latent plane from -reach to reach, with the circle that holds 95 % of the prior."""

    def __init__(self, side: float = 6.0, reach: float = 3.0, name: str = "latent"):
        super().__init__()
        self.reach = reach
        self.box = RoundedRectangle(0.12, width=side, height=side, color=FAINT, stroke_width=2).set_fill(CARD, 0.6)
        unit = side / 2 / reach
        self.circle = Circle(2.45 * unit, color=DIM, stroke_width=3)
        self.cross = VGroup(*[Line(-way * 0.12, way * 0.12, color=DIM, stroke_width=2) for way in (UP, RIGHT)])
        self.add(self.box, self.cross, self.circle)

    def at(self, z: np.ndarray) -> np.ndarray:
        """Return the point of the picture at latents z."""
        return self.box.get_center() + self.box.width / 2 / self.reach * np.array([z[0], z[1], 0.0])

    def numerals(self, z: np.ndarray, labels: np.ndarray, size: float = 22) -> VGroup:
        """Return a numeral for every image, at its place, in the colour of its digit."""
        masters = [words(str(digit), size, GROUPS[digit], weight=BOLD)[0] for digit in range(10)]
        return VGroup(*[masters[label].copy().move_to(self.at(one)) for one, label in zip(z, labels, strict=True)])

    def ring(self, z: np.ndarray, sd: np.ndarray, color: str = LATENT, times: float = 1.0) -> Ellipse:
        """Return the ellipse of one standard deviation of q, or of `times` as many."""
        unit = self.box.width / self.reach * times
        return Ellipse(width=sd[0] * unit, height=sd[1] * unit, color=color, stroke_width=3).move_to(self.at(z))

    def moving(self, numerals: VGroup, history: np.ndarray, rate_func=linear) -> Animation:
        """Return numerals on their way through a history of places, (times, images, 2)."""
        last = len(history) - 1

        def step(group: VGroup, share: float) -> None:
            k = min(int(share * last), last - 1)
            rest = share * last - k
            for one, start, end in zip(group, history[k], history[k + 1], strict=True):
                one.move_to(self.at((1 - rest) * start + rest * end))

        return UpdateFromAlphaFunc(numerals, step, rate_func=rate_func)


def row(images: np.ndarray, side: float = 0.72, buff: float = 0.14) -> Group:
    """Return images side by side."""
    return Group(*[Picture(image, side) for image in images]).arrange(RIGHT, buff=buff)


def price(mu: float, sd: float) -> float:
    """Return the KL of N(mu, sd squared) from N(0, 1), in nats."""
    return 0.5 * (sd**2 + mu**2 - 1 - 2 * np.log(sd))


def code(*starts: str) -> str:
    """Return lines of the lesson's code, moved to the left."""
    return dedent(lesson.lines(*starts))


digits, truth = (np.asarray(lesson.value("3.1", name)) for name in ("test_x", "test_shown"))
snapshots = np.array(lesson.value("3.4", "snapshots"))  # (epochs, images, 2)


def numbers(line: str) -> list[str]:
    """Return the numbers of a printed line."""
    return re.findall(r"\d[\d.,]*\d|\d", line)


coins_pay = lesson.number(r"coins, without latents:")
bce_paid, kl_paid, total_paid, _ = numbers(lesson.line(r"held out: bce .* coins:"))

# ---------------------------------------------------------------------------------------------------------------------
# The beats
# ---------------------------------------------------------------------------------------------------------------------


class Judge(Beat):
    chapter, section = "A machine that makes things up", "3.1"

    def construct(self):
        title = words("A machine that makes things up", 56, weight=BOLD)
        small = heading("3.1", lesson.titles["3.1"])
        wall = (
            Group(*[Picture(image, 0.74) for image in digits[:60]]).arrange_in_grid(5, 12, buff=0.2).shift(DOWN * 0.3)
        )
        chosen, label = wall[28], str(truth[28])
        rest = Group(*[one for one in wall if one is not chosen])
        self.say(
            "{title} How do you build a machine that makes things up? {see} And how do you see whether it does so well?",
            title=(FadeIn(title, shift=UP * 0.2), 0.8),
            see=(ReplacementTransform(title, small), 1.0),
        )
        names = VGroup(
            words("image = cell", 34), words("pixel = gene", 34, MEAN), words("on or off = detected or not", 34, DIM)
        )
        names.arrange(DOWN, buff=0.6, aligned_edge=LEFT).move_to(RIGHT * 2.9 + UP * 0.2)
        big = chosen.copy().scale(5.4).move_to(LEFT * 3.4 + DOWN * 0.3)
        pixel = Square(big.height / 8, color=MEAN, stroke_width=5).move_to(
            big.get_corner(UL) + big.height / 8 * (3.5 * RIGHT + 1.5 * DOWN)
        )
        hidden = VGroup(words("shows a", 34, DIM), words(label, 40, INK, weight=BOLD)).arrange(RIGHT, buff=0.25)
        hidden.next_to(names, DOWN, buff=0.6).align_to(names, LEFT)
        cross = Line(hidden.get_left() + LEFT * 0.15, hidden.get_right() + RIGHT * 0.15, color=BAD, stroke_width=7)
        self.say(
            "{wall} On data that anyone can judge. Handwritten digits, {one} eight by eight pixels, each of them on or off. "
            "{cell} Read an image as a cell, {gene} and a pixel as a gene. Real cells come later, with the same code. "
            "{told} And no model is told which digit it sees.",
            wall=(LaggedStart(*[FadeIn(one, scale=0.6) for one in wall], lag_ratio=0.03), 1.6),
            one=lambda: (FadeOut(rest), chosen.animate.become(big), 1.0),
            cell=(FadeIn(names[0], shift=RIGHT * 0.2), 0.6),
            gene=(FadeIn(names[1:], shift=RIGHT * 0.2), Create(pixel), 0.6),
            told=(Succession(FadeIn(hidden), Create(cross)), 1.4),
        )


class Coins(Beat):
    section = "3.1"

    def construct(self):
        self.head()
        share = np.asarray(lesson.value("3.1", "share"))
        average = Picture(share, 3.0).move_to(LEFT * 4.3 + DOWN * 0.2)
        note = words("how often each pixel is on", 24, DIM).next_to(average, DOWN, buff=0.3)
        card = question("What comes out?\ndigits, one blur, or specks").move_to(RIGHT * 2.4)
        self.say(
            "{share} The simplest machine throws a loaded coin for every pixel: {often} on as often as that pixel is on "
            "in the training images. {ask} What comes out? Digits, the same blur every time, or black specks?",
            pause=1.6,
            share=(FadeIn(average, scale=0.8), 0.8),
            often=(FadeIn(note), 0.6),
            ask=(ask(card), 0.8),
        )
        thrown = np.asarray(lesson.value("3.1", "coins"))[:12]
        specks = (
            Group(*[Picture(share, 1.1) for _ in thrown])
            .arrange_in_grid(3, 4, buff=0.35)
            .move_to(RIGHT * 2.6 + DOWN * 0.2)
        )
        self.say(
            "{specks} Specks. {each} Each pixel is on as often as it should be, and still no image is a digit.",
            specks=(FadeOut(card), FadeIn(specks), 0.5),
            each=(
                LaggedStart(*[into(one, image) for one, image in zip(specks, thrown, strict=True)], lag_ratio=0.12),
                2.2,
            ),
        )
        told = [image for *_, image in lesson.value("3.6", BARGAIN)[4]["rows"][:51]]
        z, digit_made = (
            node("z", LATENT, 0.6).move_to(RIGHT * 0.2 + DOWN * 0.2),
            Picture(told[0], 3.0).move_to(RIGHT * 4.3 + DOWN * 0.2),
        )
        way = arrow(z, digit_made)
        self.say(
            "{stroke} A stroke is made of pixels that agree. {z} So something has to tell the coins which digit this is "
            "going to be. {name} That something is z.",
            pause=0.6,
            stroke=(FadeOut(specks, average, note), FadeIn(digit_made), 0.7),
            z=(FadeIn(z, scale=0.6), GrowArrow(way), 0.7),
            name=(frames(digit_made, told, smooth), Flash(z, color=LATENT, flash_radius=0.75, line_length=0.25), 1.4),
        )


class Machine(Beat):
    chapter, section = "Three parts, one machine", "3.2"

    def construct(self):
        self.head()
        net = Autoencoder().scale(0.95).shift(DOWN * 0.4)
        kind = lesson.value("3.6", "one_each")[4]
        before, after = (Picture(image, 1.1) for image in (digits[kind], lesson.value("3.6", "rebuilt[one_each]")[4]))
        before.next_to(net, LEFT, buff=0.2), after.next_to(net, RIGHT, buff=0.2)
        curve_of = bell(NumberLine([-3, 3, 1], length=2.4).move_to([-2.1, 1.6, 0]), 0, 1, MEAN, height=0.7)
        self.say(
            "{parts} Three parts make one model. {enc} The encoder looks at an image, {q} and answers with a bell: "
            "a mean, mu, and a width, sigma. {die} Then comes a draw: a standard normal number, "
            "stretched by sigma, and shifted by mu. {z} That is z.",
            parts=(FadeIn(before, shift=RIGHT * 0.3), 0.7),
            enc=(FadeIn(net.encoder, shift=RIGHT * 0.3), 0.7),
            q=(
                GrowArrow(net.ways[0]),
                GrowArrow(net.ways[1]),
                FadeIn(net.mu, scale=0.7),
                FadeIn(net.sigma, scale=0.7),
                Create(curve_of),
                1.0,
            ),
            die=(GrowArrow(net.ways[2]), GrowArrow(net.ways[3]), net.die.roll([2, 6, 1, 3, 4, 5], 1.25), 1.6),
            z=(GrowArrow(net.ways[4]), FadeIn(net.z, scale=0.7), 0.6),
        )
        law = math(
            "{{z : z}} = {{mu : m}} + {{sigma : s}} thin {{epsilon : e}}, quad {{epsilon tilde cal(N)(0, 1) : n}}", 56
        )
        for part, color in {"z": LATENT, "m": MEAN, "s": SPREAD, "e": NOISE, "n": NOISE}.items():
            law.select(part).set_color(color)
        law.move_to(UP * 2.1)
        laws = VGroup(
            *[
                math(source, 40, color).next_to(part, DOWN, buff=0.55).set_y(-2.5)
                for source, color, part in (
                    ("q(z | x)", MEAN, net.encoder),
                    ("p(z)", DIM, net.die),
                    ("p(x | z)", LATENT, net.decoder),
                )
            ]
        )
        self.say(
            "{dec} The decoder is an encoder turned round: {out} from z, a loaded coin for every pixel. Grey means perhaps. "
            "{law} In one line, the draw. {prior} Add the prior, a standard bell for z, and the model is complete.",
            dec=(GrowArrow(net.ways[5]), FadeIn(net.decoder, shift=LEFT * 0.3), 0.8),
            out=(FadeIn(after, shift=RIGHT * 0.3), 0.8),
            law=(FadeOut(curve_of), Write(law), 1.2),
            prior=(LaggedStart(*[FadeIn(one, shift=UP * 0.2) for one in laws], lag_ratio=0.3), net.flow(), 2.0),
        )


class Width(Beat):
    """The slip in the lecture notes: half the log-variance is the log of sigma, not of its square."""

    section = "3.2"

    def construct(self):
        self.head()
        sigma = lesson.text(r"Test it with \$\\sigma = ([\d.]+)\$")
        logvar, half = lesson.text(r"\\log 0.25 = (-[\d.]+)\$"), lesson.text(r"half of that is \$(-[\d.]+)\$")
        wrong = lesson.text(r"the draws spread by ([\d.]+) instead")
        assert (
            np.allclose(np.exp(float(half)), float(sigma), atol=1e-3) and f"{np.exp(float(half)) ** 0.5:.2f}" == wrong
        )
        chain = VGroup(
            VGroup(words("log-variance", 24, DIM), mono(logvar.replace("-", "−"), 44)),
            VGroup(words("halved", 24, DIM), mono(half.replace("-", "−"), 44)),
            VGroup(words("exponential", 24, DIM), mono(sigma, 44, SPREAD)),
        )
        for one in chain:
            one.arrange(DOWN, buff=0.25)
        chain.arrange(RIGHT, buff=1.6).move_to(UP * 1.9)
        ways = VGroup(*[arrow(one, other, buff=0.3) for one, other in zip(chain[:2], chain[1:], strict=True)])
        line = number_line((-3, 3, 1), math("z", 40, LATENT), 10).move_to(DOWN * 2.3)
        spread = ValueTracker(1.0)
        true = always_redraw(lambda: bell(line, 0, spread.get_value(), SPREAD, 1.3))
        rng = np.random.default_rng(0)
        eps, heights = rng.standard_normal(60), rng.uniform(0.12, 0.75, 60)
        drops = always_redraw(
            lambda: VGroup(
                *[
                    Dot(line.n2p(spread.get_value() * e) + UP * h, 0.05, color=NOISE)
                    for e, h in zip(eps, heights, strict=True)
                ]
            )
        )
        self.say(
            "{line} How wide is the bell? The encoder answers with the logarithm of the variance. {log} Say, minus "
            f"{logvar[1:]}. {{half}} Halve it, {{exp}} take the exponential, and sigma is {sigma}.",
            line=(FadeIn(line), FadeIn(true), FadeIn(drops), 0.8),
            log=(FadeIn(chain[0], shift=UP * 0.2), 0.7),
            half=(GrowArrow(ways[0]), FadeIn(chain[1], shift=RIGHT * 0.2), 0.7),
            exp=lambda: (
                GrowArrow(ways[1]),
                FadeIn(chain[2], shift=RIGHT * 0.2),
                spread.animate.set_value(float(sigma)),
                1.2,
            ),
        )
        kept = bell(line, 0, float(sigma), SPREAD, 1.3, fill=0)
        tag = words(f"spread {wrong}", 30, BAD, weight=BOLD).next_to(line.n2p(1.1), UP, buff=1.1)
        self.say(
            "{slip} The lecture notes behind this course took that half for the log of sigma squared. {wide} Then the draws "
            f"spread by {wrong} instead, {{err}} and nothing raises an error.",
            pause=0.6,
            slip=(Indicate(chain[1], color=BAD), FadeIn(kept), 1.0),
            wide=lambda: (spread.animate.set_value(float(wrong)), FadeIn(tag, shift=LEFT * 0.2), 1.2),
            err=(Indicate(tag, color=BAD), 0.8),
        )


class Twice(Beat):
    section = "3.2"

    def construct(self):
        self.head()
        source = code("logits, mu, logvar = model(torch.zeros(2, 64))", 'print("same mean:', 'print("same logits:')
        shown = listing(source, 26).move_to(UP * 1.35)
        bar = glow(shown, 0)
        out = output("\n".join(lesson.printed('print("same mean:').splitlines()[:2]), shown, 30)
        card = question("Equal means?  Equal outputs?", 32).move_to(DOWN * 1.6)
        self.say(
            "{code} Now give it the same image twice, in eval mode. {ask} Will the two means be equal? "
            "And the two outputs?",
            pause=1.6,
            code=(FadeIn(shown), FadeIn(bar), 0.8),
            ask=(ask(card), 0.8),
        )
        yes, no = piece(out.lines[0], "True"), piece(out.lines[1], "False")
        dice = VGroup(Die(0.9), Die(0.9)).arrange(RIGHT, buff=0.5).next_to(out, RIGHT, buff=2.2)
        self.say(
            "{mean} The means, yes. {out} The outputs, no. {draw} Eval stops dropout. It does not stop the draw, "
            "which belongs to the model, not to its training. {place} Where you want one fixed place for a cell, take the mean.",
            mean=lambda: (
                FadeOut(card),
                FadeIn(out.label),
                FadeIn(out.lines[0]),
                glow_to(bar, shown, 1),
                yes.animate.set_color(GOOD),
                0.6,
            ),
            out=lambda: (FadeIn(out.lines[1]), glow_to(bar, shown, 2), no.animate.set_color(BAD), 0.6),
            draw=(FadeIn(dice), dice[0].roll([5, 1, 6, 2], 1.0), dice[1].roll([3, 6, 4, 5], 1.2), 1.6),
            place=(FadeOut(dice), Circumscribe(out.lines[0], color=MEAN, fade_out=True), 1.6),
        )


class Cost(Beat):
    chapter, section = "A loss in two parts", "3.3"

    def construct(self):
        self.head()
        logits = [float(one) for one in re.findall(r"-?\d+\.\d", lesson.lines("logits_toy = torch.tensor"))]
        pixels = [float(one) for one in re.findall(r"\d+\.\d", lesson.lines("x_toy = torch.tensor"))]
        *costs, total = numbers(lesson.line(r"each pixel: \["))
        columns = VGroup()
        for k, (pixel, logit, cost) in enumerate(zip(pixels, logits, costs, strict=True)):
            x = (k - 1.5) * 2.3
            square = Square(1.0, color=DIM, stroke_width=3).set_fill(INK if pixel else CARD, 1).move_to([x, -1.3, 0])
            state = words("on" if pixel else "off", 26, GROUND if pixel else DIM).move_to(square)
            said = mono(f"{logit:g}".replace("-", "−"), 34, LATENT).next_to(square, DOWN, buff=0.35)
            bar = (
                Rectangle(width=1.0, height=float(cost) * 0.85, stroke_width=0)
                .set_fill(FIT, 0.9)
                .next_to(square, UP, buff=0.15)
            )
            columns.add(VGroup(VGroup(square, state), said, bar, mono(cost, 30).next_to(bar, UP, buff=0.15)))
        names = VGroup(
            words("pixel", 24, DIM).set_y(-1.3),
            words("logit", 24, LATENT).set_y(columns[0][1].get_y()),
            words("nats", 24, FIT).set_y(-0.4),
        )
        for name in names:
            name.set_x(-4.6, RIGHT)
        self.say(
            "{loss} Which one number says how good a model is? {pix} Take four pixels, two on, two off. {logits} The decoder "
            "promised each a coin, and these are its logits. {ask} A coin costs minus the logarithm of its probability. "
            "Which pixel costs most?",
            pause=1.5,
            loss=(FadeIn(names[0]), 0.5),
            pix=(LaggedStart(*[FadeIn(one[0], scale=0.6) for one in columns], lag_ratio=0.2), 1.0),
            logits=(
                LaggedStart(*[FadeIn(one[1], shift=UP * 0.2) for one in columns], lag_ratio=0.2),
                FadeIn(names[1]),
                1.0,
            ),
            ask=(
                LaggedStart(*[Indicate(one[0], color=MEAN, scale_factor=1.1) for one in columns], lag_ratio=0.4),
                FadeIn(names[2]),
                2.4,
            ),
        )
        assert max(costs, key=float) == costs[3] and pixels[3] == 0
        whole = (
            VGroup(words("sum", 30, DIM), mono(total, 40, FIT), words("nats", 30, DIM))
            .arrange(RIGHT, buff=0.25)
            .move_to(DOWN * 3.1)
        )
        self.say(
            f"{{grow}} The last. It was promised, with a logit of {logits[3]:.0f}, and did not come. {{sum}} Together, "
            f"{total} nats. {{name}} That is the reconstruction part of the loss, the binary cross-entropy. For short: BCE.",
            grow=(
                LaggedStart(
                    *[AnimationGroup(GrowFromEdge(one[2], DOWN), FadeIn(one[3])) for one in columns], lag_ratio=0.25
                ),
                1.8,
            ),
            sum=(FadeIn(whole, shift=UP * 0.2), 0.7),
            name=(
                LaggedStart(*[Indicate(one[2], color=FIT, scale_factor=1.05) for one in columns], lag_ratio=0.2),
                1.2,
            ),
        )


class Price(Beat):
    section = "3.3"

    def construct(self):
        self.head()
        placed = lesson.text(r"1 - 0\) = ([\d.]+)\$ nats")
        sure = lesson.text(r"0.25\$ pays ([\d.]+)\.")
        assert np.isclose(price(1, 1), float(placed), atol=5e-4) and np.isclose(price(0, 0.5), float(sure), atol=5e-4)
        line = number_line((-4, 4, 1), math("z", 40, LATENT), 11).move_to(DOWN * 2.4)
        prior = bell(line, 0, 1, DIM, 2.0, fill=0.05)
        mu, sd = ValueTracker(0), ValueTracker(1)
        own = always_redraw(
            lambda: bell(line, mu.get_value(), sd.get_value(), MEAN, 1.2 if sd.get_value() < 0.3 else 2.0)
        )
        law = math(r'"KL" = 1/2 ({{sigma^2 : s}} + {{mu^2 : m}} - 1 - log {{sigma^2 : t}})', 48)
        for part, color in {"m": MEAN, "s": SPREAD, "t": SPREAD}.items():
            law.select(part).set_color(color)
        law.move_to(UP * 2.2)
        self.say(
            "{alone} If that were all, the encoder would shrink its bell {point} to a point, {far} and put it wherever it liked. "
            "{price} So leaving the prior has a price: the KL divergence.",
            alone=(FadeIn(line), FadeIn(prior), FadeIn(own), 0.7),
            point=lambda: (sd.animate.set_value(0.2), 0.9),
            far=lambda: (mu.animate.set_value(3.2), 0.8),
            price=lambda: (Write(law), mu.animate.set_value(0), sd.animate.set_value(1), 1.4),
        )
        bar = always_redraw(
            lambda: (
                Rectangle(width=0.05 + 5 * price(mu.get_value(), sd.get_value()), height=0.42, stroke_width=0)
                .set_fill(PRICE, 0.9)
                .move_to([-2.5, 1.05, 0], aligned_edge=LEFT)
            )
        )
        name = words("price", 26, PRICE).next_to([-2.5, 1.05, 0], LEFT, buff=0.3)
        tags = [
            mono(text, 34, PRICE).move_to([-2.5 + 5 * float(text) + 0.35, 1.05, 0], aligned_edge=LEFT)
            for text in (placed, sure)
        ]
        zero = mono("0", 34, PRICE).move_to([-2.1, 1.05, 0], aligned_edge=LEFT)
        self.say(
            f"{{place}} Stand at one instead of zero, and you pay {float(placed):g} nats. {{sure}} Stay at zero, with a quarter "
            f"of the variance: {sure}. {{both}} A special place costs, and being sure costs. {{nothing}} To give the prior "
            "as the answer to every image costs nothing, {says} and says nothing.",
            pause=0.5,
            place=lambda: (FadeIn(name), FadeIn(bar), mu.animate.set_value(1), FadeIn(tags[0]), 1.2),
            sure=lambda: (mu.animate.set_value(0), sd.animate.set_value(0.5), FadeOut(tags[0]), FadeIn(tags[1]), 1.2),
            both=(Indicate(law.select("m"), color=MEAN), Indicate(law.select("s"), color=SPREAD), 1.2),
            nothing=lambda: (sd.animate.set_value(1), FadeOut(tags[1]), FadeIn(zero), 1.2),
            says=(Indicate(zero, color=PRICE), 0.7),
        )


class Bargain(Beat):
    """Two forces on the bell of a 4, which slides out from the centre of the prior."""

    section = "3.3"

    def construct(self):
        self.head()
        told = lesson.value("3.6", BARGAIN)[4]
        self.share = ValueTracker(0)
        shares, bce, kl = (np.array([one[k] for one in told["rows"]]) for k in range(3))
        images = [one[3] for one in told["rows"]]
        balance = float(shares[(bce + kl).argmin()])
        assert abs(balance - 1) < 0.1
        plane = Plane(5.6, 2.8).move_to([-3.6, -0.35, 0])
        own = always_redraw(
            lambda: plane.ring(told["mu"] * self.share.get_value(), told["sd"], LATENT, 2).set_fill(LATENT, 0.25)
        )
        real = Picture(digits[lesson.value("3.6", "one_each")[4]], 1.35).move_to([1.1, 2.0, 0])
        made = Picture(images[0], 1.35).move_to([3.3, 2.0, 0])
        labels = VGroup(
            words("the image", 22, DIM).next_to(real, UP, buff=0.15),
            words("decoded", 22, DIM).next_to(made, UP, buff=0.15),
        )
        made.add_updater(
            lambda one: one.show(images[round(float(np.interp(self.share.get_value(), shares, np.arange(91))))])
        )
        bars = always_redraw(lambda: self.bars(shares, bce, kl))
        names = VGroup(words("BCE", 24, FIT), words("KL", 24, PRICE))
        for name, y in zip(names, (0.4, -0.45), strict=True):
            name.set_x(1.0, RIGHT).set_y(y)
        forces = always_redraw(lambda: self.forces(plane, told["mu"], shares, bce, kl))
        self.say(
            "{stage} Two forces, then. Take a 4, {bars} with its bell in the middle of the plane. {slide} Slide it outwards, and the "
            "decoder can tell it from the rest. {cheap} Reconstruction gets cheaper: it pushes out.",
            stage=(FadeIn(plane), FadeIn(real), FadeIn(labels[0]), 0.8),
            bars=(FadeIn(own), FadeIn(made), FadeIn(labels[1]), FadeIn(names), FadeIn(bars), 0.8),
            slide=lambda: (self.share.animate.set_value(0.55), 2.2),
            cheap=lambda: (FadeIn(forces), self.share.animate.set_value(0.75), 1.4),
        )
        home = Dot(plane.at(told["mu"]), 0.09, color=GOOD)
        total = words("least in sum", 26, GOOD, weight=BOLD).move_to([4.2, -1.6, 0])
        self.say(
            "{dear} But out there, KL gets dearer: it pulls back. {rest} In between, the sum is least, {real} and that is where "
            "training has put this 4.",
            dear=lambda: (self.share.animate.set_value(1.7), 2.2),
            rest=lambda: (self.share.animate.set_value(balance), FadeIn(total), 1.5),
            real=(FadeIn(home, scale=3), 0.7),
        )

    def bars(self, shares: np.ndarray, bce: np.ndarray, kl: np.ndarray) -> VGroup:
        """Return bce and kl, and their sum, as bars of one scale."""
        one, other = (float(np.interp(self.share.get_value(), shares, values)) for values in (bce, kl))
        unit = 0.125
        spans = (
            (0.4, 0.0, one, FIT),
            (-0.45, 0.0, other, PRICE),
            (-1.3 + 0.2, 0.0, one, FIT),
            (-1.3 + 0.2, one, other, PRICE),
        )
        return VGroup(
            *[
                Rectangle(width=max(size * unit, 0.01), height=0.45, stroke_width=0)
                .set_fill(color, 0.9)
                .move_to([1.3 + start * unit, y, 0], aligned_edge=LEFT)
                for y, start, size, color in spans
            ]
        )

    def forces(self, plane: Plane, mu: np.ndarray, shares: np.ndarray, bce: np.ndarray, kl: np.ndarray) -> VGroup:
        """Return the two forces at the place of the bell: minus the slope of each part."""
        share = self.share.get_value()
        way, here = mu / np.linalg.norm(mu), plane.at(mu * share)
        arrows = VGroup()
        for values, color, side in ((bce, FIT, 0.09), (kl, PRICE, -0.09)):
            slope = -float(np.interp(share, shares, np.gradient(values, shares)))
            length = np.clip(slope / 16, -1.5, 1.5)
            along, across = np.array([*way, 0.0]), np.array([-way[1], way[0], 0.0])
            if abs(length) > 0.03:
                start = here + across * side
                arrows.add(
                    Arrow(
                        start,
                        start + along * length,
                        buff=0,
                        color=color,
                        stroke_width=7,
                        tip_length=0.18,
                        max_tip_length_to_length_ratio=0.5,
                    )
                )
        return arrows


class Sum(Beat):
    section = "3.3"

    def construct(self):
        self.head()
        law = math(
            r'"loss" = {{1/n sum_(i=1)^n : mean}} [ {{sum_g -log p(x_(i g) | z_i) : bce}} + {{sum_j "KL"_(i j) : kl}} ]',
            54,
        ).move_to(UP * 1.6)
        law.select("bce").set_color(FIT)
        law.select("kl").set_color(PRICE)
        grid = VGroup(
            *[
                VGroup(
                    *[Square(0.34, stroke_width=0).set_fill(FIT, 0.85) for _ in range(12)],
                    *[Square(0.34, stroke_width=0).set_fill(PRICE, 0.85) for _ in range(2)],
                ).arrange(RIGHT, buff=0.08)
                for _ in range(5)
            ]
        )
        grid.arrange(DOWN, buff=0.14).move_to(DOWN * 1.5 + LEFT * 1.2)
        cells = words("images", 24, DIM).next_to(grid, LEFT, buff=0.35)
        sums = VGroup(*[Square(0.34, stroke_width=0).set_fill(INK, 0.9).next_to(one, RIGHT, buff=0.9) for one in grid])
        frame_of = {
            name: SurroundingRectangle(law.select(name), color=MEAN, buff=0.12, corner_radius=0.08, stroke_width=3)
            for name in ("bce", "mean")
        }
        mean = Square(0.5, stroke_width=0).set_fill(MEAN, 1).next_to(sums, RIGHT, buff=1.0)
        collapse = LaggedStart(
            *[TransformFromCopy(one, other) for one, other in zip(grid, sums, strict=True)], lag_ratio=0.15
        )
        self.say(
            "{law} The loss is fit plus price. {grid} For each image, {sum} sum over everything that belongs to it: its pixels, "
            "its latents. {mean} Only over images, average. Remember that rule. {bound} Up to its sign, this is the ELBO of lesson 1.",
            law=(Write(law), 1.4),
            grid=(LaggedStart(*[FadeIn(one, shift=RIGHT * 0.2) for one in grid], lag_ratio=0.15), FadeIn(cells), 0.9),
            sum=(Create(frame_of["bce"]), collapse, 1.6),
            mean=lambda: (
                ReplacementTransform(frame_of["bce"], frame_of["mean"]),
                ReplacementTransform(sums.copy(), VGroup(mean)),
                1.2,
            ),
            bound=(FadeOut(frame_of["mean"]), Indicate(law, color=INK, scale_factor=1.05), 1.0),
        )


class Loop(Beat):
    chapter, section = "Training, once", "3.4"

    def construct(self):
        self.head()
        source = code("for _ in range(n_epochs):", "train_epoch(model, x[torch.randperm", "update_bn([x], model)")
        shown = listing(source, 22).move_to(UP * 1.5)
        bar = glow(shown, 0)
        many = int(np.ceil(1500 / 128))
        blocks = VGroup(
            *[
                RoundedRectangle(0.08, width=0.78, height=0.78, color=DIM, stroke_width=2).set_fill(CARD, 1)
                for _ in range(many)
            ]
        )
        blocks.arrange(RIGHT, buff=0.16).move_to(DOWN * 0.9)
        images = Group(*[Picture(digits[100 + k], 0.62).move_to(block) for k, block in enumerate(blocks)])
        order = np.random.default_rng(1).permutation(many)
        epoch = (
            VGroup(words("epoch", 28, DIM), Reading([str(k) for k in range(51)], 40, MEAN))
            .arrange(RIGHT, buff=0.3)
            .move_to(DOWN * 2.4)
        )
        mixed = [images[a].animate(path_arc=1.2).move_to(blocks[int(b)]) for a, b in enumerate(order)]
        steps = LaggedStart(*[Indicate(blocks[k], color=GOOD, scale_factor=1.15) for k in range(many)], lag_ratio=0.35)
        self.say(
            "{code} And what exactly happens when it trains? {mix} Shuffle the images, and cut them into minibatches. {step} For each of "
            "them, one step of the optimizer. {bn} Then compute batch norm's averages anew. {again} And that, fifty times. "
            "{own} The loop inside, you will write yourself.",
            code=(FadeIn(shown), FadeIn(bar), FadeIn(blocks), FadeIn(images), 0.8),
            mix=(glow_to(bar, shown, 1), *mixed, 1.4),
            step=(steps, 1.8),
            bn=(glow_to(bar, shown, 2), 0.6),
            again=(FadeIn(epoch[0]), epoch[1].run(), glow_to(bar, shown, 0), 1.6),
            own=(glow_to(bar, shown, 1), Circumscribe(shown.lines[1], color=MEAN, fade_out=True), 1.2),
        )


class Deaf(Beat):
    """Adam does not notice that a loss is multiplied by 64."""

    section = "3.4"

    def construct(self):
        self.head()
        where = {
            (kind, times): float(lesson.number(rf"{kind}\s+loss times {times}: w =").replace("−", "-"))
            for kind in ("SGD", "Adam")
            for times in (" 1", "64")
        }
        lines = VGroup(*[number_line((-40, 10, 10), "w", 10.5) for _ in range(2)])
        for line, y in zip(lines, (1.0, -1.7), strict=True):
            line.move_to([0.6, y, 0])
        names = VGroup(
            *[
                words(name, 30, weight=BOLD).move_to([-5.9, line.n2p(0)[1], 0], aligned_edge=LEFT)
                for name, line in zip(("plain", "Adam"), lines, strict=True)
            ]
        )
        dots_ = {kind: Dot(line.n2p(3), 0.13, color=SLOPE) for kind, line in zip(("SGD", "Adam"), lines, strict=True)}
        ghosts = VGroup(*[Dot(line.n2p(3), 0.13, color=DIM, fill_opacity=0.5) for line in lines])
        tag = words("the same loss, times 64", 32, MEAN).move_to(UP * 2.5)
        far = lesson.number(r"SGD\s+loss times 64: w =")

        def jump(kind: str, times: str, arc: float) -> Animation:
            return dots_[kind].animate(path_arc=arc).move_to(lines[("SGD", "Adam").index(kind)].n2p(where[kind, times]))

        back = lambda: [
            dots_[kind].animate.move_to(line.n2p(3)) for kind, line in zip(("SGD", "Adam"), lines, strict=True)
        ]  # noqa: E731
        self.say(
            "{adam} Your optimizer is Adam. It divides each step by how large the gradients have lately been. {one} One step from 3, "
            "with either: small. {times} Now somebody multiplies the loss by 64. {sgd} A plain step lands at minus "
            f"{far[1:]}. {{same}} Adam does not notice. Keep that in mind.",
            adam=(FadeIn(lines), FadeIn(names), FadeIn(ghosts), *[FadeIn(one) for one in dots_.values()], 0.8),
            one=lambda: (jump("SGD", " 1", 1.2), jump("Adam", " 1", 1.2), 1.0),
            times=lambda: (FadeIn(tag, shift=UP * 0.2), *back(), 0.9),
            sgd=lambda: (jump("SGD", "64", 0.7), 1.3),
            same=lambda: (jump("Adam", "64", 1.2), 1.0),
        )


class Curves(Beat):
    section = "3.4"

    def construct(self):
        self.head()
        history = np.array(lesson.value("3.4", "held_out"))
        axes = plot_axes(
            (0, 50, 10), (0, 48), "epoch", "nats per image", 9.2, 4.9, y_marks=[0, 10, 20, 30, 40]
        ).move_to(DOWN * 0.35 + LEFT * 0.6)
        line = DashedLine(axes.c2p(0, float(coins_pay)), axes.c2p(50, float(coins_pay)), color=DIM, stroke_width=3)
        tag = (
            words(f"coins {coins_pay}", 24, DIM)
            .next_to(axes.c2p(50, float(coins_pay)), UP, buff=0.12)
            .shift(LEFT * 0.5)
        )
        card = question("BCE will fall.  KL: fall, stay, rise?", 30).move_to(axes.c2p(27, 38))
        self.say(
            f"{{axes}} Watch the 297 images that were held out. {{coins}} Coins alone pay {coins_pay} nats an image. "
            "{ask} BCE is going to fall. And KL? Will it fall too, stay, or rise?",
            pause=1.8,
            axes=(FadeIn(axes), 0.7),
            coins=(Create(line), FadeIn(tag), 0.8),
            ask=(ask(card), 0.8),
        )
        assert len(digits) == 297
        bce, kl = (curve(axes, range(51), history[:, k], color) for k, color in ((1, FIT), (2, PRICE)))
        ends = VGroup(words(f"BCE {bce_paid}", 26, FIT, weight=BOLD), words(f"KL {kl_paid}", 26, PRICE, weight=BOLD))
        for end, k in zip(ends, (1, 2), strict=True):
            end.next_to(axes.c2p(50, history[-1, k]), RIGHT, buff=0.2)
        saved = float(coins_pay) - float(bce_paid)
        gap = DoubleArrow(
            axes.c2p(42, float(coins_pay)),
            axes.c2p(42, history[42, 1]),
            buff=0.02,
            color=GOOD,
            stroke_width=5,
            tip_length=0.2,
        )
        won = words(f"saves {saved:.0f}", 26, GOOD, weight=BOLD).next_to(gap, LEFT, buff=0.2)
        paid = words(f"pays {float(kl_paid):.0f}", 26, PRICE, weight=BOLD).next_to(
            axes.c2p(42, history[42, 2]), UP, buff=0.3
        )
        self.say(
            f"{{run}} BCE falls, to {bce_paid}. {{kl}} KL rises, to {kl_paid}. That is no fault. {{same}} At first the model says the "
            "same to every image. Then it moves images apart, and pays for it, as long as that saves more in BCE than it costs. "
            f"{{pay}} Here: about {float(kl_paid):.0f} nats paid, {{save}} about {saved:.0f} saved.",
            run=(
                FadeOut(card),
                Create(bce, rate_func=linear),
                Create(kl, rate_func=linear),
                FadeIn(ends[0], rate_func=squish_rate_func(smooth, 0.8, 1)),
                2.0,
            ),
            kl=(FadeIn(ends[1]), Indicate(kl, color=PRICE, scale_factor=1.0), 0.9),
            same=(ShowPassingFlash(kl.copy().set_stroke(INK, 10), time_width=0.3), 3.0),
            pay=(FadeIn(paid, shift=UP * 0.15), 0.5),
            save=(GrowFromCenter(gap), FadeIn(won), 0.7),
        )


class Organise(Beat):
    chapter, section = "The plane organises itself", "3.5"

    def construct(self):
        self.head()
        plane = Plane(6.7, 2.9).move_to([1.9, -0.1, 0])
        numerals = plane.numerals(snapshots[0], truth)
        epoch = (
            VGroup(words("epoch", 30, DIM), Reading([str(k) for k in range(51)], 64, MEAN))
            .arrange(DOWN, buff=0.3, aligned_edge=LEFT)
            .move_to([-4.6, 0.9, 0])
        )
        prior = VGroup(
            Line(LEFT * 0.3, RIGHT * 0.3, color=DIM, stroke_width=3), words("95 % of the prior", 24, DIM)
        ).arrange(RIGHT, buff=0.2)
        prior.move_to([-4.6, -1.2, 0])
        self.say(
            "{plane} And the latents, meanwhile? Our model has two, so we can look. {one} Every held-out image stands at its mean, "
            "written as the digit that it shows. {circle} The circle holds 95 percent of the prior. {go} Now watch the training.",
            plane=(FadeIn(plane.box, plane.cross), 0.7),
            one=(FadeIn(numerals), FadeIn(epoch), 1.0),
            circle=(Create(plane.circle), FadeIn(prior), 1.0),
            go=(plane.moving(numerals, snapshots[:5], smooth), epoch[1].run(0, 4, smooth), 2.2),
        )
        self.say(
            "{one} They leave the heap. {two} They spread into the circle. {three} And images of the same digit gather, though "
            "nobody ever said that there are digits. {last}",
            pause=2.2,
            one=(plane.moving(numerals, snapshots[4:7]), epoch[1].run(4, 6), 1.0),
            two=(plane.moving(numerals, snapshots[6:13]), epoch[1].run(6, 12), 1.6),
            three=(plane.moving(numerals, snapshots[12:41]), epoch[1].run(12, 40), 4.0),
            last=(plane.moving(numerals, snapshots[40:]), epoch[1].run(40, 50), 2.0),
        )
        self.say(
            "{push} Images that share pixels end up side by side. BCE pushes images apart, {pull} KL holds them together. "
            "{fill} All together they fill the circle, which is why we can draw from the prior next.",
            push=(Indicate(self.of(numerals, 6), color=GROUPS[6]), 1.0),
            pull=(
                Indicate(self.of(numerals, 0), color=GROUPS[0]),
                Indicate(self.of(numerals, 4), color=GROUPS[4]),
                1.0,
            ),
            fill=(ShowPassingFlash(plane.circle.copy().set_stroke(MEAN, 8), time_width=0.4), 2.0),
        )

    def of(self, numerals: VGroup, digit: int) -> VGroup:
        """Return the numerals of one digit."""
        return VGroup(*[one for one, label in zip(numerals, truth, strict=True) if label == digit])


class Turn(Beat):
    section = "3.5"

    def construct(self):
        self.head()
        plane = Plane(6.7, 2.9).move_to([1.9, -0.1, 0])
        last = snapshots[-1]
        numerals = plane.numerals(last, truth)
        axis = VGroup(
            Arrow(plane.at((-2.6, 0)), plane.at((2.6, 0)), buff=0, color=MEAN, stroke_width=4, tip_length=0.22),
            words("latent 1", 26, MEAN),
        )
        axis[1].next_to(plane.box, LEFT, buff=0.3)
        angles = np.linspace(0, 1.9, 61)
        turned = np.array([last @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) for a in angles])
        self.add(plane, numerals)
        verdict = (
            VGroup(words("neighbours", 30, GOOD), words("axes", 30, BAD))
            .arrange(DOWN, buff=0.4, aligned_edge=LEFT)
            .move_to([-4.7, -1.2, 0])
        )
        strike = Line(
            verdict[1].get_left() + LEFT * 0.1, verdict[1].get_right() + RIGHT * 0.1, color=BAD, stroke_width=5
        )
        self.say(
            "{axis} But do not read a meaning into latent one. {turn} Turn the whole plane, by any angle: the prior stays as it is, "
            "and the decoder's first layer can undo the turn. {mean} Neighbours mean something. {not} Axes do not.",
            axis=(GrowArrow(axis[0]), FadeIn(axis[1]), 0.8),
            turn=(plane.moving(numerals, turned, smooth), 4.0),
            mean=(FadeIn(verdict[0]), 0.6),
            **{"not": (FadeIn(verdict[1]), Create(strike), FadeOut(axis), 0.8)},
        )


class Rebuild(Beat):
    chapter, section = "Rebuild, and make up", "3.6"

    def construct(self):
        self.head()
        kinds = lesson.value("3.6", "one_each")
        rebuilt = lesson.value("3.6", "rebuilt[one_each]")
        above, below = (
            row(digits[kinds], 1.0, 0.26).move_to(UP * 1.6),
            row(digits[kinds], 1.0, 0.26).move_to(DOWN * 2.0),
        )
        line = number_line((-2, 2, 1), "", 9)
        z = snapshots[-1][kinds]
        pairs = VGroup(
            *[
                VGroup(*[mono(f"{value:+.1f}".replace("-", "−"), 22, LATENT) for value in one]).arrange(DOWN, buff=0.12)
                for one in z
            ]
        )
        for pair, image in zip(pairs, above, strict=True):
            pair.move_to([image.get_x(), -0.2, 0])
        del line
        self.say(
            "{top} What can a trained model do? First, rebuild. {two} 64 pixels are squeezed through two numbers, {out} and decoded again. "
            "{good} The 0, the 4 and the 6 come back clear. {bad} This 9 comes back as a blurred 3: {ten} two numbers do not hold ten "
            "kinds of digit.",
            top=(LaggedStart(*[FadeIn(one, shift=UP * 0.2) for one in above], lag_ratio=0.08), 1.0),
            two=(
                LaggedStart(
                    *[
                        TransformFromCopy(Dot(image.get_center(), 0.02, color=LATENT), pair)
                        for image, pair in zip(above, pairs, strict=True)
                    ],
                    lag_ratio=0.08,
                ),
                1.3,
            ),
            out=(FadeIn(below), *[into(one, image) for one, image in zip(below, rebuilt, strict=True)], 1.3),
            good=(LaggedStart(*[self.framed(below[k], GOOD) for k in (0, 4, 6)], lag_ratio=0.3), 1.2),
            bad=(self.framed(below[9], BAD), 0.8),
            ten=(LaggedStart(*[Indicate(pair, color=LATENT) for pair in pairs], lag_ratio=0.1), 1.4),
        )

    def framed(self, image: Picture, color: str) -> Animation:
        """Return a frame being drawn round an image."""
        return Create(SurroundingRectangle(image, color=color, buff=0.06, corner_radius=0.05, stroke_width=4))


class Atlas(Beat):
    section = "3.6"

    def construct(self):
        self.head()
        tiles = np.array(lesson.value("3.6", "list(atlas.values())"))  # (11, 15, pixels)
        atlas = Picture(tiles, 0.54, 15, dots=10).move_to([-1.7, -0.35, 0])
        across, down = atlas.width / 15, atlas.height / 11
        way, film = lesson.value("3.6", ROUND)

        def at(z: np.ndarray) -> np.ndarray:
            return atlas.get_center() + np.array([z[0] / 0.3 * across, z[1] / 0.42 * down, 0.0])

        path = VMobject().set_points_smoothly([at(z) for z in way[::4]]).set_stroke(LATENT, 3)
        pin = VGroup(Circle(0.2, color=LATENT, stroke_width=6), Circle(0.2, color=GROUND, stroke_width=1)).move_to(
            path.get_start()
        )
        made = Picture(film[0], 2.3).move_to([5.3, 0.1, 0])
        frame = SurroundingRectangle(made, color=LATENT, buff=0.08, corner_radius=0.06, stroke_width=4)
        name = (
            VGroup(math("z", 44, LATENT), words("decoded", 24, DIM))
            .arrange(RIGHT, buff=0.25)
            .next_to(frame, UP, buff=0.25)
        )

        def follow(group: Group, share: float) -> None:
            k = round(share * (len(way) - 1))
            group[0].move_to(at(way[k]))
            group[1].show(film[k])

        self.say(
            "{all} The decoder needs no image, only a place. So decode a whole grid of places. {pin} Each is a point of the plane, "
            "{walk} and where two regions meet, one digit becomes the other. {see} Six of the ten have a region of their own. "
            "The others blur in between.",
            all=(FadeIn(atlas), 1.2),
            pin=(FadeIn(pin), FadeIn(frame), FadeIn(made), FadeIn(name), 0.8),
            walk=(Create(path, rate_func=linear), UpdateFromAlphaFunc(Group(pin, made), follow, rate_func=linear), 7.5),
            see=(FadeOut(path, pin), 0.8),
        )


class MakeUp(Beat):
    """Draw z from the prior, decode: what the machine makes up."""

    section = "3.6"

    def construct(self):
        self.head()
        z = lesson.value("3.6", "torch.randn(14, 2, generator=torch.Generator().manual_seed(0))")
        made, thrown = (np.asarray(lesson.value("3.6", name)) for name in ("made_up", "thrown"))
        plane = Plane(4.6, 2.9).move_to([-4.1, -0.5, 0])
        die = Die(0.9).move_to([0.1, 1.9, 0])
        decoder = trapezoid("decoder", narrow="left").move_to([2.5, 1.9, 0])
        fresh = Picture(made[0], 1.6).move_to([5.3, 1.9, 0])
        ways = VGroup(arrow(die, decoder), arrow(decoder, fresh))
        law = math("z tilde cal(N)(0, I)", 40, NOISE).next_to(plane, UP, buff=0.2)
        slots = [np.array([-0.75 + 1.0 * (k % 7), -0.55 - 1.15 * (k // 7), 0]) + RIGHT * 0.4 for k in range(14)]
        points = [Dot(plane.at(one), 0.09, color=NOISE) for one in z]
        kept = Group(*[Picture(image, 0.86).move_to(slot) for image, slot in zip(made, slots, strict=True)])
        assert np.abs(z).max() < 2.9

        def one(k: int, faces: list[int]) -> Animation:
            fall = AnimationGroup(die.roll(faces, 1.0), FadeIn(points[k], shift=DOWN * 0.8))
            return Succession(fall, into(fresh, made[k]), kept[k].animate.move_to(slots[k]))

        start = fresh.copy()
        self.say(
            "{law} Second, make things up. Draw z from the prior, {fall} and decode it. {two} Again.",
            law=(FadeIn(plane), FadeIn(law), FadeIn(die), FadeIn(decoder), FadeIn(ways), 0.8),
            fall=(
                die.roll([2, 4, 1, 6], 1.0),
                FadeIn(points[0], shift=DOWN * 0.8),
                FadeIn(fresh, shift=RIGHT * 0.5),
                1.2,
            ),
            two=lambda: (
                FadeIn(kept[0], target_position=fresh.get_center()),
                die.roll([5, 1, 3, 2], 1.0),
                FadeIn(points[1], shift=DOWN * 0.8),
                into(fresh, made[1]),
                1.2,
            ),
        )
        del start, one
        rest = [
            AnimationGroup(
                FadeIn(kept[k], target_position=fresh.get_center()),
                FadeIn(points[k], shift=DOWN * 0.5),
                into(fresh, made[k]),
            )
            for k in range(1, 14)
        ]
        self.say(
            "{many} Nobody wrote these digits. {blur} Many are the same blur, since the prior draws most from the crowded middle of the plane. "
            "{throw} And for a real sample, throw the coins: one for every pixel.",
            pause=0.6,
            many=(LaggedStart(*rest, lag_ratio=0.5), die.roll([3, 6, 2, 5, 1, 4, 2, 6, 3, 1], 3.0), 3.4),
            blur=(
                Indicate(
                    VGroup(*[one for one, place in zip(points, z, strict=True) if np.linalg.norm(place) < 1.2]),
                    color=NOISE,
                    scale_factor=1.3,
                ),
                1.4,
            ),
            throw=(
                LaggedStart(*[into(one, image) for one, image in zip(kept, thrown, strict=True)], lag_ratio=0.1),
                into(fresh, thrown[13]),
                2.2,
            ),
        )


class Rival(Beat):
    section = "3.6"

    def construct(self):
        self.head()
        off, made = lesson.value("3.6", "off"), lesson.value("3.6", "{name: x[20:34] for name, x in made.items()}")
        own, plain = (lesson.number(rf"{name}\s+bce") for name in ("VAE", "autoencoder"))
        net = Autoencoder().scale(0.8).move_to(UP * 0.9)
        lost = VGroup(net.sigma, net.die, net.ways[1], net.ways[3])
        direct = way(net.mu.get_right(), net.z.get_left())
        card = question("Which rebuilds better?  Which makes up better?", 30).move_to(DOWN * 2.0)
        self.say(
            "{net} Now take away the draw, {cut} and the KL. What is left is a plain autoencoder. {ask} Which of the two "
            "rebuilds better? And which makes up better?",
            pause=1.6,
            net=(FadeIn(net), 0.7),
            cut=lambda: (FadeOut(lost), FadeOut(net.ways[2], net.ways[4]), GrowArrow(direct), 0.9),
            ask=(ask(card), 0.8),
        )
        bars = Bars(["VAE", "autoencoder"], [own, plain], "BCE, nats per held-out image", [LATENT, DIM]).move_to(
            DOWN * 0.2
        )
        self.say(
            f"{{bars}} Rebuilding: the autoencoder, by far. {{grow}} {plain} nats of BCE, against {own}. ",
            pause=0.3,
            bars=(
                FadeOut(net.encoder, net.mu, net.z, net.decoder, net.ways[0], net.ways[5], direct, card),
                FadeIn(bars.names, bars.unit),
                0.6,
            ),
            grow=(bars.grow(0), bars.grow(1), 1.1),
        )
        names = ("held out", "VAE", "autoencoder", "the same, helped")
        rows, titles = Group(), VGroup()
        for k, name in enumerate(names[:3]):
            images = row(np.asarray(made[name])[:10], 0.78).move_to([0.45, 1.6 - 1.35 * k, 0])
            rows.add(images)
            titles.add(words({"held out": "real"}.get(name, name), 26).next_to(images, LEFT, buff=0.35))
        marks = VGroup(
            *[
                mono(f"{off[name]:.1f}", 32, color).next_to(images, RIGHT, buff=0.4)
                for name, images, color in zip(names, rows, (INK, GOOD, BAD), strict=False)
            ]
        )
        unit = words("pixels off the nearest training image", 24, DIM).move_to([2.4, 2.6, 0])
        assert off["autoencoder"] > 5 and f"{off['VAE']:.0f}" == f"{off['held out']:.0f}" == "3"
        self.say(
            "{real} But draw from the prior, and count the pixels by which an image differs from the nearest one in training. {new} New "
            "digits: about three. {vae} The VAE's: about three. {blot} The autoencoder makes up blots: more than five.",
            real=(FadeOut(bars), FadeIn(unit), FadeIn(rows[0]), FadeIn(titles[0]), 0.9),
            new=(FadeIn(marks[0]), 0.5),
            vae=(FadeIn(rows[1], shift=UP * 0.2), FadeIn(titles[1]), FadeIn(marks[1]), 0.7),
            blot=(FadeIn(rows[2], shift=UP * 0.2), FadeIn(titles[2]), FadeIn(marks[2]), 0.7),
        )


class Gaps(Beat):
    """Why the prior can be drawn from: KL gathers the means, and the draws fill what is between."""

    section = "3.6"

    def construct(self):
        self.head()
        widths, last = lesson.value("3.6", WIDTHS), snapshots[-1]
        plane = Plane(6.4, 2.9).move_to([1.9, -0.2, 0])
        dots_ = VGroup(*[Dot(plane.at(z), 0.045, color=MEAN) for z in last])
        far = VGroup(
            *[
                dot.copy().move_to(plane.at(z * 1.35 + np.array([0.2, -0.1])))
                for dot, z in zip(dots_, last, strict=True)
            ]
        )
        del far
        rings = VGroup(
            *[
                plane.ring(z, sd, LATENT, 2).set_stroke(width=0).set_fill(LATENT, 0.07)
                for z, sd in zip(last, widths, strict=True)
            ]
        )
        notes = (
            VGroup(words("KL: near the prior", 28, PRICE), words("draws: no gaps", 28, NOISE))
            .arrange(DOWN, buff=0.6, aligned_edge=LEFT)
            .move_to([-4.4, 0.2, 0])
        )
        self.say(
            "{kl} Two things make the difference. KL puts the images where the prior draws. {gap} And the draws: each image stands for a whole "
            "cloud, {fill} so the decoder must answer for a neighbourhood, and the gaps are filled.",
            pause=0.5,
            kl=(
                FadeIn(plane),
                LaggedStart(*[FadeIn(dot, scale=0.4) for dot in dots_], lag_ratio=0.005),
                FadeIn(notes[0]),
                1.6,
            ),
            gap=(FadeIn(notes[1]), 0.6),
            fill=(LaggedStart(*[GrowFromCenter(ring) for ring in rings], lag_ratio=0.005), 2.4),
        )


class Cells(Beat):
    chapter, section = "The same on cells", "3.7"

    def construct(self):
        self.head()
        bits = np.asarray(lesson.value("3.7", "cells[:26, :84]"))
        matrix = ImageMobject(
            np.kron(bits, np.pad(np.ones((8, 8)), (0, 2)))[..., None].repeat(3, 2).__mul__(200).astype(np.uint8) + 20
        )
        matrix.set_resampling_algorithm(RESAMPLING_ALGORITHMS["bicubic"])
        matrix.width = 11.0
        matrix.move_to(DOWN * 0.2)
        names = VGroup(
            words("cells", 26, DIM).next_to(matrix, LEFT, buff=0.25),
            words("genes: detected, or not", 26, DIM).next_to(matrix, UP, buff=0.25),
        )
        self.say(
            "{bits} Now the data we care about, where no eye can judge. 700 blood cells, and for each of 765 genes one bit: detected, "
            "or not. {same} The code is the same. Nothing else changes.",
            bits=(FadeIn(matrix), FadeIn(names), 1.2),
            same=(ShowPassingFlash(SurroundingRectangle(matrix, color=MEAN, stroke_width=6), time_width=0.4), 1.6),
        )
        assert lesson.line(r"genes detected").startswith("(700, 765)")
        groups, kinds, purity = (lesson.value("3.7", name) for name in ("groups", "group_names", "purity"))
        scores, z = (np.array(lesson.value("3.7", name)) for name in ("scores", "z_cells"))
        near = lesson.text(r"share of a cell's (\d+)\s+nearest")
        stage = plot_axes((-2.9, 2.9), (-2.5, 2.6), width=7.6, height=5.9).move_to([-2.3, -0.35, 0])
        flat = scores / scores.std(axis=0) * np.array([0.95, 0.85])
        before, after = (np.array([stage.c2p(*one) for one in places]) for places in (flat - flat.mean(axis=0), z))
        cells = VGroup(
            *[
                Dot(place, 0.05, color=GROUPS[group], fill_opacity=0.85)
                for place, group in zip(before, groups, strict=True)
            ]
        )
        legend = VGroup(
            *[
                VGroup(Dot(radius=0.09, color=GROUPS[k]), words(name, 24)).arrange(RIGHT, buff=0.2)
                for k, name in enumerate(kinds)
            ]
        )
        legend.arrange(DOWN, buff=0.22, aligned_edge=LEFT).move_to([4.6, -1.4, 0])
        method = VGroup(words("PCA", 36, DIM, weight=BOLD), words("VAE", 36, MEAN, weight=BOLD))
        shares = VGroup(*[mono(f"{share:.0%}", 44) for share in purity])
        for k in range(2):
            VGroup(method[k], shares[k]).arrange(RIGHT, buff=0.5).move_to([4.6, 2.1 - 0.9 * k, 0])
        self.say(
            "{pca} Here they are in two principal components of their bits, {vae} and here in two latents of the VAE. "
            f"{{pure}} Ask each cell for its {near} nearest neighbours. With PCA, {purity[0]:.0%} are of its own kind, "
            f"{{more}} with the VAE, {purity[1]:.0%}. {{label}} Neither saw a label.",
            pca=(FadeOut(matrix, names), FadeIn(cells), FadeIn(legend), FadeIn(method[0]), 1.0),
            vae=(
                UpdateFromAlphaFunc(
                    cells,
                    lambda group, share: [
                        dot.move_to((1 - share) * a + share * b) for dot, a, b in zip(group, before, after, strict=True)
                    ],
                    rate_func=smooth,
                ),
                FadeIn(method[1]),
                2.0,
            ),
            pure=(FadeIn(shares[0]), 0.6),
            more=(FadeIn(shares[1]), shares[1].animate.set_color(GOOD), 0.6),
            label=(ShowPassingFlash(Underline(method[1], color=MEAN), time_width=0.5), 1.0),
        )
        assert purity[1] > purity[0]


class Fade(Beat):
    section = "3.8"

    def construct(self):
        self.head()
        kinds = lesson.value("3.6", "one_each")
        walk = np.asarray(lesson.value("3.8", "latent_walk(model, test_x[one_each[6]], test_x[one_each[4]], 121)"))
        t = np.linspace(0, 1, 121)[:, None]
        fade = (1 - t) * walk[0] + t * walk[-1]
        plane = Plane(5.6, 2.7).move_to([-3.7, -0.45, 0])
        numerals = plane.numerals(snapshots[-1], truth, 20).set_opacity(0.35)
        ends = [snapshots[-1][kinds[digit]] for digit in (6, 4)]
        line = Line(plane.at(ends[0]), plane.at(ends[1]), color=INK, stroke_width=4)
        dot = Dot(line.get_start(), 0.14, color=LATENT)
        big = Group(Picture(walk[0], 2.3).move_to([1.6, 0.4, 0]), Picture(fade[0], 2.3).move_to([4.9, 0.4, 0]))
        names = VGroup(words("walk", 30, LATENT), words("fade", 30, DIM))
        for name, image in zip(names, big, strict=True):
            name.next_to(image, UP, buff=0.25)
        law = math('z_t = (1 - t) thin z_"start" + t thin z_"end"', 40).move_to([3.25, -1.6, 0])

        def follow(start: float, end: float) -> Animation:
            def step(group: Group, share: float) -> None:
                now = start + (end - start) * share
                group[0].move_to(line.point_from_proportion(now))
                group[1].show(walk[round(now * 120)])
                group[2].show(fade[round(now * 120)])

            return UpdateFromAlphaFunc(Group(dot, *big), step)

        card = question("What does each show halfway?", 32).move_to([3.25, -2.75, 0])
        self.say(
            "{ends} What lies between two digits? {line} Take the straight line between their means, {law} in even steps, and decode each: "
            "a latent walk. {fade} The lazy way is a fade, which mixes the pixels of both ends. {ask} What does each show halfway?",
            pause=1.6,
            ends=(FadeIn(plane), FadeIn(numerals), 0.9),
            line=(Create(line), FadeIn(dot), FadeIn(big[0]), FadeIn(names[0]), 0.9),
            law=(Write(law), 1.2),
            fade=(FadeIn(big[1]), FadeIn(names[1]), 0.7),
            ask=(ask(card), 0.8),
        )
        self.say(
            "{half} The fade is a smudge, grey wherever 6 and 4 differ. {zero} The walk passes through a zero, {on} and then becomes the 4.",
            pause=0.6,
            half=(FadeOut(card), follow(0, 0.5), 2.6),
            zero=(
                Create(SurroundingRectangle(big[0], color=LATENT, buff=0.08, corner_radius=0.06, stroke_width=4)),
                0.8,
            ),
            on=(follow(0.5, 1), 2.2),
        )


class Walk(Beat):
    """From a T cell to a monocyte: four genes change on the way, and hardly a cell stands there."""

    section = "3.8"

    def construct(self):
        self.head()
        groups, kinds = (lesson.value("3.7", name) for name in ("groups", "group_names"))
        z, path = np.array(lesson.value("3.7", "z_cells")), np.array(lesson.value("3.8", "path"))
        genes = next(np.asarray(lesson.value("3.8", name)) for name in lesson._wanted["3.8"] if "cells_model" in name)
        plane = plot_axes((-2.8, 2.2), (-2.2, 2.4), width=5.9, height=5.4).move_to([-3.7, -0.4, 0])
        cells = dots(plane, z, groups, radius=0.045, opacity=0.55)
        line = Line(plane.c2p(*path[0]), plane.c2p(*path[-1]), color=INK, stroke_width=4)
        dot = Dot(line.get_start(), 0.13, color=INK)
        axes = plot_axes((0, 20, 5), (0, 1), "", "probability of detection", 4.6, 4.2, y_marks=[0, 0.5, 1]).move_to(
            [3.3, -0.3, 0]
        )
        of_t, of_mono = (GROUPS[kinds.index(name)] for name in ("T cell", "CD14+ Monocyte"))
        named = zip(("CD3D", "IL32", "LYZ", "S100A9"), genes.T, (of_t, of_t, of_mono, of_mono), strict=True)
        curves = VGroup(*[curve(axes, np.linspace(0, 20, 121), values, color) for _, values, color in named])
        names = VGroup(
            *[
                words(name, 22, color).next_to(axes.c2p(20, y), RIGHT, buff=0.15)
                for name, color, y in zip(
                    ("CD3D", "IL32", "LYZ", "S100A9"),
                    (of_t, of_t, of_mono, of_mono),
                    (0.17, 0.07, 1.0, 0.76),
                    strict=True,
                )
            ]
        )
        self.axes, self.line = axes, line
        self.say(
            "{cells} Now on cells: from a typical T cell {to} to a typical monocyte. {walk} Along the way, two genes of T cells fade out of "
            "the decoder's answer, and two genes of monocytes come in.",
            cells=(FadeIn(plane), FadeIn(cells), FadeIn(axes), FadeIn(dot, scale=2), 0.9),
            to=(Create(line), 0.9),
            walk=(
                MoveAlongPath(dot, line, rate_func=linear),
                *[Create(one, rate_func=linear) for one in curves],
                FadeIn(names, rate_func=squish_rate_func(smooth, 0.85, 1)),
                5.0,
            ),
        )
        self.nobody(plane, dot, VGroup(axes, curves, names), path)

    def nobody(self, plane: Plot, dot: Dot, right: VGroup, path: np.ndarray) -> None:
        near = [int(one) for one in numbers(lesson.line(r"cells within 0\.3 of each step:"))[1:]]
        reach = 0.3 * np.linalg.norm(plane.c2p(1, 0) - plane.c2p(0, 0))
        tall = 0.3 * np.linalg.norm(plane.c2p(0, 1) - plane.c2p(0, 0))
        ring = Ellipse(width=2 * reach, height=2 * tall, color=MEAN, stroke_width=5).move_to(plane.c2p(*path[0]))
        axes = plot_axes(
            (-0.5, 20.5), (0, 70), "", "cells within reach", 5.2, 4.2, x_marks=[0, 10, 20], y_marks=[0, 30, 60]
        ).move_to([3.3, -0.3, 0])
        bars = histogram(axes, np.arange(-0.5, 21), near, MEAN)
        card = question("How many of the 700 cells\nstand near the middle?", 30).move_to([3.4, 0.2, 0])

        def sweep(group: VGroup, share: float) -> None:
            group[0].move_to((1 - share) * plane.c2p(*path[0]) + share * plane.c2p(*path[-1]))
            for k, bar in enumerate(group[1]):
                bar.set_opacity(0.85 if k <= share * 20 + 1e-6 else 0)

        bars.set_opacity(0)
        middle = near[8:13]
        assert min(near[0], near[-1]) > 24 and max(middle) < 6
        self.say(
            "{ask} It looks like a cell changing its type. But how many of the 700 cells stand near the middle?",
            pause=1.5,
            ask=lambda: (right.animate.set_opacity(0.0), FadeOut(dot), ask(card), 0.9),
        )
        self.say(
            f"{{sweep}} Dozens near either end. {{none}} At the middle: {('none', 'one', 'two', 'three')[near[10]]}. {{model}} There, nothing ever corrected the decoder. A walk shows what the "
            "model puts between two cells. It does not show that such cells exist, and not that one becomes the other.",
            pause=0.5,
            sweep=(FadeOut(card), FadeIn(axes), UpdateFromAlphaFunc(VGroup(ring, bars), sweep, rate_func=linear), 3.2),
            none=(Indicate(VGroup(*bars[8:13]), color=BAD), ring.animate.move_to(plane.c2p(*path[10])), 1.0),
            model=(ring.animate.set_stroke(BAD), Wiggle(ring), 1.4),
        )


class Colleague(Beat):
    chapter, section = "A weight that nobody set", "3.9"

    def construct(self):
        self.head()
        shown = listing(code("return nn.functional.binary_cross_entropy_with_logits(logits, x) + kl"), 20).move_to(
            UP * 1.9
        )
        ready = SurroundingRectangle(shown.lines[0][6:53], color=BAD, buff=0.08, corner_radius=0.06, stroke_width=3)
        steps = Derivation(
            ['"loss" = {{1/64 "bce" : b}} + {{"kl" : k}}', '"" = 1/64 ({{"bce" : b}} + {{64 : w}} {{"kl" : k}})'],
            colors={"b": FIT, "k": PRICE, "w": BAD},
            size=54,
        ).move_to(DOWN * 0.3)
        self.say(
            "{code} A colleague takes the loss that PyTorch has ready, and adds the KL. {run} The code runs, and the loss falls. "
            "{same} And every sample is the same grey smear.",
            code=(FadeIn(shown), 0.8),
            run=(Create(ready), 0.8),
            same=lambda: (FadeIn(self.smear()), 0.8),
        )
        card = question("Which run prints the smaller loss?", 32).move_to(DOWN * 2.5)
        self.say(
            "{mean} That function averages over images and pixels: the sum, divided by 64. {pull} Pull it out. {front} The factor in front moves "
            "no minimum, and Adam does not notice. {beta} What stays is a weight of 64 on the KL. {ask} Which of the two runs prints the smaller loss?",
            pause=1.6,
            mean=lambda: (FadeOut(self.smeared), steps.reveal(0), 1.2),
            pull=(steps.reveal(1), 1.2),
            front=(Indicate(steps.line(1)[:5], color=DIM), 1.0),
            beta=(Circumscribe(steps.line(1).select("w"), color=BAD), 1.4),
            ask=(ask(card), 0.8),
        )

    def smear(self) -> Group:
        """Return what the colleague's model makes up."""
        self.smeared = row(np.asarray(lesson.value("3.9", "rows")["colleague's"])[:8], 1.1, 0.25).move_to(DOWN * 1.0)
        return self.smeared


class Collapse(Beat):
    section = "3.9"

    def construct(self):
        self.head()
        theirs = np.array(lesson.value("3.9", COLLEAGUE))
        planes = VGroup(Plane(4.9, 2.9).move_to([-3.5, 0.25, 0]), Plane(4.9, 2.9).move_to([3.5, 0.25, 0]))
        names = VGroup(words("yours", 28, GOOD), words("the colleague's", 28, BAD))
        for name, plane in zip(names, planes, strict=True):
            name.next_to(plane, UP, buff=0.15)
        some = np.arange(0, 297, 2)
        numerals = [
            plane.numerals(places[0][some], truth[some], 20)
            for plane, places in zip(planes, (snapshots, theirs), strict=True)
        ]
        epoch = (
            VGroup(words("epoch", 26, DIM), Reading([str(k) for k in range(26)], 44, MEAN))
            .arrange(DOWN, buff=0.25)
            .move_to(ORIGIN)
        )
        lines = [lesson.line(r"^yours"), lesson.line(r"^colleague's")]
        loss, parts = [numbers(line)[0] for line in lines], [numbers(line)[1:3] for line in lines]
        prints = VGroup(
            *[
                VGroup(words("prints", 26, DIM), mono(value, 38))
                .arrange(RIGHT, buff=0.25)
                .next_to(plane, DOWN, buff=0.25)
                for value, plane in zip(loss, planes, strict=True)
            ]
        )
        self.say(
            "{both} Train both, side by side. {go} Yours unfolds. {theirs} The colleague's falls together, {point} until every digit stands "
            "at the same point.",
            both=(FadeIn(planes), FadeIn(names), *[FadeIn(one) for one in numerals], FadeIn(epoch), 0.9),
            go=self.both(planes, numerals, theirs, some, epoch, 0, 5, 1.6),
            theirs=self.both(planes, numerals, theirs, some, epoch, 5, 13, 2.2),
            point=self.both(planes, numerals, theirs, some, epoch, 13, 25, 2.6),
        )
        below = VGroup(
            *[
                VGroup(words(f"BCE {bce}", 26, FIT), words(f"KL {kl}", 26, PRICE))
                .arrange(RIGHT, buff=0.5)
                .next_to(one, DOWN, buff=0.2)
                for (bce, kl), one in zip(parts, prints, strict=True)
            ]
        )
        assert float(parts[1][1]) == 0 and float(loss[1]) < float(loss[0])
        self.say(
            f"{{print}} The wrong run prints by far the smaller loss: {loss[1]}, against {float(loss[0]):.0f}. It is in other units. {{parts}} Its KL is 0, and its BCE, "
            f"{parts[1][0]}, is that of the coins. {{name}} A nat of KL would have to save 64 nats of BCE, so the latents fall silent. That is posterior collapse.",
            print=(FadeIn(prints, shift=UP * 0.15), 0.7),
            parts=(FadeIn(below, shift=UP * 0.15), 0.7),
            name=(Circumscribe(below[1], color=BAD), Wiggle(numerals[1]), 1.6),
        )

    def both(
        self,
        planes: VGroup,
        numerals: list,
        theirs: np.ndarray,
        some: np.ndarray,
        epoch: VGroup,
        start: int,
        end: int,
        seconds: float,
    ) -> tuple:
        """Return both trainings from one epoch to another."""
        parts = [
            plane.moving(group, places[start : end + 1, some])
            for plane, group, places in zip(planes, numerals, (snapshots, theirs), strict=True)
        ]
        return (*parts, epoch[1].run(start, end), seconds)


class Betas(Beat):
    """The weight as a slider: three runs from the figure of section 3.9."""

    section = "3.9"

    def construct(self):
        self.head()
        kept = lesson.value("3.9", BETAS)
        runs, labels = kept["runs"], np.array(kept["labels"])
        shrunk, grown, saved = (
            lesson.text(r"shrinks to a line, and kl to ([\d.]+)\."),
            lesson.text(r"at 0\.01 kl is\s+([\d.]+),"),
            lesson.text(r"to save ([\d.]+) nats of bce"),
        )
        assert (
            f"{runs[4]['kl']:.2f}" == shrunk
            and f"{runs[0.01]['kl']:.1f}" == grown
            and f"{runs[1]['bce'] - runs[0.01]['bce']:.1f}" == saved
        )
        plane = Plane(6.5, 4.1).move_to([-2.6, -0.2, 0])
        numerals = plane.numerals(runs[1]["mu"], labels, 20)
        values = [0.01, 0.3, 1, 4]
        line = Line([2.2, 1.5, 0], [6.2, 1.5, 0], color=DIM, stroke_width=4)
        at = {beta: line.point_from_proportion(k / 3) for k, beta in enumerate(values)}
        marks = VGroup(
            *[
                VGroup(
                    Line(UP * 0.1, DOWN * 0.1, color=DIM, stroke_width=3).move_to(place),
                    words(f"{beta:g}", 24, DIM).next_to(place, DOWN, buff=0.2),
                )
                for beta, place in at.items()
            ]
        )
        name = math("beta", 50, BAD).next_to(line, UP, buff=0.35)
        knob = Dot(at[1], 0.16, color=BAD)
        kl = Reading([f"KL {runs[beta]['kl']:.2f}" for beta in (1, 4, 0.3, 0.01)], 36, PRICE).move_to([3.2, -0.4, 0])
        images = (
            Group(*[Picture(one, 0.85) for one in runs[1]["made"][:8]])
            .arrange_in_grid(2, 4, buff=0.15)
            .move_to([4.2, -2.2, 0])
        )
        made = {
            beta: [into(one, image) for one, image in zip(images, runs[beta]["made"], strict=False)] for beta in values
        }

        def slide(start: float, end: float, k: int) -> tuple:
            show = UpdateFromAlphaFunc(kl, lambda one, share: one.show(k) if share > 0.5 else one)
            return (
                plane.moving(numerals, np.array([runs[start]["mu"], runs[end]["mu"]]), smooth),
                ApplyMethod(knob.move_to, at[end]),
                show,
                *made[end],
            )

        self.say(
            "{slider} Such a weight is called beta. {kl} At one, the plane is full. {four} Raise it to 4, and already "
            f"the plane shrinks to a line: a KL of {shrunk}.",
            slider=(FadeIn(plane), FadeIn(numerals), FadeIn(line, marks, name, knob), 0.9),
            kl=(FadeIn(kl), FadeIn(images), 0.7),
            four=lambda: (*slide(1, 4, 1), 2.4),
        )
        self.say(
            f"{{back}} Below one, {{low}} the plane grows, and each bell shrinks: a KL of {grown} nats, to save {saved} of BCE. {{rule}} So sum over what belongs to one "
            "cell, and average over cells. {cells} On 765 genes, the colleague's line would set a beta of 765.",
            pause=0.5,
            back=lambda: (*slide(4, 0.3, 2), 1.0),
            low=lambda: (*slide(0.3, 0.01, 3), 2.2),
            rule=lambda: (*slide(0.01, 1, 0), 2.4),
            cells=(Indicate(name, color=BAD), 1.0),
        )
        assert lesson.text(r"code gives \$\\beta = (\d+)\$") == "765"


class Gallery(Beat):
    chapter, section = "Reading a run, and the win", "3.10"

    def construct(self):
        self.head()
        runs = lesson.value("3.10", "runs")
        level = lesson.value("3.10", "no_latents")
        panels, sets = VGroup(), []
        for k, run in enumerate(runs.values()):
            axes = plot_axes((0, 40), (-1, 48), width=3.5, height=2.15).move_to(
                [(k % 3 - 1) * 4.3, 1.45 - 3.05 * (k // 3), 0]
            )
            rule = Line(axes.c2p(0, level), axes.c2p(40, level), color=DIM, stroke_width=2)
            curves = VGroup()
            for part, values in run.items():
                one = curve(axes, range(1, 41), values, FIT if "bce" in part else PRICE, 4)
                curves.add(DashedVMobject(one, 30) if "held" in part else one)
            panels.add(VGroup(axes, rule))
            sets.append(curves)
        names = VGroup(
            words("BCE", 24, FIT),
            words("KL", 24, PRICE),
            words("dashed: held out", 24, DIM),
            words("grey line: coins", 24, DIM),
        )
        names.arrange(RIGHT, buff=0.8).move_to(DOWN * 3.4)
        order = list(runs)
        self.say(
            "{all} A run has ended, and all you have is its curves. Six runs, five of them with one fault each. {move} Ask: does it move, and "
            "smoothly? Do training and held-out curves part? And does the KL make sense?",
            all=(FadeIn(panels), FadeIn(names), *[Create(one, lag_ratio=0, rate_func=linear) for one in sets], 3.0),
            move=(
                LaggedStart(*[Indicate(panel[0], color=MEAN, scale_factor=1.03) for panel in panels], lag_ratio=0.3),
                2.6,
            ),
        )
        held = [
            one
            for one in order
            if runs[one]["kl held out"][-1] < 0.05 and abs(runs[one]["bce held out"][-1] - level) < 0.5
        ]
        assert len(held) == 1
        dead = order.index(held[0])
        frame = SurroundingRectangle(
            VGroup(panels[dead], sets[dead]), color=BAD, buff=0.15, corner_radius=0.1, stroke_width=4
        )
        others = VGroup(*[VGroup(panels[k], sets[k]) for k in range(6) if k != dead])
        self.say(
            "{dead} One you know already: KL on the floor, and BCE at the line of the coins, steady. {check} Then look first for a weight on the KL. "
            "{rest} The other five are for you to name.",
            dead=lambda: (Create(frame), others.animate.set_opacity(0.25), 0.9),
            check=(Indicate(VGroup(panels[dead], sets[dead]), color=BAD, scale_factor=1.03), 1.2),
            rest=lambda: (FadeOut(frame), others.animate.set_opacity(1), 1.0),
        )


class Worth(Beat):
    section = "3.11"

    def construct(self):
        self.head()
        vae, coins, depth = (np.asarray(lesson.value("3.11", name)) for name in ("of_vae", "of_coins", "of_depth"))
        lines = {name: lesson.line(rf"^VAE .*, {name} ") for name in ("coins", "depth")}
        gain, error, better = zip(
            *[(found := re.search(r": \+(\d+) ± (\d+), better in (\d+)%", lines[name])).groups() for name in lines],
            strict=True,
        )
        axes = plot_axes(
            (-10, 90, 10),
            (0, 34),
            "nats",
            "held-out cells",
            10,
            4.4,
            x_marks=[0, 20, 40, 60, 80],
            y_marks=[0, 10, 20, 30],
        ).move_to(DOWN * 0.5)
        edges = np.arange(-10, 91, 5)
        bars = [
            histogram(axes, edges, np.histogram(vae - rival, edges)[0], color)
            for rival, color in ((coins, LATENT), (depth, SPREAD))
        ]
        zero = DashedLine(axes.c2p(0, 0), axes.c2p(0, 34), color=INK, stroke_width=3)
        sides = VGroup(
            words("rival wins", 24, DIM).next_to(axes.c2p(0, 33), LEFT, buff=0.2),
            words("VAE wins", 24, GOOD).next_to(axes.c2p(0, 33), RIGHT, buff=0.2),
        )
        tags = [
            VGroup(words(text, 28, color), mono(f"+{value} ± {wide}", 34, color))
            .arrange(DOWN, buff=0.2)
            .move_to(axes.c2p(68, 27))
            for text, value, wide, color in zip(
                ("over coins", "over depth"), gain, error, (LATENT, SPREAD), strict=True
            )
        ]
        card = question("By how many nats a cell does it win?\n3, 10 or 30", 30).move_to(axes.c2p(42, 18))
        self.say(
            "{axes} Was it worth the effort? Take 140 held-out cells, and a rival without a network: coins that know how often each "
            "gene is detected. {ask} By how many nats a cell does your VAE win: 3, 10 or 30?",
            pause=1.5,
            axes=(FadeIn(axes), FadeIn(zero), FadeIn(sides), 0.9),
            ask=(ask(card), 0.8),
        )
        assert len(vae) == 140
        self.say(
            f"{{coins}} By {gain[0]}, give or take {error[0]}. {{depth}} A better rival is told, for free, how many genes each cell shows. "
            f"{{still}} The VAE wins by {gain[1]}, in {better[1]} percent of the cells. {{two}} Two latents are worth more than thirty nats to a cell "
            "that the model has never seen.",
            pause=0.5,
            coins=(
                FadeOut(card),
                LaggedStart(*[GrowFromEdge(one, DOWN) for one in bars[0]], lag_ratio=0.05),
                FadeIn(tags[0]),
                1.4,
            ),
            depth=lambda: (bars[0].animate.set_opacity(0.15), FadeOut(tags[0]), 0.8),
            still=(LaggedStart(*[GrowFromEdge(one, DOWN) for one in bars[1]], lag_ratio=0.05), FadeIn(tags[1]), 1.4),
            two=lambda: (
                bars[0].animate.set_opacity(0.75),
                bars[1].animate.set_opacity(0.3),
                FadeOut(tags[1]),
                FadeIn(tags[0]),
                1.0,
            ),
        )
        assert int(gain[0]) > 30


class Asked(Beat):
    section = "3.12"

    def construct(self):
        self.head()
        made, thrown = (np.asarray(lesson.value("3.6", name)) for name in ("made_up", "thrown"))
        images = row(made[:12], 0.8, 0.2).move_to(UP * 2.2)
        card = (
            notebook_card(
                3,
                [
                    ("3.1", "write the loss, in two parts"),
                    ("3.2", "write one epoch of training"),
                    ("3.4", "walk between two cells"),
                    ("3.5", "name what is wrong with six runs"),
                ],
            )
            .scale(0.9)
            .move_to(DOWN * 0.75)
        )
        self.say(
            "{card} Now it is your turn. In the notebook {loss} you write the loss, {loop} and the training loop, {walk} you walk between two cells, "
            "{runs} and you name the fault of each of those runs. {draw} At its end, paint a digit with the mouse: your own weights answer.",
            pause=0.8,
            card=(FadeIn(card.card), FadeIn(card.title), FadeIn(images), 0.8),
            loss=(FadeIn(card.row(0), shift=RIGHT * 0.2), 0.5),
            loop=(FadeIn(card.row(1), shift=RIGHT * 0.2), 0.5),
            walk=(FadeIn(card.row(2), shift=RIGHT * 0.2), 0.5),
            runs=(FadeIn(card.row(3), shift=RIGHT * 0.2), 0.5),
            draw=(
                LaggedStart(*[into(one, image) for one, image in zip(images, thrown, strict=False)], lag_ratio=0.1),
                1.8,
            ),
        )
        self.say(
            "{last} Three things were taken on trust: that a gradient gets through the draw, that the loss is a bound, and that it is close. "
            "That is lesson 4.",
            pause=1.2,
            last=(
                LaggedStart(*[into(one, image) for one, image in zip(images, made, strict=False)], lag_ratio=0.1),
                2.4,
            ),
        )


class Poster(Lecture):
    def construct(self):
        plane = Plane(7.0, 2.9).move_to([3.3, 0, 0])
        title = VGroup(
            words("The demo:", 78, weight=BOLD),
            words("running", 78, MEAN, weight=BOLD),
            words("the network", 78, MEAN, weight=BOLD),
        )
        title.arrange(DOWN, buff=0.3, aligned_edge=LEFT).move_to([-3.8, 0.7, 0])
        made = row(np.asarray(lesson.value("3.6", "made_up"))[[0, 3, 11, 2, 8]], 0.95, 0.2).move_to([-3.8, -2.1, 0])
        made.align_to(title, LEFT)
        self.add(plane, plane.numerals(snapshots[-1], truth, 26), title, made)
