"""A situation as a test of rule files: what `policy test` would run, ready to be pasted into policies/tests/."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from policy_service.analysis.situation import Situation
from policy_service.language.layout import STEP, WIDTH
from policy_service.language.scalars import kind_of
from policy_service.language.suite.additions import SCHEMA_LINE
from policy_service.language.suite.layers import WORKSPACE
from policy_service.language.suite.suite import Expected
from policy_service.model.address import Network, parse_network
from policy_service.model.facts import ApiKey, IpAllowlist, Membership, Resource, RoleBinding, Team, User
from policy_service.model.instants import format_rfc3339

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._/@-]*(?:[: ][A-Za-z0-9._/@-]+)*")
"""Text that needs no quotes as long as it is no other YAML value: no reader takes it for anything else."""


class Named(msgspec.Struct, frozen=True):
    """What of a situation a test only names, for its readers know it already.

    Args:
        who: the field and the name in it, such as `keys` and `ci-key`.
        is_any_key: the situation's principal asks, with a key that has every scope.
        resource: a resource or a claim.
        now: the instant that is decided for where a test does not say.
    """

    who: tuple[str, str] | None = None
    is_any_key: bool = False
    resource: str | None = None
    now: int | None = None


WHOLE: Final = Named()
"""Nothing is only named."""


def suite_file(cases: list[tuple[str, Situation, Expected]]) -> str:
    """A whole test file: name, situation and what ought to be decided of each."""
    return f"{SCHEMA_LINE}\ntests:\n" + "\n".join(suite_entry(*case) for case in cases)


def suite_entry(name: str, situation: Situation, expected: Expected, named: Named = WHOLE) -> str:
    """One entry of `tests:`, indented by two. It stands on its own, but for what is named."""
    fields: dict[str, Any] = {"name": name}
    if situation.now != named.now:
        fields["now"] = format_rfc3339(situation.now)
    lines = list(_block(fields, 2 * STEP))
    facts = dict(_sections(situation, named))
    if facts:
        lines += [f"{' ' * 2 * STEP}facts:", *_block(facts, 3 * STEP)]
    lines += [*_block(dict(_asked(situation, named)), 2 * STEP), *_expect(expected)]
    return "\n".join([f"{' ' * STEP}- {lines[0].lstrip()}", *lines[1:], ""])


def _expect(expected: Expected) -> Iterator[str]:
    said = {"decision": expected.decision, "reason": expected.reason, "rule": expected.rule}
    fields = {name: value for name, value in said.items() if value is not None}
    line = f"{' ' * 3 * STEP}- {_flow(fields)}"
    first, *more = [line] if len(line) <= WIDTH else _block(fields, 4 * STEP)
    return iter((f"{' ' * 2 * STEP}expect:", f"{' ' * 3 * STEP}- {first.lstrip(' -')}", *more))


def _block(fields: Mapping[str, Any], indent: int) -> Iterator[str]:
    """A line for each field, or more where one is not enough."""
    for name, value in fields.items():
        head = f"{' ' * indent}{_text(name)}:"
        line = f"{head} {_flow(value)}"
        if len(line) <= WIDTH or not value or not isinstance(value, dict | list):
            yield line
        elif isinstance(value, dict):
            yield head
            yield from _block(value, indent + STEP)
        else:
            yield head
            yield from (f"{' ' * (indent + STEP)}- {_flow(item)}" for item in value)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_text(name)}: {_flow(one)}' for name, one in value.items())} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    """As it is; or quoted, in the way that needs no escapes if there is one. Every reader of YAML takes it the same."""
    if _PLAIN.fullmatch(text) and kind_of(text) == "text":
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return f"""'{text.replace("'", "''")}'""" if "\\" in quoted and text.isprintable() else quoted


def _one_or_more(names: list[str]) -> Any:
    """A list of one item is written as the item."""
    return names[0] if len(names) == 1 else names


def _sections(situation: Situation, named: Named) -> Iterator[tuple[str, dict[str, Any]]]:
    """`facts:` section by section, each fact by name."""
    if named.who is None:
        yield from _people(situation)
        if not named.is_any_key:
            yield "keys", {situation.key.id: _key(situation.key)}
    if named.resource is None:
        registered = [fact for fact in situation.facts if isinstance(fact, Resource)]
        if registered:
            yield "resources", {f"{one.type}:{one.id}": _resource(one) for one in registered}
        if not _is_known(situation):
            yield "claims", {"asked": _claim(situation)}
    lists = [fact for fact in situation.facts if isinstance(fact, IpAllowlist)]
    if lists:
        yield "allowlists", {"list": [_cidr(entry.cidr) for entry in lists[0].entries]}


def _is_known(situation: Situation) -> bool:
    """Whether the resource is registered and the caller says nothing of it: then its name says all."""
    asked = situation.request.resource
    is_registered = any(
        (fact.type, fact.id) == (asked.type, asked.id) for fact in situation.facts if isinstance(fact, Resource)
    )
    return is_registered and asked.workspace is None and asked.owner is None and not asked.attributes


def _people(situation: Situation) -> Iterator[tuple[str, dict[str, Any]]]:
    key = situation.key
    if key.principal_kind == "service":
        yield "services", {key.principal_id: _placed(key.workspace)}
        return
    roles = [fact.role for fact in situation.facts if isinstance(fact, RoleBinding)]
    users = [fact for fact in situation.facts if isinstance(fact, User)]
    yield "users", {one.id: _user(one, roles) for one in users}
    members = [fact for fact in situation.facts if isinstance(fact, Membership)]
    teams = [fact for fact in situation.facts if isinstance(fact, Team)]
    if teams:
        of_team = {one.id: [member.user for member in members if member.team == one.id] for one in teams}
        yield "teams", {one.id: _placed(one.workspace) | {"members": _one_or_more(of_team[one.id])} for one in teams}


def _placed(workspace: str) -> dict[str, Any]:
    return {} if workspace == WORKSPACE else {"workspace": workspace}


def _user(user: User, roles: list[str]) -> dict[str, Any]:
    found = _placed(user.workspace)
    found |= {"suspended": True} if user.suspended else {}
    return found | ({"roles": _one_or_more(roles)} if roles else {})


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
    found = _placed(resource.workspace)
    found |= {"owner": resource.owner} if resource.owner is not None else {}
    return found | ({"attributes": resource.attributes} if resource.attributes else {})


def _claim(situation: Situation) -> dict[str, Any]:
    asked = situation.request.resource
    found: dict[str, Any] = {"resource": f"{asked.type}:{asked.id}"}
    for name in ("workspace", "owner", "attributes"):
        if getattr(asked, name):
            found[name] = getattr(asked, name)
    return found


def _asked(situation: Situation, named: Named) -> Iterator[tuple[str, Any]]:
    request = situation.request
    yield named.who or _who(situation, named)
    yield "scopes", request.scope
    asked = request.resource
    yield "resources", named.resource or (f"{asked.type}:{asked.id}" if _is_known(situation) else "asked")
    if request.source_ip is not None:
        yield "addresses", request.source_ip
    if request.context:
        yield "context", request.context
    if any(isinstance(fact, IpAllowlist) for fact in situation.facts):
        yield "allowlist", "list"


def _who(situation: Situation, named: Named) -> tuple[str, str]:
    outcome = situation.request.credential.outcome
    if outcome != "verified":
        return "credentials", outcome
    key = situation.key
    return ("principals", key.principal_id) if named.is_any_key else ("keys", key.id)
