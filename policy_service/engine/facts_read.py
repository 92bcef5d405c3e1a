"""What one request meets in one snapshot, for explanations: every value by the path that conditions know it by."""

from __future__ import annotations

import math
from typing import Any

from policy_service.engine.attributes import claimed_value, known_value, owner_of, source_point
from policy_service.engine.key_view import KeyView
from policy_service.engine.snapshot import Snapshot
from policy_service.language.ir import Condition, Type
from policy_service.language.policy import Policy
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX, STANDARD
from policy_service.model.address import address_text
from policy_service.model.instants import MAX_NS, MIN_NS, format_rfc3339
from policy_service.model.request import Request
from policy_service.model.values import ABSENT, WRONG


class Facts:
    """One question, with everything it can look at. The key has been verified."""

    def __init__(self, policy: Policy, snapshot: Snapshot, request: Request, key: KeyView, now: int) -> None:
        self.policy = policy
        self.snapshot = snapshot
        self.request = request
        self.key = key
        self.now = now
        self.grants = key.grants()
        self.place = (request.resource.type, request.resource.id)
        self.view = key.workspace.resources[self.place]
        self.roles = self.grants.roles_on(self.place)
        self.point = source_point(request.source_ip)
        self._values = self._standard() | self._attributes() | self._context()
        self._types = self._declared_types()

    def read(self, path: str) -> object:
        """The value that a condition reads at a path: a run-time value, ABSENT or WRONG."""
        return self._values[path]

    def shown(self, condition: Condition) -> dict[str, Any]:
        """What a condition read, by path, JSON-ready: `{"value": …}`, `{"absent": true}` or `{"wrong_type": true}`."""
        return {path: self._shown(path) for path in sorted(condition.reads())}

    def _shown(self, path: str) -> dict[str, Any]:
        value = self._values[path]
        if value is ABSENT:
            return {"absent": True}
        if value is WRONG:
            return {"wrong_type": True}
        return {"value": jsonable(value, self._types[path])}

    def _standard(self) -> dict[str, object]:
        request, key = self.request, self.key
        return {
            "request.scope": request.scope,
            "request.time": self.now,
            "request.ip": self.point,
            "key.id": key.id,
            "key.kind": key.kind,
            "key.scopes": key.scopes,
            "key.created_at": key.created_at,
            "key.expires_at": key.expires_at,
            "key.labels": key.labels,
            "principal.id": key.principal_id,
            "principal.kind": key.kind,
            "principal.teams": self.grants.teams,
            "principal.roles": self.roles.names,
            "resource.type": request.resource.type,
            "resource.id": request.resource.id,
            "resource.workspace": key.workspace_id,
            "resource.owner": owner_of(self.view, request.resource.owner),
            "workspace.id": key.workspace_id,
        }

    def _attributes(self) -> dict[str, object]:
        resource = self.policy.resources.get(self.request.resource.type)
        stored = self.view.fact.attributes if self.view else {}
        found: dict[str, object] = {}
        for attribute in resource.attributes if resource else ():
            known = known_value(attribute, stored)
            value = claimed_value(attribute, self.request.resource.attributes) if known is None else known
            found[ATTRIBUTE_PREFIX + attribute.name] = value
        return found

    def _context(self) -> dict[str, object]:
        return {
            CONTEXT_PREFIX + attribute.name: claimed_value(attribute, self.request.context)
            for attribute in self.policy.context
        }

    def _declared_types(self) -> dict[str, Type]:
        types = {variable.path: variable.type for variable in STANDARD}
        resource = self.policy.resources.get(self.request.resource.type)
        types |= {ATTRIBUTE_PREFIX + one.name: one.type for one in (resource.attributes if resource else ())}
        return types | {CONTEXT_PREFIX + one.name: one.type for one in self.policy.context}


def jsonable(value: Any, declared: Type) -> Any:
    """A run-time value as JSON shows it: instants in RFC 3339, addresses as text, lists as lists."""
    if declared.kind == "list" and declared.element is not None:
        return [jsonable(item, declared.element) for item in value]
    if declared.kind == "timestamp":
        return instant_text(value)
    if declared.kind == "ip":
        return address_text(value)
    if declared.kind == "double" and not math.isfinite(value):
        return str(value)
    return dict(value) if declared.kind == "map" else value


def instant_text(instant: int | None) -> str | None:
    """RFC 3339 where it has a spelling, else the nanoseconds in digits."""
    if instant is None:
        return None
    return format_rfc3339(instant) if MIN_NS <= instant <= MAX_NS else str(instant)
