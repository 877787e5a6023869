"""The explorables: each is alive in a browser by mouse, keys and touch, and shows what PyTorch computes."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import vae_course as vc
from vae_course import explore, metrics
from vae_course.distributions import (
    bernoulli_log_prob,
    kl_normal,
    kl_standard_normal,
    nb_log_prob,
    normal_log_prob,
    poisson_log_prob,
    zinb_log_prob,
)

NAMES = (
    "batch_norm",
    "batches",
    "beta",
    "counts",
    "descent",
    "elbo",
    "kl",
    "pca",
    "posterior",
    "reparameterization",
    "walk",
)
DATA = Path(explore.__file__).parent / "data"


def exactly(value):
    return torch.tensor(value, dtype=torch.float64)


close = pytest.approx


@pytest.fixture(scope="module")
def learner():
    """A small model of the digits, as a learner may have it, and its data."""
    digits = vc.load_digits()
    model = vc.BinaryVAE(digits.n_genes, n_hidden=32, seed=1)
    vc.UnsupervisedTrainer(model, digits, n_epochs_kl_warmup=1, seed=1).train(4)
    return model, digits


@pytest.fixture(scope="module")
def made(learner):
    """All explorables, by name."""
    return {name: explore.walk(*learner) if name == "walk" else getattr(explore, name)() for name in NAMES}


@pytest.fixture(scope="module")
def noted():
    """What the pages said, and whom they asked."""
    return [], []


@pytest.fixture
def opened(pages, noted, made, tmp_path):
    """Give a function that opens an explorable; in the end none may have failed, nor asked anybody for anything."""
    said, asked = noted
    said.clear()
    asked.clear()

    def listen(page):
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))

    def open_page(name, width=760, html=None, **options):
        file = tmp_path / f"{name}.html"
        file.write_text(html or made[name].html, encoding="utf-8")
        return pages(file.as_uri(), width, 900, listen, **options)

    yield open_page
    assert said == []
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []


def reached(page, **values):
    """Set a state, and return the numbers that the explorable has for it."""
    return page.evaluate("values => (explorable.set(values), explorable.numbers())", values)


def numbers(page):
    return page.evaluate("explorable.numbers()")


# --------------------------------------------------------------------------------------------------------------------
# What holds for all
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_asks_first_and_answers_after_a_touch(opened, name):
    page = opened(name)
    options = page.locator(".predict button")
    assert options.count() == 3
    lengths = [len(text) for text in options.all_inner_texts()]
    assert max(lengths) <= max(2.2 * min(lengths), min(lengths) + 12)
    verdict = page.locator(".predict [role=status]")
    options.nth(0).click()
    assert verdict.inner_text() == "Noted. Now try it, and see."
    touched = page.locator(".stage input[type=range], .stage .handle, .stage [role=slider]").first
    touched.focus()
    before = numbers(page)
    page.keyboard.press("ArrowRight")
    assert numbers(page) != before
    assert verdict.inner_text()[0] in "✓✗"


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_a_phone_and_follows_the_theme(opened, name):
    page = opened(name, 390, color_scheme="dark", has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    sizes = page.evaluate("""[...document.querySelectorAll('svg text')].filter(t => t.textContent.trim())
        .map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a)""")
    assert min(sizes, default=12) >= 9
    background, ink = page.evaluate("""['backgroundColor', 'color'].map(name =>
        getComputedStyle(document.body)[name].match(/[0-9.]+/g).slice(0, 3).reduce((sum, c) => sum + Number(c), 0))""")
    assert background < 150 < 500 < ink


def test_a_handle_is_dragged_by_mouse_and_by_finger(opened):
    page = opened("kl", 390, has_touch=True, is_mobile=True)
    box = page.get_by_role("slider", name="mean of q").locator(".grip").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=4)
    page.mouse.up()
    at = page.evaluate("state.mean")
    assert at > 1
    touch = page.context.new_cdp_session(page)
    for kind, k in (("touchStart", 0), *(("touchMove", k) for k in range(1, 6)), ("touchEnd", None)):
        points = [] if k is None else [{"x": x + 60 - 16 * k, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert page.evaluate("state.mean") < at - 1


def test_in_a_notebook_it_is_a_frame_as_high_as_its_page_with_a_still_beneath(opened, made):
    around = "<!doctype html><html data-theme='dark'><body>{}</body></html>"
    page = opened("kl", 760, html=around.format(made["kl"]._repr_html_()))
    frame = page.frames[1]
    frame.wait_for_function("window.explorable")
    assert frame.evaluate("explorable.numbers().kl_qp") > 0
    page.wait_for_function("""() => Math.abs(document.querySelector('iframe').getBoundingClientRect().height
        - document.querySelector('iframe').contentDocument.querySelector('main').scrollHeight - 4) < 2""")
    assert frame.evaluate("document.documentElement.dataset.theme") == "dark"
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    frame.wait_for_function("document.documentElement.dataset.theme === 'light'")
    off = opened("kl", 760, html=around.format(made["kl"]._repr_html_()), java_script_enabled=False)
    assert off.locator("img").bounding_box()["width"] > 300


# --------------------------------------------------------------------------------------------------------------------
# Their numbers
# --------------------------------------------------------------------------------------------------------------------


def gene(name):
    data = vc.load_pbmc()
    return torch.from_numpy(data.counts.toarray()).double()[:, data.gene_names.tolist().index(name)]  # (cells,)


def test_pca(opened):
    page = opened("pca")
    library = torch.from_numpy(vc.load_pbmc().counts.toarray()).double().sum(dim=1)
    x = torch.stack([torch.log1p(gene(name) / library * 10_000) for name in ("HLA-DRA", "CD74")], dim=1)[:200]
    x = x.mul(1e4).round().div(1e4)  # (cells, 2), as many digits as the page is given
    centred = x - x.mean(dim=0)
    eigenvalues, eigenvectors = torch.linalg.eigh(centred.T @ centred / len(x))
    best = torch.atan2(eigenvectors[1, -1], eigenvectors[0, -1]).rad2deg().item() % 180
    for angle in (0.0, 110.0, 217.0, -30.0):
        v = torch.stack([exactly(angle).deg2rad().cos(), exactly(angle).deg2rad().sin()])
        z = centred @ v
        lost = (centred - z.unsqueeze(-1) * v).square().sum(dim=1)
        shown = reached(page, angle=angle)
        assert shown == close(
            {"angle": angle % 180, "variance": z.square().mean().item(), "error": lost.mean().item(),
             "best_angle": best}, abs=1e-5,
        )  # fmt: skip
    page.get_by_role("button", name="Best direction").click()
    page.wait_for_function("Math.abs(explorable.numbers().angle - explorable.numbers().best_angle) < 1e-9")
    assert numbers(page)["variance"] == close(eigenvalues[-1].item(), abs=1e-5)


def test_posterior(opened):
    page = opened("posterior")
    data = page.evaluate("DATA")
    z = torch.linspace(-5, 5, 401, dtype=torch.float64)
    slope, offset = (exactly([gene[key] for gene in data["genes"]]) for key in ("slope", "offset"))
    cells = [cell["seen"] for cell in data["cells"]]
    for seen, n in ((cells[0], 1), (cells[1], 6), ([1, 0, 0, 0, 0, 0], 2), (cells[0], 0)):
        logits = z.unsqueeze(-1) * slope[:n] + offset[:n]  # (points, n)
        log_joint = normal_log_prob(z, exactly(0), exactly(1)) + bernoulli_log_prob(exactly(seen[:n]), logits).sum(-1)
        p = torch.softmax(log_joint, dim=0)
        mean = p @ z
        expected = torch.logsumexp(log_joint, dim=0) + (z[1] - z[0]).log(), mean, (p @ (z - mean) ** 2).sqrt()
        shown = reached(page, seen=seen, n=n)
        assert [shown[key] for key in ("log_evidence", "mean", "sd")] == close([v.item() for v in expected], abs=1e-5)


def test_kl(opened):
    page = opened("kl")
    x = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    bells = ((0.65, -1.5, 0.35), (0.35, 2.0, 0.5))
    log_p = torch.logsumexp(
        torch.stack([np.log(w) + normal_log_prob(x, exactly(m), exactly(v)) for w, m, v in bells]), 0
    )
    for mean, sd in ((0.0, 1.2), (-1.5, 0.6), (2.5, 3.0)):
        log_q = normal_log_prob(x, exactly(mean), exactly(sd**2))
        by_q, by_p = ((a.exp() * (a - b)).sum().item() * 1e-4 for a, b in ((log_q, log_p), (log_p, log_q)))
        assert reached(page, p="two", mean=mean, sd=sd) == close({"kl_qp": by_q, "kl_pq": by_p}, abs=1e-5)
        q, p = (exactly(mean), exactly(sd**2)), (exactly(0), exactly(1))
        expected = {"kl_qp": kl_normal(*q, *p).item(), "kl_pq": kl_normal(*p, *q).item()}
        assert reached(page, p="one", mean=mean, sd=sd) == close(expected, abs=1e-5)


def test_descent(opened):
    page = opened("descent")
    for values in (
        {"curve": "bowl", "curvature": 2, "start": -2.7, "rate": 0.1, "steps": 6},
        {"curve": "bowl", "curvature": 2, "start": -2.7, "rate": 1.05, "steps": 20},
        {"curve": "valleys", "start": 0.4, "rate": 0.2, "steps": 30},
    ):
        shown, x = reached(page, **values), exactly(values["start"])
        for _ in range(values["steps"] + 1):
            x = x.detach().requires_grad_()
            f = x**2 / 2 * values["curvature"] if values["curve"] == "bowl" else x**4 / 8 - x**2 + 0.3 * x + 3
            f.backward()
            here, x = [x.item(), f.item(), x.grad.item()], x - values["rate"] * x.grad
        assert [shown["x"], shown["f"], shown["gradient"]] == close(here, abs=1e-5)
        assert ("It diverges" in page.inner_text("main")) is (values["rate"] > 1)


def test_batch_norm(opened):
    page = opened("batch_norm")
    offsets = exactly(page.evaluate("OFFSETS"))
    training = (offsets - offsets.mean()) / offsets.std() + 3  # a minibatch of mean 3 and variance 1
    for values in (
        {"own": 4, "center": 3, "spread": 1, "seen": 500},
        {"own": 0.7, "center": 6.2, "spread": 0.3, "seen": 50},
        {"own": 8, "center": 1, "spread": 2, "seen": 0},
    ):
        shown = reached(page, **values)
        norm = torch.nn.BatchNorm1d(1, momentum=0.01, eps=0.001).double()
        for _ in range(values["seen"]):
            norm(training.unsqueeze(1))
        own = exactly([[values["own"]]])
        assert shown["running_mean"] == close(norm.running_mean.item(), abs=1e-5)
        assert shown["running_var"] == close(norm.running_var.item(), abs=1e-5)
        assert shown["eval"] == close(norm.eval()(own).item(), abs=1e-5)
        minibatch = torch.cat([own, (values["center"] + values["spread"] * offsets).unsqueeze(1)])
        assert shown["train"] == close(norm.train()(minibatch)[0].item(), abs=1e-5)


def stored_model(stored):
    """The package's model with the weights of a page."""
    model = vc.BinaryVAE(64, n_latent=2, n_hidden=16)
    flat = torch.from_numpy(np.frombuffer(base64.b64decode(stored["weights"]), "<f2").astype(np.float32))
    weights = {name: w for name, w in model.state_dict().items() if "num_batches_tracked" not in name}
    parts = zip(flat.split([w.numel() for w in weights.values()]), weights.items(), strict=True)
    model.load_state_dict({name: part.view_as(w) for part, (name, w) in parts}, strict=False)
    return model.double().eval()


