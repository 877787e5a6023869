"""Speak a text in which {cues} are set: a wave, and the time of every cue and of every word."""

import re
from dataclasses import dataclass


@dataclass
class Speech:
    """Spoken text: its file, its length in seconds, the times of its cues, and of its words."""

    wave: str
    seconds: float
    cues: dict[str, float]
    words: list[tuple[float, float, str]]


def speak(text: str, draft: bool = False) -> Speech:
    """Return the speech of a text; as a draft, silent, with times estimated from the letters."""
    return _draft(" ".join(text.split()))


def _draft(text: str) -> Speech:
    now, cues, words = 0.0, {}, []
    for part in re.findall(r"\{\w+\}|[^\s{}]+", text):
        if part.startswith("{"):
            cues[part[1:-1]] = now
            continue
        seconds = 0.14 + 0.05 * len(part)
        words.append((now, now + seconds, part))
        now += seconds + (0.22 if part[-1] in ".?!" else 0.1 if part[-1] in ",;:" else 0.0)
    return Speech("", now, cues, words)
