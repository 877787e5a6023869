"""Chromium, driven by playwright, for what is printed or tested in a real browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = """--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update
--disable-sync""".split()  # noqa: SIM905


@contextmanager
def open_chromium() -> Iterator["Browser"]:
    """Start the Chromium of this machine without a window; say what to install where something is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("A browser is driven with playwright: pip install -e '.[dev]', then try again.") from None
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise SystemExit(f"There is no browser here: install one of {', '.join(NAMES)}, then try again.")
    with sync_playwright() as driver, driver.chromium.launch(executable_path=program, args=OPTIONS) as browser:
        yield browser
