"""Render a beat of a film: its pictures in one file without sound, what is said and when, and what is shown.

A rehearsal finds the times of all animations with the voice as it will be, and draws nothing.
"""

import subprocess
from pathlib import Path

import numpy as np
from manim import Animation, Wait, config, logger, tempconfig
from manim.renderer.cairo_renderer import CairoRenderer
from manim.scene.scene_file_writer import SceneFileWriter
from PIL import Image

from . import sources
from .camera import FilmCamera
from .lecture import Lecture
from .lesson import ROOT
from .script import SCRIPTS

SIZE, RATE, QUALITY = (1280, 720), 30, 25
# A single encoding, straight from the pictures. The colours are those that players expect of this size.
COLOURS = "-colorspace bt709 -color_primaries bt709 -color_trc bt709"


def encoder(quality: int = QUALITY) -> list[str]:
    """Return ffmpeg's options for pictures; a larger number is a smaller file."""
    return [
        *f"-vf scale=out_color_matrix=bt709:out_range=tv {COLOURS}".split(),
        *f"-c:v libx264 -preset veryfast -tune animation -crf {quality} -pix_fmt yuv420p -g 300 -threads 1".split(),
        *"-fflags +bitexact -flags:v +bitexact -movflags +faststart".split(),  # noqa: SIM905
    ]


def key_of(number: int, beat: str) -> str:
    """Return the key of all that a beat's pictures are made of."""
    (notebook,) = (ROOT / "solutions").glob(f"{number:02}_*.ipynb")
    return sources.key(SCRIPTS / f"video_{number}.py", beat, notebook, f"{SIZE} {RATE} {encoder()}")


class Undrawn(CairoRenderer):
    """A renderer that keeps the time and draws nothing, until `picture` is asked for."""

    def save_static_frame_data(self, scene: Lecture, static_mobjects: list) -> None:
        """Draw nothing."""
        self.static_image = None

    def update_frame(self, *arguments: object, **options: object) -> None:
        """Draw nothing."""

    def picture(self, scene: Lecture) -> Image.Image:
        """Draw what is to be seen now."""
        super().update_frame(scene)
        return Image.fromarray(self.get_frame()).convert("RGB")


class OneFile(SceneFileWriter):
    """Writes all frames of a beat to one process of ffmpeg, rather than a file for each animation."""

    path = Path()  # set before a scene is made

    def open_partial_movie_stream(self, **options: object) -> None:
        """Open the file, with the first animation."""
        if not hasattr(self, "encoder"):
            raw = f"-f rawvideo -pix_fmt rgba -s {SIZE[0]}x{SIZE[1]} -r {RATE} -i -".split()
            command = ["ffmpeg", "-y", "-v", "error", *raw, "-an", *encoder(), str(self.path)]
            self.encoder = subprocess.Popen(command, stdin=subprocess.PIPE)

    def close_partial_movie_stream(self) -> None:
        """Go on with the same file."""

    def write_frame(self, pixels: np.ndarray, *, repeat: int = 1) -> None:
        """Write a frame, as often as it stays."""
        frame = np.ascontiguousarray(pixels).tobytes()
        for _ in range(repeat):
            self.encoder.stdin.write(frame)

    def finish(self) -> None:
        """Close the file."""
        self.encoder.stdin.close()
        if self.encoder.wait():
            raise OSError(f"ffmpeg could not write {self.path.name}")


def watched(beat: type[Lecture]) -> type[Lecture]:
    """Return a beat that notes what it shows, and how long nothing moves."""

    def play(self: Lecture, *animations: Animation, **options: object) -> None:
        before = self.renderer.time
        super(kind, self).play(*animations, **options)
        waits = len(animations) == 1 and isinstance(animations[0], Wait)
        alive = any(one.has_time_based_updater() for top in self.mobjects for one in top.get_family())
        self.quiet = self.quiet + self.renderer.time - before if waits and not alive else 0.0
        self.still = max(self.still, self.quiet)
        self.shown |= {one.shown for top in self.mobjects for one in top.get_family() if hasattr(one, "shown")}

    names = {"quiet": 0.0, "still": 0.0, "shown": frozenset(), "play": play}
    kind = type(beat.__name__, (beat,), names)
    return kind


def rehearse(beat: type[Lecture]) -> dict:
    """Run a beat without drawing it; return what is known of it."""
    with tempconfig(settings(dry_run=True)):
        scene = watched(beat)(renderer=Undrawn(camera_class=FilmCamera, skip_animations=True))
        scene.setup()
        scene.construct()
    return known_of(scene)


def render(beat: type[Lecture], path: Path) -> dict:
    """Render a beat into a file of its name in a folder; return what is known of it."""
    OneFile.path = path.with_suffix(".partial.mp4")
    with tempconfig(settings()):
        scene = watched(beat)(renderer=CairoRenderer(file_writer_class=OneFile, camera_class=FilmCamera))
        scene.render()
    OneFile.path.replace(path)
    return known_of(scene)


def poster(picture: type[Lecture], path: Path) -> None:
    """Draw the poster of a film."""
    with tempconfig(settings(dry_run=True)):
        scene = picture(renderer=Undrawn(camera_class=FilmCamera, skip_animations=True))
        scene.setup()
        scene.construct()
        scene.renderer.picture(scene).save(path, quality=88, optimize=True)


def known_of(scene: Lecture) -> dict:
    """Return what is known of a beat that has run."""
    return {
        "name": type(scene).__name__,
        "section": scene.section,
        "chapter": scene.chapter,
        "seconds": scene.renderer.time,
        "still": scene.still,
        "spoken": [one | {"wave": Path(one["wave"]).name} for one in scene.spoken],
        "shown": sorted(scene.shown),
    }


def prepare(name: str) -> None:
    """Give a process a folder of its own for what manim writes: two that write the same text disturb each other."""
    logger.setLevel("WARNING")
    config.media_dir = str(ROOT / "build" / "videos" / "media" / name)


def settings(**more: object) -> dict:
    """Return manim's settings for a film."""
    size = {"pixel_width": SIZE[0], "pixel_height": SIZE[1], "frame_rate": RATE}
    return size | {"progress_bar": "none", "disable_caching": True} | more
