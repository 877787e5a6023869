"""What is known of a film that was made: chapters, beats, all that is said and shown in them, and what made it."""

import re
import shutil
import subprocess
from importlib.metadata import version

from . import engines
from .fetch_voice import SHA256
from .script import Film

FONTS = {"Inter": "fonts-inter", "JetBrains Mono": "fonts-jetbrains-mono"}  # and the packages of Debian


def whole(film: Film, beats: list[dict], times: list[float], words: int) -> dict:
    """Return what is known of a film whose beats start at some times, the last of which is its end."""
    starts = [(at, beat) for at, beat in zip(times, beats, strict=False) if beat["chapter"] or at == 0]
    return {
        "number": film.number,
        "title": film.title,
        "seconds": round(times[-1], 3),
        "minutes": round(times[-1] / 60, 1),
        "words": words,
        "chapters": [{"start": round(at, 3), "section": one["section"], "title": one["chapter"]} for at, one in starts],
        "beats": [part(beat, at) for at, beat in zip(times, beats, strict=False)],
        "made with": tools(),
    }


def part(beat: dict, at: float = 0.0) -> dict:
    """Return what is kept of a beat that starts at a time."""
    return {
        "name": beat["name"],
        "start": round(at, 3),
        "section": beat["section"],
        "seconds": round(beat["seconds"], 3),
        "talk": round(sum(one["seconds"] for one in beat["spoken"]), 2),
        "still": round(beat["still"], 2),
        "said": [[round(at + one["at"], 3), without_cues(one["text"])] for one in beat["spoken"]],
        "shown": beat["shown"],
    }


def outdated(number: int, beats: list[dict], recorded: dict) -> list[str]:
    """Return in which beats a finished film differs from what its script says and shows now, a sentence for each."""
    found, again = [], f"run make video-{number} again"
    then = {beat["name"]: beat for beat in recorded["beats"]}
    now = {beat["name"]: part(beat) for beat in beats}
    if list(then) != list(now):
        found.append(f"film {number} has the beats {list(then)}, and its script {list(now)}: {again}")
    for name in (name for name in then if name in now):
        for what in ("said", "shown"):
            old, new = ([one[1] if what == "said" else one for one in some[name][what]] for some in (then, now))
            if old != new:
                gone, come = [one for one in old if one not in new], [one for one in new if one not in old]
                found.append(f"film {number}, beat {name}: {what} is {gone}, and in its script {come}: {again}")
    return found


def without_cues(text: str) -> str:
    """Return what is said of a text with cues."""
    return " ".join(re.sub(r"\{\w+\}", " ", text).split())


def tools() -> dict:
    """Return what makes films here, in which versions."""
    made = {name: version(name) for name in ("manim", "typst", "onnxruntime", "piper-tts")}
    made |= {"ffmpeg": run("ffmpeg", "-version").split()[2], "voice": engines.chosen()}
    model = "joe.onnx" if engines.chosen() == "joe" else "kokoro.onnx"
    made["model"] = {"file": model, "sha256": SHA256[model]}
    return made | {"fonts": {package: _version(package) for package in FONTS.values()}}


def _version(package: str) -> str:
    return run("dpkg-query", "-W", "-f", "${Version}", package) if shutil.which("dpkg-query") else ""


def run(*command: str) -> str:
    """Return what a program prints."""
    return subprocess.run(command, capture_output=True, text=True).stdout
