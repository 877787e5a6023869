"""The package as a student's code sees it while it is graded: without the answers to what is still to be graded.

Of the exercises and of the grader the sandbox gets the files listed here, whole, and no other. In the rest of the
package the reference answers are blank, and so are the functions beside them that only they are made of. Once an
exercise is graded its reference may be handed in (`answer_of`): what comes later may be built on it.
"""

import ast
import compileall
import inspect
import shutil
from importlib import import_module
from pathlib import Path

from vae_course.exercises import EXERCISES
from vae_course.exercises.engine import Exercise
from vae_course.exercises.sources import blanked, find, names_beside, source_of

ROOT = Path(__file__).parents[1]
SHIPPED = [
    *(
        "exercises/attempt.py",
        "exercises/limits.py",
        "exercises/sources.py",
        "exercises/calling.py",
        "exercises/wire.py",
    ),
    *("exercises/e*/__init__.py", "exercises/e*/calls.py"),
    *("grading/answers.py", "grading/commands.py", "grading/runner.py"),
]
GIVEN = {  # stand beside an answer, and its lesson hands them to the readers
    "vae_course.nn.one_hot_covariates",
    "vae_course.mapping.learn_columns",
    "vae_course.mapping.freeze_batch_norm",
}
EXERCISES_STUB = '''"""Exercises, as they are while a notebook is graded: nothing is checked here."""


def exercise(exercise_id):
    return lambda attempt: attempt


def check(*arguments):
    """Do nothing."""


as_vae = catch_up = export_progress = hint = import_progress = progress = reset = solution = whose = check
'''


def write_package(folder: Path) -> None:
    """Write the package without any answer to an exercise into a folder."""
    package = folder / "vae_course"
    shutil.copytree(ROOT, package, ignore=shutil.ignore_patterns("__pycache__", "exercises", "grading"))
    for path in [path for pattern in SHIPPED for path in ROOT.glob(pattern)]:
        copy = package / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    (package / "exercises" / "__init__.py").write_text(EXERCISES_STUB, encoding="utf-8")
    (package / "grading" / "__init__.py").touch()
    for module, names in _secrets().items():
        path = Path(import_module(module).__file__)
        text = _with_blanks(path.read_text(encoding="utf-8"), names)
        (package / path.relative_to(ROOT)).write_text(text, encoding="utf-8")
    compileall.compile_dir(folder, quiet=1)  # once, not at every start


def symbols_of(exercise: Exercise) -> list[str]:
    """Return the dotted names of a reference answer and of the functions of its module that it is made of."""
    module = _module_of(exercise)
    found = [exercise.symbol]
    for symbol in found:  # grows
        beside = [f"{module}.{name}" for name in names_beside(find(symbol))]
        found += [one for one in beside if one not in found and _is_part(one)]
    return found


def answer_of(exercise: Exercise) -> dict[str, str]:
    """Return the sources of an exercise's reference answer, by dotted name, what it is made of first.

    Of an answer that is not in the sandbox's package at all this is the source of its module.
    """
    module = _module_of(exercise)
    if _is_shipped(module):
        return {symbol: source_of(find(symbol)) for symbol in reversed(symbols_of(exercise))}
    return {module: inspect.getsource(import_module(module))}


def _secrets() -> dict[str, set[str]]:
    """Return what has to be blank in the modules that the sandbox gets: module -> names."""
    found: dict[str, set[str]] = {}
    for one in EXERCISES.values():
        if _is_shipped(module := _module_of(one)):
            found.setdefault(module, set()).update(symbol.rsplit(".", 1)[1] for symbol in symbols_of(one))
    return found


def _module_of(exercise: Exercise) -> str:
    return exercise.symbol.rsplit(".", 1)[0]


def _is_shipped(module: str) -> bool:
    return not module.startswith("vae_course.exercises.")


def _is_part(symbol: str) -> bool:
    """Whether something beside an answer is a part of it: a function that is no answer to another exercise."""
    answers = {one.symbol for one in EXERCISES.values()}
    return inspect.isfunction(find(symbol)) and symbol not in answers | GIVEN


def _with_blanks(source: str, names: set[str]) -> str:
    """Return the source of a module with the functions and classes of these names blank."""
    lines = source.splitlines()
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
            lines[start : node.end_lineno] = blanked("\n".join(lines[start : node.end_lineno])).splitlines()
    return "\n".join(lines) + "\n"
