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
    """A course whose exercise 3.1 takes 100 minutes more, and whose exercise 0.1 is in a section with another title."""
    (tmp_path / "lessons" / "deeper").mkdir(parents=True)
    for source in (*contents.sources(), *contents.deeper()):
        text = source.read_text(encoding="utf-8")
        text = re.sub(r'(exercise="3\.1" .*minutes=)(\d+)', lambda m: f"{m[1]}{int(m[2]) + 100}", text)
        title = CONTENTS[0].sections["0.1"].partition(" ")[2]
        copy = tmp_path / source.relative_to(contents.ROOT)
        copy.write_text(text.replace(title, "Other words"), "utf-8")
    before = {page.name: page.read_text(encoding="utf-8") for page in contents.PAGES}
    monkeypatch.setattr(contents, "ROOT", tmp_path)
    return {name: (text, contents.fill_minutes(text)) for name, text in before.items()}


def test_a_change_in_a_lesson_reaches_every_place_that_names_it(longer):
    notebooks = json.loads(contents.contents())
    assert notebooks[3]["minutes"] == CONTENTS[3].minutes + 100
    assert notebooks[0]["sections"]["0.1"].endswith(" Other words")
    changed = {
        name: [
            (old, new) for old, new in zip(*(re.findall(r"[\d,:]+", text) for text in texts), strict=True) if old != new
        ]
        for name, texts in longer.items()
    }
    course = sum(lesson.minutes for lesson in CONTENTS)
    assert changed["index.md"] == [(str(CONTENTS[3].minutes), str(CONTENTS[3].minutes + 100))]
    assert changed["jose.md"] == [(f"{course:,}", f"{course + 100:,}")]
    # the lesson, its week with the sum, and the day: total, section and times
    assert (f"{course:,}", f"{course + 100:,}") in changed["instructors.md"]
    times = [pair for pair in changed["instructors.md"] if ":" in pair[0]]
    assert {minutes_between(*pair) for pair in times} == {200}  # a day gives each minute two
    assert len(changed["instructors.md"]) > 6
    assert str(CONTENTS[3].minutes + 100) in dict(changed["README.md"]).values()


def minutes_between(old, new):
    """Between two times of day, or two numbers of minutes."""
    old, new = (sum(int(part) * 60**i for i, part in enumerate(reversed(text.split(":")))) for text in
                (old.replace(",", ""), new.replace(",", "")))  # fmt: skip
    return new - old


def test_placeholders_of_a_lesson_are_filled():
    source = contents.sources()[2]
    last = len(contents.section_minutes(source))
    filled = contents.fill_placeholders(
        f"{{{{minutes}}}} = {{{{minutes 2.1-2.5}}}} + {{{{minutes 2.6-2.{last}}}}}", source
    )
    total, first, second = map(int, re.findall(r"\d+", filled))
    assert total == first + second == CONTENTS[2].minutes
