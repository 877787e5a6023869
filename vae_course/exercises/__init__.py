"""The exercises: write a function where the blank is, run the cell, read the message.

from vae_course.exercises import exercise, check, hint, solution, progress

@exercise("4.2")
def kl_standard_normal(mean, logvar):
    ...  # your code
"""

from collections.abc import Callable
from textwrap import shorten
from typing import Any

from vae_course.exercises import record
from vae_course.exercises.catalogue import EXERCISES
from vae_course.exercises.certificate import certificate
from vae_course.exercises.engine import Exercise, Result, judge
from vae_course.exercises.isolation import refuse_within_attempts
from vae_course.exercises.overview import Progress, progress
from vae_course.exercises.sources import blanked, find, source_of, without_docstrings

__all__ = [
    "EXERCISES",
    "Exercise",
    "Progress",
    "Result",
    "catch_up",
    "certificate",
    "check",
    "exercise",
    "export_progress",
    "hint",
    "import_progress",
    "progress",
    "reset",
    "solution",
]


def exercise(exercise_id: str) -> Callable[[Any], Callable]:
    """Check a function or class as soon as it is defined, and go on with it, or with the reference.

    Parameters
    ----------
    exercise_id
        Such as "4.2".

    Returns
    -------
    decorator
        Prints what is to be said in at most six lines. Returns the learner's own callable when it passes, and the
        reference otherwise, so that all cells below work either way.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    one = _find(exercise_id)

    def decorate(attempt: Any) -> Callable:
        result = check(exercise_id, attempt)
        record.note_attempt(exercise_id, result.status)
        passed = result.status == "passed"
        for line in _lines(one, result):
            print(line)
        return attempt if passed else one.reference

    return decorate


def check(exercise_id: str, attempt: Any) -> Result:
    """Judge an attempt at an exercise, whatever it is.

    Parameters
    ----------
    exercise_id
        Such as "4.2".
    attempt
        The function or class.

    Returns
    -------
    Result
        `.status` is "passed", "not_attempted", "wrong" or "error", `.message` says why in one or two sentences, and
        `.diagnosis` is the id of a known misconception, or None. After 8 seconds an attempt counts as an error.

    Raises
    ------
    ValueError
        If there is no such exercise.
    NestedCheckError
        If an attempt calls it, while it is checked.
    """
    refuse_within_attempts(exercise_id)
    return judge(_find(exercise_id), attempt)


def hint(exercise_id: str) -> None:
    """Print a hint: the first call gives the first, the next ones give both.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    one = _find(exercise_id)
    given = record.note_hint(exercise_id, len(one.hints))
    for number, text in enumerate(one.hints[:given], start=1):
        print(f"Hint {number} of {len(one.hints)}. {text}")
    if given == len(one.hints):
        print(f'Still stuck? solution("{exercise_id}") shows one right answer.')


def solution(exercise_id: str) -> None:
    """Print one right answer, without its docstring; the plain one where the package's own is written for speed.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    one = _find(exercise_id)
    record.note_solution(exercise_id)
    print(without_docstrings(source_of(one.plain or one.reference)))


def reset(exercise_id: str) -> None:
    """Forget what was done in an exercise and print its blank, to work on it again.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    one = _find(exercise_id)
    record.forget(exercise_id)
    print(f'Exercise {exercise_id} is open again. Its blank:\n\n@exercise("{exercise_id}")')
    print(without_docstrings(blanked(source_of(one.reference))))


def catch_up(names: dict[str, Any], *symbols: str) -> None:
    """Bind what the next part of a lesson needs and its reader has not written, so that parts can be entered late.

    Parameters
    ----------
    names
        The notebook's names: `globals()`.
    *symbols
        Dotted names in the package, such as "vae_course.vae.VAE". A name that is there already stays as it is.
    """
    for symbol in symbols:
        names.setdefault(symbol.rsplit(".", 1)[1], find(symbol))


def export_progress() -> str:
    """Return a code that `import_progress` takes on another machine (Colab and Binder forget)."""
    return record.to_code(record.load())


def import_progress(code: str) -> Progress:
    """Add the progress that `export_progress` packed on another machine to this one's; the better of each counts.

    Raises
    ------
    ValueError
        If the code is damaged; what is known here stays as it was.
    """
    record.add(record.from_code(code))
    return progress()


def _find(exercise_id: str) -> Exercise:
    if not isinstance(exercise_id, str):
        raise ValueError(f'The number of an exercise stands in quotes: "0.1", not {exercise_id!r}.')
    if exercise_id not in EXERCISES:
        raise ValueError(f"There is no exercise {exercise_id!r}; there are {', '.join(EXERCISES)}.")
    return EXERCISES[exercise_id]


def _lines(one: Exercise, result: Result) -> list[str]:
    """Say what became of an attempt, in at most six lines."""
    title = f"{one.id} {one.name}"
    if result.status == "not_attempted":
        lines = [f'· {title}: not done yet. The lesson goes on with the reference. Stuck? hint("{one.id}")']
    elif result.status != "passed":
        lines = [f"✗ {title}: {result.message}"]
        lines += [
            f'  The lesson goes on with the reference. Change your code and run the cell again, or hint("{one.id}").'
        ]
    elif result.name == one.name:
        lines = [f"✓ {title}: correct. The lesson goes on with yours."]
    else:
        lines = [f"✓ {title}: correct, but you call it {result.name}, and the lesson looks for {one.name}."]
        lines += ["  Rename it: until then the lesson goes on with the reference."]
    if result.printed.strip():
        lines.append(f"  Your code printed: {shorten(result.printed, 80, placeholder=' ...')}")
    return lines
