"""What is written between quotes and judged at load: durations and patterns."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

from policy_service.model.instants import NS_PER_S

_MAX_DURATION_NS: Final = 2**63 - 1
"""292 years: what CEL can calculate with."""

_UNITS_NS: Final = {"h": 3600 * NS_PER_S, "m": 60 * NS_PER_S, "s": NS_PER_S, "ms": 10**6, "us": 10**3, "ns": 1}
_PART: Final = r"(\d{1,18})(?:\.(\d{1,18}))?(h|ms|m|us|ns|s)"
_DURATION: Final = re.compile(rf"(-?)((?:{_PART})+)", re.ASCII)
_PARTS: Final = re.compile(_PART, re.ASCII)

MAX_PATTERN: Final = 1000


def parse_duration(text: str) -> int | None:
    """Nanoseconds of a spelling such as `90s`, `1h30m` or `-1.5h`; None when it is none or not a whole number of ns."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    total = Fraction(0)
    for whole, fraction, unit in _PARTS.findall(match.group(2)):
        total += Fraction(int(whole + fraction), 10 ** len(fraction)) * _UNITS_NS[unit]
    if total.denominator != 1 or total > _MAX_DURATION_NS:
        return None
    return -total.numerator if match.group(1) else total.numerator


def pattern_mistake(pattern: str) -> str | None:
    """Why RE2 does not take a pattern, or None when it does."""
    if len(pattern) > MAX_PATTERN:
        return f"it is longer than {MAX_PATTERN} characters"
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options=options)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        return detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
    return None
