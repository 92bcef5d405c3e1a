"""A situation out of values by path: the request and the facts under which a condition would read just these.

What cannot be had so (a key that is a user's and a service's at once) comes out otherwise: whoever builds a situation
looks at what it reads in truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policy_service.analysis.concrete import USUAL_NOW, wrong_value
from policy_service.analysis.guesses import Given
from policy_service.analysis.situation import Situation
from policy_service.engine.facts_read import jsonable
from policy_service.language.policy import Attribute, Policy
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX
from policy_service.model.address import address_text
from policy_service.model.facts import (
    ApiKey,
    Fact,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.instants import NS_PER_S
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.model.values import ABSENT, WRONG

_DAY: Final = 86_400 * NS_PER_S
_WORKSPACE: Final = "demo"
_KEY: Final = "witness-key"


def built(policy: Policy, scope: str, type_: str, given: Given) -> Situation:
    """A registered resource, asked for with a good key that carries the scope, and by a user whom a role grants it.

    Args:
        given: all else that is to be so; what is not in it is not there.
    """
    builder = _Builder(policy, scope, type_, given)
    return Situation(builder.request(), tuple(builder.facts()), builder.now)


class _Builder:
    def __init__(self, policy: Policy, scope: str, type_: str, given: Given) -> None:
        self._policy = policy
        self._scope = scope
        self._type = type_
        self._given = given
        self.now = self._known("request.time", USUAL_NOW)
        self._id = self._known("resource.id", "r1")
        wants_user = any(given.get(path) for path in ("principal.teams", "principal.roles"))
        kinds = [given[path] for path in ("principal.kind", "key.kind") if path in given]
        self._is_user = kinds[0] == "user" if kinds else wants_user
        self._principal = self._known("principal.id", "ann" if self._is_user else "ci")

    def _known(self, path: str, otherwise: Any) -> Any:
        found = self._given.get(path, ABSENT)
        return otherwise if found is ABSENT or found is WRONG else found

    def request(self) -> Request:
        point = self._given.get("request.ip", ABSENT)
        address = None if point is ABSENT else "not-an-address" if point is WRONG else address_text(point)  # type: ignore[arg-type]
        credential = Credential("verified", self._key_id(), 1)
        context = self._said(CONTEXT_PREFIX, self._policy.context)
        return Request(credential, self._scope, ResourceRef(self._type, self._id), address, context)

    def _key_id(self) -> str:
        return str(self._known("key.id", _KEY))

    def _said(self, prefix: str, declared: tuple[Attribute, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in declared:
            value = self._given.get(prefix + one.name, ABSENT)
            if value is not ABSENT:
                found[one.name] = wrong_value(str(one.type)) if value is WRONG else jsonable(value, one.type)
        return found

    def facts(self) -> Iterator[Fact]:
        resource = self._policy.resources.get(self._type)
        yield Workspace(id=_WORKSPACE)
        yield from self._of_principal()
        yield self._key()
        yield Resource(
            workspace=_WORKSPACE,
            type=self._type,
            id=self._id,
            owner=self._known("resource.owner", None),
            attributes=self._said(ATTRIBUTE_PREFIX, resource.attributes if resource else ()),
        )

    def _of_principal(self) -> Iterator[Fact]:
        if not self._is_user:
            yield ServicePrincipal(workspace=_WORKSPACE, id=self._principal)
            return
        yield User(workspace=_WORKSPACE, id=self._principal)
        for team in dict.fromkeys(self._known("principal.teams", ())):
            yield Team(workspace=_WORKSPACE, id=team)
            yield Membership(workspace=_WORKSPACE, team=team, user=self._principal)
        for number, role in enumerate(self._roles(), start=1):
            yield RoleBinding(workspace=_WORKSPACE, id=f"binding-{number}", role=role, user=self._principal)

    def _roles(self) -> list[str]:
        """Those that are wanted; besides, where none of them grants the scope, the one that grants least."""
        roles = self._policy.roles
        wanted = [name for name in dict.fromkeys(self._known("principal.roles", ())) if name in roles]
        if any(self._scope in roles[name].closure for name in wanted):
            return wanted
        granting = [name for name, role in sorted(roles.items()) if self._scope in role.closure]
        return [*wanted, *sorted(granting, key=lambda name: len(roles[name].closure))[:1]]

    def _key(self) -> ApiKey:
        created = self._known("key.created_at", min(self.now, USUAL_NOW) - _DAY)
        scopes = [name for name in self._known("key.scopes", ()) if name in self._policy.scopes]
        carrying = any(self._scope in self._policy.scopes[name].closure for name in scopes)
        return ApiKey(
            id=self._key_id(),
            workspace=_WORKSPACE,
            principal_kind="user" if self._is_user else "service",
            principal_id=self._principal,
            scopes=tuple(sorted({*scopes, *(() if carrying else (self._scope,))})),
            slots=(SecretSlot(number=1, pepper_id="p", created_at=created),),
            created_at=created,
            expires_at=self._known("key.expires_at", None),
            labels=self._known("key.labels", {}),
        )
