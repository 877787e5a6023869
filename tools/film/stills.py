"""Pictures of a film's beats, without a voice and without rendering, and what is wrong with them.

python -m film.stills 4            # every beat of film 4
python -m film.stills 4 Dice Jensen
"""

import os
import shutil
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from manim import Animation, Wait, logger, tempconfig
from manim.renderer.cairo_renderer import CairoRenderer
from PIL import Image, ImageDraw

from .camera import FilmCamera
from .lecture import Lecture
from .lesson import ROOT
from .picture import complaints
from .script import read_film

LONGEST = 12.0  # seconds that a picture may stand still
SIZE = 854, 480


@dataclass
class Drawn:
    """A beat that was drawn: its pictures, and what is to be known of it."""

    name: str
    seconds: float = 0.0
    words: int = 0
    still: float = 0.0
    pictures: list[Path] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class _Renderer(CairoRenderer):
    """A renderer that draws only where a picture is wanted."""

    def save_static_frame_data(self, scene: Lecture, static_mobjects: list) -> None:
        self.static_image = None

    def update_frame(self, *arguments: object, **options: object) -> None:
        pass

    def picture(self, scene: Lecture) -> Image.Image:
        self.static_image = None
        super().update_frame(scene)
        return Image.fromarray(self.get_frame()).convert("RGB")


class _Still(Lecture):
    """What a beat is mixed with: it stops for pictures, in the middle and at the end of what is said.

    Its names begin with `_still_`, which no beat uses.
    """

    def setup(self) -> None:
        super().setup()
        self._still_drawn, self._still_quiet, self._still_left = Drawn(type(self).__name__), 0.0, None

    def say(self, text: str, pause: float = 0.25, **animations: object) -> None:
        self._still_left = (len(animations) + 1) // 2 if len(animations) > 2 else None
        super().say(text, pause, **animations)

    def play(self, *animations: Animation, **options: object) -> None:
        before = self.renderer.time
        super().play(*animations, **options)
        waits = len(animations) == 1 and isinstance(animations[0], Wait)
        alive = any(one.has_time_based_updater() for top in self.mobjects for one in top.get_family())
        self._still_quiet = self._still_quiet + self.renderer.time - before if waits and not alive else 0.0
        self._still_drawn.still = max(self._still_drawn.still, self._still_quiet)
        if self._still_left is not None and not waits:
            self._still_left -= 1
            if self._still_left == 0:
                self._still_take()

    def said(self, text: str) -> None:
        self._still_take()

    def _still_take(self) -> None:
        """Take a picture, and look at it; what is wrong with it is told once a beat."""
        drawn = self._still_drawn
        path = self._still_folder / f"{drawn.name}_{len(drawn.pictures) + 1}.png"
        self.renderer.picture(self).save(path)
        drawn.pictures.append(path)
        found = complaints([*self.mobjects, *self.foreground_mobjects])
        drawn.wrong += [f"{path.stem}: {one}" for one in found if not any(one in known for known in drawn.wrong)]


def still(beat: type[Lecture], folder: Path) -> Drawn:
    """Run a beat, take a picture in the middle and at the end of each thing said, and look at them."""
    mixed = type(beat.__name__, (_Still, beat), {"_still_folder": folder})
    scene = mixed(renderer=_Renderer(camera_class=FilmCamera, skip_animations=True))
    scene.setup()
    scene.construct()
    drawn = scene._still_drawn
    if not drawn.pictures:
        scene._still_take()
    drawn.seconds = scene.renderer.time
    drawn.words = sum(len(one["words"]) for one in scene.spoken)
    if drawn.still > LONGEST:
        drawn.wrong.append(f"{drawn.name}: nothing moves for {drawn.still:.1f} s, and {LONGEST:.0f} is the most")
    return drawn


def sheets(pictures: list[Path], folder: Path) -> list[Path]:
    """Put at most twelve pictures on a sheet, each with its name."""
    made, width, height = [], 560, 315
    for start in range(0, len(pictures), 12):
        some = pictures[start : start + 12]
        sheet = Image.new("RGB", (3 * (width + 8) + 8, -(-len(some) // 3) * (height + 24) + 8), "#404040")
        for place, path in enumerate(some):
            x, y = 8 + place % 3 * (width + 8), 20 + place // 3 * (height + 24)
            with Image.open(path) as picture:
                sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (x, y))
            ImageDraw.Draw(sheet).text((x, y - 15), path.stem, "white")
        made.append(folder / f"sheet_{start // 12 + 1}.png")
        sheet.save(made[-1])
    return made


def main(number: int, names: list[str]) -> int:
    """Draw the beats of a film, or those named; return how many did not run."""
    os.environ["VIDEO_DRAFT"] = "1"
    folder = ROOT / "build" / "videos" / "stills" / str(number)
    if not names:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    logger.setLevel("WARNING")
    settings = {"pixel_width": SIZE[0], "pixel_height": SIZE[1], "frame_rate": 30, "progress_bar": "none"}
    with tempconfig(settings | {"dry_run": True, "media_dir": str(ROOT / "build" / "videos" / "shapes")}):
        film = read_film(number)
        beats = film.beats + ([film.poster] if film.poster else [])
        if unknown := set(names) - {beat.__name__ for beat in beats}:
            sys.exit(f"film {number} has no beats {sorted(unknown)}, but {[beat.__name__ for beat in beats]}")
        chosen = [beat for beat in beats if not names or beat.__name__ in names]
        done = [drawn for beat in chosen if (drawn := _try(beat, folder))]
    _tell(number, done, sheets([path for drawn in done for path in drawn.pictures], folder))
    return len(chosen) - len(done)


def _try(beat: type[Lecture], folder: Path) -> Drawn | None:
    """Draw a beat and print what there is to know; print why where it does not run."""
    began = time.time()
    try:
        drawn = still(beat, folder)
    except Exception:
        print(f"{beat.__name__}: {traceback.format_exc(limit=-3)}", flush=True)
        return None
    print(
        f"{drawn.name:20} {drawn.seconds:6.1f} s {drawn.words:4} words, still {drawn.still:4.1f} s, "
        f"{len(drawn.pictures)} pictures in {time.time() - began:.1f} s",
        flush=True,
    )
    return drawn


def _tell(number: int, done: list[Drawn], made: list[Path]) -> None:
    for drawn in done:
        for one in drawn.wrong:
            print(f"film {number}, {one}")
    done = [drawn for drawn in done if drawn.seconds]  # without the poster
    minutes, words = sum(drawn.seconds for drawn in done) / 60, sum(drawn.words for drawn in done)
    rate = words / minutes if minutes else 0
    print(f"{len(done)} beats, {minutes:.2f} minutes, {words} words, {rate:.0f} words a minute")
    print(*(path.relative_to(ROOT) for path in made))


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), sys.argv[2:])))
