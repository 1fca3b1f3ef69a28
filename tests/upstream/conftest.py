"""Prints the matrix, and what was measured, behind the tests."""

from __future__ import annotations

import pytest

TABLES: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture(scope="session")
def tables(request: pytest.FixtureRequest) -> list[str]:
    """What is put here is printed at the end."""
    return request.config.stash.setdefault(TABLES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for text in terminalreporter.config.stash.get(TABLES, []):
        terminalreporter.write_line("")
        terminalreporter.write_line(text)
