"""Every function and operator of conditions as a piece of Python, by CEL's overload id.

A piece is a format string over its operands. Operands are names, literals or already in brackets.
"""

from __future__ import annotations

from typing import Final

import msgspec

from policy_service.language.cel.calls import COMPARISONS
from policy_service.language.ir import Type


class Operation(msgspec.Struct, frozen=True):
    """`template` gives the value; where it `can_fault` it gives None for a fault. `negation` says no."""

    template: str
    can_fault: bool = False
    is_atom: bool = False
    negation: str | None = None


def _call(name: str, *, can_fault: bool = False, arguments: str = "{0}") -> Operation:
    return Operation(f"{name}({arguments})", can_fault, is_atom=True)


OPERATIONS: Final[dict[str, Operation]] = {
    **{overload: Operation(f"{{0}} {symbol} {{1}}") for overload, symbol in COMPARISONS.items()},
    "equals": Operation("{0} == {1}", negation="{0} != {1}"),
    "not_equals": Operation("{0} != {1}", negation="{0} == {1}"),
    "add_int64": _call("checked_int", can_fault=True, arguments="{0} + {1}"),
    "subtract_int64": _call("checked_int", can_fault=True, arguments="{0} - {1}"),
    "multiply_int64": _call("checked_int", can_fault=True, arguments="{0} * {1}"),
    "negate_int64": _call("checked_int", can_fault=True, arguments="-{0}"),
    "divide_int64": _call("divide_int", can_fault=True, arguments="{0}, {1}"),
    "modulo_int64": _call("modulo_int", can_fault=True, arguments="{0}, {1}"),
    "add_double": Operation("{0} + {1}"),
    "subtract_double": Operation("{0} - {1}"),
    "multiply_double": Operation("{0} * {1}"),
    "divide_double": _call("divide_double", arguments="{0}, {1}"),
    "negate_double": Operation("-{0}"),
    "add_string": Operation("{0} + {1}"),
    "add_list": Operation("{0} + {1}"),
    "add_duration_duration": _call("checked_int", can_fault=True, arguments="{0} + {1}"),
    "subtract_duration_duration": _call("checked_int", can_fault=True, arguments="{0} - {1}"),
    "add_timestamp_duration": _call("checked_timestamp", can_fault=True, arguments="{0} + {1}"),
    "add_duration_timestamp": _call("checked_timestamp", can_fault=True, arguments="{0} + {1}"),
    "subtract_timestamp_duration": _call("checked_timestamp", can_fault=True, arguments="{0} - {1}"),
    "subtract_timestamp_timestamp": _call("time_between", can_fault=True, arguments="{0}, {1}"),
    "in_list": Operation("{0} in {1}", negation="{0} not in {1}"),
    "in_map": Operation("{0} in {1}", negation="{0} not in {1}"),
    "index_list": _call("item_at", can_fault=True, arguments="{0}, {1}"),
    "index_map": _call("entry_of", can_fault=True, arguments="{0}, {1}"),
    "string_size": _call("len"),
    "list_size": _call("len"),
    "map_size": _call("len"),
    "contains_string": Operation("{1} in {0}", negation="{1} not in {0}"),
    "starts_with_string": Operation("{0}.startswith({1})", is_atom=True),
    "ends_with_string": Operation("{0}.endswith({1})", is_atom=True),
    "bool_to_string": _call("string_of_bool"),
    "int64_to_string": _call("str"),
    "timestamp_to_string": _call("format_rfc3339"),
    "duration_to_string": _call("string_of_duration"),
    "string_to_int64": _call("int_of_string", can_fault=True),
    "string_to_bool": _call("bool_of_string", can_fault=True),
    "int64_to_double": _call("float"),
    "double_to_int64": _call("int_of_double", can_fault=True),
    "int64_to_timestamp": _call("timestamp_of_seconds", can_fault=True),
    "timestamp_to_int64": Operation("{0} // 1_000_000_000"),
    "timestamp_to_year": _call("year_of"),
    "timestamp_to_month": _call("month_of"),
    "timestamp_to_day_of_year": _call("day_of_year"),
    "timestamp_to_day_of_month": _call("day_of_month"),
    "timestamp_to_day_of_month_1_based": _call("date_of"),
    "timestamp_to_day_of_week": _call("day_of_week"),
    "timestamp_to_hours": _call("hours_of"),
    "timestamp_to_minutes": _call("minutes_of"),
    "timestamp_to_seconds": _call("seconds_of"),
    "timestamp_to_milliseconds": _call("milliseconds_of"),
    "duration_to_hours": _call("whole_units", arguments="{0}, 3_600_000_000_000"),
    "duration_to_minutes": _call("whole_units", arguments="{0}, 60_000_000_000"),
    "duration_to_seconds": _call("whole_units", arguments="{0}, 1_000_000_000"),
    "duration_to_milliseconds": _call("milliseconds_of_duration"),
}

_OF_DOUBLES: Final = {
    "equals": _call("same", arguments="{0}, {1}"),
    "not_equals": Operation("not same({0}, {1})"),
    "in_list": _call("contains_same", arguments="{1}, {0}"),
}
"""Python compares lists by identity first, so that NaN would equal itself there."""


def operation(overload: str, operands: tuple[Type, ...]) -> Operation:
    """The operation of a call whose operands have these types."""
    if overload in _OF_DOUBLES and any(kind.kind == "list" and _holds_doubles(kind) for kind in operands):
        return _OF_DOUBLES[overload]
    return OPERATIONS[overload]


def _holds_doubles(kind: Type) -> bool:
    while kind.element is not None:
        kind = kind.element
    return kind.kind == "double"
