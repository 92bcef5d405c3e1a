"""Findings in conditions: what they compare, and what they do not read."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

from policy_service.analysis.lint.catalogue import is_broad
from policy_service.analysis.lint.documents import Documents, Within, child, members, name_of
from policy_service.analysis.lint.findings import Findings
from policy_service.language import ir
from policy_service.language.ir import Condition
from policy_service.language.places import Place
from policy_service.language.policy import Attribute, ConditionCheck, Policy
from policy_service.language.report import listed, near_match, quoted
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX
from policy_service.model.address import Network

_KINDS: Final = ("user", "service")
_SIMILAR: Final = 0.72
"""From here on two words look like one mistyped: `prod` and `prd`, not `dev` and `prod`."""


class Placed(msgspec.Struct, frozen=True):
    """A condition and where it stands.

    Args:
        type: the resource type whose attributes it reads; None where it reads none.
    """

    condition: Condition
    place: Place
    type: str | None


class Comparison(msgspec.Struct, frozen=True):
    """A path held against a literal text: `path == "value"`, `path in ["value"]`, `"value" in path`."""

    path: str
    value: str
    offset: int


def placed_conditions(documents: Documents, policy: Policy) -> list[Placed]:
    """Every condition of the policy, in the order chain, then types and rules by name."""
    return [*_of_chain(documents, policy), *_of_rules(documents, policy)]


def _of_chain(documents: Documents, policy: Policy) -> Iterator[Placed]:
    places = documents.by_span("chain.yaml", "chain")
    for check in policy.chain:
        if isinstance(check, ConditionCheck):
            place = places[check.span.line, check.span.column]
            for field, condition in (("when", check.when), ("require", check.require)):
                at = child(place, field)
                if condition is not None and at is not None:
                    yield Placed(condition, at, check.resource_type)


def _of_rules(documents: Documents, policy: Policy) -> Iterator[Placed]:
    for type_, resource in sorted(policy.resources.items()):
        places = documents.by_span(f"resources/{type_}.yaml", "rules")
        for rule in resource.rules:
            at = child(places[rule.span.line, rule.span.column], "when")
            if rule.condition is not None and at is not None:
                yield Placed(rule.condition, at, type_)


def lint_conditions(documents: Documents, policy: Policy, conditions: list[Placed], found: Findings) -> None:
    """Conditions that read nothing, compare with what cannot be, or with what looks mistyped."""
    facts = _values_in_facts(documents, policy)
    uses = Counter(facts)
    uses.update(
        (_scoped(one, comparison.path), comparison.value) for one in conditions for comparison in _compared(one)
    )
    for one in conditions:
        if not any(isinstance(node, ir.Read | ir.Has | ir.HasEntry) for node in ir.walk(one.condition.expr)):
            found.add(
                "constant-condition", "the condition reads nothing, so it is always the same; leave it out", one.place
            )
        for network in _written_out(one.condition, policy):
            if is_broad(network):
                message = f"{quoted(network.text)} is a great part of all addresses; is that meant?"
                found.add("broad-cidr", message, one.place)
        for comparison in _compared(one):
            _lint_comparison(one, comparison, policy, uses, found)


def _written_out(condition: Condition, policy: Policy) -> Iterator[Network]:
    """The CIDRs of `inCidr`; those of `inNetwork` are told where the network is declared."""
    for node in ir.walk(condition.expr):
        if isinstance(node, ir.InNetworks) and node.label not in policy.networks:
            yield from node.networks


def _lint_comparison(
    one: Placed, comparison: Comparison, policy: Policy, uses: Counter[tuple[str, str]], found: Findings
) -> None:
    place = _at(one, comparison)
    possible = _possible(comparison.path, policy)
    if possible is not None and comparison.value not in possible:
        near = near_match(comparison.value, possible)
        hint = f"did you mean {quoted(near)}?" if near else f"known: {listed(possible)}"
        message = f"`{comparison.path}` is never {quoted(comparison.value)}; {hint}"
        found.add("impossible-value", message, place)
    elif possible is None and uses[_scoped(one, comparison.path), comparison.value] == 1:
        near = _similar(comparison.value, _others(uses, _scoped(one, comparison.path)))
        if near is not None:
            message = f"{quoted(comparison.value)} stands nowhere else, but {quoted(near)} does; is it mistyped?"
            found.add("lone-value", message, place)


def _others(uses: Counter[tuple[str, str]], path: str) -> list[str]:
    return [value for other, value in uses if other == path]


def _similar(value: str, known: Collection[str]) -> str | None:
    others = sorted(set(known) - {value})
    return next(iter(difflib.get_close_matches(value, others, n=1, cutoff=_SIMILAR)), None)


def _possible(path: str, policy: Policy) -> Collection[str] | None:
    """All that a path can ever be or hold, where the policy itself settles that."""
    if path in ("key.kind", "principal.kind"):
        return _KINDS
    if path in ("request.scope", "key.scopes"):
        return policy.scopes
    if path == "principal.roles":
        return policy.roles
    if path == "resource.type":
        return {*policy.resources, *(type_ for scope in policy.scopes.values() for type_ in scope.on)}
    return None


def _scoped(one: Placed, path: str) -> str:
    """Attributes of one name on two types are two things."""
    return f"{one.type} {path}" if path.startswith(ATTRIBUTE_PREFIX) else path


def _at(one: Placed, comparison: Comparison) -> Within:
    """The literal."""
    text, start = one.condition.text, comparison.offset
    end = text.find(text[start], start + 1) + 1 if text[start] in "\"'" else start + 1
    return Within(one.place, start, max(end, start + 1), one.place.path)


def _compared(one: Placed) -> Iterator[Comparison]:
    for node in ir.walk(one.condition.expr):
        if isinstance(node, ir.Call) and node.overload in ("equals", "not_equals", "in_list"):
            yield from _of_call(node)


def _of_call(call: ir.Call) -> Iterator[Comparison]:
    reads = [node for node in call.args if isinstance(node, ir.Read)]
    lists = [item for node in call.args if isinstance(node, ir.ListOf) for item in node.items]
    for node in (*call.args, *lists):
        if len(reads) == 1 and isinstance(node, ir.Const) and isinstance(node.value, str):
            yield Comparison(reads[0].path, node.value, node.offset)


def _values_in_facts(documents: Documents, policy: Policy) -> Iterator[tuple[str, str]]:
    """Texts that attributes have by default and in the facts of the tests, and whom those facts name."""
    for type_, resource in policy.resources.items():
        for attribute in resource.attributes:
            yield from ((f"{type_} {ATTRIBUTE_PREFIX}{attribute.name}", text) for text in _texts(attribute.default))
    for root in documents.places("tests/"):
        yield from _in_tests(root)


_NAMED: Final = (("teams", "principal.teams"), ("users", "principal.id"), ("services", "principal.id"))
"""Facts of the tests whose names conditions compare with."""


def _in_tests(place: Place | None) -> Iterator[tuple[str, str]]:
    tests = [item for _, _, value in members(place) for item in _items(value)]
    for holder in (place, *tests):
        facts = child(holder, "facts") if holder is not None else None
        for section in ("resources", "claims"):
            for name, _key, value in members(child(facts, section) if facts else None):
                resource = name if section == "resources" else name_of(child(value, "resource") or value)
                yield from _attribute_texts(resource.partition(":")[0], child(value, "attributes"))
        for section, path in _NAMED:
            for name, _key, _value in members(child(facts, section) if facts else None):
                yield path, name


def _items(place: Place) -> list[Place]:
    return place.items("") or [] if hasattr(place.node, "items") else []


def _attribute_texts(type_: str, place: Place | None) -> Iterator[tuple[str, str]]:
    for name, _key, value in members(place):
        for one in _items(value) or [value]:
            yield f"{type_} {ATTRIBUTE_PREFIX}{name}", name_of(one)


def _texts(default: Any) -> Iterator[str]:
    yield from (one for one in (default if isinstance(default, tuple) else (default,)) if isinstance(one, str))


def lint_unread(documents: Documents, policy: Policy, conditions: list[Placed], found: Findings) -> None:
    """Declared values that no condition reads."""
    read = {_scoped(one, path) for one in conditions for path in one.condition.reads()}
    for type_, resource in sorted(policy.resources.items()):
        file = f"resources/{type_}.yaml"
        keys = {name: key for name, key, _ in documents.members(file, "attributes")}
        _unread(resource.attributes, f"{type_} {ATTRIBUTE_PREFIX}", keys, read, found)
    keys = {name: key for name, key, _ in documents.members("context.yaml", "context")}
    _unread(policy.context, CONTEXT_PREFIX, keys, read, found)


def _unread(
    declared: tuple[Attribute, ...], prefix: str, keys: Mapping[str, Place], read: set[str], found: Findings
) -> None:
    for attribute in declared:
        if f"{prefix}{attribute.name}" not in read:
            path = f"{prefix}{attribute.name}".rpartition(" ")[2]
            message = f"no condition reads `{path}`; use it, or remove the declaration"
            found.add("unused-attribute", message, keys[attribute.name])
