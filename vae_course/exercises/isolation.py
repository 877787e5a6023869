"""Run an attempt at an exercise where nothing it does can harm the notebook, and believe nothing that comes back.

On Linux and macOS an attempt runs in a child process with one thread of PyTorch, which can start no other process and
is killed when its time is up. Where there is no `os.fork` (Windows), or where PyTorch cannot differentiate in a child
(an accelerator was used before), it runs in a thread, which can be abandoned but not killed: an endless loop then goes
on in the background until the kernel restarts, and so does the memory it uses.
"""

import builtins
import io
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

import torch

from vae_course.exercises import limits, wire
from vae_course.exercises.attempt import Case, Report, Use, called, look_at, run_case

SECONDS = limits.SECONDS
MEMORY = 2**30  # bytes that it may take beside what the notebook has
PIPE = 3  # descriptor on which the child reports
MOST_FILES = 2**16  # descriptors that are closed in the child; macOS may allow more than fit a C integer
ABLE, UNABLE = b"1", b"0"  # what it says first: whether PyTorch can differentiate there
PRINTED = 200  # characters of its printing that are kept
_here = threading.local()  # `within`: whether this thread runs an attempt


class NestedCheckError(RuntimeError):
    """An attempt that is being checked calls `check`, `exercise` or itself through them."""


def refuse_within_attempts(exercise_id: str) -> None:
    """Raise NestedCheckError if this is called by an attempt: it would check itself without end."""
    if getattr(_here, "within", False):
        raise NestedCheckError(f"check({exercise_id!r}, ...) stands within the answer that it checks")


def run(
    attempt: Any, name: str, use: Use, cases: Sequence[Case], gradients: Sequence[str], names: Sequence[str]
) -> Report:
    """Let an attempt deal with all cases, in a child process where there can be one.

    Parameters
    ----------
    attempt
        The learner's function or class, or whatever stands in its place; only the child touches it.
    name
        What the lesson calls it: an attempt of this name that calls it calls itself, and not the reference.
    use
        Calls it: `use(attempt, *case.arguments)` returns named results.
    cases
        What to call it with.
    gradients
        Names of the arguments that gradients have to reach.
    names
        Names of all arguments.
    """

    def work() -> dict[str, Any]:
        _here.within = True
        kind, words = look_at(attempt)
        outcomes = []
        if kind == "callable":
            with called(attempt, name):
                outcomes = [run_case(attempt, use, case, gradients, names) for case in cases]
        return {"kind": kind, "words": words, "outcomes": wire.pack_outcomes(outcomes)}

    said = _in_child(work) if hasattr(os, "fork") else None
    return _report(_in_thread(work) if said is None else said, len(cases))


def _report(said: dict[str, Any], n_cases: int) -> Report:
    """Make a report of what was said, of which nothing is taken on trust: an attempt may have said it itself."""
    if trouble := said.get("trouble"):
        return Report([], trouble="endless" if trouble == "endless" else "crash")
    try:
        kind, words, printed = (wire.readable(said[key])[:PRINTED] for key in ("kind", "words", "printed"))
        if kind in ("blank", "other"):
            return Report([], printed, kind=kind, words=words)
        return Report(wire.unpack_outcomes(said["outcomes"], n_cases), printed, words=words)
    except (ValueError, KeyError):
        return Report([], trouble="crash")


# --------------------------------------------------------------------------------------------------------------------
# In a child process
# --------------------------------------------------------------------------------------------------------------------


def _in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Run `work` in a child and return what it says; None where PyTorch cannot differentiate in a child."""
    limits.filters()
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside the kernel's threads is meant
        child = os.fork()
    if child == 0:
        try:
            os.close(readable)
            _live_as_child(work, writable)
        finally:
            os._exit(0)
    os.close(writable)
    try:
        said, in_time = wire.listen(readable, time.monotonic() + SECONDS, before=len(ABLE))
    finally:
        os.close(readable)
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # where it could start others
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)  # it may not have made its own group yet
        os.waitpid(child, 0)
    if said[:1] == UNABLE:
        return None
    if not in_time:
        return {"trouble": "endless"}
    try:
        return wire.receive(io.BytesIO(said[1:]))
    except ValueError:
        return {"trouble": "crash"}


def _live_as_child(work: Callable[[], dict[str, Any]], writable: int) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits.end_with_parent()
    limits.forbid_processes()
    limits.limit_memory(MEMORY)
    torch.set_num_threads(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.dup2(writable, PIPE)
    os.closerange(PIPE + 1, min(os.sysconf("SC_OPEN_MAX"), MOST_FILES))  # the notebook's files and connections
    if not _can_differentiate():
        os.write(PIPE, UNABLE)
        return
    os.write(PIPE, ABLE)  # before any line of the attempt runs
    with open(PIPE, "wb") as pipe, _overheard() as printed:
        answer = work()
        wire.send(pipe, answer | {"printed": printed.kept})


def _can_differentiate() -> bool:
    try:
        torch.ones((), requires_grad=True).sum().backward()
    except RuntimeError:
        return False
    return True


# --------------------------------------------------------------------------------------------------------------------
# In a thread
# --------------------------------------------------------------------------------------------------------------------


def _in_thread(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(work()), daemon=True)
    with _overheard() as printed:
        thread.start()
        thread.join(SECONDS)
    return answers[0] | {"printed": printed.kept} if answers else {"trouble": "endless"}


# --------------------------------------------------------------------------------------------------------------------
# Both
# --------------------------------------------------------------------------------------------------------------------


class _Listener(io.TextIOBase):
    """Takes all that is printed and keeps its beginning."""

    kept = ""

    def write(self, text: str) -> int:
        self.kept += text[: PRINTED - len(self.kept)]
        return len(text)


@contextmanager
def _overheard() -> Iterator[_Listener]:
    """Take what the body prints, and refuse its questions to the keyboard."""

    def refuse(prompt: object = "") -> str:
        raise EOFError("input() waits for a keyboard; an exercise gets all it needs as arguments")

    listener, ask = _Listener(), builtins.input
    builtins.input = refuse
    try:
        with redirect_stdout(listener), redirect_stderr(listener):
            yield listener
    finally:
        builtins.input = ask
