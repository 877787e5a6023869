"""Files that are written whole or not at all."""

import os
import threading

import pytest

from vae_course.runtime.files import remove_partial_files, write_atomically


def test_of_two_writers_at_a_time_one_wins_and_none_mixes_with_the_other(tmp_path):
    path, both = tmp_path / "file.txt", threading.Barrier(2)

    def fill(letter: str):
        def write(temporary):
            with open(temporary, "w") as file:
                for _ in range(20):
                    both.wait(timeout=60)  # both are in the middle of it
                    file.write(letter * 1000)
                    file.flush()

        return threading.Thread(target=write_atomically, args=(path, write))

    writers = [fill("a"), fill("b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text() in ("a" * 20_000, "b" * 20_000)
    assert [found.name for found in tmp_path.iterdir()] == ["file.txt"]


def test_a_new_file_is_readable_for_whom_the_user_lets(tmp_path):
    write_atomically(tmp_path / "ours", lambda temporary: temporary.write_text("x"))
    (tmp_path / "theirs").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("earlier")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError(28, os.strerror(28))

    with pytest.raises(
        OSError, match=r"could not write .*file.txt: No space left on device; the earlier file is untouched"
    ):
        write_atomically(path, fail)
    assert path.read_text() == "earlier"
    assert [found.name for found in tmp_path.iterdir()] == ["file.txt"]


def test_what_killed_writers_left_behind_is_removed_and_nothing_else(tmp_path):
    names = ["run[1].pt", ".run[1].12ab.partial.pt", ".run2.12ab.partial.pt", ".run[1].pt", "other.pt"]
    for name in names:
        (tmp_path / name).touch()
    remove_partial_files(tmp_path / "run[1].pt")
    names.remove(".run[1].12ab.partial.pt")
    assert {path.name for path in tmp_path.iterdir()} == set(names)
