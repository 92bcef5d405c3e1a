"""What a subexpression can be while it is not known: texts, choices, lists and maps of unknown values.

A value is a Python constant in its run-time form where it is known; a Z3 term for a bool, int, double, instant,
duration or computed string; else one of the structs here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import z3

from policy_service.analysis.encode.terms import (
    BUILTIN,
    Term,
    Truth,
    Unsupported,
    as_bool,
    both,
    choose,
    double_value,
    either,
    no,
    some,
    text_value,
    total,
)
from policy_service.language.ir import Type


class Texts:
    """All unknown texts of one question, and the constants they are compared with.

    Equality is by number, not by Z3's strings: constants have the numbers 0, 1, …, and an unknown text whose number is
    no constant's is some other text. Only a text of which more is asked (`startsWith`, `size`, …) becomes a Z3 string,
    and `links` says what the two views have to do with each other.
    """

    def __init__(self) -> None:
        self.constants: dict[str, int] = {}
        self.unknown: dict[str, Text] = {}

    def text(self, name: str) -> Text:
        """The unknown text of a name."""
        if name not in self.unknown:
            self.unknown[name] = Text(self, name)
        return self.unknown[name]

    def number(self, constant: str) -> int:
        return self.constants.setdefault(constant, len(self.constants))

    def links(self) -> Iterator[Truth]:
        """What relates numbers to strings, for the texts that became strings."""
        strings = [text for text in self.unknown.values() if text.is_string]
        for text in strings:
            compared = text.others()
            known = self.constants if compared else text.compared
            for constant in sorted(known):
                yield (text.code == self.number(constant)) == (text.string == text_value(constant))
            for other in compared:
                if other.is_string:
                    yield (text.code == other.code) == (text.string == other.string)


class Text:
    """An unknown text.

    Attributes:
        code: its number.
        compared: the constants that it was compared with.
        is_string: whether it became a Z3 string as well.
    """

    def __init__(self, texts: Texts, name: str) -> None:
        self._texts = texts
        self.name = name
        self.code = z3.Int(f"{name} (number)")
        self.compared: set[str] = set()
        self._others: dict[str, Text] = {}
        self.is_string = False

    @property
    def string(self) -> Term:
        self.is_string = True
        return z3.String(self.name)

    def others(self) -> list[Text]:
        """The unknown texts that it was compared with, by way of others too."""
        found, todo = {self.name: self}, [self]
        while todo:
            for other in todo.pop()._others.values():
                if other.name not in found:
                    found[other.name] = other
                    todo.append(other)
        return [other for name, other in found.items() if name != self.name]

    @property
    def is_looked_at(self) -> bool:
        """Whether anything was asked of it."""
        return bool(self.compared or self._others or self.is_string)

    def known(self) -> Iterable[str]:
        """The constants that it may turn out to be."""
        return self._texts.constants if self._others else self.compared

    def equals(self, value: Any) -> Truth:
        if isinstance(value, str):
            text_value(value)  # or it could not be told from others, once this becomes a string
            self.compared.add(value)
            return self.code == self._texts.number(value)
        if isinstance(value, Text):
            if value is self:
                return True
            self._others[value.name] = value
            value._others[self.name] = self
            return self.code == value.code
        return self.string == value


class Choice(msgspec.Struct, frozen=True):
    """One of a few constants; exactly one of the guards holds."""

    options: tuple[tuple[Truth, Any], ...]


class Slot(msgspec.Struct, frozen=True):
    """A place in a list: a value that stands there `count` times in a row, perhaps not at all.

    `count` None: once where `present`.
    """

    present: Truth
    value: Any
    count: Any = None

    def times(self) -> Any:
        return self.count if self.count is not None else as_int(self.present)

    def where(self, kept: Truth) -> Slot:
        """The same, present only where `kept` holds as well."""
        count = None if self.count is None else choose(kept, self.count, 0 if isinstance(kept, bool) else z3.IntVal(0))
        return Slot(both(self.present, kept), self.value, count)


class Sequence(msgspec.Struct, frozen=True):
    """An unknown list: its slots in order.

    Args:
        is_bag: their order means nothing, because nobody asks for it.
    """

    slots: tuple[Slot, ...]
    is_bag: bool = False

    def size(self) -> Any:
        return total(slot.times() for slot in self.slots)


class Entries(msgspec.Struct, frozen=True):
    """An unknown map from strings: the keys that conditions name, and how many more there are.

    Args:
        named: key → whether it is there, and its value.
        more: slots for other keys.
    """

    named: dict[str, tuple[Truth, Any]]
    more: tuple[Slot, ...]

    def keys(self) -> Sequence:
        return Sequence((*(Slot(present, key) for key, (present, _) in self.named.items()), *self.more), is_bag=True)


def as_int(truth: Truth) -> Any:
    return int(truth) if isinstance(truth, bool) else z3.If(truth, z3.IntVal(1), z3.IntVal(0))


def is_known(value: Any) -> bool:
    """Whether a value is a constant."""
    return isinstance(value, BUILTIN) or (isinstance(value, tuple) and all(map(is_known, value)))


def lift(value: Any, kind: Type) -> Term:
    """The Z3 term of a value that is no list or map."""
    if isinstance(value, Text):
        return value.string
    if isinstance(value, Choice):
        (_, last), *rest = reversed(value.options)
        lifted = lift(last, kind)
        for guard, option in rest:
            lifted = choose(guard, lift(option, kind), lifted)
        return lifted
    if isinstance(value, Sequence | Entries | tuple):
        raise Unsupported("a list or map as a single value")
    return _lift_constant(value, kind) if isinstance(value, BUILTIN) else value


def _lift_constant(value: Any, kind: Type) -> Term:
    if kind.kind == "bool":
        return as_bool(value)
    if kind.kind == "string":
        return text_value(value)
    return double_value(value) if kind.kind == "double" else z3.IntVal(value)


def sequence(value: Any) -> Sequence:
    """A list value as slots."""
    if isinstance(value, tuple):
        return Sequence(tuple(Slot(True, item) for item in value))
    if isinstance(value, Sequence):
        return value
    if isinstance(value, Entries):
        return value.keys()
    raise Unsupported("a list that is chosen among others")


def equal(left: Any, right: Any, kind: Type) -> Truth:
    """Whether two values of one type are equal; neither is a fault."""
    if is_known(left) and is_known(right):
        return _equal_constants(left, right)
    if isinstance(left, Choice):
        return some(both(guard, equal(option, right, kind)) for guard, option in left.options)
    if isinstance(right, Choice):
        return equal(right, left, kind)
    if kind.kind == "list":
        return _equal_lists(left, right, kind.element or kind)
    if kind.kind in ("map", "ip"):
        raise Unsupported(f"equality of two values of type {kind}")
    if isinstance(left, Text):
        return left.equals(right)
    if isinstance(right, Text):
        return right.equals(left)
    return _equal_terms(left, right, kind)


def _equal_constants(left: Any, right: Any) -> bool:
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(_equal_constants, left, right))
    return bool(left == right)


def _equal_terms(left: Any, right: Any, kind: Type) -> Truth:
    if kind.kind == "double":
        return z3.fpEQ(lift(left, kind), lift(right, kind))
    if kind.kind == "bool":
        if isinstance(left, bool):
            return right if left else no(right)
        if isinstance(right, bool):
            return left if right else no(left)
    return lift(left, kind) == lift(right, kind)


def _equal_lists(left: Any, right: Any, element: Type) -> Truth:
    """A list is compared place by place with one whose length is known."""
    if not (isinstance(left, tuple) or _is_fixed(left)):
        left, right = right, left
    if not (isinstance(left, tuple) or _is_fixed(left)):
        raise Unsupported("equality of two lists whose lengths are open")
    wanted = [slot.value for slot in sequence(left).slots]
    other = sequence(right)
    if other.is_bag and len(wanted) > 1:
        raise Unsupported("equality of a list whose order is open")
    found = [item_at(other, place) for place in range(len(wanted))]
    same = [
        some(both(there, equal(value, want, element)) for there, value in at)
        for at, want in zip(found, wanted, strict=True)
    ]
    size = other.size()
    return both(size == len(wanted), *same)


def _is_fixed(value: Any) -> bool:
    return isinstance(value, Sequence) and all(slot.present is True and slot.count is None for slot in value.slots)


def item_at(items: Sequence, index: Any) -> list[tuple[Truth, Any]]:
    """What can stand at an index, each with when it does. Of a bag, at index 0 where there is but one item."""
    found: list[tuple[Truth, Any]] = []
    before: list[Any] = []
    for slot in items.slots:
        start = total(before)
        before.append(slot.times())
        found.append((both(slot.present, _at_most(start, index), no(_at_most(total(before), index))), slot.value))
    return [(there, value) for there, value in found if there is not False]


def _at_most(left: Any, right: Any) -> Truth:
    return left <= right


def contains(items: Any, value: Any, element: Type) -> Truth:
    """Whether a value is in a list."""
    return some(both(slot.present, equal(slot.value, value, element)) for slot in sequence(items).slots)


def merge(options: list[tuple[Truth, Any]], kind: Type) -> Any:
    """One value out of several that exclude each other; of which one holds is not asked here."""
    if kind.kind == "bool":
        return some(both(guard, lift(value, kind)) for guard, value in options)
    return Choice(tuple(options))


def one_of(options: list[tuple[Truth, Any]]) -> Truth:
    """Whether any option holds."""
    return either(*(guard for guard, _ in options))
