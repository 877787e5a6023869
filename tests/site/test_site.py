"""The site, every page of it, in a real browser: served, and opened from a folder."""

import contextlib
import functools
import http.server
import re
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import build_site
import nbformat
import pytest
from npm import fetch

for needed in ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_copybutton"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: pip install -e '.[site]'")

ROOT = Path(__file__).parents[2]
LESSONS = [path.stem for path in build_site.LESSONS]
MADE_OF = {re.sub(r"\.(ipynb|md)$", ".html", place) for place in build_site.pages().values()}
PAGES = sorted(MADE_OF | {"search.html", "explorer/index.html"})

READY = "() => window.MathJax?.startup?.promise"  # resolves once all equations are drawn
AT_REST = "() => document.getAnimations().forEach(animation => animation.finish())"
UNFOLD = "() => document.querySelectorAll('details').forEach(details => details.open = true)"
# What a reader sees outside of code and equations.
PROSE = """() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const seen = [];
    while (texts.nextNode())
        if (!texts.currentNode.parentElement.closest('code, pre, script, style, noscript, mjx-container'))
            seen.push(texts.currentNode.data);
    return seen.join(' ');
}"""
# Texts with less contrast than WCAG's level AA asks for: 4.5, or 3 where letters are large.
FAINT = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    canvas.canvas.width = canvas.canvas.height = 1;
    const known = new Map();
    const rgba = colour => {
        if (!known.has(colour)) {
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            known.set(colour, [...canvas.getImageData(0, 0, 1, 1).data]);
        }
        return known.get(colour);
    };
    const over = (top, below) => [0, 1, 2].map(i => (top[i] * top[3] + below[i] * (255 - top[3])) / 255).concat(255);
    const behind = element => {
        if (!element) return [255, 255, 255, 255];
        const own = rgba(getComputedStyle(element).backgroundColor);
        return own[3] === 255 ? own : over(own, behind(element.parentElement));
    };
    const light = colour => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => {
        const part = colour[i] / 255;
        return sum + share * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    }, 0);
    const faint = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility({visibilityProperty: true})) continue;
        if (element.closest('script, style, noscript, [disabled]')) continue;
        const style = getComputedStyle(element);
        const back = behind(element);
        const [a, b] = [light(over(rgba(style.color), back)), light(back)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5)) faint.add(`${ratio.toFixed(2)} ${texts.currentNode.data.trim().slice(0, 30)}`);
    }
    return [...faint];
}"""
# axe need not look into equations and code, which are thousands of elements; their contrast is measured above.
AXE = """async () => {
    document.querySelectorAll('mjx-container, .highlight pre').forEach(box => box.replaceChildren('text'));
    const rules = {'color-contrast': {enabled: false}};
    const {violations} = await axe.run(document, {resultTypes: ['violations'], rules});
    return violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => [v.help, v.nodes[0].html]);
}"""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Build the site once, in less than three minutes."""
    try:
        fetch("mathjax", "3.2.2")
        fetch("axe-core", "4.14.1")
    except SystemExit as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("build") / "site"
    start = time.monotonic()
    build_site.build(folder)
    assert time.monotonic() - start < 180
    return folder


@pytest.fixture(scope="session")
def served(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextlib.contextmanager
def opened(chromium, address, width=1280, **options):
    """Open a page in the light; in the end nothing has failed, and no other host was asked."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme="light", **options)
    wrong = []
    host = urlsplit(address)[:2]
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("response", lambda response: wrong.append(response.url) if response.status >= 400 else None)
    page.on("request", lambda r: wrong.append(r.url) if urlsplit(r.url)[:2] != host and r.url[:5] != "data:" else None)
    page.goto(address)
    page.evaluate(READY)
    yield page
    assert not wrong
    page.close()


class _Links(HTMLParser):
    """The ids of a page, and what it links to."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes.get("id"), attributes.get("name")}
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key) and tag != "form"]


@pytest.fixture(scope="session")
def parsed(site):
    return {
        path.relative_to(site).as_posix(): _Links(path) for path in site.rglob("*.html") if "_static" not in path.parts
    }


# --------------------------------------------------------------------------------------------------------------------
# Every page
# --------------------------------------------------------------------------------------------------------------------


def test_these_are_all_pages(parsed):
    assert sorted(parsed) == PAGES
    assert {f"lessons/{lesson}.html" for lesson in LESSONS} < set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_page(chromium, served, name):
    with opened(chromium, served + name) as page:
        page.evaluate(UNFOLD)
        prose = page.evaluate(PROSE)
        assert "$" not in prose, "mathematics that was not read"
        assert not re.findall(r"\\[a-zA-Z(\[]+", prose), "mathematics that was not drawn"
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
        assert page.locator("img:not([alt]), img[alt='']").count() == 0
        assert not page.evaluate(FAINT), "too faint in the light"
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(100)
        page.evaluate(AT_REST)
        assert not page.evaluate(FAINT), "too faint in the dark"
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(600)  # the theme takes 0.3 s to see which tables now scroll
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.add_script_tag(path=fetch("axe-core", "4.14.1") / "axe.min.js")
        assert not page.evaluate(AXE)


