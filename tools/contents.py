"""Titles, minutes and exercises of the lessons, read from their sources for every other place that names them."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from vae_course.exercises.sources import excerpt, find, source_of

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "vae_course" / "_data" / "contents.json"
PAGES = [ROOT / "docs" / name for name in ("instructors.md", "index.md", "jose.md")] + [ROOT / "README.md"]
CLASS = 90  # minutes of an evening's class
SPANS = r"\d\.\d+(?:-\d\.\d+)?(?:, \d\.\d+(?:-\d\.\d+)?)*"  # such as "1.4, 1.6-1.7"


@dataclass
class Cost:
    """What a part of a lesson asks of its reader."""

    words: int = 0  # of prose
    lines: int = 0  # of code that is seen: not of the set-up, of exercises, and of what is folded
    cells: int = 0
    own_minutes: int = 0  # of its exercises, as they state

    @property
    def minutes(self) -> int:
        """By the rule of the course: 150 words or 12 lines a minute, and the exercises' own minutes."""
        return max(1, round(self.words / 150 + self.lines / 12 + self.own_minutes))


def sources() -> list[Path]:
    """Return the hand-written lesson sources, in order."""
    return sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))


def deeper() -> list[Path]:
    """Return the hand-written sources of the deeper notebooks, in order."""
    return sorted((ROOT / "lessons" / "deeper").glob("*.py"))


@cache
def section_costs(source: Path) -> dict[str, Cost]:
    """Return what every section of a source asks of its reader, by its number; the header's is under ""."""
    costs, section = {"": Cost()}, ""
    for cell in jupytext.read(source, fmt="py:percent").cells:
        if cell.cell_type == "markdown":
            if heading := re.search(r"^## (\d+[a-z]?\.\d+) ", cell.source, flags=re.MULTILINE):
                section = heading[1]
            costs.setdefault(section, Cost()).words += count_words(cell.source)
        elif "exercise" in cell.metadata:
            costs[section].own_minutes += int(cell.metadata["minutes"])
            costs[section].cells += 1  # and the one that binds the reference
        elif "setup" in cell.metadata:
            costs[section].cells += 1  # and the folded one before it
        elif "fold" not in cell.metadata:
            costs[section].lines += sum(bool(line.strip()) for line in code_of(cell).splitlines())
        costs[section].cells += 1
    return costs


def section_minutes(source: Path) -> dict[str, int]:
    """Return the minutes of every section, by the one rule of the course."""
    return {section: cost.minutes for section, cost in section_costs(source).items() if section}


def code_of(cell: NotebookNode) -> str:
    """Return the code of a source's cell, which may be named rather than written."""
    if "source" not in cell.metadata:
        return cell.source
    source = source_of(find(cell.metadata["source"]))
    if "methods" in cell.metadata:
        return excerpt(source, cell.metadata["methods"].split(), cell.metadata.get("base"))
    return source


def count_words(text: str) -> int:
    """Count the words of a Markdown cell that are read, a formula as one: without code blocks, tags and addresses."""
    for unread in (r"```.*?```", r"<[^>]*>", r"\]\([^)]*\)", r"\{\{.*?\}\}"):
        text = re.sub(unread, " ", text, flags=re.DOTALL)
    text = re.sub(r"\$\$.+?\$\$|\$.+?\$", " formula ", text, flags=re.DOTALL)
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def exercise_sections(source: Path) -> dict[str, str]:
    """Return the heading, number and title, of the section that each exercise of a lesson is in."""
    sections, section = {}, ""
    for heading, exercise_id in re.findall(
        r'^# ## (.*)$|^# %%.* exercise="(.*?)"', source.read_text(encoding="utf-8"), flags=re.MULTILINE
    ):
        section = heading or section
        if exercise_id:
            sections[exercise_id] = section
    return sections


