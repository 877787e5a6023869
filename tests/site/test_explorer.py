"""The latent explorer: what it shows is what the package computes, and it works by mouse, keys and touch."""

import json
import math
import re
import time
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path

import build_site
import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

import vae_course as vc
from vae_course.distributions import bernoulli_log_prob, kl_standard_normal, normal_log_prob, scvi_kl
from vae_course.explore import model
from vae_course.explore.weights import exported, restored

ROOT = Path(__file__).parents[2]
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
KINDS = ("digits", "cells")
EPS = (0.7, -1.3, 0.4)

# What the page computes for x (row `index` of the data, or 64 pixels) with the noise eps.
COMPUTE = """([set, beta, x, eps]) => {
    if (explorer.state.set !== set) explorer.setUp(set);
    const model = explorer.data().models[beta];
    const row = typeof x === 'number' ? explorer.data().x[x] : Float64Array.from(x);
    const q = model.encode(row);
    const {z, library} = model.reparameterize(q, eps);
    const decoded = model.decode(z, library);
    return {mean: q.mean, var: q.var, output: [...decoded.output], expected: [...decoded.expected],
            ...model.kl(q), reconstruction: model.reconstruction(row, decoded)};
}"""
# log p(x) and the ELBO of a row, and where p(x, z) is large: least and greatest z1, z2 and, for a cell, l.
INTEGRATE = """([beta, index]) => {
    const model = explorer.data().models[beta], x = explorer.data().x[index], q = model.encode(x);
    const reach = Math.max(3, ...explorer.data().means(beta).flat().map(Math.abs));
    const {logPx, squares} = explorer.integrate(model, x, reach);
    const {kl, klLibrary} = model.kl(q);
    const best = Math.max(...squares.map(one => one.log));
    const kept = squares.filter(one => one.log > best - 12);
    const ends = (values, margin) => [Math.min(...values) - margin, Math.max(...values) + margin];
    const size = Math.max(...kept.map(one => one.size));
    const box = [0, 1].map(j => ends(kept.map(one => one.z[j]), size));
    if (q.library) box.push(ends(kept.map(one => one.l), 6 * Math.max(...kept.map(one => one.sd))));
    return {logPx, box, elbo: explorer.meanLogLikelihood(model, x, q) - kl - klLibrary};
}"""


# --------------------------------------------------------------------------------------------------------------------
# The page, and what PyTorch makes of its models
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """Write the course's explorer once."""
    path = tmp_path_factory.mktemp("explorer") / "index.html"
    path.write_text(build_site.explorer(), encoding="utf-8")
    assert path.stat().st_size < 4e6
    return path


@cache
def stored(kind):
    return json.loads((ROOT / "docs" / "explorer" / f"{kind}.json").read_text(encoding="utf-8"))["models"]


@cache
def model_of(kind, beta):
    """Return the package's model with the stored weights."""
    return restored(stored(kind)[beta])


@cache
def data_of(kind):
    return vc.load_digits() if kind == "digits" else vc.load_pbmc()


@cache
def counts_of(kind):
    return torch.from_numpy(data_of(kind).counts.toarray()).float()


@torch.no_grad()
def computed(model, x, eps):
    """Return what PyTorch computes in float32 for one input and this noise."""
    x, eps = x[None], torch.tensor(eps)
    if isinstance(model, vc.BinaryVAE):
        mean, logvar = model.encode(x)
        var, kl_library = logvar.exp(), torch.zeros(1)
        logits = model.decode(mean + var.sqrt() * eps[:2])
        output = expected = torch.sigmoid(logits)
        kl = kl_standard_normal(mean, logvar)
        reconstruction = -bernoulli_log_prob(x, logits).double().sum()
    else:
        inferred = model.inference(x)
        mean, var, ql_m, ql_v = (inferred[name] for name in ("qz_m", "qz_v", "ql_m", "ql_v"))
        z, library = mean + var.sqrt() * eps[:2], ql_m + ql_v.sqrt() * eps[2]
        output, _, rate, dropout = model.decoder("gene", z, library)
        expected = rate * torch.sigmoid(-dropout) if model.likelihood == "zinb" else rate
        kl_library, kl = scvi_kl(mean, var, ql_m, ql_v, model.library_log_means, model.library_log_vars)
        reconstruction = -model.log_likelihood(x, rate, inferred["px_r"], dropout).double().sum()
    values = {"mean": mean, "var": var, "output": output, "expected": expected, "kl": kl, "klLibrary": kl_library}
    values["reconstruction"] = reconstruction
    return {name: value.flatten().double().numpy() for name, value in values.items()}


def assert_page_computes(page, model, x, row, set_index=0, beta=0):
    theirs, ours = computed(model, row, EPS), page.evaluate(COMPUTE, [set_index, beta, x, list(EPS)])
    for name, expected in theirs.items():
        np.testing.assert_allclose(np.atleast_1d(ours[name]), expected, rtol=1e-5, atol=1e-5, err_msg=name)


@torch.no_grad()
def log_joint(model, x, z, library):
    """Return log p(x, z, l) in float64, (len(z),); of a BinaryVAE log p(x, z)."""
    prior = normal_log_prob(z, torch.zeros_like(z), torch.ones_like(z)).sum(dim=-1)
    if library is None:
        return prior + bernoulli_log_prob(x, model.decode(z)).sum(dim=-1)
    _, _, rate, dropout = model.decoder("gene", z, library)
    likelihood = model.log_likelihood(x, rate, model.px_r.exp(), dropout).sum(dim=-1)
    return prior + normal_log_prob(library, model.library_log_means, model.library_log_vars).squeeze(-1) + likelihood


