"""The sink of those who choose durability `off`: decisions leave no record."""

from __future__ import annotations

from collections.abc import Sequence

from policy_service.service.ports import Decided
from policy_service.service.recording.groups import WRITTEN, Group


class NullSink:
    """Records nothing. It claims no durability that could matter: there is no record to lose."""

    def record(self, _decided: Sequence[Decided]) -> Group:
        """Forget them."""
        return WRITTEN
