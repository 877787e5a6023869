"""Find a student's answers in notebooks, by the names of functions and classes, and define them.

Nothing depends on cells: they may have been moved, doubled, merged, deleted, or made Markdown, and one with an error in
it costs that one definition.
"""

import ast
import builtins
import dis
import json
import linecache
import math
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from importlib import import_module
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_course.exercises.sources import says_nothing

MOST_CODE = 2 * 10**6  # characters in a notebook; the lessons have a fiftieth of it
NAMES = {  # what a lesson's setup cell imports, should a student have deleted it
    "torch": torch, "np": np, "math": math, "nn": nn, "F": nn.functional, "Tensor": Tensor, "Callable": Callable,
    "vc": import_module("vae_course"),
}  # fmt: skip


class Statement:
    """A statement of a notebook: its syntax, its code, and the names that it binds and uses in the notebook."""

    def __init__(self, node: ast.stmt, cell: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.decorator_list = [one for one in node.decorator_list if "exercise" not in ast.dump(one)]
        self.code = compile(ast.Module([node], []), cell, "exec")
        self.node, self.binds, self.uses = node, _bound(node), _globals_of(self.code)

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
        By the notebook's metadata, by its name, or by the exercises that it answers; "" if nothing tells.
    statements
        All that it has.

    Raises
    ------
    ValueError
        If it is no notebook, or one of more code than anybody writes.
    """
    try:
        notebook = json.loads(content)
        cells = [text for cell in _cells(notebook) if (text := _text(cell))]
        known = str(notebook.get("metadata", {}).get("vae_course", {}).get("lesson", ""))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise ValueError(f"{name} is not a notebook that can be read.") from error
    if sum(map(len, cells)) > MOST_CODE:
        raise ValueError(f"{name} has more than {MOST_CODE // 10**6} million characters of code and was not read.")
    statements = _statements(cells, name)
    return _lesson_of(known, name, statements, exercises), statements


def find_answer(name: str, statements: list[Statement], others: Collection[str] = ()) -> list[Statement]:
    """Find the last definition of an answer that is not blank, and what it is made of.

    Parameters
    ----------
    name
        Of the function or class.
    statements
        Of the notebook.
    others
        Names that have a value already and need no definition.

    Returns
    -------
    list of Statement
        Imports, then the rest, in the notebook's order; none if there is no definition whose body is not blank.
    """
    found = [place for place, one in enumerate(statements) if name in one.binds and not one.is_import]
    places = [place for place in found if not _is_blank(statements[place].node)]  # of an untouched copy
    if not places:
        return []
    chosen, to_do = {places[-1]}, [places[-1]]
    while to_do:
        place = to_do.pop()
        for used in statements[place].uses - {name, *others}:
            end = place if used in statements[place].binds else len(statements)  # class A(A) needs an earlier A
            binding = [earlier for earlier, one in enumerate(statements[:end]) if used in one.binds]
            if binding and binding[-1] not in chosen:
                chosen.add(binding[-1])
                to_do.append(binding[-1])
    stars = {place for place, one in enumerate(statements) if "*" in one.binds}
    in_order = [statements[place] for place in sorted(chosen | stars)]
    return sorted(in_order, key=lambda one: not one.is_import)  # cells may have been moved


def define(name: str, statements: list[Statement], values: Mapping[str, Any]) -> Any:
    """Execute what `find_answer` found, and return the answer; whatever its own definition raises passes through."""
    names = {"__builtins__": builtins, "__name__": "__main__", **NAMES, **values}
    for one in statements:
        try:
            exec(one.code, names)
        except BaseException:  # SystemExit among them
            if name in one.binds and not one.is_import:
                raise
    return names.get(name)


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
    for text, pattern in ((known, r"(0\d)_"), (name, r"(?:^|\D)(0\d)_[a-z]+")):
        if found := re.search(pattern, text):
            return found[1]
    bound = {name for one in statements for name in one.binds if not one.is_import}
    best = max(exercises, key=lambda lesson: len(bound.intersection(exercises[lesson])))
    return best if bound.intersection(exercises[best]) else ""


def _statements(cells: list[str], notebook: str) -> list[Statement]:
    """Take cells apart; parts that are no Python are passed over."""
    found = []
    for number, text in enumerate(cells):
        cell = f"<{notebook}, cell {number}>"
        linecache.cache[cell] = (len(text), None, text.splitlines(keepends=True), cell)
        for node in _parsed(text):
            with suppress(SyntaxError, ValueError, RecursionError):
                found.append(Statement(node, cell))
    return found


def _parsed(text: str) -> list[ast.stmt]:
    """Parse a cell; one with an error in it part by part, so that an error costs one definition."""
    text = re.sub(r"^([ \t]*)[%!?].*$", r"\1pass", text, flags=re.MULTILINE)  # commands of IPython
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        parts = re.split(r"^(?=(?:@|def |class |import |from |\w+ *=))(?<!\)\n)", text, flags=re.MULTILINE)
    found = []
    for part in parts:
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            found += ast.parse(part).body
    return found


def _bound(node: ast.stmt) -> set[str]:
    """Names that a statement binds in the notebook: not those inside of functions and classes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    found = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
    return found.union(*(_bound(part) for part in ast.iter_child_nodes(node)))


def _globals_of(code: CodeType) -> set[str]:
    """Names that code looks up in the notebook: not those of its own arguments and variables."""
    found = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return found.union(*(_globals_of(part) for part in code.co_consts if isinstance(part, CodeType)))


def _is_blank(node: ast.stmt) -> bool:
    """Whether a definition has only docstrings and `...`, `pass` or `raise NotImplementedError` in its functions."""
    functions = node.body if isinstance(node, ast.ClassDef) else [node]
    functions = [part for part in functions if isinstance(part, ast.FunctionDef)]
    return bool(functions) and all(says_nothing(part) for function in functions for part in function.body)
