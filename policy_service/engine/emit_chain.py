"""The generated `decide`: the checks in the order of the chain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import indent
from typing import Final

from policy_service.engine.emit_rules import emit_context_reader
from policy_service.engine.endings import ALLOWED_ENDING, builtin
from policy_service.engine.naming import Names
from policy_service.language.policy import BuiltinCheck, ConditionCheck, Policy

_REASONS: Final = (
    "workspace_mismatch",
    "unknown_resource",
    "unknown_scope",
    "scope_resource_mismatch",
    "insufficient_scope",
    "role_not_granted",
    "resource_not_allowed",
    "invalid_source_ip",
    "ip_not_allowed",
)

_DENY: Final = re.compile(r"DENY (.+)$", re.MULTILINE)
_DENIAL: Final = r"return Decision(*\1, now, snapshot.revision, BUNDLE, *key.identity)"
"""In the texts below, `DENY ending` stands for the statement that answers with that ending."""

_CREDENTIAL: Final = """\
credential = request.credential
key = snapshot.keys.get(credential.key_id) if credential.outcome == "verified" else None
if key is None or credential.slot not in key.slots:
    return Decision(*CREDENTIAL[credential.outcome], now, snapshot.revision, BUNDLE)
"""
_REVOCATION: Final = """\
grants = key.grants()
refusal = standing(key, credential.slot, now, suspended=grants.suspended)
if refusal is not None:
    DENY REVOCATION[refusal]
"""
_WORKSPACE: Final = """\
resource = request.resource
place = (resource.type, resource.id)
if resource.workspace is not None and resource.workspace != key.workspace_id:
    DENY WORKSPACE_MISMATCH
view = key.workspace.resources.get(place)
if view is None and (resource.workspace is None or resource.type not in ACCEPTS_UNREGISTERED):
    DENY UNKNOWN_RESOURCE
"""
_SCOPE: Final = """\
on = ON.get(request.scope)
if on is None:
    DENY UNKNOWN_SCOPE
if resource.type not in on:
    DENY SCOPE_RESOURCE_MISMATCH
if request.scope not in (key.closure or snapshot.closure_of(key)):
    DENY INSUFFICIENT_SCOPE
"""
_RBAC: Final = """\
if key.is_user and request.scope not in grants.roles_on(place).scopes:
    DENY ROLE_NOT_GRANTED
"""
_IP_ALLOWLIST: Final = """\
if point is WRONG:
    DENY INVALID_SOURCE_IP
for networks in (key.workspace.allowlist, key.networks):
    if networks is not None:
        if point is ABSENT:
            DENY INVALID_SOURCE_IP
        if point not in networks:
            DENY IP_NOT_ALLOWED
"""
_PREPARE: Final = {
    "point": "point = source_point(request.source_ip)\n",
    "context": "context = context_reader.read(request.context)\n",
    "roles": "roles = grants.roles_on(place)\n",
    "owner": "owner = owner_of(view, resource.owner)\n",
}
"""How facts that not every chain needs are made, just before the first check that needs them."""

_BUILTIN: Final = {
    "credential": _CREDENTIAL,
    "revocation": _REVOCATION,
    "workspace": _WORKSPACE,
    "scope": _SCOPE,
    "rbac": _RBAC,
    "ip_allowlist": _IP_ALLOWLIST,
}


def emit_decide(policy: Policy, names: Names) -> str:
    """The text of `decide`, with the constants it names."""
    constants = "".join(f"{reason.upper()} = {builtin(reason)!r}\n" for reason in _REASONS)
    functions = "".join(f"    {t!r}: resource_policy_of_{names.stem(t)},\n" for t in sorted(policy.resources))
    return (
        f"\n# {'-' * 10} the chain\n{emit_context_reader(names)}{constants}ALLOWED = {ALLOWED_ENDING!r}\n"
        f"RESOURCE_POLICIES = {{\n{functions}}}\n\n\n"
        f"def decide(request, snapshot, now):\n{_indent(_DENY.sub(_DENIAL, ''.join(_body(policy, names))))}"
    )


def _body(policy: Policy, names: Names) -> Iterator[str]:
    prepared: set[str] = set()
    for check in policy.chain:
        if isinstance(check, BuiltinCheck):
            title, needs, text = check.name, _builtin_needs(check, names), _builtin(check, names)
        else:
            title, needs = f"condition {check.name!r}", names.condition_parameters(check)
            text = _condition(check, names)
        yield f"# {title}\n"
        for name, line in _PREPARE.items():
            if name in needs and name not in prepared:
                prepared.add(name)
                yield line
        yield text
    yield "return Decision(*ALLOWED, now, snapshot.revision, BUNDLE, *key.identity)\n"


def _builtin_needs(check: BuiltinCheck, names: Names) -> tuple[str, ...]:
    if check.name == "resource_policy":
        return names.shared
    return ("point",) if check.name == "ip_allowlist" else ()


def _builtin(check: BuiltinCheck, names: Names) -> str:
    if check.name != "resource_policy":
        return _BUILTIN[check.name]
    arguments = ", ".join(("request", "key", "view", *names.shared))
    return (
        "resource_policy = RESOURCE_POLICIES.get(resource.type)\n"
        f"ending = resource_policy({arguments}) if resource_policy else RESOURCE_NOT_ALLOWED\n"
        "if ending is not None:\n    DENY ending\n"
    )


def _condition(check: ConditionCheck, names: Names) -> str:
    """The call of a condition check, only for the type it is on."""
    parameters = names.condition_parameters(check)
    text = f"ending = condition_{names.condition_stem(check)}({', '.join(parameters)})\n"
    text += "if ending is not None:\n    DENY ending\n"
    if check.resource_type is None:
        return text
    if "attributes" in parameters:
        stem = names.stem(check.resource_type)
        text = f"attributes = attributes_of_{stem}.read(view, resource.attributes)\n{text}"
    return f"if resource.type == {check.resource_type!r}:\n{_indent(text)}"


def _indent(text: str) -> str:
    return indent(text, "    ")
