"""Checking a presented key, before and outside the pure decision. Its outcome is an input of `decide`.

Source: design, semantics 10 and 12.
"""

from __future__ import annotations

import hmac
from typing import Final

from policy_service.engine.snapshot import Snapshot
from policy_service.model.api_key import MAX_LENGTH, parse_api_key
from policy_service.model.errors import StoreError
from policy_service.model.facts import ApiKey
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential
from policy_service.service.peppers import Peppers

_DUMMY: Final = bytes(32)


class Credentials:
    """Tells what a presented text is worth: `missing`, `malformed`, `unknown` or `verified`.

    A well-formed key of any prefix is looked up: which prefix new keys get is a setting, and no setting may decide.
    """

    def __init__(self, peppers: Peppers) -> None:
        self._peppers = peppers

    def check(self, text: str | None, snapshot: Snapshot) -> Credential:
        """The outcome of checking a presented key. Says nothing about revocation, expiry or grace.

        Cost: one HMAC per secret slot, some 2 µs; an unknown id costs the same, so that timing does not tell ids.

        Raises:
            StoreError: `pepper_not_loaded`.
        """
        if text is None:
            return MISSING
        # The length first: nothing of a stranger's megabyte is parsed or hashed.
        parts = parse_api_key(text) if len(text) <= MAX_LENGTH else None
        if parts is None:
            return MALFORMED
        key = snapshot.api_key(parts.id)
        if key is None:
            hmac.compare_digest(self._peppers.verifier(self._peppers.current, text), _DUMMY)
            return UNKNOWN
        return self._verify(key, text, snapshot)

    def _verify(self, key: ApiKey, text: str, snapshot: Snapshot) -> Credential:
        verifiers = snapshot.verifiers(key.id)
        found: int | None = None
        missing: str | None = None
        for slot in key.slots:
            if not self._peppers.knows(slot.pepper_id):
                # A secret under a retired pepper is known to nobody any more; under a missing one it cannot be judged.
                if slot.pepper_id not in self._peppers.retired:
                    missing = slot.pepper_id
                hmac.compare_digest(self._peppers.verifier(self._peppers.current, text), _DUMMY)
                continue
            computed = self._peppers.verifier(slot.pepper_id, text)
            expected = verifiers.get(slot.number)
            matches = hmac.compare_digest(computed, expected or _DUMMY)
            # Every slot is compared, whichever matches: the time does not tell which secret was shown.
            found = slot.number if matches and expected is not None else found
        if found is not None:
            return Credential("verified", key.id, found)
        if missing is not None:
            raise StoreError(
                "pepper_not_loaded", f"pepper `{missing}` is not loaded; add it to the pepper file and restart"
            )
        return UNKNOWN

    def fingerprint(self, text: str) -> str:
        """A keyed fingerprint of a presented text that is not a known key, for records and logs."""
        return self._peppers.fingerprint(text)
