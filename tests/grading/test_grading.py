"""Grading a class: right points for right answers, none for attacks, and nothing outside the sandbox harmed."""

import csv
import json
import os
import re
import resource
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import pandas as pd
import psutil
import pytest
from hostile_submissions import CELLS, CHEATS, FILES, HARM, LEFTOVER, NAMES, cell_of, head, notebook_of

from vae_course import grading
from vae_course.cli import main
from vae_course.exercises import EXERCISES, wire
from vae_course.exercises.attempt import run_case
from vae_course.exercises.sources import solution_lines, source_of, without_docstrings
from vae_course.grading import runner, sandbox, stripped

ROOT = Path(__file__).parents[2]
LESSONS = sorted(path.name for path in (ROOT / "lessons").glob("*.ipynb"))
FIRST_IDS = [exercise_id for exercise_id in EXERCISES if exercise_id.startswith("1.")]
FIRST = [EXERCISES[exercise_id].name for exercise_id in FIRST_IDS]  # of lesson 1, and of what is deeper beside it
ONE_LESSON = ["--lessons", "1", "--deeper"]
SECRETS = {"environment": "secret-environment", "diary": "secret-diary", "neighbour": "secret-neighbour"}


def _needs_sandbox():
    try:
        sandbox.check_sandbox()
    except ValueError as error:
        return str(error)
    return ""


NO_SANDBOX = _needs_sandbox()
in_sandbox = pytest.mark.skipif(bool(NO_SANDBOX), reason=NO_SANDBOX)


