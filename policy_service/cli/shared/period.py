"""`--since` and `--until`: between which instants."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from policy_service.cli.shared.grouped import Group
from policy_service.model.errors import UsageError
from policy_service.model.instants import MIN_NS, NS_PER_S, format_rfc3339, parse_rfc3339

_AGO: Final = re.compile(r"([1-9]\d{0,5})([smhd])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Not before: 2026-11-24T06:00:00Z, or 90m, 2h, 7d ago.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before that instant.")]


class Period(Group, frozen=True):
    """As it was typed; open where nothing was."""

    since: Since = None
    until: Until = None

    def instants(self, now: int) -> tuple[int | None, int | None]:
        """Both in nanoseconds. Raises UsageError."""
        return read_time(self.since, now, "--since"), read_time(self.until, now, "--until")

    def texts(self, now: int) -> dict[str, str | None]:
        """Both as RFC 3339, by name, as `/v1` takes them. Raises UsageError."""
        since, until = (None if one is None else format_rfc3339(one) for one in self.instants(now))
        return {"since": since, "until": until}


def read_time(text: str | None, now: int, option: str) -> int | None:
    """An instant, or how long ago, in nanoseconds.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(now - int(ago[1]) * _UNIT_S[ago[2]] * NS_PER_S, MIN_NS)
    found = parse_rfc3339(text)
    if found is None:
        raise UsageError("usage", f"`{option} {text}` must be an instant such as 2026-11-24T06:00:00Z, or 90m, 2h, 7d")
    return found
