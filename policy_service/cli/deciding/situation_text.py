"""A situation and its decision in lines: who, with what, on what, from where, when, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from policy_service.analysis.situation import Situation
from policy_service.model.decision import Decision
from policy_service.model.facts import AllowlistEntry, IpAllowlist, Membership, Resource, RoleBinding, User
from policy_service.model.instants import format_rfc3339

_SHOWN: Final = 6
_LONGEST: Final = 120


def situation_rows(situation: Situation, decision: Decision) -> list[tuple[str, str]]:
    """Name and value, row by row."""
    request = situation.request
    rows = [
        ("key", _key(situation)),
        ("principal", _principal(situation)),
        ("asks for", f"{request.scope} on {request.resource.type}:{request.resource.id}"),
        ("resource", _resource(situation)),
        ("from", "no address" if request.source_ip is None else request.source_ip),
        *((f"context {name}", _value(value)) for name, value in sorted(request.context.items())),
        *(("allowlist", _cidrs(list_.entries)) for list_ in situation.facts if isinstance(list_, IpAllowlist)),
        ("at", format_rfc3339(situation.now)),
        ("decision", decision_text(decision)),
    ]
    return [row for row in rows if row[1]]


def decision_text(decision: Decision) -> str:
    """`allowed`, or the reason with what gave it."""
    if decision.allowed:
        return "allowed"
    by = f" by `{decision.rule}`" if decision.rule else ""
    return f"denied: {decision.reason}{by}"


def _key(situation: Situation) -> str:
    key = situation.key
    if situation.request.credential.outcome != "verified":
        return f"none is shown ({situation.request.credential.outcome})"
    parts = [f"{key.id}, a {key.principal_kind} key", f"scopes {_few(key.scopes)}"]
    parts += [f"CIDRs {', '.join(key.cidrs)}"] if key.cidrs else []
    parts += [f"labels {_value(key.labels)}"] if key.labels else []
    for name in ("not_before", "expires_at", "revoked_at"):
        instant = getattr(key, name)
        parts += [f"{name.replace('_', ' ')} {format_rfc3339(instant)}"] if instant is not None else []
    ends = key.slots[0].expires_at
    return "; ".join([*parts, *([f"its secret ends {format_rfc3339(ends)}"] if ends is not None else [])])


def _principal(situation: Situation) -> str:
    key, facts = situation.key, situation.facts
    if key.principal_kind == "service":
        return f"the service {key.principal_id} of workspace {key.workspace}"
    roles = [fact.role for fact in facts if isinstance(fact, RoleBinding)]
    teams = [fact.team for fact in facts if isinstance(fact, Membership)]
    suspended = any(isinstance(fact, User) and fact.suspended for fact in facts)
    return "; ".join(
        [
            f"the user {key.principal_id} of workspace {key.workspace}",
            f"roles {_few(roles)}",
            f"teams {_few(teams)}",
            *(["suspended"] if suspended else []),
        ]
    )


def _resource(situation: Situation) -> str:
    asked = situation.request.resource
    stored = next((fact for fact in situation.facts if isinstance(fact, Resource)), None)
    parts = ["registered" if stored else "not registered"]
    parts += [f"claimed to be in {asked.workspace}"] if asked.workspace is not None else []
    if stored is not None:
        parts += list(_described(stored.owner, stored.attributes, ""))
    claimed = asked.owner if stored is None else None
    return "; ".join([*parts, *_described(claimed, asked.attributes, ", says the caller")])


def _described(owner: str | None, attributes: dict[str, Any], by: str) -> Iterator[str]:
    if owner is not None:
        yield f"owner {owner}{by}"
    for name, value in sorted(attributes.items()):
        yield f"{name} = {_value(value)}{by}"


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more: a list may be longer than anybody reads."""
    more = len(names) - _SHOWN
    return ", ".join([*names[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]) or "none"


def _value(value: Any) -> str:
    """As JSON, cut where it is long."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(value)} items)"


def _cidrs(entries: tuple[AllowlistEntry, ...]) -> str:
    return ", ".join(entry.cidr for entry in entries) or "on, and empty"


def situation_document(situation: Situation, decision: Decision) -> dict[str, Any]:
    """For programs: everything that decides it, and what was decided."""
    facts = [{"entity": fact.entity, **msgspec.to_builtins(fact)} for fact in situation.facts]
    return {
        "request": msgspec.to_builtins(situation.request),
        "facts": facts,
        "now": format_rfc3339(situation.now),
        "decision": {
            "decision": "allow" if decision.allowed else "deny",
            "reason": decision.reason,
            "check": decision.check,
            "rule": decision.rule,
        },
    }
