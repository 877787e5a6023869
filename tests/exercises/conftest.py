"""Spreads the exercises over the workers."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # what an exercise expects, and what its mistakes return, is computed once in a process
        if (number := getattr(item, "callspec", None) and item.callspec.params.get("number")) is not None:
            item.add_marker(pytest.mark.xdist_group(f"exercise {number}"))
