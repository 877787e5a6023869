"""Who handed in what: the folders of a course, of nbgrader, and of downloads from Canvas and Moodle."""

import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from vae_course.exercises.catalogue import CONTENTS, DEEPER

LARGEST = 40 * 2**20  # bytes of all notebooks of a student that are read
MOST = 200  # notebooks of a student that are read
# What the platform writes ends before what the student chose: the name of the file that was handed in.
CANVAS = re.compile(
    r"(?P<name>[^_]+)_(?:LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)"
)  # doejane_LATE_1234_56789_01_lesson.ipynb
MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?P<file>.+)")  # Jane Doe_0012_assignsubmission_file_x
ENDING = r"\.ipynb(\.txt|\.json)?$"  # browsers add endings
NOTEBOOK = re.compile(r"(?P<stem>.*?)(-(?P<upload>\d+))?" + ENDING, re.IGNORECASE)
ARCHIVE = (".zip", ".gz", ".tar", ".tgz", ".7z", ".rar")
NOT_A_STUDENT = ("__MACOSX", "feedback")  # what macOS adds to archives, and what grading writes


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
    for lesson in (*CONTENTS, *DEEPER):
        name = f"{lesson.stem.removeprefix('deeper/')}.ipynb"
        if (folder / name).exists():
            raise ValueError(
                f"{folder} holds {name}, as the folder of one student does: grade the folder above it, or "
                "call the file by its student."
            )
    found: dict[str, Submission] = {}
    for path in sorted(folder.iterdir(), key=_order):
        if path.name.startswith(".") or (path.name in NOT_A_STUDENT and not _files_in(path)):
            continue
        if path.is_dir() and not path.is_symlink():
            _add(found, path, _files_in(path))
        elif NOTEBOOK.fullmatch(path.name):
            _add(found, path, [path])
        elif _handed_in(path.name) or path.suffix.lower() in ARCHIVE:
            _add(found, path, [])
    if not any(one.notebooks or one.notes for one in found.values()):
        raise ValueError(f"Expected one folder of notebooks a student in {folder}; there are no notebooks in it.")
    return [found[student] for student in sorted(found)]


def _who(path: Path) -> tuple[str, str, str]:
    """Return id and name of the student to whom a folder or a file belongs, and what the student called it."""
    text = _text(path.name)
    if known := _handed_in(text):
        return known["id"], known["name"], known["file"]
    return re.sub(ENDING, "", text, flags=re.IGNORECASE), "", text


def _handed_in(name: str) -> re.Match | None:
    """Take apart a name that Canvas or Moodle gave; None for any other."""
    return CANVAS.fullmatch(name) or MOODLE.fullmatch(name)


def _order(path: Path) -> tuple[str, str, int]:
    """Sort uploads of the same file by their age: the newest comes last, and counts."""
    known = _handed_in(path.name)
    student, file = (known["id"], known["file"]) if known else ("", path.name)
    notebook = NOTEBOOK.fullmatch(file)
    return (student, notebook["stem"], int(notebook["upload"] or 0)) if notebook else (student, file, 0)


def _files_in(folder: Path) -> list[Path]:
    """Return the notebooks in a folder and those below it, but not in hidden ones."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".") and one != "__MACOSX"]
        found += [Path(place, name) for name in names if NOTEBOOK.fullmatch(name) and not name.startswith("._")]
    return sorted(found, key=lambda path: (path.parent, *_order(path)))


def _add(found: dict[str, Submission], handed_in: Path, paths: list[Path]) -> None:
    """Read what was handed in as one file or one folder."""
    student, name, file = _who(handed_in)
    submission = found.setdefault(student, Submission(student, name))
    size = sum(map(len, submission.notebooks.values()))
    for n, path in enumerate(paths):
        if len(submission.notebooks) == MOST:
            submission.notes.append(f"{len(paths) - n} notebooks were not read: {MOST} are read of a student at most.")
            break
        try:
            if path.is_symlink() or not path.is_file():
                submission.notes.append(f"{_text(path.name)} is a link, not a file, and was not read.")
            elif size + path.stat().st_size > LARGEST:
                submission.notes.append(f"{_text(path.name)} was not read: more than {LARGEST // 2**20} MB in all.")
            else:
                submission.notebooks[_text(str(path))] = path.read_bytes()
                size += path.stat().st_size
        except OSError as error:
            submission.notes.append(f"{_text(path.name)} could not be read: {error.strerror}.")
    if not paths and handed_in.is_dir():
        held = ", ".join(sorted(_text(one.name) for one in handed_in.iterdir())[:5]) or "nothing"
        submission.notes.append(f"There is no notebook in this folder; it holds {held}.")
    elif not paths:
        is_archive = handed_in.suffix.lower() in ARCHIVE
        advice = "an archive: unpack it, and grade again" if is_archive else "no notebook, and was not read"
        submission.notes.append(f"{file} is {advice}.")


def _text(name: str) -> str:
    """Return the name of a file as text, with what is none (another encoding, control characters) written out."""
    special = ("Cc", "Cs")
    return "".join(ascii(one)[1:-1] if unicodedata.category(one) in special or one == "\\" else one for one in name)
