"""How Sphinx makes the site. tools/build_site.py gathers the pages and runs it."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from pygments.formatters import HtmlFormatter
from sphinx.highlighting import PygmentsBridge

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]

project = "vae_course"
author = "The vae_course developers"
project_copyright = "The vae_course developers. Texts and figures: CC BY 4.0. Code: BSD 3-Clause"
package = (ROOT / "vae_course" / "__init__.py").read_text(encoding="utf-8")
release = version = re.search(r'__version__ = "(.+)"', package).group(1)
language = "en"  # with en_GB the search page lacks its words

extensions = ["myst_nb", "sphinx_copybutton", "sphinx.ext.mathjax"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the solved lessons come with their outputs
nb_ipywidgets_js = {}  # it would come from another host


class ByLine(HtmlFormatter):
    """Puts every line of code into a box of its own, so that site.css can indent what goes on below."""

    def wrap(self, source: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """Wrap the lines, as Pygments asks for it."""
        return super().wrap((is_line, self._box(line) if is_line else line) for is_line, line in source)

    @staticmethod
    def _box(line: str) -> str:
        text = re.sub("<.*?>", "", line)
        return f'<span class="line" style="--indent: {len(text) - len(text.lstrip(" "))}ch">{line}</span>'


PygmentsBridge.html_formatter = ByLine

# Equations are drawn as SVG, so that no font is asked for; textmacros reads \_ inside of \text. tools/build_site.py
# puts the two files there.
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"loader": {"load": ["[tex]/textmacros"]}, "tex": {"packages": {"[+]": ["textmacros"]}}}

html_theme = "sphinx_book_theme"
html_title = "vae_course"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_favicon = "_static/favicon.svg"
html_copy_source = False  # the notebooks would travel twice
html_use_index = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": ADDRESS,
    "repository_branch": "main",
    "use_repository_button": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "secondary_sidebar_items": {"*": ["page-toc"], "index": []},  # lessons leave that room to code and figures
    "search_bar_text": "Search the course",
    "show_toc_level": 2,
}
