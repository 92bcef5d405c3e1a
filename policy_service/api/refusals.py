"""Log lines of callers who were not let in: enough to see an attack, too few to fill a disk with one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from policy_service.api.tracing import Trace
from policy_service.model.reasons import REASONS
from policy_service.service.checks import shown

LINES_PER_S: Final = 10
"""At most so many lines a second for each reason. What is held back is counted, and told with the next line."""

OTHER_REFUSALS: Final = frozenset({"conflicting_credentials", "credentials_in_query", "operator_only"})
"""Codes of refused callers that are no reasons of a decision. The reasons are a fixed set: so is what is kept here."""

_LOG: Final = logging.getLogger(__name__)


class _Window:
    """One reason's current second."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.lines = 0
        self.held_back = 0


class RefusalLog:
    """Writes them. One per application; thread-safe.

    Args:
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()

    def note(self, code: str, address: str | None, trace: Trace | None) -> None:
        """One caller was refused with `code`. Nothing is written for what is no refusal of a caller.

        The line never has the key, in no form; `address` is shown escaped, for a proxy may pass on anything.
        """
        if code not in REASONS and code not in OTHER_REFUSALS:
            return
        held_back = self._turn(code)
        if held_back is None:
            return
        more = f" ({held_back} more like it were not logged)" if held_back else ""
        where = shown(address) if address is not None else "an unknown address"
        _LOG.warning("refused a caller: %s from %s %s%s", code, where, trace or "", more)

    def _turn(self, code: str) -> int | None:
        """How many lines were held back before this one; None where this one is held back too."""
        now = self._monotonic()
        with self._lock:
            window = self._windows.setdefault(code, _Window(now))
            if now - window.start >= 1:
                window.start, window.lines = now, 0
            if window.lines >= LINES_PER_S:
                window.held_back += 1
                return None
            window.lines += 1
            held_back, window.held_back = window.held_back, 0
            return held_back
