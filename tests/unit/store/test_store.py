"""Commit, read, and the feed, on both databases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from policy_service.model.changes import GENESIS_HASH, ChangeDraft, Effect
from policy_service.model.errors import RequestError, StoreError
from policy_service.model.facts import (
    ENTITIES,
    ApiKey,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.instants import MAX_NS, MIN_NS
from policy_service.store import Store
from policy_service.store.columns import Json
from policy_service.store.tables import TABLES, Base
from tests.databases import rows_of, run_sql
from tests.unit.store.drafts import DEMO, NOW, draft, put, remove

ADA = User(workspace="demo", id="ada", name="Ada")


def commit(store: Store, *effects: Effect, **parts: Any) -> int:
    change = store.commit(lambda reader: draft(*effects, **parts), actor="local:0", now=NOW)
    assert change is not None
    return change.revision


def refusal(store: Store, *effects: Effect, **parts: Any) -> StoreError:
    """The StoreError that a change meets; it leaves no trace, and the store goes on working."""
    before = store.version_token(), list(store.facts())
    with pytest.raises(StoreError) as caught:
        commit(store, *effects, **parts)
    assert (store.version_token(), list(store.facts())) == before
    return caught.value


def test_every_entity_has_one_table_with_its_fields_and_key() -> None:
    """Adding an entity without its table, or a field without its column, fails here."""
    assert {entity.entity: entity for entity in TABLES} == ENTITIES
    for entity, table in TABLES.items():
        assert set(table.c.keys()) == set(entity.__struct_fields__)
        assert tuple(table.primary_key.c.keys()) == entity.key_fields
        for field in msgspec.structs.fields(entity):
            nullable = type(None) in getattr(field.type, "__args__", ())
            assert table.c[field.name].nullable == nullable, field.name
    others = {"bundle_files", "changes", "counter", "key_uses"}
    assert set(Base.metadata.tables) == {table.name for table in TABLES.values()} | others


def test_a_new_store_is_empty(store: Store) -> None:
    """Revision 0 and the genesis hash are what a fresh snapshot starts from."""
    assert store.head() == 0
    assert store.version_token() == (0, GENESIS_HASH)
    assert store.changes_after(0, 10) == []
    assert list(store.facts()) == []


def test_a_change_comes_back_from_the_feed_as_it_was_committed(store: Store) -> None:
    """Large integers, floats, every character, nulls inside JSON and the sealed part survive, to the last digit."""
    attributes = {
        "big": 2**70,
        "float": 0.1,
        "one": 1.0,
        "text": "\0 \u2028 \U0001f511 é",
        "none": None,
        "list": [[], {}],
    }
    resource = Resource(workspace="demo", type="pipeline", id="etl", attributes=attributes)
    sealed = '{"verifiers":{}}'
    change = store.commit(
        lambda reader: draft(put(resource), put(DEMO), note="a 'note' “quoted” %s :x", sealed=sealed),
        actor="local:0",
        now=NOW,
    )
    assert change is not None
    assert change.is_intact()
    assert change.sealed_sha256 is not None
    [found] = store.changes_after(0, 10)
    assert found == change
    assert found.is_intact()
    stored = store.read(lambda reader: reader.get(Resource, ("demo", "pipeline", "etl")))
    assert stored == resource
    assert isinstance(stored.attributes["one"], float)


def test_the_plan_sees_the_facts_and_the_facts_follow_the_plan(store: Store) -> None:
    """Set, replace, remove: each effect's before is what the one before it left."""
    suspended = msgspec.structs.replace(ADA, suspended=True)
    commit(store, put(DEMO), put(ADA))
    commit(store, put(suspended, ADA), remove(suspended), put(ADA), put(suspended, ADA))
    assert store.read(lambda reader: reader.get(User, ("demo", "ada"))) == suspended
    seen = []
    store.commit(lambda reader: seen.append(reader.get(User, ("demo", "ada"))), actor="local:0", now=NOW)
    assert seen == [suspended]
    assert commit(store, remove(suspended)) == 3
    assert store.read(lambda reader: reader.get(User, ("demo", "ada"))) is None


def test_a_plan_of_none_changes_nothing(store: Store) -> None:
    """Doing what is done already takes no revision."""
    assert store.commit(lambda reader: None, actor="local:0", now=NOW) is None
    assert store.head() == 0


