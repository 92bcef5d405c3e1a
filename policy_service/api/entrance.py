"""Who may come in: the caller's key and address from what it sent, and notices to users of an older header.

Source: RFC 6750 section 2.1 (Bearer); RFC 9745 (Deprecation); RFC 8594 (Sunset). Forwarded addresses are believed only
of proxies that the operator named.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from policy_service.api.incoming import Incoming
from policy_service.model.address import Network, address_point
from policy_service.model.errors import RequestError, StoreError
from policy_service.service.caller import Caller
from policy_service.service.deciding.gate import Gate
from policy_service.service.following.replica import Replica

DEFAULT_LEGACY_HEADER: Final = "X-Planasonix-Api-Key"
DEPRECATED_SINCE: Final = datetime(2026, 11, 1, tzinfo=UTC)
LEGACY_DOCS: Final = "/docs#legacy-header"


class LegacyHeader(msgspec.Struct, frozen=True):
    """An older header that callers may still show their key in. `sunset`: the last day it is promised to work."""

    name: str = DEFAULT_LEGACY_HEADER
    sunset: date = date(2027, 12, 31)

    def notices(self) -> tuple[tuple[str, str], ...]:
        """What is said to those who use it."""
        end = datetime.combine(self.sunset, time(23, 59, 59), tzinfo=UTC)
        return (
            ("deprecation", f"@{int(DEPRECATED_SINCE.timestamp())}"),
            ("sunset", format_datetime(end, usegmt=True)),
            ("link", f'<{LEGACY_DOCS}>; rel="deprecation"; type="text/html"'),
            ("link", f'<{LEGACY_DOCS}>; rel="sunset"; type="text/html"'),
        )


class EntranceSettings(msgspec.Struct, frozen=True):
    """What an operator sets about callers. `legacy` None: no older header is accepted."""

    trusted_proxies: tuple[Network, ...] = ()
    legacy: LegacyHeader | None = LegacyHeader()


class Entrance:
    """Lets callers in, or says why not.

    Args:
        replica: only asked whether it has any facts.
        local: the caller that everybody is, for an application that runs inside a local command.
    """

    def __init__(self, gate: Gate, replica: Replica, settings: EntranceSettings, local: Caller | None = None) -> None:
        self._gate = gate
        self._replica = replica
        self._trusted = settings.trusted_proxies
        self._local = local
        self._legacy_name = settings.legacy.name.lower() if settings.legacy else None
        self._notices = settings.legacy.notices() if settings.legacy else ()

    def notices(self, incoming: Incoming) -> tuple[tuple[str, str], ...]:
        """Headers for every answer to somebody who used the older header."""
        return self._notices if self._legacy(incoming) else ()

    def admit(self, incoming: Incoming, scope: str | Sequence[str]) -> Caller:
        """The caller, if its key has the scope (or one of several).

        Raises:
            RequestError: 401, 403 with the reason as its code; 400 `conflicting_credentials`, `credentials_in_query`.
            StoreError: the facts or a pepper are not available.
        """
        if self._local is not None:
            return self._local
        if self._replica.revision == 0:
            # An empty snapshot knows no key: it would call a good caller unknown.
            raise StoreError("starting", "this process has not read the facts yet; try again in a second")
        return self._gate.admit(self.presented(incoming), scope, self.address(incoming))

    def presented(self, incoming: Incoming) -> str | None:
        """The key that was shown; None for none. The same key in both headers is one key."""
        _refuse_key_in_query(incoming)
        shown = {key for key in map(_bearer, incoming.values("authorization")) if key is not None}
        shown.update(self._legacy(incoming))
        if len(shown) > 1:
            raise RequestError("conflicting_credentials", "the headers show different keys; show one, as Bearer")
        return next(iter(shown), None)

    def address(self, incoming: Incoming) -> str | None:
        """Where the caller is: the TCP peer, or what the last untrusted hop before trusted proxies was."""
        if incoming.peer is None or not self._trusts(incoming.peer):
            return incoming.peer
        hops = [hop.strip() for value in incoming.values("x-forwarded-for") for hop in value.split(",")]
        untrusted = (hop for hop in reversed(hops) if not self._trusts(hop))
        return next(untrusted, hops[0] if hops else incoming.peer)

    def _trusts(self, address: str) -> bool:
        point = address_point(address)
        return point is not None and any(point in network for network in self._trusted)

    def _legacy(self, incoming: Incoming) -> list[str]:
        return [] if self._legacy_name is None else incoming.values(self._legacy_name)


def _refuse_key_in_query(incoming: Incoming) -> None:
    """RFC 6750 section 2.3 lets a service read `?access_token=`; section 5.3 tells why this one does not."""
    # A look at the bytes first: it is on the way of every request.
    if b"access_token" in incoming.query and any(name == "access_token" for name, _ in _members(incoming.query)):
        raise RequestError(
            "credentials_in_query", "no key is read from the URL, where logs keep it; send it as Bearer, and rotate it"
        )


def _members(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def _bearer(authorization: str) -> str | None:
    """The token of a Bearer credential; None for every other scheme, which shows no key."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
