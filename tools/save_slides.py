"""Save the figures for lecturers' slides from the solved lessons: python tools/save_slides.py.

A lesson's cell with the tag `slide` becomes docs/slides/<lesson>.png, or .gif if it is a film.
"""

import base64
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    folder = ROOT / "docs" / "slides"
    folder.mkdir(exist_ok=True)
    for lesson in sorted((ROOT / "solutions").glob("*.ipynb")):
        for cell in nbformat.read(lesson, as_version=4).cells:
            if "slide" in cell.metadata.get("tags", []):
                html = next(o.data["text/html"] for o in cell.outputs if "image/png" in o.get("data", {}))
                kind, data = re.search(r'src="data:image/(\w+);base64,([^"]+)"', html).groups()
                path = folder / f"{lesson.stem}.{kind}"
                path.write_bytes(base64.b64decode(data))
                print(f"saved {path.relative_to(ROOT)}, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
