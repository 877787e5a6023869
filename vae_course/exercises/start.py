"""The page at which JupyterLab opens: the six lessons, and how far the learner is."""

from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from vae_course.exercises.catalogue import CONTENTS, DEEPER, EXERCISES, Lesson
from vae_course.exercises.overview import progress, write_picture
from vae_course.runtime.files import write_atomically

START = "START.ipynb"

WELCOME = """\
# From a count matrix to a variational autoencoder

Six lessons, best in this order. Take as many sittings as you like: your files and your progress stay.

|  | lesson | minutes | what you write |
|:---|:---|:---|:---|
{rows}

Beside them lie short notebooks that go deeper. No lesson needs them; each says where it comes from.

|  | deeper | minutes | what you write |
|:---|:---|:---|:---|
{deeper}

These copies are yours: nothing overwrites them. A newer edition of a lesson lies beside yours, with its version in its
name. An exercise is checked when you run its cell; `hint("0.1")` helps."""

PROGRESS = """\
## Your progress

![A row for every lesson, with its exercises: green and ticked where they are passed.](progress.svg)

This is how far you were when this page was opened. Are you back from a lesson? Run the next cell (Shift and Enter): it
shows how far you are now, and what is next."""

SHOW = """\
from vae_course.exercises import progress

progress()"""

RECORD = """\
## A page to print

Put your name in the next cell and run it. It writes `record.html` beside the lessons: open that file in a browser and
print it. This page here is made anew at every start. Write nothing in it that you want to keep."""

WRITE = """\
from pathlib import Path

from vae_course.exercises import certificate

page = certificate("")  # your name between the quotes
Path("record.html").write_text(page, encoding="utf-8");"""


def write_start_page(folder: Path) -> None:
    """Write the notebook START.ipynb, with the progress of now, and its picture; earlier ones are replaced.

    Raises
    ------
    OSError
        With one line that says what failed, when the folder cannot be written to.
    """
    now = progress()
    write_picture(folder, now)
    shown = new_output("execute_result", {"text/plain": repr(now), "text/html": now._repr_html_()}, execution_count=1)
    cells = [
        new_markdown_cell(WELCOME.format(rows=_rows(CONTENTS), deeper=_rows(DEEPER)), id="welcome"),
        new_markdown_cell(PROGRESS, id="how-far"),
        new_code_cell(SHOW, id="progress", execution_count=1, outputs=[shown]),
        new_markdown_cell(RECORD, id="how-to-print"),
        new_code_cell(WRITE, id="certificate"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    text = nbformat.writes(new_notebook(cells=cells, metadata={"kernelspec": kernel}))
    write_atomically(folder / START, lambda path: path.write_text(text + "\n", encoding="utf-8"))


def _rows(notebooks: Iterable[Lesson]) -> str:
    return "\n".join(
        f"| {one.number} | [{one.title}]({one.stem}.ipynb) | {one.minutes} "
        f"| {', '.join(f'`{EXERCISES[exercise_id].name}`' for exercise_id in one.sections)} |"
        for one in notebooks
    )
