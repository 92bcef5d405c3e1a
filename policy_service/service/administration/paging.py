"""Cursors: opaque to callers, stable while the list changes, because they name the last key seen and not a position."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from policy_service.model.errors import RequestError
from policy_service.model.facts import Key

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
_MAX_CURSOR: Final = 2048


def check_limit(limit: int) -> int:
    """The limit, if it is from 1 to 1000; RequestError 400 `invalid_limit` otherwise."""
    if not 1 <= limit <= MAX_LIMIT:
        raise RequestError("invalid_limit", f"`limit` must be a whole number from 1 to {MAX_LIMIT}")
    return limit


def encode_cursor(kind: str, key: Key) -> str:
    """The cursor that continues a list of `kind` after `key`."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, *key])).decode("ascii").rstrip("=")


def decode_cursor(kind: str, cursor: str | None, size: int, longest: int = _MAX_CURSOR) -> Key | None:
    """The key, of `size` parts, that a list of `kind` continues after.

    Raises:
        RequestError: 400 `invalid_cursor`: not a cursor of this list.
    """
    if cursor is None:
        return None
    invalid = RequestError("invalid_cursor", "`cursor` is not one that this list returned; start without it")
    if len(cursor) > longest:
        raise invalid
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = msgspec.json.decode(content, type=list[str])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise invalid from None
    if len(parts) != size + 1 or parts[0] != kind or "\0" in "".join(parts):
        raise invalid
    return tuple(parts[1:])
