"""Patterns as Z3 reads them match what RE2 matches."""

from __future__ import annotations

import pytest
import re2
import z3
from hypothesis import assume, given
from hypothesis import strategies as st

from policy_service.analysis.encode.patterns import occurs
from policy_service.analysis.encode.terms import Unsupported, text_value
from policy_service.engine.conditions.patterns import searcher

CHARACTERS = ("a", "b", "-", "]", "0", "7", "_", " ", "\n", "\\", "é", "日", "Z", "\U0001f600")
ATOMS = (
    "a", "b", "é", ".", r"\d", r"\W", r"\s", r"\n", r"\\", r"\-", r"\x41", r"\x{1F600}", "[ab]", "[^a]", "[a-z0-9]",
    "[]a]", "[^]]", "[a-]", "[-b]", r"[\w-]", "[[:alpha:]_]", r"[^\d\s]", "(a|b)", "(?:a|)", "(?P<n>ab)", "(?:)", "{",
    "a{,2}",
)  # fmt: skip
REPEATS = ("", "", "", "*", "+", "?", "{2}", "{1,2}", "{0}", "{2,}", "*?", "+?", "??")


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """Branches of repeated atoms, anchored or not."""
    branches = []
    for _ in range(draw(st.integers(1, 3))):
        parts = draw(st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(REPEATS)), max_size=4))
        body = "".join(map("".join, parts))
        branches.append(draw(st.sampled_from(("", "^", r"\A"))) + body + draw(st.sampled_from(("", "$", r"\z"))))
    return "|".join(branches)


@given(patterns(), st.lists(st.text(st.sampled_from(CHARACTERS), max_size=6), min_size=1, max_size=8))
def test_z3_finds_what_re2_finds(pattern: str, texts: list[str]) -> None:
    """Or says that it has no formula."""
    try:
        search = searcher(pattern)
    except re2.error:
        assume(False)
    try:
        formula = occurs(pattern, z3.String("text"))
    except Unsupported:
        assume(False)
    for text in texts:
        found = z3.simplify(z3.substitute(formula, (z3.String("text"), text_value(text))))
        assert z3.is_true(found) == search(text), (pattern, text)
        assert z3.is_true(found) != z3.is_false(found)


@pytest.mark.parametrize("pattern", ["[^a]", ".", r"[a-\x{10FFFF}]", r"\D", "[^[:alpha:]]"])
def test_characters_that_z3_has_not_are_stood_for(pattern: str) -> None:
    """What holds of a character beyond U+2FFFF holds of those that stand for them."""
    for standing in (0x2F000, 0x2F123, 0x2FFFF):
        found = z3.simplify(occurs(f"^{pattern}$", z3.StringVal(chr(standing))))
        assert z3.is_true(found) == searcher(f"^{pattern}$")(chr(0x10FFFE)) == searcher(f"^{pattern}$")(chr(0x30000))
