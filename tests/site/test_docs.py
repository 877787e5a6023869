"""What the pages for instructors say is true of the course as it is now."""

import argparse
import html
import re
import runpy
import shlex
from functools import cache
from itertools import combinations
from pathlib import Path

import contents
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from contents import section_minutes
from markdown_it import MarkdownIt
from matplotlib.colors import to_rgb

import vae_course
from vae_course import cli, exercises, plots
from vae_course.exercises import EXERCISES

ROOT = Path(__file__).parents[2]
NAMES = ("instructors", "common_mistakes", "errata", "jose", "accessibility")
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in NAMES}
FLAT = {name: " ".join(page.split()) for name, page in PAGES.items()}  # phrases, wherever a line ends
BY_NAME = pytest.mark.parametrize("name", NAMES)
LESSONS = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "lessons").glob("*.py"))]


def table(name, *heads):
    """Rows of the page's table whose first headings are these; each row a list of its cells."""
    start = re.escape("| " + " | ".join(heads) + " |")
    lines = re.search(rf"^{start}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGES[name], flags=re.MULTILINE).group(1).splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@cache
def minutes():
    """Minutes of every section of the six lessons."""
    return {section: number for source in contents.sources() for section, number in section_minutes(source).items()}


def sections(text):
    """Names of the sections in a text such as "1.4, 1.6-1.7"."""
    found = []
    for first, last in re.findall(r"(\d\.\d+)(?:-(\d\.\d+))?", text):
        lesson, start = map(int, first.split("."))
        found += [f"{lesson}.{number}" for number in range(start, int((last or first).split(".")[1]) + 1)]
    return found


def options_of(command):
    """Options of one of the commands of `vae-course`, or of itself."""
    parser = cli._parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
    return (commands[command] if command else parser)._option_string_actions.keys()


def spans(name):
    """Pieces of code in the text of a page."""
    text = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


# --------------------------------------------------------------------------------------------------------------------
# What is named exists
# --------------------------------------------------------------------------------------------------------------------


@BY_NAME
def test_links_lead_to_headings_that_exist(name):
    for file, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", PAGES[name]):
        target = (ROOT / "docs" / file).resolve() if file else ROOT / "docs" / f"{name}.md"
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings], target


@BY_NAME
def test_named_files_exist(name):
    named = [s for s in spans(name) if re.fullmatch(r"[\w./*-]+\.(py|toml|yml|txt)|(\w+/)+(\*\.\w+)?", s)]
    made = {"work/", "feedback/", "build/kits/"}  # by commands that the page explains
    assert not [path for path in named if path not in made and not list(ROOT.glob(path.rstrip("/")))]


@BY_NAME
def test_named_commands_exist_with_their_options(name):
    blocks = re.findall(r"^ *(?:vae-course|python3 course\.py) .*$", PAGES[name], flags=re.MULTILINE)
    for line in [*blocks, *spans(name)]:
        words = shlex.split(line) if line.startswith(("vae-course ", "python3 ")) else []
        if words[:1] == ["vae-course"]:
            options = {word for word in words if word.startswith("--")}
            assert options <= options_of(None if words[1].startswith("--") else words[1]), line
        elif words:
            assert words[1] == "course.py", line
            assert words[2] in runpy.run_path(str(ROOT / "course.py"))["COMMANDS"], line


def test_exercises_without_hidden_cases_are_named():
    assert [one.id for one in EXERCISES.values() if one.hidden is None] == ["3.5"]
    assert "(Exercise 3.5, a diagnosis, takes no numbers and has none.)" in FLAT["instructors"]


def test_the_options_of_grade_exist():
    named = {span.split()[0] for span in spans("instructors") if span.startswith("--")}
    assert named == {"--deeper", "--lessons", "--seed", "--title", "--unsafe"}
    assert named <= options_of("grade")