def cells_of(folder, lesson):
    """Sources and kinds of the cells of a lesson's notebook and of the deeper ones beside it."""
    paths = [*(ROOT / folder).glob(f"0{lesson}_*.ipynb"), *sorted((ROOT / folder / "deeper").glob(f"{lesson}*.ipynb"))]
    cells = [cell for path in paths for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    return ["".join(cell["source"]) for cell in cells], [cell["cell_type"] for cell in cells]


def answer(exercise_id):
    """The solved cell of an exercise."""
    return next(text for text in cells_of("solutions", exercise_id[0])[0] if f'@exercise("{exercise_id}")' in text)


def hand_in(folder, student, sources, kinds=None, name="01_problem_setup.ipynb"):
    (folder / student).mkdir(parents=True, exist_ok=True)
    content = sources if isinstance(sources, bytes) else notebook_of(sources, kinds)
    (folder / student / name).write_bytes(content)


def graded(folder, **options):
    return {grade.student: grade for grade in grading.grade_folder(folder, jobs=2, deeper=True, **options)}


def passed(grade):
    return [exercise_id for exercise_id, result in grade.results.items() if result.status == "passed"]


# --------------------------------------------------------------------------------------------------------------------
# Honest students
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """All lessons of a solver, of one who has written nothing, and of one who has done some."""
    folder = tmp_path_factory.mktemp("course")
    for student, edition in (("solver", "solutions"), ("idle", "lessons")):
        shutil.copytree(ROOT / edition, folder / student, ignore=shutil.ignore_patterns("*.py", "*.toml", "videos"))
    sources, kinds = cells_of("lessons", 0)
    sources = [answer("0.1") if '@exercise("0.1")' in text else text for text in sources]
    hand_in(folder, "some", sources, kinds, "00_latents.ipynb")
    hand_in(folder, "some", [answer("2.2")], name="02_pytorch_linear.ipynb")
    for lesson, name in enumerate([*LESSONS, "6_after_scvi.ipynb"]):
        ones = [one for one in EXERCISES.values() if one.id.startswith(f"{lesson}.")]
        hand_in(folder, "borrower", [borrowed(one) for one in ones], name=name)
        sources, kinds = cells_of("solutions", lesson)
        hand_in(folder, "reworded", [reworded(text) for text in sources], kinds, name)
    if NO_SANDBOX:
        pytest.skip(NO_SANDBOX)
    return graded(folder, seed=1)


def reworded(text):
    """An answer as solution() shows it, whose text is not the package's; any other cell as it is."""
    exercise_id = re.search(r'@exercise\("([\d.]+)"\)', text)
    if exercise_id is None:
        return text
    one = EXERCISES[exercise_id[1]]
    return without_docstrings(source_of(one.plain)) if one.plain else without_docstrings(text)


def borrowed(one):
    """A cell that takes the package's own function for an answer."""
    module = one.symbol.rsplit(".", 1)[0]
    return f"import {module} as origin_{one.name}\n{one.name} = origin_{one.name}.{one.name}"


def test_solved_lessons_get_all_points(course):
    assert course["solver"].total == len(EXERCISES)
    assert course["solver"].notes == []


def test_right_answers_that_are_not_the_packages_text_are_called_and_judged(course):
    messages = {result.message.partition(" But mind: ")[0] for result in course["reworded"].results.values()}
    assert messages == {"Correct."}


def test_deeper_exercises_count_where_it_is_asked():
    for deeper, ids in ((False, ["1.1", "1.2", "1.3", "1.5", "1.6"]), (True, FIRST_IDS)):
        assert [one.id for one in grading._to_grade([1], deeper)] == ids


def test_untouched_lessons_get_none_and_no_blame(course):
    assert {result.status for result in course["idle"].results.values()} == {"not_attempted"}


def test_points_are_those_of_the_answers(course):
    assert passed(course["some"]) == ["0.1", "2.2"]


def test_the_packages_own_functions_are_no_answers(course):
    assert passed(course["borrower"]) == []


def without(sources, kinds, exercise_id):
    kept = [n for n, text in enumerate(sources) if f'@exercise("{exercise_id}")' not in text]
    return [sources[n] for n in kept], [kinds[n] for n in kept]


def with_error_before(sources, kinds, exercise_id):
    start = f'@exercise("{exercise_id}")'
    return [text.replace(start, f"x = = 3\n{start}") for text in sources], kinds


BLANK = 'def kl_normal(mean_q, var_q, mean_p, var_p):\n    """KL."""\n    ...  # your code\n'
HELPED = """
name = "x"
def bernoulli_log_prob(x, logits):
    return x * logits - helped(logits)
"""
WRONG_KL = "def kl_normal(mean_q, var_q, mean_p, var_p):\n    return mean_q"
HELPERS = ["from torch.nn.functional import softplus as sp\n", "def helped(a):\n    return sp(a)"]

VARIANTS = {  # what is done to the solved lesson 1; the answers that are still right
    "moved": (lambda sources, kinds: (sources[::-1], kinds[::-1]), FIRST),
    "duplicated": (lambda sources, kinds: (sources * 2, kinds * 2), FIRST),
    "retyped": (lambda sources, kinds: (sources, ["markdown"] * len(kinds)), FIRST),
    "deleted": (lambda sources, kinds: without(sources, kinds, "1.2"), FIRST[:1] + FIRST[2:]),
    "error elsewhere": (lambda sources, kinds: ([*sources, "def broken(:\n  x ="], [*kinds, "code"]), FIRST),
    "error in the cell": (lambda sources, kinds: with_error_before(sources, kinds, "1.1"), FIRST),
    "cells in one": (lambda *_: (["\n\n".join(answer(f"1.{k}") for k in range(1, 7))], None), FIRST),
    "magic": (lambda sources, kinds: (["%matplotlib inline\n!ls\nimport torch", *sources], ["code", *kinds]), FIRST),
    "answers alone": (lambda *_: ([answer(f"1.{k}") for k in range(1, 7)], None), FIRST),
    "wrong at last": (
        lambda sources, kinds: ([*sources, '@exercise("1.3")\n' + WRONG_KL], [*kinds, "code"]),
        FIRST[:2] + FIRST[3:],
    ),
    "wrong at last, never shown": (lambda sources, kinds: ([*sources, WRONG_KL], [*kinds, "code"]), FIRST),
    "right at last": (lambda sources, kinds: ([WRONG_KL, *sources], ["code", *kinds]), FIRST),
    "helper": (lambda *_: ([*HELPERS, HELPED], None), FIRST[:1]),
    "untouched copy": (lambda sources, kinds: ([*sources, BLANK], [*kinds, "code"]), FIRST),
    "lambda": (lambda *_: (["bernoulli_log_prob = lambda x, a: x * a - F.softplus(a)"], None), FIRST[:1]),
}


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    if NO_SANDBOX:
        pytest.skip(NO_SANDBOX)
    folder = tmp_path_factory.mktemp("variants")
    for name, (change, _) in VARIANTS.items():
        sources, kinds = change(*cells_of("solutions", 1))
        hand_in(folder, name, list(sources), kinds and list(kinds))
    return graded(folder, lessons=[1])


@pytest.mark.parametrize("name", VARIANTS)
def test_answers_are_found_by_name_wherever_they_stand(variants, name):
    assert [EXERCISES[one].name for one in passed(variants[name])] == VARIANTS[name][1]


# --------------------------------------------------------------------------------------------------------------------
# What is written
# --------------------------------------------------------------------------------------------------------------------


MISCONCEPTION = "def normal_log_prob(x, mean, var):\n    return -0.5 * (torch.log(var) + (x - mean) ** 2 / var)"


STUDENTS = ["0007", "Žofie Nováková", "李雷", *NAMES]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What the command writes for students with odd names: folder of results."""
    if NO_SANDBOX:
        pytest.skip(NO_SANDBOX)
    folder, out = tmp_path_factory.mktemp("class"), tmp_path_factory.mktemp("out")
    for student in STUDENTS:
        hand_in(folder, student, [answer("1.1"), MISCONCEPTION])
    command = [
        "grade",
        str(folder),
        "--out",
        str(out / "grades.csv"),
        "--deeper",
        "--lessons",
        "1",
        "--seed",
        "3",
        "--jobs",
        "2",
    ]
    assert main(command) == 0
    return out


def test_ids_survive_the_way_through_csv(written):
    with open(written / "grades.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    table = pd.read_csv(written / "grades.csv", dtype=str)
    assert [row[0].removeprefix("'") for row in rows[1:]] == list(table.iloc[:, 0].str.removeprefix("'"))
    assert {"0007", "Žofie Nováková", "李雷", "😀"} <= set(table.iloc[:, 0])
    assert len(table) == len(STUDENTS)
    assert set(table["1.1"].astype(float)) == {1.0}
    assert set(table["1.2"].astype(float)) == {0.0}


def test_no_field_is_a_formula(written):
    for path in written.glob("*.csv"):
        with open(path, encoding="utf-8-sig", newline="") as file:
            for field in (field for row in csv.reader(file) for field in row):
                assert len(field) < 2 or not field.startswith(("=", "+", "-", "@", "\t", "\r")), (path.name, field)


def test_feedback_names_the_diagnosis_and_runs_no_script(written):
    pages = list((written / "feedback").glob("*.html"))
    assert len(pages) == len(STUDENTS)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "The constant is missing" in text


def test_canvas_table_can_be_imported(tmp_path, monkeypatch):
    """Columns that a Canvas gradebook import asks for; students by the id that Canvas gave them."""
    if NO_SANDBOX:
        pytest.skip(NO_SANDBOX)
    folder = tmp_path / "canvas"
    folder.mkdir()
    for name in ("doejane_12345_67890_01_problem_setup.ipynb", "roejoe_LATE_12346_67891_01_problem_setup-1.ipynb"):
        (folder / name).write_bytes(notebook_of([answer("1.1")]))
    assert main(["grade", str(folder), "--out", str(tmp_path / "out" / "grades.csv"), *ONE_LESSON]) == 0
    table = pd.read_csv(tmp_path / "out" / "grades_canvas.csv", dtype=str, keep_default_na=False)
    assert list(table.columns[:5]) == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    assert len(table.columns) == 6
    table["Student"] = table["Student"].str.strip()
    possible = table[table["Student"] == "Points Possible"]
    assert [float(points) for points in possible.iloc[:, 5]] == [len(FIRST)]
    students = table[table["Student"] != "Points Possible"]
    assert dict(zip(students["ID"], students.iloc[:, 5].astype(float), strict=True)) == {"12345": 1.0, "12346": 1.0}


def test_moodle_worksheet_can_be_uploaded(tmp_path):
    """Columns that Moodle's upload of a grading worksheet asks for; "Participant" goes before a student's number."""
    if NO_SANDBOX:
        pytest.skip(NO_SANDBOX)
    folder = tmp_path / "moodle"
    hand_in(folder, "Zoë Müller_0012345_assignsubmission_file", [answer("1.1")])
    hand_in(folder, "Ann O'Neil_12346_assignsubmission_file_", [MISCONCEPTION])
    assert main(["grade", str(folder), "--out", str(tmp_path / "out" / "grades.csv"), *ONE_LESSON]) == 0
    table = pd.read_csv(tmp_path / "out" / "grades_moodle.csv", dtype=str, keep_default_na=False)
    needed = ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)", "Feedback comments"]
    assert set(needed) <= set(table.columns)
    assert dict(zip(table["Identifier"], table["Full name"], strict=True)) == {
        "Participant 0012345": "Zoë Müller",
        "Participant 12346": "Ann O'Neil",
    }
    assert list(
        table.set_index("Identifier").loc[["Participant 0012345", "Participant 12346"], "Grade"].astype(float)
    ) == [1, 0]
    assert set(table["Maximum Grade"].astype(float)) == {len(FIRST)}


@in_sandbox
def test_no_name_of_a_folder_stops_the_class(tmp_path):
    """Names that no file of feedback can have, and names that are no text."""
    names = ["x" * 254, os.fsdecode(b"\xff latin"), "honest"]
    for name in names:
        hand_in(tmp_path / "class", name, [answer("1.1")])
    command = [
        "grade",
        str(tmp_path / "class"),
        "--out",
        str(tmp_path / "out" / "grades.csv"),
        "--deeper",
        "--lessons",
        "1",
    ]
    assert main(command) == 0
    assert len(list((tmp_path / "out" / "feedback").iterdir())) == len(names)
    table = pd.read_csv(tmp_path / "out" / "grades.csv", dtype=str, encoding_errors="replace")
    assert list(table["total"]) == ["1"] * len(names)


@in_sandbox
def test_layout_of_nbgrader(tmp_path):
    for student in ("s1", "s2"):
        hand_in(tmp_path, f"{student}/problem_setup", [answer("1.1")], name="notebook.ipynb")
    grades = graded(tmp_path, lessons=[1])
    assert {student: grade.total for student, grade in grades.items()} == {"s1": 1, "s2": 1}


# --------------------------------------------------------------------------------------------------------------------
# Hostile students
# --------------------------------------------------------------------------------------------------------------------

N_ATTACKS = 5  # of one student on the first exercises; the last one is solved honestly
PACKS = [list(HARM)[start :: -(-len(HARM) // N_ATTACKS)] for start in range(-(-len(HARM) // N_ATTACKS))]
ALONE = [*CHEATS, *CELLS]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """What hostile submissions know of the machine: a decoy home, listening sockets, a victim, the others' folder."""
    base = tmp_path_factory.mktemp("world")
    home, temporary = base / "home", base / "temporary"
    for folder in (home / "photos", base / "submissions", base / "out", temporary):
        folder.mkdir(parents=True)
    (home / "diary.txt").write_text(SECRETS["diary"])
    (home / "photos" / "cat.png").write_bytes(bytes(1000))
    (base / "out" / "old.csv").write_text("0001,6," + SECRETS["neighbour"])
    listeners = [socket.socket(socket.AF_INET), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
    addresses = [("127.0.0.1", 0), str(base / "socket"), f"\0hostile-{os.getpid()}"]
    for listener, address in zip(listeners, addresses, strict=True):
        listener.bind(address)
        listener.listen()
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield {"base": base, "listeners": listeners, "victim": victim, "facts": {
        "DECOY": str(home), "FOLDER": str(base / "submissions"), "OUT": str(base / "out"), "REPO": str(ROOT),
        "PORT": listeners[0].getsockname()[1], "SOCKET": addresses[1], "ABSTRACT": addresses[2][1:],
        "VICTIM": victim.pid,
        "NAMESPACES": {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "mnt")}, "VISIBLE": visible(),
    }}  # fmt: skip
    victim.kill()
    victim.wait()
    for listener in listeners:
        listener.close()


def visible():
    """Arguments and right answers of the visible cases of exercise 1.1."""
    one = EXERCISES["1.1"]
    answers = [outcome.values["the result"].tensor.tolist() for outcome in one.wanted]
    arguments = [[argument.tolist() for argument in case.arguments] for case in one.cases()]
    return list(zip(arguments, answers, strict=True))


def snapshot(folder):
    return {path: path.is_file() and path.read_bytes() for path in sorted(folder.rglob("*"))}


def write_class(folder, facts):
    """Write all hostile submissions beside two honest ones."""
    for name in ("000-honest", "zzz-honest"):
        hand_in(folder, name, [f"# {SECRETS['neighbour']}", *(answer(f"1.{k}") for k in range(1, 7))])
    for number, pack in enumerate(PACKS):
        attacks = [cell_of(attack, function) for attack, function in zip(pack, FIRST, strict=False)]
        hand_in(folder, f"pack-{number:02}", [head(facts), *attacks, answer("1.6")])
    for name in ALONE:
        hand_in(folder, name, [head(facts), cell_of(name), answer("1.6")])
    for name, content in FILES.items():
        hand_in(folder, "broken-files", content, name=f"01_{name}.ipynb")
    hand_in(folder, "broken-files", [answer("1.6")])
    hand_in(folder, "broken-files", FILES["no-text"], name=os.fsdecode(b"01_\xff.ipynb"))
    hand_in(folder, "broken-alone", FILES["half-a-notebook"])
    (folder / "folder").mkdir()
    (folder / "folder" / "01_problem_setup.ipynb").mkdir()
    for name, target in (("link", folder / "000-honest" / "01_problem_setup.ipynb"), ("passwords", "/etc/passwd")):
        (folder / name).mkdir()
        (folder / name / "01_problem_setup.ipynb").symlink_to(target)
    (folder / "linked-folder").symlink_to(folder / "000-honest")
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / "01_problem_setup.ipynb")


