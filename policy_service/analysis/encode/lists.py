"""Unknown lists, maps and single values, made of as few variables as `usage` says are enough."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Any

import msgspec
import z3

from policy_service.analysis.encode.terms import Truth, both, no
from policy_service.analysis.encode.usage import MAX_SLOTS, Usage
from policy_service.analysis.encode.values import Entries, Sequence, Slot, Text, Texts
from policy_service.engine.conditions.runtime import ITERATION_BUDGET
from policy_service.language.ir import STRING, Type
from policy_service.model.instants import MAX_NS, MIN_NS

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


class Made(msgspec.Struct, frozen=True):
    """A value, what must hold of it, and where it stands for less than all."""

    value: Any
    constraints: tuple[Truth, ...] = ()
    bounds: tuple[str, ...] = ()


class Lists:
    """Makes the lists of one world."""

    def __init__(self, texts: Texts, usages: Mapping[str, Usage]) -> None:
        self._texts = texts
        self._usages = usages

    def usage(self, path: str) -> Usage:
        return self._usages.get(path.partition(" as ")[0], Usage())

    def scalar(self, name: str, kind: Type) -> Made:
        """One value of a type that is no list."""
        if kind.kind == "string":
            return Made(self._texts.text(name))
        if kind.kind == "bool":
            return Made(z3.Bool(name))
        if kind.kind == "double":
            double = z3.FP(name, z3.Float64())
            return Made(double, (z3.Not(z3.fpIsNaN(double)), z3.Not(z3.fpIsInf(double))))
        low, high = (MIN_NS, MAX_NS) if kind.kind == "timestamp" else (_INT_MIN, _INT_MAX)
        value = z3.Int(name)
        return Made(value, (value >= low, value <= high))

    def finite(self, members: Mapping[str, Truth]) -> Sequence:
        """A sorted list of some of these names."""
        return Sequence(tuple(Slot(members[name], name) for name in sorted(members)))

    def names(self, path: str, members: Mapping[str, Truth], only_where: Truth = True) -> Made:
        """A sorted list of distinct names: the given ones, those that conditions search for, and others."""
        usage = self.usage(path)
        named = dict(members) | {
            name: both(only_where, z3.Bool(f"{path} has {name}")) for name in sorted(usage.constants - set(members))
        }
        others = [self._texts.text(f"{path} other {number}") for number in range(usage.slots)]
        slots = [Slot(truth, name) for name, truth in sorted(named.items())]
        slots += [Slot(both(only_where, z3.Bool(f"{other.name} there")), other) for other in others]
        filler = z3.Int(f"{path} fillers")
        slots.append(Slot(False, "", filler))
        constraints = [no(other.equals(name)) for other in others for name in named]
        constraints += [no(one.equals(other)) for one, other in combinations(others, 2)]
        constraints += [filler >= 0, *self._fillers(filler, usage), z3.Implies(filler > 0, _bool(only_where))]
        # Their order is that of the names, which no slot knows.
        bounded = usage.is_bounded or usage.last_index >= 0 or (usage.sizes and usage.searches > 0)
        return Made(Sequence(tuple(slots), is_bag=True), tuple(constraints), _bounds(path, bounded))

    def _fillers(self, filler: Any, usage: Usage) -> list[Truth]:
        """Names that no condition tells from others: any number, but where macros see them more than these may see."""
        return [z3.Or(filler == 0, filler > ITERATION_BUDGET)] if usage.searches else []

    def items(self, path: str, element: Type) -> Made:
        """Any list."""
        usage = self.usage(path)
        return self._ordered(path, element, usage) if usage.is_ordered else self._bag(path, element, usage)

    def _bag(self, path: str, element: Type, usage: Usage) -> Made:
        named = sorted(usage.constants) if element == STRING else []
        slots, constraints = [], []
        for name in named:
            count = z3.Int(f"{path} times {name}")
            slots.append(Slot(count > 0, name, count))
            constraints.append(count >= 0)
        for number in range(usage.slots):
            item = self.scalar(f"{path} item {number}", element)
            count = z3.Int(f"{path} times item {number}")
            slots.append(Slot(count > 0, item.value, count))
            constraints += [count >= 0, *item.constraints]
            if isinstance(item.value, Text):
                constraints += [no(item.value.equals(name)) for name in named]
        return Made(Sequence(tuple(slots), is_bag=True), tuple(constraints), _bounds(path, usage.is_bounded))

    def _ordered(self, path: str, element: Type, usage: Usage) -> Made:
        """Places from the first on, then the last one's successors, all alike."""
        needed = min(usage.slots + len(usage.constants), MAX_SLOTS)
        items = [self.scalar(f"{path} item {number}", element) for number in range(needed + 1)]
        there = [z3.Bool(f"{path} has place {number}") for number in range(needed)]
        tail = z3.Int(f"{path} times the last")
        slots = [Slot(present, item.value) for present, item in zip(there, items, strict=False)]
        slots.append(Slot(tail > 0, items[-1].value, tail))
        constraints: list[Truth] = [tail >= 0, z3.Implies(tail > 0, there[-1])]
        constraints += [z3.Implies(later, earlier) for earlier, later in pairwise(there)]
        constraints += [one for item in items for one in item.constraints]
        bounded = usage.is_bounded or usage.slots + len(usage.constants) > MAX_SLOTS
        return Made(Sequence(tuple(slots)), tuple(constraints), _bounds(path, bounded))

    def entries(self, path: str) -> Made:
        """A map from strings to strings."""
        usage = self.usage(path)
        named: dict[str, tuple[Truth, Any]] = {
            key: (z3.Bool(f"{path} has {key}"), self._texts.text(f"{path}.{key}")) for key in sorted(usage.constants)
        }
        others = [self._texts.text(f"{path} key {number}") for number in range(usage.slots)]
        more = [Slot(z3.Bool(f"{other.name} there"), other) for other in others]
        filler = z3.Int(f"{path} fillers")
        constraints: list[Truth] = [filler >= 0, *self._fillers(filler, usage)]
        constraints += [no(other.equals(key)) for other in others for key in named]
        constraints += [no(one.equals(other)) for one, other in combinations(others, 2)]
        bounded = usage.is_bounded or (usage.sizes and usage.searches > 0)
        value = Entries(named, (*more, Slot(False, "", filler)))
        return Made(value, tuple(constraints), _bounds(path, bounded))

    def either(self, test: Truth, given: Sequence, default: tuple[Any, ...]) -> Sequence:
        """The given list where the test holds, else the default."""
        defaults = [Slot(no(test), value) for value in default]
        return Sequence((*(slot.where(test) for slot in given.slots), *defaults), given.is_bag)


def _bool(truth: Truth) -> Any:
    return z3.BoolVal(truth) if isinstance(truth, bool) else truth


def _bounds(path: str, is_bounded: bool) -> tuple[str, ...]:
    name = path.partition(" as ")[0]
    return (f"lists in `{name}` with more than {MAX_SLOTS} different items were not looked at",) if is_bounded else ()
