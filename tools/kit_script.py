"""Write what the speaker of a video says, chapter by chapter, with the time that it takes."""

import re

from lesson_slides import Slide, sentences
from videos import Chapter, Video, clock

WORDS_A_MINUTE = 130
# What a speaker reads out or lets the listeners look at, in words: a formula in a line, one on display, a figure.
FORMULA, EQUATION, FIGURE = 3, 12, 12
LABELS = {"exercise": "**Your turn.** ", "quiz": "**Your turn.** "}


def script(slides: list[Slide], video: Video) -> str:
    """Return the script of a video as Markdown."""
    parts = [_head(slides, video)]
    numbered = list(enumerate(slides, start=1))
    for position, chapter in enumerate(video.chapters, start=1):
        own = [(number, slide) for number, slide in numbered if slide.section in chapter.sections]
        parts.append(_chapter(position, chapter, own))
    return "\n\n".join(parts) + "\n"


def _head(slides: list[Slide], video: Video) -> str:
    paused = sum(slide.minutes for slide in slides)
    return (
        f"# Script of video {video.number}: {video.title}\n\n"
        f"{video.minutes} minutes, {len(slides)} slides (their numbers are the pages of slides.pdf). The text is the "
        f"lesson's own, shortened to the time of its chapter at {WORDS_A_MINUTE} words a minute; a formula counts as "
        f"{FORMULA} words, one on display as {EQUATION}, a figure as {FIGURE}. The listeners pause the video for "
        f"exercises and the quiz: {paused} minutes, which are not counted."
    )


def _chapter(position: int, chapter: Chapter, slides: list[tuple[int, Slide]]) -> str:
    available = (chapter.end - chapter.start) / 60
    said = shortened([slide for _, slide in slides], available)
    needed = sum(words(slide, text) for (_, slide), text in zip(slides, said, strict=True))
    first, last = slides[0][0], slides[-1][0]
    parts = [
        f"## {position}. {chapter.title}",
        f"**{clock(chapter.start)} to {clock(chapter.end)}**, {available:g} minutes · "
        f"sections {', '.join(chapter.sections)} · slides {first} to {last}\n\n"
        f"{needed} words: {needed / WORDS_A_MINUTE:.1f} minutes of {available:g}.",
    ]
    for (number, slide), text in zip(slides, said, strict=True):
        if slide.kind in ("title", "question") or slide.heading.endswith("What we built"):
            parts.append(f"### {slide.heading}")
        parts.append(f"**[{number}]** {LABELS.get(slide.kind, '')}" + "\n\n".join(text or [_in_sight(slide)]))
    return "\n\n".join(part.rstrip() for part in parts)


def _in_sight(slide: Slide) -> str:
    """Return what a speaker without words shows: for a figure, its description."""
    alt = [output.metadata["image/png"]["alt"] for cell in slide.cells for output in cell.get("outputs", [])]
    return f"(Show the figure: {alt[0]})" if alt else "(Show it.)"


def shortened(slides: list[Slide], minutes: float) -> list[list[str]]:
    """Return every slide's paragraphs, cut after as many sentences as the time allows (the same number for all)."""
    whole = max(len(sentences(text)) for slide in slides for text in [*slide.say, ""])
    for count in range(whole, 0, -1):
        said = [[_beginning(text, count, slide.kind) for text in slide.say] for slide in slides]
        if sum(words(slide, text) for slide, text in zip(slides, said, strict=True)) <= minutes * WORDS_A_MINUTE:
            return said
    return said


def _beginning(text: str, count: int, kind: str) -> str:
    if kind in ("exercise", "quiz", "goals") or (kind == "question" and text.startswith("**Ask.**")):
        return text
    items = re.findall(r"^(- |\d+\. )(.+?)(?=^- |^\d+\. |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    if items and text.startswith(items[0][0]):
        return "\n".join(sign + " ".join(sentences(item)[:count]) for sign, item in items)
    return " ".join(sentences(text)[:count])


def words(slide: Slide, said: list[str]) -> int:
    """Return how many words a slide takes, with what is read out or looked at on it."""
    text = re.sub(r"\$[^$]+\$", " x " * FORMULA, " ".join(said))
    equations = sum(cell.source.count("$$") // 2 for cell in slide.cells)
    return len(text.split()) + EQUATION * equations + FIGURE * (slide.kind == "figure")
