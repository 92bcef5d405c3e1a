"""Checking a presented key, before and outside the pure decision. Its outcome is an input of `decide`.

What was once verified is remembered, so that a key that is shown over and over is not parsed, checksummed and hashed
under its pepper each time. It is looked up by a digest of the whole presented text under a secret that this process
draws at its start and keeps to itself (BLAKE2s, 128 bits): no secret is kept, and who can read the digests cannot try
secrets on them. A remembered key counts only while the snapshot holds the very verifier that it matched, in the same
slot, and while the peppers are the same. Only who shows the right secret is ever answered faster: unknown ids and wrong
secrets cost the same as each other, as before.

Source: design, semantics 10 and 12; decision 0011; RFC 7693 (keyed BLAKE2).
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from hashlib import blake2s
from typing import Final

import msgspec

from policy_service.engine.snapshot import Snapshot
from policy_service.model.api_key import MAX_LENGTH, parse_api_key
from policy_service.model.errors import StoreError
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential
from policy_service.service.peppers import Peppers

REMEMBERED: Final = 8192
"""Verified keys remembered at least; never more than twice as many. Each takes some 300 bytes."""
_DUMMY: Final = bytes(32)
_NOBODY: Final = "nobody/12345"
"""As long as the id of a key, and none: no id has a stroke."""


class _Verified(msgspec.Struct, gc=False):
    """A key that was verified.

    Args:
        key_id, slot: the credential's.
        verifier: the one that it matched.
        revision: of the snapshot that is known to hold it still.
    """

    credential: Credential
    key_id: str
    slot: int
    verifier: bytes
    revision: int


class Credentials:
    """Tells what a presented text is worth: `missing`, `malformed`, `unknown` or `verified`.

    A well-formed key of any prefix is looked up: which prefix new keys get is a setting, and no setting may decide.
    Belongs to the thread that owns the snapshots.

    INVARIANT: it answers as one that remembers nothing (test_credentials: what is remembered).
    """

    def __init__(self, peppers: Peppers) -> None:
        self._peppers = peppers
        self._marker = blake2s(key=os.urandom(32), digest_size=16)
        self._snapshot: Snapshot | None = None
        self._generation = peppers.generation
        self._known: dict[bytes, _Verified] = {}
        self._older: dict[bytes, _Verified] = {}

    @property
    def generation(self) -> int:
        """Another number once the peppers say something else of a secret."""
        return self._peppers.generation

    def check(self, text: str | None, snapshot: Snapshot) -> Credential:
        """The outcome of checking a presented key. Says nothing about revocation, expiry or grace.

        Cost: 0.6 µs for a key that was verified not long ago; else one HMAC per secret slot, some 4 µs in all, and an
        unknown id costs the same as a wrong secret, so that timing does not tell ids.

        Raises:
            StoreError: `pepper_not_loaded`.
        """
        if text is None:
            return MISSING
        # The length first: nothing of a stranger's megabyte is parsed or hashed.
        if len(text) > MAX_LENGTH or not text.isascii():
            return MALFORMED
        if snapshot is not self._snapshot or self._peppers.generation != self._generation:
            self._forget(snapshot)
        marker = self._marker.copy()
        marker.update(text.encode())
        mark = marker.digest()
        known = self._known.get(mark)
        if known is not None and known.revision == snapshot.revision:
            return known.credential
        return self._recalled(mark, snapshot) or self._checked(text, mark, snapshot)

    def _forget(self, snapshot: Snapshot) -> None:
        """Other facts, or other peppers: nothing that is remembered counts any more."""
        self._snapshot, self._generation = snapshot, self._peppers.generation
        self._known, self._older = {}, {}

    def _recalled(self, mark: bytes, snapshot: Snapshot) -> Credential | None:
        """A key that was verified before, where the snapshot still holds the verifier that it matched."""
        known = self._known.get(mark) or self._older.get(mark)
        if known is None:
            return None
        if snapshot.verifiers(known.key_id).get(known.slot) != known.verifier:
            self._known.pop(mark, None)
            self._older.pop(mark, None)
            return None
        known.revision = snapshot.revision
        self._remember(mark, known)
        return known.credential

    def _remember(self, mark: bytes, verified: _Verified) -> None:
        """Keep it, and of all the others those that were asked for last: some thousands."""
        if len(self._known) >= REMEMBERED and mark not in self._known:
            self._older, self._known = self._known, {}
        self._known[mark] = verified

    def _checked(self, text: str, mark: bytes, snapshot: Snapshot) -> Credential:
        """A text judged from its letters on."""
        parts = parse_api_key(text)
        if parts is None:
            return MALFORMED
        view = snapshot.keys[parts.id]
        secrets = ((1, self._peppers.current, None),) if view is None else view.secrets()
        found = self._matching(secrets, text)
        if view is not None and found is not None:
            slot, verifier = found
            credential = Credential("verified", view.id, slot)
            self._remember(mark, _Verified(credential, view.id, slot, verifier, snapshot.revision))
            return credential
        if view is not None:
            # An unknown id was looked for in vain, and so must one be whose secret was wrong: that tells ids too.
            snapshot.keys[_NOBODY]
        return UNKNOWN

    def _matching(self, secrets: Iterable[tuple[int, str, bytes | None]], text: str) -> tuple[int, bytes] | None:
        """The slot and the verifier that a text matches; None where it matches none."""
        found: tuple[int, bytes] | None = None
        missing: str | None = None
        for slot, pepper_id, expected in secrets:
            if not self._peppers.knows(pepper_id):
                # A secret under a retired pepper is known to nobody any more; under a missing one it cannot be judged.
                if pepper_id not in self._peppers.retired:
                    missing = pepper_id
                hmac.compare_digest(self._peppers.verifier(self._peppers.current, text), _DUMMY)
                continue
            computed = self._peppers.verifier(pepper_id, text)
            matches = hmac.compare_digest(computed, expected or _DUMMY)
            # Every slot is compared, whichever matches: the time does not tell which secret was shown.
            found = (slot, expected) if matches and expected is not None else found
        if found is not None:
            return found
        if missing is not None:
            raise StoreError(
                "pepper_not_loaded", f"pepper `{missing}` is not loaded; add it to the pepper file and restart"
            )
        return None

    def fingerprint(self, text: str) -> str:
        """A keyed fingerprint of a presented text that is not a known key, for records and logs."""
        return self._peppers.fingerprint(text)
