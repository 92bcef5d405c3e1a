"""Administration end to end on SQLite and PostgreSQL alike: the same story, the same facts, the same lists."""

from __future__ import annotations

import threading

import pytest

from policy_service.model.errors import RequestError
from policy_service.model.facts import AllowlistEntry, Membership, RoleBinding
from policy_service.service.administration import NewKey
from policy_service.service.policies.policy_folder import read_folder, shipped_folder
from policy_service.store import Store
from tests.unit.service.house import OPERATOR, House, ask

AWKWARD = ("Zoe", "ada", "a.b", "a-b", "a_b", "a@b", "A", "Z", "aB", "ab", "0")
"""Ids that collations of other languages would sort in other ways."""


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _facts(house: House) -> list[str]:
    return sorted(map(repr, house.store.facts()))


def _folded(house: House) -> list[str]:
    house.replica.catch_up()
    return sorted(map(repr, house.replica.view().facts()))


def test_a_demonstration_is_made_used_and_taken_apart(house: House) -> None:
    """Setup, decisions, every kind of deletion; after each step the snapshot is the tables."""
    made = house.setup.initialize(OPERATOR, read_folder(shipped_folder()), demo=True)
    assert _folded(house) == _facts(house)
    question = ask(made.user_key, resource="pipeline:etl-sandbox", workspace="demo")
    assert house.decisions.decide(OPERATOR, question).value().decision.allowed
    admin = house.admin
    admin.put_allowlist(OPERATOR, "demo", enabled=True, entries=[AllowlistEntry(cidr="203.0.113.0/24", label="ü")])
    admin.create_binding(OPERATOR, "demo", "viewer", user="ada", resource=("pipeline", "etl-nightly"))
    admin.put_resource(OPERATOR, "demo", "pipeline", "p/1:2", attributes={"n": [1, 1.0, True, None, "🙂"]})
    assert _folded(house) == _facts(house)
    assert house.decisions.decide(OPERATOR, question).value().decision.reason == "invalid_source_ip"
    admin.delete_team(OPERATOR, "demo", "data")
    admin.delete_resource(OPERATOR, "demo", "pipeline", "etl-nightly")
    admin.delete_user(OPERATOR, "demo", "ada")
    admin.delete_service_principal(OPERATOR, "demo", "ci")
    assert _folded(house) == _facts(house)
    assert house.decisions.decide(OPERATOR, question).value().decision.reason == "revoked_key"
    assert house.store.read(lambda r: r.find(Membership)) == []
    assert [b.team for b in house.store.read(lambda r: r.find(RoleBinding))] == ["pipeline-runners"]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_lists_page_in_one_order_on_every_database(house: House, limit: int) -> None:
    """By code point, whatever the database's language."""
    house.admin.create_workspace(OPERATOR, "acme")
    for user in AWKWARD:
        house.admin.put_user(OPERATOR, "acme", user)
    seen, cursor = [], None
    while True:
        page = house.admin.list_users(OPERATOR, "acme", cursor=cursor, limit=limit)
        seen += [user.id for user in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(AWKWARD)


def test_of_many_who_make_the_same_thing_one_does(house: House) -> None:
    """Plans read under the lock: no two of them find the id free."""
    house.admin.create_workspace(OPERATOR, "acme")
    outcomes: list[str] = []

    def make(number: int) -> None:
        try:
            if number % 2:
                created = house.admin.put_user(OPERATOR, "acme", "same").created
            else:
                created = house.admin.put_service_principal(OPERATOR, "acme", "same").created
            outcomes.append("created" if created else "there")
        except RequestError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 4 + ["created"] + ["there"] * 3
    assert _folded(house) == _facts(house)


def test_issuing_keys_at_once_loses_none(house: House) -> None:
    """Each key is in the feed with its verifier, and works."""
    house.setup.initialize(OPERATOR, read_folder(shipped_folder()))
    new = NewKey(principal_kind="service", principal_id="operator", scopes=["decisions:evaluate"])
    texts: list[str] = []
    made = [house.ids.key_id() for _ in range(12)]
    house.ids.key_id = made.pop  # type: ignore[method-assign]  # counting is not thread-safe, popping is
    threads = [
        threading.Thread(target=lambda: texts.append(house.admin.create_key(OPERATOR, "system", new).text))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    house.replica.catch_up()
    assert len(set(texts)) == 12
    assert all(house.credentials.check(text, house.replica.view()).outcome == "verified" for text in texts)
