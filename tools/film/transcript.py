"""The transcript of a film as a page: what is said, with its times, a still a chapter, and the notebook's sections."""

import subprocess
from itertools import pairwise
from pathlib import Path

from .lesson import ROOT
from .script import Film

WIDTH, LARGEST = 640, 40_000  # pixels and bytes of a still


def write_transcript(film: Film, about: dict, out: Path) -> None:
    """Write film_N.md and its stills beside a film."""
    (lesson,) = (ROOT / "lessons").glob(f"{film.number:02}_*.ipynb")
    name = f"film_{film.number}"
    lines = [f"# Film {film.number} · {film.title}", ""]
    lines += [f"{about['minutes']:.0f} minutes, spoken by a synthetic voice. [The film]({name}.mp4) ·"]
    lines += [f"[captions]({name}.vtt) · [lesson {film.number}](../../lessons/{lesson.name})", ""]
    starts = [one["start"] for one in about["chapters"]] + [about["seconds"]]
    for place, (chapter, (start, end)) in enumerate(zip(about["chapters"], pairwise(starts), strict=True), start=1):
        beats = [beat for beat in about["beats"] if start <= beat["start"] < end]
        still = f"stills/{name}_{place}.jpg"
        save_still(out / f"{name}.mp4", moment(beats), out / still)
        sections = list(dict.fromkeys(beat["section"] for beat in beats))
        lines += [f"## {chapter['title']}", "", f"![{chapter['title']}]({still})", ""]
        also = (
            "section " + sections[0]
            if len(sections) == 1
            else f"sections {', '.join(sections[:-1])} and {sections[-1]}"
        )
        lines += [f"{clock(start)} · in the notebook: {also}", ""]
        for beat in beats:
            said = " ".join(text for _, text in beat["said"])
            lines += [f"[{clock(beat['start'])}]({name}.mp4#t={beat['start']:.0f}) {said}", ""]
    (out / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")


def moment(beats: list[dict]) -> float:
    """Return a time at which a chapter's picture is complete: shortly before the end of its longest beat."""
    longest = max(beats, key=lambda beat: beat["seconds"])
    return longest["start"] + longest["seconds"] - 0.3


def save_still(film: Path, time: float, path: Path) -> None:
    """Save a picture of a film, small enough to be loaded with the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in range(4, 32, 3):
        command = ["ffmpeg", "-y", "-v", "error", "-ss", f"{time:.2f}", "-i", str(film), "-frames:v", "1"]
        command += ["-vf", f"scale={WIDTH}:-2:flags=lanczos", "-q:v", str(quality), "-fflags", "+bitexact", str(path)]
        subprocess.run(command, check=True)
        if path.stat().st_size <= LARGEST:
            return


def clock(time: float) -> str:
    """Return a time as m:ss."""
    return f"{int(time) // 60}:{int(time) % 60:02}"
