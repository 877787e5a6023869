"""Files that are written whole or not at all, and files of PyTorch that are read without trusting them."""

import glob
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    A crash or a kill leaves either the old file or the new one, never a part of one. Each writer has a temporary file
    of its own, so of several at a time one wins and none mixes with another.

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
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
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


def remove_partial_files(path: str | Path) -> None:
    """Delete what writers of `path` that were killed left beside it."""
    path = Path(path)
    for partial in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{glob.escape(path.suffix)}"):
        with suppress(OSError):
            partial.unlink()


def read_torch_file(path: str | Path) -> Any:
    """Read what `torch.save` wrote, tensors and plain values only.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, or is incomplete.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; each means that the file is not what it should be
        raise ValueError(f"{path} is damaged, incomplete or not written by vae_course.") from error
