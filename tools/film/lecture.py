"""A beat of a film: `say` binds what is said to what moves."""

import os
from types import FunctionType

from manim import Group, Mobject, Scene, config

from . import voice
from .camera import FilmCamera


class Lecture(Scene):
    """A beat of a film. A beat with a `chapter` opens one; `section` is where the lesson tells of it."""

    section = ""
    chapter = ""

    def __init__(self, *arguments: object, **options: object):
        super().__init__(*arguments, **({"camera_class": FilmCamera} | options))

    def setup(self) -> None:
        self.spoken: list[dict] = []

    def say(self, text: str, pause: float = 0.25, **animations) -> None:
        """Say a text; each {cue} in it starts the animation of that name, at the word that follows it.

        An animation is one, or several in a tuple, with its seconds at the end if it should last so long, or a function
        that returns either (manim's `.animate` copies its object when it is written: write it late). One that would
        last past the next cue is shortened, down to two thirds of its seconds; ValueError where that does not do.
        """
        speech = voice.speak(text, draft="VIDEO_DRAFT" in os.environ)
        if set(speech.cues) != set(animations):
            raise ValueError(f"cues {sorted(speech.cues)}, animations {sorted(animations)}")
        start = self.renderer.time
        spoken = {"at": start, "wave": speech.wave, "seconds": speech.seconds, "words": speech.words, "text": text}
        self.spoken.append(spoken)
        order = sorted(speech.cues, key=speech.cues.get)
        for cue, following in zip(order, [*order, None][1:], strict=True):
            self._until(start + speech.cues[cue])
            animation = animations[cue]() if isinstance(animations[cue], FunctionType) else animations[cue]
            animation = list(animation) if isinstance(animation, list | tuple) else [animation]
            wanted = animation.pop() if isinstance(animation[-1], int | float) else None
            room = (
                start + speech.cues[following] if following else start + speech.seconds + pause
            ) - self.renderer.time
            seconds = min(1.0 if wanted is None else wanted, max(room, 0.3))
            if wanted and following and seconds < wanted * 2 / 3:
                raise ValueError(f"{cue} takes {wanted:.2f} s, but {following} comes after {room:.2f}")
            self.play(*animation, run_time=seconds)
        self._until(start + speech.seconds + pause)
        self.said(text)

    def others(self, *kept: Mobject) -> Group:
        """Return all that is shown, besides what is to be kept; `clear=lambda: FadeOut(self.others(head))`."""
        return Group(*[one for one in self.mobjects if one not in kept])

    def said(self, text: str) -> None:
        """Do nothing; where pictures are checked, a picture is taken here."""

    def _until(self, time: float) -> None:
        if time - self.renderer.time >= 1 / config.frame_rate:
            self.wait(time - self.renderer.time)
