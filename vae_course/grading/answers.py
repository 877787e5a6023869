"""Find a student's answers in notebooks and run what they are made of, as Jupyter would have run it.

Cells are executed in their order, statement by statement, with IPython's commands and with what `exercise` and `check`
are shown on the way. Only what an answer is made of is executed, for no more than a few seconds: a lesson also trains
and draws. Cells may have been moved, doubled, merged or made Markdown, and one with an error in it costs that one
definition.
"""

import ast
import builtins
import codeop
import dis
import json
import linecache
import math
import re
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_course.exercises.sources import says_nothing
from vae_course.grading.commands import Commands, without_commands

MOST_CODE = 2 * 10**6  # characters in a notebook; the lessons have a fiftieth of it
LESSON = r"(?<!\d)0(\d)_(?:latents|problem_setup|pytorch_linear|demo|math_details|comparison_with_scvi)"
DEEPER = r"(?<![a-zA-Z\d])(?:([0-5])[a-f]_[a-z]|(6)_after)"  # "1a_kl_in_many_dimensions" belongs to lesson 1
SECONDS = 1.0  # of the processor for one statement that an answer may be made of
NAMES = {  # what a lesson's setup cell imports, should a student have deleted it
    "torch": torch, "np": np, "math": math, "nn": nn, "F": nn.functional, "Tensor": Tensor, "Callable": Callable,
    "vc": import_module("vae_course"),
}  # fmt: skip


