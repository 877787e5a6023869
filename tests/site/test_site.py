"""The site: every page's links; in a real browser a page of each kind, served, and opened from a folder."""

import contextlib
import functools
import html
import http.server
import re
import threading
import time
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import build_site
import nbformat
import pytest
from npm import fetch
from videos import clock

for needed in ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_copybutton"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: pip install -e '.[site]'")

ROOT = Path(__file__).parents[2]
FILMS = [video.film for video in build_site.VIDEOS if video.film]
BY_FILM = pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
LESSONS = [path.stem for path in build_site.LESSONS]
BY_LESSON = pytest.mark.parametrize("lesson", LESSONS)
# A page of each kind. A section is found by its number, whatever it is called.
KINDS = [
    "index.html",
    "lessons/04_math_details.html",
    "lessons/03_demo/3-7-*.html",  # figures, an exercise
    "lessons/04_math_details/4-8-*.html",  # the most mathematics
    "lessons/05_comparison_with_scvi/5-13-*.html",  # a wide table
    "lessons/02_pytorch_linear/2-12-*.html",  # a quiz
    "lessons/deeper/5e_differential_expression.html",
    *[f"videos/{film.name}.html" for film in FILMS[:1]],
    "films.html",
    "glossary.html",
    "instructors.html",
    "search.html?q=posterior+collapse",
]

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
# Lines of code that take more than one line; boxes that hold more than they show; how far in a line and its rest begin.
WRAPS = "line => line.getBoundingClientRect().height > 1.6 * parseFloat(getComputedStyle(line).lineHeight)"
SCROLLS = "box => box.checkVisibility() && box.scrollWidth > box.clientWidth"
HANGING = f"""lines => {{
    const range = document.createRange();
    range.selectNodeContents(lines.find({WRAPS}));
    const [first, ...others] = range.getClientRects();
    return [others.find(box => box.top > first.bottom - 2).left, first.left];
}}"""
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
    page.on("requestfailed", lambda r: wrong.append(r.url) if r.resource_type != "media" else None)  # played elsewhere
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


def find(site, pattern):
    """Return the address within the site of the one page that a pattern such as `lessons/03_demo/3-7-*.html` means."""
    path, _, query = pattern.partition("?")
    [found] = site.glob(path)
    return found.relative_to(site).as_posix() + (f"?{query}" if query else "")


