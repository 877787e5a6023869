"""The right answers under the names that the lessons give them, for the cells that run before one is written.

from vae_course.exercises.stand_ins import kl_standard_normal
"""

from typing import Any

from vae_course.exercises.catalogue import EXERCISES

_BY_NAME = {one.name: one for one in EXERCISES.values()}


def __getattr__(name: str) -> Any:
    if name not in _BY_NAME:
        raise AttributeError(f"no exercise asks for {name!r}")
    return _BY_NAME[name].reference
