"""`policy test --suggest` and `--write`: what would close the gaps of a suite, and closing them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from policy_service.analysis.coverage import Coverage, cover
from policy_service.analysis.gaps import Suggestions, excuse, gaps
from policy_service.cli.policy.solver import has_solver
from policy_service.cli.policy.testing.tested import Tested, Written
from policy_service.cli.shared.screen import Screen
from policy_service.engine.link import compile_policy
from policy_service.engine.program import Program
from policy_service.language.suite.load import surroundings
from policy_service.service.policies.policy_suite import FolderSuite, add_tests, read_suite, test_file_named

DEFAULT_TIMEOUT_S: Final = 60.0
_FILE: Final = Path("gaps.yaml")
"""Where suggested tests are taken to stand, so where their facts come from, if nobody says."""


class Wanted(msgspec.Struct, frozen=True):
    """What was asked for beside a run. `write`: the file to add new tests to."""

    write: Path | None
    timeout_s: float


def with_suggestions(screen: Screen, tested: Tested, program: Program, wanted: Wanted) -> Tested:
    """The same with what can be said of its gaps; with `write`, after the new tests were added."""
    assert tested.coverage is not None
    file = test_file_named(tested.suite.folder, wanted.write or _FILE)
    found = _suggestions(screen, tested, program, file, wanted.timeout_s)
    excuse(tested.coverage, (gap for gap, _ in found.impossible))
    written = None if wanted.write is None else _write(tested.suite, file, found)
    return msgspec.structs.replace(tested, suggestions=found, written=written)


def without_impossible(screen: Screen, tested: Tested, timeout_s: float) -> Tested:
    """The same, where too little is covered: what is proved impossible does not count.

    Without the solver everything counts.
    """
    if tested.is_covered or tested.coverage is None or tested.suite.policy is None or not has_solver():
        return tested
    file = test_file_named(tested.suite.folder, _FILE)
    found = _suggestions(screen, tested, compile_policy(tested.suite.policy), file, timeout_s)
    excuse(tested.coverage, (gap for gap, _ in found.impossible))
    return tested


def _suggestions(screen: Screen, tested: Tested, program: Program, file: str, timeout_s: float) -> Suggestions:
    # The solver takes a while to import, and nothing else needs it.
    from policy_service.analysis.new_tests import Bench  # noqa: PLC0415
    from policy_service.analysis.solving import Budget  # noqa: PLC0415
    from policy_service.analysis.suggest import suggest  # noqa: PLC0415

    assert tested.coverage is not None
    missing = gaps(tested.coverage)
    outer = surroundings(tested.suite.files, file, program.policy)
    taken = [test.name for test in tested.suite.tests if test.place.file == file]
    bench = Bench(program, file, outer, taken, missing)
    with screen.progress("closing gaps", len(missing)) as advance:
        return suggest(program.policy, missing, bench, Budget(timeout_s), advance)


def _write(suite: FolderSuite, file: str, found: Suggestions) -> Written:
    """Add the tests, and look again at what there is now."""
    if found.tests:
        add_tests(suite, file, [test.text for test in found.tests])
    coverage = _covered(suite.folder)
    excuse(coverage, (gap for gap, _ in found.impossible))
    return Written(file, len(found.tests), coverage)


def _covered(folder: Path) -> Coverage:
    suite = read_suite(folder)
    assert suite.policy is not None
    return cover(suite.tests, compile_policy(suite.policy))
