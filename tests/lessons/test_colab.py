"""Machines that have packages already, such as Colab's and Binder's: the course adds to them and moves nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import build_lessons as build
import nbformat
import pip
import pytest
import yaml

ROOT = Path(__file__).parents[2]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SLUG = PROJECT["urls"]["Homepage"].removeprefix("https://github.com/")


def newest():
    """Python 3.13, which is Colab's, if it is here; one of pyenv's will do."""
    found = shutil.which("python3.13")
    show = [found, "-c", "import sys; print(sys.executable)"]
    run = found and subprocess.run(show, env=os.environ | {"PYENV_VERSION": "3.13"}, capture_output=True, text=True)
    return [run.stdout.strip()] if run and not run.returncode else []


PYTHONS = [sys.executable, *newest()]

# What Colab has of the course's needs, and an older set: statsmodels would be moved if nothing held it.
COLAB = """torch==2.11.0+cu128 torchvision==0.26.0+cu128 numpy==2.0.2 pandas==2.2.2 scipy==1.16.3 scikit-learn==1.6.1
matplotlib==3.10.0 tqdm==4.67.1 platformdirs==4.5.0 numba==0.60.0 llvmlite==0.43.0 statsmodels==0.14.5 seaborn==0.13.2
h5py==3.15.1 natsort==8.4.0 networkx==3.5 joblib==1.5.2 packaging==25.0 patsy==1.0.2 typing_extensions==4.15.0
fsspec==2025.3.0 google-crc32c==1.7.1 PyYAML==6.0.3"""
WITHOUT_NUMPY = re.sub(r"(numpy|pandas)\S+", "", COLAB)
OLDER = """torch==2.5.1+cu124 numpy==1.26.4 pandas==2.2.2 scipy==1.13.1 scikit-learn==1.6.0 matplotlib==3.10.0
numba==0.60.0 llvmlite==0.43.0 statsmodels==0.14.4 seaborn==0.13.2 h5py==3.12.1 tqdm==4.67.1 platformdirs==4.3.6"""


def pretend_to_install(folder, name, version, requirements=()):
    """Write what pip reads of an installed package, or of one in a wheel, and nothing else of it."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requirements)
    needs += "".join(f"Provides-Extra: {extra}\n" for extra in sorted(set(re.findall(r'extra == "(\w+)"', needs))))
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{needs}")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (info / "RECORD").write_text("")
    return info


def wheel_of(folder, name, version, requirements=()):
    """Write a wheel of a package with nothing in it but what it needs."""
    info = pretend_to_install(folder / "unpacked" / name, name, version, requirements)
    path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in info.iterdir():
            archive.write(file, f"{info.name}/{file.name}")
    return path


@pytest.fixture
def course(tmp_path):
    """Write a wheel that needs what the course needs."""
    extras = PROJECT["optional-dependencies"]
    optional = [f'{line}; extra == "{extra}"' for extra in ("genes", "lab") for line in extras[extra]]
    return wheel_of(tmp_path, "vae-course", "1.0", [*PROJECT["dependencies"], *optional])


def planned(report):
    """Name -> version of what pip would install."""
    metadata = [package["metadata"] for package in json.loads(report.read_text())["install"]]
    return {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in metadata}


