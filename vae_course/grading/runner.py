"""Runs inside the sandbox: finds a student's answers in notebooks and calls them; nothing that it says is trusted.

It starts before any line of a student's does, reads requests from its standard input and writes replies to its
standard output. A submission has a child process of its own, so that the next one finds all as it was, and in it every
exercise has one, which may not start others, and is killed in time.
"""

import ast
import base64
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import torch

from vae_course import binary_vae, data, distributions, metrics, vae  # noqa: F401  # once, not in every child
from vae_course.exercises import limits, wire
from vae_course.exercises.attempt import called, look_at, name_results, run_case
from vae_course.exercises.sources import find
from vae_course.grading.answers import Statement, define, find_answer, read_notebook
from vae_course.grading.commands import without_commands

LONGEST = 4 * limits.SECONDS  # seconds by the clock that an exercise may take; SECONDS are those of the processor
MEMORY = 2 * 2**30  # bytes that notebooks and an exercise may take beside what is there
FILE = 10 * 2**20  # bytes of a file
SCRATCH = "/tmp"  # the sandbox's only folder that can be written to
# What cannot be removed there: the sandbox shows Python where it is installed, perhaps in a clone in /tmp.
PYTHON = [Path(os.path.realpath(folder)) for folder in (sys.prefix, sys.base_prefix, *sys.path)]
NOBODY = 65534  # user that runs students' code where the grader is started by root


def main() -> None:
    """Serve one submission after another until there are no more."""
    requests, replies = _own_pipes()
    limits.close_to_others()
    if "--as-nobody" in sys.argv:
        _become_nobody()
        limits.close_to_others()  # which changing the user undoes, as well as the next
    limits.end_with_parent()
    torch.set_num_threads(1)
    limits.limit_memory(MEMORY)
    limits.forbid(*limits.CALLS.keys() - {"processes"})  # of which this one starts some
    calls = _import_calls()
    without_commands("")
    _take_a_step()
    _empty_scratch()  # where PyTorch has made folders
    with suppress(ValueError):  # no more requests
        while True:
            _in_a_child(partial(_serve, calls, requests, replies))
            _empty_scratch()
            wire.send(replies, {})


