"""What a key may do of this service itself, on the facts of one transaction: the fixed chain, judged under the lock.

The gate judges a caller on the snapshot, before a plan runs. What a plan would do to its author, and how far a grant
may go, must be judged on the facts that the change will stand on: these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeVar

import msgspec

from policy_service.engine.closures import Closures
from policy_service.engine.grants import grants_from
from policy_service.language.policy import Policy
from policy_service.model.changes import Effect
from policy_service.model.errors import RequestError
from policy_service.model.facts import (
    ENTITIES,
    ApiKey,
    Fact,
    Key,
    Membership,
    RoleBinding,
    ServicePrincipal,
    Team,
    User,
)
from policy_service.service.caller import Caller
from policy_service.service.ports import FactReader

F = TypeVar("F", bound=Fact)

_MATTER: Final = frozenset(entity.entity for entity in (ApiKey, User, ServicePrincipal, Membership, Team, RoleBinding))
"""The entities that access to this service rests on. An allowlist is none of them."""


class After:
    """The facts as they will be once some effects are applied: a FactReader over another one."""

    def __init__(self, reader: FactReader, effects: Iterable[Effect]) -> None:
        self._reader = reader
        self._changed: dict[tuple[str, Key], Fact | None] = {
            (effect.entity, tuple(effect.key)): _fact(effect) for effect in effects
        }

    def get(self, entity: type[F], key: Key) -> F | None:
        """As FactReader says."""
        name = (entity.entity, tuple(key))
        if name not in self._changed:
            return self._reader.get(entity, key)
        fact = self._changed[name]
        return fact if isinstance(fact, entity) else None

    def find(self, entity: type[F], *, after: Key | None = None, limit: int | None = None, **where: object) -> list[F]:
        """As FactReader says."""
        found = {fact.key(): fact for fact in self._reader.find(entity, after=after, limit=None, **where)}
        for (name, key), fact in self._changed.items():
            if name != entity.entity:
                continue
            found.pop(key, None)
            fits = isinstance(fact, entity) and all(getattr(fact, field) == value for field, value in where.items())
            if isinstance(fact, entity) and fits and (after is None or key > after):
                found[key] = fact
        return [found[key] for key in sorted(found)][:limit]

    def present(self, entity: type[Fact], keys: Collection[Key]) -> set[Key]:
        """As FactReader says."""
        return {key for key in keys if self.get(entity, key) is not None}

    def bundle_files(self, digest: str) -> dict[str, str] | None:
        """As FactReader says."""
        return self._reader.bundle_files(digest)


def _fact(effect: Effect) -> Fact | None:
    return None if effect.after is None else msgspec.convert(effect.after, ENTITIES[effect.entity])


def effective_scopes(reader: FactReader, policy: Policy | None, key: ApiKey) -> frozenset[str]:
    """What a key can do for itself: its scopes with all they imply, for a user no more than workspace-wide bindings
    grant. Says nothing about whether the key is valid.

    INVARIANT: the same as the guard finds on a snapshot of these facts (test_access: as the guard judges).
    """
    closures = Closures(policy)
    scopes = closures.scopes(key.scopes)
    if key.principal_kind == "service":
        return scopes
    return scopes & _granted(reader, closures, key.workspace, key.principal_id)


def _granted(reader: FactReader, closures: Closures, workspace: str, user_id: str) -> frozenset[str]:
    user = reader.get(User, (workspace, user_id))
    if user is None:
        return frozenset()
    teams = _teams(reader, workspace, user_id)
    bindings = reader.find(RoleBinding, workspace=workspace, user=user_id)
    for team in teams:
        bindings += reader.find(RoleBinding, workspace=workspace, team=team)
    return grants_from(suspended=user.suspended, teams=teams, bindings=bindings, closures=closures).wide.scopes


def _teams(reader: FactReader, workspace: str, user_id: str) -> frozenset[str]:
    """The teams that a user is in, with all their ancestors."""
    found: set[str] = set()
    waiting = [membership.team for membership in reader.find(Membership, workspace=workspace, user=user_id)]
    while waiting:
        team = reader.get(Team, (workspace, waiting.pop()))
        if team is not None and team.id not in found:
            found.add(team.id)
            waiting += [] if team.parent is None else [team.parent]
    return frozenset(found)


def may_use(reader: FactReader, policy: Policy | None, key_id: str, scope: str) -> bool:
    """Whether a key that is in its time may use a scope of this service, from an address that it may be used from."""
    key = reader.get(ApiKey, (key_id,))
    if key is None or key.revoked_at is not None:
        return False
    user = reader.get(User, (key.workspace, key.principal_id)) if key.principal_kind == "user" else None
    suspended = user is not None and user.suspended
    return not suspended and scope in effective_scopes(reader, policy, key)


def refuse_lock_out(
    reader: FactReader, policy: Callable[[], Policy | None], caller: Caller, effects: Iterable[Effect]
) -> None:
    """Refuse effects after which their author could no longer do what it does now.

    Who came in by a local command holds no key and cannot be locked out.

    Args:
        policy: gives the active one; called only where it matters.

    Raises:
        RequestError: 409 `would_lock_out`.
    """
    touching = [effect for effect in effects if effect.entity in _MATTER]
    if caller.key_id is None or caller.scope is None or not touching:
        return
    active = policy()
    if not may_use(reader, active, caller.key_id, caller.scope):
        return  # it had lost it already, since the gate looked
    if not may_use(After(reader, touching), active, caller.key_id, caller.scope):
        raise RequestError(
            "would_lock_out",
            f"this would end your own access: your key could not use `{caller.scope}` any more; "
            "say `force` if that is meant",
            {"scope": caller.scope},
            status=409,
        )
