"""Progress bars: tqdm's in terminals and notebooks, a plain line a minute in files."""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tqdm import tqdm

from vae_course.runtime.processes import rank

SECONDS_BETWEEN_LINES = 60
LAYOUT_OF_LINES = "{desc}: {percentage:.0f}% [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


def progress_bar(**options: Any) -> Callable[..., tqdm]:
    """Return a factory of progress bars, called with tqdm's `total` and `initial`; other options of tqdm go here.

    It is silent if TQDM_DISABLE is set, and in all processes but the first. Outside of terminals and notebooks it
    writes a plain line once a minute; runs shorter than that print nothing.
    """
    options["disable"] = rank() > 0 or os.environ.get("TQDM_DISABLE", "") not in ("", "0")
    ipython = sys.modules.get("IPython")
    in_notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    if sys.stderr.isatty() or in_notebook:
        return partial(tqdm, **options)
    seconds = {"delay": SECONDS_BETWEEN_LINES, "mininterval": SECONDS_BETWEEN_LINES, "miniters": 1}
    return partial(ProgressLines, bar_format=LAYOUT_OF_LINES, **seconds, **options)


class ProgressLines(tqdm):
    """A progress bar for files: now and then a line of its own, without control characters."""

    monitor_interval = 0  # no thread that watches the display

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write a line."""
        print(self, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Write nothing more."""
        self.disable = True