def grid(box, points):
    axes = [torch.linspace(*ends, n, dtype=torch.float64) for ends, n in zip(box, points, strict=True)]
    volume = math.prod((axis[1] - axis[0]).item() for axis in axes)
    return torch.cartesian_prod(*axes), math.log(volume)


def quadrature(model, x, box):
    """Return log p(x) on a fine grid in a box; nothing in the whole plane may be more likely than the box's best."""
    model, x = restored(exported(model)).double(), x.double()
    points, log_volume = grid(box, (27, 27, 17) if len(box) == 3 else (201, 201))
    parts = [log_joint(model, x, some[:, :2], some[:, 2:] if len(box) == 3 else None) for some in points.split(4000)]
    logs = torch.cat(parts)
    best = points[logs.argmax()]
    z, _ = grid([(-8, 8)] * 2, (49, 49))
    elsewhere = log_joint(model, x, z, best[2:].expand(len(z), 1) if len(box) == 3 else None)
    assert elsewhere.max() < logs.max() + 0.5
    return (torch.logsumexp(logs, dim=0) + log_volume).item()


@torch.no_grad()
def exact_elbo(model, x):
    """Return the ELBO by a fine quadrature over q, nats."""
    model, x = restored(exported(model)).double(), x[None].double()
    eps, _ = grid([(-5.2, 5.2)] * 2, (161, 161) if isinstance(model, vc.BinaryVAE) else (27, 27))
    weights = torch.softmax(-0.5 * eps.square().sum(dim=-1), dim=0)
    if isinstance(model, vc.BinaryVAE):
        mean, logvar = model.encode(x)
        log_likelihood = bernoulli_log_prob(x, model.decode(mean + torch.exp(0.5 * logvar) * eps)).sum(dim=-1)
        return (weights @ log_likelihood - kl_standard_normal(mean, logvar)).item()
    inferred = model.inference(x)
    mean, var, ql_m, ql_v = (inferred[name] for name in ("qz_m", "qz_v", "ql_m", "ql_v"))
    nodes, parts = np.polynomial.hermite_e.hermegauss(5)
    z, total = mean + var.sqrt() * eps, -sum(scvi_kl(mean, var, ql_m, ql_v, *model.library_prior(None))).item()
    for node, part in zip(nodes, parts / parts.sum(), strict=True):
        library = (ql_m + ql_v.sqrt() * node).expand(len(z), 1)
        _, _, rate, dropout = model.decoder("gene", z, library)
        total += part * (weights @ model.log_likelihood(x, rate, inferred["px_r"], dropout).sum(dim=-1)).item()
    return total


# --------------------------------------------------------------------------------------------------------------------
# What is stored, and what the page is given
# --------------------------------------------------------------------------------------------------------------------


def test_only_the_weights_are_stored():
    folder = ROOT / "docs" / "explorer"
    assert sorted(path.name for path in folder.iterdir()) == ["cells.json", "digits.json"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3.5e6
    for kind in KINDS:
        assert [one["beta"] for one in stored(kind)][1] == 1
        for beta, one in enumerate(stored(kind)):
            assert one.keys() == {"beta", "kind", "options", "weights"}
            assert exported(model_of(kind, beta), one["beta"]) == one


def content_of(page_file):
    text = page_file.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text)[1])


def test_the_code_shown_is_the_package_s_and_the_sections_exist(page_file):
    content = content_of(page_file)
    assert content["address"] == ADDRESS
    for one in content["sets"]:
        for place in one["code"].values():
            lines = (ROOT / place["file"]).read_text(encoding="utf-8").splitlines()
            assert place["marked"] in [number for number, _ in place["lines"]]
            for number, text in place["lines"]:
                assert lines[number - 1].strip() == text.strip()
            section = content["sections"][place["section"]]
            page, anchor = section["href"].removeprefix("../lessons/").split(".html#")
            lesson = (ROOT / "lessons" / f"{page}.py").read_text(encoding="utf-8").replace("`", "")
            assert f"\n# ## {section['title'].removeprefix('Lesson ').replace(': ', ' ', 1)}\n" in lesson
            assert anchor == f"section-{place['section'].replace('.', '-')}"


# --------------------------------------------------------------------------------------------------------------------
# In the browser
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noted():
    """What the pages said, and whom they asked."""
    return [], []


@pytest.fixture
def opened(pages, noted, page_file):
    """Give a function that opens a page; in the end none may have failed or asked for anything but itself."""
    said, asked = noted
    said.clear()
    asked.clear()
    used = []

    def listen(page):
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))

    def open_page(path=page_file, width=1440, height=800, hash="", **options):  # noqa: A002
        used.append(pages(path.as_uri() + hash, width, height, listen, **options))
        return used[-1]

    yield open_page
    for page in used:
        page.evaluate("localStorage.clear()")  # the theme that was chosen
    assert said == []
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []
    assert {url.partition("#")[0] for url in asked if url.startswith("file:")} <= {
        url for url in asked if "html" in url
    }


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-"))


def shown(page):
    """Return the numbers of the table, by step, once the integrals are there."""
    page.wait_for_function("!document.getElementById('rows').textContent.includes('\u2026')")
    rows = page.evaluate("""() => [...document.querySelectorAll('#rows > div')].map(
        row => [row.dataset.step, row.querySelector('.value').textContent])""")
    return {step: number(value) for step, value in rows}


