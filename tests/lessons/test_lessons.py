"""The lessons: built from their sources, always running to the last cell, and made as the course's rules say."""

import ast
import builtins
import itertools
import os
import re
import symtable
import time
from html import escape
from pathlib import Path
from statistics import median

import build_lessons as build
import nbformat
import pytest
from contents import section_costs, section_minutes
from nbformat.v4 import new_code_cell

import vae_course
from vae_course.exercises import EXERCISES
from vae_course.exercises.quiz import questions
from vae_course.exercises.sources import find, solution_lines, source_of

ROOT = Path(__file__).parents[2]

SOURCES, DEEPER = build.sources(), build.deeper()
ALL = [*SOURCES, *DEEPER]
NAMES = [source.stem for source in SOURCES]
BY_NAME = pytest.mark.parametrize("source", ALL, ids=lambda source: source.stem)
BY_LESSON = pytest.mark.parametrize("source", SOURCES, ids=NAMES)
ASKING = [source for source in ALL if ' exercise="' in source.read_text(encoding="utf-8")]  # the others ask nothing
PACKAGE = [vae_course.distributions, vae_course.nn, vae_course.model, vae_course.binary_vae, vae_course.vae]
PACKAGE += [vae_course.scvi_tools, vae_course.data, vae_course.simulate, vae_course.posterior, vae_course.metrics]
PACKAGE += [vae_course.differential, vae_course.imputation, vae_course.mapping]


