"""The package as a whole: what imports what, what an import costs, what is documented."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import vae_course as vc

PACKAGE = Path(vc.__file__).parent
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
COUNTS = ["nearly_counts", "validation", "counts_in_anndata", "data", "names"]
CORE = [
    "distributions",
    *COUNTS,
    "simulate",
    "reading",
    "genes",
    "files",
    "nn",
    "model",
    "moments",
    "binary_vae",
    "scvi_tools",
]
CORE += ["vae", "mapping", "fast", "metrics", "differential", "imputation", "posterior", "early_stopping", "trainer"]
REPORT = ["report_svg", "report_page", "report_figures", "report"]
ORDER = [
    "runtime",
    *CORE,
    "plots",
    "exercises",
    "explore",
    "grading",
    "lab",
    *REPORT,
    "commands",
    "cli",
]  # may import those before
HEAVY = ["matplotlib", "scanpy", "sklearn"]


def unit_of(path: Path) -> str:
    """Name of the file or folder of the package that this file belongs to, without its ending."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_units(path: Path) -> set[str]:
    """Files and folders of the package that this file imports at run time, anywhere in it."""
    found, tree = set(), parsed(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []  # names in annotations are no imports at run time
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}, line {node.lineno}: imports are written in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "vae_course":
                found.add(unit_that_defines(parts[1]) if len(parts) > 1 else "__init__")
    return found


def unit_that_defines(name: str) -> str:
    """Resolve `from vae_course import VAE`, which is an import of vae.py."""
    if name == "__version__" or (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file():
        return name
    return getattr(vc, name).__module__.split(".")[1]


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path):
    unit = unit_of(path)
    imported = imported_units(path) - {unit}
    assert unit in ORDER, f"{unit} has no place in the order of imports"
    backwards = imported - {"__init__", "__version__"} - set(ORDER[: ORDER.index(unit)])
    assert not backwards, f"{unit} comes before {backwards} or at least not after"
    if unit not in ("commands", "cli"):  # they come after everything, and may import the package as a user does
        assert "__init__" not in imported, "import a module of the package, not the package"


def test_the_package_itself_imports_nothing_of_itself():
    assert imported_units(PACKAGE / "__init__.py") == set()


def test_only_plots_imports_matplotlib():
    for path in FILES:
        names = {
            alias.name if isinstance(node, ast.Import) else node.module
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        if unit_of(path) in CORE:
            assert not any(name.split(".")[0] in ("matplotlib", "seaborn") for name in names), path.name


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh process has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_the_package_loads_nothing_slow():
    loaded = loaded_after("import vae_course")
    assert "vae_course" in loaded
    assert not loaded & {*HEAVY, "pandas", "anndata", "scipy", "numpy", "torch", "tqdm"}


def test_importing_the_core_loads_nothing_to_draw_with():
    loaded = loaded_after(f"from vae_course import {', '.join(CORE)}")
    assert "vae_course.trainer" in loaded
    assert not loaded & {*HEAVY, "anndata", "umap"}


@pytest.mark.parametrize("name", [name for name in vc.__all__ if name != "plots"])
def test_every_public_name_resolves(name):
    assert getattr(vc, name) is not None
    assert name in dir(vc)


def test_public_names_are_those_of_their_modules():
    assert vc.VAE is vc.vae.VAE
    assert vc.CountData is vc.data.CountData
    assert vc.UnsupervisedTrainer is vc.trainer.UnsupervisedTrainer
    assert vc.Posterior is vc.posterior.Posterior
    assert set(CORE) - set(COUNTS[:3]) <= set(vc.__all__)
    assert len(vc.__all__) == len(set(vc.__all__))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = vc.nonsense


def test_there_is_one_version():
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "vae_course.__version__"}
    assert version("vae-course") == vc.__version__


DOCUMENTED = [path.relative_to(PACKAGE).as_posix() for path in FILES if unit_of(path) in ("runtime", *CORE)] + [
    f"exercises/{module}.py" for module in ("__init__", "attempt", "engine", "record", "sources")
]


@pytest.mark.parametrize("module", DOCUMENTED)
def test_everything_public_has_a_docstring(module):
    tree = parsed(PACKAGE / module)
    assert ast.get_docstring(tree), f"{module} says nothing about itself"
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    public = [node for node in tree.body if isinstance(node, definitions) and not node.name.startswith("_")]
    for node in list(public):
        if isinstance(node, ast.ClassDef):
            public += [part for part in node.body if isinstance(part, definitions) and not part.name.startswith("_")]
    assert public or module.endswith("__init__.py")
    bare = [f"{node.name} (line {node.lineno})" for node in public if not ast.get_docstring(node)]
    assert not bare


@pytest.mark.parametrize("module", DOCUMENTED)
def test_every_public_function_has_types(module):
    functions = [node for node in ast.walk(parsed(PACKAGE / module)) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        if function.name.startswith("_") and function.name != "__init__":
            continue
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        untyped = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        assert not untyped, f"{function.name}, line {function.lineno}: {untyped}"
        assert function.returns is not None, f"{function.name}, line {function.lineno}"
