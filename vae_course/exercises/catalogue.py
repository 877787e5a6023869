"""All exercises, and where a reader finds them in the lessons."""

import json
from importlib import import_module
from importlib.metadata import metadata
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from vae_course.exercises.engine import Exercise


class Lesson(NamedTuple):
    """A lesson: the stem of its file's name, its title, its minutes, and the section of each of its exercises."""

    stem: str
    title: str
    minutes: int
    sections: dict[str, str]


def _find_exercises() -> dict[str, Exercise]:
    """Collect the exercises of all folders such as `e4_2`: id -> exercise, in order of numbers."""
    folders = [path.parent.name for path in Path(__file__).parent.glob("e*_*/exercise.py")]
    exercises = [import_module(f"vae_course.exercises.{folder}.exercise").EXERCISE for folder in folders]
    return {one.id: one for one in sorted(exercises, key=lambda one: one.number)}


EXERCISES = _find_exercises()

ADDRESS = metadata("vae-course")["Project-URL"].split(", ")[1]  # the homepage of pyproject.toml

# Written by tools/build_lessons.py from the lessons' sources, which an installed package does not have. In the order of
# the lessons, in which exercises do not always come in the order of their numbers.
CONTENTS = tuple(
    Lesson(**one) for one in json.loads((files("vae_course") / "_data" / "contents.json").read_text(encoding="utf-8"))
)
