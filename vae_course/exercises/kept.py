"""Answers that passed are kept on the learner's own machine, so that a later session or lesson goes on with them."""

import ast
import builtins
import inspect
import linecache
import re
import symtable
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_course.exercises import record
from vae_course.exercises.catalogue import EXERCISES
from vae_course.exercises.engine import Exercise, judge
from vae_course.exercises.sources import find, source_of
from vae_course.runtime.files import write_atomically

USUAL = {"torch": torch, "nn": nn, "F": nn.functional, "Tensor": Tensor, "np": np}  # what an answer may count on


def keep(one: Exercise, attempt: Callable) -> None:
    """Keep the source of an answer that passed; where there is none, or no place for it, nothing happens."""
    with suppress(OSError, SyntaxError):
        if source := _written(one.name, attempt):
            path = _path(one)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda file: file.write_text(source, encoding="utf-8"))


def forget(one: Exercise) -> None:
    """Remove a kept answer."""
    with suppress(OSError):
        _path(one).unlink(missing_ok=True)


def bring_back(one: Exercise, names: dict[str, Any]) -> None:
    """Bind an exercise's name in a notebook: to the kept answer if it still passes there, else to the reference."""
    names.setdefault(one.name, one.reference)  # which the answer may ask for while it is made
    try:
        source = _path(one).read_text(encoding="utf-8")
        for name in sorted(_names_of(source) - names.keys()):
            _supply(name, names, one.reference)
        before, file = names[one.name], f"<your answer to exercise {one.id}>"
        linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file  # for tracebacks
        exec(compile(source, file, "exec"), names)  # the learner's own code, which this machine has run before
        if judge(one, names[one.name]).status != "passed":  # something that it used is not here
            names[one.name] = before
    except Exception:
        names[one.name] = one.reference


def bring_in(symbol: str, names: dict[str, Any]) -> None:
    """Bind something of the package that no exercise asks for; made anew where it is to use a learner's own part."""
    thing = find(symbol)
    beside, source = vars(sys.modules[thing.__module__]), source_of(thing)
    used = _names_of(source) - {thing.__name__}
    if all(names.get(name, beside.get(name)) is beside.get(name) for name in used):
        names[thing.__name__] = thing
        return
    for name in used & beside.keys() - names.keys():
        names[name] = beside[name]
    exec(compile(source, f"<{symbol}>", "exec"), names)


def whose(*things: Callable) -> None:
    """Print which of these functions and classes are the learner's own, and which are the package's."""
    references = {id(one.reference) for one in EXERCISES.values()}
    package = [one for one in things if id(one) in references or str(one.__module__).startswith("vae_course.")]
    for owner, those in (("yours", [one for one in things if one not in package]), ("the package's", package)):
        if those:
            print(f"{owner}: {', '.join(one.__name__ for one in those)}")


def _path(one: Exercise) -> Path:
    return record.path().parent / "answers" / f"{one.id}.py"


def _written(name: str, attempt: Callable) -> str:
    """Return the definition of a function or class as it stands in its cell, with the imports and helpers beside it."""
    parts = vars(attempt).values() if isinstance(attempt, type) else [attempt]
    files = {part.__code__.co_filename for part in parts if inspect.isfunction(part)}
    lines = linecache.getlines(files.pop())[:500] if len(files) == 1 else []  # those of a cell
    kept, kinds = [], (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for node in ast.parse("".join(lines)).body:
        if isinstance(node, kinds):  # without its decorators: @exercise("5.1") would check it again
            kept.append("".join(lines[node.lineno - 1 : node.end_lineno]).rstrip() + "\n")
    return "\n".join(kept) if any(re.match(rf"(def|class) {name}\b", one) for one in kept) else ""


def _names_of(source: str) -> set[str]:
    """Return the global names that a definition reads, at once or when it is called."""
    tables, found = [symtable.symtable(source, "answer", "exec")], set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        found |= {one.get_name() for one in table.get_symbols() if one.is_referenced() and one.is_global()}
        if table.get_type() == "module":
            found |= {one.get_name() for one in table.get_symbols() if one.is_referenced()}
    return found - set(dir(builtins))


def _supply(name: str, names: dict[str, Any], reference: Callable) -> None:
    """Bind what an answer counts on: what another exercise asks for, a usual name, or one that the reference uses."""
    for one in EXERCISES.values():
        if one.name == name:
            bring_back(one, names)
            return
    found = USUAL | vars(sys.modules[reference.__module__])
    if name in found:
        names[name] = found[name]
