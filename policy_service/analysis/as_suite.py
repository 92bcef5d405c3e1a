"""A situation as a test of rule files: what `policy test` would run, ready to be pasted into policies/tests/.

Strings are written as JSON, which every reader of YAML takes the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from policy_service.analysis.situation import Situation
from policy_service.language.policy import Effect
from policy_service.model.address import Network, parse_network
from policy_service.model.facts import ApiKey, IpAllowlist, Membership, Resource, RoleBinding, Team, User
from policy_service.model.instants import format_rfc3339
from policy_service.model.request import Credential

SCHEMA_LINE = "# yaml-language-server: $schema=../.schemas/tests.schema.json"


def test_file(cases: list[tuple[str, Situation, Effect]]) -> str:
    """A whole test file: name, situation and what ought to be decided of each."""
    tests = "\n".join(test_case(*case) for case in cases)
    return f"{SCHEMA_LINE}\ntests:\n{tests}"


def test_case(name: str, situation: Situation, expected: Effect) -> str:
    """One entry of `tests:`, indented by two. It stands on its own: it names all of its facts."""
    lines = [f"  - name: {_text(name)}", f"    now: {_text(format_rfc3339(situation.now))}", "    facts:"]
    for section, facts in _sections(situation):
        lines.append(f"      {section}:")
        lines += [f"        {_text(key)}: {_text(value)}" for key, value in facts.items()]
    lines += [f"    {field}: {_text(value)}" for field, value in _asked(situation)]
    lines += ["    expect:", f"      - {{ decision: {expected} }}", ""]
    return "\n".join(lines)


test_case.__test__ = False  # type: ignore[attr-defined]  # pytest takes the name for a test
test_file.__test__ = False  # type: ignore[attr-defined]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _sections(situation: Situation) -> Iterator[tuple[str, dict[str, Any]]]:
    """`facts:` section by section, each fact by name."""
    yield from _people(situation)
    key = situation.key
    yield "keys", {key.id: _key(key)}
    registered = [fact for fact in situation.facts if isinstance(fact, Resource)]
    if registered:
        yield "resources", {f"{one.type}:{one.id}": _resource(one) for one in registered}
    yield "claims", {"asked": _claim(situation)}
    lists = [fact for fact in situation.facts if isinstance(fact, IpAllowlist)]
    if lists:
        yield "allowlists", {"list": [_cidr(entry.cidr) for entry in lists[0].entries]}


def _people(situation: Situation) -> Iterator[tuple[str, dict[str, Any]]]:
    key = situation.key
    if key.principal_kind == "service":
        yield "services", {key.principal_id: {"workspace": key.workspace}}
        return
    roles = [fact.role for fact in situation.facts if isinstance(fact, RoleBinding)]
    users = [fact for fact in situation.facts if isinstance(fact, User)]
    yield "users", {one.id: {"workspace": one.workspace, "suspended": one.suspended, "roles": roles} for one in users}
    members = [fact for fact in situation.facts if isinstance(fact, Membership)]
    teams = [fact for fact in situation.facts if isinstance(fact, Team)]
    if teams:
        of_team = {one.id: [member.user for member in members if member.team == one.id] for one in teams}
        yield "teams", {one.id: {"workspace": one.workspace, "members": of_team[one.id]} for one in teams}


def _key(key: ApiKey) -> dict[str, Any]:
    found: dict[str, Any] = {
        "user" if key.principal_kind == "user" else "service": key.principal_id,
        "scopes": list(key.scopes),
        "created_at": format_rfc3339(key.created_at),
    }
    for name in ("not_before", "expires_at", "revoked_at"):
        instant = getattr(key, name)
        if instant is not None:
            found[name] = format_rfc3339(instant)
    if key.cidrs:
        found["cidrs"] = [_cidr(one) for one in key.cidrs]
    return found | ({"labels": key.labels} if key.labels else {})


def _cidr(text: str) -> str:
    network = parse_network(text)
    return network.text if isinstance(network, Network) else text


def _resource(resource: Resource) -> dict[str, Any]:
    found: dict[str, Any] = {"workspace": resource.workspace, "attributes": resource.attributes}
    return found | ({"owner": resource.owner} if resource.owner is not None else {})


def _claim(situation: Situation) -> dict[str, Any]:
    asked = situation.request.resource
    found: dict[str, Any] = {"resource": f"{asked.type}:{asked.id}", "attributes": asked.attributes}
    if asked.workspace is not None:
        found["workspace"] = asked.workspace
    return found | ({"owner": asked.owner} if asked.owner is not None else {})


def _asked(situation: Situation) -> Iterator[tuple[str, Any]]:
    request = situation.request
    yield _who(request.credential, situation.key)
    yield "scopes", request.scope
    yield "resources", "asked"
    yield "addresses", "none" if request.source_ip is None else request.source_ip
    if request.context:
        yield "context", request.context
    if any(isinstance(fact, IpAllowlist) for fact in situation.facts):
        yield "allowlist", "list"


def _who(credential: Credential, key: ApiKey) -> tuple[str, str]:
    return ("keys", key.id) if credential.outcome == "verified" else ("credentials", credential.outcome)
