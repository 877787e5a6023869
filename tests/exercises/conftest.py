"""Every test keeps a record of its own."""

import pytest

from vae_course.exercises import isolation


@pytest.fixture(autouse=True)
def _own_record(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_HOME", str(tmp_path / "home"))


@pytest.fixture
def in_thread(monkeypatch):
    """Windows' way on any machine."""
    monkeypatch.setattr(isolation, "_in_child", lambda work: None)
