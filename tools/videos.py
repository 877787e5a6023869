"""Read lessons/videos.toml, and refuse it with one sentence where it contradicts itself or the lessons."""

import re
import tomllib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VIDEO_KEYS = {"number", "title", "url", "language", "minutes", "chapter"}  # and "differs", where a section differs
CHAPTER_KEYS = {"start", "section", "title"}


class BadVideosError(SystemExit):
    """videos.toml cannot be used; the message says why and what to do."""


@dataclass
class Chapter:
    """A part of a video: its times in seconds, and the sections of the lesson that it covers."""

    title: str
    start: int
    end: int
    sections: list[str]


@dataclass
class Video:
    """One lesson's video, recorded if it has a url, otherwise planned."""

    number: int
    title: str
    url: str
    language: str
    minutes: int
    chapters: list[Chapter]
    differs: dict[str, str] = field(default_factory=dict)

    def link(self, seconds: int) -> str:
        """Return a time as Markdown, linked to that moment of the video once it is recorded."""
        if not self.url:
            return clock(seconds)
        return f"[{clock(seconds)}]({self.url}{'&' if '?' in self.url else '?'}t={seconds})"


def sections_of(lesson: str) -> list[str]:
    """Return the numbers of a lesson's sections, in order, from the text of its source."""
    return re.findall(r"^(?:# )?## (\d+\.\d+) ", lesson, flags=re.MULTILINE)


def read_videos() -> list[Video]:
    """Read and check the videos of all lessons."""
    text = (ROOT / "lessons" / "videos.toml").read_text(encoding="utf-8")
    lessons = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
    return parse_videos(text, [sections_of(lesson.read_text(encoding="utf-8")) for lesson in lessons])


def parse_videos(text: str, sections: list[list[str]]) -> list[Video]:
    """Turn the text of videos.toml into videos; `sections` holds the section numbers of each lesson."""
    try:
        entries = tomllib.loads(text).get("video", [])
    except tomllib.TOMLDecodeError as error:
        raise BadVideosError(f"lessons/videos.toml is not valid TOML ({error}); mend that line.") from None
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


def _chapters(where: str, entries: list[dict], minutes: int, sections: list[str]) -> list[Chapter]:
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
        if times[0] >= times[1] or one >= two:
            _refuse(f"{where} goes from {clock(times[0])}, section {sections[one]}, to {clock(times[1])}, section "
                    f"{sections[two]}; times and sections have to rise from chapter to chapter")  # fmt: skip
    if starts[-1] >= minutes * 60:
        _refuse(f"{where} lasts {minutes} minutes, but a chapter starts at {clock(starts[-1])}; mend one of the two")
    spans = zip(entries, pairwise([*starts, minutes * 60]), pairwise([*places, len(sections)]), strict=True)
    return [Chapter(one["title"], start, end, sections[first:after]) for one, (start, end), (first, after) in spans]


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
