"""One canonical JSON form for everything that is hashed: sorted members, no white space, UTF-8.

It equals RFC 8785 wherever RFC 8785 is exact (strings, integers within 2^53, objects with BMP-only member names) and
keeps integers exact beyond that. Floats keep their shortest round-trip form.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import msgspec

_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
)
_PLAIN: Final = msgspec.json.Encoder(order="sorted")


def canonical_text(value: Any) -> str:
    """Canonical JSON of dicts, lists, strings, finite numbers, booleans and None."""
    return _ENCODER.encode(value)


def canonical_plain(value: Any) -> bytes:
    """The UTF-8 of the same text, at a tenth of its cost, where there are no floats: those it would write otherwise.

    INVARIANT: equals `canonical_text` of every value without floats (test_plain_values_have_one_canonical_form).

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    return _PLAIN.encode(value)


def sha256_hex(text: str) -> str:
    """SHA-256 of the UTF-8 form, as 64 lowercase hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
