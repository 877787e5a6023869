"""Every test keeps a record of its own; the exercises are spread over the workers."""

import pytest

from vae_course.exercises import attempt


@pytest.fixture(autouse=True)
def _own_record(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path / "home"))


@pytest.fixture
def in_thread(monkeypatch):
    """Windows' way on any machine."""
    monkeypatch.setattr(attempt, "_in_child", lambda work: None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # what an exercise expects, and what its mistakes return, is computed once in a process
        if (number := getattr(item, "callspec", None) and item.callspec.params.get("number")) is not None:
            item.add_marker(pytest.mark.xdist_group(f"exercise {number}"))
