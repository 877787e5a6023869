"""Speak a text in which {cues} are set: a wave, and the time of every cue and of every word."""

import hashlib
import json
import re
import wave
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from . import engines
from .respell import STOPS, phonemes

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "videos" / "speech"
REST = 0.22  # seconds between sentences, beside what the voice itself leaves
MADE = 1  # count up when the way from phonemes to a wave changes, so that nothing kept is used again


@dataclass
class Speech:
    """Spoken text: its file, its length in seconds, the times of its cues, and of its words."""

    wave: str
    seconds: float
    cues: dict[str, float]
    words: list[tuple[float, float, str]]


@dataclass
class Sentence:
    """A sentence to be said: its words, what is said, where in that each word begins, and cues by their next word."""

    words: list[str]
    said: str
    starts: list[int]
    cues: dict[str, int]


def speak(text: str, draft: bool = False) -> Speech:
    """Return the speech of a text, kept from before where it is the same; as a draft, silent, with times estimated."""
    text = " ".join(text.split())
    if draft:
        return _draft(text)
    name = name_of(text)
    kept = KEPT / f"{name}.json"
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        speech = _speak(sentences(text), engines.chosen(), KEPT / f"{name}.wav")
        partial = kept.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(speech)), encoding="utf-8")
        partial.replace(kept)
    return Speech(**json.loads(kept.read_text(encoding="utf-8")) | {"wave": str(kept.with_suffix(".wav"))})


def name_of(text: str) -> str:
    """Return the name under which the speech of a text is kept: it differs where anything that is heard does."""
    asked = [[asdict(one) for one in sentences(text)], engines.chosen(), REST, MADE]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:20]


def sentences(text: str) -> list[Sentence]:
    """Return the sentences of a text with cues."""
    found = []
    for sentence in re.split(r"(?<=[.?!]) +|(?<=[.?!][\"”)]) +", " ".join(text.split())):
        words, cues = [], {}
        for part in re.findall(r"\{\w+\}|[^\s{}]+", sentence):
            if part.startswith("{"):
                cues[part[1:-1]] = len(words)
            else:
                words.append(part)
        said = phonemes(" ".join(words))
        found.append(Sentence(words, said, [_start(words, number, said) for number in range(len(words))], cues))
    return found


def _start(words: list[str], number: int, said: str) -> int:
    """Return where in the phonemes of a sentence a word begins.

    espeak-ng says some words as one ("should have"); the second of them begins half way.
    """
    before, after = (len(phonemes(" ".join(words[:end])).split()) for end in (number, number + 1))
    starts = [0, *(found.end() for found in re.finditer(" ", said)), len(said)]
    first = starts[min(before, len(starts) - 1)]
    if before and after == before:
        first = (starts[min(before, len(starts) - 1) - 1] + first) // 2
    return first


def _speak(sentences: list[Sentence], voice: str, path: Path) -> Speech:
    heard, cues, words, now, rate = [], {}, [], 0.0, engines.rate(voice)
    for sentence in sentences:
        if not sentence.words:  # cues after the last word
            cues |= dict.fromkeys(sentence.cues, now)
            continue
        sound, ends = engines.sound(sentence.said, voice)
        begins = [now + (ends[start - 1] if start else 0.0) for start in sentence.starts]
        closes = [now + ends[_last_sound(sentence, number)] for number in range(len(sentence.words))]
        words += [(max(a, 0.0), max(a, b), word) for a, b, word in zip(begins, closes, sentence.words, strict=True)]
        cues |= {cue: [*begins, closes[-1]][word] for cue, word in sentence.cues.items()}
        rest = np.zeros(int(rate * REST), np.float32)
        heard += [sound, rest]
        now += (len(sound) + len(rest)) / rate
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((np.clip(np.concatenate(heard), -1, 1) * 32767).astype(np.int16).tobytes())
    return Speech(str(path), now, cues, words)


def _last_sound(sentence: Sentence, number: int) -> int:
    """Return where in the phonemes of a sentence the last sound of a word is."""
    end = [*sentence.starts, len(sentence.said)][number + 1]
    while end - 1 > sentence.starts[number] and sentence.said[end - 1] in f" {STOPS}":
        end -= 1
    return max(end - 1, 0)


def _draft(text: str) -> Speech:
    """Return times like those of the voice: fitted to what it takes for letters, digits, and stops."""
    now, cues, words = 0.0, {}, []
    for part in re.findall(r"\{\w+\}|[^\s{}]+", text):
        if part.startswith("{"):
            cues[part[1:-1]] = now
            continue
        letters = sum(4 if one.isdigit() else 3 if one.isupper() else 1 for one in part[:1].lower() + part[1:])
        seconds = 0.03 + 0.066 * letters
        words.append((now, now + seconds, part))
        now += seconds + (0.75 if part[-1] in ".?!" else 0.17 if part[-1] in ",;:" else 0.0)
    return Speech("", now, cues, words)
