"""A condition as two formulas: when it is satisfied, and when it faults.

Follows the interpreter (`engine.conditions.evaluate`) node by node. What has no formula becomes a `Gap`, which names
it: whoever uses the condition must then take its outcome for open, never for settled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
import z3

from policy_service.analysis.encode import functions
from policy_service.analysis.encode.patterns import occurs
from policy_service.analysis.encode.terms import (
    Truth,
    Unsupported,
    both,
    choose,
    either,
    no,
    some,
    total,
)
from policy_service.analysis.encode.values import Choice, Entries, Sequence, Slot, Text, is_known, lift, merge, sequence
from policy_service.engine.conditions.patterns import searcher
from policy_service.engine.conditions.runtime import ITERATION_BUDGET
from policy_service.language import ir


class State(msgspec.Struct, frozen=True):
    """What stands at a path: nothing, something of a wrong type, or a value."""

    absent: Truth
    wrong: Truth
    value: Any


class Outcome(msgspec.Struct, frozen=True):
    """What a condition comes to. Satisfied and faulting exclude each other."""

    satisfied: Truth
    fault: Truth

    @property
    def unsatisfied(self) -> Truth:
        return both(no(self.satisfied), no(self.fault))


class Gap(msgspec.Struct, frozen=True):
    """A construct that has no formula, and where it stands in the condition's text."""

    construct: str
    offset: int


class Reader(Protocol):
    """Where conditions read."""

    def read(self, path: str) -> State: ...


class Value(msgspec.Struct, frozen=True):
    """A value, and when there is none."""

    value: Any
    fault: Truth = False


ALWAYS: Final = Outcome(True, False)


def encode(condition: ir.Condition | None, reader: Reader) -> Outcome | Gap:
    """The formulas of a condition (None: always satisfied), or what of it has none.

    Cost: about 20 µs a node.
    """
    if condition is None:
        return ALWAYS
    encoder = _Encoder(reader)
    try:
        result = encoder.value(condition.expr)
        overspent = encoder.overspent()
    except Unsupported as missing:
        return Gap(missing.construct, missing.offset)
    return Outcome(both(_truth(result.value), no(result.fault), no(overspent)), either(result.fault, overspent))


def _truth(value: Any) -> Truth:
    return lift(value, ir.BOOL) if isinstance(value, Choice) else value


