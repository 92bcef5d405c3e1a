"""Users: put, suspend, delete for good."""

from __future__ import annotations

import pytest

from policy_service.model.facts import Membership, Resource, RoleBinding, User
from policy_service.service.administration.principals import PRINCIPAL_DELETED
from tests.unit.service.house import OPERATOR, TENANT, House
from tests.unit.service.refusals import refused


def test_a_new_user_is_created_and_not_suspended(house: House) -> None:
    """The first PUT creates; the change carries the next revision and names the actor."""
    head = house.store.head()
    written = house.admin.put_user(TENANT, "acme", "ada", name="Ada")
    assert written.created
    assert written.fact == User(workspace="acme", id="ada", name="Ada", suspended=False)
    assert written.revision == head + 1
    assert written.change is not None
    assert (written.change.action, written.change.actor, written.change.workspace, written.change.subject) == (
        "user.put",
        TENANT.actor,
        "acme",
        "acme/ada",
    )


def test_put_replaces_the_name_and_keeps_the_suspension(house: House) -> None:
    """PUT without `suspended` keeps it; without `name` the name is emptied."""
    house.admin.put_user(TENANT, "acme", "ada", name="Ada", suspended=True)
    written = house.admin.put_user(TENANT, "acme", "ada")
    assert not written.created
    assert written.fact == User(workspace="acme", id="ada", name="", suspended=True)
    assert house.admin.put_user(TENANT, "acme", "ada", suspended=False).fact == User(workspace="acme", id="ada")


def test_a_put_that_changes_nothing_makes_no_change(house: House) -> None:
    """The same PUT again answers with the current revision."""
    first = house.admin.put_user(TENANT, "acme", "ada", name="Ada")
    again = house.admin.put_user(TENANT, "acme", "ada", name="Ada")
    assert again.change is None
    assert not again.created
    assert again.revision == first.revision == house.store.head()


def test_get_and_list_show_what_was_put(house: House) -> None:
    """Users are listed by id, those of the workspace alone."""
    for user in ("zoe", "ada", "bob"):
        house.admin.put_user(TENANT, "acme", user)
    house.admin.put_user(OPERATOR, "zeta", "eve")
    assert [user.id for user in house.admin.list_users(TENANT, "acme").items] == ["ada", "bob", "zoe"]
    found = house.admin.get_user(TENANT, "acme", "bob")
    assert found.fact.id == "bob"
    assert found.revision == house.store.head()


def test_deleting_a_user_leaves_nothing_of_them(house: House) -> None:
    """Keys are revoked, memberships and bindings go, ownership is cleared, in one change."""
    key = house.key(kind="user", principal="ada").api_key
    revoked_before = house.key(kind="user", principal="ada").api_key
    house.admin.revoke_key(OPERATOR, "acme", revoked_before.id, reason="lost")
    other = house.key(kind="user", principal="bob").api_key
    house.admin.put_team(TENANT, "acme", "ops")
    house.admin.add_member(TENANT, "acme", "ops", "ada")
    house.admin.create_binding(TENANT, "acme", "viewer", user="ada")
    house.admin.create_binding(TENANT, "acme", "viewer", user="bob")
    house.admin.put_resource(TENANT, "acme", "pipeline", "etl", owner="ada", attributes={"a": 1})
    house.clock.advance(60)
    head = house.store.head()
    written = house.admin.delete_user(TENANT, "acme", "ada")
    assert written.revision == head + 1 == house.store.head()
    assert written.fact is None
    gone = house.stored_key(key.id)
    assert (gone.revoked_at, gone.revoke_reason) == (house.clock.now(), PRINCIPAL_DELETED)
    assert house.stored_key(revoked_before.id).revoke_reason == "lost"
    assert house.stored_key(other.id).revoked_at is None
    assert house.store.read(lambda r: r.find(Membership)) == []
    assert [b.user for b in house.store.read(lambda r: r.find(RoleBinding))] == ["bob"]
    assert house.store.read(lambda r: r.get(Resource, ("acme", "pipeline", "etl"))) == Resource(
        workspace="acme", type="pipeline", id="etl", owner=None, attributes={"a": 1}
    )
    with refused(house, "not_found", 404):
        house.admin.get_user(TENANT, "acme", "ada")