def _serve(calls: dict[str, str], requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer the requests for one submission, until one says that it was the last.

    Raises
    ------
    ValueError
        If there are no more requests at all.
    """
    notebooks: dict[str, list[Statement]] = {}
    while not (request := wire.receive(requests, longest=2**40)).get("done"):
        for name, source in request.get("answers", {}).items():
            _hand_in(name, source)
        if "files" in request:
            reply = _read_notebooks(request, notebooks)
        else:
            reply = _answer_in_a_child(partial(_reply, request, notebooks, calls), (requests, replies))
        wire.send(replies, reply)


def _in_a_child(serve: Callable[[], None]) -> None:
    """Serve a submission in a child.

    Raises
    ------
    ValueError
        If there are no more requests, if the child was ended, or if there is no `os.fork`, after one submission.
    """
    if not hasattr(os, "fork"):
        serve()
        raise ValueError("what was handed in stays")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            serve()
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise ValueError("the child has ended")


def _empty_scratch() -> None:
    """Leave nothing of a submission to the next one."""
    if os.getcwd() == SCRATCH:
        _empty(Path(SCRATCH))


def _empty(folder: Path) -> None:
    """Remove all that is in a folder but Python and its packages, which may lie below it."""
    for path in folder.iterdir():
        if path in PYTHON:
            continue
        if any(path in one.parents for one in PYTHON):
            _empty(path)
        else:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _take_a_step() -> None:
    """Let PyTorch import what optimizers need, which takes seconds, once for all."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.sum().backward()
    torch.optim.SGD([parameter]).step()


def _read_notebooks(request: dict[str, Any], notebooks: dict[str, list[Statement]]) -> dict[str, Any]:
    """Read notebook files, and tell those that cannot be read."""
    notes = []
    for path, content in request["files"].items():
        name = os.path.basename(path)
        try:
            lesson, statements = read_notebook(base64.b64decode(content), name, request["names"])
            notebooks.setdefault(lesson, []).extend(statements)
        except ValueError as error:
            notes.append(str(error))
    return {"notes": notes}


# --------------------------------------------------------------------------------------------------------------------
# Calling an answer
# --------------------------------------------------------------------------------------------------------------------


def _import_calls() -> dict[str, str]:
    """Import how attempts are called, before any line of a student's runs; return the sources by module."""
    folder, sources = Path(__file__).parents[1] / "exercises", {}
    for path in [folder / "calling.py", *sorted(folder.glob("e*/calls.py"))]:
        module = ".".join(["vae_course", *path.relative_to(folder.parent).with_suffix("").parts])
        import_module(module)
        sources[module] = path.read_text(encoding="utf-8")
    return sources


def _hand_in(symbol: str, source: str) -> None:
    """Put the reference answer of an exercise that is graded already in the place of its blank, everywhere.

    An answer that has no blank, since its module is not here, comes as its whole module.
    """
    if symbol.startswith("vae_course.exercises."):
        module = sys.modules[symbol] = ModuleType(symbol)
        exec(compile(source, f"<{symbol}>", "exec"), vars(module))
        return
    module, name = symbol.rsplit(".", 1)
    here = vars(import_module(module))
    blank = here.get(name, symbol)
    exec(compile(source, f"<{symbol}>", "exec"), here)
    for other in [other for key, other in sys.modules.items() if key.startswith("vae_course")]:
        for key, value in list(vars(other).items()):
            if value is blank:
                setattr(other, key, here[name])


def _reply(request: dict[str, Any], notebooks: dict[str, list[Statement]], calls: dict[str, str]) -> dict[str, Any]:
    """Define an answer and call it in all cases."""
    name, graded = request["name"], {symbol.rsplit(".", 1)[1]: symbol for symbol in request["graded"]}
    statements = find_answer(request["id"], name, notebooks.get(request["lesson"], []), graded)
    if not statements:
        return {"answer": "none"}
    try:
        values = {one: find(symbol) for one, symbol in graded.items()}
        attempt = define(request["id"], name, statements, values, folder=SCRATCH if os.getcwd() == SCRATCH else "")
    except BaseException as error:
        return {"answer": "raises", "error": type(error).__name__, "reason": f"{error}"[:200]}
    kind, words = look_at(attempt)
    if kind == "blank":
        return {"answer": "none"}
    if kind == "other":
        return {"answer": "no function", "kind": words}
    with called(attempt, name):
        cases, use = wire.unpack_cases(request["cases"]), _use(request, calls)
        outcomes = [run_case(attempt, use, case, request["gradients"], request["arguments"]) for case in cases]
    text = ast.unparse(next((one.node for one in reversed(statements) if name in one.binds), ast.Module([], [])))
    return {"answer": "called", "text": text, "outcomes": wire.pack_outcomes(outcomes)}


def _use(request: dict[str, Any], calls: dict[str, str]) -> Any:
    """Return what turns an attempt and arguments into named results, made anew: the answer may have changed it."""
    if request["use"]:
        module, name = request["use"].rsplit(".", 1)
        for one in ("vae_course.exercises.calling", module):
            sys.modules[one] = ModuleType(one)
            exec(compile(calls[one], f"<{one}>", "exec"), vars(sys.modules[one]))
        return vars(sys.modules[module])[name]
    return lambda attempt, *arguments: name_results(attempt(*arguments), request["returns"])


# --------------------------------------------------------------------------------------------------------------------
# In a process that may do little
# --------------------------------------------------------------------------------------------------------------------


def _answer_in_a_child(answer: Callable[[], dict[str, Any]], pipes: Sequence[BinaryIO]) -> dict[str, Any]:
    """Answer in a child, which has neither the runner's pipes nor its rights."""
    if not hasattr(os, "fork"):
        return answer()
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(readable)
            for pipe in pipes:
                os.close(pipe.fileno())
            _forgo()
            file = BytesIO()
            wire.send(file, answer())
            with open(writable, "wb") as pipe:
                pipe.write(file.getvalue())
        finally:
            os._exit(0)
    os.close(writable)
    said, in_time = wire.listen(readable, time.monotonic() + LONGEST)
    os.close(readable)
    with suppress(OSError):
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    out_of_time = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
    in_time = in_time and not out_of_time and used.ru_utime + used.ru_stime < limits.SECONDS
    try:
        return wire.receive(BytesIO(said)) if in_time else {"answer": "endless"}
    except ValueError:
        return {"answer": "crash"}


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard input and output for requests and replies alone, whatever is printed."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return requests, replies


def _become_nobody() -> None:
    """Give up the rights of root, who is exempt from limits."""
    if hasattr(os, "getuid") and os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _forgo() -> None:
    """Forgo, in the child that runs an exercise, other processes, large files and more time."""
    limits.forbid_processes()
    limits.limit("FSIZE", FILE)
    limits.limit("NOFILE", 64)
    limits.limit("CORE", 0)
    limits.limit("CPU", math.ceil(limits.SECONDS), more=1)  # SIGXCPU first, which tells why it ended


if __name__ == "__main__":
    main()
