"""Hints, solutions, and the record of what is done, which travels by a code."""

import re
import subprocess
import sys

import pytest
import torch
from filelock import FileLock

from vae_course.exercises import (
    EXERCISES,
    exercise,
    export_progress,
    hint,
    import_progress,
    progress,
    record,
    reset,
    solution,
)
from vae_course.exercises.sources import source_of, without_docstrings

IDS = list(EXERCISES)


@pytest.mark.parametrize("number", IDS)
def test_two_hints_then_the_solution(number, capsys):
    one = EXERCISES[number]
    hint(number)
    first = capsys.readouterr().out
    assert one.hints[0] in first
    assert one.hints[1] not in first
    hint(number)
    second = capsys.readouterr().out
    assert one.hints[1] in second
    assert f'solution("{number}")' in second
    hint(number)
    assert capsys.readouterr().out == second
    solution(number)
    shown = capsys.readouterr().out
    assert shown == without_docstrings(source_of(one.plain or one.reference)) + "\n"
    assert '"""' not in shown
    assert progress()[number]["hints"] == 2
    assert progress()[number]["solution"] is True


def test_what_was_passed_stays_passed():
    exercise("0.1")(lambda c: c.sum(1))
    exercise("0.1")(lambda c: c.sum(0))
    assert progress()["0.1"] == {"status": "passed", "attempts": 1, "hints": 0, "solution": False}


def test_reset_begins_again(capsys):
    exercise("0.1")(lambda c: c.sum(1))
    hint("0.1")
    capsys.readouterr()
    reset("0.1")
    assert progress()["0.1"] == {"status": "not_attempted", "attempts": 0, "hints": 0, "solution": False}
    out = capsys.readouterr().out
    assert '@exercise("0.1")\ndef library_size(counts: Tensor) -> Tensor:\n    ...  # your code' in out


def test_progress_travels_by_a_code(tmp_path, monkeypatch):
    exercise("0.1")(lambda c: c.sum(1))
    hint("0.2")
    code = export_progress()
    assert re.fullmatch(r"[\w-]+", code)
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path / "another machine"))
    exercise("0.2")(lambda c, t=1e4: torch.log1p(c / c.sum(1, keepdim=True) * t))
    assert progress()["0.1"]["status"] == "not_attempted"
    joined = import_progress(f"  {code[:20]}\n{code[20:]} ")
    assert joined == progress()
    assert joined["0.1"]["status"] == "passed"
    assert joined["0.2"] == {"status": "passed", "attempts": 1, "hints": 1, "solution": False}


NOTES = """
import sys
from vae_course.exercises import record

first = int(sys.argv[1])
for number in range(first, first + 50):
    record.note_attempt(f"0.{number}", "passed")
    record.note_hint("0.0", 1000)
"""


def test_two_notebooks_keep_all_of_their_notes():
    writers = [subprocess.Popen([sys.executable, "-c", NOTES, str(first)]) for first in (100, 150)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    known = record.load()
    assert set(known) == {f"0.{number}" for number in (0, *range(100, 200))}
    assert known["0.0"]["hints"] == 100


def test_a_notebook_that_hangs_while_it_writes_stops_nobody(monkeypatch):
    monkeypatch.setattr(record, "PATIENCE", 0.2)
    record.path().parent.mkdir()
    with FileLock(record.path().with_suffix(".lock")):
        record.note_attempt("0.1", "passed")
    assert record.load()["0.1"]["status"] == "passed"


def test_a_damaged_code_is_refused_and_changes_nothing():
    exercise("0.1")(lambda c: c.sum(1))
    before, code = progress(), export_progress()
    for damaged in (
        code[:-5],
        code[5:],
        "",
        "hello",
        "ü",
        code[:10] + ("A" if code[10] != "A" else "B") + code[11:],
        None,
        3,
    ):
        with pytest.raises(ValueError, match="not a progress code"):
            import_progress(damaged)
    assert progress() == before


def test_a_code_with_impossible_content_is_refused():
    import base64
    import json
    import zlib

    def packed(content):
        return base64.urlsafe_b64encode(zlib.compress(json.dumps(content).encode())).decode()

    for content in ([], {"0.1": 3}, {"0.1": {"status": "genius"}}, {"0.1": {"attempts": "many"}}, {"0.1": {"x": 1}}):
        with pytest.raises(ValueError, match="not a progress code"):
            import_progress(packed(content))
    with pytest.raises(ValueError, match="not a progress code"):
        import_progress(base64.urlsafe_b64encode(zlib.compress(b" " * 10**8)).decode())


def test_a_damaged_record_is_put_aside(capsys):
    exercise("0.1")(lambda c: c.sum(1))
    record.path().write_text("{half a record")
    assert progress()["0.1"]["status"] == "not_attempted"
    assert "cannot be read" in capsys.readouterr().err
    assert record.path().with_suffix(".unreadable.json").read_text() == "{half a record"


def test_a_folder_that_cannot_be_written_to_stops_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path / "file" / "below"))

    def library_size(counts):
        return counts.sum(1)

    assert exercise("0.1")(library_size) is library_size
    assert "not kept" in capsys.readouterr().err


def test_without_the_variable_the_record_is_in_the_users_folder(monkeypatch):
    monkeypatch.delenv("VAE_COURSE_HOME")
    assert record.path().name == "progress.json"
    assert record.path().parent.name == "vae_course"