def run_setup(python, folder, there, course, **variables):
    """Run the lessons' first cell in a new environment that has these packages; return the run and pip's plan."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    inside = next(path for path in (folder / "venv").glob("*/python*") if path.stem == "python")
    where = [inside, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    (site / "pip").symlink_to(Path(pip.__file__).parent)  # quicker than to install it
    for line in there:
        package, *needs = line.split("@")
        pretend_to_install(site, *package.split("=="), needs)
    address = re.search(r"git\+https://[\w./@-]+", build.SETUP).group()
    report = folder / "report.json"
    run = subprocess.run(
        [inside, "-c", build.SETUP.replace(address, course.as_uri())],
        cwd=folder,  # not the repository, where Python finds the package
        env=os.environ | {"PIP_DRY_RUN": "1", "PIP_REPORT": str(report)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return run, planned(report) if report.exists() else {}


@pytest.mark.parametrize("there", [COLAB, OLDER, WITHOUT_NUMPY], ids=["colab", "older", "without-numpy"])
@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: Path(path).name)
def test_the_first_cell_adds_what_is_missing_and_moves_nothing(tmp_path, course, python, there):
    run, plan = run_setup(python, tmp_path, there.split(), course)
    assert run.returncode == 0, run.stderr
    moved = plan.keys() & {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in there.split()}
    assert not moved, {name: plan[name] for name in moved}
    assert {"vae-course", "scanpy", "anndata", "umap-learn"} <= plan.keys()
    assert ("numpy" in plan) == ("numpy" not in there)


def test_where_packages_contradict_each_other_the_first_cell_moves_others_only(tmp_path, course):
    there = COLAB.replace("torch==2.11.0+cu128", "torch==2.11@sympy>=1.13 sympy==1.12")
    run, plan = run_setup(sys.executable, tmp_path, there.split(), course)
    assert run.returncode == 0, run.stderr
    assert {"vae-course", "sympy"} <= plan.keys()
    assert not plan.keys() & {"torch", "numpy", "pandas", "scipy"}


def test_the_first_cell_says_in_one_line_that_it_failed(tmp_path, course):
    run, _ = run_setup(sys.executable, tmp_path, [], course, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert run.stderr.splitlines()[-1].startswith("The course could not be installed: check the network connection")


def test_the_first_cell_asks_nobody_where_the_course_is_installed(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("pip was called")

    monkeypatch.setattr(subprocess, "run", refuse)
    exec(build.SETUP, {})


def test_the_first_cell_installs_from_the_branch_that_the_links_lead_to():
    assert f'"vae-course @ git+{PROJECT["urls"]["Homepage"]}@main"' in build.SETUP


@pytest.mark.parametrize("lesson", build.sources(), ids=lambda path: path.stem)
def test_colab_and_binder_open_a_file_that_is_there(lesson):
    header = nbformat.read(lesson.with_suffix(".ipynb"), as_version=4).cells[0].source
    (colab,) = re.findall(rf"\]\(https://colab\.research\.google\.com/github/{SLUG}/blob/main/([\w/.]+)\)", header)
    (binder,) = re.findall(rf"\]\(https://mybinder\.org/v2/gh/{SLUG}/main\?urlpath=lab/tree/([\w/.]+)\)", header)
    assert colab == binder == f"lessons/{lesson.stem}.ipynb"
    assert (ROOT / colab).is_file()


def test_environment_yml_chooses_no_cuda_build(tmp_path, course):
    """The registry's PyTorch needs CUDA; a stand-in for PyTorch's own index has the other, as the real one."""
    *_, wanted = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pinned = re.search(r"^torch==(.*)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE).group(1)
    index = tmp_path / "index" / "torch"
    index.mkdir(parents=True)
    wheel = wheel_of(index, "torch", f"{pinned}+cpu")
    (index / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>')
    lines = "\n".join(wanted["pip"]).replace("https://download.pytorch.org/whl/cpu", index.parent.as_uri())
    lines = re.sub(r"^-e \.(.*)$", rf"vae-course\1 @ {course.as_uri()}", lines, flags=re.MULTILINE)
    requirements, report = tmp_path / "requirements.txt", tmp_path / "report.json"
    requirements.write_text(lines.replace("constraints.txt", str(ROOT / "constraints.txt")))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--report", report, "-r", requirements]
    fresh = ["--python-version", "3.12", "--only-binary", ":all:", "--target", tmp_path / "target", "--no-deps"]
    subprocess.run([*command, *fresh], check=True)
    assert planned(report) == {"torch": f"{pinned}+cpu", "vae-course": "1.0"}
