"""Build the site into build/site: python tools/build_site.py.

The pages are the solved lessons, with their outputs as they are, and the texts in docs. They are gathered in
build/site_source, where a page's place is the one it has in the site, and Sphinx (docs/conf.py) makes HTML of them.
A lesson's page, `lessons/04_math_details.html`, lists its sections, and each of them is a page of its own, such as
`lessons/04_math_details/4-5-the-price-kl-to-the-standard-normal.html`. Addresses that stay, whatever a section is
called, are `lessons/04_math_details.html#section-4-5` and `#exercise-4-2`: the lesson's page leads on (site.js).
A deeper notebook is one page, `lessons/deeper/4a_when_not_to_trust_it.html`; so is a film, `videos/film_4.html#t=192`.
"""

import ast
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import nbformat
from film_pages import copy_films, film_page, films_page, with_film_pages
from nbformat import NotebookNode
from npm import fetch
from videos import read_videos

import vae_course as vc
from vae_course.explore.latent import data_set, explorer_page
from vae_course.explore.weights import restored

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SITE = ROOT / "build" / "site"
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
LESSONS = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.ipynb"))
DEEPER = sorted((ROOT / "solutions" / "deeper").glob("*.ipynb"))
VIDEOS = read_videos()
NOT_PAGES = ("_static", "_templates", "conf.py", "explorer", "slides", "videos")


class Section(NamedTuple):
    """A numbered section of a lesson, which is a page of the site."""

    number: str
    title: str
    minutes: str  # "12 minutes", or nothing
    place: str
    cells: list[NotebookNode]


# --------------------------------------------------------------------------------------------------------------------
# Pages and the links between them
# --------------------------------------------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Return every file that has a page in the site, and the place of that page."""
    found = {path: path.relative_to(DOCS).as_posix() for path in sorted(DOCS.glob("*.md"))}
    for path in (*LESSONS, *DEEPER):
        name = path.relative_to(ROOT / "solutions")
        found[path] = found[ROOT / "lessons" / name] = f"lessons/{name.as_posix()}"
    found[ROOT / "data" / "README.md"] = "data.md"
    found[DOCS / "explorer"] = "latent_explorer.md"
    found[DOCS / "videos"] = "films.md"
    for film in filter(None, (video.film for video in VIDEOS)):
        found[DOCS / "videos" / f"{film.name}.md"] = f"videos/{film.name}.md"
    return found


def gather(folder: Path) -> None:
    """Write the pages that Sphinx reads into a folder, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns(*NOT_PAGES))
    texts = {path: path.read_text(encoding="utf-8") for path in pages() if path.suffix == ".md"}
    texts |= {DOCS / "videos" / f"{video.film.name}.md": film_page(video.film) for video in VIDEOS if video.film}
    texts[DOCS / "videos"] = films_page(VIDEOS)
    for path, text in texts.items():
        place = pages()[path]
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(linked(text, path, place), encoding="utf-8")
    for path in (*LESSONS, *DEEPER):
        for place, page in (deeper_page(path) if path in DEEPER else lesson_pages(path)).items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(page, folder / place)


def linked(text: str, path: Path, place: str) -> str:
    """Point the links of a file's text to pages of the site, or else to the repository; link the sections it names."""
    places = pages()

    def new_target(link: re.Match) -> str:
        target = (path.parent / link[1]).resolve()
        if target in places:
            return f"]({os.path.relpath(places[target], Path(place).parent)}{link[2]})"
        if not target.exists() or target.suffix in (".png", ".gif", ".svg"):
            return link[0]  # Sphinx says what is missing
        return (
            f"]({ADDRESS}/{'tree' if target.is_dir() else 'blob'}/main/{target.relative_to(ROOT).as_posix()}{link[2]})"
        )

    text = re.sub(r"\]\((?![a-z]+:)([^)#\s]+)((?:#[^)\s]*)?)\)", new_target, with_film_pages(text, place))

    def link_numbers(named: re.Match) -> str:
        return re.sub(r"(\d)\.(\d+)", rf"[\g<0>](#{named[1].lower()}-\1-\2)", named[0])

    numbers = r"\d\.\d+(?:(?:,\s|\sand\s|\sto\s|-)\d\.\d+)*"
    return re.sub(rf"(?<!# )(?<![\[`>])\b(section|exercise)s?\s{numbers}", link_numbers, text, flags=re.IGNORECASE)


# --------------------------------------------------------------------------------------------------------------------
# Lessons
# --------------------------------------------------------------------------------------------------------------------


