"""`vae-course lab`: the learner's copies, what is in an installed package, and Ctrl-C."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from vae_course import lab
from vae_course.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with one lesson of version 1.0, and a JupyterLab that only notes where it was opened."""

    def write(version):
        text = json.dumps({"cells": [], "metadata": {"vae_course": {"version": version}}, "text": f"of {version}"})
        (tmp_path / "lessons" / "00_latents.ipynb").write_text(text)

    (tmp_path / "lessons").mkdir()
    (tmp_path / "docs" / "videos").mkdir(parents=True)
    write("1.0")
    opened = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "LESSONS", tmp_path / "lessons")
    monkeypatch.setattr(lab, "FILMS", tmp_path / "docs" / "videos")
    monkeypatch.setattr(lab, "run_jupyterlab", lambda folder, options: opened.append((str(folder), options)) or 0)
    return tmp_path, write, opened


def test_lab_opens_the_learners_own_copies(course):
    folder, _, opened = course
    assert main(["lab", "--no-browser"]) == 0
    start = "--LabApp.default_url=/lab/tree/START.ipynb"
    assert opened == [("work", [start, "--LabApp.expose_app_in_browser=True", "--no-browser"])]
    assert sorted(os.listdir(folder / "work")) == ["00_latents.ipynb", "START.ipynb", "progress.svg"]


def test_lab_never_overwrites_and_puts_a_newer_version_beside(course):
    folder, write, _ = course
    assert main(["lab"]) == 0
    mine = folder / "work" / "00_latents.ipynb"
    mine.write_text(mine.read_text().replace("of 1.0", "my answers"))
    assert main(["lab"]) == 0
    assert sorted(os.listdir(folder / "work")) == ["00_latents.ipynb", "START.ipynb", "progress.svg"]
    write("1.1")
    for _ in range(2):
        assert main(["lab"]) == 0
        assert sorted(os.listdir(folder / "work")) == [
            "00_latents.ipynb",
            "00_latents_v1.1.ipynb",
            "START.ipynb",
            "progress.svg",
        ]
    assert "my answers" in mine.read_text()
    assert "of 1.1" in (folder / "work" / "00_latents_v1.1.ipynb").read_text()


def test_lab_leaves_a_broken_copy_alone(course):
    folder, _, _ = course
    (folder / "work").mkdir()
    (folder / "work" / "00_latents.ipynb").write_text("{half a notebook")
    assert main(["lab"]) == 0
    assert (folder / "work" / "00_latents.ipynb").read_text() == "{half a notebook"
    assert (folder / "work" / "00_latents_v1.0.ipynb").exists()


# As nbformat writes the header and the minute of a lesson with a film (tools/build_lessons.py).
WITH_FILM = json.dumps(
    [
        '<video controls poster="../../../files/docs/videos/film_4.jpg" src="../docs/videos/film_4.mp4">'
        f'<a href="{lab.ADDRESS}"><img src="../docs/videos/film_4.jpg" alt="The film"></a></video>\n',
        "\n",
        "4 minutes · [▶ 01:07](../docs/videos/film_4.mp4#t=67), [notation](../docs/notation.md)\n",
    ],
    ensure_ascii=False,
)


def test_a_film_is_played_from_beside_the_copies(course):
    folder, _, _ = course
    films = folder / "docs" / "videos"
    for name in ("film_4.mp4", "film_4.jpg", "film_4.json", "README.md"):
        (films / name).write_text(f"the first {name}")
    (folder / "lessons" / "04_elbo.ipynb").write_text(f'{{"cells": {WITH_FILM}}}', encoding="utf-8")
    assert main(["lab"]) == 0
    assert sorted(os.listdir(folder / "work" / "videos")) == ["film_4.jpg", "film_4.mp4"]
    assert (folder / "work" / "videos" / "film_4.mp4").samefile(films / "film_4.mp4"), "takes no room"
    player, _, minute = json.loads((folder / "work" / "04_elbo.ipynb").read_text(encoding="utf-8"))["cells"]
    assert player == (
        '<video controls poster="../../files/videos/film_4.jpg" src="videos/film_4.mp4">'
        f'<a href="{lab.ADDRESS}"><img src="videos/film_4.jpg" alt="The film"></a></video>\n'
    )
    assert minute.startswith("4 minutes · [▶ 01:07](videos/film_4.mp4#t=67), [notation](https://")
    (films / "film_4.mp4").unlink()
    (films / "film_4.mp4").write_text("a later one")
    assert main(["lab"]) == 0
    assert (folder / "work" / "videos" / "film_4.mp4").read_text() == "a later one"


