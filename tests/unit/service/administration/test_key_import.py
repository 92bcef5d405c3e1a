"""Importing keys: all of a batch or none of it, judged on the facts it will stand on."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.model.api_key import format_api_key
from policy_service.model.errors import RequestError
from policy_service.model.facts import ApiKey
from policy_service.service.administration import HashedSecret, KeyToImport, NewKey
from tests.unit.service.house import OPERATOR, PEPPERS, TENANT, House

ELSEWHERE = format_api_key("psx", "Elsewhere001", "S" * 22)


def new(principal: str = "ci", kind: Any = "service", **more: Any) -> KeyToImport:
    """A key with a secret to be made."""
    return KeyToImport(
        new=NewKey(principal_kind=kind, principal_id=principal, scopes=more.pop("scopes", ("pipelines:run",)), **more)
    )


def hashed(house: House, key_id: str = "Elsewhere001", **more: Any) -> KeyToImport:
    """A key that was issued elsewhere, under a pepper that is loaded here."""
    given = {"pepper_id": "p1", "verifier": house.peppers.verifier("p1", ELSEWHERE), **more}
    return KeyToImport(new=new().new, hashed=HashedSecret(key_id=key_id, **given))


@pytest.fixture
def staffed(house: House) -> House:
    """A house whose workspace `acme` has a service principal and a user."""
    house.admin.put_service_principal(OPERATOR, "acme", "ci")
    house.admin.put_user(OPERATOR, "acme", "ada")
    return house


def test_imported_keys_decide_like_any_others(staffed: House) -> None:
    """New ones by the text they came with, hashed ones by the text that their holders have had all along."""
    keys = [new(), new("ada", "user", cidrs=["203.0.113.0/24"], labels={"a": "b"}), hashed(staffed)]
    assert staffed.admin.check_import(OPERATOR, "acme", keys) == {}
    minted = staffed.admin.mint("acme", keys)
    change = staffed.admin.commit_import(OPERATOR, "acme", minted, note="from a file")
    assert (change.action, change.workspace, change.subject) == ("api_key.import", "acme", "3 keys")
    assert (len(change.effects), change.note, change.actor) == (3, "from a file", OPERATOR.actor)
    assert [made.text is None for made in minted] == [False, False, True]
    assert staffed.decide(minted[0].text).decision.allowed
    assert staffed.decide(ELSEWHERE).decision.allowed
    assert staffed.decide(minted[1].text, source_ip="203.0.113.9").decision.reason == "role_not_granted"
    assert staffed.stored_key("Elsewhere001").slots[0].pepper_id == "p1"


def test_every_wrong_key_is_told_by_its_place(staffed: House) -> None:
    """By itself, by the facts, and by each other; nothing is written."""
    issued = staffed.key()
    head = staffed.store.head()
    keys = [
        new(),
        new(scopes=()),
        new(scopes=("pipelines:rum",)),
        new("nobody"),
        new("ada"),
        new(expires_at=1),
        hashed(staffed, issued.api_key.id),
        hashed(staffed, "short"),
        hashed(staffed, "Another00001", pepper_id="p9"),
        hashed(staffed, "Another00002", verifier=b"1"),
        hashed(staffed),
        hashed(staffed),
    ]
    found = staffed.admin.check_import(OPERATOR, "acme", keys)
    assert {index: error.code for index, error in sorted(found.items())} == {
        1: "invalid_scopes",
        2: "unknown_scope",
        3: "unknown_principal",
        4: "unknown_principal",
        5: "invalid_expiry",
        6: "conflict",
        7: "invalid_id",
        8: "unknown_pepper",
        9: "invalid_verifier",
        10: "conflict",
        11: "conflict",
    }
    assert "did you mean `pipelines:run`?" in found[2].message
    assert staffed.store.head() == head


def test_what_changed_since_the_check_is_found_under_the_lock(staffed: House) -> None:
    """The whole batch is refused, and the one that is wrong is named."""
    keys = [new("ada", "user"), new()]
    assert staffed.admin.check_import(OPERATOR, "acme", keys) == {}
    staffed.admin.delete_service_principal(OPERATOR, "acme", "ci")
    head = staffed.store.head()
    with pytest.raises(RequestError) as raised:
        staffed.admin.commit_import(OPERATOR, "acme", staffed.admin.mint("acme", keys), note="")
    assert (raised.value.code, raised.value.details) == ("unknown_principal", {"index": 1})
    assert staffed.store.head() == head
    assert staffed.store.read(lambda reader: reader.find(ApiKey, workspace="acme")) == []


def test_imports_are_the_operators(staffed: House) -> None:
    """Not even an administrator of the workspace brings verifiers of its own."""
    for act in (
        lambda: staffed.admin.check_import(TENANT, "acme", [new()]),
        lambda: staffed.admin.commit_import(TENANT, "acme", staffed.admin.mint("acme", [new()]), note=""),
    ):
        with pytest.raises(RequestError) as raised:
            act()
        assert raised.value.code == "operator_only"
    with pytest.raises(RequestError) as raised:
        staffed.admin.check_import(OPERATOR, "nowhere", [new()])
    assert raised.value.code == "not_found"


def test_nothing_shown_of_an_import_holds_a_secret(staffed: House) -> None:
    """Neither texts nor verifiers."""
    keys = [new(), hashed(staffed)]
    minted = staffed.admin.mint("acme", keys)
    shown = repr((keys, minted))
    assert minted[0].text is not None
    for secret in (minted[0].text, minted[0].text[16:38], minted[0].verifier.hex(), repr(minted[0].verifier)):
        assert secret not in shown
    assert repr(minted[1].verifier) not in shown
    assert PEPPERS["p1"].hex() not in shown
