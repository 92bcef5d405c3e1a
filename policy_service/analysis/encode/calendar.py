"""Parts of a timestamp as integer arithmetic. Z3 divides by a positive number as Python does: rounding down.

Source: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import z3

from policy_service.model.instants import NS_PER_S

_DAY: Final = 86_400 * NS_PER_S


def _civil(instant: Any) -> tuple[Any, Any, Any]:
    """Year, month (January is 1), day of the month (the first is 1). The year begins in March while computing."""
    days = instant / _DAY + 719_468
    era = days / 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365
    of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100)
    month = (5 * of_year + 2) / 153
    day = of_year - (153 * month + 2) / 5 + 1
    civil_month = z3.If(month < 10, month + 3, month - 9)
    year = year_of_era + era * 400 + z3.If(civil_month <= 2, z3.IntVal(1), z3.IntVal(0))
    return year, civil_month, day


def _year(instant: Any) -> Any:
    return _civil(instant)[0]


def _month(instant: Any) -> Any:
    return _civil(instant)[1] - 1


def _date(instant: Any) -> Any:
    return _civil(instant)[2]


def _day_of_year(instant: Any) -> Any:
    """Days since the first of January, by counting both from 1970."""
    before = _civil(instant)[0] - 1
    january = before * 365 + before / 4 - before / 100 + before / 400 - 719_162
    return instant / _DAY - january


PARTS: Final[dict[str, Callable[[Any], Any]]] = {
    "timestamp_to_year": _year,
    "timestamp_to_month": _month,
    "timestamp_to_day_of_year": _day_of_year,
    "timestamp_to_day_of_month": lambda instant: _date(instant) - 1,
    "timestamp_to_day_of_month_1_based": _date,
    "timestamp_to_day_of_week": lambda instant: (instant / _DAY + 4) % 7,
    "timestamp_to_hours": lambda instant: instant / (3600 * NS_PER_S) % 24,
    "timestamp_to_minutes": lambda instant: instant / (60 * NS_PER_S) % 60,
    "timestamp_to_seconds": lambda instant: instant / NS_PER_S % 60,
    "timestamp_to_milliseconds": lambda instant: instant / 10**6 % 1000,
}
"""By overload id. As in the engine, months, days of the year, of the month and of the week count from 0."""
