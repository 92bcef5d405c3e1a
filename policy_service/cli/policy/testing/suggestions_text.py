"""What can be said of the gaps of a suite, for a person and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from policy_service.analysis.gaps import Gap, Suggestions
from policy_service.cli.policy.report import count
from policy_service.cli.shared.screen import Screen


def show_suggestions(screen: Screen, found: Suggestions, folder: Path) -> None:
    """Tests to be pasted, each below the gaps that it closes, as comments; then what no test closes, and why."""
    for number, test in enumerate(found.tests):
        screen.line()
        if number == 0:
            screen.line("tests that close gaps", "bold")
        for line in _closed(test.closes, folder):
            screen.line(f"  # {line}", "dim")
        screen.block(test.text)
    _show_left(screen, "never to be closed, as proved", found.impossible, folder)
    _show_left(screen, "undecided", found.undecided, folder)
    if found.tests or found.impossible or found.undecided:
        screen.line()
        screen.line(summary(found), "yellow" if found.undecided else "green")


def _closed(closes: Sequence[Gap], folder: Path) -> Iterator[str]:
    """The gaps, rule by rule and condition by condition."""
    rules: dict[tuple[str, str], dict[str, list[Gap]]] = {}
    for gap in closes:
        rules.setdefault((gap.type, gap.rule), {}).setdefault(gap.subject, []).append(gap)
    for (_type, rule), subjects in rules.items():
        first = next(iter(subjects.values()))[0]
        events = ", ".join(gap.event for gap in subjects.pop("", []))
        yield f"{_place(first, folder)} {rule} {events}".rstrip()
        for subject, gaps in subjects.items():
            yield f"    {subject} {', '.join(gap.event for gap in gaps)}"


def _show_left(screen: Screen, heading: str, left: Sequence[tuple[Gap, str]], folder: Path) -> None:
    if left:
        screen.line()
        screen.line(heading, "bold")
    for gap, why in left:
        screen.parts((f"  {_place(gap, folder)} ", "dim"), (gap.title, ""))
        screen.line(f"      {why}")


def summary(found: Suggestions) -> str:
    """`12 gaps: 4 tests close 9, 2 can never be closed, 1 undecided`. Gaps are counted as goals are."""
    impossible, undecided = ({_goal(gap) for gap, _ in some} for some in (found.impossible, found.undecided))
    closed = {_goal(gap) for test in found.tests for gap in test.closes} - impossible - undecided
    tests = len(found.tests)
    parts = [f"{count(tests, 'test')} close{'s' if tests == 1 else ''} {len(closed)}"] if tests else []
    parts += [f"{len(impossible)} can never be closed"] if impossible else []
    parts += [f"{len(undecided - impossible)} undecided"] if undecided - impossible else []
    return f"{count(len(closed | impossible | undecided), 'gap')}: {', '.join(parts)}"


def _goal(gap: Gap) -> tuple[object, ...]:
    """To decide both satisfied and not is one goal."""
    return gap.type, gap.rule, gap.field, gap.atom, gap.goal


def _place(gap: Gap, folder: Path) -> str:
    return f"{(folder / gap.place.file).as_posix()}:{gap.place.line}"


def suggestions_document(found: Suggestions) -> dict[str, Any]:
    """For programs. Files are relative to the folder."""
    return {
        "tests": [
            {"name": test.test.name, "text": test.text, "closes": [_gap(gap) for gap in test.closes]}
            for test in found.tests
        ],
        "impossible": [{**_gap(gap), "why": why} for gap, why in found.impossible],
        "undecided": [{**_gap(gap), "why": why} for gap, why in found.undecided],
    }


def _gap(gap: Gap) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": gap.type,
        "rule": gap.rule,
        "goal": gap.goal,
        "file": gap.place.file,
        "line": gap.place.line,
    }
    if gap.text is not None:
        found |= {"in": gap.field, "condition": gap.text}
    return found if gap.half is None else {**found, "while": "satisfied" if gap.half else "unsatisfied"}