@torch.no_grad()
def test_beta(opened):
    page, data = opened("beta"), json.loads((DATA / "beta.json").read_text(encoding="utf-8"))
    x = np.unpackbits(np.frombuffer(base64.b64decode(data["x"]), np.uint8)).reshape(-1, 64)
    for position, digit in ((0, 5), (2, 236), (4, 299)):
        model, pixels = stored_model(data["models"][position]), exactly(x[[digit]].tolist())
        mean, logvar = model.encode(pixels)
        shown = reached(page, beta=position, digit=digit)
        assert shown["mean"] == close(mean[0].tolist(), abs=1e-5)
        assert shown["bce"] == close(-bernoulli_log_prob(pixels, model.decode(mean)).sum().item(), abs=1e-5)
        assert shown["kl"] == close(kl_standard_normal(mean, logvar).item(), abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["digits", "cells"])
def test_walk(opened, learner, kind):
    if kind == "digits":
        model, data = learner
    else:
        data = vc.load_pbmc().binarize()
        model = vc.BinaryVAE(data.n_genes, n_hidden=128, seed=2).eval()
    one = explore.walk(model, data)
    assert len(one.html.encode()) < 100_000
    page = opened("walk", html=one.html)
    content = page.evaluate("DATA")
    names = data.gene_names.tolist()
    columns = slice(None) if content["genes"] is None else [names.index(name) for name in content["genes"]]
    start, end = np.array(content["start"]), np.array(content["end"])
    for values in ({"t": 0}, {"t": 0.37}, {"t": 1, "end": [0.5, -1.25]}):
        shown = reached(page, **values)
        z = (1 - values["t"]) * start + values["t"] * np.array(values.get("end", end))
        output = torch.sigmoid(model.eval().decode(torch.from_numpy(z[None]).float()))[0, columns]
        assert shown["z"] == close(z.tolist(), abs=1e-5)
        assert shown["output"] == close(output.tolist(), abs=1e-5)


