"""Checking a presented key: its outcome, and what is never done on the way."""

from __future__ import annotations

import gc
import hmac
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.engine.snapshot import Snapshot
from policy_service.model.api_key import format_api_key
from policy_service.model.errors import RequestError, StoreError
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential
from policy_service.service.administration import IssuedKey
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.following.replica import Replica
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
    """Counts digests under a pepper and comparisons in constant time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.digested = self.compared = 0
        self._compare = hmac.compare_digest
        verifier = Peppers.verifier

        def counting(peppers: Peppers, pepper_id: str, text: str) -> bytes:
            self.digested += 1
            return verifier(peppers, pepper_id, text)

        monkeypatch.setattr(Peppers, "verifier", counting)
        monkeypatch.setattr("policy_service.service.deciding.credentials.hmac.compare_digest", self.compare_digest)

    def compare_digest(self, left: bytes, right: bytes) -> bool:
        self.compared += 1
        return self._compare(left, right)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> _Counted:
    return _Counted(monkeypatch)


def test_an_unknown_id_costs_what_a_known_one_does(house: House, issued: IssuedKey, counted: _Counted) -> None:
    """One digest and one constant-time comparison either way, as for a wrong secret; asked again, the same again."""
    for _ in range(2):
        for key_id in ("K99999999999", issued.api_key.id):
            counted.digested = counted.compared = 0
            assert house.credentials.check(format_api_key("psx", key_id, SECRET), house.replica.view()) == UNKNOWN
            assert (counted.digested, counted.compared) == (1, 1)


def test_a_key_that_was_verified_is_remembered(house: House, issued: IssuedKey, counted: _Counted) -> None:
    """It is hashed under its pepper once, also where other facts have changed since."""
    first = house.credentials.check(issued.text, house.replica.view())
    assert house.credentials.check(issued.text, house.replica.view()) is first
    house.key(principal="other")
    house.replica.catch_up()
    assert house.credentials.check(issued.text, house.replica.view()) is first
    assert (counted.digested, counted.compared) == (2, 1)  # the other key's, when it was made


def test_what_is_remembered_is_no_secret(house: House, issued: IssuedKey) -> None:
    """Nothing that it holds on to is, or has in it, the text that was shown, its secret or its checksum."""
    house.credentials.check(issued.text, house.replica.view())
    held = _reachable([house.credentials._known, house.credentials._older])
    assert any(one == issued.api_key.id for one in held)
    for one in held:
        written = one if isinstance(one, bytes) else str(one).encode()
        assert issued.text[16:38].encode() not in written
    assert all(len(mark) == 16 for mark in house.credentials._known)


def _reachable(roots: list[object]) -> list[object]:
    """Everything that these refer to."""
    found, seen = list(roots), set()
    for one in found:
        fields = [getattr(one, name) for name in getattr(one, "__struct_fields__", ())]
        for next_one in [*gc.get_referents(one), *fields]:
            if id(next_one) not in seen and not isinstance(next_one, type):
                seen.add(id(next_one))
                found.append(next_one)
    return found


def test_a_digest_of_one_process_says_nothing_in_another(house: House, issued: IssuedKey) -> None:
    """Each draws a secret of its own for them."""
    marks = set()
    for _ in range(3):
        credentials = Credentials(house.peppers)
        credentials.check(issued.text, house.replica.view())
        marks |= credentials._known.keys()
    assert len(marks) == 3


def test_so_many_keys_are_remembered_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those shown last; all others are verified from their text again."""
    monkeypatch.setattr("policy_service.service.deciding.credentials.REMEMBERED", 3)
    keys = [house.key(principal=f"p{number}") for number in range(10)]
    house.replica.catch_up()
    counted = _Counted(monkeypatch)
    for key in [*keys, *keys]:
        shown = house.credentials.check(key.text, house.replica.view())
        assert shown == Credential("verified", key.api_key.id, 1)
        assert house.credentials.check(key.text, house.replica.view()) is shown
        assert len(house.credentials._known) + len(house.credentials._older) <= 6
    assert counted.digested == 20
    for key in keys[-3:]:
        house.credentials.check(key.text, house.replica.view())
    assert counted.digested == 20


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


