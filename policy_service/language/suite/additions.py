"""New tests at the end of a test file, everything else in it left as it is: words, layout, comments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from policy_service.language.policy import Policy
from policy_service.language.report import Report
from policy_service.language.suite.load import load_suite
from policy_service.language.suite.suite import SuiteTest
from policy_service.language.yaml_nodes import Mapping as MappingNode
from policy_service.language.yaml_nodes import Node
from policy_service.language.yaml_nodes import Sequence as SequenceNode
from policy_service.language.yaml_reader import read_yaml

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../.schemas/tests.schema.json"
_INDENT: Final = 2
"""Of the entries that are added, as they come."""
_DASH: Final = re.compile(r"( *)- +")


def with_entries(files: Mapping[str, str], file: str, entries: Sequence[str], policy: Policy) -> str | None:
    """The text of a test file with more entries of `tests:` in it; None where its layout does not let them in.

    INVARIANT: its other tests are as before (test_additions).

    Args:
        files: rule files and tests without mistakes; `file` may be new.
        entries: each indented by two, with a line end.
    """
    text = _begun(entries) if file not in files else _added(file, files[file], entries)
    if text is None:
        return None
    before, after = (_tests(some, file, policy) for some in (files, {**files, file: text}))
    return text if before == after[: len(before)] and len(after) == len(before) + len(entries) else None


def _begun(entries: Sequence[str]) -> str:
    return f"{SCHEMA_LINE}\ntests:\n" + "\n".join(entries)


def _added(file: str, text: str, entries: Sequence[str]) -> str | None:
    bare = text.removeprefix("\ufeff")
    root = read_yaml(file, bare, Report())
    tests = _tests_of(root)
    if tests is None or not isinstance(root, MappingNode):
        return None
    # A mark says which line: whatever ends lines, they are as many.
    lines = bare.splitlines(keepends=True)
    dash = _DASH.match(lines[tests.items[-1].start.line])
    if dash is None or bare.startswith("[", tests.start.offset):
        return None
    at = _end(root, tests, lines)
    ending = "\r\n" if lines[0].endswith("\r\n") else "\n"
    kept = "".join(lines[:at])
    new = "\n".join(_indented(entry, len(dash.group(1))) for entry in entries).replace("\n", ending)
    gap = ending if kept.endswith("\n") else ending * 2
    more = "".join(lines[at:])
    mark = text[: len(text) - len(bare)]
    return f"{mark}{kept}{gap}{new}{more}"


def _tests_of(root: Node | None) -> SequenceNode | None:
    entries = root.entries if isinstance(root, MappingNode) else ()
    found = next((entry.value for entry in entries if entry.key.value == "tests"), None)
    return found if isinstance(found, SequenceNode) and found.items else None


def _end(root: MappingNode, tests: SequenceNode, lines: list[str]) -> int:
    """The line that new tests go before: the end of the file, or what stands above the next field."""
    later = [entry.key.start.line for entry in root.entries if entry.key.start.offset > tests.start.offset]
    at = min(later, default=len(lines))
    while later and (not lines[at - 1].strip() or lines[at - 1].startswith("#")):
        at -= 1
    return at


def _indented(entry: str, indent: int) -> str:
    return "".join(f"{' ' * indent}{line[_INDENT:]}" for line in entry.splitlines(keepends=True))


def _tests(files: Mapping[str, str], file: str, policy: Policy) -> list[object]:
    """What the tests of a file say, wherever they stand in it; nothing of a file with mistakes."""
    if file not in files:
        return []
    suite = load_suite(files, policy)
    return [] if suite.has_errors() else [_said(test) for test in suite.tests if test.place.file == file]


def _said(test: SuiteTest) -> object:
    return test.name, test.now, test.facts, [(case.label, case.request, case.expected) for case in test.cases]
