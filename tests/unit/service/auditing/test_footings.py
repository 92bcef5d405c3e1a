"""Footings: which change takes away what was derived, and which does not."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.engine.key_view import KeyView
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import Effect
from policy_service.model.facts import ENTITIES, ApiKey
from policy_service.service.auditing.footings import Footing, Footings
from tests.worlds import Programs

HERE = "acme"
PLACE = (HERE, "pipeline", "etl-1")


def key_of(principal: str) -> KeyView:
    """A key of this user."""
    fact = ApiKey(
        id=f"key-of-{principal}",
        workspace=HERE,
        principal_kind="user",
        principal_id=principal,
        scopes=(),
        slots=(),
        created_at=0,
    )
    return KeyView.of_fact(fact, Snapshot(Programs()).workspace(HERE))


class Ground:
    """Footings of ada's key, bob's key, a key that is not there, and a resource."""

    def __init__(self) -> None:
        self.footings = Footings()
        self.there = {name: Footing() for name in ("ada", "bob", "nobody")}
        for name, footing in self.there.items():
            key = None if name == "nobody" else key_of(name)
            self.footings.add_key(footing, f"key-of-{name}", f"credential of {name}".encode(), key)
        self.there["place"] = self.footings.of_place(PLACE)

    def fallen(self, entity: str, key: tuple[str, ...], *sides: dict[str, Any] | None) -> set[str]:
        before, after = sides or ({}, {})
        self.footings.upset([Effect(entity, key, before, after)])
        return {name for name, footing in self.there.items() if not footing.stands}


ON, OFF = {"enabled": True}, {"enabled": False}
ALL, KEYS = {"ada", "bob", "nobody", "place"}, {"ada", "bob"}


@pytest.mark.parametrize(
    ("entity", "key", "sides", "expected"),
    [
        ("api_key", ("key-of-ada",), (), {"ada"}),
        ("api_key", ("key-of-nobody",), (None, {}), {"nobody"}),
        ("api_key", ("another",), (), set()),
        ("resource", PLACE, (), {"place"}),
        ("resource", (HERE, "pipeline", "etl-2"), (), set()),
        ("user", (HERE, "ada"), (), {"ada"}),
        ("user", ("other", "ada"), (), set()),
        ("membership", (HERE, "crew", "bob"), (None, {}), {"bob"}),
        ("role_binding", (HERE, "b1"), ({"user": "ada"}, {"user": "bob"}), KEYS),
        ("role_binding", (HERE, "b1"), (None, {"user": "bob"}), {"bob"}),
        ("role_binding", (HERE, "b1"), ({"team": "crew"}, {"user": "bob"}), KEYS),
        ("role_binding", (HERE, "b1"), ({"user": None, "team": "crew"}, None), KEYS),
        ("team", (HERE, "crew"), (), KEYS),
        ("ip_allowlist", (HERE,), (OFF, ON), KEYS),
        ("ip_allowlist", (HERE,), (ON, OFF), KEYS),
        ("ip_allowlist", (HERE,), (None, ON), KEYS),
        ("ip_allowlist", (HERE,), (OFF, OFF), set()),
        ("ip_allowlist", ("other",), (OFF, ON), set()),
        ("workspace", (HERE,), (), KEYS),
        ("service_principal", (HERE, "ci"), (), KEYS),
        ("bundle", ("sha256:0",), (), set()),
        ("active_bundle", ("active",), (), set()),
        ("shadow_bundle", ("shadow",), (), set()),
        ("ledger_shard", ("s",), (), set()),
        ("an entity that is not known here", ("x",), (), ALL),
    ],
)
def test_a_change_takes_away_what_rests_on_it(
    entity: str, key: tuple[str, ...], sides: tuple[dict[str, Any] | None, ...], expected: set[str]
) -> None:
    assert Ground().fallen(entity, key, *sides) == expected


def test_every_entity_was_thought_of() -> None:
    """An unknown one takes everything away; known ones must not, or a replay crawls."""
    known = set(ENTITIES) - {"ip_allowlist", "role_binding"}  # their sides are looked at: above

    for entity in known:
        key = tuple("x" for _ in ENTITIES[entity].key_fields)
        assert Ground().fallen(entity, key) == set(), entity


def test_a_place_that_changed_gets_another_footing() -> None:
    ground = Ground()
    ground.fallen("resource", PLACE)

    assert ground.footings.of_place(PLACE).stands
    assert ground.footings.of_place(PLACE) is ground.footings.of_place(PLACE)
