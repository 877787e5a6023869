"""What is done, and what is next: as text for a terminal, as a list with bars for a notebook."""

import os
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from vae_course.exercises import record
from vae_course.exercises.catalogue import CONTENTS, CORE, DEEPER, EXERCISES, Lesson, lesson_of
from vae_course.runtime.files import write_atomically

PICTURE = "progress.svg"  # on the start page
MARKS = {"passed": "✓", "not_attempted": "·"}  # any other is ✗
WORDS = {"passed": "passed", "not_attempted": "open"}  # any other is "not right yet"
SUMMARY = '<summary style="display: list-item; cursor: pointer">'  # nbviewer takes the triangle from any other
TITLE = "display: inline-block; width: 25em; max-width: 100%"  # on a phone the rest goes below it

_shown: list[Any] = []  # handles of what notebooks show of the progress, to be kept up to date


class Progress(dict):
    """What is done of every exercise: id -> its status, attempts, hints and whether the solution was seen.

    Attributes
    ----------
    answers
        The same for questions of quizzes that were answered: "quiz 3.2" -> whether the first answer was right.
    """

    def __init__(self, known: record.Record) -> None:
        super().__init__({exercise_id: record.entry(known, exercise_id) for exercise_id in EXERCISES})
        self.answers = {key: one["status"] == "passed" for key, one in known.items() if key.startswith("quiz ")}

    @property
    def next(self) -> str | None:
        """The lessons' exercise after the last one that was passed, else the first open one, else None."""
        order = [exercise_id for lesson in CONTENTS for exercise_id in lesson.sections]
        done = [self[exercise_id]["status"] == "passed" for exercise_id in order]
        if all(done):
            return None
        after_last = len(done) - done[::-1].index(True) if any(done) else 0
        return order[after_last] if after_last < len(order) else order[done.index(False)]

    def passed(self, exercise_ids: Iterable[str]) -> list[str]:
        """Return those of some exercises that are passed."""
        return [exercise_id for exercise_id in exercise_ids if self[exercise_id]["status"] == "passed"]

    def __repr__(self) -> str:
        where = f"Next: {_where(self.next)}." if self.next else "Nothing is left to do."
        lines = [f"{self._sum()} {where}", ""]
        for lesson in _listed():
            done, total = len(self.passed(lesson.sections)), len(lesson.sections)
            bar = ("█" * done + "░" * (total - done)).ljust(8)
            lines.append(f"{_name(lesson).capitalize():9} {bar} {done} of {total}  {lesson.title}")
            begun = any(self[exercise_id] != record.NEW for exercise_id in lesson.sections)
            lines += [self._line(exercise_id) for exercise_id in _in_order(lesson)] if begun else []
        return "\n".join(lines)

    def _ipython_display_(self) -> None:
        """Show the list in a notebook, where it follows what is done later."""
        from IPython.display import display

        handle = display({"text/plain": repr(self), "text/html": self._repr_html_()}, raw=True, display_id=True)
        if handle is not None:
            _shown.append(handle)

    def _repr_html_(self) -> str:
        """Return a list without colours of its own: it takes those of the page, light or dark."""
        rows = "".join(map(self._row, _listed()))
        where = f"Next: {escape(_where(self.next))}." if self.next else "Nothing is left to do."
        return (
            f"<p><b>{self._sum()}</b> {where}</p>"
            f'<ul style="list-style: none; padding: 0">{rows}</ul><p>✓ passed, ✗ not right yet, · open</p>'
            f"<details>{SUMMARY}Attempts, hints and solutions</summary><pre>{escape(self._begun())}</pre></details>"
        )

    def _sum(self) -> str:
        said = f"{len(self.passed(CORE))} of {len(CORE)} exercises passed."
        if deeper := self.passed(exercise_id for lesson in DEEPER for exercise_id in lesson.sections):
            said += f" {len(deeper)} of the deeper notebooks as well."
        if not self.answers:
            return said
        answered = f"{len(self.answers)} question{'s' * (len(self.answers) != 1)} answered"
        return f"{said} {answered}, {sum(self.answers.values())} right at first."

    def _begun(self) -> str:
        begun = [exercise_id for exercise_id in EXERCISES if self[exercise_id] != record.NEW]
        return "\n".join(map(self._line, begun)) or "Nothing yet."

    def _line(self, exercise_id: str) -> str:
        known = self[exercise_id]
        extras = [f"{known['attempts']} attempt{'s' * (known['attempts'] != 1)}"] if known["attempts"] else []
        extras += [f"{known['hints']} hint{'s' * (known['hints'] != 1)}"] if known["hints"] else []
        extras += ["solution seen"] if known["solution"] else []
        mark = MARKS.get(known["status"], "✗")
        return f"  {mark} {exercise_id} {EXERCISES[exercise_id].name:24} {', '.join(extras)}".rstrip()

    def _row(self, lesson: Lesson) -> str:
        done, total = len(self.passed(lesson.sections)), len(lesson.sections)
        marks = [_mark(exercise_id, self[exercise_id]["status"]) for exercise_id in _in_order(lesson)]
        return (
            f'<li style="margin: 0.5em 0"><span style="{TITLE}">{lesson.number} · {escape(lesson.title)}</span> '
            f'<progress max="{total}" value="{done}" style="width: 4em"'
            f' aria-label="{_name(lesson)}: {done} of {total} exercises passed"></progress>'
            f" &ensp;{done}&nbsp;of&nbsp;{total}: &ensp;{' &ensp;'.join(marks)}</li>"
        )


