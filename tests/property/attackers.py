"""People with keys who try every use case, on a small random house: what they hold, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.guard import authorize
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import ChangeDraft, chain
from policy_service.model.errors import RequestError
from policy_service.model.facts import ApiKey, RoleBinding
from policy_service.model.names import ADMIN_ORGANIZATION, KEYS_OWN, OWN_SCOPES
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.service.administration import IssuedKey, NewKey
from policy_service.service.caller import Caller, target_workspace
from policy_service.service.effects import put
from tests.unit.service.house import OPERATOR, House

SECOND = 1_000_000_000
WORKSPACES = ("acme", "zeta")
PRINCIPALS = (("user", "ann"), ("user", "ann"), ("user", "bob"), ("service", "ci"))
ROLES = ("viewer", "operator", "keeper", "everything")
PLAIN = ("pipelines:read", "pipelines:run", KEYS_OWN, "decisions:evaluate")
SCOPES = (*PLAIN, ADMIN_ORGANIZATION, "nobody:knows")
CIDRS = ((), (), ("10.0.0.0/8",), ("10.0.0.0/9", "192.0.2.0/24"), ("any",))
RESOURCES = ("etl", "locked-1", "unheard-of")
ADDRESSES = ("10.200.0.1", "10.0.0.1", "192.0.2.9", None)
LATER_S = (0, 25, 45, 90, 100_000)

Draw = Callable[[st.SearchStrategy[Any]], Any]
Keepers = (ADMIN_ORGANIZATION, KEYS_OWN)


class Held(NamedTuple):
    """A secret in somebody's hand."""

    text: str
    key_id: str
    slot: int

    def credential(self) -> Credential:
        return Credential("verified", self.key_id, self.slot)


def held(issued: IssuedKey) -> Held:
    """What whoever reads the answer holds."""
    return Held(issued.text, issued.api_key.id, issued.api_key.slots[-1].number)


def furnish(draw: Draw) -> House:
    """Two workspaces with the same names in them: users, a service, a team, roles here and there."""
    house = House().furnish()
    for workspace in WORKSPACES:
        house.admin.put_resource(OPERATOR, workspace, "pipeline", "etl")
        house.admin.put_service_principal(OPERATOR, workspace, "ci")
        house.admin.put_team(OPERATOR, workspace, "staff")
        for user in ("ann", "bob"):
            house.admin.put_user(OPERATOR, workspace, user)
        for user in draw(st.sets(st.sampled_from(("ann", "bob")))):
            house.admin.add_member(OPERATOR, workspace, "staff", user)
        for role, holder, on in dict.fromkeys((_KEEPER, *draw(st.lists(_BINDINGS, max_size=3)))):
            house.admin.create_binding(OPERATOR, workspace, role, resource=on, **dict([holder]))
    return house


_KEEPER = ("keeper", ("user", "ann"), None)
_BINDINGS = st.tuples(
    st.sampled_from(ROLES),
    st.sampled_from((("user", "ann"), ("user", "bob"), ("team", "staff"))),
    st.sampled_from((None, None, ("pipeline", "etl"))),
)


def new_key(draw: Draw, now: int, scopes: Sequence[str], principal: tuple[Any, str] | None = None) -> NewKey:
    """Any key that could be asked for, for this principal or any."""
    kind, name = principal or draw(st.sampled_from(PRINCIPALS))
    end = draw(st.sampled_from((None, None, 40, 80)))
    return NewKey(
        principal_kind=kind,
        principal_id=name,
        scopes=sorted(draw(st.sets(st.sampled_from(scopes), min_size=1, max_size=3))),
        expires_at=None if end is None else now + end * SECOND,
        cidrs=draw(st.sampled_from(CIDRS)),
    )


def hand_out(house: House, draw: Draw, workspace: str, scopes: Sequence[str]) -> Held:
    """A key from the operator; now and then one that was rotated since, so that its holder has the old secret."""
    new = new_key(draw, house.clock.now(), scopes)
    if new.principal_kind == "user" and draw(st.integers(0, 4)):
        # Else few could look after keys at all, and nothing much would be tried.
        new = msgspec.structs.replace(new, scopes=sorted({*new.scopes, KEYS_OWN}))
    issued = house.admin.create_key(OPERATOR, workspace, new)
    if draw(st.integers(0, 3)) == 0:
        house.admin.rotate_key(OPERATOR, workspace, issued.api_key.id, grace_s=30)
    return held(issued)


def _create(house: House, caller: Caller, workspace: str, draw: Draw) -> IssuedKey:
    own = (caller.principal_kind, caller.principal_id or "") if draw(st.integers(0, 4)) else None
    return house.admin.create_key(caller, workspace, new_key(draw, house.clock.now(), SCOPES, own))


def _rotate(house: House, caller: Caller, workspace: str, draw: Draw) -> IssuedKey:
    return house.admin.rotate_key(caller, workspace, _any_key(house, draw), grace_s=draw(st.sampled_from((0, 50))))


