"""New tests in a file that somebody wrote: everything else stays as it is."""

from __future__ import annotations

import pytest

from policy_service.language.load import load_policy
from policy_service.language.suite.additions import with_entries
from policy_service.language.suite.load import load_suite
from tests.unit.language.folders import shipped

FILE = "tests/mine.yaml"
ENTRY = "  - name: new\n    keys: ci-key\n    scopes: pipelines:run\n    resources: pipeline:orders\n    expect: []\n"
OLD = "- { name: old, keys: ci-key, scopes: pipelines:run, resources: pipeline:reports, expect: [] }"
POLICY = load_policy(shipped())


def added(text: str | None, *entries: str) -> str | None:
    """The file with new tests."""
    files = shipped() if text is None else {**shipped(), FILE: text}
    return with_entries(files, FILE, entries or (ENTRY,), POLICY)


def names(text: str) -> list[str]:
    """Of its tests, in order."""
    suite = load_suite({**shipped(), FILE: text}, POLICY)
    assert not suite.has_errors(), suite.diagnostics
    return [test.name for test in suite.tests if test.place.file == FILE]


def test_a_new_file_is_begun() -> None:
    """With the line that editors look for."""
    text = added(None, ENTRY, ENTRY.replace("new", "newer"))
    assert text is not None
    assert text.startswith("# yaml-language-server: $schema=../.schemas/tests.schema.json\ntests:\n  - name: new\n")
    assert names(text) == ["new", "newer"]


@pytest.mark.parametrize(
    "before",
    [
        f"# mine\ntests:\n  {OLD} # the first\n",
        f"tests:\n  {OLD}\n  # the last word\n",
        f"tests:\n  {OLD}",
        f"\ufefftests:\n  {OLD}\n",
        f"tests:\n{OLD}\n",
        f"tests:\n      {OLD}\n",
    ],
)
def test_tests_go_to_the_end_and_the_rest_stays(before: str) -> None:
    """Comments, marks, and the way the list is indented."""
    text = added(before)
    assert text is not None
    assert text.startswith(before)
    assert names(text) == ["old", "new"]


def test_lines_end_as_they_did() -> None:
    """A file of another system stays one."""
    text = added(f"tests:\r\n  {OLD}\r\n")
    assert text is not None
    assert text.count("\n") == text.count("\r\n") > 3
    assert names(text) == ["old", "new"]


def test_what_stands_below_the_tests_stays_below() -> None:
    """With the comment that is about it."""
    text = added(f'tests:\n  {OLD}\n\n# when it is\nnow: "2026-11-24T09:00:00Z"\n')
    assert text is not None
    assert text.index("name: new") < text.index("# when it is") < text.index("now:")
    assert names(text) == ["old", "new"]


@pytest.mark.parametrize("text", [f"tests: [{OLD[2:]}]\n", f"tests:\n  -\n{OLD.replace('- {', '   {')}\n"])
def test_an_unusual_layout_is_left_alone(text: str) -> None:
    """Rather nothing than a file that says something else."""
    assert names(text) == ["old"]
    assert added(text) is None


def test_a_name_that_is_taken_is_refused() -> None:
    """Two tests of one file have two names."""
    assert added(f"tests:\n  {OLD}\n", ENTRY.replace("new", "old")) is None
