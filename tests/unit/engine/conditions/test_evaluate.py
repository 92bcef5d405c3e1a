"""What the interpreter says of a fault: why, and where in the text."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.model.values import ABSENT, WRONG
from tests.property.cel_agreement import compiled

VALUES: dict[str, Any] = {
    "resource.attr.s": ABSENT,
    "resource.attr.n": WRONG,
    "resource.attr.ns": (1, 2),
    "key.id": "k",
    "key.labels": {"level": "high"},
    "key.scopes": ("a",) * 10_001,
}


@pytest.mark.parametrize(
    ("text", "blamed", "message"),
    [
        ('"é" == resource.attr.s', "resource.attr.s", "`resource.attr.s` is absent"),
        ("true && resource.attr.n == 1", "resource.attr.n", "`resource.attr.n` is not of type int"),
        ("resource.attr.ns[2] == 1", "[2]", "there is no item 2 in a list of 2"),
        ("resource.attr.ns[-1] == 1", "[-1]", "there is no item -1 in a list of 2"),
        ('key.labels["none"] == ""', "[", "there is no entry `none`"),
        ('key.labels.none == ""', ".none", "there is no entry `none`"),
        ("1 / (resource.attr.ns[0] - 1) == 1", "/", "division by zero"),
        ("resource.attr.ns[0] % 0 == 1", "% 0", "division by zero"),
        ("9223372036854775807 + resource.attr.ns[0] == 1", "+", "the result is out of range"),
        ("(-9223372036854775808) / (resource.attr.ns[0] - 2) == 1", "/", "the result is out of range"),
        ("int(key.labels.level) > 3", "(key", "`high` is not a whole number of 64 bits"),
        ("bool(key.labels.level)", "(key", "`high` is not a spelling of true or false"),
        ("key.scopes.all(e, true) || true", ".all", "the macros need more than 10000 steps"),
        ("[1, 0].all(e, 1 / e == 1)", "/", "division by zero"),
        ('[0].map(e, 1 / e) == [1] && key.id == "k"', "/", "division by zero"),
    ],
)
def test_a_fault_tells_why_and_where(text: str, blamed: str, message: str) -> None:
    """Offsets are code points into the author's text."""
    places = {".all": "(", "(key": "("}
    outcome = evaluate(compiled(text), VALUES.__getitem__)
    assert isinstance(outcome, Fault)
    assert outcome.message == message
    assert text[outcome.offset :].startswith((blamed, places.get(blamed, blamed)))


def test_the_first_fault_is_told() -> None:
    """Of two, the one that stands first."""
    outcome = evaluate(compiled("resource.attr.n == 1 && resource.attr.s == 'a'"), VALUES.__getitem__)
    assert outcome == Fault("`resource.attr.n` is not of type int", 0)


def test_only_what_is_needed_is_read() -> None:
    """A decided `&&` asks for nothing more."""
    asked: list[str] = []

    def read(path: str) -> object:
        asked.append(path)
        return VALUES[path]

    assert evaluate(compiled('key.id == "x" && resource.attr.s == "a"'), read) is False
    assert asked == ["key.id"]
