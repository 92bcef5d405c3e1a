"""The generated `decide`: the checks in the order of the chain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import indent
from typing import Final

from policy_service.engine.emit_rules import emit_context_reader
from policy_service.engine.endings import ALLOWED_ENDING, Ending, builtin
from policy_service.engine.naming import Names
from policy_service.language.policy import BuiltinCheck, ConditionCheck, Policy

_LEVEL: Final = "    "
_CIRCUMSTANCES: Final = "now, snapshot.revision, BUNDLE, key.id, common.kind, key.principal_id, common.workspace_id"
"""The last seven fields of a Decision, once the key is known."""

_DENY: Final = re.compile(r"^( *)DENY (.+)$", re.MULTILINE)
"""In the texts below `DENY x` stands for the statement that answers with a built-in reason, or with `ending`."""

_CREDENTIAL: Final = """\
credential = request.credential
key = snapshot.keys[credential.key_id] if credential.outcome == "verified" else None
end = None if key is None else key.common.ends.get(credential.slot)
if end is None:
    return Decision(*CREDENTIAL[credential.outcome], now, snapshot.revision, BUNDLE)
"""
_REVOCATION: Final = """\
common = key.common
workspace = common.workspace
if common.is_user:
    grants = workspace.moved.get(key.principal_id, key.standing).grants or key.grants()
else:
    grants = NOBODY
if now >= end or now < common.starts or grants.suspended:
    ending = REVOCATION[standing(key, credential.slot, now, suspended=grants.suspended)]
    DENY ending
"""
_WORKSPACE: Final = """\
resource, scope = request.resource, request.scope
place = (resource.type, resource.id)
if resource.workspace is not None and resource.workspace != common.workspace_id:
    DENY workspace_mismatch
view = workspace.resources[place]
if view is None and (resource.workspace is None or resource.type not in ACCEPTS_UNREGISTERED):
    DENY unknown_resource
"""
_SCOPE: Final = """\
on = ON.get(scope)
if on is None:
    DENY unknown_scope
if resource.type not in on:
    DENY scope_resource_mismatch
if scope not in (common.closure or snapshot.closure_of(key)):
    DENY insufficient_scope
"""
_RBAC: Final = """\
if common.is_user and scope not in roles.scopes:
    DENY role_not_granted
"""
_RESOURCE_POLICY: Final = """\
resource_policy = RESOURCE_POLICIES.get(resource.type)
if resource_policy is None:
    DENY resource_not_allowed
ending = resource_policy(ARGUMENTS)
if ending is not None:
    DENY ending
"""
_IP_ALLOWLIST: Final = """\
allowlist, cidrs = workspace.allowlist, common.networks
if point is WRONG or (point is ABSENT and not (allowlist is None and cidrs is None)):
    DENY invalid_source_ip
if allowlist is not None and not bisect_right(allowlist.bounds, point) % 2:
    DENY ip_not_allowed
if cidrs is not None and not bisect_right(cidrs.bounds, point) % 2:
    DENY ip_not_allowed
"""
_SIGHT: Final = """\
if sight is not None:
    sight.key, sight.view, sight.grants, sight.roles, sight.point = key, view, grants, roles, point
"""
"""Everything that is left behind has a name by then: the seven built-in checks are in every chain."""

_PREPARE: Final = {
    "point": "point = source_point(request.source_ip)\n",
    "context": "context = context_reader.read(request.context)\n",
    "roles": "roles = grants.narrow.get(place, grants.wide) if grants.narrow else grants.wide\n",
    "owner": "owner = owner_of(view, resource.owner)\n",
}
"""How facts that not every chain needs are made, just before the first check that needs them."""

_NEEDS: Final = {"ip_allowlist": ("point",), "rbac": ("roles",)}
"""What built-in checks need; a resource policy needs what its conditions do."""

_BUILTIN: Final = {
    "credential": _CREDENTIAL,
    "revocation": _REVOCATION,
    "workspace": _WORKSPACE,
    "scope": _SCOPE,
    "rbac": _RBAC,
    "resource_policy": _RESOURCE_POLICY,
    "ip_allowlist": _IP_ALLOWLIST,
}


def emit_decide(policy: Policy, names: Names) -> str:
    """The text of `decide`, with the constants it names."""
    functions = "".join(f"    {t!r}: resource_policy_of_{names.stem(t)},\n" for t in sorted(policy.resources))
    body = _DENY.sub(_denial, "".join(_body(policy, names)))
    return (
        f"\n# {'-' * 10} the chain\n{emit_context_reader(names)}RESOURCE_POLICIES = {{\n{functions}}}\n\n\n"
        f"def decide(request, snapshot, now, sight=None):\n{indent(body, _LEVEL)}"
    )


def _denial(match: re.Match[str]) -> str:
    """The statement that a `DENY` line stands for."""
    margin, what = match.groups()
    return indent(_answer("*ending" if what == "ending" else _fields(builtin(what))), margin).rstrip("\n")


def _answer(fields: str) -> str:
    # Positional and spelled out: half the time of unpacking two tuples, on every answer.
    return f"return Decision(\n    {fields},\n    {_CIRCUMSTANCES},\n)\n"


def _fields(ending: Ending) -> str:
    return ", ".join(map(repr, ending))


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
    yield _SIGHT
    yield _answer(_fields(ALLOWED_ENDING))


def _builtin_needs(check: BuiltinCheck, names: Names) -> tuple[str, ...]:
    if check.name == "resource_policy":
        return names.shared
    return _NEEDS.get(check.name, ())


def _builtin(check: BuiltinCheck, names: Names) -> str:
    arguments = ", ".join(("request", "key", "view", *names.shared))
    return _BUILTIN[check.name].replace("ARGUMENTS", arguments)


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
    return f"if resource.type == {check.resource_type!r}:\n{indent(text, _LEVEL)}"