@BY_NAME
def test_named_functions_exist(name):
    places = {"plots": plots, "VAE": vae_course.VAE}
    for span in spans(name):
        if re.fullmatch(r"(plots|VAE)\.\w+", span):
            assert hasattr(places[span.split(".")[0]], span.split(".")[1]), span
        elif name == "instructors" and re.fullmatch(r"\w+\([^*]*\)", span) and span not in ("eval()", "exp()"):
            assert span.split("(")[0] in exercises.__all__, span


@BY_NAME
def test_named_sections_and_exercises_exist(name):
    lists = r"((?:\d\.\d+(?:, | and | to |-)?)+)"
    named = re.findall(rf"[Ss]ections?\s+{lists}", PAGES[name])
    assert {one for text in named for one in re.findall(r"\d\.\d+", text)} <= minutes().keys()
    named = re.findall(rf"[Ee]xercises?\s+{lists}", PAGES[name])
    assert {one for text in named for one in re.findall(r"\d\.\d+", text)} <= EXERCISES.keys()


# --------------------------------------------------------------------------------------------------------------------
# Schedules
# --------------------------------------------------------------------------------------------------------------------


def test_six_weeks_hold_every_section_once_and_their_minutes_add_up():
    weeks = table("instructors", "week", "lesson")
    held = []
    for *cells, total in weeks:
        stated = 0
        for span, number in re.findall(r"(\d\.\d+-\d\.\d+) \((\d+)\)", " ".join(cells[2:])):
            assert sum(minutes()[section] for section in sections(span)) == int(number), span
            held += sections(span)
            stated += int(number)
        assert stated == int(total)
    assert len(weeks) == 6
    assert len(held) == len(set(held))
    assert set(held) == minutes().keys()
    assert f"{sum(int(week[-1]) for week in weeks):,} minutes" in FLAT["jose"]


def test_a_class_lasts_90_minutes_and_its_sections_are_those_of_the_week():
    weeks = table("instructors", "week", "lesson")
    classes = table("instructors", "week", "minutes", "in the opening")
    for week, (number, minutes_of, *_) in zip(weeks, classes, strict=True):
        opening, together, close = map(int, minutes_of.split(" + "))
        assert number == week[0]
        assert opening + together + close == 90
        assert close >= 8
        assert f"({together})" in week[3]


def test_the_day_is_a_day():
    day = table("instructors", "time", "sections", "minutes")
    now = 9 * 60
    for start, span, number, _ in day:
        assert start == f"{now // 60:02}:{now % 60:02}"
        if span != "-":
            assert 2 * sum(minutes()[section] for section in sections(span)) == int(number), span
        now += int(number)
    assert now == 17 * 60
    assert 5 <= int(day[-1][2]) <= 30
    in_lessons = sum(int(row[2]) for row in day if row[1] != "-") // 2
    assert f"It takes {in_lessons} of the {sum(minutes().values()):,} minutes" in FLAT["instructors"]


@pytest.mark.parametrize("span", ["5.1-5.7", "5.8-5.18"])
def test_other_minutes_add_up(span):
    assert f"{span} ({sum(minutes()[section] for section in sections(span))})" in FLAT["instructors"]


# --------------------------------------------------------------------------------------------------------------------
# Mistakes, errata, checklist
# --------------------------------------------------------------------------------------------------------------------


def test_common_mistakes_are_those_of_the_exercises():
    tool = runpy.run_path(str(ROOT / "tools" / "write_mistakes.py"))
    assert tool["page"]() == PAGES["common_mistakes"], "run: python tools/write_mistakes.py"


def test_common_mistakes_read_as_students_read_them():
    rendered = MarkdownIt("commonmark").enable("table").render(PAGES["common_mistakes"])
    assert rendered.count("<details>") == rendered.count("</details>") == len(EXERCISES)
    items = re.findall(r"<li><code>(.*?)</code>: (.*?)</li>", rendered, flags=re.DOTALL)
    shown = [(name, html.unescape(re.sub(r"</?code>", "`", message))) for name, message in items]
    assert shown == [(name, message) for one in EXERCISES.values() for name, (_, message) in one.mistakes.items()]


