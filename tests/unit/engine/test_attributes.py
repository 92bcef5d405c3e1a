"""Values against declared types; who is believed about an attribute."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.engine.attributes import AttributeReader, ContextReader, check_value, owner_of, source_point
from policy_service.engine.views import ResourceView
from policy_service.language.ir import BOOL, DOUBLE, INT, STRING, STRINGS, TIMESTAMP, Type
from policy_service.language.policy import Attribute
from policy_service.model.facts import Resource
from policy_service.model.values import ABSENT, WRONG

MISTAKES: list[tuple[Any, Type]] = [
    (None, STRING),
    (1, STRING),
    (["a"], STRING),
    (True, INT),
    (3.0, INT),
    ("3", INT),
    (1 << 63, INT),
    (-(1 << 63) - 1, INT),
    (1, BOOL),
    ("true", BOOL),
    (True, DOUBLE),
    ("1.5", DOUBLE),
    (10**400, DOUBLE),
    (None, DOUBLE),
    (1_700_000_000, TIMESTAMP),
    ("yesterday", TIMESTAMP),
    (None, TIMESTAMP),
    ("a", STRINGS),
    (None, STRINGS),
    (["a", 1], STRINGS),
    ([None], STRINGS),
    ([["a"], ["b", 2]], Type("list", STRINGS)),
    (["a"], Type("list")),
]


@pytest.mark.parametrize(("value", "declared"), MISTAKES)
def test_wrong_values(value: object, declared: Type) -> None:
    """A value that is not of the declared type is WRONG, never converted."""
    assert check_value(value, declared) is WRONG


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        ("", STRING, ""),
        (True, BOOL, True),
        ((1 << 63) - 1, INT, (1 << 63) - 1),
        (-(1 << 63), INT, -(1 << 63)),
        (2.5, DOUBLE, 2.5),
        (3, DOUBLE, 3.0),
        ("1970-01-01T00:00:01Z", TIMESTAMP, 1_000_000_000),
        ("1970-01-01T01:00:01+01:00", TIMESTAMP, 1_000_000_000),
        ([], STRINGS, ()),
        (["a", "b"], STRINGS, ("a", "b")),
        ([1, 2], Type("list", DOUBLE), (1.0, 2.0)),
        ([["a"], []], Type("list", STRINGS), (("a",), ())),
    ],
)
def test_right_values(value: object, declared: Type, expected: object) -> None:
    """A value of the declared type takes its run-time form: floats for double, nanoseconds for timestamp, tuples."""
    found = check_value(value, declared)
    assert found == expected
    assert type(found) is type(expected)


PLAIN = Attribute("plain", STRING)
DEFAULTED = Attribute("defaulted", STRING, has_default=True, default="dev")
STORED = Attribute("stored", STRING, from_store=True)
STORED_DEFAULTED = Attribute("stored_defaulted", STRING, has_default=True, default="dev", from_store=True)
ALL = (PLAIN, DEFAULTED, STORED, STORED_DEFAULTED)
NAMES = [attribute.name for attribute in ALL]


def view(**attributes: Any) -> ResourceView:
    return ResourceView(Resource(workspace="acme", type="pipeline", id="etl", attributes=attributes))


@pytest.mark.parametrize(
    ("stored", "claims", "expected"),
    [
        pytest.param(None, {}, (ABSENT, "dev", ABSENT, "dev"), id="unregistered, nothing claimed"),
        pytest.param(None, dict.fromkeys(NAMES, "c"), ("c", "c", ABSENT, "dev"), id="unregistered, claimed"),
        pytest.param(None, {"plain": None}, (WRONG, "dev", ABSENT, "dev"), id="unregistered, null claimed"),
        pytest.param({}, {}, (ABSENT, "dev", ABSENT, "dev"), id="registered, nothing known"),
        pytest.param({}, dict.fromkeys(NAMES, "c"), ("c", "c", ABSENT, "dev"), id="registered, claimed"),
        pytest.param(dict.fromkeys(NAMES, "s"), {}, ("s", "s", "s", "s"), id="registered, known"),
        pytest.param(
            dict.fromkeys(NAMES, "s"), dict.fromkeys(NAMES, "c"), ("s", "s", "s", "s"), id="known and claimed"
        ),
        pytest.param(dict.fromkeys(NAMES, None), dict.fromkeys(NAMES, "c"), (WRONG,) * 4, id="known as null"),
        pytest.param({"defaulted": 1}, {"defaulted": "c"}, (ABSENT, WRONG, ABSENT, "dev"), id="known, of wrong type"),
        pytest.param({"defaulted": "s"}, {"plain": "c"}, ("c", "s", ABSENT, "dev"), id="one known, one claimed"),
    ],
)
def test_who_is_believed(stored: dict[str, Any] | None, claims: dict[str, Any], expected: tuple[object, ...]) -> None:
    """The store is believed where it knows, else the caller unless `from: store`, else the default."""
    reader = AttributeReader(ALL)
    resource = None if stored is None else view(**stored)
    assert reader.read(resource, claims) == expected
    assert reader.read(resource, claims) == expected, "a second reading finds the same"


def test_claims_do_not_stay_with_the_resource() -> None:
    """What one caller claims is not seen by the next."""
    reader, resource = AttributeReader(ALL), view()
    assert reader.read(resource, {"plain": "mine"})[0] == "mine"
    assert reader.read(resource, {})[0] is ABSENT
    assert reader.read(resource, {"plain": "yours"})[0] == "yours"


def test_context() -> None:
    """Context is the caller's claim, else the default, else absent; undeclared claims are ignored."""
    reader = ContextReader((PLAIN, DEFAULTED))
    assert reader.read({}) == (ABSENT, "dev")
    assert reader.read({"plain": "c", "defaulted": 5, "more": 1}) == ("c", WRONG)


@pytest.mark.parametrize(
    ("resource", "claimed", "expected"),
    [
        (None, None, ABSENT),
        (None, "ann", "ann"),
        (view(), "ann", ABSENT),
        (ResourceView(Resource(workspace="acme", type="pipeline", id="etl", owner="bob")), "ann", "bob"),
    ],
)
def test_owner(resource: ResourceView | None, claimed: str | None, expected: object) -> None:
    """A registered resource's owner is the store's, even when absent."""
    assert owner_of(resource, claimed) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [(None, ABSENT), ("", WRONG), ("010.0.0.1", WRONG), ("0.0.0.7", 7), ("::ffff:0.0.0.7", 7)]
)
def test_source_point(text: str | None, expected: object) -> None:
    """An absent address is absent, an invalid one is present and wrong."""
    assert source_point(text) == expected
