"""What a suite covered, as a table for a person and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from policy_service.analysis.coverage import GOALS, Coverage, Goal, RuleCovered, Tally
from policy_service.cli.policy.report import count
from policy_service.cli.shared.screen import Screen

WORDS: Final[dict[Goal, str]] = {
    "satisfied": "satisfied",
    "unsatisfied": "not satisfied",
    "faulted": "faulting",
    "deciding": "deciding",
}
MISSING: Final = "✗"
IMPOSSIBLE: Final = "never"
"""Proved: no request reaches the goal."""


def show_coverage(screen: Screen, coverage: Coverage, folder: Path, *, verbose: bool) -> None:
    """A row for every rule and atomic condition with a goal that no case reached, and the figure.

    Args:
        verbose: those too of which nothing is missing.
    """
    rows = [row for rule in coverage.rules for row in _rows(rule, folder, verbose)]
    if rows:
        screen.line()
        screen.line("seen by the tests" if verbose else "not seen by the tests", "bold")
        screen.table(("rule, and its conditions", *WORDS.values()), rows)
    screen.line(summary(coverage), "green" if coverage.reached() == coverage.goals() else "yellow")


def summary(coverage: Coverage) -> str:
    """`coverage 93.8 %: 76 of 81 goals, 5 missing; 2 more proved impossible`."""
    missing = coverage.goals() - coverage.reached()
    told = f", {missing} missing" if missing else ""
    told += f"; {coverage.impossible()} more proved impossible" if coverage.impossible() else ""
    return f"coverage {percent(coverage)} %: {coverage.reached()} of {count(coverage.goals(), 'goal')}{told}"


def percent(coverage: Coverage) -> str:
    """One decimal, rounded down: 99.96 is not 100."""
    return f"{int(coverage.percent() * 10) / 10:.1f}"


def _rows(rule: RuleCovered, folder: Path, verbose: bool) -> Iterator[list[object]]:
    parts = [(one.text, one.tally) for _condition, one in rule.parts() if verbose or one.tally.missing()]
    if parts or verbose or rule.tally.missing():
        place = f"{(folder / rule.place.file).as_posix()}:{rule.place.line}"
        yield [f"{place} {rule.name}", *cells(rule.tally)]
    for text, tally in parts:
        yield [f"    {text}", *cells(tally)]


def cells(tally: Tally) -> list[str | None]:
    """For each goal how often it was seen, ✗ where it is missing, nothing where it makes no sense."""
    return [cell(tally, goal) if goal in tally.wanted else None for goal in GOALS]


def cell(tally: Tally, goal: Goal) -> str:
    """How often a goal was seen; ✗ where it is missing, `never` where that is proved of all requests."""
    return IMPOSSIBLE if goal in tally.impossible else str(getattr(tally, goal) or MISSING)


def coverage_document(coverage: Coverage) -> dict[str, Any]:
    """The JSON form. Files are relative to the folder."""
    return {
        "percent": round(coverage.percent(), 2),
        "goals": coverage.goals(),
        "reached": coverage.reached(),
        "impossible": coverage.impossible(),
        "rules": [_rule_document(rule) for rule in coverage.rules],
    }


def _rule_document(rule: RuleCovered) -> dict[str, Any]:
    return {
        "type": rule.type,
        "name": rule.name,
        "effect": rule.effect,
        "file": rule.place.file,
        "line": rule.place.line,
        **_tally_document(rule.tally),
        "conditions": [
            {"in": condition.field, "condition": one.text, **_tally_document(one.tally)}
            for condition, one in rule.parts()
        ],
    }


def _tally_document(tally: Tally) -> dict[str, Any]:
    return {
        "seen": {goal: getattr(tally, goal) for goal in GOALS if goal in tally.wanted},
        "missing": list(tally.missing()),
        "impossible": [goal for goal in GOALS if goal in tally.impossible],
    }
