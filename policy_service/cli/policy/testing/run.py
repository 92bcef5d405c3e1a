"""`policy test`: the tests of a folder of rule files, run by the real engine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from policy_service.analysis.coverage import cover
from policy_service.analysis.run_suite import run_suite
from policy_service.cli.policy.folder import chosen_folder
from policy_service.cli.policy.options import PolicyFolder
from policy_service.cli.policy.solver import require_solver
from policy_service.cli.policy.testing.coverage_html import coverage_page
from policy_service.cli.policy.testing.junit import junit
from policy_service.cli.policy.testing.suggest import DEFAULT_TIMEOUT_S, Wanted, with_suggestions, without_impossible
from policy_service.cli.policy.testing.tested import Tested, tested_document
from policy_service.cli.policy.testing.tested_screen import show_tested
from policy_service.cli.policy.watch import watch_folder
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import Group, spread
from policy_service.cli.shared.options import AsJson
from policy_service.cli.shared.output import write_file
from policy_service.cli.shared.screen import Screen
from policy_service.engine.link import compile_policy
from policy_service.language.suite.suite import SuiteTest
from policy_service.model.errors import UsageError
from policy_service.service.policies.policy_suite import FolderSuite, read_suite

Watch = Annotated[bool, typer.Option("--watch", help="Run again at every save, until Ctrl-C.")]
Keyword = Annotated[str | None, typer.Option("-k", metavar="TEXT", help="Only tests whose file or name holds this.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Name every test.")]
JunitFile = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML there as well.")]
WithCoverage = Annotated[bool, typer.Option("--coverage", help="Show what no case has seen of rules and conditions.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="DIR", help="Write the coverage over the rule files.")]
FailUnder = Annotated[
    float | None,
    typer.Option("--fail-under", min=0, max=100, metavar="PERCENT", help="Exit code 1 if less is covered."),
]
Suggest = Annotated[
    bool, typer.Option("--suggest", help="For each gap of coverage the smallest test that closes it, or why none does.")
]
Write = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Add the suggested tests to this file of DIR/tests.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.01, metavar="SECONDS", help="Give up suggestions not found by then.")
]


class Covering(Group, frozen=True):
    """What is to be shown of coverage."""

    coverage: WithCoverage = False
    html: Html = None
    fail_under: FailUnder = None

    @property
    def is_wanted(self) -> bool:
        """Whether anything is."""
        return self.coverage or self.html is not None or self.fail_under is not None


class Suggesting(Group, frozen=True):
    """What is to be suggested for the gaps, and where it is to be written."""

    suggest: Suggest = False
    write: Write = None
    timeout: Timeout = DEFAULT_TIMEOUT_S

    def wanted(self) -> Wanted | None:
        """None for nothing."""
        return Wanted(self.write, self.timeout) if self.suggest or self.write is not None else None


@spread
def run_tests(
    context: typer.Context,
    *,
    folder: PolicyFolder = None,
    keyword: Keyword = None,
    verbose: Verbose = False,
    watch: Watch = False,
    junit_file: JunitFile = None,
    covering: Covering,
    suggesting: Suggesting,
    as_json: AsJson = False,
) -> int:
    """Decide the cases of DIR/tests/*.yaml, and compare.

    Exit code 0: every case came to what its file expects, 1: some did not, files have mistakes, too little is covered,
    or a suggestion is undecided.
    """
    session: Session = context.obj
    path, wanted = chosen_folder(folder), suggesting.wanted()
    if wanted is not None:
        require_solver()
    _refuse_both(suggesting.write, watch=watch, keyword=keyword)

    def once() -> Tested:
        tested = _tested(session.screen, path, keyword, covering, wanted)
        if wanted is None and not watch:
            # At every save a proof would take too long.
            tested = without_impossible(session.screen, tested, DEFAULT_TIMEOUT_S)
        _write_files(tested, junit_file, covering.html)
        _show(session, tested, as_json=as_json, verbose=verbose, on_one_line=watch)
        return tested

    if watch:
        watch_folder(path, once, session.screen, time.sleep)
        return 0
    return 0 if once().is_good else 1


def _tested(screen: Screen, path: Path, keyword: str | None, covering: Covering, wanted: Wanted | None) -> Tested:
    """The tests run once; with suggestions for the gaps, where they are wanted."""
    tested = run_folder(
        path,
        keyword,
        with_coverage=covering.is_wanted or wanted is not None,
        fail_under=covering.fail_under or 0.0,
        may_be_empty=wanted is not None,
    )
    if wanted is None or tested.suite.policy is None:
        return tested
    return with_suggestions(screen, tested, compile_policy(tested.suite.policy), wanted)


def _write_files(tested: Tested, junit_file: Path | None, html: Path | None) -> None:
    if junit_file is not None:
        write_file(junit_file, junit(tested))
    if html is not None and tested.coverage is not None:
        write_file(html / "index.html", coverage_page(tested.coverage, tested.suite.files))


def _refuse_both(write: Path | None, *, watch: bool, keyword: str | None) -> None:
    """Writing at every save would begin again with what was written; of a part of the tests it would repeat others."""
    if write is not None and (watch or keyword):
        raise UsageError("usage", f"`--write` does not go with `{'--watch' if watch else '-k'}`; leave one of them out")


def run_folder(
    path: Path,
    keyword: str | None = None,
    *,
    with_coverage: bool = False,
    fail_under: float = 0.0,
    may_be_empty: bool = False,
) -> Tested:
    """Read and run. Raises UsageError where there is nothing to run."""
    begun = time.perf_counter()
    suite = read_suite(path, may_be_empty=may_be_empty)
    if suite.policy is None:
        return Tested(suite, (), time.perf_counter() - begun)
    tests, program = _selected(suite, keyword), compile_policy(suite.policy)
    results = tuple(run_suite(tests, program))
    covered = cover(tests, program) if with_coverage else None
    return Tested(suite, results, time.perf_counter() - begun, covered, fail_under)


def _selected(suite: FolderSuite, keyword: str | None) -> list[SuiteTest]:
    wanted = (keyword or "").casefold()
    selected = [test for test in suite.tests if wanted in test.id.casefold()]
    if keyword and not selected:
        raise UsageError("no_tests", f"no test's file or name holds `{keyword}`")
    return selected


def _show(session: Session, tested: Tested, *, as_json: bool, verbose: bool, on_one_line: bool) -> None:
    if as_json and on_one_line:
        session.screen.line(json.dumps(tested_document(tested)))
    elif as_json:
        session.screen.json(tested_document(tested))
    else:
        show_tested(session.screen, tested, verbose=verbose)
