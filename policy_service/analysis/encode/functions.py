"""Every function and operator of conditions as a formula, by CEL's overload id: a value, and when it faults instead.

Constants are computed by the engine's own functions. A `Choice` among constants is taken apart: the function is
applied to each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import z3

from policy_service.analysis.encode import calendar
from policy_service.analysis.encode.terms import (
    Truth,
    Unsupported,
    both,
    choose,
    either,
    no,
    some,
)
from policy_service.analysis.encode.values import (
    Choice,
    Entries,
    Sequence,
    contains,
    equal,
    is_known,
    item_at,
    lift,
    merge,
    one_of,
    sequence,
)
from policy_service.engine.conditions.functions import FUNCTIONS
from policy_service.language.cel.calls import COMPARISONS
from policy_service.language.ir import INT, Call, Type
from policy_service.model.instants import MAX_NS, MIN_NS, NS_PER_S

_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**63 - 1

Result = tuple[Any, Truth]
"""A value, and when there is none."""


def apply(node: Call, args: list[Any]) -> Result:
    """A call with these arguments."""
    if all(map(is_known, args)):
        value = FUNCTIONS[node.overload](*args)
        return (_some_value(node.type), True) if value is None else (value, False)
    if node.overload in STRUCTURAL:
        return STRUCTURAL[node.overload](node, args)
    place = next((place for place, arg in enumerate(args) if isinstance(arg, Choice)), None)
    if place is not None:
        return _for_each_option(node, args, place)
    return _on_terms(node, [lift(arg, part.type) for arg, part in zip(args, node.args, strict=True)])


def _some_value(kind: Type) -> Any:
    """What stands where a fault leaves no value."""
    return {"bool": False, "string": "", "double": 0.0, "list": ()}.get(kind.kind, 0)


def _for_each_option(node: Call, args: list[Any], place: int) -> Result:
    choice: Choice = args[place]
    results = [(guard, *apply(node, [*args[:place], option, *args[place + 1 :]])) for guard, option in choice.options]
    fault = some(both(guard, fault) for guard, _, fault in results)
    return merge([(guard, value) for guard, value, _ in results], node.type), fault


def _on_terms(node: Call, args: list[Any]) -> Result:
    name = node.overload
    if name in COMPARISONS:
        return _compare(COMPARISONS[name], node.args[0].type, args), False
    if name in calendar.PARTS:
        return calendar.PARTS[name](args[0]), False
    if name not in FORMULAS:
        raise Unsupported(WORDS.get(name, name))
    return FORMULAS[name](*args)


def _compare(symbol: str, kind: Type, args: list[Any]) -> Truth:
    left, right = args if symbol in ("<", "<=") else reversed(args)
    is_strict = symbol in ("<", ">")
    if kind.kind == "bool":
        return both(no(left), right) if is_strict else either(no(left), right)
    if kind.kind == "double":
        return z3.fpLT(left, right) if is_strict else z3.fpLEQ(left, right)
    return left < right if is_strict else left <= right


def has_entry(entries: Any, key: str) -> Truth:
    """Whether a map has a key that is written out."""
    if isinstance(entries, Entries) and key in entries.named:
        return entries.named[key][0]
    raise Unsupported("a map that is not the key's labels")


def _equals(node: Call, args: list[Any]) -> Result:
    return equal(args[0], args[1], node.args[0].type), False


def _not_equals(node: Call, args: list[Any]) -> Result:
    return no(equal(args[0], args[1], node.args[0].type)), False


def _in_list(node: Call, args: list[Any]) -> Result:
    return contains(args[1], args[0], node.args[0].type), False


def _in_map(_: Call, args: list[Any]) -> Result:
    if not isinstance(args[0], str):
        raise Unsupported("`in` a map with a key that is not written out")
    return has_entry(args[1], args[0]), False


def _index_map(_: Call, args: list[Any]) -> Result:
    if not isinstance(args[1], str):
        raise Unsupported("a map's entry by a key that is not written out")
    there = has_entry(args[0], args[1])
    return args[0].named[args[1]][1], no(there)


def _index_list(node: Call, args: list[Any]) -> Result:
    items, index = sequence(args[0]), args[1]
    if items.is_bag:
        raise Unsupported("an item by its number in a list whose order is open")
    if isinstance(index, Choice):
        index = lift(index, INT)
    found = item_at(items, index)
    if not found:
        return _some_value(node.type), True
    return merge(found, node.type), no(one_of(found))


def _list_size(_: Call, args: list[Any]) -> Result:
    return sequence(args[0]).size(), False


def _map_size(_: Call, args: list[Any]) -> Result:
    return sequence(args[0]).size(), False


def _add_list(_: Call, args: list[Any]) -> Result:
    left, right = map(sequence, args)
    return Sequence((*left.slots, *right.slots), left.is_bag or right.is_bag), False


STRUCTURAL: Final[dict[str, Callable[[Call, list[Any]], Result]]] = {
    "equals": _equals,
    "not_equals": _not_equals,
    "in_list": _in_list,
    "in_map": _in_map,
    "index_list": _index_list,
    "index_map": _index_map,
    "list_size": _list_size,
    "map_size": _map_size,
    "add_list": _add_list,
}


def _within(low: int, high: int) -> Callable[[Any], Result]:
    return lambda value: (value, either(value < low, value > high))


_int = _within(_INT_MIN, _INT_MAX)
_instant = _within(MIN_NS, MAX_NS)


def magnitude(value: Any) -> Any:
    return z3.If(value < 0, -value, value)


def _divide(left: Any, right: Any) -> Result:
    """Truncates towards zero."""
    quotient = magnitude(left) / magnitude(right)
    value = z3.If((left < 0) == (right < 0), quotient, -quotient)
    return value, either(right == 0, value > _INT_MAX)


def _modulo(left: Any, right: Any) -> Result:
    """Has the sign of the dividend."""
    remainder = magnitude(left) % magnitude(right)
    return z3.If(left < 0, -remainder, remainder), either(right == 0, both(left == _INT_MIN, right == -1))


def _time_between(later: Any, earlier: Any) -> Result:
    seconds = (later / NS_PER_S - earlier / NS_PER_S) * NS_PER_S
    value = later - earlier
    return value, either(_int(seconds)[1], _int(value)[1])


def _string_to_bool(text: Any) -> Result:
    true = some(text == z3.StringVal(one) for one in ("1", "t", "true", "TRUE", "True"))
    false = some(text == z3.StringVal(one) for one in ("0", "f", "false", "FALSE", "False"))
    return true, no(either(true, false))


def _int_to_string(value: Any) -> Result:
    return z3.If(value < 0, z3.Concat(z3.StringVal("-"), z3.IntToStr(-value)), z3.IntToStr(value)), False


def _whole(unit: int) -> Callable[[Any], Result]:
    return lambda duration: (z3.If(duration >= 0, duration / unit, -(-duration / unit)), False)


def _milliseconds(duration: Any) -> Result:
    within = magnitude(duration) / 10**6 % 1000
    return z3.If(duration >= 0, within, -within), False


def _always(compute: Callable[..., Any]) -> Callable[..., Result]:
    return lambda *args: (compute(*args), False)


def _checked(check: Callable[[Any], Result], compute: Callable[..., Any]) -> Callable[..., Result]:
    return lambda *args: check(compute(*args))


_RNE: Final = z3.RNE()
FORMULAS: Final[dict[str, Callable[..., Result]]] = {
    "add_int64": _checked(_int, lambda left, right: left + right),
    "subtract_int64": _checked(_int, lambda left, right: left - right),
    "multiply_int64": _checked(_int, lambda left, right: left * right),
    "negate_int64": _checked(_int, lambda value: -value),
    "divide_int64": _divide,
    "modulo_int64": _modulo,
    "add_double": _always(lambda left, right: z3.fpAdd(_RNE, left, right)),
    "subtract_double": _always(lambda left, right: z3.fpSub(_RNE, left, right)),
    "multiply_double": _always(lambda left, right: z3.fpMul(_RNE, left, right)),
    "divide_double": _always(lambda left, right: z3.fpDiv(_RNE, left, right)),
    "negate_double": _always(z3.fpNeg),
    "add_string": _always(z3.Concat),
    "add_duration_duration": _checked(_int, lambda left, right: left + right),
    "subtract_duration_duration": _checked(_int, lambda left, right: left - right),
    "add_timestamp_duration": _checked(_instant, lambda left, right: left + right),
    "add_duration_timestamp": _checked(_instant, lambda left, right: left + right),
    "subtract_timestamp_duration": _checked(_instant, lambda left, right: left - right),
    "subtract_timestamp_timestamp": _time_between,
    "string_size": _always(z3.Length),
    "contains_string": _always(z3.Contains),
    "starts_with_string": _always(lambda text, start: z3.PrefixOf(start, text)),
    "ends_with_string": _always(lambda text, end: z3.SuffixOf(end, text)),
    "bool_to_string": _always(lambda value: choose(value, z3.StringVal("true"), z3.StringVal("false"))),
    "int64_to_string": _int_to_string,
    "string_to_bool": _string_to_bool,
    "int64_to_timestamp": lambda seconds: _instant(seconds * NS_PER_S),
    "timestamp_to_int64": _always(lambda instant: instant / NS_PER_S),
    "duration_to_hours": _whole(3600 * NS_PER_S),
    "duration_to_minutes": _whole(60 * NS_PER_S),
    "duration_to_seconds": _whole(NS_PER_S),
    "duration_to_milliseconds": _milliseconds,
}

WORDS: Final = {
    "timestamp_to_string": "`string()` of a timestamp",
    "duration_to_string": "`string()` of a duration",
    "string_to_int64": "`int()` of a string",
    "int64_to_double": "`double()` of an int",
    "double_to_int64": "`int()` of a double",
}
"""What has no formula, in the author's words."""