def test_the_same_id_made_again_starts_with_nothing(house: House) -> None:
    """A user of a deleted user's id has no key, team or role of theirs."""
    key = house.key(kind="user", principal="ada").api_key
    house.admin.put_team(TENANT, "acme", "ops")
    house.admin.add_member(TENANT, "acme", "ops", "ada")
    house.admin.delete_user(TENANT, "acme", "ada")
    assert house.admin.put_user(TENANT, "acme", "ada").created
    assert house.stored_key(key.id).revoked_at is not None
    assert house.admin.list_members(TENANT, "acme", "ops").items == ()


def test_users_of_one_id_in_two_workspaces_are_two(house: House) -> None:
    """Deleting one does not touch the other."""
    mine = house.key(kind="user", principal="ada").api_key
    theirs = house.key("zeta", kind="user", principal="ada").api_key
    house.admin.delete_user(OPERATOR, "acme", "ada")
    assert house.stored_key(mine.id).revoked_at is not None
    assert house.stored_key(theirs.id).revoked_at is None


def test_deleting_nobody_is_not_found(house: House) -> None:
    """A user that is not there cannot be deleted."""
    with refused(house, "not_found", 404):
        house.admin.delete_user(TENANT, "acme", "nobody")


def test_an_id_of_a_service_principal_is_taken(house: House) -> None:
    """Users and service principals share one id space."""
    house.admin.put_service_principal(TENANT, "acme", "ci")
    with refused(house, "conflict", 409):
        house.admin.put_user(TENANT, "acme", "ci")


def test_an_id_that_owns_a_resource_cannot_be_made(house: House) -> None:
    """A newcomer would come into the resource; an existing user may own things."""
    house.admin.put_resource(TENANT, "acme", "pipeline", "etl", owner="ada")
    with refused(house, "id_is_owner", 409):
        house.admin.put_user(TENANT, "acme", "ada")
    assert house.admin.put_user(OPERATOR, "zeta", "ada").created
    house.admin.put_user(TENANT, "acme", "bob")
    house.admin.put_resource(TENANT, "acme", "pipeline", "etl", owner="bob")
    assert house.admin.put_user(TENANT, "acme", "bob", name="Bob").change is not None


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize("user", ["", "-ada", "a b", "ä", "a/b", "a\0", "a\n", "a" * 129])
def test_an_id_of_another_form_is_refused(house: House, user: str) -> None:
    """Ids are checked before anything is looked up."""
    with refused(house, "invalid_id"):
        house.admin.put_user(TENANT, "acme", user)
    with refused(house, "invalid_id"):
        house.admin.get_user(TENANT, "acme", user)
    with refused(house, "invalid_id"):
        house.admin.delete_user(TENANT, "acme", user)


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize("name", ["a\0", "a\nb", "\x7f", "\x85", "\ud800", "n" * 257])
def test_a_name_with_control_characters_or_too_long_is_refused(house: House, name: str) -> None:
    """Names are for people, in one line."""
    with refused(house, "invalid_text"):
        house.admin.put_user(TENANT, "acme", "ada", name=name)


def test_a_workspace_must_be_there(house: House) -> None:
    """The operator is told of a missing workspace, in reads and writes alike."""
    with refused(house, "not_found", 404):
        house.admin.put_user(OPERATOR, "nowhere", "ada")
    with refused(house, "not_found", 404):
        house.admin.get_user(OPERATOR, "nowhere", "ada")
    with refused(house, "not_found", 404):
        house.admin.list_users(OPERATOR, "nowhere")
    with refused(house, "not_found", 404):
        house.admin.delete_user(OPERATOR, "nowhere", "ada")
