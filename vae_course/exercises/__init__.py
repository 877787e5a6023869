"""The exercises: write a function where the blank is, run the cell, read the message.

from vae_course.exercises import exercise, check, hint, solution, progress

@exercise("4.2")
def kl_standard_normal(mean, logvar):
    ...  # your code
"""

from collections.abc import Callable
from typing import Any

from vae_course.exercises import kept, record
from vae_course.exercises.cards import hint_card, show, solution_card, verdict_card
from vae_course.exercises.catalogue import EXERCISES
from vae_course.exercises.certificate import certificate
from vae_course.exercises.engine import Exercise, Result, judge
from vae_course.exercises.isolation import refuse_within_attempts
from vae_course.exercises.kept import whose
from vae_course.exercises.overview import Progress, progress, refresh
from vae_course.exercises.own_model import as_vae
from vae_course.exercises.quiz import quiz
from vae_course.exercises.sources import blanked, source_of, without_docstrings

__all__ = [
    "EXERCISES",
    "Exercise",
    "Progress",
    "Result",
    "as_vae",
    "catch_up",
    "certificate",
    "check",
    "exercise",
    "export_progress",
    "hint",
    "import_progress",
    "progress",
    "quiz",
    "reset",
    "solution",
    "whose",
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
        Shows what is to be said: a card in a notebook, at most six lines elsewhere. Returns the learner's own callable
        when it passes, and the reference otherwise, so that all cells below work either way.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    one = _find(exercise_id)

    def decorate(attempt: Any) -> Callable:
        result = check(exercise_id, attempt)
        record.note_attempt(exercise_id, result.status)
        if result.status == "passed":
            kept.keep(one, attempt)
        refresh()
        show(verdict_card(one, result))
        return attempt if result.status == "passed" else one.reference

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
    """Show a hint: the first call gives the first, the next ones give both.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    one = _find(exercise_id)
    show(hint_card(one, record.note_hint(exercise_id, len(one.hints))))


def solution(exercise_id: str) -> None:
    """Show one right answer, without its docstring; the plain one where the package's own is written for speed.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    one = _find(exercise_id)
    record.note_solution(exercise_id)
    show(solution_card(one))


def reset(exercise_id: str) -> None:
    """Forget what was done in an exercise and print its blank, to work on it again.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    one = _find(exercise_id)
    record.forget(exercise_id)
    kept.forget(one)
    print(f'Exercise {exercise_id} is open again. Its blank:\n\n@exercise("{exercise_id}")')
    print(without_docstrings(blanked(source_of(one.reference))))


def catch_up(names: dict[str, Any], *needed: str) -> None:
    """Bind what the next part of a lesson needs and is not there, so that every part can be entered in a new session.

    Answers that passed are kept on the learner's machine: of an exercise the own answer comes back, if it passes still.

    Parameters
    ----------
    names
        The notebook's names: `globals()`.
    *needed
        Numbers of exercises, or dotted names in the package, such as "vae_course.nn.Encoder", which is then made of the
        learner's own parts. A name that is there already stays as it is.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    for one in needed:
        if one[0].isdigit():
            if (wanted := _find(one)).name not in names:
                kept.bring_back(wanted, names)
        elif one.rsplit(".", 1)[1] not in names:
            kept.bring_in(one, names)


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
