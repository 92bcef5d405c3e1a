"""What the engine needs from outside, as protocols. Adapters live in `store` and `service`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from policy_service.engine.program import Program
from policy_service.model.changes import Change


class ChangeSource(Protocol):
    """The append-only feed of changes, in revision order without gaps."""

    def head(self) -> int:
        """The last committed revision; 0 for an empty store."""
        ...

    def changes_after(self, revision: int, limit: int) -> Sequence[Change]:
        """Up to `limit` changes with revisions `revision + 1`, `revision + 2`, …; a gap is never skipped over."""
        ...


class ProgramSource(Protocol):
    """Linked programs by bundle digest. A digest that is not published is a StoreError."""

    def program(self, digest: str) -> Program: ...
