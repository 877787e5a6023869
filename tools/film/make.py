"""Make a film: python -m film.make 4 [Beat ...] [--rehearse] [--draft] [--poster].

The beats are rendered two at a time into build/videos/film_4, where what has not changed stays, then joined with the
voice into docs/videos/film_4.mp4, with captions (.vtt), poster (.jpg), transcript (.md) and what is known (.json).
With names of beats, only these are rendered, and joined into build/videos/preview. --rehearse finds out whether the
animations fit the voice, and draws nothing. --draft is a preview without the voice. --poster makes only the poster.
"""

import fcntl
import json
import math
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
import wave
from pathlib import Path

import numpy as np

from . import voice
from .captions import captions, vtt
from .lesson import ROOT
from .record import FONTS, run, whole
from .render import QUALITY, RATE, encoder, key_of, poster, prepare, rehearse, render
from .script import Film, read_film
from .transcript import write_transcript

WORK, DOCS = ROOT / "build" / "videos", ROOT / "docs" / "videos"
LOUDNESS, PEAK, SILENT = -16.0, -1.4, -60.0  # LUFS, dBTP, and what is below is a draft
AAC = ["-ac", "1", "-c:a", "aac", "-b:a", "48k", "-cutoff", "11000"]  # the voice has nothing above 12 kHz
SOUND, LARGEST, SHRINKS = 48_000, 11_900_000, 0.91  # samples a second, bytes of a film, what a step of quality leaves
EXACT = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]


def main(arguments: list[str]) -> None:
    """Make what is asked for."""
    options = {one for one in arguments if one.startswith("--")}
    number, *names = [one for one in arguments if not one.startswith("--")]
    check_tools()
    if "--draft" in options:
        os.environ["VIDEO_DRAFT"] = "1"
    prepare(f"film_{number}")
    film = read_film(int(number))
    if unknown := set(names) - {beat.__name__ for beat in film.beats}:
        raise SystemExit(f"film {number} has no beats {sorted(unknown)}, but {[one.__name__ for one in film.beats]}")
    if "--poster" in options:
        DOCS.mkdir(parents=True, exist_ok=True)
        return poster(film.poster, DOCS / f"film_{number}.jpg")
    chosen = [beat for beat in film.beats if not names or beat.__name__ in names]
    folder = WORK / (f"draft_{number}" if "--draft" in options else f"film_{number}")
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")  # held until this process ends, however it ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"film {number} is being made by another process: wait for it, or end it.") from None
    stale = [beat for beat in chosen if not fresh(film, beat.__name__, folder)]
    in_parallel("rehearsed", film, stale, folder)
    if "--rehearse" in options:
        return None
    in_parallel("rendered", film, stale, folder)
    preview = bool(names) or "--draft" in options
    out = WORK / "preview" if preview else DOCS
    out.mkdir(parents=True, exist_ok=True)
    beats = [json.loads((folder / f"{beat.__name__}.json").read_text(encoding="utf-8")) for beat in chosen]
    join(film, beats, folder, out)
    return None


# --------------------------------------------------------------------------------------------------------------------
# Beats
# --------------------------------------------------------------------------------------------------------------------


def check_tools() -> None:
    """Say in one sentence what is missing here to make a film."""
    for program in ("ffmpeg", "ffprobe"):
        if shutil.which(program) is None:
            raise SystemExit(f"A film is encoded with {program}, which is not here: install ffmpeg, then try again.")
    listed = run("fc-list", ":", "family") if shutil.which("fc-list") else ""
    for font, package in FONTS.items():
        if listed and font not in listed:
            raise SystemExit(f"The films are written in {font}, which is not here: install {package}, then try again.")


def fresh(film: Film, beat: str, folder: Path) -> bool:
    """Return whether a beat is there as it would be made now."""
    kept = folder / f"{beat}.json"
    if not kept.exists() or not (folder / f"{beat}.mp4").exists():
        return False
    about = json.loads(kept.read_text(encoding="utf-8"))
    if about["key"] != key_of(film.number, beat):
        return False
    drafted = "VIDEO_DRAFT" in os.environ
    return drafted or all(one["wave"] == f"{voice.name_of(one['text'])}.wav" for one in about["spoken"])


