"""How signing checkpoints and carrying them off goes: for `/readyz`, metrics and a log that does not repeat itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from policy_service.model.errors import PolicyServiceError, StoreError
from policy_service.service.ports import CheckpointReport
from policy_service.service.recording.checkpoints import REFUSED

FAILED: Final = "checkpoint_failed"
UNCLOSED: Final = "ledger_shard_unclosed"
CONTRADICTED: Final = "ledger_contradicted"
REPEAT_S: Final = 600.0
"""The same trouble is logged again after that long."""

_LOG: Final = logging.getLogger(__name__)


class CheckpointHealth:
    """A CheckpointState. Written by one thread, read by any.

    A checkpoint that would contradict the last one is trouble: the ledger or the facts were tampered with, and nothing
    is decided until somebody looks. All else is a warning: it is tried again, and records are safe meanwhile.

    Args:
        elapsed: seconds that go on whatever happens to the wall clock.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._signed_at: float | None = None
        self._signing: PolicyServiceError | None = None
        self._delivery: PolicyServiceError | None = None
        self._found: str | None = None
        self._told: dict[str, float] = {}
        self._signed = self._sign_failures = self._delivered = self._delivery_failures = 0

    def age_s(self) -> float | None:
        """Seconds since the last checkpoint was signed; None before the first."""
        return None if self._signed_at is None else self._elapsed() - self._signed_at

    def trouble(self) -> StoreError | None:
        """Why nothing may be decided any more; None where it may."""
        error = self._signing
        return error if isinstance(error, StoreError) and error.code == REFUSED else None

    def warning(self) -> str | None:
        """`checkpoint_failed`, or what the start found, or `checkpoint_undelivered`; None: all is well."""
        if self._signing is not None:
            return FAILED
        return self._found or (None if self._delivery is None else self._delivery.code)

    def report(self) -> CheckpointReport:
        """What was done so far."""
        return CheckpointReport(
            signed=self._signed,
            sign_failures=self._sign_failures,
            delivered=self._delivered,
            delivery_failures=self._delivery_failures,
        )

    def signed(self) -> None:
        """A checkpoint was signed."""
        self._signed += 1
        self._signed_at = self._elapsed()
        self.sound()

    def sound(self) -> None:
        """There was nothing to sign, or it was signed: whatever was wrong is over."""
        if self._signing is not None:
            _LOG.warning("checkpoints are signed again")
        self._signing = None

    def failed(self, error: PolicyServiceError) -> None:
        """No checkpoint could be signed."""
        self._sign_failures += 1
        self._signing = error
        self._tell("no checkpoint is signed", error)

    def delivered(self) -> None:
        """A checkpoint has left."""
        self._delivered += 1
        self._delivery = None

    def undelivered(self, error: PolicyServiceError) -> None:
        """A checkpoint could not leave."""
        self._delivery_failures += 1
        self._delivery = error
        self._tell("checkpoints stay on this machine", error)

    def unclosed(self, error: PolicyServiceError) -> None:
        """A shard that a crash left open is not what it must be. It stays so until the next start."""
        self._found = self._found or UNCLOSED
        self._tell("a shard stays open", error)

    def contradicted(self, error: PolicyServiceError) -> None:
        """The facts are not those that were signed for. It is told until the next start."""
        self._found = CONTRADICTED
        self._tell("the ledger and the facts contradict each other", error)

    def unkept(self, error: PolicyServiceError) -> None:
        """A segment could not be sealed or removed. It stays as it is."""
        self._tell("a segment stays as it is", error)

    def _tell(self, what: str, error: PolicyServiceError) -> None:
        now = self._elapsed()
        if now - self._told.get(error.message, -REPEAT_S) >= REPEAT_S:
            self._told[error.message] = now
            _LOG.error("%s: %s [%s]", what, error.message, error.code)
