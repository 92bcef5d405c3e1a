"""Checking a presented key: its outcome, and what is never done on the way."""

from __future__ import annotations

import hmac

import pytest

from policy_service.model.api_key import format_api_key
from policy_service.model.errors import StoreError
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential
from policy_service.service import peppers as peppers_module
from policy_service.service.administration import IssuedKey
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.peppers import Peppers
from tests.unit.service.house import OPERATOR, PEPPERS, House

SECRET = "s" * 22


@pytest.fixture
def issued(house: House) -> IssuedKey:
    issued = house.key()
    house.replica.catch_up()
    return issued


def test_a_key_as_issued_is_verified_in_its_slot(house: House, issued: IssuedKey) -> None:
    """The outcome names the key and the secret slot."""
    outcome = house.credentials.check(issued.text, house.replica.view())
    assert outcome == Credential("verified", issued.api_key.id, 1)


def test_no_key_is_missing(house: House) -> None:
    """None means that nothing was presented."""
    assert house.credentials.check(None, house.replica.view()) == MISSING


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "psx_",
        "nonsense",
        "k" * 1_000_000,
        "psx_" + "k" * 1_000_000,
        format_api_key("psx", "K00000000001", SECRET)[:-1] + "!",
        format_api_key("psx", "K00000000001", SECRET) + "\n",
        " " + format_api_key("psx", "K00000000001", SECRET),
        format_api_key("psx1", "K00000000001", SECRET),
        format_api_key("a", "K00000000001", SECRET),
        format_api_key("abcdefghijk", "K00000000001", SECRET),
        "psx_K00000000001" + SECRET + "000000",
        "psx_K0000000000\0" + SECRET + "000000",
        "psx_K0000000000é" + SECRET + "000000",
        "psx_K0000000000\ud800" + SECRET + "000000",
    ],
)
def test_every_other_spelling_is_malformed(house: House, issued: IssuedKey, text: str) -> None:
    """Wrong length, prefix, character or checksum; nothing is trimmed."""
    assert house.credentials.check(text, house.replica.view()) == MALFORMED


def test_an_unknown_id_and_a_wrong_secret_are_both_unknown(house: House, issued: IssuedKey) -> None:
    """Nobody can tell from the outcome which ids there are."""
    for key_id in ("K99999999999", issued.api_key.id):
        text = format_api_key("psx", key_id, SECRET)
        assert house.credentials.check(text, house.replica.view()) == UNKNOWN


def test_a_revoked_key_is_still_verified(house: House, issued: IssuedKey) -> None:
    """Whether a key is valid is the decision's to judge."""
    house.admin.revoke_key(OPERATOR, "acme", issued.api_key.id)
    house.replica.catch_up()
    assert house.credentials.check(issued.text, house.replica.view()).outcome == "verified"


class _Counted:
    """Counts comparisons and digests, and passes them on."""

    def __init__(self) -> None:
        self.compared = 0
        self.digested = 0

    def compare_digest(self, left: bytes, right: bytes) -> bool:
        self.compared += 1
        return hmac.compare_digest(left, right)

    def digest(self, key: bytes, message: bytes, name: object) -> bytes:
        self.digested += 1
        return hmac.digest(key, message, name)  # type: ignore[arg-type]  # as given


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> _Counted:
    counted = _Counted()
    monkeypatch.setattr("policy_service.service.deciding.credentials.hmac", counted)
    monkeypatch.setattr(peppers_module, "hmac", counted)
    return counted


def test_an_unknown_id_costs_what_a_known_one_does(house: House, issued: IssuedKey, counted: _Counted) -> None:
    """One digest and one constant-time comparison either way."""
    house.credentials.check(issued.text, house.replica.view())
    assert (counted.digested, counted.compared) == (1, 1)
    house.credentials.check(format_api_key("psx", "K99999999999", SECRET), house.replica.view())
    assert (counted.digested, counted.compared) == (2, 2)


def test_a_key_of_a_megabyte_is_never_hashed(house: House, issued: IssuedKey, counted: _Counted) -> None:
    """The length is looked at first."""
    assert house.credentials.check("psx_" + "0" * 1_000_000, house.replica.view()) == MALFORMED
    assert (counted.digested, counted.compared) == (0, 0)


def test_a_pepper_that_is_not_loaded_is_our_fault_not_the_callers(house: House, issued: IssuedKey) -> None:
    """A store error, so 503: the key may well be right."""
    elsewhere = Credentials(Peppers("p2", {"p2": b"2" * 32}))
    with pytest.raises(StoreError, match="`p1`") as raised:
        elsewhere.check(issued.text, house.replica.view())
    assert raised.value.code == "pepper_not_loaded"
    assert elsewhere.check(format_api_key("psx", "K99999999999", SECRET), house.replica.view()) == UNKNOWN


def test_an_older_pepper_still_verifies_while_it_is_loaded(house: House, issued: IssuedKey) -> None:
    """Peppers rotate: new secrets under the current one, old ones under theirs."""
    rotated = Credentials(Peppers("p2", {**PEPPERS, "p2": b"2" * 32}))
    assert rotated.check(issued.text, house.replica.view()).outcome == "verified"


def test_another_value_of_the_pepper_verifies_nothing(house: House, issued: IssuedKey) -> None:
    """The secret alone is worth nothing without the pepper it was hashed under."""
    other = Credentials(Peppers("p1", {"p1": b"9" * 32}))
    assert other.check(issued.text, house.replica.view()) == UNKNOWN


def test_a_key_of_another_prefix_is_looked_up_like_any_other(house: House, issued: IssuedKey) -> None:
    """The prefix of new keys is a setting, and no setting decides: changing it ends no key."""
    text = format_api_key("myprefix", issued.api_key.id, SECRET)
    assert house.credentials.check(text, house.replica.view()) == UNKNOWN