def progress() -> Progress:
    """Return what is done of every exercise and what is next; shown as a list in a notebook.

    Read from a small file in the folder named by VAE_COURSE_HOME, else in the user's data folder. Nothing is sent.
    """
    return Progress(record.load())


def refresh() -> None:
    """Bring up to date what this kernel's notebook shows of the progress, and the picture on the start page."""
    folder = os.environ.get("VAE_COURSE_LAB")
    if not (_shown or folder):
        return
    now = progress()
    for handle in _shown:
        handle.update({"text/plain": repr(now), "text/html": now._repr_html_()}, raw=True)
    if folder:
        with suppress(OSError):  # the learner may have moved the folder, and goes on
            write_picture(Path(folder), now)


def write_picture(folder: Path, now: Progress) -> None:
    """Write progress.svg, which shows the lessons with a square for every exercise; readable on white and on black."""
    parts, height = [], 26 * len(CONTENTS) + 10
    for row, lesson in enumerate(CONTENTS):
        y = 26 * row + 20
        parts.append(f'<text x="0" y="{y}">{row} · {escape(lesson.title)}</text>')
        for place, exercise_id in enumerate(_in_order(lesson)):
            status, x = now[exercise_id]["status"], 430 + 54 * place
            color = {"passed": "#00855f", "not_attempted": "none"}.get(status, "#c25400")
            parts.append(f'<rect x="{x}" y="{y - 15}" width="50" height="20" rx="4" fill="{color}"/>')
            style = "" if status == "not_attempted" else ' style="fill: white"'
            parts.append(f'<text x="{x + 8}" y="{y}"{style}>{exercise_id} {MARKS.get(status, "✗")}</text>')
    style = "text { font: 14px system-ui, sans-serif; fill: #808890 } rect { stroke: #808890 }"
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 {height}" width="880" height="{height}">'
        f"<title>{escape(now._sum())}</title><style>{style}</style>{''.join(parts)}</svg>\n"
    )
    write_atomically(folder / PICTURE, lambda path: path.write_text(picture, encoding="utf-8"))


def strip(lesson: Lesson) -> str:
    """Return a line of HTML with the exercises of a lesson and how they stand."""
    now = progress()
    done = len(now.passed(lesson.sections))
    marks = [_mark(exercise_id, now[exercise_id]["status"]) for exercise_id in _in_order(lesson)]
    style = "margin-top: 0.4em; font-size: 0.9em; opacity: 0.85"
    return f'<div style="{style}">{done} of {len(marks)} in this lesson: {" &ensp;".join(marks)}</div>'


def _mark(exercise_id: str, status: str) -> str:
    said = f"{EXERCISES[exercise_id].name}: {WORDS.get(status, 'not right yet')}"
    return f'<span title="{said}">{exercise_id}&nbsp;{MARKS.get(status, "✗")}</span>'


def _listed() -> list[Lesson]:
    """Return the lessons, and the deeper notebooks that have exercises."""
    return [*CONTENTS, *(one for one in DEEPER if one.sections)]


def _name(lesson: Lesson) -> str:
    return f"{'lesson' if lesson in CONTENTS else 'deeper'} {lesson.number}"


def _in_order(lesson: Lesson) -> list[str]:
    """Return the exercises of a lesson in the order of their numbers."""
    return [exercise_id for exercise_id in EXERCISES if exercise_id in lesson.sections]


def _where(exercise_id: str) -> str:
    one = EXERCISES[exercise_id]
    lesson = lesson_of(exercise_id)
    return f"exercise {exercise_id} {one.name} in {_name(lesson)}, section {lesson.sections[exercise_id]}"
