"""Registered resources: their type, owner and attributes."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.model.errors import StoreError
from policy_service.model.facts import Resource, RoleBinding
from tests.unit.service.house import OPERATOR, TENANT, House
from tests.unit.service.refusals import refused


def test_put_creates_replaces_and_changes_nothing(house: House) -> None:
    """PUT replaces owner and attributes whole."""
    first = house.admin.put_resource(TENANT, "acme", "pipeline", "etl/a:b", owner="ada", attributes={"env": "prod"})
    second = house.admin.put_resource(TENANT, "acme", "pipeline", "etl/a:b", attributes={"n": [1, 2.5, None, True]})
    third = house.admin.put_resource(TENANT, "acme", "pipeline", "etl/a:b", attributes={"n": [1, 2.5, None, True]})
    assert first.created
    assert second.fact == Resource(
        workspace="acme", type="pipeline", id="etl/a:b", attributes={"n": [1, 2.5, None, True]}
    )
    assert third.change is None
    assert house.admin.get_resource(TENANT, "acme", "pipeline", "etl/a:b").fact == second.fact


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0, False), (0.0, -0.0)])
def test_values_that_python_takes_for_equal_are_a_change(house: House, before: Any, after: Any) -> None:
    """Conditions tell an integer, a double and a bool apart."""
    house.admin.put_resource(TENANT, "acme", "pipeline", "etl", attributes={"n": [before]})
    written = house.admin.put_resource(TENANT, "acme", "pipeline", "etl", attributes={"n": [after]})
    assert written.change is not None
    stored = house.admin.get_resource(TENANT, "acme", "pipeline", "etl").fact.attributes
    assert repr(stored) == repr({"n": [after]})


def test_a_type_of_a_scope_alone_is_declared(house: House) -> None:
    """`organization` has no file of its own but a scope is on it."""
    assert house.admin.put_resource(TENANT, "acme", "organization", "acme").created


def test_an_undeclared_type_is_refused_with_the_near_match(house: House) -> None:
    """The active policy says which types there are."""
    with refused(house, "unknown_type"):
        house.admin.put_resource(TENANT, "acme", "pipelin", "etl")
    with pytest.raises(Exception, match="did you mean `pipeline`"):
        house.admin.put_resource(TENANT, "acme", "pipelin", "etl")


def test_without_an_active_policy_nothing_can_be_registered(bare: House) -> None:
    """That is ours to mend, so 503."""
    bare.admin.create_workspace(OPERATOR, "acme")
    with pytest.raises(StoreError) as raised:
        bare.admin.put_resource(TENANT, "acme", "pipeline", "etl")
    assert raised.value.code == "no_policy"


def test_lists_are_by_type_and_id_and_can_be_narrowed(house: House) -> None:
    """All, or those of one type."""
    for kind, name in (("pipeline", "b"), ("organization", "acme"), ("pipeline", "a")):
        house.admin.put_resource(TENANT, "acme", kind, name)
    listed = house.admin.list_resources(TENANT, "acme").items
    assert [(r.type, r.id) for r in listed] == [("organization", "acme"), ("pipeline", "a"), ("pipeline", "b")]
    assert [r.id for r in house.admin.list_resources(TENANT, "acme", type="pipeline").items] == ["a", "b"]


def test_deleting_a_resource_takes_its_bindings(house: House) -> None:
    """Bindings on other resources and on the workspace stay."""
    house.admin.put_user(TENANT, "acme", "ada")
    for name in ("a", "b"):
        house.admin.put_resource(TENANT, "acme", "pipeline", name)
        house.admin.create_binding(TENANT, "acme", "viewer", user="ada", resource=("pipeline", name))
    house.admin.create_binding(TENANT, "acme", "viewer", user="ada")
    house.admin.delete_resource(TENANT, "acme", "pipeline", "a")
    assert {b.resource_id for b in house.store.read(lambda r: r.find(RoleBinding))} == {"b", None}
    with refused(house, "not_found", 404):
        house.admin.delete_resource(TENANT, "acme", "pipeline", "a")
    with refused(house, "not_found", 404):
        house.admin.get_resource(TENANT, "acme", "pipeline", "a")


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize(
    "attributes",
    [
        {"n": 1 << 63},
        {"n": -(1 << 63) - 1},
        {"n": float("nan")},
        {"n": float("inf")},
        {"s": "a\0b"},
        {"s": "\ud800"},
        {"bad\nname": 1},
        {"deep": _deep(8)},
        {"big": "x" * 16_385},
        {1: "number as a name"},
        {"s": {"set"}},
    ],
)
def test_attributes_out_of_bounds_are_refused(house: House, attributes: dict[Any, Any]) -> None:
    """Size, depth, numbers and texts are bounded."""
    with refused(house, "invalid_attributes"):
        house.admin.put_resource(TENANT, "acme", "pipeline", "etl", attributes=attributes)


def test_attributes_at_the_bounds_are_taken(house: House) -> None:
    """64-bit integers, seven lists in an object, any printable text."""
    attributes = {"max": (1 << 63) - 1, "min": -(1 << 63), "deep": _deep(7), "text": "ünï 🙂", "": {}}
    written = house.admin.put_resource(TENANT, "acme", "pipeline", "etl", attributes=attributes)
    assert written.fact is not None
    assert written.fact.attributes == attributes


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "name", "owner"),
    [("Pipeline", "etl", None), ("pipeline", "", None), ("pipeline", "a b", None), ("pipeline", "etl", "a/b")],
)
def test_names_of_another_form_are_refused(house: House, kind: str, name: str, owner: str | None) -> None:
    """Type, id and owner each have their form."""
    with refused(house, "invalid_id"):
        house.admin.put_resource(TENANT, "acme", kind, name, owner=owner)
