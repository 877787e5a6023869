"""Captions of what is spoken: at most two lines of 42 letters, broken where a reader would pause; WebVTT."""

import re
from dataclasses import dataclass
from itertools import pairwise

LINE, LINES, FASTEST = 42, 2, 21.0  # letters of a line, lines, letters a second
LINGER, APART, SHORTEST = 0.5, 0.04, 1.0  # seconds: a caption may stay, two of them are apart, one should be shown
# What begins with one of these begins a phrase; what ends with one of the others leaves it open.
OPENS = frozenset(
    """and or but so because that which who where when while if as than then of in on at by for from with without to
    into over under between through before after until is are was were not""".split()  # noqa: SIM905
)
HANGS = frozenset(
    """a an the this these those its our your their every each one two no p q log of to in and or is""".split()  # noqa: SIM905
)


@dataclass
class Caption:
    """A text with line breaks, and the seconds from which to which it is shown."""

    start: float
    end: float
    text: str


def captions(words: list[tuple[float, float, str]]) -> list[Caption]:
    """Return the captions of timed words: of all the ways to cut them, the one that reads best."""
    best: list[tuple[float, int]] = [(0.0, 0)]  # for each number of words: how bad, and where its last caption starts
    for end in range(1, len(words) + 1):
        ways = []
        for start in range(end - 1, -1, -1):
            if sum(len(word) + 1 for *_, word in words[start:end]) - 1 > LINE * LINES:
                break
            ways.append((best[start][0] + _badness(words, start, end), start))
        best.append(min(ways))
    cuts = [len(words)]
    while cuts[-1]:
        cuts.append(best[cuts[-1]][1])
    cuts.reverse()
    found = []
    for start, end in pairwise(cuts):
        latest = words[end][0] - APART if end < len(words) else words[end - 1][1] + LINGER
        text = " ".join(word for *_, word in words[start:end])
        until = max(min(words[end - 1][1] + LINGER, latest), words[start][0])
        found.append(Caption(words[start][0], until, two_lines(text)))
    return found


def two_lines(text: str) -> str:
    """Break a text into at most two lines where it reads best; ValueError where it does not fit."""
    if len(text) <= LINE:
        return text
    ways = [found.start() for found in re.finditer(" ", text)]
    ways = [way for way in ways if way <= LINE and len(text) - way - 1 <= LINE]
    if not ways:
        raise ValueError(f"{text!r} does not fit into {LINES} lines of {LINE} letters")
    way = min(ways, key=lambda way: abs(2 * way - len(text)) / len(text) + 0.8 * _cut(text[:way], text[way + 1 :]))
    return f"{text[:way]}\n{text[way + 1 :]}"


def vtt(found: list[Caption]) -> str:
    """Return captions as a WebVTT file."""
    return "WEBVTT\n\n" + "\n\n".join(f"{clock(one.start)} --> {clock(one.end)}\n{one.text}" for one in found) + "\n"


def read_vtt(text: str) -> list[Caption]:
    """Return the captions of a WebVTT file."""
    parts = re.findall(r"([\d:.]+) --> ([\d:.]+)\n(.+?)(?=\n\n|\s*\Z)", text, flags=re.DOTALL)
    return [Caption(seconds(start), seconds(end), shown) for start, end, shown in parts]


def clock(time: float) -> str:
    """Return a time as hh:mm:ss.mmm."""
    minutes, rest = divmod(round(time * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def seconds(text: str) -> float:
    """Return the seconds of a time such as 01:02:03.450."""
    return sum(float(part) * 60**place for place, part in enumerate(reversed(text.split(":"))))


def _badness(words: list[tuple[float, float, str]], start: int, end: int) -> float:
    """Return how badly a caption of these words reads."""
    text = " ".join(word for *_, word in words[start:end])
    try:
        two_lines(text)
    except ValueError:
        return 1000.0 * len(text)
    shown = (words[end][0] - APART if end < len(words) else words[end - 1][1] + LINGER) - words[start][0]
    following = words[end][2] if end < len(words) else ""
    bad = 0.6 + (3.0 * _cut(text, following) if following else 0.0)
    bad += 4.0 * max(0.0, len(text) / max(shown, 0.1) - FASTEST) / FASTEST + 2.0 * max(0.0, SHORTEST - shown)
    # A sentence that ends within a caption should end it, and a long silence belongs between captions.
    bad += 0.5 * len(re.findall(r"[.?!] ", text)) + 0.15 * len(re.findall(r"[,;:] ", text)) * (len(text) > LINE)
    rests = [after[0] - before[1] for before, after in zip(words[start : end - 1], words[start + 1 : end], strict=True)]
    return bad + sum(max(0.0, rest - 0.6) for rest in rests)


def _cut(before: str, after: str) -> float:
    """Return how much a cut between two texts disturbs: 0 at the end of a sentence, 1 within a phrase."""
    if re.search(r"[.?!][\"”)]?$", before):
        return 0.0
    if re.search(r"[,;:—]$", before):
        return 0.15
    last, first = before.split()[-1].lower(), after.split()[0].lower().strip(",.;:?!")
    if last in HANGS:
        return 1.0
    return 0.4 if first in OPENS else 0.75
