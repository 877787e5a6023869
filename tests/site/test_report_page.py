"""The page that a run leaves: it stands alone, shows what was computed, and takes the user's names as text."""

import json
import re

import numpy as np
import pytest

import vae_course as vc
from vae_course import report, report_page

LABELS = [
    "</script><script>window.hacked = 1</script>",
    "\"quoted\" & 'single'",
    "Zellen ä 细胞 خلايا",
    "{{ 7 * 7 }} <b>",
]
N_CELLS, N_BATCHES = 400, 200
SIMULATED = vc.simulate_counts(n_cells=N_CELLS, n_genes=60, n_labels=4, seed=1)
DATA = vc.CountData(
    SIMULATED.counts,
    np.arange(N_CELLS) % N_BATCHES,
    SIMULATED.labels,
    gene_names=[f"gene {g} <i>&" for g in range(60)],
    batch_names=[f"donor {b} </script>" for b in range(N_BATCHES)],
    label_names=LABELS,
)
CELLS = [f"AAAC-{i}</script>" for i in range(N_CELLS)]


def written(data, folder, cell_names):
    """Train a little, and write the page; the map is the first two dimensions of the latent space."""
    model = vc.VAE(data.n_genes, n_batch=data.n_batches, n_hidden=8, n_latent=2, library="observed")
    trainer = vc.UnsupervisedTrainer(model, data, n_epochs_kl_warmup=0, device="cpu")
    trainer.train(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "N_DRAWS", 2)
        patch.setattr(report, "_pca", lambda counts, *_: counts.toarray())
        patch.setattr(report.metrics, "clustering_scores", lambda *_, **__: {"ari": 0.25, "nmi": 0.5, "asw": -0.125})
        patch.setattr(report, "map_cells", lambda shown, _: {"UMAP": shown.get_latent()[0]})
        settings = {"--label-key": "</td><script>"}
        report.write_report(
            trainer, folder, 0, "my <cells>.h5ad", "vae-course train 'my <cells>'", settings, cell_names
        )
    return folder / "report.html"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    return written(DATA, tmp_path_factory.mktemp("run"), CELLS)


@pytest.fixture(scope="module")
def noted():
    """What the pages said, and whom they asked."""
    return [], []


@pytest.fixture
def opened(pages, noted, page_file):
    """Give a function that opens the page; in the end it may not have failed, nor asked anybody for anything."""
    said, asked = noted
    said.clear()
    asked.clear()

    def listen(page):
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))

    def open_page(width=1440, height=900, **options):
        return pages(page_file.as_uri(), width, height, listen, **options)

    yield open_page
    assert said == []
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


# --------------------------------------------------------------------------------------------------------------------
# The file
# --------------------------------------------------------------------------------------------------------------------


def embedded(page_file):
    text = page_file.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_nothing_of_the_user_is_markup(page_file):
    text = page_file.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "my &lt;cells&gt;.h5ad" in text


def test_genes_are_the_most_variable_ones_and_their_values_are_log_normalised(page_file):
    counts = DATA.counts.toarray()
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    shown = embedded(page_file)["map"]
    most_variable = np.argsort(-logs.var(axis=0))[: report_page.SHOWN_GENES]
    assert [gene["name"] for gene in shown["genes"]] == [DATA.gene_names[g] for g in most_variable]
    cells = [CELLS.index(name) for name in shown["names"]]
    assert sorted(cells) == list(range(N_CELLS))
    for gene, g in zip(shown["genes"], most_variable, strict=True):
        levels = np.frombuffer(report_page.base64.b64decode(gene["values"]), np.uint8)
        np.testing.assert_allclose(levels / 255 * gene["most"], logs[cells, g], atol=gene["most"] / 400)


def test_many_cells_make_a_small_page_that_says_how_many_are_shown(page_file):
    data = vc.simulate_counts(n_cells=report.SHOWN_CELLS, n_genes=report_page.SHOWN_GENES, n_labels=4, seed=1)
    shown, names = vc.Posterior(vc.VAE(data.n_genes), data), [f"{i:0>30}" for i in range(data.n_cells)]
    numbers = json.loads((page_file.parent / "summary.json").read_text()) | {"cells": 100_000, "shown_cells": 5000}
    about = {"source": "", "command": "", "settings": {}, "device": "cpu"}
    places, counts = np.random.default_rng(0).normal(size=(data.n_cells, 2)), data.counts[:1000].toarray()
    text = report_page.page(about, numbers, {}, (shown, places, names), counts, counts, None)
    assert len(text) < 3e6
    assert "<b>5,000 of 100,000 cells are shown</b>" in text


def test_the_scores_are_those_of_the_run(page_file):
    text = page_file.read_text(encoding="utf-8")
    assert [text.count(f"<span>{score}</span>") for score in ("0.250", "0.500", "\N{MINUS SIGN}0.125")] == [2, 2, 2]


