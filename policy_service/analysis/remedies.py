"""Single changes that may help a denied request, by who can make them. None is believed: each is decided again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import msgspec

from policy_service.analysis.situation import Situation
from policy_service.language.ir import Condition, Const, walk
from policy_service.language.policy import BuiltinCheck, ConditionCheck, Policy, ResourcePolicy, Rule
from policy_service.model.address import Network, address_text, parse_network
from policy_service.model.decision import Decision
from policy_service.model.facts import (
    AllowlistEntry,
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    Team,
    User,
)
from policy_service.model.spans import Span

Who = Literal["caller", "administrator", "author"]


class Case(msgspec.Struct, frozen=True):
    """What is asked, and the policy that decides."""

    situation: Situation
    policy: Policy


class Step(msgspec.Struct, frozen=True):
    """One change, as an imperative, and what is asked then."""

    text: str
    case: Case


def of_caller(case: Case, decision: Decision) -> Iterator[Step]:
    """Another address, scope, workspace or claim."""
    request, key = case.situation.request, case.situation.key
    if decision.check == "ip_allowlist":
        for network in _networks(case.situation):
            yield _asked(case, f"ask from {address_text(network.first)}", source_ip=address_text(network.first))
    if decision.reason in ("workspace_mismatch", "unknown_resource"):
        claimed = msgspec.structs.replace(request.resource, workspace=key.workspace)
        yield _asked(case, f"name the workspace {key.workspace} in the request", resource=claimed)
    for scope in sorted(_carried(case)):
        if scope != request.scope and request.resource.type in case.policy.scopes[scope].on:
            yield _asked(case, f"ask for {scope} instead", scope=scope)
    for name, value in _told_values(case, decision, "request.context."):
        claims = {**request.context, name: value}
        yield _asked(case, f"tell {name} = {_json(value)} in the context", context=claims)


def of_administrator(case: Case, decision: Decision) -> Iterator[Step]:
    """Keys, roles, teams, resources, allowlists."""
    yield from _ADMINISTRATOR.get(decision.reason, _of_facts)(case, decision)


def of_author(case: Case, decision: Decision) -> Iterator[Step]:
    """Rules and conditions."""
    policy, request = case.policy, case.situation.request
    resource = policy.resources.get(request.resource.type)
    if decision.check == "condition":
        chain = tuple(one for one in policy.chain if isinstance(one, BuiltinCheck) or one.name != decision.rule)
        yield _decided_by(
            case, f"take the condition `{decision.rule}` out", msgspec.structs.replace(policy, chain=chain)
        )
    if resource is not None and decision.check == "resource_policy":
        yield from _other_rules(case, resource, decision)


def _other_rules(case: Case, resource: ResourcePolicy, decision: Decision) -> Iterator[Step]:
    scope = case.situation.request.scope
    if decision.rule is not None:
        rules = tuple(rule for rule in resource.rules if rule.name != decision.rule)
        yield _with_rules(case, f"take the rule `{decision.rule}` out", resource, rules)
    else:
        allow = Rule("what-is-missing", "allow", frozenset({scope}), None, None, None, None, Span(""))
        yield _with_rules(case, f"add a rule that allows {scope}", resource, (*resource.rules, allow))


def _with_rules(case: Case, text: str, resource: ResourcePolicy, rules: tuple[Rule, ...]) -> Step:
    resources = {**case.policy.resources, resource.type: msgspec.structs.replace(resource, rules=rules)}
    return _decided_by(case, text, msgspec.structs.replace(case.policy, resources=resources))


def _of_key(case: Case, _: Decision) -> Iterator[Step]:
    key = case.situation.key
    slots = tuple(msgspec.structs.replace(slot, expires_at=None) for slot in key.slots)
    fresh = msgspec.structs.replace(key, revoked_at=None, expires_at=None, not_before=None, slots=slots)
    yield _with(case, f"issue {key.principal_id} a new key like {key.id}", key, fresh)


def _of_user(case: Case, _: Decision) -> Iterator[Step]:
    for user in _facts(case, User):
        if user.id == case.situation.key.principal_id:
            yield _with(case, f"lift the suspension of {user.id}", user, msgspec.structs.replace(user, suspended=False))


def _of_registration(case: Case, _: Decision) -> Iterator[Step]:
    asked, key = case.situation.request.resource, case.situation.key
    made = Resource(workspace=key.workspace, type=asked.type, id=asked.id, attributes=asked.attributes)
    yield _with(case, f"register {asked.type}:{asked.id} in {key.workspace}", None, made)


def _of_scope(case: Case, _: Decision) -> Iterator[Step]:
    key, wanted = case.situation.key, case.situation.request.scope
    for name, scope in sorted(case.policy.scopes.items(), key=lambda one: (len(one[1].closure), one[0])):
        if wanted in scope.closure:
            more = msgspec.structs.replace(key, scopes=tuple(sorted({*key.scopes, name})))
            yield _with(case, f"issue a key with the scope {name}", key, more)


def _of_role(case: Case, _: Decision) -> Iterator[Step]:
    key, wanted = case.situation.key, case.situation.request.scope
    for name, role in sorted(case.policy.roles.items(), key=lambda one: (len(one[1].closure), one[0])):
        if wanted in role.closure:
            made = RoleBinding(workspace=key.workspace, id=f"why-not-{name}", role=name, user=key.principal_id)
            yield _with(case, f"give {key.principal_id} the role {name}", None, made)


def _of_address(case: Case, _: Decision) -> Iterator[Step]:
    key, address = case.situation.key, case.situation.request.source_ip
    network = None if address is None else parse_network(address)
    if not isinstance(network, Network):
        return
    for found in _facts(case, IpAllowlist):
        entries = (*found.entries, AllowlistEntry(cidr=network.text))
        yield _with(case, f"put {address} on the allowlist", found, msgspec.structs.replace(found, entries=entries))
    if key.cidrs:
        wider = msgspec.structs.replace(key, cidrs=(*key.cidrs, network.text))
        yield _with(case, f"issue a key whose CIDRs hold {address}", key, wider)


def _of_facts(case: Case, decision: Decision) -> Iterator[Step]:
    """What rules look at: teams, the owner, attributes."""
    key = case.situation.key
    conditions = _conditions(case, decision)
    if key.principal_kind == "user" and any("principal.teams" in one.reads() for one in conditions):
        for team in texts_in(conditions):
            known = any(fact.id == team for fact in _facts(case, Team))
            # A team that is there keeps its parent, whose bindings a member has as well.
            facts = () if known else (Team(workspace=key.workspace, id=team),)
            yield _with(case, f"put {key.principal_id} into the team {team}", None, *facts, _member(key, team))
    for resource in _facts(case, Resource):
        if any("resource.owner" in one.reads() for one in conditions):
            owned = msgspec.structs.replace(resource, owner=key.principal_id)
            yield _with(case, f"make {key.principal_id} the owner of {resource.type}:{resource.id}", resource, owned)
        for name, value in _told_values(case, decision, "resource.attr."):
            changed = msgspec.structs.replace(resource, attributes={**resource.attributes, name: value})
            yield _with(case, f"set {name} = {_json(value)} on {resource.type}:{resource.id}", resource, changed)


def _member(key: ApiKey, team: str) -> Membership:
    return Membership(workspace=key.workspace, team=team, user=key.principal_id)


_ADMINISTRATOR: Final[dict[str, Callable[[Case, Decision], Iterator[Step]]]] = {
    "revoked_key": _of_key,
    "expired_key": _of_key,
    "key_not_yet_valid": _of_key,
    "principal_suspended": _of_user,
    "unknown_resource": _of_registration,
    "insufficient_scope": _of_scope,
    "role_not_granted": _of_role,
    "invalid_source_ip": _of_address,
    "ip_not_allowed": _of_address,
}


def _asked(case: Case, text: str, **changes: Any) -> Step:
    request = msgspec.structs.replace(case.situation.request, **changes)
    return Step(text, msgspec.structs.replace(case, situation=msgspec.structs.replace(case.situation, request=request)))


def _with(case: Case, text: str, before: Fact | None, *after: Fact) -> Step:
    """The same question with one fact replaced, or new ones."""
    new = {(fact.entity, fact.key()) for fact in after}
    kept = [fact for fact in case.situation.facts if fact is not before and (fact.entity, fact.key()) not in new]
    situation = msgspec.structs.replace(case.situation, facts=(*kept, *after))
    return Step(text, msgspec.structs.replace(case, situation=situation))


def _decided_by(case: Case, text: str, policy: Policy) -> Step:
    return Step(text, msgspec.structs.replace(case, policy=policy))


def _facts(case: Case, kind: Any) -> list[Any]:
    """Facts of the key's workspace; of resources the one that is asked for."""
    key, asked = case.situation.key, case.situation.request.resource
    found = [fact for fact in case.situation.facts if isinstance(fact, kind) and fact.workspace == key.workspace]
    return [one for one in found if kind is not Resource or (one.type, one.id) == (asked.type, asked.id)]