class _Encoder:
    """One condition. `_reached` is when the node at hand is evaluated at all: only then do its macros take steps."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._locals: dict[str, Any] = {}
        self._reached: Truth = True
        self._steps: list[tuple[Truth, Any]] = []
        self._open_ranges = 0

    def value(self, node: ir.Expr) -> Value:
        try:
            return _RULES[type(node)](self, node)
        except Unsupported as missing:
            if missing.offset < 0:
                missing.offset = node.offset
            raise

    def overspent(self) -> Truth:
        """When the macros take more steps than the budget."""
        if sum(size for _, size in self._steps if isinstance(size, int)) <= ITERATION_BUDGET and all(
            isinstance(size, int) for _, size in self._steps
        ):
            return False
        return total(_weighed(reached, size) for reached, size in self._steps) > ITERATION_BUDGET

    def const(self, node: ir.Const) -> Value:
        return Value(node.value)

    def read(self, node: ir.Read) -> Value:
        state = self._reader.read(node.path)
        return Value(state.value, either(state.absent, state.wrong))

    def has(self, node: ir.Has) -> Value:
        return Value(no(self._reader.read(node.path).absent))

    def has_entry(self, node: ir.HasEntry) -> Value:
        operand = self.value(node.operand)
        return Value(functions.has_entry(operand.value, node.key), operand.fault)

    def local(self, node: ir.Local) -> Value:
        return Value(self._locals[node.name])

    def negation(self, node: ir.Not) -> Value:
        operand = self.value(node.operand)
        return Value(no(_truth(operand.value)), operand.fault)

    def conjunction(self, node: ir.And) -> Value:
        left = self.value(node.left)
        left_false = both(no(left.fault), no(_truth(left.value)))
        right = self._under(no(left_false), node.right)
        right_false = both(no(right.fault), no(_truth(right.value)))
        is_false = either(left_false, right_false)
        return Value(no(is_false), both(either(left.fault, right.fault), no(is_false)))

    def disjunction(self, node: ir.Or) -> Value:
        left = self.value(node.left)
        left_true = both(no(left.fault), _truth(left.value))
        right = self._under(no(left_true), node.right)
        is_true = either(left_true, both(no(right.fault), _truth(right.value)))
        return Value(is_true, both(either(left.fault, right.fault), no(is_true)))

    def _under(self, test: Truth, node: ir.Expr) -> Value:
        """A node that is evaluated only where `test` holds as well."""
        before = self._reached
        self._reached = both(before, test)
        result = self.value(node)
        self._reached = before
        return result

    def conditional(self, node: ir.Conditional) -> Value:
        test = self.value(node.test)
        holds = _truth(test.value)
        then = self._under(both(no(test.fault), holds), node.then)
        otherwise = self._under(both(no(test.fault), no(holds)), node.otherwise)
        fault = either(test.fault, choose(holds, then.fault, otherwise.fault))
        if isinstance(holds, bool):
            return Value((then if holds else otherwise).value, fault)
        if isinstance(then.value, Sequence | Entries) or isinstance(otherwise.value, Sequence | Entries):
            raise Unsupported("a choice between lists or maps")
        return Value(merge([(holds, then.value), (no(holds), otherwise.value)], node.type), fault)

    def call(self, node: ir.Call) -> Value:
        args = [self.value(arg) for arg in node.args]
        value, fault = functions.apply(node, [arg.value for arg in args])
        return Value(value, either(*(arg.fault for arg in args), fault))

    def list_of(self, node: ir.ListOf) -> Value:
        items = [self.value(item) for item in node.items]
        values = tuple(item.value for item in items)
        known = values if is_known(values) else Sequence(tuple(Slot(True, value) for value in values))
        return Value(known, some(item.fault for item in items))

    def matches(self, node: ir.Matches) -> Value:
        operand = self.value(node.operand)
        return Value(_occurs(node.pattern, operand.value), operand.fault)

    def in_networks(self, node: ir.InNetworks) -> Value:
        point = self.value(node.operand)
        inside = some(both(network.first <= point.value, point.value <= network.last) for network in node.networks)
        return Value(inside, point.fault)

    def quantifier(self, node: ir.Quantifier) -> Value:
        items, fault = self._items(node)
        results = self._each(node, items, stops_at=None if node.quantifier == "exists_one" else node.quantifier)
        if node.quantifier == "exists_one":
            kept = [slot.where(_truth(result.value)).times() for slot, result in results]
            faults = some(both(slot.present, result.fault) for slot, result in results)
            return Value(total(kept) == 1, either(fault, faults))
        is_exists = node.quantifier == "exists"
        decided = some(_decides(slot, result, is_exists) for slot, result in results)
        faults = some(both(slot.present, result.fault) for slot, result in results)
        return Value(decided if is_exists else no(decided), either(fault, both(faults, no(decided))))

    def _each(self, node: ir.Quantifier, items: Sequence, stops_at: str | None) -> list[tuple[Slot, Value]]:
        """The body for every item, each reached where no item before it has decided."""
        before, going = self._reached, self._reached
        self._open_ranges += not isinstance(items.size(), int)
        results = []
        for slot in items.slots:
            self._reached = both(going, slot.present)
            result = self._body(node.variable, slot.value, node.body)
            results.append((slot, result))
            if stops_at is not None:
                going = both(going, no(_decides(slot, result, stops_at == "exists")))
        self._open_ranges -= not isinstance(items.size(), int)
        self._reached = before
        return results

    def transform(self, node: ir.Transform) -> Value:
        items, fault = self._items(node)
        slots, faults = [], [fault]
        self._open_ranges += not isinstance(items.size(), int)
        for slot in items.slots:
            kept = Value(True) if node.condition is None else self._body(node.variable, slot.value, node.condition)
            result = self._body(node.variable, slot.value, node.result)
            keeps = both(no(kept.fault), _truth(kept.value))
            faults += [both(slot.present, kept.fault), both(slot.present, keeps, result.fault)]
            left = slot.where(keeps)
            slots.append(Slot(left.present, result.value, left.count))
        self._open_ranges -= not isinstance(items.size(), int)
        return Value(Sequence(tuple(slots), items.is_bag), some(faults))

    def _items(self, node: ir.Quantifier | ir.Transform) -> tuple[Sequence, Truth]:
        """What a macro goes over; the steps for it are written down."""
        found = self.value(node.range)
        items = sequence(found.value)
        size = items.size()
        if self._open_ranges:
            raise Unsupported("a macro inside a macro over a list whose length is open")
        self._steps.append((both(self._reached, no(found.fault)), size))
        return items, found.fault

    def _body(self, variable: str, item: Any, node: ir.Expr) -> Value:
        self._locals[variable] = item
        return self.value(node)


def _decides(slot: Slot, result: Value, is_exists: bool) -> Truth:
    value = _truth(result.value)
    return both(slot.present, no(result.fault), value if is_exists else no(value))


def _weighed(reached: Truth, size: Any) -> Any:
    if isinstance(reached, bool):
        return size if reached else 0
    return z3.If(reached, z3.IntVal(size) if isinstance(size, int) else size, z3.IntVal(0))


def _occurs(pattern: str, value: Any) -> Truth:
    if isinstance(value, str):
        return searcher(pattern)(value)
    if isinstance(value, Choice):
        return some(both(guard, _occurs(pattern, option)) for guard, option in value.options)
    return occurs(pattern, value.string if isinstance(value, Text) else value)


_RULES: Final[dict[type, Callable[[_Encoder, Any], Value]]] = {
    ir.Const: _Encoder.const,
    ir.Read: _Encoder.read,
    ir.Has: _Encoder.has,
    ir.HasEntry: _Encoder.has_entry,
    ir.Local: _Encoder.local,
    ir.Not: _Encoder.negation,
    ir.And: _Encoder.conjunction,
    ir.Or: _Encoder.disjunction,
    ir.Conditional: _Encoder.conditional,
    ir.Call: _Encoder.call,
    ir.ListOf: _Encoder.list_of,
    ir.Matches: _Encoder.matches,
    ir.InNetworks: _Encoder.in_networks,
    ir.Quantifier: _Encoder.quantifier,
    ir.Transform: _Encoder.transform,
}
