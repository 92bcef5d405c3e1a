"""New ids and secrets from the operating system's randomness, behind the IdSource port."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final
from weakref import WeakMethod

from policy_service.ledger.layout import TAIL_LENGTH
from policy_service.model.api_key import ALPHABET, ID_LENGTH, SECRET_LENGTH

# The largest multiple of 62 that a byte holds: what is left over would favour the first letters.
_FAIR: Final = 256 - 256 % len(ALPHABET)
_LETTERS: Final = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
_UNFAIR: Final = bytes(range(_FAIR, 256))
_DECISION_ID: Final = 22
_AT_ONCE: Final = 64
"""Decision ids made at a time: asking the system costs more than what it gives."""


def _base62(length: int) -> str:
    """Uniform letters from the operating system's randomness: one call for all of them, nearly always."""
    letters = b""
    while len(letters) < length:
        # One byte of 32 is left out.
        letters += os.urandom(length + length // 16 + 8).translate(_LETTERS, _UNFAIR)
    return letters[:length].decode("ascii")


class RandomIds:
    """Base62 text of uniformly random characters; 5.95 bits each."""

    def __init__(self) -> None:
        self._ready: Iterator[str] = iter(())
        # INVARIANT: a forked process never gives an id that its parent gives too (test_a_fork_gives_other_ids).
        os.register_at_fork(after_in_child=partial(call_unless_gone, WeakMethod(self._forget)))

    def _forget(self) -> None:
        self._ready = iter(())

    def decision_id(self) -> str:
        """22 characters: 130 bits. Cost: 0.2 µs. In any thread: no two ever take the same one."""
        one = next(self._ready, None)
        if one is None:
            letters = _base62(_DECISION_ID * _AT_ONCE)
            made = iter([letters[start : start + _DECISION_ID] for start in range(0, len(letters), _DECISION_ID)])
            one = next(made)
            self._ready = made
        return one

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


def call_unless_gone(forget: WeakMethod[Callable[[], None]]) -> None:
    """Unless what it belongs to is gone."""
    method = forget()
    if method is not None:
        method()
