"""`vae-course lab`: the learner's own copies of the lessons, opened in JupyterLab."""

import filecmp
import json
import os
import posixpath
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path

from vae_course.exercises.catalogue import ADDRESS
from vae_course.exercises.start import START, write_start_page
from vae_course.runtime.files import make_folder, write_atomically

PACKAGE = Path(__file__).parent
LESSONS = PACKAGE / "_lessons"  # in an installed package
if not LESSONS.exists():
    LESSONS = PACKAGE.parent / "lessons"  # in a clone
FILMS = LESSONS.parent / "docs" / "videos"  # in a clone; a package has none


def open_lab(work: Path, options: Sequence[str] = ()) -> int:
    """Copy the lessons that are not there yet to a folder, and open JupyterLab there at the start page.

    Parameters
    ----------
    work
        The learner's folder; made if it does not exist.
    options
        Go to JupyterLab.

    Returns
    -------
    int
        Exit status of JupyterLab.

    Raises
    ------
    ImportError
        If JupyterLab is not installed.
    """
    if find_spec("jupyterlab") is None:
        raise ImportError("JupyterLab is not installed: pip install 'vae-course[lab]'.")
    films = link_films(work / "videos")
    for lesson in sorted(LESSONS.rglob("*.ipynb")):
        folder = work / lesson.relative_to(LESSONS).parent  # deeper ones keep their folder
        make_folder(folder)
        copy_lesson(lesson, folder, films)
    write_start_page(work)
    options = ["--LabApp.expose_app_in_browser=True", *options]  # lets a quiz's click reach the kernel
    return run_jupyterlab(work, [f"--LabApp.default_url=/lab/tree/{START}", *options])


def link_films(folder: Path) -> set[str]:
    """Put the clone's films and their posters into a folder, where JupyterLab can play them; return their names.

    They are linked, so that they take no room, or copied where that is not possible. A film that cannot be put there is
    left out: the lesson then links the one on the web.
    """
    films = set()
    for film in sorted([*FILMS.glob("film_*.mp4"), *FILMS.glob("film_*.jpg")]):
        target = folder / film.name
        try:
            make_folder(folder)
            if not (target.exists() and filecmp.cmp(film, target)):
                target.unlink(missing_ok=True)
                _link_or_copy(film, target)
        except OSError:
            continue
        films.add(film.name)
    return films


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # another disk, or one that has no links
        write_atomically(target, lambda path: shutil.copy2(file, path))


def copy_lesson(lesson: Path, folder: Path, films: Collection[str] = ()) -> None:
    """Copy a lesson, never over the learner's copy: a newer version is put beside it, with its number in the name.

    `films` are the files that `link_films` put beside it.
    """
    version, text = _version_of(lesson), with_addresses(lesson.read_text(encoding="utf-8"), lesson.parent.name, films)
    for target in (folder / lesson.name, folder / f"{lesson.stem}_v{version}.ipynb"):
        if not target.exists():
            write_atomically(target, lambda path: path.write_text(text, encoding="utf-8"))
            return
        if _version_of(target) == version:
            return


def with_addresses(lesson: str, folder: str = "", films: Collection[str] = ()) -> str:
    """Replace links to files outside of the lessons, such as ../docs/notation.md, by addresses on the web.

    JupyterLab opens only what lies in the folder where it was started. A notebook in lessons/deeper has `folder`
    "deeper". A lesson's film is played from the folder `videos` beside the lesson if it is among `films`; otherwise the
    lesson has no player, and its links lead to the web.
    """
    inside = "lessons/deeper" if folder == "deeper" else "lessons"

    def address(link: re.Match) -> str:
        target = posixpath.normpath(f"{inside}/{link[1]}")
        file = target.removeprefix("docs/videos/")
        if file.partition("#")[0] in films:
            return f"](videos/{file})"
        return link[0] if target.startswith("lessons/") else f"]({ADDRESS}/blob/main/{target})"

    def player(found: re.Match) -> str:
        if found[1] not in films:
            return ""
        moved = found[0].replace("../../../files/docs/videos/", "../../files/videos/")
        return moved.replace("../docs/videos/", "videos/")

    lesson = re.sub(r"<video [^>]*/(film_\d\.mp4)\b.*?</video>", player, lesson)
    return re.sub(r"\]\((\.\./[^)\s]+)\)", address, lesson)


def _version_of(notebook: Path) -> str:
    """Version of the course that a notebook comes from; "" for one that is not of the course, or cannot be read."""
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["vae_course"]["version"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def run_jupyterlab(folder: Path, options: Sequence[str]) -> int:
    """Run JupyterLab in a folder until it ends; return its exit status, as a shell gives it.

    Ctrl-C in a terminal reaches JupyterLab as well, which then asks, saves and ends as when started alone. All that is
    to be done here is to wait for it.
    """
    command = [sys.executable, "-m", "jupyterlab", *options]
    before = signal.signal(signal.SIGINT, lambda *_: None)  # JupyterLab would inherit SIG_IGN, but not a function
    try:
        environment = os.environ | {"VAE_COURSE_LAB": str(folder.resolve())}  # where notebooks keep the start page
        status = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status
