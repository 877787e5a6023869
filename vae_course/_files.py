"""Files that are either written whole or not at all, and the folders for them."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    A crash or a kill leaves either the old file or the new one, never a part of one.

    Parameters
    ----------
    path
        The file to create or replace.
    write
        Called with the temporary path; has to create that file.

    Raises
    ------
    OSError
        With one line that says what failed, when the disk is full or the folder cannot be written to.
        A file that was at `path` before is untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        kept = "the earlier file is untouched" if path.is_file() else "nothing was written"
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f"could not write {path}: {reason}; {kept}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()  # is still there only if something went wrong


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they exist.

    Raises
    ------
    OSError
        With one line that says what failed.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(error.errno, f"could not make the folder {path}: {error.strerror}") from error
