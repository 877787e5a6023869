"""Cut the trailer from the finished films: python -m film.trailer. It takes what is said in one breath from each."""

import hashlib
import json
import shlex
import sys

from .lesson import ROOT
from .make import EXACT
from .record import run

DOCS = ROOT / "docs" / "videos"
CLIPS = [  # film, beat, and which of its narrations
    (0, "Islands", 1),
    (2, "Hidden", 0),
    (1, "GeneByGene", 3),
    (4, "Blocked", 2),
    (3, "Organise", 1),
    (5, "TheirWeights", -1),
]
FADE = 0.3
PICTURE = shlex.split("-c:v libx264 -preset slow -tune animation -crf 27 -pix_fmt yuv420p -r 30")
SOUND = shlex.split("-c:a aac -ac 1 -b:a 80k -movflags +faststart")


def main() -> None:
    """Write docs/videos/trailer.mp4, and trailer.json: which films it was cut from."""
    inputs, filters, length = [], [], 0.0
    for place, (number, name, which) in enumerate(CLIPS):
        start, seconds = span(number, name, which)
        inputs += ["-ss", f"{start:.3f}", "-t", f"{seconds:.3f}", "-i", DOCS / f"film_{number}.mp4"]
        out = f"st={seconds - FADE:.3f}:d={FADE}"
        filters.append(f"[{place}:v]fade=in:st=0:d={FADE},fade=out:{out}[v{place}]")
        filters.append(f"[{place}:a]afade=in:st=0:d=0.05,afade=out:{out}[a{place}]")
        length += seconds
    joined = "".join(f"[v{place}][a{place}]" for place in range(len(CLIPS)))
    filters.append(f"{joined}concat=n={len(CLIPS)}:v=1:a=1[v][a]")
    mapped = ["-filter_complex", ";".join(filters), "-map", "[v]", "-map", "[a]"]
    run("ffmpeg", "-v", "error", "-y", *inputs, *mapped, *PICTURE, *SOUND, *EXACT, DOCS / "trailer.mp4")
    (DOCS / "trailer.json").write_text(json.dumps({"cut from": sources()}, indent=1) + "\n", encoding="utf-8")
    megabytes = (DOCS / "trailer.mp4").stat().st_size / 1e6
    print(f"docs/videos/trailer.mp4: {length:.0f} s, {megabytes:.2f} MB")


def sources() -> dict[str, str]:
    """Return the SHA-256 of every film that the trailer is cut from, by the name of its file."""
    files = sorted({f"film_{number}.mp4" for number, *_ in CLIPS})
    return {file: hashlib.sha256((DOCS / file).read_bytes()).hexdigest() for file in files}


def span(number: int, name: str, which: int) -> tuple[float, float]:
    """Return the start and the length, in seconds, of a narration of a beat in its film."""
    film = json.loads((DOCS / f"film_{number}.json").read_text(encoding="utf-8"))
    beat = next((beat for beat in film["beats"] if beat["name"] == name), None)
    if beat is None:
        raise SystemExit(f"film {number} has no beat {name}; name one of its own in tools/film/trailer.py")
    starts = [at for at, _ in beat["said"]]
    later = [*[at for at in starts if at > starts[which]], beat["start"] + beat["seconds"]]
    return starts[which], later[0] - starts[which] - 0.1


if __name__ == "__main__":
    sys.exit(main())