def test_what_a_plan_raises_passes_through_and_undoes_everything(store: Store) -> None:
    """A refusal is the caller's to see as it is."""

    def refuse(reader: object) -> ChangeDraft | None:
        raise RequestError("conflict", "no", status=409)

    with pytest.raises(RequestError):
        store.commit(refuse, actor="local:0", now=NOW)
    assert commit(store, put(DEMO)) == 1


@pytest.mark.parametrize(
    ("effect", "why"),
    [
        (put(ADA, ADA), "it says that there was something, and there was nothing"),
        (remove(ADA), "it removes what is not there"),
        (put(DEMO), "it says that there was nothing, and there was something"),
        (put(DEMO, msgspec.structs.replace(DEMO, name="x")), "it says that there was something else"),
        (Effect("workspace", ("demo",), {**(put(DEMO).after or {}), "created_at": float(NOW)}, None), "1.0 is not 1"),
    ],
)
def test_an_effect_that_tells_another_past_is_refused(store: Store, effect: Effect, why: str) -> None:
    """Tables edited by hand, or a bug in a plan, must not get into the chain."""
    commit(store, put(DEMO))
    error = refusal(store, put(User(workspace="demo", id="innocent")), effect)
    assert error.code == "store_diverged", why
    assert "edited by hand" in error.message


@pytest.mark.parametrize(
    "effect",
    [
        Effect("unicorn", ("x",), None, {}),
        Effect("user", ("demo", "ada"), None, {"workspace": "demo", "id": "bob"}),
        Effect("user", ("demo", "ada"), None, {"workspace": "demo", "id": "ada", "suspended": "yes"}),
        Effect("user", ("demo",), None, {"workspace": "demo", "id": "ada"}),
        Effect("user", ("demo", "ada"), None, None),
    ],
)
def test_a_malformed_draft_is_a_bug_and_changes_nothing(store: Store, effect: Effect) -> None:
    """It is no trouble with the database, so it is no StoreError."""
    with pytest.raises(ValueError, match=r"."):
        commit(store, put(DEMO), effect)
    assert store.head() == 0


@pytest.mark.parametrize(
    "effects",
    [
        [put(User(workspace="nowhere", id="ada"))],
        [put(Team(workspace="demo", id="a", parent="b"))],
        [put(Membership(workspace="demo", team="a", user="b"))],
        [put(RoleBinding(workspace="demo", id="1", role="r", team="a"))],
        [put(RoleBinding(workspace="demo", id="1", role="r"))],
        [
            put(ADA),
            put(RoleBinding(workspace="demo", id="1", role="r", user="ada", resource_type="t", resource_id="i")),
        ],
        [put(ADA), put(RoleBinding(workspace="demo", id="1", role="r", user="ada", resource_type="t"))],
        [put(Workspace(id="large", created_at=2**63))],
        [put(Workspace(id="nul", name="\0"))],
    ],
)
def test_a_change_that_breaks_a_constraint_is_refused(store: Store, effects: list[Effect]) -> None:
    """References lead somewhere and values fit, on both databases alike; the store goes on working."""
    commit(store, put(DEMO))
    assert refusal(store, *effects).code == "store_refused"
    assert commit(store, put(ADA)) == 2


def test_effects_of_one_change_come_in_any_order(store: Store) -> None:
    """References are judged when all is done."""
    team, member = Team(workspace="demo", id="t"), Membership(workspace="demo", team="t", user="ada")
    assert commit(store, put(member), put(team), put(ADA), put(DEMO)) == 1
    assert commit(store, remove(ADA), remove(team), remove(member)) == 2


def test_lists_are_ordered_by_code_point_and_continue_after_a_key(store: Store) -> None:
    """Whatever the locale of the server, so that a cursor means the same everywhere."""
    names = ["-", "0", "A", "B", "Z", "a", "b", "é", "\U0001f511"]
    teams = [Team(workspace="demo", id=name) for name in names]
    commit(store, put(DEMO), *map(put, reversed(teams)))
    found = store.read(lambda reader: reader.find(Team, workspace="demo"))
    assert [team.id for team in found] == names
    page = store.read(lambda reader: reader.find(Team, after=("demo", "C"), limit=3, workspace="demo"))
    assert [team.id for team in page] == ["Z", "a", "b"]
    assert store.read(lambda reader: reader.find(Team, after=("demo", "\U0001f511"))) == []
    assert len(store.read(lambda reader: reader.find(Team, after=("a", "zzz")))) == len(names)