def lesson_pages(path: Path) -> dict[str, NotebookNode]:
    """Return the pages of a solved lesson and their places: its own, which lists its sections, and one a section."""
    lesson = _prepared(path)
    header, sections = _split(lesson.cells, path)
    title = header[0].source.splitlines()[0].removeprefix("# ")
    for order, section in enumerate(sections, start=1):
        where = f"[{title}](../{path.name}) · {order} of {len(sections)} · {_ways_to_run(path.name)}"
        heading, rest = section.cells[0].source.split("\n", maxsplit=1)
        section.cells[0].source = f"{heading}\n\n{{.place}}\n{where}\n{rest}"
    found = {f"lessons/{path.name}": header, **{section.place: section.cells for section in sections}}
    for place, cells in found.items():
        for cell in cells:
            if cell.cell_type == "markdown":
                text = _markdown(linked(cell.source, path, place))
                cell.source = re.sub(r"^##(?=#* )", "#", text, flags=re.MULTILINE)  # a section's heading is its page's
    header.insert(1, _list_of(sections))
    return {place: NotebookNode({**lesson, "cells": cells}) for place, cells in found.items()}


def deeper_page(path: Path) -> dict[str, NotebookNode]:
    """Return the page of a deeper notebook, by its place."""
    notebook, place = _prepared(path), f"lessons/deeper/{path.name}"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _markdown(linked(cell.source, path, place))
    return {place: notebook}


def _prepared(path: Path) -> NotebookNode:
    """Read a solved notebook and make its code that of a page, with the student edition's blanks."""
    notebook = nbformat.read(path, as_version=4)
    student_edition = nbformat.read(ROOT / "lessons" / path.relative_to(ROOT / "solutions"), as_version=4)
    blanks = [cell.source for cell in student_edition.cells if "exercise" in cell.metadata.get("tags", [])]
    _prepare_code(notebook, blanks)
    return notebook


def _split(cells: list[NotebookNode], path: Path) -> tuple[list[NotebookNode], list[Section]]:
    """Split a lesson into what comes before its first section, and its sections."""
    starts = [i for i, cell in enumerate(cells) if cell.source.startswith("## ")]
    sections = []
    for start, end in pairwise([*starts, len(cells)]):
        heading = re.match(r"## (\d+\.\d+) (.+)(?:\n+(\d+ minutes?))?", cells[start].source)
        number, title, minutes = heading.groups(default="")
        name = re.sub(r"[^a-z0-9]+", "-", f"{number} {title}".lower()).strip("-")
        sections.append(Section(number, title, minutes, f"lessons/{path.stem}/{name}.ipynb", cells[start:end]))
    return cells[: starts[0]], sections


def _prepare_code(lesson: NotebookNode, blanks: list[str]) -> None:
    """Show the exercises' blanks; fold their answers, the set-up and what only draws."""
    blank = iter(blanks)
    for i, cell in enumerate(lesson.cells):
        if cell.cell_type != "code":
            continue
        if "exercise" in cell.metadata.get("tags", []):
            lesson.cells[i - 1].source = next(blank)  # in the place of the line that binds the reference
            _fold(cell, "the answer")
        elif "importlib.util" in cell.source:
            _fold(cell, "the set-up")
        elif "hide-input" in cell.metadata.get("tags", []) or _only_draws(cell.source):
            _fold(cell, "the code")
        elif re.fullmatch(r"quiz\(.*\)", cell.source):
            cell.metadata["tags"] = ["remove-input"]  # the card says all of it
        for output in cell.outputs:
            _tell_width(output.get("data", {}))


def _only_draws(code: str) -> bool:
    """Whether at least two thirds of a cell's lines draw: they call `plots`, or what it returned."""
    if "plots." not in code:
        return False
    drawn, total = 0, 0
    for statement in ast.parse(code).body:
        lines = statement.end_lineno - statement.lineno + 1
        names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        drawn += lines if names & {"plots", "ax", "axes", "left", "right"} else 0
        total += lines
    return drawn >= 2 / 3 * total


def _fold(cell: NotebookNode, what: str) -> None:
    cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
    cell.metadata["mystnb"] = {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}


def _tell_width(data: dict) -> None:
    """Tell the style sheet how wide a figure was drawn: with less than seven tenths its words cannot be read."""
    if "image/png" in data and "text/html" in data:
        width = int.from_bytes(base64.b64decode(data["image/png"][:32])[16:20])  # as the header of a PNG says
        data["text/html"] = data["text/html"].replace("<img ", f'<img style="--drawn: {width}px" ')


