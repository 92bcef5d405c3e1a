"""Peppers: the keys under which the secrets of API keys are hashed. They live in a file, never in the database.

Source: design, semantics 12; RFC 2104 (HMAC).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from policy_service.model.errors import StoreError, UsageError

PEPPER_BYTES: Final = 32
_MAX_FILE_BYTES: Final = 64 * 1024
_FINGERPRINT: Final = b"policy-service fingerprint v1\0"
_BLOCK: Final = 64
"""Bytes of a block of SHA-256."""
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class Peppers:
    """Peppers by id, one of them current. New secrets are hashed under the current one.

    Args:
        retired: ids of peppers that were taken out on purpose: no secret under them is known any more. An id that is
            neither among the peppers nor retired is *missing*, and keys under it cannot be judged at all.

    Attributes:
        generation: another number once `adopt` has changed what these peppers say of a secret.
    """

    def __init__(self, current: str, peppers: Mapping[str, bytes], retired: Iterable[str] = ()) -> None:
        if current not in peppers:
            raise UsageError("damaged_pepper", f"the current pepper `{current}` is not among the peppers")
        self.current = current
        self.retired = frozenset(retired)
        self.generation = 0
        self._peppers = dict(peppers)
        self._keyed = {name: _Keyed(pepper) for name, pepper in self._peppers.items()}
        # Derived, so that a fingerprint can never serve as a verifier.
        self._fingerprint_key = hmac.digest(self._peppers[current], _FINGERPRINT, hashlib.sha256)

    def ids(self) -> tuple[str, ...]:
        """The peppers there are."""
        return tuple(self._peppers)

    def with_pepper(self, name: str, pepper: bytes) -> Peppers:
        """These and one more, which is current."""
        return Peppers(name, {**self._peppers, name: pepper}, self.retired)

    def without_pepper(self, name: str) -> Peppers:
        """These without one, which is retired."""
        kept = {known: pepper for known, pepper in self._peppers.items() if known != name}
        return Peppers(self.current, kept, {*self.retired, name})

    def adopt(self, newer: Peppers) -> None:
        """Become what the file holds now. Whoever uses these peppers needs not be told.

        Raises:
            UsageError: `pepper_changed`: a pepper has another value, or is gone and was not retired. That is another
                file than the one these came from, and keys would die with it: nothing has changed then.
        """
        for name, pepper in self._peppers.items():
            there = newer._peppers.get(name)
            if there is None and name in newer.retired:
                continue
            if there is None or not hmac.compare_digest(there, pepper):
                raise UsageError(
                    "pepper_changed", f"pepper `{name}` is another one in the file, or gone; restore it from a backup"
                )
        # The peppers first: what is current must be among them at any time, other threads look.
        self._peppers, self._keyed = {**self._peppers, **newer._peppers}, {**self._keyed, **newer._keyed}
        self.current, self._fingerprint_key = newer.current, newer._fingerprint_key
        self.retired, self._peppers, self._keyed = newer.retired, dict(newer._peppers), dict(newer._keyed)
        # Last: what somebody remembers of a generation was found out no later than in it.
        self.generation += 1

    def document(self) -> bytes:
        """The content of a pepper file: the secret itself."""
        peppers = {name: pepper.hex() for name, pepper in self._peppers.items()}
        retired = {"retired": sorted(self.retired)} if self.retired else {}
        content = {"current": self.current, "peppers": peppers, **retired}
        return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"

    def __repr__(self) -> str:
        """The ids alone."""
        return f"Peppers(current={self.current!r}, ids={sorted(self._peppers)!r})"

    def knows(self, pepper_id: str) -> bool:
        """Whether this pepper is loaded."""
        return pepper_id in self._keyed

    def verifier(self, pepper_id: str, key_text: str) -> bytes:
        """HMAC-SHA-256 of the whole key text under one pepper: 32 bytes. Cost: about 0.8 µs.

        Raises:
            StoreError: `pepper_not_loaded`.
        """
        keyed = self._keyed.get(pepper_id)
        if keyed is None:
            raise StoreError(
                "pepper_not_loaded", f"pepper `{pepper_id}` is not loaded; add it to the pepper file and restart"
            )
        return keyed.digest(key_text.encode())

    def fingerprint(self, text: str) -> str:
        """A keyed fingerprint of any text, 16 hexadecimal digits: tells equal keys in a log, and reveals none."""
        digest = hmac.digest(self._fingerprint_key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return digest.hex()[:16]

    @classmethod
    def create(cls, path: Path) -> Peppers:
        """Make a pepper file with one fresh pepper, mode 0600; a missing folder is made with 0700.

        Raises:
            UsageError: `pepper_exists`: a pepper is never overwritten, all keys would die with it; `loose_pepper`, the
                folder is there and others may enter it; `unwritable_pepper`.
        """
        made = cls("p1", {"p1": secrets.token_bytes(PEPPER_BYTES)})
        descriptor = _open_new(path)
        with os.fdopen(descriptor, "wb") as file:
            file.write(made.document())
            file.flush()
            os.fsync(file.fileno())
        return made

    @classmethod
    def load(cls, path: Path) -> Peppers:
        """Read a pepper file.

        Raises:
            UsageError: `missing_pepper`, `loose_pepper` (others may read the file or write its folder),
                `damaged_pepper`, `unreadable_pepper`.
        """
        try:
            _refuse_loose_modes(path)
            with path.open("rb") as file:
                content = file.read(_MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            raise UsageError(
                "missing_pepper", f"there is no pepper at `{path}`; restore it from a backup, or run `init`"
            ) from None
        except OSError as error:
            raise UsageError("unreadable_pepper", f"cannot read `{path}`: {_reason(error)}") from None
        return _parse(content, path)


class _Keyed:
    """HMAC-SHA-256 under one pepper that has been hashed in already: a third of the time of `hmac.digest`.

    Source: RFC 2104, section 4, which advises just this.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, pepper: bytes) -> None:
        key = pepper if len(pepper) <= _BLOCK else hashlib.sha256(pepper).digest()
        block = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def _open_new(path: Path) -> int:
    """A descriptor of a file just made; nobody else could ever open it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_loose_folder(path)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        if path.exists():
            raise UsageError("pepper_exists", f"`{path}` exists; a pepper is never overwritten") from None
        raise UsageError("unwritable_pepper", f"cannot write `{path}`: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    return (error.strerror or "input or output failed").lower()


def _refuse_loose_modes(path: Path) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError("loose_pepper", f"others may read `{path}`; run `chmod 600 {path}`")
    _refuse_loose_folder(path)


def _refuse_loose_folder(path: Path) -> None:
    if stat.S_IMODE(path.parent.stat().st_mode) & 0o077:
        raise UsageError("loose_pepper", f"others may enter `{path.parent}`; run `chmod 700 {path.parent}`")


def _parse(content: bytes, path: Path) -> Peppers:
    # The content must never reach a message or a chained traceback: it is the secret.
    damaged = UsageError("damaged_pepper", f"`{path}` is not a pepper file; restore it from a backup")
    document: Any = None
    try:
        document = msgspec.json.decode(content)
        peppers = {str(name): bytes.fromhex(text) for name, text in document["peppers"].items()}
        current = str(document["current"])
        retired = [str(name) for name in document.get("retired", [])]
    except (ValueError, TypeError, KeyError, AttributeError, msgspec.DecodeError):
        raise damaged from None
    if current not in peppers or any(len(pepper) != PEPPER_BYTES for pepper in peppers.values()):
        raise damaged
    return Peppers(current, peppers, retired)
