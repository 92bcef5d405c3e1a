"""Service principals: put, show, delete for good."""

from __future__ import annotations

from policy_service.model.facts import Resource, ServicePrincipal
from tests.unit.service.house import TENANT, House
from tests.unit.service.refusals import refused


def test_put_creates_then_replaces_then_changes_nothing(house: House) -> None:
    """Three PUTs: new, another name, the same again."""
    first = house.admin.put_service_principal(TENANT, "acme", "ci", name="CI")
    second = house.admin.put_service_principal(TENANT, "acme", "ci", name="Builds")
    third = house.admin.put_service_principal(TENANT, "acme", "ci", name="Builds")
    assert (first.created, second.created, third.created) == (True, False, False)
    assert second.fact == ServicePrincipal(workspace="acme", id="ci", name="Builds")
    assert third.change is None
    assert house.admin.get_service_principal(TENANT, "acme", "ci").fact == second.fact
    assert house.admin.list_service_principals(TENANT, "acme").items == (second.fact,)


def test_deleting_one_revokes_its_keys_and_clears_it_as_owner(house: House) -> None:
    """Its keys end, what it owned has no owner, another's keys live."""
    key, other = house.key(principal="ci").api_key, house.key(principal="cd").api_key
    house.admin.put_resource(TENANT, "acme", "pipeline", "etl", owner="ci")
    house.admin.delete_service_principal(TENANT, "acme", "ci")
    assert house.stored_key(key.id).revoked_at == house.clock.now()
    assert house.stored_key(other.id).revoked_at is None
    resource = house.store.read(lambda r: r.get(Resource, ("acme", "pipeline", "etl")))
    assert resource.owner is None
    with refused(house, "not_found", 404):
        house.admin.get_service_principal(TENANT, "acme", "ci")
    with refused(house, "not_found", 404):
        house.admin.delete_service_principal(TENANT, "acme", "ci")


def test_an_id_that_is_taken_is_refused(house: House) -> None:
    """By a user, or as the owner of a resource."""
    house.admin.put_user(TENANT, "acme", "ada")
    house.admin.put_resource(TENANT, "acme", "pipeline", "etl", owner="ghost")
    with refused(house, "conflict", 409):
        house.admin.put_service_principal(TENANT, "acme", "ada")
    with refused(house, "id_is_owner", 409):
        house.admin.put_service_principal(TENANT, "acme", "ghost")
    with refused(house, "invalid_id"):
        house.admin.put_service_principal(TENANT, "acme", "no spaces")
