"""The lines of a file of keys to import: JSON Lines, one key each. Which words they take: docs/administrators.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from policy_service.model.errors import RequestError, UsageError
from policy_service.model.facts import PrincipalKind
from policy_service.model.instants import parse_rfc3339
from policy_service.service.administration import HashedSecret, KeyToImport, NewKey

MAX_LINE_BYTES: Final = 64 * 1024
_WORDS: Final = {
    "`str`": "a text",
    "`array`": "a list",
    "`object`": "an object",
    "`int`": "a number",
    "`float`": "a number",
}


class PrincipalLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who a key acts as."""

    kind: PrincipalKind
    id: str


class KeyLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line. The last three stand together or not at all: a key whose secret is hashed already."""

    principal: PrincipalLine
    scopes: list[str]
    not_before: str | None = None
    expires_at: str | None = None
    cidrs: list[str] = []
    labels: dict[str, str] = {}
    id: str | None = None
    pepper_id: str | None = None
    verifier: str | None = None


_LINE: Final = msgspec.json.Decoder(KeyLine)
_ANY: Final = msgspec.json.Decoder()


class Line(msgspec.Struct, frozen=True):
    """One line of the file that is not blank: its number and size, and the key on it or what is wrong with it."""

    number: int
    size: int
    key: KeyToImport | RequestError


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file, one after the other; blank ones are passed over.

    Raises:
        UsageError: `unreadable_file`.
    """
    try:
        with path.open("rb") as file:
            number = 0
            # A line is never read further than it may be long.
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if raw.strip():
                    yield Line(number, len(raw), _outcome(raw))
                if len(raw) > MAX_LINE_BYTES:
                    return
    except OSError as error:
        reason = (error.strerror or "input or output failed").lower()
        raise UsageError("unreadable_file", f"cannot read `{path}`: {reason}") from None


def _outcome(raw: bytes) -> KeyToImport | RequestError:
    if len(raw) > MAX_LINE_BYTES:
        return RequestError(
            "line_too_long", f"the line is longer than {MAX_LINE_BYTES // 1024} KiB; nothing after it is read"
        )
    try:
        return _key(_LINE.decode(raw) if _is_plain(raw) else msgspec.convert(_strictly(raw), KeyLine))
    except msgspec.ValidationError as error:
        return RequestError("invalid_line", _in_words(str(error)))
    except RequestError as error:
        return error
    except (ValueError, RecursionError):
        return RequestError("invalid_line", "the line is not one JSON object in UTF-8")


def _is_plain(raw: bytes) -> bool:
    """Whether no member can stand twice: each would lose its quotes when the line is read and written again.

    It is four times as fast as looking at every member, and right for a line without escapes.
    """
    return b"\\" not in raw and raw.count(b'"') == msgspec.json.encode(_ANY.decode(raw)).count(b'"')


def _strictly(raw: bytes) -> Any:
    return json.loads(raw, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RequestError("invalid_line", "a member stands twice in one object")
    return found


def _in_words(message: str) -> str:
    for word, plain in _WORDS.items():
        message = message.replace(word, plain)
    message = message.replace(" | null", " or null").replace(" - at `$", " @ `$")
    return f"{message[:1].lower()}{message[1:]}"


def _key(line: KeyLine) -> KeyToImport:
    new = NewKey(
        principal_kind=line.principal.kind,
        principal_id=line.principal.id,
        scopes=line.scopes,
        not_before=_instant("not_before", line.not_before),
        expires_at=_instant("expires_at", line.expires_at),
        cidrs=line.cidrs,
        labels=line.labels,
    )
    return KeyToImport(new=new, hashed=_hashed(line))


def _hashed(line: KeyLine) -> HashedSecret | None:
    given = (line.id, line.pepper_id, line.verifier)
    if given == (None, None, None):
        return None
    if line.id is None or line.pepper_id is None or line.verifier is None:
        raise RequestError("invalid_line", "`id`, `pepper_id` and `verifier` belong together; give all three or none")
    try:
        verifier = bytes.fromhex(line.verifier)
    except ValueError:
        raise RequestError("invalid_verifier", "`verifier` must be 64 hexadecimal digits") from None
    return HashedSecret(key_id=line.id, pepper_id=line.pepper_id, verifier=verifier)


def _instant(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    instant = parse_rfc3339(text)
    if instant is None:
        raise RequestError("invalid_line", f"`{name}` is no RFC 3339 instant such as 2027-01-01T00:00:00Z")
    return instant
