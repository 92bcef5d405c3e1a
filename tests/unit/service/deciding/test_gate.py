"""The gate: who is let in, as whom, and with which reason others are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from policy_service.model.errors import RequestError, StoreError
from policy_service.service.caller import Caller, local_caller
from policy_service.service.deciding.gate import Pass
from policy_service.service.peppers import Peppers
from tests.unit.service.house import OPERATOR, House

T = TypeVar("T")
EVALUATE = "decisions:evaluate"


def _admit(
    house: House, text: str | None, scope: str | tuple[str, ...] = EVALUATE, ip: str | None = "192.0.2.1"
) -> Caller:
    house.replica.catch_up()
    return house.gate.admit(text, scope, ip)


def test_a_key_of_the_system_workspace_is_the_operators(house: House) -> None:
    """It covers every workspace."""
    issued = house.key("system", principal="gateway", scopes=(EVALUATE,))
    caller = _admit(house, issued.text)
    assert caller == Caller(
        actor=f"key:{issued.api_key.id}",
        workspace="system",
        is_operator=True,
        scope=EVALUATE,
        key_id=issued.api_key.id,
        principal_kind="service",
        principal_id="gateway",
        slot=1,
    )
    assert caller.covers("acme")


def test_a_key_of_a_tenant_covers_its_own_workspace(house: House) -> None:
    """And no other."""
    caller = _admit(house, house.key(scopes=(EVALUATE,)).text)
    assert (caller.workspace, caller.is_operator) == ("acme", False)
    assert caller.covers("acme")
    assert not caller.covers("zeta")


def test_a_local_command_is_the_operator() -> None:
    """Whoever may read the files may do everything; the change names the user id."""
    caller = local_caller(1000)
    assert (caller.actor, caller.is_operator, caller.key_id) == ("local:1000", True, None)


@pytest.mark.parametrize(
    ("more", "ip", "code", "status"),
    [
        ({"scopes": ("pipelines:read",)}, None, "insufficient_scope", 403),
        ({"scopes": (EVALUATE,), "cidrs": ("203.0.113.0/24",)}, "192.0.2.1", "ip_not_allowed", 403),
        ({"scopes": (EVALUATE,), "cidrs": ("203.0.113.0/24",)}, None, "invalid_source_ip", 403),
        ({"scopes": (EVALUATE,), "not_before": 1 << 62}, None, "key_not_yet_valid", 401),
        ({"scopes": (EVALUATE,), "kind": "user", "principal": "ada"}, None, "role_not_granted", 403),
    ],
)
def test_each_refusal_has_its_reason_and_status(
    house: House, more: dict[str, object], ip: str | None, code: str, status: int
) -> None:
    """The code is the reason of the fixed chain; the details name the scope that was needed."""
    issued = house.key(**more)  # type: ignore[arg-type]  # a table of keyword arguments
    with pytest.raises(RequestError) as raised:
        _admit(house, issued.text, EVALUATE, ip)
    assert (raised.value.code, raised.value.status) == (code, status)
    assert raised.value.details == {"scope": EVALUATE}
    assert raised.value.message[0].islower()
    assert "API" in raised.value.message or "api" not in raised.value.message.lower()


@pytest.mark.parametrize(
    ("text", "code"),
    [(None, "missing_credentials"), ("", "malformed_key"), ("x" * 999, "malformed_key")],
)
def test_nothing_and_nonsense_are_401(house: House, text: str | None, code: str) -> None:
    """Nobody is let in without a key."""
    with pytest.raises(RequestError) as raised:
        _admit(house, text)
    assert (raised.value.code, raised.value.status) == (code, 401)


def test_revoked_expired_and_suspended_callers_are_refused(house: House) -> None:
    """As soon as the snapshot has seen it, or the clock says so."""
    revoked = house.key(scopes=(EVALUATE,))
    house.admin.revoke_key(OPERATOR, "acme", revoked.api_key.id)
    expiring = house.key(scopes=(EVALUATE,), expires_at=house.clock.now() + 1)
    house.clock.advance(1)
    user = house.key(kind="user", principal="ada", scopes=(EVALUATE,))
    house.admin.put_user(OPERATOR, "acme", "ada", suspended=True)
    for issued, code in ((revoked, "revoked_key"), (expiring, "expired_key"), (user, "principal_suspended")):
        with pytest.raises(RequestError) as raised:
            _admit(house, issued.text)
        assert raised.value.code == code


def test_an_allowlist_never_locks_a_caller_out(house: House) -> None:
    """Workspace allowlists guard decisions, not the service."""
    issued = house.key(scopes=(EVALUATE,))
    house.admin.put_allowlist(OPERATOR, "acme", enabled=True)
    assert _admit(house, issued.text).key_id == issued.api_key.id


def test_the_first_of_several_scopes_that_is_held_lets_in(house: House) -> None:
    """The caller tells which one; a refusal tells of the first."""
    issued = house.key(scopes=("keys:own",))
    assert _admit(house, issued.text, ("admin:organization", "keys:own")).scope == "keys:own"
    with pytest.raises(RequestError) as raised:
        _admit(house, issued.text, ("admin:organization", "decisions:read"))
    assert (raised.value.code, raised.value.details) == ("insufficient_scope", {"scope": "admin:organization"})


def test_asking_for_no_scope_at_all_is_a_bug(house: House) -> None:
    """It must not let anybody in."""
    issued = house.key(scopes=("keys:own",))
    with pytest.raises(ValueError, match="at least one scope"):
        _admit(house, issued.text, ())


def test_a_replica_that_stopped_lets_nobody_in(house: House) -> None:
    """503 rather than a caller judged by facts that are known to be wrong."""
    issued = house.key(scopes=(EVALUATE,))
    house.replica.catch_up()
    house.store.changes.append(house.store.changes[0])
    with pytest.raises(StoreError):
        house.replica.catch_up()
    with pytest.raises(StoreError) as raised:
        house.gate.admit(issued.text, EVALUATE, None)
    assert raised.value.code == "store_diverged"


def shown_again(house: House, given: Pass | None, text: str) -> Pass:
    """A key that is shown at this moment, perhaps not for the first time."""
    return house.gate.admit_again(given, text, EVALUATE, None, house.gate.moment())


def test_a_pass_is_good_for_as_long_as_nothing_changes(house: House) -> None:
    """At every moment it lets in whom the gate lets in: through starts, grace, expiry, changes and a clock set back."""
    now = house.clock.now()
    second = 1_000_000_000
    issued = house.key(scopes=(EVALUATE,), not_before=now + 5 * second, expires_at=now + 60 * second)
    rotated = house.key(scopes=(EVALUATE,), principal="other")
    house.admin.rotate_key(OPERATOR, "acme", rotated.api_key.id, grace_s=20)
    house.replica.catch_up()
    given: dict[str, Pass | None] = {issued.text: None, rotated.text: None}
    seen: dict[str, set[bool]] = {text: set() for text in given}
    for moment in (0, 4, 5, 6, 3, 19, 20, 21, 19, 59, 60, 61, 30, 70, 10):
        house.clock.time = now + moment * second
        for text, before in given.items():
            expected = _outcome(lambda text=text: house.gate.admit(text, EVALUATE, None))
            again = _outcome(lambda text=text, before=before: shown_again(house, before, text))
            assert (again.caller if isinstance(again, Pass) else again) == expected
            given[text] = again if isinstance(again, Pass) else before
            seen[text].add(isinstance(again, Pass))
    assert all(found == {True, False} for found in seen.values())


def test_a_pass_ends_with_a_change_that_takes_it_away(house: House) -> None:
    """A revocation; and with peppers that say something else. Any change makes the gate look again."""
    issued = house.key(scopes=(EVALUATE,))
    house.replica.catch_up()
    first = shown_again(house, None, issued.text)
    assert shown_again(house, first, issued.text) is first
    house.admin.put_user(OPERATOR, "acme", "somebody")
    house.replica.catch_up()
    second = shown_again(house, first, issued.text)
    assert second is not first
    assert second.caller == first.caller
    house.admin.revoke_key(OPERATOR, "acme", issued.api_key.id)
    assert shown_again(house, second, issued.text) is second
    house.replica.catch_up()
    with pytest.raises(RequestError) as raised:
        shown_again(house, second, issued.text)
    assert raised.value.code == "revoked_key"


def test_a_pass_ends_with_the_peppers(house: House) -> None:
    """A secret under a pepper that was retired is not accepted for having been once."""
    issued = house.key(scopes=(EVALUATE,))
    house.replica.catch_up()
    given = shown_again(house, None, issued.text)
    house.peppers.adopt(Peppers("p2", {"p2": b"2" * 32}, retired=frozenset({"p1"})))
    with pytest.raises(RequestError) as raised:
        shown_again(house, given, issued.text)
    assert raised.value.code == "unknown_key"


def test_every_use_of_a_pass_is_noted(house: House) -> None:
    """As every use of a key is."""
    issued = house.key(scopes=(EVALUATE,))
    house.replica.catch_up()
    given = shown_again(house, None, issued.text)
    house.clock.advance(7)
    shown_again(house, given, issued.text)
    assert house.uses.take()[issued.api_key.id] == house.clock.now()


def _outcome(attempt: Callable[[], T]) -> T | str:
    """What came of it, or the code of its refusal."""
    try:
        return attempt()
    except RequestError as error:
        return error.code


def test_all_connections_of_a_caller_share_one_object(house: House) -> None:
    """What is written of a caller is written once for all of them; another caller is another one."""
    issued, other = house.key(scopes=(EVALUATE,)), house.key(scopes=(EVALUATE,), principal="other")
    house.replica.catch_up()
    first, second = (shown_again(house, None, issued.text) for _ in range(2))
    assert first.caller is second.caller
    assert shown_again(house, None, other.text).caller != first.caller
