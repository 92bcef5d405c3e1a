"""Decision sinks. The ledger will be one; until then decisions are not recorded."""

from __future__ import annotations

from collections.abc import Sequence

from policy_service.service.ports import Decided


class NullSink:
    """Records nothing. It claims no durability that could matter: there is no record to lose."""

    def record(self, decided: Sequence[Decided]) -> None:
        """Forget them."""
