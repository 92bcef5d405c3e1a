"""New ids and secrets from the operating system's randomness, behind the IdSource port."""

from __future__ import annotations

import os
from typing import Final

from policy_service.ledger.layout import TAIL_LENGTH
from policy_service.model.api_key import ALPHABET, ID_LENGTH, SECRET_LENGTH

# The largest multiple of 62 that a byte holds: what is left over would favour the first letters.
_FAIR: Final = 256 - 256 % len(ALPHABET)
_LETTERS: Final = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
_UNFAIR: Final = bytes(range(_FAIR, 256))


def _base62(length: int) -> str:
    """Uniform letters from the operating system's randomness: one call for all of them, nearly always."""
    letters = b""
    while len(letters) < length:
        letters += os.urandom(length + 8).translate(_LETTERS, _UNFAIR)
    return letters[:length].decode("ascii")


class RandomIds:
    """Base62 text of uniformly random characters; 5.95 bits each."""

    def decision_id(self) -> str:
        """22 characters: 130 bits."""
        return _base62(22)

    def key_id(self) -> str:
        """12 characters: 71 bits; a collision is refused when the key is made."""
        return _base62(ID_LENGTH)

    def secret(self) -> str:
        """22 characters: 130 bits."""
        return _base62(SECRET_LENGTH)

    def binding_id(self) -> str:
        """12 characters: 71 bits."""
        return _base62(12)

    def shard_tail(self) -> str:
        """8 characters: 47 bits, among shards opened within one second."""
        return _base62(TAIL_LENGTH)