def test_films_are_copied_where_there_are_no_links(course, monkeypatch):
    folder, _, _ = course
    (folder / "docs" / "videos" / "film_4.mp4").write_text("a film")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    for _ in range(2):
        assert main(["lab"]) == 0
        assert (folder / "work" / "videos" / "film_4.mp4").read_text() == "a film"


def test_without_the_film_there_is_no_player_and_the_links_lead_to_the_web(course):
    folder, _, _ = course
    (folder / "docs" / "videos" / "film_4.mp4").write_text("a film")
    (folder / "work").mkdir()
    (folder / "work" / "videos").write_text("in the way")
    (folder / "lessons" / "04_elbo.ipynb").write_text(f'{{"cells": {WITH_FILM}}}', encoding="utf-8")
    assert main(["lab"]) == 0
    player, _, minute = json.loads((folder / "work" / "04_elbo.ipynb").read_text(encoding="utf-8"))["cells"]
    assert player == "\n"
    assert minute.startswith(f"4 minutes · [▶ 01:07]({lab.ADDRESS}/blob/main/docs/videos/film_4.mp4#t=67), ")


def test_without_jupyterlab_the_command_says_how_to_get_it(course, monkeypatch, capsys):
    folder, _, opened = course
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    assert main(["lab"]) == 1
    assert "pip install 'vae-course[lab]'" in capsys.readouterr().err
    assert not opened
    assert not (folder / "work").exists()


# --------------------------------------------------------------------------------------------------------------------
# Real processes, with a JupyterLab that takes a while to save
# --------------------------------------------------------------------------------------------------------------------

JUPYTERLAB = """
import signal, sys, time
from pathlib import Path

def save(*_):
    signal.signal(signal.SIGINT, lambda *_: sys.exit(4))
    print("saving", flush=True)
    time.sleep(2)
    Path("saved").touch()
    sys.exit(0)

if "--fail" in sys.argv:
    sys.exit(3)
signal.signal(signal.SIGINT, save)
print("started", flush=True)
time.sleep(60)
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="sends the signals of a POSIX terminal")


@pytest.fixture
def environment(tmp_path):
    """Environment in which `import jupyterlab` finds the one above."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "jupyterlab.py").write_text(JUPYTERLAB)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "fake"), str(ROOT)])}


