"""The quizzes: their form, and what becomes of an answer."""

import re
from itertools import groupby

import pytest

from vae_course.exercises import EXERCISES, progress, quiz
from vae_course.exercises.quiz import LETTERS, _question_card, note_answer, questions

ALL = questions()
LESSONS = [[number for number in ALL if number.startswith(f"{lesson}.")] for lesson in range(6)]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path))


@pytest.mark.parametrize("number", ALL)
def test_a_question_has_four_like_options_and_says_why(number):
    one = ALL[number]
    assert one.right in LETTERS
    assert len(one.options) == len(one.why) == 4
    lengths = [len(re.sub(r"</?\w+>|&\w+;", "", option)) for option in one.options]
    assert max(lengths) <= max(1.4 * min(lengths), min(lengths) + 6)
    assert all(re.match(r".{20,}[.!?]$", why) for why in one.why)
    assert not any(re.match("(Right|Wrong|Correct)", why) for why in one.why)  # which the card says
    for text in (one.ask, *one.options, *one.why):
        assert re.findall(r"<(?!/?(?:i|b|sub|sup|code)>)", text) == []
        assert "$" not in text


def test_questions_are_numbered_through():
    for lesson, numbers in enumerate(LESSONS):
        assert numbers == [f"{lesson}.{place + 1}" for place in range(len(numbers))]
        assert len(numbers) >= 5


def test_neither_place_nor_length_gives_an_answer_away():
    letters = [one.right for one in ALL.values()]
    assert all(0.15 <= letters.count(letter) / len(ALL) <= 0.35 for letter in LETTERS)
    for numbers in LESSONS:
        of_lesson = [ALL[number].right for number in numbers]
        assert max(map(of_lesson.count, LETTERS)) <= 3
        assert max(len(list(run)) for _, run in groupby(of_lesson)) <= 2
    longest = [max(one.options, key=len) == one.options[LETTERS.index(one.right)] for one in ALL.values()]
    assert sum(longest) / len(ALL) <= 0.4


def test_a_question_is_shown_with_options_to_click(capsys):
    quiz("3.2")
    printed = capsys.readouterr().out
    assert [line.strip()[:2] for line in printed.splitlines()[1:5]] == ["A.", "B.", "C.", "D."]
    html = _question_card("3.2", ALL["3.2"])._repr_html_()
    assert html.count("<details ") == 4
    assert html.count("✓ <b>Right.</b>") == 1
    assert "http" not in html


def test_the_first_answer_counts(capsys):
    one = ALL["3.2"]
    wrong = next(letter for letter in LETTERS if letter != one.right)
    quiz("3.2", wrong)
    quiz("3.2", one.right)
    assert "1 question answered, 0 right at first." in repr(progress())
    note_answer("3.1", ALL["3.1"].right)
    printed = capsys.readouterr().out
    assert printed.startswith(f"✗ {wrong} is wrong.")
    assert f"✓ {one.right} is right." in printed
    assert progress().answers == {"quiz 3.2": False, "quiz 3.1": True}
    assert "2 questions answered, 1 right at first." in repr(progress())
    assert len(progress()) == len(EXERCISES)  # exercises alone


@pytest.mark.parametrize(
    ("given", "message"),
    [(("9.9",), "There is no question '9.9'; there are 0.1"), (("3.2", "E"), "A, B, C and D, not 'E'"),
     (("3.2", ""), "not ''"), (("3.2", "AB"), "not 'AB'")],
)  # fmt: skip
def test_what_there_is_not_is_said_in_a_sentence(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        quiz(*given)
