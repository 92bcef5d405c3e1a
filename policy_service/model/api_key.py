"""The spelling of an API key: `<prefix>_<id:12><secret:22><crc:6>`, base62, CRC-32 over all before it.

The checksum finds typing mistakes and lets secret scanners tell a key from noise; it protects nothing.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

import msgspec

DEFAULT_PREFIX: Final = "psx"
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH: Final = 12
SECRET_LENGTH: Final = 22
CRC_LENGTH: Final = 6
MIN_LENGTH: Final = 2 + 1 + ID_LENGTH + SECRET_LENGTH + CRC_LENGTH
MAX_LENGTH: Final = 10 + 1 + ID_LENGTH + SECRET_LENGTH + CRC_LENGTH
PREFIX: Final = re.compile(r"[a-z]{2,10}", re.ASCII)
KEY_ID: Final = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}", re.ASCII)
SCANNER: Final = r"\b[a-z]{2,10}_[0-9A-Za-z]{40}\b"
"""For secret scanners, whatever the prefix; RE2 reads it too. A hit with the right checksum is a key."""
_TAIL: Final = re.compile(r"_[0-9A-Za-z]{40}", re.ASCII)
_KEY: Final = re.compile(r"([a-z]{2,10})_([0-9A-Za-z]{12})([0-9A-Za-z]{22})([0-9A-Za-z]{6})", re.ASCII)

_PAIRS: Final = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""Two digits at a time: every key presented is checked, and digit by digit takes three times as long."""


class ApiKeyText(msgspec.Struct, frozen=True):
    """The parts of a well-formed key. Well-formed does not mean known, valid or allowed anything."""

    prefix: str
    id: str
    secret: str

    def __repr__(self) -> str:
        """Never the secret."""
        return f"ApiKeyText(prefix={self.prefix!r}, id={self.id!r})"


def checksum(text: str) -> str:
    """CRC-32 of ASCII text as six base62 digits, most significant first."""
    rest, low = divmod(zlib.crc32(text.encode("ascii")), len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def format_api_key(prefix: str, key_id: str, secret: str) -> str:
    """The text that its holder is shown, once."""
    body = f"{prefix}_{key_id}{secret}"
    return body + checksum(body)


def parse_api_key(text: str) -> ApiKeyText | None:
    """The parts of a well-formed key with the right checksum, else None. The prefix is not judged here."""
    match = _KEY.fullmatch(text)
    if match is None or checksum(text[:-CRC_LENGTH]) != match.group(4):
        return None
    return ApiKeyText(match.group(1), match.group(2), match.group(3))


def holds_api_key(text: str) -> bool:
    """Whether a well-formed key with the right checksum stands anywhere in a text, whatever stands around it."""
    # Spelled out: nearly no text holds one, and setting up a generator takes four times as long as the search.
    match = _TAIL.search(text)
    while match is not None:
        if _is_key(text, match):
            return True
        match = _TAIL.search(text, match.end())
    return False


def _is_key(text: str, tail: re.Match[str]) -> bool:
    start, end = tail.span()
    return any(parse_api_key(text[start - length : end]) for length in range(2, min(start, 10) + 1))


class KeyForm(msgspec.Struct, frozen=True):
    """What can be said of a pasted text without asking anybody. Never the secret.

    Args:
        problem: why it is no whole key, as a lowercase phrase; None when it is one.
        prefix, id: as they stand there, as far as the text has the form of a key.
    """

    problem: str | None
    prefix: str | None = None
    id: str | None = None


def key_form(text: str) -> KeyForm:
    """Tell a whole key from a mistyped one and from something else."""
    match = _KEY.fullmatch(text)
    if match is None:
        length = ID_LENGTH + SECRET_LENGTH + CRC_LENGTH
        return KeyForm(f"not a key: a key is its prefix, `_`, and {length} letters and digits")
    problem = None
    if checksum(text[:-CRC_LENGTH]) != match.group(4):
        problem = "the checksum is wrong: mistyped, cut, or made up"
    return KeyForm(problem, match.group(1), match.group(2))
