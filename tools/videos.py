"""The videos of the lessons: the course's own films, and what lecturers recorded themselves.

lessons/videos.toml has one entry a lesson. Where it has no `url` and there is a film (docs/videos/film_N.json), title,
minutes and chapters are the film's: `python tools/videos.py` writes them, and so does `make lessons`. What contradicts
itself or the lessons is refused with one sentence.
"""

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
TOML, FILMS = ROOT / "lessons" / "videos.toml", ROOT / "docs" / "videos"
VIDEO_KEYS = {"number", "title", "url", "language", "minutes", "chapter"}  # and "differs", where a section differs
CHAPTER_KEYS = {"start", "section", "title"}
# What build_lessons.py writes into a lesson for its film: the player and the links of the header, the film's minutes.
OF_FILM = r"<video .*?</video>\n\n\[▶ film, .*? · (?=\[open in)| · \[▶ [\d:]+\]\(.*?\)"


class BadVideosError(SystemExit):
    """videos.toml cannot be used; the message says why and what to do."""


@dataclass
class Film:
    """The course's own film of a lesson: docs/videos/film_N.mp4, and what film_N.json tells of it."""

    number: int
    title: str
    seconds: float
    chapters: list[dict]  # start, section, title
    beats: list[dict]  # start, seconds, section, and what is said: [[time, text], ...]

    @property
    def name(self) -> str:
        """The name of its files, without their endings."""
        return f"film_{self.number}"


@dataclass
class Chapter:
    """A part of a video: its times in seconds, its first section, and the sections of which no chapter before told."""

    title: str
    start: int
    end: int
    section: str
    sections: list[str]


@dataclass
class Video:
    """One lesson's video: a lecturer's if it has a url, else the course's film, else planned."""

    number: int
    title: str
    url: str
    language: str
    minutes: float
    chapters: list[Chapter]
    differs: dict[str, str] = field(default_factory=dict)
    film: Film | None = None

    @property
    def length(self) -> str:
        """The whole minutes, such as "9 minutes"."""
        return f"{self.minutes:.0f} minutes"

    def link(self, seconds: int) -> str:
        """Return a time as Markdown, linked to that moment of a lecturer's video."""
        if not self.url:
            return clock(seconds)
        return f"[{clock(seconds)}]({self.url}{'&' if '?' in self.url else '?'}t={seconds})"

    def starts(self) -> dict[str, int]:
        """Return the second at which a section first is on the screen, for each section that has one."""
        starts: dict[str, int] = {}
        parts = [(one["section"], one["start"]) for one in self.film.beats] if self.film else []
        if self.url:
            parts = [(one.section, one.start) for one in self.chapters]
        for section, start in parts:
            starts.setdefault(section, int(start))
        return starts


def without_film(text: str) -> str:
    """Return a lesson's text, or a notebook as it is in its file, without what is in it for its film.

    A film is made from its lesson. It has to be the same before and after the lesson tells the minutes of the film.
    """
    if not text.startswith("{") or "docs/videos/film_" not in text:
        return re.sub(OF_FILM, "", text)
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        kept = re.sub(OF_FILM, "", source)
        if kept != source:
            cell["source"] = kept.splitlines(keepends=True)
            cell["id"] = cell["id"][:3] + hashlib.sha1(kept.encode()).hexdigest()[:8]  # as build_lessons.py names it
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def sections_of(lesson: str) -> list[str]:
    """Return the numbers of a lesson's sections, in order, from the text of its source."""
    return re.findall(r"^(?:# )?## (\d+\.\d+) ", lesson, flags=re.MULTILINE)


def read_videos() -> list[Video]:
    """Read and check the videos of all lessons."""
    films = read_films()
    lessons = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
    sections = [sections_of(lesson.read_text(encoding="utf-8")) for lesson in lessons]
    videos = parse_videos(with_films(TOML.read_text(encoding="utf-8"), films), sections)
    for video in videos:
        video.film = None if video.url else films.get(video.number)
    return videos


def read_films() -> dict[int, Film]:
    """Read what is known of the films that there are, by the number of their lesson."""
    films = {}
    for path in sorted(FILMS.glob("film_[0-9].json")):
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            film = Film(*(about[key] for key in ("number", "title", "seconds", "chapters", "beats")))
        except (ValueError, KeyError, TypeError) as error:
            again = f"make video-{path.stem[-1]} writes it anew"
            raise BadVideosError(f"docs/videos/{path.name} is not what a film leaves ({error!r}): {again}.") from None
        films[film.number] = film
    return films


def with_films(text: str, films: dict[int, Film]) -> str:
    """Return the text of videos.toml with the films' own title, minutes and chapters where no url is filled in."""
    entries = _entries(text)
    head, *blocks = re.split(r"^(?=\[\[video\]\])", text, flags=re.MULTILINE)
    for place, (entry, block) in enumerate(zip(entries, blocks, strict=True)):
        film = films.get(entry.get("number"))
        if film and not entry.get("url"):
            differs = re.search(r"^\[video\.differs\].*?(?=\n*\Z)", block, flags=re.MULTILINE | re.DOTALL)
            blocks[place] = _block(film, entry.get("language", "en")) + (f"\n{differs[0]}\n" if differs else "")
            blocks[place] += "\n" if place < len(blocks) - 1 else ""
    return "".join([head, *blocks])


