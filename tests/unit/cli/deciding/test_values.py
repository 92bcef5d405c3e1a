"""Text from the command line becomes values of the types that the policy declares."""

from __future__ import annotations

import pytest

from policy_service.cli.deciding.values import parse_claims, parse_value
from policy_service.language.ir import BOOL, DOUBLE, INT, STRING, STRINGS, TIMESTAMP, Type
from policy_service.language.policy import Attribute
from policy_service.model.errors import UsageError


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("prod", STRING, "prod"),
        ("", STRING, ""),
        ("3", STRING, "3"),
        ("true", BOOL, True),
        ("false", BOOL, False),
        ("-7", INT, -7),
        ("9223372036854775807", INT, 9223372036854775807),
        ("3", DOUBLE, 3.0),
        ("2.5e3", DOUBLE, 2500.0),
        ("2026-11-24T06:00:00Z", TIMESTAMP, "2026-11-24T06:00:00Z"),
        ("a,b", STRINGS, ["a", "b"]),
        ("", STRINGS, []),
        ('["a,b", "c"]', STRINGS, ["a,b", "c"]),
        ("[1, 2]", Type("list", INT), [1, 2]),
        ("1,2", Type("list", INT), [1, 2]),
        ("[true]", Type("list", BOOL), [True]),
    ],
)
def test_text_is_read_as_its_declared_type(text: str, kind: Type, value: object) -> None:
    """The same text means different things for different types."""
    parsed = parse_value(text, kind, "--attr x")
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("yes", BOOL, "`true` or `false`"),
        ("True", BOOL, "`true` or `false`"),
        ("3.0", INT, "whole number"),
        ("1_000", INT, "whole number"),
        ("٣", INT, "whole number"),
        ("9223372036854775808", INT, "whole number"),
        ("9" * 5000, INT, "whole number"),
        ("many", DOUBLE, "a number"),
        ("tomorrow", TIMESTAMP, "an instant such as"),
        ("[1, 2", Type("list", INT), "JSON array"),
        ("1,x", Type("list", INT), "whole number"),
    ],
)
def test_text_of_another_type_is_a_usage_error(text: str, kind: Type, told: str) -> None:
    """The message says what was expected, in the author's words."""
    with pytest.raises(UsageError, match=told):
        parse_value(text, kind, f"--attr x={text[:20]}")


def test_an_undeclared_name_is_told_and_left_out() -> None:
    """The decision would ignore it; whoever tries a rule must know."""
    claims, notes = parse_claims(["evn=prod"], (Attribute("env", STRING),), "--attr")
    assert claims == {}
    assert notes == ["`--attr evn=…` is ignored: the policy does not declare `evn`; did you mean `env`?"]


def test_an_attribute_from_the_store_is_told() -> None:
    """A claim for it never counts."""
    _, notes = parse_claims(["env=prod"], (Attribute("env", STRING, from_store=True),), "--attr")
    assert notes == ["`--attr env=…` is ignored: the policy takes `env` from the store alone"]


@pytest.mark.parametrize("items", [["env"], ["=prod"], ["env=a", "env=b"]])
def test_a_claim_must_be_one_name_and_one_value(items: list[str]) -> None:
    """Nothing is guessed."""
    with pytest.raises(UsageError):
        parse_claims(items, (Attribute("env", STRING),), "--attr")


def test_a_value_may_hold_an_equals_sign() -> None:
    """Only the first one ends the name."""
    assert parse_claims(["env=a=b"], (Attribute("env", STRING),), "--attr") == ({"env": "a=b"}, [])
