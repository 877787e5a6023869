"""What an attempt at an exercise is, and what it does in every case, written down as plain data.

All of this runs where the attempt runs (`isolation.py`): other code never touches the learner's own objects.
"""

import ast
import dis
import inspect
import linecache
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from numbers import Number
from textwrap import dedent
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_course.exercises.sources import says_nothing

LARGEST = 10**6  # entries of a result that are looked at
LONGEST_REASON = 200  # characters of an exception's text that are kept


@dataclass
class Case:
    """One call of an attempt.

    Attributes
    ----------
    label
        What is special about it; completes "right for ..., wrong for ...".
    arguments
        Given to the exercise's `use` after the attempt, as copies.
    values_only
        Whether gradients are not looked at: where the right one is infinite, or is none.
    """

    label: str
    arguments: tuple[Any, ...]
    values_only: bool = False


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
    warning: str = ""  # why it will hurt later though it is right; written by `Exercise.examined` alone


@dataclass
class Report:
    """What an attempt is and did in all cases.

    Attributes
    ----------
    outcomes
        One for every case; none if it is not callable.
    printed
        The beginning of what it printed.
    trouble
        Why there are no outcomes ("endless", "crash"), or "".
    kind, words
        What `look_at` returned.
    """

    outcomes: list[Outcome]
    printed: str = ""
    trouble: str = ""
    kind: str = "callable"
    words: str = ""


Use = Callable[..., dict[str, Any]]


def look_at(attempt: Any) -> tuple[str, str]:
    """Return what an attempt is, "blank", "callable" or "other", and its name, or a few words on what it is instead."""
    if is_blank(attempt):
        return "blank", ""
    if callable(attempt):
        return "callable", str(getattr(attempt, "__name__", ""))
    is_plain = type(attempt) in (str, int, float, bool)
    return "other", f"{attempt!r:.40}" if is_plain else f"a {type(attempt).__name__}"


def run_case(attempt: Any, use: Use, case: Case, gradients: Sequence[str], names: Sequence[str]) -> Outcome:
    """Use an attempt on one case, in this process."""
    outcome = Outcome()
    given = [argument.clone() if isinstance(argument, Tensor) else argument for argument in case.arguments]
    watched = {
        name: argument.requires_grad_()
        for name, argument in zip(names, given, strict=False)
        if name in gradients and isinstance(argument, Tensor) and not case.values_only
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
        return str(error).strip().split("\n")[0][:LONGEST_REASON]
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
# Nothing written yet?
# --------------------------------------------------------------------------------------------------------------------


def is_blank(attempt: Any) -> bool:
    """Whether an attempt is None, or has only docstrings and `...`, `pass` or `raise NotImplementedError` in it."""
    if attempt is None:
        return True
    if isinstance(attempt, type):
        functions = [part for part in vars(attempt).values() if inspect.isfunction(part)]
        return bool(functions) and all(_is_blank_function(part) for part in functions)
    return inspect.isfunction(attempt) and _is_blank_function(attempt)


def _is_blank_function(function: Callable) -> bool:
    function = undecorated(function)
    try:
        node = ast.parse(dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, ValueError, SyntaxError, IndexError):  # made by exec, a lambda within a line, ...
        return _is_blank_code(function)
    if not isinstance(node, ast.FunctionDef):
        return False
    return all(says_nothing(statement) for statement in node.body)


def _is_blank_code(function: Callable) -> bool:
    """Decide by the byte code: nothing but `return None`, or nothing but raising NotImplementedError."""
    if function.__name__ == "<lambda>":
        return False
    ignored = {"RESUME", "NOP", "PRECALL", "CALL", "PUSH_NULL", "CACHE"}
    steps = [step for step in dis.get_instructions(function) if step.opname not in ignored]
    last, names = steps[-1].opname, [step.argval for step in steps if step.opname == "LOAD_GLOBAL"]
    if last == "RAISE_VARARGS":
        return names == ["NotImplementedError"] and all(s.opname in ("LOAD_GLOBAL", "LOAD_CONST") for s in steps[:-1])
    constants = [step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    return constants == [None] and len(steps) <= 2