def quicker(folder):
    """Write the package for the sandbox with less patience: endless loops are many here."""
    stripped.write_package(folder)
    limits = folder / "vae_course" / "exercises" / "limits.py"
    text = limits.read_text(encoding="utf-8")
    assert text.count("\nSECONDS = 8.0") == 1
    limits.write_text(text.replace("\nSECONDS = 8.0", "\nSECONDS = 2.0"), encoding="utf-8")


@pytest.fixture(scope="module")
def aftermath(world):
    """Grade a class full of hostile students; return the grades, and what is different afterwards."""
    if NO_SANDBOX:
        pytest.skip(NO_SANDBOX)
    base, me, seconds = world["base"], psutil.Process(), {}
    write_class(base / "submissions", world["facts"])
    before, descriptors, memory = snapshot(base), me.num_fds(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_SECRET", SECRETS["environment"])
        patch.setattr(tempfile, "tempdir", str(base / "temporary"))
        patch.setattr(grading, "write_package", quicker)
        patch.setattr(grading, "SECONDS", 20.0)
        start = time.monotonic()
        grades = graded(base / "submissions", lessons=[1])
        seconds = time.monotonic() - start
    return {
        "grades": grades,
        "seconds": seconds,
        "changed": [str(path) for path, _ in before.items() ^ snapshot(base).items()],
        "descriptors": me.num_fds() - descriptors,
        "gigabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 2**20,
    }


ATTACKS = {attack: (f"pack-{n:02}", f"1.{k + 1}") for n, pack in enumerate(PACKS) for k, attack in enumerate(pack)}
ATTACKS |= {attack: (attack, "1.1") for attack in ALONE}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gains_nothing(aftermath, attack):
    student, exercise_id = ATTACKS[attack]
    assert aftermath["grades"][student].results[exercise_id].status != "passed"


def test_attackers_get_their_honest_point_at_most(aftermath):
    """Whoever ends or corrupts the process that calls all of his answers may lose it."""
    points = {student: passed(aftermath["grades"][student]) for student in {one for one, _ in ATTACKS.values()}}
    assert {student: one for student, one in points.items() if one not in ([], ["1.6"])} == {}
    assert sum(map(len, points.values())) > 0.8 * len(points)


@pytest.mark.parametrize("student", ["000-honest", "zzz-honest"])
def test_honest_students_keep_all_points(aftermath, student):
    assert aftermath["grades"][student].total == len(FIRST)
    assert aftermath["grades"][student].notes == []


def test_broken_files_cost_themselves_alone(aftermath):
    grades = aftermath["grades"]
    assert passed(grades["broken-files"]) == ["1.6"]
    for student in ("broken-alone", "folder", "link", "passwords", "pipe"):
        assert grades[student].total == 0
        assert grades[student].notes, student  # the instructor is told
    assert "linked-folder" not in grades


def test_nobody_elses_files_are_touched(aftermath):
    assert aftermath["changed"] == []


def test_nothing_is_learnt_from_outside(aftermath):
    said = str([(grade.results, grade.notes) for grade in aftermath["grades"].values()])
    assert [secret for secret in SECRETS.values() if secret in said] == []


def test_nobody_called_out(aftermath, world):
    assert select.select(world["listeners"], [], [], 0)[0] == []


def test_no_process_is_hurt_and_none_is_left(aftermath, world):
    assert world["victim"].poll() is None
    commands, me = {LEFTOVER, "vae_course.grading.runner"}, psutil.Process()
    end = time.monotonic() + 20  # what is killed needs a moment to give back its memory
    while time.monotonic() < end:
        left = [one for one in me.children(recursive=True) if one.pid != world["victim"].pid]
        left += [one for one in psutil.process_iter(["cmdline"]) if commands.intersection(one.info["cmdline"] or [])]
        if not left:
            break
        time.sleep(0.2)
    assert [(one.pid, one.cmdline()) for one in left] == []
    assert aftermath["descriptors"] <= 0


@in_sandbox
def test_a_stopped_process_ends_with_its_sandbox(tmp_path):
    tmp_path.chmod(0o755)
    grading.write_package(tmp_path)
    session = grading.Session(tmp_path)
    session.ask({"files": {}, "names": {}}, 60)
    _, *inside = psutil.Process(session._process.pid).children(recursive=True)
    assert inside
    inside[0].suspend()
    session.close()
    assert psutil.wait_procs(inside, timeout=20)[1] == []


def test_the_package_is_as_before(aftermath):
    paths = [*(ROOT / "vae_course").rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    assert [path for path in paths if "\n# hostile\n" in path.read_text(encoding="utf-8")] == []


def test_memory_and_time_are_bounded(aftermath):
    assert aftermath["gigabytes"] < 1.5
    assert aftermath["seconds"] < 10 * len(aftermath["grades"])


def test_the_disk_of_an_attacker_is_small(aftermath):
    student, exercise_id = ATTACKS["fills-the-disk"]
    message = aftermath["grades"][student].results[exercise_id].message
    assert int(re.search(r"wrote (\d+) MB", message)[1]) < 100


def test_page_and_tables_of_hostile_students_are_written(aftermath, tmp_path):
    grading.write_reports(list(aftermath["grades"].values()), tmp_path / "grades.csv")
    table = pd.read_csv(tmp_path / "grades.csv", dtype=str)
    assert set(table["student"]) == set(aftermath["grades"])
    for page in (tmp_path / "feedback").glob("*.html"):
        assert "<script" not in page.read_text(encoding="utf-8")


TENSOR = {"kind": "tensor", "shape": [], "dtype": "float32", "tensor": None, "text": ""}
FORGED = {
    "a shape of vast numbers": ("2.5", {"the parameters": TENSOR | {"shape": [10**3000] * 4000}}),
    "a long axis beside an empty one": (
        "5.3", {"passes in train mode": TENSOR | {"shape": [10**8, 0], "tensor": {"type": "float64", "data": ""}}},
    ),
    "a vast name of a kind": ("1.1", {"the result": TENSOR | {"kind": "x" * 10**7}}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_reply_costs_the_grader_little(name):
    exercise_id, values = FORGED[name]
    one = EXERCISES[exercise_id]
    outcome = {"values": values, "gradients": {}, "changed": [], "error": "", "reason": "", "line": ""}
    one.wanted  # noqa: B018  # not to be timed
    start = time.monotonic()
    result = grading.judge_reply(one, {"answer": "called", "outcomes": [outcome] * len(one.cases())})
    assert result.status != "passed"
    assert len(result.message) <= 1000
    assert time.monotonic() - start < 10


# --------------------------------------------------------------------------------------------------------------------
# The package without answers, hidden cases, the sandbox
# --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stripped_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    stripped.write_package(folder)
    return folder


@pytest.fixture(scope="module")
def package(stripped_folder):
    return "\n".join(path.read_text(encoding="utf-8") for path in stripped_folder.rglob("*.py"))


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_the_sandbox_has_no_answer(package, exercise_id):
    """Of a right answer some lines stand nowhere."""
    lines = solution_lines(source_of(EXERCISES[exercise_id].reference))
    assert lines - {line.strip() for line in package.splitlines()}


def test_of_an_exercise_the_sandbox_has_what_calls_an_attempt_and_can_import_it(stripped_folder):
    exercises = stripped_folder / "vae_course" / "exercises"
    assert {path.name for path in exercises.glob("*.py")} == {
        f"{name}.py" for name in ("__init__", "attempt", "calling", "limits", "sources", "wire")
    }
    assert {path.name for path in exercises.glob("e*/*.py")} == {"__init__.py", "calls.py"}
    called = {one.use.__module__ for one in EXERCISES.values() if one.use}
    code = f"from importlib import import_module\nfor module in {sorted(called)}: import_module(module)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(stripped_folder)}, check=True)


def test_the_sandbox_has_no_misconceptions(package):
    messages = [message for one in EXERCISES.values() for _, message in one.mistakes.values()]
    assert [message for message in messages if message[:40] in package] == []


@pytest.mark.parametrize("lessons", [None, *([lesson] for lesson in range(len(LESSONS)))])
def test_no_answer_is_handed_in_before_it_is_graded(lessons):
    """Answers to what is not graded, or is graded already, stand in for the learner's; none is made of a later one."""
    order = grading._to_grade(lessons, deeper=True)
    handed_in = {symbol for one in EXERCISES.values() if one not in order for symbol in stripped.answer_of(one)}
    for one in order:
        assert not {one.symbol, one.symbol.rsplit(".", 1)[0]} & handed_in
        handed_in |= stripped.answer_of(one).keys()


@pytest.mark.parametrize("exercise_id", [one.id for one in EXERCISES.values() if one.cases()[0].arguments])
def test_hidden_cases_cannot_be_known_beforehand(exercise_id):
    one = EXERCISES[exercise_id]
    assert one.hidden, "it has visible cases only"
    first, again, other = (grading.with_hidden_cases(one, seed) for seed in (1, 1, 2))
    calls = [[str(case.arguments) for case in each.cases()[len(one.cases()) :]] for each in (first, again, other)]
    assert calls[0] == calls[1]
    assert calls[0] != calls[2]


@pytest.mark.parametrize("root", ["/usr/local/lib/python3.11/site-packages", "/usr/lib/python3/dist-packages"])
def test_an_installed_package_is_hidden(monkeypatch, root):
    """The package with its answers may lie in a folder that the sandbox sees."""
    monkeypatch.setattr(sandbox, "ROOT", Path(root) / "vae_course")
    command = sandbox._bubblewrap(Path("/nowhere"))
    hidden = [word for flag, word in pairwise(command) if flag == "--tmpfs"]
    assert f"{root}/vae_course" in hidden


@pytest.mark.parametrize("exercise_id", ["1.1", "2.5", "4.1", "5.6"])
def test_of_hidden_cases_no_number_is_told(exercise_id):
    one = grading.with_hidden_cases(EXERCISES[exercise_id], 3)
    raw = [run_case(one.reference, one._use, case, one.gradients, one.arguments) for case in one.cases()]
    right = wire.pack_outcomes(deepcopy(raw))
    raw[-1].values, raw[-1].error, raw[-1].reason = {}, "ValueError", "x is 0.123"
    wrong = wire.pack_outcomes(raw)
    assert grading.judge_reply(one, {"answer": "called", "outcomes": right}).status == "passed"
    message = grading.judge_reply(one, {"answer": "called", "outcomes": wrong}).message
    assert message == f"Right for the cases of the lesson, but not for {one.cases()[-1].label}."


PROBE = """
import ctypes, os, threading
CALLS = {
    "add_key": 248, "bpf": 321, "clone": 56, "clone3": 435, "fork": 57, "io_uring_setup": 425, "keyctl": 250,
    "memfd_create": 319, "mount": 165, "mq_open": 240, "msgget": 68, "perf_event_open": 298, "process_vm_readv": 310,
    "process_vm_writev": 311, "ptrace": 101, "request_key": 249, "semget": 64, "setns": 308, "shmget": 29,
    "unshare": 272, "userfaultfd": 323, "vfork": 58,
}
def bernoulli_log_prob(x, logits):
    libc, found = ctypes.CDLL(None, use_errno=True), []
    for name, number in CALLS.items():
        done = libc.syscall(number, *((17,) if name == "clone" else (0,)), 0, 0, 0, 0, 0)
        if done == 0 and name in ("clone", "fork", "vfork"):
            os._exit(0)  # the new process
        if done != -1 or ctypes.get_errno() != (38 if name == "clone3" else 1):
            found.append(f"{name} {done} {ctypes.get_errno()}")
    for family in (17, 29, 31, 38, 40, 2**32 + 40):  # packets, CAN, Bluetooth, the kernel's ciphers, vsock
        if libc.syscall(41, ctypes.c_long(family), 2, 0) != -1 or ctypes.get_errno() != 1:
            found.append(f"socket {family} {ctypes.get_errno()}")
    for process in (1, os.getppid()):
        for path in ("mem", "environ", "fd/1"):
            try:
                found.append(path + str(os.open(f"/proc/{process}/{path}", os.O_RDWR)))
            except OSError:
                pass
    thread = threading.Thread(target=lambda: found.append("a thread"))
    thread.start()
    thread.join()
    raise ValueError(f"{os.getuid()} {open('/proc/1/comm').read().strip()} {found}")
"""


@in_sandbox
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of calls are those of x86_64")
def test_an_answer_has_threads_and_no_call_that_leads_out(tmp_path):
    hand_in(tmp_path, "prober", [PROBE])
    message = graded(tmp_path, lessons=[1])["prober"].results["1.1"].message
    user = 65534 if os.getuid() == 0 else os.getuid()
    assert f"{user} python" in message  # process 1 is the runner itself
    assert "['a thread']" in message


@in_sandbox
def test_of_a_submission_nothing_is_left_to_the_next(tmp_path):
    """All of them meet one sandbox: modules that would be imported, folders that are shut, links that lead out."""
    leaves = """
def bernoulli_log_prob(x, logits):
    import os
    for name in ("torch.py", "sitecustomize.py", "left.py"):
        with open(name, "w") as file:
            file.write("raise SystemExit")
    os.makedirs("shut/inner")
    os.symlink("/usr", "usr")
    os.mkfifo("pipe")
    os.chmod("shut", 0)
    return x
"""
    left = {"torch.py", "sitecustomize.py", "left.py", "shut", "usr", "pipe"}
    empty = f"import os; assert not {left} & set(os.listdir())"
    looks = answer("1.1").replace("return", f"{empty}\n    return")
    for number in range(3):
        hand_in(tmp_path, f"{number}-leaves", [leaves])
        hand_in(tmp_path, f"{number}-looks", [looks])
    grades = grading.grade_folder(tmp_path, lessons=[1], jobs=1)
    assert [grade.total for grade in grades] == [0, 1] * 3


def test_a_course_below_the_folder_that_is_emptied_stays(tmp_path, monkeypatch):
    """A clone in /tmp lies in the sandbox's /tmp, too, where it cannot be removed."""
    venv = tmp_path / "clone" / "venv"
    monkeypatch.setattr(runner, "PYTHON", [venv, venv / "packages"])
    for file in ("left", "folder/left", "clone/left", "clone/other/left", "clone/venv/packages/torch.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    runner._empty(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {venv / "packages" / "torch.py"}


def test_without_bubblewrap_nothing_runs(tmp_path, monkeypatch, capsys):
    started = tmp_path / "started"
    hand_in(tmp_path / "class", "s1", [f"open({str(started)!r}, 'w')\n{answer('1.1')}"])
    monkeypatch.setenv("PATH", "")
    assert main(["grade", str(tmp_path / "class"), "--out", str(tmp_path / "out" / "grades.csv")]) == 1
    said = capsys.readouterr().err.strip()
    assert "bubblewrap" in said
    assert "--unsafe" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert not started.exists()


def test_unsafe_grades_without_bubblewrap(tmp_path, monkeypatch):
    hand_in(tmp_path / "class", "s1", [answer("1.1"), MISCONCEPTION])
    monkeypatch.setenv("PATH", "")
    command = [
        "grade",
        str(tmp_path / "class"),
        "--out",
        str(tmp_path / "grades.csv"),
        "--deeper",
        "--lessons",
        "1",
        "--unsafe",
    ]
    assert main(command) == 0
    assert list(pd.read_csv(tmp_path / "grades.csv")["total"]) == [1]


def test_the_folder_of_a_course_with_nbgrader_will_do(tmp_path):
    hand_in(tmp_path / "submitted" / "007", "lesson1", [answer("1.1")])
    assert [one.student for one in grading.find_submissions(tmp_path)] == ["007"]


@pytest.mark.parametrize("end", ["file/a.ipynb", "file_/a.ipynb", "onlinetext/a.ipynb", "file_a.ipynb"])
def test_moodle_downloads_with_and_without_folders(tmp_path, end):
    path = tmp_path / f"Zoë Müller_0071_assignsubmission_{end}"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    assert [(one.student, one.name) for one in grading.find_submissions(tmp_path)] == [("0071", "Zoë Müller")]


def test_refuses_the_folder_of_one_student(tmp_path, capsys):
    (tmp_path / "00_latents.ipynb").write_text("{}")
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "g.csv")]) == 1
    assert "grade the folder above it" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["file/grades.csv", "."])
def test_says_before_the_grading_that_nothing_can_be_written(tmp_path, capsys, out):
    hand_in(tmp_path / "class", "ann", [answer("1.1")])
    (tmp_path / "file").write_text("")
    assert main(["grade", str(tmp_path / "class"), "--out", str(tmp_path / out)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert str(tmp_path) in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("folder", ["missing", "file", "nothing"])
def test_refuses_a_folder_without_submissions_in_one_sentence(tmp_path, capsys, folder):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "nothing").mkdir()
    assert main(["grade", str(tmp_path / folder), "--out", str(tmp_path / "grades.csv")]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_refuses_a_lesson_that_there_is_not(tmp_path, capsys):
    hand_in(tmp_path, "s1", [answer("1.1")])
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "grades.csv"), "--lessons", "7"]) == 1
    assert "7" in capsys.readouterr().err
