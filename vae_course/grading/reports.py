"""What an instructor hands on: tables of grades, for any use, for Canvas and for Moodle, and a page for a student."""

import csv
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from vae_course import __version__
from vae_course.exercises import EXERCISES
from vae_course.grading.grades import Grade
from vae_course.runtime.files import write_atomically

MARKS = {"passed": "✓ correct", "wrong": "✗ wrong", "error": "✗ stopped", "not_attempted": "· not done"}

MOODLE = [
    *("Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed"),
    *("Last modified (submission)", "Last modified (grade)", "Feedback comments"),
]

FORMULA = re.compile(r"""(^\s*|[,;|\t\r\n"']\s*)([=+@\uff1d\uff0b\uff0d\uff20-])""")

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Feedback for {student}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
h1 {{ overflow-wrap: anywhere; }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8888; }}
td:nth-child(3) {{ white-space: nowrap; }}
td:last-child {{ overflow-wrap: anywhere; }}
@media (max-width: 40rem) {{  /* a phone: what was seen goes below */
  thead {{ position: absolute; clip-path: inset(50%); }}
  tr {{ display: grid; grid-template-columns: 3rem 1fr auto; border-bottom: 1px solid #8888; }}
  td {{ border-bottom: 0; overflow-wrap: anywhere; }}
  td:last-child {{ grid-column: 1 / -1; }}
}}
</style>
</head>
<body>
<h1>Feedback for {student}</h1>
<p><strong>{total} of {maximum}</strong> exercises are correct.</p>
{notes}
<table>
<thead><tr><th scope="col">Exercise</th><th scope="col">Name</th><th scope="col">Result</th>
<th scope="col">What was seen</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>Each answer was called on the cases of the lesson and on further ones with random numbers, so that one
may pass in the notebook and not here. {help}Graded by vae_course {version}.</p>
</body>
</html>
"""


def check_place(out: str | Path) -> None:
    """Refuse a place where no table can be written: before the grading, which may take hours.

    Raises
    ------
    ValueError
        If `out` is a folder, or lies in what is no folder or may not be written to.
    """
    out = Path(out)
    if out.is_dir():
        raise ValueError(f"Expected a file for the table of grades, such as grades.csv; {out} is a folder.")
    nearest = next(place for place in out.absolute().parents if place.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise ValueError(f"{out} cannot be written: {nearest} is no folder, or you may not write to it.")


def write_reports(grades: Sequence[Grade], out: str | Path, title: str = "vae_course") -> list[Path]:
    """Write grades and feedback.

    Parameters
    ----------
    grades
        Of all students.
    out
        The table, `grades.csv`. Beside it come `grades_canvas.csv`, `grades_moodle.csv` and `feedback/`.
    title
        Of the assignment in Canvas, as its gradebook names it: "Lesson 1 (4711)".

    Returns
    -------
    list of Path
        The three tables and the folder.
    """
    out = Path(out)
    check_place(out)
    feedback = out.parent / "feedback"
    feedback.mkdir(parents=True, exist_ok=True)
    tables = {
        out: _generic(grades),
        out.with_name(f"{out.stem}_canvas{out.suffix}"): _canvas(grades, title),
        out.with_name(f"{out.stem}_moodle{out.suffix}"): _moodle(grades),
    }
    for path, rows in tables.items():
        write_atomically(path, lambda file, rows=rows: _write_table(file, rows))
    for grade, stem in zip(grades, _stems([grade.student for grade in grades]), strict=True):
        page = _page(grade)
        write_atomically(feedback / f"{stem}.html", lambda file, page=page: file.write_text(page, "utf-8", "replace"))
    return [*tables, feedback]


def _stems(students: Sequence[str]) -> list[str]:
    """Return names for the students' pages, which no two of them share on any system of files."""
    stems = [re.sub(r'[\\/:*?"<>|]', "_", one).encode()[:200].decode(errors="ignore") for one in students]
    alike = [unicodedata.normalize("NFKC", stem).casefold() for stem in stems]
    often = Counter(alike)
    return [
        stem if often[key] == 1 else f"{stem}-{sha256(one.encode(errors='replace')).hexdigest()[:12]}"
        for stem, key, one in zip(stems, alike, students, strict=True)
    ]


def _write_table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows([_as_text(field) for field in row] for row in rows)


def _as_text(field: Any) -> Any:
    """Put an apostrophe before what a spreadsheet would take for a formula, wherever it may begin a cell.

    Programs split at other separators than commas, and take full-width signs for their narrow twins.
    """
    return FORMULA.sub(r"\1'\2", field) if isinstance(field, str) and len(field) > 1 else field


def _generic(grades: Sequence[Grade]) -> list[Sequence[Any]]:
    """One row a student, with a column for every exercise."""
    exercises = list(grades[0].results)
    rows = [["student", "name", "total", "maximum", "percent", *exercises, "notes"]]
    for grade in grades:
        points = [int(grade.results[one].status == "passed") for one in exercises]
        percent = f"{100 * grade.total / grade.maximum:.1f}"
        rows.append([grade.student, grade.name, grade.total, grade.maximum, percent, *points, " ".join(grade.notes)])
    return rows


def _canvas(grades: Sequence[Grade], title: str) -> list[Sequence[Any]]:
    """As Canvas imports grades: a row of possible points, then students by the id of their download, or their login."""
    rows: list[Sequence[Any]] = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title]]
    rows.append(["    Points Possible", "", "", "", "", grades[0].maximum])
    for grade in grades:
        ids = [grade.student, "", ""] if grade.name else ["", grade.student, grade.student]
        rows.append([grade.name or grade.student, *ids, "", grade.total])
    return rows


def _moodle(grades: Sequence[Grade]) -> list[Sequence[Any]]:
    """As Moodle's grading worksheet of an assignment, whose participants a download numbers."""
    rows: list[Sequence[Any]] = [MOODLE]
    for grade in grades:
        missed = ", ".join(one for one, result in grade.results.items() if result.status != "passed")
        comment = f"{grade.total} of {grade.maximum} correct." + (f" Look again at {missed}." if missed else "")
        identifier = f"Participant {grade.student}"
        rows.append([identifier, grade.name, "", "", grade.total, grade.maximum, "Yes", "-", "-", comment])
    return rows


def _page(grade: Grade) -> str:
    rows = [
        f"<tr><td>{one}</td><td><code>{EXERCISES[one].name}</code></td><td>{MARKS[result.status]}</td>"
        f"<td>{_with_code(result.message)}</td></tr>"
        for one, result in grade.results.items()
    ]
    missed = [one for one, result in grade.results.items() if result.status != "passed"]
    student = f"{grade.name} ({grade.student})" if grade.name else grade.student
    return PAGE.format(
        student=escape(student),
        total=grade.total,
        maximum=grade.maximum,
        notes="".join(f"<p>{escape(note)}</p>" for note in grade.notes),
        rows="\n".join(rows),
        help=f'To look at an answer again, run its cell: <code>hint("{missed[0]}")</code> helps. ' if missed else "",
        version=__version__,
    )


def _with_code(message: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(message))
