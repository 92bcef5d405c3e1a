"""What generated conditions call: CEL's operations where Python's differ. None stands for a fault.

Operands are always of their declared types and never None. Sizes are code points, instants and durations nanoseconds.

Source: https://github.com/google/cel-spec, doc/langdef.md; bounds as in cel-cpp, which the property tests compare with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from policy_service.model.instants import MAX_NS, MIN_NS, NS_PER_S, format_rfc3339
from policy_service.model.values import ABSENT, WRONG

ITERATION_BUDGET: Final = 10_000
"""Steps that all macros of one evaluation may take together.

A macro pays for the whole length of its range when it begins, found early or not. Whoever spends more faults at once,
and no `||` or `&&` absorbs that: the bound on work must not depend on what stands beside it.
"""

_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1)


def checked_int(value: int) -> int | None:
    """The result of an addition, subtraction, multiplication or negation, of integers or durations."""
    return value if _INT_MIN <= value <= _INT_MAX else None


def divide_int(left: int, right: int) -> int | None:
    """Truncates towards zero."""
    if right == 0:
        return None
    quotient = abs(left) // abs(right)
    return checked_int(quotient if (left < 0) == (right < 0) else -quotient)


def modulo_int(left: int, right: int) -> int | None:
    """Has the sign of the dividend."""
    if right == 0 or (left == _INT_MIN and right == -1):
        return None
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def divide_double(left: float, right: float) -> float:
    """IEEE 754: by zero is infinite, or not a number."""
    if right != 0.0:
        return left / right
    if left == 0.0 or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def checked_timestamp(value: int) -> int | None:
    """An instant in the years 1 to 9999."""
    return value if MIN_NS <= value <= MAX_NS else None


def time_between(later: int, earlier: int) -> int | None:
    """A duration. CEL subtracts the seconds first, and they alone must fit."""
    seconds = later // NS_PER_S - earlier // NS_PER_S
    return None if checked_int(seconds * NS_PER_S) is None else checked_int(later - earlier)


def timestamp_of_seconds(seconds: int) -> int | None:
    return checked_timestamp(seconds * NS_PER_S)


def int_of_double(value: float) -> int | None:
    """Truncates towards zero. The bounds themselves are out of range."""
    return int(value) if -(2.0**63) < value < 2.0**63 else None


_INT_TEXT: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?\d+)[ \t\n\v\f\r]*", re.ASCII)
_MAX_INT_TEXT: Final = 4000
"""Python itself refuses to read many more digits at once; zeros in front count as well."""


def int_of_string(text: str) -> int | None:
    """Decimal digits with a sign and blanks around. (cel-cpp stops reading at a NUL; here a NUL is no digit.)"""
    match = _INT_TEXT.fullmatch(text)
    return checked_int(int(match.group(1))) if match and len(match.group(1)) < _MAX_INT_TEXT else None


_TRUE: Final = frozenset({"1", "t", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "false", "FALSE", "False"})


def bool_of_string(text: str) -> bool | None:
    return True if text in _TRUE else False if text in _FALSE else None


def string_of_bool(value: bool) -> str:
    return "true" if value else "false"


def string_of_duration(duration: int) -> str:
    """Seconds with 0, 3, 6 or 9 decimals, whichever is exact: `90s`, `-1.500s`."""
    seconds, ns = divmod(abs(duration), NS_PER_S)
    fraction = f".{ns:09d}" if ns else ""
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{'-' if duration < 0 else ''}{seconds}{fraction}s"


def item_at(items: tuple[Any, ...], index: int) -> Any:
    """None for a negative index too, which Python would count from the end."""
    return items[index] if 0 <= index < len(items) else None


def entry_of(entries: Mapping[str, Any], key: str) -> Any:
    return entries.get(key)


def same(left: Any, right: Any) -> bool:
    """Equality of values that hold doubles. Python takes one NaN in two lists for equal; CEL does not."""
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def contains_same(items: tuple[Any, ...], value: Any) -> bool:
    """Membership by `same`."""
    return any(same(item, value) for item in items)


def _calendar(instant: int) -> datetime:
    return _EPOCH + timedelta(seconds=instant // NS_PER_S)


def year_of(instant: int) -> int:
    return _calendar(instant).year


def month_of(instant: int) -> int:
    """January is 0."""
    return _calendar(instant).month - 1


def day_of_year(instant: int) -> int:
    """The first of January is 0."""
    return _calendar(instant).timetuple().tm_yday - 1


def day_of_month(instant: int) -> int:
    """The first is 0."""
    return _calendar(instant).day - 1


def date_of(instant: int) -> int:
    """The first is 1."""
    return _calendar(instant).day


def day_of_week(instant: int) -> int:
    """Sunday is 0."""
    return (_calendar(instant).weekday() + 1) % 7


def hours_of(instant: int) -> int:
    return instant // (3600 * NS_PER_S) % 24


def minutes_of(instant: int) -> int:
    return instant // (60 * NS_PER_S) % 60


def seconds_of(instant: int) -> int:
    return instant // NS_PER_S % 60


def milliseconds_of(instant: int) -> int:
    return instant // 10**6 % 1000


def whole_units(duration: int, unit: int) -> int:
    """A duration in whole hours, minutes, seconds, truncated towards zero."""
    return duration // unit if duration >= 0 else -(-duration // unit)


def milliseconds_of_duration(duration: int) -> int:
    """The milliseconds within the second, with the sign of the duration."""
    within = abs(duration) // 10**6 % 1000
    return within if duration >= 0 else -within


PRELUDE: Final[Mapping[str, object]] = {
    "ABSENT": ABSENT,
    "WRONG": WRONG,
    "ITERATION_BUDGET": ITERATION_BUDGET,
    **{
        function.__name__: function
        for function in (
            bool_of_string,
            checked_int,
            checked_timestamp,
            contains_same,
            date_of,
            day_of_month,
            day_of_week,
            day_of_year,
            divide_double,
            divide_int,
            entry_of,
            format_rfc3339,
            hours_of,
            int_of_double,
            int_of_string,
            item_at,
            milliseconds_of,
            milliseconds_of_duration,
            minutes_of,
            modulo_int,
            month_of,
            same,
            seconds_of,
            string_of_bool,
            string_of_duration,
            time_between,
            timestamp_of_seconds,
            whole_units,
            year_of,
        )
    },
}
"""The names that generated conditions use beside their constants."""