def _networks(situation: Situation) -> list[Network]:
    entries = [
        one.cidr for fact in situation.facts if isinstance(fact, IpAllowlist) and fact.enabled for one in fact.entries
    ]
    parsed = [parse_network(text) for text in (*entries, *situation.key.cidrs)]
    return sorted({one for one in parsed if isinstance(one, Network)}, key=lambda one: -one.first)


def _carried(case: Case) -> set[str]:
    scopes = case.policy.scopes
    return {name for own in case.situation.key.scopes if own in scopes for name in scopes[own].closure}


def _conditions(case: Case, decision: Decision) -> list[Condition]:
    """Those that could have decided otherwise: of the rule that denied, or of all that allow."""
    resource = case.policy.resources.get(case.situation.request.resource.type)
    rules = resource.rules if resource else ()
    named = [rule.condition for rule in rules if rule.name == decision.rule or decision.rule is None]
    checks = [one for one in case.policy.chain if isinstance(one, ConditionCheck) and one.name == decision.rule]
    return [one for one in (*named, *(check.require for check in checks)) if one is not None]


def texts_in(conditions: list[Condition]) -> list[str]:
    """The texts that stand in conditions."""
    nodes = (node for one in conditions for node in walk(one.expr))
    return sorted({node.value for node in nodes if isinstance(node, Const) and isinstance(node.value, str)})


def _told_values(case: Case, decision: Decision, prefix: str) -> Iterator[tuple[str, Any]]:
    """Values worth trying for what these conditions read below a path: constants that stand in them, and others."""
    conditions = _conditions(case, decision)
    read = {path for one in conditions for path in one.reads() if path.startswith(prefix)}
    resource = case.policy.resources.get(case.situation.request.resource.type)
    attributes = case.policy.context if prefix == "request.context." else resource.attributes if resource else ()
    for attribute in attributes:
        if prefix + attribute.name in read:
            yield from ((attribute.name, value) for value in _worth_trying(attribute.type.kind, conditions))


def _worth_trying(kind: str, conditions: list[Condition]) -> list[Any]:
    if kind == "bool":
        return [False, True]
    if kind == "string":
        return [*texts_in(conditions), "any"]
    return [[]] if kind == "list" else []


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
