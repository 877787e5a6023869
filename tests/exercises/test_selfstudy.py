"""A learner alone: progress that stays and says what is next, a page to print, a page to start from."""

import os
import re
import shutil
import subprocess
import sys
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from lab_server import serving

from vae_course.cli import main
from vae_course.exercises import EXERCISES, certificate, hint, progress, record, solution
from vae_course.exercises.catalogue import CONTENTS, CORE
from vae_course.exercises.start import write_start_page

ROOT = Path(__file__).parents[2]
ORDER = [exercise_id for lesson in CONTENTS for exercise_id in lesson.sections]


def pass_exercises(*exercise_ids):
    for exercise_id in exercise_ids:
        record.note_attempt(exercise_id, "passed")


class Tags(HTMLParser):
    """All tags of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


# --------------------------------------------------------------------------------------------------------------------
# Progress
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "following"),
    [
        ([], "0.1"),
        (["0.1", "0.2"], "0.3"),
        (["0.5"], "1.1"),
        (["1.2"], "1.3"),
        (["5.5"], "5.9"),  # 5.6 to 5.8 are in deeper notebooks
        (["5.9"], "0.1"),
        ([one for one in ORDER if one != "2.3"], "2.3"),
        (ORDER, None),
    ],
    ids=str,
)
def test_what_is_next(done, following):
    pass_exercises(*done)
    assert progress().next == following


def test_progress_as_text(capsys):
    record.note_attempt("0.1", "wrong")
    pass_exercises("0.1", "1.2")
    record.note_attempt("0.2", "error")
    hint("0.2")
    solution("1.2")
    assert repr(progress()).splitlines()[:10] == [
        f"2 of {len(CORE)} exercises passed. "
        "Next: exercise 1.3 kl_normal in lesson 1, section 1.7 Two Gaussians: the KL in closed form.",
        "",
        "Lesson 0  █░░░░    1 of 5  scVI as a dimensionality reduction problem",
        "  ✓ 0.1 library_size             2 attempts",
        "  ✗ 0.2 log_normalize            1 attempt, 1 hint",
        "  · 0.3 pca_encode",
        "  · 0.4 pca_decode",
        "  · 0.5 reconstruction_error",
        "Lesson 1  █░░░░    1 of 5  Problem setup and mathematical background",
        "  · 1.1 bernoulli_log_prob",
    ]
    assert "  ✓ 1.2 normal_log_prob          1 attempt, solution seen" in repr(progress())
    lines = repr(progress()).splitlines()
    assert "Lesson 5  ░░░░░░   0 of 6  From our VAE to scVI, and the comparison" in lines
    assert lines[-1] == "Deeper 6  ░░       0 of 2  After scVI"


def test_progress_as_a_table():
    pass_exercises("0.1", "0.2", "5.8")
    record.note_attempt("1.1", "wrong")
    page = Tags(progress()._repr_html_())
    bars = [attributes for tag, attributes in page.tags if tag == "progress"]
    assert [(bar["value"], bar["max"]) for bar in bars] == [
        ("2", "5"), ("0", "5"), ("0", "5"), ("0", "5"), ("0", "5"), ("0", "6"),
        ("0", "1"), ("0", "1"), ("0", "1"), ("0", "1"), ("0", "1"), ("1", "2"), ("0", "2"),
    ]  # fmt: skip
    assert bars[-2]["aria-label"] == "deeper 5e: 1 of 2 exercises passed"
    assert "1 of the deeper notebooks as well." in page.text
    assert f"2 of {len(CORE)} exercises passed." in page.text
    assert "Next: exercise 0.3 pca_encode in lesson 0, section 0.4 PCA: the first encoder and decoder." in page.text
    assert {"0.2\xa0✓", "1.1\xa0✗", "1.2\xa0·"} <= set(re.findall(r"\d\.\d\xa0.", page.text))
    assert "color" not in progress()._repr_html_()  # those of the page, light or dark


def test_everything_done():
    pass_exercises(*ORDER)
    for shown in (repr(progress()), Tags(progress()._repr_html_()).text):
        assert f"{len(CORE)} of {len(CORE)} exercises passed. Nothing is left to do." in shown


def test_progress_survives_a_restart():
    begin = "from vae_course.exercises import exercise; exercise('0.1')(lambda counts: counts.sum(1))"
    subprocess.run([sys.executable, "-c", begin], check=True)
    command = [sys.executable, "-m", "vae_course.cli", "progress"]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    again = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True).stdout
    assert again.startswith(
        f"1 of {len(CORE)} exercises passed. Next: exercise 0.2 log_normalize in lesson 0, section 0.3 "
    )


def test_a_console_without_these_signs_gets_others():
    command = [sys.executable, "-m", "vae_course.cli", "progress"]
    shown = subprocess.run(
        command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=True
    )
    assert "Lesson 0  ?????    0 of 5" in shown.stdout


# --------------------------------------------------------------------------------------------------------------------
# The page to print
# --------------------------------------------------------------------------------------------------------------------


def test_the_certificate_says_what_is_done_and_what_it_is_not(capsys):
    pass_exercises("0.1", "0.2", "1.1")
    solution("0.2")
    solution("0.3")  # seen, not passed
    page = Tags(certificate("Ada Lovelace"))
    today = date.today()
    assert f"3 of {len(CORE)} exercises passed" in page.text
    assert f"{today.day} {today:%B} {today.year}" in page.text
    assert "0 · scVI as a dimensionality reduction problem2 of 51\n" in page.text
    assert "1 · Problem setup and mathematical background1 of 50\n" in page.text
    assert "made on the learner's own computer" in re.sub(r"\s+", " ", page.text)
    assert "no proof of identity" in page.text
    assert not [attributes for _, attributes in page.tags if attributes.keys() & {"src", "href"}]


@pytest.mark.parametrize("name", ["Zoë O'Neill", "李小龍", "علي", "<script>alert(1)</script> & {name}", "A" * 80])
def test_a_name_is_shown_as_it_was_given(name):
    page = Tags(certificate(f"  {name}\n"))
    assert page.text.split("Self-study record of")[1].split("\n")[1] == name
    assert "script" not in [tag for tag, _ in page.tags]


@pytest.mark.parametrize(
    ("name", "came"), [("", "''"), (" \n", r"' \\n'"), (None, "None"), ("A" * 81, "81 characters")]
)
def test_a_name_that_cannot_be_printed_is_refused(name, came):
    with pytest.raises(ValueError, match=f"a name of 1 to 80 characters.*{came}"):
        certificate(name)


def test_the_command_writes_the_certificate(tmp_path, capsys):
    pass_exercises("0.1")
    file = tmp_path / "record.html"
    assert main(["progress", "--certificate", str(file), "--name", "李小龍"]) == 0
    assert file.read_text(encoding="utf-8") == certificate("李小龍")
    printed = capsys.readouterr().out
    assert repr(progress()) in printed
    assert str(file) in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--certificate", "record.html"], "--name"),
        (["--certificate", "no/such/folder/record.html", "--name", "Ada"], "could not write"),
    ],
)
def test_a_certificate_that_cannot_be_written_gets_one_line(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["progress", *options]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


# --------------------------------------------------------------------------------------------------------------------
# The page to start from
# --------------------------------------------------------------------------------------------------------------------


def test_the_start_page_leads_to_the_lessons_and_shows_progress(tmp_path):
    pass_exercises("0.1")
    write_start_page(tmp_path)
    page = nbformat.read(tmp_path / "START.ipynb", as_version=4)
    nbformat.validate(page)
    links = re.findall(r"\]\((.*?)\)", page.cells[0].source)
    lessons = ROOT / "lessons"
    notebooks = [*sorted(lessons.glob("*.ipynb")), *sorted(lessons.glob("deeper/*.ipynb"))]
    assert links == [path.relative_to(lessons).as_posix() for path in notebooks]
    assert all(f"`{one.name}`" in page.cells[0].source for one in EXERCISES.values())
    (output,) = page.cells[2].outputs
    assert output.data == {"text/plain": repr(progress()), "text/html": progress()._repr_html_()}


def test_the_start_page_is_renewed(tmp_path):
    write_start_page(tmp_path)
    pass_exercises("0.1")
    write_start_page(tmp_path)
    assert f"1 of {len(CORE)} exercises passed" in (tmp_path / "START.ipynb").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.glob("*.ipynb")] == ["START.ipynb"]


def test_the_cells_of_the_start_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_start_page(tmp_path)
    names = {}
    for cell in nbformat.read("START.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source.replace('certificate("")', 'certificate("Zoë")'), names)
    assert "Zoë" in Path("record.html").read_text(encoding="utf-8")


# --------------------------------------------------------------------------------------------------------------------
# In a real browser
# --------------------------------------------------------------------------------------------------------------------


def test_the_certificate_fits_on_one_sheet_and_on_a_telephone(chromium):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.set_content(certificate("W" * 80))
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for sheet in ("A4", "Letter"):
        assert len(re.findall(rb"/Type /Page\b", page.pdf(format=sheet))) == 1


def test_the_progress_fits_on_a_telephone(chromium):
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.set_content(f'<body style="font: 14px/20px sans-serif; margin: 20px">{progress()._repr_html_()}')
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    heights = page.eval_on_selector_all("progress", "bars => bars.map(bar => bar.parentElement.clientHeight)")
    assert len(heights) == 13  # the lessons, and the deeper notebooks that have exercises
    assert max(heights) <= 3 * 20  # a lesson's title, its bar and its exercises


def test_the_command_opens_jupyterlab_at_the_start_page(chromium, tmp_path):
    pass_exercises("0.1", "0.2")
    shutil.copytree(ROOT / "lessons", tmp_path / "lessons")
    with serving(tmp_path, "vae_course.cli", "lab") as address:
        page = chromium.new_page(viewport={"width": 1300, "height": 1000})
        page.goto(address)  # as the browser that JupyterLab opens
        page.wait_for_selector(".jp-OutputArea-output progress", timeout=120_000)
        assert page.url.removesuffix("?").endswith("/lab/tree/START.ipynb")
        values = page.eval_on_selector_all(".jp-OutputArea-output progress", "bars => bars.map(bar => bar.value)")
        assert values == [2] + [0] * 12
        assert "Next: exercise 0.3 pca_encode" in page.inner_text(".jp-OutputArea-output")
        page.click("a:has-text('Problem setup and mathematical background')")
        page.wait_for_selector("h1:has-text('Lesson 1')", timeout=120_000)
        assert (tmp_path / "work" / "01_problem_setup.ipynb").is_file()
