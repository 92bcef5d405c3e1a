"""`keys:own`: a person looks after their own keys, and hands out no more than they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policy_service.service.administration import IssuedKey, NewKey
from policy_service.service.caller import Caller
from tests.fakes import START
from tests.unit.service.house import OPERATOR, House
from tests.unit.service.refusals import refused

SECOND = 1_000_000_000
OWN = "keys:own"
SCOPES = (OWN, "pipelines:run")


def admitted(house: House, text: str) -> Caller:
    """The caller behind a key, as the routes for keys admit it."""
    house.replica.catch_up()
    return house.gate.admit(text, ("admin:organization", OWN), "192.0.2.1")


def own_key(house: House, user: str = "ada", workspace: str = "acme", **more: Any) -> IssuedKey:
    """A key of a user who may keep keys and run pipelines."""
    issued = house.key(workspace, "user", user, **{"scopes": SCOPES, **more})
    bound = house.admin.list_bindings(OPERATOR, workspace, user=user).items
    if not bound:
        house.admin.create_binding(OPERATOR, workspace, "keeper", user=user)
    return issued


def new(user: str = "ada", kind: str = "user", **more: Any) -> NewKey:
    return NewKey(principal_kind=kind, principal_id=user, **{"scopes": ["pipelines:read"], **more})  # type: ignore[arg-type]  # of the two kinds


@pytest.fixture
def ada(house: House) -> Caller:
    """Ada, with `keys:own` and what an operator may."""
    return admitted(house, own_key(house).text)


def test_a_person_issues_rotates_and_revokes_their_own_keys(house: House, ada: Caller) -> None:
    """With no more than their own effective scopes, those that are implied among them."""
    made = house.admin.create_key(ada, "acme", new(scopes=["pipelines:read", OWN], labels={"on": "laptop"}))
    assert made.api_key.principal_id == "ada"
    assert made.written.change is not None
    assert made.written.change.actor == f"key:{ada.key_id}"
    assert house.decide(made.text, scope="pipelines:read").decision.allowed
    rotated = house.admin.rotate_key(ada, "acme", made.api_key.id)
    assert house.decide(made.text, scope="pipelines:read").decision.reason == "expired_key"
    house.admin.revoke_key(ada, "acme", made.api_key.id, reason="lost")
    assert house.decide(rotated.text, scope="pipelines:read").decision.reason == "revoked_key"


def test_a_person_sees_their_own_keys_alone(house: House, ada: Caller) -> None:
    """The list is theirs, whether they name themselves or not."""
    own_key(house, "boris")
    mine = house.admin.get_key(ada, "acme", ada.key_id or "").fact
    assert house.admin.list_keys(ada, "acme").items == (mine,)
    assert house.admin.list_keys(ada, "acme", principal=("user", "ada")).items == (mine,)
    with refused(house, "own_keys_only", 403):
        house.admin.list_keys(ada, "acme", principal=("user", "boris"))
    with refused(house, "own_keys_only", 403):
        house.admin.list_keys(ada, "acme", principal=("service", "ada"))


CALLS: list[Callable[[House, Caller, str], object]] = [
    lambda h, c, key: h.admin.get_key(c, "acme", key),
    lambda h, c, key: h.admin.rotate_key(c, "acme", key),
    lambda h, c, key: h.admin.revoke_key(c, "acme", key),
]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_not_theirs_is_refused_whether_it_is_there_or_not(
    house: House, ada: Caller, call: Callable[[House, Caller, str], object]
) -> None:
    """Another user's key, a service's, another workspace's, none at all: one refusal."""
    theirs = (own_key(house, "boris").api_key.id, house.key().api_key.id, house.key("zeta").api_key.id, "K99999999999")
    for key_id in theirs:
        with refused(house, "own_keys_only", 403):
            call(house, ada, key_id)


@pytest.mark.parametrize(
    "name", [("boris", "user"), ("nobody", "user"), ("ci", "service"), ("ada", "service"), ("n o", "user")]
)
def test_nobody_issues_for_another(house: House, ada: Caller, name: tuple[str, str]) -> None:
    """A colleague, nobody, a program: one refusal, whether there is such a principal or not."""
    own_key(house, "boris")
    house.key()
    with refused(house, "own_keys_only", 403):
        house.admin.create_key(ada, "acme", new(*name))


def test_a_service_issues_no_keys_for_itself(house: House) -> None:
    """`keys:own` is for people."""
    issued = house.key(scopes=SCOPES)
    caller = admitted(house, issued.text)
    with refused(house, "own_keys_only", 403):
        house.admin.create_key(caller, "acme", new("ci", "service"))
    for call in CALLS:
        with refused(house, "own_keys_only", 403):
            call(house, caller, issued.api_key.id)
    with refused(house, "own_keys_only", 403):
        house.admin.list_keys(caller, "acme")


def test_a_namesake_in_another_workspace_is_another(house: House) -> None:
    """A key of `system` covers all workspaces, but `keys:own` is about one person."""
    house.key("acme", "user", "ada")
    caller = admitted(house, own_key(house, workspace="system").text)
    assert caller.is_operator
    with refused(house, "own_keys_only", 403):
        house.admin.create_key(caller, "acme", new())
    with refused(house, "own_keys_only", 403):
        house.admin.list_keys(caller, "acme")
    assert house.admin.create_key(caller, "system", new()).api_key.workspace == "system"