def test_reparameterization(opened):
    page, dice = opened("reparameterization"), []
    for values in (
        {"seed": 1, "dice": "frozen", "sd": 1, "mu": 1},
        {"mu": 4.5, "sd": 0.6},
        {"dice": "fresh", "mu": 2},
        {"mu": 3.5},
    ):
        shown = reached(page, **values)
        mu, sd = (exactly(page.evaluate(f"state.{name}")) for name in ("mu", "sd"))
        estimate = ((mu.requires_grad_() + sd * exactly(shown["eps"]) - 3) ** 2).mean()
        estimate.backward()
        expected = [v.item() for v in (estimate, mu.grad, (mu - 3) ** 2 + sd**2, 2 * (mu - 3))]
        assert [shown[key] for key in ("estimate", "gradient", "exact", "exact_gradient")] == close(expected, abs=1e-5)
        dice.append(shown["eps"])
    assert len(dice[0]) == 30
    assert dice[0] == dice[1]
    assert dice[1] != dice[2] != dice[3]


def test_elbo(opened):
    page = opened("elbo")
    w, b, noise_var = exactly(1.0), exactly(0.1), exactly(0.5)  # W[0, 0], b[0] and noise_var of lesson 4
    z = torch.linspace(-15, 15, 300_001, dtype=torch.float64)
    for x, mean, sd in ((1.0, 0.2, 0.3**0.5), (-2.0, 1.5, 0.4), (3.0, -3.0, 2.0)):
        log_joint = normal_log_prob(z, exactly(0), exactly(1)) + normal_log_prob(exactly(x), w * z + b, noise_var)
        log_q = normal_log_prob(z, exactly(mean), exactly(sd**2))
        log_px = torch.logsumexp(log_joint, dim=0) + (z[1] - z[0]).log()  # by a sum over a grid, without formulas
        elbo = (log_q.exp() * (log_joint - log_q)).sum() * (z[1] - z[0])
        expected = {"elbo": elbo.item(), "gap": (log_px - elbo).item(), "log_px": log_px.item()}
        assert reached(page, x=x, mean=mean, sd=sd) == close(expected, abs=1e-5)
    page.get_by_role("button", name="Let the ELBO choose q").click()
    page.wait_for_function("explorable.numbers().gap < 1e-5")


