"""The films on the site: a page with all of them, a page each, and the links from the lessons to their minutes."""

import base64
import os
import re
import shutil
from html import escape
from pathlib import Path

from videos import FILMS, ROOT, Film, Video, clock

NAME = r"docs/videos/(?P<film>film_\d)"
EVERY = """# Films

One film a lesson, of about ten minutes. Watch it before the notebook or after it; neither needs the other.

The pictures are drawn from the lessons' own code and numbers, and the voice is synthetic: no person speaks. Every film
has captions, and a transcript in which a click leads to that moment.
"""


def films_page(videos: list[Video]) -> str:
    """Return the page with all films, as Markdown; a lecturer's own recording stands in the place of a film."""
    cards, own = [], []
    for video in videos:
        title = f"{video.number} · {escape(video.title)}"
        if video.url:
            cards.append(f'<li><a href="{escape(video.url)}">{title}</a>, {video.length}</li>')
        elif video.film:
            own.append(f"videos/{video.film.name}")
            poster = f'<img src="{own[-1]}.jpg" alt="Film" loading="lazy">'
            cards.append(f'<li><a href="{own[-1]}.html">{poster} {title}</a>, {video.length}</li>')
    if not cards:
        return "# Films\n\nThere are none yet.\n"
    toctree = "\n".join(["```{toctree}", ":hidden:", "", *own, "```"])
    return "\n".join([EVERY, '<ol class="films">', *cards, "</ol>", "", toctree, ""])


def film_page(film: Film) -> str:
    """Return the page of a film as Markdown: its player, chapters and transcript."""
    [lesson] = (ROOT / "lessons").glob(f"{film.number:02}_*.ipynb")
    parts = [
        f"# Film {film.number} · {film.title}",
        f"{{.place}}\n[Lesson {film.number}](../../lessons/{lesson.name}) · [all films](../videos) · "
        f"{film.seconds / 60:.0f} minutes, spoken by a synthetic voice · "
        f'<a href="{film.name}.mp4" download>download</a> · <a href="{film.name}.vtt" download>captions</a>',
        _player(film),
        "## Chapters",
        _chapters(film),
        "## Transcript",
        "A click on a sentence, or on its time, plays the film from there.",
    ]
    starts = [one["start"] for one in film.chapters] + [film.seconds]
    for place, chapter in enumerate(film.chapters):
        beats = [beat for beat in film.beats if starts[place] <= beat["start"] < starts[place + 1]]
        still = f"stills/{film.name}_{place + 1}.jpg"
        parts += [f"### {chapter['title']}", _sections(beats)]
        parts += [f'<img class="still" src="{still}" alt="A picture of this chapter" loading="lazy">']
        parts += [_transcript(beats)]
    return "\n\n".join(parts) + "\n"


def _player(film: Film) -> str:
    """Return the player; its captions are in the page, since a page in a folder may not read other files."""
    captions = base64.b64encode((FILMS / f"{film.name}.vtt").read_bytes()).decode()
    lines = [
        '<div class="film">',
        f'<video controls preload="metadata" poster="{film.name}.jpg" src="{film.name}.mp4">',
        f'<track kind="captions" srclang="en" label="English" src="data:text/vtt;base64,{captions}">',
        "</video>",
        "</div>",
        '<script src="../_static/film.js"></script>',
    ]
    return "\n".join(lines)


def _chapters(film: Film) -> str:
    lines = [f'<li><a href="#t={int(one["start"])}">{clock(int(one["start"]))} {escape(one["title"])}</a></li>'
             for one in film.chapters]  # fmt: skip
    return "\n".join(['<ol class="chapters">', *lines, "</ol>"])


def _sections(beats: list[dict]) -> str:
    *others, last = dict.fromkeys(beat["section"] for beat in beats)
    return f"In the lesson: sections {', '.join(others)} and {last}" if others else f"In the lesson: section {last}"


def _transcript(beats: list[dict]) -> str:
    """Return what is said in beats: a paragraph each, at its time, and every part of it at its own."""
    lines = []
    for beat in beats:
        start = int(beat["start"])
        said = " ".join(f'<span data-t="{time:.1f}">{_as_it_is(text)}</span>' for time, text in beat["said"])
        lines.append(f'<p id="t={start}"><a href="#t={start}">{clock(start)}</a> {said}</p>')
    return "\n".join(['<div class="transcript">', *lines, "</div>"])


def _as_it_is(text: str) -> str:
    """Write a text for HTML; where it names a section, no link is made of that: a click plays the film."""
    return re.sub(r"(\d)\.(?=\d)", r"\1&#46;", escape(text, quote=False))


def with_film_pages(text: str, place: str) -> str:
    """Point a text's links to films and their minutes to the films' pages, seen from a place of the site.

    A player becomes the poster, which leads to its page too.
    """
    folder = os.path.relpath("videos", Path(place).parent)

    def poster(found: re.Match) -> str:
        href, name = f"{folder}/{found['film']}.html", found["film"]
        return f'<a class="poster" href="{href}"><img src="{folder}/{name}.jpg" alt="Play the film of this lesson"></a>'

    def page(found: re.Match) -> str:
        part = "#transcript" if found["ending"] == "md" else found["time"] or ""
        return f'<a href="{folder}/{found["film"]}.html{part}">{found["words"]}</a>'

    text = re.sub(rf'<video [^>]*src="[^"]*{NAME}\.mp4".*?</video>', poster, text)
    return re.sub(rf"\[(?P<words>[^\]]+)\]\([^)\s]*{NAME}\.(?P<ending>mp4|md)(?P<time>#t=\d+)?\)", page, text)


def copy_films(videos: list[Video], folder: Path) -> None:
    """Put the films into the site, with their captions, posters and stills."""
    (folder / "stills").mkdir(parents=True, exist_ok=True)
    for film in (video.film for video in videos if video.film):
        for ending in ("mp4", "vtt", "jpg"):
            shutil.copy(FILMS / f"{film.name}.{ending}", folder)
        for still in FILMS.glob(f"stills/{film.name}_*.jpg"):
            shutil.copy(still, folder / "stills")
