"""Build the two editions of every lesson from its one source: python tools/build_lessons.py [--text-only] [lesson ...].

A source, `lessons/NN_slug.py` or `lessons/deeper/Na_slug.py`, is a jupytext percent file. Besides ordinary cells it
has, by their metadata:

setup=true                             a folded cell that installs the course on Colab is put before it
fold="What is drawn"                   the code is folded away under these words; its output is seen
source="vae_course.nn.Encoder"         the cell is filled with that source of the package; of a class, with
  methods="encode decode" base="..."   methods alone where they are named (and inheriting from another base)
exercise="2.1" source="..."            the learner's cell: a decorated blank in the student edition, the package's own
  minutes=10 difficulty=2              source in the solved one, or with plain=true the exercise's plain answer; the
                                       Markdown cell before it gets the heading line

The student edition `lessons/NN_slug.ipynb` has no outputs. The solved edition `solutions/NN_slug.ipynb` is executed.

Under every section's heading its minutes are written, and at which minute the film tells of it; in Markdown cells
{{links}}, {{minutes}} and {{minutes 5.1-5.4}} are filled in. Titles, minutes and exercises are also written to the
other places that name them (tools/contents.py), and the films' chapters to lessons/videos.toml (tools/videos.py).
"""

import argparse
import ast
import hashlib
import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import contents
import jupytext
import nbformat
import videos
from contents import code_of, deeper, fill_placeholders, section_minutes, sources
from nbclient import NotebookClient
from nbformat import NotebookNode
from videos import Film, Video

import vae_course
from vae_course.exercises import EXERCISES
from vae_course.exercises.sources import blanked, find, names_beside, source_of

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
VIDEOS = videos.read_videos()
VERSION = vae_course.__version__
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # in JupyterLab and VS Code; in Colab
BOX = '<div class="alert alert-block alert-info">'
BRANCH = "main"  # what links lead to: a version's tag is there only once it is released, and no link may be dead before

SETUP = f"""\
# @title Install what is missing (on Colab: a minute; elsewhere nothing happens)
# pip adds to what is there and changes none of it.
import importlib.util, os, subprocess, sys, tempfile
from pathlib import Path

if importlib.util.find_spec("vae_course") is None:
    course, file = "vae-course @ git+{ADDRESS}@{BRANCH}", Path(tempfile.mkdtemp(), "kept.txt")
    pip = [sys.executable, "-m", "pip"]
    there = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True, text=True).stdout.split()
    # All of it stays; or these four alone, where what is there contradicts itself.
    for kept in there, [one for one in there if one.startswith(("torch==", "numpy==", "pandas==", "scipy=="))]:
        file.write_text("\\n".join(kept))
        if not subprocess.run([*pip, "install", "--quiet", course, "--constraint", file]).returncode:
            break
    else:
        raise SystemExit("The course could not be installed: check the network connection and run this cell again.")
os.environ.setdefault("VAE_COURSE_DEVICE", "cpu")  # the numbers in the text are those of a processor
"""

# Python imports this module when it starts: only this machine can be reached.
OFFLINE = """
import socket
connect = socket.socket.connect
def refuse(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"a lesson works without a network, and asked for {address[0]}")
    return connect(self, address)
socket.socket.connect = refuse
"""

WITHOUT_SCVI_TOOLS = """
import sys
sys.modules["scvi"] = None  # importing it raises ImportError
"""


def student_edition(source: Path) -> NotebookNode:
    """Build the edition with blank exercises and without outputs."""
    return _edition(source, blanked)


def solved_edition(source: Path) -> NotebookNode:
    """Build the edition with solved exercises, not yet executed."""
    return _edition(source, lambda text: text)