def test_mistakes_to_expect_have_the_message_that_the_exercise_gives():
    listed = table("instructors", "exercise", "mistake", "message")
    assert [row[0][0] for row in listed] == [digit for digit in "012345" for _ in range(3)]
    for one, mistake, message in listed:
        assert EXERCISES[one].mistakes[mistake.strip("`")][1] == message.replace("\\", ""), mistake


def test_every_slip_of_the_notes_is_in_the_errata():
    sources = sorted((ROOT / "lessons").rglob("[0-9]*.py"), key=lambda path: path.name.removeprefix("0"))
    boxes = [
        section
        for source in sources  # each lesson, then the deeper notebooks beside it
        for section, text in re.findall(
            r"^# ## (\d[a-z]?\.\d+) (.*?)(?=^# ## |\Z)",
            source.read_text(encoding="utf-8"),
            flags=re.MULTILINE | re.DOTALL,
        )
        for _ in re.findall(r"\*\*Find the slip", text)
    ]
    assert [row[0].split(",")[0] for row in table("errata", "section", "the notes say")] == boxes


def test_every_fault_of_scvi_that_a_test_guards_against_is_in_the_errata():
    listed = [row[0] for row in table("errata", "number", "what 0.3.0 does")]
    tested = re.findall(
        r"def test_row_(\d)_(\d+)_", (ROOT / "tests" / "core" / "test_regressions.py").read_text(encoding="utf-8")
    )
    assert listed == [f"2.{number}" for number in range(1, 25)]
    assert {".".join(row) for row in tested} | {"2.22", "2.23"} == set(listed)
    places = [row[3] for row in table("errata", "number", "what 0.3.0 does")]
    assert {one for place in places for one in re.findall(r"\d\.\d+", place)} <= minutes().keys()


def test_the_checklist_counts_right():
    assert f"six lessons, {len(EXERCISES)} exercises" in FLAT["jose"]
    assert f"[{sum(len(one.mistakes) for one in EXERCISES.values())} recognised mistakes]" in FLAT["jose"]
    released = "(not released yet)" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert released != ("the [changelog](../CHANGELOG.md) calls it not released" in FLAT["jose"])


# --------------------------------------------------------------------------------------------------------------------
# Accessibility
# --------------------------------------------------------------------------------------------------------------------

VISIONS = {
    "usual": None,
    "without green cones (deuteranopia)": "deuteranomaly",
    "without red cones (protanopia)": "protanomaly",
    "without blue cones (tritanopia)": "tritanomaly",
}