def in_parallel(what: str, film: Film, beats: list[type], folder: Path) -> None:
    """Rehearse or render beats, two at a time, each in a process of its own; say which failed, and why."""
    started, failed = time.time(), []
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        jobs = [(what, film.number, beat.__name__, folder) for beat in beats]
        for name, told, error in pool.imap_unordered(_work, jobs, chunksize=1):
            beat = f"film {film.number}, {name:16}"
            print(f"{beat} {what} {told}" if not error else f"{beat} FAILED", flush=True)
            failed += [f"film {film.number}, {name}: {error}"] if error else []
    if failed:
        raise SystemExit("\n".join(failed))
    if beats:
        print(f"film {film.number}: {len(beats)} beats {what} in {time.time() - started:.0f} s", flush=True)


def _work(job: tuple[str, int, str, Path]) -> tuple[str, str, str]:
    what, number, name, folder = job
    prepare(f"film_{number}_{name}")
    beat = next(one for one in read_film(number).beats if one.__name__ == name)
    spent, began = _cpu(), time.time()
    try:
        if what == "rehearsed":
            about = rehearse(beat)
        else:
            (folder / f"{name}.json").unlink(missing_ok=True)
            about = render(beat, folder / f"{name}.mp4")
            about |= {"key": key_of(number, name), "cpu": _cpu() - spent}
            partial = folder / f"{name}.json.partial"
            partial.write_text(json.dumps(about), encoding="utf-8")
            partial.replace(folder / f"{name}.json")
    except Exception:
        return name, "", traceback.format_exc(limit=-4)
    words, talk = sum(len(one["words"]) for one in about["spoken"]), sum(one["seconds"] for one in about["spoken"])
    told = f"{about['seconds']:5.1f} s, {words:3} words at {60 * words / max(talk, 0.1):3.0f} a minute, "
    told += f"still {about['still']:4.1f} s, {_cpu() - spent:5.1f} CPU s in {time.time() - began:5.1f} s"
    return name, told, ""


def _cpu() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


# --------------------------------------------------------------------------------------------------------------------
# The film
# --------------------------------------------------------------------------------------------------------------------


