"""What tests of several folders share."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from chromium import open_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")  # not longer: while playwright runs, no other event loop starts in its thread
def chromium() -> Iterator["Browser"]:
    """Give the browser of this machine; skip the tests that need one where there is none."""
    try:
        with open_chromium() as browser:
            yield browser
    except SystemExit as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def pages(chromium: "Browser") -> Callable[..., "Page"]:
    """Give a function that opens an address, in a page that stands already: a new one costs a second.

    The function `listen` is called with every new page. Further options are those of the browser's contexts; pages that
    differ in them are not shared. What was opened before in a page is gone.
    """
    known: dict[tuple, Any] = {}

    def open_page(
        address: str,
        width: int,
        height: int,
        listen: Callable[["Page"], None],
        color_scheme: Any = "light",
        **options: Any,
    ) -> "Page":
        key = tuple(sorted(options.items()))
        if key not in known:
            known[key] = chromium.new_context(**options).new_page()
            listen(known[key])
        page = known[key]
        page.goto("about:blank")
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=color_scheme)
        page.goto(address)
        return page

    return open_page
