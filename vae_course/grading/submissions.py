"""Who handed in what: the folders of a course, of nbgrader, and of downloads from Canvas and Moodle."""

import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from vae_course.exercises.catalogue import CONTENTS

LARGEST = 40 * 2**20  # bytes of all notebooks of a student that are read
CANVAS = re.compile(r"(?P<name>.+?)_(?:LATE_)?(?P<id>\d+)_\d+_.+\.ipynb")  # doejane_LATE_1234_56789_01_lesson.ipynb
MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_.+")  # Jane Doe_0012345_assignsubmission_file


@dataclass
class Submission:
    """The notebooks of one student.

    Attributes
    ----------
    student
        Id, as text: leading zeros stay.
    name
        The student's name where a download tells it, else "".
    notebooks
        File name -> content, in order of names.
    notes
        What could not be read, one sentence each.
    """

    student: str
    name: str = ""
    notebooks: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_submissions(folder: str | Path) -> list[Submission]:
    """Read all submissions in a folder.

    Parameters
    ----------
    folder
        Holds one folder a student, whose name is the student's id (nbgrader's `submitted`, a Moodle download), or
        notebooks alone (a Canvas download, or one file a student). The folder that holds `submitted` will do too.

    Returns
    -------
    list of Submission
        In order of ids. Links are not followed: they could lead into another student's folder.

    Raises
    ------
    ValueError
        If there is no such folder, or no notebook in it, or if it is the folder of one student.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"Expected a folder with one folder of notebooks a student; {folder} is none.")
    folder = folder / "submitted" if (folder / "submitted").is_dir() else folder
    for lesson in CONTENTS:
        if (folder / f"{lesson.stem}.ipynb").exists():
            raise ValueError(
                f"{folder} holds {lesson.stem}.ipynb, as the folder of one student does: grade the folder above it, or "
                "call the file by its student."
            )
    found: dict[str, Submission] = {}
    for path in sorted(folder.iterdir()):
        student, name = _who(path)
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            _add(found, student, name, sorted(_files_in(path)))
        elif path.suffix == ".ipynb":
            _add(found, student, name, [path])
    if not found:
        raise ValueError(f"Expected one folder of notebooks a student in {folder}; there are no notebooks in it.")
    return [found[student] for student in sorted(found)]


def _who(path: Path) -> tuple[str, str]:
    """Return id and name of the student to whom a folder or a file belongs."""
    text = _text(path.name)
    known = MOODLE.fullmatch(text) or CANVAS.fullmatch(text)
    if known:
        return known["id"], known["name"]
    return (text.removesuffix(".ipynb"), "")


def _files_in(folder: Path) -> list[Path]:
    paths = [Path(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(".ipynb")]
    return [path for path in paths if ".ipynb_checkpoints" not in path.parts]


def _add(found: dict[str, Submission], student: str, name: str, paths: list[Path]) -> None:
    submission = found.setdefault(student, Submission(student, name))
    for path in paths:
        try:
            if path.is_symlink() or not path.is_file():
                submission.notes.append(f"{_text(path.name)} is a link, not a file, and was not read.")
            elif path.stat().st_size + sum(map(len, submission.notebooks.values())) > LARGEST:
                submission.notes.append(f"{_text(path.name)} was not read: more than {LARGEST // 2**20} MB in all.")
            else:
                submission.notebooks[_text(str(path))] = path.read_bytes()
        except OSError as error:
            submission.notes.append(f"{_text(path.name)} could not be read: {error.strerror}.")
    if not (submission.notebooks or submission.notes):
        submission.notes.append("There is no notebook in this folder.")


def _text(name: str) -> str:
    """Return the name of a file as text, with what is none (another encoding, control characters) written out."""
    return "".join(ascii(one)[1:-1] if unicodedata.category(one) in ("Cc", "Cs") else one for one in name)