def test_counts(opened):
    page = opened("counts")
    mu, theta, logits = 2.4, 0.09, -1.3
    for name in ("GNLY", "CST3", "RNF181"):
        for family, log_prob, parameters in (
            ("Poisson", poisson_log_prob, (mu,)), ("NB", nb_log_prob, (mu, theta)),
            ("ZINB", zinb_log_prob, (mu, theta, logits)),
        ):  # fmt: skip
            given = [exactly(value) for value in parameters]
            shown = reached(page, gene=name, family=family, mu=mu, theta=theta, zi_logits=logits)
            assert shown["log_likelihood"] == close(log_prob(gene(name), *given).mean().item(), abs=1e-5)
            assert shown["zeros"] == close(log_prob(exactly(0.0), *given).exp().item(), abs=1e-5)
    reached(page, gene="CST3", family="ZINB", theta=1.35, zi_logits=0.0)
    page.get_by_role("button", name="Fit all parameters").click()
    page.wait_for_function("explorable.numbers().log_likelihood > -3.0485")  # NB reaches -3.181


def test_batches(opened):
    page, steps = opened("batches"), json.loads((DATA / "batches.json").read_text(encoding="utf-8"))["steps"]
    for step in steps:
        assert reached(page, strength=step["strength"]) == step["scores"]
    from sklearn.decomposition import PCA  # the first map's scores can be had without training

    data = vc.load_two_batches(seed=0, strength=1)
    space = PCA(10, svd_solver="full").fit_transform(
        np.log1p(data.counts.multiply(1e4 / data.counts.sum(axis=1)).toarray())
    )
    mixed = metrics.entropy_batch_mixing(space, data.batch_index) / metrics.entropy_from_indices(data.batch_index)
    shown = reached(page, strength=1, by="batch")["pca"]
    assert shown["mixed"] == close(mixed, abs=1e-5)
    assert shown["same"] == close(metrics.knn_purity(space, data.labels), abs=1e-5)
    at_one = next(step["scores"] for step in steps if step["strength"] == 1)
    assert at_one["told"]["mixed"] > 0.6 > 0.3 > at_one["pca"]["mixed"]  # what the figure is there to show