def join(film: Film, beats: list[dict], folder: Path, out: Path) -> None:
    """Join beats to a film, and write all that belongs to it."""
    name = f"film_{film.number}"
    times, words, sound = [0.0], [], []
    for beat in beats:
        length = round(beat["seconds"] * RATE) / RATE
        sound.append(track(beat, length))
        for one in beat["spoken"]:
            start = times[-1] + one["at"]
            words += [(start + a, start + b, word) for a, b, word in one["words"]]
        times.append(times[-1] + length)
    shown = captions(words)
    (out / f"{name}.vtt").write_text(vtt(shown), encoding="utf-8")
    write_wave(folder / "sound.wav", np.concatenate(sound))
    about = whole(film, beats, times, len(words))
    encode(folder, beats, about, out / f"{name}.vtt", out / f"{name}.mp4")
    about["megabytes"] = round((out / f"{name}.mp4").stat().st_size / 1e6, 2)
    (out / f"{name}.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if film.poster:
        poster(film.poster, out / f"{name}.jpg")
    write_transcript(film, about, out)
    told = f"{about['minutes']} minutes, {about['words']} words, {about['megabytes']} MB"
    print(f"{(out / name).relative_to(ROOT)}.mp4: {told}")


def track(beat: dict, length: float) -> np.ndarray:
    """Return the sound of a beat, of a length in seconds."""
    sound = np.zeros(round(length * SOUND), np.float32)
    for one in beat["spoken"]:
        if not Path(one["wave"]).suffix:  # of a draft
            continue
        with wave.open(str(voice.KEPT / one["wave"])) as file:
            heard = np.frombuffer(file.readframes(file.getnframes()), np.int16) / np.float32(32768)
            rate = file.getframerate()
        at = np.arange(int(len(heard) * SOUND / rate)) * (rate / SOUND)
        heard, start = np.interp(at, np.arange(len(heard)), heard), round(one["at"] * SOUND)
        sound[start : start + len(heard)] += heard[: len(sound) - start].astype(np.float32)
    return sound


def write_wave(path: Path, sound: np.ndarray) -> None:
    """Write a sound."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SOUND, 0, "NONE", ""))
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes())


def encode(folder: Path, beats: list[dict], about: dict, vtt_file: Path, out: Path) -> None:
    """Join the pictures with the sound, captions and chapters; only a film that is too large is encoded again."""
    listed = [f"file '{beat['name']}.mp4'\nduration {round(beat['seconds'] * RATE) / RATE:.6f}" for beat in beats]
    (folder / "list.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    meta = [";FFMETADATA1", f"title={about['title']}", "artist=vae_course, with a synthetic voice", "language=eng"]
    ends = [one["start"] for one in about["chapters"][1:]] + [about["seconds"]]
    for chapter, end in zip(about["chapters"], ends, strict=True):
        title = re.sub(r"([=;#\\])", r"\\\1", f"{chapter['section']} {chapter['title']}")
        times = f"START={round(chapter['start'] * 1000)}\nEND={round(end * 1000)}"
        meta.append(f"[CHAPTER]\nTIMEBASE=1/1000\n{times}\ntitle={title}")
    (folder / "meta.txt").write_text("\n".join(meta) + "\n", encoding="utf-8")
    inputs = ["-f", "concat", "-safe", "0", "-i", folder / "list.txt", "-i", folder / "sound.m4a"]
    inputs += ["-f", "ffmetadata", "-i", folder / "meta.txt", "-i", vtt_file]
    streams = [word for one in ("0:v", "1:a", "3:s") for word in ("-map", one)]
    streams += ["-map_metadata", "2", "-map_chapters", "2", "-c:a", "copy", "-c:s", "mov_text"]
    language = [word for one in "vas" for word in (f"-metadata:s:{one}:0", "language=eng")]
    partial, quality = out.with_suffix(".partial.mp4"), QUALITY
    encode_sound(folder / "sound.wav", folder / "sound.m4a")
    pictures = ["-c:v", "copy"]
    for _ in range(4):
        ffmpeg("-y", *inputs, *streams, *pictures, *language, *EXACT, "-movflags", "+faststart", partial)
        more = partial.stat().st_size - LARGEST
        if more <= 0:
            break
        sound = (folder / "sound.m4a").stat().st_size
        quality += max(1, math.ceil(math.log(1 - more / (LARGEST + more - sound)) / math.log(SHRINKS)))
        pictures = encoder(quality)
    partial.replace(out)


def encode_sound(sound: Path, out: Path) -> None:
    """Bring a sound to its loudness and encode it; what limiter and encoder do to it can only be found by trying."""
    gain, limit = 13.8, 0.6
    for _ in range(10):
        evened = "highpass=f=70,acompressor=threshold=-22dB:ratio=3:attack=2:release=60:knee=4"
        limited = f"aresample=192000,alimiter=limit={limit:.3f}:level=false,aresample={SOUND}"
        filters = f"{evened},volume={gain:.2f}dB,{limited}"
        ffmpeg("-y", "-i", sound, "-af", filters, *AAC, *EXACT, out)
        loudness, peak = measured(out)
        if loudness < SILENT or (abs(loudness - LOUDNESS) <= 0.3 and peak <= PEAK):
            return
        gain += 1.5 * (LOUDNESS - loudness)  # of what is given, the limiter takes more than half
        limit *= min(1.0, 10 ** ((PEAK - 0.3 - peak) / 20))
    raise SystemExit(f"the sound could not be brought to {LOUDNESS} LUFS: it is at {loudness}, its peak at {peak} dBTP")


def measured(sound: Path) -> tuple[float, float]:
    """Return the loudness of a sound in LUFS and its true peak in dB."""
    told = ffmpeg("-nostats", "-vn", "-i", sound, "-af", "ebur128=peak=true", "-f", "null", "-")
    loudness, peak = (re.findall(rf"{name}:\s+(-?[\d.]+|-inf) ", told)[-1] for name in ("I", "Peak"))
    return float(loudness), float(peak)


def ffmpeg(*arguments: object) -> str:
    """Run ffmpeg; return what it told."""
    done = subprocess.run(["ffmpeg", "-hide_banner", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"ffmpeg failed: {done.stderr[-1500:]}")
    return done.stderr


if __name__ == "__main__":
    main(sys.argv[1:])
