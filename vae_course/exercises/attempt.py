"""Run an attempt at an exercise so that nothing it does can harm the notebook, and write down all that it did.

On Linux and macOS an attempt runs in a child process with one thread, which is killed when its time is up. Where there
is no `os.fork` (Windows), or where PyTorch cannot differentiate in a child (an accelerator was used before), it runs in
a thread, which can be abandoned but not killed: an endless loop then goes on in the background until the kernel
restarts, and so does the memory it uses.
"""

import builtins
import inspect
import io
import linecache
import os
import selectors
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from numbers import Number
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

SECONDS = 8.0  # an attempt that takes longer counts as endless
MEMORY = 2**30  # bytes that it may take beside what the notebook has
LARGEST = 10**6  # entries of a result that are looked at
PRINTED = 200  # characters of its printing that are kept


@dataclass
class Case:
    """One call of an attempt.

    Attributes
    ----------
    label
        What is special about it; completes "right for ..., wrong for ...".
    arguments
        Given to the exercise's `use` after the attempt, as copies.
    """

    label: str
    arguments: tuple[Any, ...]


@dataclass
class Value:
    """What an attempt returned, without its own methods: `kind` is "tensor", "number", "text" or what else came."""

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    tensor: Tensor | None = None
    text: str = ""


@dataclass
class Outcome:
    """What an attempt did in one case."""

    values: dict[str, Value] = field(default_factory=dict)
    gradients: dict[str, Value] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    error: str = ""  # type of the exception
    reason: str = ""  # its text
    line: str = ""  # line of the learner's code that raised it


@dataclass
class Report:
    """What an attempt did in all cases: `trouble` is "" or why there are no outcomes ("endless", "crash")."""

    outcomes: list[Outcome]
    printed: str = ""
    trouble: str = ""


Use = Callable[..., dict[str, Any]]


def run(
    attempt: Any, name: str, use: Use, cases: Sequence[Case], gradients: Sequence[str], names: Sequence[str]
) -> Report:
    """Let an attempt deal with all cases, in a child process where there can be one.

    Parameters
    ----------
    attempt
        The learner's function or class, or whatever stands in its place.
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

    def work() -> list[dict[str, Any]]:
        with called(attempt, name):
            return [asdict(run_case(attempt, use, case, gradients, names)) for case in cases]

    report = _in_child(work) if hasattr(os, "fork") else None
    return report or _in_thread(work)


def run_case(attempt: Any, use: Use, case: Case, gradients: Sequence[str], names: Sequence[str]) -> Outcome:
    """Use an attempt on one case, in this process."""
    outcome = Outcome()
    given = [argument.clone() if isinstance(argument, Tensor) else argument for argument in case.arguments]
    watched = {
        name: argument.requires_grad_()
        for name, argument in zip(names, given, strict=False)
        if name in gradients and isinstance(argument, Tensor)
    }
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():  # a child must not wake an accelerator
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            results = use(attempt, *given)
            outcome.values = {name: plain(result) for name, result in results.items()}
            outcome.gradients = _gradients(results, watched)
    except BaseException as error:  # SystemExit and KeyboardInterrupt among them
        outcome.error, outcome.reason = type(error).__name__, _first_line(error)
        outcome.line = _line_of_the_learner(error, attempt)
    for name, before, after in zip(names, case.arguments, given, strict=False):
        if isinstance(before, Tensor) and not (before.shape == after.shape and torch.equal(before, after.detach())):
            outcome.changed.append(name)
    return outcome


def name_results(result: Any, returns: Sequence[str]) -> dict[str, Any]:
    """Name what a plain call returned: one thing, or as many as are expected."""
    if len(returns) > 1 and isinstance(result, tuple | list) and len(result) == len(returns):
        return dict(zip(returns, result, strict=True))
    return {returns[0]: result}


def plain(result: Any) -> Value:
    """Copy a result into plain tensors, numbers and text; leave what is plain already."""
    if isinstance(result, Value):
        return result
    if isinstance(result, Tensor):
        shape, dtype = tuple(result.shape), str(result.dtype).removeprefix("torch.")
        if result.numel() > LARGEST:
            return Value("tensor", shape, dtype)
        values = result.detach().to_dense() if result.layout != torch.strided else result.detach()
        values = values.to(torch.complex128 if values.is_complex() else torch.float64).cpu()
        return Value("tensor", shape, dtype, torch.empty_like(values).copy_(values).as_subclass(Tensor))
    if isinstance(result, Number | np.generic) and not isinstance(result, complex):
        return Value("number", (), type(result).__name__, torch.tensor(float(result), dtype=torch.float64))
    if isinstance(result, str):
        return Value("text", text=result[:LARGEST])
    if result is None:
        return Value("nothing")
    if isinstance(result, np.ndarray):
        return Value("a NumPy array", tuple(result.shape))
    if isinstance(result, tuple | list):
        return Value(f"a {type(result).__name__} of {len(result)}")
    return Value(f"an object of type {type(result).__name__}")


def _gradients(results: dict[str, Any], watched: dict[str, Tensor]) -> dict[str, Value]:
    """Gradients of a sum of all results, each entry with a weight of its own, so that no error cancels."""
    if not watched:
        return {}
    total = torch.zeros(())
    for result in results.values():
        if isinstance(result, Tensor) and result.requires_grad:
            weights = torch.linspace(0.5, 1.5, max(result.numel(), 1), dtype=result.dtype)[: result.numel()]
            total = total + (result.flatten() * weights).sum()
    if not total.requires_grad:
        return {name: Value("nothing") for name in watched}
    found = torch.autograd.grad(total, list(watched.values()), allow_unused=True)
    return {name: plain(gradient) for name, gradient in zip(watched, found, strict=True)}


def _first_line(error: BaseException) -> str:
    with suppress(Exception):  # a learner's own exception may fail to turn into text
        return str(error).strip().split("\n")[0][:PRINTED]
    return ""


def _line_of_the_learner(error: BaseException, attempt: Any) -> str:
    """Last line that was executed in the file (or cell) where the attempt is written."""
    written = _codes(attempt)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in written:
            return (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
    return ""


def _codes(attempt: Any) -> set[str]:
    return {function.__code__.co_filename for function in _functions(attempt)}


def _functions(attempt: Any) -> list[FunctionType]:
    parts = [attempt, *vars(attempt).values()] if isinstance(attempt, type) else [attempt]
    return [undecorated(part) for part in parts if isinstance(part, FunctionType)]


def undecorated(function: FunctionType) -> FunctionType:
    """Find the function behind decorators such as torch.no_grad()."""
    with suppress(ValueError):  # decorators in a ring
        inner = inspect.unwrap(function)
        return inner if isinstance(inner, FunctionType) else function
    return function


@contextmanager
def called(attempt: Any, name: str) -> Iterator[None]:
    """Bind an attempt's name to it among the globals that it sees, as it will be after its cell."""
    named = _functions(attempt) if getattr(attempt, "__name__", None) == name else []
    scopes = [function.__globals__ for function in named if name in function.__globals__]
    before = [scope[name] for scope in scopes]
    try:
        for scope in scopes:
            scope[name] = attempt
        yield
    finally:
        for scope, thing in zip(reversed(scopes), reversed(before), strict=True):
            scope[name] = thing


