"""The folder of a run of the command: a record of what the run wrote there, so that nothing else is replaced."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vae_course.runtime.files import make_folder, write_atomically

RECORD = "run.json"
WRITTEN_BY = "vae-course"


class RunFolder:
    """The folder that `--out` names. What it holds is the run's own only if its record, `run.json`, says so.

    The record has the SHA-256 of every file that a run finished, and null for those that it was writing or, as the
    checkpoint, writes all the time. A file of another content is the user's, whatever its name.

    Parameters
    ----------
    path
        The folder; need not exist yet.
    command
        "train" or "demo". What one wrote the other does not replace.
    outputs
        Names of all files that the run may write there.
    """

    def __init__(self, path: Path, command: str, outputs: Sequence[str]) -> None:
        self.path, self.command, self.outputs = path, command, outputs

    def check(self) -> None:
        """Refuse a place where the run could not write, or would replace what no such run wrote.

        Raises
        ------
        ValueError
            If the place is no folder, may not be written to, or holds such files.
        """
        place = self.path.absolute()
        nearest = next(folder for folder in (place, *place.parents) if os.path.lexists(folder))
        if not nearest.is_dir():
            raise ValueError(f"--out needs a folder, and {nearest} is a file: choose another --out.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise ValueError(f"--out needs a folder to write to, and {nearest} is read-only: choose another --out.")
        foreign = [name for name in (RECORD, *self.outputs) if self._holds(name) and not self._wrote(name)]
        if foreign:
            raise ValueError(
                f"--out needs a new folder or that of the same run, and {self.path} holds {_listed(foreign)}, not as "
                f"a run of vae-course {self.command} wrote it there: move it, or choose another --out."
            )

    def holds_results(self) -> bool:
        """Whether any of the outputs is there."""
        return any(map(self._holds, self.outputs))

    def claim(self, checkpoint: str | None = None, needed: int = 0) -> None:
        """Make the folder and write the record, before the run does what takes long.

        Parameters
        ----------
        checkpoint
            Name of the file that the run rewrites all the time; None if there is none.
        needed
            Bytes that the run will write.

        Raises
        ------
        ValueError
            For what `check` refuses, and if there is less space on the disk.
        OSError
            If the folder or the record cannot be written.
        """
        self.check()
        make_folder(self.path)
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise ValueError(
                f"--out needs about {needed / 1e6:,.0f} MB, and the disk of {self.path} has {free / 1e6:,.0f} MB "
                "left: free some, or choose another --out."
            )
        self._write_record(self._files() | ({checkpoint: None} if checkpoint else {}))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let the body write the outputs; note before that they are being written, and afterwards what they are.

        Raises
        ------
        ValueError
            If meanwhile somebody put a file of the same name there.
        """
        self.check()
        checkpoints = {name: None for name, digest in self._files().items() if digest is None}
        self._write_record(checkpoints | dict.fromkeys(self.outputs))
        yield
        found = {name: _digest(self.path / name) for name in self.outputs if self._holds(name)}
        self._write_record(found | checkpoints)

    def _holds(self, name: str) -> bool:
        return os.path.lexists(self.path / name)

    def _wrote(self, name: str) -> bool:
        """Whether a run of this command wrote a file as it is now."""
        path, files = self.path / name, self._files()
        if name == RECORD:
            return bool(self._record())
        return name in files and path.is_file() and files[name] in (None, _digest(path))

    def _record(self) -> dict:
        """Return what run.json holds; an empty dictionary if there is none, or one of another kind."""
        try:
            record = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        is_ours = isinstance(record, dict) and record.get("written_by") == f"{WRITTEN_BY} {self.command}"
        return record if is_ours and isinstance(record.get("files"), dict) else {}

    def _files(self) -> dict[str, str | None]:
        return self._record().get("files", {})

    def _write_record(self, files: dict[str, str | None]) -> None:
        record = {"written_by": f"{WRITTEN_BY} {self.command}", "files": files}
        text = json.dumps(record, indent=1) + "\n"
        write_atomically(self.path / RECORD, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
