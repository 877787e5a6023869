"""All exercises, and where a reader finds them in the lessons."""

import json
from importlib import import_module
from importlib.metadata import metadata
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from vae_course.exercises.engine import Exercise


class Lesson(NamedTuple):
    """A notebook: its path in lessons/, without ".ipynb", title, minutes, and the section of each of its exercises."""

    stem: str
    title: str
    minutes: int
    sections: dict[str, str]

    @property
    def number(self) -> str:
        """Such as "1"; of a deeper notebook, "1a"."""
        return self.stem.split("/")[-1].split("_")[0].lstrip("0") or "0"


def _find_exercises() -> dict[str, Exercise]:
    """Collect the exercises of all folders such as `e4_2`: id -> exercise, in order of numbers."""
    folders = [path.parent.name for path in Path(__file__).parent.glob("e*_*/exercise.py")]
    exercises = [import_module(f"vae_course.exercises.{folder}.exercise").EXERCISE for folder in folders]
    return {one.id: one for one in sorted(exercises, key=lambda one: one.number)}


EXERCISES = _find_exercises()

ADDRESS = metadata("vae-course")["Project-URL"].split(", ")[1]  # the homepage of pyproject.toml

# Written by tools/build_lessons.py from the lessons' sources, which an installed package does not have. In the order of
# the lessons, in which exercises do not always come in the order of their numbers.
_NOTEBOOKS = [
    Lesson(**one) for one in json.loads((files("vae_course") / "_data" / "contents.json").read_text(encoding="utf-8"))
]
CONTENTS = tuple(one for one in _NOTEBOOKS if not one.stem.startswith("deeper/"))  # the six lessons
DEEPER = tuple(one for one in _NOTEBOOKS if one.stem.startswith("deeper/"))  # optional notebooks beside them
CORE = tuple(exercise_id for exercise_id in EXERCISES if any(exercise_id in lesson.sections for lesson in CONTENTS))


def lesson_of(exercise_id: str) -> Lesson:
    """Return the notebook that an exercise is in: a lesson, or a deeper one."""
    return next(one for one in _NOTEBOOKS if exercise_id in one.sections)
