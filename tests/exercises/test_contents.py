"""Titles, minutes and exercises of the lessons stand in their sources; all other places are written from these."""

import json
import re
from pathlib import Path

import contents
import pytest

from vae_course.exercises import EXERCISES
from vae_course.exercises.catalogue import CONTENTS, DEEPER

ROOT = Path(__file__).parents[2]


def test_what_the_package_knows_of_the_lessons_is_what_their_sources_say():
    assert contents.DATA.read_text(encoding="utf-8") == contents.contents(), "run `make lessons`"


@pytest.mark.parametrize("page", contents.PAGES, ids=lambda page: page.name)
def test_minutes_in_the_documentation_are_those_of_the_lessons(page):
    text = page.read_text(encoding="utf-8")
    assert contents.fill_minutes(text) == text, "run `make lessons`"


def test_every_exercise_has_a_place_in_the_lessons():
    assert sorted(exercise_id for one in (*CONTENTS, *DEEPER) for exercise_id in one.sections) == sorted(EXERCISES)


@pytest.fixture
def longer(tmp_path, monkeypatch):
    """A course whose section 5.1 takes 100 minutes more, and whose exercise 0.1 is in another section."""
    (tmp_path / "lessons").mkdir()
    for source in contents.sources():
        text = source.read_text(encoding="utf-8")
        text = re.sub(r"^(# ## 5\.1 .*\n#\n# )(\d+)", lambda m: f"{m[1]}{int(m[2]) + 100}", text, flags=re.MULTILINE)
        (tmp_path / "lessons" / source.name).write_text(text.replace("0.2 What a count", "0.2 A count"), "utf-8")
    before = {page.name: page.read_text(encoding="utf-8") for page in contents.PAGES}
    monkeypatch.setattr(contents, "ROOT", tmp_path)
    return {name: (text, contents.fill_minutes(text)) for name, text in before.items()}


def test_a_change_in_a_lesson_reaches_every_place_that_names_it(longer):
    lessons = json.loads(contents.contents())
    assert lessons[5]["minutes"] == CONTENTS[5].minutes + 100
    assert lessons[0]["sections"]["0.1"] == "0.2 A count matrix is"
    changed = {
        name: [
            (old, new) for old, new in zip(*(re.findall(r"[\d,:]+", text) for text in texts), strict=True) if old != new
        ]
        for name, texts in longer.items()
    }
    assert changed["index.md"] == [("428", "528")]
    assert changed["jose.md"] == [("1,533", "1,633")]
    # the last week, the row of week 5 with its sum, two parts of lesson 5, and the day: total, section and times
    assert changed["instructors.md"][:3] == [("428", "528"), ("103", "203"), ("303", "403")]
    assert ("220", "320") in changed["instructors.md"]
    assert {("359", "459"), ("1,533", "1,633"), ("66", "166")} <= set(changed["instructors.md"])
    assert ("16:52", "18:32") in changed["instructors.md"]


def test_placeholders_of_a_lesson_are_filled():
    source = contents.sources()[2]
    filled = contents.fill_placeholders("{{minutes}} = {{minutes 2.1-2.8}} + {{minutes 2.9-2.16}}", source)
    total, first, second = map(int, re.findall(r"\d+", filled))
    assert total == first + second == CONTENTS[2].minutes
