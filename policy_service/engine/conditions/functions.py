"""Every function and operator of conditions as the interpreter calls it, by CEL's overload id. None is a fault.

Beside `operations`, on purpose: the property tests hold the two against each other and against Google's runtime.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from policy_service.engine.conditions import runtime
from policy_service.language.cel.calls import COMPARISONS
from policy_service.language.report import quoted
from policy_service.model.instants import NS_PER_S, format_rfc3339

_COMPARE: Final = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _whole(unit: int) -> Callable[[int], int]:
    return lambda duration: runtime.whole_units(duration, unit)


def _checked(
    check: Callable[[int], int | None], compute: Callable[[int, int], int]
) -> Callable[[int, int], int | None]:
    return lambda left, right: check(compute(left, right))


_INT, _TIME = runtime.checked_int, runtime.checked_timestamp

FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    **{overload: _COMPARE[symbol] for overload, symbol in COMPARISONS.items()},
    "equals": runtime.same,
    "not_equals": lambda left, right: not runtime.same(left, right),
    "add_int64": _checked(_INT, operator.add),
    "subtract_int64": _checked(_INT, operator.sub),
    "multiply_int64": _checked(_INT, operator.mul),
    "negate_int64": lambda value: runtime.checked_int(-value),
    "divide_int64": runtime.divide_int,
    "modulo_int64": runtime.modulo_int,
    "add_double": operator.add,
    "subtract_double": operator.sub,
    "multiply_double": operator.mul,
    "divide_double": runtime.divide_double,
    "negate_double": operator.neg,
    "add_string": operator.add,
    "add_list": operator.add,
    "add_duration_duration": _checked(_INT, operator.add),
    "subtract_duration_duration": _checked(_INT, operator.sub),
    "add_timestamp_duration": _checked(_TIME, operator.add),
    "add_duration_timestamp": _checked(_TIME, operator.add),
    "subtract_timestamp_duration": _checked(_TIME, operator.sub),
    "subtract_timestamp_timestamp": runtime.time_between,
    "in_list": lambda value, items: runtime.contains_same(items, value),
    "in_map": lambda key, entries: key in entries,
    "index_list": runtime.item_at,
    "index_map": runtime.entry_of,
    "string_size": len,
    "list_size": len,
    "map_size": len,
    "contains_string": operator.contains,
    "starts_with_string": str.startswith,
    "ends_with_string": str.endswith,
    "bool_to_string": runtime.string_of_bool,
    "int64_to_string": str,
    "timestamp_to_string": format_rfc3339,
    "duration_to_string": runtime.string_of_duration,
    "string_to_int64": runtime.int_of_string,
    "string_to_bool": runtime.bool_of_string,
    "int64_to_double": float,
    "double_to_int64": runtime.int_of_double,
    "int64_to_timestamp": runtime.timestamp_of_seconds,
    "timestamp_to_int64": lambda instant: instant // NS_PER_S,
    "timestamp_to_year": runtime.year_of,
    "timestamp_to_month": runtime.month_of,
    "timestamp_to_day_of_year": runtime.day_of_year,
    "timestamp_to_day_of_month": runtime.day_of_month,
    "timestamp_to_day_of_month_1_based": runtime.date_of,
    "timestamp_to_day_of_week": runtime.day_of_week,
    "timestamp_to_hours": runtime.hours_of,
    "timestamp_to_minutes": runtime.minutes_of,
    "timestamp_to_seconds": runtime.seconds_of,
    "timestamp_to_milliseconds": runtime.milliseconds_of,
    "duration_to_hours": _whole(3600 * NS_PER_S),
    "duration_to_minutes": _whole(60 * NS_PER_S),
    "duration_to_seconds": _whole(NS_PER_S),
    "duration_to_milliseconds": runtime.milliseconds_of_duration,
}


def fault_of(overload: str, args: Sequence[Any]) -> str:
    """Why a call with these arguments has no value, as a lowercase phrase."""
    if overload == "index_list":
        return f"there is no item {args[1]} in a list of {len(args[0])}"
    if overload == "index_map":
        return f"there is no entry {quoted(args[1])}"
    if overload in ("divide_int64", "modulo_int64") and args[1] == 0:
        return "division by zero"
    if overload in _READING:
        return f"{quoted(str(args[0]))} is not {_READING[overload]}"
    return "the result is out of range"


_READING: Final = {
    "string_to_int64": "a whole number of 64 bits",
    "string_to_bool": "a spelling of true or false",
}