# --------------------------------------------------------------------------------------------------------------------
# In the browser
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1440])
def test_it_fits_its_window(opened, width, scheme):
    page = opened(width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.select_option("#color", "group 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(opened, scheme):
    page = opened(color_scheme=scheme)
    colors = page.evaluate("""() => ['page', 'card', 'tint', 'ink', 'soft', 'accent'].map(
        name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim())""")

    def luminance(color):
        rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    for behind in colors[:3]:
        for text in colors[3:]:
            low, high = sorted((luminance(behind), luminance(text)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (behind, text)


def test_names_are_shown_as_they_are(opened):
    page = opened()
    names = page.locator("#legend button span:first-of-type").all_inner_texts()
    assert names == [LABELS[k] for k in np.unique(DATA.labels)]
    assert page.evaluate("window.hacked") is None
    assert page.locator("#legend b, td script, h1 cells").count() == 0
    page.select_option("#color", "group 1")
    assert page.locator("#legend button").count() == N_BATCHES
    assert page.locator("#legend button span").first.inner_text() == "donor 0 </script>"
    page.select_option("#color", "gene 0")
    assert page.locator("#legend button").count() == 0
    assert page.locator("#most").inner_text() == f"{page.evaluate('data.map.genes[0].most'):.2f}"


def places_of(page):
    """Where on the page the cells of the map are drawn, (cells, 2)."""
    shown, box = page.evaluate("data.map"), page.locator("#cells").bounding_box()
    x, y = (np.frombuffer(report_page.base64.b64decode(shown[axis]), "<u2") / 65535 for axis in "xy")
    across, down = 18 + x * (box["width"] - 36), 18 + (1 - y) * (box["height"] - 36)
    return np.stack([box["x"] + across, box["y"] + down], axis=1)


def lonely(page):
    """The cell that is farthest from its nearest neighbour on the map, and its place."""
    places = places_of(page)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e9 * np.eye(N_CELLS)
    cell = int(distances.min(axis=1).argmax())
    return cell, places[cell].tolist()


def said_of(page, i):
    name = page.evaluate("i => data.map.names[i]", i)
    cell = CELLS.index(name)
    return f"{name}\nlabel: {LABELS[DATA.labels[cell]]}\nbatch: {DATA.batch_names[DATA.batch_index[cell]]}"


def test_the_mouse_the_finger_and_the_keys_find_a_cell(opened):
    page = opened()
    page.locator("#cells").scroll_into_view_if_needed()
    cell, place = lonely(page)
    page.mouse.move(*place)
    assert page.locator("#tip").inner_text() == said_of(page, cell)
    page.mouse.move(5, 5)
    assert page.locator("#tip").is_hidden()
    page.locator("#cells").focus()
    seen = set()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
        seen.add(page.locator("#tip").inner_text())
    assert len(seen) > 1
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()

    phone = opened(390, 844, has_touch=True, is_mobile=True)
    phone.locator("#cells").scroll_into_view_if_needed()
    cell, place = lonely(phone)
    phone.touchscreen.tap(*place)
    assert phone.locator("#tip").inner_text() == said_of(phone, cell)


def test_a_group_can_be_seen_alone_and_colours_change_what_is_drawn(opened):
    page = opened()
    drawn = page.evaluate("cells.toDataURL()")
    page.locator("#legend button").nth(1).click()
    assert page.locator("#legend button[aria-pressed=true]").count() == 1
    alone = page.evaluate("cells.toDataURL()")
    page.locator("#legend button").nth(1).click()
    assert page.evaluate("cells.toDataURL()") == drawn
    page.select_option("#color", "gene 3")
    assert len({drawn, alone, page.evaluate("cells.toDataURL()")}) == 3
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("cells.toDataURL()") != drawn


def test_the_slider_shows_the_history(opened, page_file):
    page, history = opened(), json.loads((page_file.parent / "history.json").read_text())
    page.locator("#epoch").focus()
    for key, epoch in (("End", 5), ("ArrowLeft", 4), ("Home", 1)):
        page.keyboard.press(key)
        assert page.locator("#epoch-shown").inner_text() == str(epoch)
        shown = page.locator("[data-metric=elbo] b").all_inner_texts()
        assert shown == [f"{-history[f'elbo_{cells}'][epoch - 1]:,.2f}" for cells in ("train_set", "test_set")]


def test_without_scripts_there_is_a_sentence_and_a_picture(opened):
    page = opened(java_script_enabled=False)
    assert page.get_by_text("The interactive map needs JavaScript").is_visible()
    assert page.locator("img").bounding_box()["width"] > 300
    assert page.locator("#cells").is_hidden()
    assert page.locator("#epoch").is_hidden()
    assert page.locator("#training figure svg").first.is_visible()