@cache
def sections(lesson):
    """Return number, title and minutes of a lesson's sections, as its notebook has them."""
    cells = nbformat.read(ROOT / "solutions" / f"{lesson}.ipynb", as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.findall(r"^## (\d+\.\d+) (.+)(?:\n+(\d+ minutes?))?", text, flags=re.MULTILINE)


# --------------------------------------------------------------------------------------------------------------------
# Every page
# --------------------------------------------------------------------------------------------------------------------


def test_these_are_all_pages(parsed):
    made = {re.sub(r"\.(ipynb|md)$", ".html", place) for place in build_site.pages().values()}
    assert {f"lessons/{lesson}.html" for lesson in LESSONS} < made
    others = [name for name in parsed if name not in made | {"search.html", "explorer/index.html"}]
    numbers = [re.fullmatch(r"lessons/(\w+)/(\d+)-(\d+)-[a-z0-9-]+\.html", name).groups() for name in others]
    expected = [(lesson, *number.split(".")) for lesson in LESSONS for number, _, _ in sections(lesson)]
    assert sorted(numbers) == sorted(expected)


def test_links_are_alive(site, parsed):
    dead = []
    for name, page in parsed.items():
        for link in page.links:
            target = urlsplit(link)
            if target.scheme == "data":
                continue
            if target.scheme or target.netloc:
                if not re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[^\s\"<>]*)?", link):
                    dead.append((name, link))
                continue
            path = ((site / name).parent / unquote(target.path)).resolve() if target.path else site / name
            to = parsed.get(path.relative_to(site).as_posix())
            if not path.is_file() or (to and unquote(target.fragment) not in to.ids | {""}):
                dead.append((name, link))
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
# A page of each kind
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_page(chromium, site, served, kind):
    with opened(chromium, served + find(site, kind)) as page:
        if "?" in kind:
            page.wait_for_selector("#search-results li p")
        page.evaluate(UNFOLD)
        prose = page.evaluate(PROSE)
        assert "$" not in prose, "mathematics that was not read"
        assert not re.findall(r"\\[a-zA-Z(\[]+", prose), "mathematics that was not drawn"
        assert not re.findall(r"\]\(|\*\*|`", prose), "markup that was not read"
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
        assert page.locator("img:not([alt]), img[alt='']").count() == 0
        page.add_script_tag(path=fetch("axe-core", "4.14.1") / "axe.min.js")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(100)
            page.evaluate(AT_REST)
            assert not page.evaluate(FAINT), f"too faint: {scheme}"
            page.set_viewport_size({"width": 390, "height": 844})
            page.wait_for_timeout(600)  # the theme takes 0.3 s to see which tables now scroll
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert not page.evaluate(AXE)


@pytest.mark.parametrize("kind", ["lessons/04_math_details/4-7-*.html", "lessons/05_comparison_with_scvi/5-8-*.html"])
def test_code_is_never_cut_off(chromium, site, served, kind):
    """Neither on a screen nor in print; and where there is room no line has to wrap."""
    with opened(chromium, served + find(site, kind), width=1440) as page:
        page.evaluate(UNFOLD)
        assert page.locator(".cell_input pre").count() > 3
        assert page.locator(".cell_input .line").evaluate_all(f"lines => lines.filter({WRAPS}).length") == 0
        for width, media in ((1440, "screen"), (768, "screen"), (390, "screen"), (720, "print")):
            page.emulate_media(media=media)
            page.set_viewport_size({"width": width, "height": 900})
            assert not page.locator("pre").evaluate_all(f"boxes => boxes.filter({SCROLLS}).map(box => box.innerText)")
        page.emulate_media(media="screen")
        page.set_viewport_size({"width": 390, "height": 844})
        [inner, outer] = page.locator(".cell_input .line").evaluate_all(HANGING)
        assert inner > outer, "what goes on below stands further in"


def test_figures_can_be_read_on_a_phone_and_in_the_dark(chromium, site, served):
    page_of = find(site, "lessons/04_math_details/4-7-*.html")
    with opened(chromium, served + page_of, width=390) as page:
        page.emulate_media(color_scheme="dark")
        figures = page.locator(".cell_output .text_html > img")
        assert figures.evaluate_all("all => Math.min(...all.map(one => one.width / one.naturalWidth))") > 0.65
        assert figures.evaluate_all(
            "all => all.some(one => one.parentElement.scrollWidth > one.parentElement.clientWidth)"
        )
        colours = figures.evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
        assert set(colours) == {"rgb(255, 255, 255)"}


def test_names_in_tables_stay_whole(chromium, site, served):
    with opened(chromium, served + find(site, "lessons/05_comparison_with_scvi/5-13-*.html"), width=390) as page:
        names = page.locator("table code")
        assert names.count() > 20
        assert names.evaluate_all("all => Math.max(...all.map(one => one.getClientRects().length))") == 1


# --------------------------------------------------------------------------------------------------------------------
# Lessons and their sections
# --------------------------------------------------------------------------------------------------------------------


@BY_LESSON
def test_a_lesson_is_whole(site, parsed, lesson):
    """All its figures, sections and exercises are there; each page opens in Colab and Binder."""
    cells = nbformat.read(ROOT / "solutions" / f"{lesson}.ipynb", as_version=4).cells
    front = f"lessons/{lesson}.html"
    names = [find(site, f"lessons/{lesson}/{number.replace('.', '-')}-*.html") for number, _, _ in sections(lesson)]
    figures = sum("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
    links = [link for name in names for link in parsed[name].links]
    assert len([link for link in links if link.startswith("data:image/")]) >= figures >= 4
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    exercises = re.findall(r"^### Exercise (\d+)\.(\d+) ", text, flags=re.MULTILINE)
    assert len(exercises) > 4
    anchors = {f"exercise-{a}-{b}" for a, b in exercises}
    assert anchors <= {anchor for name in names for anchor in parsed[name].ids}
    assert anchors <= {link.partition("#")[2] for link in parsed[front].links}
    slug = build_site.ADDRESS.split("github.com/")[1]
    for name in (front, *names):
        assert f"https://colab.research.google.com/github/{slug}/blob/main/lessons/{lesson}.ipynb" in parsed[name].links
        assert f"https://mybinder.org/v2/gh/{slug}/main?urlpath=lab/tree/lessons/{lesson}.ipynb" in parsed[name].links
    for number, name in zip(sections(lesson), names, strict=True):
        assert f"section-{number[0].replace('.', '-')}" in parsed[name].ids
        assert f"{build_site.ADDRESS}/blob/main/lessons/{lesson}.ipynb" in parsed[name].links


def test_a_section_says_where_it_is_and_leads_on(chromium, site, served):
    name = find(site, "lessons/04_math_details/4-3-*.html")
    with opened(chromium, served + name) as page:
        assert page.locator("h1:visible").inner_text().startswith("4.3 ")
        assert f"3 of {len(sections('04_math_details'))}" in page.locator(".place").inner_text()
        page.click(".prev-next-footer .right-next")
        assert "/4-4-" in page.url
        page.click(".prev-next-footer .left-prev")
        assert page.url.endswith(name)
        page.click(".place a:has-text('Lesson 4')")
        assert page.url.endswith("lessons/04_math_details.html")
        listed = page.locator("ul.sections > li").all_inner_texts()
    assert [re.split(" · exercise", line)[0] for line in listed] == [
        " · ".join(filter(None, [f"{number} {title}".replace("`", ""), minutes]))
        for number, title, minutes in sections("04_math_details")
    ]


@pytest.mark.parametrize(("anchor", "number"), [("section-4-5", "4-5"), ("exercise-4-2", "4-5"), ("section-9-9", None)])
def test_an_old_address_leads_on(chromium, served, anchor, number):
    page = chromium.new_page()  # it is left while it loads: some of its requests fail
    page.goto(f"{served}lessons/04_math_details.html#{anchor}")
    page.wait_for_url(f"**/lessons/04_math_details{f'/{number}-*' if number else '.html'}#{anchor}")
    page.close()


def test_the_first_page_tells_the_minutes_of_the_lessons():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for lesson in LESSONS:
        header = nbformat.read(ROOT / "solutions" / f"{lesson}.ipynb", as_version=4).cells[0].source
        minutes = re.search(r"\*\*Time:\*\* about (\d+) minutes", header)[1]
        assert re.search(rf"lessons/{lesson}\.ipynb\)\*\* · {minutes} minutes", index), lesson


def test_an_answer_opens_by_mouse_and_by_keyboard(chromium, site, served):
    with opened(chromium, served + find(site, "lessons/00_latents/0-4-*.html")) as page:
        answers = page.locator("details.hide:has(summary:has-text('Show the answer'))")
        assert answers.count() == 2
        code = answers.nth(0).locator("pre")
        assert "def pca_encode" in code.text_content()
        assert not code.is_visible()
        assert page.locator("pre:has-text('... # your code'):visible").count() == 2, "the blanks are in sight"
        answers.nth(0).locator("summary").click()
        assert code.is_visible()
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('details.hide > summary:not([open] *)')"):
                break
        opened_now = page.evaluate_handle("document.activeElement.parentElement")
        page.keyboard.press("Enter")
        assert opened_now.evaluate("details => details.open && details.querySelector('pre').checkVisibility()")


def test_what_only_draws_is_folded(chromium, site, served):
    with opened(chromium, served + find(site, "lessons/03_demo/3-10-*.html")) as page:
        drawing = page.locator("pre:has-text('plots.show')")
        assert drawing.count() > 0
        assert not [box for box in drawing.all() if box.is_visible()]
        assert page.locator(".cell_input > div.highlight pre:visible, .cell_input pre:visible").count() > 0
    with opened(chromium, f"{served}lessons/03_demo.html") as page:
        assert not page.locator("pre:has-text('importlib.util')").is_visible()


def test_an_explorable_follows_the_theme(chromium, site, served):
    framed = [path for path in site.rglob("lessons/*/*.html") if "<iframe" in path.read_text(encoding="utf-8")]
    if not framed:
        pytest.skip("no solved lesson holds an explorable: run make lessons")
    with opened(chromium, served + framed[0].relative_to(site).as_posix()) as page:
        inside = page.frame_locator("article iframe").first
        inside.locator("main").wait_for()
        for mode in ("light", "dark"):
            page.evaluate("mode => document.documentElement.dataset.theme = mode", mode)
            inside.locator(f":root[data-theme={mode}]").wait_for(state="attached")
        around = page.locator(".text_html:has(iframe)").first
        assert around.evaluate("box => getComputedStyle(box).backgroundColor") == "rgba(0, 0, 0, 0)"


# --------------------------------------------------------------------------------------------------------------------
# Films
# --------------------------------------------------------------------------------------------------------------------

FILM = "document.querySelector('.film > video')"


@BY_FILM
def test_a_film_has_a_page_with_all_that_is_said(site, parsed, film):
    name = f"videos/{film.name}.html"
    assert len(list(site.rglob(f"{film.name}.mp4"))) == 1
    text = (site / name).read_text(encoding="utf-8")
    for beat in film.beats:
        assert f"t={int(beat['start'])}" in parsed[name].ids
        for at, said in beat["said"]:
            assert f'<span data-t="{at:.1f}">{said.split()[0]}' in text
    for chapter in film.chapters:
        start = int(chapter["start"])
        assert f'<a href="#t={start}">{clock(start)} {html.escape(chapter["title"])}</a>' in text
    assert name in parsed["films.html"].links


@BY_FILM
def test_the_lesson_leads_to_its_film_and_every_section_to_its_minute(site, parsed, film):
    lesson = LESSONS[film.number]
    assert f"../videos/{film.name}.html" in parsed[f"lessons/{lesson}.html"].links
    starts = {}
    for beat in film.beats:
        starts.setdefault(beat["section"], int(beat["start"]))
    for section, start in starts.items():
        name = find(site, f"lessons/{lesson}/{section.replace('.', '-')}-*.html")
        assert f"../../videos/{film.name}.html#t={start}" in parsed[name].links


def wait_for(page, seconds):
    """Wait until a film is at a time, or at most three seconds later."""
    page.wait_for_function(f"{FILM}.readyState > 1 && Math.abs({FILM}.currentTime - {seconds} - 1.4) < 1.5")


@BY_FILM
def test_a_film_follows_its_chapters_its_transcript_and_the_address(chromium, site, film):
    """In a folder: the small server of these tests sends files from their beginning only."""
    with opened(chromium, f"{site.as_uri()}/videos/{film.name}.html#t={int(film.beats[3]['start'])}") as page:
        page.evaluate(f"{FILM}.muted = true")
        wait_for(page, int(film.beats[3]["start"]))
        assert page.evaluate(f"{FILM}.paused")
        assert abs(page.evaluate(f"{FILM}.duration") - film.seconds) < 1
        page.click(".chapters a >> nth=1")
        wait_for(page, int(film.chapters[1]["start"]))
        assert not page.evaluate(f"{FILM}.paused")
        assert page.url.endswith(f"#t={int(film.chapters[1]['start'])}")
        at, said = film.beats[1]["said"][-1]
        page.click(f".transcript [data-t='{at:.1f}']")
        wait_for(page, at)
        page.wait_for_function("said => document.querySelector('.transcript .now')?.innerText === said", arg=said)
        assert page.locator(".film").bounding_box()["y"] >= 0, "it stays in sight"
        page.evaluate(f"{FILM}.textTracks[0].mode = 'showing'")
        page.wait_for_function(f"{FILM}.textTracks[0].cues?.length > 20")
        page.locator(".transcript p > a").nth(2).focus()
        page.keyboard.press("Enter")
        wait_for(page, int(film.beats[2]["start"]))


# --------------------------------------------------------------------------------------------------------------------
# Search, colours, keyboard; a folder
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["index.html", "latent_explorer.html", "lessons/01_problem_setup/1-7-*.html"])
def test_a_page_opens_from_a_folder(chromium, site, name):
    with opened(chromium, (site / find(site, name)).as_uri()) as page:
        assert page.locator("h1:visible").count() == 1
        if name.startswith("lessons"):
            assert page.locator("mjx-container svg").count() > 20


def test_the_picture_of_the_first_page_leads_to_the_explorer(chromium, served):
    with opened(chromium, f"{served}index.html") as page:
        picture = page.locator("a:has(> img):visible")
        assert picture.get_attribute("href") == "explorer/index.html"
        assert picture.locator("img:visible").count() == 1


@pytest.mark.parametrize("place", ["http", "folder"])
def test_search_finds_the_section_that_explains_a_word(chromium, site, served, place):
    address = served if place == "http" else f"{site.as_uri()}/"
    for words, number in (("posterior collapse", "3-9"), ("negative binomial", "5-2"), ("library size", "0-2")):
        with opened(chromium, f"{address}search.html?q={words}") as page:
            page.wait_for_selector(".search-summary:has-text('finished')")
            found = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
            assert f"/{number}-" in found[0]
            assert "#" not in found[0]
            assert len([link for link in found if f"/{number}-" in link]) == 1
            if place == "http":
                excerpt = page.locator("#search-results li p").first.inner_text()
                assert all(word in excerpt for word in words.split())
                assert not re.findall(r"[\\${}<>^]", excerpt)


def test_the_switch_goes_from_light_to_dark(chromium, served):
    with opened(chromium, f"{served}index.html") as page:
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        page.click(".theme-switch-button:visible")
        page.click(".theme-change-button[data-mode=dark]:visible")
        page.evaluate(AT_REST)
        assert page.evaluate(background) != light


def test_the_keyboard_reaches_text_and_navigation(chromium, site, served):
    with opened(chromium, served + find(site, "lessons/00_latents/0-1-*.html")) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')") == "#main-content"
        assert page.locator("#pst-skip-link a").is_visible()
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('nav.bd-links a[href*=\"0-2-\"]')"):
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/lessons/00_latents/0-2-*.html")


def test_the_menu_of_a_phone_opens_by_keyboard(chromium, served):
    with opened(chromium, f"{served}index.html", width=390) as page:
        lesson = page.locator("nav.bd-links a:has-text('Lesson 3')")
        assert not lesson.is_visible()
        page.locator("button.primary-toggle:visible").focus()
        page.keyboard.press("Enter")
        lesson.wait_for(state="visible")
        page.keyboard.press("Escape")
        lesson.wait_for(state="hidden")
