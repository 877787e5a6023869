"""What tests of several folders share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from chromium import open_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")  # not longer: while playwright runs, no other event loop starts in its thread
def chromium() -> Iterator["Browser"]:
    """Give the browser of this machine; skip the tests that need one where there is none."""
    try:
        with open_chromium() as browser:
            yield browser
    except SystemExit as reason:
        pytest.skip(str(reason))
