"""Turn a solved lesson into slides by rules, for tools/build_kits.py.

A section opens with its question. Displayed equations, diagrams, tables, figures, short code that prints, what breaks
it, questions to the listeners and exercises get slides; prose goes to what the speaker says. Answers, setup, the code
of figures and long code stay in the lesson.
"""

import ast
import re
from dataclasses import dataclass, field
from html import escape
from math import ceil

from nbformat import NotebookNode, v4
from videos import Video

COLUMNS = 80  # characters in a line of code on a slide, when its letters are the smallest
CODE_LINES, PRINTED_LINES, ALL_LINES, LINES_UNDER_TEXT = 12, 12, 14, 10
TEXT_COLUMNS = 58  # characters in a line of text
TABLE_HEIGHT = EQUATION_HEIGHT = 490  # pixels under the heading
TITLE_WORDS = 32  # a sentence with more of them is said, not shown
FOR_READERS = r"\[?▶|> \*\*Differs|#|This section uses|\*\*(The second|A) good place to stop|\*\*End of sitting"


@dataclass
class Slide:
    """What the listeners see (cells), and what the speaker says meanwhile (paragraphs)."""

    kind: str  # title, goals, question, equation, diagram, table, code, figure, breaks, ask, exercise or quiz
    section: str
    heading: str
    cells: list[NotebookNode]
    say: list[str] = field(default_factory=list)
    minutes: int = 0  # the listeners' own time, in which the video is paused


