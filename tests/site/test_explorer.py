"""The latent explorer: what it shows is what the package computes, and it works by mouse, keys and touch."""

import base64
import json
import shutil
import tomllib
from functools import cache
from pathlib import Path

import export_explorer
import numpy as np
import pytest
import torch

import vae_course as vc
from vae_course.distributions import kl_standard_normal, normal_log_prob, scvi_kl

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "explorer"
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
KINDS = ("digits", "cells")
EPS = (0.7, -1.3, 0.4)

# What the page computes for x (row `index` of the data, or 64 pixels) with the noise eps.
COMPUTE = """([kind, beta, x, eps]) => {
    if (explorer.state.kind !== kind) explorer.setUp(kind, 1);
    const model = explorer.data().models[beta];
    const row = typeof x === 'number' ? explorer.data().x[x] : Float64Array.from(x);
    const q = model.encode(row);
    const {z, library} = model.reparameterize(q, eps);
    const decoded = model.decode(z, library);
    const [terms] = model.importanceTerms(row, q, [eps]);
    return {mean: q.mean, var: q.var, output: [...decoded.output], expected: [...decoded.expected ?? []],
            ...model.kl(q), ...terms};
}"""


# --------------------------------------------------------------------------------------------------------------------
# What the exporter wrote
# --------------------------------------------------------------------------------------------------------------------


@cache
def exported(name):
    text = (FOLDER / f"{name}.js").read_text(encoding="utf-8").split("\n", 1)[1]
    return json.loads(text.removeprefix(f"EXPLORER_DATA.{name} = ").removesuffix(";\n"))


@cache
def model_of(kind, beta):
    """Return the package's model with the page's weights."""
    stored = exported(kind)["models"][beta]
    model = (vc.BinaryVAE if kind == "digits" else vc.VAE)(**stored["options"])
    weights = {
        name: torch.from_numpy(np.frombuffer(base64.b64decode(part["data"]), "<f4").reshape(part["shape"]).copy())
        for name, part in stored["weights"].items()
    }
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all("px_r_decoder" in name or "num_batches_tracked" in name for name in missing)
    return model.eval()


@cache
def counts_of(kind):
    data = vc.load_digits() if kind == "digits" else vc.load_pbmc()
    return torch.from_numpy(data.counts.toarray()).float()


