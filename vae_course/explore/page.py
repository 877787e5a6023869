"""What an explorable is: one page of HTML that stands alone, in a notebook's output or in a file of its own."""

import base64
import json
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from vae_course.runtime.files import write_atomically

WEB = files("vae_course.explore") / "web"
STILLS = files("vae_course.explore") / "stills"
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$style</style>
</head>
<body>
<main>$still</main>
<script id="data" type="application/json">$data</script>
<script>$script</script>
</body>
</html>
""")
FRAME = Template(
    '<div style="position: relative; max-width: ${width}px; height: ${height}px; overflow: hidden">$still'
    '<iframe title="$title" srcdoc="$page" style="position: absolute; inset: 0; width: 100%; height: 100%; border: 0" '
    "></iframe></div>"
)


class Explorable:
    """A small figure that can be touched; the last line of a cell shows it.

    Parameters
    ----------
    name
        Of its script, `web/NAME.js`, and of its still, `stills/NAME.png`.
    title
        What it is.
    alt
        What its still shows, for who cannot see it or runs no scripts.
    height
        Of the frame in a notebook, pixels, until the page inside says its own.
    data
        What the script is given, plain data.
    libraries
        Scripts that it needs beside the kit, such as "distributions".
    """

    width = 764  # of the frame at most, pixels

    def __init__(
        self,
        name: str,
        title: str,
        alt: str,
        height: int,
        data: dict[str, Any] | None = None,
        libraries: tuple[str, ...] = ("distributions",),
    ) -> None:
        self.name, self.title, self.alt, self.height = name, title, alt, height
        self._data, self._libraries = data or {}, libraries

    @property
    def html(self) -> str:
        """The page, which asks no host for anything."""
        return self._page(self._still())

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, to be opened in a browser or sent to a friend; return its path."""
        path = Path(path)
        write_atomically(path, lambda temporary: temporary.write_text(self.html, encoding="utf-8"))
        return path

    def __repr__(self) -> str:
        return f"{self.title}. {self.alt}"

    def _repr_html_(self) -> str:
        """Return a frame for a notebook's output. Where frames or scripts are off, the still below it shows."""
        page = escape(self._page(""), quote=True)
        return FRAME.substitute(
            width=self.width, height=self.height, still=self._still(), title=escape(self.title), page=page
        )

    def _page(self, still: str) -> str:
        scripts = [_text(f"{script}.js") for script in (*self._libraries, "kit", self.name)]
        data = json.dumps(self._data, separators=(",", ":")).replace("<", "\\u003c")
        script = "\n".join(text.replace('"use strict";\n', "") for text in scripts).replace("</", "<\\/")
        page = {
            "title": escape(self.title),
            "style": _text("theme.css") + _text("kit.css"),
            "still": still,
            "data": data,
        }
        return PAGE.substitute(page, script=f'"use strict";\n{script}')

    def _still(self) -> str:
        still = STILLS / f"{self.name}.png"
        picture = base64.b64encode(still.read_bytes()).decode() if still.is_file() else ""
        return f'<img src="data:image/png;base64,{picture}" alt="{escape(self.alt)}" style="max-width: 100%">'


@cache
def _text(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")
