"""The scripts of the films: lessons/videos/video_N.py and the beats in them."""

import importlib.util
import re
import sys
from dataclasses import dataclass
from types import ModuleType

from .lecture import Lecture
from .lesson import ROOT

SCRIPTS = ROOT / "lessons" / "videos"


@dataclass
class Film:
    """A film: its number, its title, its beats in order, its poster, and the module of its script."""

    number: int
    title: str
    beats: list[type[Lecture]]
    poster: type[Lecture] | None
    module: ModuleType


def films() -> list[int]:
    """Return the numbers of the lessons for which there is a script."""
    return sorted(int(path.stem.removeprefix("video_")) for path in SCRIPTS.glob("video_[0-9].py"))


def read_film(number: int) -> Film:
    """Return the film of a lesson; its script is run once a process."""
    name = f"video_{number}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    module = sys.modules[name]
    every = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Lecture)]
    own = [one for one in every if one.__module__ == name and "construct" in vars(one)]
    poster = next((one for one in own if one.__name__ == "Poster"), None)
    return Film(number, _title(number), [one for one in own if one is not poster], poster, module)


def _title(number: int) -> str:
    (path,) = (ROOT / "lessons").glob(f"{number:02}_*.py")
    return re.search(rf"^# # Lesson {number} · (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
