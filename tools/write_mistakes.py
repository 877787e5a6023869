"""Write docs/common_mistakes.md, the messages that students see, from the exercises: python tools/write_mistakes.py."""

import re
from itertools import groupby
from pathlib import Path

from vae_course.exercises import EXERCISES
from vae_course.exercises.engine import Exercise

PAGE = Path(__file__).resolve().parents[1] / "docs" / "common_mistakes.md"

HEAD = """\
<!-- Written by tools/write_mistakes.py from vae_course/exercises/; change the messages there. -->

# Common mistakes

What people get wrong, exercise by exercise: {mistakes} mistakes in {exercises} exercises. The course recognises each
of them by its values, not by its text, and answers with the message that stands here. The name before a message is
what `check` returns as `.diagnosis`. A mistake that is not listed gets a message that says where the result differs.

**Spoilers.** The page is for [instructors](instructors.md); learners get these messages when they need them.
"""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(PAGE.parents[1])}")


def page() -> str:
    """Return the page as Markdown: a heading a lesson, a box that opens an exercise, a line a mistake."""
    mistakes = sum(len(one.mistakes) for one in EXERCISES.values())
    parts = [HEAD.format(mistakes=mistakes, exercises=len(EXERCISES))]
    for number, exercises in groupby(EXERCISES.values(), key=lambda one: one.lesson):
        parts += [f"## Lesson {number}\n", *map(_box, exercises)]
    return "\n".join(parts)


def _box(one: Exercise) -> str:
    lines = [f"- `{name}`: {_literal(message)}" for name, (_, message) in one.mistakes.items()]
    title = f"<summary><b>{one.id} {one.name}</b>, {len(lines)} mistakes</summary>"
    return "\n".join(["<details>", title, "", *lines, "", "</details>", ""])


def _literal(message: str) -> str:
    """Escape what Markdown would take for markup; pieces of code, between backticks, stay."""
    code_and_text = re.split(r"(`[^`]+`)", message)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_\[\]<>|$^~{}])", r"\\\1", part) for part in code_and_text
    )


if __name__ == "__main__":
    main()
