"""The system's clock, behind the Clock port; and the seconds that go by, whatever happens to that clock."""

from __future__ import annotations

import time
from typing import Final

# On Linux CLOCK_MONOTONIC stands still while the machine is suspended, and facts grow old then too.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Wall-clock time, UTC."""

    def now(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns()


def elapsed_s() -> float:
    """Seconds since some moment in the past. Setting the clock does not move it; sleep of the machine counts."""
    return time.clock_gettime(_STEADY)