def test_none_in_a_search_means_absent(store: Store) -> None:
    """As it does in the facts."""
    root, child = Team(workspace="demo", id="a"), Team(workspace="demo", id="b", parent="a")
    commit(store, put(DEMO), put(root), put(child))
    assert store.read(lambda reader: reader.find(Team, parent=None)) == [root]
    assert store.read(lambda reader: reader.find(Team, parent="a")) == [child]


def test_a_search_by_what_cannot_be_compared_is_a_bug(store: Store) -> None:
    """JSON columns are text: equal values may be spelled apart."""
    for name in ("unicorn", "scopes"):
        with pytest.raises(ValueError, match=name):
            store.read(lambda reader, name=name: reader.find(ApiKey, **{name: "x"}))
    with pytest.raises(ValueError, match="2 parts"):
        store.read(lambda reader: reader.find(User, after=("demo",)))


def test_a_bundle_is_stored_once_and_stays(store: Store) -> None:
    """The digest names the meaning: another text of the same meaning does not replace the first."""
    files = {"chain.yaml": "chain: []\n", "é.yaml": "\0"}
    first = store.put_bundle("sha256:1", files)
    assert store.put_bundle("sha256:1", {"chain.yaml": "chain: [] # again"}) == first
    assert store.put_bundle("sha256:2", dict(reversed(files.items()))) == first
    assert store.read(lambda reader: reader.bundle_files("sha256:1")) == files
    assert store.read(lambda reader: reader.bundle_files("sha256:3")) is None
    assert store.head() == 0


def test_an_altered_bundle_is_damage(store: Store, database_url: str) -> None:
    """Rules edited in the database, past every check, must not decide."""
    store.put_bundle("d", {"chain.yaml": "x"})
    run_sql(database_url, "UPDATE bundle_files SET files = '{}'")
    with pytest.raises(StoreError, match="altered") as caught:
        store.read(lambda reader: reader.bundle_files("d"))
    assert caught.value.code == "store_damaged"


def test_the_token_moves_with_each_change_of_any_process(store: Store, database_url: str) -> None:
    """A follower looks at nothing else until it moves."""
    before = store.version_token()
    assert store.version_token() == before
    other = Store.open(database_url)
    commit(other, put(DEMO))
    other.close()
    assert store.version_token() != before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE changes SET note = 'x'",
        "DELETE FROM changes",
        "DELETE FROM changes WHERE revision = 2",
        "INSERT INTO changes SELECT 9, at, actor, action, workspace, subject, effects, note, sealed, sealed_sha256,"
        " previous_hash, hash FROM changes WHERE revision = 1",
        "INSERT INTO counter VALUES (2, 0, '')",
    ],
)
def test_the_feed_is_append_only(store: Store, database_url: str, statement: str) -> None:
    """Changes are neither altered nor taken out, and none gets in but the next one, whoever tries."""
    commit(store, put(DEMO))
    commit(store, put(ADA))
    with pytest.raises(Exception, match=r"append-only|next revision|one_row"):
        run_sql(database_url, statement)
    assert rows_of(database_url, "SELECT revision FROM changes ORDER BY revision") == [(1,), (2,)]


def test_sqlite_does_not_replace_a_change(sqlite_url: str) -> None:
    """INSERT OR REPLACE deletes without asking the triggers that guard deletion."""
    store = Store.open(sqlite_url)
    commit(store, put(DEMO))
    store.close()
    with pytest.raises(Exception, match="next revision"):
        run_sql(sqlite_url, "INSERT OR REPLACE INTO changes SELECT * FROM changes WHERE revision = 1")


def test_postgresql_does_not_truncate_the_feed(postgres_url: str) -> None:
    """TRUNCATE fires no row triggers."""
    with pytest.raises(Exception, match="append-only"):
        run_sql(postgres_url, "TRUNCATE changes")


