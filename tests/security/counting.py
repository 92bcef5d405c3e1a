"""Counts the attacks that the suite tries, by kind, and prints the numbers. A plugin (`tests/conftest.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

COUNTED = "attacks"
NOTED = "attack-note"


class Attacks:
    """One test's count. An attack is one attempt of a stranger to get what it must not have, whatever came of it."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.notes: list[str] = []

    def __call__(self, kind: str, number: int = 1) -> None:
        """Count attempts of a kind."""
        self.count[kind] += number

    def note(self, text: str) -> None:
        """Something measured, to be printed with the numbers."""
        self.notes.append(text)


@pytest.fixture
def attacks(request: pytest.FixtureRequest) -> Iterator[Attacks]:
    """The count of this test."""
    counted = Attacks()
    yield counted
    node = request.node
    node.user_properties.extend((COUNTED, [kind, number]) for kind, number in counted.count.items())
    node.user_properties.extend((NOTED, text) for text in counted.notes)


class Summary:
    """Adds up what the tests report, from all workers."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._notes: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended; the last one has it all."""
        if report.when != "teardown":
            return
        for name, value in report.user_properties:
            if name == COUNTED:
                kind, number = value  # type: ignore[misc]  # what the fixture above put there
                self._count[kind] += number
            elif name == NOTED:
                self._notes.append(str(value))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The numbers."""
        if not self._count:
            return
        terminalreporter.section("attacks tried, by kind")
        for kind, number in sorted(self._count.items()):
            terminalreporter.write_line(f"{number:>9,}  {kind}")
        terminalreporter.write_line(f"{sum(self._count.values()):>9,}  in all")
        for text in self._notes:
            terminalreporter.write_line(f"           {text}")


def pytest_configure(config: pytest.Config) -> None:
    """Register the summary."""
    config.pluginmanager.register(Summary(), "attack-summary")
