"""What is said of an attempt, a hint or a solution: a card in a notebook, plain text everywhere else."""

import sys
from collections.abc import Sequence
from html import escape
from textwrap import shorten

from vae_course.exercises.catalogue import lesson_of
from vae_course.exercises.engine import Exercise, Result
from vae_course.exercises.overview import strip
from vae_course.exercises.sources import source_of, without_docstrings

KINDS = {  # colour as red, green, blue; sign
    "passed": ("0, 138, 100", "✓"),
    "wrong": ("213, 94, 0", "✗"),
    "error": ("170, 70, 130", "⚠"),
    "not_attempted": ("110, 120, 130", "·"),
    "hint": ("0, 114, 178", "?"),
    "solution": ("178, 122, 0", "="),
}
STYLE = (
    "border-left: 5px solid rgb({color}); background: rgba({color}, 0.09); padding: 0.5em 0.9em; margin: 0.3em 0; "
    "max-width: 52em; border-radius: 0 6px 6px 0"
)


class Card:
    """A few lines, and how a notebook shows them: colour, sign and words tell kinds apart."""

    def __init__(self, kind: str, lines: Sequence[str], body: str) -> None:
        self.kind, self.lines, self.body = kind, lines, body

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        return f'<div style="{STYLE.format(color=KINDS[self.kind][0])}">{self.body}</div>'


def show(card: Card) -> None:
    """Display a card where a notebook's kernel runs, and print its lines elsewhere."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and hasattr(shell, "kernel"):
        from IPython.display import display

        display(card)
    else:
        print(card)


def verdict_card(one: Exercise, result: Result) -> Card:
    """Say what became of an attempt, in at most six lines."""
    sign, title, is_renamed = KINDS[result.status][1], f"{one.id} {one.name}", result.name != one.name
    then, stuck = "The lesson goes on with the reference.", ""
    if result.status == "not_attempted":
        said, stuck = "not done yet.", f' Stuck? hint("{one.id}")'
    elif result.status != "passed":
        said, stuck = result.message, f' Change your code and run the cell again, or hint("{one.id}").'
    elif is_renamed:
        said = f"correct, but you call it {result.name}, and the lesson looks for {one.name}."
        then = "Rename it: until then the lesson goes on with the reference."
    else:
        said, then = f"correct. {one.built}", "The lesson goes on with yours."
    printed = shorten(result.printed.strip(), 80, placeholder=" ...")
    lines = [f"{sign} {title}: {said}"]
    lines += [f"  ! But mind: {result.warning}"] if result.warning else []
    lines += [f"  {then}{stuck}", *([f"  Your code printed: {printed}"] if printed else [])]
    parts = [f"<b>{sign} {escape(title)}</b>: {escape(said)}"]
    if result.warning:
        color = KINDS["wrong"][0]
        parts.append(f'<b style="color: rgb({color})">! But mind:</b> {escape(result.warning)}')
    if result.compared:
        where, yours, expected = map(escape, result.compared)
        parts.append(f"For {where}: yours <code>{yours}</code>, expected <code>{expected}</code>")
    if printed:
        parts.append(f"Your code printed: <code>{escape(printed)}</code>")
    parts.append(then)
    body = "".join(f'<div style="margin: 0.15em 0">{part}</div>' for part in parts)
    if result.status != "passed":
        body += _folded_hints(one)
    return Card(result.status, lines, f"{body}{strip(lesson_of(one.id))}")


def hint_card(one: Exercise, given: int) -> Card:
    """Show the first hints of an exercise."""
    lines = [f"Hint {n} of {len(one.hints)}. {text}" for n, text in enumerate(one.hints[:given], start=1)]
    if given == len(one.hints):
        lines.append(f'Still stuck? solution("{one.id}") shows one right answer.')
    shown = "".join(f'<div style="margin: 0.15em 0">{escape(line)}</div>' for line in lines)
    return Card("hint", lines, f"<b>? {one.id} {one.name}</b>{shown}")


def solution_card(one: Exercise) -> Card:
    """Show one right answer, without its docstring; the plain one where the package's own is written for speed."""
    code = without_docstrings(source_of(one.plain or one.reference))
    return Card("solution", [code], f"<b>= {one.id} {one.name}, one right answer</b><pre>{escape(code)}</pre>")


def _folded_hints(one: Exercise) -> str:
    """Hints to be opened one after the other, where no code has to run."""
    inner = f"<p>Still stuck? <code>solution(&quot;{one.id}&quot;)</code> shows one right answer.</p>"
    for number, text in reversed([*enumerate(one.hints, start=1)]):
        inner = f"<details><summary>Hint {number} of {len(one.hints)}</summary><p>{escape(text)}</p>{inner}</details>"
    return inner
