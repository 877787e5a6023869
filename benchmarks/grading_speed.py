"""Time the grading of a class: submissions of all lessons, solved, partly wrong, partly done or as they came.

    python benchmarks/grading_speed.py [--students 100] [--jobs 2]

A wrong answer is a misconception that the exercises know. The seed of the class and of its hidden cases is fixed.
"""

import argparse
import ast
import json
import random
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

from results import save
from vae_course.exercises import EXERCISES, catalogue
from vae_course.exercises.engine import Exercise
from vae_course.grading import grade_folder

ROOT = Path(__file__).parents[1]
SHARES = {"solved": 0.0, "partly wrong": 0.4, "partly done": 0.5, "as it came": 0.0}  # of exercises that differ


def misconceptions() -> dict[str, list[str]]:
    """Return the wrong answers of every exercise, as expressions of its file of mistakes."""
    found: dict[str, list[str]] = {}
    for one in EXERCISES.values():
        mistakes = ast.parse(source(one, "mistakes")).body[-1].value
        pairs = mistakes.values if isinstance(mistakes, ast.Dict) else []
        found[one.id] = [ast.unparse(pair.elts[0]) for pair in pairs if isinstance(pair, ast.Tuple)]
    return found


def helpers(one: Exercise) -> str:
    """Return what wrong answers to an exercise are made of."""
    return source(one, "answer") + source(one, "mistakes").split("\nMISTAKES")[0]


def source(one: Exercise, part: str) -> str:
    """Return a file of an exercise, "" if there is none."""
    path = Path(catalogue.__file__).with_name(f"e{one.id.replace('.', '_')}") / f"{part}.py"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def cell(source: str) -> dict:
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}


def write_student(folder: Path, kind: str, dice: random.Random, wrong: dict[str, list[str]]) -> None:
    """Write the notebooks of a student."""
    folder.mkdir()
    for path in sorted((ROOT / ("lessons" if kind == "as it came" else "solutions")).rglob("*.ipynb")):
        number = int(re.match(r"0?(\d)[a-z]?_", path.name)[1])
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for one in [one for one in EXERCISES.values() if one.lesson == number and dice.random() < SHARES[kind]]:
            notebook["cells"] = [c for c in notebook["cells"] if f'@exercise("{one.id}")' not in "".join(c["source"])]
            if kind == "partly wrong":
                answer = f"{one.name} = {dice.choice(wrong[one.id])}"
                notebook["cells"] += [cell(helpers(one)), cell(answer)]
        (folder / path.name).write_text(json.dumps(notebook), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    dice, wrong = random.Random(0), misconceptions()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.students):
            kind = list(SHARES)[number % len(SHARES)]
            write_student(Path(folder, f"{number:04} {kind}"), kind, dice, wrong)
        start = time.perf_counter()
        grades = grade_folder(folder, seed=0, jobs=options.jobs, deeper=True)
        seconds = time.perf_counter() - start
    points: dict[str, list[int]] = {}
    for grade in grades:
        points.setdefault(grade.student[5:], []).append(grade.total)
    statuses = Counter(result.status for grade in grades for result in grade.results.values())
    named = sum(bool(result.diagnosis) for grade in grades for result in grade.results.values())
    print(f"{len(grades)} submissions of {len(EXERCISES)} exercises, {options.jobs} at a time")
    print(f"{seconds:.0f} s, {seconds / len(grades):.2f} s a submission")
    print(", ".join(f"{kind}: {min(found)} to {max(found)} points" for kind, found in sorted(points.items())))
    print(f"{dict(statuses)}; a misconception is named in {named} of {statuses['wrong'] + statuses['error']}")
    figures = {"submissions": len(grades), "exercises": len(EXERCISES), "jobs": options.jobs, "seconds": seconds}
    save("grading_speed", figures | {"wrong": statuses["wrong"] + statuses["error"], "named": named})


if __name__ == "__main__":
    main()