def test_a_gap_in_the_feed_is_never_passed_over(store: Store, database_url: str) -> None:
    """Nor is being ahead of the store: its database is not the one that the reader followed."""
    for effects in ([put(DEMO)], [put(ADA)], [put(User(workspace="demo", id="bob"))]):
        commit(store, *effects)
    assert [change.revision for change in store.changes_after(1, 1)] == [2]
    assert store.changes_after(3, 10) == []
    with pytest.raises(StoreError, match="lack revision 4") as caught:
        store.changes_after(4, 10)
    assert caught.value.code == "store_diverged"
    off = {"s": "DROP TRIGGER changes_no_delete", "p": "ALTER TABLE changes DISABLE TRIGGER USER"}
    run_sql(database_url, off[database_url[0]])
    run_sql(database_url, "DELETE FROM changes WHERE revision = 2")
    for after in (0, 1):
        with pytest.raises(StoreError, match="lack revision 2"):
            store.changes_after(after, 10)
    assert [change.revision for change in store.changes_after(2, 10)] == [3]


@pytest.mark.parametrize(
    ("statement", "look"),
    [
        ("UPDATE users SET suspended = NULL", None),
        ("UPDATE ip_allowlists SET entries = '{{'", "facts"),
        ("UPDATE ip_allowlists SET entries = '{}'", "facts"),
        ("DELETE FROM counter", "head"),
    ],
)
def test_rows_that_make_no_sense_are_damage(store: Store, database_url: str, statement: str, look: str | None) -> None:
    """And are told in one line, not as a Python error."""
    commit(store, put(DEMO), put(ADA), put(IpAllowlist(workspace="demo")))
    if look is None:
        with pytest.raises(Exception, match=r"(?i)null"):
            run_sql(database_url, statement)
        return
    run_sql(database_url, statement)
    with pytest.raises(StoreError) as caught:
        getattr(store, look)()
    assert caught.value.code == "store_damaged"
    assert "\n" not in caught.value.message


def test_a_read_sees_one_state_throughout(store: Store) -> None:
    """Also while others write, and without making them wait."""

    def query(reader: Any) -> list[int]:
        counts = [len(reader.find(Workspace))]
        commit(store, put(DEMO))
        return [*counts, len(reader.find(Workspace))]

    assert store.read(query) == [0, 0]
    assert store.head() == 1


def test_json_columns_are_named_in_one_place() -> None:
    """Every field that is no text, 64-bit number or flag is kept as JSON."""
    kept = {(entity.entity, c.name) for entity, table in TABLES.items() for c in table.c if isinstance(c.type, Json)}
    assert kept == {
        ("api_key", "not_before"),
        ("api_key", "expires_at"),
        ("api_key", "scopes"),
        ("api_key", "slots"),
        ("api_key", "cidrs"),
        ("api_key", "labels"),
        ("ip_allowlist", "entries"),
        ("resource", "attributes"),
    }


def test_many_new_facts_of_a_change_are_made_together(store: Store) -> None:
    """More than one statement holds, among others, in any order; each is found again by its key."""
    users = [User(workspace="demo", id=f"u{number}") for number in range(1201)]
    team = Team(workspace="demo", id="t")
    commit(store, put(DEMO), *map(put, users[:600]), put(team), *map(put, users[600:]))
    assert store.read(lambda reader: reader.find(User)) == sorted(users, key=User.key)
    keys = {user.key() for user in users}
    absent = {("demo", "nobody"), ("other", "u1")}
    assert store.read(lambda reader: reader.present(User, keys | absent)) == keys
    assert store.read(lambda reader: reader.present(User, set())) == set()


@pytest.mark.parametrize("which", ["there already", "twice"])
def test_of_many_new_facts_none_may_be_there(store: Store, which: str) -> None:
    """The first that is, is named; nothing of the change stays."""
    users = [User(workspace="demo", id=f"u{number}") for number in range(5)]
    commit(store, put(DEMO), *([put(ADA)] if which == "there already" else []))
    error = refusal(store, *map(put, users), put(ADA), *([put(ADA)] if which == "twice" else []))
    assert (error.code, error.details["key"]) == ("store_diverged", ["demo", "ada"])


def test_a_key_may_end_in_the_year_9999(store: Store) -> None:
    """Nanoseconds of that year are past 64 bits, and people write it to mean never."""
    service = ServicePrincipal(workspace="demo", id="ci")
    key = ApiKey(
        id="K00000000001",
        workspace="demo",
        principal_kind="service",
        principal_id="ci",
        scopes=("pipelines:read",),
        slots=(),
        created_at=NOW,
        not_before=MIN_NS,
        expires_at=MAX_NS,
    )
    commit(store, put(DEMO), put(service), put(key))
    assert store.read(lambda reader: reader.get(ApiKey, key.key())) == key
