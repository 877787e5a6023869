"""Check a finished film as a viewer would suffer from it: python -m film.check 4 [FOLDER] [--deaf].

Length, size, streams, empty or frozen pictures, flashes, edges, captions, loudness, chapters, and whether a listener
understands the words of every beat (--deaf leaves that out, which is what takes longest).
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from .captions import FASTEST, LINE, LINES, read_vtt
from .lesson import ROOT, Lesson
from .listen import KNOWN, compare, hear
from .make import measured
from .respell import SAID

DOCS = ROOT / "docs" / "videos"
MEGABYTES, MINUTES, RATE, STILL, SILENCE = 12.0, (8.0, 12.0), (130, 155), 12.0, 5.0
EDGE, CROSSED = 16, 0.003  # pixels in which nothing is shown but a line that crosses them
FLASH, FLASHES, FLASHING = 0.1, 3, 0.028  # a change of luminance, how many a second, the share of the picture (WCAG)
UNDERSTOOD = 0.93
GRID = 96, 54


class Report:
    """What was checked, and how much of it failed."""

    def __init__(self, number: int):
        self.number, self.checked, self.failed = number, 0, 0

    def expect(self, name: str, good: bool, value: object) -> None:
        self.checked += 1
        self.failed += not good
        print(f"film {self.number}", "ok  " if good else "FAIL", name, value, flush=True)


def main(number: int, folder: Path, deaf: bool) -> int:
    """Check the film of a lesson; return how many checks failed."""
    film = folder / f"film_{number}.mp4"
    about = json.loads(film.with_suffix(".json").read_text(encoding="utf-8"))
    report = Report(number)
    check_streams(report, film, about)
    check_chapters(report, film, about, number)
    check_captions(report, film)
    check_pictures(report, film)
    check_edges(report, film)
    check_loudness(report, film)
    words, talk = about["words"], sum(beat["talk"] for beat in about["beats"])
    report.expect("words a minute of speech", RATE[0] <= 60 * words / talk <= RATE[1], round(60 * words / talk))
    still = max(about["beats"], key=lambda beat: beat["still"])
    report.expect("longest time without a movement", still["still"] <= STILL, (still["still"], still["name"]))
    if not deaf:
        check_voice(report, film, about)
    print(f"film {number}, {about['minutes']} minutes: {report.checked - report.failed} passed, {report.failed} failed")
    return report.failed


def check_streams(report: Report, film: Path, about: dict) -> None:
    facts = probe(film)
    picture, sound = (next(one for one in facts["streams"] if one["codec_type"] == kind) for kind in ("video", "audio"))
    kind = tuple(picture[name] for name in ("codec_name", "pix_fmt", "width", "height", "avg_frame_rate"))
    report.expect("picture", kind == ("h264", "yuv420p", 1280, 720, "30/1"), kind)
    kind = sound["codec_name"], sound["channels"]
    report.expect("sound", kind == ("aac", 1), kind)
    ends = float(picture["duration"]), float(sound["duration"])
    report.expect("picture and sound end together", abs(ends[0] - ends[1]) < 0.1, ends)
    length, size = float(facts["format"]["duration"]), int(facts["format"]["size"]) / 1e6
    report.expect("minutes", MINUTES[0] <= length / 60 <= MINUTES[1], round(length / 60, 2))
    report.expect("as long as its beats", abs(length - about["seconds"]) < 0.1, (length, about["seconds"]))
    report.expect("megabytes", size <= MEGABYTES, (round(size, 2), f"{60 * size / length:.2f} a minute"))
    head = film.read_bytes()
    report.expect("faststart", 0 < head.find(b"moov") < head.find(b"mdat"), head.find(b"moov"))


def check_chapters(report: Report, film: Path, about: dict, number: int) -> None:
    facts, titles = probe(film), Lesson(number).titles
    shown = [one["tags"]["title"] for one in facts["chapters"]]
    report.expect("chapters", shown == [f"{one['section']} {one['title']}" for one in about["chapters"]], shown)
    starts = [float(one["start_time"]) for one in facts["chapters"]]
    end = float(facts["chapters"][-1]["end_time"])
    report.expect("chapters fill the film", starts[0] == 0 and abs(end - about["seconds"]) < 0.2, [*starts, end])
    unknown = [title for title in shown if title.split()[0] not in titles]
    report.expect("chapters name sections of the lesson", not unknown, unknown or len(shown))


def check_captions(report: Report, film: Path) -> None:
    texts = read_vtt(film.with_suffix(".vtt").read_text(encoding="utf-8"))
    apart = [one.start for one, other in pairwise(texts) if one.end > other.start + 1e-6]
    report.expect("captions do not overlap", not apart, apart or len(texts))
    lines = [text.text.split("\n") for text in texts]
    longest = max(len(line) for some in lines for line in some)
    report.expect("lines of captions", longest <= LINE and max(map(len, lines)) <= LINES, longest)
    fastest = max(texts, key=lambda text: len(text.text) / (text.end - text.start))
    pace = len(fastest.text) / (fastest.end - fastest.start)
    report.expect("letters of captions a second", pace <= FASTEST, (round(pace, 1), fastest.text))
    told = log(film, "-af", "silencedetect=n=-42dB:d=0.3", "-vn")
    found = re.findall(r"silence_start: ([\d.]+).*?silence_end: ([\d.]+)", told, re.DOTALL)
    silent = [(float(start), float(end)) for start, end in found]
    grid = np.arange(0, texts[-1].end, 0.05)
    said = ~np.any([(grid > start) & (grid < end) for start, end in [*silent, (-1, 0)]], axis=0)
    read = np.any([(grid >= text.start - 0.15) & (grid <= text.end + 0.15) for text in texts], axis=0)
    share = (said & read).sum() / said.sum()
    report.expect("speech that has captions", share > 0.97, round(float(share), 3))
    longest = max((end - start, start) for start, end in [*silent, (0, 0)])
    report.expect("longest silence", longest[0] <= SILENCE, [round(one, 2) for one in longest])


def check_pictures(report: Report, film: Path) -> None:
    looked = "[a]blackdetect=d=1:pix_th=0.12:pic_th=0.995[c];[b]freezedetect=n=-70dB:d=2[d];[c][d]vstack"
    told = log(film, "-vf", f"fps=5,scale=640:-2,split[a][b];{looked}", "-an")
    black = [float(start) for start in re.findall(r"black_start:([\d.]+)", told)]
    report.expect("no empty picture for a second", not black, black)
    found = re.findall(r"freeze_duration: ([\d.]+).*?freeze_end: ([\d.]+)", told, re.DOTALL)
    frozen = [(float(length), float(end) - float(length)) for length, end in found]
    longest = max([*frozen, (0.0, 0.0)])
    report.expect("longest still picture", longest[0] <= STILL, [round(one, 1) for one in longest])
    share, at = flashes(frames(film, f"scale={GRID[0]}:{GRID[1]}:flags=area", *GRID))
    report.expect("share of the picture that flashes", share < FLASHING, (round(share, 4), f"at {at:.1f} s"))


def flashes(pictures: Iterator[np.ndarray], rate: int = 30) -> tuple[float, float]:
    """Return the largest share of the picture that flashes more than three times within a second, and when.

    A flash is two changes of the luminance, up and down or down and up, each by a tenth of what white has.
    """
    turn, way, worst, when, turned = None, None, 0.0, 0.0, []
    for number, picture in enumerate(pictures):
        light = (picture / 255.0) ** 2.2
        if turn is None:
            turn, way = light.copy(), np.zeros(light.shape, int)
        up, down = light - turn >= FLASH, turn - light >= FLASH
        changes = (up & (way < 1)) | (down & (way > -1))
        goes_on = ((way > 0) & (light > turn)) | ((way < 0) & (light < turn))
        way = np.where(up & (way < 1), 1, np.where(down & (way > -1), -1, way))
        turn = np.where(changes | goes_on, light, turn)
        turned = [*turned[-rate + 1 :], changes]
        share = float((sum(turned[1:], turned[0].astype(int)) > 2 * FLASHES).mean())
        if share > worst:
            worst, when = share, number / rate
    return worst, when


def check_edges(report: Report, film: Path) -> None:
    """Look for what touches the edge; a line may cross it, as that of an axis does under a lens."""
    worst, when = 0.0, 0
    for second, picture in enumerate(frames(film, "fps=1", 1280, 720)):
        sides = [picture[:EDGE], picture[-EDGE:], picture[EDGE:-EDGE, :EDGE], picture[EDGE:-EDGE, -EDGE:]]
        border = np.concatenate([side.ravel() for side in sides]).astype(int)
        if (lit := float((border - np.median(border) >= 14).mean())) > worst:
            worst, when = lit, second
    report.expect(f"share of the outer {EDGE} pixels in use", worst < CROSSED, (round(worst, 4), f"at {when} s"))


def check_loudness(report: Report, film: Path) -> None:
    loudness, peak = measured(film)
    report.expect("loudness", abs(loudness + 16) < 1, f"{loudness} LUFS")
    report.expect("true peak", peak < -1, f"{peak} dBTP")


def check_voice(report: Report, film: Path, about: dict) -> None:
    """Let a listener hear every beat; a term that it does not know must be heard through another spelling."""
    command = ["ffmpeg", "-v", "error", "-i", film, "-vn", "-ac", "1", "-ar", "16000", "-f", "f32le", "-"]
    sound = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32)
    terms: dict[str, list[str]] = {}
    for beat in about["beats"]:
        start, end = (round(16_000 * time) for time in (beat["start"], beat["start"] + beat["seconds"]))
        said = " ".join(text for _, text in beat["said"])
        heard = hear(sound[start:end])
        count, missed, known = compare(said, heard)
        for term, written in known:
            terms.setdefault(term, []).append(written)
        share = 1 - len(missed) / max(count, 1)
        told = f"{share:.3f}" if not missed else f"{share:.3f} of {count}, but not {missed}: {heard!r}"
        report.expect(f"heard of {beat['name']}", share >= UNDERSTOOD, told)
    for term, written in terms.items():
        through = [one for one in written if one == term or one.lower() in KNOWN[term]]
        report.expect(f"{term} is heard, and respelled", bool(through) and term in SAID, sorted(set(written)))


def probe(film: Path) -> dict:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json", film]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def log(film: Path, *filters: str) -> str:
    command = ["ffmpeg", "-hide_banner", "-i", film, *filters, "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def frames(film: Path, chain: str, width: int, height: int) -> Iterator[np.ndarray]:
    """Give the pictures of a film, in grey, behind a chain of filters."""
    command = ["ffmpeg", "-v", "error", "-i", film, "-an", "-vf", f"{chain},format=gray", "-f", "rawvideo", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while len(raw := process.stdout.read(width * height)) == width * height:
            yield np.frombuffer(raw, np.uint8).reshape(height, width)


if __name__ == "__main__":
    number, *others = [one for one in sys.argv[1:] if not one.startswith("--")]
    sys.exit(bool(main(int(number), Path(others[0]) if others else DOCS, "--deaf" in sys.argv)))
