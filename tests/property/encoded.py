"""The formulas of `analysis.encode`, computed for one real request: every unknown has its value there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import z3

from policy_service.analysis.encode.chain import Chain, ChainEncoder, declared_types, world_of
from policy_service.analysis.encode.lists import Made
from policy_service.analysis.encode.terms import double_value, text_value
from policy_service.analysis.encode.values import Entries, Sequence, Text
from policy_service.analysis.encode.world import OUTCOMES, World
from policy_service.engine.attributes import check_value
from policy_service.engine.facts_read import Facts
from policy_service.engine.snapshot import Snapshot
from policy_service.language.ir import Type
from policy_service.language.policy import Policy
from policy_service.model.address import parse_network
from policy_service.model.facts import IpAllowlist
from policy_service.model.request import Request
from policy_service.model.values import ABSENT, WRONG

_LISTS = {"key.scopes": "key.scopes", "principal.teams": "principal.teams", "key.labels": "key.labels"}


class Ended(msgspec.Struct, frozen=True):
    """How a chain ends by its formulas. `left_open`: a construct without a formula was in it."""

    reason: str
    check: str | None
    rule: str | None
    left_open: bool


class NotRepresentable(Exception):  # noqa: N818 - a world that the formulas do not stand for
    """A list has more different items than the formulas have slots."""


def ended(policy: Policy, request: Request, snapshot: Snapshot, now: int) -> Ended:
    """The ending that the formulas give for a real request; what they say of all facts must hold of these."""
    scope = request.scope if request.scope in policy.scopes else None
    type_ = request.resource.type if request.resource.type in declared_types(policy) else None
    world = world_of([policy], scope, type_)
    chain = ChainEncoder(policy, world, scope, type_).chain()
    well_formed = world.well_formed()
    values = list(Assignment(world, policy, request, snapshot, now).pairs())
    for constraint in well_formed:
        assert _holds(constraint, values), f"a real world is excluded by {constraint}"
    return _ending(chain, values)


def _ending(chain: Chain, values: list[tuple[Any, Any]]) -> Ended:
    for case in chain.cases:
        if _holds(case.when, values):
            return Ended(case.reason, case.check, case.rule, bool(chain.unsupported))
    return Ended("allowed", None, None, bool(chain.unsupported))


def _holds(truth: Any, values: list[tuple[Any, Any]]) -> bool:
    if isinstance(truth, bool):
        return truth
    settled = z3.simplify(z3.substitute(truth, *values))
    if z3.is_true(settled) or z3.is_false(settled):
        return bool(z3.is_true(settled))
    solver = z3.Solver()
    solver.add(settled)
    return bool(solver.check() == z3.sat)


class Assignment:
    """Unknown by unknown, its value."""

    def __init__(self, world: World, policy: Policy, request: Request, snapshot: Snapshot, now: int) -> None:
        self.world, self.policy, self.request, self.snapshot, self.now = world, policy, request, snapshot, now
        key = snapshot.keys.get(request.credential.key_id or "") if request.credential.outcome == "verified" else None
        shown = key is not None and request.credential.slot in key.slots
        self.facts = Facts(policy, snapshot, request, key, now) if key is not None and shown else None
        self._texts: dict[str, str] = {}
        self._other_codes: dict[str, int] = {}

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Every unknown of the world with its value."""
        outcome = "verified" if self.facts else self.request.credential.outcome.replace("verified", "unknown")
        yield self.world.outcome, z3.IntVal(OUTCOMES.index(outcome))
        yield self.world.now, z3.IntVal(self.now)
        yield from self._lists() if self.facts else ()
        yield from self._key() if self.facts else self._nothing()
        yield from self._texts_pairs()
        yield self.world.regions.region, z3.IntVal(self.world.regions.number(self.request.resource.id))

    def _nothing(self) -> Iterator[tuple[Any, Any]]:
        """Without a key, all else is beside the point: any values that hold together."""
        solver = z3.Solver()
        solver.add(*self.world.well_formed(), self.world.now == self.now)
        assert solver.check() == z3.sat
        model = solver.model()
        for declared in model.decls():
            if declared.arity() == 0 and declared.name() not in ("credential", "now"):
                yield declared(), model[declared]

    def _key(self) -> Iterator[tuple[Any, Any]]:
        world, facts = self.world, self.facts
        assert facts is not None
        key = facts.key.fact
        slot = next((one for one in key.slots if one.number == self.request.credential.slot), None)
        grace = slot.expires_at if slot else None
        yield from (
            (world.is_user, z3.BoolVal(key.principal_kind == "user")),
            (world.suspended, z3.BoolVal(facts.grants.suspended)),
            (world.revoked, z3.BoolVal(key.revoked_at is not None)),
            (world.created_at, z3.IntVal(key.created_at)),
            *_optional(world.expires, world.expires_at, key.expires_at),
            *_optional(world.starts, world.not_before, key.not_before),
            *_optional(world.graced, world.grace_ends, grace),
        )
        for name, carried in world.carried.items():
            yield carried, z3.BoolVal(name in key.scopes)
        bindings = facts.key.workspace.bindings_of(facts.key.principal_id) if facts.key.is_user else []
        here = {
            one.role
            for one in bindings
            if one.resource_type is None or (one.resource_type, one.resource_id) == facts.place
        }
        for name in world.roles:
            yield z3.Bool(f"bound to {name}"), z3.BoolVal(name in here)
        yield from self._surroundings(facts)
        yield from self._values(facts)

    def _surroundings(self, facts: Facts) -> Iterator[tuple[Any, Any]]:
        world, claimed = self.world, self.request.resource.workspace
        yield world.registered, z3.BoolVal(facts.view is not None)
        yield world.claims_own, z3.BoolVal(claimed == facts.key.workspace_id)
        yield world.claims_other, z3.BoolVal(claimed is not None and claimed != facts.key.workspace_id)
        yield world.no_address, z3.BoolVal(facts.point is ABSENT)
        yield world.bad_address, z3.BoolVal(facts.point is WRONG)
        yield world.point, z3.IntVal(facts.point if isinstance(facts.point, int) else 0)
        allowlist = self.snapshot.fact(IpAllowlist.entity, (facts.key.workspace_id,))
        entries = [one.cidr for one in allowlist.entries] if isinstance(allowlist, IpAllowlist) else []
        yield world.list_on, z3.BoolVal(isinstance(allowlist, IpAllowlist) and allowlist.enabled)
        yield world.listed, z3.BoolVal(_inside(entries, facts.point))
        yield world.has_cidrs, z3.BoolVal(bool(facts.key.fact.cidrs))
        yield world.in_cidrs, z3.BoolVal(_inside(facts.key.fact.cidrs, facts.point))

    def _values(self, facts: Facts) -> Iterator[tuple[Any, Any]]:
        """Texts of the standard paths, and whatever store and caller say of declared values."""
        owner = facts.read("resource.owner")
        yield z3.Bool("no owner"), z3.BoolVal(owner is ABSENT)
        self._texts["resource.owner"] = owner if isinstance(owner, str) else ""
        for path in ("key.id", "principal.id", "workspace.id", "resource.id", "resource.type", "request.scope"):
            value = facts.read(path)
            assert isinstance(value, str)
            self._texts[path] = value
        for name, raw in self.world.raw.items():
            value, stored = self._said(name.partition(" as ")[0], facts)
            checked = value if value is ABSENT else check_value(value, _type(name))
            yield raw.given, z3.BoolVal(value is not ABSENT)
            yield z3.Bool(f"{name} stored"), z3.BoolVal(stored)
            yield raw.wrong, z3.BoolVal(checked is WRONG)
            if not isinstance(raw.value, Sequence):
                yield from self._scalar(name, _type(name), checked)

    def _said(self, path: str, facts: Facts) -> tuple[Any, bool]:
        """What is said at a path, and whether by the store."""
        name = path.rpartition(".")[2]
        if path.startswith("request.context."):
            return self.request.context.get(name, ABSENT), False
        stored = facts.view.fact.attributes if facts.view else {}
        if name in stored:
            return stored[name], True
        return self.request.resource.attributes.get(name, ABSENT), False

    def _scalar(self, name: str, kind: Type, value: Any) -> Iterator[tuple[Any, Any]]:
        known = value is not ABSENT and value is not WRONG
        if kind.kind == "string":
            self._texts[name] = value if known else ""
        elif kind.kind == "bool":
            yield z3.Bool(name), z3.BoolVal(known and value)
        elif kind.kind == "double":
            yield z3.FP(name, z3.Float64()), double_value(value if known else 0.0)
        else:
            yield z3.Int(name), z3.IntVal(value if known else 0)

    def _lists(self) -> Iterator[tuple[Any, Any]]:
        assert self.facts is not None
        for name, made in self.world.lists_made().items():
            if name in _LISTS:
                value = self.facts.read(name)
                yield from self._entries(made, value) if isinstance(made.value, Entries) else self._names(name, value)
                continue
            said, _ = self._said(name.partition(" as ")[0], self.facts)
            checked = () if said is ABSENT else check_value(said, _type(name))
            yield from self._items(name, made, () if checked is WRONG else checked, _type(name).element)

    def _names(self, path: str, found: Any) -> Iterator[tuple[Any, Any]]:
        usage = self.world.lists.usage(path)
        named = set(usage.constants) - set(self.world.carried if path == "key.scopes" else ())
        for name in named:
            yield z3.Bool(f"{path} has {name}"), z3.BoolVal(name in found)
        known = named | set(self.world.carried if path == "key.scopes" else ())
        others = [name for name in found if name not in known]
        if len(others) > usage.slots and usage.searches:
            raise NotRepresentable
        for number in range(usage.slots):
            self._texts[f"{path} other {number}"] = others[number] if number < len(others) else f"no-{path}{number}"
            yield z3.Bool(f"{path} other {number} there"), z3.BoolVal(number < len(others))
        yield z3.Int(f"{path} fillers"), z3.IntVal(max(0, len(others) - usage.slots))

    def _entries(self, made: Made, found: Any) -> Iterator[tuple[Any, Any]]:
        path, usage = "key.labels", self.world.lists.usage("key.labels")
        for key in made.value.named:
            yield z3.Bool(f"{path} has {key}"), z3.BoolVal(key in found)
            self._texts[f"{path}.{key}"] = found.get(key, "")
        others = [key for key in sorted(found) if key not in made.value.named]
        if len(others) > usage.slots and usage.searches:
            raise NotRepresentable
        for number in range(usage.slots):
            self._texts[f"{path} key {number}"] = others[number] if number < len(others) else f"no-{path}{number}"
            yield z3.Bool(f"{path} key {number} there"), z3.BoolVal(number < len(others))
        yield z3.Int(f"{path} fillers"), z3.IntVal(max(0, len(others) - usage.slots))

    def _items(self, path: str, made: Made, found: Any, element: Any) -> Iterator[tuple[Any, Any]]:
        if made.value.is_bag:
            yield from self._bag(path, found, element)
            return
        places = len(made.value.slots) - 1
        if len(set(found[places:])) > 1:
            raise NotRepresentable
        for number in range(places):
            yield from self._scalar(f"{path} item {number}", element, found[number] if number < len(found) else ABSENT)
            yield z3.Bool(f"{path} has place {number}"), z3.BoolVal(number < len(found))
        yield from self._scalar(f"{path} item {places}", element, found[places] if len(found) > places else ABSENT)
        yield z3.Int(f"{path} times the last"), z3.IntVal(max(0, len(found) - places))

    def _bag(self, path: str, found: Any, element: Any) -> Iterator[tuple[Any, Any]]:
        usage, counted = self.world.lists.usage(path), Counter(found)
        named = usage.constants if element.kind == "string" else set()
        for name in named:
            yield z3.Int(f"{path} times {name}"), z3.IntVal(counted.pop(name, 0))
        others = list(counted.items())
        if len(others) > usage.slots and (usage.searches or element.kind != "string"):
            raise NotRepresentable
        for number in range(usage.slots):
            value, count = others[number] if number < len(others) else (ABSENT, 0)
            if number == usage.slots - 1:
                count += sum(count for _, count in others[usage.slots :])
            yield from self._scalar(f"{path} item {number}", element, value)
            if value is ABSENT:
                self._texts[f"{path} item {number}"] = f"no-{path}{number}"
            yield z3.Int(f"{path} times item {number}"), z3.IntVal(count)

    def _texts_pairs(self) -> Iterator[tuple[Any, Any]]:
        for name, text in self.world.texts.unknown.items():
            value = self._texts.get(name, f"no-{name}")
            if self.facts is None and name not in ("resource.id",):
                continue
            yield from self._text(text, value)

    def _text(self, text: Text, value: str) -> Iterator[tuple[Any, Any]]:
        constants = self.world.texts.constants
        code = constants.get(value)
        if code is None:
            code = self._other_codes.setdefault(value, len(constants) + len(self._other_codes))
        yield text.code, z3.IntVal(code)
        if text.is_string:
            yield text.string, text_value(value)


def _optional(is_there: Any, unknown: Any, value: int | None) -> list[tuple[Any, Any]]:
    return [(is_there, z3.BoolVal(value is not None)), (unknown, z3.IntVal(value or 0))]


def _inside(cidrs: Any, point: object) -> bool:
    return isinstance(point, int) and any(point in parse_network(cidr) for cidr in cidrs)  # type: ignore[operator]


def _type(name: str) -> Type:
    text = name.partition(" as ")[2]
    if text.startswith("list("):
        return Type("list", Type(text[5:-1]))  # type: ignore[arg-type]
    return Type(text)  # type: ignore[arg-type]