def slides_of(notebook: NotebookNode, video: Video) -> list[Slide]:
    """Return the slides of a solved lesson, in order."""
    deck = _Deck(video, notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            deck.add_text(cell.source)
        elif "exercise" not in cell.metadata.get("tags", []):
            deck.add_code(cell)
    deck.flush()
    return deck.slides


def paragraphs(text: str) -> list[str]:
    """Split Markdown at blank lines, but not in <details> and fenced code; an equation is a paragraph of its own."""
    text = re.sub(r"\s*(\$\$.*?\$\$)\s*", r"\n\n\1\n\n", text, flags=re.DOTALL)
    whole = r"<details>.*?</details>|^```.*?^```|(?:(?!\n\n|^<details>|^```).)+"
    return [part.strip() for part in re.findall(whole, text, flags=re.DOTALL | re.MULTILINE) if part.strip()]


def sentences(paragraph: str) -> list[str]:
    """Split a paragraph after full stops, question marks and colons, but not in formulas and code."""
    text = " ".join(paragraph.split())
    kept: list[str] = []
    hidden = re.sub(r"\$[^$]+\$|`[^`]+`", lambda part: f"\0{kept.append(part[0]) or len(kept) - 1}\0", text)
    parts = re.split(r"(?<=[.?!:])(?<!e\.g\.)(?<!i\.e\.)((?:\*\*|[\")])*)\s+(?=[A-Z0-9*\"(\0])", hidden)
    parts = [one + end for one, end in zip(parts[::2], [*parts[1::2], ""], strict=True)]
    return [re.sub(r"\0(\d+)\0", lambda part: kept[int(part[1])], one) for one in parts]


class _Deck:
    """The slides so far, and the prose that waits for the next one."""

    def __init__(self, video: Video, notebook: NotebookNode):
        self.section, self.heading = video.chapters[0].sections[0], video.title
        self.opening, self.asks, self.waiting = False, False, []
        self.questions = sum(cell.source.startswith("quiz(") for cell in notebook.cells)
        cover = f"# {video.title}\n\nVideo {video.number} of the course · {video.length}"
        self.slides = [Slide("title", self.section, video.title, [_text(cover)])]
        self.slides[0].say.append(f"Welcome to video {video.number} of the course: {video.title}.")

    def add(self, kind: str, *cells: NotebookNode, heading: str = "", minutes: int = 0) -> None:
        """Add a slide; the paragraph before it is said with it, those before that with the slide before."""
        self.slides[-1].say += self.waiting[:-1]
        heading = heading or self.heading
        cells = [_text(f"## {heading}"), *cells]
        self.slides.append(Slide(kind, self.section, heading, cells, self.waiting[-1:], minutes))
        self.waiting = []

    def flush(self) -> None:
        self.slides[-1].say += self.waiting
        self.waiting = []

    def add_text(self, text: str) -> None:
        parts = paragraphs(text)
        exercise = re.match(r"### Exercise (\S+) · (`\w+`) · (\d+) minutes", parts[0])
        if exercise:
            self._add_exercise(*exercise.groups(), parts[1:])
        elif text.startswith("# "):
            goals = next(part for part in parts if part.startswith("- "))
            goals = re.sub(r"\s*\((?:exercise|quiz)[^)]*\)|,? (?:exercises?|quiz) [\d. ,and]+(?=\))", "", goals)
            self.waiting = ["You will be able to:\n" + goals]
            self.add("goals", _text(goals), heading="You will be able to")
        else:
            self.asks = "**Question.**" in text
            for part in _equations_together(parts):
                self._add_paragraph(part)

    def _add_exercise(self, number: str, name: str, minutes: str, statement: list[str]) -> None:
        self.flush()
        short = " ".join(sentences(statement[0])[:2])
        show = short if len(short.split()) <= 2 * TITLE_WORDS else ""
        self.waiting = [f"Pause the video and solve exercise {number}, {name}. Take {minutes} minutes."]
        body = f"**Exercise {number}: {name}**\n\n{show}\n\nPause the video. You have **{minutes} minutes**."
        self.add("exercise", _text(body), heading="Your turn", minutes=int(minutes))

    def _add_paragraph(self, part: str | list[str]) -> None:
        if isinstance(part, list):
            self._add_equations(part)
        elif part.startswith("## "):
            self.flush()
            self.section, title = part.removeprefix("## ").split(maxsplit=1)
            self.heading = f"{self.section} {re.sub(r'^Part [A-Z], [^:]*: (.)', lambda first: first[1].upper(), title)}"
            self.opening = True
        elif re.match(FOR_READERS, part):
            pass
        elif self.heading.endswith(" Quiz"):
            minutes = int(part.split()[0])
            body = f"> {self.questions} questions in the lesson\n\nPause the video. You have **{minutes} minutes**."
            self.waiting = ["Pause the video and do the quiz. Decide first, then open the answer."]
            self.add("quiz", _text(body), minutes=minutes)
            self.heading = ""
        elif re.match(r"\d+ minutes?\b", part):
            pass
        else:
            self._add_block(part)

    def _add_block(self, part: str) -> None:
        check = re.search(r"<summary><b>Check yourself\.</b>(.*?)</summary>(.*)</details>", part, flags=re.DOTALL)
        if check:
            question, answer = (_plain(text) for text in check.groups())
            self.waiting.append(f"**Ask.** {question} (Wait.) {answer}")
            self.add("ask", _text(f"> {question}"), heading="Check yourself")
        elif part.startswith("<details>"):
            pass  # an aside for readers
        elif part.startswith("|"):
            self._add_table(part.splitlines())
        elif part.startswith("```"):
            self.add("diagram", _text(_lead(self.waiting)), _pre("\n".join(part.splitlines()[1:-1]), "diagram"))
        elif self.opening and (part.startswith("**Question.") or not self.asks):
            question = " ".join(sentences(re.sub(r"^\*\*Question\.\*\*\s*", "", part)))
            self.waiting.append(f"**Ask.** {question}" if part.startswith("**Question") else question)
            shown = question if len(question.split()) <= 2 * TITLE_WORDS else sentences(question)[0]
            self.add("question", _text(f"> {shown}"))
        elif "**What breaks it" in part:
            what = re.sub(r".*\*\*What breaks it[^*]*\*\*:?\s*", "", part, flags=re.DOTALL)
            self.waiting.append(part)
            shown = " ".join(_first(sentences(what), 45))
            self.add("breaks", _text(shown[:1].upper() + shown[1:]), heading="What breaks it")
        else:
            self.waiting.append(part)
            return
        self.opening = False

    def _add_table(self, lines: list[str]) -> None:
        head, rows = lines[:2], lines[2:]
        shown, height = head.copy(), 0
        for row in rows:
            # Long names may break after their dots and underscores.
            row = re.sub(r"`[^`]+`", lambda name: re.sub(r"([._])(?=\w)", "\\1\u200b", name[0]), row)
            more = 14 + 27 * ceil(max(map(len, row.split("|"))) * head[0].count("|") / 95)
            if height + more > TABLE_HEIGHT:
                self.add("table", _text("\n".join(shown)))
                shown, height = head.copy(), 0
            shown.append(row)
            height += more
        self.add("table", _text("\n".join(shown)))

    def _add_equations(self, parts: list[str]) -> None:
        """Add slides with equations, each under the sentence that leads to it."""
        shown: list[str] = []
        height = 0
        for lead, equation in zip(parts[::2], parts[1::2], strict=True):
            sentence = _lead([lead] if lead or shown else self.waiting, last=True)
            more = 18 + 37 * ceil(len(sentence) / TEXT_COLUMNS) + _height(equation)
            if shown and height + more > EQUATION_HEIGHT:
                self.add("equation", _text("\n\n".join(shown)))
                shown, height = [], 0
            shown += [sentence, equation]
            height += more
            self.waiting += [lead] if lead else []
        said = self.waiting
        self.waiting = []
        self.add("equation", _text("\n\n".join(shown)))
        self.slides[-1].say += said

    def add_code(self, cell: NotebookNode) -> None:
        figures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        printed = _printed(cell)
        if figures:
            for figure in figures:
                self.add("figure", _text(_lead(self.waiting)), _figure(figure))
            return
        code = _without_printing(cell.source)
        body = [_code(code)] if code else []
        if printed:
            body.append(_pre(printed, "printed"))
            body[-1].metadata.slideshow = {"slide_type": "fragment" if code else "-"}
        lines = _lines(code) + _lines(printed)
        short = _lines(code) <= CODE_LINES and _lines(printed) <= PRINTED_LINES and lines <= ALL_LINES
        announced = " ".join(self.waiting).endswith(":")
        if short and self.slides[-1].kind == "breaks" and not self.waiting and lines <= LINES_UNDER_TEXT:
            self.slides[-1].cells += body
        elif short and announced:
            self.add("code", _text(_lead(self.waiting)), *body)


def _without_printing(source: str) -> str:
    """Return code without the statements, and the loops, that do nothing but print."""

    def prints(node: ast.stmt) -> bool:
        if isinstance(node, ast.For):
            return all(map(prints, node.body))
        return (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "print"
        )

    lines = source.splitlines()
    for node in reversed(ast.parse(source).body):
        if prints(node):
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).strip()