def interrupted(command, n_signals, folder, environment):
    """Start a command as a terminal does, press Ctrl-C when JupyterLab is up (and again when it saves), and wait."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes)
    try:
        for line in ["started\n", "saving\n"][:n_signals]:
            assert process.stdout.readline() == line
            os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, errors


LAB = [sys.executable, "-m", "vae_course.cli", "lab"]
COURSE = [sys.executable, "-c", "import sys, course; course.install = lambda: None; sys.exit(course.main())", "lab"]


@posix
@pytest.mark.parametrize("command", [LAB, COURSE], ids=["vae-course", "course.py"])
@pytest.mark.parametrize(("n_signals", "status", "saved"), [(1, 0, True), (2, 4, False)], ids=["once", "twice"])
def test_ctrl_c_is_left_to_jupyterlab(tmp_path, environment, command, n_signals, status, saved):
    shutil.copy(ROOT / "course.py", tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    assert interrupted(command, n_signals, tmp_path, environment) == (status, "")
    assert (tmp_path / "work" / "saved").exists() is saved


@posix
def test_ctrl_c_while_lessons_are_copied_stops_without_advice_about_training(course, monkeypatch, capsys):
    monkeypatch.setattr(lab, "copy_lesson", lambda *_: os.kill(os.getpid(), signal.SIGINT) or time.sleep(5))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        assert main(["lab"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "vae-course: stopped.\n"


# --------------------------------------------------------------------------------------------------------------------
# The lessons of an installed package
# --------------------------------------------------------------------------------------------------------------------


def dead_links(folder):
    """Links of the notebooks in a folder to files that are not in it."""
    dead = []
    for notebook in folder.glob("*.ipynb"):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            links = re.findall(r"\]\(([^()\s]+)\)", "".join(cell["source"])) if cell["cell_type"] == "markdown" else []
            paths = [link.split("#")[0] for link in links if not link.startswith(("https://", "#"))]
            dead += [path for path in paths if path.startswith("..") or not (folder / path).is_file()]
    return dead


def opened_in_an_empty_folder(tmp_path, environment):
    """Names of the notebooks that are there after the command `lab`; no link in them may be dead."""
    (tmp_path / "empty").mkdir()
    run = subprocess.run([*LAB, "--fail"], cwd=tmp_path / "empty", env=environment, check=False)
    assert run.returncode == 3, "the exit status is that of JupyterLab"
    assert dead_links(tmp_path / "empty" / "work") == []
    return sorted(path.name for path in (tmp_path / "empty" / "work").iterdir())


LESSONS = sorted(path.name for path in (ROOT / "lessons").glob("*.ipynb"))
FILMS = ["videos"] if list((ROOT / "docs" / "videos").glob("*.mp4")) else []


def test_lab_copies_the_lessons_wherever_it_is_run(tmp_path, environment):
    there = opened_in_an_empty_folder(tmp_path, environment)
    assert there == [*LESSONS, "START.ipynb", "deeper", "progress.svg", *FILMS]


def test_lessons_travel_in_the_wheel(tmp_path, environment):
    source, target = tmp_path / "source", tmp_path / "target"
    skipped = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("lessons", "tools", "vae_course"):
        shutil.copytree(ROOT / name, source / name, ignore=skipped)
    for name in ("LICENSE", "LICENSE-CONTENT", "MANIFEST.in", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, source)
    # setuptools, which builds it, comes with PyTorch
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, str(source)], check=True, capture_output=True)
    shutil.rmtree(source)
    carried = target / "vae_course" / "_lessons"
    notebooks = [path.relative_to(ROOT / "lessons") for path in (ROOT / "lessons").rglob("*.ipynb")]
    assert sorted(path.relative_to(carried) for path in carried.rglob("*.ipynb")) == sorted(notebooks)
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "fake"), str(target)])
    assert opened_in_an_empty_folder(tmp_path, environment) == [*LESSONS, "START.ipynb", "deeper", "progress.svg"]


def test_links_out_of_the_lessons_become_addresses():
    changed = lab.with_addresses('"see [notation](../docs/notation.md#kl), [next](01_next.ipynb), [here](#a)"')
    file = f"{lab.ADDRESS}/blob/main/docs/notation.md#kl"
    assert changed == f'"see [notation]({file}), [next](01_next.ipynb), [here](#a)"'
    deeper = lab.with_addresses('"[words](../../docs/glossary.md), [back](../01_next.ipynb)"', "deeper")
    assert deeper == f'"[words]({lab.ADDRESS}/blob/main/docs/glossary.md), [back](../01_next.ipynb)"'
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Homepage"] == lab.ADDRESS
    text = "".join((ROOT / "lessons" / name).read_text(encoding="utf-8") for name in LESSONS)
    outside = set(re.findall(re.escape(f"]({lab.ADDRESS}/blob/main/") + r"([^)#]+)", lab.with_addresses(text)))
    assert outside >= {"docs/notation.md", "data/README.md"}
    assert all((ROOT / path).is_file() for path in outside)