class _History:
    """A house with some keys, in which things happen to keys, facts and peppers."""

    def __init__(self) -> None:
        self.house = House(peppers=Peppers("p1", PEPPERS)).furnish()
        self.keys = [self.house.key(principal=f"p{number}") for number in range(3)]
        self.texts = [key.text for key in self.keys]
        self._seen()

    def _seen(self) -> None:
        self.house.replica.catch_up()

    def rotate(self, which: int) -> None:
        """A new secret; the old ones end, and leave the key where there are too many."""
        issued = self.house.admin.rotate_key(OPERATOR, "acme", self.keys[which].api_key.id, grace_s=which * 60)
        self.texts.append(issued.text)
        self._seen()

    def revoke(self, which: int) -> None:
        self.house.admin.revoke_key(OPERATOR, "acme", self.keys[which].api_key.id)
        self._seen()

    def delete(self, which: int) -> None:
        """The principal, and with it its keys."""
        self.house.admin.delete_service_principal(OPERATOR, "acme", f"p{which}", force=True)
        self._seen()

    def change_facts(self, which: int) -> None:
        self.house.key(principal=f"q{which}")
        self._seen()

    def add_pepper(self, which: int) -> None:
        name = f"p{len(self.house.peppers.ids()) + 1}"
        if not self.house.peppers.knows(name) and name not in self.house.peppers.retired:
            self.house.peppers.adopt(self.house.peppers.with_pepper(name, bytes([which]) * 32))

    def retire_pepper(self, which: int) -> None:
        others = [name for name in self.house.peppers.ids() if name != self.house.peppers.current]
        if others:
            self.house.peppers.adopt(self.house.peppers.without_pepper(others[which % len(others)]))

    def other_facts(self, which: int) -> None:
        """The same texts on a snapshot of another store, at whatever revision."""
        other = House().furnish()
        for number in range(which):
            other.key(principal=f"r{number}")
        other.replica.catch_up()
        self.check(other.replica)

    def check(self, replica: Replica) -> None:
        snapshot = replica.view()
        for text in self.texts:
            fresh = _outcome(Credentials(self.house.peppers), text, snapshot)
            assert _outcome(self.house.credentials, text, snapshot) == fresh
            assert _outcome(self.house.credentials, text, snapshot) == fresh


def _outcome(credentials: Credentials, text: str, snapshot: Snapshot) -> Credential | str:
    try:
        return credentials.check(text, snapshot)
    except StoreError as error:
        return error.code


_EVENTS = ("rotate", "revoke", "delete", "change_facts", "add_pepper", "retire_pepper", "other_facts")


@given(st.lists(st.tuples(st.sampled_from(_EVENTS), st.integers(0, 2)), max_size=8))
@settings(max_examples=60)
def test_what_is_remembered_changes_no_answer(events: list[tuple[str, int]]) -> None:
    """Whatever happens to keys, secrets, facts and peppers: as one that remembers nothing answers."""
    history = _History()
    history.check(history.house.replica)
    for event, which in events:
        with suppress(RequestError):  # a key that is gone cannot be rotated
            getattr(history, event)(which)
        history.check(history.house.replica)


def test_a_retired_pepper_ends_what_is_remembered(house: House, issued: IssuedKey) -> None:
    """At once, with no change of the facts."""
    snapshot = house.replica.view()
    assert house.credentials.check(issued.text, snapshot).outcome == "verified"
    house.peppers.adopt(house.peppers.with_pepper("p2", b"2" * 32).without_pepper("p1"))
    assert house.credentials.check(issued.text, snapshot) == UNKNOWN


def test_a_secret_that_was_rotated_out_is_forgotten(house: House, issued: IssuedKey) -> None:
    """Once its slot is gone it is unknown, however often it was shown before."""
    snapshot = house.replica.view()
    outcomes = []
    for _ in range(12):
        house.admin.rotate_key(OPERATOR, "acme", issued.api_key.id, grace_s=0)
        house.replica.catch_up()
        outcomes.append(house.credentials.check(issued.text, snapshot).outcome)
    assert outcomes[0] == "verified"
    assert outcomes[-1] == "unknown"
