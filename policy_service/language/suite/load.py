"""Test files → tests. Every mistake of every file at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from policy_service.language.places import Place, Source
from policy_service.language.policy import Policy
from policy_service.language.report import Report, quoted
from policy_service.language.suite.cases import Scope, read_test
from policy_service.language.suite.facts import read_facts
from policy_service.language.suite.layers import Layer
from policy_service.language.suite.suite import LoadedSuite, SuiteTest
from policy_service.language.suite.values import read_instant
from policy_service.language.suite.vocabulary import Vocabulary
from policy_service.language.yaml_reader import read_yaml

FOLDER: Final = "tests/"
SHARED: Final = "tests/facts.yaml"
FILE_FIELDS: Final = ("now", "facts", "tests")
SHARED_FIELDS: Final = FILE_FIELDS[:2]
MAX_CASES: Final = 100_000
"""Of one file."""


def load_suite(files: Mapping[str, str], policy: Policy) -> LoadedSuite:
    """Read the test files among a set of rule files. Never raises on what they hold.

    Args:
        files: relative POSIX path → text, as for `load`; what is not in `tests/` is passed over.
        policy: what the rule files mean: tests may name nothing else.
    """
    report = Report()
    outer = Scope(None, Layer(), Vocabulary.of(policy))
    if SHARED in files:
        outer = _shared(SHARED, files[SHARED], outer, report)
    tests: list[SuiteTest] = []
    for file in sorted(files):
        if file.startswith(FOLDER) and file != SHARED:
            tests += _tests(file, files[file], outer, report)
    return LoadedSuite(tuple(tests), report.sorted())


def surroundings(files: Mapping[str, str], file: str, policy: Policy) -> Scope:
    """What a new test in a file would see: its instant and facts over those of the shared file.

    Args:
        files: without mistakes, as `load_suite` found; the one at hand need not be among them yet.
    """
    report = Report()
    outer = Scope(None, Layer(), Vocabulary.of(policy))
    if SHARED in files:
        outer = _shared(SHARED, files[SHARED], outer, report)
    root = _root(file, files[file], report) if file in files else None
    fields = root.fields("a test file", FILE_FIELDS, ("tests",)) if root else None
    return _inner(fields or {}, outer)


def read_entry(entry: str, file: str, outer: Scope) -> LoadedSuite:
    """An entry of `tests:`, indented by two, as it would be read in a file with these surroundings."""
    report = Report()
    root = _root(file, f"tests:\n{entry}", report)
    fields = root.fields("a test file", FILE_FIELDS, ("tests",)) if root else None
    items = fields["tests"].items("a list of tests") or [] if fields else []
    return LoadedSuite(tuple(test for item in items if (test := read_test(item, outer))), report.sorted())


def has_tests(files: Mapping[str, str]) -> bool:
    """Whether there is a test file among rule files."""
    return any(file.startswith(FOLDER) and file != SHARED for file in files)


def _root(file: str, text: str, report: Report) -> Place | None:
    bare = text.removeprefix("\ufeff")
    node = read_yaml(file, bare, report)
    return None if node is None else Place(Source(file, bare, report), node, "$")


def _shared(file: str, text: str, outer: Scope, report: Report) -> Scope:
    root = _root(file, text, report)
    fields = root.fields("tests/facts.yaml", SHARED_FIELDS) if root else None
    return _inner(fields or {}, outer)


def _inner(fields: dict[str, Place], outer: Scope) -> Scope:
    # After a mistake any instant will do: nothing is run then.
    now = read_instant(fields["now"]) or 0 if "now" in fields else outer.now
    return Scope(now, read_facts(fields.get("facts"), outer.layer, outer.policy), outer.policy)


def _tests(file: str, text: str, outer: Scope, report: Report) -> Iterator[SuiteTest]:
    root = _root(file, text, report)
    fields = root.fields("a test file", FILE_FIELDS, ("tests",)) if root else None
    if not fields:
        return
    inner = _inner(fields, outer)
    seen: dict[str, int] = {}
    cases = 0
    for item in (fields["tests"].items("a list of tests") or []) if "tests" in fields else []:
        test = read_test(item, inner)
        if test is None:
            continue
        _refuse_twice(item, test, seen)
        cases += len(test.cases)
        if cases > MAX_CASES:
            item.error("too-many", f"the file has more than {MAX_CASES} cases; split it")
            return
        yield test


def _refuse_twice(item: Place, test: SuiteTest, seen: dict[str, int]) -> None:
    line = seen.setdefault(test.name, test.place.line)
    if line != test.place.line:
        message = f"a test called {quoted(test.name)} stands in line {line} already; choose another name"
        item.error("duplicate-test-name", message)
