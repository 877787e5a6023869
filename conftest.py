"""Shares the tests among the workers; lists those that could not run, and in CI lets none pass for one that did."""

import os
import re
import tempfile

import pytest
from nbval.plugin import IPyNbCell
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Whatever runs here, notebooks among it, keeps its progress apart from the learner's.
os.environ["VAE_COURSE_HOME"] = tempfile.mkdtemp(prefix="vae-course-tests-")


class ByCostlyStart(LoadScopeScheduling):
    """Gives a worker all tests of a file, since they share a kernel, a browser or a site that is costly to start.

    Exercises are handed out one by one, each with all its tests, as what an exercise expects and what its mistakes
    return is worked out once in a process; so are films, whose beats are run once. What runs a lesson shares nothing.
    """

    def _split_scope(self, nodeid: str) -> str:
        path, _, test = nodeid.partition("::")
        if path.endswith("test_lessons.py"):
            return nodeid
        if path.endswith("test_films.py"):
            film = re.search(r"\[(film \d)", test)
            return film[1] if film else path
        exercise = re.search(r"\[(\d\.\d+)\b", test) if path.startswith("tests/exercises") else None
        return exercise[1] if exercise else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByCostlyStart | None:
    return ByCostlyStart(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, IPyNbCell):
            item.add_marker("numerical")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    for report in skipped:
        reason = str(report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr)
        terminalreporter.write_line(f"NOT RUN: {report.nodeid}: {reason.removeprefix('Skipped: ')}", yellow=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and os.environ.get("CI") and reporter.stats.get("skipped") and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