@pytest.mark.parametrize("name", PAGES)
def test_links_are_alive(site, parsed, name):
    dead = []
    for link in parsed[name].links:
        target = urlsplit(link)
        if target.scheme == "data":
            continue
        if target.scheme or target.netloc:
            if not re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[^\s\"<>]*)?", link):
                dead.append(link)
            continue
        path = ((site / name).parent / unquote(target.path)).resolve() if target.path else site / name
        fragments = parsed[path.relative_to(site).as_posix()].ids if path.suffix == ".html" and path.exists() else {""}
        if not path.is_file() or unquote(target.fragment) not in fragments | {""}:
            dead.append(link)
    assert not dead


def test_links_into_the_repository_are_alive(parsed):
    mine = re.escape(build_site.ADDRESS)
    links = {link for page in parsed.values() for link in page.links}
    paths = {
        re.sub(rf"{mine}/(blob|tree)/main/|[#?].*", "", link) for link in links if re.match(f"{mine}/(blob|tree)", link)
    }
    assert paths
    assert not [path for path in paths if not (ROOT / path).exists()]


# --------------------------------------------------------------------------------------------------------------------
# Lessons
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_is_whole(parsed, lesson):
    """All its figures, sections and exercises are there, and it opens in Colab and Binder."""
    cells = nbformat.read(ROOT / "solutions" / f"{lesson}.ipynb", as_version=4).cells
    page = parsed[f"lessons/{lesson}.html"]
    figures = sum("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
    assert len([link for link in page.links if link.startswith("data:image/")]) == figures > 5
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    sections = re.findall(r"^## (\d+)\.(\d+) ", text, flags=re.MULTILINE)
    exercises = re.findall(r"^### Exercise (\d+)\.(\d+) ", text, flags=re.MULTILINE)
    assert len(sections) > 10
    assert len(exercises) > 4
    assert {f"section-{a}-{b}" for a, b in sections} | {f"exercise-{a}-{b}" for a, b in exercises} <= page.ids
    slug = build_site.ADDRESS.split("github.com/")[1]
    assert f"https://colab.research.google.com/github/{slug}/blob/main/lessons/{lesson}.ipynb" in page.links
    assert f"https://mybinder.org/v2/gh/{slug}/main?urlpath=lab/tree/lessons/{lesson}.ipynb" in page.links
    assert (ROOT / "lessons" / f"{lesson}.ipynb").exists()


def test_the_first_page_tells_the_minutes_of_the_lessons():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for lesson in LESSONS:
        header = nbformat.read(ROOT / "solutions" / f"{lesson}.ipynb", as_version=4).cells[0].source
        minutes = re.search(r"\*\*Time:\*\* about (\d+) minutes", header)[1]
        assert re.search(rf"lessons/{lesson}\.ipynb\)\*\* · {minutes} minutes", index), lesson


def test_an_answer_opens_by_mouse_and_by_keyboard(chromium, served):
    with opened(chromium, f"{served}lessons/00_latents.html") as page:
        answers = page.locator("details.hide:has(summary:has-text('Show the answer'))")
        assert answers.count() == 5
        code = answers.nth(0).locator("pre")
        assert "return counts.sum(dim=1)" in code.text_content()
        assert not code.is_visible()
        assert page.locator("pre:has-text('... # your code'):visible").count() == 5, "the blanks are in sight"
        answers.nth(0).locator("summary").click()
        assert code.is_visible()
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('details.hide > summary')"):
                break
        page.keyboard.press("Enter")
        assert answers.nth(1).locator("pre").is_visible()


# --------------------------------------------------------------------------------------------------------------------
# Search, colours, keyboard; a folder
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["index.html", "latent_explorer.html", "explorer/index.html", "lessons/01_problem_setup.html"]
)
def test_a_page_opens_from_a_folder(chromium, site, name):
    with opened(chromium, (site / name).as_uri()) as page:
        assert page.locator("h1:visible").count() == 1
        if name.startswith("lessons"):
            assert page.locator("mjx-container svg").count() > 50


@pytest.mark.parametrize("word", ["posterior", "ZINB"])
@pytest.mark.parametrize("place", ["http", "folder"])
def test_search_finds_a_word(chromium, site, served, place, word):
    address = served if place == "http" else f"{site.as_uri()}/"
    with opened(chromium, f"{address}search.html?q={word}") as page:
        page.wait_for_selector("#search-results li a")
        found = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
        assert any("lessons/05_comparison_with_scvi" in link for link in found)


def test_the_switch_goes_from_light_to_dark(chromium, served):
    with opened(chromium, f"{served}index.html") as page:
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        page.click(".theme-switch-button:visible")
        page.click(".theme-change-button[data-mode=dark]:visible")
        page.evaluate(AT_REST)
        assert page.evaluate(background) != light


def test_the_keyboard_reaches_text_and_navigation(chromium, served):
    with opened(chromium, f"{served}lessons/00_latents.html") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')") == "#main-content"
        assert page.locator("#pst-skip-link a").is_visible()
        for _ in range(15):
            page.keyboard.press("Tab")
            if page.evaluate("Boolean(document.activeElement.closest('nav.bd-links'))"):
                break
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/lessons/01_problem_setup.html")


def test_the_menu_of_a_phone_opens_by_keyboard(chromium, served):
    with opened(chromium, f"{served}index.html", width=390) as page:
        lesson = page.locator("nav.bd-links a:has-text('Lesson 3')")
        assert not lesson.is_visible()
        page.locator("button.primary-toggle:visible").focus()
        page.keyboard.press("Enter")
        lesson.wait_for(state="visible")
        page.keyboard.press("Escape")
        lesson.wait_for(state="hidden")