def _equations_together(parts: list[str]) -> list[str | list[str]]:
    """Gather every run of prose, equation, prose, equation in a list, with empty prose between two equations."""
    gathered: list[str | list[str]] = []
    for part in parts:
        if not part.startswith("$$"):
            gathered.append(part)
            continue
        before = gathered.pop() if gathered and isinstance(gathered[-1], str) and _is_prose(gathered[-1]) else ""
        if gathered and isinstance(gathered[-1], list):
            gathered[-1] += [before, part]
        else:
            gathered.append([before, part])
    return gathered


def _height(equation: str) -> int:
    """Return about how many pixels an equation takes, with the space around it."""
    rows = equation.count(r"\\") + 1
    tall = re.search(r"\\[dt]?frac|\\sum|\\int|\\prod|brace|matrix", equation)
    return 40 + rows * (85 if tall else 48)


def _is_prose(part: str) -> bool:
    return not re.match(r"#|\||<|```|>|\[?▶|\d+ minutes?\b|\*\*Question|\*\*What breaks", part)


def _lead(said: list[str], last: bool = False) -> str:
    """Return the sentence that leads to what is shown: the last one if it ends with a colon, else the first."""
    if not said or not said[-1]:
        return ""
    parts = [part for part in sentences(said[-1]) if part.count("(") == part.count(")")] or [""]
    sentence = parts[-1] if last or parts[-1].endswith(":") else parts[0]
    return sentence if len(sentence.split()) <= TITLE_WORDS and not sentence.startswith(("- ", "1. ")) else ""


def _first(parts: list[str], words: int) -> list[str]:
    """Return as many sentences as have together no more than so many words, but at least one."""
    count = 1
    while count < len(parts) and sum(len(part.split()) for part in parts[: count + 1]) <= words:
        count += 1
    return parts[:count]


def _plain(html: str) -> str:
    return " ".join(re.sub(r"</?(?:code|i|b|p|br)>", lambda tag: "`" if "code" in tag[0] else "", html).split())


def _printed(cell: NotebookNode) -> str:
    texts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            texts.append(output.text)
        elif output.output_type == "execute_result":
            texts.append(output.data["text/plain"] + "\n")
    return "".join(texts).rstrip()


def _lines(text: str) -> int:
    return sum(max(1, ceil(len(line) / COLUMNS)) for line in text.splitlines())


def _text(source: str) -> NotebookNode:
    return v4.new_markdown_cell(source)


def _pre(text: str, kind: str) -> NotebookNode:
    """Return lines as they are, in smaller letters where they are long."""
    size = _size(text, smallest=14 if kind == "diagram" else 16)
    return _text(f'<pre class="{kind}" style="font-size: {size}px">\n{escape(text, quote=False)}\n</pre>')


def _code(source: str) -> NotebookNode:
    return _text(f'<div style="--code-size: {_size(source, smallest=17)}px">\n\n```python\n{source}\n```\n\n</div>')


def _size(text: str, smallest: int) -> int:
    """Return the size of letters, in pixels, at which the longest line fits, or else the smallest one."""
    return max(smallest, min(20, int(826 / 0.603 / max(map(len, text.splitlines())))))


def _figure(output: NotebookNode) -> NotebookNode:
    return v4.new_code_cell("", outputs=[output], metadata={"tags": ["output-only"]})
