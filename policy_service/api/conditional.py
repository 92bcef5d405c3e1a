"""`ETag`, `If-Match`, `If-None-Match`: reading a fact again only if it changed, writing it only if it did not.

The entity tag is that of the fact in `data`. The envelope's `revision` is not part of it: that moves with every change
anywhere, and tells how fresh the answer is, not what the fact is.

Source: RFC 9110 sections 8.8.3 and 13. All our tags are strong.
"""

from __future__ import annotations

import re
from typing import Final

from policy_service.api.endpoints import Call, Endpoint
from policy_service.api.incoming import Incoming
from policy_service.model.errors import RequestError
from policy_service.model.facts import Fact, Key
from policy_service.service.preconditions import Precondition, Tags, failed

_TAG: Final = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|\Z)')
_MOST_TAGS: Final = 100
_FROM_PATH: Final = {"team": "id"}
"""Fields of a fact's key that the path calls otherwise: `/v1/teams/{id}/members/{user}`."""


def etag(tag: str) -> tuple[str, str]:
    """The header that tells a tag."""
    return ("etag", f'"{tag}"')


def precondition_of(endpoint: Endpoint, incoming: Incoming, call: Call) -> Precondition | None:
    """What the headers of a write ask for; None where they ask for nothing.

    Raises:
        RequestError: 400 `invalid_precondition`, they cannot be read, or the route writes no single fact: to pass over
            them would lose the very update that they were to protect.
    """
    only_if = read_tags(incoming, "if-match", weak=False)
    unless = read_tags(incoming, "if-none-match", weak=True)
    if only_if is None and unless is None:
        return None
    if endpoint.subject is None:
        raise RequestError(
            "invalid_precondition", "this route writes no single fact that was there before; leave `If-…` headers out"
        )
    return Precondition(entity=endpoint.subject, key=_key(endpoint.subject, call), only_if=only_if, unless=unless)


def is_unchanged(incoming: Incoming, tag: str | None) -> bool:
    """Whether a reader who sent `If-None-Match` has the fact already: 304. Raises RequestError as above."""
    unless = read_tags(incoming, "if-none-match", weak=True)
    return unless is not None and unless.hold(tag)


def refuse_changed(incoming: Incoming, tag: str | None) -> None:
    """A reader who sent `If-Match` wants this very state or none. Raises RequestError 412, 400 as above."""
    only_if = read_tags(incoming, "if-match", weak=False)
    if tag is not None and only_if is not None and not only_if.hold(tag):
        raise failed("it is not what `If-Match` names any more", tag)


def read_tags(incoming: Incoming, header: str, *, weak: bool) -> Tags | None:
    """The tags that a header lists; None without it.

    Args:
        weak: compare weakly, so `W/"x"` is `"x"`; strongly it equals nothing (RFC 9110 section 8.8.3.2).
    """
    values = incoming.values(header)
    if not values:
        return None
    text = ",".join(values).strip()
    if text == "*":
        return Tags(is_any=True)
    names: set[str] = set()
    position, found = 0, 0
    while position < len(text):
        match = _TAG.match(text, position)
        if match is None or found == _MOST_TAGS:
            raise _unreadable(header)
        position, found = match.end(), found + 1
        if weak or match.group(1) is None:
            names.add(match.group(2))
    if not found or text.endswith(","):
        raise _unreadable(header)
    return Tags(frozenset(names))


def _unreadable(header: str) -> RequestError:
    name = "If-Match" if header == "if-match" else "If-None-Match"
    return RequestError(
        "invalid_precondition", f'`{name}` must be `*` or a list of up to {_MOST_TAGS} entity tags such as `"4f…"`'
    )


def _key(entity: type[Fact], call: Call) -> Key:
    return tuple(
        call.workspace if name == "workspace" else call.path[name if name in call.path else _FROM_PATH[name]]
        for name in entity.key_fields
    )