class Statement:
    """A statement of a notebook: its syntax, its code, and the notebook's names that it binds, uses and touches.

    It uses all names that it or a function in it looks up, and touches those whose values it may change: it assigns to
    a part of them, calls a method of theirs, passes them on, or decorates with them. What the functions that it defines
    touch stands apart, for it happens when these are called.
    """

    def __init__(self, node: ast.stmt, cell: str, compiler: codeop.Compile, in_code: bool) -> None:
        parts = list(ast.walk(node))
        calls = [part for part in parts if isinstance(part, ast.Call)]
        of_functions = {name for part in parts if isinstance(part, ast.Global) for name in part.names}
        self.shows = _shown(node, calls)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.decorator_list = [one for one in node.decorator_list if not _exercise_of(one)]
        self.code = compiler(ast.Module([node], []), cell, "exec")
        self.writes = isinstance(node, ast.Expr) and "writefile" in ast.dump(node)[:300]  # a module, by IPython's magic
        self.node, self.binds, self.in_code = node, _bound(node) | of_functions, in_code
        self.uses = _globals_of(self.code)
        self.touches = _touched(node) & self.uses
        self.calls = {_root(call.func) for call in calls}
        functions = [part for part in parts if isinstance(part, ast.FunctionDef)]
        later = {one for function in functions for part in function.body for one in _touched(part)}
        self.touches_later = later & self.uses | of_functions

    @property
    def is_import(self) -> bool:
        """Whether it imports: the notebook's stand-in for an answer is no answer."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)


def read_notebook(content: bytes, name: str, exercises: Mapping[str, Collection[str]]) -> tuple[str, list[Statement]]:
    """Read a notebook of format 3 or 4.

    Parameters
    ----------
    content
        The file's.
    name
        Of the file.
    exercises
        Lesson, such as "03" -> the names of what is to be written in it.

    Returns
    -------
    lesson
        By the notebook's metadata, by its name, or by the exercises that it answers; "" if nothing tells. Of a deeper
        notebook, the lesson that it belongs to.
    statements
        All that it has.

    Raises
    ------
    ValueError
        If it is no notebook, or one of more code than anybody writes.
    """
    try:
        notebook = json.loads(content)
        cells = [(text, cell.get("cell_type") == "code") for cell in _cells(notebook) if (text := _text(cell))]
        known = str(notebook.get("metadata", {}).get("vae_course", {}).get("lesson", ""))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise ValueError(f"{name} is not a notebook that can be read.") from error
    if sum(len(text) for text, _ in cells) > MOST_CODE:
        raise ValueError(f"{name} has more than {MOST_CODE // 10**6} million characters of code and was not read.")
    statements = _statements(cells, name)
    return _lesson_of(known, name, statements, exercises), statements


def find_answer(
    exercise_id: str, name: str, statements: list[Statement], others: Collection[str] = ()
) -> list[Statement]:
    """Find the last answer that is not blank and was shown to `exercise` or `check`, and all that it is made of.

    An answer that was never shown is what has its name at the end of the notebook.

    Parameters
    ----------
    exercise_id
        Such as "1.1".
    name
        Of the function or class.
    statements
        Of the notebook.
    others
        Names that have a value already and need no definition.

    Returns
    -------
    list of Statement
        In the order in which they are to be run; the last one shows or defines the answer. None if there is no
        definition whose body is not blank.
    """
    in_code = [one for one in statements if one.in_code]
    for among in (in_code, statements):  # Markdown only where no cell of code has an answer
        places = [place for place, one in enumerate(among) if _answers(one, exercise_id, name)]
        if places:
            shown = [place for place in places if among[place].shows and among[place].shows[0] == exercise_id]
            return _made_of(among, shown[-1] if shown else None, name, others)
    return []


def _answers(one: Statement, exercise_id: str, name: str) -> bool:
    is_shown = one.shows and one.shows[0] == exercise_id
    return (is_shown or name in one.binds) and not one.is_import and not _is_blank(one.node)


def _made_of(statements: list[Statement], last: int | None, name: str, others: Collection[str]) -> list[Statement]:
    """Choose the statements that bind what is needed, or may change what they bound, and those that these need."""
    end = len(statements) if last is None else last + 1
    needed, chosen = ({name}, set()) if last is None else ({name} | statements[last].uses - set(others), {last})
    local = {bound for one in statements if not one.is_import for bound in one.binds} - set(others) - set(NAMES)
    changers: set[str] = set()  # functions that may change what is needed when they are called
    grew = True
    while grew:
        grew = False
        for place, one in enumerate(statements):
            if one.touches_later & needed & local:
                changers |= one.binds
            if place in chosen or (name in one.binds and (one.is_import or _is_blank(one.node))):
                continue
            binds = one.binds & needed - (set(others) - {name})
            is_late = place >= end and any(binds & before.binds for before in statements[:end] if not before.is_import)
            touches = place < end and (one.touches & needed & local or (one.touches | one.calls) & changers)
            if "*" in one.binds or one.writes or (binds and not is_late) or touches:
                chosen.add(place)
                needed |= (one.uses | (one.binds if touches else set())) - set(others)
                grew = True
    in_order = sorted(chosen - {last}) + ([] if last is None else [last])
    in_order = [statements[place] for place in in_order]
    return sorted(in_order, key=lambda one: (not one.writes, not one.is_import))  # cells may have been moved


def define(
    exercise_id: str, name: str, statements: list[Statement], values: Mapping[str, Any], folder: str = ""
) -> Any:
    """Execute what `find_answer` found, and return the answer; whatever its own definition raises passes through.

    A statement that takes longer than a second is cut short. Files that cells write go to `folder`, if there is one.
    """
    names = {"__builtins__": builtins, "__name__": "__main__", **NAMES, **values}
    shown: list[Any] = []
    defining = [one for one in statements if (name in one.binds or one.shows) and not one.is_import][-1]
    names |= {"check": _recorder(exercise_id, shown), "get_ipython": lambda: Commands(names, folder)}
    if folder and folder not in sys.path:
        sys.path.insert(0, folder)
    for one in statements:
        try:
            with _bounded():
                exec(one.code, names)
        except BaseException:  # SystemExit among them
            if one is defining:
                raise
        names["check"] = _recorder(exercise_id, shown)  # an import may have replaced it
    is_decorated = statements[-1].shows and isinstance(statements[-1].node, ast.FunctionDef | ast.ClassDef)
    return shown[-1] if shown else names.get(statements[-1].node.name if is_decorated else name)


def _recorder(exercise_id: str, shown: list[Any]) -> Callable[..., None]:
    def check(number: Any = None, attempt: Any = None, *_: Any, **__: Any) -> None:
        if number == exercise_id:
            shown.append(attempt)

    return check


class _TooLongError(BaseException):
    """A statement takes too long; no `except Exception` of a student's swallows it."""


@contextmanager
def _bounded() -> Iterator[None]:
    """Cut the body short after some seconds of the processor, where that can be done."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cells of a notebook, of format 4 or 3."""
    return notebook["cells"] if "cells" in notebook else [c for sheet in notebook["worksheets"] for c in sheet["cells"]]


