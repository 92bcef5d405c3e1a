"""A key gets a new secret: both work until the old one's grace ends, and never past the key's own end."""

from __future__ import annotations

import pytest

from policy_service.model.api_key import parse_api_key
from policy_service.service.administration.secrets import MAX_GRACE_S, MAX_SECRETS
from tests.fakes import START
from tests.unit.service.house import OPERATOR, TENANT, House
from tests.unit.service.refusals import refused

SECOND = 1_000_000_000


def _reason(house: House, text: str) -> str:
    return house.decide(text).decision.reason


def test_both_secrets_work_until_the_grace_ends(house: House) -> None:
    """Then the old one is expired; the id and all else stay."""
    old = house.key(labels={"a": "b"})
    house.clock.advance(10)
    new = house.admin.rotate_key(TENANT, "acme", old.api_key.id, grace_s=60)
    parts = parse_api_key(new.text)
    assert parts is not None
    assert (parts.id, new.api_key.id) == (old.api_key.id, old.api_key.id)
    assert new.text != old.text
    assert new.api_key.labels == {"a": "b"}
    assert [slot.number for slot in new.api_key.slots] == [1, 2]
    assert [slot.expires_at for slot in new.api_key.slots] == [START + 70 * SECOND, None]
    assert new.api_key.created_at == START
    assert new.written.change is not None
    assert new.written.change.action == "api_key.rotate"
    house.clock.advance(59.999)
    assert (_reason(house, old.text), _reason(house, new.text)) == ("allowed", "allowed")
    house.clock.advance(0.001)
    assert (_reason(house, old.text), _reason(house, new.text)) == ("expired_key", "allowed")


def test_without_grace_the_old_secret_ends_at_once(house: House) -> None:
    """The default: what to do after a leak."""
    old = house.key()
    new = house.admin.rotate_key(TENANT, "acme", old.api_key.id)
    assert (_reason(house, old.text), _reason(house, new.text)) == ("expired_key", "allowed")


def test_grace_never_outlasts_the_key(house: House) -> None:
    """Neither secret works after the key has ended."""
    old = house.key(expires_at=START + 5 * SECOND)
    new = house.admin.rotate_key(TENANT, "acme", old.api_key.id, grace_s=60)
    assert new.api_key.slots[0].expires_at == START + 5 * SECOND
    house.clock.advance(5)
    assert (_reason(house, old.text), _reason(house, new.text)) == ("expired_key", "expired_key")


def test_a_rotation_bounds_the_grace_of_older_secrets_and_never_lengthens_it(house: House) -> None:
    """Rotating without grace ends all secrets but the new one."""
    first = house.key()
    second = house.admin.rotate_key(TENANT, "acme", first.api_key.id, grace_s=100)
    third = house.admin.rotate_key(TENANT, "acme", first.api_key.id, grace_s=1000)
    ends = [slot.expires_at for slot in third.api_key.slots]
    assert ends == [START + 100 * SECOND, START + 1000 * SECOND, None]
    fourth = house.admin.rotate_key(TENANT, "acme", first.api_key.id)
    texts = (first.text, second.text, third.text, fourth.text)
    assert [_reason(house, text) for text in texts] == ["expired_key"] * 3 + ["allowed"]


def test_a_revocation_ends_every_secret(house: House) -> None:
    """Those in grace too; and a revoked key gets no new one."""
    old = house.key()
    new = house.admin.rotate_key(TENANT, "acme", old.api_key.id, grace_s=60)
    house.admin.revoke_key(TENANT, "acme", old.api_key.id)
    assert (_reason(house, old.text), _reason(house, new.text)) == ("revoked_key", "revoked_key")
    with refused(house, "key_ended", 409):
        house.admin.rotate_key(TENANT, "acme", old.api_key.id)


def test_an_expired_key_gets_no_new_secret(house: House) -> None:
    """It would be expired as well."""
    key = house.key(expires_at=START + SECOND).api_key
    house.clock.advance(1)
    with refused(house, "key_ended", 409):
        house.admin.rotate_key(TENANT, "acme", key.id)


def test_the_number_of_secrets_is_bounded(house: House) -> None:
    """Those that have ended make room, the oldest first; those that still work never do."""
    key = house.key()
    rotations = range(MAX_SECRETS - 1)
    texts = [key.text, *(house.admin.rotate_key(TENANT, "acme", key.api_key.id, grace_s=60).text for _ in rotations)]
    with refused(house, "too_many_secrets", 409):
        house.admin.rotate_key(TENANT, "acme", key.api_key.id, grace_s=60)
    house.clock.advance(60)
    texts.append(house.admin.rotate_key(TENANT, "acme", key.api_key.id, grace_s=60).text)
    assert len(house.stored_key(key.api_key.id).slots) == MAX_SECRETS
    reasons = [_reason(house, text) for text in texts]
    assert reasons == ["unknown_key"] + ["expired_key"] * (MAX_SECRETS - 2) + ["allowed", "allowed"]


@pytest.mark.parametrize("grace_s", [-1, MAX_GRACE_S + 1])
def test_a_grace_has_bounds(house: House, grace_s: int) -> None:
    """From none to 90 days."""
    key = house.key().api_key
    with refused(house, "invalid_grace"):
        house.admin.rotate_key(TENANT, "acme", key.id, grace_s=grace_s)


def test_another_workspaces_key_is_not_rotated(house: House) -> None:
    """Nor told from none."""
    theirs = house.key("zeta").api_key.id
    for key_id in (theirs, "K99999999999"):
        with refused(house, "not_found", 404):
            house.admin.rotate_key(TENANT, "acme", key_id)
    assert house.admin.rotate_key(OPERATOR, "zeta", theirs).api_key.workspace == "zeta"


def test_a_secret_stands_nowhere(house: House) -> None:
    """Neither in the change nor in any printed form."""
    issued = house.admin.rotate_key(TENANT, "acme", house.key().api_key.id, grace_s=5)
    parts = parse_api_key(issued.text)
    assert parts is not None
    everything = f"{house.store.changes_after(0, 1000)} {list(house.store.facts())} {issued!r}"
    assert parts.secret not in everything
