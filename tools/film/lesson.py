"""A lesson as its solved edition has it: what films say and show is looked up here, never typed."""

import hashlib
import json
import lzma
import pickle
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
# Kept with the films that drew them, since a model that is trained on another processor comes to other numbers.
KEPT = ROOT / "docs" / "videos" / "values"


class Lesson:
    """The executed lesson of a number.

    `values` names what a film draws: for a section, expressions that are evaluated when the section's last cell has
    run, such as `{"4.4": ["mus", "model.theta"]}`. The lesson is run for them once, then they are kept.
    """

    def __init__(self, number: int, values: dict[str, list[str]] | None = None):
        (self.path,) = (ROOT / "solutions").glob(f"{number:02}_*.ipynb")
        self.cells: list[dict] = []  # section, code, printed
        self.titles: dict[str, str] = {}
        section = f"{number}.0"
        for cell in json.loads(self.path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if found := re.search(rf"^## ({number}\.\d+) (.+)$", source, flags=re.MULTILINE):
                section, title = found.groups()
                self.titles[section] = title
            if cell["cell_type"] == "code":
                printed = "".join(map(_text, cell["outputs"]))
                self.cells.append({"section": section, "code": source, "printed": printed})
        self._wanted = values or {}
        self._values: dict | None = None

    def lines(self, *starts: str) -> str:
        """Return the lines of code that start so; each must start one line of the lesson (the first is taken)."""
        every = [line for cell in self.cells for line in cell["code"].splitlines()]
        found = []
        for start in starts:
            line = next((line for line in every if line.strip().startswith(start)), None)
            if line is None:
                raise ValueError(f"no line of {self.path.name} starts with {start!r}")
            found.append(line)
        return "\n".join(found)

    def cell(self, part: str) -> str:
        """Return the code of the only cell that contains a text."""
        return self._only(part)["code"]

    def printed(self, part: str) -> str:
        """Return what the only cell printed whose code contains a text."""
        return self._only(part)["printed"]

    def line(self, pattern: str) -> str:
        """Return the only printed line in which a pattern is found."""
        lines = [line for cell in self.cells for line in cell["printed"].splitlines() if re.search(pattern, line)]
        if len(lines) != 1:
            raise ValueError(f"{pattern!r} is found in {len(lines)} printed lines of {self.path.name}, not in one")
        return lines[0]

    def number(self, pattern: str) -> str:
        """Return the number printed after a pattern, which must be found once, with a true minus sign."""
        printed = "\n".join(cell["printed"] for cell in self.cells)
        found = re.findall(pattern + r"\s*([+-]?[\d.,]*\d)", printed)
        if len(found) != 1:
            raise ValueError(f"{pattern!r} precedes {len(found)} numbers printed in {self.path.name}, not one")
        return found[0].replace("-", "−").lstrip("+")

    def text(self, pattern: str) -> str:
        """Return what the first group of a pattern matches in the lesson's prose or code, which must be once."""
        whole = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        found = [match[1] for cell in whole for match in re.finditer(pattern, "".join(cell["source"]))]
        if len(found) != 1:
            raise ValueError(f"{pattern!r} is found {len(found)} times in {self.path.name}, not once")
        return found[0]

    def value(self, section: str, expression: str) -> object:
        """Return a value of the executed lesson, tensors as arrays of NumPy."""
        if expression not in self._wanted.get(section, ()):
            raise ValueError(f"name {expression!r} in Lesson(values=...) for section {section}")
        if self._values is None:
            self._values = self._run()
        return self._values[section, expression]

    def _only(self, part: str) -> dict:
        cells = [cell for cell in self.cells if part in cell["code"]]
        if len(cells) != 1:
            raise ValueError(f"{part!r} is in {len(cells)} cells of {self.path.name}, not in one")
        return cells[0]

    def _run(self) -> dict:
        asked = json.dumps([[(cell["section"], cell["code"]) for cell in self.cells], self._wanted])
        kept = KEPT / f"{self.path.stem}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.pickle.xz"
        if not kept.exists():
            KEPT.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, Path(__file__).with_name("run_lesson.py"), kept]
            done = subprocess.run(command, input=asked, text=True, capture_output=True, cwd=ROOT)
            if done.returncode:
                raise ValueError(f"{self.path.name} did not run: {done.stderr[-2000:]}")
        return pickle.loads(lzma.decompress(kept.read_bytes()))


def bare(code: str) -> str:
    """Return code without its comments, moved to the left."""
    return dedent("\n".join(line.split("  #")[0].rstrip() for line in code.splitlines()))


def _text(output: dict) -> str:
    if output["output_type"] == "stream":
        return "".join(output["text"]) if output["name"] == "stdout" else ""
    return "".join(output.get("data", {}).get("text/plain", [])) + "\n"