@pytest.mark.parametrize(
    "scopes", [["admin:organization"], ["pipelines:read", "decisions:evaluate"], ["pipelines:fly"], ["keys:*"]]
)
def test_no_scope_beyond_the_presenting_keys(house: House, ada: Caller, scopes: list[str]) -> None:
    """Declared or not: permission is judged before existence."""
    with refused(house, "exceeds_own_key", 403):
        house.admin.create_key(ada, "acme", new(scopes=scopes))


def test_the_presenting_key_counts_not_its_user(house: House) -> None:
    """A key for reading does not make one for running, though its user may run."""
    own_key(house)
    reader = admitted(house, own_key(house, scopes=(OWN, "pipelines:read")).text)
    with refused(house, "exceeds_own_key", 403):
        house.admin.create_key(reader, "acme", new(scopes=["pipelines:run"]))
    assert house.admin.create_key(reader, "acme", new()).api_key.scopes == ("pipelines:read",)


def test_what_the_user_has_lost_is_not_handed_on(house: House) -> None:
    """Effective scopes are those of now; a role on one resource is none over the workspace."""
    issued = house.key("acme", "user", "ada", scopes=SCOPES)
    house.admin.put_resource(OPERATOR, "acme", "pipeline", "etl")
    house.admin.create_binding(OPERATOR, "acme", "operator", user="ada", resource=("pipeline", "etl"))
    keeper = house.admin.create_binding(OPERATOR, "acme", "keeper", user="ada").fact
    assert keeper is not None
    ada = admitted(house, issued.text)
    house.admin.create_key(ada, "acme", new(scopes=["pipelines:run"]))
    house.admin.delete_binding(OPERATOR, "acme", keeper.id)
    with refused(house, "exceeds_own_key", 403):
        house.admin.create_key(ada, "acme", new(scopes=["pipelines:run"]))


def test_a_key_that_ended_since_it_was_let_in_hands_on_nothing(house: House, ada: Caller) -> None:
    """The facts that the new key stands on are those under the lock."""
    house.admin.revoke_key(OPERATOR, "acme", ada.key_id or "")
    with refused(house, "exceeds_own_key", 403):
        house.admin.create_key(ada, "acme", new())


def test_no_time_beyond_the_presenting_keys(house: House) -> None:
    """Equal is no later; no end at all is."""
    ada = admitted(house, own_key(house, expires_at=START + 10 * SECOND).text)
    for end in (None, START + 11 * SECOND):
        with refused(house, "exceeds_own_key", 403):
            house.admin.create_key(ada, "acme", new(expires_at=end))
    assert house.admin.create_key(ada, "acme", new(expires_at=START + 10 * SECOND)).api_key.id


def test_a_secret_in_grace_hands_on_nothing_beyond_its_grace(house: House) -> None:
    """Else whoever stole the old secret would outlive its rotation: by a new key, or by a new secret of the same."""
    issued = own_key(house)
    house.admin.rotate_key(OPERATOR, "acme", issued.api_key.id, grace_s=60)
    old = admitted(house, issued.text)
    with refused(house, "exceeds_own_key", 403):
        house.admin.create_key(old, "acme", new())
    with refused(house, "exceeds_own_key", 403):
        house.admin.rotate_key(old, "acme", issued.api_key.id)
    assert house.admin.create_key(old, "acme", new(expires_at=START + 60 * SECOND)).api_key.id


@pytest.mark.parametrize(
    ("cidrs", "fits"),
    [
        ([], False),
        (["any"], False),
        (["10.0.0.0/7"], False),
        (["192.0.2.0/24", "10.9.0.0/16"], True),
        (["192.0.2.0/24", "198.51.100.0/24"], False),
        (["192.0.2.1"], True),
        (["2001:db8::/33"], True),
        (["2001:db8::/31"], False),
    ],
)
def test_no_address_beyond_the_presenting_keys(house: House, cidrs: list[str], fits: bool) -> None:
    """Every network within its own; none at all would be everywhere."""
    own = ("10.0.0.0/8", "192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32")
    ada = admitted(house, own_key(house, cidrs=own).text)
    if fits:
        assert house.admin.create_key(ada, "acme", new(cidrs=cidrs)).api_key.cidrs
        return
    with refused(house, "exceeds_own_key", 403):
        house.admin.create_key(ada, "acme", new(cidrs=cidrs))


def test_only_keys_that_it_could_have_issued_are_rotated(house: House, ada: Caller) -> None:
    """A new secret of a stronger key would be the stronger key; revoking it is no grant."""
    strong = house.key("acme", "user", "ada", scopes=("admin:organization",)).api_key.id
    with refused(house, "exceeds_own_key", 403):
        house.admin.rotate_key(ada, "acme", strong)
    revoked = house.admin.revoke_key(ada, "acme", strong).fact
    assert revoked is not None
    assert revoked.revoked_at == START


def test_revoking_the_last_key_needs_force(house: House, ada: Caller) -> None:
    """An edit that would end the author's own access."""
    with refused(house, "would_lock_out", 409):
        house.admin.revoke_key(ada, "acme", ada.key_id or "")
    house.admin.revoke_key(ada, "acme", ada.key_id or "", force=True)


def test_an_administrator_is_not_bound_by_it(house: House) -> None:
    """Whoever has both scopes comes in as an administrator."""
    issued = house.key("acme", "user", "root", scopes=("admin:organization", OWN))
    house.admin.create_binding(OPERATOR, "acme", "everything", user="root")
    caller = admitted(house, issued.text)
    own_key(house, "boris")
    assert house.admin.create_key(caller, "acme", new("boris", scopes=["pipelines:run"])).api_key.id
