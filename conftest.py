"""Keeps the cells of a notebook together; lists tests that could not run, and in CI lets none pass for one that did."""

import os
import tempfile

import pytest
from nbval.plugin import IPyNbCell

# Whatever runs here, notebooks among it, keeps its progress apart from the learner's.
os.environ["VAE_COURSE_HOME"] = tempfile.mkdtemp(prefix="vae-course-tests-")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, IPyNbCell):  # the cells of a notebook have one kernel, so they stay on one worker
            item.add_marker(pytest.mark.xdist_group(item.parent.path.name))
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