def contents() -> str:
    """Return what the package has to know of the lessons: their titles, minutes and exercises, as JSON."""
    notebooks = []
    for source in (*sources(), *deeper()):
        title = re.search(r"^# # \w+ \d+[a-z]? · (.*)$", source.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
        stem = source.relative_to(ROOT / "lessons").with_suffix("").as_posix()
        minutes = sum(section_minutes(source).values())
        notebooks.append({"stem": stem, "title": title, "minutes": minutes, "sections": exercise_sections(source)})
    return json.dumps(notebooks, indent=1, ensure_ascii=False) + "\n"


def minutes_of(spans: str) -> int:
    """Return the minutes of all sections in spans such as "1.4, 1.6-1.7"."""
    minutes = {section: number for source in sources() for section, number in section_minutes(source).items()}
    return sum(minutes[section] for section in _sections(spans))


def fill_placeholders(text: str, source: Path) -> str:
    """Fill in {{minutes}}, {{minutes 5.1-5.4}} (of sections) and {{exercises}} (which section each is in)."""
    text = text.replace("{{minutes}}", str(sum(section_minutes(source).values())))
    if "{{exercises}}" in text:
        of_exercise = {one: heading.split()[0] for one, heading in exercise_sections(source).items()}
        first, *others = sorted(of_exercise)
        places = [f"exercise {first} is in section {of_exercise[first]}"]
        places += [f"{one} in {of_exercise[one]}" for one in others]
        text = text.replace("{{exercises}}", f"{', '.join(places[:-1])} and {places[-1]}")
    return re.sub(rf"{{{{minutes ({SPANS})}}}}", lambda m: str(minutes_of(m[1])), text)


def lengths() -> str:
    """Return the table of what every notebook asks of its reader."""
    rows = ["| notebook | words | cells | lines of code | minutes |", "|---|---|---|---|---|"]
    for source in (*sources(), *deeper()):
        costs = section_costs(source)
        words, lines, cells = (sum(getattr(c, name) for c in costs.values()) for name in ("words", "lines", "cells"))
        rows.append(f"| {source.stem} | {words:,} | {cells} | {lines} | {sum(section_minutes(source).values())} |")
    return "\n".join(rows)


def fill_minutes(page: str) -> str:
    """Write the minutes of the sections and lessons that a page of the documentation names, and the table of lengths.

    Filled are "0.1-0.3 (53)" and "0.1-0.3, 53 minutes" wherever they stand, the sums in the rows of the two schedules,
    the times of day, and the totals of the day, of a lesson that is linked and of the course.
    """
    lessons = {source.stem: sum(section_minutes(source).values()) for source in sources()}
    total = f"{sum(lessons.values()):,}"
    page = re.sub(rf"({SPANS}) \(\d+\)", lambda m: f"{m[1]} ({minutes_of(m[1])})", page)
    page = re.sub(rf"({SPANS})(,\s+)\d+(\s+minutes)", lambda m: f"{m[1]}{m[2]}{minutes_of(m[1])}{m[3]}", page)
    weeks = {m[1]: m[0] for m in re.finditer(r"^\| (\d) \| \[.*$", page, flags=re.MULTILINE)}
    for number, row in weeks.items():
        in_all, in_class = (sum(map(int, re.findall(r"\((\d+)\)", part))) for part in (row, row.split("|")[4]))
        page = page.replace(row, re.sub(r"\d+ \|$", f"{in_all} |", row))
        page = re.sub(
            rf"^(\| {number} \| )(\d+) \+ \d+ \+ \d+",
            lambda m, taken=in_class: f"{m[1]}{m[2]} + {taken} + {CLASS - int(m[2]) - taken}",
            page,
            flags=re.MULTILINE,
        )
    page, in_day = _fill_day(page)
    page = re.sub(r"takes \d+ of the [\d,]+", f"takes {in_day} of the {total}", page)
    page = re.sub(r"[\d,]+( minutes by the lessons' own)", rf"{total}\1", page)
    page = re.sub(
        r"(<!-- lengths -->\n).*?(<!-- end of lengths -->)",
        lambda m: f"{m[1]}{lengths()}\n{m[2]}",
        page,
        flags=re.DOTALL,
    )
    return re.sub(r"(/lessons/(\w+)\.ipynb\)\*\* · )\d+", lambda m: f"{m[1]}{lessons[m[2]]}", page)


def _fill_day(page: str) -> tuple[str, int]:
    """Fill the schedule of a day, from 9 to 17 o'clock; return the page and the lessons' minutes that it holds.

    A minute of a lesson takes two, and the last row what is left.
    """
    rows = re.findall(rf"^(\| \d\d:\d\d \| (-|{SPANS}) \| (\d+) \|)", page, flags=re.MULTILINE)
    now, in_lessons = 9 * 60, 0
    for row, what, number in rows:
        taken = int(number)
        if what != "-":
            in_lessons += minutes_of(what)
            taken = 2 * minutes_of(what)
        elif row == rows[-1][0]:
            taken = 17 * 60 - now
        page = page.replace(row, f"| {now // 60:02}:{now % 60:02} | {what} | {taken} |", 1)
        now += taken
    return page, in_lessons


def _sections(spans: str) -> list[str]:
    """Return the sections of spans such as "1.4, 1.6-1.7"."""
    found = []
    for first, last in re.findall(r"(\d+\.\d+)(?:-(\d+\.\d+))?", spans):
        lesson, start = map(int, first.split("."))
        found += [f"{lesson}.{number}" for number in range(start, int((last or first).split(".")[1]) + 1)]
    return found


def write() -> None:
    """Write the package's data file, and the minutes in the documentation."""
    DATA.write_text(contents(), encoding="utf-8")
    for page in PAGES:
        page.write_text(fill_minutes(page.read_text(encoding="utf-8")), encoding="utf-8")
