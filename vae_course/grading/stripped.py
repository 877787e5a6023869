"""The package as a student's code sees it while it is graded: without the answers to what is still to be graded.

Reference answers are blank, and so are the functions beside them that only they are made of. The files of exercises
keep what calls an attempt, and lose right answers, misconceptions and hints. Once an exercise is graded its reference
may be handed in (`answer_of`): what comes later may be built on it.
"""

import ast
import compileall
import inspect
import shutil
from pathlib import Path
from types import ModuleType

from vae_course.exercises import EXERCISES, LESSONS
from vae_course.exercises.engine import Exercise
from vae_course.exercises.sources import blanked, find, names_beside, source_of

ROOT = Path(__file__).parents[1]
EXERCISES_STUB = '''"""Exercises, as they are while a notebook is graded: nothing is checked here."""


def exercise(exercise_id):
    return lambda attempt: attempt


def check(*arguments):
    """Do nothing."""


catch_up = export_progress = hint = import_progress = progress = reset = solution = check
'''


def write_package(folder: Path) -> None:
    """Write the package without any answer to an exercise into a folder."""
    shutil.copytree(ROOT, folder / "vae_course", ignore=shutil.ignore_patterns("__pycache__"))
    secret = {symbol for one in EXERCISES.values() for symbol in symbols_of(one)}
    for path in ROOT.glob("*.py"):
        mine = {symbol.rsplit(".", 1)[1] for symbol in secret if symbol.startswith(f"vae_course.{path.stem}.")}
        (folder / "vae_course" / path.name).write_text(_with_blanks(path.read_text(encoding="utf-8"), mine), "utf-8")
    exercises = folder / "vae_course" / "exercises"
    for path in exercises.glob("*.py"):
        if path.name not in ("attempt.py", "sources.py"):
            path.unlink()
    _write_what_calls_attempts(exercises)
    (exercises / "__init__.py").write_text(EXERCISES_STUB, encoding="utf-8")
    for path in (folder / "vae_course" / "grading").glob("*.py"):
        if path.name not in ("answers.py", "runner.py", "wire.py"):
            path.unlink()
    (folder / "vae_course" / "grading" / "__init__.py").write_text("", encoding="utf-8")
    compileall.compile_dir(folder, quiet=1)  # once, not at every start


def symbols_of(exercise: Exercise) -> list[str]:
    """Return the dotted names of a reference answer and of the functions of its module that it is made of."""
    module = exercise.symbol.rsplit(".", 1)[0]
    found = [exercise.symbol]
    for symbol in found:  # grows
        beside = [f"{module}.{name}" for name in names_beside(find(symbol))]
        found += [one for one in beside if one not in found and _is_part(one)]
    return found


def answer_of(exercise: Exercise) -> dict[str, str]:
    """Return the sources of an exercise's reference answer, by dotted name, what it is made of first."""
    return {symbol: source_of(find(symbol)) for symbol in reversed(symbols_of(exercise))}


def _is_part(symbol: str) -> bool:
    """Whether something beside an answer is a part of it: a function that is no answer to another exercise."""
    return inspect.isfunction(find(symbol)) and all(symbol != one.symbol for one in EXERCISES.values())


def _with_blanks(source: str, names: set[str]) -> str:
    lines = source.splitlines()
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            start, end = _first_line(node) - 1, node.end_lineno
            lines[start:end] = blanked("\n".join(lines[start:end])).splitlines()
    return "\n".join(lines) + "\n"


def _write_what_calls_attempts(folder: Path) -> None:
    """Write the lessons' files with what the `use` of their exercises is made of, alone."""
    wanted = {lesson.__name__: {one.use.__name__ for one in lesson.EXERCISES if one.use} for lesson in LESSONS}
    for lesson in reversed(LESSONS):
        kept = _needed(lesson, wanted[lesson.__name__])
        for node in kept:
            if isinstance(node, ast.ImportFrom) and node.module in wanted:
                wanted[node.module] |= {alias.name for alias in node.names}
        text = "\n\n".join(ast.unparse(node) for node in kept) + "\n"
        (folder / Path(lesson.__file__).name).write_text(text, encoding="utf-8")


def _needed(lesson: ModuleType, names: set[str]) -> list[ast.stmt]:
    """Return the statements of a lesson's file that bind names, or what these are made of; answers excepted."""
    body = ast.parse(inspect.getsource(lesson)).body
    answers = {symbol.rsplit(".", 1)[1] for one in lesson.EXERCISES for symbol in symbols_of(one)}
    kept: set[ast.stmt] = set()
    while more := {node for node in body if node not in kept and names & (_names_bound_by(node) - answers)}:
        kept |= more
        names = names | {part.id for node in more for part in ast.walk(node) if isinstance(part, ast.Name)}
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imports:
        if getattr(node, "module", "").startswith("vae_course.exercises"):  # stripped themselves
            node.names = [alias for alias in node.names if (alias.asname or alias.name) in names]
    return [node for node in body if node in kept or (node in imports and node.names)]


def _names_bound_by(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    return set()


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
