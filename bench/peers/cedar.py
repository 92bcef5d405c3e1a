"""Cedar (Rust) through `cedarpy`.

Set-up: the policies and the entities are parsed once, into a `PolicySet` and an `Entities` handle that every call
reuses; the context is given as JSON text, so that no call encodes a dict; no schema, which would be checked in every
call. Keys are principals in users, users in teams, teams in roles, and keys and roles in scopes, so that Cedar's own
hierarchy tells what is granted.

Source: cedarpy's README, "Reusing parsed policies for performance" and "Reusing parsed entities for performance".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from bench.peers.peer import ADDRESSES, FAULTS, SECRETS, limits
from bench.questions import SHARES, Question
from bench.workloads import ACME, NETWORKS, NOW, READ, RUN, TICKETS, Guard, Holder, Rule, World

_GUARDS: Final[dict[Guard, str]] = {
    "locked": 'resource has env && resource.env == "prod" && !(principal in Team::"prod-operators")',
    "tiered": "resource.tier > 3",
}
_CHAIN: Final = f"""
forbid (principal, action, resource) when {{ principal.revoked || principal.suspended }};
forbid (principal, action, resource) when {{ principal has ends && context.now >= principal.ends }};
forbid (principal, action, resource) when {{ principal has starts && context.now < principal.starts }};
forbid (principal, action, resource) when {{ context has workspace && context.workspace != principal.workspace }};
forbid (principal, action, resource) unless {{ resource has name }};
forbid (principal, action == Action::"{RUN}", resource) unless {{ principal in Scope::"{RUN}" }};
forbid (principal, action == Action::"{READ}", resource) unless {{ principal in Scope::"{READ}" }};
forbid (principal, action == Action::"{RUN}", resource) unless {{ principal in Role::"operator" }};
forbid (principal, action == Action::"{READ}", resource) unless {{ principal in Role::"viewer" }};
forbid (principal, action, resource) when {{ principal has network && !context.ip.isInRange(principal.network) }};
forbid (principal, action, resource) unless {{
  {" || ".join(f'context.ip.isInRange(ip("{cidr}"))' for cidr in NETWORKS)}
}};
forbid (principal, action, resource) when {{ context has ticket && !(context.ticket like "{TICKETS}*") }};
"""


class Cedar:
    """`cedarpy.is_authorized` on parsed handles."""

    name: ClassVar[str] = "cedarpy"
    requires: ClassVar[str] = "cedarpy"
    beyond: ClassVar[Mapping[str, str]] = limits(SECRETS, FAULTS, ADDRESSES)

    def __init__(self, world: World) -> None:
        import cedarpy  # noqa: PLC0415 - only where it is asked for

        self._ask = cedarpy.is_authorized
        self._policies = cedarpy.PolicySet.from_str(_CHAIN + "".join(map(_policy, world.policy())))
        self._entities = cedarpy.Entities.from_json_str(json.dumps(list(_entities(world))))

    def prepare(self, question: Question) -> dict[str, Any]:
        request = question.request
        context: dict[str, Any] = {"now": NOW, "ip": {"__extn": {"fn": "ip", "arg": request.source_ip}}}
        context |= {"ticket": request.context["ticket"]} if "ticket" in request.context else {}
        context |= {"workspace": request.resource.workspace} if request.resource.workspace else {}
        return {
            "principal": f'Key::"{request.credential.key_id}"',
            "action": f'Action::"{request.scope}"',
            "resource": f'Pipeline::"{request.resource.id}"',
            "context": json.dumps(context),
        }

    def allows(self, prepared: dict[str, Any]) -> bool:
        allowed: bool = self._ask(prepared, self._policies, self._entities).allowed
        return allowed


class CedarOnePolicy(Cedar):
    """The least that Cedar can be asked: one policy, which permits everything."""

    name: ClassVar[str] = "cedarpy, one policy"
    beyond: ClassVar[Mapping[str, str]] = limits({reason: "permits all" for reason in SHARES if reason != "allowed"})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._policies = type(self._policies).from_str("permit (principal, action, resource);")


def _policy(rule: Rule) -> str:
    """A rule as a policy. A rule on one pipeline names it in the head, where Cedar looks first."""
    effect = "permit" if rule.effect == "allow" else "forbid"
    is_prefix = rule.pattern.endswith("*")
    resource = "resource" if is_prefix else f'resource == Pipeline::"{rule.pattern}"'
    conditions = [f'resource has name && resource.name like "{rule.pattern}"'] if is_prefix else []
    conditions += [_GUARDS[rule.guard]] if rule.guard else []
    when = f" when {{ {' && '.join(conditions)} }}" if conditions else ""
    return f'{effect} (principal, action in [Action::"{READ}", Action::"{RUN}"], {resource}){when};\n'


def _entity(kind: str, id_: str, parents: list[tuple[str, str]] | None = None, /, **attrs: Any) -> dict[str, Any]:
    above = [{"type": type_, "id": parent} for type_, parent in parents or ()]
    return {"uid": {"type": kind, "id": id_}, "attrs": attrs, "parents": above}


def _entities(world: World) -> Iterator[dict[str, Any]]:
    yield _entity("Scope", RUN, [("Scope", READ)])
    yield _entity("Role", "operator", [("Role", "viewer")])
    yield _entity("Team", "engineers", [("Role", "operator")])
    yield _entity("Team", "guests", [("Role", "viewer")])
    yield from (_entity("Team", f"team{number}", [("Team", "engineers")]) for number in range(world.teams))
    yield _entity("Team", "prod-operators", [("Team", "engineers")])
    for pipeline in world.pipelines():
        yield _entity("Pipeline", pipeline.id, name=pipeline.id, **pipeline.attributes)
    users = {holder.principal: holder for holder in world.holders() if holder.team}
    yield from (_entity("User", name, [("Team", str(holder.team))]) for name, holder in users.items())
    yield from map(_key, world.holders())


def _key(holder: Holder) -> dict[str, Any]:
    """A key under its user, or, a service's, under the role that lets it do what its scopes say."""
    above = ("User", holder.principal) if holder.team else ("Role", "operator")
    attrs: dict[str, Any] = {"workspace": ACME, "revoked": holder.revoked, "suspended": holder.suspended}
    attrs |= {"starts": holder.starts} if holder.starts is not None else {}
    attrs |= {"ends": holder.ends} if holder.ends is not None else {}
    attrs |= {"network": {"__extn": {"fn": "ip", "arg": holder.network}}} if holder.network else {}
    return _entity("Key", holder.key, [above, *(("Scope", scope) for scope in holder.scopes)], **attrs)
