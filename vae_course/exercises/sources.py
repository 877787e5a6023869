"""Source code as lessons show it: whole, or with the body blanked for the learner to write."""

import ast
import inspect
from collections.abc import Callable
from importlib import import_module
from textwrap import dedent

BLANK = "...  # your code"


def find(symbol: str) -> Callable:
    """Return what a dotted name such as "vae_course.distributions.kl_normal" stands for."""
    module, name = symbol.rsplit(".", 1)
    return getattr(import_module(module), name)


def source_of(thing: Callable) -> str:
    """Return the source of a function or a class as it stands in its file, without a newline at the end."""
    return dedent(inspect.getsource(thing)).rstrip()


def blanked(source: str) -> str:
    """Return a function or a class with every body blank; signatures stay, and docstrings but for their errors.

    Private methods of a class are part of its solution and go.
    """
    node = ast.parse(source).body[0]
    lines = source.splitlines()
    if not isinstance(node, ast.ClassDef):
        return _blanked_function(node, lines)
    first_method = next(part for part in node.body if isinstance(part, ast.FunctionDef))
    kept = ["\n".join(lines[: first_method.lineno - 1]).rstrip()]
    kept += [_blanked_function(method, lines) for method in node.body if _is_public_method(method)]
    return "\n\n".join(kept)


def excerpt(source: str, methods: list[str], base: str | None = None) -> str:
    """Return a class with some of its methods alone, each with the first line of its docstring.

    Parameters
    ----------
    source
        Source of the class.
    methods
        Names, in the order wanted.
    base
        What the class inherits from in the excerpt; as in the source if None.
    """
    node = ast.parse(source).body[0]
    lines = source.splitlines()
    header = lines[node.lineno - 1] if base is None else f"class {node.name}({base}):"
    found = {part.name: part for part in node.body if isinstance(part, ast.FunctionDef)}
    return header + "\n" + "\n\n".join(_with_short_docstring(found[name], lines) for name in methods)


def names_beside(thing: Callable) -> list[str]:
    """Return what a function or class uses from its own module, in alphabetical order."""
    module = import_module(thing.__module__)
    used = {node.id for node in ast.walk(ast.parse(source_of(thing))) if isinstance(node, ast.Name)}
    mine = [name for name in used if getattr(getattr(module, name, None), "__module__", None) == module.__name__]
    return sorted(name for name in mine if name != thing.__name__)


def without_docstrings(source: str) -> str:
    """Return a function or a class without its docstrings: what a reader compares with an attempt."""
    tree = ast.parse(source)
    lines: list[str | None] = list(source.splitlines())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            docstring = node.body[0]
            lines[docstring.lineno - 1 : docstring.end_lineno] = [None] * (docstring.end_lineno - docstring.lineno + 1)
    return "\n".join(line for line in lines if line is not None)


def solution_lines(source: str) -> set[str]:
    """Return the stripped lines that are in a solution and not in its blank."""
    kept = {line.strip() for line in blanked(source).splitlines()}
    return {line.strip() for line in without_docstrings(source).splitlines()} - kept


def says_nothing(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, `...`, `pass` or `raise NotImplementedError`."""
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Pass)


def _is_public_method(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_"))


def _with_short_docstring(node: ast.FunctionDef, lines: list[str]) -> str:
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    docstring = node.body[0]
    if ast.get_docstring(node) is None:
        return "\n".join(lines[start - 1 : node.end_lineno])
    short = f'{" " * docstring.col_offset}"""{ast.get_docstring(node).splitlines()[0]}"""'
    return "\n".join([*lines[start - 1 : docstring.lineno - 1], short, *lines[docstring.end_lineno : node.end_lineno]])


def _blanked_function(node: ast.FunctionDef, lines: list[str]) -> str:
    first = node.body[0]
    has_docstring = ast.get_docstring(node) is not None
    end = first.end_lineno if has_docstring else first.lineno - 1
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    indent = " " * (node.col_offset + 4)
    kept = _without_raises(lines[start - 1 : end]) if has_docstring else lines[start - 1 : end]
    return "\n".join([*kept, indent + BLANK])


def _without_raises(lines: list[str]) -> list[str]:
    """Return the lines of a signature and docstring without the section on errors, which no exercise asks for."""
    heads = [n for n, line in enumerate(lines) if line.strip() == "Raises"]
    if not heads:
        return lines
    following = [n for n in range(heads[0] + 2, len(lines)) if lines[n].strip("- ") == "" and "-" in lines[n]]
    end = following[0] - 1 if following else len(lines) - 1
    return [*lines[: heads[0] - 1], *lines[end:]]
