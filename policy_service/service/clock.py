"""The system's clock, behind the Clock port."""

from __future__ import annotations

import time


class SystemClock:
    """Wall-clock time, UTC."""

    def now(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns()
