"""Build the kits for recording the videos: python tools/build_kits.py [lesson ...].

build/kits/NN_slug/ gets slides.html (reveal.js, one file that asks nobody for anything; the key s opens the speaker's
window), slides.pdf (one page a slide) and script.md. They are made from the solved lessons, their figures included, and
from lessons/videos.toml and what is said in the films. A slide that does not fit its page stops the build.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from chromium import open_chromium
from kit_script import script
from lesson_slides import Slide, slides_of
from nbconvert import SlidesExporter
from nbformat import v4
from npm import fetch
from traitlets.config import Config
from videos import Video, read_videos

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.ipynb"))
KITS = ROOT / "build" / "kits"
WIDTH, HEIGHT = 960, 700
TOO_LARGE = f"""() => Reveal.getSlides().flatMap((slide, index) => {{
    const box = slide.getBoundingClientRect(), scale = box.width / {WIDTH};
    const parts = [...slide.querySelectorAll("p, pre, li, h1, h2, img, table, mjx-container")];
    const seen = parts.map((part) => part.getBoundingClientRect()).filter((part) => part.height > 0);
    const out = seen.some((part) => part.bottom > box.top + {HEIGHT - 20} * scale || part.right > box.right + 1);
    return out ? [index + 1] : [];
}})"""


def build(lesson: Path, video: Video, folder: Path, browser: "Browser") -> list[Slide]:
    """Write the kit of one solved lesson into a folder, and return its slides."""
    slides = slides_of(nbformat.read(lesson, as_version=4), video)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slides.html").write_text(html(slides, video), encoding="utf-8")
    (folder / "script.md").write_text(script(slides, video), encoding="utf-8")
    print_pdf(folder / "slides.html", folder / "slides.pdf", browser)
    return slides


def html(slides: list[Slide], video: Video) -> str:
    """Return the slides as one page, with nbconvert's exporter and everything inside."""
    cells = []
    for slide in slides:
        for position, cell in enumerate(slide.cells):
            cell.metadata.setdefault("slideshow", {"slide_type": "-"} if position else {"slide_type": "slide"})
            cells.append(cell)
        cells.append(v4.new_markdown_cell("\n\n".join(slide.say), metadata={"slideshow": {"slide_type": "notes"}}))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    reveal = fetch("reveal.js", "4.6.1")
    styles = [reveal / "dist" / "reset.css", reveal / "dist" / "reveal.css", reveal / "dist" / "theme" / "white.css"]
    scripts = [reveal / "dist" / "reveal.js", reveal / "plugin" / "notes" / "notes.js"]
    scripts.append(fetch("mathjax", "3.2.2") / "es5" / "tex-svg-full.js")
    texts = [path.read_text(encoding="utf-8") for path in [*styles, ROOT / "tools" / "slides" / "slides.css"]]
    inside = {
        "language": video.language,
        "title": video.title,
        "styles": [text.replace("@import url(./fonts/source-sans-pro/source-sans-pro.css);", "") for text in texts],
        "scripts": [path.read_text(encoding="utf-8") for path in scripts],
    }
    options = Config()
    options.TagRemovePreprocessor.update(enabled=True, remove_input_tags={"output-only"})
    exporter = SlidesExporter(
        options, template_name="slides", extra_template_basedirs=[str(ROOT / "tools")],
        exclude_input_prompt=True, exclude_output_prompt=True, exclude_anchor_links=True,
    )  # fmt: skip
    notebook = v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    return exporter.from_notebook_node(notebook, resources={"inside": inside})[0]


def print_pdf(page: Path, pdf: Path, browser: "Browser") -> None:
    """Print the slides, one page each; refuse those that do not fit."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    tab.goto(f"{page.resolve().as_uri()}?print-pdf")
    tab.wait_for_function("window.Reveal?.isReady() && document.querySelector('.pdf-page')", timeout=120_000)
    if too_large := tab.evaluate(TOO_LARGE):
        raise SystemExit(f"{page.name} of {page.parent.name}: slides {too_large} do not fit their page; show less.")
    tab.pdf(path=pdf, prefer_css_page_size=True, print_background=True)
    tab.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lesson", nargs="*", help="beginning of a lesson's file name, such as 01 (default: all)")
    wanted = tuple(parser.parse_args().lesson)
    with open_chromium() as browser:
        for lesson, video in zip(LESSONS, read_videos(), strict=True):
            if not wanted or lesson.name.startswith(wanted):
                slides = build(lesson, video, KITS / lesson.stem, browser)
                print(f"built {(KITS / lesson.stem).relative_to(ROOT)}: {len(slides)} slides")


if __name__ == "__main__":
    main()
