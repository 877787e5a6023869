"""What a learner has done so far: a small JSON file on their own machine, and a code to carry it to another."""

import base64
import json
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_data_dir

from vae_course.runtime.files import write_atomically

NEW = {"status": "not_attempted", "attempts": 0, "hints": 0, "solution": False}
RANK = ["not_attempted", "error", "wrong", "passed"]
PATIENCE = 10.0  # seconds to wait for another notebook that is writing

Record = dict[str, dict[str, Any]]


def path() -> Path:
    """Where the record is kept: in the folder named by VAE_COURSE_HOME, else in the user's data folder."""
    return Path(os.environ.get("VAE_COURSE_HOME") or user_data_dir("vae_course", appauthor=False)) / "progress.json"


def load() -> Record:
    """Read the record; an unreadable one is put aside, with a word, and a new one begun."""
    try:
        return _checked(json.loads(path().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        print(f"The record of your progress cannot be read ({error}); a new one is begun.", file=sys.stderr)
        with suppress(OSError):
            path().replace(path().with_suffix(".unreadable.json"))
        return {}


def save(record: Record) -> None:
    """Write the record whole, or say that it cannot be kept; an exercise goes on either way."""
    try:
        path().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path(), lambda file: file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8"))
    except OSError as error:
        print(f"Your progress is not kept: {error.strerror or error}.", file=sys.stderr)


@contextmanager
def changed() -> Iterator[Record]:
    """Read the record, let the body change it, and write it, while other notebooks wait for their turn."""
    lock = FileLock(path().with_suffix(".lock"), timeout=PATIENCE)
    with suppress(OSError, NotImplementedError):  # where nothing can be locked, saving may still work, or says why not
        path().parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(poll_interval=0.01)
    try:
        record = load()
        yield record
        save(record)
    finally:
        lock.release()


def entry(record: Record, exercise_id: str) -> dict[str, Any]:
    """Return what is known of one exercise."""
    return NEW | record.get(exercise_id, {})


def note_attempt(exercise_id: str, status: str) -> None:
    """Count an attempt, until the first that passes: what was passed stays passed. An untouched blank is none."""
    if status == "not_attempted":
        return
    with changed() as record:
        before = entry(record, exercise_id)
        if before["status"] != "passed":
            record[exercise_id] = before | {"status": status, "attempts": before["attempts"] + 1}


def note_answer(question: str, is_right: bool) -> None:
    """Keep whether the first answer to a question of a quiz was right."""
    with changed() as record:
        record.setdefault(question, NEW | {"status": "passed" if is_right else "wrong", "attempts": 1})


def note_hint(exercise_id: str, n_hints: int) -> int:
    """Count a hint, up to the number that there are, and return how many are given now."""
    with changed() as record:
        before = entry(record, exercise_id)
        record[exercise_id] = before | {"hints": min(before["hints"] + 1, n_hints)}
        return record[exercise_id]["hints"]


def note_solution(exercise_id: str) -> None:
    """Note that the solution of an exercise was shown."""
    with changed() as record:
        record[exercise_id] = entry(record, exercise_id) | {"solution": True}


def forget(exercise_id: str) -> None:
    """Remove what is known of one exercise."""
    with changed() as record:
        record.pop(exercise_id, None)


def add(other: Record) -> None:
    """Join another record to this one, the better of each exercise."""
    with changed() as record:
        record.update(merge(record, other))


def to_code(record: Record) -> str:
    """Pack a record into a line of letters."""
    packed = zlib.compress(json.dumps(_checked(record), separators=(",", ":")).encode(), level=9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def from_code(code: str) -> Record:
    """Unpack a record.

    Raises
    ------
    ValueError
        If the code is damaged or is something else.
    """
    try:
        letters = "".join(code.split())
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4)), 10**6)
        if not unpacker.eof:
            raise ValueError("it is cut off")
        return _checked(json.loads(text))
    except (AttributeError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(
            "This is not a progress code, or a part of it is missing. Copy all of what export_progress() shows."
        ) from error


def merge(one: Record, other: Record) -> Record:
    """Join two records, the better of each exercise."""
    merged = dict(one)
    for exercise_id, theirs in other.items():
        mine, theirs = entry(one, exercise_id), NEW | theirs
        merged[exercise_id] = {
            "status": max(mine["status"], theirs["status"], key=RANK.index),
            "attempts": max(mine["attempts"], theirs["attempts"]),
            "hints": max(mine["hints"], theirs["hints"]),
            "solution": mine["solution"] or theirs["solution"],
        }
    return merged


def _checked(record: Any) -> Record:
    """Return a record that has the form of one, or raise a ValueError."""
    if not isinstance(record, dict):
        raise ValueError("it is no record")
    for exercise_id, known in record.items():
        if not (isinstance(exercise_id, str) and isinstance(known, dict) and known.keys() <= NEW.keys()):
            raise ValueError("it is no record")
        for key, value in known.items():
            if type(value) is not type(NEW[key]) or (key == "status" and value not in RANK):
                raise ValueError(f"exercise {exercise_id} has an impossible {key}")
    return record