def execute(notebook: NotebookNode, **options: Any) -> NotebookNode:
    """Run a notebook from top to bottom, as on a fresh machine without a network, and keep its outputs.

    scvi-tools is hidden. Further options go to nbclient's NotebookClient.
    """
    notebook = deepcopy(notebook)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(OFFLINE + WITHOUT_SCVI_TOOLS, encoding="utf-8")
        environment = os.environ | {
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",  # the package of this checkout, wherever another is installed
            "VAE_COURSE_HOME": folder, "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        client = NotebookClient(
            notebook, timeout=300, kernel_name="python3", record_timing=False, coalesce_streams=True,
            resources={"metadata": {"path": folder}}, **options,
        )  # fmt: skip
        client.execute(env=environment)
    notebook.metadata = _metadata(notebook.metadata["vae_course"]["lesson"])
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = re.sub(r" at 0x[0-9a-f]+", "", output.text)
    return notebook


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook, with a newline at the end."""
    nbformat.validate(notebook)
    path.parent.mkdir(exist_ok=True)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


# --------------------------------------------------------------------------------------------------------------------
# From the source's cells to an edition's
# --------------------------------------------------------------------------------------------------------------------


def _edition(source: Path, solve: Callable[[str], str]) -> NotebookNode:
    stem = source.relative_to(ROOT / "lessons").with_suffix("").as_posix()
    cells: list[NotebookNode] = []
    for cell in jupytext.read(source, fmt="py:percent").cells:
        if "exercise" in cell.metadata:
            _add_exercise(cells, cell.metadata, solve)
        elif cell.cell_type == "markdown":
            cells.append(_markdown(_filled_in(cell.source, source)))
        elif "fold" in cell.metadata:
            cells.append(_folded(f"# @title {cell.metadata['fold']}\n{code_of(cell)}", cell.metadata.get("tags", [])))
        else:
            if "setup" in cell.metadata:
                cells.append(_folded(SETUP.rstrip()))
            cells.append(_code(code_of(cell), cell.metadata.get("tags", [])))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=_metadata(stem))
    _number_cells(notebook, source.stem[:2])
    return notebook


def _add_exercise(cells: list[NotebookNode], metadata: dict, solve: Callable[[str], str]) -> None:
    """Add the cell that binds the name to the reference, and the learner's cell; put a heading on the statement."""
    number, symbol = metadata["exercise"], metadata["source"]
    module, name = symbol.rsplit(".", 1)
    stars = "★" * int(metadata["difficulty"]) + "☆" * (3 - int(metadata["difficulty"]))
    statement = cells[-1]
    assert statement.cell_type == "markdown", f"exercise {number} has no statement before it"
    assert not statement.source.startswith("#"), f"the statement of exercise {number} needs a cell without a heading"
    heading = f"### Exercise {number} · `{name}` · {metadata['minutes']} minutes · {stars}"
    statement.source = f"{heading}\n\n{BOX}\n\n{statement.source}\n\n</div>"  # a box in JupyterLab and on the site
    cells.append(_code(f"from vae_course.exercises.stand_ins import {name}  # until yours is right"))
    shown = find(symbol)
    if "plain" in metadata and solve(source_of(shown)) == source_of(shown):
        shown = EXERCISES[number].plain
    reference = source_of(shown)
    answer = f'@exercise("{number}")\n{solve(reference)}'
    known = {name for cell in cells if cell.cell_type == "code" for name in _names_bound_in(cell.source)}
    beside = [helper for helper in names_beside(shown) if helper not in known]
    if beside and solve(reference) == reference:
        answer = f"from {module} import {', '.join(beside)}\n\n\n{answer}"
    cells.append(_code(answer, ["exercise", "raises-exception"]))


