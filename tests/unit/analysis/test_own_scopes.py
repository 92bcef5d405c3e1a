"""Scopes of this service's own in other hands."""

from __future__ import annotations

from policy_service.analysis.differ import compare
from policy_service.analysis.own_scopes import OwnScopeChange
from policy_service.analysis.solving import Budget
from policy_service.language.load import load_policy
from tests.unit.analysis.policies import ROLES, SCOPES, files

OWN = SCOPES.removesuffix("}") + ", log:read: {on: []}, log:all: {on: [], implies: [log:read]}}"


def changed(old: str, new: str, scopes: str = OWN) -> tuple[str, tuple[OwnScopeChange, ...]]:
    """Two sets of roles compared: the verdict, and what has changed hands."""
    before, after = (load_policy(files(scopes=one[0], roles=one[1])) for one in ((OWN, old), (scopes, new)))
    found = compare(before, after, Budget(20))
    return found.verdict, found.own_scopes


def test_a_role_gains_and_loses_what_it_carries() -> None:
    """With all that the scope implies; no request on any resource would show it."""
    gaining = ROLES.replace("[pipelines:read]", "[pipelines:read, log:all]")
    roles = ("operator", "viewer")
    for direction, old, new in (("looser", ROLES, gaining), ("stricter", gaining, ROLES)):
        verdict, own = changed(old, new)
        assert verdict == direction
        assert [(one.direction, one.scope, one.roles, one.scopes) for one in own] == [
            (direction, "log:all", roles, ()),
            (direction, "log:read", roles, ()),
        ]


def test_a_scope_implies_more() -> None:
    """Then keys that carry it may more."""
    verdict, own = changed(ROLES, ROLES, OWN.replace("log:all: {on: [], implies: [log:read]}", "log:all: {on: []}"))
    assert verdict == "stricter"
    assert own == (OwnScopeChange("stricter", "log:read", (), ("log:all",)),)


def test_what_stays_is_no_change() -> None:
    """Other words for the same roles."""
    assert changed(ROLES, ROLES.replace("inherits: [viewer], ", "inherits: [viewer], description: x, ")) == (
        "equivalent",
        (),
    )