def choose(page, name, value):
    page.check(f"input[name={name}][value='{value}']", force=True)


def pixels(page):
    return page.evaluate("[...document.querySelectorAll('[role=gridcell]')].map(c => c.ariaSelected === 'true')")


def z_of(page):
    return page.evaluate("explorer.state.z")


def in_plane(page, z):
    """Return where a latent lies on screen."""
    return page.evaluate(
        """z => {
            const box = document.getElementById('plane').getBoundingClientRect(), {reach} = explorer.plane;
            return [box.left + box.width * (1 + z[0] / reach) / 2, box.top + box.height * (1 - z[1] / reach) / 2];
        }""",
        list(z),
    )


def test_it_computes_what_pytorch_computes(opened):
    page = opened()
    drawn = np.random.default_rng(0).integers(0, 2, 64).tolist()
    for set_index, kind in enumerate(KINDS):
        for beta in range(3):
            for x in (0, 5, 301, drawn) if kind == "digits" else (0, 5, 301):
                row = counts_of(kind)[x] if isinstance(x, int) else torch.tensor(x).float()
                assert_page_computes(page, model_of(kind, beta), x, row, set_index, beta)
        assert page.evaluate("explorer.disagreement()") < 1e-5
        assert page.locator("#agreement").inner_text().startswith("For the same inputs this page and PyTorch agree to")


def test_lgamma_is_exact(opened):
    x = np.concatenate([np.geomspace(1e-6, 1e6, 400), np.arange(1, 300), [1.5, 2.5, 9.999, 10.0]])
    ours = opened().evaluate("x => x.map(lgamma)", x.tolist())
    np.testing.assert_allclose(ours, torch.lgamma(torch.from_numpy(x)).numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_the_integrals_are_exact(opened, kind):
    page = opened()
    page.evaluate("set => explorer.setUp(set)", KINDS.index(kind))
    for beta in range(3):
        for index in (3, 77, 1000) if kind == "digits" else (0, 301):
            model, x = model_of(kind, beta), counts_of(kind)[index]
            ours = page.evaluate(INTEGRATE, [beta, index])
            exact = quadrature(model, x, ours["box"])
            assert ours["logPx"] == pytest.approx(exact, abs=0.01), (beta, index)
            elbo = exact_elbo(model, x)
            assert ours["elbo"] == pytest.approx(elbo, abs=0.01), (beta, index)
            assert exact > elbo


def test_draw_with_the_mouse(opened):
    page = opened()
    page.click("#clear")
    assert not any(pixels(page))
    blank = page.evaluate("explorer.current().q.mean")
    cells = page.locator("[role=gridcell]")
    for g, act in ((10, "down"), (14, "up")):
        box = cells.nth(g).bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=12)
        getattr(page.mouse, act)()
    assert [g for g, on in enumerate(pixels(page)) if on] == [10, 11, 12, 13, 14]
    assert page.evaluate("explorer.current().q.mean") != blank
    cells.nth(12).click()  # a drawn pixel can be taken back
    assert [g for g, on in enumerate(pixels(page)) if on] == [10, 11, 13, 14]


def test_draw_with_the_keyboard(opened):
    page = opened()
    page.click("#clear")
    page.locator("[role=gridcell]").first.focus()
    for key in ("ArrowDown", " ", "ArrowRight", "ArrowRight", " ", "ArrowUp", "ArrowLeft", " ", "ArrowUp"):
        page.keyboard.press(key)
    assert [g for g, on in enumerate(pixels(page)) if on] == [1, 8, 10]
    assert page.evaluate("document.activeElement.dataset.pixel") == "1"


def drawn_by_hand():
    drawings = json.loads((ROOT / "tests" / "site" / "hand_drawn.json").read_text(encoding="utf-8"))
    bitmaps = [[int(pixel == "#") for row in drawing["rows"] for pixel in row] for drawing in drawings]
    return bitmaps, np.array([drawing["digit"] for drawing in drawings])


def test_a_drawing_is_brought_to_the_place_and_size_of_a_digit(opened):
    page = opened()
    assert page.evaluate("explorer.data().x.every(x => explorer.asDigit(x, explorer.data().typical) === x)")
    bitmaps, digits = drawn_by_hand()
    small_zero = bitmaps[20]
    seen = page.evaluate("x => [...explorer.asDigit(Float64Array.from(x), explorer.data().typical)]", small_zero)
    rows, columns = np.nonzero(np.reshape(seen, (8, 8)))
    assert (rows.min(), rows.max()) == (0, 7)
    assert 2 <= columns.mean() <= 5
    assert not page.locator("#as-digit").is_visible()
    page.click("#clear")
    for g in np.flatnonzero(small_zero):
        page.locator("[role=gridcell]").nth(int(g)).click()
    assert page.locator("#as-digit").is_visible()
    assert [int(on) for on in pixels(page)] == small_zero  # the drawing itself stays as it was drawn
    assert page.evaluate("[...explorer.state.x]") == seen
    assert len(digits) == 40


def test_a_drawing_is_brought_to_its_place_as_in_training(opened):
    redrawn = pytest.importorskip("redrawn", reason="drawings of training need scikit-image: pip install -e '.[dev]'")
    typical = {redrawn.frame_of(x) for x in data_of("digits").counts.toarray()}
    bitmaps, _ = drawn_by_hand()
    brought = opened().evaluate(
        "bitmaps => bitmaps.map(x => [...explorer.asDigit(Float64Array.from(x), explorer.data().typical)])", bitmaps
    )
    assert brought == [redrawn.as_digit(np.array(x, float), typical).tolist() for x in bitmaps]


