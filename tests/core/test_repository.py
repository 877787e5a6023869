"""The files around the code agree with it and with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXTS = [path for path in ROOT.glob("*.md") if path.is_file()] + sorted(ROOT.glob("d*/*.md"))


def test_environment_yml_is_in_step_with_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    python = next(line for line in conda if line.startswith("python=")).removeprefix("python=")
    assert tuple(map(int, python.split("."))) >= tuple(map(int, PROJECT["requires-python"].lstrip(">=").split(".")))
    torch = next(line for line in PROJECT["dependencies"] if line.startswith("torch"))
    assert torch in pip["pip"]
    installed = next(line for line in pip["pip"] if line.startswith("-e ."))
    extras = set(re.search(r"\[(.*)\]", installed).group(1).split(","))
    assert extras == {"genes", "lab"}
    assert extras <= PROJECT["optional-dependencies"].keys()
    assert any("download.pytorch.org/whl/cpu" in line for line in pip["pip"])  # no CUDA build


def test_constraints_pin_what_is_asked_for_and_the_package_pins_nothing():
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(line for extra in extras.values() for line in extra)]
    assert {re.match(r"[\w-]+", line).group() for line in asked} <= pinned
    assert not [line for line in asked if "==" in line.split(";")[0]]


def test_the_address_is_one_value():
    address = PROJECT["urls"]["Homepage"]
    for path in [*TEXTS, ROOT / "CITATION.cff", ROOT / "environment.yml"]:
        host = re.escape(address.rsplit("/", 2)[0])
        mine = re.findall(rf"{host}/[\w.-]+/vae_course", path.read_text())
        assert set(mine) <= {address}, path


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_are_alive(path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    dead = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not dead


def test_version_is_the_same_everywhere():
    import vae_course

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vae_course.__version__
    assert f"## {vae_course.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_launcher_explains_itself_and_refuses_unknown_words():
    run = subprocess.run([sys.executable, ROOT / "course.py", "dance"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "lab | demo | test" in run.stderr


def test_readme_names_every_command_of_the_launcher():
    readme = (ROOT / "README.md").read_text()
    assert all(f"python3 course.py {word}" in readme for word in ("lab", "demo", "test"))


def test_bundled_files_are_in_the_wheel():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["vae_course"]
    package = ROOT / "vae_course"
    travelling = {path for pattern in patterns for path in package.glob(pattern + "/*" if "**" in pattern else pattern)}
    beside = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert {path for path in beside if "_lessons" not in path.parts} == {path for path in travelling if path.is_file()}
    assert (ROOT / "vae_course" / "_data" / "pbmc68k_reduced.npz").stat().st_size < 1_500_000


def test_readme_tells_what_every_lesson_costs_and_it_is_within_the_budget():
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| (\d\d_\w+) \| (\d+) \| (\d+) \| ([\d.]+) \|$", readme, flags=re.MULTILINE)
    assert [row[0] for row in rows] == sorted(path.stem for path in (ROOT / "lessons").glob("*.ipynb"))
    for _, seconds, longest, gigabytes in rows:
        assert int(seconds) < 90
        assert int(longest) <= 30
        assert float(gigabytes) < 1.5


def test_the_results_are_those_that_the_benchmarks_kept(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import results

    assert (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8") == results.results()
    assert "was not run yet" not in results.results()