def _text(cell: dict[str, Any]) -> str:
    """Return the text of a cell; of one that is no code only where it defines something."""
    source = cell.get("source", cell.get("input", ""))
    text = source if isinstance(source, str) else "".join(source)
    is_code = cell.get("cell_type") == "code" or re.search(r"^(def|class) \w+", text, flags=re.MULTILINE)
    return text if is_code else ""


def _lesson_of(known: str, name: str, statements: list[Statement], exercises: Mapping[str, Collection[str]]) -> str:
    """Tell the lesson by the notebook's metadata, by its name if that is a lesson's, or by what it answers."""
    for text in (known, name):
        if found := re.search(LESSON, text) or re.search(DEEPER, text):
            return f"0{found[1] or found[2]}"
    bound = {name for one in statements for name in one.binds if not one.is_import}
    best = max(exercises, key=lambda lesson: len(bound.intersection(exercises[lesson])))
    return best if bound.intersection(exercises[best]) else ""


def _statements(cells: list[tuple[str, bool]], notebook: str) -> list[Statement]:
    """Take cells apart, each a text and whether it is code; parts that are no Python are passed over."""
    found, compiler = [], codeop.Compile()  # which remembers `from __future__ import ...` for the cells below
    for number, (text, in_code) in enumerate(cells):
        cell = f"<{notebook}, cell {number}>"
        linecache.cache[cell] = (len(text), None, text.splitlines(keepends=True), cell)
        for node in _parsed(text):
            with suppress(SyntaxError, ValueError, RecursionError):
                found.append(Statement(node, cell, compiler, in_code))
    return found


def _parsed(text: str) -> list[ast.stmt]:
    """Parse a cell; one with an error in it part by part, so that an error costs one definition."""
    for made in (lambda: text, lambda: without_commands(text)):
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            return ast.parse(made()).body
    parts = re.split(r"^(?=(?:@|def |class |import |from |\w+ *=))(?<!\)\n)", text, flags=re.MULTILINE)
    found = []
    for part in parts:
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            found += ast.parse(without_commands(part)).body
    return found


def _shown(node: ast.stmt, calls: list[ast.Call]) -> tuple[str, ast.expr | None] | None:
    """Return what a statement with these calls in it shows: the exercise and the attempt, None if it is itself that."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        found = [number for one in node.decorator_list if (number := _exercise_of(one))]
        return (found[0], None) if found else None
    for call in calls if isinstance(node, ast.Expr | ast.Assign) else ():
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name == "check" and len(call.args) == 2 and (number := _exercise_of(call)):
            return number, call.args[1]
    return None


def _exercise_of(call: ast.expr) -> str:
    """Return the exercise that is named in exercise("1.1") or check("1.1", ...); "" of anything else."""
    if not (isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant)):
        return ""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    return str(call.args[0].value) if name in ("exercise", "check") else ""


def _bound(node: ast.stmt) -> set[str]:
    """Names that a statement binds in the notebook: not those inside of functions and classes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    found = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
    return found.union(*(_bound(part) for part in ast.iter_child_nodes(node)))


def _touched(node: ast.AST) -> set[str]:
    """Names whose values a statement may change when it runs: not what functions in it do once they are called."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return {_root(one.func if isinstance(one, ast.Call) else one) for one in node.decorator_list}
    found = set()
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        found = {_root(node)}
    elif isinstance(node, ast.Call):
        passed = [*node.args, *(word.value for word in node.keywords)]
        found = {one.id for one in passed if isinstance(one, ast.Name)}
        found |= {_root(node.func)} if isinstance(node.func, ast.Attribute) else set()
    return found.union(*map(_touched, ast.iter_child_nodes(node)))


def _root(node: ast.AST) -> str:
    """Return the name that an expression such as a.b[c] begins with, or ""; a(b).c is what a call made, and new."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _globals_of(code: CodeType) -> set[str]:
    """Names that code looks up in the notebook: not those of its own arguments and variables."""
    found = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return found.union(*(_globals_of(part) for part in code.co_consts if isinstance(part, CodeType)))


def _is_blank(node: ast.stmt) -> bool:
    """Whether a definition has only docstrings and `...`, `pass` or `raise NotImplementedError` in its functions."""
    functions = node.body if isinstance(node, ast.ClassDef) else [node]
    functions = [part for part in functions if isinstance(part, ast.FunctionDef)]
    return bool(functions) and all(says_nothing(part) for function in functions for part in function.body)