def luminance(rgb):
    """Relative luminance, as WCAG 2.2 defines it."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(colour, background, change=lambda rgb: rgb):
    """Contrast of two colours, 1 to 21, when both went through a change."""
    darker, lighter = sorted(luminance(change(np.array(to_rgb(one)))) for one in (colour, background))
    return (lighter + 0.05) / (darker + 0.05)


def dimmed(rgb):
    """What the site does to figures on dark pages: brightness(0.8) contrast(1.2)."""
    return np.clip((0.8 * rgb - 0.5) * 1.2 + 0.5, 0, 1)


def seen(colours, vision):
    """Colours in CAM02-UCS as an eye sees them, (colours, 3); at full severity."""
    colorspacious = pytest.importorskip(
        "colorspacious", reason="colorspacious is not installed: pip install -e '.[test]'"
    )
    rgb = np.array([to_rgb(colour) for colour in colours])
    if VISIONS[vision] is not None:
        space = {"name": "sRGB1+CVD", "cvd_type": VISIONS[vision], "severity": 100}
        rgb = np.clip(colorspacious.cspace_convert(rgb, space, "sRGB1"), 0, 1)
    return colorspacious.cspace_convert(rgb, "sRGB1", "CAM02-UCS")


def closest(colours, vision):
    """The smallest distance of two colours, and these."""
    points = dict(zip(colours, seen(colours, vision), strict=True))
    return min((float(np.linalg.norm(points[a] - points[b])), {a, b}) for a, b in combinations(colours, 2))


def test_every_figure_is_counted():
    for number, (lesson, count) in enumerate(table("accessibility", "lesson", "figures with alt text")):
        path = ROOT / "solutions" / re.search(r"lessons/(\w+\.ipynb)", lesson).group(1)
        assert lesson.startswith(f"[{number}]")
        outputs = [o for cell in nbformat.read(path, as_version=4).cells for o in cell.get("outputs", [])]
        figures = [o for o in outputs if "image/png" in o.get("data", {})]
        described = [o for o in figures if o.metadata.get("image/png", {}).get("alt")]
        assert count == f"{len(described)} of {len(figures)}", lesson
        assert len(described) == len(figures)


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_stay_apart(vision):
    distance, pair = closest(plots.COLORS, vision)
    assert distance >= 10
    stated = {row[0]: row[1:] for row in table("accessibility", "vision", "smallest distance")}[vision]
    assert stated[0] == f"{distance:.1f}"
    names = {row[1]: row[0].strip("`") for row in table("accessibility", "colour", "name")}
    assert {names[name] for name in stated[1].split(" and ")} == pair


def test_contrast_is_as_stated():
    stated = [[row[0].strip("`"), *row[2:]] for row in table("accessibility", "colour", "name")]
    pairs = [("white",), ("white", dimmed), ("#121212",)]
    assert stated == [[colour, *(f"{contrast(colour, *pair):.1f}" for pair in pairs)] for colour in plots.COLORS]
    assert [contrast(colour, "white") >= 3 for colour in plots.COLORS] == [True] * 5 + [False] * 2  # as the page says


def test_single_points_are_as_pale_as_stated():
    ax = plots.latent([[0, 0], [1, 1]], [0, 1])
    alpha = ax.collections[0].get_alpha()
    plt.close(ax.figure)
    pale = [contrast(alpha * np.array(to_rgb(colour)) + 1 - alpha, "white") for colour in plots.COLORS[:5]]
    text = f"at the {alpha} of `plots.latent` the first five colours have from {min(pale):.1f} to {max(pale):.1f}"
    assert text in FLAT["accessibility"]


def test_numerals_that_look_alike_are_named():
    ax = plots.numerals(np.zeros((10, 2)), np.arange(10))
    colours = [tuple(points.get_facecolor()[0][:3]) for points in ax.collections]
    plt.close(ax.figure)
    distance, pair = closest(colours, "without red cones (protanopia)")
    assert {colours.index(colour) for colour in pair} == {1, 8}
    assert f"its second and its ninth are the same to the eye ({distance:.1f})" in FLAT["accessibility"]


def test_colour_and_second_cue_come_together_as_rarely_as_stated():
    for cues, words in ((plots.MARKERS, "after {} groups"), (plots.LINES, "line style after {}")):
        assert words.format(np.lcm(len(plots.COLORS), len(cues))) in FLAT["accessibility"]


@pytest.mark.parametrize("name", ["viridis", "Blues", "Greys"])
def test_surfaces_work_in_grey(name):
    lightness = seen([tuple(c[:3]) for c in plt.get_cmap(name)(np.linspace(0, 1, 32))], "usual")[:, 0]
    assert len(set(np.sign(np.diff(lightness)))) == 1
    source = (ROOT / "vae_course" / "plots.py").read_text(encoding="utf-8")
    assert f'"{name}"' in source


def test_films_are_those_that_are_named():
    named = re.search(r"One figure moves, in section (\d\.\d+)", FLAT["accessibility"]).group(1)
    films = [
        section
        for lesson in LESSONS
        for section in re.findall(r"^# ## (\d\.\d+) |plots\.animate\(", lesson, re.MULTILINE)
    ]
    assert films.count("") == 1
    assert films[films.index("") - 1] == named
