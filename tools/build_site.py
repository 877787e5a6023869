"""Build the site into build/site: python tools/build_site.py.

The pages are the solved lessons, with their outputs as they are, and the texts in docs. They are gathered in
build/site_source, where a page's place is the one it has in the site, and Sphinx (docs/conf.py) makes HTML of them.
Every numbered section and exercise gets an anchor that stays, such as `lessons/04_math_details.html#section-4-5` and
`#exercise-4-2`.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from npm import fetch

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SITE = ROOT / "build" / "site"
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
LESSONS = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.ipynb"))
NOT_PAGES = ("_static", "_templates", "conf.py", "explorer", "slides")


def pages() -> dict[Path, str]:
    """Return every file that has a page in the site, and the place of that page."""
    found = {path: path.relative_to(DOCS).as_posix() for path in sorted(DOCS.glob("*.md"))}
    for path in LESSONS:
        found[path] = found[ROOT / "lessons" / path.name] = f"lessons/{path.name}"
    found[ROOT / "data" / "README.md"] = "data.md"
    found[DOCS / "explorer" / "index.html"] = found[DOCS / "explorer"] = "latent_explorer.md"
    return found


def gather(folder: Path) -> None:
    """Write the pages that Sphinx reads into a folder, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns(*NOT_PAGES))
    places = pages()
    for path, place in places.items():
        (folder / place).parent.mkdir(exist_ok=True)
        if path.suffix == ".md":
            (folder / place).write_text(relinked(path.read_text(encoding="utf-8"), path, places), encoding="utf-8")
    for path in LESSONS:
        nbformat.write(lesson_page(path, places), folder / places[path])


def relinked(text: str, path: Path, places: dict[Path, str]) -> str:
    """Point a text's links to files at pages of the site, or else at the repository."""

    def new_target(link: re.Match) -> str:
        target = (path.parent / link[1]).resolve()
        if target in places:
            return f"]({os.path.relpath(places[target], Path(places[path]).parent)}{link[2]})"
        if not target.exists() or target.suffix in (".png", ".gif", ".svg"):
            return link[0]  # Sphinx says what is missing
        return (
            f"]({ADDRESS}/{'tree' if target.is_dir() else 'blob'}/main/{target.relative_to(ROOT).as_posix()}{link[2]})"
        )

    return re.sub(r"\]\((?![a-z]+:)([^)#\s]+)((?:#[^)\s]*)?)\)", new_target, text)


def lesson_page(path: Path, places: dict[Path, str]) -> NotebookNode:
    """Return a solved lesson as a page: blanks in sight, answers folded, sections and exercises with anchors."""
    page = nbformat.read(path, as_version=4)
    blanks = nbformat.read(ROOT / "lessons" / path.name, as_version=4).cells
    for i, cell in enumerate(page.cells):
        if cell.cell_type == "markdown":
            cell.source = _markdown(relinked(cell.source, path, places))
        elif "exercise" in cell.metadata.get("tags", []):
            page.cells[i - 1].source = blanks[i].source  # in the place of the line that binds the reference
            _fold(cell, "the answer")
        elif "importlib.util" in cell.source:
            _fold(cell, "the set-up")
    return page


def _fold(cell: NotebookNode, what: str) -> None:
    cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
    cell.metadata["mystnb"] = {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}


def _markdown(text: str) -> str:
    """Add the anchors. Inside HTML, which MyST leaves alone, write equations as MathJax reads them."""
    text = re.sub(r"^(?=## (\d+)\.(\d+) )", r"(section-\1-\2)=\n", text, flags=re.MULTILINE)
    text = re.sub(r"^(?=### Exercise (\d+)\.(\d+) )", r"(exercise-\1-\2)=\n", text, flags=re.MULTILINE)
    equation = r'<span class="math">\\(\1\\)</span>'
    return re.sub("<summary>.*?</summary>", lambda html: re.sub(r"\$(.+?)\$", equation, html[0]), text, flags=re.DOTALL)


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
    shutil.copytree(DOCS / "explorer", site / "explorer")
    (site / ".nojekyll").touch()  # GitHub Pages would leave out folders that begin with an underscore


if __name__ == "__main__":
    build()
    print(f"built {SITE.relative_to(ROOT)}: open {SITE.relative_to(ROOT)}/index.html")