def _list_of(sections: list[Section]) -> NotebookNode:
    """List the sections, with minutes and exercises; tell Sphinx what follows what."""
    lines, places = ["## Sections\n\n{.sections}"], []
    for section in sections:
        text = "\n".join(cell.source for cell in section.cells)
        exercises = re.findall(r"\(exercise-(\d+)-(\d+)\)=", text)
        link = f"[{section.number} {section.title}](#section-{section.number.replace('.', '-')})"
        exercise_links = [f"[exercise {a}.{b}](#exercise-{a}-{b})" for a, b in exercises]
        lines.append("- " + " · ".join(filter(None, [link, section.minutes, *exercise_links])))
        places.append(section.place.removeprefix("lessons/").removesuffix(".ipynb"))
    toctree = "\n".join(["```{toctree}", ":hidden:", "", *places, "```"])
    return nbformat.v4.new_markdown_cell("\n".join(lines) + f"\n\n{toctree}", id="sections")


def _ways_to_run(name: str) -> str:
    slug = ADDRESS.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{slug}/blob/main/lessons/{name}"
    binder = f"https://mybinder.org/v2/gh/{slug}/main?urlpath=lab/tree/lessons/{name}"
    return f"notebook in [Colab]({colab}) · [Binder]({binder}) · [GitHub]({ADDRESS}/blob/main/lessons/{name})"


def _markdown(text: str) -> str:
    """Make a lesson's text that of a page: add the anchors, and index the glossary's words where they are explained.

    Inside HTML, which MyST leaves alone, equations are written as MathJax reads them.
    """
    glossary = (DOCS / "glossary.md").read_text(encoding="utf-8").lower()

    def indexed(bold: re.Match) -> str:
        word = " ".join(bold[1].split())
        return f"**{{index}}`!{word}`**" if f"\n| {word.lower()} |" in glossary else bold[0]

    text = re.sub(r"^(?=## (\d+[a-z]?)\.(\d+) )", r"(section-\1-\2)=\n", text, flags=re.MULTILINE)
    text = re.sub(r"^(?=### Exercise (\d+)\.(\d+) )", r"(exercise-\1-\2)=\n", text, flags=re.MULTILINE)
    text = re.sub(r"\*\*([^*`]+?)\*\*", indexed, text)
    equation = r'<span class="math">\\(\1\\)</span>'
    return re.sub("<summary>.*?</summary>", lambda html: re.sub(r"\$(.+?)\$", equation, html[0]), text, flags=re.DOTALL)


def explorer() -> str:
    """Return the page of the latent explorer, with the models that tools/train_explorer.py trained."""
    sets = []
    for name, data in ("Digits", vc.load_digits()), ("Blood cells", vc.load_pbmc()):
        file = "digits.json" if name == "Digits" else "cells.json"
        stored = json.loads((DOCS / "explorer" / file).read_text(encoding="utf-8"))["models"]
        betas = [one["beta"] for one in stored]
        sets.append(data_set(name, data, [restored(one) for one in stored], betas))
    return explorer_page(sets, lesson=_lesson_of, home="../index.html", is_course=True)


def _lesson_of(number: str) -> dict[str, str]:
    """Return title and place of a section, seen from the explorer's page."""
    source = next((ROOT / "lessons").glob(f"0{number[0]}_*.py"))
    heading = re.search(rf"^# ## {re.escape(number)} (.+)$", source.read_text(encoding="utf-8"), re.MULTILINE)
    if heading is None:
        raise ValueError(f"{source.name} has no section {number}: see the table in vae_course/explore/steps.py.")
    anchor = f"section-{number.replace('.', '-')}"
    title = heading[1].replace("`", "")
    return {"title": f"Lesson {number}: {title}", "href": f"../lessons/{source.stem}.html#{anchor}"}


def build(site: Path = SITE) -> None:
    """Build the site. A warning of Sphinx stops it."""
    source = site.with_name(f"{site.name}_source")
    gather(source)
    shutil.rmtree(site, ignore_errors=True)
    for name in ("tex-svg.js", "input/tex/extensions/textmacros.js"):
        (site / "_static" / "mathjax" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(fetch("mathjax", "3.2.2") / "es5" / name, site / "_static" / "mathjax" / name)
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--fresh-env", "-c", DOCS, source, site]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit("The site was not built: mend what Sphinx says above.")
    shutil.rmtree(site / ".doctrees")
    (site / "explorer").mkdir()
    (site / "explorer" / "index.html").write_text(explorer(), encoding="utf-8")
    copy_films(VIDEOS, site / "videos")
    (site / ".nojekyll").touch()  # GitHub Pages would leave out folders that begin with an underscore


if __name__ == "__main__":
    build()
    print(f"built {SITE.relative_to(ROOT)}: open {SITE.relative_to(ROOT)}/index.html")
