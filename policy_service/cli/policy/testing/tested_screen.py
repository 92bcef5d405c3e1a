"""The result of a folder's tests for a person: a line for each file, and every case that came out otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from policy_service.analysis.run_suite import CaseResult, SuiteTestResult
from policy_service.cli.deciding.trace_text import Line, trace_lines
from policy_service.cli.policy.report import count, located
from policy_service.cli.policy.testing.coverage_text import show_coverage
from policy_service.cli.policy.testing.coverage_text import summary as coverage_summary
from policy_service.cli.policy.testing.suggestions_text import show_suggestions
from policy_service.cli.policy.testing.tested import Tested, decided_text, expected_text
from policy_service.cli.shared.screen import Screen

MAX_SHOWN: Final = 20
MAX_EXPLAINED: Final = 3
"""Failing cases of one test: those after the third mostly fail for the same cause."""


def show_tested(screen: Screen, tested: Tested, *, verbose: bool) -> None:
    """Diagnostics, files, failures, and one line that says it all.

    Args:
        verbose: name every test, so that the suite reads as what the policy promises.
    """
    for diagnostic in tested.suite.diagnostics:
        screen.diagnostic(located(diagnostic, tested.suite.folder))
    for file, group in groupby(tested.results, key=lambda result: result.test.place.file):
        _show_file(screen, (tested.suite.folder / file).as_posix(), list(group), verbose)
    for result in tested.results:
        for line, style in failure_lines(result, tested.suite.folder):
            screen.line(line, style)
    if tested.coverage is not None:
        show_coverage(screen, tested.coverage, tested.suite.folder, verbose=verbose)
        if tested.suggestions is not None:
            show_suggestions(screen, tested.suggestions, tested.suite.folder)
        if tested.written is not None:
            show_written(screen, tested)
        if not tested.is_covered:
            screen.line(f"that is under {tested.fail_under:g} %", "red")
    screen.line(summary(tested), "green" if tested.is_good else "red")


def show_written(screen: Screen, tested: Tested) -> None:
    """What was added, and what is covered now."""
    written = tested.written
    assert written is not None
    file = (tested.suite.folder / written.file).as_posix()
    if written.tests:
        screen.note(
            f"{count(written.tests, 'test')} written to {file}; read what they expect, it is what is decided today"
        )
    is_whole = written.coverage.reached() == written.coverage.goals()
    screen.line(f"now {coverage_summary(written.coverage)}", "green" if is_whole else "yellow")


def _show_file(screen: Screen, file: str, results: list[SuiteTestResult], verbose: bool) -> None:
    failed = sum(not result.is_good for result in results)
    cases = sum(len(result.results) for result in results)
    mark, style = ("✗", "red") if failed else ("✓", "green")
    told = f", {failed} not as expected" if failed else ""
    screen.parts(
        (f"{mark} ", style), (f"{file}  ", ""), (f"{count(len(results), 'test')}, {count(cases, 'case')}{told}", "dim")
    )
    for result in results if verbose else ():
        mark, style = ("✓", "green") if result.is_good else ("✗", "red")
        screen.parts((f"  {mark} ", style), (result.test.name, ""), (f"  {len(result.results)}", "dim"))


def failure_lines(result: SuiteTestResult, folder: Path) -> Iterator[Line]:
    """Of one test, the cases that came out otherwise: the place, what was expected, what was decided and why."""
    failures = result.failures()
    if not failures:
        return
    yield "", ""
    yield result.test.name, "bold"
    for number, one in enumerate(failures[:MAX_SHOWN]):
        yield from _case_lines(one, folder, is_explained=number < MAX_EXPLAINED)
    if len(failures) > MAX_SHOWN:
        yield f"  and {len(failures) - MAX_SHOWN} more cases of this test", "dim"
    yield "", ""


def _case_lines(result: CaseResult, folder: Path, *, is_explained: bool) -> Iterator[Line]:
    case = result.case
    place = f"{(folder / case.place.file).as_posix()}:{case.place.line}:{case.place.column}"
    yield f"  {place}: {case.label}", ""
    yield f"    expected  {expected_text(case.expected)}", "green"
    yield f"    decided   {decided_text(result.decision)}", "red"
    if result.explanation is not None and is_explained:
        yield from ((f"      {line}", style) for line, style in trace_lines(result.explanation))


def summary(tested: Tested) -> str:
    """`policies: 27 tests, 126 cases, all as expected in 0.02 s`."""
    folder = tested.suite.folder
    if tested.suite.policy is None:
        errors = sum(one.severity == "error" for one in tested.suite.diagnostics)
        return f"{folder}: {count(errors, 'error')}, nothing was tested"
    failed = tested.failures()
    told = "all as expected" if not failed else f"{failed} not as expected"
    tests, cases = count(len(tested.results), "test"), count(tested.cases, "case")
    return f"{folder}: {tests}, {cases}, {told} in {tested.elapsed_s:.2f} s"