@torch.no_grad()
def computed(kind, beta, x, eps):
    """Return what PyTorch computes in float32 for one input and this noise."""
    model, x, eps = model_of(kind, beta), x[None], torch.tensor(eps)
    if kind == "digits":
        mean, logvar = model.encode(x)
        var, kl_library = logvar.exp(), torch.zeros(1)
        z = mean + var.sqrt() * eps[:2]
        logits = model.decode(z)
        output, expected, kl = torch.sigmoid(logits), torch.zeros(0), kl_standard_normal(mean, logvar)
        reconstruction = -vc.distributions.bernoulli_log_prob(x, logits).double().sum()
        log_prior, log_q = torch.zeros(1), torch.zeros(1)
    else:
        inferred = model.inference(x)
        mean, var, ql_m, ql_v = (inferred[name] for name in ("qz_m", "qz_v", "ql_m", "ql_v"))
        prior = model.library_log_means, model.library_log_vars
        z, library = mean + var.sqrt() * eps[:2], ql_m + ql_v.sqrt() * eps[2]
        output, _, rate, dropout = model.decoder("gene", z, library)
        expected = rate * torch.sigmoid(-dropout)
        kl_library, kl = scvi_kl(mean, var, ql_m, ql_v, *prior)
        reconstruction = -model.log_likelihood(x, rate, inferred["px_r"], dropout).double().sum()
        log_prior, log_q = normal_log_prob(library, *prior)[0], normal_log_prob(library, ql_m, ql_v)[0]
    log_prior = log_prior + normal_log_prob(z, torch.tensor(0.0), torch.tensor(1.0)).sum()
    log_q = log_q + normal_log_prob(z, mean, var).sum()
    values = {"mean": mean, "var": var, "output": output, "expected": expected, "kl": kl, "klLibrary": kl_library}
    values |= {"reconstruction": reconstruction, "logJoint": log_prior - reconstruction, "logQ": log_q}
    return {name: value.flatten().double().numpy() for name, value in values.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_stored_reference_is_what_the_stored_weights_give(kind):
    assert [model["beta"] for model in exported(kind)["models"]][1] == 1
    for beta, stored in enumerate(exported(kind)["models"]):
        for reference in stored["reference"]:
            ours = computed(kind, beta, counts_of(kind)[reference["index"]], (*reference["eps"], 0.0))
            for name in ("mean", "var", "output", "reconstruction", "kl"):
                np.testing.assert_allclose(reference[name], ours[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_code_shown_is_the_package_s_and_the_sections_exist():
    code = exported("code")
    assert code["address"] == ADDRESS
    for kind in KINDS:
        for step, place in code[kind].items():
            lines = (ROOT / place["file"]).read_text(encoding="utf-8").splitlines()
            assert place["marked"] in [number for number, _ in place["lines"]]
            for number, text in place["lines"]:
                assert lines[number - 1].strip() == text.strip(), (
                    f"{place['file']} has changed ({kind}, {step}): run python tools/export_explorer.py --code-only"
                )
            section = place["section"]
            lesson = (ROOT / "lessons" / f"{section['page']}.py").read_text(encoding="utf-8").replace("`", "")
            assert f"\n# ## {section['number']} {section['title']}\n" in lesson
            assert section["anchor"] == f"section-{section['number'].replace('.', '-')}"


def test_the_exporter_writes_the_code_that_is_there():
    ours = json.loads(json.dumps(export_explorer.export_code()))
    assert ours == exported("code"), "run python tools/export_explorer.py --code-only"


def test_the_explorer_is_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 5e6


# --------------------------------------------------------------------------------------------------------------------
# In the browser
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(chromium):
    """Give a function that opens the page from its folder; in the end no page may have failed or asked elsewhere."""
    contexts, said, asked = [], [], []

    def open_page(width=1280, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((FOLDER / "index.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-"))


def shown(page):
    """Return the numbers of the table, by step."""
    return {
        row.get_attribute("data-step"): number(row.locator(".value").inner_text())
        for row in page.locator("#rows > div").all()
    }


def pixels(page):
    return [cell.get_attribute("aria-selected") == "true" for cell in page.locator("[role=gridcell]").all()]


def z_of(page):
    return page.evaluate("explorer.state.z")


def test_it_computes_what_pytorch_computes(opened):
    page = opened()
    drawn = np.random.default_rng(0).integers(0, 2, 64).tolist()
    for kind in KINDS:
        for beta in range(3):
            for x in (0, 5, 301, drawn) if kind == "digits" else (0, 5, 301):
                row = counts_of(kind)[x] if isinstance(x, int) else torch.tensor(x).float()
                theirs = computed(kind, beta, row, EPS)
                ours = page.evaluate(COMPUTE, [kind, beta, x, list(EPS)])
                for name, expected in theirs.items():
                    got = np.atleast_1d(ours[name])
                    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=f"{kind} {beta} {name}")
        assert page.evaluate("explorer.disagreement()") < 1e-5
        assert page.locator("#agreement").inner_text().startswith("For the same inputs this page and PyTorch agree to")


def test_lgamma_is_exact(opened):
    x = np.concatenate([np.geomspace(1e-6, 1e6, 400), np.arange(1, 300), [1.5, 2.5, 9.999, 10.0]])
    ours = opened().evaluate("x => x.map(lgamma)", x.tolist())
    np.testing.assert_allclose(ours, torch.lgamma(torch.from_numpy(x)).numpy(), rtol=1e-11, atol=1e-13)


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


def test_draw_and_drag_by_touch(opened):
    page = opened(390, 844, has_touch=True, is_mobile=True)
    page.locator("#clear").tap()
    for g in (9, 18):
        page.locator("[role=gridcell]").nth(g).tap()
    assert [g for g, on in enumerate(pixels(page)) if on] == [9, 18]
    page.locator("#plane").scroll_into_view_if_needed()
    box = page.locator("#plane").bounding_box()
    page.locator("#plane").tap(position={"x": box["width"] / 4, "y": box["height"] / 4})
    reach = page.evaluate("plane.reach")
    assert z_of(page) == pytest.approx([-reach / 2, reach / 2], abs=0.05)

    touch = page.context.new_cdp_session(page)
    start = page.locator("#z").bounding_box()
    x, y = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    for kind, k in (("touchStart", 0), *(("touchMove", k) for k in range(1, 6)), ("touchEnd", None)):
        points = [] if k is None else [{"x": x + 16 * k, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert z_of(page)[0] == pytest.approx(-reach / 2 + 80 * 2 * reach / box["width"], abs=0.05)


def test_dragging_z_changes_the_output_and_the_numbers(opened):
    page = opened()
    before, output = shown(page), page.locator("#decoded").screenshot()
    box = page.locator("#plane").bounding_box()
    handle = page.locator("#z").bounding_box()
    page.mouse.move(handle["x"] + 22, handle["y"] + 22)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    after = shown(page)
    reach = page.evaluate("plane.reach")
    assert z_of(page) == pytest.approx([-reach / 2, 0], abs=0.02)
    assert after["reconstruction"] > before["reconstruction"] + 1
    assert after["kl"] == before["kl"]
    assert after["elbo"] < before["elbo"]
    assert page.locator("#decoded").screenshot() != output
    assert page.evaluate("document.activeElement.id") == "z"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert z_of(page) == pytest.approx([-reach / 2 + reach / 50, reach / 10], abs=0.02)
    value = page.locator("#z").get_attribute("aria-valuetext")
    page.wait_for_function("value => document.getElementById('live').textContent.startsWith(value)", arg=value)


def test_dragging_z_changes_the_marker_genes(opened):
    page = opened()
    page.check("input[value=cells]", force=True)
    gnly = page.locator("#genes button", has_text="GNLY")
    expected, observed = map(number, gnly.locator(".count").inner_text().split(" / "))
    assert (observed, expected > 5) == (22, True)
    middle = page.evaluate("middleOf(labelOf('CD19'))")
    page.evaluate("z => explorer.setZ(z)", middle)
    assert number(gnly.locator(".count").inner_text().split(" / ")[0]) < 1
    b_cell = page.locator("#genes button", has_text="CD79A").locator(".count").inner_text()
    assert number(b_cell.split(" / ")[0]) > 1
    gnly.click()
    assert "share of GNLY" in page.locator("#layer-note").inner_text()
    assert gnly.get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_on_screen_add_up(opened, kind):
    page = opened()
    page.check(f"input[value={kind}]", force=True)
    for beta in range(3):
        page.check(f"input[name=beta][value='{beta}']", force=True)
        for act in ("#to-mean", "#draw-one"):
            page.click(act)
            n, exact = shown(page), page.evaluate("explorer.numbers()")
            library = n.get("kl_library", 0)
            weight = exported(kind)["models"][beta]["beta"]
            assert n["elbo"] == pytest.approx(-(n["reconstruction"] + n["kl"] + library), abs=0.02)
            assert exact["elbo"] == -(exact["reconstruction"] + exact["klLibrary"] + exact["kl"])
            assert exact["objective"] == pytest.approx(
                exact["reconstruction"] + exact["klLibrary"] + weight * exact["kl"]
            )
            assert exact["logPx"] > exact["meanElbo"]
            on_top = page.locator("#score b").all_inner_texts()
            assert list(map(number, on_top))[:3] == [n["elbo"], n["reconstruction"], n["kl"]]
            assert number(page.locator("#graph [data-step=elbo] .value").inner_text()) == n["elbo"]


@pytest.mark.parametrize("kind", KINDS)
def test_beta_leads_from_autoencoder_to_collapse(opened, kind):
    page = opened()
    page.check(f"input[value={kind}]", force=True)
    kls, costs, spread = [], [], []
    for beta in range(3):
        page.check(f"input[name=beta][value='{beta}']", force=True)
        kls.append(page.evaluate("explorer.data().x.map(x => explorer.data().models[explorer.state.beta].kl("
                                 "explorer.data().models[explorer.state.beta].encode(x)).kl)"))  # fmt: skip
        costs.append(page.evaluate("explorer.numbers().meanReconstruction"))
        spread.append(np.std(page.evaluate("explorer.data().means[explorer.state.beta]")))
        assert (
            page.locator("#beta-note").inner_text().startswith(("Nearly an autoencoder", "The VAE", "Collapse")[beta])
        )
    assert np.mean(kls[0]) > np.mean(kls[1]) + 2
    assert np.mean(kls[1]) > 1
    assert np.max(kls[2]) < 0.01
    assert spread[0] > 1.5 * spread[1] > 1
    assert spread[2] < 0.05
    assert costs[2] > costs[1] + 1
    images = [page.evaluate("z => [...explorer.data().models[2].decode(z, 6).output]", z) for z in ([-2, 0], [2, 2])]
    assert np.abs(np.subtract(*images)).max() < 0.1


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
    reach = page.evaluate("plane.reach")
    assert float(ellipse.get_attribute("rx")) == pytest.approx(250 * var[0] ** 0.5 / reach)
    page.click("#to-mean")
    assert z_of(page) == pytest.approx(mean)


def test_the_posterior_s_shade_lies_where_the_posterior_is(opened):
    page = opened()
    page.evaluate("explorer.setUp('digits', 1, 'posterior')")
    x = torch.tensor(page.evaluate("[...explorer.state.x]")).float()
    axis = torch.linspace(-3, 3, 121)
    z = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_density = vc.distributions.bernoulli_log_prob(x, model_of("digits", 1).decode(z)).sum(dim=-1)
    log_density += normal_log_prob(z, torch.tensor(0.0), torch.tensor(1.0)).sum(dim=-1)
    theirs = torch.softmax(log_density, dim=0) @ z
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
        return [toZ(left / total), -toZ(top / total)];
    }""")
    assert ours == pytest.approx(theirs.tolist(), abs=0.05)


def test_the_tour_shows_what_it_says(opened):
    page = opened(reduced_motion="reduce")
    seen = []
    for _ in range(6):
        page.click("#tour-run")
        seen.append(page.evaluate("[explorer.state.kind, explorer.state.beta, explorer.state.layer]"))
        if seen[-1] == ["digits", 2, "points"]:
            assert page.evaluate("explorer.numbers().kl") < 0.01
        page.click("#tour-next")
    assert seen == [
        ["digits", 1, "points"],
        ["digits", 1, "points"],
        ["digits", 1, "posterior"],
        ["digits", 0, "decoded"],
        ["digits", 2, "points"],
        ["cells", 1, "points"],
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


def test_every_step_shows_its_lines_and_links_lead_into_the_repository(opened):
    page = opened()
    for kind in KINDS:
        page.check(f"input[value={kind}]", force=True)
        for button in page.locator("#graph button").all():
            button.click()
            place = exported("code")[kind][button.get_attribute("data-step")]
            marked = page.locator("#code-lines mark").inner_text()
            assert marked.strip() == dict(map(tuple, place["lines"]))[place["marked"]].strip()
            assert page.locator("#code-lines > *").count() == len(place["lines"])
        hrefs = page.eval_on_selector_all("a.code-link, a.lesson-link", "links => links.map(link => link.href)")
        assert len(hrefs) == 2 * page.locator("#rows > div").count() + 2
        for href in hrefs:
            file, _, line = href.removeprefix(f"{ADDRESS}/blob/main/").partition("#L")
            assert (ROOT / file).is_file(), href
            assert file.endswith(".ipynb") or 0 < int(line) <= len((ROOT / file).read_text().splitlines())


def test_on_the_site_links_lead_to_its_pages(chromium, tmp_path):
    shutil.copytree(FOLDER, tmp_path / "explorer")
    page = chromium.new_page()
    page.goto((tmp_path / "explorer" / "index.html").as_uri())
    href = page.locator("#rows [data-step=kl] a.lesson-link").get_attribute("href")
    assert href == "../lessons/04_math_details.html#section-4-5"
    assert page.locator("#home").get_attribute("href") == "../index.html"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_its_text_is_readable(opened, scheme):
    page = opened(390, 844, color_scheme=scheme)
    assert page.locator("#theme").inner_text() == ("Dark" if scheme == "light" else "Light")
    for kind in KINDS:
        page.evaluate("kind => explorer.setUp(kind, 1)", kind)
        for width in (390, 800, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") == width
        for other in (False, True):  # the scheme of the system, then the other one by the page's own button
            if other:
                page.click("#theme")
            assert page.evaluate(LOW_CONTRAST) == []
        page.click("#theme")


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
    page.evaluate("kind => explorer.setUp(kind, 1)", kind)
    everything = page.evaluate("""() => {
        const all = [...document.querySelectorAll('a[href], button, select, input, [tabindex="0"]')]
            .filter(e => e.getClientRects().length && (e.type !== 'radio' || e.checked));
        all.forEach((e, k) => (e.dataset.tab = k));
        document.activeElement.blur();
        return all.length;
    }""")
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
    own = ("#z", "#code-lines", "#cell-type" if kind == "cells" else "[role=gridcell] >> nth=0")
    assert all(page.locator(name).get_attribute("data-tab") for name in own)
    assert set(visible) == {"solid"}
    assert everything > 30