def _revoke(house: House, caller: Caller, workspace: str, draw: Draw) -> None:
    house.admin.revoke_key(caller, workspace, _any_key(house, draw), force=draw(st.booleans()))


def _bind(house: House, caller: Caller, workspace: str, draw: Draw) -> None:
    role, holder, on = draw(_BINDINGS)
    house.admin.create_binding(caller, workspace, role, resource=on, **dict([holder]))


def _unbind(house: House, caller: Caller, workspace: str, draw: Draw) -> None:
    bindings = house.store.read(lambda reader: reader.find(RoleBinding))
    name = draw(st.sampled_from([binding.id for binding in bindings] or ["B00000000000"]))
    house.admin.delete_binding(caller, workspace, name, force=draw(st.booleans()))


def _join(house: House, caller: Caller, workspace: str, draw: Draw) -> None:
    house.admin.add_member(caller, workspace, "staff", draw(st.sampled_from(("ann", "bob"))))


def _put_user(house: House, caller: Caller, workspace: str, draw: Draw) -> None:
    name, suspended = draw(st.sampled_from(("ann", "bob", "eve"))), draw(st.sampled_from((None, False, True)))
    house.admin.put_user(caller, workspace, name, suspended=suspended, force=True)


def _delete_user(house: House, caller: Caller, workspace: str, draw: Draw) -> None:
    house.admin.delete_user(caller, workspace, draw(st.sampled_from(("ann", "bob"))), force=draw(st.booleans()))


def _make_workspace(house: House, caller: Caller, workspace: str, draw: Draw) -> None:
    house.admin.create_workspace(caller, "mine")


def _activate(house: House, caller: Caller, workspace: str, draw: Draw) -> None:
    house.bundles.activate(caller, house.bundles.active() or "")


ATTEMPTS: dict[str, tuple[Callable[[House, Caller, str, Draw], IssuedKey | None], tuple[str, ...]]] = {
    "create": (_create, Keepers),
    "create once more": (_create, Keepers),
    "create again": (_create, Keepers),
    "rotate": (_rotate, Keepers),
    "rotate once more": (_rotate, Keepers),
    "revoke": (_revoke, Keepers),
    "bind": (_bind, Keepers[:1]),
    "unbind": (_unbind, Keepers[:1]),
    "join": (_join, Keepers[:1]),
    "put user": (_put_user, Keepers[:1]),
    "delete user": (_delete_user, Keepers[:1]),
    "make a workspace": (_make_workspace, Keepers[:1]),
    "activate": (_activate, Keepers[:1]),
}
"""Use cases and the scopes of which their routes ask for one."""


def _any_key(house: House, draw: Draw) -> str:
    keys = house.store.read(lambda reader: reader.find(ApiKey))
    return str(draw(st.sampled_from([key.id for key in keys] or ["K99999999999"])))


def attempt(house: House, text: str, what: str, draw: Draw) -> Held | None:
    """Call a use case with a key, as its route would; what came into the caller's hand. A refusal is nothing."""
    work, scopes = ATTEMPTS[what]
    named = draw(st.sampled_from((None,) * 5 + (*WORKSPACES, "system")))
    house.replica.catch_up()
    try:
        caller = house.gate.admit(text, scopes, draw(st.sampled_from(("10.0.0.1",) * 4 + ADDRESSES)))
        issued = work(house, caller, target_workspace(caller, named), draw)
    except RequestError:
        return None
    return None if issued is None else held(issued)


def snapshot_with(house: House, keys: Sequence[ApiKey]) -> Snapshot:
    """The facts as they are, but for these keys, which are as given."""
    snapshot = Snapshot(house.bundles)
    for change in house.store.changes:
        snapshot.apply(change)
    there = {key.id: key for key in house.store.read(lambda reader: reader.find(ApiKey))}
    effects = tuple(put(key, there[key.id]) for key in keys)
    draft = ChangeDraft(action="test.put", workspace=None, subject="test", effects=effects)
    revision = len(house.store.changes) + 1
    snapshot.apply(chain(draft, revision=revision, at=0, actor="local:0", previous_hash=snapshot.chain_hash))
    return snapshot


Deed = tuple[str, str, str, str | None, int]
"""Workspace, scope, resource (or the service itself), address, instant."""


def deeds(snapshot: Snapshot, credential: Credential, now: int) -> Iterator[Deed]:
    """Everything that a secret can do, on these facts, now and later."""
    key = snapshot.api_key(credential.key_id or "")
    for address, later in product(ADDRESSES, LATER_S):
        at = now + later * SECOND
        for scope in OWN_SCOPES:
            if authorize(credential, scope, address, snapshot, at).allowed and key is not None:
                yield key.workspace, scope, "this service", address, later
        for workspace, scope, name in product(WORKSPACES, ("pipelines:read", "pipelines:run"), RESOURCES):
            request = Request(credential, scope, ResourceRef("pipeline", name, workspace), address)
            if decide(request, snapshot, at).allowed:
                yield workspace, scope, name, address, later
