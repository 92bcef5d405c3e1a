"""`--since` and `--until`: an instant, or how long ago."""

from __future__ import annotations

import pytest

from policy_service.cli.shared.period import Period, read_time
from policy_service.model.errors import UsageError
from policy_service.model.instants import MIN_NS, NS_PER_S
from tests.fakes import START


def test_how_long_ago_is_an_instant() -> None:
    """And an instant with a zone is one in UTC; far before the beginning of time is its beginning."""
    assert read_time("90m", START, "--since") == START - 90 * 60 * NS_PER_S
    assert read_time("7d", START, "--since") == START - 7 * 86_400 * NS_PER_S
    assert read_time("2027-01-15T09:00:00+01:00", START, "--since") == START
    assert read_time("999999d", START, "--since") == MIN_NS
    assert read_time(None, START, "--since") is None
    with pytest.raises(UsageError):
        read_time("1w", START, "--since")


def test_what_is_not_given_is_open() -> None:
    """Neither end has a default; `/v1` is told nothing of an open one."""
    assert Period().instants(START) == (None, None)
    assert Period(until="2h").texts(START) == {"since": None, "until": "2027-01-15T06:00:00Z"}
    with pytest.raises(UsageError, match="`--until soon`"):
        Period(until="soon").instants(START)
