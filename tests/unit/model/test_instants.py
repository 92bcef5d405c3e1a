"""Instants: RFC 3339 text to nanoseconds and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.model.instants import MAX_NS, MIN_NS, format_rfc3339, parse_rfc3339


@given(st.integers(MIN_NS, MAX_NS))
def test_every_instant_survives_the_round_trip(instant_ns: int) -> None:
    """Formatting loses no nanosecond, from year 1 to year 9999."""
    assert parse_rfc3339(format_rfc3339(instant_ns)) == instant_ns


@pytest.mark.parametrize(
    ("text", "instant_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("2026-11-24T06:03:19.5Z", 1795500199_500000000),
    ],
)
def test_usual_spellings(text: str, instant_ns: int) -> None:
    """Offsets are subtracted; fractions may have one to nine digits."""
    assert parse_rfc3339(text) == instant_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-24",
        "2026-11-24T06:03:19",
        "2026-11-24 06:03:19Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T06:03:60Z",
        "2026-11-24T06:03:19.Z",
        "2026-11-24T06:03:19.0000000001Z",
        "2026-11-24T06:03:19+24:00",
        "2026-11-24T06:03:19+01:60",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-11-24T06:03:19Z",
        "2026-11-24T06:03:19Z\n",
    ],
)
def test_everything_else_is_no_instant(text: str) -> None:
    """Local times, leap seconds, other digits and instants outside the range are refused."""
    assert parse_rfc3339(text) is None
