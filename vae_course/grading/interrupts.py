"""Tell Ctrl-C of the user from what the code of a notebook raises, while that code runs in this process."""

import signal
from contextlib import suppress
from types import FrameType
from typing import Self


class Interrupts:
    """Notices Ctrl-C in the body of a `with`, even where the code that it interrupts swallows the exception.

    A second Ctrl-C ends Python at once. Outside the main thread nothing is noticed, since signals do not come there.
    """

    def __enter__(self) -> Self:
        """Take over the signal of Ctrl-C, unless it is ignored."""
        self._came, self._before = False, signal.getsignal(signal.SIGINT)
        if callable(self._before):
            with suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signal back."""
        if callable(self._before):
            with suppress(ValueError):
                signal.signal(signal.SIGINT, self._before)

    def pass_on(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came."""
        if self._came:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt
