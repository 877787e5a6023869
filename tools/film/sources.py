"""What a beat is made of: a key that changes with anything its pictures depend on, and with nothing else."""

import ast
import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from videos import without_film

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(__file__).parent
# Modules that have no part in what a beat shows; what is spoken has a name of its own (voice.name_of).
ELSEWHERE = {
    "__init__", "captions", "check", "engines", "fetch_voice", "listen", "make", "picture", "record", "render",
    "respell", "script", "sources", "stills", "transcript", "voice",
}  # fmt: skip


def key(script: Path, beat: str, notebook: Path, settings: str) -> str:
    """Return the key of a beat: its code, all code that this uses, the executed lesson, and what draws it."""
    own, shared = _names(script), _shared()
    used, queue = {}, [beat, *_always(script)]
    while queue:
        name = queue.pop()
        if name in used:
            continue
        nodes = own.get(name, []) + shared.get(name, [])
        used[name] = [_code(node) for node in nodes]
        queue += [one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)]
    parts = [f"{name}: {code}" for name, codes in sorted(used.items()) for code in codes]
    lesson = without_film(notebook.read_text(encoding="utf-8"))
    parts += [settings, version("manim"), version("typst"), hashlib.sha256(lesson.encode()).hexdigest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _names(path: Path) -> dict[str, list[ast.AST]]:
    """Return the statements of a module by the names that they give a meaning to; what has no name is under "*"."""
    found: dict[str, list[ast.AST]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [(alias.asname or alias.name).split(".")[0] for alias in node.names if alias.name != "*"]
        else:
            stored = [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
            names = stored or ["*"]
        for name in names:
            found.setdefault(name, []).append(node)
    return found


@cache
def _shared() -> dict[str, list[ast.AST]]:
    found: dict[str, list[ast.AST]] = {}
    for path in sorted(TOOLS.glob("*.py")):
        if path.stem not in ELSEWHERE:
            for name, nodes in _names(path).items():
                found.setdefault(name, []).extend(nodes)
    return found


def _always(script: Path) -> list[str]:
    return ["*"] if "*" in _names(script) or "*" in _shared() else []


def _code(node: ast.AST) -> str:
    """Return the code of a statement without its comments and layout; of an import from the course, the module's."""
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        path = ROOT / f"{node.module.replace('.', '/')}.py"
        if path.exists() and path.is_relative_to(ROOT / "vae_course"):
            return ast.dump(ast.parse(path.read_text(encoding="utf-8")))
    return ast.dump(node)
