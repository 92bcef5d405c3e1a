"""`tests:` of a test file: who × scopes × resources × addresses, and what each combination must come to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product
from typing import Final, cast

import msgspec

from policy_service.language.places import Place
from policy_service.language.policy import Effect
from policy_service.language.report import listed, quoted
from policy_service.language.suite.facts import key_of, read_facts
from policy_service.language.suite.layers import Layer
from policy_service.language.suite.suite import Case, Expected, SuiteTest
from policy_service.language.suite.values import one_or_more, read_instant, read_json
from policy_service.language.suite.vocabulary import FACTS, Vocabulary, named
from policy_service.model.facts import ApiKey, Fact
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential, Request, ResourceRef
from policy_service.model.spans import Span

WHO: Final = ("keys", "principals", "credentials")
AXES: Final = ("scopes", "resources", "addresses")
TEST_FIELDS: Final = ("name", "now", "facts", *WHO, *AXES, "context", "allowlist", "expect")
EXPECT_FIELDS: Final = ("decision", "reason", "rule", *WHO, *AXES)
CREDENTIALS: Final = {"missing": MISSING, "malformed": MALFORMED, "unknown": UNKNOWN}
NO_ADDRESS: Final = "none"
MAX_CASES: Final = 10_000
"""Combinations of one test."""

MAX_NAME: Final = 200
_DECISIONS: Final = ("allow", "deny")
_NOUNS: Final = {"keys": "key", "principals": "principal", "scopes": "scope", "resources": "resource"}

Combination = tuple[str, str, str, str]
"""Who, scope, resource, address, as named."""


class Scope(msgspec.Struct, frozen=True):
    """What a test inherits from its file."""

    now: int | None
    layer: Layer
    policy: Vocabulary


def read_test(place: Place, outer: Scope) -> SuiteTest | None:
    """One test, or None where a mistake leaves nothing to run."""
    fields = place.fields("a test", TEST_FIELDS, ("name", "scopes", "resources", "expect"))
    if fields is None:
        return None
    now = read_instant(fields["now"]) if "now" in fields else outer.now
    if now is None and "now" not in fields:
        place.error(
            "missing-field", "there is no instant to decide for; write `now` here, above, or in tests/facts.yaml"
        )
    layer = read_facts(fields.get("facts"), outer.layer, outer.policy)
    name = _name(fields.get("name"))
    table = _Table(place, fields, layer, outer.policy)
    cases = table.cases()
    if name is None or now is None:
        return None
    return SuiteTest(name, (fields["name"]).span(), now, tuple(table.facts()), cases)


def _name(place: Place | None) -> str | None:
    """A sentence, on one line."""
    text = " ".join((place.text("a sentence that says what holds") or "").split()) if place else ""
    if place and len(text) > MAX_NAME:
        place.error("bad-value", f"the name is longer than {MAX_NAME} characters; shorten it")
    return text or None


class _Table:
    """One test's combinations."""

    def __init__(self, place: Place, fields: dict[str, Place], layer: Layer, policy: Vocabulary) -> None:
        self._place = place
        self._fields = fields
        self._layer = layer
        self._policy = policy
        self._axis_names = (self._who(), *AXES)
        self._axes = [self._axis(axis) for axis in self._axis_names]
        self._allowlist = named(fields.get("allowlist"), layer.allowlists, "allowlist", FACTS)
        context = fields["context"].members("a mapping from names to values") if "context" in fields else None
        self._context = {name: read_json(value) for key, value in context or () if (name := self._declared(key))}

    def facts(self) -> Iterator[Fact]:
        """All that the test stands on."""
        yield from self._layer.facts()
        if self._allowlist is not None:
            yield from self._layer.allowlist(self._allowlist)
        if self._axis_names[0] == "principals":
            yield from map(self._key_of_principal, self._axes[0])

    def cases(self) -> tuple[Case, ...]:
        """Every combination once, in the order of the lists."""
        number = len(self._axes[0]) * len(self._axes[1]) * len(self._axes[2]) * len(self._axes[3])
        expected = self._expectations() if number <= MAX_CASES else {}
        if number > MAX_CASES:
            self._place.error("too-many", f"the test has more than {MAX_CASES} cases; split it")
            return ()
        unlisted = (Expected("deny", is_listed=False), self._place.span())
        return tuple(self._case(one, *expected.get(one, unlisted)) for one in _combinations(self._axes))

    def _case(self, one: Combination, expected: Expected, span: Span) -> Case:
        who, scope, resource, address = one
        request = Request(
            self._credential(who),
            scope,
            self._claim(resource),
            None if address == NO_ADDRESS else address,
            self._context,
        )
        return Case(who, scope, resource, request.source_ip, request, expected, span)

    def _credential(self, who: str) -> Credential:
        if self._axis_names[0] == "credentials":
            return CREDENTIALS[who]
        key = who if self._axis_names[0] == "keys" else self._key_of_principal(who).id
        return Credential("verified", key, 1)

    def _key_of_principal(self, name: str) -> ApiKey:
        """A key with every scope: what the principal could do at most."""
        principal = self._layer.principals()[name]
        return key_of(f"any key of {name}", principal, self._policy.scopes, created_at=0)

    def _claim(self, resource: str) -> ResourceRef:
        type_, colon, identity = resource.partition(":")
        return ResourceRef(type_, identity) if colon else self._layer.claims[resource]

    def _declared(self, key: Place) -> str | None:
        name = key.text("a name of context.yaml")
        if name is not None and name not in self._policy.context:
            hint = key.hint(name, self._policy.context)
            message = f"{quoted(name)} is not declared in context.yaml, so no condition reads it{hint}"
            key.warn("undeclared-attribute", message)
        return name

    def _who(self) -> str:
        """The field that says who asks."""
        given = [field for field in WHO if field in self._fields]
        if len(given) == 1:
            return given[0]
        if not given:
            self._place.error("missing-field", "a test needs one of the fields `keys`, `principals`, `credentials`")
            return WHO[0]
        self._fields[given[1]].error("bad-value", f"there is `{given[0]}` already; make another test of this")
        return given[0]

    def _axis(self, axis: str) -> list[str]:
        if axis == "addresses" and axis not in self._fields:
            return [NO_ADDRESS]
        place = self._fields.get(axis)
        if place is not None and place.is_empty_list():
            place.error("empty-list", f"a test needs at least one item in `{axis}`")
        found: dict[str, None] = {}
        for item in one_or_more(place, f"a list of {axis}"):
            name = self._item(axis, item)
            if name in found:
                item.warn("duplicate-item", f"{quoted(name)} stands in this list already; keep one")
            elif name is not None:
                found[name] = None
        return list(found)

    def _item(self, axis: str, item: Place) -> str | None:
        if axis == "addresses":
            return item.text("an address in quotes, or none")
        if axis == "credentials":
            return item.choice(tuple(CREDENTIALS), "the outcome of a presented credential")
        where = "scopes.yaml" if axis == "scopes" else FACTS
        return named(item, self._known(axis), _NOUNS[axis], where)

    def _known(self, axis: str) -> Collection[str]:
        if axis == "scopes":
            return self._policy.scopes
        if axis == "resources":
            return {**self._layer.resources, **self._layer.claims}
        return self._layer.keys if axis == "keys" else self._layer.principals()

    def _expectations(self) -> dict[Combination, tuple[Expected, Span]]:
        """Each combination that an `expect` entry is about. None may be about what another one is about."""
        found: dict[Combination, tuple[Expected, Span]] = {}
        place = self._fields.get("expect")
        for item in place.items("a list of expectations") or [] if place else []:
            fields = item.fields("an expectation", EXPECT_FIELDS, ("decision",)) or {}
            expected, about = self._expected(fields), self._about(fields)
            twice = next((one for one in about if one in found), None)
            if twice is not None:
                line = found[twice][1].line
                message = f"line {line} says already what `{' · '.join(twice)}` must come to; narrow one of the two"
                item.error("expected-twice", message)
            elif expected is not None:
                found |= dict.fromkeys(about, (expected, item.span()))
        return found

    def _expected(self, fields: dict[str, Place]) -> Expected | None:
        decision = fields["decision"].choice(_DECISIONS, "a decision") if "decision" in fields else None
        reason = named(fields.get("reason"), self._policy.reasons, "reason", "the policy")
        rule = named(fields.get("rule"), self._policy.rules, "rule", "the policy as a deny rule or condition")
        if decision == "allow" and (reason or rule):
            fields["reason" if reason else "rule"].error("reason-on-allow", "what is allowed has no reason and no rule")
        return None if decision is None else Expected(cast(Effect, decision), reason, rule)

    def _about(self, fields: dict[str, Place]) -> list[Combination]:
        """The combinations that an entry selects; a list that it leaves out means all."""
        selected = []
        for axis, values in zip(self._axis_names, self._axes, strict=True):
            selected.append(self._selected(axis, fields[axis], values) if axis in fields else values)
        for axis in WHO:
            if axis in fields and axis != self._axis_names[0]:
                fields[axis].error("outside-test", f"this test is about `{self._axis_names[0]}`, not `{axis}`")
        return _combinations(selected)

    def _selected(self, axis: str, place: Place, values: list[str]) -> list[str]:
        found = []
        for item in one_or_more(place, f"a list of {axis}"):
            name = item.text(f"one of the test's {axis}")
            if name in values:
                found.append(name)
            elif name is not None:
                message = f"{quoted(name)} is not among the `{axis}` of this test, {listed(values)}"
                item.error("outside-test", message)
        return found


def _combinations(axes: list[list[str]]) -> list[Combination]:
    """In the order of the lists, the last one fastest."""
    who, scopes, resources, addresses = axes
    return list(product(who, scopes, resources, addresses))