def test_drawings_decode_to_their_class(opened):
    """Two latents cannot keep all digits apart: of the data's own digits 92 % decode to their class."""
    bitmaps, digits = drawn_by_hand()
    outputs = opened().evaluate(
        """bitmaps => bitmaps.map(bitmap => {
            const {models, typical} = explorer.data();
            const x = explorer.asDigit(Float64Array.from(bitmap), typical);
            return [...models[1].decode(models[1].encode(x).mean).output];
        })""",
        bitmaps,
    )
    data = data_of("digits")
    classifier = KNeighborsClassifier(5).fit(data.counts.toarray(), data.labels.ravel())
    n_right = (classifier.predict(np.array(outputs) >= 0.5) == digits).sum()
    print(f"{n_right} of 40 drawings decode to their own class")
    assert n_right >= 36


def test_draw_and_drag_by_touch(opened):
    page = opened(width=390, height=844, has_touch=True, is_mobile=True)
    page.locator("#clear").tap()
    for g in (9, 18):
        page.locator("[role=gridcell]").nth(g).tap()
    assert [g for g, on in enumerate(pixels(page)) if on] == [9, 18]
    target = page.evaluate("explorer.means().find(z => Math.hypot(z[0] - explorer.state.z[0], z[1] - 1) < 0.3)")
    page.locator("#plane").evaluate("plane => plane.scrollIntoView({block: 'center', behavior: 'instant'})")
    (x, y), box = in_plane(page, target), page.locator("#plane").bounding_box()
    page.locator("#plane").tap(position={"x": x - box["x"], "y": y - box["y"]})  # takes the nearest digit
    assert z_of(page) == pytest.approx(target, abs=0.05)
    assert page.evaluate("explorer.state.index") is not None

    touch = page.context.new_cdp_session(page)
    start = page.locator("#z").bounding_box()
    x, y = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    box, reach = page.locator("#plane").bounding_box(), page.evaluate("explorer.plane.reach")
    way = 1 if x < box["x"] + box["width"] / 2 else -1
    before = z_of(page)
    for kind, k in (("touchStart", 0), *(("touchMove", k) for k in range(1, 6)), ("touchEnd", None)):
        points = [] if k is None else [{"x": x + 16 * way * k, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        output = page.locator("#decoded").bounding_box()
        assert 0 <= output["y"] < output["y"] + output["height"] <= 844  # what is decoded stays in sight
    assert z_of(page)[0] == pytest.approx(before[0] + way * 80 * 2 * reach / box["width"], abs=0.05)


def test_dragging_z_changes_the_output_and_the_numbers(opened):
    page = opened()
    before, output = shown(page), page.locator("#decoded").screenshot()
    handle = page.locator("#z").bounding_box()
    reach = page.evaluate("explorer.plane.reach")
    page.mouse.move(handle["x"] + 22, handle["y"] + 22)
    page.mouse.down()
    page.mouse.move(*in_plane(page, (reach / 2, reach / 2)), steps=5)
    page.mouse.up()
    after = shown(page)
    assert z_of(page) == pytest.approx([reach / 2, reach / 2], abs=0.02)
    assert after["reconstruction"] > before["reconstruction"] + 1
    assert [after[step] for step in ("kl", "mean_elbo", "log_px")] == [
        before[step] for step in ("kl", "mean_elbo", "log_px")
    ]
    assert after["elbo"] < before["elbo"]
    assert page.locator("#decoded").screenshot() != output
    assert page.evaluate("document.activeElement.id") == "z"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert z_of(page) == pytest.approx([reach * 0.52, reach * 0.6], abs=0.02)
    value = page.locator("#z").get_attribute("aria-valuetext")
    page.wait_for_function("value => document.getElementById('live').textContent.startsWith(value)", arg=value)


def test_a_passing_mouse_previews_and_a_click_takes_the_nearest(opened):
    page = opened()
    for kind in (0, 1):
        page.evaluate("kind => explorer.setUp(kind)", kind)
        z, index, numbers = z_of(page), page.evaluate("explorer.state.index"), page.locator("#score").inner_text()
        target = page.evaluate("explorer.means()[123]")
        page.mouse.move(*in_plane(page, target))
        assert "at the pointer" in page.locator("#output-at").inner_text()
        assert page.locator("#nearest circle").count() == 1
        previewed = page.evaluate("[...explorer.state.preview.decoded.output]")
        assert (z_of(page), page.evaluate("explorer.state.index")) == (z, index)
        assert page.locator("#score").inner_text() == numbers
        page.mouse.move(5, 5)
        assert page.evaluate("explorer.state.preview") is None
        assert "at the pointer" not in page.locator("#output-at").inner_text()
        assert page.locator("#nearest circle").count() == 0
        page.mouse.click(*in_plane(page, target))
        means = np.array(page.evaluate("explorer.means()"))
        taken = page.evaluate("explorer.state.index")
        assert np.linalg.norm(means[taken] - target) < 0.05
        assert z_of(page) == means[taken].tolist()
        assert np.abs(page.evaluate("[...explorer.current().decoded.output]") - np.array(previewed)).max() < 0.2
    page.evaluate("explorer.setZ(explorer.means()[7])")
    page.locator("#z").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("explorer.state.index") == 7


def test_dragging_z_changes_the_marker_genes(opened):
    page = opened()
    choose(page, "kind", 1)
    gnly = page.locator("#genes button", has_text="GNLY")
    expected, observed = map(number, gnly.locator(".count").inner_text().split(" / "))
    assert (observed, expected > 5) == (22, True)
    page.evaluate("explorer.setZ(explorer.middleOf(explorer.labelOf('CD19')))")
    assert number(gnly.locator(".count").inner_text().split(" / ")[0]) < 1
    b_cell = page.locator("#genes button", has_text="CD79A").locator(".count").inner_text()
    assert number(b_cell.split(" / ")[0]) > 1
    gnly.click()
    assert "share of GNLY" in page.locator("#layer-note").inner_text()
    assert gnly.get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_on_screen_add_up(opened, kind):
    page = opened()
    choose(page, "kind", KINDS.index(kind))
    for beta in range(3):
        choose(page, "beta", beta)
        page.click("#draw-one")
        n, exact = shown(page), page.evaluate("explorer.numbers()")
        library = n.get("kl_library", 0)
        weight = stored(kind)[beta]["beta"]
        assert n["elbo"] == pytest.approx(-(n["reconstruction"] + n["kl"] + library), abs=0.02)
        assert exact["elbo"] == -(exact["reconstruction"] + exact["klLibrary"] + exact["kl"])
        assert exact["objective"] == pytest.approx(exact["reconstruction"] + exact["klLibrary"] + weight * exact["kl"])
        assert exact["gap"] >= 0
        assert exact["gap"] == pytest.approx(exact["logPx"] - exact["meanElbo"], abs=0.01)
        gap = re.search("lies (.+) below", page.locator("#rows [data-step=log_px] .formula").inner_text())[1]
        assert number(gap) == pytest.approx(n["log_px"] - n["mean_elbo"], abs=0.02)
        on_top = page.locator("#score b").all_inner_texts()
        assert list(map(number, on_top))[:3] == [n["elbo"], n["reconstruction"], n["kl"]]
        assert number(page.locator("#graph [data-step=elbo] .value").inner_text()) == n["elbo"]


@pytest.mark.parametrize("kind", KINDS)
def test_beta_leads_from_autoencoder_to_collapse(opened, kind):
    page = opened()
    choose(page, "kind", KINDS.index(kind))
    kls, costs, means, sds = [], [], [], []
    for beta in range(3):
        choose(page, "beta", beta)
        q = page.evaluate("""explorer.data().x.filter((_, i) => i % 3 === 0).map(x => {
            const model = explorer.data().models[explorer.state.model], q = model.encode(x);
            return [model.kl(q).kl, q.mean, q.var];
        })""")
        kls.append([one[0] for one in q])
        means.append(np.array([one[1] for one in q]))
        sds.append(np.sqrt([one[2] for one in q]))
        costs.append(page.evaluate("explorer.numbers().reconstruction"))
        assert (
            page.locator("#beta-note").inner_text().startswith(("Nearly an autoencoder", "The VAE", "Collapse")[beta])
        )
    assert np.mean(kls[0]) > np.mean(kls[1]) + 2
    assert np.mean(kls[1]) > 1
    assert np.mean(kls[2]) < 0.01
    assert np.max(kls[2]) < 0.05
    assert np.median(sds[0]) < 0.7 * np.median(sds[1]) < 0.2
    assert sds[2].min() > 0.85
    assert means[2].std() < 0.1 < means[1].std() / 5
    if kind == "cells":
        assert means[0].std() > 1.2 * means[1].std()
    assert costs[2] > costs[1] + 1
    images = [page.evaluate("z => [...explorer.data().models[2].decode(z, 6).output]", z) for z in ([-2, 0], [2, 2])]
    assert np.abs(np.subtract(*images)).max() < 0.15


def test_points_travel_between_betas(opened):
    for motion in ("no-preference", "reduce"):
        page = opened(reduced_motion=motion)
        choose(page, "layer", "points")
        outermost = np.argmax(np.array(page.evaluate("explorer.means()"))[:, 0])
        mark = page.locator("#points > *").nth(int(outermost))
        before = mark.bounding_box()["x"]
        n_moving = page.evaluate("""() => {
            document.querySelector("input[name=beta][value='2']").click();
            return document.getAnimations().length;
        }""")
        if motion == "reduce":
            assert n_moving == 0
        else:
            assert n_moving > 1000
            page.wait_for_function("!document.getElementById('plane').classList.contains('travelling')")
            page.wait_for_function("!document.getAnimations().length")
        box = page.locator("#plane").bounding_box()
        after = mark.bounding_box()["x"]
        assert after == pytest.approx(box["x"] + box["width"] / 2, abs=25)  # all means are about zero now
        assert after < before - 100


def test_fresh_draws_differ_and_average_to_the_mean(opened):
    page = opened()
    page.click("#draw-one")
    first = z_of(page)
    page.click("#draw-one")
    assert z_of(page) != first
    for _ in range(8):
        page.click("#draw-many")
    draws = np.array(page.evaluate("explorer.state.draws"))
    assert len(draws) == 242
    assert page.locator("#draws circle").count() == 242
    mean, var = (np.array(page.evaluate(f"explorer.current().q.{name}")) for name in ("mean", "var"))
    assert (np.abs(draws.mean(axis=0) - mean) < 4 * np.sqrt(var / 242)).all()
    assert draws.var(axis=0) == pytest.approx(var, rel=0.4)
    ellipse = page.locator("#ellipse ellipse").last
    reach = page.evaluate("explorer.plane.reach")
    assert float(ellipse.get_attribute("rx")) == pytest.approx(250 * var[0] ** 0.5 / reach)
    page.click("#to-mean")
    assert z_of(page) == pytest.approx(mean)


def test_the_posterior_s_shade_lies_where_the_posterior_is(opened):
    page = opened()
    page.evaluate("explorer.setUp(0, 1, 'posterior')")
    shown(page)
    x = torch.tensor(page.evaluate("[...explorer.state.x]")).float()
    z, _ = grid([(-3, 3)] * 2, (121, 121))
    log_density = log_joint(model_of("digits", 1), x, z.float(), None)
    theirs = torch.softmax(log_density, dim=0) @ z.float()
    ours = page.evaluate("""() => {
        const layer = document.getElementById('layer'), {width, height} = layer;
        const image = layer.getContext('2d').getImageData(0, 0, width, height).data;
        const part = name => parseFloat(layer.style[name]) / 100;
        let total = 0, left = 0, top = 0;
        for (let k = 0; k < width * height; k++) {
            total += image[4 * k + 3];
            left += image[4 * k + 3] * (part('left') + part('width') * (k % width + 0.5) / width);
            top += image[4 * k + 3] * (part('top') + part('height') * (Math.floor(k / width) + 0.5) / height);
        }
        return [explorer.toZ(left / total), -explorer.toZ(top / total)];
    }""")
    assert ours == pytest.approx(theirs.tolist(), abs=0.05)


def test_the_networks_open_and_show_their_hidden_units(opened):
    page = opened()
    model, x = model_of("digits", 1), counts_of("digits")[page.evaluate("explorer.state.index")]
    with torch.no_grad():
        hidden = {"encoder": model.encoder(x[None])[0], "decoder": model.decoder(model.encode(x[None])[0])[0]}
    for network, values in hidden.items():
        units = page.locator(f"#{network}-units")
        assert not units.is_visible()
        button = page.locator(f"#{network} button")
        button.click()
        assert button.get_attribute("aria-expanded") == "true"
        assert units.locator(".value").inner_text() == f"{(values > 0).sum()} of {len(values)} active"
        bars = units.locator(".bars")
        widths = bars.evaluate("bars => [...bars.querySelectorAll('rect')].map(rect => rect.width.baseVal.value)")
        np.testing.assert_allclose(np.array(widths) / max(widths), values / values.max(), atol=1e-4)
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        assert bars.get_attribute("aria-valuenow") == "66"
        assert bars.get_attribute("aria-valuetext") == f"unit 66: {values[65]:.2f}"
        box = bars.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 8, box["y"] + box["height"] * 2.5 / 64)
        assert units.locator(".value").inner_text() == f"unit 3: {values[2]:.2f}"
        button.click()
        assert not units.is_visible()


def test_the_tour_shows_what_it_says(opened):
    page = opened(reduced_motion="reduce")
    seen = []
    for _ in range(6):
        page.click("#tour-run")
        seen.append(page.evaluate("[explorer.state.set, explorer.state.model, explorer.state.layer]"))
        if seen[-1] == [0, 2, "points"]:
            assert page.evaluate("explorer.numbers().kl") < 0.01
        page.click("#tour-next")
    assert seen == [
        [0, 1, "points"],
        [0, 1, "points"],
        [0, 1, "posterior"],
        [0, 0, "decoded"],
        [0, 2, "points"],
        [1, 1, "points"],
    ]
    counts = page.locator("#genes button").all_inner_texts()
    expected = {text.split()[0]: number(text.split()[1]) for text in counts}
    assert expected["GNLY"] < 1 < expected["MS4A1"] + expected["CD79A"]
    assert page.locator("#tour-count").inner_text() == "1/6"


def test_the_tour_s_film_draws_the_digit(opened):
    page = opened()
    page.click("#tour-run")
    on = "document.querySelectorAll('[role=gridcell][aria-selected=true]').length"
    page.wait_for_function(f"explorer.state.index === null && 0 < {on} && {on} < 19")  # asked in the page, every frame
    page.wait_for_function("explorer.state.index !== null", timeout=20_000)
    assert page.evaluate("explorer.data().labels[explorer.state.index]") == 3


def test_the_address_tells_what_is_on_screen(opened, page_file):
    page = opened()
    state = (
        "[explorer.state.set, explorer.state.model, explorer.state.layer, explorer.state.index, explorer.state.held]"
    )

    def address(part):
        page.wait_for_function("part => location.hash.includes(part)", arg=part)
        return page.evaluate("location.hash")

    page.evaluate("explorer.setUp(1, 0, 'points')")
    page.evaluate("explorer.pick(4)")
    page.evaluate("explorer.setZ([1.25, -0.5])")
    hash, before = address("z=1.250,-0.500"), page.evaluate(state)  # noqa: A001
    page = opened(hash=hash)
    assert page.evaluate(state) == before
    assert z_of(page) == [1.25, -0.5]
    choose(page, "kind", 0)
    page.click("#clear")
    for g in (0, 13):
        page.locator("[role=gridcell]").nth(g).click()
    page = opened(hash=address("drawn=8004000000000000"))
    assert [g for g, on in enumerate(pixels(page)) if on] == [0, 13]
    odd = opened(hash="#data=9&model=x&layer=no&input=99999&z=1,b")
    for wrong in ("#%", "#drawn=xyz&z=1", "#data=1&drawn=0123456789abcdef"):
        assert odd.evaluate("[explorer.state.layer, explorer.state.model]") == ["decoded", 1]
        assert np.isfinite(z_of(odd)).all()
        odd.evaluate("hash => { location.hash = hash; }", wrong)
    odd.evaluate("location.hash = '#data=0&model=2'")
    odd.wait_for_function("explorer.state.model === 2 && explorer.state.set === 0")


def test_every_step_shows_its_lines_and_links_lead_to_the_lessons(opened, page_file):
    page, content = opened(), content_of(page_file)
    assert page.locator("#home").get_attribute("href") == "../index.html"
    for set_index in (0, 1):
        choose(page, "kind", set_index)
        for button in page.locator("#graph button").all():
            button.click()
            place = content["sets"][set_index]["code"][button.get_attribute("data-step")]
            marked = page.locator("#code-lines mark").inner_text()
            assert marked.strip() == dict(map(tuple, place["lines"]))[place["marked"]].strip()
            assert page.locator("#code-lines > *").count() == len(place["lines"])
        hrefs = page.eval_on_selector_all("a.code-link", "links => links.map(link => link.href)")
        assert len(hrefs) == page.locator("#rows > div").count() + 1
        for href in hrefs:
            file, _, line = href.removeprefix(f"{ADDRESS}/blob/main/").partition("#L")
            assert 0 < int(line) <= len((ROOT / file).read_text().splitlines())
    href = page.locator("#rows [data-step=kl] a.lesson-link").get_attribute("href")
    assert href == "../lessons/05_comparison_with_scvi.html#section-5-7"


# --------------------------------------------------------------------------------------------------------------------
# How it looks, and for whom
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_screen_has_all_that_matters_in_one_row(opened, kind):
    page = opened()
    choose(page, "kind", KINDS.index(kind))
    assert page.evaluate("explorer.state.layer") == "decoded"
    boxes = [page.locator(f"#{name}").bounding_box() for name in ("input", "encoder", "latent", "decoder", "output")]
    for left, right in pairwise(boxes):
        assert left["x"] + left["width"] <= right["x"] + 0.5
        assert left["y"] == right["y"]
    score = page.locator("#score").bounding_box()
    assert max(box["y"] + box["height"] for box in boxes) <= score["y"] < score["y"] + score["height"] <= 800
    assert page.locator("#plane").bounding_box()["height"] > 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_and_its_text_is_readable(opened, scheme):
    page = opened(width=390, height=844, color_scheme=scheme)
    assert page.locator("#theme").inner_text() == ("Dark" if scheme == "light" else "Light")
    for kind in (0, 1):
        page.evaluate("kind => explorer.setUp(kind)", kind)
        for width in (360, 390, 768, 1024, 1280, 1440):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(CUT_OFF) == []
        for other in (False, True):  # the scheme of the system, then the other one by the page's own button
            if other:
                page.dispatch_event("#theme", "click")  # not where it is: widths have just changed
            assert page.evaluate(LOW_CONTRAST) == []
        page.dispatch_event("#theme", "click")


# Texts that do not fit into their element. The arrows of the graph stand beside its buttons on purpose.
CUT_OFF = """() => [...document.querySelectorAll('h1, h2, h3, button, .shape, .value, dd, dt, .gene, .count, .arrow')]
    .filter(element => element.getClientRects().length && !element.closest('#graph'))
    .filter(element => {
        const text = document.createRange();
        text.selectNodeContents(element);
        const [inner, outer] = [text.getBoundingClientRect(), element.getBoundingClientRect()];
        return inner.right > outer.right + 1.5 || inner.left < outer.left - 1.5;
    }).map(element => element.textContent.trim())"""


def test_light_or_dark_is_the_site_s_choice(opened):
    page = opened(color_scheme="light")
    theme = "document.documentElement.dataset.theme ?? null"
    assert page.evaluate(theme) is None
    page.click("#theme")
    assert page.evaluate(f"[{theme}, localStorage.mode, localStorage.theme]") == ["dark"] * 3
    page.reload()
    assert page.evaluate(theme) == "dark"
    page.evaluate("localStorage.mode = 'auto'")
    page.reload()
    assert page.evaluate(theme) is None


# Texts whose colour has a contrast below 4.5 with what they stand on. Numerals in the plane are marks, not text.
LOW_CONTRAST = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (color) => rgba(color).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((total, v, k) => total + v * [0.2126, 0.7152, 0.0722][k], 0);
    const ground = (element) => {
        for (; element; element = element.parentElement) {
            const color = getComputedStyle(element).backgroundColor;
            if (rgba(color)[3] === 255) return color;
        }
        return 'white';
    };
    const low = [];
    for (const element of document.querySelectorAll('body *')) {
        const hasText = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!hasText || !element.getClientRects().length) continue;
        if (element.closest('#points, #live, noscript, script')) continue;
        const style = getComputedStyle(element);
        const [a, b] = [luminance(element.ownerSVGElement ? style.fill : style.color), luminance(ground(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) low.push([element.id || element.className, element.textContent.slice(0, 30), contrast]);
    }
    return low;
}"""


@pytest.mark.parametrize("kind", KINDS)
def test_the_tab_key_reaches_every_control(opened, kind):
    page = opened()
    page.evaluate("kind => explorer.setUp(kind)", KINDS.index(kind))
    page.click("#encoder button")
    everything = page.evaluate("""() => {
        const all = [...document.querySelectorAll('a[href], button, select, input, [tabindex="0"]')]
            .filter(e => e.getClientRects().length && (e.type !== 'radio' || e.checked));
        all.forEach((e, k) => (e.dataset.tab = k));
        document.activeElement.blur();
        getSelection().removeAllRanges();
        return all.length;
    }""")
    page.evaluate("document.querySelector('main').setAttribute('tabindex', -1)")
    page.evaluate("document.querySelector('main').focus()")
    reached, visible = [], []
    for _ in range(everything):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("Number(document.activeElement.dataset.tab)"))
        visible.append(
            page.evaluate("""() => {
            const focused = document.activeElement;
            const shown = focused.type === 'radio' ? focused.nextElementSibling : focused;
            return getComputedStyle(shown).outlineStyle;
        }""")
        )
    assert reached == list(range(everything))
    own = ("#z", "#code-lines", "#encoder-units .bars", "#cell-type" if kind == "cells" else "[role=gridcell] >> nth=0")
    assert all(page.locator(name).get_attribute("data-tab") for name in own)
    assert set(visible) == {"solid"}
    assert everything > 30


# --------------------------------------------------------------------------------------------------------------------
# A learner's own model
# --------------------------------------------------------------------------------------------------------------------


@cache
def own_model(name):
    """Return a model after one epoch, and its data."""
    cells = vc.load_pbmc()
    own, data = {
        "digits": lambda: (vc.BinaryVAE(64), vc.load_digits()),
        "genes": lambda: (vc.BinaryVAE(cells.n_genes, n_hidden=32), cells.binarize()),
        "zinb": lambda: (vc.VAE(cells.n_genes, n_latent=2, n_hidden=32, n_layers=2), cells),
        "nb": lambda: (vc.FastVAE(cells.n_genes, n_latent=2, likelihood="nb", log_variational=False), cells),
    }[name]()
    vc.UnsupervisedTrainer(own, data, seed=0).train(n_epochs=1)
    return own.eval(), data


@pytest.mark.parametrize("name", ["digits", "genes", "zinb", "nb"])
def test_a_learner_s_own_model_is_shown(opened, tmp_path, name):
    own, data = own_model(name)
    before = {key: value.clone() for key, value in own.state_dict().items()}
    start = time.perf_counter()
    explorable = model(own, data)
    took = time.perf_counter() - start
    print(f"{name}: {took:.2f} s, {len(explorable.html) / 1e6:.2f} MB")
    assert len(explorable.html) < 3e6
    assert all(torch.equal(value, before[key]) for key, value in own.state_dict().items())
    page = opened(explorable.save(tmp_path / "own.html"))
    assert page.locator("h1").inner_text() == f"A look into your {type(own).__name__}"
    x = torch.from_numpy(data.counts.toarray()).float()
    for index in (0, 123, data.n_cells - 1):
        assert_page_computes(page, own, index, x[index])
    assert page.evaluate("explorer.disagreement()") < 1e-5
    assert page.locator("#pixels").is_visible() == (name == "digits")
    assert page.locator("#genes").is_visible() == (name != "digits")
    for hidden in ("#tour", "#kinds", "#betas"):
        assert not page.locator(hidden).is_visible()
    n = shown(page)
    assert n["mean_elbo"] <= n["log_px"] + 0.01
    assert "beta" not in n
    assert page.locator("#home").get_attribute("href") == ADDRESS
    hrefs = page.eval_on_selector_all("a.lesson-link", "links => links.map(link => link.href)")
    assert all((ROOT / href.removeprefix(f"{ADDRESS}/blob/main/")).is_file() for href in hrefs)


@pytest.mark.parametrize("width", [700, 1100])
def test_it_works_in_the_frame_of_a_notebook(opened, tmp_path, width):
    own, data = own_model("digits")
    surroundings = tmp_path / "notebook.html"
    html = model(own, data, title="Mine & <yours>")._repr_html_()
    surroundings.write_text(f'<!doctype html><html data-theme="dark"><body>{html}</body></html>', encoding="utf-8")
    page = opened(surroundings, width=width)
    page.locator("iframe").wait_for()
    frame = page.frames[1]
    frame.wait_for_function("window.explorer")
    assert frame.locator("h1").inner_text() == "Mine & <yours>"
    assert frame.evaluate("document.documentElement.dataset.theme") == "dark"
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    frame.wait_for_function("document.documentElement.dataset.theme === 'light'")
    frame.evaluate("explorer.setZ([0.5, 0.5])")
    page.wait_for_timeout(800)  # when an address would be written
    assert frame.evaluate("location.href") == "about:srcdoc"
    assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth")
    height = page.evaluate("document.querySelector('iframe').parentElement.clientHeight")
    assert height == pytest.approx(frame.evaluate("document.querySelector('main').scrollHeight"), abs=5)


def test_a_name_with_signs_does_no_harm(opened, tmp_path):
    counts = np.random.default_rng(0).poisson(3, (50, 20)) + 1
    names = [f"<b>gene</b> & </script> {g}" for g in range(20)]
    data = vc.CountData(counts, labels=np.arange(50) % 12, gene_names=names, label_names=[f"<i>{k}" for k in range(12)])
    own = vc.VAE(20, n_latent=2, n_hidden=8)
    vc.UnsupervisedTrainer(own, data, seed=0).train(n_epochs=1)
    page = opened(model(own, data).save(tmp_path / "own.html"))
    assert names[page.evaluate("explorer.state.gene")] in page.locator("#layer-note").inner_text()
    page.mouse.move(*in_plane(page, (0.5, 0.5)))
    assert "<i>" in page.locator("#output-at").inner_text()
