"""The lessons' quizzes: a question with options to click, each of which says why it is right or wrong."""

import json
import re
import tomllib
from functools import cache
from html import escape, unescape
from importlib.resources import files
from typing import NamedTuple

from vae_course.exercises import record
from vae_course.exercises.cards import Card, show
from vae_course.exercises.overview import SUMMARY, refresh

LETTERS = "ABCD"
OPTION = "border: 1px solid rgba(128, 128, 128, 0.5); border-radius: 6px; padding: 0.3em 0.7em; margin: 0.3em 0"
# An option that is opened is noted where a page can reach the kernel: in Colab, and in the course's own JupyterLab.
NOTE = (
    "if (this.open) {{ window.google?.colab?.kernel.invokeFunction('vae_course.note_answer', {arguments}, {{}}); "
    "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.requestExecute({{silent: true, code: "
    "'from vae_course.exercises.quiz import note_answer; note_answer(*{arguments})'}}) }}"
)


class Question(NamedTuple):
    """A question of a quiz; texts are HTML with no tags but i, b, sub, sup and code."""

    ask: str
    right: str
    options: list[str]
    why: list[str]


@cache
def questions() -> dict[str, Question]:
    """Return all questions: "3.2", the second of lesson 3 -> what it asks."""
    text = (files("vae_course.exercises") / "quizzes.toml").read_text(encoding="utf-8")
    return {number: Question(**one) for number, one in tomllib.loads(text).items()}


def quiz(number: str, answer: str | None = None) -> None:
    """Show a question, its options to be clicked; or say whether an answer is right.

    Parameters
    ----------
    number
        Lesson and question, such as "3.2".
    answer
        A letter, for where nothing can be clicked.

    Raises
    ------
    ValueError
        If there is no such question, or no such option.
    """
    one = _find(number)
    if answer is None:
        show(_question_card(number, one))
        _listen_in_colab()
        return
    note_answer(number, answer)
    place = LETTERS.index(answer)
    is_right = answer == one.right
    line = f"{'✓' if is_right else '✗'} {answer} is {'right' if is_right else 'wrong'}. {_plain(one.why[place])}"
    body = f"<b>{line.split('. ')[0]}.</b> {one.why[place]}"
    show(Card("passed" if is_right else "wrong", [line], body))


def note_answer(number: str, answer: str) -> None:
    """Keep the first answer to a question.

    Raises
    ------
    ValueError
        If there is no such question, or no such option.
    """
    one = _find(number)
    if answer not in LETTERS or len(answer) != 1:
        raise ValueError(f"The options of a question are A, B, C and D, not {answer!r}.")
    record.note_answer(f"quiz {number}", answer == one.right)
    refresh()


def _find(number: str) -> Question:
    if number not in questions():
        raise ValueError(f"There is no question {number!r}; there are {', '.join(questions())}.")
    return questions()[number]


def _question_card(number: str, one: Question) -> Card:
    lines = [f"Question {number}. {_plain(one.ask)}"]
    lines += [f"  {letter}. {_plain(option)}" for letter, option in zip(LETTERS, one.options, strict=True)]
    lines.append(f'  Decide, then quiz("{number}", "A") says whether A is right.')
    options = []
    for letter, option, why in zip(LETTERS, one.options, one.why, strict=True):
        noted = escape(NOTE.format(arguments=json.dumps([number, letter])), quote=True)
        said = "✓ <b>Right.</b>" if letter == one.right else "✗ <b>Wrong.</b>"
        options.append(
            f'<details style="{OPTION}" ontoggle="{noted}">{SUMMARY}{letter}. {option}</summary>{said} {why}</details>'
        )
    return Card("hint", lines, f"<b>Question {number}.</b> {one.ask}{''.join(options)}")


def _plain(text: str) -> str:
    """Return a text of a question without its tags."""
    return unescape(re.sub(r"</?\w+>", "", text))


def _listen_in_colab() -> None:
    try:
        from google.colab import output
    except ImportError:
        return
    output.register_callback("vae_course.note_answer", note_answer)