def write() -> None:
    """Write the films' titles, minutes and chapters into lessons/videos.toml."""
    TOML.write_text(with_films(TOML.read_text(encoding="utf-8"), read_films()), encoding="utf-8")


def _block(film: Film, language: str) -> str:
    quoted = [json.dumps(text, ensure_ascii=False) for text in (film.title, "", language)]
    lines = [f"{key} = {text}" for key, text in zip(("title", "url", "language"), quoted, strict=True)]
    lines = ["[[video]]", f"number = {film.number}", *lines, f"minutes = {film.seconds / 60:.1f}", "chapter = ["]
    for one in film.chapters:
        start, title = clock(int(one["start"])), json.dumps(one["title"], ensure_ascii=False)
        lines.append(f'    {{ start = "{start}", section = "{one["section"]}", title = {title} }},')
    return "\n".join([*lines, "]", ""])


def _entries(text: str) -> list[dict]:
    try:
        return tomllib.loads(text).get("video", [])
    except tomllib.TOMLDecodeError as error:
        raise BadVideosError(f"lessons/videos.toml is not valid TOML ({error}); mend that line.") from None


def parse_videos(text: str, sections: list[list[str]]) -> list[Video]:
    """Turn the text of videos.toml into videos; `sections` holds the section numbers of each lesson."""
    entries = _entries(text)
    numbers = [entry.get("number") for entry in entries]
    if numbers != list(range(len(sections))):
        _refuse(f"the videos' numbers are {numbers}; write one [[video]] a lesson, from 0 to {len(sections) - 1}")
    return [_video(entry, known) for entry, known in zip(entries, sections, strict=True)]


def clock(seconds: int) -> str:
    """Return a time as mm:ss, or h:mm:ss from one hour on."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


def _video(entry: dict, sections: list[str]) -> Video:
    where = f"video {entry['number']}"
    _check_keys(where, entry, VIDEO_KEYS, optional=frozenset({"differs"}))
    differs = entry.get("differs", {})
    for number, text in differs.items():
        if number not in sections:
            _refuse(f"{where} differs in section {number}, which its lesson does not have; name one of its own")
        if not isinstance(text, str) or not text.strip():
            _refuse(f"{where} differs in section {number} but does not say how; write one or two sentences")
    chapters = _chapters(where, entry["chapter"], entry["minutes"], sections)
    return Video(
        entry["number"], entry["title"], entry["url"], entry["language"], entry["minutes"], chapters, differs
    )  # fmt: skip


def _chapters(where: str, entries: list[dict], minutes: float, sections: list[str]) -> list[Chapter]:
    if not entries:
        _refuse(f"{where} has no chapter; write at least one, from 00:00 and section {sections[0]} on")
    for entry in entries:
        _check_keys(f"a chapter of {where}", entry, CHAPTER_KEYS)
        if entry["section"] not in sections:
            _refuse(f"{where} names section {entry['section']}, which its lesson does not have; name one of its own")
    starts = [_seconds(where, entry["start"]) for entry in entries]
    places = [sections.index(entry["section"]) for entry in entries]
    if starts[0] != 0 or places[0] != 0:
        _refuse(f"{where} starts at {entries[0]['start']} with section {entries[0]['section']}; "
                f"write 00:00 and {sections[0]}")  # fmt: skip
    for times, (one, two) in zip(pairwise(starts), pairwise(places), strict=True):
        if times[0] >= times[1] or one > two:
            _refuse(
                f"{where} goes from {clock(times[0])}, section {sections[one]}, to {clock(times[1])}, section "
                f"{sections[two]}; times have to rise from chapter to chapter, and sections not to fall"
            )
    if starts[-1] >= minutes * 60:
        _refuse(f"{where} lasts {minutes} minutes, but a chapter starts at {clock(starts[-1])}; mend one of the two")
    chapters, told = [], 0
    for entry, (start, end), (place, after) in zip(
        entries, pairwise([*starts, round(minutes * 60)]), pairwise([*places, len(sections)]), strict=True
    ):
        until = max(after, place + 1)
        chapters.append(Chapter(entry["title"], start, end, entry["section"], sections[told:until]))
        told = until
    return chapters


def _seconds(where: str, time: object) -> int:
    match = re.fullmatch(r"(?:(\d+):)?([0-5]?\d):([0-5]\d)", str(time))
    if not match:
        _refuse(f"{where} has a chapter at {time!r}; write its start as mm:ss or h:mm:ss")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


def _check_keys(where: str, entry: dict, keys: set[str], optional: frozenset[str] = frozenset()) -> None:
    if wrong := sorted(set(entry) - keys - set(optional)):
        _refuse(f"{where} has the key {wrong[0]!r}, which means nothing here; the keys are {', '.join(sorted(keys))}")
    if missing := sorted(keys - set(entry)):
        _refuse(f"{where} has no {missing[0]!r}; write that key")


def _refuse(why: str) -> NoReturn:
    raise BadVideosError(f"lessons/videos.toml: {why}.")


if __name__ == "__main__":
    write()