def _names_bound_in(source: str) -> set[str]:
    """Return the names that a cell imports or defines at its top level."""
    body = ast.parse(source).body
    imported = {alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    return imported | {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _filled_in(text: str, source: Path) -> str:
    """Fill in links and minutes; put minutes, the film's, and how the lesson differs from it, under a heading."""
    text = _with_minutes(fill_placeholders(text, source), source)
    if source.parent.name == "deeper":
        return text.replace("{{links}}", _ways_to_open(f"deeper/{source.stem}"))
    video = VIDEOS[int(source.stem[:2])]
    text = text.replace("{{links}}", _header(video, source.stem))
    for section, start in video.starts().items():
        moment = f"▶ video {video.number}, {video.link(start)}"
        if video.film:
            moment = f"[▶ {videos.clock(start)}](../docs/videos/{video.film.name}.mp4#t={start})"
        text = _beside_minutes(text, section, moment)
    for section, difference in video.differs.items():
        text = _under_heading(text, section, f"> **Differs from the video.** {difference}")
    return text


def _with_minutes(text: str, source: Path) -> str:
    """Write the minutes of a section under its heading."""
    for section, minutes in section_minutes(source).items():
        text = _under_heading(text, section, f"{minutes} minute{'s' * (minutes != 1)}")
    return text


def _ways_to_open(stem: str) -> str:
    slug = ADDRESS.split("github.com/")[-1]
    colab = f"https://colab.research.google.com/github/{slug}/blob/{BRANCH}/lessons/{stem}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{slug}/{BRANCH}?urlpath=lab/tree/lessons/{stem}.ipynb"
    return f"[open in Colab]({colab}) · [open in Binder]({binder})"


def _header(video: Video, stem: str) -> str:
    """Return the line with Colab and Binder, and the film, or a lecturer's video with the folded list of chapters."""
    if video.film:
        page = f"{ADDRESS}/blob/{BRANCH}/docs/videos/{video.film.name}"
        links = f"[▶ film, {video.length}]({page}.mp4) · [transcript]({page}.md)"
        return f"{_player(video.film, f'{page}.mp4')}\n\n{links} · {_ways_to_open(stem)}"
    if not video.url:
        return _ways_to_open(stem)
    chapters = "\n".join(f"- {video.link(one.start)} {one.title} (section {one.section})" for one in video.chapters)
    return (
        f'▶ [video {video.number}, "{video.title}"]({video.url}) · {_ways_to_open(stem)}\n\n'
        f"<details><summary>Chapters of the video, {video.length}</summary>\n\n{chapters}\n\n</details>"
    )


def _player(film: Film, address: str) -> str:
    """Return a film to be played in JupyterLab; where players are not allowed, its poster leads to its address.

    JupyterLab finds what `src` names from the notebook, but leaves `poster` to the browser, which asks from the page's
    address, .../lab/tree/lessons/04_math_details.ipynb; the server has the files of the clone at .../files.
    """
    folder = "../docs/videos"
    poster = f'<img src="{folder}/{film.name}.jpg" alt="The film of lesson {film.number}" width="640">'
    return (
        f'<video controls preload="none" width="640" poster="../../../files/docs/videos/{film.name}.jpg" '
        f'src="{folder}/{film.name}.mp4"><a href="{address}">{poster}</a></video>'
    )


def _beside_minutes(text: str, section: str, words: str) -> str:
    """Put words on the line under a section's heading that tells its minutes."""
    line = rf"^(## {re.escape(section)} .*\n\n\d+ minutes?)\b"
    return re.sub(line, lambda found: f"{found[0]} · {words}", text, flags=re.MULTILINE)


def _under_heading(text: str, section: str, line: str) -> str:
    return re.sub(rf"^## {re.escape(section)} .*$", lambda found: f"{found[0]}\n\n{line}", text, flags=re.MULTILINE)


def _markdown(source: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def _code(source: str, tags: list[str] = ()) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def _folded(source: str, tags: list[str] = ()) -> NotebookNode:
    cell = _code(source, [*tags, "hide-input"])
    cell.metadata |= FOLDED
    return cell


def _number_cells(notebook: NotebookNode, stem: str) -> None:
    """Give every cell an id made from its text, the same in every build (and in both editions, but for exercises)."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha1(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{stem}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")


def _metadata(stem: str) -> NotebookNode:
    return NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
        vae_course={"lesson": stem, "version": VERSION},
    )


def tag_compared_cells(notebook: NotebookNode) -> None:
    """Tag every cell whose text nbval has to compare: those that print, but for the volatile ones."""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        outputs = [output for output in cell.get("outputs", []) if "image/png" not in output.get("data", {})]
        prints = any(output.output_type in ("stream", "execute_result", "display_data") for output in outputs)
        if prints and "volatile" not in tags:
            cell.metadata["tags"] = [*tags, "nbval-check-output"]


def _keep_outputs(notebook: NotebookNode, path: Path) -> bool:
    """Give a solved edition the outputs of the one that is there, if their code is the same; return whether it is."""
    new, old = ([c for c in one.cells if c.cell_type == "code"] for one in (notebook, nbformat.read(path, 4)))
    if [cell.source for cell in new] != [cell.source for cell in old]:
        return False
    for ours, theirs in zip(new, old, strict=True):
        ours.update(outputs=theirs.outputs, execution_count=theirs.execution_count)
        ours.metadata = theirs.metadata | ours.metadata | {"tags": theirs.metadata.get("tags", [])}
        if not ours.metadata["tags"]:
            del ours.metadata["tags"]
    return True


def main() -> None:
    """Build all lessons, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--student-only", action="store_true", help="leave the solved edition as it is")
    parser.add_argument("--text-only", action="store_true", help="keep the outputs where no code has changed")
    parser.add_argument("lesson", nargs="*", help="beginning of a source's file name, such as 01 or 1a (default: all)")
    options = parser.parse_args()
    contents.write()
    videos.write()
    for source in (*sources(), *deeper()):
        if options.lesson and not source.name.startswith(tuple(options.lesson)):
            continue
        write(student_edition(source), source.with_suffix(".ipynb"))
        if not options.student_only:
            path = ROOT / "solutions" / source.relative_to(ROOT / "lessons").with_suffix(".ipynb")
            solved = solved_edition(source)
            if not (options.text_only and path.exists() and _keep_outputs(solved, path)):
                solved = execute(solved)
                tag_compared_cells(solved)
            write(solved, path)
        print(f"built {source.stem}")


if __name__ == "__main__":
    main()