# --------------------------------------------------------------------------------------------------------------------
# In a child process
# --------------------------------------------------------------------------------------------------------------------


def _in_child(work: Callable[[], list[dict[str, Any]]]) -> Report | None:
    """Run `work` in a child and collect what it says; None where PyTorch cannot differentiate in a child."""
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
        said, in_time = _read_until(readable, time.monotonic() + SECONDS)
    finally:
        os.close(readable)
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL)
        with suppress(OSError):
            os.kill(child, signal.SIGKILL)  # it may not have made its own group yet
        os.waitpid(child, 0)
    if not said:
        return Report([], trouble="crash" if in_time else "endless")
    answer = torch.load(io.BytesIO(said), weights_only=True)
    return None if answer is None else _report(answer["outcomes"], answer["printed"])


def _live_as_child(work: Callable[[], list[dict[str, Any]]], writable: int) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _limit_memory()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    answer = None
    if _can_differentiate():
        with _overheard() as printed:
            answer = {"outcomes": work(), "printed": printed.kept}
    file = io.BytesIO()
    torch.save(answer, file)
    said = file.getvalue()
    with open(writable, "wb") as pipe:
        pipe.write(len(said).to_bytes(8, "big") + said)


def _limit_memory() -> None:
    """Let the child take only so much memory: a list that grows without end must not end the notebook."""
    with suppress(ImportError, OSError, ValueError):  # Linux only; elsewhere the time limit has to do
        import resource

        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))


def _can_differentiate() -> bool:
    try:
        torch.ones((), requires_grad=True).sum().backward()
    except RuntimeError:
        return False
    return True


def _read_until(descriptor: int, deadline: float) -> tuple[bytes, bool]:
    """Read a message from a pipe, its length first; return it if all of it came, and whether time was left."""
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(left):
                chunk = os.read(descriptor, 2**20)
                said += chunk
                if len(said) >= 8 and len(said) >= 8 + int.from_bytes(said[:8], "big"):
                    return said[8:], True
                if not chunk:
                    return b"", True
    return b"", False


# --------------------------------------------------------------------------------------------------------------------
# In a thread
# --------------------------------------------------------------------------------------------------------------------


def _in_thread(work: Callable[[], list[dict[str, Any]]]) -> Report:
    answers: list[list[dict[str, Any]]] = []
    thread = threading.Thread(target=lambda: answers.append(work()), daemon=True)
    with _overheard() as printed:
        thread.start()
        thread.join(SECONDS)
    return _report(answers[0], printed.kept) if answers else Report([], printed.kept, trouble="endless")


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
def _overheard() -> Any:
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


def _report(outcomes: list[dict[str, Any]], printed: str) -> Report:
    """Rebuild a report from what came through the pipe."""

    def values(found: dict[str, Any]) -> dict[str, Value]:
        return {name: Value(**value | {"shape": tuple(value["shape"])}) for name, value in found.items()}

    for outcome in outcomes:
        outcome["values"], outcome["gradients"] = values(outcome["values"]), values(outcome["gradients"])
    return Report([Outcome(**outcome) for outcome in outcomes], printed)
