"""Who handed in what is told by the platform's part of a name, and whatever else was handed in gets a sentence."""

import pytest

from vae_course.exercises.engine import Result
from vae_course.grading import reports
from vae_course.grading.grades import Grade
from vae_course.grading.submissions import MOST, find_submissions


def found_in(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return {one.student: one for one in find_submissions(folder)}


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("doejane_1234_5678_01_problem_setup.ipynb", "1234"),
        ("doejane_LATE_1234_5678_01_problem_setup.ipynb", "1234"),
        ("eve_555_666_z_333_assignsubmission_file_01.ipynb", "555"),
        ("Jane Doe_0012345_assignsubmission_file_01_problem_setup.ipynb", "0012345"),
        ("Zoe Evil_0099999_assignsubmission_file_zz_0012345_assignsubmission_file_01.ipynb", "0099999"),
        ("eve_555_666_victim_333_444_01.ipynb", "555"),
        ("s-0042.ipynb", "s-0042"),
        ("s-1.ipynb", "s-1"),
        ("anna.IPYNB", "anna"),
        ("ben.ipynb.txt", "ben"),
        ("ben.ipynb.json", "ben"),
        ("Jane Doe_0012345_assignsubmission_file_/any.ipynb", "0012345"),
        ("007/01.ipynb", "007"),
    ],
)
def test_the_student_is_who_the_platform_says(tmp_path, name, student):
    found = found_in(tmp_path, name)
    assert list(found) == [student]
    assert list(found[student].notebooks.values()) == [name.encode()]


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["d_1_10_x.ipynb", "d_1_11_x-1.ipynb", "d_1_12_x-2.ipynb"], "d_1_12_x-2.ipynb"),
        (["d_1_12_x.ipynb", "d_1_11_x-10.ipynb", "d_1_10_x-9.ipynb"], "d_1_11_x-10.ipynb"),
        (["anna/x.ipynb", "anna/x-1.ipynb"], "anna/x-1.ipynb"),
    ],
)
def test_of_several_uploads_the_newest_comes_last(tmp_path, names, newest):
    (submission,) = found_in(tmp_path, *names).values()
    assert list(submission.notebooks.values())[-1] == newest.encode()


@pytest.mark.parametrize(
    ("name", "student", "note"),
    [
        ("cleo_14_15_homework.pdf", "14", "homework.pdf is no notebook, and was not read."),
        ("work.zip", "work.zip", "work.zip is an archive: unpack it, and grade again."),
        ("Al_5_assignsubmission_file_/notes.pdf", "5", "There is no notebook in this folder; it holds notes.pdf."),
        ("dora/.hidden/01.ipynb", "dora", "There is no notebook in this folder; it holds .hidden."),
        ("dora/__MACOSX/._01.ipynb", "dora", "There is no notebook in this folder; it holds __MACOSX."),
    ],
)
def test_what_is_no_notebook_is_said(tmp_path, name, student, note):
    assert found_in(tmp_path, name, "else/01.ipynb")[student].notes == [note]


@pytest.mark.parametrize("name", ["__MACOSX/._01.ipynb", "._x.ipynb", ".git/x.ipynb", "feedback/a.html", "grades.csv"])
def test_what_nobody_handed_in_is_nobody(tmp_path, name):
    assert list(found_in(tmp_path, name, "anna/01.ipynb")) == ["anna"]


def test_large_files_are_passed_over_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_course.grading.submissions.LARGEST", 1000)
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "a.ipynb").write_text("x" * 1001)
    found = found_in(tmp_path, "big/b.ipynb", "else/c.ipynb")
    assert list(found["big"].notebooks.values()) == [b"big/b.ipynb"]
    assert found["big"].notes == ["a.ipynb was not read: more than 0 MB in all."]
    assert found["else"].notes == []


def test_of_many_files_so_many_are_read(tmp_path):
    found = found_in(tmp_path, *(f"many/{n:05}.ipynb" for n in range(MOST + 5)))
    assert len(found["many"].notebooks) == MOST
    assert found["many"].notes == [f"5 notebooks were not read: {MOST} are read of a student at most."]


LONG = "x" * 250
ALIKE = ["Anna", "anna", "a/b", "a:b", "e\u0301", "\u00e9", LONG + "1", LONG + "2", "a\\x01", "a\x01"]


def test_no_two_students_share_a_page(tmp_path):
    grades = [Grade(one, "", {"1.1": Result("passed", "Correct.")}, [f"note of {n}"], 0) for n, one in enumerate(ALIKE)]
    reports.write_reports(grades, tmp_path / "grades.csv")
    pages = [path.read_text(encoding="utf-8") for path in (tmp_path / "feedback").iterdir()]
    assert len({path.name.casefold() for path in (tmp_path / "feedback").iterdir()}) == len(ALIKE)
    for n in range(len(ALIKE)):
        assert sum(f"note of {n}<" in page for page in pages) == 1


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "\n", '"'])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_is_a_formula_whatever_separates_cells(separator, sign):
    for text in (f"{sign}cmd()", f" {sign}cmd()", f"a{separator}{sign}cmd()", f"a{separator} {sign}cmd()"):
        shown = reports._as_text(text)
        for cell in shown.replace(",", separator).split(separator):
            assert not cell.strip().startswith(sign), text
