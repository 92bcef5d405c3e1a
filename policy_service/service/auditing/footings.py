"""What is kept of the past rests on facts, and which change takes them away.

A decision rests on its program, and where a key was presented on four things: the key, its user's grants, the
workspace's allowlist and the resource. The first three stand or fall together, as the footing of the key; the resource
has one of its own. As long as both stand, nothing under a decision has changed.

A fall is cheap to tell and to ask for: a flag, where else four things would have to be looked up for each record.

INVARIANT: while a footing stands, whatever was derived on it is derived again alike (test_replay: nothing kept;
test_footings: each entity).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from policy_service.engine.key_view import KeyView
from policy_service.model.changes import Effect
from policy_service.model.facts import (
    ActiveBundle,
    ApiKey,
    Bundle,
    IpAllowlist,
    LedgerShard,
    Membership,
    Resource,
    RoleBinding,
    ServicePrincipal,
    ShadowBundle,
    Team,
    User,
    Workspace,
)

_Place = tuple[str, str, str]
"""Workspace, type and id of a resource."""


class Footing:
    """One of the things that a decision rests on.

    Attributes:
        stands: whether it is as it was; once it has fallen, it stays so.
    """

    __slots__ = ("stands",)

    def __init__(self) -> None:
        self.stands = True


FIRM: Final = Footing()
"""Under what rests on no facts: it never falls."""


class Footings:
    """All footings that stand, by what they rest on."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[bytes, Footing]] = {}
        self._places: dict[_Place, Footing] = {}
        self._of_principals: dict[str, dict[str, dict[bytes, Footing]]] = {}

    def add_key(self, footing: Footing, key_id: str, credential: bytes, key: KeyView | None) -> None:
        """What rests on a key, its user and its workspace; one for each credential with that key.

        Args:
            key: None where there is no such key; one may yet come.
        """
        self._keys.setdefault(key_id, {})[credential] = footing
        if key is not None:
            principals = self._of_principals.setdefault(key.workspace_id, {})
            principals.setdefault(key.principal_id, {})[credential] = footing

    def of_place(self, place: _Place) -> Footing:
        """The footing of a resource, registered or not."""
        footing = self._places.get(place)
        if footing is None:
            footing = self._places[place] = Footing()
        return footing

    def upset(self, effects: Iterable[Effect]) -> None:
        """Let fall what these effects change."""
        if self._keys:  # else nothing stands: on a place alone nothing does
            for effect in effects:
                _UPSET.get(effect.entity, Footings._everything)(self, effect)

    def all_fall(self) -> None:
        """Nothing stands any more."""
        for footings in self._keys.values():
            _fall(footings)
        _fall(self._places)
        self._keys.clear()
        self._of_principals.clear()

    def _everything(self, _effect: Effect) -> None:
        self.all_fall()

    def _nothing(self, _effect: Effect) -> None:
        """No decision reads it; and a program that became active is noticed by whoever decides by it."""

    def _allowlist(self, effect: Effect) -> None:
        """One that was off and stays off was never looked at."""
        if any(side.get("enabled") for side in (effect.before, effect.after) if side is not None):
            self._workspace(effect)

    def _workspace(self, effect: Effect) -> None:
        for footings in self._of_principals.pop(effect.key[0], {}).values():
            _fall(footings)

    def _user(self, effect: Effect) -> None:
        """Of a user, or of a membership: the last part of the key of both is the user's id."""
        self._principal(effect.key[0], effect.key[-1])

    def _binding(self, effect: Effect) -> None:
        users = {side.get("user") for side in (effect.before, effect.after) if side is not None}
        for user in users:
            if user is None:  # a team's: who is in it is not known here
                self._workspace(effect)
            else:
                self._principal(effect.key[0], user)

    def _key(self, effect: Effect) -> None:
        (key_id,) = effect.key
        _fall(self._keys.pop(key_id, {}))

    def _resource(self, effect: Effect) -> None:
        workspace, kind, identity = effect.key
        footing = self._places.pop((workspace, kind, identity), None)
        if footing is not None:
            footing.stands = False

    def _principal(self, workspace: str, principal: str) -> None:
        _fall(self._of_principals.get(workspace, {}).pop(principal, {}))


def _fall(footings: dict[Any, Footing]) -> None:
    for footing in footings.values():
        footing.stands = False
    footings.clear()


_UPSET: Final[Mapping[str, Callable[[Footings, Effect], None]]] = {
    ApiKey.entity: Footings._key,
    Resource.entity: Footings._resource,
    User.entity: Footings._user,
    Membership.entity: Footings._user,
    RoleBinding.entity: Footings._binding,
    Team.entity: Footings._workspace,
    IpAllowlist.entity: Footings._allowlist,
    Workspace.entity: Footings._workspace,
    ServicePrincipal.entity: Footings._workspace,
    Bundle.entity: Footings._nothing,
    ActiveBundle.entity: Footings._nothing,
    ShadowBundle.entity: Footings._nothing,
    LedgerShard.entity: Footings._nothing,
}
"""What falls by entity; where one is not named here, everything."""