def student(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def solved(source):
    path = ROOT / "solutions" / source.relative_to(ROOT / "lessons").with_suffix(".ipynb")
    return nbformat.read(path, as_version=4)


def number_of(source):
    """Such as "1"; of a deeper notebook, "1a"."""
    return re.sub(r"^0(?=\d)", "", source.stem.split("_")[0])


def tags(cell):
    return cell.metadata.get("tags", [])


def exercise_cells(notebook):
    """Exercise number -> cell."""
    cells = [cell for cell in notebook.cells if "exercise" in tags(cell)]
    return {re.search(r'^@exercise\("(.+?)"\)', cell.source, flags=re.MULTILINE).group(1): cell for cell in cells}


def markdown(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    """Text of a cell's outputs, without figures."""
    texts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            texts.append(output.text)
        elif "image/png" not in output.get("data", {"image/png": ""}):
            texts.append(output.data["text/plain"])  # of a card, too
    return "".join(texts)


def errors(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]


# --------------------------------------------------------------------------------------------------------------------
# One source
# --------------------------------------------------------------------------------------------------------------------


def test_all_lessons_are_there():
    assert NAMES == [
        "00_latents",
        "01_problem_setup",
        "02_pytorch_linear",
        "03_demo",
        "04_math_details",
        "05_comparison_with_scvi",
    ]
    for edition in ("lessons", "solutions"):
        assert sorted((ROOT / edition).rglob("*.ipynb")) == sorted(
            ROOT / edition / source.relative_to(ROOT / "lessons").with_suffix(".ipynb") for source in ALL
        )


@BY_NAME
def test_the_student_edition_is_what_its_source_builds(source):
    built = nbformat.writes(build.student_edition(source)) + "\n"
    assert built == source.with_suffix(".ipynb").read_text(encoding="utf-8"), "run `make lessons`"


@BY_NAME
def test_the_solved_edition_is_what_its_source_builds(source):
    built, committed = build.solved_edition(source), solved(source)
    assert [(c.id, c.cell_type, c.source) for c in built.cells] == [
        (c.id, c.cell_type, c.source) for c in committed.cells
    ], "run `make lessons`"
    assert built.metadata == committed.metadata


@BY_NAME
def test_the_editions_differ_in_exercises_only(source):
    ours, theirs = student(source), solved(source)
    different = [a.source for a, b in zip(ours.cells, theirs.cells, strict=True) if a.source != b.source]
    assert different == [cell.source for cell in exercise_cells(ours).values()]
    assert not [cell for cell in ours.cells if cell.get("outputs")]


@BY_NAME
def test_the_student_edition_holds_no_line_of_a_solution(source):
    notebook = student(source)
    for number, cell in exercise_cells(notebook).items():
        reference = source_of(EXERCISES[number].reference)
        assert not solution_lines(reference) & {line.strip() for line in cell.source.splitlines()}
    everything = {line.strip() for cell in notebook.cells for line in cell.source.splitlines()}
    general = {")", "else:", "raise ValueError(", "super().__init__()", "loss.backward()", "with torch.no_grad():"}
    for number in exercise_cells(notebook):
        assert not (solution_lines(source_of(EXERCISES[number].reference)) - general) & everything


@BY_NAME
def test_package_code_is_pasted_not_retyped(source):
    """A definition in a lesson that has a namesake in the package is that namesake's source, or the plain answer's."""
    plain = [source_of(one.plain) for one in EXERCISES.values() if one.plain]
    for cell in solved(source).cells:
        if cell.cell_type != "code":
            continue
        text = re.sub(r'^(from .+\n+)?@exercise\(".+?"\)\n', "", re.sub("^# @title .+\n", "", cell.source))
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for thing in (getattr(module, node.name, None) for module in PACKAGE):
                    if thing is not None and text not in plain:
                        assert text == source_of(thing) or is_excerpt(text, thing), f"{text}: retyped"


def is_excerpt(text, thing):
    """Whether a lesson's class is made of methods of its namesake in the package, but for a short constructor."""
    node, package = ast.parse(text).body[0], ast.parse(source_of(thing)).body[0]
    if not isinstance(node, ast.ClassDef) or not isinstance(package, ast.ClassDef):
        return False
    methods = {one.name: body_of(one) for one in package.body if isinstance(one, ast.FunctionDef)}
    mine = node.body[ast.get_docstring(node) is not None :]
    return all(methods.get(one.name) == body_of(one) or (len(one.body) <= 5 and one.name == "__init__") for one in mine)


def body_of(function):
    return [ast.dump(function.args), *map(ast.dump, function.body[ast.get_docstring(function) is not None :])]


def test_every_exercise_is_in_its_lesson_or_beside_it():
    for source in SOURCES:
        beside = [one for one in DEEPER if number_of(one).startswith(number_of(source))]
        asked = [exercise_id for one in (source, *beside) for exercise_id in exercise_cells(student(one))]
        there = [one for one in EXERCISES if one.startswith(f"{number_of(source)}.")]
        assert sorted(asked, key=lambda one: EXERCISES[one].number) == there
    after = next(one for one in DEEPER if number_of(one) == "6")  # belongs to lesson 5, and has numbers of its own
    assert list(exercise_cells(student(after))) == [one for one in EXERCISES if one.startswith("6.")]


@BY_NAME
def test_before_an_exercise_its_name_is_bound_to_the_reference(source):
    cells = student(source).cells
    for number, cell in exercise_cells(student(source)).items():
        position = next(i for i, other in enumerate(cells) if other.id == cell.id)
        one = EXERCISES[number]
        scope = {}
        exec(cells[position - 1].source, scope)
        assert scope[one.name] is one.reference
        assert f"### Exercise {number} · `{one.name}` · " in cells[position - 2].source
        assert "raises-exception" in tags(cell)


@BY_NAME
def test_what_the_learner_writes_is_what_the_lesson_uses(source):
    """After its cell an exercise's name is called, and never bound again."""
    cells = [cell for cell in student(source).cells if cell.cell_type == "code"]
    for number, cell in exercise_cells(student(source)).items():
        position = next(i for i, other in enumerate(cells) if other.id == cell.id)
        name, later = EXERCISES[number].name, [ast.parse(other.source) for other in cells[position + 1 :]]
        names = [node for tree in later for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
        assert any(isinstance(node.ctx, ast.Load) for node in names), f"{name} is never used after its exercise"
        assert not any(isinstance(node.ctx, ast.Store) for node in names)
        methods = {
            id(part)
            for tree in later
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for part in node.body
        }
        nodes = [node for tree in later for node in ast.walk(tree) if id(node) not in methods]
        definitions = [node for node in nodes if getattr(node, "name", None) == name]
        assert not definitions, f"{name} is defined or imported again after its exercise"


# --------------------------------------------------------------------------------------------------------------------
# Always to the last cell
# --------------------------------------------------------------------------------------------------------------------


@BY_NAME
def test_solved_every_exercise_is_right(source):
    """nbval runs the solved editions and compares what they print with what is committed; this is what that must be."""
    for cell in exercise_cells(solved(source)).values():
        assert "The lesson goes on with yours." in printed(cell)
        assert "nbval-check-output" in tags(cell)


WRONG = [
    "this is no Python",
    "while True: pass",
    "import os; os._exit(1)",
    "raise SystemExit(1)",
    "print('x' * 10**7)",
    "return undefined_name",
]


def with_all_kinds_of_answers(notebook):
    """Before each exercise's cell the same cell with a wrong answer, and after it one with an unusual right answer.

    The first two leave the name bound to the reference, which cells beside them ask; the lesson goes on with the third.
    """
    path = f"import sys; sys.path[:0] = [{str(ROOT / 'tests' / 'exercises')!r}]"
    cells = [new_code_cell(f"{path}\nfrom vae_course.exercises import EXERCISES, isolation; isolation.SECONDS = 2.0")]
    wrong = itertools.cycle(WRONG)
    for cell in notebook.cells:
        cells.append(cell)
        if "exercise" in tags(cell):
            number = next(n for n, one in exercise_cells(notebook).items() if one.id == cell.id)
            name, answered = EXERCISES[number].name, cell.source.replace("...  # your code", next(wrong))
            assert answered != cell.source, number
            still_bound = f'assert {name} is EXERCISES["{number}"].reference'
            cells.insert(-1, new_code_cell(answered, metadata={"tags": ["wrong", "raises-exception"]}))
            cells.insert(-1, new_code_cell(still_bound))
            right = (
                f"{still_bound}\nisolation.SECONDS = 8.0\nfrom right_answers import RIGHT\n"
                f'{name} = RIGHT["{number}"][-1]; {name}.__name__ = "{name}"\n'
                f'{name} = exercise("{number}")({name})\nisolation.SECONDS = 2.0'
            )
            cells.append(new_code_cell(right, metadata={"tags": ["right"]}))
    notebook.cells = cells
    return notebook


@pytest.mark.parametrize("source", ASKING, ids=lambda source: source.stem)
def test_whatever_the_answers_it_runs_to_the_last_cell(source):
    """Wrong ones, none, then right ones of which the rest of the lesson makes something: float64, Python numbers."""
    started, seconds = {}, {}
    executed = build.execute(
        with_all_kinds_of_answers(student(source)),
        on_cell_execute=lambda cell, **_: started.update({cell.id: time.monotonic()}),
        on_cell_executed=lambda cell, **_: seconds.update({cell.id: time.monotonic() - started[cell.id]}),
    )
    wrong = [cell for cell in executed.cells if "wrong" in tags(cell)]
    assert max((seconds[cell.id] for cell in wrong), default=0) < 30  # a deeper notebook may have no exercise
    assert not [cell.source for cell in wrong if "correct" in printed(cell)]
    raised = [output.ename for output in errors(executed)]
    assert raised == ["SyntaxError"] * sum(WRONG[0] in cell.source for cell in wrong)
    assert raised or not wrong
    for cell in exercise_cells(executed).values():
        assert "not done yet" in printed(cell)
    right = [cell for cell in executed.cells if "right" in tags(cell)]
    assert len(right) == len(wrong)
    assert not [cell.source for cell in right if "The lesson goes on with yours." not in printed(cell)]
    assert executed.cells[-1].outputs, "the last cell has not run"


def names_of(text):
    """The global names that a cell binds, those that it reads, and those that its functions will read."""
    cell = symtable.symtable(text, "cell", "exec")
    inner = cell.get_children()
    for one in inner:
        inner += one.get_children()
    bound = {one.get_name() for one in cell.get_symbols() if one.is_assigned() or one.is_imported()}
    read = {one.get_name() for one in cell.get_symbols() if one.is_referenced()}
    later = {one.get_name() for table in inner for one in table.get_symbols() if one.is_global()}
    return bound, read - set(dir(builtins)), later - set(dir(builtins))


def parts_of(notebook):
    """The code cells of every part that can be entered in a new session, in lists that begin with its catch_up."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith("catch_up("):
            parts.append([])
        if parts and cell.cell_type == "code":
            parts[-1].append(cell.source)
    return parts


@pytest.mark.parametrize("part", range(4), ids=["the parts", "the model", "its training", "the comparison"])
def test_a_part_of_lesson_5_can_be_entered_in_a_new_session(part):
    """After the set-up cell, a part reads no name that only the parts before it bind."""
    notebook = student(SOURCES[5])
    assert len(parts_of(notebook)) == 4
    known, later = set(), set()
    for text in [cell.source for cell in notebook.cells[1:3]] + parts_of(notebook)[part]:
        bound, read, read_later = names_of(text)
        if text.startswith("catch_up("):  # which binds what the exercises ask for
            bound.update(EXERCISES[one].name for one in re.findall(r'"(\d\.\d+)"', text.splitlines()[0]))
            bound.update(re.findall(r'"vae_course\.\w+\.(\w+)"', text.splitlines()[0]))
        known, later = known | bound, later | read_later
        assert read <= known, text
    assert later <= known


def test_the_slides_are_in_the_lessons():
    """The three figures that a lecturer would show; tools/save_slides.py writes them to docs/slides."""
    found = {source.stem: [cell for cell in solved(source).cells if "slide" in tags(cell)] for source in SOURCES}
    assert {name: len(cells) for name, cells in found.items() if cells} == dict.fromkeys(NAMES[3:], 1)
    film = found["03_demo"][0].outputs[-1].data["text/html"]
    assert 'src="data:image/gif;base64,' in film
    assert len(film) < 700_000
    assert sorted(path.stem for path in (ROOT / "docs" / "slides").iterdir()) == NAMES[3:]


@BY_NAME
def test_enough_cells_are_compared(source):
    notebook = solved(source)
    printing = [cell for cell in notebook.cells if printed(cell)]
    compared = [cell for cell in printing if "nbval-check-output" in tags(cell)]
    assert len(compared) >= len(printing) / 2
    for cell in printing:
        assert ("nbval-check-output" in tags(cell)) != ("volatile" in tags(cell))
    assert errors(notebook) == []


@BY_NAME
def test_nothing_of_this_machine_is_in_the_outputs(source):
    """No warnings, which hold paths, and no addresses of objects."""
    for cell in solved(source).cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text
        assert not re.search(r"site-packages|0x[0-9a-f]{6}|/home/", printed(cell))


def test_no_test_reads_the_learners_own_copies():
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'testpaths = ["tests", "lessons", "solutions"]' in config
    assert Path(os.environ["VAE_COURSE_HOME"]).name.startswith("vae-course-tests-"), "tests keep their own progress"


# --------------------------------------------------------------------------------------------------------------------
# Form
# --------------------------------------------------------------------------------------------------------------------


def headings(notebook):
    """Level and text of every heading, outside code."""
    found = []
    for text in markdown(notebook):
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found += [(len(mark), title) for mark, title in re.findall(r"^(#+) (.+)$", text, flags=re.MULTILINE)]
    return found


@BY_NAME
def test_headings(source):
    found, number = headings(student(source)), number_of(source)
    levels = [level for level, _ in found]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert found[0][1].startswith(f"{'Lesson' if source in SOURCES else 'Deeper'} {number} · ")
    sections = [title.split()[0] for level, title in found if level == 2]
    assert sections == [f"{number}.{i + 1}" for i in range(len(sections))]


@BY_NAME
def test_header(source):
    notebook = student(source)
    header = notebook.cells[0].source
    parts = ["**You will be able to**", "**Time:**", "**You need:**", "open in Colab", "open in Binder"]
    for part in parts if source in SOURCES else [*parts, "(../0"]:  # a deeper notebook links its lesson
        assert part in header
    assert "{{" not in "".join(markdown(notebook))
    assert "importlib.util.find_spec" in notebook.cells[1].source


def quiz_cells(notebook):
    """Numbers of the quiz's questions in this lesson, in order."""
    return [int(found[1]) for text in code(notebook) if (found := re.match(r'quiz\("\d\.(\d+)"\)$', text))]


BUDGETS = {  # words of Markdown, all that a reader counts; cells, lines of visible code, minutes
    "0": (3500, 90, 350, 90),
    "1": (3500, 90, 350, 90),
    "2": (3500, 90, 350, 90),
    "3": (3500, 90, 350, 90),
    "4": (3500, 90, 350, 90),
    "5": (5500, 140, 600, 150),
    "6": (3500, 90, 350, 90),  # a deeper notebook that is as long as a lesson
}


@pytest.mark.parametrize("source", [one for one in ALL if number_of(one) in BUDGETS or one in DEEPER], ids=number_of)
def test_it_is_short_enough_to_be_finished(source):
    costs = section_costs(source).values()
    words, cells, lines, minutes = BUDGETS.get(number_of(source), (2500, 60, 250, 45))
    notebook = student(source)
    assert sum(len(text.split()) for text in markdown(notebook)) <= words
    assert len(notebook.cells) <= cells
    assert sum(cost.lines for cost in costs) <= lines
    assert sum(section_minutes(source).values()) <= minutes


@BY_LESSON
def test_every_objective_is_tied_to_an_exercise_or_a_question(source):
    notebook = student(source)
    able_to = notebook.cells[0].source.split("**You will be able to**")[1]
    objectives = re.findall(r"^- (.+?)(?=\n- |\n\n)", able_to, flags=re.MULTILINE | re.DOTALL)
    assert 3 <= len(objectives) <= 6
    questions = set(quiz_cells(notebook))
    for objective in objectives:
        tie = re.search(r"\(([^()]*(?:exercise|quiz)[^()]*)\)$", objective.strip())
        assert tie, objective
        exercises, quiz = re.findall(r"\d\.\d+", tie.group(1)), re.findall(r"(?<![\d.])\d+(?![\d.])", tie.group(1))
        assert exercises or quiz, objective
        assert set(exercises) <= set(exercise_cells(notebook)), objective
        assert {int(n) for n in quiz} <= questions, objective


@BY_LESSON
def test_quiz(source):
    asked, number = quiz_cells(student(source)), int(source.stem[:2])
    assert asked == list(range(1, len(asked) + 1))
    assert [f"{number}.{place}" for place in asked] == [key for key in questions() if key.startswith(f"{number}.")]
    cards = [output.data["text/html"] for cell in solved(source).cells if cell.source.startswith("quiz(")
             for output in cell.outputs]  # fmt: skip
    assert [card.count("<details ") for card in cards] == [4] * len(asked)  # to be clicked where no kernel runs


@BY_LESSON
def test_what_we_built_names_what_there_is(source):
    table = next(text for text in markdown(student(source)) if "What we built" in text)
    assert "| in this lesson | in the package | in scVI 0.3.0 | in scvi-tools 1.4 |" in table
    symbols = re.findall(r"`((?:vae_course\.|vc\.)[\w.]+)", table)
    for symbol in symbols:
        thing = vae_course
        for part in symbol.split(".")[1:]:
            thing = getattr(thing, part)
    assert "progress()" in student(source).cells[-1].source


def length(text):
    """Lines of a cell, without docstrings."""
    removed = 0
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
            removed += node.body[0].end_lineno - node.body[0].lineno + 1
    return len(text.splitlines()) - removed


@pytest.mark.parametrize("edition", [student, solved])
@BY_NAME
def test_code_cells_are_short(source, edition):
    lengths = [length(text) for text in code(edition(source))]
    assert max(lengths) <= 40
    assert median(lengths) <= 6


@BY_NAME
def test_every_figure_has_a_description(source):
    bundles = [o for cell in solved(source).cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert bundles
    for output in bundles:
        alt = output.metadata["image/png"]["alt"]
        assert len(alt) > 20
        assert f'alt="{escape(alt)}"' in output.data["text/html"]
    for text in code(student(source)):
        assert "matplotlib" not in text
        assert text.count("plots.show(") <= 1
    for text in markdown(student(source)):
        assert not re.search(r"!\[\s*\]\(|<img(?![^>]*alt=)", text)


@BY_NAME
def test_no_image_comes_from_elsewhere(source):
    for notebook in (student(source), solved(source)):
        text = nbformat.writes(notebook)
        assert not re.search(r"!\[[^\]]*\]\(https?:|<img[^>]*src=\\?[\"']https?:", text)


@BY_NAME
def test_display_mathematics_stands_alone(source):
    for text in markdown(student(source)):
        lines = text.splitlines()
        assert text.count("$$") % 2 == 0
        inside = False
        for position, line in enumerate(lines):
            if "$$" not in line:
                continue
            opens, closes = not inside, inside or line.count("$$") == 2
            assert line.strip().startswith("$$") or line.strip().endswith("$$"), line
            if opens and position > 0:
                assert lines[position - 1].strip() == "", f"no blank line before {line}"
            if closes and position + 1 < len(lines):
                assert lines[position + 1].strip() == "", f"no blank line after {line}"
            inside ^= line.count("$$") == 1


@BY_NAME
def test_no_line_of_a_paragraph_becomes_a_list(source):
    """A line that happens to begin with "1)" or "-" ends its paragraph; a list begins after a blank line."""
    item = re.compile(r"\s*(\d+[.)]|[-+*]) ")
    for text in markdown(student(source)):
        text = re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL)
        for before, line in itertools.pairwise(text.splitlines()):
            if item.match(line) and before.strip():
                assert item.match(before) or before.startswith("  "), line


@BY_NAME
def test_details_are_closed_and_set_apart(source):
    for text in markdown(student(source)):
        assert text.count("<details>") == text.count("</details>")
        for line_before, line in itertools.pairwise(text.splitlines()):
            if line.strip() == "</details>" or line.startswith("<details>"):
                assert line_before.strip() == "", f"no blank line before {line!r}"


@BY_NAME
def test_links_are_alive(source):
    for text in markdown(student(source)):
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if not link.startswith("http"):
                target, _, anchor = link.partition("#")
                path = (source.parent / target).resolve() if target else source
                assert path.exists(), link
                if anchor and path.suffix == ".md":
                    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
                    slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
                    assert anchor in slugs, link


def test_pasted_sources_are_found():
    for source in ALL:
        for symbol in re.findall(r'source="([\w.]+)"', source.read_text(encoding="utf-8")):
            assert callable(find(symbol))


# --------------------------------------------------------------------------------------------------------------------
# Notation
# --------------------------------------------------------------------------------------------------------------------

GREEK = (
    "alpha|beta|[gG]amma|[dD]elta|(var)?epsilon|zeta|eta|[tT]heta|kappa|[lL]ambda|mu|nu|[xX]i|[pP]i|rho|[sS]igma|tau|"
    "(var)?[pP]hi|chi|[pP]si|[oO]mega|ell"
)


def symbols(text):
    """Symbols in the mathematics of a text: letters, with their bars and hats, and upright names such as KL."""
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    found = set()
    for display, inline in re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", text, flags=re.DOTALL):
        words = r"\\text(?:tt)?\{[^{}]*\}|\\mathrm\{\w+\\_\w+\}"  # the latter are names of code
        formula = re.sub(words, " ", display or inline)
        for pattern in (r"\\(?:mathrm|operatorname)\{([^{}]*)\}", r"\\(math(?:cal|bb)\s*\{?\s*[A-Z])\}?"):
            found |= {re.sub(r"[\s{]", "", name) for name in re.findall(pattern, formula)}
            formula = re.sub(pattern, " ", formula)
        decorated = r"\\(bar|hat|tilde)\s*\{?\s*(\\?[a-zA-Z])\}?"
        found |= {" ".join(pair) for pair in re.findall(decorated, formula)}
        formula = re.sub(decorated, " ", formula)
        found |= {name for name in re.findall(r"\\([a-zA-Z]+)", formula) if re.fullmatch(GREEK, name)}
        found |= set(re.findall(r"[A-Za-z]", re.sub(r"\\[a-zA-Z]+", " ", formula)))
    return found


def notation():
    """Symbol -> number of its first lesson, from the table."""
    table = {}
    for line in (ROOT / "docs" / "notation.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|(?!\\)", line)[1:-1]]
        if len(cells) == 4 and cells[3].isdigit():
            for symbol in symbols(cells[0]):
                table.setdefault(symbol, int(cells[3]))
    return table


def test_every_symbol_is_in_the_notation_table():
    table, first = notation(), {}
    for source in sorted(ALL, key=number_of):
        for symbol in set().union(*map(symbols, markdown(student(source)))):
            first.setdefault(symbol, int(number_of(source)[0]))
    assert sorted(first.keys() - table.keys()) == [], "add them to docs/notation.md"
    assert sorted(table.keys() - first.keys()) == [], "no lesson uses them"
    assert {s: n for s, n in table.items() if n != first[s]} == {}, "their first lesson is another one"


def test_the_symbol_test_sees_symbols():
    assert symbols(r"a $\bar x + \mathcal N(0, \Sigma_k)$ `$y$` $$\operatorname{var} \frac{a}{\text{no}}$$") == {
        *("bar x", "mathcalN", "Sigma", "k", "var", "a")
    }


def test_the_glossary_is_sorted_and_its_words_are_used():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    lessons = [""] * len(SOURCES)
    for source in ALL:
        lessons[min(int(number_of(source)[0]), 5)] += " ".join(
            markdown(student(source)) + code(student(source))
        ).lower()
    for number, one in questions().items():
        lessons[int(number[0])] += " ".join([one.ask, *one.options, *one.why]).lower()
    for part in text.split("\n## ")[1:]:
        rows = re.findall(r"^\| (.+?) \| .+ \| (\d) \|$", part, flags=re.MULTILINE)
        terms = [term.lower() for term, _ in rows]
        assert len(terms) > 15
        assert terms == sorted(terms)
        assert len(terms) == len(set(terms))
        for term, number in rows:
            word = re.split(r",| \(", term.lower())[0].rstrip("s").removesuffix("ing").removesuffix("ation")
            assert word in lessons[int(number)], f"lesson {number} does not use {term!r}"
