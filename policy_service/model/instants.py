"""Instants as integer nanoseconds since 1970-01-01T00:00:00Z, and their RFC 3339 spelling.

Source: RFC 3339 section 5.6. The range is CEL's: years 0001 to 9999.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

NS_PER_S: Final = 1_000_000_000
MIN_NS: Final = -62_135_596_800 * NS_PER_S
MAX_NS: Final = 253_402_300_800 * NS_PER_S - 1

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def parse_rfc3339(text: str) -> int | None:
    """Nanoseconds of an RFC 3339 instant with at most nine fractional digits; None when it is not one."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    date, clock, fraction, sign, hours, minutes = match.groups()
    if hours is not None and (int(hours) > 23 or int(minutes) > 59):
        return None
    try:
        local = datetime.fromisoformat(f"{date}T{clock}").replace(tzinfo=UTC)
    except ValueError:
        return None
    seconds = (local - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += -offset if sign == "+" else offset
    instant = seconds * NS_PER_S + int((fraction or "").ljust(9, "0"))
    return instant if MIN_NS <= instant <= MAX_NS else None


def format_rfc3339(instant_ns: int) -> str:
    """`2026-11-24T06:03:19.123456789Z`, with 0, 3, 6 or 9 fractional digits, whichever is exact.

    Args:
        instant_ns: nanoseconds UTC between `MIN_NS` and `MAX_NS`.
    """
    seconds, ns = divmod(instant_ns, NS_PER_S)
    text = _second(seconds)
    if not ns:
        return f"{text}Z"
    digits = f"{ns:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """A second without its zone. Decisions are told by the thousand within one."""
    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()
