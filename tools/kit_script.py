"""Write what the speaker of a video says, chapter by chapter: as in the lesson's film, or the lesson's own text."""

from lesson_slides import Slide
from videos import Chapter, Film, Video, clock

LABELS = {"exercise": "**Your turn.** ", "quiz": "**Your turn.** "}
AS_IN_THE_FILM = (
    "The text is what is said in the course's film, a paragraph for each of its scenes; where it asks something, wait. "
    "At a chapter stand the slides of its sections, some of which the film passes over."
)
AS_IN_THE_LESSON = "The text is the lesson's own, slide by slide, and longer than the time of its chapter: choose."


def script(slides: list[Slide], video: Video) -> str:
    """Return the script of a video as Markdown."""
    parts = [_head(slides, video)]
    numbered = list(enumerate(slides, start=1))
    for position, chapter in enumerate(video.chapters, start=1):
        sections = chapter.sections or [chapter.section]
        own = [(number, slide) for number, slide in numbered if slide.section in sections]
        parts += [_heading(position, chapter, own), *(_scenes(chapter, video.film) if video.film else _notes(own))]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _head(slides: list[Slide], video: Video) -> str:
    paused = sum(slide.minutes for slide in slides)
    return (
        f"# Script of video {video.number}: {video.title}\n\n"
        f"{video.length}, {len(slides)} slides (their numbers are the pages of slides.pdf). "
        f"{AS_IN_THE_FILM if video.film else AS_IN_THE_LESSON} "
        f"The listeners pause the video for exercises and the quiz: {paused} minutes, which are not counted."
    )


def _heading(position: int, chapter: Chapter, slides: list[tuple[int, Slide]]) -> str:
    sections = list(dict.fromkeys(slide.section for _, slide in slides))
    named = f"section{'s' * (len(sections) > 1)} {', '.join(sections)} · slides {slides[0][0]} to {slides[-1][0]}"
    return f"## {position}. {chapter.title}\n\n**{clock(chapter.start)} to {clock(chapter.end)}** · {named}"


def _scenes(chapter: Chapter, film: Film) -> list[str]:
    beats = [beat for beat in film.beats if chapter.start <= int(beat["start"]) < chapter.end]
    return [" ".join(text for _, text in beat["said"]) for beat in beats]


def _notes(slides: list[tuple[int, Slide]]) -> list[str]:
    parts = []
    for number, slide in slides:
        if slide.kind in ("title", "question") or slide.heading.endswith("What we built"):
            parts.append(f"### {slide.heading}")
        parts.append(f"**[{number}]** {LABELS.get(slide.kind, '')}" + "\n\n".join(slide.say or [_in_sight(slide)]))
    return parts


def _in_sight(slide: Slide) -> str:
    """Return what a speaker without words shows: for a figure, its description."""
    alt = [output.metadata["image/png"]["alt"] for cell in slide.cells for output in cell.get("outputs", [])]
    return f"(Show the figure: {alt[0]})" if alt else "(Show it.)"
