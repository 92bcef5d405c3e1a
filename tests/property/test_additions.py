"""Theorems about tests that are added to a file: the rest of it stays as it was, in its author's layout."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy_service.language.load import load_policy
from policy_service.language.suite.additions import with_entries
from policy_service.language.suite.load import load_suite
from tests.unit.language.folders import shipped

FILE = "tests/mine.yaml"
FILES = shipped()
POLICY = load_policy(FILES)
ASKED = "keys: ci-key, scopes: pipelines:run, resources: pipeline:reports, expect: []"
COMMENTS = st.sampled_from(["", "# as a comment says\n", "\n", "# two\n\n# three\n"])


@st.composite
def written_files(draw: st.DrawFn) -> tuple[str, int]:
    """A test file in some layout, and how many tests are in it."""
    count, indent = draw(st.integers(0, 3)), " " * draw(st.sampled_from([0, 2, 6]))
    tests = [f"{indent}- {{ name: old {at}, {ASKED} }}\n{draw(COMMENTS)}" for at in range(count)]
    first, last = ('now: "2027-01-15T08:00:00Z"\n', ""), ("", 'now: "2027-01-15T08:00:00Z"\n')
    above, below = draw(st.sampled_from([("", ""), first, last]))
    listed = "".join(tests) if count else "  []\n"
    text = f"{draw(COMMENTS)}{above}tests:\n{listed}{draw(COMMENTS)}{below}"
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return draw(st.sampled_from(["", "\ufeff"])) + text, count


def names_in(text: str) -> list[str] | None:
    """Of the tests in this file; None where it has mistakes."""
    suite = load_suite({**FILES, FILE: text}, POLICY)
    return None if suite.has_errors() else [test.name for test in suite.tests if test.place.file == FILE]


@given(written_files(), st.integers(1, 3))
def test_tests_that_are_added_come_last_and_every_other_line_stays(drawn: tuple[str, int], more: int) -> None:
    """Or the file is left alone; it is not where it ends with its tests, one a line."""
    text, count = drawn
    entries = [f"  - name: new {at}\n    {ASKED.replace(', ', chr(10) + '    ')}\n" for at in range(more)]
    before = names_in(text)
    written = with_entries({**FILES, FILE: text}, FILE, entries, POLICY)
    if count == 0 or before is None:
        assert written is None
        return
    assert written is not None
    assert names_in(written) == [*before, *(f"new {at}" for at in range(more))]
    kept, lines = iter(written.splitlines()), text.splitlines()
    assert all(line in kept for line in lines), "each line is there, in the same order"
    assert ("\r\n" in text) == ("\r\n" in written) or "\n" not in text
